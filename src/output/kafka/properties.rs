//! The table `rdkafka-config`.

use crate::values::RawValue;
use serde::de::{Deserialize, Deserializer, Error};
use std::collections::BTreeMap;
use std::fmt;

/// Names and values handed to a library as they are; a dotted TOML key is the same as a quoted one.
///
/// Values may hold passwords: `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties(BTreeMap<String, String>);

impl Properties {
    /// The value of a name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All names and values, by name.
    #[cfg(any(feature = "kafka-plain", test))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of any value: serde's own error would show what was written.
        let table = match RawValue::deserialize(deserializer)? {
            RawValue::Table(table) => table,
            other => {
                return Err(Error::custom(format_args!("invalid type: {}, expected a table", other.kind())));
            }
        };
        let mut properties = BTreeMap::new();
        flatten("", table, &mut properties).map_err(Error::custom)?;
        Ok(Properties(properties))
    }
}

/// Writes a table's values under their dotted names.
fn flatten(
    prefix: &str,
    table: BTreeMap<String, RawValue>,
    into: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    for (name, value) in table {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let text = match value {
            RawValue::Text(text) | RawValue::Scalar(text) => text,
            RawValue::Table(inner) => {
                flatten(&name, inner, into)?;
                continue;
            }
            RawValue::List(_) => {
                return Err(format!(
                    "`{name}` is neither text nor number, expected a string, number or boolean"
                ));
            }
        };
        if into.insert(name.clone(), text).is_some() {
            return Err(format!("`{name}` is given twice, dotted and quoted, expected one of the two"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_shown() {
        let properties: Properties = toml::from_str("sasl.password = 'topsecret'").unwrap();
        assert_eq!(format!("{properties:?}"), "{\"sasl.password\"}");
    }

    #[test]
    fn properties_are_flat_and_textual() {
        let text =
            "sasl.username = 'u'\n\"security.protocol\" = 'ssl'\nlinger.ms = 5\nlog = false\nratio = 0.5";
        let properties: Properties = toml::from_str(text).unwrap();
        let pairs: Vec<_> = properties.iter().collect();
        let expected = [
            ("linger.ms", "5"),
            ("log", "false"),
            ("ratio", "0.5"),
            ("sasl.username", "u"),
            ("security.protocol", "ssl"),
        ];
        assert_eq!(pairs, expected);
    }
}
