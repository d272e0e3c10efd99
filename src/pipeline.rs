//! The way of a message, as one function.
//!
//! [`Collector::ingest`] takes one whole frame from parsing to the last queue: no await, no allocation, no
//! I/O. It tells what became of the frame, and the input that brought it counts that.

use core::cell::{Cell, Ref, RefCell};
use core::ops::ControlFlow;

use crate::health::{self, Health};
use crate::history::status::StatusRules;
use crate::history::{self, History};
use crate::message::event::Event;
use crate::message::filter::{Filter, FilterReason};
use crate::message::geoip::LocationDatabase;
use crate::message::hashes::{MessageHasher, MessageHashes};
use crate::message::stages::{ConfiguredStage, Stages};
use crate::message::status::ExchangeStatus;
use crate::output::Outlets;
use crate::reasons::Tally;
use crate::statistics::Statistics;
use crate::wire::dns::Malformed;
use crate::wire::dnstap::{Dnstap, Policy, Reject};

/// Everything a message passes.
#[derive(Debug)]
pub struct Collector<'a> {
    hasher: MessageHasher,
    stages: RefCell<Stages>,
    statistics: &'a RefCell<Statistics>,
    /// Watches; `None` if nobody asks for it.
    health: RefCell<Option<Health>>,
    /// The memory of exchanges; `None` if history is off.
    history: Option<&'a RefCell<History>>,
    outputs: &'a Outlets,
    /// Messages that go to the outputs; `None` = all.
    selection: Cell<Option<&'static dyn Selection>>,
    malformed: Tally<Malformed>,
}

/// A choice of messages for the outputs; what it leaves out is counted all the same.
pub(crate) trait Selection: core::fmt::Debug {
    /// Whether a message goes to the outputs; `policy_intervened` where a policy of the server did not let it
    /// pass.
    fn wants(&self, event: &Event<'_>, hashes: &MessageHashes<'_>, policy_intervened: bool) -> bool;
}

/// The end of a frame's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingested {
    /// It went to the statistics and the outputs.
    Received,
    /// A stage left it out.
    Filtered(FilterReason),
    /// It is not a dnstap message.
    Rejected(Reject),
}

impl<'a> Collector<'a> {
    /// A collector that counts in `statistics` and offers to `outputs`.
    pub fn new(
        statistics: &'a RefCell<Statistics>,
        outputs: &'a Outlets,
        stages: Stages,
        hasher: MessageHasher,
    ) -> Self {
        Collector {
            hasher,
            stages: RefCell::new(stages),
            statistics,
            health: RefCell::new(None),
            history: None,
            outputs,
            selection: Cell::new(None),
            malformed: Tally::default(),
        }
    }

    /// The same collector, which remembers in `history`.
    pub fn with_history(self, history: Option<&'a RefCell<History>>) -> Self {
        Collector { history, ..self }
    }

    /// The memory of exchanges; `None` if history is off.
    #[inline]
    pub(crate) fn history(&self) -> Option<&'a RefCell<History>> {
        if history::BUILT { self.history } else { None }
    }

    /// Takes one frame, and tells what became of it, for the counters of its input.
    #[cfg_attr(for_size, optimize(speed))]
    pub fn ingest(&self, frame: &[u8]) -> Ingested {
        let dnstap = match Dnstap::parse(frame) {
            Ok(dnstap) => dnstap,
            Err(reject) => return Ingested::Rejected(reject),
        };
        // The event borrows from the stages (a country from its database), so they are taken for the whole
        // way.
        let mut stages = self.stages.borrow_mut();
        let mut event = Event::from_dnstap(&dnstap);
        if let Some(reason) = event.dns.malformed {
            self.malformed.count(reason);
        }
        let mut hashes = self.hasher.hash(&event);
        // A list says nothing of a name that is hidden: then, too, it is judged as it was sent.
        let hides_names = stages.hides_names();
        if stages.filter.asks_for_status() || self.outputs.asks_for_status() || hides_names {
            let policy_intervened = dnstap.message.policy.is_some_and(Policy::intervenes);
            event.status = Some(self.status(&event, &hashes, policy_intervened));
        }
        if let ControlFlow::Break(reason) = stages.pass(&mut event, &mut hashes) {
            return Ingested::Filtered(reason);
        }
        if event.query_rewritten {
            self.hasher.hash_address_again(&event, &mut hashes);
        }
        if event.name_rewritten {
            self.hasher.hash_name_again(&event, &mut hashes);
        }
        let mut statistics = self.statistics.borrow_mut();
        let place = statistics.observe(&event, &hashes);
        let mut mark = None;
        if let Some(history) = self.history() {
            // Not the whole message, which would have to lie in memory for it, also while nothing is
            // remembered.
            let policy_intervened = dnstap.message.policy.is_some_and(Policy::intervenes);
            let observed = history.borrow_mut().observe(&event, &hashes, policy_intervened, place as u16);
            if observed.is_blocked {
                statistics.count_blocked(place);
            }
            mark = Some(observed.mark);
        }
        drop(statistics);
        if let Some(health) = &mut *self.health.borrow_mut() {
            if let Some(was_cached) = health.observe(&event, &hashes, place) {
                self.statistics.borrow_mut().count_cached(place, was_cached);
            }
            if health.has_news() {
                health.tell(|alarm| self.outputs.offer_alarm(alarm));
            }
        }
        if self.selection.get().is_none_or(|selection| {
            selection.wants(&event, &hashes, dnstap.message.policy.is_some_and(Policy::intervenes))
        }) {
            if self.outputs.asks_for_device() {
                self.offer_with_device(&event, &hashes, frame);
            } else {
                self.outputs.offer(&event, &hashes, None, frame);
            }
        }
        if let Some(mark) = mark {
            stages.pairing.note(mark);
        }
        Ingested::Received
    }

    /// The last step with the name of who asked.
    #[cold]
    fn offer_with_device(&self, event: &Event<'_>, hashes: &MessageHashes<'_>, frame: &[u8]) {
        let history = self.history.map(RefCell::borrow);
        let device = history.as_ref().zip(event.query.address);
        let device = device.and_then(|(history, address)| history.devices().name(address));
        self.outputs.offer(event, hashes, device, frame);
    }

    /// How the exchange of a message ended, as far as the message says it.
    #[cold]
    fn status(
        &self,
        event: &Event<'_>,
        hashes: &MessageHashes<'_>,
        policy_intervened: bool,
    ) -> ExchangeStatus {
        match self.history {
            Some(history) => history.borrow().status(event, hashes, policy_intervened),
            None => StatusRules::default().status(event, hashes, policy_intervened),
        }
    }

    /// All outputs.
    pub(crate) fn outputs(&self) -> &'a Outlets {
        self.outputs
    }

    /// Hands the outputs only what is selected.
    pub(crate) fn select(&self, selection: &'static dyn Selection) {
        self.selection.set(Some(selection));
    }

    /// Whether the outputs get only what is selected.
    pub(crate) fn is_selective(&self) -> bool {
        self.selection.get().is_some()
    }

    /// Puts another filter in force.
    pub(crate) fn set_filter(&self, filter: Filter) {
        self.stages.borrow_mut().filter = filter;
    }

    /// Puts another stage in force, or none; whether it rewrites messages in another way than the one before.
    pub fn set_stage<S: ConfiguredStage>(&self, stage: Option<S>) -> bool
    where
        Stages: AsMut<Option<S>>,
    {
        if S::REWRITES && stage.is_some() {
            self.outputs.prepare_to_rewrite();
        }
        let stages = &mut *self.stages.borrow_mut();
        let in_force: &mut Option<S> = stages.as_mut();
        let differs = S::REWRITES && in_force.as_ref().map(S::sample) != stage.as_ref().map(S::sample);
        *in_force = stage;
        differs
    }

    /// Forgets everything with an address of a client in it: tables, pairs, exchanges, devices, alarms.
    /// Counters and series stay.
    pub(crate) fn forget_clients(&self, health: &health::Section) {
        self.statistics.borrow_mut().forget_clients();
        if let Some(history) = self.history {
            history.borrow_mut().forget_clients();
        }
        *self.health.borrow_mut() = Health::start(health);
    }

    /// Watches as the section says, from now on. What was found stays unless it is off.
    pub(crate) fn set_health(&self, section: &health::Section) {
        let mut health = self.health.borrow_mut();
        match &mut *health {
            Some(health) if section.enable => health.configure(section),
            health => *health = Health::start(section),
        }
    }

    /// The findings of watching; `None` if nobody asks for it.
    pub(crate) fn health(&self) -> Ref<'_, Option<Health>> {
        self.health.borrow()
    }

    /// The same, for those who save it.
    pub(crate) fn health_cell(&self) -> &RefCell<Option<Health>> {
        &self.health
    }

    /// Some time has passed.
    pub(crate) fn tick(&self, milliseconds: u64) {
        if let Some(health) = &mut *self.health.borrow_mut() {
            health.tick(milliseconds);
            health.tell(|alarm| self.outputs.offer_alarm(alarm));
        }
    }

    /// Counts from zero again.
    pub(crate) fn reset(&self) {
        self.statistics.borrow_mut().reset();
        if let Some(history) = self.history {
            history.borrow_mut().reset_pairs();
        }
        if let Some(health) = &mut *self.health.borrow_mut() {
            health.reset();
        }
    }

    /// When the database in force was made, in seconds since 1970.
    pub(crate) fn geoip_built(&self) -> Option<u64> {
        self.stages.borrow().geoip.as_ref().map(LocationDatabase::built)
    }

    /// One message in how many passes.
    pub(crate) fn sample_rate(&self) -> u64 {
        self.stages.borrow().filter.sample_rate()
    }

    /// Messages whose DNS payload could not be read to its end, by reason; they are events all the same.
    pub(crate) fn malformed(&self) -> &Tally<Malformed> {
        &self.malformed
    }

    /// Queries forgotten before their response came.
    pub(crate) fn pairing_evicted(&self) -> u64 {
        self.stages.borrow().pairing.evicted()
    }
}

/// An event is made and dropped a million times a second.
const _: () = assert!(size_of::<Event<'static>>() <= 272);
