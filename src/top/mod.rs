//! `dnstapd top`: a live screen of a running daemon.
//!
//! ```text
//! request --- answers ---> ScreenState --- views ---> lines --- paper ---> terminal
//!                            ^
//! terminal --- keys ---------+
//! ```
//!
//! A client of the web API like any other: it runs on any machine that reaches the daemon, over ssh as well,
//! and needs no terminfo database, for it uses only sequences that every terminal knows. What the daemon
//! sends is bounded and printed as letters and nothing else. Promised: whatever happens, the terminal is as
//! before when the program ends. Without a terminal it prints everything once, as plain text.
//!
//! It is another process than the daemon, so none of the daemon's rules for the way of a message hold: it
//! allocates.

pub mod answers;
pub mod json;
pub mod keys;
mod log;
mod log_view;
mod numbers;
mod request;
mod state;
mod target;
mod text;
mod views;
mod widgets;

use std::io::{self, IsTerminal, Write};

use smol::future::{FutureExt, or, pending};

use crate::reactor::{Timer, block_on};
use crate::sys::signals::{AsyncSignals, Request, Signals};
use crate::sys::terminal::Terminal;
use crate::values::encoding::percent_encoded;
use answers::{ApiAnswers, Metrics};
use keys::{KeyDecoder, KeyPress};
use log::LogAnswer;
use request::ApiClient;
use state::{KeyAction, ScreenState, View};
use target::DaemonTarget;
pub use target::{LocalCredentials, LocalDaemon, TopOptions};
use text::{TerminalStyle, screen};

/// Whether this build has it.
pub(crate) const BUILT: bool = cfg!(feature = "top");

/// Rows asked for in each table, on a screen of any height.
const ROWS: usize = 100;

/// Rounds after which `/metrics` is asked for in a view that does without, to see drops.
const METRICS_EVERY: u32 = 5;

/// The part of `/metrics` that is asked for: the families that are shown, and some that begin like them.
const METRICS: &str = "/metrics?only=dnstapd_,process_,dnstap_qps,dnstap_rps,dnstap_queries,dnstap_responses,dnstap_clients,dnstap_domains,dnstap_last_";

/// Columns of what is printed once, and rows of each part.
const PRINTED: (usize, usize) = (100, 24);

/// Shows the screen until somebody quits; without a terminal on standard output prints everything once.
/// `configured` has address and credentials of this machine's configuration.
///
/// # Errors
///
/// Why there is nothing to show, and the exit status: 2 when the words are wrong, else 1.
pub fn run(
    options: &TopOptions,
    configured: impl FnOnce() -> Option<LocalDaemon>,
) -> Result<(), (String, u8)> {
    if !BUILT {
        return Err(("top needs the cargo feature `top`, which this build is without".to_owned(), 2));
    }
    let variable = |name: &str| std::env::var(name).ok();
    let target = DaemonTarget::new(options, variable, configured).map_err(|why| (why, 2))?;
    if let Some(path) = &options.get {
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(("--get: no path, such as /counters?more=query/a".to_owned(), 2));
        }
        return block_on(print_answer(&target, path)).map_err(|why| (why, 1));
    }
    if !io::stdout().is_terminal() {
        return block_on(print(&target)).map_err(|why| (why, 1));
    }
    let fault = |error: io::Error| (format!("terminal: {error}"), 1);
    let signals = Signals::block_for_screen().map_err(fault)?;
    let terminal = Terminal::take().map_err(fault)?;
    let shown = block_on(async { show(&target, &terminal, signals.into_async()?).await });
    drop(terminal);
    shown.map_err(fault)
}

/// The cause of a wake-up.
enum Wakeup {
    Keys(usize),
    Signal(Request),
    Answers(Box<Result<ApiAnswers, String>>),
}

async fn show(target: &DaemonTarget, terminal: &Terminal, signals: AsyncSignals) -> io::Result<()> {
    let look = look(|name| std::env::var(name).ok());
    let (mut state, mut keys, mut bytes) = (ScreenState::default(), KeyDecoder::default(), [0; 64]);
    let mut rounds = 0;
    let mut round = fetch(target, &state, &mut rounds).boxed_local();
    loop {
        let size = terminal.size();
        let lines = views::draw(&state, &target.shown, size, look);
        terminal.write(screen(&lines, size, look).as_bytes()).await?;
        let typed = async { terminal.read(&mut bytes).await.map(Wakeup::Keys) };
        let signalled = async { signals.next().await.map(Wakeup::Signal) };
        let answered = async { Ok(Wakeup::Answers(Box::new((&mut round).await))) };
        match or(or(typed, signalled), answered).await? {
            Wakeup::Keys(0) | Wakeup::Signal(Request::Stop | Request::Reload) => return Ok(()),
            Wakeup::Keys(length) => {
                let mut pressed = heapless::Vec::<KeyPress, 64>::new();
                // As many as were read at most.
                keys.feed(bytes.get(..length).unwrap_or_default(), |key| pressed.extend([key]));
                for key in pressed {
                    match state.press(key) {
                        KeyAction::Quit => return Ok(()),
                        KeyAction::Fetch => round = fetch(target, &state, &mut rounds).boxed_local(),
                        KeyAction::Wait => round = pending().boxed_local(),
                        KeyAction::Draw => {}
                    }
                }
            }
            Wakeup::Signal(Request::Resize) => {}
            Wakeup::Answers(answers) => {
                state.take(*answers);
                if state.paused {
                    round = pending().boxed_local();
                    continue;
                }
                let (pause, next) = (state.interval, fetch(target, &state, &mut rounds));
                round = async move {
                    Timer::after(pause).await;
                    next.await
                }
                .boxed_local();
            }
        }
    }
}

/// The abilities of a terminal: colours unless `NO_COLOR` is set, more than ASCII when the locale says UTF-8.
fn look(environment: impl Fn(&str) -> Option<String>) -> TerminalStyle {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| environment(name).filter(|text| !text.is_empty()));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    TerminalStyle {
        styles: true,
        colours: environment("NO_COLOR").is_none_or(|text| text.is_empty()),
        unicode: locale.contains("utf-8") || locale.contains("utf8"),
    }
}

/// One round of requests for what is shown. It depends on the state as it is now only.
fn fetch<'t>(
    target: &'t DaemonTarget,
    state: &ScreenState,
    rounds: &mut u32,
) -> impl Future<Output = Result<ApiAnswers, String>> + use<'t> {
    let stream = state.stream.clone();
    let metrics = state.view.wants_metrics() || rounds.is_multiple_of(METRICS_EVERY);
    let log = (state.view == View::Log).then(|| LogRequest::of(state));
    *rounds = rounds.wrapping_add(1);
    async move { ask(target, stream.as_deref(), metrics, log).await }
}

/// The paths that ask for the log.
struct LogRequest {
    log: String,
    pairs: Option<String>,
}

impl LogRequest {
    fn of(state: &ScreenState) -> Self {
        LogRequest {
            log: log::log_path(&state.log, state.stream.as_deref(), ROWS),
            pairs: log::pairs_path(&state.log.subject, log_view::PAIRS),
        }
    }

    async fn ask(self, connection: &mut ApiClient<'_>) -> Result<LogAnswer, String> {
        let rows = match connection.get_or_reason(&self.log).await? {
            Some(body) => log::rows(&body),
            None => Err("the daemon remembers nothing: its history is off".to_owned()),
        };
        let pairs = match self.pairs.filter(|_| rows.is_ok()) {
            Some(path) => connection.get_or_reason(&path).await?.map_or(Vec::new(), |body| log::pairs(&body)),
            None => Vec::new(),
        };
        Ok(LogAnswer { rows, pairs })
    }
}

async fn ask(
    target: &DaemonTarget,
    stream: Option<&str>,
    metrics: bool,
    log: Option<LogRequest>,
) -> Result<ApiAnswers, String> {
    let mut connection = ApiClient::open(target).await?;
    let of = stream.map(|stream| format!("&stream={}", percent_encoded(stream))).unwrap_or_default();
    let names = views::LATENCY.iter().chain(&views::TRANSPORT).map(|&(counter, _)| counter);
    let more: Vec<&str> = [
        "query",
        "response",
        "query/bytes",
        "response/bytes",
        "clients",
        "domains",
        "qps",
        "rps",
        "qps-1m",
        "qps-5m",
    ]
    .into_iter()
    .chain(names)
    .chain(views::PERCENTILES.map(|(counter, _)| counter))
    .collect();
    let counters = connection.get(&format!("/counters?more={}{of}", more.join(","))).await?;
    let tables = connection.get_if_built(&format!("/tables?n={ROWS}{of}")).await?;
    let streams = connection.get("/streams").await?;
    let metrics = if metrics { Some(Metrics::parse(&connection.get(METRICS).await?)) } else { None };
    let log = match log {
        Some(request) => Some(request.ask(&mut connection).await?),
        None => None,
    };
    Ok(ApiAnswers {
        counters: answers::counters(&counters)?,
        not_kept: tables.as_deref().and_then(answers::not_kept),
        tables: tables.map_or(Ok(Default::default()), |body| answers::tables(&body))?,
        streams: answers::streams(&streams)?,
        metrics,
        log,
    })
}

/// Prints what is at a path, be it a complaint.
async fn print_answer(target: &DaemonTarget, path: &str) -> Result<(), String> {
    let asked = async { ApiClient::open(target).await?.get_anything(path).await }.await;
    let (status, body) = asked.map_err(|why| format!("{}: {why}", target.shown))?;
    to_stdout(&body)?;
    if !body.ends_with(b"\n") {
        to_stdout(b"\n")?;
    }
    if (200..300).contains(&status) {
        Ok(())
    } else {
        Err(format!("{}: the answer is {status}", target.shown))
    }
}

/// Writes it all; who does not read on is no fault.
fn to_stdout(bytes: &[u8]) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

/// Prints all views once.
async fn print(target: &DaemonTarget) -> Result<(), String> {
    let mut state = ScreenState::default();
    let log = LogRequest::of(&state);
    state.take(ask(target, None, true, Some(log)).await);
    if let Some((why, _)) = &state.trouble {
        return Err(format!("{}: {why}", target.shown));
    }
    let look = TerminalStyle { styles: false, colours: false, unicode: false };
    let (width, height) = PRINTED;
    let mut out = format!("dnstapd at {}\n", target.shown);
    for view in View::ALL.into_iter().filter(|&view| view != View::Countries || state.has_countries()) {
        out.push_str(&format!("\n== {} ==\n", view.name()));
        let mut shown = ScreenState { view, ..ScreenState::default() };
        (shown.answers, shown.metrics) = (state.answers.clone(), state.metrics.clone());
        shown.log_answer = state.log_answer.clone();
        shown.row = if matches!(view, View::Streams | View::Log) { usize::MAX } else { 0 };
        for line in views::view(&shown, view, widgets::PanelSize { width, height, look }) {
            line.write(usize::MAX, look, &mut out);
            out.push('\n');
        }
    }
    to_stdout(out.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_what_can_be_shown() {
        let unicode = |variables: &'static [(&str, &str)]| {
            look(|name| Some(variables.iter().find(|row| row.0 == name)?.1.to_owned())).unicode
        };
        assert!(unicode(&[("LANG", "de_CH.UTF-8")]) && unicode(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!unicode(&[]) && !unicode(&[("LC_ALL", "C"), ("LANG", "de_CH.UTF-8")]));
    }
}
