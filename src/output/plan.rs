//! An output that is about to be made: what `--check` prints and adds up, and what the daemon starts.
//!
//! ```text
//! OutputKind: a section, its rules --- plan ---> Plan: name, words, record kind, queue, Sink
//!                                            |- words, cost, files, TLS   --check, memory map, reload, privileges
//!                                            '- build ---> Outlet (first half), Sink::run (second half)
//! ```
//!
//! Who loops over plans names no kind. A [`Sink`] must say what it costs, so no cost can be forgotten.

use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use std::path::PathBuf;
use std::rc::Rc;

use super::{Outlet, Outlets, RecordKind};
use crate::format::{Encoding, Field, Template};
use crate::limits::{Limits, QueueSize};
use crate::message::filter;
use crate::net::tls::{self, Client};
use crate::section::{QueueSettings, Switched};
use crate::sketch::record_queue::RecordQueue;
use crate::statistics::Statistics;
use crate::sys::privileges::Identity;
#[cfg(feature = "push")]
use crate::values::Secret;
use crate::values::{ClientTls, Format, Host, KeyError, Label, PlanError, WhenFull};

/// The keys that every output has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputKeys<'s> {
    /// Its name, if it has one of its own.
    pub(crate) name: Option<&'s str>,
    /// The messages that it takes.
    pub(crate) filter: &'s filter::Section,
    /// The fields of its records, if others than usual.
    pub(crate) fields: Option<&'s [Field]>,
    /// A text with fields in it.
    pub(crate) template: Option<&'s Template>,
    /// The keys of its queue.
    pub(crate) queue: QueueSettings,
}

impl<'s> OutputKeys<'s> {
    /// Those of an output that makes its own lines, or sends frames on.
    pub(crate) fn new(
        name: &'s Option<Label>,
        filter: &'s filter::Section,
        queue: Option<QueueSize>,
        when_full: WhenFull,
    ) -> Self {
        let bytes = queue.map_or(0, QueueSize::in_memory);
        OutputKeys {
            name: name.as_ref().map(Label::as_str),
            filter,
            fields: None,
            template: None,
            queue: QueueSettings { bytes, when_full, alarms: false },
        }
    }

    /// Those of an output of records.
    pub(crate) fn of_records(
        self,
        fields: &'s Option<Vec<Field>>,
        template: &'s Option<Template>,
        alarms: bool,
    ) -> Self {
        let queue = QueueSettings { alarms, ..self.queue };
        OutputKeys { fields: fields.as_deref(), template: template.as_ref(), queue, ..self }
    }
}

/// The keys of a section that every output has; `section!` implements it.
pub(crate) trait OutputSettings {
    /// All of them.
    fn keys(&self) -> OutputKeys<'_>;
}

/// One kind of output, as its section of the configuration.
pub(crate) trait OutputKind: Switched + OutputSettings {
    /// Name of the section.
    fn kind(&self) -> &'static str;

    /// Name of the output in metrics and log: its own, or that of the kind.
    fn name(&self) -> &str {
        self.keys().name.unwrap_or(self.kind())
    }

    /// The format of its records; `None` for an output of frames or of lines of its own.
    fn format(&self) -> Option<Format> {
        None
    }

    /// The encoding of its records.
    fn encoding(&self) -> Option<Encoding> {
        let keys = self.keys();
        self.format().map(|format| Encoding::new(format, keys.fields, keys.template))
    }

    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    fn check(&self) -> Result<(), KeyError> {
        self.tls().map_or(Ok(()), |tls| tls.check())
    }

    /// The TLS keys; `None` for a kind that cannot encrypt.
    fn tls(&self) -> Option<ClientTls<'_>> {
        None
    }

    /// The key that asks for what this build is without.
    fn missing_feature(&self) -> Option<KeyError> {
        self.tls().and_then(|tls| without_tls(&tls))
    }

    /// The output of an enabled section, opened as far as it can be: files are, connections are not.
    ///
    /// # Errors
    ///
    /// Whatever the machine lacks.
    fn plan(&self, context: &PlanContext<'_>) -> Result<Plan, PlanError>;
}

/// Whatever a plan depends on outside of its section.
#[derive(Debug, Clone, Copy)]
pub struct PlanContext<'a> {
    /// The capacities in force.
    pub limits: &'a Limits,
    /// Who the program becomes once everything is open, and who has to open files again; `None` = stays who
    /// it is.
    pub identity: Option<&'a Identity>,
}

/// One output, opened as far as it can be before anything runs.
pub struct Plan {
    /// Name in metrics and log.
    pub(crate) name: String,
    /// A description in words, for `--check`.
    pub(crate) words: String,
    /// The kind of its records.
    pub(crate) kind: RecordKind,
    /// Its queue.
    pub(crate) queue: QueueSettings,
    /// The second half: takes records out of the queue and writes them.
    pub(crate) sink: Box<dyn Sink>,
}

/// The second half of an output, before it runs.
pub trait Sink {
    /// Bytes of its buffers, in addition to the queue and to what making the records takes; those of TLS
    /// included.
    fn cost(&self) -> usize;

    /// The certificates it shows and trusts, when it encrypts; they are read again at a reload.
    fn tls(&self) -> Option<Rc<Client>> {
        None
    }

    /// The file that it opens again while it runs.
    fn file(&self) -> Option<ReopenedFile> {
        None
    }

    /// The task: runs until the queue is empty at a stop.
    fn run(self: Box<Self>, context: &'static TaskContext, outlet: &'static Outlet) -> RunningSink;
}

/// A task that runs.
pub(crate) type RunningSink = Pin<Box<dyn Future<Output = ()>>>;

/// A file that an output opens again at a reload and at a rotation.
#[derive(Debug, Clone)]
pub struct ReopenedFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Whether it is renamed, too, and another one made in its place.
    pub(crate) rotates: bool,
}

/// Whatever the tasks of outputs may use.
#[derive(Debug)]
pub struct TaskContext {
    /// All outputs.
    pub outlets: Outlets,
    /// The statistics.
    pub statistics: &'static RefCell<Statistics>,
}

impl Plan {
    /// The output of a section.
    pub(super) fn new(
        section: &dyn OutputKind,
        words: String,
        kind: RecordKind,
        sink: Box<dyn Sink>,
    ) -> Self {
        Plan { name: section.name().to_owned(), words, kind, queue: section.keys().queue, sink }
    }

    /// The same plan, whose queue is that of the profile unless its section says another one.
    pub(crate) fn settled(mut self, limits: &Limits) -> Self {
        if self.queue.bytes == 0 {
            self.queue.bytes = limits.queue;
        }
        self.kind.fit(self.queue.bytes);
        self
    }

    /// Bytes it takes: queue, making of records, buffers and TLS.
    pub(crate) fn cost(&self) -> usize {
        RecordQueue::cost(self.queue.bytes) + self.kind.cost() + self.sink.cost()
    }

    /// The output with its queue, and its second half. Like the output, its name lives until the process
    /// ends.
    pub fn build(self) -> (Outlet, Box<dyn Sink>) {
        (Outlet::of_kind(self.name.leak(), self.kind, self.queue), self.sink)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("name", &self.name).field("words", &self.words).finish_non_exhaustive()
    }
}

/// The text about TLS in a build without it.
pub(super) fn without_tls(keys: &ClientTls<'_>) -> Option<KeyError> {
    (keys.is_on() && !tls::BUILT).then(|| {
        KeyError::new(
            "tls-support",
            "needs the cargo feature `tls`, which this build is without; allowed: `false`",
        )
    })
}

/// The first line of a file with a secret, without its end.
#[cfg(feature = "push")]
pub(super) fn read_secret(key: &'static str, path: &std::path::Path) -> Result<Secret, KeyError> {
    let fault = |what: &dyn fmt::Display| KeyError::new(key, format!("{}: {what}", path.display()));
    let bytes = crate::sys::files::read_whole(path, SECRET_BYTES).map_err(|error| fault(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| fault(&"not UTF-8"))?;
    let line = text.lines().next().unwrap_or_default();
    match line.is_empty() || line.chars().any(char::is_control) {
        true => Err(fault(&"the first line is empty, or has control characters")),
        false => Ok(Secret::new(line)),
    }
}

/// Bytes of a file with a secret at most.
#[cfg(feature = "push")]
const SECRET_BYTES: u64 = 64 << 10;

/// The certificates for connections to `host`; `None` when TLS is off.
pub(super) fn load_tls(keys: &ClientTls<'_>, host: &Host) -> Result<Option<Rc<Client>>, PlanError> {
    Ok(Client::load(keys, host)?.map(Rc::new))
}

/// The certificates of all outputs that encrypt, to be read again at a reload.
#[derive(Debug, Default)]
pub(crate) struct OutputCertificates(Vec<(String, Rc<Client>)>);

impl OutputCertificates {
    /// Those of some plans.
    pub(crate) fn of(plans: &[Plan]) -> Self {
        let clients = plans.iter().filter_map(|plan| Some((plan.name.clone(), plan.sink.tls()?)));
        OutputCertificates(clients.collect())
    }

    /// Reads all files again, as `section` names them now. `complain` gets the path of each section whose
    /// files are of no use; the certificates in force there stay.
    pub(crate) fn reload(&self, section: &super::Section, mut complain: impl FnMut(&str, KeyError)) {
        let kinds = section.kinds();
        for (name, client) in &self.0 {
            let Some((path, kind)) = kinds.iter().find(|(_, kind)| kind.name() == name) else { continue };
            let Some(keys) = kind.tls().filter(ClientTls::is_on) else { continue };
            if let Err(error) = client.reload(&keys) {
                complain(path, error);
            }
        }
    }
}
