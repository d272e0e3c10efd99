//! Real packets on loopback, by both ways. Needs CAP_NET_RAW; where that is missing only the refusal is seen.

use std::net::UdpSocket;
use std::time::Duration;

use super::capture_filter::{CaptureScope, compose};
use super::*;

/// A socket on loopback that shows what is to or from a port; none without the right to open it.
fn listen_to(port: u16, with_ring: bool) -> Option<AsyncPacketSocket> {
    let program = compose(&[port], CaptureScope::One);
    let mut socket = match PacketSocket::open(&program, 4) {
        Ok(socket) => socket,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
            return None;
        }
    };
    if !with_ring {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let descriptor = nix::sys::socket::socket(AddressFamily::Packet, SockType::Raw, flags, None).unwrap();
        attach(&descriptor, &program).unwrap();
        let source = PacketSource::Batch(Box::new(Batch::new(&descriptor, 4).unwrap()));
        socket = PacketSocket { descriptor, source };
    }
    socket.listen(crate::sys::interfaces::number("lo")).unwrap();
    assert_eq!(socket.kind().unwrap(), libc::ARPHRD_LOOPBACK);
    Some(socket.into_async().unwrap())
}

/// Packets that are there now and in the next half second, until there are that many.
fn take(socket: &mut AsyncPacketSocket, wanted: usize) -> Vec<(Vec<u8>, u16, Time)> {
    let mut packets = Vec::new();
    crate::reactor::block_on(async {
        while packets.len() < wanted {
            if let Some(packet) = socket.next_packet().unwrap() {
                packets.push((packet.bytes.to_vec(), packet.kind, packet.time));
                continue;
            }
            let late = async {
                crate::reactor::Timer::after(Duration::from_millis(500)).await;
                Err(io::ErrorKind::TimedOut.into())
            };
            if smol::future::or(socket.readable(), late).await.is_err() {
                break;
            }
        }
    });
    packets
}

#[test]
fn each_packet_is_shown_once_whole_and_with_its_time() {
    for with_ring in [true, false] {
        let (server, client) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = server.local_addr().unwrap();
        let Some(mut socket) = listen_to(to.port(), with_ring) else { return };
        let (before, elsewhere) = (Time::now(), client.local_addr().unwrap());
        for number in 0..100u32 {
            let payload = vec![number as u8; 12 + number as usize * 90];
            client.send_to(&payload, to).unwrap();
            server.send_to(b"not to that port", "127.0.0.1:9").unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"neither from nor to it", elsewhere).unwrap();
            let packets = take(&mut socket, 2);
            assert_eq!(packets.len(), 2, "number {number}, ring {with_ring}");
            let (bytes, kind, time) = &packets[0];
            assert_eq!((*kind, bytes.len()), (libc::ARPHRD_LOOPBACK, 14 + 20 + 8 + payload.len()));
            assert!(bytes.ends_with(&payload));
            assert!(*time >= before && *time <= Time::now(), "{time:?}");
            if number % 50 == 0 {
                assert!(take(&mut socket, 1).is_empty());
            }
        }
        assert_eq!(socket.drops(), 0);
        // More than the memory takes: what is not shown is counted.
        for _ in 0..20_000 {
            client.send_to(&[7; 100], to).unwrap();
        }
        let shown = take(&mut socket, usize::MAX).len();
        let dropped = socket.drops() as usize;
        assert!(
            dropped > 0 && shown + dropped == 20_000,
            "{shown} shown and {dropped} dropped, ring {with_ring}"
        );
    }
}
