//! Output `syslog`: sends records to a syslog server, over UDP, TCP or TLS, or to the machine's own.

pub(crate) mod choices;
mod message;

pub(crate) use message::SyslogComposer;

use choices::{Facility, HeaderFormat, MessageFraming, Severity, Transport};

use std::io;

use super::datagram_sink::DatagramSink;
use super::plan::load_tls;
use super::stream_sink::{StreamProtocol, StreamSink};
use super::{OutputKind, Plan, PlanContext, RecordKind, Sink};
use crate::net::dial::PeerAddress;
use crate::net::tls;
use crate::section::section;
use crate::values::{ClientTls, FilePath, Format, KeyError, PlanError, required};
use crate::zone::Zone;

section! {
    /// Section `output.syslog`. The port when it is unset: 514, with TLS 6514.
    pub struct Section {
        ..enable
        /// The transport of a message.
        transport: Transport = Transport::Udp,
        /// How a record is written.
        format: Format = Format::Text,
        ..remote(retry = 5)
        /// A local datagram socket instead of a server.
        path: Option<FilePath> = None,
        /// The header before a record.
        header: HeaderFormat = HeaderFormat::Rfc5424,
        /// How a stream tells messages apart.
        framing: MessageFraming = MessageFraming::OctetCounting,
        /// UTC in the header of RFC 3164, instead of local time.
        utc: bool = false,
        /// The facility of every message.
        facility: Facility = Facility::Daemon,
        /// The severity of every message.
        severity: Severity = Severity::Info,
        ..client_tls
        ..record_output
    }
}

impl Section {
    /// The server's port.
    pub(crate) fn port(&self) -> u16 {
        match (self.remote_port, self.transport) {
            (Some(port), _) => port.get(),
            (None, Transport::Tls) => 6514,
            (None, Transport::Udp | Transport::Tcp) => 514,
        }
    }

    /// The TLS keys, with `transport = "tls"` as the switch; `tls-support` may repeat it, not contradict it.
    fn tls_of_transport(&self) -> ClientTls<'_> {
        let support = if self.transport == Transport::Tls { Some(true) } else { self.tls_support };
        ClientTls { support, ..self.tls_keys() }
    }
}

impl OutputKind for Section {
    fn kind(&self) -> &'static str {
        "syslog"
    }

    /// Neither address nor path, or both; a path with another transport than datagrams; newlines as framing
    /// where records have newlines inside or TLS asks for lengths (RFC 5425, 4.3); TLS keys that disagree.
    fn check(&self) -> Result<(), KeyError> {
        match (&self.remote_address, &self.path) {
            (Some(_), Some(_)) => {
                return Err(KeyError::new("path", "given beside `remote-address`; allowed: one of the two"));
            }
            (_, Some(_)) if self.transport != Transport::Udp => {
                return Err(KeyError::new(
                    "transport",
                    "a local socket takes datagrams; allowed with `path`: `udp`",
                ));
            }
            (None, None) => return required("remote-address", &self.remote_address),
            _ => {}
        }
        if self.tls_support.is_some_and(|support| support != (self.transport == Transport::Tls)) {
            return Err(KeyError::new(
                "tls-support",
                format!(
                    "does not go with `transport = \"{}\"`; allowed: `transport = \"tls\"` for TLS",
                    self.transport
                ),
            ));
        }
        if self.framing == MessageFraming::Newline && self.transport == Transport::Tls {
            return Err(KeyError::new(
                "framing",
                "TLS needs lengths (RFC 5425); allowed with `tls`: `octet-counting`",
            ));
        }
        if self.framing == MessageFraming::Newline && self.format == Format::Yaml {
            return Err(KeyError::new(
                "framing",
                "YAML has newlines inside; allowed with `yaml`: `octet-counting`",
            ));
        }
        self.tls_of_transport().check()
    }

    fn tls(&self) -> Option<ClientTls<'_>> {
        Some(self.tls_of_transport())
    }

    fn missing_feature(&self) -> Option<KeyError> {
        (self.transport == Transport::Tls && !tls::BUILT).then(|| {
            KeyError::new(
                "transport",
                "`tls` needs the cargo feature `tls`, which this build is without; allowed: `udp`, `tcp`",
            )
        })
    }

    fn format(&self) -> Option<Format> {
        Some(self.format)
    }

    fn plan(&self, _: &PlanContext<'_>) -> Result<Plan, PlanError> {
        let (peer, tls) = match (&self.remote_address, &self.path) {
            (Some(host), _) => {
                (PeerAddress::Tcp(host.clone(), self.port()), load_tls(&self.tls_of_transport(), host)?)
            }
            (None, Some(path)) => (PeerAddress::Unix(path.to_path_buf()), None),
            // The rules between the keys asked for one of the two.
            (None, None) => return Err(io::Error::from(io::ErrorKind::InvalidInput).into()),
        };
        let is_stream = self.transport != Transport::Udp;
        let framing = is_stream.then_some(self.framing);
        let priority = (self.facility, self.severity);
        let encoding = self.record_encoding(self.format);
        let encoding = if is_stream { encoding.with_long_records() } else { encoding };
        let zone = match self.header {
            HeaderFormat::Rfc3164 if !self.utc => Zone::of_machine(),
            _ => Zone::default(),
        };
        let transport = if self.path.is_some() { "local" } else { self.transport.as_str() };
        let words = format!("{peer}, {transport}, {}, {}", self.header, self.format);
        let sink: Box<dyn Sink> = if is_stream {
            Box::new(StreamSink { peer, tls, retry: self.retry, protocol: StreamProtocol::Bare })
        } else {
            Box::new(DatagramSink { peer, retry: self.retry })
        };
        let composer = SyslogComposer::new(encoding, self.header, framing, priority);
        Ok(Plan::new(self, words, RecordKind::Syslog(Box::new(composer.in_zone(zone))), sink))
    }
}
