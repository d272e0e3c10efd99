//! Choices from a closed list of words.

use super::{Invalid, Value, deserialize};
use std::fmt;

/// Declares an enum of words: the variant, the word in the file, what it means.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident {
        $(#[$first_doc:meta])* $first:ident = $first_word:literal $(= $first_number:literal)?
        $(, $(#[$rest_doc:meta])* $rest:ident = $rest_word:literal $(= $rest_number:literal)?)* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $(#[$first_doc])* $first $(= $first_number)?,
            $($(#[$rest_doc])* $rest $(= $rest_number)?,)*
        }

        impl $name {
            /// Every variant, in the order of the list in messages.
            pub const ALL: &'static [Self] = &[$name::$first, $($name::$rest),*];

            /// The word in the file.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $name::$first => $first_word,
                    $($name::$rest => $rest_word,)*
                }
            }
        }

        impl Value for $name {
            fn allowed() -> String {
                concat!("`", $first_word, "`" $(, ", `", $rest_word, "`")*).to_owned()
            }

            fn from_text(text: &str) -> Result<Self, Invalid> {
                $name::ALL.iter().copied().find(|choice| choice.as_str() == text).ok_or(Invalid::Value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        deserialize!($name);
    };
}

choice! {
    /// How one message is written.
    Format {
        /// One line, fields apart by one space.
        Text = "text",
        /// One compact object a line.
        Json = "json",
        /// One document a message.
        Yaml = "yaml",
    }
}

choice! {
    /// How one message is written to a file.
    FileFormat {
        /// One line, fields apart by one space.
        Text = "text",
        /// One compact object a line.
        Json = "json",
        /// One document a message.
        Yaml = "yaml",
        /// A Frame Streams capture, as `fstrm_capture` writes it.
        Dnstap = "dnstap",
    }
}

choice! {
    /// What happens to a record when its queue is full.
    WhenFull {
        /// The record is dropped and counted.
        Drop = "drop",
        /// Inputs wait for room, so that the sender feels it.
        Wait = "wait",
    }
}

choice! {
    /// What an input file does after its last frame.
    AtEnd {
        /// Drain the outputs and end the program.
        Exit = "exit",
        /// Keep the program running.
        Stay = "stay",
    }
}

choice! {
    /// What carries a syslog message.
    Transport {
        /// One datagram a message.
        Udp = "udp",
        /// A stream, RFC 6587.
        Tcp = "tcp",
        /// A stream inside TLS, RFC 5425.
        Tls = "tls",
    }
}

choice! {
    /// What stands before the record in a syslog message.
    Header {
        /// RFC 5424, section 6.
        Rfc5424 = "rfc5424",
        /// RFC 3164, section 4.1, without a tag.
        Rfc3164 = "rfc3164",
        /// Nothing: the bare record.
        None = "none",
    }
}

choice! {
    /// How a stream tells syslog messages apart, RFC 6587.
    Framing {
        /// The length in digits and a space before each message, section 3.4.1.
        OctetCounting = "octet-counting",
        /// A newline after each message, section 3.4.2.
        Newline = "newline",
    }
}

choice! {
    /// A syslog facility; the discriminant is its code, RFC 5424, table 1.
    Facility {
        /// Kernel.
        Kern = "kern" = 0,
        /// User programs.
        User = "user" = 1,
        /// Mail.
        Mail = "mail" = 2,
        /// System daemons.
        Daemon = "daemon" = 3,
        /// Security, public.
        Auth = "auth" = 4,
        /// The syslog daemon itself.
        Syslog = "syslog" = 5,
        /// Line printers.
        Lpr = "lpr" = 6,
        /// Network news.
        News = "news" = 7,
        /// UUCP.
        Uucp = "uucp" = 8,
        /// Clock daemon.
        Cron = "cron" = 9,
        /// Security, private.
        Authpriv = "authpriv" = 10,
        /// FTP.
        Ftp = "ftp" = 11,
        /// NTP.
        Ntp = "ntp" = 12,
        /// Log audit.
        Audit = "audit" = 13,
        /// Log alert.
        Alert = "alert" = 14,
        /// Second clock daemon.
        Clock = "clock" = 15,
        /// Local use.
        Local0 = "local0" = 16,
        /// Local use.
        Local1 = "local1" = 17,
        /// Local use.
        Local2 = "local2" = 18,
        /// Local use.
        Local3 = "local3" = 19,
        /// Local use.
        Local4 = "local4" = 20,
        /// Local use.
        Local5 = "local5" = 21,
        /// Local use.
        Local6 = "local6" = 22,
        /// Local use.
        Local7 = "local7" = 23,
    }
}

choice! {
    /// A syslog severity; the discriminant is its code, RFC 5424, table 2.
    Severity {
        /// The system is unusable.
        Emerg = "emerg" = 0,
        /// Act at once.
        Alert = "alert" = 1,
        /// Critical.
        Crit = "crit" = 2,
        /// Error.
        Err = "err" = 3,
        /// Warning.
        Warning = "warning" = 4,
        /// Normal, but significant.
        Notice = "notice" = 5,
        /// Informational.
        Info = "info" = 6,
        /// Debugging.
        Debug = "debug" = 7,
    }
}

choice! {
    /// What a Kafka record's key is made of; records of one key go to one partition.
    RecordKey {
        /// No key.
        None = "none",
        /// The identity.
        Identity = "identity",
        /// The query address.
        QueryIp = "query-ip",
        /// The query name.
        Qname = "qname",
    }
}

choice! {
    /// A named set of capacities; see `limits`.
    #[derive(Default)]
    Profile {
        /// 4 MiB resident.
        #[default]
        Default = "default",
        /// For a router with little memory to spare.
        Tiny = "tiny",
        /// Between tiny and default.
        Small = "small",
        /// For a server.
        Large = "large",
    }
}

choice! {
    /// A dnstap message type by name; the discriminant is its number in `dnstap.proto`.
    MessageName {
        /// An authoritative server received a query.
        AuthQuery = "AUTH_QUERY" = 1,
        /// An authoritative server sent a response.
        AuthResponse = "AUTH_RESPONSE" = 2,
        /// A resolver sent a query.
        ResolverQuery = "RESOLVER_QUERY" = 3,
        /// A resolver received a response.
        ResolverResponse = "RESOLVER_RESPONSE" = 4,
        /// A server received a client's query.
        ClientQuery = "CLIENT_QUERY" = 5,
        /// A server sent a client its response.
        ClientResponse = "CLIENT_RESPONSE" = 6,
        /// A forwarder sent a query.
        ForwarderQuery = "FORWARDER_QUERY" = 7,
        /// A forwarder received a response.
        ForwarderResponse = "FORWARDER_RESPONSE" = 8,
        /// A stub resolver sent a query.
        StubQuery = "STUB_QUERY" = 9,
        /// A stub resolver received a response.
        StubResponse = "STUB_RESPONSE" = 10,
        /// A tool sent a query.
        ToolQuery = "TOOL_QUERY" = 11,
        /// A tool received a response.
        ToolResponse = "TOOL_RESPONSE" = 12,
        /// A server received an update.
        UpdateQuery = "UPDATE_QUERY" = 13,
        /// A server answered an update.
        UpdateResponse = "UPDATE_RESPONSE" = 14,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5424, tables 1 and 2: codes count on without a gap.
    #[test]
    fn codes_are_those_of_the_standard() {
        let codes: Vec<u8> = Facility::ALL.iter().map(|facility| *facility as u8).collect();
        assert_eq!(codes, (0..24).collect::<Vec<u8>>());
        let codes: Vec<u8> = Severity::ALL.iter().map(|severity| *severity as u8).collect();
        assert_eq!(codes, (0..8).collect::<Vec<u8>>());
    }

    /// `dnstap.proto`, `Message.Type`: 1 to 14, queries odd.
    #[test]
    fn message_names_have_their_numbers() {
        for (at, name) in MessageName::ALL.iter().enumerate() {
            assert_eq!(*name as usize, at + 1);
            assert_eq!(name.as_str().ends_with("_QUERY"), (*name as usize) % 2 == 1, "{name}");
        }
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert_eq!(WhenFull::from_text("wait"), Ok(WhenFull::Wait));
        assert_eq!(WhenFull::from_text("WAIT"), Err(Invalid::Value));
        for format in FileFormat::ALL {
            assert_eq!(FileFormat::from_text(&format.to_string()), Ok(*format));
        }
    }
}
