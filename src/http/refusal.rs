//! Why a request is not served: one variant for each thing that can be wrong with it.

use core::fmt;

use picoserve::response::StatusCode;

use super::auth::CHALLENGE;
use super::query::BadParameter;

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is in a transfer encoding.
    TransferEncoding,
    /// There are several lengths of the body, or one that is no number.
    ContentLength,
    /// The body is longer than what is read past.
    LongBody,
    /// A credential is missing or wrong.
    Credentials,
    /// The path is unknown.
    Path,
    /// The path has other methods: these.
    Method(&'static str),
    /// No stream has that name.
    Stream,
    /// Something is wrong with the parameter `stream`.
    StreamEncoding,
    /// Something is wrong with the parameter `only`.
    Only,
    /// Something is wrong with the parameter `more`.
    More(BadParameter),
    /// `more` names a table that is not kept; these are.
    Untracked(&'static str),
    /// `n` is no number.
    Rows,
    /// `detail` is neither 0 nor 1.
    Detail,
}

/// A header that goes with an answer.
pub type Header = (&'static str, &'static str);

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::Untracked(_) | Refusal::Rows | Refusal::Detail => StatusCode::BAD_REQUEST,
            Refusal::ContentLength | Refusal::StreamEncoding | Refusal::Only | Refusal::More(_) => {
                StatusCode::BAD_REQUEST
            }
            Refusal::Credentials => StatusCode::UNAUTHORIZED,
            Refusal::Path | Refusal::Stream => StatusCode::NOT_FOUND,
            Refusal::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::LongBody => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TransferEncoding => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// What the status asks to be told beside it.
    pub fn header(self) -> Option<Header> {
        match self {
            Refusal::Credentials => Some(CHALLENGE),
            Refusal::Method(allowed) => Some(("Allow", allowed)),
            _ => None,
        }
    }

    /// Whether the connection ends: nobody knows where the next request would begin.
    pub fn ends_connection(self) -> bool {
        matches!(self, Refusal::TransferEncoding | Refusal::ContentLength | Refusal::LongBody)
    }
}

/// The reason in words, which JSON needs not escape.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::TransferEncoding => "bodies in a transfer encoding are not understood",
            Refusal::ContentLength => "the content length is not one number",
            Refusal::LongBody => "the body is too long",
            Refusal::Credentials => "the credentials are missing or wrong",
            Refusal::Path => "there is nothing at this path",
            Refusal::Method(_) => "this path does not have that method",
            Refusal::Stream => "there is no such stream",
            Refusal::StreamEncoding => "`stream` is badly encoded",
            Refusal::Only => "`only` is badly encoded or too long",
            Refusal::More(BadParameter::Encoding) => "`more` is badly encoded",
            Refusal::More(BadParameter::TooLong) => "a name in `more` is too long",
            Refusal::More(BadParameter::TooMany) => "there are too many names in `more`",
            Refusal::Rows => "`n` is not a number from 0 up",
            Refusal::Detail => "`detail` is neither 0 nor 1",
            Refusal::Untracked(tracked) => {
                return write!(f, "`more` names a table that is not tracked; tracked: {tracked}");
            }
        })
    }
}
