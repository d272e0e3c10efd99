//! Output `tcp-socket`: sends records to a TCP server, each followed by the delimiter.

use std::io;

use super::plan::load_tls;
use super::stream_sink::{StreamProtocol, StreamSink};
use super::{OutputKind, Plan, PlanContext, RecordKind};
use crate::net::dial::PeerAddress;
use crate::section::section;
use crate::values::{ClientTls, Format, KeyError, PlanError, all, required};

section! {
    /// Section `output.tcp-socket`.
    pub struct Section {
        ..enable
        /// How a record is written.
        format: Format = Format::Text,
        /// Written after each record.
        delimiter: String = "\n".to_owned(),
        ..remote(retry = 5)
        ..client_tls
        ..record_output
    }
}

impl OutputKind for Section {
    fn kind(&self) -> &'static str {
        "tcp-socket"
    }

    fn check(&self) -> Result<(), KeyError> {
        all([
            required("remote-address", &self.remote_address),
            required("remote-port", &self.remote_port),
            self.tls_keys().check(),
        ])
    }

    fn tls(&self) -> Option<ClientTls<'_>> {
        Some(self.tls_keys())
    }

    fn format(&self) -> Option<Format> {
        Some(self.format)
    }

    fn plan(&self, _: &PlanContext<'_>) -> Result<Plan, PlanError> {
        // The rules between the keys asked for both.
        let (Some(host), Some(port)) = (&self.remote_address, self.remote_port) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        };
        let sink = StreamSink {
            peer: PeerAddress::Tcp(host.clone(), port.get()),
            tls: load_tls(&self.tls_keys(), host)?,
            retry: self.retry,
            protocol: StreamProtocol::Bare,
        };
        Ok(Plan::new(
            self,
            format!("{sink}, {}", self.format),
            RecordKind::Plain {
                encoding: self.record_encoding(self.format).with_long_records(),
                terminator: self.delimiter.as_bytes().into(),
            },
            Box::new(sink),
        ))
    }
}
