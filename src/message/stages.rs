//! The stages of a message between decoding and counting, as one list.
//!
//! A stage looks at the [`Event`] and may fill something in, change it, or end the message's way. The list
//! below is the order in which they act; adding one is a file with an `impl Stage` and a row. The macro makes
//! a field of each and one call after the other, known when the program is built: no table of functions, no
//! pointer to follow. A stage that may be off is an `Option`, which costs one comparison while it is `None`.
//!
//! A stage that changes what a forwarded frame must not show any longer notes it (see
//! [`Event::is_rewritten`]), and gives the event its new value; the outputs that send frames on then compose
//! them again.

use core::ops::ControlFlow;

use super::event::Event;
use super::filter::{Filter, FilterReason, Verdict};
use super::geoip::{Location, LocationDatabase};
use super::hashes::MessageHashes;
use super::pairing::Pairing;
use super::privacy::Privacy;

/// One stage.
pub(crate) trait Stage {
    /// Whether it may note such a change ([`Event::is_rewritten`]): outputs that forward frames then have
    /// room to compose them again.
    const REWRITES: bool = false;

    /// Takes a message on its way, and lets it go on or ends it.
    fn pass<'e>(
        &'e mut self,
        event: &mut Event<'e>,
        hashes: &mut MessageHashes<'e>,
    ) -> ControlFlow<FilterReason>;
}

/// Makes the list: a field for each row, and the calls in their order.
macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident: $stage:ty),+ $(,)?) => {
        /// All stages, in the order in which a message passes them.
        #[derive(Debug)]
        pub struct Stages {
            $($(#[$doc])* pub(crate) $name: $stage,)+
        }

        /// Whether any stage of the list may change what a forwarded frame shows.
        pub(crate) const STAGES_REWRITE: bool = $(<$stage as Stage>::REWRITES)||+;

        impl Stages {
            /// Takes a message through all of them, or as far as it comes.
            #[inline(always)] // a part of the way of a message, which is one function
            pub(crate) fn pass<'e>(
                &'e mut self,
                event: &mut Event<'e>,
                hashes: &mut MessageHashes<'e>,
            ) -> ControlFlow<FilterReason> {
                $(self.$name.pass(event, hashes)?;)+
                ControlFlow::Continue(())
            }
        }
    };
}

stages! {
    /// Fills in the latency. It comes first: also a query that the filter leaves out has a response.
    pairing: Pairing,
    /// Ends the way of what is not to be kept.
    filter: Filter,
    /// Fills in country and city; `None` if nobody asks for them.
    geoip: Option<LocationDatabase>,
    /// Hides who asked from all that follows; `None` if nobody asks for that.
    privacy: Option<Privacy>,
}

impl Stages {
    /// Those that always act; those that may be off are off.
    pub fn new(pairing: Pairing, filter: Filter) -> Stages {
        Stages { pairing, filter, geoip: None, privacy: None }
    }
}

impl Stage for Pairing {
    #[inline(always)]
    fn pass<'e>(
        &'e mut self,
        event: &mut Event<'e>,
        hashes: &mut MessageHashes<'e>,
    ) -> ControlFlow<FilterReason> {
        hashes.exchange = self.observe(event, hashes);
        ControlFlow::Continue(())
    }
}

impl Stage for Filter {
    #[cfg_attr(for_size, optimize(speed))]
    #[inline(always)]
    fn pass<'e>(&'e mut self, event: &mut Event<'e>, _: &mut MessageHashes<'e>) -> ControlFlow<FilterReason> {
        match self.judge(event, event.query.address, None) {
            Verdict::Keep => ControlFlow::Continue(()),
            Verdict::Drop(reason) => ControlFlow::Break(reason),
        }
    }
}

impl Stage for LocationDatabase {
    fn pass<'e>(&'e mut self, event: &mut Event<'e>, _: &mut MessageHashes<'e>) -> ControlFlow<FilterReason> {
        let location = event.query.address.map_or(Location::default(), |address| self.look_up(address));
        event.location = Some(location);
        ControlFlow::Continue(())
    }
}

/// A stage that may be off.
impl<S: Stage> Stage for Option<S> {
    const REWRITES: bool = S::REWRITES;

    #[inline(always)]
    fn pass<'e>(
        &'e mut self,
        event: &mut Event<'e>,
        hashes: &mut MessageHashes<'e>,
    ) -> ControlFlow<FilterReason> {
        match self {
            Some(stage) => stage.pass(event, hashes),
            None => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::hashes::MessageHasher;
    use crate::message::kinds::{CLIENT_KINDS, MessageKinds};
    use crate::wire::dnstap::{Dnstap, Message};
    use crate::wire::iana::MessageType;

    /// A stage that ends the way of everything, and one that counts what comes to it.
    #[test]
    fn the_way_may_end_at_any_stage() {
        let mut stages = Stages::new(
            Pairing::new(16),
            Filter::new(&toml::from_str("message-types = ['CLIENT_RESPONSE']").unwrap()),
        );
        let hasher = MessageHasher::new(true, MessageKinds::of(&CLIENT_KINDS));
        let mut pass = |message_type| {
            let message = Message { message_type, ..Message::default() };
            let dnstap = Dnstap { message, ..Dnstap::default() };
            let mut event = Event::from_dnstap(&dnstap);
            let mut hashes = hasher.hash(&event);
            stages.pass(&mut event, &mut hashes)
        };
        assert_eq!(pass(MessageType::CLIENT_QUERY), ControlFlow::Break(FilterReason::MessageTypes));
        assert_eq!(pass(MessageType::CLIENT_RESPONSE), ControlFlow::Continue(()));
    }
}
