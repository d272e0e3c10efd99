//! A section of the configuration as a table: each key with its type and its default, and the keys that
//! several sections share by the name of their group.
//!
//! ```text
//! section! {
//!     /// Section `output.tcp-socket`.
//!     pub struct Section {
//!         ..enable
//!         /// How a record is written.
//!         format: Format = Format::Text,
//!         ..remote(retry = 5)
//!         ..client_tls
//!         ..output
//!     }
//! }
//! ```
//!
//! makes the struct with its `Deserialize` and its `Default`. The keys are fields of the one struct, not of a
//! part of it: serde reads a flattened part from a copy, which no longer knows the line, and cannot say which
//! keys are allowed.
//!
//! | group | keys |
//! |---|---|
//! | `..enable` | `enable`, off; also the trait [`Switched`] |
//! | `..remote(retry = S)` | `retry`, `remote-address`, `remote-port` |
//! | `..client_tls` | `tls-support` and the files; also the method `tls_keys` |
//! | `..output` | `name`, `filter`, `queue`, `when-full`; also the trait `OutputSettings`; for children of `output`, which has their types |
//! | `..record_output` | those and `fields`, `template`, `alarms`, for outputs of records; also the method `record_encoding` |
//! | `..rotation(size = B, count = N)` | `file-max-size`, `file-count` |

/// Makes a section of its table.
macro_rules! section {
    ($(#[$doc:meta])* pub struct $name:ident { $($keys:tt)* }) => {
        $crate::section::section! { @keys [$(#[$doc])* $name] [] $($keys)* }
    };

    (@keys [$(#[$doc:meta])* $name:ident] [$($done:tt)*] ..enable $($rest:tt)*) => {
        $crate::section::section! { @keys [$(#[$doc])* $name] [$($done)*
            /// Whether it runs.
            enable: bool = false,
        ] $($rest)* }

        impl $crate::section::Switched for $name {
            fn is_enabled(&self) -> bool {
                self.enable
            }
        }
    };
    (@keys $head:tt [$($done:tt)*] ..remote(retry = $retry:literal) $($rest:tt)*) => {
        $crate::section::section! { @keys $head [$($done)*
            /// Time to the next attempt to connect.
            retry: $crate::values::Seconds = $crate::values::Seconds::new($retry),
            /// Where the other end is.
            remote_address: Option<$crate::values::Host> = None,
            /// Its port.
            remote_port: Option<$crate::values::Port> = None,
        ] $($rest)* }
    };
    (@keys [$(#[$doc:meta])* $name:ident] [$($done:tt)*] ..client_tls $($rest:tt)*) => {
        $crate::section::section! { @keys [$(#[$doc])* $name] [$($done)*
            /// Encrypt.
            tls_support: Option<bool> = None,
            /// Whose certificates the other end may show, PEM; unset = the system's list.
            tls_ca: Option<$crate::values::FilePath> = None,
            /// The name in its certificate; unset = `remote-address`.
            tls_server_name: Option<$crate::values::Text> = None,
            /// Our own certificate chain, PEM.
            tls_client_cert: Option<$crate::values::FilePath> = None,
            /// Our own private key, PEM.
            tls_client_key: Option<$crate::values::FilePath> = None,
        ] $($rest)* }

        impl $name {
            /// The TLS keys together.
            #[allow(unreachable_pub, reason = "some are seen by tests")]
            pub fn tls_keys(&self) -> $crate::values::ClientTls<'_> {
                $crate::values::ClientTls {
                    support: self.tls_support,
                    ca: &self.tls_ca,
                    server_name: &self.tls_server_name,
                    cert: &self.tls_client_cert,
                    key: &self.tls_client_key,
                }
            }
        }
    };
    (@keys [$(#[$doc:meta])* $name:ident] [$($done:tt)*] ..output $($rest:tt)*) => {
        $crate::section::section! { @keys [$(#[$doc])* $name] [$($done)*
            /// Name in metrics and log, to tell several of a kind apart; unset = the kind.
            name: Option<$crate::values::Label> = None,
            /// The messages that it takes.
            filter: super::FilterSection = super::FilterSection::default(),
            /// Bytes kept while the other end is slow or away; unset = the profile's.
            queue: Option<$crate::limits::QueueSize> = None,
            /// The fate of records when they are used up.
            when_full: $crate::values::WhenFull = $crate::values::WhenFull::Drop,
        ] $($rest)* }

        impl super::OutputSettings for $name {
            fn keys(&self) -> super::OutputKeys<'_> {
                super::OutputKeys::new(&self.name, &self.filter, self.queue, self.when_full)
            }
        }
    };
    (@keys [$(#[$doc:meta])* $name:ident] [$($done:tt)*] ..record_output $($rest:tt)*) => {
        $crate::section::section! { @keys [$(#[$doc])* $name] [$($done)*
            /// Name in metrics and log, to tell several of a kind apart; unset = the kind.
            name: Option<$crate::values::Label> = None,
            /// The messages that it takes.
            filter: super::FilterSection = super::FilterSection::default(),
            /// The fields of a record, in their order; unset = those of the format.
            fields: Option<Vec<super::Field>> = None,
            /// A line of text with fields in braces, instead.
            template: Option<super::Template> = None,
            /// Bytes kept while the other end is slow or away; unset = the profile's.
            queue: Option<$crate::limits::QueueSize> = None,
            /// The fate of records when they are used up.
            when_full: $crate::values::WhenFull = $crate::values::WhenFull::Drop,
            /// Whether the alarms of the detectors come as records, too.
            alarms: bool = false,
        ] $($rest)* }

        impl $name {
            /// How records look in a format, with the fields that the section chooses.
            #[allow(dead_code, reason = "some kinds of outputs are left out of some builds")]
            pub(crate) fn record_encoding(&self, format: $crate::values::Format) -> super::Encoding {
                super::Encoding::new(format, self.fields.as_deref(), self.template.as_ref())
            }
        }

        impl super::OutputSettings for $name {
            fn keys(&self) -> super::OutputKeys<'_> {
                super::OutputKeys::new(&self.name, &self.filter, self.queue, self.when_full)
                    .of_records(&self.fields, &self.template, self.alarms)
            }
        }
    };
    (@keys $head:tt [$($done:tt)*] ..rotation(size = $size:expr, count = $count:literal) $($rest:tt)*) => {
        $crate::section::section! { @keys $head [$($done)*
            /// Rotate before the live file reaches this size; 0 = never.
            file_max_size: $crate::values::ByteSize = $crate::values::ByteSize::new($size),
            /// Rotated files kept in addition to the live one; 0 = never rotate.
            file_count: $crate::section::FileCount = $crate::section::FileCount::new($count),
        ] $($rest)* }
    };
    (@keys $head:tt [$($done:tt)*] $(#[$doc:meta])* $key:ident: $type:ty = $default:expr, $($rest:tt)*) => {
        $crate::section::section! { @keys $head [$($done)* $(#[$doc])* $key: $type = $default,] $($rest)* }
    };
    (@keys [$(#[$doc:meta])* $name:ident] [$($(#[$key_doc:meta])* $key:ident: $type:ty = $default:expr,)*]) => {
        $(#[$doc])*
        #[allow(unreachable_pub, private_interfaces, reason = "the sections of some modules are seen by tests")]
        #[derive(Debug, Clone, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct $name {
            $($(#[$key_doc])* pub $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($key: $default,)* }
            }
        }
    };
}
pub(crate) use section;

use crate::values::{Bounded, WhenFull};

/// A section that is switched on and off.
pub(crate) trait Switched {
    /// Whether it runs, once all is read.
    fn is_enabled(&self) -> bool;
}

/// The values of `file-count`.
pub(crate) type FileCount = Bounded<0, 9999>;

/// The keys `queue`, `when-full` and `alarms`.
#[derive(Debug, Clone, Copy)]
pub struct QueueSettings {
    /// Bytes kept while the other end is slow or away; 0 until it is the profile's.
    pub bytes: usize,
    /// The fate of records beyond.
    pub when_full: WhenFull,
    /// Whether alarms come, too.
    pub alarms: bool,
}
