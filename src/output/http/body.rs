//! A batch of records as the body of a request.
//!
//! ```text
//! ndjson      {...}\n
//! clickhouse  {...}\n                          JSONEachRow: keys with `_`, times without `T` and offset
//! elastic     {"create":{}}\n{...}\n           bulk: works for an index and for a data stream
//! loki        {"streams":[{"stream":{"job":"dnstapd","identity":"lb1"},"values":[["NANOSECONDS","{...}"],...]},...]}
//! ```
//!
//! A batch stays as it is until it was settled: what is sent again is the same to the byte. Of a bulk
//! request those items stay that are to be sent again.

use super::{BodyFormat, BulkAnswer, Compression, StatusVerdict};
use crate::limits::{self, PUSH_RECORD_BYTES};
use crate::output::{DropReason, Outlet};

use super::gzip::{self, Gzip};
use super::loki;

/// A batch, and the buffers for it.
#[derive(Debug)]
pub(crate) struct RecordBatch {
    format: BodyFormat,
    /// Bytes of a batch at most, unless one record has more.
    full: usize,
    body: Vec<u8>,
    /// The identity of the stream of Loki's that is open.
    label: Vec<u8>,
    /// One record in one piece.
    room: Vec<u8>,
    records: u64,
    /// Bytes that the records had in the queue.
    queued: usize,
    gzip: Option<(Gzip, Vec<u8>)>,
    packed: bool,
}

impl RecordBatch {
    /// Buffers for batches of that many bytes.
    pub(crate) fn new(format: BodyFormat, bytes: usize, compression: Compression) -> Self {
        let most = body_max(bytes);
        let gzip = (compression == Compression::Gzip && most <= gzip::INPUT_MAX)
            .then(|| (Gzip::new(), reserved(packed_max(most))));
        RecordBatch {
            format,
            full: bytes,
            body: reserved(most),
            label: Vec::with_capacity(loki::LABEL_BYTES),
            room: Vec::with_capacity(PUSH_RECORD_BYTES),
            records: 0,
            queued: 0,
            gzip,
            packed: false,
        }
    }

    /// Bytes of the buffers.
    pub(crate) fn cost(bytes: usize, compression: Compression) -> usize {
        let most = body_max(bytes);
        let gzip = match compression {
            Compression::Gzip => limits::PUSH_GZIP_BYTES + packed_max(most),
            Compression::None => 0,
        };
        most + gzip + PUSH_RECORD_BYTES + loki::LABEL_BYTES
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Records in it.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Takes records out of the queue, as many as there are and fit.
    pub(crate) fn fill(&mut self, outlet: &Outlet) {
        self.body.clear();
        self.label.clear();
        (self.records, self.queued, self.packed) = (0, 0, false);
        loop {
            let added = outlet.send_first_with(|pieces| self.add(pieces));
            match added {
                Some(Ok(())) => {}
                // Not to be: a record that is longer than any can be.
                Some(Err(())) if self.records == 0 => outlet.drop_first(DropReason::Oversize),
                _ => break,
            }
        }
        if self.format == BodyFormat::Loki && self.records > 0 {
            self.body.extend_from_slice(loki::END);
        }
    }

    /// Adds a record; leaves the batch as it was when it does not fit.
    fn add(&mut self, pieces: [&[u8]; 2]) -> Result<(), ()> {
        let before = self.body.len();
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if length > PUSH_RECORD_BYTES / 2 {
            return Err(());
        }
        self.room.clear();
        pieces.iter().for_each(|piece| self.room.extend_from_slice(piece));
        match self.format {
            BodyFormat::Ndjson => self.body.extend_from_slice(&self.room),
            BodyFormat::ClickHouse => super::clickhouse::rewrite(&self.room, &mut self.body),
            BodyFormat::Elastic => {
                self.body.extend_from_slice(ACTION);
                self.body.extend_from_slice(&self.room);
            }
            BodyFormat::Loki => loki::add(&self.room, &self.label, &mut self.body),
        }
        // There is room for one record more than is sent; a batch of one may be longer.
        if before > 0 && self.body.len() > self.full {
            self.body.truncate(before);
            return Err(());
        }
        if self.format == BodyFormat::Loki {
            self.label.clear();
            self.label.extend_from_slice(loki::label(&self.room));
        }
        self.records += 1;
        self.queued += length;
        Ok(())
    }

    /// Compresses the next piece; `true` when all is.
    pub(crate) fn pack_on(&mut self) -> bool {
        let Some((gzip, packed)) = &mut self.gzip else { return true };
        if self.packed {
            return true;
        }
        if packed.is_empty() {
            gzip.begin(packed);
        }
        self.packed = gzip.step(&self.body, packed);
        self.packed
    }

    /// The bytes to send, and whether they are compressed.
    pub(crate) fn bytes(&self) -> (&[u8], bool) {
        match &self.gzip {
            Some((_, packed)) if self.packed => (packed, true),
            _ => (&self.body, false),
        }
    }

    /// Settles all of it.
    pub(crate) fn settle(&mut self, outlet: &Outlet, reason: Option<DropReason>) {
        match reason {
            None => outlet.settle_delivered(self.records, self.queued),
            Some(reason) => outlet.settle_lost(self.records, self.queued, reason),
        }
        (self.records, self.queued) = (0, 0);
        self.repack();
    }

    /// Settles the items of a bulk request, each as the answer says; those to be sent again stay.
    pub(crate) fn settle_items(&mut self, outlet: &Outlet, answer: &BulkAnswer) -> u64 {
        let mut refused = 0;
        let (mut from, mut to, mut item) = (0, 0, 0);
        while from < self.body.len() {
            let rest = self.body.get(from..).unwrap_or_default();
            let mut ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
            let (_, end) = (ends.next(), ends.next());
            let end = from + end.unwrap_or(rest.len());
            let bytes = end - from - ACTION.len().min(end - from);
            match answer.verdict(item) {
                StatusVerdict::Taken => outlet.settle_delivered(1, bytes),
                StatusVerdict::Refused => {
                    outlet.settle_lost(1, bytes, DropReason::Refused);
                    refused += 1;
                }
                StatusVerdict::Again => {
                    self.body.copy_within(from..end, to);
                    to += end - from;
                }
            }
            if answer.verdict(item) != StatusVerdict::Again {
                self.records = self.records.saturating_sub(1);
                self.queued = self.queued.saturating_sub(bytes);
            }
            (from, item) = (end, item + 1);
        }
        self.body.truncate(to);
        self.repack();
        refused
    }

    fn repack(&mut self) {
        self.packed = false;
        if let Some((_, packed)) = &mut self.gzip {
            packed.clear();
        }
    }
}

/// Bytes that a body may have: a batch, and the record that turns out to be too much.
fn body_max(batch: usize) -> usize {
    batch + PUSH_RECORD_BYTES
}

/// Bytes that a compressed body may have: each byte nine bits, and header and end.
fn packed_max(bytes: usize) -> usize {
    bytes + bytes / 8 + 32
}

/// A buffer whose pages are there from now on.
fn reserved(bytes: usize) -> Vec<u8> {
    let mut buffer = limits::table(bytes, 0).into_vec();
    buffer.clear();
    buffer
}

/// The line before each document of a bulk request.
const ACTION: &[u8] = b"{\"create\":{}}\n";
