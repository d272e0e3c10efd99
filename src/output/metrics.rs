//! Output `metrics`: writes one line of counters every some seconds, to standard output or a file that rotates.
//!
//! ```text
//! 2020-10-13 05:19:35,522 18 QUERIES, 3.6 QPS, 1 CLIENTS, 18 INET, 0 INET6, 18 UDP, 0 TCP, 17 DOMAINS
//! ```
//!
//! It takes no messages: its records are its lines, and they are accounted for as those of the other outputs are. The time
//! is UTC. QPS is always of the interval; with `cumulative = false` the others are, too, for which distinct clients and
//! names are counted once more.

use core::cell::RefCell;
use core::fmt::Write;
use std::io;
use std::time::{Duration, Instant};

use async_io::Timer;
use smol::future::or;
use smol::stream::StreamExt;

use super::file::{self, FileCount};
use super::{Outlet, OutletTask, Plan, QueueSettings, RecordKind, stdout};
use crate::limits::{QUEUE, QueueSize, RECORD_BYTES};
use crate::statistics::{Statistics, StreamScope};
use crate::time::{Time, write_comma_time};
use crate::values::{ByteSize, FilePath, Seconds, WhenFull};
use serde::Deserialize;

/// Section `output.metrics`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub enable: bool,
    /// Time from line to line.
    pub interval: Seconds,
    /// Count from the start; else from the last line on.
    pub cumulative: bool,
    /// The live file; unset = stdout.
    pub file: Option<FilePath>,
    /// Rotate before the live file reaches this size; 0 = never.
    pub file_max_size: ByteSize,
    /// Rotated files kept beside the live one; 0 = never rotate.
    pub file_count: FileCount,
    /// Bytes kept while the reader or the disk is slow.
    pub queue: QueueSize,
    /// What happens when they are used up.
    pub when_full: WhenFull,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: false,
            interval: Seconds::new(300),
            cumulative: true,
            file: None,
            file_max_size: ByteSize::new(10 << 20),
            file_count: FileCount::new(10),
            queue: QUEUE,
            when_full: WhenFull::Drop,
        }
    }
}

/// Name of the output in metrics and log.
pub const NAME: &str = "metrics";

/// The output of a section, open.
///
/// # Errors
///
/// When the file cannot be opened for writing, or standard output is closed.
pub fn plan(section: &Section) -> io::Result<Plan> {
    let (what, writer, room): (_, OutletTask, _) = match &section.file {
        Some(path) => {
            let live = file::open(path, (section.file_max_size, section.file_count), false, RECORD_BYTES)?;
            (path.display().to_string(), file::task(live), RECORD_BYTES)
        }
        None => {
            let target = stdout::StdoutWriter::open()?;
            let run: OutletTask =
                Box::new(|context, output| Box::pin(stdout::run(output, &context.outputs, target)));
            ("stdout".to_owned(), run, 0)
        }
    };
    let (interval, cumulative) = (section.interval.duration(), section.cumulative);
    Ok(Plan {
        name: NAME,
        what: format!("every {} s to {what}", interval.as_secs()),
        kind: RecordKind::SelfMade,
        queue: QueueSettings { bytes: section.queue.in_memory(), when_full: section.when_full },
        buffers: room + if cumulative { 0 } else { Statistics::INTERVAL_COST },
        task: Box::new(move |context, output| {
            let lines = tell(output, context.statistics, interval, cumulative);
            Box::pin(or(lines, async move {
                writer(context, output).await;
                // Where nobody reads any more, lines are lost, and counted, to the end.
                output.ended().await;
            }))
        }),
    })
}

/// Makes a line at the end of each interval.
async fn tell(output: &Outlet, statistics: &RefCell<Statistics>, interval: Duration, cumulative: bool) {
    if !cumulative {
        statistics.borrow_mut().count_intervals();
    }
    let mut last = Counts::default();
    let mut begun = Instant::now();
    let mut ticks = Timer::interval(interval);
    while ticks.next().await.is_some() {
        let counts = Counts::now(&statistics.borrow());
        let since = counts.since(&last);
        let shown = if cumulative {
            counts.clone()
        } else {
            let (clients, domains) = statistics.borrow_mut().take_interval().unwrap_or_default();
            Counts { clients, domains, ..since }
        };
        let length = begun.elapsed();
        begun = Instant::now();
        last = counts;
        if let Ok(line) = shown.line(Time::now(), tenths_a_second(since.queries, length)) {
            output.offer(Ok(&[line.as_bytes(), b"\n"]));
        }
    }
}

/// Tenths a second, rounded.
fn tenths_a_second(queries: u64, length: Duration) -> u64 {
    let milliseconds = length.as_millis().max(1);
    let tenths = (u128::from(queries) * 10_000 + milliseconds / 2) / milliseconds;
    u64::try_from(tenths).unwrap_or(u64::MAX)
}

/// What a line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counts {
    queries: u64,
    clients: u64,
    inet: u64,
    inet6: u64,
    udp: u64,
    tcp: u64,
    domains: u64,
}

/// A line without its end.
type Line = heapless::String<256>;

impl Counts {
    /// Since start or reset.
    fn now(statistics: &Statistics) -> Self {
        let of = |name| statistics.counter(StreamScope::Global, name);
        Counts {
            queries: of("query"),
            clients: of("clients"),
            inet: of("query/inet"),
            inet6: of("query/inet6"),
            udp: of("query/udp"),
            tcp: of("query/tcp"),
            domains: of("domains"),
        }
    }

    /// What came since `last`, which is more than the counters say when they were reset meanwhile.
    fn since(&self, last: &Counts) -> Self {
        let reset = self.queries < last.queries;
        let more = |now: u64, last: u64| if reset { now } else { now.saturating_sub(last) };
        Counts {
            queries: more(self.queries, last.queries),
            clients: self.clients,
            inet: more(self.inet, last.inet),
            inet6: more(self.inet6, last.inet6),
            udp: more(self.udp, last.udp),
            tcp: more(self.tcp, last.tcp),
            domains: self.domains,
        }
    }

    fn line(&self, time: Time, tenths: u64) -> Result<Line, core::fmt::Error> {
        let Counts { queries, clients, inet, inet6, udp, tcp, domains } = self;
        let mut line = Line::new();
        write_comma_time(&mut line, time)?;
        write!(
            line,
            " {queries} QUERIES, {}.{} QPS, {clients} CLIENTS, {inet} INET, {inet6} INET6, {udp} UDP, {tcp} TCP, \
             {domains} DOMAINS",
            tenths / 10,
            tenths % 10
        )?;
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_that_of_the_readme() {
        let counts = Counts { queries: 18, clients: 1, inet: 18, inet6: 0, udp: 18, tcp: 0, domains: 17 };
        let time = Time::new(1_602_566_375, 522_999_999).unwrap();
        assert_eq!(
            counts.line(time, tenths_a_second(18, Duration::from_secs(5))).unwrap(),
            "2020-10-13 05:19:35,522 18 QUERIES, 3.6 QPS, 1 CLIENTS, 18 INET, 0 INET6, 18 UDP, 0 TCP, 17 DOMAINS"
        );
        let largest = Counts {
            queries: u64::MAX,
            clients: u64::MAX,
            inet: u64::MAX,
            inet6: u64::MAX,
            udp: u64::MAX,
            tcp: u64::MAX,
            domains: u64::MAX,
        };
        assert!(largest.line(time, u64::MAX).is_ok());
    }

    #[test]
    fn a_reset_starts_over() {
        let of = |queries, inet| Counts { queries, inet, ..Counts::default() };
        assert_eq!(of(7, 6).since(&of(5, 5)), of(2, 1));
        assert_eq!(of(3, 3).since(&of(5, 1)), of(3, 3));
    }
}
