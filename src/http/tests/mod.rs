//! The API over real sockets: a server on a thread of its own, and a client that reads what comes.

mod hostile;
mod requests;
mod streaming;

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use smol::LocalExecutor;

use super::{App, ConfigText, Section, Settings, Stop, listeners, serve};
use crate::history::History;
use crate::input::counters::InputCounters;
use crate::limits::Limits;
use crate::message::filter::{self, Filter};
use crate::message::pairing::Pairing;
use crate::message::stages::Stages;
use crate::output::{Outlet, Outlets, WriteState};
use crate::pipeline::Collector;
use crate::section::QueueSettings;
use crate::statistics::{self, Statistics};
use crate::values::{Format, WhenFull};

/// Everything behind the API.
pub(super) struct World {
    executor: LocalExecutor<'static>,
    statistics: &'static RefCell<Statistics>,
    collector: Collector<'static>,
    outputs: &'static Outlets,
    inputs: Vec<InputCounters>,
    settings: Settings,
    config: ConfigText,
    stop: Stop,
}

impl World {
    /// As configured, with room for that many streams.
    pub(super) fn new(section: &Section, streams: usize) -> &'static World {
        let limits = Limits { streams, ..Limits::resolve(&Default::default()) };
        let statistics: &'static _ = Box::leak(Box::new(RefCell::new(Statistics::new(&limits))));
        let settings = QueueSettings { bytes: 64 << 10, when_full: WhenFull::Drop, alarms: false };
        let outputs: &'static _ =
            Box::leak(Box::new(Outlets::new([Outlet::new("stdout", Format::Json, b"\n", settings)])));
        let filter = Filter::new(&filter::Section::default());
        let stages = Stages::new(Pairing::with_exchanges(64), filter);
        let history = History::new(&Default::default(), &limits, Default::default(), 0);
        let history: &'static _ = Box::leak(Box::new(RefCell::new(history)));
        Box::leak(Box::new(World {
            executor: LocalExecutor::new(),
            statistics,
            collector: Collector::new(statistics, outputs, stages, statistics::Section::default().hasher())
                .with_history(Some(history)),
            outputs,
            inputs: vec![InputCounters::new("tcp-socket"), InputCounters::new("unix-socket")],
            settings: Settings::new(section, &statistics::Section::default(), [limits.http_workers, 4]),
            config: ConfigText::default(),
            stop: Stop::default(),
        }))
    }

    pub(super) fn app(&'static self) -> App<'static> {
        App {
            settings: &self.settings,
            statistics: self.statistics,
            collector: &self.collector,
            outputs: self.outputs,
            inputs: &self.inputs,
            saver: None,
            config: &self.config,
            stop: &self.stop,
        }
    }

    /// A query and, 20 ms later, its response, from a server of that identity.
    fn exchange(&self, identity: impl AsRef<[u8]>) {
        for kind in [5, 6] {
            self.inputs[0].count(self.collector.ingest(&frame(identity.as_ref(), kind)));
        }
    }

    fn output(&self) -> &Outlet {
        self.outputs.find("stdout").unwrap()
    }
}

/// A dnstap message of 192.0.2.10 asking for the address of `www.example.com.`; 5 asks, 6 answers.
fn frame(identity: &[u8], kind: u8) -> Vec<u8> {
    let varint = |mut number: usize| {
        let mut out = Vec::new();
        while number > 0x7f {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
        out
    };
    let field = |number: u8, value: &[u8]| [&[number << 3 | 2], &*varint(value.len()), value].concat();
    let flags = if kind == 6 { [0x81, 0x80] } else { [0x01, 0x00] };
    let question = b"\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01";
    let payload = [&[0x12, 0x34], &flags[..], question].concat();
    let nanoseconds = u32::to_le_bytes(if kind == 6 { 120_000_000 } else { 100_000_000 });
    let (seconds, fraction, body) = if kind == 6 { (12, 13, 14) } else { (8, 9, 10) };
    let message = [
        &[1 << 3, kind, 2 << 3, 1, 3 << 3, 1, 6 << 3, 53],
        &*field(4, &[192, 0, 2, 10]),
        &[seconds << 3],
        &varint(1_600_282_313),
        &[fraction << 3 | 5],
        &nanoseconds,
        &field(body, &payload),
    ]
    .concat();
    [&*field(1, identity), &field(14, &message), &[15 << 3, 1]].concat()
}

/// A server that runs, on a thread of its own.
struct Server {
    address: SocketAddr,
    jobs: smol::channel::Sender<Job>,
    thread: JoinHandle<()>,
}

/// Something to do on the server's thread.
type Job = Box<dyn FnOnce(&'static World) + Send>;

impl Server {
    /// A server as configured by default.
    fn start() -> Server {
        Server::with("", 64)
    }

    /// A server with these keys in its section, on a free port of loopback, with room for that many streams.
    fn with(keys: &str, streams: usize) -> Server {
        let section: Section = toml::from_str(&format!("local-port = 0\n{keys}")).unwrap();
        let listeners = listeners(&section).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let (jobs, todo) = smol::channel::unbounded::<Job>();
        let thread = std::thread::spawn(move || {
            let world = World::new(&section, streams);
            let server = serve(&world.executor, listeners, world.app(), None);
            let worker = world.executor.spawn(async move {
                while let Ok(job) = todo.recv().await {
                    job(world);
                }
            });
            crate::reactor::block_on(world.executor.run(server));
            drop(worker);
        });
        Server { address, jobs, thread }
    }

    /// Does something on the server's thread and waits for what it gives.
    fn run<T: Send + 'static>(&self, job: impl FnOnce(&'static World) -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.jobs.send_blocking(Box::new(move |world| done.send(job(world)).unwrap())).unwrap();
        result.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    /// The answer to a request for `target` with credentials, on a connection of its own.
    fn ask(&self, method: &str, target: &str) -> Reply {
        self.connect().ask(
            &format!("{method} {target} HTTP/1.1\r\nHost: a\r\nX-API-Key: changeme\r\n\r\n"),
            method != "HEAD",
        )
    }

    /// The body of what is at `target`.
    fn get(&self, target: &str) -> String {
        let reply = self.ask("GET", target);
        assert_eq!(reply.status, 200, "{target}: {}", reply.body);
        reply.body
    }
}

/// A connection to the server.
struct Client(BufReader<TcpStream>);

/// An answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Client {
    fn new(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    fn ask(&mut self, request: &str, with_body: bool) -> Reply {
        self.send(request);
        self.reply(with_body).unwrap()
    }

    /// The next answer, in whatever framing; none at the end of the connection.
    fn reply(&mut self, with_body: bool) -> Option<Reply> {
        let line = self.line()?;
        let status = line.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let mut reply = Reply { status, headers: Vec::new(), body: String::new() };
        loop {
            let line = self.line().unwrap();
            let Some((name, value)) = line.split_once(": ") else { break };
            reply.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = reply.header("content-length").map(|length| length.parse().unwrap());
        let mut body = Vec::new();
        if !with_body || status == 204 {
        } else if reply.header("transfer-encoding") == Some("chunked") {
            while let Some(length) = self.line().filter(|line| !line.trim_start_matches('0').is_empty()) {
                let mut chunk = vec![0; usize::from_str_radix(&length, 16).unwrap()];
                self.0.read_exact(&mut chunk).unwrap();
                assert_eq!(self.line().unwrap(), "");
                body.append(&mut chunk);
            }
            assert_eq!(self.line().unwrap(), "");
        } else if let Some(length) = length {
            body.resize(length, 0);
            self.0.read_exact(&mut body).unwrap();
        } else {
            self.0.read_to_end(&mut body).unwrap();
        }
        reply.body = String::from_utf8(body).unwrap();
        Some(reply)
    }

    /// A line without its end; none at the end of the connection.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok().filter(|&length| length > 0)?;
        Some(line.strip_suffix("\r\n").unwrap().to_owned())
    }

    /// Everything up to the end of the connection.
    fn rest(&mut self) -> std::io::Result<String> {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).map(|_| rest)
    }
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let mut values =
            self.headers.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} stands there twice");
        value
    }
}

/// The value of a sample in a scrape, by name and labels.
fn sample(scrape: &str, name: &str) -> f64 {
    let line = scrape.lines().find(|line| line.rsplit_once(' ').is_some_and(|(given, _)| given == name));
    line.unwrap_or_else(|| panic!("no {name} in\n{scrape}")).rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// Sets what an output's state is.
fn set_write_state(server: &Server, state: WriteState) {
    server.run(move |world| world.output().set_write_state(state));
}
