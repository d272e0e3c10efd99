//! Output `metrics`: writes one line of counters every some seconds, to standard output or a file that
//! rotates.
//!
//! ```text
//! 2020-10-13 05:19:35,522 18 QUERIES, 3.6 QPS, 1 CLIENTS, 18 INET, 0 INET6, 18 UDP, 0 TCP, 17 DOMAINS
//! ```
//!
//! Its records are its lines, and each stands for the messages that came since the one before: until the line
//! is written they count as queued, and if it is dropped, so are they. The time is UTC. QPS is always of the
//! interval; with `cumulative = false` the others are, too, for which distinct clients and names are counted
//! once more.

use core::cell::RefCell;
use core::fmt::Write;
use core::future::poll_fn;
use core::task::Poll;
use std::time::{Duration, Instant};

use smol::future::{or, pending};

use super::rotating_file::FileSettings;
use super::stdout::StdoutWriter;
use super::{
    FilterSection, Outlet, OutputKind, Plan, PlanContext, RecordKind, ReopenedFile, RunningSink, Sink,
    TaskContext, file,
};
use crate::limits::RECORD_BYTES;
use crate::reactor::Timer;
use crate::section::section;
use crate::statistics::{Statistics, StreamScope};
use crate::time::{Time, write_comma_time};
use crate::values::{FilePath, KeyError, PlanError, Seconds};

section! {
    /// Section `output.metrics`.
    pub struct Section {
        ..enable
        /// Time from line to line.
        interval: Seconds = Seconds::new(300),
        /// Count from the start; else from the last line on.
        cumulative: bool = true,
        /// The live file; unset = stdout.
        file: Option<FilePath> = None,
        ..rotation(size = 10 << 20, count = 10)
        ..output
    }
}

impl OutputKind for Section {
    fn kind(&self) -> &'static str {
        "metrics"
    }

    /// A line counts all messages.
    fn check(&self) -> Result<(), KeyError> {
        if self.filter == FilterSection::default() {
            return Ok(());
        }
        Err(KeyError::new(
            "filter",
            "the lines count all messages; allowed: none here, section `filter` for all",
        ))
    }

    fn plan(&self, context: &PlanContext<'_>) -> Result<Plan, PlanError> {
        let (target, writer): (_, Box<dyn Sink>) = match &self.file {
            Some(path) => {
                let settings = FileSettings {
                    path: path.to_path_buf(),
                    max_size: self.file_max_size.get(),
                    count: self.file_count.get(),
                    is_capture: false,
                    is_log: false,
                    batch: RECORD_BYTES,
                };
                (path.display().to_string(), Box::new(file::open(settings, context)?))
            }
            None => ("stdout".to_owned(), Box::new(StdoutWriter::open()?)),
        };
        let interval = self.interval.duration();
        Ok(Plan::new(
            self,
            format!("every {} s to {target}", interval.as_secs()),
            RecordKind::SelfMade,
            Box::new(MetricsSink { writer, interval, cumulative: self.cumulative }),
        ))
    }
}

/// Makes the lines, and lets another sink write them.
struct MetricsSink {
    writer: Box<dyn Sink>,
    interval: Duration,
    cumulative: bool,
}

impl Sink for MetricsSink {
    fn cost(&self) -> usize {
        self.writer.cost() + if self.cumulative { 0 } else { Statistics::INTERVAL_COST }
    }

    fn file(&self) -> Option<ReopenedFile> {
        self.writer.file()
    }

    fn run(self: Box<Self>, context: &'static TaskContext, outlet: &'static Outlet) -> RunningSink {
        let lines = write_lines(outlet, context.statistics, self.interval, self.cumulative);
        let written = self.writer.run(context, outlet);
        Box::pin(or(lines, async move {
            written.await;
            // Where nobody reads any more, lines are dropped, and counted, to the end.
            outlet.ended().await;
        }))
    }
}

/// Makes a line at the end of each interval, and one at a stop if messages came since the last.
async fn write_lines(
    outlet: &Outlet,
    statistics: &RefCell<Statistics>,
    interval: Duration,
    cumulative: bool,
) {
    if !cumulative {
        statistics.borrow_mut().count_intervals();
    }
    let mut last = LineCounts::default();
    let mut begun = Instant::now();
    let mut next = begun + interval;
    // The writer waits in the same task, and is woken at a stop; this is polled before it each time, so the
    // last line is in the queue when the writer looks for the end.
    let mut stop = poll_fn(|_| if outlet.is_stopping() { Poll::Ready(()) } else { Poll::Pending });
    loop {
        let tick = async {
            Timer::at(next).await;
            next += interval;
            false
        };
        let is_last = or(tick, async {
            (&mut stop).await;
            true
        });
        let is_last = is_last.await;
        if !is_last || outlet.has_uncounted() {
            let counts = LineCounts::now(&statistics.borrow());
            let since = counts.since(&last);
            let shown = if cumulative {
                counts.clone()
            } else {
                let (clients, domains) = statistics.borrow_mut().take_interval().unwrap_or_default();
                LineCounts { clients, domains, ..since }
            };
            let length = begun.elapsed();
            begun = Instant::now();
            last = counts;
            if let Ok(line) = shown.line(Time::now(), tenths_a_second(since.queries, length)) {
                outlet.offer_line(&[line.as_bytes(), b"\n"]);
            }
        }
        if is_last {
            return pending().await;
        }
    }
}

/// Tenths a second, rounded.
fn tenths_a_second(queries: u64, length: Duration) -> u64 {
    let milliseconds = length.as_millis().max(1);
    let tenths = (u128::from(queries) * 10_000 + milliseconds / 2) / milliseconds;
    u64::try_from(tenths).unwrap_or(u64::MAX)
}

/// The content of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct LineCounts {
    queries: u64,
    clients: u64,
    inet: u64,
    inet6: u64,
    udp: u64,
    tcp: u64,
    domains: u64,
}

/// A line without its end.
type MetricsLine = heapless::String<256>;

impl LineCounts {
    /// Since start or reset.
    fn now(statistics: &Statistics) -> Self {
        let of = |name| statistics.counter(StreamScope::Global, name);
        LineCounts {
            queries: of("query"),
            clients: of("clients"),
            inet: of("query/inet"),
            inet6: of("query/inet6"),
            udp: of("query/udp"),
            tcp: of("query/tcp"),
            domains: of("domains"),
        }
    }

    /// The increase since `last`, which is more than the counters say when they were reset in the meantime.
    fn since(&self, last: &LineCounts) -> Self {
        let reset = self.queries < last.queries;
        let more = |now: u64, last: u64| if reset { now } else { now.saturating_sub(last) };
        LineCounts {
            queries: more(self.queries, last.queries),
            clients: self.clients,
            inet: more(self.inet, last.inet),
            inet6: more(self.inet6, last.inet6),
            udp: more(self.udp, last.udp),
            tcp: more(self.tcp, last.tcp),
            domains: self.domains,
        }
    }

    fn line(&self, time: Time, tenths: u64) -> Result<MetricsLine, core::fmt::Error> {
        let LineCounts { queries, clients, inet, inet6, udp, tcp, domains } = self;
        let mut line = MetricsLine::new();
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
        let counts = LineCounts { queries: 18, clients: 1, inet: 18, inet6: 0, udp: 18, tcp: 0, domains: 17 };
        let time = Time::new(1_602_566_375, 522_999_999).unwrap();
        assert_eq!(
            counts.line(time, tenths_a_second(18, Duration::from_secs(5))).unwrap(),
            "2020-10-13 05:19:35,522 18 QUERIES, 3.6 QPS, 1 CLIENTS, 18 INET, 0 INET6, 18 UDP, 0 TCP, 17 DOMAINS"
        );
        let largest = LineCounts {
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
        let of = |queries, inet| LineCounts { queries, inet, ..LineCounts::default() };
        assert_eq!(of(7, 6).since(&of(5, 5)), of(2, 1));
        assert_eq!(of(3, 3).since(&of(5, 1)), of(3, 3));
    }
}
