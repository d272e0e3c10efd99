//! Segments that came too early, or are the beginning of a message, each with its time: what is held of one
//! flow.

use crate::capture::Ignored;
use crate::time::Time;

/// Parts of a flow that are held, each with its time.
pub(super) const PARTS: usize = 16;

/// Milliseconds after which a hole is given up.
pub(super) const HOLE_MS: u64 = 2_000;

/// Milliseconds after which the rest of a message is given up, when nothing lies after it.
pub(super) const REST_MS: u64 = 30_000;

/// The segments that wait in a block.
#[derive(Clone, Debug)]
pub(super) struct HeldSegments {
    pub(super) flow: Option<u32>,
    /// When it began to wait, or last moved on.
    pub(super) since: u64,
    /// In order, apart or touching.
    pub(super) parts: heapless::Vec<HeldPart, PARTS>,
}

/// A part of what is held: the bytes `from..to` of the block, which begins at `next`; `from < to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldPart {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) time: Option<Time>,
}

impl HeldSegments {
    /// When it has waited long enough.
    pub(super) fn deadline(&self) -> u64 {
        self.since.saturating_add(if self.after_hole().is_some() { HOLE_MS } else { REST_MS })
    }

    /// Where the bytes after the first hole begin, if there is one.
    pub(super) fn after_hole(&self) -> Option<usize> {
        let end = self.end_of_run(0);
        self.parts.iter().map(|part| part.from).find(|from| *from > end || end == 0)
    }

    /// Where the bytes end that begin at `from` without a hole; `from` when there are none.
    pub(super) fn end_of_run(&self, from: usize) -> usize {
        self.parts
            .iter()
            .fold(from, |end, part| if (part.from..=part.to).contains(&end) { part.to } else { end })
    }

    /// When the byte at an offset was captured.
    pub(super) fn time_at(&self, offset: usize) -> Option<Time> {
        self.parts.iter().find(|part| (part.from..part.to).contains(&offset))?.time
    }

    /// Copies a payload into the block: those of its bytes that are not there yet, for what came first keeps
    /// its time.
    ///
    /// ```text
    /// held      |== time 1 ==|          |== time 2 ==|
    /// payload         |======= time 3 =======|
    /// then      |== time 1 ==|= time 3 =|== time 2 ==|
    /// ```
    pub(super) fn put(
        &mut self,
        offset: usize,
        payload: &[u8],
        time: Option<Time>,
        block: &mut [u8],
    ) -> Result<(), Ignored> {
        let end = offset + payload.len();
        if end > block.len() {
            return Err(Ignored::Oversize);
        }
        let mut from = offset;
        while from < end {
            let covering = self.parts.iter().find(|part| (part.from..part.to).contains(&from));
            if let Some(part) = covering {
                from = part.to;
                continue;
            }
            let number = self.parts.iter().take_while(|part| part.from < from).count();
            let to = self.parts.get(number).map_or(end, |after| after.from.min(end));
            let (Some(place), Some(bytes)) =
                (block.get_mut(from..to), payload.get(from - offset..to - offset))
            else {
                return Err(Ignored::Oversize);
            };
            place.copy_from_slice(bytes);
            self.insert(number, HeldPart { from, to, time })?;
            from = to;
        }
        Ok(())
    }

    /// Adds a part at its place: each segment stays one, for its time and because messages like to begin
    /// there. When there are too many, two that touch become one with the time of the first: a message that
    /// begins in the second then bears an earlier time, never a later one.
    fn insert(&mut self, number: usize, part: HeldPart) -> Result<(), Ignored> {
        let mut number = number;
        if self.parts.is_full() {
            let touching =
                self.parts.windows(2).position(|two| matches!(two, [one, other] if one.to == other.from));
            if let Some(first) = touching {
                let second = self.parts.remove(first + 1);
                if let Some(first) = self.parts.get_mut(first) {
                    first.to = second.to;
                }
                number -= usize::from(first + 1 < number);
            }
        }
        self.parts.insert(number, part).map_err(|_| Ignored::Gap)
    }
}
