//! The end of an exchange in one word, as records and filters show it.

use crate::values::choice;

choice! {
    /// How an exchange ended.
    ExchangeStatus {
        /// Its response may still come.
        Pending = "pending",
        /// NOERROR.
        Answered = "answered",
        /// A policy or a list kept the answer back.
        Blocked = "blocked",
        /// NXDOMAIN.
        Nxdomain = "nxdomain",
        /// SERVFAIL, REFUSED and the like.
        Error = "error",
        /// No response within 60 s.
        Unanswered = "unanswered",
        /// The query had to be forgotten before its response could come.
        Unknown = "unknown",
    }
}
