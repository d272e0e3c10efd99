//! Views at all sizes.

use super::super::answers::Metrics;
use super::super::keys::KeyPress;
use super::super::log::{LogAnswer, LogRow, LogSubject};
use super::*;
use std::time::Instant;

/// Everything there is, with names of all lengths.
fn full() -> ScreenState {
    let rows = |count: usize| -> Vec<(String, u64)> {
        (0..count)
            .map(|at| (format!("response/{}東京\u{1b}[m", "x".repeat(at * 3)), 7u64.pow(at as u32 % 20)))
            .collect()
    };
    let tables = [
        ("domains", "noerror/query"),
        ("domains", "nxdomain/response"),
        ("clients", "hit/ip"),
        ("clients", "length/ip"),
        ("tlds", "hit/query"),
        ("rcodes", "hit/response"),
        ("rrtypes", "hit/query"),
        ("countries", "hit/response"),
    ];
    let mut answers =
        ApiAnswers { streams: rows(40).into_iter().map(|(name, _)| name).collect(), ..ApiAnswers::default() };
    for (table, flag) in tables {
        answers.tables.entry(table.to_owned()).or_default().insert(flag.to_owned(), rows(50));
    }
    answers.counters = ["qps", "query", "pps-5m", "latency-p95", "response/latency0_1"]
        .map(|name| (name.to_owned(), u64::MAX as f64))
        .into();
    let metrics = |count| {
        let text = format!(
            "dnstapd_build_info{{version=\"0.1.0\"}} 1\ndnstapd_output_dropped_total{{output=\"a\",reason=\"full\"}} {count}\n\
             dnstapd_frames_total{{input=\"b\"}} 1e300\ndnstap_qps{{identity=\"response/\"}} NaN\ndnstapd_sample_rate 10\n"
        );
        Some((Metrics::parse(text.as_bytes()), Instant::now()))
    };
    let log_row = |at: usize| LogRow {
        timestamp: "2026-01-01T10:00:00.123456+00:00".to_owned(),
        client: "2001:0db8:1111:2222:3333:4444:5555:6666".to_owned(),
        device: "東京\u{1b}[m".repeat(at % 3),
        name: "x".repeat(at * 3),
        rrtype: "TYPE65535".to_owned(),
        status: ["answered", "blocked", "error"][at % 3].to_owned(),
        rcode: "RCODE4095".to_owned(),
        latency: at.is_multiple_of(2).then_some(at as f64),
        answer: "-".to_owned(),
    };
    answers.log = Some(LogAnswer { rows: Ok((0..50).map(log_row).collect()), pairs: rows(9) });
    let mut state = ScreenState { metrics: metrics(9), metrics_before: metrics(1), ..ScreenState::default() };
    (0..600).for_each(|_| state.take(Ok(answers.clone())));
    state
}

#[test]
fn every_view_fits_every_screen() {
    let (mut state, empty) = (full(), ScreenState::default());
    let look = TerminalStyle { styles: false, colours: false, unicode: true };
    for view in View::ALL {
        state.view = view;
        for key in ["", "?", "f", ">", "\x1b[B"] {
            key.chars().take(1).for_each(|key| {
                state.press(KeyPress::Letter(key));
            });
            state.view = view;
            for size in [
                (0, 0),
                (1, 1),
                (2, 9),
                (20, 5),
                (40, 15),
                (71, 24),
                (72, 24),
                (80, 24),
                (146, 40),
                (400, 100),
            ] {
                for state in [&state, &empty] {
                    let lines = draw(state, "http://router", size, look);
                    assert!(lines.len() <= size.1);
                    for line in lines {
                        let mut text = String::new();
                        line.write(size.0, look, &mut text);
                        let width: usize = StyledLine::new().with(TextStyle::Plain, &text).width();
                        assert!(width <= size.0, "{size:?} {text:?}");
                        assert!(!text.contains(char::is_control));
                    }
                }
            }
        }
    }
}

#[test]
fn the_log_fits_in_every_state() {
    let mut state = full();
    let look = TerminalStyle { styles: true, colours: false, unicode: true };
    state.view = View::Log;
    for subject in [LogSubject::All, LogSubject::Device("tv".repeat(90)), LogSubject::Name("a.".to_owned())] {
        for typed in [None, Some("x".repeat(200))] {
            for rows in [Err("no such status".to_owned()), state.log_answer.as_ref().unwrap().rows.clone()] {
                state.log.subject = subject.clone();
                state.typed = typed.clone();
                let answer = LogAnswer { rows, pairs: vec![("a.example.".to_owned(), 7)] };
                let mut state = ScreenState { log_answer: Some(answer), ..full_without_log(&state) };
                state.row = 49;
                for size in [(1, 1), (20, 5), (40, 15), (80, 24), (146, 40)] {
                    let lines = draw(&state, "x", size, look);
                    assert!(lines.len() <= size.1, "{size:?}");
                    let shown = |line: &StyledLine| {
                        let mut text = String::new();
                        line.write(size.0, TerminalStyle { styles: false, ..look }, &mut text);
                        text
                    };
                    let text: String = lines.iter().map(|line| shown(line) + "\n").collect();
                    assert!(
                        text.lines()
                            .all(|line| StyledLine::new().with(TextStyle::Plain, line).width() <= size.0)
                    );
                    // The row that is chosen is in sight.
                    assert!(
                        size.1 < 24
                            || state.log_answer.as_ref().unwrap().rows.is_err()
                            || text.contains("blocked"),
                        "{text}"
                    );
                }
            }
        }
    }
}

/// The same place in the log.
fn full_without_log(state: &ScreenState) -> ScreenState {
    ScreenState { view: state.view, log: state.log.clone(), typed: state.typed.clone(), ..full() }
}

#[test]
fn drops_and_sampling_are_in_sight() {
    let mut state = full();
    let now = Instant::now();
    state.metrics.as_mut().unwrap().1 = now;
    state.metrics_before.as_mut().unwrap().1 = now - std::time::Duration::from_secs(2);
    let text: String =
        draw(&state, "x", (120, 5), TerminalStyle { styles: false, colours: false, unicode: true })
            .iter()
            .map(|line| {
                let mut text = String::new();
                line.write(120, TerminalStyle { styles: false, colours: false, unicode: true }, &mut text);
                text + "\n"
            })
            .collect();
    assert!(text.contains("sampled 1 in 10") && text.contains("outputs drop 4"), "{text}");
}

#[test]
fn a_stream_without_tables_says_so() {
    let mut state = full();
    let look = TerminalStyle { styles: false, colours: false, unicode: true };
    let text = |state: &ScreenState| {
        let mut text = String::new();
        draw(state, "x", (80, 24), look).iter().for_each(|line| line.write(80, look, &mut text));
        text
    };
    assert!(!text(&state).contains("kept"));
    state.answers.as_mut().unwrap().not_kept = Some("limits.profile".to_owned());
    assert!(text(&state).contains("are kept for this stream: limits.profile"), "{}", text(&state));
}

#[test]
fn no_address_is_cut_on_a_small_screen() {
    let mut state = full();
    let addresses = ["2001:0db8:1111:2222:3333:4444:5555:6666".to_owned(), "192.168.100.120".to_owned()];
    let rows = addresses.iter().map(|address| (address.clone(), 1_234_567)).collect::<Vec<_>>();
    let flags = ["hit/ip", "length/ip"].map(|flag| (flag.to_owned(), rows.clone()));
    state.answers.as_mut().unwrap().tables.insert("clients".to_owned(), flags.into_iter().collect());
    let look = TerminalStyle { styles: true, colours: false, unicode: true };
    for view in [View::Overview, View::Clients] {
        state.view = view;
        let text: String = draw(&state, "x", (80, 24), look)
            .iter()
            .map(|line| {
                let mut text = String::new();
                line.write(80, look, &mut text);
                text + "\n"
            })
            .collect();
        assert!(addresses.iter().all(|address| text.contains(address)), "{text}");
    }
}
