//! The messages that lines stand for, in an output that makes its own lines.

/// How many messages each line in the queue stands for, oldest first.
///
/// Lines are few, so there is room for some. Those beyond are counted with the newest that has room, which is
/// early by a line, and exact in all.
#[derive(Debug, Default)]
pub(super) struct LineWeights {
    waiting: heapless::Deque<u64, LINES>,
    /// Messages that no line stands for yet.
    pub(super) uncounted: u64,
}

impl LineWeights {
    #[cfg_attr(for_size, optimize(speed))]
    pub(super) fn push(&mut self, messages: u64) {
        if let Err(messages) = self.waiting.push_back(messages)
            && let Some(newest) = self.waiting.back_mut()
        {
            *newest += messages;
        }
    }

    pub(super) fn pop(&mut self, lines: u64) -> u64 {
        (0..lines).map_while(|_| self.waiting.pop_front()).sum()
    }
}

/// Lines whose messages are told apart.
const LINES: usize = 64;
