//! A part of librdkafka that its crate does not offer: to tell by a descriptor that it has something to say.
//!
//! librdkafka works on threads of its own and puts what it has to say (delivery reports, errors, log lines)
//! into its main queue. Whenever that queue gets its first event after a look at it, a byte is written to a
//! socket, which an executor can wait for like for any other. So nobody has to look at the queue again and
//! again.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use core::time::Duration;
use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use crate::reactor::Async;
use rdkafka::bindings::{
    rd_kafka_brokers_add, rd_kafka_flush, rd_kafka_queue_destroy, rd_kafka_queue_get_main,
    rd_kafka_queue_io_event_enable, rd_kafka_queue_length, rd_kafka_queue_t,
};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

/// A producer whose main queue can be waited for.
pub(crate) struct Watched<C: ProducerContext + 'static> {
    producer: BaseProducer<C>,
    /// Its main queue; a reference of our own, given back in `drop` before the producer goes.
    queue: NonNull<rd_kafka_queue_t>,
    /// Where a byte comes for new events.
    reader: UnixStream,
    /// Where librdkafka writes it. Open for as long as it may.
    _writer: UnixStream,
}

impl<C: ProducerContext + 'static> Watched<C> {
    /// Makes the main queue of a producer one that can be waited for.
    ///
    /// # Errors
    ///
    /// No pair of sockets could be made.
    pub(crate) fn new(producer: BaseProducer<C>) -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        // SAFETY: the producer's handle is valid while `producer` lives, which is as long as `self`.
        let queue = unsafe { rd_kafka_queue_get_main(producer.client().native_ptr()) };
        let queue = NonNull::new(queue).ok_or(io::ErrorKind::NotFound)?;
        // SAFETY: the queue is valid (above). The byte is copied by the call, and the descriptor stays open
        // until `drop` has taken it away from the queue.
        unsafe {
            rd_kafka_queue_io_event_enable(
                queue.as_ptr(),
                writer.as_raw_fd(),
                BYTE.as_ptr().cast(),
                BYTE.len(),
            );
        }
        Ok(Watched { producer, queue, reader, _writer: writer })
    }

    /// The producer.
    pub(crate) fn producer(&self) -> &BaseProducer<C> {
        &self.producer
    }

    /// Tells librdkafka of brokers, which it connects to from now on; how many there are in the list.
    pub(crate) fn add_brokers(&self, list: &str) -> usize {
        let Ok(list) = CString::new(list) else { return 0 };
        // SAFETY: a valid handle, and a C string that is copied by the call.
        let added = unsafe { rd_kafka_brokers_add(self.producer.client().native_ptr(), list.as_ptr()) };
        usize::try_from(added).unwrap_or(0)
    }

    /// A socket that is readable when there may be new events.
    ///
    /// # Errors
    ///
    /// It could not be registered.
    pub(crate) fn signal(&self) -> io::Result<Signal> {
        self.reader.try_clone().and_then(Async::new).map(Signal)
    }

    /// Lets the callbacks run for all events that are there.
    pub(crate) fn serve(&self) {
        // One event a look, and one look in any case: it makes librdkafka write the next byte.
        loop {
            self.producer.poll(Duration::ZERO);
            // SAFETY: the queue is valid for as long as `self`.
            if unsafe { rd_kafka_queue_length(self.queue.as_ptr()) } == 0 {
                return;
            }
        }
    }

    /// Sends what waits for more to come (`linger.ms`). Takes up to two milliseconds.
    pub(crate) fn hurry(&self) {
        // SAFETY: a valid handle. The reports come through the queue, so nothing runs in here.
        let _ = unsafe { rd_kafka_flush(self.producer.client().native_ptr(), HURRY_MS) };
    }
}

impl<C: ProducerContext + 'static> Drop for Watched<C> {
    fn drop(&mut self) {
        // SAFETY: the queue is valid until its reference is given back, here and once. After the first call
        // nothing is written to the descriptor any more.
        unsafe {
            rd_kafka_queue_io_event_enable(self.queue.as_ptr(), -1, BYTE.as_ptr().cast(), 0);
            rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// Ready when a [`Watched`] may have new events.
pub(crate) struct Signal(Async<UnixStream>);

impl Signal {
    /// Waits for events that came after the last look at them.
    ///
    /// # Errors
    ///
    /// The socket is broken.
    pub(crate) async fn came(&self) -> io::Result<()> {
        self.0.readable().await?;
        match self.0.get_ref().read(&mut [0; 64]) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

/// The byte written for new events.
const BYTE: &[u8] = &[1];

/// Milliseconds that librdkafka's threads have to notice that nothing is to wait any more.
const HURRY_MS: i32 = 2;
