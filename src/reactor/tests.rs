//! Real descriptors, real threads.

use super::*;
use smol::future::{or, pending, yield_now, zip};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

/// Looks that the kernel was asked for while a future ran.
fn looks(future: impl Future<Output = ()>) -> u32 {
    let so_far = || REACTOR.with(|reactor| reactor.looks.get());
    let before = so_far();
    block_on(future);
    so_far() - before
}

fn pair() -> (Async<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Async::new(ours).unwrap(), theirs)
}

#[test]
fn bytes_written_later_are_read() {
    let (mut ours, mut theirs) = pair();
    let writer = std::thread::spawn(move || {
        for byte in 0..20 {
            std::thread::sleep(Duration::from_millis(2));
            theirs.write_all(&[byte]).unwrap();
        }
        theirs
    });
    block_on(async {
        for byte in 0..20 {
            let mut read = [0];
            ours.read_exact(&mut read).await.unwrap();
            assert_eq!(read, [byte]);
        }
    });
    drop(writer.join().unwrap());
    block_on(async { assert_eq!(ours.read(&mut [0]).await.unwrap(), 0) });
}

#[test]
fn a_full_socket_is_written_on_once_it_is_read() {
    let (mut ours, theirs) = pair();
    let mut theirs = Async::new(theirs).unwrap();
    let bytes = vec![7; 1 << 20];
    let mut read = Vec::new();
    block_on(async {
        let write = async {
            ours.write_all(&bytes).await.unwrap();
            drop(ours);
        };
        let (_, end) = zip(write, theirs.read_to_end(&mut read)).await;
        end.unwrap();
    });
    assert_eq!(read, bytes);
}

#[test]
fn timers_end_in_their_order_and_can_be_given_up() {
    let ended = RefCell::new(Vec::new());
    let timer = |ms: u64| {
        let ended = &ended;
        async move {
            Timer::after(Duration::from_millis(ms)).await;
            ended.borrow_mut().push(ms);
        }
    };
    let begun = std::time::Instant::now();
    block_on(or(zip(zip(timer(400), timer(100)), zip(timer(200), pending())), async {
        or(timer(800), Timer::after(Duration::MAX)).await;
        (((), ()), ((), ()))
    }));
    assert_eq!(*ended.borrow(), [100, 200, 400, 800]);
    assert!(begun.elapsed() >= Duration::from_millis(800));
    REACTOR.with(|reactor| assert!(reactor.timers.borrow().next_in().is_none(), "the one given up is gone"));
}

#[test]
fn another_thread_ends_the_sleep() {
    let result = block_on(async {
        let mut sum = 0;
        for number in 0..50 {
            sum += smol::unblock(move || {
                std::thread::sleep(Duration::from_micros(number * 20));
                number
            })
            .await;
        }
        sum
    });
    assert_eq!(result, 49 * 50 / 2);
}

#[test]
fn what_nobody_waits_for_wakes_nobody() {
    let (ours, mut theirs) = pair();
    let looks = looks(async {
        // Somebody waited, and has lost interest; then it is readable, and at its end.
        or(async { ours.readable().await.unwrap() }, yield_now()).await;
        theirs.write_all(b"late").unwrap();
        drop(theirs);
        Timer::after(Duration::from_millis(30)).await;
    });
    assert!(looks <= 8, "{looks} looks");
    // It has not been forgotten.
    block_on(async {
        ours.readable().await.unwrap();
        assert_eq!((&ours).read(&mut [0; 9]).await.unwrap(), 4);
        ours.readable().await.unwrap();
        assert_eq!((&ours).read(&mut [0; 9]).await.unwrap(), 0);
    });
}

#[test]
fn a_wait_for_two_directions_and_by_two_tasks() {
    let (ours, mut theirs) = pair();
    let executor = smol::LocalExecutor::new();
    block_on(executor.run(async {
        let waiters = [0, 1].map(|_| {
            let ours = ours.clone();
            executor.spawn(async move { ours.readable().await.unwrap() })
        });
        ours.writable().await.unwrap();
        theirs.write_all(b"x").unwrap();
        for waiter in waiters {
            waiter.await;
        }
    }));
}

#[test]
fn a_descriptor_closed_makes_room_for_another() {
    for _ in 0..100 {
        let (ours, _theirs) = pair();
        block_on(or(async { ours.readable().await.unwrap() }, yield_now()));
    }
    REACTOR.with(|reactor| assert!(reactor.descriptors.borrow().places() <= 2));
}

#[test]
fn a_connection_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Async::new(listener).unwrap();
    block_on(async {
        let (accepted, connected) = zip(listener.accept(), connect(address)).await;
        let (mut theirs, mut ours) = (accepted.unwrap().0, connected.unwrap());
        ours.write_all(b"over").await.unwrap();
        ours.close().await.unwrap();
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"over");
    });
    drop(listener);
    let refused = block_on(connect(address)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_regular_file_is_refused() {
    let file = std::fs::File::open("Cargo.toml").unwrap();
    assert_eq!(Async::new(file).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

/// A task that always has something to do keeps nobody from being looked at.
#[test]
fn a_busy_task_leaves_room_for_descriptors_and_timers() {
    let (mut ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let busy = async {
        loop {
            yield_now().await;
        }
    };
    block_on(or(busy, async {
        Timer::after(Duration::from_millis(3)).await;
        ours.read_exact(&mut [0]).await.unwrap();
    }));
}

#[test]
fn a_stream_that_gave_less_than_there_was_room_for_is_asked_after_the_next_look() {
    let (mut ours, mut theirs) = pair();
    block_on(async {
        let mut room = [0; 8];
        theirs.write_all(b"four").unwrap();
        assert_eq!(ours.read(&mut room).await.unwrap(), 4);
        theirs.write_all(b"and more").unwrap();
        assert!(smol::future::poll_once(ours.read(&mut room)).await.is_none());
        assert_eq!(ours.read(&mut room).await.unwrap(), 8);
        theirs.write_all(b".").unwrap();
        assert_eq!(ours.read(&mut room).await.unwrap(), 1, "a full read says nothing of what is left");
        drop(theirs);
        assert_eq!(ours.read(&mut room).await.unwrap(), 0);
    });
}
