//! The names of tables in the configuration.

use super::descriptors::DEVICES;
use crate::values::{Invalid, Value, deserialize};

/// A table of the web API: `<what>/query` or `<what>/response`, such as `hit/query` or `nxdomain/response`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName(String);

impl TableName {
    /// A flag of ours.
    pub(crate) fn new(flag: &'static str) -> Self {
        TableName(flag.to_owned())
    }

    /// The flag.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for TableName {
    fn allowed() -> String {
        "`<what>/query` or `<what>/response`, where <what> is `hit`, `length`, an rcode or a type in lower case"
            .to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        if text == DEVICES.flag {
            return Ok(TableName(text.to_owned()));
        }
        let what = text.strip_suffix("/query").or_else(|| text.strip_suffix("/response"));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if what.is_some_and(|what| !what.is_empty() && what.bytes().all(plain)) {
            return Ok(TableName(text.to_owned()));
        }
        Err(Invalid::Value)
    }
}

deserialize!(TableName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_a_table_and_a_direction() {
        for flag in
            ["hit/query", "length/response", "nxdomain/response", "type65/query", "nsec3-params/query"]
        {
            assert_eq!(TableName::from_text(flag).unwrap().as_str(), flag);
        }
        for wrong in ["", "hit", "/query", "hit/", "hit/ip", "a/b/query", "HIT/query", "hit/query/"] {
            assert_eq!(TableName::from_text(wrong), Err(Invalid::Value), "{wrong:?}");
        }
    }
}
