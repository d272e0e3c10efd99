//! Numbers as people read them, in few columns.

/// A count: all digits while it is short, then three digits and a unit.
pub(crate) fn count(number: u64) -> String {
    match number {
        0..1_000_000 => grouped(number),
        _ => scaled(number as f64, 1000.0, &["", " k", " M", " G", " T", " P", " E"]),
    }
}

/// Bytes, in units of 1,024.
pub(crate) fn bytes(number: u64) -> String {
    scaled(number as f64, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// So many a second.
pub(crate) fn rate(number: f64) -> String {
    if number < 1000.0 && number.fract() != 0.0 {
        format!("{number:.1}/s")
    } else if number < 10_000.0 {
        format!("{}/s", grouped(number as u64))
    } else {
        format!("{}/s", scaled(number, 1000.0, &["", " k", " M", " G", " T", " P", " E"]))
    }
}

/// A latency in seconds.
pub(crate) fn latency(seconds: f64) -> String {
    match seconds * 1000.0 {
        milliseconds @ ..10.0 => format!("{milliseconds:.1} ms"),
        milliseconds @ ..1000.0 => format!("{milliseconds:.0} ms"),
        _ => format!("{seconds:.1} s"),
    }
}

/// A part of a whole.
pub(crate) fn share(part: u64, whole: u64) -> String {
    match (part as f64, whole as f64) {
        (_, 0.0) => "-".to_owned(),
        (part, whole) => format!("{:.1}%", part / whole * 100.0),
    }
}

/// A span of time, in its largest unit.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", grouped(number / 1000), number % 1000)
    }
}

/// Three digits at least, and a unit.
fn scaled(mut number: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for next in units {
        if number < step {
            break;
        }
        number /= step;
        unit = next;
    }
    let digits = if number.fract() == 0.0 && number < step && unit == " B" { 0 } else { digits(number) };
    format!("{number:.digits$}{unit}")
}

fn digits(number: f64) -> usize {
    if number < 10.0 {
        2
    } else if number < 100.0 {
        1
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let check = |text: String, expected: &str| assert_eq!(text, expected);
        check(count(0), "0");
        check(count(12_345), "12,345");
        check(count(999_999), "999,999");
        check(count(1_000_000), "1.00 M");
        check(count(u64::MAX), "18.4 E");
        check(bytes(17), "17 B");
        check(bytes(1536), "1.50 KiB");
        check(bytes(300 << 20), "300 MiB");
        check(rate(0.0), "0/s");
        check(rate(0.5), "0.5/s");
        check(rate(9_999.0), "9,999/s");
        check(rate(1_234_567.0), "1.23 M/s");
        check(share(1, 3), "33.3%");
        check(share(1, 0), "-");
        check(span(119), "119 s");
        check(span(86_400 * 3), "3 d");
    }
}
