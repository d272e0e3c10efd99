//! Every capacity: its unit, its reason and what it costs.
//!
//! A profile names a set of them; single keys override it. Everything is made at start with these sizes
//! and never grows. With the built-in defaults, on a 64-bit machine, these are the bytes (`--check` prints
//! them for any configuration):
//!
//! | table | bytes |
//! |---|---|
//! | statistics of 64 streams and the others | 380900 |
//! | different clients and names, for each and all | 423136 |
//! | tables of 8 streams and the others | 871704 |
//! | pairing of 8192 queries | 131072 |
//! | history | 1341152 |
//! | receive buffer | 65536 |
//! | 4 blocks for long frames | 540688 |
//! | health: upstream servers, detectors, alarms | 61424 |
//! | message on its way | 7432 |
//! | lines of the log | 16384 |
//! | queue and buffers of output stdout | 294912 |
//! | web API | 195616 |
//! | in all | 4329956 |

mod profiles;

pub use profiles::{Limits, Section};

use crate::values::ByteSize;

/// The sizes that `queue` of an output takes.
pub(crate) type QueueSize = ByteSize<QUEUE_MIN, QUEUE_MAX>;

/// `queue` of every output when it is absent.
pub(crate) const QUEUE: QueueSize = QueueSize::new(256 << 10);
/// The same in the profiles `tiny` and `small`, in bytes: some 600 records.
pub(crate) const QUEUE_SMALL: usize = 64 << 10;

/// The least an output's queue holds, in bytes: some records of the longest kind.
pub(crate) const QUEUE_MIN: u64 = 8 << 10;
/// The most an output's queue holds, in bytes.
pub(crate) const QUEUE_MAX: u64 = 1 << 30;

/// Addresses that the web API listens on at most.
pub(crate) const HTTP_ADDRESSES: usize = 8;

/// Connections that are accepted and wait for one of [`HTTP_WORKERS`]: as many as those are. Each costs a
/// descriptor.
pub(crate) const HTTP_WAITING: usize = 8;

/// Addresses that guessed a credential within the last minute.
pub(crate) const HTTP_GUESSERS: usize = 32;

/// Milliseconds that a peer without credentials has for a request, and for its answer, while others wait for
/// a worker.
pub(crate) const HTTP_PRESSED_MS: u64 = 100;

/// Milliseconds without progress that a peer with credentials has then.
pub(crate) const HTTP_TRUSTED_MS: u64 = 300;

/// Milliseconds that a TLS handshake may take then: two journeys, and the arithmetic of a slow processor.
pub(crate) const HTTP_HANDSHAKE_MS: u64 = 300;

/// Connections to the web API that are served at once, half as many with the profiles `tiny` and `small`;
/// more wait in the kernel's backlog.
pub(crate) const HTTP_WORKERS: usize = 8;

/// Bytes of a request's line and headers: the longest identity as a parameter, percent-encoded, is 1,536.
pub(crate) const HTTP_HEAD_BYTES: usize = 4 << 10;

/// Bytes of heads and of the framing of chunks that wait for the body they belong to: the longest head, that
/// of the page with its policy, has some 800.
pub(crate) const HTTP_SEND_BYTES: usize = 1 << 10;

/// Bytes of a document that are made at once; one of any length goes out in such chunks.
pub const HTTP_CHUNK_BYTES: usize = 3 << 10;

/// Bytes of an answer that the kernel holds for a connection, which it doubles for its own needs. Left to
/// itself it would take megabytes for a peer that does not read.
pub(crate) const HTTP_KERNEL_BYTES: usize = 64 << 10;

/// Bytes of a request's body, which is read past: no request has a use for one.
pub(crate) const HTTP_BODY_BYTES: usize = 64 << 10;

/// Bytes of a counter's name in a request; the longest in use has some 70.
pub(crate) const HTTP_COUNTER_BYTES: usize = 128;

/// Bytes of a list of tables in an answer: room for all there can be, unless their names are odd.
pub(crate) const HTTP_LIST_BYTES: usize = 1536;

/// Counters that one request may ask for beside the default ones: every rcode and type, both ways.
pub(crate) const HTTP_COUNTERS: usize = 256;

/// Counters of inputs and outputs that a scrape reads at one instant; those beyond, one by one.
pub(crate) const HTTP_SNAPSHOT_COUNTERS: usize = 360;

/// Bytes of a place for a reader of `/live`: its query, and the events that are about to be sent.
pub(crate) const HTTP_LIVE_BYTES: usize = 4 << 10;

/// Bytes of the query of such a reader at most.
pub(crate) const HTTP_LIVE_QUERY_BYTES: usize = 2 << 10;

/// Rows of `/pairs` that are counted at once, and so the most that it tells.
pub(crate) const HTTP_PAIRS: usize = 128;

/// Bytes of keys in `/config`, which lies ready: some three hundred.
pub(crate) const HTTP_CONFIG_BYTES: usize = 16 << 10;

/// Seconds a connection to the web API may stay without a request.
pub(crate) const HTTP_IDLE_SECONDS: u64 = 5;

/// Seconds in all for which a peer may keep us waiting, for a request or with an answer.
pub(crate) const HTTP_SLOW_SECONDS: u64 = 10;

/// Milliseconds for which we go on reading after the last answer on a connection.
pub(crate) const HTTP_LINGER_MS: u64 = 1_000;

/// Milliseconds an answer under way may take at a stop.
pub(crate) const HTTP_STOP_MS: u64 = 1_000;

/// Identities with counters of their own: least, default, most.
pub(crate) const STREAMS_MIN: u32 = 1;
/// See [`STREAMS_MIN`].
pub(crate) const STREAMS: usize = 64;
/// See [`STREAMS_MIN`].
pub(crate) const STREAMS_MAX: u32 = 65_536;

/// Names, and clients, that were counted lately and need not be looked for again; a power of two. 24 bytes
/// each.
pub(crate) const RECENT_KEYS: usize = 256;

/// Counts of top-level domains that may pass four thousand million, of each stream.
pub(crate) const TLD_CARRIES: usize = 32;

/// Connections open at once: least, default, most.
pub(crate) const CONNECTIONS_MIN: u32 = 1;
/// See [`CONNECTIONS_MIN`].
pub(crate) const CONNECTIONS: usize = 64;
/// See [`CONNECTIONS_MIN`].
pub(crate) const CONNECTIONS_MAX: u32 = 65_536;

/// Connections that one address may have at the least: the Recursor of PowerDNS opens five.
pub(crate) const CONNECTIONS_PER_ADDRESS: usize = 8;

/// Queries waiting for their response: least, default, most.
pub(crate) const PAIRING_MIN: u32 = 16;
/// See [`PAIRING_MIN`].
pub(crate) const PAIRING: usize = 8192;
/// See [`PAIRING_MIN`].
pub(crate) const PAIRING_MAX: u32 = 16_777_216;

/// Names kept in a table of domains: least, default, most.
pub(crate) const TOP_NAMES_MIN: u32 = 16;
/// See [`TOP_NAMES_MIN`].
pub(crate) const TOP_NAMES: usize = 256;
/// See [`TOP_NAMES_MIN`].
pub(crate) const TOP_NAMES_MAX: u32 = 1_048_576;

/// Bytes of the log of exchanges in the default profile: a home's last 80,000.
pub(crate) const HISTORY_LOG_BYTES: usize = 1 << 20;

/// Bytes of a block of a segment of the history: what is made at once, and written at once.
pub(crate) const HISTORY_SAVE_BYTES: usize = 16 << 10;

/// Addresses kept in a table of clients: least, default, most.
pub(crate) const TOP_CLIENTS_MIN: u32 = 16;
/// See [`TOP_CLIENTS_MIN`].
pub(crate) const TOP_CLIENTS: usize = 512;
/// See [`TOP_CLIENTS_MIN`].
pub(crate) const TOP_CLIENTS_MAX: u32 = 1_048_576;

/// Devices with a name: least, default, most.
pub(crate) const DEVICES_MIN: u32 = 16;
/// See [`DEVICES_MIN`].
pub(crate) const DEVICES: usize = 1024;
/// See [`DEVICES_MIN`].
pub(crate) const DEVICES_MAX: u32 = 65_536;

/// Countries kept in a table: there are some 250.
pub(crate) const TOP_COUNTRIES: usize = 256;

/// Streams with tables of their own by default: the first ones. The others share a set that counts for all
/// streams together.
pub(crate) const TABLE_STREAMS: usize = 8;

/// Bytes to count different things in: least, default. Their error is in [`crate::sketch::distinct`].
pub(crate) const DISTINCT_BYTES_MIN: usize = 2 << 10;
/// See [`DISTINCT_BYTES_MIN`].
pub(crate) const DISTINCT_BYTES: usize = 8 << 10;
/// Bytes of them in which few things are counted exactly, at most.
pub(crate) const DISTINCT_EXACT_BYTES: usize = 4 << 10;

/// Buckets of a stream's latencies, of four bytes each: they tell a sixteenth from 8 microseconds to a
/// minute.
pub(crate) const LATENCY_BUCKETS: usize = 191;

/// The longest data frame taken, in bytes: least, default, most. The default holds a query and a
/// response of 64 KiB each, the most DNS can carry, and 4 KiB of dnstap around them.
pub(crate) const FRAME_MIN: u64 = 512;
/// See [`FRAME_MIN`].
pub(crate) const FRAME: usize = 132 << 10;
/// The longest with the profiles `tiny` and `small`: one message of 64 KiB, and 4 KiB around it.
pub(crate) const FRAME_SMALL: usize = 68 << 10;
/// See [`FRAME_MIN`].
pub(crate) const FRAME_MAX: u64 = 16 << 20;

/// Bytes of an identity that count; forwarding keeps all.
pub(crate) const IDENTITY_BYTES: usize = 128;

/// Numbers of question types without a name that are counted one by one, over all streams; the rest together.
pub(crate) const UNKNOWN_TYPES: usize = 64;

/// Bytes that all connections read into by default, one at a time: some hundred messages a turn. Four times
/// as many brought no measurable speed.
pub(crate) const RECEIVE_BUFFER_BYTES: usize = 64 << 10;

/// Bytes of an unfinished frame that stay with its connection; most frames are shorter.
pub(crate) const TAIL_BYTES: usize = 1 << 10;

/// Longer unfinished frames that are read at once; each takes a block of the longest frame.
pub(crate) const TAIL_BLOCKS: usize = 4;

/// Bytes read from a capture at once.
pub(crate) const FILE_READ_BYTES: usize = 64 << 10;

/// Bytes of a block of the sniffer's ring; it holds the longest packet, and some 900 queries.
pub(crate) const SNIFFER_BLOCK_BYTES: usize = 128 << 10;

/// Blocks of the ring by default: a tenth of a second at 100,000 packets a second.
pub(crate) const SNIFFER_BLOCKS: usize = 16;

/// Bytes of the longest packet, where there is no ring: local TCP shows segments of 64 KiB, and headers.
pub(crate) const SNIFFER_PACKET_BYTES: usize = (64 << 10) + 256;

/// Packets read at once, where there is no ring.
pub(crate) const SNIFFER_BATCH: usize = 8;

/// Ports that the sniffer takes as those of DNS, at most.
pub(crate) const SNIFFER_PORTS: usize = 64;

/// Interfaces that `eth-name` may list; a jump in the kernel's filter goes over 255 instructions at most.
pub(crate) const SNIFFER_NAMES: usize = 64;

/// Interfaces that the sniffer of all interfaces leaves out because they belong to another, at most.
pub(crate) const SNIFFER_INTERFACES: usize = 256;

/// Addresses of its own that the sniffer knows, at most.
pub(crate) const SNIFFER_ADDRESSES: usize = 256;

/// Fragmented datagrams that are put together at once by default, from all ends.
pub(crate) const SNIFFER_DATAGRAMS: usize = 16;

/// Bytes of a fragmented datagram at most; DNS over UDP rarely has more than 4,096.
pub(crate) const SNIFFER_DATAGRAM_BYTES: usize = 16 << 10;

/// Flows of DNS over TCP, two a connection, that are followed at once by default.
pub(crate) const SNIFFER_FLOWS: usize = 256;

/// Flows among them of which a part is missing, by default; each takes a block of the longest message.
pub(crate) const SNIFFER_STREAM_BLOCKS: usize = 16;

/// Bytes of the longest block in a capture of packets; the longest packet that tools write has 262,144.
pub(crate) const CAPTURE_BLOCK_BYTES: usize = 320 << 10;

/// Interfaces in a section of a capture of packets, at most.
pub(crate) const CAPTURE_INTERFACES: usize = 64;

/// Seconds after which a remote that acknowledges nothing is given up (TCP_USER_TIMEOUT, tcp(7)); a reader
/// that has stopped for so long counts as one.
pub(crate) const UNACKNOWLEDGED_SECONDS: u32 = 120;

/// Seconds a peer has to finish a handshake or a frame.
pub(crate) const PATIENCE_SECONDS: u32 = 10;

/// Seconds between two attempts to reach a remote at most, unless `retry` is longer.
pub(crate) const RETRY_MAX_SECONDS: u64 = 30;

/// Addresses of a remote's name that are tried at each attempt.
pub(crate) const DIAL_ADDRESSES: usize = 8;

/// Bytes that rustls keeps for a connection: some 9,000 for a quiet one, and up to this once it has carried
/// full records (measured). They are made with the connection, not at start.
pub(crate) const TLS_CONNECTION_BYTES: usize = 48 << 10;

/// Bytes of memory that are no table and no buffer: stacks, the reactor, the configuration, and what the
/// allocator rounds up (measured with the profile `small` and musl's allocator, on ARM, MIPS and x86-64).
pub(crate) const PROGRAM_BYTES: usize = 384 << 10;

/// Bytes of a file with certificates or a key at most; lists of a whole system have some 250,000.
pub(crate) const PEM_BYTES: u64 = 4 << 20;

/// Bytes of the longest datagram that is sent.
pub(crate) const DATAGRAM_BYTES: usize = 8 << 10;

/// Bytes of the longest header of a syslog message: the identity, and less than 100 beside it.
pub(crate) const SYSLOG_HEADER_BYTES: usize = 256;
const _: () = assert!(SYSLOG_HEADER_BYTES >= IDENTITY_BYTES + 100);

/// Bytes written to a file at once, and the size of the buffer for them; a longer record gets a longer one.
pub(crate) const FILE_BATCH_BYTES: usize = 64 << 10;

/// Seconds the outputs have at a stop to write whatever is queued, and the web API to end.
pub(crate) const DRAIN_SECONDS: u64 = 4;

/// Bytes of an output's queue for which librdkafka may hold one more message, unless it is told otherwise.
#[cfg(feature = "kafka-plain")]
pub(crate) const KAFKA_QUEUE_BYTES_PER_MESSAGE: usize = 128;

/// Bytes that librdkafka needs for a message beside its key and value.
#[cfg(feature = "kafka-plain")]
pub(crate) const KAFKA_MESSAGE_BYTES: usize = 320;

/// Records handed to librdkafka before others have their turn.
#[cfg(feature = "kafka-plain")]
pub(crate) const KAFKA_TURN_RECORDS: usize = 512;

/// Milliseconds between two looks of librdkafka at its connections, unless it is told otherwise.
#[cfg(feature = "kafka-plain")]
pub(crate) const KAFKA_STATISTICS_MS: u32 = 1_000;

/// Kinds of librdkafka's log lines that are told apart.
#[cfg(feature = "kafka-plain")]
pub(crate) const KAFKA_LOG_KINDS: usize = 32;

/// Seconds for which a kind of librdkafka's log lines is said once.
#[cfg(feature = "kafka-plain")]
pub(crate) const KAFKA_LOG_SECONDS: u64 = 60;

/// Milliseconds between two demands to librdkafka, at a stop, to send what it has.
#[cfg(feature = "kafka-plain")]
pub(crate) const KAFKA_HURRY_MS: u64 = 50;

/// The sizes that `batch` of the output over HTTP takes.
pub(crate) type PushBatchSize = ByteSize<PUSH_BATCH_MIN, PUSH_BATCH_MAX>;

/// Bytes of a batch that is sent over HTTP: least, default, most.
pub(crate) const PUSH_BATCH_MIN: u64 = 1 << 10;
/// See [`PUSH_BATCH_MIN`].
pub(crate) const PUSH_BATCH: PushBatchSize = PushBatchSize::new(64 << 10);
/// See [`PUSH_BATCH_MIN`].
pub(crate) const PUSH_BATCH_MAX: u64 = 16 << 20;

/// Bytes that the longest record becomes in a batch: in a JSON string each quote and backslash is two.
pub(crate) const PUSH_RECORD_BYTES: usize = 2 * RECORD_BYTES + (2 << 10);

/// Bytes of the table that a batch is compressed with.
pub(crate) const PUSH_GZIP_BYTES: usize = 16 << 10;

/// Bytes of the shortest item of a bulk request; those in use are longer.
pub(crate) const PUSH_ITEM_BYTES: usize = 64;

/// Bytes of an answer that are read at once, and of its head at most.
pub(crate) const PUSH_ANSWER_BYTES: usize = 8 << 10;

/// Fields in the head of an answer at most.
pub(crate) const PUSH_ANSWER_FIELDS: usize = 64;

/// Seconds that a request and its answer may take.
pub(crate) const PUSH_EXCHANGE_SECONDS: u64 = 30;

/// Milliseconds that a server or broker has for its answer before nobody waits for it any more.
pub(crate) const PUSH_TURN_MS: u64 = 20;

/// Bytes of an answer that refuses, for the log.
pub(crate) const PUSH_REASON_BYTES: usize = 200;

/// Seconds that a server may ask for (`Retry-After`) at most.
pub(crate) const PUSH_RETRY_AFTER_SECONDS: u64 = 3_600;

/// Messages that are on their way to a broker at once.
pub(crate) const MQTT_WINDOW: usize = 32;

/// Bytes of such messages beyond which there are no more.
pub(crate) const MQTT_BATCH_BYTES: usize = 16 << 10;

/// Seconds that a broker has to acknowledge them.
pub(crate) const MQTT_ACKNOWLEDGE_SECONDS: u64 = 30;

/// Seconds without a packet of ours after which a broker may publish our will.
pub(crate) const MQTT_KEEP_ALIVE_SECONDS: u16 = 60;

/// Bytes of the longest packet of a broker that is read.
pub(crate) const MQTT_PACKET_BYTES: usize = 1 << 10;

/// Bytes of the counters as JSON, and of what Home Assistant is told of one of them.
pub(crate) const MQTT_STATE_BYTES: usize = 2 << 10;

/// Bytes of the name of a country or city that count; the longest in use have some 60.
pub const PLACE_BYTES: usize = 128;

/// Addresses whose places are remembered: a power of two.
pub(crate) const PLACES: usize = 1 << 10;

/// Bytes of each at most.
pub(crate) const PLACE_SLOT_BYTES: usize = 48;

/// Bytes of the longest record: a name of 255, an identity, a country and a city of 128 bytes each, each byte
/// five in JSON's escaping of `\DDD`, and 1,600 for keys, numbers and addresses.
pub(crate) const RECORD_BYTES: usize = 5 << 10;
const _: () = assert!(RECORD_BYTES >= 5 * 255 + 5 * IDENTITY_BYTES + 10 * PLACE_BYTES + 1_600);

/// Bytes that a record shows of what a sender may make as long as it likes: its version, what it adds, texts
/// of options.
pub(crate) const STRANGER_BYTES: usize = 512;

/// Bytes of the longest record with fields of one's own choice or nested ones, in an output that can take it:
/// 130 addresses in JSON. Lists are cut where there is no more room. One buffer, for all outputs together.
pub(crate) const LONG_RECORD_BYTES: usize = 16 << 10;

/// Bytes of queue for which there is room for one more record; the shortest record in use is longer.
pub(crate) const QUEUE_BYTES_PER_RECORD: usize = 32;

/// Upstream servers with a place of their own.
pub(crate) const HEALTH_UPSTREAMS: usize = 64;

/// Queries to upstream servers that wait for their response.
pub(crate) const HEALTH_OUTSTANDING: usize = 640;

/// Names whose registered domain need not be looked for again; a power of two. 16 bytes each.
pub(crate) const HEALTH_RECENT_DOMAINS: usize = 64;

/// Bytes of all that watches over the health, but for new domains.
pub const HEALTH_BYTES: usize = 64 << 10;

/// Domains that are remembered, in two generations of half as many, where newly observed ones are watched
/// for.
pub(crate) const NEW_DOMAINS: usize = 100_000;

/// Alarms that are kept.
pub(crate) const HEALTH_ALARMS: usize = 256;

/// Bytes of their subjects and examples: 36 for each, which is a domain of 32 characters and a client.
pub const HEALTH_ALARM_BYTES: usize = 9 << 10;

/// Bytes of the longest line in the log, below what a pipe takes without blocking.
pub(crate) const LOG_LINE_BYTES: usize = 1 << 10;

/// Bytes of lines that wait for a log file, and of the batch that is written to it.
pub(crate) const LOG_QUEUE_BYTES: usize = 16 << 10;

/// Lines of one kind that are written at once before they are limited to one a minute, of what we dialled or
/// opened ourselves; of those who connect it is one.
pub(crate) const LOG_BURST: u32 = 10;
/// The same for debug lines, which somebody asked for.
pub(crate) const LOG_BURST_DEBUG: u32 = 1_000;

/// Kinds of lines that are told apart: the places in the program that make one are fewer.
pub(crate) const LOG_KINDS: usize = 128;
/// Of one place that strangers cause, told apart by their words.
pub(crate) const LOG_KINDS_OF_A_PLACE: usize = 8;

/// Bytes of the beginning of a line that stands for others that were left out.
pub(crate) const LOG_EXAMPLE_BYTES: usize = 80;

/// Outputs that can be on at once, of whatever kinds.
pub(crate) const OUTPUTS: usize = 16;

/// A table of `length` times `value`, in memory that is there from now on: every page is written, so that a
/// later load cannot make the program grow.
pub(crate) fn table<T: Clone>(length: usize, value: T) -> Box<[T]> {
    let mut table = vec![value.clone(); length].into_boxed_slice();
    // `vec!` asks for zeros as pages that nobody has touched. Hidden from the optimiser, which would leave
    // out the second filling.
    core::hint::black_box(&mut table).fill(value);
    table
}
