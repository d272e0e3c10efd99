//! Lines on a terminal: fields under each other, and in colours.
//!
//! A line's fields stand apart by one space, which no field has in it. Each column is as wide as its widest
//! field so far, those of the lines that are shown together with it among them, up to [`WIDTH_MAX`]; numbers
//! stand at its right. A field's colour comes from what it says: how it ended, which side, a name. `NO_COLOR`
//! and a terminal called `dumb` take the colours away.

use std::env;

/// The widths so far.
#[derive(Debug)]
pub(super) struct Columns {
    widths: [u8; COLUMNS],
    has_colours: bool,
}

impl Columns {
    /// No line yet.
    pub(super) fn new() -> Self {
        let forbids = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_none_or(|value| value == "dumb");
        Columns { widths: [0; COLUMNS], has_colours: !forbids && !is_dumb }
    }

    /// Puts whole lines at the end of `shown`.
    pub(super) fn show(&mut self, lines: &[u8], shown: &mut Vec<u8>) {
        let lines = || {
            lines.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
        };
        for line in lines() {
            for (column, field) in self.widths.iter_mut().zip(line.split(|byte| *byte == b' ')) {
                *column = (*column).max(u8::try_from(width(field).min(WIDTH_MAX)).unwrap_or_default());
            }
        }
        for line in lines() {
            let mut fields = line.split(|byte| *byte == b' ').enumerate().peekable();
            while let Some((number, field)) = fields.next() {
                self.show_field(number, field, fields.peek().is_none(), shown);
            }
            shown.push(b'\n');
        }
    }

    fn show_field(&self, number: usize, field: &[u8], is_last: bool, shown: &mut Vec<u8>) {
        let column = self.widths.get(number).map_or(0, |column| usize::from(*column));
        let missing = column.saturating_sub(width(field));
        let pad = |shown: &mut Vec<u8>| shown.resize(shown.len() + missing, b' ');
        let is_number = is_number(field);
        if is_number {
            pad(shown);
        }
        match colour(number, field).filter(|_| self.has_colours) {
            Some(colour) => {
                shown.extend_from_slice(colour);
                shown.extend_from_slice(field);
                shown.extend_from_slice(b"\x1b[0m");
            }
            None => shown.extend_from_slice(field),
        }
        if !is_last {
            if !is_number {
                pad(shown);
            }
            shown.push(b' ');
        }
    }
}

/// Characters of a field.
fn width(field: &[u8]) -> usize {
    field.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// Whether a field is a port, a length such as `59b`, or a time in seconds.
fn is_number(field: &[u8]) -> bool {
    let digits = field.strip_suffix(b"b").unwrap_or(field);
    digits.first().is_some_and(u8::is_ascii_digit)
        && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && digits.iter().filter(|byte| **byte == b'.').count() < 2
}

/// How a field is shown.
fn colour(number: usize, field: &[u8]) -> Option<&'static [u8]> {
    match field {
        b"-" => Some(DIM),
        _ if number == 0 => Some(DIM),
        b"NOERROR" | b"answered" => Some(GREEN),
        b"NXDOMAIN" | b"blocked" => Some(YELLOW),
        b"SERVFAIL" | b"REFUSED" | b"FORMERR" | b"NOTIMP" | b"ALARM" | b"error" => Some(RED),
        _ if field.ends_with(b"_QUERY") => Some(CYAN),
        _ if field.ends_with(b"_RESPONSE") => Some(BLUE),
        [.., b'.'] => Some(BOLD),
        _ => None,
    }
}

/// Columns that are aligned; those beyond stand as they come.
const COLUMNS: usize = 24;
/// The widest column.
const WIDTH_MAX: usize = 40;

/// Select Graphic Rendition (ECMA-48, 8.3.117).
const BOLD: &[u8] = b"\x1b[1m";
const DIM: &[u8] = b"\x1b[2m";
const RED: &[u8] = b"\x1b[31m";
const GREEN: &[u8] = b"\x1b[32m";
const YELLOW: &[u8] = b"\x1b[33m";
const BLUE: &[u8] = b"\x1b[34m";
const CYAN: &[u8] = b"\x1b[36m";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(has_colours: bool, lines: &str) -> String {
        let mut columns = Columns { widths: [0; COLUMNS], has_colours };
        let mut shown = Vec::new();
        columns.show(lines.as_bytes(), &mut shown);
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn fields_stand_under_each_other() {
        assert_eq!(
            shown(false, "T lb1 50000 159b a. A 0.048\nT é 53 9b bb.example. AAAA -\nT lb1 7 1b - - 11.5\n"),
            "T lb1 50000 159b a.          A    0.048\nT é      53   9b bb.example. AAAA -\nT lb1     7   1b -           -     11.5\n"
        );
        let long = format!("{}. A\na. A\n", "x".repeat(80));
        assert_eq!(shown(false, &long).lines().last(), Some(&*format!("a.{} A", " ".repeat(38))));
    }

    #[test]
    fn colours_do_not_move_anything() {
        let lines = "T - CLIENT_RESPONSE NXDOMAIN 192.0.2.1 example.com.\nT lb SERVFAIL - x y\n";
        let coloured = shown(true, lines);
        assert!(
            coloured.contains("\x1b[33mNXDOMAIN\x1b[0m ") && coloured.contains("\x1b[1mexample.com.\x1b[0m")
        );
        let codes =
            [DIM, BOLD, RED, GREEN, YELLOW, BLUE, CYAN, b"\x1b[0m"].map(|code| str::from_utf8(code).unwrap());
        let plain = codes.iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(plain, shown(false, lines));
    }
}
