//! The heap is still: no allocation per message, from the frame to the queue and from the queue to the peer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail, that is its point")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use dnstapd::capture::{Captured, Dissector, DissectorSettings, Ignored, LinkLayer};
use dnstapd::history::{self, History};
use dnstapd::http;
use dnstapd::input::connections::Origin;
use dnstapd::input::counters::InputCounters;
use dnstapd::input::receiver::{Receiver, serve};
use dnstapd::limits::{self, Limits};
use dnstapd::message::filter::{self, Filter};
use dnstapd::message::geoip;
use dnstapd::message::pairing::Pairing;
use dnstapd::message::stages::{ConfiguredStage, Stages};
use dnstapd::output::{self, Outlet, Outlets, WaitPolicy, stdout};
use dnstapd::pipeline::Collector;
use dnstapd::section::QueueSettings;
use dnstapd::statistics::counters::Direction;
use dnstapd::statistics::{self, Statistics, StreamScope, ranking};
use dnstapd::sys::proc;
use dnstapd::time::Time;
use dnstapd::values::{Format, WhenFull};
use dnstapd::wire::framestream::{Deframer, Unit, data_header};

/// Counts the allocations of its own thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything on to the system's allocator; the counter needs no allocation of its own.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// The data frames of all captures, each with its length, as they are sent.
fn captured() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut frames = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "fstrm") {
            let bytes = fs::read(path).unwrap();
            let mut deframer = Deframer::new(1 << 20);
            let mut rest = bytes.as_slice();
            while let Ok(Some(unit)) = deframer.next(&mut rest) {
                if let Unit::Data(data) = unit {
                    frames.push([&data_header(data.len() as u32)[..], data].concat());
                }
            }
        }
    }
    assert!(frames.len() > 500, "{} frames are too few to mean anything", frames.len());
    frames
}

fn patterns() -> Filter {
    let section = "qname-regex = '.*'\nexclude-qname-regex = 'never'\ndnstap-identities = '.*'";
    Filter::new(&toml::from_str::<filter::Section>(section).unwrap())
}

/// The stages of a message, with patterns that look at everything.
fn stages(pairing: usize) -> Stages {
    Stages::new(Pairing::with_exchanges(pairing), patterns())
}

/// The database of tests/data, when this build knows databases.
fn places() -> Option<geoip::LocationDatabase> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/places.mmdb");
    let section = format!("enable = {}\ncity-database = '{path}'", geoip::BUILT);
    geoip::LocationDatabase::load(&toml::from_str(&section).unwrap()).unwrap()
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A collector with one output in each of some formats.
fn collector(formats: &[Format]) -> (&'static Collector<'static>, &'static Outlets, Limits) {
    let (collector, outputs, limits, _) = collector_of(formats);
    (collector, outputs, limits)
}

/// The same, and its statistics.
fn collector_of(
    formats: &[Format],
) -> (&'static Collector<'static>, &'static Outlets, Limits, &'static RefCell<Statistics>) {
    let limits = Limits::resolve(&limits::Section::default());
    let settings = QueueSettings { bytes: 256 << 10, when_full: WhenFull::Drop, alarms: false };
    let outputs =
        leak(Outlets::new(formats.iter().map(|&format| Outlet::new("stdout", format, b"\n", settings))));
    let statistics = leak(RefCell::new(everything(&limits)));
    statistics.borrow_mut().count_intervals();
    let section: history::Section = toml::from_str("log = '64K'\nanswers = true").unwrap();
    let history = leak(RefCell::new(History::new(&section, &limits, Default::default(), 0)));
    let collector =
        Collector::new(statistics, outputs, stages(limits.pairing), statistics::Section::default().hasher())
            .with_history(Some(history));
    collector.set_stage(places());
    (leak(collector), outputs, limits, statistics)
}

/// Statistics with every kind of table, those of countries when this build knows databases.
fn everything(limits: &Limits) -> Statistics {
    let flags =
        "'hit/query', 'length/query', 'noerror/response', 'servfail/response', 'a/query', 'hit/response'";
    let section: statistics::Section = toml::from_str(&format!("track = [{flags}]\nwindow = 60")).unwrap();
    Statistics::with(limits, &section, geoip::BUILT)
}

#[test]
fn no_allocation_from_frame_to_queue() {
    let frames = captured();
    let (collector, outputs, _, statistics) = collector_of(Format::ALL);
    let counters = InputCounters::new("test");
    let round = || {
        for frame in &frames {
            counters.count(collector.ingest(&frame[4..]));
            for output in outputs.iter() {
                output.write_with(|[first, second]| Ok::<_, ()>(first.len() + second.len())).unwrap();
            }
        }
        statistics.borrow_mut().tick(20_000); // tables age, latencies and averages are renewed
    };
    round(); // the regular expressions make their memory at the first match
    let before = allocations();
    for _ in 0..10 {
        round();
    }
    assert_eq!(allocations() - before, 0);
    assert_eq!(counters.received.get(), frames.len() as u64 * 11);
    for output in outputs.iter() {
        assert_eq!(
            (
                output.counters().delivered.get() + output.counters().filtered.tally.total(),
                output.counters().dropped.total()
            ),
            (counters.received.get(), 0)
        );
    }
    // Every kind of table was filled.
    let statistics = statistics.borrow();
    for table in (0..8).map(ranking::Table::Domains).chain([ranking::Table::ClientHits]) {
        assert!(statistics.total(StreamScope::Global, table) > 0, "{table:?}");
    }
    for direction in [Direction::Query, Direction::Response] {
        assert_eq!(
            statistics
                .total(StreamScope::Global, ranking::Table::Keyed(direction, ranking::KeyedTable::countries))
                > 0,
            geoip::BUILT
        );
    }
}

/// Numbers without a pattern (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.next(256) as u8)
    }
}

/// A packet of IPv4 from anybody: a query, a fragment of something, a segment of a connection; its length.
fn random_packet(random: &mut Random, packet: &mut [u8; 256]) -> usize {
    let payload = 40 + random.next(180) as usize;
    let source = random.bytes::<4>();
    let (protocol, flags) = match random.next(4) {
        0 => (17, 0),
        1 => (17, 0x2000 | random.next(200) as u16),
        _ => (6, 0),
    };
    packet[..12].copy_from_slice(&[0x45, 0, 0, 20 + payload as u8, 0, 7, 0, 0, 64, protocol, 0, 0]);
    packet[6..8].copy_from_slice(&u16::to_be_bytes(flags));
    packet[12..16].copy_from_slice(&source);
    packet[16..20].copy_from_slice(&[192, 0, 2, 1]);
    packet[20..24].copy_from_slice(&[source[0], source[1], 0, 53]);
    let transport = &mut packet[24..20 + payload];
    transport.fill(0);
    if protocol == 17 {
        transport[..2].copy_from_slice(&(payload as u16).to_be_bytes());
        transport[4..10].copy_from_slice(&[source[2], source[3], 1, 0, 0, 1]);
    } else {
        transport[..4].copy_from_slice(&[0, 0, random.next(4) as u8, random.next(256) as u8]);
        let flags = [0x02, 0x18, 0x18, 0x18, 0x11][random.next(5) as usize];
        transport[8..10].copy_from_slice(&[0x50, flags]);
        transport[16..24].copy_from_slice(&[0, 30, source[2], source[3], 1, 0, 0, 1]);
    }
    20 + payload
}

/// So many flows and fragments, from as many addresses, make nothing grow. `DNSTAPD_PACKETS` asks for more.
#[test]
fn packets_allocate_nothing_and_memory_stays_where_it_was() {
    let number = std::env::var("DNSTAPD_PACKETS").map_or(20_000, |number| number.parse::<u32>().unwrap());
    let (collector, outputs, _) = collector(&[Format::Json]);
    let counters = InputCounters::of_packets("test");
    let mut path =
        Dissector::new(DissectorSettings::default(), &Limits::resolve(&limits::Section::default()));
    path.set_local(&["192.0.2.1".parse().unwrap()], &[]);
    let (mut random, mut packet) = (Random(4711), [0; 256]);
    let mut round = |packets: u32| {
        for count in 0..packets {
            let length = random_packet(&mut random, &mut packet);
            let time = Time::new(1_700_000_000 + u64::from(count) / 10_000, 0).unwrap();
            let clock = time.seconds * 1_000;
            let captured =
                Captured { link: LinkLayer::Raw, time: Some(time), clock, bytes: &packet[..length] };
            path.take(captured, &|reason| counters.ignore(reason), &mut |frame| {
                counters.count(collector.ingest(frame));
            });
            for output in outputs.iter() {
                output.write_with(|[first, second]| Ok::<_, ()>(first.len() + second.len())).unwrap();
            }
        }
    };
    round(20_000);
    let (before, resident) = (allocations(), proc::resident_bytes().unwrap());
    round(number);
    assert_eq!(allocations() - before, 0);
    // Other tests of this program run at the same time, so a little may be theirs; alone it is 0.
    let grown = proc::resident_bytes().unwrap().saturating_sub(resident);
    println!("{number} packets, {} messages, {grown} bytes grown", counters.received.get());
    if std::env::var_os("DNSTAPD_PACKETS").is_some() {
        assert!(grown < 64 << 10, "{grown} bytes more in memory");
    }
    assert!(counters.received.get() > u64::from(number) / 4);
    for reason in [Ignored::Fragment, Ignored::Connection, Ignored::Gap] {
        assert!(counters.ignored.as_ref().unwrap().of(reason) > 0, "no {reason}");
    }
}

#[test]
fn almost_none_from_socket_to_peer() {
    let frames: Vec<u8> = captured().concat();
    // Of the other formats the test above says enough.
    for format in [Format::Text, Format::Json, Format::Ecs] {
        let (collector, outputs, limits) = collector(&[format]);
        let shared: &'static Receiver<'static> = leak(Receiver::new(collector, &limits));
        let counters = leak(InputCounters::new("test"));
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        const ROUNDS: usize = 50;
        let bytes = frames.clone();
        let sender = std::thread::spawn(move || {
            use std::io::Write;
            let mut theirs = theirs;
            let start = [
                &[0, 0, 0, 0, 0, 0, 0, 34, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 22][..],
                b"protobuf:dnstap.Dnstap",
            ];
            theirs.write_all(&start.concat()).unwrap();
            for _ in 0..ROUNDS {
                theirs.write_all(&bytes).unwrap();
            }
        });
        let executor: &'static smol::LocalExecutor<'static> = leak(smol::LocalExecutor::new());
        let null = fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
        let target = stdout::StdoutWriter::from_descriptor(null.into()).unwrap();
        executor.spawn(stdout::run(outputs.iter().next().unwrap(), outputs, target)).detach();
        let made = dnstapd::reactor::block_on(executor.run(async {
            let stream = dnstapd::reactor::Async::new(ours).unwrap();
            let place = shared.connections.group(1, 1).take(Origin::Remote).unwrap();
            let before = allocations();
            serve(&stream, &"test", counters, shared, &place).await;
            outputs.drained().await;
            allocations() - before
        }));
        sender.join().unwrap();
        let messages = captured().len() * ROUNDS;
        assert_eq!(counters.received.get(), messages as u64);
        assert_eq!(outputs.iter().next().unwrap().counters().delivered.get(), messages as u64, "{format}");
        // What the reactor and the executor make for a wake-up, of which each serves hundreds of messages.
        assert!(made * 50 < messages as u64, "{made} allocations for {messages} messages as {format}");
    }
}

/// A certificate of `localhost` and its key, made by openssl in a folder.
#[cfg(feature = "tls")]
fn certificate(folder: &std::path::Path) -> [String; 2] {
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| folder.join(name).display().to_string());
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
                 -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE";
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(words.split_whitespace()).args(["-out", &certificate, "-keyout", &key]);
    assert!(openssl.output().unwrap().status.success());
    [certificate, key]
}

/// After the handshake, TLS costs what rustls makes for a record, and nothing for a message: as much as where
/// the bytes are only read and forgotten.
#[cfg(feature = "tls")]
#[test]
fn tls_allocates_what_rustls_does_for_a_record() {
    use dnstapd::input::{tcp_client, tcp_server};
    use dnstapd::net::tls::{Client, Server};
    use smol::io::{AsyncReadExt, AsyncWriteExt};

    const ROUNDS: usize = 25;
    const RECORD_BYTES: usize = 4_000;
    let folder = std::env::temp_dir().join(format!("dnstapd-still-tls-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let [certificate, key] = certificate(&folder);
    let ours = format!("tls-support = true\ntls-server-cert = '{certificate}'\ntls-server-key = '{key}'");
    let ours: tcp_server::Section = toml::from_str(&ours).unwrap();
    let server = Server::load(&ours.tls()).unwrap().unwrap();

    let start =
        [&[0, 0, 0, 0, 0, 0, 0, 34, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 22][..], b"protobuf:dnstap.Dnstap"];
    let bytes = leak([start.concat(), captured().concat().repeat(ROUNDS)].concat());
    let records = bytes.chunks(RECORD_BYTES).len() as u64;
    let messages = (captured().len() * ROUNDS) as u64;
    // Sends all of it, a record a write, over TLS.
    let send = |address: std::net::SocketAddr| {
        let theirs = format!("tls-support = true\ntls-ca = '{certificate}'\nremote-address = 'localhost'");
        std::thread::spawn(move || {
            let theirs: tcp_client::Section = toml::from_str(&theirs).unwrap();
            let client =
                Client::load(&theirs.tls_keys(), &theirs.remote_address.clone().unwrap()).unwrap().unwrap();
            dnstapd::reactor::block_on(async {
                let stream = dnstapd::reactor::connect(address).await.unwrap();
                let mut stream = client.connect(stream).await.unwrap();
                for record in bytes.chunks(RECORD_BYTES) {
                    stream.write_all(record).await.unwrap();
                }
                stream.close().await.unwrap();
            });
        })
    };
    let (collector, outputs, limits) = collector(&[]);
    let shared: &'static Receiver<'static> = leak(Receiver::new(collector, &limits));
    let counters = leak(InputCounters::new("test"));
    let executor: &'static smol::LocalExecutor<'static> = leak(smol::LocalExecutor::new());
    let (forgotten, served) = dnstapd::reactor::block_on(executor.run(async {
        let mut made = [0, 0];
        for (is_served, made) in [false, true].into_iter().zip(&mut made) {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let sender = send(listener.local_addr().unwrap());
            let listener = dnstapd::reactor::Async::new(listener).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let place = shared.connections.group(1, 1).take(Origin::Remote).unwrap();
            place.note_socket(&stream.as_fd(), false);
            let mut stream = server.accept(stream).await.unwrap();
            let mut buffer = vec![0; 256 << 10];
            let before = allocations();
            if is_served {
                serve(stream, &"test", counters, shared, &place).await;
            } else {
                while stream.read(&mut buffer).await.unwrap() > 0 {}
            }
            *made = allocations() - before;
            sender.join().unwrap();
        }
        outputs.drained().await;
        made.into()
    }));
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!((counters.received.get(), counters.rejected.total()), (messages, 0));
    println!("{records} records, {messages} messages: {forgotten} allocations without us, {served} with");
    assert!(records < messages / 10, "{records} records are too many to tell them from messages");
    // Those of the reactor and the executor differ, with the wake-ups.
    assert!(
        served < forgotten + records / 4,
        "{served} allocations, {forgotten} without us, for {records} records"
    );
}

/// A peer that reads everything and forgets it, in a thread of its own; answers as a Frame Streams reader if
/// asked to.
fn reader(stream: impl std::io::Read + std::io::Write, greets: bool) {
    const ACCEPT: &[u8] = b"\0\0\0\0\0\0\0\x22\0\0\0\x01\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";
    let mut stream = stream;
    let mut buffer = vec![0; 1 << 16];
    if greets {
        stream.read_exact(&mut buffer[..ACCEPT.len()]).unwrap();
        stream.write_all(ACCEPT).unwrap();
    }
    while stream.read(&mut buffer).is_ok_and(|length| length > 0) {}
}

/// A stream of the reactor's, waited for.
#[cfg(feature = "tls")]
struct Blocking<S>(S);

#[cfg(feature = "tls")]
impl<S: smol::io::AsyncRead + Unpin> std::io::Read for Blocking<S> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        dnstapd::reactor::block_on(smol::io::AsyncReadExt::read(&mut self.0, room))
    }
}

#[cfg(feature = "tls")]
impl<S: smol::io::AsyncWrite + Unpin> std::io::Write for Blocking<S> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        dnstapd::reactor::block_on(smol::io::AsyncWriteExt::write(&mut self.0, bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        dnstapd::reactor::block_on(smol::io::AsyncWriteExt::flush(&mut self.0))
    }
}

/// The records of TLS that peers were sent.
static RECORDS: AtomicU64 = AtomicU64::new(0);

/// The same as `reader` for one connection over TLS, whose records it counts.
#[cfg(feature = "tls")]
fn tls_reader(listener: std::net::TcpListener, [certificate, key]: &[String; 2], greets: bool) {
    use std::io::{Read, Write};

    let section = format!("tls-support = true\ntls-server-cert = '{certificate}'\ntls-server-key = '{key}'");
    std::thread::spawn(move || {
        // One end of a pair of sockets is the peer's, the other one is where records are counted.
        let (mut ours, _) = listener.accept().unwrap();
        let inner = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut theirs = std::net::TcpStream::connect(inner.local_addr().unwrap()).unwrap();
        let (mut back, mut there) = (theirs.try_clone().unwrap(), ours.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut back, &mut there));
        std::thread::spawn(move || {
            let section: dnstapd::input::tcp_server::Section = toml::from_str(&section).unwrap();
            let server = dnstapd::net::tls::Server::load(&section.tls()).unwrap().unwrap();
            let stream = dnstapd::reactor::Async::new(inner.accept().unwrap().0).unwrap();
            reader(Blocking(dnstapd::reactor::block_on(server.accept(stream)).unwrap()), greets);
        });
        let mut record = vec![0; 5 + (1 << 15)];
        while ours.read_exact(&mut record[..5]).is_ok() {
            let length = 5 + usize::from(u16::from_be_bytes([record[3], record[4]]));
            ours.read_exact(&mut record[5..length]).unwrap();
            theirs.write_all(&record[..length]).unwrap();
            RECORDS.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// The records of TLS that peers were sent, once none is on its way any more.
fn records() -> u64 {
    let mut before = u64::MAX;
    loop {
        let now = RECORDS.load(Ordering::Relaxed);
        if now == before {
            return now;
        }
        before = now;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// What rustls alone makes for so many records: allocations and records.
#[cfg(feature = "tls")]
fn made_by_rustls(folder: &std::path::Path) -> (u64, u64) {
    use smol::io::AsyncWriteExt;

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let identity = certificate(folder);
    tls_reader(listener, &identity, false);
    let section = format!("tls-support = true\ntls-ca = '{}'\nremote-address = 'localhost'", identity[0]);
    let section: dnstapd::input::tcp_client::Section = toml::from_str(&section).unwrap();
    let host = section.remote_address.clone().unwrap();
    let client = dnstapd::net::tls::Client::load(&section.tls_keys(), &host).unwrap().unwrap();
    dnstapd::reactor::block_on(async {
        let stream = dnstapd::reactor::connect(address).await.unwrap();
        let mut stream = client.connect(stream).await.unwrap();
        let before = (allocations(), records());
        for _ in 0..1_000 {
            stream.write_all(&[b'x'; 16_000]).await.unwrap();
            stream.flush().await.unwrap();
        }
        (allocations() - before.0, records() - before.1)
    })
}

/// A section of an output whose peer stands ready.
fn peer(kind: &str, folder: &std::path::Path) -> String {
    let common = "enable = true\nqueue = '256K'\nwhen-full = 'wait'\nretry = 1\n";
    let tcp = |greets: bool| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = format!(
            "remote-address = 'localhost'\nremote-port = {}\n",
            listener.local_addr().unwrap().port()
        );
        #[cfg(feature = "tls")]
        if kind.ends_with("tls") {
            let identity = certificate(folder);
            tls_reader(listener, &identity, greets);
            return format!("{remote}tls-ca = '{}'\n", identity[0]);
        }
        std::thread::spawn(move || reader(listener.accept().unwrap().0, greets));
        remote
    };
    let encrypted = if kind.ends_with("tls") { "tls-support = true\n" } else { "" };
    let path = folder.join(kind.replace([' ', ','], ""));
    match kind {
        "file" | "file, dnstap" => {
            let format = if kind == "file" { "json" } else { "dnstap" };
            let common = common.replace("retry = 1\n", "");
            format!("[file]\n{common}format = '{format}'\nfile = '{}'\n", path.display())
        }
        "metrics" => format!("[metrics]\nenable = true\ninterval = 1\nfile = '{}'\n", path.display()),
        "tcp-socket" | "tcp-socket, tls" => format!("[tcp-socket]\n{common}{encrypted}{}", tcp(false)),
        "syslog, tcp" => format!("[syslog]\n{common}transport = 'tcp'\n{}", tcp(false)),
        "syslog, tls" => format!("[syslog]\n{common}transport = 'tls'\n{}", tcp(false)),
        "syslog, udp" => {
            let socket = leak(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
            let port = socket.local_addr().unwrap().port();
            format!("[syslog]\n{common}remote-address = '127.0.0.1'\nremote-port = {port}\n")
        }
        "syslog, local" => {
            let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
            std::thread::spawn(move || while socket.recv(&mut [0; 9000]).is_ok() {});
            format!("[syslog]\n{common}path = '{}'\n", path.display())
        }
        "dnstap, tcp" | "dnstap, tls" => format!("[dnstap]\n{common}{encrypted}{}", tcp(true)),
        "dnstap, unix" => {
            let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
            std::thread::spawn(move || reader(listener.accept().unwrap().0, true));
            format!("[dnstap]\n{common}path = '{}'\ndnstap-identity = 'mine'\n", path.display())
        }
        _ => unreachable!("{kind}"),
    }
}

#[test]
fn no_output_allocates_per_message() {
    let frames = captured();
    let folder = std::env::temp_dir().join(format!("dnstapd-still-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let kinds = [
        "file",
        "file, dnstap",
        "tcp-socket",
        "syslog, tcp",
        "syslog, udp",
        "syslog, local",
        "dnstap, tcp",
        "dnstap, unix",
        "metrics",
        "tcp-socket, tls",
        "syslog, tls",
        "dnstap, tls",
    ];
    for kind in kinds.into_iter().filter(|kind| cfg!(feature = "tls") || !kind.ends_with("tls")) {
        let limits = Limits::resolve(&limits::Section::default());
        let section: output::Section = toml::from_str(&peer(kind, &folder)).unwrap();
        let plans = section.plans(&output::PlanContext { limits: &limits, identity: None }).unwrap();
        let (outlets, sinks): (Vec<_>, Vec<_>) = plans.into_iter().map(output::Plan::build).unzip();
        let statistics: &'static _ = leak(RefCell::new(Statistics::new(&limits)));
        let stage: &'static _ = leak(output::TaskContext { outlets: Outlets::new(outlets), statistics });
        let collector: &'static _ = leak(Collector::new(
            statistics,
            &stage.outlets,
            stages(limits.pairing),
            statistics::Section::default().hasher(),
        ));
        let executor: &'static smol::LocalExecutor<'static> = leak(smol::LocalExecutor::new());
        for (sink, outlet) in sinks.into_iter().zip(stage.outlets.iter()) {
            executor.spawn(sink.run(stage, outlet)).detach();
        }
        let output = stage.outlets.iter().next().unwrap();
        let counters = leak(InputCounters::new("test"));
        // More where the records of TLS are counted, too.
        let rounds = if kind.ends_with("tls") { 100 } else { 25 };
        let (made, records) = dnstapd::reactor::block_on(executor.run(async {
            let round = async || {
                for frame in &frames {
                    stage.outlets.room(WaitPolicy::Forever).await;
                    counters.count(collector.ingest(&frame[4..]));
                }
                smol::future::yield_now().await;
            };
            // It connects, opens, and the regular expressions make their memory.
            round().await;
            stage.outlets.drained().await;
            let before = (allocations(), records());
            for _ in 0..rounds {
                round().await;
            }
            while kind == "metrics" && output.counters().delivered.get() < 3 {
                round().await;
            }
            stage.outlets.drained().await;
            (allocations() - before.0, records() - before.1)
        }));
        let messages = counters.received.get();
        let delivered = if kind == "metrics" { output.counters().delivered.get() } else { messages };
        assert!(messages >= (frames.len() * (rounds + 1)) as u64);
        assert_eq!(
            (output.counters().delivered.get(), output.counters().dropped.total()),
            (delivered, 0),
            "{kind}"
        );
        // Those of the reactor and the executor, at each wake-up; a local socket holds ten datagrams.
        println!("{kind}: {made} allocations for {messages} messages in {records} records of TLS");
        assert!(made * 8 < messages, "{made} allocations for {messages} messages to {kind}");
        #[cfg(feature = "tls")]
        if kind.ends_with("tls") {
            let (alone, of) = made_by_rustls(&folder);
            println!("rustls alone: {alone} allocations for {of} records");
            assert!(records > 1_000 && of == 1_000, "{records} and {of} records");
            assert!(
                made < records * alone / of + records / 2,
                "{made} allocations for {records} records to {kind}"
            );
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// Asks for `target` that many times on one connection and reads the answers; gives their length in bytes.
fn ask(stream: &mut std::net::TcpStream, target: &str, times: usize) -> usize {
    use std::io::{Read, Write};
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..times {
        write!(stream, "GET {target} HTTP/1.1\r\nHost: a\r\nX-API-Key: changeme\r\n\r\n").unwrap();
        let mut end = Vec::new();
        while !(end.ends_with(b"\r\n0\r\n\r\n") || end.ends_with(b"\r\n\r\nok")) {
            let length = stream.read(&mut buffer).unwrap();
            assert!(length > 0, "{target}: the connection was closed");
            bytes += length;
            end.extend_from_slice(&buffer[..length]);
            end.drain(..end.len().saturating_sub(16));
        }
    }
    bytes
}

#[test]
fn a_request_allocates_what_the_reactor_does_and_no_more_for_a_long_answer() {
    let section: http::Section = toml::from_str("local-port = 0").unwrap();
    let listeners = http::listeners(&section).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let (ask_for_count, asked) = smol::channel::bounded::<std::sync::mpsc::Sender<u64>>(1);
    std::thread::spawn(move || {
        let limits = Limits::resolve(&limits::Section::default());
        let statistics = leak(RefCell::new(Statistics::new(&limits)));
        let outputs = leak(Outlets::default());
        let collector = leak(Collector::new(
            statistics,
            outputs,
            stages(limits.pairing),
            statistics::Section::default().hasher(),
        ));
        let inputs = leak([InputCounters::new("test")]);
        for number in 0..64u8 {
            // An identity of 100 bytes, a message of type 5, nothing else.
            let frame = [&[10, 100, number], &[1; 99][..], &[0x72, 2, 8, 5, 0x78, 1]].concat();
            inputs[0].count(collector.ingest(&frame));
        }
        let app = http::App {
            settings: leak(http::Settings::new(&section, &Default::default(), [8, 4])),
            statistics,
            collector,
            outputs,
            inputs,
            saver: None,
            config: leak(http::ConfigText::default()),
            stop: leak(http::Stop::default()),
        };
        let executor: &'static smol::LocalExecutor<'static> = leak(smol::LocalExecutor::new());
        executor.spawn(http::serve(executor, listeners, app, None)).detach();
        dnstapd::reactor::block_on(executor.run(async {
            while let Ok(answer) = asked.recv().await {
                answer.send(allocations()).unwrap();
            }
        }));
    });
    let count = || {
        let (sender, result) = std::sync::mpsc::channel();
        ask_for_count.send_blocking(sender).unwrap();
        result.recv().unwrap()
    };
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let mut made = |target, times| {
        ask(&mut stream, target, times);
        let before = count();
        let bytes = ask(&mut stream, target, times);
        ((count() - before) as usize / times, bytes / times)
    };
    let (short, _) = made("/health", 100);
    assert!(short <= 8, "{short} allocations for a request");
    let (long, bytes) = made("/metrics", 2);
    // What the reactor makes when the kernel has no room for a while, which is at few of the pieces.
    let pieces = bytes / limits::HTTP_CHUNK_BYTES;
    assert!(pieces > 300 && long < pieces, "{long} allocations for {pieces} pieces");
}
