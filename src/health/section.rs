//! Section `health`.

use serde::{Deserialize, Deserializer, de::Error};

use crate::values::{Bounded, RawValue, Seconds};

/// Section `health`: what is watched, and from which number on it is an alarm.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Watch at all.
    pub enable: bool,
    /// Distinct names a minute below one registered domain.
    pub random_subdomains: DetectorSection<true, 200>,
    /// Bytes of distinct names below one registered domain.
    pub tunnel: DetectorSection<true, 4096>,
    /// A public name answered with a private address.
    pub rebinding: DetectorSection<true, 1>,
    /// Responses with NXDOMAIN a minute.
    pub nxdomain_burst: DetectorSection<true, 300>,
    /// Responses with SERVFAIL a minute.
    pub servfail_burst: DetectorSection<true, 300>,
    /// Seconds within which 95 in 100 responses of an upstream server come.
    pub slow_upstream: DetectorSection<true, 1>,
    /// A client that was not seen before.
    pub new_device: DetectorSection<false, 1>,
    /// A client that asks a server elsewhere.
    pub resolver_bypass: DetectorSection<false, 1>,
    /// A domain that was not seen before.
    pub newly_observed: DetectorSection<false, 1>,
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
pub struct DetectorSection<const ON: bool, const THRESHOLD: u32> {
    /// Watch.
    pub enable: bool,
    /// The number from which on it is an alarm.
    pub threshold: Threshold,
    /// Seconds for which a subject is not heard again.
    pub hold_off: HoldOff,
}

impl<const ON: bool, const THRESHOLD: u32> Default for DetectorSection<ON, THRESHOLD> {
    fn default() -> Self {
        let threshold = Threshold(f64::from(THRESHOLD));
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

/// Seconds of a hold-off: a minute at least.
pub type HoldOff = Bounded<60, { Seconds::MAX }>;

/// A number above 0, whole or with a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold(f64);

impl Threshold {
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// As a count, 1 at least.
    pub fn as_count(self) -> u64 {
        (self.0 as u64).max(1)
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = RawValue::deserialize(deserializer)?;
        let number = match &given {
            RawValue::Scalar(text) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| *number > 0.0 && *number <= 1e9).map(Threshold).ok_or_else(|| {
            D::Error::custom(format_args!(
                "invalid value: {}, expected a number above 0, 1e9 at most",
                given.kind()
            ))
        })
    }
}
