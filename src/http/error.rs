//! Why a request is not served: one variant for each thing that can be wrong with it.

use core::fmt;

use picoserve::response::StatusCode;

use super::auth::CHALLENGE;
use super::query::BadParameter;
use super::response::HeaderField;

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpError {
    /// The body is in a transfer encoding.
    TransferEncoding,
    /// There are several lengths of the body, or one that is not a number.
    ContentLength,
    /// The body is longer than what is read past.
    LongBody,
    /// The version of HTTP is none that is spoken here.
    Version,
    /// `Host` is missing or there twice.
    NoHost,
    /// `Host` names somebody else.
    ForeignHost,
    /// A credential is missing or wrong.
    Credentials,
    /// Too many wrong credentials came from this address.
    Guessing,
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
    /// A parameter that the path does not have.
    Parameter,
    /// The parameter of that name is given more than once.
    Repeated(&'static str),
    /// `n` is not a number.
    Rows,
    /// `detail` is neither 0 nor 1.
    Detail,
    /// The parameter of that name is not understood.
    Filter(&'static str),
    /// Nothing is remembered.
    History,
    /// All places of `/live` are taken.
    LiveFull,
    /// Neither or both of `client` and `name` are given.
    OneSide,
}

impl HttpError {
    /// The status of the answer.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            HttpError::Untracked(_) | HttpError::Parameter | HttpError::Rows | HttpError::Detail => {
                StatusCode::BAD_REQUEST
            }
            HttpError::Filter(_) | HttpError::Repeated(_) => StatusCode::BAD_REQUEST,
            HttpError::History => StatusCode::NOT_FOUND,
            HttpError::LiveFull => StatusCode::SERVICE_UNAVAILABLE,
            HttpError::OneSide => StatusCode::BAD_REQUEST,
            HttpError::ContentLength
            | HttpError::NoHost
            | HttpError::StreamEncoding
            | HttpError::Only
            | HttpError::More(_) => StatusCode::BAD_REQUEST,
            HttpError::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            HttpError::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            HttpError::Credentials => StatusCode::UNAUTHORIZED,
            HttpError::Guessing => StatusCode::TOO_MANY_REQUESTS,
            HttpError::Path | HttpError::Stream => StatusCode::NOT_FOUND,
            HttpError::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            HttpError::LongBody => StatusCode::PAYLOAD_TOO_LARGE,
            HttpError::TransferEncoding => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// The header that the status asks for.
    pub(crate) fn header(self) -> Option<HeaderField> {
        match self {
            HttpError::Credentials => Some(CHALLENGE),
            HttpError::Guessing => Some(("Retry-After", "60")),
            HttpError::LiveFull => Some(("Retry-After", "10")),
            HttpError::Method(allowed) => Some(("Allow", allowed)),
            _ => None,
        }
    }

    /// Whether the connection ends: nobody knows where the next request would begin.
    pub(crate) fn ends_connection(self) -> bool {
        matches!(
            self,
            HttpError::TransferEncoding | HttpError::ContentLength | HttpError::LongBody | HttpError::Version
        )
    }
}

/// The body of the answer: the reason in words that JSON needs not escape.
impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{\"error\": \"")?;
        self.write_reason(f)?;
        f.write_str("\"}")
    }
}

impl HttpError {
    /// The reason in words.
    pub(crate) fn reason(self) -> impl fmt::Display {
        struct ReasonText(HttpError);
        impl fmt::Display for ReasonText {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write_reason(f)
            }
        }
        ReasonText(self)
    }

    fn write_reason(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HttpError::TransferEncoding => "bodies in a transfer encoding are not understood",
            HttpError::ContentLength => "the content length is not one number",
            HttpError::LongBody => "the body is too long",
            HttpError::Version => "only HTTP/1.1 and HTTP/1.0 are spoken here",
            HttpError::NoHost => "`Host` is missing, or there more than once",
            HttpError::ForeignHost => "`Host` is not a name of this daemon; web-api.hosts lists further ones",
            HttpError::Guessing => "too many wrong credentials from this address; wait a minute",
            HttpError::Credentials => "the credentials are missing or wrong",
            HttpError::Path => "there is nothing at this path",
            HttpError::Method(_) => "this path does not have that method",
            HttpError::Stream => "there is no such stream",
            HttpError::StreamEncoding => "`stream` is badly encoded",
            HttpError::Only => "`only` is badly encoded or too long",
            HttpError::More(BadParameter::Encoding) => "`more` is badly encoded",
            HttpError::More(BadParameter::TooLong) => "a name in `more` is too long",
            HttpError::More(BadParameter::TooMany) => "there are too many names in `more`",
            HttpError::Parameter => "this path does not have all of these parameters",
            HttpError::Rows => "`n` is not a number from 0 up",
            HttpError::Detail => "`detail` is neither 0 nor 1",
            HttpError::History => "nothing of this is remembered: the history is off",
            HttpError::LiveFull => "all places for live readers are taken",
            HttpError::OneSide => "either `client` or `name` is to be given",
            HttpError::Repeated(name) => {
                return write!(f, "`{name}` is given more than once; several values are a list with commas");
            }
            HttpError::Filter(name) => return write!(f, "`{name}` is not understood"),
            HttpError::Untracked(tracked) => {
                return write!(f, "`more` names a table that is not tracked; tracked: {tracked}");
            }
        })
    }
}
