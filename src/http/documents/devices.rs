//! `/devices`: the devices that asked, those with most queries first.
//!
//! ```text
//! {"devices": [{"name": "tv", "addresses": ["192.168.1.5"], "mac": "aa:bb:cc:dd:ee:ff", "first-seen": "...", "last-seen": "...",
//!   "queries": 120, "blocked": 7}]}
//! ```

use core::fmt::{self, Write};

use super::counters::write_string;
use crate::decimal::write_address;
use crate::history::History;
use crate::http::App;
use crate::http::body_chunk::{BodyChunk, ChunkedDocument};
use crate::names::{Device, DeviceId};
use crate::time::{Time, write_timestamp};

/// The devices.
pub(crate) struct DeviceList<'a> {
    app: App<'a>,
    left: usize,
    is_open: bool,
    /// Queries and number of the device that was written last.
    last: Option<(u32, DeviceId)>,
}

impl<'a> DeviceList<'a> {
    /// Nothing written yet of that many devices.
    pub(crate) fn new(app: App<'a>, limit: usize) -> Self {
        DeviceList { app, left: limit, is_open: false, last: None }
    }

    /// The device that comes next: the one with most queries after the last. What changed meanwhile may be
    /// missing.
    fn next<'h>(&self, history: &'h History) -> Option<(DeviceId, &'h Device)> {
        let rank = |&(id, device): &(DeviceId, &Device)| (device.queries(), core::cmp::Reverse(id));
        let last = self.last.map(|(queries, id)| (queries, core::cmp::Reverse(id)));
        let rest = history.devices().iter().filter(|row| last.is_none_or(|last| rank(row) < last));
        rest.max_by_key(rank)
    }
}

fn write_device(
    history: &History,
    id: DeviceId,
    device: &Device,
    is_first: bool,
    out: &mut BodyChunk<'_>,
) -> fmt::Result {
    out.write_str(if is_first { "{\"name\": " } else { ", {\"name\": " })?;
    match device.name() {
        Some(name) => write_string(out, name)?,
        None => out.write_str("null")?,
    }
    out.write_str(", \"addresses\": [")?;
    for (number, address) in history.devices().addresses(id).into_iter().enumerate() {
        out.write_str(if number > 0 { ", \"" } else { "\"" })?;
        write_address(out, address)?;
        out.write_char('"')?;
    }
    out.write_str("], \"mac\": ")?;
    match device.mac() {
        Some([a, b, c, d, e, f]) => write!(out, "\"{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}\"")?,
        None => out.write_str("null")?,
    }
    let (first, last) = device.seen();
    for (key, seconds) in [("first-seen", first), ("last-seen", last)] {
        write!(out, ", \"{key}\": ")?;
        match Time::new(u64::from(seconds), 0).filter(|_| seconds > 0) {
            Some(time) => {
                out.write_char('"')?;
                write_timestamp(out, time)?;
                out.write_char('"')?;
            }
            None => out.write_str("null")?,
        }
    }
    write!(out, ", \"queries\": {}, \"blocked\": {}}}", device.queries(), device.blocked())
}

impl ChunkedDocument for DeviceList<'_> {
    fn fill(&mut self, chunk: &mut BodyChunk<'_>) -> fmt::Result {
        let Some(history) = self.app.history() else { return Ok(()) };
        let history = history.borrow();
        if !self.is_open {
            chunk.whole(|out| out.write_str("{\"devices\": ["))?;
            self.is_open = true;
        }
        while self.left > 0
            && let Some((id, device)) = self.next(&history)
        {
            let is_first = self.last.is_none();
            chunk.whole(|out| write_device(&history, id, device, is_first, out))?;
            self.last = Some((device.queries(), id));
            self.left -= 1;
        }
        chunk.whole(|out| out.write_str("]}"))
    }
}
