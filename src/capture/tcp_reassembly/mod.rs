//! DNS over TCP: messages with their length before them, reassembled from the segments of a connection.
//!
//! ```text
//! sequence   next                            each direction is a flow of its own
//!              | length 2 | message ... | length 2 | message ...
//!              |== held ==|    hole     |== held ==|==== held ====|
//!                time 1                   time 2     time 3
//! ```
//!
//! Most segments carry whole messages, in order: those are read where they lie. What is left over, or comes
//! too early, is held in a block, of which there are few; a flow that needs one when all are taken gets that
//! of the flow that has waited longest, of which is read what can be read. Each segment that is held keeps
//! its time, so a message bears the time at which its first byte was captured, however late its last one
//! comes.
//!
//! # Holes
//!
//! A part that never came (the kernel had no room, the path changed) is given up when what lies after it has
//! waited for [`hold::HOLE_MS`], when the other side acknowledges it (so it was there, and we did not see
//! it), when the connection ends, and when the capture does. Where a message is cut by the hole and its end
//! lies in what is held, reading goes on there; else at the first segment that begins like a message
//! ([`Start`]), and so does a connection that was there before us.
//!
//! # Repetitions
//!
//! Bytes that were read already are not read again, however they are cut; a SYN with the number of the one
//! that began the flow is the same SYN, its data included.
//!
//! Waits run on the clock that comes with each packet, in milliseconds: the monotonic one, and in a replay
//! that of the packets.

mod hold;

use super::flow_table::FlowTable;
use super::message_start::Start;
use super::transport::TcpSegment;
use super::{FiveTuple, Ignored};
use crate::limits::{self, Limits};
use crate::time::Time;
use crate::wire::cursor::Cursor;
use hold::{HeldSegments, PARTS};

/// Bytes of a block: the longest message and its length.
const BLOCK_BYTES: usize = (64 << 10) + 2;

/// How far back a segment can be a repetition; one from further away is of another connection.
const REPEATED: u32 = 1 << 20;

/// The flows of all connections.
#[derive(Debug)]
pub(super) struct TcpReassembler {
    flows: FlowTable<TcpFlow>,
    holds: Box<[HeldSegments]>,
    /// A block of [`BLOCK_BYTES`] for each of `holds`.
    blocks: Box<[u8]>,
    /// When the next hold has waited long enough, or earlier; `u64::MAX` when nothing is held.
    deadline: u64,
}

/// One direction of a connection.
#[derive(Clone, Debug)]
struct TcpFlow {
    /// Number of the byte that begins the next message, or of the first that is held.
    next: u32,
    /// Number of the first byte, when the SYN was seen.
    first: Option<u32>,
    /// Whether a message begins at `next`.
    synchronized: bool,
    /// It has ended. It is kept to know repetitions by, as long as nobody needs its place.
    closed: bool,
    /// Its place in `holds`.
    hold: Option<u32>,
}

/// Where messages go: who speaks to whom, the time of the first byte, the message.
pub(super) type EmitMessage<'e> = dyn FnMut(FiveTuple, Option<Time>, &[u8]) + 'e;

/// Where what is lost is counted.
type Count<'c> = dyn Fn(Ignored) + 'c;

impl TcpReassembler {
    /// Bytes of the tables.
    pub(crate) const fn cost(limits: &Limits) -> usize {
        limits.flow_blocks * (BLOCK_BYTES + size_of::<HeldSegments>())
            + FlowTable::<TcpFlow>::cost(limits.flows)
    }

    pub(crate) fn new(limits: &Limits) -> Self {
        let free = HeldSegments { flow: None, since: 0, parts: heapless::Vec::new() };
        TcpReassembler {
            flows: FlowTable::new(limits.flows),
            holds: limits::table(limits.flow_blocks, free),
            blocks: limits::table(limits.flow_blocks * BLOCK_BYTES, 0),
            deadline: u64::MAX,
        }
    }

    /// Takes a segment, captured at `time` and `clock`; hands on the messages that it completes.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn take(
        &mut self,
        tuple: FiveTuple,
        segment: &TcpSegment<'_>,
        (time, clock): (Option<Time>, u64),
        count: &Count<'_>,
        emit: &mut EmitMessage<'_>,
    ) {
        if let Some(acknowledged) = segment.acknowledged.filter(|_| self.deadline < u64::MAX) {
            self.acknowledge(&tuple.reversed(), acknowledged, clock, count, emit);
        }
        let first = segment.sequence.wrapping_add(u32::from(segment.syn));
        let begin = TcpFlow {
            next: first,
            first: segment.syn.then_some(first),
            synchronized: segment.syn,
            closed: false,
            hold: None,
        };
        let at = match self.flows.find(&tuple) {
            Some(at) => {
                self.flows.make_newest(at);
                let is_repeated = self.flows.get(at).is_some_and(|flow| flow.first == Some(first));
                if segment.syn && !is_repeated {
                    self.read_what_is_held(at, clock, count, emit);
                    if let Some(flow) = self.flows.get_mut(at) {
                        *flow = begin;
                    }
                }
                at
            }
            None if segment.payload.is_empty() && !segment.syn => return,
            None => {
                let (oldest, forgotten) = self.flows.oldest();
                if forgotten.is_some_and(|flow| !flow.closed) {
                    count(Ignored::Connection);
                    self.read_what_is_held(oldest, clock, count, emit);
                }
                self.flows.insert(tuple, begin)
            }
        };
        if !segment.payload.is_empty() {
            self.put(at, first, segment.payload, (time, clock), count, emit);
        }
        if segment.fin {
            self.read_what_is_held(at, clock, count, emit);
            if let Some(flow) = self.flows.get_mut(at) {
                flow.closed = true;
            }
            self.flows.make_oldest(at);
        }
    }

    /// When [`expire`](Self::expire) is to be called at the latest, on the clock of the packets.
    pub(crate) fn deadline(&self) -> Option<u64> {
        Some(self.deadline).filter(|deadline| *deadline < u64::MAX)
    }

    /// Gives up what has waited long enough.
    pub(crate) fn expire(&mut self, clock: u64, count: &Count<'_>, emit: &mut EmitMessage<'_>) {
        if clock < self.deadline {
            return;
        }
        for at in 0..self.holds.len() {
            let Some(hold) = self.holds.get(at) else { break };
            if let Some(flow) = hold.flow.filter(|_| clock >= hold.deadline()) {
                self.give_up(flow, clock, count, emit);
            }
        }
        let next = self.holds.iter().filter(|hold| hold.flow.is_some()).map(HeldSegments::deadline).min();
        self.deadline = next.unwrap_or(u64::MAX);
    }

    /// The end of a capture: reads of what is held what can be read, and forgets all flows.
    pub(crate) fn finish(&mut self, clock: u64, count: &Count<'_>, emit: &mut EmitMessage<'_>) {
        for at in 0..self.holds.len() {
            if let Some(flow) = self.holds.get(at).and_then(|hold| hold.flow) {
                self.read_what_is_held(flow, clock, count, emit);
            }
        }
        self.flows.clear();
        self.deadline = u64::MAX;
    }

    /// The other side has all bytes up to a number: a hole before it is one in our capture alone, and nothing
    /// will fill it.
    fn acknowledge(
        &mut self,
        tuple: &FiveTuple,
        acknowledged: u32,
        clock: u64,
        count: &Count<'_>,
        emit: &mut EmitMessage<'_>,
    ) {
        let Some(at) = self.flows.find(tuple) else { return };
        for _ in 0..PARTS {
            let Some((flow, hold)) = self.flows.get(at).zip(self.hold(at)) else { return };
            let Some(after) = hold.after_hole() else { return };
            // Half of all numbers are ahead of `next`, those of a block among them.
            let ahead = acknowledged.wrapping_sub(flow.next);
            if ahead >= 1 << 31 || (ahead as usize) < after {
                return;
            }
            self.give_up(at, clock, count, emit);
        }
    }

    /// Reads a payload whose first byte has the number `first`.
    fn put(
        &mut self,
        at: u32,
        first: u32,
        mut payload: &[u8],
        (time, clock): (Option<Time>, u64),
        count: &Count<'_>,
        emit: &mut EmitMessage<'_>,
    ) {
        let Some(tuple) = self.flows.tuple(at) else { return };
        let Some(flow) = self.flows.get_mut(at) else { return };
        if !flow.synchronized && flow.hold.is_none() {
            flow.next = first;
        }
        // Numbers wrap, so "before" is a small step back: next = 10, first = 8 gives an offset of 2^32 - 2,
        // which is 2 back. Of 8..13 the bytes 8 and 9 were read; 10, 11 and 12 are new and lie at offset 0.
        // What is further back than any repetition, or ahead of what a block holds, belongs to another
        // connection with the same ports, or comes after a loss of that size.
        let mut offset = first.wrapping_sub(flow.next);
        let back = offset.wrapping_neg();
        if back <= REPEATED && back > 0 {
            payload = payload.get(back as usize..).unwrap_or_default();
            offset = 0;
        }
        if payload.is_empty() {
            return;
        }
        let offset = offset as usize;
        if offset > 0 && offset.saturating_add(payload.len()) > BLOCK_BYTES {
            count(Ignored::Gap);
            self.read_what_is_held(at, clock, count, emit);
            if let Some(flow) = self.flows.get_mut(at) {
                (flow.next, flow.synchronized) = (first, false);
            }
            return self.put_first(at, tuple, payload, (time, clock), count, emit);
        }
        if offset == 0 && self.hold(at).is_none() {
            return self.put_first(at, tuple, payload, (time, clock), count, emit);
        }
        self.keep(at, offset, payload, (time, clock), count, emit);
        self.read_block(at, clock, count, emit);
    }

    /// Reads a payload that begins at `next` of a flow that holds nothing: where it lies, up to what is left
    /// over.
    fn put_first(
        &mut self,
        at: u32,
        tuple: FiveTuple,
        mut payload: &[u8],
        (time, clock): (Option<Time>, u64),
        count: &Count<'_>,
        emit: &mut EmitMessage<'_>,
    ) {
        let Some(flow) = self.flows.get_mut(at) else { return };
        if !flow.synchronized {
            match Start::of(payload) {
                Start::Message => flow.synchronized = true,
                Start::Other => return count(Ignored::Gap),
                // Such as the two bytes of a length in a segment of their own: the next segment tells.
                Start::Undecided => {}
            }
        }
        if flow.synchronized {
            let read = read_messages(payload, |_, message| emit(tuple, time, message));
            flow.next = flow.next.wrapping_add(read as u32);
            payload = payload.get(read..).unwrap_or_default();
        }
        if !payload.is_empty() {
            self.keep(at, 0, payload, (time, clock), count, emit);
        }
    }

    /// Holds a payload in the block of its flow.
    fn keep(
        &mut self,
        at: u32,
        offset: usize,
        payload: &[u8],
        (time, clock): (Option<Time>, u64),
        count: &Count<'_>,
        emit: &mut EmitMessage<'_>,
    ) {
        let Some(number) = self.hold_of(at, clock, count, emit) else { return };
        let block = self.blocks.chunks_exact_mut(BLOCK_BYTES).nth(number as usize);
        let Some((hold, block)) = self.holds.get_mut(number as usize).zip(block) else { return };
        let had_hole = hold.after_hole().is_some();
        if let Err(reason) = hold.put(offset, payload, time, block) {
            count(reason);
            self.read_what_is_held(at, clock, count, emit);
            return;
        }
        if !had_hole && hold.after_hole().is_some() {
            hold.since = clock;
        }
        let deadline = hold.deadline();
        self.deadline = self.deadline.min(deadline);
    }

    /// The hold of a flow: its own, a free one, or that of the flow that has waited longest.
    fn hold_of(&mut self, at: u32, clock: u64, count: &Count<'_>, emit: &mut EmitMessage<'_>) -> Option<u32> {
        if let Some(number) = self.flows.get(at)?.hold {
            return Some(number);
        }
        let waits_since = |hold: &HeldSegments| hold.flow.map(|_| hold.since);
        let (number, hold) = self.holds.iter().enumerate().min_by_key(|(_, hold)| waits_since(hold))?;
        if let Some(other) = hold.flow {
            count(Ignored::Connection);
            self.read_what_is_held(other, clock, count, emit);
        }
        let hold = self.holds.get_mut(number)?;
        (hold.flow, hold.since) = (Some(at), clock);
        let number = u32::try_from(number).ok()?;
        self.flows.get_mut(at)?.hold = Some(number);
        Some(number)
    }

    fn hold(&self, at: u32) -> Option<&HeldSegments> {
        self.holds.get(self.flows.get(at)?.hold? as usize)
    }

    /// Reads the messages that are whole at the beginning of what a flow holds, once it is known where they
    /// begin.
    fn read_block(&mut self, at: u32, clock: u64, count: &Count<'_>, emit: &mut EmitMessage<'_>) {
        if !self.synchronize(at, count) {
            return;
        }
        let Some((tuple, hold)) = self.flows.tuple(at).zip(self.hold(at)) else { return };
        let read =
            read_messages(self.held(at, 0), |offset, message| emit(tuple, hold.time_at(offset), message));
        self.advance(at, read, clock);
    }

    /// Finds out where messages begin, if that is not known: drops segments that do not begin like one.
    /// Whether it is known now.
    fn synchronize(&mut self, at: u32, count: &Count<'_>) -> bool {
        if self.flows.get(at).is_none_or(|flow| flow.synchronized) {
            return true;
        }
        let Some(hold) = self.hold(at) else { return false };
        let starts = hold.parts.iter().map(|part| part.from);
        let found = starts
            .map(|from| (from, Start::of(self.held(at, from))))
            .find(|(_, start)| *start != Start::Other);
        let Some((from, start)) = found else {
            count(Ignored::Gap);
            self.release(at);
            return false;
        };
        let since = hold.since;
        self.advance(at, from, since);
        if let Some(flow) = self.flows.get_mut(at) {
            flow.synchronized = start == Start::Message;
        }
        start == Start::Message
    }

    /// The bytes that a flow holds from an offset on, up to the next hole.
    fn held(&self, at: u32, from: usize) -> &[u8] {
        let number = self.flows.get(at).and_then(|flow| flow.hold);
        let Some((hold, number)) = self.hold(at).zip(number) else { return &[] };
        let block = self.blocks.chunks_exact(BLOCK_BYTES).nth(number as usize).unwrap_or_default();
        block.get(from..hold.end_of_run(from)).unwrap_or_default()
    }

    /// Moves the beginning of a flow on, over what was read or given up.
    #[cfg_attr(for_size, optimize(speed))]
    fn advance(&mut self, at: u32, bytes: usize, clock: u64) {
        let Some(flow) = self.flows.get_mut(at) else { return };
        if bytes == 0 {
            return;
        }
        flow.next = flow.next.wrapping_add(bytes as u32);
        let Some(number) = flow.hold else { return };
        let block = self.blocks.chunks_exact_mut(BLOCK_BYTES).nth(number as usize);
        let Some((hold, block)) = self.holds.get_mut(number as usize).zip(block) else { return };
        let end = hold.parts.last().map_or(0, |part| part.to);
        block.copy_within(bytes.min(end)..end, 0);
        for part in &mut hold.parts {
            (part.from, part.to) = (part.from.saturating_sub(bytes), part.to.saturating_sub(bytes));
        }
        hold.parts.retain(|part| part.from < part.to);
        hold.since = clock;
        if hold.parts.is_empty() {
            self.release(at);
        }
    }

    /// Gives up what is missing before or after the first bytes that a flow holds, and reads on.
    fn give_up(&mut self, at: u32, clock: u64, count: &Count<'_>, emit: &mut EmitMessage<'_>) {
        let Some((flow, hold)) = self.flows.get(at).zip(self.hold(at)) else { return };
        count(Ignored::Gap);
        let end = hold.parts.last().map_or(0, |part| part.to);
        // The message that is cut by the hole says itself where the next one begins, unless that is lost,
        // too.
        let next = match self.held(at, 0) {
            [high, low, ..] if flow.synchronized => Some(2 + usize::from(u16::from_be_bytes([*high, *low]))),
            _ => None,
        };
        let is_held =
            |next: &usize| *next >= end || hold.parts.iter().any(|part| (part.from..part.to).contains(next));
        let (to, synchronized) = match next.filter(is_held) {
            Some(next) => (next, true),
            None => (hold.after_hole().unwrap_or(end), false),
        };
        self.advance(at, to, clock);
        if let Some(flow) = self.flows.get_mut(at) {
            flow.synchronized = synchronized;
        }
        self.read_block(at, clock, count, emit);
    }

    /// Reads of what a flow holds what can be read, without waiting for what is missing, and gives its hold
    /// back.
    fn read_what_is_held(&mut self, at: u32, clock: u64, count: &Count<'_>, emit: &mut EmitMessage<'_>) {
        // Each time at least one part goes.
        for _ in 0..=PARTS {
            if self.hold(at).is_none() {
                return;
            }
            self.give_up(at, clock, count, emit);
        }
        self.release(at);
    }

    /// Gives back the hold of a flow.
    fn release(&mut self, at: u32) {
        let Some(number) = self.flows.get_mut(at).and_then(|flow| flow.hold.take()) else { return };
        if let Some(hold) = self.holds.get_mut(number as usize) {
            hold.flow = None;
            hold.parts.clear();
        }
    }
}

/// Hands on the messages that are whole, each with its offset, and says how many bytes they took with their
/// lengths.
fn read_messages(bytes: &[u8], mut emit: impl FnMut(usize, &[u8])) -> usize {
    let mut rest = Cursor::new(bytes);
    let mut read = 0;
    while let Some(message) = rest.u16().and_then(|length| rest.take(length.into())) {
        emit(read, message);
        read += 2 + message.len();
    }
    read
}
