//! `/streams`: the JSON document.
//!
//! ```text
//! {"streams": ["lb1", "ns1"]}
//! ```

use core::fmt::{self, Write};

use super::counters::write_string;
use crate::http::App;
use crate::http::body_chunk::{BodyChunk, ChunkedDocument};

/// The identities of all streams.
pub(crate) struct StreamList<'a> {
    app: App<'a>,
    /// Opening and identities written.
    written: usize,
}

impl<'a> StreamList<'a> {
    /// Nothing written yet.
    pub(crate) fn new(app: App<'a>) -> Self {
        StreamList { app, written: 0 }
    }
}

impl ChunkedDocument for StreamList<'_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        if self.written == 0 {
            chunk.whole(|out| out.write_str("{\"streams\": ["))?;
            self.written = 1;
        }
        let statistics = self.app.statistics.borrow();
        for (_, identity) in statistics.streams().skip(self.written - 1) {
            let separator = if self.written > 1 { ", " } else { "" };
            chunk.whole(|out| {
                out.write_str(separator)?;
                write_string(out, identity)
            })?;
            self.written += 1;
        }
        chunk.whole(|out| out.write_str("]}"))
    }
}
