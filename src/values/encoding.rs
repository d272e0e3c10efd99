//! Text encodings that more than one room needs: base64 (RFC 4648) and the percent encoding of addresses (RFC
//! 3986).

/// Base64 with padding (RFC 4648, 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = ALPHABET.get((bits >> (18 - 6 * place)) as usize & 63);
            text.push(digit.filter(|_| place <= group.len()).map_or('=', |&digit| char::from(digit)));
        }
    }
    text
}

/// The bytes of a percent-encoded text (RFC 3986, 2.1); `None` in place of a percent sign without two digits.
#[derive(Clone)]
pub(crate) struct PercentDecoded<'t> {
    rest: core::str::Bytes<'t>,
    /// A plus is a space, as in the query of a form.
    plus_is_space: bool,
}

impl<'t> PercentDecoded<'t> {
    /// Of any part of an address.
    pub(crate) fn new(text: &'t str) -> Self {
        PercentDecoded { rest: text.bytes(), plus_is_space: false }
    }

    /// Of a parameter in a query, where a plus is a space.
    pub(crate) fn of_query(text: &'t str) -> Self {
        PercentDecoded { rest: text.bytes(), plus_is_space: true }
    }

    fn hexadecimal(&mut self) -> Option<u8> {
        let mut digit = || char::from(self.rest.next()?).to_digit(16);
        let byte = digit()? << 4 | digit()?;
        u8::try_from(byte).ok()
    }
}

impl Iterator for PercentDecoded<'_> {
    type Item = Option<u8>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.rest.next()? {
            b'+' if self.plus_is_space => Some(Some(b' ')),
            b'%' => Some(self.hexadecimal()),
            byte => Some(Some(byte)),
        }
    }
}

/// A text as one parameter of a query: all but unreserved characters in percent encoding.
pub(crate) fn percent_encoded(text: &str) -> String {
    percent_encoded_but(text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// A text whose bytes are in percent encoding, but for those that may stand as they are.
pub(crate) fn percent_encoded_but(text: &str, is_kept: fn(u8) -> bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if is_kept(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        let check = |bytes: &str, expected: &str| assert_eq!(base64(bytes.as_bytes()), expected);
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foob", "Zm9vYg==");
        check("fooba", "Zm9vYmE=");
        check("foobar", "Zm9vYmFy");
        check("admin:changeme", "YWRtaW46Y2hhbmdlbWU=");
    }

    #[test]
    fn percent_encoding_goes_both_ways() {
        for text in ["", "lb-1.x~_", "a b&ü\\", "%2B+"] {
            let encoded = percent_encoded(text);
            let decoded: Option<Vec<u8>> = PercentDecoded::of_query(&encoded).collect();
            assert_eq!(decoded.as_deref(), Some(text.as_bytes()), "{encoded}");
        }
        assert_eq!(percent_encoded("a b&ü\\"), "a%20b%26%C3%BC%5C");
        assert_eq!(PercentDecoded::new("a+%41").collect::<Option<Vec<u8>>>().unwrap(), b"a+A");
        assert_eq!(PercentDecoded::of_query("a+").collect::<Option<Vec<u8>>>().unwrap(), b"a ");
        for wrong in ["%", "%4", "%4g", "%+1"] {
            assert_eq!(PercentDecoded::of_query(wrong).collect::<Option<Vec<u8>>>(), None, "{wrong}");
        }
    }
}
