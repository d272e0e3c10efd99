//! The stages that the configuration asks for: opened, checked, and put in force at the start and at a reload.

use defmt_or_log::warn;

use crate::config::Config;
use crate::message::stages::{ConfiguredStage, StageSection, Stages};
use crate::message::{self, configured_stages};
use crate::pipeline::Collector;
use crate::process::StartError;

/// A stage as its section asks for it; `None` in it if that is off.
type Loaded<S> = Result<Option<S>, StartError>;

/// Makes of the list of stages a field each, and one call after the other.
macro_rules! loaded_stages {
    ($($(#[$doc:meta])* $name:ident: $stage:ident,)+) => {
        /// All stages that have a section, with their files opened, or why not.
        pub(crate) struct LoadedStages {
            $($name: Loaded<message::$name::$stage>,)+
        }

        impl LoadedStages {
            /// Opens what the configuration enables.
            pub(crate) fn load(config: &Config) -> Self {
                LoadedStages { $($name: load(stringify!($name), &config.$name),)+ }
            }

            /// Reasons to refuse a start.
            pub(crate) fn errors(&self) -> impl Iterator<Item = &StartError> {
                [$(self.$name.as_ref().err(),)+].into_iter().flatten()
            }

            /// Lines for `--check`.
            pub(crate) fn words(&self, config: &Config) -> Vec<String> {
                let mut lines = Vec::new();
                $(lines.extend(words(stringify!($name), &self.$name, &config.$name));)+
                lines
            }

            /// Whether any that is on rewrites messages.
            pub(crate) fn rewrites(&self) -> bool {
                $(rewrites(&self.$name))||+
            }

            /// Why a reload is not to be: a protection was changed, and the one that is asked for cannot be
            /// had.
            pub(crate) fn refusal(&self, old: &Config, new: &Config) -> Option<&StartError> {
                [$(refusal(&self.$name, &old.$name, &new.$name),)+].into_iter().flatten().next()
            }

            /// Puts them in force, those that could not be had apart; whether messages are rewritten in
            /// another way than before.
            pub(crate) fn apply(self, collector: &Collector<'_>) -> bool {
                let mut differs = false;
                $(differs |= apply(self.$name, collector);)+
                differs
            }
        }
    };
}

configured_stages!(loaded_stages);

fn load<S: ConfiguredStage>(field: &str, section: &S::Section) -> Loaded<S> {
    S::load(section)
        .map_err(|fault| StartError(format!("{}.{}: {}", field.replace('_', "-"), fault.key, fault.text)))
}

fn words<S: ConfiguredStage>(field: &str, loaded: &Loaded<S>, section: &S::Section) -> Vec<String> {
    let Ok(Some(stage)) = loaded else { return Vec::new() };
    stage.words(section).into_iter().map(|line| format!("{}: {line}", field.replace('_', "-"))).collect()
}

fn rewrites<S: ConfiguredStage>(loaded: &Loaded<S>) -> bool {
    S::REWRITES && matches!(loaded, Ok(Some(_)))
}

fn refusal<'s, S: ConfiguredStage>(
    loaded: &'s Loaded<S>,
    old: &S::Section,
    new: &S::Section,
) -> Option<&'s StartError> {
    loaded.as_ref().err().filter(|_| new.protects() && old != new)
}

fn apply<S: ConfiguredStage>(loaded: Loaded<S>, collector: &Collector<'_>) -> bool
where
    Stages: AsMut<Option<S>>,
{
    match loaded {
        Ok(stage) => collector.set_stage(stage),
        Err(failure) => {
            warn!("{}: the {} in force stays", failure.to_string(), S::IN_FORCE);
            false
        }
    }
}
