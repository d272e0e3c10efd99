//! Descriptors to wait for.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect as connect_socket, socket,
};
use smol::io::{AsyncRead, AsyncWrite};

use super::{Kernel, REACTOR};

// -- Async
// ------------------------------------------------------------------------------------------------------------

/// Anything with a descriptor, as something to wait for. Clones are the same descriptor.
pub struct Async<T>(Rc<Registered<T>>);

struct Registered<T> {
    io: Rc<T>,
    source: Rc<DescriptorEntry>,
}

impl<T> Clone for Async<T> {
    fn clone(&self) -> Self {
        Async(self.0.clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.0.io).finish()
    }
}

impl<T: AsFd + 'static> Async<T> {
    /// Makes a descriptor one that does not block.
    ///
    /// # Errors
    ///
    /// Nothing can wait for it, such as for a regular file; or the kernel has no room.
    pub fn new(io: T) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&io, FcntlArg::F_GETFL)?);
        fcntl(&io, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Async::new_nonblocking(io)
    }

    /// The same for one that does not block already, or must not be changed.
    ///
    /// # Errors
    ///
    /// As for [`Async::new`].
    pub(crate) fn new_nonblocking(io: T) -> io::Result<Self> {
        let io = Rc::new(io);
        REACTOR.with(|reactor| {
            let source = reactor.descriptors.borrow_mut().insert(io.clone());
            // From here on dropping it takes it out.
            let registered = Async(Rc::new(Registered { io, source }));
            registered.0.source.register(EpollFlags::empty(), reactor.kernel()?)?;
            Ok(registered)
        })
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T> Async<T> {
    /// The thing itself.
    pub(crate) fn get_ref(&self) -> &T {
        &self.0.io
    }

    /// Waits until it can be read, or has ended.
    ///
    /// # Errors
    ///
    /// The kernel's, when it cannot be waited for.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.0.source.ready(READ).await
    }

    /// Waits until it can be written, or has ended.
    ///
    /// # Errors
    ///
    /// The kernel's, when it cannot be waited for.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.0.source.ready(WRITE).await
    }

    /// Waits until `read` does not have to.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub(crate) async fn read_with<R>(&self, mut read: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        poll_fn(|context| self.poll_with(READ, context, &mut read)).await
    }

    /// Waits until `write` does not have to.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub(crate) async fn write_with<R>(&self, mut write: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        poll_fn(|context| self.poll_with(WRITE, context, &mut write)).await
    }

    fn poll_with<R>(
        &self,
        direction: usize,
        context: &mut Context<'_>,
        mut attempt: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            match attempt(self.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
        self.0.source.poll_wait(direction, context)
    }
}

impl Async<TcpListener> {
    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// As of `accept(2)`.
    pub async fn accept(&self) -> io::Result<(Async<TcpStream>, SocketAddr)> {
        let (stream, address) = self.read_with(TcpListener::accept).await?;
        Ok((Async::new(stream)?, address))
    }
}

impl Async<UnixListener> {
    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// As of `accept(2)`.
    pub(crate) async fn accept(&self) -> io::Result<Async<UnixStream>> {
        let (stream, _) = self.read_with(UnixListener::accept).await?;
        Async::new(stream)
    }
}

/// Connects to a TCP address.
///
/// # Errors
///
/// As of `connect(2)`.
pub async fn connect(address: SocketAddr) -> io::Result<Async<TcpStream>> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    match connect_socket(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(errno) => return Err(errno.into()),
    }
    let stream = Async::new_nonblocking(TcpStream::from(socket))?;
    stream.writable().await?;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

/// A stream of bytes, as the kernel has them.
pub(crate) trait ByteDescriptor {
    /// Tells the other end that no more will come.
    ///
    /// # Errors
    ///
    /// As of `shutdown(2)`.
    fn end(&self) -> io::Result<()> {
        Ok(())
    }
}

impl ByteDescriptor for TcpStream {
    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl ByteDescriptor for UnixStream {}

impl ByteDescriptor for File {}

impl<T> AsyncRead for &Async<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let looks = REACTOR.with(|reactor| reactor.looks.get());
        let source = &self.0.source;
        if source.drained.get() == Some(looks) {
            return source.poll_wait(READ, context);
        }
        let read = ready!(self.poll_with(READ, context, |mut io| io.read(room)))?;
        source.drained.set((0 < read && read < room.len()).then_some(looks));
        Poll::Ready(Ok(read))
    }
}

impl<T> AsyncRead for Async<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(context, room)
    }
}

impl<T: ByteDescriptor> AsyncWrite for &Async<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(WRITE, context, |mut io| io.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(WRITE, context, |mut io| io.write_vectored(pieces))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the kernel has all
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_ref().end())
    }
}

impl<T: ByteDescriptor> AsyncWrite for Async<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write_vectored(context, pieces)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(context)
    }
}

impl<T> Drop for Registered<T> {
    fn drop(&mut self) {
        // At the end of a thread there may be no reactor any more.
        let _ = REACTOR.try_with(|reactor| {
            if let Ok(kernel) = &reactor.kernel {
                self.source.unregister(kernel);
            }
            reactor.descriptors.borrow_mut().remove(self.source.key);
        });
    }
}

// -- DescriptorEntry
// ---------------------------------------------------------------------------------------------------

/// A descriptor, and who waits for it.
pub(super) struct DescriptorEntry {
    descriptor: Rc<dyn AsFd>,
    key: u64,
    /// The kernel's interest; `None` = it is not in its list.
    interest: Cell<Option<EpollFlags>>,
    directions: [DescriptorSide; 2],
    /// The number of the look before which a stream gave all that it had.
    drained: Cell<Option<u32>>,
}

/// One of the two ways of a descriptor.
#[derive(Default)]
struct DescriptorSide {
    waiting: RefCell<Vec<Waker>>,
    /// Times that it was ready.
    times: Cell<u32>,
}

const READ: usize = 0;
const WRITE: usize = 1;

/// The answers of the kernel for each direction.
const FLAGS: [EpollFlags; 2] = [EpollFlags::EPOLLIN, EpollFlags::EPOLLOUT];

/// An end or an error concerns both.
const BOTH: EpollFlags = EpollFlags::EPOLLHUP.union(EpollFlags::EPOLLERR);

impl DescriptorEntry {
    fn direction(&self, number: usize) -> (&DescriptorSide, EpollFlags) {
        let [read, write] = &self.directions;
        let [readable, writable] = FLAGS;
        if number == READ { (read, readable) } else { (write, writable) }
    }

    /// Waits until a direction was ready once.
    async fn ready(&self, number: usize) -> io::Result<()> {
        let (direction, _) = self.direction(number);
        let before = direction.times.get();
        poll_fn(|context| {
            if direction.times.get() != before {
                return Poll::Ready(Ok(()));
            }
            self.poll_wait(number, context)
        })
        .await
    }

    /// Not ready yet, and the task is woken when it is.
    fn poll_wait<R>(&self, number: usize, context: &Context<'_>) -> Poll<io::Result<R>> {
        match self.wait(number, context.waker()) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Wakes a task when a direction is ready.
    fn wait(&self, number: usize, waker: &Waker) -> io::Result<()> {
        let (direction, flag) = self.direction(number);
        {
            let mut waiting = direction.waiting.borrow_mut();
            if !waiting.iter().any(|known| known.will_wake(waker)) {
                waiting.push(waker.clone());
            }
        }
        if self.interest.get().is_some_and(|interest| interest.contains(flag)) {
            return Ok(());
        }
        let interest = self.interest.get().unwrap_or(EpollFlags::empty()) | flag;
        REACTOR.with(|reactor| self.register(interest, reactor.kernel()?))
    }

    /// Tells the kernel what somebody waits for.
    fn register(&self, interest: EpollFlags, kernel: &Kernel) -> io::Result<()> {
        let mut event = EpollEvent::new(interest, self.key);
        match self.interest.get() {
            None => kernel.epoll.add(&*self.descriptor, event)?,
            Some(_) => kernel.epoll.modify(&*self.descriptor, &mut event)?,
        }
        self.interest.set(Some(interest));
        Ok(())
    }

    fn unregister(&self, kernel: &Kernel) {
        if self.interest.take().is_some() {
            let _ = kernel.epoll.delete(&*self.descriptor);
        }
    }

    /// The kernel reports it: who waits is due. When nobody does, it is not to be reported again; an end
    /// would be, for ever, so then the descriptor leaves the list.
    pub(super) fn came(&self, flags: EpollFlags, kernel: &Kernel, due: &mut Vec<Waker>) {
        let (before, mut left) = (due.len(), EpollFlags::empty());
        for number in [READ, WRITE] {
            let (direction, flag) = self.direction(number);
            if flags.intersects(flag | BOTH) {
                direction.times.set(direction.times.get().wrapping_add(1));
                due.append(&mut direction.waiting.borrow_mut());
            } else if !direction.waiting.borrow().is_empty() {
                left |= flag;
            }
        }
        if due.len() > before {
            return;
        }
        if left.is_empty() {
            self.unregister(kernel);
        } else {
            let _ = self.register(left, kernel);
        }
    }
}

// -- Descriptors
// ------------------------------------------------------------------------------------------------------

/// All descriptors of a thread, by key: place in the low half, and how many were before it in the high one.
#[derive(Default)]
pub(super) struct Descriptors {
    places: Vec<Option<Rc<DescriptorEntry>>>,
    inserted: u32,
}

impl Descriptors {
    fn insert(&mut self, descriptor: Rc<dyn AsFd>) -> Rc<DescriptorEntry> {
        self.inserted = self.inserted.wrapping_add(1);
        let free = self.places.iter().position(Option::is_none);
        let place = free.unwrap_or(self.places.len());
        let key = u64::from(self.inserted) << 32 | place as u64;
        let source = Rc::new(DescriptorEntry {
            descriptor,
            key,
            interest: Cell::new(None),
            directions: Default::default(),
            drained: Cell::new(None),
        });
        match self.places.get_mut(place) {
            Some(free) => *free = Some(source.clone()),
            None => self.places.push(Some(source.clone())),
        }
        source
    }

    /// Places for descriptors, free ones too.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    fn remove(&mut self, key: u64) {
        if let Some(place) = self.places.get_mut(place(key)) {
            *place = None;
        }
    }

    /// The descriptor of a key, if it is there yet.
    pub(super) fn get(&self, key: u64) -> Option<Rc<DescriptorEntry>> {
        self.places.get(place(key))?.clone().filter(|source| source.key == key)
    }
}

fn place(key: u64) -> usize {
    usize::try_from(key & u64::from(u32::MAX)).unwrap_or(usize::MAX)
}
