//! The parameters of `/log` as a filter of the log of exchanges.
//!
//! A filter borrows its texts, and a document lives longer than one chunk, so it is made anew for each chunk
//! from the request's parameters, which stay where they are.

use core::net::IpAddr;

use crate::history::History;
use crate::history::log::{LogFilter, MessageTerm, Status};
use crate::http::error::HttpError;
use crate::http::query::Parameters;
use crate::statistics::counter_name::{parse_rcode, parse_type};
use crate::time::parse_time;
use crate::values::{Network, Value};
use crate::wire::iana::Protocol;

/// Bytes of one value; an identity is the longest.
pub(super) const VALUE_BYTES: usize = 512;
/// Bytes of all texts of a filter: no more come in a request's head.
const TEXT_BYTES: usize = crate::limits::HTTP_HEAD_BYTES;

/// The texts that a filter borrows.
#[derive(Debug)]
pub(crate) struct FilterTexts {
    bytes: heapless::Vec<u8, TEXT_BYTES>,
    /// Ends of the texts; names come first, then identities, then devices.
    ends: heapless::Vec<usize, { 3 * VALUES }>,
    names: usize,
    identities: usize,
    networks: heapless::Vec<Network, VALUES>,
}

const VALUES: usize = crate::history::log::FILTER_VALUES;

impl FilterTexts {
    /// Reads the texts among the parameters.
    ///
    /// # Errors
    ///
    /// One is badly encoded or too long, or there are too many.
    pub(crate) fn read(parameters: Parameters<'_>) -> Result<Self, HttpError> {
        let mut texts = FilterTexts {
            bytes: heapless::Vec::new(),
            ends: heapless::Vec::new(),
            names: 0,
            identities: 0,
            networks: heapless::Vec::new(),
        };
        each(parameters, "name", |name| {
            let name = name.to_ascii_lowercase();
            texts.names += 1;
            texts.push(name.strip_suffix('.').unwrap_or(&name))
        })?;
        each(parameters, "stream", |identity| {
            texts.identities += 1;
            texts.push(identity)
        })?;
        each(parameters, "client", |client| match Network::from_text(client) {
            Ok(network) => texts.networks.push(network).map_err(|_| HttpError::Filter("client")),
            Err(_) => texts.push(client),
        })?;
        Ok(texts)
    }

    fn push(&mut self, text: &str) -> Result<(), HttpError> {
        self.bytes.extend_from_slice(text.as_bytes()).map_err(|_| HttpError::Filter("name"))?;
        self.ends.push(self.bytes.len()).map_err(|_| HttpError::Filter("name"))
    }

    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let starts = core::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| self.bytes.get(start..*end))
    }

    /// The filter of all parameters; `now` is in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// A value is not known.
    pub(crate) fn filter(&self, parameters: Parameters<'_>, now: i64) -> Result<LogFilter<'_>, HttpError> {
        let mut filter = LogFilter::default();
        filter.names.extend(self.texts().take(self.names).take(VALUES));
        filter.identities.extend(self.texts().skip(self.names).take(self.identities).take(VALUES));
        fill(parameters, "type", &mut filter.types, parse_type)?;
        fill(parameters, "rcode", &mut filter.rcodes, parse_rcode)?;
        fill(parameters, "message", &mut filter.messages, MessageTerm::parse)?;
        fill(parameters, "status", &mut filter.statuses, Status::parse)?;
        fill(parameters, "protocol", &mut filter.protocols, Protocol::from_mnemonic)?;
        each(parameters, "min-latency", |text| {
            let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=1e6).contains(seconds));
            filter.min_latency = Some((seconds.ok_or(HttpError::Filter("min-latency"))? * 1e6) as u64);
            Ok(())
        })?;
        filter.since = time(parameters, "since", now)?;
        filter.until = time(parameters, "until", now)?;
        Ok(filter)
    }

    /// Whether an address is one of a client that is asked for.
    pub(crate) fn wants_client(&self, history: Option<&History>, address: Option<IpAddr>) -> bool {
        let mut devices = self.texts().skip(self.names + self.identities).peekable();
        if self.networks.is_empty() && devices.peek().is_none() {
            return true;
        }
        let Some(address) = address else { return false };
        self.networks.iter().any(|network| network.contains(address))
            || history
                .and_then(|history| history.name(Some(address)))
                .is_some_and(|name| devices.any(|device| name.as_bytes().eq_ignore_ascii_case(device)))
    }
}

/// Hands over each value of a list.
fn each(
    parameters: Parameters<'_>,
    name: &'static str,
    mut take: impl FnMut(&str) -> Result<(), HttpError>,
) -> Result<(), HttpError> {
    let Some(given) = parameters.find(name) else { return Ok(()) };
    for (number, value) in given.names::<VALUE_BYTES>().enumerate() {
        let value = value.map_err(|_| HttpError::Filter(name))?;
        if number >= VALUES {
            return Err(HttpError::Filter(name));
        }
        take(&value)?;
    }
    Ok(())
}

fn fill<T, const N: usize>(
    parameters: Parameters<'_>,
    name: &'static str,
    list: &mut heapless::Vec<T, N>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<(), HttpError> {
    each(parameters, name, |text| {
        let value = parse(text).ok_or(HttpError::Filter(name))?;
        list.push(value).map_err(|_| HttpError::Filter(name))
    })
}

/// A time: RFC 3339, or seconds before now.
pub(super) fn time(
    parameters: Parameters<'_>,
    name: &'static str,
    now: i64,
) -> Result<Option<i64>, HttpError> {
    let Some(given) = parameters.find(name) else { return Ok(None) };
    let text = given.decode::<64>().map_err(|_| HttpError::Filter(name))?;
    if let Some(seconds) = text.strip_prefix('-') {
        let seconds = seconds.parse::<u32>().map_err(|_| HttpError::Filter(name))?;
        return Ok(Some(now - i64::from(seconds) * 1_000));
    }
    parse_time(&text).map(Some).ok_or(HttpError::Filter(name))
}
