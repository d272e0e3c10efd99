//! One Frame Streams connection, over any stream of bytes.
//!
//! All connections read into one buffer, because one thread reads: a thousand idle connections cost nothing,
//! and a thousand busy ones read at full speed. What a read leaves unfinished stays with its connection: up
//! to [`TAIL_BYTES`](limits::TAIL_BYTES) inline, a longer rest in one of the `LargeBuffers`. A connection
//! that may have none reads no further than what it can keep inline, and waits.
//!
//! ```text
//! buffer   | partial of the last read | bytes read now                            |
//!          | frame | frame | frame | frame | unfinished -> partial: short, or long |
//! ```
//!
//! When an output that is owed a turn has no room, the frames not yet taken stay in the buffer, and the
//! connection keeps it until there is room: nobody else could do better in the meantime.
//!
//! After every read the task yields, as the executor has no fairness of its own, or pauses where little came
//! (`gather`).

mod connection;

use core::cell::{Cell, RefCell};
use core::fmt::Display;
use std::io;

use defmt_or_log::{debug, warn};
use smol::io::{AsyncRead, AsyncWrite};

use super::connections::{ConnectionLease, ConnectionTable};
use super::counters::{InputCounters, RefuseReason, Rejection};
use super::gather::Gather;
use super::large_buffers::LargeBuffers;
use crate::limits::{self, Limits, PATIENCE_SECONDS};
use crate::pipeline::Collector;
use connection::{FrameConnection, PartialUnit};

/// The state that all connections share.
pub struct Receiver<'a> {
    /// Where the frames go.
    pub(crate) collector: &'a Collector<'a>,
    /// Places for connections.
    pub connections: ConnectionTable,
    frame_max: u32,
    buffer: RefCell<Box<[u8]>>,
    /// Its size, for who has borrowed it.
    buffer_bytes: usize,
    /// Whether frames wait in the buffer.
    held: Cell<bool>,
    large_buffers: LargeBuffers,
    /// Pauses between small reads.
    pub(crate) gather: Gather,
}

impl<'a> Receiver<'a> {
    /// Buffers and places of the sizes that `limits` gives.
    pub fn new(collector: &'a Collector<'a>, limits: &Limits) -> Self {
        Receiver {
            collector,
            connections: ConnectionTable::default(),
            frame_max: u32::try_from(limits.frame).unwrap_or(u32::MAX),
            buffer: RefCell::new(limits::table(limits.receive, 0)),
            buffer_bytes: limits.receive,
            held: Cell::new(false),
            large_buffers: LargeBuffers::new(large_buffer_bytes(limits.frame)),
            gather: Gather::default(),
        }
    }
}

/// Bytes of a large buffer: the longest frame and its length.
pub(crate) const fn large_buffer_bytes(frame_max: usize) -> usize {
    frame_max + size_of::<u32>()
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum ConnectionEnd {
    /// The peer closed it, with or without a word before.
    Closed,
    /// The peer said STOP.
    Stopped,
    /// A handshake or a frame stayed unfinished.
    Timeout,
    /// It brought too little of a long frame while others waited for its buffer.
    Slow,
    /// The peer does not speak Frame Streams.
    Fault(Rejection),
    /// The socket failed.
    Error(io::Error),
}

/// Serves a connection to its end, and says in the log how it ended. Tells whether the peer got through the
/// Frame Streams handshake.
pub async fn serve<S>(
    stream: S,
    peer: &impl Display,
    counters: &InputCounters,
    receiver: &Receiver<'_>,
    lease: &ConnectionLease,
) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _connected = counters.connect();
    debug!("{peer}: connected");
    let mut connection = FrameConnection::new(stream, counters, receiver, lease);
    match connection.run(peer).await {
        ConnectionEnd::Closed => debug!("{peer}: closed"),
        ConnectionEnd::Stopped => debug!("{peer}: stopped"),
        ConnectionEnd::Timeout => {
            counters.refuse(RefuseReason::Timeout);
            warn!("{peer}: closed, a handshake or frame stayed unfinished for {PATIENCE_SECONDS} s");
        }
        ConnectionEnd::Slow => {
            counters.refuse(RefuseReason::Slow);
            warn!("{peer}: closed, too slow with a long frame while others wait");
        }
        ConnectionEnd::Fault(fault) => warn!("{peer}: closed: {fault}"),
        // What a stream over TLS says of its peer, such as that it does not take our certificate.
        ConnectionEnd::Error(error) if error.kind() == io::ErrorKind::InvalidData => {
            warn!("{peer}: closed: {error}")
        }
        ConnectionEnd::Error(error) => debug!("{peer}: closed: {error}"),
    }
    connection.frame_reader.has_started()
}

impl Receiver<'_> {
    /// The unfinished rest of a read: a short one inline, a long one in a large buffer.
    ///
    /// There is one whenever the rest is long: where there was none, no more was read than can be kept
    /// inline, or than a frame has. `None` if the socket gave less than it has.
    fn keep(&self, rest: &[u8], lease: &ConnectionLease) -> Option<PartialUnit<'_>> {
        match heapless::Vec::from_slice(rest) {
            Ok(partial) => Some(PartialUnit::Short(partial)),
            Err(_) => self.large_buffers.take(lease, rest).map(PartialUnit::Long),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::connections::Origin;
    use crate::limits::TAIL_BLOCKS;
    use crate::message::filter::{self, Filter};
    use crate::message::pairing::Pairing;
    use crate::message::stages::Stages;
    use crate::output::Outlets;
    use crate::reactor::Async;
    use crate::statistics::{self, Statistics};
    use crate::wire::handshake::{ACCEPT, FINISH, READY, START, STOP};
    use smol::future::yield_now;
    use smol::io::{AsyncReadExt, AsyncWriteExt};
    use std::os::unix::net::UnixStream;

    fn receiver(frame: usize) -> &'static Receiver<'static> {
        let limits = Limits { frame, streams: 1, ..Limits::resolve(&Default::default()) };
        let statistics: &'static _ = Box::leak(Box::new(RefCell::new(Statistics::new(&limits))));
        let outlets: &'static _ = Box::leak(Box::new(Outlets::new([])));
        let filter = Filter::new(&filter::Section::default());
        let stages = Stages::new(Pairing::new(64), filter);
        let hasher = statistics::Section::default().hasher();
        let collector: &'static _ = Box::leak(Box::new(Collector::new(statistics, outlets, stages, hasher)));
        Box::leak(Box::new(Receiver::new(collector, &limits)))
    }

    /// A data frame: CLIENT_QUERY, and a version of that many bytes.
    fn data(version: usize) -> Vec<u8> {
        let mut dnstap = vec![0x12];
        let mut rest = version;
        while rest >= 0x80 {
            dnstap.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        dnstap.push(rest as u8);
        dnstap.extend(core::iter::repeat_n(b'v', version));
        // Dnstap.message with Message.type 5, and Dnstap.type MESSAGE.
        dnstap.extend_from_slice(&[0x72, 2, 0x08, 5, 0x78, 1]);
        [&(dnstap.len() as u32).to_be_bytes(), dnstap.as_slice()].concat()
    }

    /// Sends the parts one after the other; the counters, and what was sent back.
    fn serve_parts(receiver: &'static Receiver<'static>, parts: &[&[u8]]) -> (InputCounters, Vec<u8>) {
        let counters = InputCounters::new("test");
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (ours, mut theirs) = (Async::new(ours).unwrap(), Async::new(theirs).unwrap());
        let group = receiver.connections.group(1, 1);
        let lease = group.take(Origin::Remote).unwrap();
        lease.note_socket(ours.get_ref(), true);
        let mut answers = Vec::new();
        let peer = async {
            for part in parts {
                // Broken off when the rules are.
                let _ = theirs.write_all(part).await;
                for _ in 0..3 {
                    yield_now().await;
                }
            }
            let _ = theirs.get_ref().shutdown(std::net::Shutdown::Write);
            let _ = theirs.read_to_end(&mut answers).await;
        };
        crate::reactor::block_on(async {
            let served = async {
                serve(&ours, &"test", &counters, receiver, &lease).await;
                drop(ours);
            };
            smol::future::zip(served, peer).await;
        });
        (counters, answers)
    }

    #[test]
    fn a_stream_is_read_alike_wherever_it_is_split() {
        let receiver = receiver(64 << 10);
        receiver.gather.finish(); // for the sake of time
        let stream = [READY, START, &data(3), &data(2_000), &data(70_000), &data(0), STOP].concat();
        let borders = (1..stream.len()).filter(|&at| at < 300 || at % 997 == 0);
        for at in borders {
            let (counters, answers) = serve_parts(receiver, &[&stream[..at], &stream[at..]]);
            assert_eq!((counters.received.get(), counters.rejected.total()), (3, 1), "{at}");
            assert_eq!(counters.rejected.of(Rejection::Oversize), 1, "{at}");
            assert_eq!(counters.bytes.get(), stream.len() as u64, "{at}");
            assert_eq!(answers, [ACCEPT, FINISH].concat(), "{at}");
        }
    }

    /// All blocks for long frames are taken: frames that wait whole in the socket need none.
    #[test]
    fn whole_frames_need_no_block() {
        let receiver = receiver(64 << 10);
        let group = receiver.connections.group(TAIL_BLOCKS, TAIL_BLOCKS);
        let leases = [(); TAIL_BLOCKS].map(|()| group.take(Origin::Remote).unwrap());
        let _held = leases.each_ref().map(|lease| receiver.large_buffers.take(lease, b"part").unwrap());
        let stream =
            [START, &data(3), &data(2_000), &data(2_000), &data(30_000), &data(1_020), STOP].concat();
        let (counters, _) = serve_parts(receiver, &[&stream]);
        assert_eq!((counters.received.get(), counters.rejected.total()), (5, 0));
        // Or in two parts, which come one after the other.
        for at in [1_500, 3_000, 20_000] {
            let (counters, _) = serve_parts(receiver, &[&stream[..at], &stream[at..]]);
            assert_eq!((counters.received.get(), counters.rejected.total()), (5, 0), "{at}");
        }
    }

    #[test]
    fn a_broken_rule_ends_the_stream_and_counts_once() {
        let (counters, _) = serve_parts(receiver(1024), &[&data(3), START]);
        assert_eq!((counters.frames.get(), counters.rejected.total()), (1, 1));
        let (counters, _) = serve_parts(receiver(1024), &[b"GET / HTTP/1.1\r\n\r\n"]);
        assert_eq!(counters.rejected.of(crate::wire::foreign::Foreign::Http), 1);
    }
}
