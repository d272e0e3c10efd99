//! The answer to a bulk request of Elasticsearch and OpenSearch: which item was taken, which not.
//!
//! ```text
//! {"took":3,"errors":true,"items":[{"create":{"status":201,...}},{"create":{"status":429,"error":{...}}}]}
//! depth 1                  2        3         4
//! ```
//!
//! It is read as it comes, byte by byte, and nothing of it is kept but a verdict for each item.

use super::StatusVerdict;

/// The reader of an answer.
#[derive(Debug, Default)]
pub(crate) struct BulkAnswer {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The last string, when it is short.
    word: heapless::Vec<u8, 8>,
    /// Whether the list of items is open.
    in_items: bool,
    /// Whether the status of an item comes next, and its digits so far.
    status: Option<u16>,
    /// Items that were read.
    items: usize,
    verdicts: Vec<StatusVerdict>,
    /// Items there are places for.
    most: usize,
}

impl BulkAnswer {
    /// A reader with room for that many items.
    pub(crate) fn new(most: usize) -> Self {
        BulkAnswer { verdicts: Vec::with_capacity(most), most, ..BulkAnswer::default() }
    }

    /// Begins another answer.
    pub(crate) fn begin(&mut self) {
        let verdicts = core::mem::take(&mut self.verdicts);
        *self = BulkAnswer { verdicts, most: self.most, ..BulkAnswer::default() };
        self.verdicts.clear();
    }

    /// The verdict on an item; one that the answer does not speak of was taken with the others.
    pub(crate) fn verdict(&self, item: usize) -> StatusVerdict {
        self.verdicts.get(item).copied().unwrap_or(StatusVerdict::Taken)
    }

    /// Reads on.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.read_byte(byte));
    }

    fn read_byte(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                // One that is too long is none of ours: it is cut, and has one letter too many.
                byte => drop(self.word.push(byte)),
            }
            return;
        }
        if let (Some(status), b'0'..=b'9') = (self.status, byte) {
            self.status = Some(status.saturating_mul(10).saturating_add(u16::from(byte - b'0')));
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.word.clear();
            }
            b':' => match (self.depth, self.word.as_slice()) {
                (1, word) => self.in_items = word == b"items",
                (4, b"status") if self.in_items => self.status = Some(0),
                _ => {}
            },
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.judge();
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 2 && byte == b'}' && self.in_items {
                    self.end_item();
                }
            }
            b',' => self.judge(),
            _ => {}
        }
    }

    /// Keeps the verdict of a status that was read.
    fn judge(&mut self) {
        if let Some(status) = self.status.take().filter(|_| self.verdicts.len() < self.most) {
            self.verdicts.push(StatusVerdict::of(status));
        }
    }

    /// An item without a status leaves those after it without a place of their own: it was taken.
    fn end_item(&mut self) {
        self.items += 1;
        if self.verdicts.len() < self.items.min(self.most) {
            self.verdicts.push(StatusVerdict::Taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StatusVerdict::{Again, Refused, Taken};

    fn check(answer: &str, expected: &[StatusVerdict]) {
        for cut in 0..answer.len() {
            let mut bulk = BulkAnswer::new(4);
            bulk.begin();
            let (first, rest) = answer.as_bytes().split_at(cut);
            bulk.read(first);
            bulk.read(rest);
            assert_eq!(bulk.verdicts, expected, "{answer}");
        }
    }

    #[test]
    fn each_item_is_judged() {
        check(
            r#"{"took":30,"errors":true,"items":[{"create":{"_index":"i","status":201}},
            {"create":{"status":400,"error":{"type":"x\"}],","reason":"y","caused_by":{"status":201}}}},
            {"create" : { "error":{"status":500}, "status" : 429 }}]}"#,
            &[Taken, Refused, Again],
        );
        check(r#"{"items":[{"index":{}},{"index":{"status":503}}],"status":400}"#, &[Taken, Again]);
        check(r#"{"status":400,"x":[{"y":{"status":400}}]}"#, &[]);
        check("[]", &[]);
        check("}}]],,\"\\", &[]);
    }

    #[test]
    fn items_beyond_the_room_are_taken() {
        let mut bulk = BulkAnswer::new(1);
        bulk.read(br#"{"items":[{"c":{"status":400}},{"c":{"status":400}}]}"#);
        assert_eq!((bulk.verdict(0), bulk.verdict(1)), (Refused, Taken));
    }
}
