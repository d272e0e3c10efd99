//! The stages of a message between decoding and counting, as one list.
//!
//! A stage looks at the [`Event`] and may fill something in, change it, or end the message's way. Pairing and
//! the filter come first and are always there. Those after them have a section of the configuration each and
//! are rows of the list in [`mod.rs`](super): adding one is a file with its section and its `impl`s, and a
//! row. The macro makes a field of each and one call after the other, known when the program is built: no
//! table of functions, no pointer to follow. A stage that is off is `None`, which costs one comparison.
//!
//! A stage that changes what a forwarded frame must not show any longer notes it (see
//! [`Event::is_rewritten`]), and gives the event its new value; the outputs that send frames on then compose
//! them again.

use core::ops::ControlFlow;
use std::path::Path;

use super::configured_stages;
use super::event::Event;
use super::filter::{Filter, FilterReason, Verdict};
use super::hashes::MessageHashes;
use super::pairing::Pairing;
use crate::values::KeyError;

/// One stage.
pub trait Stage {
    /// Whether it may note such a change ([`Event::is_rewritten`]): outputs that forward frames then have
    /// room to compose them again.
    const REWRITES: bool = false;

    /// Takes a message on its way, and lets it go on or ends it.
    fn pass<'e>(
        &'e mut self,
        event: &mut Event<'e>,
        hashes: &mut MessageHashes<'e>,
    ) -> ControlFlow<FilterReason>;

    /// Whether it hides names: lists of names then judge a message before it passes.
    fn hides_names(&self) -> bool {
        false
    }
}

/// The section of a stage.
pub trait StageSection {
    /// The rules between its keys.
    ///
    /// # Errors
    ///
    /// The key that is missing or wrong.
    fn check(&self) -> Result<(), KeyError>;

    /// The key that asks for what this build is without.
    fn missing_feature(&self) -> Option<KeyError> {
        None
    }

    /// Memory that the stage takes, in words and bytes.
    fn memory(&self) -> Option<(String, usize)> {
        None
    }

    /// Keys of files that a reload reads again, and the files.
    fn files(&self) -> Vec<(&'static str, &Path)> {
        Vec::new()
    }

    /// Whether it hides who asked: then no devices are remembered.
    fn hides_clients(&self) -> bool {
        false
    }

    /// Whether it keeps something in that shall not come out: then it must not vanish from the file unsaid.
    fn protects(&self) -> bool {
        false
    }
}

/// A stage that is made of its section, at the start and at each reload.
pub trait ConfiguredStage: Stage + Sized {
    /// Its section.
    type Section: StageSection + PartialEq;

    /// The noun for what stays in force when a reload cannot read another one.
    const IN_FORCE: &'static str;

    /// The stage that the section asks for, with its files opened; `None` if it is off.
    ///
    /// # Errors
    ///
    /// The key of a file that cannot be read or is of no use.
    fn load(section: &Self::Section) -> Result<Option<Self>, KeyError>;

    /// Lines for `--check`.
    fn words(&self, section: &Self::Section) -> Vec<String>;

    /// A sample of what it makes of addresses and names, the same for the same settings and files. A stage
    /// that rewrites in another way than before makes everything with an address of a client in it useless.
    fn sample(&self) -> [u128; 3] {
        [0; 3]
    }
}

/// Makes the fields and the calls of the stages with a section.
macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident: $stage:ident,)+) => {
        /// All stages, in the order in which a message passes them.
        #[derive(Debug)]
        pub struct Stages {
            /// Fills in the latency. It comes first: also a query that the filter leaves out has a response.
            pub(crate) pairing: Pairing,
            /// Ends the way of what is not to be kept.
            pub(crate) filter: Filter,
            $($(#[$doc])* pub(crate) $name: Option<super::$name::$stage>,)+
        }

        /// Whether any stage of the list may change what a forwarded frame shows.
        pub(crate) const STAGES_REWRITE: bool = $(<super::$name::$stage as Stage>::REWRITES)||+;

        impl Stages {
            /// Those that always act; those that may be off are off.
            pub fn new(pairing: Pairing, filter: Filter) -> Stages {
                Stages { pairing, filter, $($name: None,)+ }
            }

            /// Takes a message through all of them, or as far as it comes.
            #[inline(always)] // a part of the way of a message, which is one function
            pub(crate) fn pass<'e>(
                &'e mut self,
                event: &mut Event<'e>,
                hashes: &mut MessageHashes<'e>,
            ) -> ControlFlow<FilterReason> {
                self.pairing.pass(event, hashes)?;
                self.filter.pass(event, hashes)?;
                $(self.$name.pass(event, hashes)?;)+
                ControlFlow::Continue(())
            }

            /// Whether any of them hides names.
            #[inline(always)]
            pub(crate) fn hides_names(&self) -> bool {
                $(self.$name.hides_names())||+
            }
        }

        $(impl AsMut<Option<super::$name::$stage>> for Stages {
            fn as_mut(&mut self) -> &mut Option<super::$name::$stage> {
                &mut self.$name
            }
        })+
    };
}

configured_stages!(stages);

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

    #[inline(always)]
    fn hides_names(&self) -> bool {
        self.as_ref().is_some_and(S::hides_names)
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
