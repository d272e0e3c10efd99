//! Waiting for descriptors, for moments and for other threads: one `epoll` on the thread that does all the
//! work.
//!
//! [`block_on`] runs a future, and whatever executor is in it; when nothing is left to do it sleeps until a
//! descriptor is ready ([`Async`]), a moment has come ([`Timer`]), or another thread calls. There is no
//! thread beside it and nothing is done on the quiet: a program that waits for its next tick makes one system
//! call when it comes.
//!
//! ```text
//! poll the future -> something is to be done -> look at descriptors and timers -> again
//!                 -> nothing is              -> sleep until a descriptor, a timer, another thread
//! ```
//!
//! A descriptor is in the kernel's list only while somebody waits for it, and then stays until it is ready
//! with nobody there: who reads, waits and reads makes no call but `read` and `epoll_wait`. What is ready is
//! reported until it was read (level-triggered), so none who asks late misses anything; and a stream that gave
//! less than there was room for is not asked again before the next look.
//!
//! All of this belongs to its thread. A [`Waker`] alone may go to others.

mod descriptor;
mod timer;

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

pub use descriptor::{Async, connect};
use descriptor::{DescriptorEntry, Descriptors};
pub(crate) use timer::Timer;
use timer::Timers;

/// All that one thread waits for.
struct Reactor {
    /// The kernel's list, or why there is none.
    kernel: Result<Kernel, Errno>,
    descriptors: RefCell<Descriptors>,
    timers: RefCell<Timers>,
    /// Those to wake after a look; empty between two.
    due: Cell<Vec<Waker>>,
    /// Looks so far, round and round.
    looks: Cell<u32>,
}

/// The kernel's list of descriptors, and the one by which other threads call.
struct Kernel {
    epoll: Epoll,
    call: Arc<EventFd>,
}

thread_local! {
    static REACTOR: Reactor = Reactor::new();
}

/// Runs a future to its end on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    REACTOR.with(|reactor| {
        let alarm = Arc::new(SleepAlarm {
            rings: AtomicBool::new(false),
            sleeps: AtomicBool::new(false),
            call: reactor.kernel.as_ref().ok().map(|kernel| kernel.call.clone()),
        });
        let waker = Waker::from(alarm.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            alarm.rings.store(false, Ordering::SeqCst);
            if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                return result;
            }
            reactor.look(&alarm);
        }
    })
}

/// Ends the sleep of a thread.
struct SleepAlarm {
    rings: AtomicBool,
    sleeps: AtomicBool,
    call: Option<Arc<EventFd>>,
}

impl Wake for SleepAlarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rings.store(true, Ordering::SeqCst);
        if self.sleeps.swap(false, Ordering::SeqCst)
            && let Some(call) = &self.call
        {
            // Full means that it was called 2^64 times already.
            let _ = call.write(1);
        }
    }
}

impl Reactor {
    fn new() -> Self {
        Reactor {
            kernel: Kernel::new(),
            descriptors: RefCell::default(),
            timers: RefCell::default(),
            due: Cell::default(),
            looks: Cell::new(0),
        }
    }

    fn kernel(&self) -> io::Result<&Kernel> {
        self.kernel.as_ref().map_err(|&errno| errno.into())
    }

    /// Sleeps until something is due or the alarm rings, and wakes who waits for it. It does not sleep if it
    /// rang already.
    fn look(&self, alarm: &SleepAlarm) {
        self.looks.set(self.looks.get().wrapping_add(1));
        // In this order: who rings after the second line sees that we sleep, and calls.
        alarm.sleeps.store(true, Ordering::SeqCst);
        let rang = alarm.rings.load(Ordering::SeqCst);
        let wait = if rang { Some(Duration::ZERO) } else { self.timers.borrow().next_in() };
        let mut due = self.due.take();
        match &self.kernel {
            Ok(kernel) => kernel.look(wait, alarm, &self.descriptors, &mut due),
            // Without it nobody can wait for a descriptor.
            Err(_) => std::thread::sleep(wait.unwrap_or(BLIND_SLEEP).min(BLIND_SLEEP)),
        }
        alarm.sleeps.store(false, Ordering::SeqCst);
        self.timers.borrow_mut().expire(&mut due);
        due.drain(..).for_each(Waker::wake);
        self.due.set(due);
    }
}

impl Kernel {
    fn new() -> Result<Self, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let call = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&call, EpollEvent::new(EpollFlags::EPOLLIN, CALL))?;
        Ok(Kernel { epoll, call: Arc::new(call) })
    }

    fn look(
        &self,
        wait: Option<Duration>,
        alarm: &SleepAlarm,
        descriptors: &RefCell<Descriptors>,
        due: &mut Vec<Waker>,
    ) {
        let mut events = [EpollEvent::empty(); EVENTS_A_LOOK];
        // An error is an interruption: the next look is as good.
        let number = self.epoll.wait(&mut events, timeout(wait)).unwrap_or(0);
        alarm.sleeps.store(false, Ordering::SeqCst);
        for event in events.iter().take(number) {
            if event.data() == CALL {
                let _ = self.call.read();
                continue;
            }
            let source: Option<Rc<DescriptorEntry>> = descriptors.borrow().get(event.data());
            if let Some(source) = source {
                source.came(event.events(), self, due);
            }
        }
    }
}

/// The kernel counts in milliseconds. A moment early would be another look.
fn timeout(wait: Option<Duration>) -> EpollTimeout {
    let Some(wait) = wait else { return EpollTimeout::NONE };
    let milliseconds = wait.as_nanos().div_ceil(1_000_000).min(LONGEST_SLEEP_MS);
    u16::try_from(milliseconds).map_or(EpollTimeout::ZERO, EpollTimeout::from)
}

/// The key of the descriptor by which other threads call.
const CALL: u64 = u64::MAX;

/// Descriptors that one look may report.
const EVENTS_A_LOOK: usize = 32;

/// No sleep is longer; a look costs nothing.
const LONGEST_SLEEP_MS: u128 = 60_000;

/// A sleep where the kernel has no descriptor for us.
const BLIND_SLEEP: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
