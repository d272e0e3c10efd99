//! The task of the output: keeps a session with the broker, publishes, and counts what became of it.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use smol::future::{or, pending};
use smol::io::{AsyncReadExt, AsyncWriteExt};

use super::super::plan::read_secret;
use super::super::stream_sink::{OutputStream, open};
use super::super::uplink::Uplink;
use super::super::{Outlet, RunningSink, Sink, TaskContext, TaskStep, WriteState};
use super::discovery::{JsonText, SENSORS, SensorNames, write_state};
use super::packet::{
    BrokerLimits, BrokerPacket, ConnectPacket, GOODBYE, NotMqtt, PINGREQ, PublishPacket, compose_subscribe,
};
use super::window::{self, MessageWindow, WindowSettings};
use super::{ClientId, Section, Version, packet};
use crate::limits::{
    MQTT_ACKNOWLEDGE_SECONDS, MQTT_KEEP_ALIVE_SECONDS, MQTT_PACKET_BYTES, MQTT_STATE_BYTES, MQTT_WINDOW,
    PATIENCE_SECONDS, PUSH_TURN_MS, TLS_CONNECTION_BYTES,
};
use crate::net::dial::PeerAddress;
use crate::net::timeout::in_time;
use crate::net::tls::Client;
use crate::reactor::Timer;
use crate::values::{PlanError, Seconds, Secret};

/// A broker, and what it is told.
pub(crate) struct MqttSink {
    peer: PeerAddress,
    tls: Option<Rc<Client>>,
    retry: Seconds,
    version: Version,
    client_id: String,
    user: Option<String>,
    password: Option<Secret>,
    topic: String,
    status: String,
    qos: u32,
    interval: Duration,
    /// The topic below which Home Assistant listens, if it is told of us.
    discovery: Option<String>,
    records: bool,
}

impl MqttSink {
    /// The sink of a section: secrets are read, nothing connects.
    ///
    /// # Errors
    ///
    /// A file that is of no use.
    pub(crate) fn new(
        section: &Section,
        peer: PeerAddress,
        tls: Option<Rc<Client>>,
    ) -> Result<Self, PlanError> {
        let password = section.password_file.as_ref().map(|path| read_secret("password-file", path));
        let client_id = section.client_id.clone().unwrap_or_else(ClientId::of_machine);
        let topic = section.topic.as_str().to_owned();
        Ok(MqttSink {
            peer,
            tls,
            retry: section.retry,
            version: section.version,
            client_id: client_id.as_str().to_owned(),
            user: section.user.as_ref().map(|user| user.as_str().to_owned()),
            password: password.transpose()?,
            status: format!("{topic}/status"),
            topic,
            qos: section.qos.get(),
            interval: section.interval.duration(),
            discovery: section.discovery.then(|| section.discovery_prefix.as_str().to_owned()),
            records: section.records,
        })
    }
}

impl Sink for MqttSink {
    fn cost(&self) -> usize {
        let tls = if self.tls.is_some() { TLS_CONNECTION_BYTES } else { 0 };
        window::COST + 4 * MQTT_STATE_BYTES + MQTT_PACKET_BYTES + tls
    }

    fn tls(&self) -> Option<Rc<Client>> {
        self.tls.clone()
    }

    fn run(self: Box<Self>, context: &'static TaskContext, outlet: &'static Outlet) -> RunningSink {
        Box::pin(run(*self, context, outlet))
    }
}

/// Keeps sessions with the broker until the daemon stops.
async fn run(sink: MqttSink, context: &'static TaskContext, outlet: &'static Outlet) {
    let mut uplink = Uplink::new(outlet, &context.outlets, &sink.peer, sink.retry);
    let mut window = MessageWindow::new(sink.qos);
    while let Some((stream, input, welcome)) = uplink.connect(async || connect(&sink).await).await {
        let mut session = BrokerSession {
            sink: &sink,
            context,
            outlet,
            window: &mut window,
            stream,
            input,
            welcome,
            scratch: Vec::with_capacity(2 * MQTT_STATE_BYTES),
            last_sent: Instant::now(),
            pinged: None,
            sent_at: None,
        };
        let Err(error) = session.serve().await else { return };
        window.restart();
        uplink.broke_off(error).await;
    }
}

/// Connects and greets.
async fn connect(sink: &MqttSink) -> io::Result<(Box<dyn OutputStream>, BrokerPackets, BrokerLimits)> {
    let mut stream = open(&sink.peer, sink.tls.as_deref()).await?;
    let mut input = BrokerPackets { bytes: Vec::with_capacity(MQTT_PACKET_BYTES), skip: 0 };
    let password = sink.password.as_ref().map(Secret::expose);
    let greeting = ConnectPacket {
        version: sink.version,
        client_id: &sink.client_id,
        credentials: sink.user.as_deref().map(|user| (user, password)),
        keep_alive: MQTT_KEEP_ALIVE_SECONDS,
        will: (&sink.status, b"offline", sink.qos as u8),
    };
    let mut bytes = Vec::new();
    greeting.compose(&mut bytes);
    let welcome = in_time(async {
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        input.next(&mut *stream).await?;
        match input.take(sink.version, |packet| match packet {
            BrokerPacket::Connected(welcome) => Some(welcome),
            _ => None,
        })? {
            Some(welcome) if welcome.reason == 0 && u32::from(welcome.qos_maximum) >= sink.qos => Ok(welcome),
            Some(welcome) if welcome.reason == 0 => Err(invalid("the broker knows no quality of service 1")),
            Some(welcome) => Err(invalid(refusal(sink.version, welcome.reason))),
            None => Err(invalid("no MQTT in the answer")),
        }
    })
    .await?;
    Ok((stream, input, welcome))
}

/// A session with the broker.
struct BrokerSession<'a> {
    sink: &'a MqttSink,
    context: &'static TaskContext,
    outlet: &'static Outlet,
    window: &'a mut MessageWindow,
    stream: Box<dyn OutputStream>,
    input: BrokerPackets,
    welcome: BrokerLimits,
    /// Where a packet is composed that is not in the window.
    scratch: Vec<u8>,
    last_sent: Instant,
    /// When it was asked whether it is there, if it has not answered.
    pinged: Option<Instant>,
    /// When the window was sent, if it is to be acknowledged.
    sent_at: Option<Instant>,
}

/// The next thing to see to.
enum SessionEvent {
    Packet,
    Records,
    Time,
}

/// The first number of those that are not in the window: status, subscription, state.
const OWN_ID: u16 = 0x8000;

impl BrokerSession<'_> {
    /// Publishes until the daemon stops.
    ///
    /// # Errors
    ///
    /// When the connection ends before that.
    async fn serve(&mut self) -> io::Result<()> {
        let BrokerSession { sink, outlet, .. } = *self;
        self.publish((&sink.status, ""), true, b"online", self.own_id(0)).await?;
        if let Some(prefix) = &sink.discovery {
            self.scratch.clear();
            compose_subscribe(sink.version, OWN_ID + 1, (prefix, "/status"), &mut self.scratch);
            self.send_scratch().await?;
        }
        self.announce().await?;
        let mut state_at = Instant::now();
        let mut is_told = false;
        loop {
            if state_at <= Instant::now() {
                self.tell_state().await?;
                state_at = Instant::now() + sink.interval;
            }
            if outlet.is_stopping() && !is_told {
                is_told = true;
                if outlet.has_uncounted() || sink.records {
                    self.tell_state().await?;
                }
            }
            self.send().await?;
            if self.window.is_empty() && outlet.is_over() {
                return self.say_goodbye().await;
            }
            let deadline = self.deadline(state_at);
            let BrokerSession { input, stream, window, .. } = &mut *self;
            let packet = async {
                input.next(&mut **stream).await?;
                Ok::<_, io::Error>(SessionEvent::Packet)
            };
            let records = async {
                match window.is_empty() {
                    true => match outlet.next_step().await {
                        TaskStep::Write | TaskStep::Reopen => Ok(SessionEvent::Records),
                        TaskStep::End if is_told => pending().await,
                        TaskStep::End => Ok(SessionEvent::Records),
                    },
                    false => pending().await,
                }
            };
            let time = async {
                Timer::at(deadline).await;
                Ok(SessionEvent::Time)
            };
            match or(packet, or(records, time)).await? {
                SessionEvent::Packet => self.receive().await?,
                SessionEvent::Records => {}
                SessionEvent::Time => self.look_at_the_clock().await?,
            }
        }
    }

    /// The next time at which something is to be done.
    fn deadline(&self, state_at: Instant) -> Instant {
        let ping = self.pinged.map_or(self.last_sent + self.ping_after(), |at| at + PATIENCE);
        let acknowledged = self.sent_at.map(|at| match self.outlet.is_ready() {
            true => at + TURN,
            false => at + ACKNOWLEDGE,
        });
        acknowledged.map_or(ping, |at| at.min(ping)).min(state_at)
    }

    /// Sends what is in the window, and fills it when it is empty.
    async fn send(&mut self) -> io::Result<()> {
        let outlet = self.outlet;
        if self.window.is_empty() {
            self.sent_at = None;
            let reserved = usize::from(self.welcome.receive_maximum).saturating_sub(2).max(1);
            self.window.fill(
                outlet,
                WindowSettings {
                    version: self.sink.version,
                    topic: (&self.sink.topic, if self.sink.records { "/record" } else { "/state" }),
                    most: MQTT_WINDOW.min(reserved),
                    packet_maximum: self.welcome.packet_maximum as usize,
                },
            );
            self.context.outlets.progressed();
        }
        if self.window.rest().is_empty() {
            return Ok(());
        }
        while !self.window.rest().is_empty() {
            let BrokerSession { stream, window, context, .. } = self;
            let written = poll_fn(|waker| match Pin::new(&mut **stream).poll_write(waker, window.rest()) {
                Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => Poll::Ready(written),
                Poll::Pending => {
                    outlet.set_write_state(WriteState::Blocked);
                    context.outlets.progressed();
                    Poll::Pending
                }
            });
            let written = written.await?;
            self.window.written(written, outlet);
            self.context.outlets.progressed();
        }
        self.stream.flush().await?;
        outlet.set_write_state(WriteState::Ready);
        self.last_sent = Instant::now();
        self.sent_at = (!self.window.is_empty()).then_some(self.last_sent);
        Ok(())
    }

    /// Takes the packet that has come.
    async fn receive(&mut self) -> io::Result<()> {
        let BrokerSession { sink, outlet, .. } = *self;
        let window = &mut *self.window;
        let (mut is_home_there, mut has_answered) = (false, false);
        let goodbye = self.input.take(sink.version, |packet| {
            match packet {
                BrokerPacket::Taken { id, reason } => window.acknowledged(id, reason >= 0x80, outlet),
                BrokerPacket::Message { topic, payload } => {
                    let prefix = sink.discovery.as_deref().unwrap_or_default().as_bytes();
                    is_home_there =
                        topic.strip_prefix(prefix) == Some(&b"/status"[..]) && payload == b"online";
                }
                BrokerPacket::Pong => has_answered = true,
                BrokerPacket::Goodbye(reason) => return Some(reason),
                BrokerPacket::Connected(_) | BrokerPacket::Other => {}
            }
            None
        })?;
        if let Some(reason) = goodbye {
            return Err(invalid(format!("the broker ended it, reason {reason:#04x}")));
        }
        if has_answered {
            self.pinged = None;
        }
        if is_home_there {
            self.announce().await?;
            self.tell_state().await?;
        }
        if self.window.is_empty() && self.sent_at.take().is_some() {
            outlet.set_write_state(WriteState::Ready);
        }
        self.context.outlets.progressed();
        Ok(())
    }

    /// A time has come.
    async fn look_at_the_clock(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the broker does not answer");
        if self.pinged.is_some_and(|at| at + PATIENCE <= now) {
            return Err(late());
        }
        if let Some(at) = self.sent_at {
            if at + ACKNOWLEDGE <= now {
                return Err(late());
            }
            if at + TURN <= now && self.outlet.is_ready() {
                // Who acknowledges at once keeps up; for who does not, nobody waits.
                self.outlet.set_write_state(WriteState::Blocked);
                self.context.outlets.progressed();
            }
        }
        if self.pinged.is_none() && self.last_sent + self.ping_after() <= now {
            self.scratch.clear();
            self.scratch.extend_from_slice(&PINGREQ);
            self.send_scratch().await?;
            self.pinged = Some(now);
        }
        Ok(())
    }

    /// Half of what the broker waits for a packet of ours.
    fn ping_after(&self) -> Duration {
        let seconds = self.welcome.keep_alive.filter(|&seconds| seconds > 0);
        Duration::from_millis(u64::from(seconds.unwrap_or(MQTT_KEEP_ALIVE_SECONDS)) * 500)
    }

    /// Tells Home Assistant of the sensors.
    async fn announce(&mut self) -> io::Result<()> {
        let sink = self.sink;
        let Some(prefix) = &sink.discovery else { return Ok(()) };
        let names = SensorNames { client_id: &sink.client_id, topic: &sink.topic };
        for sensor in SENSORS {
            let (mut topic, mut text) = (JsonText::new(), JsonText::new());
            let written = sensor.write_topic(names, &mut topic).and_then(|()| sensor.write(names, &mut text));
            if written.is_ok() {
                self.publish((prefix, &topic), true, text.as_bytes(), None).await?;
            }
        }
        Ok(())
    }

    /// Publishes the counters; without records as the line that stands for the messages since the last one.
    async fn tell_state(&mut self) -> io::Result<()> {
        let sink = self.sink;
        let mut text = JsonText::new();
        if write_state(&self.context.statistics.borrow(), &mut text).is_err() {
            return Ok(());
        }
        if sink.records {
            self.publish((&sink.topic, "/state"), false, text.as_bytes(), self.own_id(2)).await
        } else {
            self.outlet.offer_line(&[text.as_bytes()]);
            Ok(())
        }
    }

    async fn say_goodbye(&mut self) -> io::Result<()> {
        let sink = self.sink;
        let said = in_time(async {
            self.publish((&sink.status, ""), true, b"offline", None).await?;
            self.scratch.clear();
            self.scratch.extend_from_slice(&GOODBYE);
            self.send_scratch().await?;
            self.stream.close().await
        });
        let _ = said.await;
        Ok(())
    }

    /// Publishes something beside the window.
    async fn publish(
        &mut self,
        topic: (&str, &str),
        retain: bool,
        payload: &[u8],
        id: Option<u16>,
    ) -> io::Result<()> {
        self.scratch.clear();
        let publish = PublishPacket { topic, retain, id };
        publish.compose(self.sink.version, &[payload], &mut self.scratch);
        self.send_scratch().await
    }

    /// The number of a message beside the window, if the broker is to acknowledge it.
    fn own_id(&self, which: u16) -> Option<u16> {
        (self.sink.qos > 0).then_some(OWN_ID + which)
    }

    async fn send_scratch(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.scratch).await?;
        self.stream.flush().await?;
        self.last_sent = Instant::now();
        Ok(())
    }
}

const PATIENCE: Duration = Duration::from_secs(PATIENCE_SECONDS as u64);
const ACKNOWLEDGE: Duration = Duration::from_secs(MQTT_ACKNOWLEDGE_SECONDS);
const TURN: Duration = Duration::from_millis(PUSH_TURN_MS);

/// The packets of the broker, one by packet; one that is too long is none for us, and is passed over.
struct BrokerPackets {
    bytes: Vec<u8>,
    skip: usize,
}

impl BrokerPackets {
    /// Waits until a whole packet is at the front.
    async fn next(&mut self, stream: &mut dyn OutputStream) -> io::Result<()> {
        loop {
            let skipped = self.skip.min(self.bytes.len());
            self.bytes.drain(..skipped);
            self.skip -= skipped;
            match packet::frame(&self.bytes).map_err(|NotMqtt| invalid("no MQTT in what it says"))? {
                Some((length, _)) if self.skip == 0 && length > MQTT_PACKET_BYTES => {
                    self.skip = length;
                    continue;
                }
                Some((length, _)) if self.skip == 0 && length <= self.bytes.len() => return Ok(()),
                _ => {}
            }
            let mut room = [0; 256];
            let read = stream.read(&mut room).await?;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed"));
            }
            self.bytes.extend_from_slice(room.get(..read).unwrap_or_default());
        }
    }

    /// Takes out the packet at the front.
    fn take<T>(&mut self, version: Version, see: impl FnOnce(BrokerPacket<'_>) -> T) -> io::Result<T> {
        let broken = |NotMqtt| invalid("no MQTT in what it says");
        let (length, start) = packet::frame(&self.bytes).map_err(broken)?.ok_or(NotMqtt).map_err(broken)?;
        let body = self.bytes.get(start..length).unwrap_or_default();
        let first = self.bytes.first().copied().unwrap_or_default();
        let seen = see(packet::parse(version, first, body).map_err(broken)?);
        self.bytes.drain(..length.min(self.bytes.len()));
        Ok(seen)
    }
}

/// Why a broker does not want us (MQTT 5, 3.2.2.2; MQTT 3.1.1, 3.2.2.3).
fn refusal(version: Version, reason: u8) -> String {
    let words = match (version, reason) {
        (Version::V311, 1) | (Version::V5, 0x84) => "it does not speak this version",
        (Version::V311, 2) | (Version::V5, 0x85) => "it does not take the client id",
        (Version::V311, 4) | (Version::V5, 0x86) => "it does not know this user and password",
        (Version::V311, 5) | (Version::V5, 0x87) => "we are not allowed",
        _ => "it does not say why",
    };
    format!("the broker refuses, reason {reason:#04x}: {words}")
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
