//! Choices from a closed list of words: the macro that declares one, and those that several sections use. A
//! choice that one kind of input or output has is in its folder.

/// Declares an enum of words: the variant, the word in the file, what it means.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident {
        $(#[$first_doc:meta])* $first:ident = $first_word:literal $(= $first_number:literal)?
        $(, $(#[$rest_doc:meta])* $rest:ident = $rest_word:literal $(= $rest_number:literal)?)* $(,)?
    }) => {
        $(#[$doc])*
        #[allow(unreachable_pub, reason = "some choices are seen by tests")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $(#[$first_doc])* $first $(= $first_number)?,
            $($(#[$rest_doc])* $rest $(= $rest_number)?,)*
        }

        impl $name {
            /// Every variant, in the order of the list in messages.
            #[allow(unreachable_pub, reason = "some are seen by tests")]
            pub const ALL: &'static [Self] = &[$name::$first, $($name::$rest),*];

            /// The word in the file.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $name::$first => $first_word,
                    $($name::$rest => $rest_word,)*
                }
            }
        }

        impl crate::values::Value for $name {
            fn allowed() -> String {
                concat!("`", $first_word, "`" $(, ", `", $rest_word, "`")*).to_owned()
            }

            fn from_text(text: &str) -> Result<Self, crate::values::Invalid> {
                $name::ALL.iter().copied().find(|choice| choice.as_str() == text).ok_or(crate::values::Invalid::Value)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        crate::values::deserialize!($name);
    };
}
pub(crate) use choice;

choice! {
    /// How one message is written.
    Format {
        /// One line, fields apart by one space.
        Text = "text",
        /// One compact object a line.
        Json = "json",
        /// One document a message.
        Yaml = "yaml",
        /// Fields apart by commas.
        Csv = "csv",
        /// One object of the Elastic Common Schema a line.
        Ecs = "ecs",
        /// One object of Zeek's log a response.
        Zeek = "zeek",
    }
}

choice! {
    /// The fate of a record when its queue is full.
    WhenFull {
        /// The record is dropped and counted.
        Drop = "drop",
        /// Inputs wait for room, so that the sender feels it.
        Wait = "wait",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{Invalid, Value};

    #[test]
    fn words_are_read_as_they_are_written() {
        assert_eq!(WhenFull::from_text("wait"), Ok(WhenFull::Wait));
        assert_eq!(WhenFull::from_text("WAIT"), Err(Invalid::Value));
        for format in Format::ALL {
            assert_eq!(Format::from_text(&format.to_string()), Ok(*format));
        }
    }
}
