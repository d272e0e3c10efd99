//! The words of section `output.syslog`.

use crate::values::choice;

choice! {
    /// The transport of a syslog message.
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
    /// The header before the record in a syslog message.
    HeaderFormat {
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
    MessageFraming {
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
}
