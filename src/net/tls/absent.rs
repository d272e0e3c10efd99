//! TLS in a build without it: types with no values, so that nothing else needs to know.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::net::TcpStream;

use smol::io::{AsyncRead, AsyncWrite};

use super::Refused;
use crate::reactor::Async;
use crate::values::{ClientTls, Host, KeyError, ServerTls};

/// Never there.
#[derive(Debug)]
pub enum Server {}

/// Never there.
#[derive(Debug)]
pub enum Client {}

/// Never there.
#[derive(Debug)]
pub(crate) enum ServerStream {}

/// The same for both sides.
pub(crate) type ClientStream = ServerStream;

/// Never called.
pub(crate) fn socket(stream: &ClientStream) -> &TcpStream {
    match *stream {}
}

/// The configuration refuses TLS before this is asked.
fn without<T>(is_on: bool) -> Result<Option<T>, KeyError> {
    if is_on { Err(KeyError::new("tls-support", "needs the cargo feature `tls`")) } else { Ok(None) }
}

impl Server {
    /// None.
    ///
    /// # Errors
    ///
    /// TLS is asked for.
    pub(crate) fn load(tls: &ServerTls<'_>) -> Result<Option<Self>, KeyError> {
        without(tls.is_on())
    }

    /// Never called.
    ///
    /// # Errors
    ///
    /// None.
    pub(crate) fn reload(&self, _: &ServerTls<'_>) -> Result<(), KeyError> {
        match *self {}
    }

    /// Never called.
    ///
    /// # Errors
    ///
    /// None.
    pub(crate) async fn accept(&self, _: Async<TcpStream>) -> Result<ServerStream, Refused> {
        match *self {}
    }
}

impl Client {
    /// None.
    ///
    /// # Errors
    ///
    /// TLS is asked for.
    pub(crate) fn load(tls: &ClientTls<'_>, _: &Host) -> Result<Option<Self>, KeyError> {
        without(tls.is_on())
    }

    /// Never called.
    ///
    /// # Errors
    ///
    /// None.
    pub(crate) fn reload(&self, _: &ClientTls<'_>) -> Result<(), KeyError> {
        match *self {}
    }

    /// Never called.
    ///
    /// # Errors
    ///
    /// None.
    pub(crate) async fn connect(&self, _: Async<TcpStream>) -> io::Result<ClientStream> {
        match *self {}
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        match *self {}
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match *self {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}
