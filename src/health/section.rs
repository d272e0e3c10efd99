//! Section `health`.

use serde::{Deserialize, Deserializer, de::Error};

use crate::values::{Bounded, RawValue, Seconds};

/// Section `health`: what is watched, and from which number on it is an alarm.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Watch at all.
    pub(crate) enable: bool,
    /// Distinct names a minute below one registered domain.
    pub(crate) random_subdomains: DetectorSection<true, 200>,
    /// Bytes of distinct names below one registered domain.
    pub(crate) tunnel: DetectorSection<true, 4096>,
    /// A public name answered with a private address.
    pub(crate) rebinding: DetectorSection<true, 1>,
    /// Responses with NXDOMAIN a minute.
    pub(crate) nxdomain_burst: DetectorSection<true, 300>,
    /// Responses with SERVFAIL a minute.
    pub(crate) servfail_burst: DetectorSection<true, 300>,
    /// Seconds within which 95 in 100 responses of an upstream server come.
    pub(crate) slow_upstream: DetectorSection<true, 1>,
    /// A client that was not seen before.
    pub(crate) new_device: DetectorSection<false, 1>,
    /// A client that asks a server elsewhere.
    pub(crate) resolver_bypass: DetectorSection<false, 1>,
    /// A domain that was not seen before.
    pub(crate) newly_observed: DetectorSection<false, 1>,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: super::BUILT,
            random_subdomains: Default::default(),
            tunnel: Default::default(),
            rebinding: Default::default(),
            nxdomain_burst: Default::default(),
            servfail_burst: Default::default(),
            slow_upstream: Default::default(),
            new_device: Default::default(),
            resolver_bypass: Default::default(),
            newly_observed: Default::default(),
        }
    }
}

/// One detector: whether it is on by default, and its threshold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DetectorSection<const ON: bool, const THRESHOLD: u32> {
    /// Watch.
    pub(crate) enable: bool,
    /// The number from which on it is an alarm.
    pub(crate) threshold: Threshold,
    /// Seconds for which a subject is not heard again.
    pub(crate) hold_off: HoldOff,
}

impl<const ON: bool, const THRESHOLD: u32> Default for DetectorSection<ON, THRESHOLD> {
    fn default() -> Self {
        let threshold = Threshold::new(f64::from(THRESHOLD));
        DetectorSection { enable: ON, threshold, hold_off: HoldOff::new(3_600) }
    }
}

/// The keys of a detector as they are written: serde's derive knows no numbers as parameters of a type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DetectorKeys {
    enable: Option<bool>,
    threshold: Option<Threshold>,
    hold_off: Option<HoldOff>,
}

impl<'de, const ON: bool, const THRESHOLD: u32> Deserialize<'de> for DetectorSection<ON, THRESHOLD> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (keys, default) = (DetectorKeys::deserialize(deserializer)?, Self::default());
        Ok(DetectorSection {
            enable: keys.enable.unwrap_or(default.enable),
            threshold: keys.threshold.unwrap_or(default.threshold),
            hold_off: keys.hold_off.unwrap_or(default.hold_off),
        })
    }
}

/// Seconds of a hold-off. Less than a minute is a minute.
pub(crate) type HoldOff = Bounded<0, { Seconds::MAX }>;

/// A number above 0, whole or with a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Threshold {
    number: f64,
    count: u64,
}

impl Threshold {
    fn new(number: f64) -> Self {
        Threshold { number, count: (number as u64).max(1) }
    }

    /// The number.
    pub(crate) fn get(self) -> f64 {
        self.number
    }

    /// As a count, 1 at least.
    pub(crate) fn as_count(self) -> u64 {
        self.count
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = RawValue::deserialize(deserializer)?;
        let number = match &given {
            RawValue::Scalar(text) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| *number > 0.0 && *number <= 1e9).map(Threshold::new).ok_or_else(|| {
            D::Error::custom(format_args!(
                "invalid value: {}, expected a number above 0, 1e9 at most",
                given.kind()
            ))
        })
    }
}
