//! An end to patience: what a peer has to do within that many seconds.

use core::future::Future;
use core::time::Duration;
use std::io;

use smol::future::or;

use crate::limits::PATIENCE_SECONDS;
use crate::reactor::Timer;

/// Gives a peer [`PATIENCE_SECONDS`] for what it has to do.
///
/// # Errors
///
/// Those of `attempt`, and `TimedOut`.
pub(crate) async fn in_time<T>(attempt: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    or(attempt, async {
        Timer::after(Duration::from_secs(u64::from(PATIENCE_SECONDS))).await;
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {PATIENCE_SECONDS} s")))
    })
    .await
}
