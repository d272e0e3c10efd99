//! Places for connections: who may have one, deadlines, and who goes when a place is needed.
//!
//! ```text
//! ConnectionTable  the clock, and all groups
//!   ConnectionGroup  the places of one listener, or of one remote that we dial
//!     ConnectionLease  a place taken, with its deadline; free again when dropped
//! ```
//!
//! Each listener has places of its own, and so has each remote that we dial, so strangers on TCP never keep
//! the resolver out that connects to the Unix socket. Within a group one origin, an address or a process, may
//! hold a share of the places. When all are taken and an origin comes that holds fewer than the greediest
//! one, the connection of the greediest goes that was silent for the longest time.
//!
//! One ticker looks at all deadlines once a second, instead of a timer for each connection: a deadline of `n`
//! seconds passes between `n` and `n + 1` seconds after it was set. A place also holds the connection's task,
//! so that it can be ended from outside.

use core::cell::{Cell, RefCell};
use core::fmt::Display;
use core::future::poll_fn;
use core::net::IpAddr;
use core::task::{Context, Poll, Waker};
use std::os::fd::{AsRawFd, RawFd};

use defmt_or_log::warn;
use smol::Task;

use super::counters::{InputCounters, RefuseReason};
use crate::sys::socket_queue::waiting_bytes;

/// All places, by group.
#[derive(Default)]
pub struct ConnectionTable {
    /// Seconds since start, as far as the ticker tells.
    now: Cell<u32>,
    groups: RefCell<Vec<&'static ConnectionGroup>>,
}

/// The places of one listener, or of one remote.
pub struct ConnectionGroup {
    table: &'static ConnectionTable,
    entries: Box<[ConnectionEntry]>,
    /// Places that one origin may hold.
    share: usize,
    /// Reads so far, over all connections: who read last has the highest number.
    reads: Cell<u64>,
}

/// Where a connection comes from: whoever may be greedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An IPv4 address.
    V4(u32),
    /// The first 64 bits of an IPv6 address, as one machine may have all that begin so; of an address within
    /// the link, where all begin alike, the last ones.
    V6(u64),
    /// A process of this machine; 0 where it is unknown.
    Process(u32),
    /// A remote that we dial.
    Remote,
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Origin::V4(v4.to_bits()),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Origin::V6(v6.to_bits() as u64),
            IpAddr::V6(v6) => Origin::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

#[derive(Default)]
struct ConnectionEntry {
    /// Who holds the place; `None` = it is free.
    holder: Cell<Option<Origin>>,
    due: Cell<Option<u32>>,
    waker: Cell<Option<Waker>>,
    task: RefCell<Option<Task<()>>>,
    /// Number of the last read.
    read: Cell<u64>,
    /// Bytes read in the last whole second, and in the running one, with its number.
    last_second: Cell<u32>,
    this_second: Cell<(u32, u32)>,
    /// The socket, and whether its bytes are those of the stream.
    socket: Cell<Option<(RawFd, bool)>>,
}

impl ConnectionTable {
    /// Makes a group of places; it lives until the process ends. One origin may hold `share` of them.
    pub fn group(&'static self, places: usize, share: usize) -> &'static ConnectionGroup {
        let entries = (0..places).map(|_| ConnectionEntry::default()).collect();
        let group: &'static _ =
            Box::leak(Box::new(ConnectionGroup { table: self, entries, share, reads: Cell::new(0) }));
        self.groups.borrow_mut().push(group);
        group
    }

    /// Lets one second pass and wakes the connections whose deadline has come.
    pub(crate) fn tick(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        for entry in self.groups.borrow().iter().flat_map(|group| &group.entries) {
            if entry.due.get().is_some_and(|due| due <= now)
                && let Some(waker) = entry.waker.take()
            {
                waker.wake();
            }
        }
    }

    /// Ends all connections.
    pub(crate) fn close_all(&self) {
        for entry in self.groups.borrow().iter().flat_map(|group| &group.entries) {
            drop(entry.task.take());
        }
    }
}

/// A connection that has to go, so that another can come.
#[must_use]
pub(crate) struct EvictedConnection(Task<()>);

impl EvictedConnection {
    /// Ends it; its place is free then.
    pub(crate) async fn end(self) {
        self.0.cancel().await;
    }
}

impl ConnectionGroup {
    /// A free place for a connection from `origin`, if there is one.
    ///
    /// # Errors
    ///
    /// The origin holds its share, or all places are taken.
    pub fn take(&'static self, origin: Origin) -> Result<ConnectionLease, RefuseReason> {
        if self.held_by(origin) >= self.share {
            return Err(RefuseReason::AddressLimit);
        }
        let free = self.entries.iter().find(|entry| entry.holder.get().is_none());
        let entry = free.ok_or(RefuseReason::Limit)?;
        entry.holder.set(Some(origin));
        entry.due.set(None);
        entry.last_second.set(0);
        entry.this_second.set((0, 0));
        entry.socket.set(None);
        let lease = ConnectionLease { group: self, entry };
        lease.note_read(0);
        Ok(lease)
    }

    /// The connection that goes to make room for one from `origin`: the longest silent one of the greediest
    /// origin. `None` when nobody holds more than `origin` does.
    pub(crate) fn evict(&self, origin: Origin) -> Option<EvictedConnection> {
        let holders = || self.entries.iter().filter_map(|entry| Some((entry, entry.holder.get()?)));
        // Twice through the table, which has some dozens of rows: nothing is kept for it.
        let most = holders().map(|(_, holder)| self.held_by(holder)).max()?;
        if most <= self.held_by(origin) {
            return None;
        }
        let greediest = holders().filter(|&(_, holder)| self.held_by(holder) == most);
        let (silent, _) = greediest.min_by_key(|(entry, _)| entry.read.get())?;
        silent.task.take().map(EvictedConnection)
    }

    /// A place for a connection from `origin`; somebody greedier may have to go for it. What comes of it is
    /// counted and logged, where `peer` names the new one. `None` = it is to be closed.
    pub(crate) async fn admit(
        &'static self,
        origin: Origin,
        counters: &InputCounters,
        peer: &impl Display,
    ) -> Option<ConnectionLease> {
        let refused = match self.take(origin) {
            Ok(lease) => return Some(lease),
            Err(RefuseReason::Limit) => {
                if let Some(evicted) = self.evict(origin) {
                    counters.refuse(RefuseReason::Evicted);
                    warn!("{}: takes the place of who was silent for the longest time", peer.to_string());
                    evicted.end().await;
                }
                self.take(origin).map_err(|reason| (reason, "limits.connections"))
            }
            Err(reason) => Err((reason, "limits.connections-per-address")),
        };
        refused
            .map_err(|(reason, limit)| {
                warn!("{}: closed, all places for connections are taken ({})", peer.to_string(), limit);
                counters.refuse(reason);
            })
            .ok()
    }

    fn held_by(&self, origin: Origin) -> usize {
        self.entries.iter().filter(|entry| entry.holder.get() == Some(origin)).count()
    }
}

/// A place taken by a connection; free again when dropped.
pub struct ConnectionLease {
    group: &'static ConnectionGroup,
    entry: &'static ConnectionEntry,
}

/// Bytes a second from which on a connection is brisk.
pub(crate) const BRISK_BYTES: u32 = 16 << 10;

impl ConnectionLease {
    /// Where the connection comes from.
    pub(crate) fn origin(&self) -> Option<Origin> {
        self.entry.holder.get()
    }

    /// Notes that that many bytes were read.
    pub(crate) fn note_read(&self, bytes: usize) {
        let reads = self.group.reads.get() + 1;
        self.group.reads.set(reads);
        self.entry.read.set(reads);
        let now = self.group.table.now.get();
        let (second, before) = self.entry.this_second.get();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if second == now {
            self.entry.this_second.set((now, before.saturating_add(bytes)));
        } else {
            self.entry.last_second.set(if second + 1 == now { before } else { 0 });
            self.entry.this_second.set((now, bytes));
        }
    }

    /// Notes the socket that it reads from, and whether that has the bytes of the stream, not those of TLS.
    pub fn note_socket(&self, socket: &impl AsRawFd, is_plain: bool) {
        self.entry.socket.set(Some((socket.as_raw_fd(), is_plain)));
    }

    /// Bytes of the stream that wait in the socket, as far as that is known.
    pub(crate) fn waiting_bytes(&self) -> usize {
        let socket = self.entry.socket.get().filter(|&(_, is_plain)| is_plain);
        socket.map_or(0, |(socket, _)| waiting_bytes(socket))
    }

    /// Bytes that wait in the socket of a stream over TLS, which reads a little at a time; 0 for others.
    pub(crate) fn waiting_encrypted_bytes(&self) -> usize {
        let socket = self.entry.socket.get().filter(|&(_, is_plain)| !is_plain);
        socket.map_or(0, |(socket, _)| waiting_bytes(socket))
    }

    /// Whether it read [`BRISK_BYTES`] in the running second or the one before, or could: who waits for a
    /// buffer reads nothing.
    pub(crate) fn is_brisk(&self) -> bool {
        self.was_brisk()
            || self
                .entry
                .socket
                .get()
                .is_some_and(|(socket, _)| waiting_bytes(socket) >= BRISK_BYTES as usize)
    }

    fn was_brisk(&self) -> bool {
        let now = self.group.table.now.get();
        let (second, bytes) = self.entry.this_second.get();
        let last = if second == now { self.entry.last_second.get() } else { 0 };
        second + 1 >= now && bytes.max(last) >= BRISK_BYTES
    }

    /// Ends the wait after `seconds`, counted from now.
    pub(crate) fn set_deadline(&self, seconds: u32) {
        self.entry.due.set(Some(self.group.table.now.get() + seconds + 1));
    }

    /// Sets a deadline unless one runs already.
    pub(crate) fn keep_deadline(&self, seconds: u32) {
        if self.entry.due.get().is_none() {
            self.set_deadline(seconds);
        }
    }

    /// Waits without end again.
    pub(crate) fn clear_deadline(&self) {
        self.entry.due.set(None);
    }

    /// Whether the deadline has passed; wakes the task when it does.
    pub(crate) fn poll_deadline(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.entry.due.get() {
            Some(due) if due <= self.group.table.now.get() => Poll::Ready(()),
            _ => {
                let waker = self.entry.waker.take().filter(|waker| waker.will_wake(context.waker()));
                self.entry.waker.set(waker.or_else(|| Some(context.waker().clone())));
                Poll::Pending
            }
        }
    }

    /// Waits for the deadline.
    pub(crate) async fn deadline(&self) {
        poll_fn(|context| self.poll_deadline(context)).await;
    }

    /// Where the connection's task is to be kept.
    pub(crate) fn task_handle(&self) -> TaskHandle {
        TaskHandle(self.entry)
    }
}

impl Drop for ConnectionLease {
    fn drop(&mut self) {
        self.entry.due.set(None);
        self.entry.waker.set(None);
        self.entry.socket.set(None);
        self.entry.holder.set(None);
    }
}

/// Keeps a connection's task, so that [`ConnectionTable::close_all`] can end it.
pub(crate) struct TaskHandle(&'static ConnectionEntry);

impl TaskHandle {
    /// Takes the task; one that was there before is over.
    pub(crate) fn keep(self, task: Task<()>) {
        if self.0.holder.get().is_some() {
            *self.0.task.borrow_mut() = Some(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> &'static ConnectionTable {
        Box::leak(Box::default())
    }

    fn origin(address: &str) -> Origin {
        Origin::from(address.parse::<IpAddr>().unwrap())
    }

    fn busy() -> Task<()> {
        thread_local!(static EXECUTOR: smol::LocalExecutor<'static> = const { smol::LocalExecutor::new() });
        EXECUTOR.with(|executor| executor.spawn(core::future::pending()))
    }

    #[test]
    fn a_place_is_free_again_when_dropped() {
        let group = table().group(1, 1);
        let lease = group.take(Origin::Remote).unwrap();
        assert!(group.take(Origin::Process(1)).is_err());
        drop(lease);
        assert!(group.take(Origin::Remote).is_ok());
    }

    #[test]
    fn a_deadline_passes_after_its_seconds_and_wakes() {
        let table = table();
        let lease = table.group(1, 1).take(Origin::Remote).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        lease.set_deadline(2);
        for _ in 0..2 {
            table.tick();
            assert_eq!(lease.poll_deadline(&mut context), Poll::Pending);
        }
        lease.keep_deadline(9);
        table.tick();
        assert_eq!(lease.poll_deadline(&mut context), Poll::Ready(()));
        lease.clear_deadline();
        assert_eq!(lease.poll_deadline(&mut context), Poll::Pending);
    }

    #[test]
    fn an_origin_holds_no_more_than_its_share() {
        let group = table().group(8, 2);
        let one = origin("192.0.2.1");
        let _leases = [group.take(one).unwrap(), group.take(origin("::ffff:192.0.2.1")).unwrap()];
        assert_eq!(group.take(one).err(), Some(RefuseReason::AddressLimit));
        assert!(group.take(origin("192.0.2.2")).is_ok());
        // All of 2001:db8:0:1::/64 is one machine's.
        let _more =
            ["2001:db8:0:1::1", "2001:db8:0:1::2"].map(|address| group.take(origin(address)).unwrap());
        assert_eq!(group.take(origin("2001:db8:0:1::3")).err(), Some(RefuseReason::AddressLimit));
        assert!(group.take(origin("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn the_longest_silent_of_the_greediest_goes() {
        let group = table().group(4, 4);
        let [greedy, modest, new] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(origin);
        let leases: Vec<_> = [greedy, modest, greedy, greedy]
            .into_iter()
            .map(|origin| {
                let lease = group.take(origin).unwrap();
                lease.task_handle().keep(busy());
                lease
            })
            .collect();
        leases[0].note_read(10);
        assert_eq!(group.take(new).err(), Some(RefuseReason::Limit));
        assert!(group.evict(greedy).is_none(), "nobody makes room for itself");
        assert!(group.evict(new).is_some());
        let is_kept: Vec<_> = group.entries.iter().map(|entry| entry.task.borrow().is_some()).collect();
        assert_eq!(is_kept, [true, true, false, true]);
        group.close_all_tasks();
    }

    impl ConnectionGroup {
        fn close_all_tasks(&self) {
            self.entries.iter().for_each(|entry| drop(entry.task.take()));
        }
    }

    #[test]
    fn who_read_much_within_two_seconds_is_brisk() {
        let table = table();
        let lease = table.group(1, 1).take(Origin::Remote).unwrap();
        assert!(!lease.is_brisk());
        lease.note_read(BRISK_BYTES as usize);
        assert!(lease.is_brisk());
        table.tick();
        assert!(lease.is_brisk());
        lease.note_read(1);
        assert!(lease.is_brisk());
        table.tick();
        lease.note_read(1);
        assert!(!lease.is_brisk());
    }
}
