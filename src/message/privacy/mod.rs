//! Privacy: who asked is masked, hashed or encrypted before anything remembers it.
//!
//! ```text
//! 192.0.2.77 --- mask, 24 ----> 192.0.2.0
//!            --- hash --------> the first 4 bytes of HMAC-SHA-256(key, c0 00 02 4d)
//!            --- cryptopan ---> an address that has as long a prefix in common with others as before
//! ```
//!
//! It is the last stage: filters and the look-up of places have seen the address as it was sent. After it,
//! nothing has: tables, history, alarms and records take the address of the event, and outputs that forward
//! frames compose them again, with another query address, other EDNS client subnets (RFC 7871) and without
//! what a policy says of a client's address. The family stays.
//!
//! The address changes in messages of the kinds in `statistics.clients-of`, client subnets in all: also who
//! asks upstream tells of a client there.
//!
//! Names, where `qname` says so, are cut to the registered domain or hashed, in messages of all kinds, and
//! with them all of the DNS message that may have one ([`hidden_name`](crate::wire::hidden_name)).
//!
//! Left out: ports, and what a sender writes into `extra` and `identity`. A build without the cargo feature
//! `privacy` has the same types, with no values.

#[cfg(not(feature = "privacy"))]
mod absent;
#[cfg(feature = "privacy")]
mod pseudonyms;

#[cfg(not(feature = "privacy"))]
pub(crate) use absent::Privacy;
#[cfg(feature = "privacy")]
pub(crate) use pseudonyms::Privacy;

use super::stages::{ConfiguredStage, StageSection};
use crate::section::section;
use crate::values::{Bounded, FilePath, KeyError, choice, required};

/// Whether this build has it.
pub(crate) const BUILT: bool = cfg!(feature = "privacy");

section! {
    /// Section `privacy`.
    pub struct Section {
        /// The way in which addresses of clients are hidden.
        client: ClientPrivacy = ClientPrivacy::None,
        /// Bits of an IPv4 address that stay, with `mask`.
        mask_v4: MaskV4 = MaskV4::new(24),
        /// Bits of an IPv6 address that stay, with `mask`.
        mask_v6: MaskV6 = MaskV6::new(48),
        /// A file of [`KEY_BYTES`] bytes.
        key_file: Option<FilePath> = None,
        /// The way in which names are hidden.
        qname: NamePrivacy = NamePrivacy::None,
    }
}

/// The range of `mask-v4`.
pub(crate) type MaskV4 = Bounded<0, 32>;

/// The range of `mask-v6`.
pub(crate) type MaskV6 = Bounded<0, 128>;

choice! {
    /// The way in which addresses of clients are hidden.
    ClientPrivacy {
        /// Not at all.
        None = "none",
        /// The last bits are zero.
        Mask = "mask",
        /// A keyed hash, of the same length.
        Hash = "hash",
        /// Encrypted so that prefixes in common stay in common.
        Cryptopan = "cryptopan",
    }
}

choice! {
    /// The way in which names are hidden.
    NamePrivacy {
        /// Not at all.
        None = "none",
        /// The registered domain alone.
        RegisteredDomain = "registered-domain",
        /// A keyed hash.
        Hash = "hash",
    }
}

/// Bytes of the key.
pub(crate) const KEY_BYTES: usize = 32;

impl Section {
    /// Whether anything is hidden.
    fn hides(&self) -> bool {
        self.hides_clients() || self.qname != NamePrivacy::None
    }

    /// Whether the key is used.
    fn needs_key(&self) -> bool {
        matches!(self.client, ClientPrivacy::Hash | ClientPrivacy::Cryptopan)
            || self.qname == NamePrivacy::Hash
    }
}

impl StageSection for Section {
    fn check(&self) -> Result<(), KeyError> {
        if self.needs_key() { required("key-file", &self.key_file) } else { Ok(()) }
    }

    fn missing_feature(&self) -> Option<KeyError> {
        let why = "needs the cargo feature `privacy`, which this build is without; allowed: `none`";
        let key = if self.hides_clients() { "client" } else { "qname" };
        (self.hides() && !BUILT).then(|| KeyError::new(key, why))
    }

    fn hides_clients(&self) -> bool {
        self.client != ClientPrivacy::None
    }

    fn protects(&self) -> bool {
        true
    }
}

impl ConfiguredStage for Privacy {
    type Section = Section;
    const IN_FORCE: &'static str = "key";

    fn load(section: &Section) -> Result<Option<Self>, KeyError> {
        Privacy::open(section)
    }

    fn words(&self, section: &Section) -> Vec<String> {
        let client = section.hides_clients().then(|| format!("client, {}", section.client));
        let qname = (section.qname != NamePrivacy::None).then(|| format!("qname, {}", section.qname));
        client.into_iter().chain(qname).collect()
    }

    fn sample(&self) -> [u128; 3] {
        Privacy::sample(self)
    }
}
