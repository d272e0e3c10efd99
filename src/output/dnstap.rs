//! Output `dnstap`: sends messages on to another collector, as a bidirectional Frame Streams client.
//!
//! Frames go out as the bytes they came in, so fields of newer schemas survive. Only with `dnstap-identity`
//! the identity is replaced, and still nothing else.

use std::io;

use super::plan::load_tls;
use super::stream_sink::{StreamProtocol, StreamSink};
use super::{OutputKind, Plan, PlanContext, RawFrames, RecordKind};
use crate::net::dial::PeerAddress;
use crate::section::section;
use crate::values::{ClientTls, FilePath, KeyError, PlanError, Text, all, required};

section! {
    /// Section `output.dnstap`.
    pub struct Section {
        ..enable
        ..remote(retry = 1)
        /// The collector's Unix socket, instead of address and port.
        path: Option<FilePath> = None,
        /// The identity every message gets; unset = the sender's.
        dnstap_identity: Option<Text> = None,
        ..client_tls
        ..output
    }
}

impl OutputKind for Section {
    fn kind(&self) -> &'static str {
        "dnstap"
    }

    fn check(&self) -> Result<(), KeyError> {
        if self.path.is_none() {
            return all([
                required("remote-address", &self.remote_address),
                required("remote-port", &self.remote_port),
                self.tls_keys().check(),
            ]);
        }
        if self.remote_address.is_some() {
            return Err(KeyError::new("path", "given beside `remote-address`; allowed: one of the two"));
        }
        if self.tls_keys().is_on() {
            return Err(KeyError::new(
                "tls-support",
                "a Unix socket has no TLS; allowed with `path`: `false`",
            ));
        }
        self.tls_keys().check()
    }

    fn tls(&self) -> Option<ClientTls<'_>> {
        Some(self.tls_keys())
    }

    fn plan(&self, context: &PlanContext<'_>) -> Result<Plan, PlanError> {
        let (peer, tls) = match (&self.path, &self.remote_address, self.remote_port) {
            (Some(path), ..) => (PeerAddress::Unix(path.to_path_buf()), None),
            (None, Some(host), Some(port)) => {
                (PeerAddress::Tcp(host.clone(), port.get()), load_tls(&self.tls_keys(), host)?)
            }
            // The rules between the keys asked for one of the two.
            _ => return Err(io::Error::from(io::ErrorKind::InvalidInput).into()),
        };
        let identity = self.dnstap_identity.as_ref().map(|identity| identity.as_str());
        let sink = StreamSink { peer, tls, retry: self.retry, protocol: StreamProtocol::FrameStreams };
        Ok(Plan::new(
            self,
            sink.to_string(),
            RecordKind::RawFrames(RawFrames::new(context.limits.frame, identity)),
            Box::new(sink),
        ))
    }
}
