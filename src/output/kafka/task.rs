//! The task of the Kafka output: hands records to librdkafka, and counts what it reports.
//!
//! ```text
//! our queue --- send ---> librdkafka's queue, its threads ---> brokers
//!     ^                                |
//!     '- stays while that is full      '--- reports ---> delivered, dropped
//! ```
//!
//! Records that librdkafka holds count as queued until its report. While its queue is full our own one fills;
//! then the rule of every output holds (`when-full`). It never waits in here: librdkafka's threads send, and
//! wake this task by a socket when there is something to hear.

use core::ops::ControlFlow;
use core::time::Duration;

use defmt_or_log::{info, warn};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer};
use smol::future::{or, yield_now};

use super::super::{DropReason, Outlet, Outlets, WriteState};
use super::client::KafkaClient;
use super::record::{KeyedRecords, split};
use crate::limits::{KAFKA_HURRY_MS, KAFKA_TURN_RECORDS};
use crate::reactor::Timer;
use crate::sys::kafka::Signal;

/// Sends records until the daemon stops and librdkafka has reported on all of them.
pub(crate) async fn run(
    outlet: &Outlet,
    outlets: &Outlets,
    client: &KafkaClient,
    (brokers, topic): (&str, &str),
) {
    outlet.set_write_state(WriteState::Away);
    let signal = match client.signal() {
        Ok(signal) => signal,
        Err(error) => return fail(outlet, &error.to_string()),
    };
    if client.add_brokers(brokers) == 0 {
        return fail(outlet, "no broker in the list");
    }
    let mut room = Vec::with_capacity(KeyedRecords::LONGEST);
    let mut connected = false;
    loop {
        client.serve();
        count(outlet, client);
        note_connection(outlet, client, &mut connected);
        let sent = send(outlet, client, topic, &mut room);
        note_room(outlet, connected, sent);
        outlets.progressed();
        if outlet.is_over() {
            return;
        }
        match sent {
            TurnEnd::More => yield_now().await,
            sent => wait(outlet, client, &signal, sent).await,
        }
    }
}

/// It cannot work at all.
fn fail(outlet: &Outlet, why: &str) {
    warn!("Output {}: {}", outlet.name(), why);
    outlet.discard(DropReason::Closed);
    outlet.set_write_state(WriteState::Closed);
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TurnEnd {
    /// Our queue is empty.
    Empty,
    /// librdkafka's queue is full.
    Blocked,
    /// Neither; others have their turn now.
    More,
}

/// Hands over the records of a turn.
fn send(outlet: &Outlet, client: &KafkaClient, topic: &str, room: &mut Vec<u8>) -> TurnEnd {
    for _ in 0..KAFKA_TURN_RECORDS {
        let handed = outlet.send_first_with(|pieces| {
            room.clear();
            pieces.iter().for_each(|piece| room.extend_from_slice(piece));
            produce(client, topic, room)
        });
        match handed {
            None => return TurnEnd::Empty,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                if refused(outlet, client, &error).is_break() {
                    return TurnEnd::Blocked;
                }
            }
        }
    }
    TurnEnd::More
}

/// Hands one record to librdkafka, which copies it.
fn produce(client: &KafkaClient, topic: &str, record: &[u8]) -> Result<(), KafkaError> {
    let Some((key, value)) = split(record) else {
        return Err(KafkaError::MessageProduction(RDKafkaErrorCode::InvalidArgument));
    };
    let message = BaseRecord::<[u8], [u8]> { key, ..BaseRecord::to(topic).payload(value) };
    client.producer().send(message).map_err(|(error, _)| error)
}

/// Librdkafka did not take the first record: it stays when that is for now, else it is lost.
fn refused(outlet: &Outlet, client: &KafkaClient, error: &KafkaError) -> ControlFlow<()> {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => return ControlFlow::Break(()),
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => outlet.drop_first(DropReason::Oversize),
        _ => outlet.drop_first(DropReason::Delivery),
    }
    client.producer().context().tell_loss(error);
    ControlFlow::Continue(())
}

/// Counts what librdkafka reported.
fn count(outlet: &Outlet, client: &KafkaClient) {
    let reports = client.producer().context();
    // A record in the queue has the length of its key in front.
    let (records, bytes) = reports.take_delivered();
    outlet.settle_delivered(records, bytes + 2 * records as usize);
    let (records, bytes) = reports.take_lost();
    outlet.settle_lost(records, bytes + 2 * records as usize, DropReason::Delivery);
}

/// Notes whether a connection stands.
fn note_connection(outlet: &Outlet, client: &KafkaClient, connected: &mut bool) {
    let now = client.producer().context().is_connected();
    if now == *connected {
        return;
    }
    *connected = now;
    if now {
        outlet.set_connected();
        info!("Output {}: connected", outlet.name());
    } else {
        outlet.set_write_state(WriteState::Away);
        warn!("Output {}: no broker is there; tried again", outlet.name());
    }
}

/// Notes whether librdkafka has room.
fn note_room(outlet: &Outlet, connected: bool, sent: TurnEnd) {
    if connected {
        outlet.set_write_state(if sent == TurnEnd::Blocked {
            WriteState::Blocked
        } else {
            WriteState::Ready
        });
    }
}

/// Waits until there is something to hear, to send, or to end.
async fn wait(outlet: &Outlet, client: &KafkaClient, signal: &Signal, sent: TurnEnd) {
    let heard = async {
        if let Err(error) = signal.came().await {
            warn!("Output {}: {}", outlet.name(), error.to_string());
            Timer::after(Duration::from_secs(1)).await;
        }
    };
    if outlet.is_stopping() {
        client.hurry();
        or(heard, async {
            Timer::after(Duration::from_millis(KAFKA_HURRY_MS)).await;
        })
        .await;
    } else if sent == TurnEnd::Blocked {
        or(heard, outlet.stopping()).await;
    } else {
        or(heard, async {
            outlet.next_step().await;
        })
        .await;
    }
}
