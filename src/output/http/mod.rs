//! Output `http`: sends batches of records to a server over HTTP: ClickHouse, Elasticsearch, OpenSearch,
//! Loki, any webhook.
//!
//! One request at a time, each with a batch as its body (`body`): what came within `flush-interval`, `batch`
//! bytes at most. Delivered is what the server answered with 2xx. With 408, 429, 5xx and when the connection
//! breaks the same batch goes out again, after the time that the server asked for (`Retry-After`) or the
//! waits of every output. What any other answer refuses is dropped as `refused`. Elasticsearch judges each
//! item of a bulk request, and so do we (`bulk`).
//!
//! Left out: HTTP/2, redirections, proxies, answers in gzip.
//!
//! A build without the cargo feature `push` knows the section and refuses it when it is enabled.

#[cfg(feature = "push")]
mod answer;
#[cfg(feature = "push")]
mod body;
#[cfg(feature = "push")]
mod bulk;
#[cfg(feature = "push")]
mod clickhouse;
#[cfg(feature = "push")]
mod gzip;
mod headers;
pub(super) mod loki;
#[cfg(feature = "push")]
mod task;
mod url;

#[cfg(feature = "push")]
pub(crate) use bulk::BulkAnswer;
pub(crate) use headers::Headers;
pub(crate) use url::{Url, UrlParts};

#[cfg(feature = "push")]
use super::RecordKind;
use super::{OutputKind, Plan, PlanContext};
use crate::limits::{PUSH_BATCH, PushBatchSize};
use crate::net::tls;
use crate::section::section;
use crate::values::{ClientTls, FilePath, Format, KeyError, PlanError, Seconds, Text, choice, required};

section! {
    /// Section `output.http`.
    pub struct Section {
        ..enable
        /// Where requests go.
        url: Option<Url> = None,
        /// How a batch is written.
        format: BodyFormat = BodyFormat::Ndjson,
        /// Bytes of a batch at most, before compression.
        batch: PushBatchSize = PUSH_BATCH,
        /// Time that a record waits for others.
        flush_interval: Seconds = Seconds::new(1),
        /// How a batch is compressed.
        compress: Compression = Compression::Gzip,
        /// Who we are, with a password.
        user: Option<Text> = None,
        /// The file with the password.
        password_file: Option<FilePath> = None,
        /// The file with a token instead.
        bearer_file: Option<FilePath> = None,
        /// Further fields of each request.
        headers: Headers = Headers::default(),
        /// Time to the next attempt.
        retry: Seconds = Seconds::new(1),
        ..client_tls
        ..record_output
    }
}

choice! {
    /// How a batch is written.
    BodyFormat {
        /// A JSON record a line.
        Ndjson = "ndjson",
        /// ClickHouse's JSONEachRow.
        ClickHouse = "clickhouse",
        /// A bulk request of Elasticsearch and OpenSearch.
        Elastic = "elastic",
        /// A push to Loki.
        Loki = "loki",
    }
}

choice! {
    /// How a batch is compressed.
    Compression {
        /// RFC 1952.
        Gzip = "gzip",
        /// Not at all.
        None = "none",
    }
}

impl BodyFormat {
    /// The format of the records in a body.
    fn of_records(self) -> Format {
        match self {
            BodyFormat::Ndjson | BodyFormat::ClickHouse | BodyFormat::Loki => Format::Json,
            BodyFormat::Elastic => Format::Ecs,
        }
    }
}

/// The judgement of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusVerdict {
    /// The server has it.
    Taken,
    /// Not now.
    Again,
    /// Never.
    Refused,
}

impl StatusVerdict {
    /// That of a status.
    pub(crate) fn of(status: u16) -> Self {
        match status {
            200..300 => StatusVerdict::Taken,
            408 | 429 | 500.. => StatusVerdict::Again,
            _ => StatusVerdict::Refused,
        }
    }
}

impl Section {
    /// The address, if it is one.
    fn address(&self) -> Option<&UrlParts> {
        self.url.as_ref()?.0.as_ref().ok()
    }

    /// The TLS keys, with `https` as the switch; `tls-support` may repeat it, not contradict it.
    fn tls_of_url(&self) -> ClientTls<'_> {
        let is_tls = self.address().is_some_and(|url| url.is_tls);
        ClientTls { support: if is_tls { Some(true) } else { self.tls_support }, ..self.tls_keys() }
    }
}

impl OutputKind for Section {
    fn kind(&self) -> &'static str {
        "http"
    }

    /// No address, or none that is one; TLS keys that disagree with it; two kinds of credentials; fields that
    /// are ours.
    fn check(&self) -> Result<(), KeyError> {
        required("url", &self.url)?;
        let url = match &self.url {
            Some(Url(Ok(url))) => url,
            Some(Url(Err(why))) => return Err(KeyError::new("url", *why)),
            None => return Ok(()),
        };
        if self.tls_support.is_some_and(|support| support != url.is_tls) {
            return Err(KeyError::new(
                "tls-support",
                "does not go with `url`; allowed: an address that begins with `https://` for TLS, `http://` without",
            ));
        }
        if self.bearer_file.is_some() && (self.user.is_some() || self.password_file.is_some()) {
            return Err(KeyError::new(
                "bearer-file",
                "given beside a user or password; allowed: one of the two",
            ));
        }
        if self.password_file.is_some() {
            required("user", &self.user)?;
        }
        if self.user.as_ref().is_some_and(|user| user.as_str().contains(':')) {
            return Err(KeyError::new("user", "has a colon (RFC 7617); allowed: one without"));
        }
        self.headers.check(self.bearer_file.is_some() || self.user.is_some())?;
        self.tls_of_url().check()
    }

    fn format(&self) -> Option<Format> {
        Some(self.format.of_records())
    }

    fn tls(&self) -> Option<ClientTls<'_>> {
        Some(self.tls_of_url())
    }

    fn missing_feature(&self) -> Option<KeyError> {
        if !BUILT {
            return Some(super::without_push());
        }
        (self.tls_of_url().is_on() && !tls::BUILT).then(|| {
            KeyError::new(
                "url",
                "`https` needs the cargo feature `tls`, which this build is without; allowed: `http://`",
            )
        })
    }

    #[cfg(feature = "push")]
    fn plan(&self, _: &PlanContext<'_>) -> Result<Plan, PlanError> {
        let sink = task::HttpSink::new(self)?;
        let encoding = self.record_encoding(self.format.of_records());
        Ok(Plan::new(
            self,
            format!("{sink}, {}, {}", self.format, self.compress),
            match self.format {
                BodyFormat::Loki => RecordKind::Loki(encoding),
                _ => RecordKind::Plain { encoding, terminator: (*b"\n").into() },
            },
            Box::new(sink),
        ))
    }

    #[cfg(not(feature = "push"))]
    fn plan(&self, _: &PlanContext<'_>) -> Result<Plan, PlanError> {
        Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into())
    }
}

/// Whether this build knows it.
const BUILT: bool = cfg!(feature = "push");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_judged_as_documented() {
        for (status, verdict) in [
            (200, StatusVerdict::Taken),
            (204, StatusVerdict::Taken),
            (301, StatusVerdict::Refused),
            (400, StatusVerdict::Refused),
            (404, StatusVerdict::Refused),
            (408, StatusVerdict::Again),
            (413, StatusVerdict::Refused),
            (429, StatusVerdict::Again),
            (500, StatusVerdict::Again),
            (599, StatusVerdict::Again),
        ] {
            assert_eq!(StatusVerdict::of(status), verdict, "{status}");
        }
    }
}
