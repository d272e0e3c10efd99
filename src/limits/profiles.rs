//! Section `limits`: the profiles, and single keys laid over them.

use super::{
    CONNECTIONS, CONNECTIONS_MAX, CONNECTIONS_MIN, CONNECTIONS_PER_ADDRESS, DEVICES, DEVICES_MAX,
    DEVICES_MIN, DISTINCT_BYTES, DISTINCT_BYTES_MIN, FRAME, FRAME_MAX, FRAME_MIN, FRAME_SMALL,
    HISTORY_LOG_BYTES, HTTP_WORKERS, PAIRING, PAIRING_MAX, PAIRING_MIN, QUEUE, QUEUE_SMALL,
    RECEIVE_BUFFER_BYTES, SNIFFER_BLOCKS, SNIFFER_DATAGRAMS, SNIFFER_FLOWS, SNIFFER_STREAM_BLOCKS, STREAMS,
    STREAMS_MAX, STREAMS_MIN, TABLE_STREAMS, TOP_CLIENTS, TOP_CLIENTS_MAX, TOP_CLIENTS_MIN, TOP_NAMES,
    TOP_NAMES_MAX, TOP_NAMES_MIN,
};
use crate::values::{Bounded, ByteSize, choice};
use serde::Deserialize;

choice! {
    /// A named set of capacities; see `limits`.
    #[derive(Default)]
    Profile {
        /// 4 MiB resident.
        #[default]
        Default = "default",
        /// For a router with little memory to spare.
        Tiny = "tiny",
        /// Between tiny and default.
        Small = "small",
        /// For a server.
        Large = "large",
    }
}

/// Section `limits`. What is absent comes from the profile.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// The set of capacities to start from.
    pub(crate) profile: Profile,
    /// Identities with counters of their own.
    pub(crate) streams: Option<Bounded<STREAMS_MIN, STREAMS_MAX>>,
    /// Connections open at once, over all inputs.
    pub(crate) connections: Option<Bounded<CONNECTIONS_MIN, CONNECTIONS_MAX>>,
    /// Connections from one address; unset = a quarter of them, and at least 8.
    pub(crate) connections_per_address: Option<Bounded<CONNECTIONS_MIN, CONNECTIONS_MAX>>,
    /// Queries waiting for their response.
    pub(crate) pairing: Option<Bounded<PAIRING_MIN, PAIRING_MAX>>,
    /// Names kept in a table of domains.
    pub(crate) top_names: Option<Bounded<TOP_NAMES_MIN, TOP_NAMES_MAX>>,
    /// Addresses kept in a table of clients.
    pub(crate) top_clients: Option<Bounded<TOP_CLIENTS_MIN, TOP_CLIENTS_MAX>>,
    /// Devices with a name.
    pub(crate) devices: Option<Bounded<DEVICES_MIN, DEVICES_MAX>>,
    /// The longest data frame taken.
    pub(crate) frame: Option<ByteSize<FRAME_MIN, FRAME_MAX>>,
}

/// The capacities in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Identities with counters of their own.
    pub streams: usize,
    /// Connections open at once, of each input that listens.
    pub connections: usize,
    /// Those of them that one address may have.
    pub connections_per_address: usize,
    /// Queries waiting for their response.
    pub pairing: usize,
    /// Names kept in a table of domains.
    pub top_names: usize,
    /// Addresses kept in a table of clients.
    pub top_clients: usize,
    /// Devices with a name.
    pub devices: usize,
    /// Bytes of the log of exchanges.
    pub history_log: usize,
    /// Bytes of an output's queue that does not say how many.
    pub queue: usize,
    /// Connections to the web API that are served at once.
    pub http_workers: usize,
    /// Readers of `/live` at once.
    pub live_readers: usize,
    /// The longest data frame taken, in bytes.
    pub frame: usize,
    /// Bytes that all connections read into, one at a time.
    pub receive: usize,
    /// Blocks of the sniffer's ring.
    pub ring: usize,
    /// Fragmented datagrams that the sniffer puts together at once, from all ends.
    pub datagrams: usize,
    /// Flows of DNS over TCP, two a connection, that the sniffer follows at once.
    pub flows: usize,
    /// Flows among them of which a part is missing; each takes a block of the longest message.
    pub flow_blocks: usize,
    /// Streams with tables of their own: the first ones.
    pub table_streams: usize,
    /// Bytes for the number of different clients, and of names, of all streams together; of a stream with
    /// tables and of those without identity of their own; of a further stream. See
    /// [`crate::sketch::distinct`].
    pub distinct: [usize; 3],
}

impl Limits {
    /// The profile with the single keys laid over it.
    pub fn resolve(section: &Section) -> Limits {
        let base = Limits::of(section.profile);
        let over = |count: Option<u32>, base: usize| count.map_or(base, |count| count as usize);
        let connections = over(section.connections.map(Bounded::get), base.connections);
        let per_address = section.connections_per_address.map(Bounded::get);
        Limits {
            streams: over(section.streams.map(Bounded::get), base.streams),
            connections,
            connections_per_address: over(per_address, (connections / 4).max(CONNECTIONS_PER_ADDRESS)),
            pairing: over(section.pairing.map(Bounded::get), base.pairing),
            top_names: over(section.top_names.map(Bounded::get), base.top_names),
            top_clients: over(section.top_clients.map(Bounded::get), base.top_clients),
            devices: over(section.devices.map(Bounded::get), base.devices),
            frame: section.frame.map_or(base.frame, ByteSize::in_memory),
            ..base
        }
    }

    /// The capacities of a profile.
    const fn of(profile: Profile) -> Limits {
        let (streams, connections, pairing, top_names, top_clients) = match profile {
            Profile::Tiny => (8, 16, 2048, 64, 64),
            Profile::Small => (16, 32, 8192, 256, 256),
            Profile::Default => (STREAMS, CONNECTIONS, PAIRING, TOP_NAMES, TOP_CLIENTS),
            Profile::Large => (256, 256, 262_144, 4096, 4096),
        };
        let (receive, frame, table_streams) = match profile {
            Profile::Tiny => (32 << 10, FRAME_SMALL, 1),
            Profile::Small => (32 << 10, FRAME_SMALL, 2),
            Profile::Default => (RECEIVE_BUFFER_BYTES, FRAME, TABLE_STREAMS),
            Profile::Large => (RECEIVE_BUFFER_BYTES, FRAME, 16),
        };
        let devices = match profile {
            Profile::Tiny => 64,
            Profile::Small => 256,
            Profile::Default => DEVICES,
            Profile::Large => 8192,
        };
        let (ring, datagrams, flows, flow_blocks) = match profile {
            Profile::Tiny => (4, 4, 64, 2),
            Profile::Small => (8, 4, 128, 2),
            Profile::Default => (SNIFFER_BLOCKS, SNIFFER_DATAGRAMS, SNIFFER_FLOWS, SNIFFER_STREAM_BLOCKS),
            Profile::Large => (64, SNIFFER_DATAGRAMS, SNIFFER_FLOWS, SNIFFER_STREAM_BLOCKS),
        };
        let history_log = match profile {
            Profile::Tiny => 64 << 10,
            Profile::Small => 256 << 10,
            Profile::Default => HISTORY_LOG_BYTES,
            Profile::Large => 16 << 20,
        };
        let (queue, http_workers) = match profile {
            Profile::Tiny | Profile::Small => (QUEUE_SMALL, HTTP_WORKERS / 2),
            Profile::Default | Profile::Large => (QUEUE.get() as usize, HTTP_WORKERS),
        };
        let distinct = match profile {
            Profile::Tiny => [DISTINCT_BYTES, DISTINCT_BYTES / 2, DISTINCT_BYTES_MIN],
            Profile::Small => [DISTINCT_BYTES, DISTINCT_BYTES, DISTINCT_BYTES_MIN],
            Profile::Default => [2 * DISTINCT_BYTES, DISTINCT_BYTES, DISTINCT_BYTES_MIN],
            Profile::Large => [2 * DISTINCT_BYTES, 2 * DISTINCT_BYTES, DISTINCT_BYTES],
        };
        Limits {
            distinct,
            history_log,
            queue,
            http_workers,
            live_readers: if matches!(profile, Profile::Tiny) { 1 } else { 4 },
            streams,
            connections,
            connections_per_address: 0,
            pairing,
            top_names,
            top_clients,
            devices,
            frame,
            receive,
            ring,
            datagrams,
            flows,
            flow_blocks,
            table_streams,
        }
    }
}
