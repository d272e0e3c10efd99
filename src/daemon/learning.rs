//! The names of devices, learned again and again from the files and tables that have them.

use std::cell::RefCell;
use std::time::Duration;

use smol::future::yield_now;

use crate::history::History;
use crate::names::files::NameSource;
use crate::names::sources::{self, NameSources, OwnedFact};
use crate::reactor::Timer;
use crate::time::Time;

/// Looks again and again at what says who is who.
pub(super) async fn learn_names(
    history: &'static RefCell<History>,
    mut sources: NameSources,
    changed: &'static RefCell<Option<NameSources>>,
) {
    learn(history, sources.statics());
    loop {
        if !history.borrow().has_devices() {
            Timer::after(Duration::from_secs(sources::LOOK_SECONDS)).await;
            continue;
        }
        if let Some(new) = changed.borrow_mut().take() {
            sources = new;
            history.borrow_mut().devices_mut().forget_names(NameSource::Static);
            learn(history, sources.statics());
        }
        let changed = sources.changed();
        if !changed.is_empty() {
            let facts = smol::unblock(move || sources::read(&changed)).await;
            // A few at a time: each may walk the table of devices.
            for facts in facts.chunks(FACTS_AT_ONCE) {
                learn(history, facts);
                yield_now().await;
            }
        }
        if history.borrow().has_devices() {
            sources.learn_neighbours(history.borrow_mut().devices_mut(), now_seconds());
        }
        Timer::after(Duration::from_secs(sources::LOOK_SECONDS)).await;
    }
}

/// Has the devices learn some facts.
fn learn(history: &RefCell<History>, facts: &[OwnedFact]) {
    let mut history = history.borrow_mut();
    if !history.has_devices() {
        return;
    }
    facts.iter().for_each(|fact| history.devices_mut().learn(&fact.as_fact(), now_seconds()));
}

/// Seconds since 1970 as a device keeps them.
fn now_seconds() -> u32 {
    u32::try_from(Time::now().seconds).unwrap_or(u32::MAX)
}

/// Facts learned before other work has its turn.
const FACTS_AT_ONCE: usize = 32;
