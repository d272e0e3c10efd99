//! The parameters of a request, in percent encoding (RFC 3986, 2.1), a plus for a space.
//!
//! Of a parameter given twice the first counts, and those nobody asks for are passed over; paths that are
//! younger than the programs this one replaces refuse both.

use crate::limits::HTTP_COUNTERS;
use crate::values::encoding::PercentDecoded;

/// The text after the question mark.
#[derive(Clone, Copy)]
pub struct Parameters<'r>(pub &'r str);

/// The mistake in a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadParameter {
    /// A percent sign without two hexadecimal digits, or bytes that are not UTF-8.
    Encoding,
    /// Longer than any right one.
    TooLong,
    /// More items than allowed.
    TooMany,
}

impl<'r> Parameters<'r> {
    /// The parameter of that name, still encoded.
    pub fn find(self, name: &str) -> Option<PercentEncoded<'r>> {
        let pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|&(given, _)| given == name).map(|(_, value)| PercentEncoded(value))
    }
}

impl Parameters<'_> {
    /// The first of these names that is given more than once.
    pub(crate) fn repeated(self, names: &'static [&'static str]) -> Option<&'static str> {
        let given = |name| {
            let pairs = self.0.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
            pairs.filter(|&given| given == name).count()
        };
        names.iter().copied().find(|&name| given(name) > 1)
    }

    /// Whether each parameter has one of these names.
    pub(crate) fn are_among(self, names: &[&str]) -> bool {
        let given = self.0.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
        given.into_iter().all(|name| name.is_empty() || names.contains(&name))
    }
}

/// A value in percent encoding.
#[derive(Clone, Copy, Default)]
pub struct PercentEncoded<'r>(&'r str);

impl<'r> PercentEncoded<'r> {
    /// The value itself.
    ///
    /// # Errors
    ///
    /// It is badly encoded, or has more than `MAX` bytes.
    pub fn decode<const MAX: usize>(self) -> Result<heapless::String<MAX>, BadParameter> {
        let mut bytes = heapless::Vec::<u8, MAX>::new();
        for byte in PercentDecoded::of_query(self.0) {
            bytes.push(byte.ok_or(BadParameter::Encoding)?).map_err(|_| BadParameter::TooLong)?;
        }
        heapless::String::from_utf8(bytes).map_err(|_| BadParameter::Encoding)
    }

    /// The names in a list with commas, encoded or not; empty ones are passed over.
    pub fn names<const MAX: usize>(self) -> NameList<'r, MAX> {
        NameList(PercentDecoded::of_query(self.0))
    }

    /// Whether all names in the list can be read.
    ///
    /// # Errors
    ///
    /// One is badly encoded or has more than `MAX` bytes, or there are more than [`HTTP_COUNTERS`].
    pub fn check_names<const MAX: usize>(self) -> Result<(), BadParameter> {
        for (number, name) in self.names::<MAX>().enumerate() {
            name?;
            if number >= HTTP_COUNTERS {
                return Err(BadParameter::TooMany);
            }
        }
        Ok(())
    }
}

/// The names of a list.
#[derive(Clone)]
pub struct NameList<'r, const MAX: usize>(PercentDecoded<'r>);

impl<const MAX: usize> Iterator for NameList<'_, MAX> {
    type Item = Result<heapless::String<MAX>, BadParameter>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut name = heapless::Vec::<u8, MAX>::new();
        for byte in self.0.by_ref() {
            match byte {
                Some(b',') if name.is_empty() => {}
                Some(b',') => break,
                Some(byte) => {
                    if name.push(byte).is_err() {
                        return Some(Err(BadParameter::TooLong));
                    }
                }
                None => return Some(Err(BadParameter::Encoding)),
            }
        }
        let name = (!name.is_empty()).then_some(name)?;
        Some(heapless::String::from_utf8(name).map_err(|_| BadParameter::Encoding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(query: &str, name: &str) -> Option<Result<String, BadParameter>> {
        Parameters(query).find(name).map(|value| value.decode::<8>().map(|text| text.as_str().to_owned()))
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        let check = |query, expected: Option<&str>| {
            assert_eq!(decoded(query, "stream"), expected.map(|text| Ok(text.to_owned())), "{query}");
        };
        check("", None);
        check("streams=lb1", None);
        check("stream", Some(""));
        check("stream=", Some(""));
        check("a&stream=lb1&stream=lb2", Some("lb1"));
        check("stream=a=b", Some("a=b"));
        check("stream=%C3%A9+%2b%5C032", Some("é +\\032"));
    }

    #[test]
    fn bad_encodings_are_told_from_long_values() {
        let check = |query, expected| assert_eq!(decoded(query, "a"), Some(Err(expected)), "{query}");
        check("a=%", BadParameter::Encoding);
        check("a=%4", BadParameter::Encoding);
        check("a=%4g", BadParameter::Encoding);
        check("a=%+1", BadParameter::Encoding);
        check("a=%FF", BadParameter::Encoding);
        check("a=%C3", BadParameter::Encoding);
        check("a=123456789", BadParameter::TooLong);
    }

    #[test]
    fn lists_are_split_after_decoding() {
        let check = |list: &str, expected: &[&str]| {
            let names: Vec<_> = PercentEncoded(list).names::<8>().map(Result::unwrap).collect();
            assert_eq!(names, expected, "{list}");
        };
        check("", &[]);
        check(",,", &[]);
        check("query", &["query"]);
        check("query%2Fa,query%2Cqps,,rps,", &["query/a", "query", "qps", "rps"]);
        assert_eq!(PercentEncoded("a,%zz").check_names::<8>(), Err(BadParameter::Encoding));
        assert_eq!(PercentEncoded("a,123456789").check_names::<8>(), Err(BadParameter::TooLong));
        assert_eq!(PercentEncoded(&"a,".repeat(HTTP_COUNTERS)).check_names::<8>(), Ok(()));
        assert_eq!(
            PercentEncoded(&"a,".repeat(HTTP_COUNTERS + 1)).check_names::<8>(),
            Err(BadParameter::TooMany)
        );
    }
}
