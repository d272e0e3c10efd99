//! Requests that are wrong on purpose, and clients that take their time.

use core::ops::Range;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::{Client, Server};
use crate::limits::{HTTP_BODY_BYTES, HTTP_WORKERS};

const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\nX-API-Key: changeme\r\n\r\n";
const KEY: &str = "X-API-Key: changeme";

/// Whether the server still serves.
fn check_alive(server: &Server) {
    assert_eq!(server.get("/health"), "ok");
}

#[test]
fn two_requests_that_overflow_in_picoserve() {
    let server = Server::start();
    for path in ["/%FF", "/%", "/%C3", "/%FF%FF%FF%FF%FF%FF%FF%FF%FF", "/metrics%FF"] {
        assert_eq!(server.ask("GET", path).status, 404, "{path}");
    }
    let mut client = server.connect();
    let asked = Instant::now();
    client.send(format!(
        "GET /streams HTTP/1.1\r\nHost: a\r\n{KEY}\r\nContent-Length: 18446744073709551615\r\n\r\n"
    ));
    let reply = client.reply(true).unwrap();
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    assert_eq!(client.rest().unwrap(), "");
    assert!(asked.elapsed() < Duration::from_secs(5), "it waits for the body");
    check_alive(&server);
}

#[test]
fn bodies_are_read_past_up_to_a_limit() {
    let server = Server::start();
    let mut client = server.connect();
    for length in [0, 1, 5_000, HTTP_BODY_BYTES, 100] {
        client
            .send(format!("POST /streams HTTP/1.1\r\nHost: a\r\n{KEY}\r\nContent-Length: {length}\r\n\r\n"));
        client.send(vec![b'x'; length]);
        assert_eq!(client.reply(true).unwrap().status, 405, "{length}");
    }
    client.send(format!(
        "POST /streams HTTP/1.1\r\nHost: a\r\n{KEY}\r\nContent-Length: {}\r\n\r\n",
        HTTP_BODY_BYTES + 1
    ));
    client.send(vec![b'x'; HTTP_BODY_BYTES + 1]);
    assert_eq!(client.reply(true).unwrap().body, "{\"error\": \"the body is too long\"}");
    assert_eq!(client.rest().unwrap(), "");
    check_alive(&server);
}

#[test]
fn the_last_answer_arrives_although_more_was_sent() {
    let server = Server::start();
    for length in [1, 100, 10_000, 60_000] {
        let mut client = server.connect();
        let request =
            format!("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{}", "x".repeat(length));
        assert_eq!(client.ask(&request, true).body, "ok");
        assert_eq!(client.rest().unwrap(), "", "{length}");
    }
}

#[test]
fn a_body_of_unknown_length_is_not_taken_for_requests() {
    let server = Server::start();
    server.run(|world| world.exchange("lb1"));
    let hidden = format!("DELETE /reset HTTP/1.1\r\nHost: a\r\n{KEY}\r\n\r\n");
    let check = |headers: &str, status| {
        let mut client = server.connect();
        client.send(format!("POST /streams HTTP/1.1\r\nHost: a\r\n{KEY}\r\n{headers}\r\n\r\n{hidden}"));
        assert_eq!(client.reply(true).unwrap().status, status, "{headers}");
        assert_eq!(client.rest().unwrap(), "", "{headers}");
        assert!(server.get("/counters").contains("\"query\": 1"), "{headers}");
    };
    check("Transfer-Encoding: chunked", 501);
    check("Transfer-Encoding: identity", 501);
    check("Content-Length: 5\r\ntransfer-encoding: x", 501);
    check("Content-Length: -1", 400);
    check("Content-Length: +1", 400);
    check("Content-Length: 1, 1", 400);
    check("Content-Length:", 400);
    check("Content-Length: \u{ff}", 400);
    check("Content-Length: 5\r\nContent-Length: 6", 400);
    check("Content-Length: 99999999999999999999999999", 413);
}

#[test]
fn malformed_heads_are_answered_and_end_the_connection() {
    let server = Server::start();
    let long = "a".repeat(5_000);
    let heads: &[&[u8]] = &[
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1 more\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
    ];
    let long_heads = [
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n"),
        long,
    ];
    for head in heads.iter().copied().chain(long_heads.iter().map(|head| head.as_bytes())) {
        let mut client = server.connect();
        client.send(head);
        assert_eq!(client.reply(true).unwrap().status, 400, "{}", head.escape_ascii());
        assert_eq!(client.rest().unwrap(), "");
    }
    check_alive(&server);
}

#[test]
fn any_bytes_at_all() {
    let server = Server::start();
    let valid = format!(
        "GET /counters?stream=%61&more=query HTTP/1.1\r\nHost: a\r\n{KEY}\r\nContent-Length: 3\r\n\r\nabc"
    );
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state = (state ^ state << 13 ^ (state ^ state << 13) >> 7).rotate_left(17);
        state
    };
    for round in 0..600 {
        let mut bytes = valid.clone().into_bytes();
        match round % 3 {
            0 => bytes.truncate(random() as usize % bytes.len()),
            1 => (0..1 + random() % 4).for_each(|_| {
                let place = random() as usize % bytes.len();
                bytes[place] = random() as u8;
            }),
            _ => bytes.fill_with(|| random() as u8),
        }
        let mut stream = server.connect().0.into_inner();
        let _ = stream.write_all(&bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let _ = stream.read_to_end(&mut Vec::new());
    }
    check_alive(&server);
}

/// How long it takes to be served when all workers are taken by what `take` does with a connection.
fn time_to_be_served(server: &Server, take: impl Fn(&mut Client)) -> Duration {
    let mut clients: Vec<Client> = (0..HTTP_WORKERS).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(take);
    std::thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    check_alive(server);
    started.elapsed()
}

#[test]
fn slow_clients_free_their_workers_when_others_wait() {
    let check = |server: Server, seconds: Range<f64>, take: fn(&mut Client)| {
        let waited = time_to_be_served(&server, take).as_secs_f64();
        assert!(seconds.contains(&waited), "{waited} s of {seconds:?}");
    };
    check(Server::start(), 0.0..0.5, |_| {});
    check(Server::start(), 0.0..0.5, |client| client.send("GET /metr"));
    const OWING: &str = "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345";
    check(Server::start(), 0.0..0.5, |client| client.send(OWING));
    check(server_of_long_scrapes(), 0.0..1.5, |client| ask_for_scrape(client.0.get_mut()));
    check(Server::start(), 0.0..0.5, |client| {
        assert_eq!(client.ask("GET /health HTTP/1.1\r\nHost: a\r\n\r\n", true).status, 200);
    });
}

#[test]
fn many_silent_and_trickling_clients_keep_nobody_out() {
    for words in ["", "G"] {
        let server = Server::start();
        let mut clients: Vec<Client> = (0..40).map(|_| server.connect()).collect();
        clients.iter_mut().for_each(|client| client.send(words));
        std::thread::sleep(Duration::from_millis(50));
        let started = Instant::now();
        assert!(server.get("/metrics").contains("dnstapd_build_info"));
        assert!(started.elapsed() < Duration::from_secs(1), "{words:?} {:?}", started.elapsed());
    }
}

#[test]
fn a_connection_stays_while_nobody_waits_and_ends_with_its_answer_when_somebody_does() {
    let server = Server::start();
    let request = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut clients: Vec<Client> = (0..HTTP_WORKERS).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(request, true).header("connection"), Some("keep-alive"));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(clients.iter_mut().all(|client| client.ask(request, true).status == 200));
    // A ninth: one of the eight goes, all others stay.
    assert_eq!(server.get("/health"), "ok");
    let served = clients.iter_mut().filter_map(|client| {
        client.0.get_mut().write_all(request.as_bytes()).ok()?;
        client.reply(true)
    });
    assert_eq!(served.count(), HTTP_WORKERS - 1);
}

#[test]
fn an_address_has_at_most_half_while_another_waits() {
    let server = Server::with("local-address = '0.0.0.0'\napi-key = 'x'\npassword = ''", 8);
    let port = server.address.port();
    let mut greedy: Vec<Client> =
        (0..HTTP_WORKERS).map(|_| Client::new(TcpStream::connect(("127.0.0.1", port)).unwrap())).collect();
    // Trusted ones, in the middle of a request.
    for client in &mut greedy {
        let request = "GET /streams HTTP/1.1\r\nHost: a\r\nX-API-Key: x\r\n\r\n";
        assert_eq!(client.ask(request, true).status, 200);
        client.send("GET /str");
    }
    std::thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    let from = std::net::SocketAddr::from(([127, 0, 0, 2], 0));
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::empty(),
        None,
    )
    .unwrap();
    use std::os::fd::AsRawFd;
    let storage = nix::sys::socket::SockaddrStorage::from;
    nix::sys::socket::bind(socket.as_raw_fd(), &storage(from)).unwrap();
    nix::sys::socket::connect(socket.as_raw_fd(), &storage(([127, 0, 0, 1], port).into())).unwrap();
    let mut other = Client::new(socket.into());
    assert_eq!(other.ask("GET /health HTTP/1.1\r\nHost: a\r\n\r\n", true).status, 200);
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
}

#[test]
fn a_request_in_drops_ends_in_time() {
    let server = Server::start();
    let mut stream = server.connect().0.into_inner();
    let started = Instant::now();
    for byte in b"GET /a-path-of-some-length HTTP/1.1".chunks(1) {
        if stream.write_all(byte).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0);
    assert!((9.0..12.0).contains(&started.elapsed().as_secs_f64()), "{:?}", started.elapsed());
}

/// A server with a scrape longer than any socket buffer.
fn server_of_long_scrapes() -> Server {
    let server = Server::with("", 256);
    server.run(|world| {
        (0..256u16).for_each(|number| world.exchange([number.to_be_bytes().as_slice(), &[1; 126]].concat()));
    });
    server
}

/// Asks for a scrape and leaves little room for it.
fn ask_for_scrape(stream: &mut TcpStream) {
    setsockopt(stream, sockopt::RcvBuf, &8192).unwrap();
    stream.write_all(SCRAPE.as_bytes()).unwrap();
}

#[test]
fn an_answer_taken_in_drops_ends_in_time() {
    let server = server_of_long_scrapes();
    let mut stream = server.connect().0.into_inner();
    setsockopt(&stream, sockopt::RcvBuf, &(64 << 10)).unwrap();
    stream.write_all(SCRAPE.as_bytes()).unwrap();
    let started = Instant::now();
    // Fast enough that each write goes on soon, and slow enough that the answer takes half a minute.
    while stream.read(&mut [0; 16 << 10]).unwrap_or(0) > 0 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = started.elapsed().as_secs_f64();
    assert!((9.5..25.0).contains(&ended), "{ended} s");
}
