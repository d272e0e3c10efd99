//! `/live`: exchanges as they end, for readers that stay.
//!
//! ```text
//! worker: request, credentials, head of the answer ---> place: events, until either side ends
//!                                                        ^
//!                             log of exchanges, in the order in which they were over
//! ```
//!
//! A place has a task and [`HTTP_LIVE_BYTES`] from the start: the query of its reader at one end, and the
//! events that are about to be sent in what that leaves. Nothing is queued for a reader. It has a number, how
//! far it came in the log, and looks twice a second how far that went on; what had to go meanwhile it is told
//! as a gap. So nothing on the way of a message knows of readers, and one that stands still holds up nobody.
//!
//! The server-sent events are those of the HTML standard, 9.2.6. A cursor is three numbers: the place in the
//! log, which `/log` takes as `before`; how many exchanges were over; and which run of the daemon counted
//! them.

use core::cell::Cell;
use core::fmt::{self, Write};
use core::future::poll_fn;
use std::io;
use std::time::{Duration, Instant};

use event_listener::{Event as Notice, listener};
use smol::future::{or, yield_now};

use super::App;
use super::body_chunk::BodyChunk;
use super::documents::log::write_json;
use super::documents::log_filter::FilterTexts;
use super::error::HttpError;
use super::query::Parameters;
use super::stream::MaybeTls;
use crate::history::log::{Log, LogRecord};
use crate::limits::{HTTP_LIVE_BYTES, HTTP_LIVE_QUERY_BYTES, table};
use crate::reactor::Timer;
use crate::time::Time;

/// Bytes that a place costs.
pub(super) const PLACE_COST: usize = HTTP_LIVE_BYTES + size_of::<LivePlace>() + FUTURE_BYTES;

/// Bytes of a place's task at most.
const FUTURE_BYTES: usize = 2 << 10;

/// Exchanges looked at before other work has its turn.
const STEP_RECORDS: u32 = 256;
/// How long a reader waits for the next ones.
const WAIT: Duration = Duration::from_millis(500);
/// How long when there were many: what is over is remembered for so many only.
const BUSY_WAIT: Duration = Duration::from_millis(20);
/// The longest silence.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The places of readers.
pub(super) struct LiveDesk(Box<[LivePlace]>);

/// The place of one reader.
struct LivePlace {
    state: Cell<PlaceState>,
    bytes: Cell<Box<[u8]>>,
    reader: Cell<LiveReader>,
    guest: Cell<Option<MaybeTls>>,
    arrived: Notice,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PlaceState {
    Free,
    /// For the request that a worker is about to answer.
    Kept(usize),
    Taken,
}

/// How far a reader came.
#[derive(Clone, Copy, Default)]
struct LiveReader {
    /// Bytes of its query, at the beginning of the place's.
    query: usize,
    /// Milliseconds since 1970 when it asked, for times before that.
    asked: i64,
    /// The number of the exchange that comes next.
    next: u64,
    /// Exchanges it was not told of, and does not know it yet.
    missed: u64,
}

impl LiveDesk {
    /// That many places, all of them free.
    pub(super) fn new(places: usize) -> Self {
        let place = |_| LivePlace {
            state: Cell::new(PlaceState::Free),
            bytes: Cell::new(table(HTTP_LIVE_BYTES, 0)),
            reader: Cell::default(),
            guest: Cell::new(None),
            arrived: Notice::new(),
        };
        LiveDesk((0..places).map(place).collect())
    }

    /// Keeps a place for the request that a worker answers, with its query and the cursor that it goes on
    /// from.
    ///
    /// # Errors
    ///
    /// A parameter is not understood, nothing is remembered, or all places are taken.
    pub(super) fn keep(
        &self,
        worker: usize,
        app: App<'_>,
        query: &str,
        cursor: Option<&str>,
    ) -> Result<(), HttpError> {
        let history = app.history().ok_or(HttpError::History)?.borrow();
        let log = history.log().ok_or(HttpError::History)?;
        let place = self.0.iter().find(|place| place.state.get() == PlaceState::Free);
        let place = place.ok_or(HttpError::LiveFull)?;
        let mut bytes = place.bytes.take();
        if let Some(room) = bytes.get_mut(..query.len()) {
            room.copy_from_slice(query.as_bytes());
        }
        place.bytes.set(bytes);
        let next = cursor.map_or(log.over(), |cursor| resumed(log, cursor));
        place.reader.set(LiveReader { query: query.len(), asked: now(), next, missed: 0 });
        place.state.set(PlaceState::Kept(worker));
        Ok(())
    }

    /// Moves the connection that a worker has answered to the place that was kept for it.
    pub(super) fn begin(&self, worker: usize, stream: MaybeTls) {
        if let Some(place) = self.kept(worker) {
            place.state.set(PlaceState::Taken);
            place.guest.set(Some(stream));
            place.arrived.notify(usize::MAX);
        }
    }

    /// Gives up the place that is kept for a worker, if there is one.
    pub(super) fn give_up(&self, worker: usize) {
        if let Some(place) = self.kept(worker) {
            place.state.set(PlaceState::Free);
        }
    }

    fn kept(&self, worker: usize) -> Option<&LivePlace> {
        self.0.iter().find(|place| place.state.get() == PlaceState::Kept(worker))
    }

    /// Places.
    pub(super) fn places(&self) -> usize {
        self.0.len()
    }

    /// Serves one reader after the other at a place, until a stop is asked for.
    pub(super) async fn attend(&self, place: usize, app: App<'_>) {
        let Some(place) = self.0.get(place) else { return };
        or(place.attend(app), app.stop.asked()).await;
    }
}

impl LivePlace {
    async fn attend(&self, app: App<'_>) {
        loop {
            listener!(self.arrived => arrived);
            let Some(stream) = self.guest.take() else {
                arrived.await;
                continue;
            };
            let mut bytes = self.bytes.take();
            let mut reader = self.reader.get();
            // However it ended, the next reader is served.
            let _ = serve(&stream, &mut reader, &mut bytes, app).await;
            self.bytes.set(bytes);
            self.state.set(PlaceState::Free);
        }
    }
}

/// Sends events until the reader goes or takes nothing any more.
async fn serve(stream: &MaybeTls, reader: &mut LiveReader, bytes: &mut [u8], app: App<'_>) -> io::Result<()> {
    stream.give_up_after(PATIENCE);
    let (query, room) = bytes.split_at_mut_checked(reader.query).ok_or(io::ErrorKind::InvalidInput)?;
    let query = core::str::from_utf8(query).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut spoken = Instant::now();
    loop {
        let before = reader.next;
        let (length, has_more) = reader.fill(app, query, room);
        let is_busy = reader.next.saturating_sub(before) >= u64::from(STEP_RECORDS);
        if length > 0 {
            send(stream, room.get(..length).unwrap_or_default()).await?;
            spoken = Instant::now();
        } else if spoken.elapsed() >= SILENCE {
            send(stream, b":\n\n").await?;
            spoken = Instant::now();
        }
        if has_more {
            yield_now().await;
            continue;
        }
        let wait = if is_busy { BUSY_WAIT } else { WAIT };
        let rested = async {
            Timer::after(wait).await;
            Ok(())
        };
        or(gone(stream), rested).await?;
    }
}

impl LiveReader {
    /// Writes the events of exchanges that were over since, as many as there is room for; tells how many
    /// bytes, and whether there are more.
    fn fill(&mut self, app: App<'_>, query: &str, room: &mut [u8]) -> (usize, bool) {
        let Some(history) = app.history().map(|history| history.borrow()) else { return (0, false) };
        let Some(log) = history.log() else { return (0, false) };
        let parameters = Parameters(query);
        let Ok(texts) = FilterTexts::read(parameters) else { return (0, false) };
        let Ok(filter) = texts.filter(parameters, self.asked) else { return (0, false) };
        let mut chunk = BodyChunk::new(room);
        let oldest = log.over_oldest();
        self.missed += oldest.saturating_sub(self.next.max(log.over_first()));
        self.next = self.next.max(oldest);
        for _ in 0..STEP_RECORDS {
            if self.next >= log.over() {
                return (self.end(&mut chunk), false);
            }
            match log.over_at(self.next) {
                None => self.missed += 1,
                Some(record)
                    if filter.wants(&record) && texts.wants_client(Some(&history), record.client) =>
                {
                    if self.write_gap(&mut chunk).is_err() {
                        return (chunk.used(), true);
                    }
                    let number = self.next + 1;
                    let event = |out: &mut BodyChunk<'_>| {
                        out.write_str("event: record\nid: ")?;
                        write_cursor(out, log, &record, number)?;
                        out.write_str("\ndata: ")?;
                        write_json(out, &history, &record)?;
                        out.write_str("\n\n")
                    };
                    if chunk.whole(event).is_err() {
                        if chunk.used() > 0 {
                            return (chunk.used(), true);
                        }
                        // Beside such a query a place has no room for such a record.
                        self.missed += 1;
                    }
                }
                Some(_) => {}
            }
            self.next += 1;
        }
        (self.end(&mut chunk), true)
    }

    /// Tells of a gap, if there is one, and ends the chunk.
    fn end(&mut self, chunk: &mut BodyChunk<'_>) -> usize {
        // Where there is no room for it, the next chunk begins with it.
        let _ = self.write_gap(chunk);
        chunk.used()
    }

    fn write_gap(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        if self.missed > 0 {
            let missed = self.missed;
            chunk.whole(|out| write!(out, "event: gap\ndata: {{\"missed\": {missed}}}\n\n"))?;
            self.missed = 0;
        }
        Ok(())
    }
}

fn write_cursor(out: &mut impl Write, log: &Log, record: &LogRecord<'_>, number: u64) -> fmt::Result {
    write!(out, "{:x}-{number:x}-{:x}", record.position.to_number(), log.run())
}

/// The number of the exchange that follows a cursor. After one of another run, or one that says nothing, that
/// is the oldest one.
fn resumed(log: &Log, cursor: &str) -> u64 {
    let mut numbers = cursor.split('-').map(|number| u64::from_str_radix(number, 16).ok());
    let (number, run) = (numbers.nth(1).flatten(), numbers.next().flatten());
    let known = number.filter(|number| run == Some(u64::from(log.run())) && *number <= log.over());
    known.unwrap_or_else(|| log.over_oldest())
}

/// Sends everything, if the reader takes something of it in time again and again.
async fn send(stream: &MaybeTls, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let taken = in_time(poll_fn(|context| stream.poll_write(context, [bytes, &[]]))).await?;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(taken..).unwrap_or_default();
    }
    in_time(poll_fn(|context| stream.poll_flush(context))).await
}

async fn in_time<T>(done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    or(done, async {
        Timer::after(PATIENCE).await;
        Err(io::ErrorKind::TimedOut.into())
    })
    .await
}

/// Waits until the reader closes; reads past what it says.
async fn gone(stream: &MaybeTls) -> io::Result<()> {
    let mut room = [0; 64];
    loop {
        match poll_fn(|context| stream.poll_read(context, &mut room)).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => yield_now().await,
        }
    }
}

/// Whether a query has room in a place.
///
/// # Errors
///
/// It is too long, or not understood.
pub(super) fn check(parameters: Parameters<'_>) -> Result<(), HttpError> {
    if parameters.0.len() > HTTP_LIVE_QUERY_BYTES {
        return Err(HttpError::Parameter);
    }
    FilterTexts::read(parameters)?.filter(parameters, now())?;
    Ok(())
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let now = Time::now();
    (now.seconds * 1_000) as i64 + i64::from(now.nanoseconds / 1_000_000)
}

const _: () = assert!(HTTP_LIVE_QUERY_BYTES < HTTP_LIVE_BYTES);
