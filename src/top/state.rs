//! The content of the screen, and what keys do to it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::answers::{ApiAnswers, Metrics};
use super::keys::KeyPress;
use super::log::{FILTER_LETTERS, LogAnswer, LogOrder, LogPlace, LogRow, LogSubject, PLACES};

/// A screen full of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// A bit of everything.
    Overview,
    /// Tables of names.
    Domains,
    /// Tables of query addresses.
    Clients,
    /// Tables of top-level domains.
    Tlds,
    /// Tables of rcodes and types.
    Types,
    /// One row for each stream.
    Streams,
    /// Inputs and outputs.
    Outputs,
    /// The last exchanges.
    Log,
    /// Tables of countries.
    Countries,
}

impl View {
    /// All of them, in the order of their keys: 1, 2, ...
    pub(crate) const ALL: [View; 9] = [
        View::Overview,
        View::Domains,
        View::Clients,
        View::Tlds,
        View::Types,
        View::Streams,
        View::Outputs,
        View::Log,
        View::Countries,
    ];

    /// The text in the bar.
    pub(crate) fn name(self) -> &'static str {
        match self {
            View::Overview => "Overview",
            View::Domains => "Domains",
            View::Clients => "Clients",
            View::Tlds => "TLDs",
            View::Types => "Types",
            View::Streams => "Streams",
            View::Outputs => "Outputs",
            View::Log => "Log",
            View::Countries => "Countries",
        }
    }

    /// The group of tables that it shows, or shows first; empty for none.
    pub(crate) fn group(self) -> &'static str {
        match self {
            View::Domains => "domains",
            View::Clients => "clients",
            View::Tlds => "tlds",
            View::Countries => "countries",
            View::Types => "rrtypes",
            View::Overview | View::Streams | View::Outputs | View::Log => "",
        }
    }

    /// Whether it shows `/metrics`.
    pub(crate) fn wants_metrics(self) -> bool {
        matches!(self, View::Streams | View::Outputs)
    }
}

/// The wish of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyAction {
    /// Nothing but another screen.
    Draw,
    /// New answers, at once.
    Fetch,
    /// No more answers.
    Wait,
    /// The end.
    Quit,
}

/// Everything the screen is made of.
#[derive(Debug)]
pub(crate) struct ScreenState {
    /// The view.
    pub(crate) view: View,
    /// The stream that is chosen; all of them otherwise.
    pub(crate) stream: Option<String>,
    /// The last answers.
    pub(crate) answers: Option<ApiAnswers>,
    /// The last `/metrics`, and when it came.
    pub(crate) metrics: Option<(Metrics, Instant)>,
    /// The one before.
    pub(crate) metrics_before: Option<(Metrics, Instant)>,
    /// Queries and responses a second, round by round, for the chosen stream.
    pub(crate) history: VecDeque<(f64, f64)>,
    /// Why there are no new answers, and since when.
    pub(crate) trouble: Option<(String, Instant)>,
    /// First row shown, or the row that is chosen.
    pub(crate) row: usize,
    /// The place that is shown.
    pub(crate) log: LogPlace,
    /// The places before it, to go back to.
    pub(crate) log_before: Vec<LogPlace>,
    /// The order of the log.
    pub(crate) log_order: LogOrder,
    /// The last answer for it, in that order.
    pub(crate) log_answer: Option<LogAnswer>,
    /// The filter while it is typed.
    pub(crate) typed: Option<String>,
    /// Which table of domains is shown where there is room for one.
    pub(crate) flag: usize,
    /// Nothing is fetched for now.
    pub(crate) paused: bool,
    /// The keys are shown.
    pub(crate) help: bool,
    /// Time between two rounds.
    pub(crate) interval: Duration,
}

/// Rounds that are remembered: more than a screen has columns.
const HISTORY: usize = 512;

/// Rows that a step of the wheel goes.
const WHEEL: usize = 3;

/// Seconds between two rounds: least, usual, most.
const INTERVALS: (u64, u64, u64) = (1, 2, 60);

impl Default for ScreenState {
    fn default() -> Self {
        ScreenState {
            view: View::Overview,
            stream: None,
            answers: None,
            metrics: None,
            metrics_before: None,
            history: VecDeque::new(),
            trouble: None,
            row: 0,
            log: LogPlace::default(),
            log_before: Vec::new(),
            log_order: LogOrder::default(),
            log_answer: None,
            typed: None,
            flag: 0,
            paused: false,
            help: false,
            interval: Duration::from_secs(INTERVALS.1),
        }
    }
}

impl ScreenState {
    /// Takes what a round brought.
    pub(crate) fn take(&mut self, round: Result<ApiAnswers, String>) {
        let mut answers = match round {
            Ok(answers) => answers,
            Err(why) => {
                let since = self.trouble.take().map_or_else(Instant::now, |(_, since)| since);
                self.trouble = Some((why, since));
                return;
            }
        };
        self.trouble = None;
        if let Some(metrics) = answers.metrics.take() {
            self.metrics_before = self.metrics.replace((metrics, Instant::now()));
        }
        self.history.push_back((answers.counter("qps") as f64, answers.counter("rps") as f64));
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        if let Some(log) = answers.log.take() {
            self.take_log(log);
        }
        self.answers = Some(answers);
        self.row = self.row.min(self.rows().saturating_sub(1));
    }

    /// Does what a key says.
    pub(crate) fn press(&mut self, key: KeyPress) -> KeyAction {
        if core::mem::take(&mut self.help) && key != KeyPress::Letter('q') && key != KeyPress::Interrupt {
            return KeyAction::Draw;
        }
        if let Some(typed) = self.typed.take() {
            return self.type_filter(typed, key);
        }
        if self.view == View::Log
            && let Some(action) = self.press_in_log(key)
        {
            return action;
        }
        match key {
            KeyPress::Letter('/') => {
                self.typed = Some(self.log.filter.clone());
                return self.show(View::Log);
            }
            KeyPress::Letter('q' | 'Q') | KeyPress::Interrupt => return KeyAction::Quit,
            KeyPress::Letter('?' | 'h' | 'H') => self.help = true,
            KeyPress::Letter(' ') => {
                self.paused = !self.paused;
                return if self.paused { KeyAction::Wait } else { KeyAction::Fetch };
            }
            KeyPress::Letter('+' | '=') => self.set_interval(self.interval.as_secs().saturating_sub(1)),
            KeyPress::Letter('-') => self.set_interval(self.interval.as_secs() + 1),
            KeyPress::Letter('f' | 'F') => self.flag = self.flag.wrapping_add(1),
            KeyPress::Letter('a' | 'A') => return self.choose(None),
            KeyPress::Letter('[' | '<' | ',') => return self.choose_beside(-1),
            KeyPress::Letter(']' | '>' | '.') => return self.choose_beside(1),
            KeyPress::Letter(letter) => {
                let number = letter.to_digit(10).and_then(|digit| digit.checked_sub(1));
                let view = number.and_then(|number| View::ALL.get(number as usize));
                let named =
                    View::ALL.iter().find(|view| view.name().starts_with(letter.to_ascii_uppercase()));
                return view.or(named).map_or(KeyAction::Draw, |&view| self.show(view));
            }
            KeyPress::Tab | KeyPress::Right => return self.show_beside(1),
            KeyPress::BackTab | KeyPress::Left => return self.show_beside(-1),
            KeyPress::Up => self.row = self.row.saturating_sub(1),
            KeyPress::Down => self.row = (self.row + 1).min(self.rows().saturating_sub(1)),
            KeyPress::PageUp => self.row = self.row.saturating_sub(10),
            KeyPress::PageDown => self.row = (self.row + 10).min(self.rows().saturating_sub(1)),
            KeyPress::WheelUp => self.row = self.row.saturating_sub(WHEEL),
            KeyPress::WheelDown => self.row = (self.row + WHEEL).min(self.rows().saturating_sub(1)),
            KeyPress::Home => self.row = 0,
            KeyPress::End => self.row = self.rows().saturating_sub(1),
            KeyPress::Enter if self.view == View::Streams => {
                let chosen = self.row.checked_sub(1).and_then(|row| self.streams().get(row).cloned());
                self.show(View::Overview);
                return self.choose(chosen);
            }
            KeyPress::Enter | KeyPress::Escape | KeyPress::Backspace => {}
        }
        KeyAction::Draw
    }

    /// The names of the streams.
    pub(crate) fn streams(&self) -> &[String] {
        self.answers.as_ref().map_or(&[], |answers| &answers.streams)
    }

    /// Whether the daemon has tables of countries.
    pub(crate) fn has_countries(&self) -> bool {
        self.answers.as_ref().is_some_and(|answers| answers.tables.contains_key("countries"))
    }

    /// Rows that can be gone through.
    fn rows(&self) -> usize {
        let table = match (self.view, self.view.group()) {
            (View::Streams, _) => return self.streams().len() + 1,
            (View::Log, _) => return self.log_rows().len(),
            (_, "") => return 1,
            (_, group) => group,
        };
        let flags = self.answers.as_ref().and_then(|answers| answers.tables.get(table));
        flags.and_then(|flags| flags.values().map(Vec::len).max()).unwrap_or(0)
    }

    /// Whether a filter is typed.
    pub(crate) fn is_typing(&self) -> bool {
        self.typed.is_some()
    }

    /// The exchanges that are shown.
    fn log_rows(&self) -> &[LogRow] {
        let rows = self.log_answer.as_ref().and_then(|answer| answer.rows.as_ref().ok());
        rows.map_or(&[], Vec::as_slice)
    }

    /// Takes exchanges. Whoever went down to one stays there while newer ones come; at the first row the
    /// newest is chosen.
    fn take_log(&mut self, mut answer: LogAnswer) {
        let chosen = if self.view == View::Log && self.row > 0 {
            self.log_rows().get(self.row).cloned()
        } else {
            None
        };
        if let Ok(rows) = &mut answer.rows {
            self.log_order.sort(rows);
            let is_same = |row: &LogRow, chosen: &LogRow| {
                (&row.timestamp, &row.client, &row.name, &row.rrtype)
                    == (&chosen.timestamp, &chosen.client, &chosen.name, &chosen.rrtype)
            };
            if let Some(at) = chosen.and_then(|chosen| rows.iter().position(|row| is_same(row, &chosen))) {
                self.row = at;
            }
        }
        self.log_answer = Some(answer);
    }

    /// Does what a key says in the log alone; `None` if it says the same as everywhere.
    fn press_in_log(&mut self, key: KeyPress) -> Option<KeyAction> {
        let row = self.log_rows().get(self.row);
        let device = row
            .map(|row| LogSubject::Device(row.who().to_owned()))
            .filter(|_| row.is_some_and(|row| row.who() != "-"));
        let name = row.filter(|row| row.name != "-").map(|row| LogSubject::Name(row.name.clone()));
        let next = match (key, &self.log.subject) {
            (KeyPress::Letter('s' | 'S'), _) => {
                self.log_order = self.log_order.next();
                self.row = 0;
                // From the newest one on, which is the order of the daemon.
                return Some(KeyAction::Fetch);
            }
            (KeyPress::Enter, LogSubject::Device(_)) | (KeyPress::Letter('n' | 'N'), _) => name,
            (KeyPress::Enter, _) => device,
            (KeyPress::Escape | KeyPress::Backspace, _) => return Some(self.go_back()),
            _ => return None,
        };
        let Some(subject) = next else { return Some(KeyAction::Draw) };
        if subject == self.log.subject {
            return Some(KeyAction::Draw);
        }
        let here = LogPlace { row: self.row, ..core::mem::take(&mut self.log) };
        if self.log_before.len() == PLACES {
            self.log_before.remove(0);
        }
        self.log_before.push(here);
        Some(self.go_to(LogPlace { subject, ..LogPlace::default() }))
    }

    /// To the place before; where there is none, away from the filter.
    fn go_back(&mut self) -> KeyAction {
        match self.log_before.pop() {
            Some(place) => self.go_to(place),
            None if self.log.filter.is_empty() => KeyAction::Draw,
            None => self.go_to(LogPlace::default()),
        }
    }

    fn go_to(&mut self, place: LogPlace) -> KeyAction {
        (self.row, self.log, self.log_answer) = (place.row, place, None);
        KeyAction::Fetch
    }

    /// A key of the filter's line.
    fn type_filter(&mut self, mut typed: String, key: KeyPress) -> KeyAction {
        match key {
            KeyPress::Interrupt => return KeyAction::Quit,
            KeyPress::Escape => return KeyAction::Draw,
            KeyPress::Enter => {
                let filter = typed.trim().to_owned();
                return self.go_to(LogPlace { filter, row: 0, ..self.log.clone() });
            }
            KeyPress::Backspace => {
                typed.pop();
            }
            KeyPress::Letter(letter) if typed.len() < FILTER_LETTERS => typed.push(letter),
            _ => {}
        }
        self.typed = Some(typed);
        KeyAction::Draw
    }

    fn show(&mut self, view: View) -> KeyAction {
        (self.view, self.row) = (view, 0);
        KeyAction::Fetch
    }

    fn show_beside(&mut self, step: isize) -> KeyAction {
        let views = View::ALL.len() - usize::from(!self.has_countries());
        let at = View::ALL.iter().position(|&view| view == self.view).unwrap_or(0);
        View::ALL.get(beside(at, step, views)).map_or(KeyAction::Draw, |&view| self.show(view))
    }

    /// Shows one stream, or all.
    fn choose(&mut self, stream: Option<String>) -> KeyAction {
        if self.stream != stream {
            self.stream = stream;
            self.history.clear();
        }
        KeyAction::Fetch
    }

    fn choose_beside(&mut self, step: isize) -> KeyAction {
        let streams = self.streams();
        let at = self.stream.as_ref().and_then(|chosen| streams.iter().position(|name| name == chosen));
        let place = beside(at.map_or(0, |at| at + 1), step, streams.len() + 1);
        let chosen = place.checked_sub(1).and_then(|place| streams.get(place).cloned());
        self.choose(chosen)
    }

    fn set_interval(&mut self, seconds: u64) {
        self.interval = Duration::from_secs(seconds.clamp(INTERVALS.0, INTERVALS.2));
    }
}

/// The place a step further in a ring.
fn beside(at: usize, step: isize, length: usize) -> usize {
    at.checked_add_signed(step).map_or(length.saturating_sub(1), |next| if next < length { next } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_streams(names: &[&str]) -> ScreenState {
        let mut state = ScreenState::default();
        let streams = names.iter().map(|name| (*name).to_owned()).collect();
        state.take(Ok(ApiAnswers { streams, ..ApiAnswers::default() }));
        state
    }

    #[test]
    fn each_view_has_a_key() {
        let mut state = ScreenState::default();
        for (number, view) in View::ALL.into_iter().enumerate() {
            let digit = char::from_digit(number as u32 + 1, 10).unwrap();
            assert_eq!(state.press(KeyPress::Letter(digit)), KeyAction::Fetch);
            assert_eq!(state.view, view);
        }
        assert_eq!(state.press(KeyPress::Letter('d')), KeyAction::Fetch);
        assert_eq!(state.view, View::Domains);
        state.press(KeyPress::BackTab);
        state.press(KeyPress::Left);
        assert_eq!(state.view, View::Log, "there are no countries");
        state.press(KeyPress::Right);
        assert_eq!(state.view, View::Overview);
        assert_eq!(state.press(KeyPress::Letter('q')), KeyAction::Quit);
    }

    #[test]
    fn streams_are_chosen_in_a_ring_or_from_the_list() {
        let mut state = with_streams(&["a", "b"]);
        let mut chosen = Vec::new();
        for key in ['>', '>', '>', '<', 'a'] {
            assert_eq!(state.press(KeyPress::Letter(key)), KeyAction::Fetch);
            chosen.push(state.stream.clone().unwrap_or_default());
        }
        assert_eq!(chosen, ["a", "b", "", "b", ""]);
        for (keys, expected) in [
            (&[KeyPress::Down, KeyPress::Down, KeyPress::Down, KeyPress::Enter][..], Some("b")),
            (&[KeyPress::Enter], None),
        ] {
            state.press(KeyPress::Letter('6'));
            keys.iter().for_each(|&key| {
                state.press(key);
            });
            assert_eq!((state.stream.as_deref(), state.view), (expected, View::Overview));
        }
    }

    fn with_log(state: &mut ScreenState, names: &[&str]) {
        let row = |name: &&str| LogRow {
            timestamp: format!("2026-01-01T10:00:00.{name}"),
            client: "192.0.2.1".to_owned(),
            device: "tv".to_owned(),
            name: format!("{name}.example."),
            ..LogRow::default()
        };
        let log = LogAnswer { rows: Ok(names.iter().map(row).collect()), pairs: Vec::new() };
        state.take(Ok(ApiAnswers { log: Some(log), ..ApiAnswers::default() }));
    }

    #[test]
    fn from_a_row_to_its_device_to_a_name_and_back() {
        let mut state = ScreenState::default();
        assert_eq!(state.press(KeyPress::Letter('l')), KeyAction::Fetch);
        assert_eq!(
            (state.view, state.press(KeyPress::Enter)),
            (View::Log, KeyAction::Draw),
            "there is no row"
        );
        with_log(&mut state, &["c", "b", "a"]);
        state.press(KeyPress::Down);
        // Newer ones come, and the same one stays chosen.
        with_log(&mut state, &["e", "d", "c", "b", "a"]);
        assert_eq!(state.row, 3);
        assert_eq!(state.press(KeyPress::Enter), KeyAction::Fetch);
        assert_eq!((&state.log.subject, state.row), (&LogSubject::Device("tv".to_owned()), 0));
        with_log(&mut state, &["b"]);
        assert_eq!(state.press(KeyPress::Enter), KeyAction::Fetch);
        assert_eq!(state.log.subject, LogSubject::Name("b.example.".to_owned()));
        with_log(&mut state, &["b"]);
        assert_eq!(state.press(KeyPress::Letter('n')), KeyAction::Draw, "it is there already");
        for subject in [LogSubject::Device("tv".to_owned()), LogSubject::All] {
            assert_eq!(state.press(KeyPress::Escape), KeyAction::Fetch);
            assert_eq!(state.log.subject, subject);
        }
        assert_eq!(state.row, 3, "where it was left");
        assert_eq!(state.press(KeyPress::Escape), KeyAction::Draw);
        with_log(&mut state, &["e", "d", "c", "b", "a"]);
        for _ in 0..2 * PLACES {
            state.press(KeyPress::Letter('n'));
            with_log(&mut state, &["b"]);
            state.press(KeyPress::Enter);
            with_log(&mut state, &["b"]);
        }
        assert_eq!(state.log_before.len(), PLACES);
    }

    #[test]
    fn a_filter_is_typed() {
        let mut state = ScreenState::default();
        let type_in = |state: &mut ScreenState, keys: &str| {
            keys.chars().map(|key| state.press(KeyPress::Letter(key))).last()
        };
        assert_eq!(type_in(&mut state, "/"), Some(KeyAction::Fetch));
        assert_eq!((state.view, state.is_typing()), (View::Log, true));
        assert_eq!(type_in(&mut state, "quit 1"), Some(KeyAction::Draw), "letters are letters");
        state.press(KeyPress::Backspace);
        assert_eq!(state.press(KeyPress::Enter), KeyAction::Fetch);
        assert_eq!((state.log.filter.as_str(), state.is_typing()), ("quit", false));
        type_in(&mut state, "/x");
        assert_eq!(state.press(KeyPress::Escape), KeyAction::Draw);
        assert_eq!(state.log.filter, "quit", "nothing happened");
        assert_eq!(state.press(KeyPress::Escape), KeyAction::Fetch);
        assert_eq!(state.log.filter, "");
        type_in(&mut state, "/");
        type_in(&mut state, &"x".repeat(2 * FILTER_LETTERS));
        assert_eq!(state.typed.as_ref().map(String::len), Some(FILTER_LETTERS));
        assert_eq!(state.press(KeyPress::Interrupt), KeyAction::Quit);
    }

    #[test]
    fn the_wheel_goes_through_rows() {
        let mut state = with_streams(&["a", "b", "c", "d", "e"]);
        state.press(KeyPress::Letter('6'));
        let rows = [KeyPress::WheelDown, KeyPress::WheelDown, KeyPress::WheelUp].map(|key| {
            state.press(key);
            state.row
        });
        assert_eq!(rows, [3, 5, 2]);
    }

    #[test]
    fn trouble_is_remembered_from_its_beginning() {
        let mut state = with_streams(&["a"]);
        state.take(Err("away".to_owned()));
        let since = state.trouble.clone().unwrap().1;
        state.take(Err("still away".to_owned()));
        assert_eq!(state.trouble, Some(("still away".to_owned(), since)));
        assert!(state.answers.is_some(), "what was known stays");
        state.take(Ok(ApiAnswers::default()));
        assert_eq!(state.trouble, None);
    }
}
