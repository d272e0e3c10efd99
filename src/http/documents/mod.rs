//! The documents of the web API, each written chunk by chunk.

pub(super) mod config;
pub(super) mod counters;
pub(super) mod devices;
pub(super) mod health;
pub(super) mod log;
pub(super) mod log_filter;
pub(super) mod metrics;
pub(super) mod metrics_text;
pub(super) mod page;
pub(super) mod pairs;
pub(super) mod series;
pub(super) mod streams;
pub(super) mod tables;

use core::fmt;

use super::body_chunk::{BodyChunk, ChunkedDocument};
use super::response::JSON;

/// Makes the enum of all documents from one list: name, type, content type.
macro_rules! documents {
    ($($name:ident($document:ty) $content_type:expr;)*) => {
        /// A document on its way. They live in the worker, so each costs what the largest does.
        #[expect(clippy::large_enum_variant, reason = "one a request, and part of what a worker costs")]
        pub(crate) enum Document<'a, 'r> {
            $(#[doc = concat!("A [`", stringify!($document), "`].")] $name($document),)*
        }

        $(impl<'a, 'r> From<$document> for Document<'a, 'r> {
            fn from(document: $document) -> Self {
                Document::$name(document)
            }
        })*

        impl Document<'_, '_> {
            /// The content type.
            pub(super) fn content_type(&self) -> &'static str {
                match self {
                    $(Document::$name(_) => $content_type,)*
                }
            }
        }

        impl ChunkedDocument for Document<'_, '_> {
            fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
                match self {
                    $(Document::$name(document) => document.fill(chunk),)*
                }
            }
        }
    };
}

documents! {
    Metrics(metrics_text::Exposition<'a, 'r>) metrics_text::CONTENT_TYPE;
    Counters(counters::CounterList<'a, 'r>) JSON;
    Tables(tables::TableList<'a>) JSON;
    Streams(streams::StreamList<'a>) JSON;
    Upstreams(health::UpstreamList<'a>) JSON;
    Alarms(health::AlarmList<'a>) JSON;
    Log(log::LogPage<'a, 'r>) JSON;
    Series(series::SeriesArrays<'a>) JSON;
    Devices(devices::DeviceList<'a>) JSON;
    Pairs(pairs::PairList<'a, 'r>) JSON;
}

impl Document<'_, '_> {
    /// Goes on with what has to be known before the head of the answer is sent; `false` if nothing is left to
    /// be done. Other work has its turn in between.
    pub(super) fn prepare(&mut self) -> bool {
        match self {
            Document::Log(page) => page.prepare(),
            Document::Pairs(pairs) => pairs.prepare(),
            _ => false,
        }
    }

    /// The cursor of the page that follows, if the head of the answer says it.
    pub(super) fn next_cursor(&self) -> Option<log::CursorText> {
        match self {
            Document::Log(page) => page.next_cursor(),
            _ => None,
        }
    }
}
