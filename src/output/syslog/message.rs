//! The text around a record in a syslog message.
//!
//! ```text
//! rfc5424   <30>1 2020-09-16T18:51:53.591736+00:00 lb2 dnstapd - - - MSG     RFC 5424, 6
//! rfc3164   <30>Sep 16 18:51:53 lb2 MSG                                      RFC 3164, 4.1, without a tag
//! none      MSG
//! ```
//!
//! Time and host are the message's own: the host is the identity. RFC 3164 means local time. So a text record
//! is sent without these two, unless there is no header. On a stream the length in digits and a space are
//! before each message, or a newline after it (RFC 6587, 3.4).

use core::cell::{Cell, RefCell};
use core::fmt::{self, Write};

use super::super::{DropReason, Outlet};
use super::choices::{Facility, HeaderFormat, MessageFraming, Severity};
use crate::decimal::{Ascii, write_decimal};
use crate::format::{Encoding, MISSING};
use crate::limits::{DATAGRAM_BYTES, RECORD_BYTES, SYSLOG_HEADER_BYTES};
use crate::message::event::Event;
use crate::time::{MONTH_TIME_BYTES, TIMESTAMP_BYTES, Time, TimestampText, month_time};
use crate::values::Format;
use crate::zone::Zone;

/// How messages are put together.
#[derive(Debug)]
pub(crate) struct SyslogComposer {
    /// How the record is encoded.
    pub(crate) encoding: Encoding,
    header: HeaderFormat,
    /// `None` for datagrams.
    framing: Option<MessageFraming>,
    /// `<PRI>`
    priority: heapless::String<8>,
    /// That of alarms.
    alarm_priority: heapless::String<8>,
    /// Of `rfc3164`; UTC unless it is set.
    zone: Zone,
    timestamp: RefCell<TimestampText>,
    /// The last second, and how it is written in `rfc3164`.
    local: Cell<Option<(u64, [u8; MONTH_TIME_BYTES])>>,
}

/// The header before a record.
type SyslogHeader = heapless::Vec<u8, SYSLOG_HEADER_BYTES>;

// No message is longer than a datagram may be, so none has to be cut.
const _: () = assert!(RECORD_BYTES + SYSLOG_HEADER_BYTES <= DATAGRAM_BYTES);

impl SyslogComposer {
    /// The envelope of a section's choices.
    pub(crate) fn new(
        encoding: impl Into<Encoding>,
        header: HeaderFormat,
        framing: Option<MessageFraming>,
        (facility, severity): (Facility, Severity),
    ) -> Self {
        let priority_of = |severity: Severity| {
            let mut priority = heapless::String::new();
            let _ = write!(priority, "<{}>", 8 * facility as u16 + severity as u16);
            priority
        };
        let (priority, alarm_priority) = (priority_of(severity), priority_of(Severity::Warning));
        SyslogComposer {
            encoding: encoding.into(),
            header,
            framing,
            priority,
            alarm_priority,
            zone: Zone::default(),
            timestamp: RefCell::default(),
            local: Cell::default(),
        }
    }

    /// The same, with the time of a zone where the header has local time.
    pub(crate) fn in_zone(self, zone: Zone) -> Self {
        SyslogComposer { zone, local: Cell::default(), ..self }
    }

    /// Puts the message of an encoded event into the output's queue.
    pub(crate) fn offer(&self, outlet: &Outlet, event: &Event<'_>, record: &[u8]) {
        self.offer_with(&self.priority, self.encoding.is_usual_text(), outlet, event, record);
    }

    /// The same for an encoded alarm; `event` has its time.
    pub(crate) fn offer_alarm(&self, outlet: &Outlet, event: &Event<'_>, record: &[u8]) {
        self.offer_with(&self.alarm_priority, self.encoding.format == Format::Text, outlet, event, record);
    }

    fn offer_with(
        &self,
        priority: &str,
        is_usual_text: bool,
        outlet: &Outlet,
        event: &Event<'_>,
        record: &[u8],
    ) {
        let mut head = SyslogHeader::new();
        if self.write_head(priority, event, &mut head).is_err() {
            return outlet.offer(Err(DropReason::Oversize));
        }
        let record = if is_usual_text { self.body(event, record) } else { record };
        let mut count = heapless::String::<8>::new();
        if self.framing == Some(MessageFraming::OctetCounting) {
            let counted = write_decimal(&mut count, (head.len() + record.len()) as u64);
            if counted.and_then(|()| count.write_char(' ')).is_err() {
                return outlet.offer(Err(DropReason::Oversize));
            }
        }
        let end: &[u8] = if self.framing == Some(MessageFraming::Newline) { b"\n" } else { b"" };
        outlet.offer(Ok(&[count.as_bytes(), &head, record, end]));
    }

    fn write_head(&self, priority: &str, event: &Event<'_>, out: &mut SyslogHeader) -> fmt::Result {
        match self.header {
            HeaderFormat::None => Ok(()),
            HeaderFormat::Rfc5424 => {
                out.write_ascii(priority.as_bytes())?;
                out.write_ascii(b"1 ")?;
                match event.time {
                    Some(time) => out.write_ascii(&self.timestamp.borrow_mut().of(time))?,
                    None => out.write_ascii(b"-")?,
                }
                out.write_ascii(b" ")?;
                write_host(event.identity, out)?;
                out.write_ascii(b" dnstapd - - - ")
            }
            HeaderFormat::Rfc3164 => {
                out.write_ascii(priority.as_bytes())?;
                // There is no way to write a missing time.
                out.write_ascii(&self.local_time(event.time.unwrap_or_else(Time::now)))?;
                out.write_ascii(b" ")?;
                write_host(event.identity, out)?;
                out.write_ascii(b" ")
            }
        }
    }

    /// A moment as `rfc3164` has it; most messages are of the same second as the one before.
    fn local_time(&self, time: Time) -> [u8; MONTH_TIME_BYTES] {
        if let Some((seconds, text)) = self.local.get()
            && seconds == time.seconds
        {
            return text;
        }
        let text = month_time(self.zone.local(time));
        self.local.set(Some((time.seconds, text)));
        text
    }

    /// The part of a text record that the header does not say.
    fn body<'r>(&self, event: &Event<'_>, record: &'r [u8]) -> &'r [u8] {
        if self.header == HeaderFormat::None {
            return record;
        }
        // Behind the timestamp and the identity, which has no space.
        let timestamp = if event.time.is_some() { TIMESTAMP_BYTES } else { MISSING.len() };
        let behind = record.get(timestamp + 1..).unwrap_or_default();
        let body = behind.iter().position(|&byte| byte == b' ').and_then(|space| behind.get(space + 1..));
        body.unwrap_or(record)
    }
}

/// The identity as a host name: printable ASCII without spaces.
fn write_host(identity: &[u8], out: &mut SyslogHeader) -> fmt::Result {
    if identity.is_empty() {
        return out.write_ascii(MISSING.as_bytes());
    }
    let start = out.len();
    out.write_ascii(identity)?;
    let written = out.get_mut(start..).unwrap_or_default();
    written.iter_mut().filter(|byte| !(0x21..=0x7e).contains(*byte)).for_each(|byte| *byte = b'_');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::RecordKind;
    use super::*;
    use crate::section::QueueSettings;
    use crate::values::WhenFull;
    use crate::wire::dnstap::{Dnstap, Message, SentTime};
    use crate::wire::iana::MessageType;

    /// The bytes of one message from the queue.
    fn message(
        format: Format,
        header: HeaderFormat,
        framing: Option<MessageFraming>,
        identity: &[u8],
        timed: bool,
    ) -> String {
        let envelope = SyslogComposer::new(format, header, framing, (Facility::Local7, Severity::Debug));
        let settings = QueueSettings { bytes: 1 << 16, when_full: WhenFull::Drop, alarms: false };
        let outlet = Outlet::of_kind("test", RecordKind::SelfMade, settings);
        let query_time = if timed { SentTime::new(1_599_004_313, 591_736_999) } else { SentTime::default() };
        let message = Message { message_type: MessageType::CLIENT_QUERY, query_time, ..Message::default() };
        let event = Event::from_dnstap(&Dnstap { message, identity: Some(identity), ..Dnstap::default() });
        let mut record = crate::format::Record::default();
        let source = crate::format::RecordSource::new(&event, b"");
        crate::format::encode(&format.into(), &source, &mut record).unwrap();
        envelope.offer(&outlet, &event, record.as_slice());
        let mut bytes = Vec::new();
        outlet.take_batch(&mut bytes, 1 << 16);
        String::from_utf8(bytes).unwrap()
    }

    const BODY: &str = "CLIENT_QUERY - - - - - 0b - - -";

    #[test]
    fn headers_are_those_of_the_standards() {
        let text = |header, identity: &[u8], timed| message(Format::Text, header, None, identity, timed);
        let time = "2020-09-01T23:51:53.591736+00:00";
        assert_eq!(
            text(HeaderFormat::Rfc5424, b"lb2", true),
            format!("<191>1 {time} lb2 dnstapd - - - {BODY}")
        );
        assert_eq!(text(HeaderFormat::Rfc5424, b"", false), format!("<191>1 - - dnstapd - - - {BODY}"));
        assert_eq!(
            text(HeaderFormat::Rfc3164, b"a b\xff", true),
            format!("<191>Sep  1 23:51:53 a_b_ {BODY}")
        );
        assert_eq!(text(HeaderFormat::None, b"a b", true), format!("{time} a\\032b {BODY}"));
        let longest = text(HeaderFormat::Rfc5424, &[b'x'; 300], true);
        assert!(longest.contains(&format!(" {} dnstapd", "x".repeat(128))));
        let json = message(Format::Json, HeaderFormat::Rfc3164, None, b"lb2", true);
        assert!(json.starts_with("<191>Sep  1 23:51:53 lb2 {\"identity\":\"lb2\"") && json.ends_with('}'));
    }

    #[test]
    fn streams_tell_messages_apart() {
        let framed = |framing| message(Format::Text, HeaderFormat::Rfc5424, Some(framing), b"lb2", true);
        let bare = message(Format::Text, HeaderFormat::Rfc5424, None, b"lb2", true);
        assert_eq!(framed(MessageFraming::OctetCounting), format!("{} {bare}", bare.len()));
        assert_eq!(framed(MessageFraming::Newline), format!("{bare}\n"));
    }
}
