//! DNS over TCP: messages with their length before them, reassembled from the segments of a connection.
//!
//! ```text
//! sequence   next                        each direction is a flow of its own
//!              | length 2 | message ... | length 2 | message ...
//!              |== there ==|    missing     |== there ==|
//! ```
//!
//! Most segments carry whole messages, in order: those are read where they lie. What is left over, or comes too
//! early, is copied into a block, of which there are few; a flow that has none takes that of the flow that has
//! waited longest, which then begins anew. A part that never came (the kernel had no room, the path changed) is
//! given up when what is behind it has waited for [`GAP_TIMEOUT_SECONDS`], or when the connection ends; messages begin
//! again where a segment does.
//!
//! A connection that was there before us is read from the first segment that begins like a message.

use super::transport::TcpSegment;
use super::{FiveTuple, Ignored};
use crate::limits::{self, Limits};
use crate::time::Time;
use crate::wire::cursor::Cursor;

/// Bytes of a block: the longest message and its length.
const BLOCK_BYTES: usize = (64 << 10) + 2;

/// Pieces of a flow that wait for what is missing between them.
const PIECES: usize = 8;

/// Seconds after which a missing part is given up.
const GAP_TIMEOUT_SECONDS: u64 = 2;

/// How far back a segment can be a repetition; one from further away is of another connection.
const REPEATED: u32 = 1 << 20;

/// The flows of all connections.
#[derive(Debug)]
pub(super) struct TcpReassembler {
    flows: Box<[Option<Flow>]>,
    blocks: Box<[u8]>,
    /// The flow that has each block.
    block_owners: Box<[Option<usize>]>,
}

/// One direction of a connection.
#[derive(Clone, Debug)]
struct Flow {
    tuple: FiveTuple,
    /// Number of the byte that begins the next message.
    next: u32,
    /// Whether `next` is known to be right; while it is not, nothing waits.
    synchronized: bool,
    /// It has ended. It is kept to know repetitions by, as long as nobody needs its place.
    closed: bool,
    /// When its last segment was seen.
    last_seen: Time,
    /// When it began to wait.
    waiting_since: Time,
    block: Option<usize>,
    /// What is in the block: from and to, counted from `next`, in order, apart.
    pieces: heapless::Vec<(usize, usize), PIECES>,
}

/// Where messages go.
type Emit<'e> = dyn FnMut(&[u8]) + 'e;

impl TcpReassembler {
    /// Bytes of the table.
    pub const fn cost(limits: &Limits) -> usize {
        limits.flow_blocks * (BLOCK_BYTES + size_of::<Option<usize>>())
            + limits.flows * size_of::<Option<Flow>>()
    }

    pub fn new(limits: &Limits) -> Self {
        TcpReassembler {
            flows: limits::table(limits.flows, None),
            blocks: limits::table(limits.flow_blocks * BLOCK_BYTES, 0),
            block_owners: limits::table(limits.flow_blocks, None),
        }
    }

    /// Takes a segment; hands on the messages that it completes. `count` is told of what is lost.
    pub fn take(
        &mut self,
        tuple: FiveTuple,
        segment: &TcpSegment<'_>,
        time: Time,
        count: &dyn Fn(Ignored),
        emit: &mut Emit<'_>,
    ) {
        let known = self.flows.iter().position(|flow| flow.as_ref().is_some_and(|flow| flow.tuple == tuple));
        if known.is_none() && segment.payload.is_empty() && !segment.syn {
            return;
        }
        let at = known.unwrap_or_else(|| self.make_room(count));
        let first = segment.sequence.wrapping_add(u32::from(segment.syn));
        if known.is_none() || segment.syn {
            self.release(at);
            let flow = Flow {
                tuple,
                next: first,
                synchronized: segment.syn,
                closed: false,
                last_seen: time,
                waiting_since: time,
                block: None,
                pieces: heapless::Vec::new(),
            };
            if let Some(place) = self.flows.get_mut(at) {
                *place = Some(flow);
            }
        }
        self.put(at, first, segment.payload, time, count, emit);
        if segment.fin {
            self.finish(at, count, emit);
        }
    }

    /// A free place, or that of the flow that was silent longest, those that are closed first.
    fn make_room(&mut self, count: &dyn Fn(Ignored)) -> usize {
        let silence = |flow: &Option<Flow>| flow.as_ref().map(|flow| (!flow.closed, flow.last_seen));
        let oldest =
            self.flows.iter().enumerate().min_by_key(|(_, flow)| silence(flow)).map_or(0, |(at, _)| at);
        self.release(oldest);
        if let Some(Some(Flow { closed: false, .. })) = self.flows.get(oldest) {
            count(Ignored::Connection);
        }
        oldest
    }

    /// Gives back the block of a flow.
    fn release(&mut self, at: usize) {
        for owner in self.block_owners.iter_mut().filter(|owner| **owner == Some(at)) {
            *owner = None;
        }
        if let Some(Some(flow)) = self.flows.get_mut(at) {
            flow.block = None;
            flow.pieces.clear();
        }
    }

    /// Reads a payload whose first byte has the number `first`.
    fn put(
        &mut self,
        at: usize,
        first: u32,
        mut payload: &[u8],
        time: Time,
        count: &dyn Fn(Ignored),
        emit: &mut Emit<'_>,
    ) {
        let Some(Some(flow)) = self.flows.get_mut(at) else { return };
        flow.last_seen = time;
        if payload.is_empty() {
            return;
        }
        if !flow.synchronized {
            flow.next = first;
        }
        let mut offset = first.wrapping_sub(flow.next);
        let back = offset.wrapping_neg();
        if back <= REPEATED && back > 0 {
            // Its beginning was read already.
            payload = payload.get(back as usize..).unwrap_or_default();
            offset = 0;
        }
        let too_far = offset as usize + payload.len() > BLOCK_BYTES && offset > 0;
        let too_long = !flow.pieces.is_empty()
            && time.seconds.saturating_sub(flow.waiting_since.seconds) > GAP_TIMEOUT_SECONDS;
        if too_far {
            count(Ignored::Gap);
            self.restart(at);
            return self.put(at, first, payload, time, count, emit);
        }
        if too_long {
            self.skip_gap(at, count, emit);
            return self.put(at, first, payload, time, count, emit);
        }
        if payload.is_empty() {
            return;
        }
        let Some(Some(flow)) = self.flows.get_mut(at) else { return };
        if offset == 0 && flow.pieces.is_empty() {
            if !flow.synchronized && !begins_like_a_message(payload) {
                return count(Ignored::Gap);
            }
            flow.synchronized = true;
            let read = read_messages(payload, emit);
            flow.next = flow.next.wrapping_add(read as u32);
            payload = payload.get(read..).unwrap_or_default();
            if payload.is_empty() {
                return;
            }
        }
        self.keep(at, offset as usize, payload, time, count);
        self.read_block(at, emit);
    }

    /// Begins a flow anew, with the next segment that begins like a message.
    fn restart(&mut self, at: usize) {
        self.release(at);
        if let Some(Some(flow)) = self.flows.get_mut(at) {
            flow.synchronized = false;
        }
    }

    /// Keeps a piece in the block of its flow.
    fn keep(&mut self, at: usize, offset: usize, payload: &[u8], time: Time, count: &dyn Fn(Ignored)) {
        let Some(block) = self.block_of(at, time, count) else { return };
        let room = self.blocks.chunks_exact_mut(BLOCK_BYTES).nth(block);
        let (Some(Some(flow)), Some(room)) = (self.flows.get_mut(at), room) else { return };
        let end = offset + payload.len();
        let Some(place) = room.get_mut(offset..end) else {
            count(Ignored::Oversize);
            return self.restart(at);
        };
        place.copy_from_slice(payload);
        let (mut from, mut to) = (offset, end);
        // What it touches it becomes one with.
        flow.pieces.retain(|&(other_from, other_to)| {
            let apart = other_to < from || to < other_from;
            if !apart {
                (from, to) = (from.min(other_from), to.max(other_to));
            }
            apart
        });
        let place = flow.pieces.iter().take_while(|&&(other_from, _)| other_from < from).count();
        if flow.pieces.insert(place, (from, to)).is_err() {
            count(Ignored::Gap);
            self.restart(at);
        }
    }

    /// The block of a flow; one of its own, a free one, or that of the flow that has waited longest.
    fn block_of(&mut self, at: usize, time: Time, count: &dyn Fn(Ignored)) -> Option<usize> {
        if let Some(Some(Flow { block: Some(block), .. })) = self.flows.get(at) {
            return Some(*block);
        }
        let waiting_since = |owner: &Option<usize>| {
            owner.and_then(|flow| Some(self.flows.get(flow)?.as_ref()?.waiting_since))
        };
        let (block, owner) =
            self.block_owners.iter().enumerate().min_by_key(|(_, owner)| waiting_since(owner))?;
        if let Some(other) = *owner {
            count(Ignored::Connection);
            self.restart(other);
        }
        *self.block_owners.get_mut(block)? = Some(at);
        let flow = self.flows.get_mut(at)?.as_mut()?;
        (flow.block, flow.waiting_since) = (Some(block), time);
        Some(block)
    }

    /// Reads the messages that are whole in the block of a flow.
    fn read_block(&mut self, at: usize, emit: &mut Emit<'_>) {
        let Some(Some(flow)) = self.flows.get_mut(at) else { return };
        let room = flow.block.and_then(|block| self.blocks.chunks_exact_mut(BLOCK_BYTES).nth(block));
        let Some((room, &(0, there))) = room.zip(flow.pieces.first()) else { return };
        let read = read_messages(room.get(..there).unwrap_or_default(), emit);
        self.advance(at, read);
    }

    /// Moves the beginning of a flow on by what was read or given up.
    fn advance(&mut self, at: usize, bytes: usize) {
        let Some(Some(flow)) = self.flows.get_mut(at) else { return };
        if bytes == 0 {
            return;
        }
        let room = flow.block.and_then(|block| self.blocks.chunks_exact_mut(BLOCK_BYTES).nth(block));
        let (Some(room), Some(&(_, last))) = (room, flow.pieces.last()) else { return };
        room.copy_within(bytes.min(last)..last, 0);
        flow.next = flow.next.wrapping_add(bytes as u32);
        flow.waiting_since = flow.last_seen;
        for (from, to) in &mut flow.pieces {
            (*from, *to) = (from.saturating_sub(bytes), to.saturating_sub(bytes));
        }
        flow.pieces.retain(|&(from, to)| from < to);
        if flow.pieces.is_empty() {
            self.release(at);
        }
    }

    /// Gives up what is missing before the first piece, or the unfinished message that is there.
    fn skip_gap(&mut self, at: usize, count: &dyn Fn(Ignored), emit: &mut Emit<'_>) {
        count(Ignored::Gap);
        let Some(Some(flow)) = self.flows.get_mut(at) else { return };
        let bytes = match flow.pieces.as_slice() {
            [(0, _), (next, _), ..] => *next,
            [(0, end)] => *end,
            [(from, _), ..] => *from,
            [] => return,
        };
        self.advance(at, bytes);
        self.read_block(at, emit);
    }

    /// The connection is closed: what waits is read as far as it can be.
    fn finish(&mut self, at: usize, count: &dyn Fn(Ignored), emit: &mut Emit<'_>) {
        for _ in 0..=PIECES {
            match self.flows.get(at) {
                Some(Some(flow)) if !flow.pieces.is_empty() => self.skip_gap(at, count, emit),
                _ => break,
            }
        }
        self.release(at);
        if let Some(Some(flow)) = self.flows.get_mut(at) {
            flow.closed = true;
        }
    }
}

/// Hands on the messages that are whole, and tells how many bytes they took with their lengths.
fn read_messages(bytes: &[u8], emit: &mut Emit<'_>) -> usize {
    let mut rest = Cursor::new(bytes);
    let mut read = 0;
    while let Some(message) = rest.u16().and_then(|length| rest.take(length.into())) {
        emit(message);
        read += 2 + message.len();
    }
    read
}

/// Whether bytes begin with a length and a DNS header: one question, a known opcode.
fn begins_like_a_message(bytes: &[u8]) -> bool {
    let mut rest = Cursor::new(bytes);
    let (Some(length), Some([_, _, flags, _, 0, 1])) = (rest.u16(), rest.array()) else { return false };
    length >= 12 && matches!(flags >> 3 & 0x0f, 0 | 2 | 4 | 5)
}
