//! Permissions of a Unix socket, as they are written in the file.

use crate::values::{Invalid, Value, deserialize};

/// The permissions of a file, written as an octal string: `"0660"`.
///
/// A bare number is refused: whoever writes `660` does not mean 1224 in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileMode(u32);

impl FileMode {
    /// Permissions known at compile time; only the lower nine bits count.
    pub(crate) const fn new(mode: u32) -> Self {
        FileMode(mode & 0o777)
    }

    /// The permissions, `0 <= mode <= 0o777`.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

impl Value for FileMode {
    fn allowed() -> String {
        "permissions as an octal string, such as \"0660\", at most \"0777\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
        mode.map(FileMode).ok_or(Invalid::Value)
    }
}

deserialize!(FileMode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_strings() {
        let check = |text: &str, expected: Option<u32>| {
            assert_eq!(FileMode::from_text(text).ok().map(FileMode::get), expected, "{text:?}");
        };
        check("0660", Some(0o660));
        check("660", Some(0o660));
        check("0777", Some(0o777));
        for wrong in ["", "66", "1777", "0668", "00660", "+660", "rw-r--r--", "0o60"] {
            check(wrong, None);
        }
        assert_eq!(FileMode::from_integer(660), Err(Invalid::Type));
    }
}
