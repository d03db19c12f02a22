//! A platform's API, asked for what its webhooks leave out: the requests, and the meaning of the answers. No I/O:
//! `fetch` sends the requests.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

use super::{ParsedPayload, PayloadContent, Provider};
use crate::event::{Change, ChangeKind, ExternalAccountId, Millis, WebinarId};
use crate::secret::Secret;

/// The API of a platform, as a source configures it.
pub trait PlatformApi: Send + Sync {
    /// Credentials and limits of calls.
    fn access(&self) -> &PlatformAccess;

    /// The next request about a webinar, given the answers so far; none when they are complete.
    ///
    /// URLs are built from the configured address and the validated id alone, percent-encoded, never from what a
    /// webhook or an answer calls a URL.
    ///
    /// # Errors
    /// Why the answers so far are unusable, for operators.
    fn next_request(
        &self,
        webinar: &WebinarId,
        answers: &ApiAnswers<'_>,
    ) -> Result<Option<PlatformRequest>, String>;

    /// How late the API may be: its answers may not show yet what happened within that time before the request. No
    /// platform known here documents it; a minute is more than was seen.
    fn lag(&self) -> Duration {
        Duration::from_mins(1)
    }

    /// Whether a webinar that the API does not know, for good, is reported as gone ([`FetchedAnswers::gone`]).
    fn gone_means_cancelled(&self) -> bool {
        true
    }

    /// For `backfill`: URL of a page of the list of webinars. None if the API cannot list.
    fn list_url(&self, query: ListQuery<'_>) -> Option<Url>;

    /// For `backfill`: parses the page.
    ///
    /// # Errors
    /// Why the page cannot be read, for operators.
    fn parse_list(&self, page: &[u8], query: ListQuery<'_>) -> Result<WebinarPage, String>;

    /// Whether the source's secret also verifies webhooks of other accounts of the platform than that of the credentials.
    fn shares_secret(&self) -> bool {
        false
    }

    /// The platform's account of the credentials, where the configuration names it and answers do not.
    fn account(&self) -> Option<&ExternalAccountId> {
        None
    }
}

/// Credentials and limits of calls to a platform's API.
#[derive(Debug, Clone)]
pub struct PlatformAccess {
    /// Credentials of the calls.
    pub credentials: PlatformCredentials,
    /// Headers of every call, without secrets: `accept`.
    pub headers: Vec<(&'static str, String)>,
    /// Limit of calls.
    pub rate_limit: ApiRateLimit,
}

/// Credentials for a platform's API.
#[derive(Debug, Clone)]
pub enum PlatformCredentials {
    /// A header with a fixed token: `authorization: Bearer TOKEN`, `x-api-key: TOKEN`.
    Token {
        /// The header's name, in lower case.
        header: &'static str,
        /// Text before the token: `Bearer `.
        prefix: &'static str,
        /// The token.
        token: Secret,
    },
    /// `OAuth` without a user: the client's id and secret (HTTP Basic) obtain tokens that expire (RFC 6749, 4.4, or the
    /// platform's own grant with the same answer).
    ClientCredentials {
        /// URL of the token endpoint.
        token_url: Url,
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
        /// The posted form: `grant_type` and the platform's own fields.
        form: Vec<(&'static str, String)>,
    },
    /// `OAuth` for a user: a refresh token obtains tokens that expire (RFC 6749, 6). Each answer may replace it.
    RefreshToken {
        /// URL of the token endpoint.
        token_url: Url,
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
        /// The first refresh token.
        refresh_token: Secret,
    },
}

/// A limit of calls in any window of a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiRateLimit {
    /// Number of calls.
    pub requests: u32,
    /// Length of the window.
    pub window: Duration,
}

/// A `GET` request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformRequest {
    /// Name of the answer: `webinar`, `host`.
    pub name: &'static str,
    /// The whole URL.
    pub url: Url,
    /// What a missing answer means.
    pub on_missing: OnMissing,
}

impl PlatformRequest {
    /// A request whose answer is required.
    pub(super) fn required(name: &'static str, url: Url) -> Self {
        Self { name, url, on_missing: OnMissing::Fail }
    }
}

/// Appends path segments, percent-encoded, to a configured URL. The caller ensures that no id is `.` or `..`, which are
/// no segments.
pub(super) fn api_url(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.path_segments_mut().expect("a URL with a host has a path").pop_if_empty().extend(segments);
    url
}

/// What a final refusal of a request (403, 404) means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    /// The platform does not have the webinar.
    Fail,
    /// The other answers suffice: a host's name that the credentials may not see.
    Skip,
}

/// The answers so far, by the requests' names; null for a skipped one.
pub type ApiAnswers<'a> = BTreeMap<String, &'a RawValue>;

/// A platform's answers about one webinar, as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FetchedAnswers<'a> {
    /// The webinar.
    pub webinar: WebinarId,
    /// The platform's account, if it was known before.
    pub account: Option<ExternalAccountId>,
    /// Time from which the answers count where they show no other: the time of the request less the API's lag.
    pub at: Millis,
    /// Time of the first request by the platform's clock; none in receipts of versions before 0.3.
    #[serde(default)]
    pub asked_at: Option<Millis>,
    /// Whether the platform has no such webinar, for good.
    pub gone: bool,
    /// The answers.
    #[serde(borrow)]
    pub answers: ApiAnswers<'a>,
}

impl<'a> FetchedAnswers<'a> {
    /// Parses stored answers.
    ///
    /// # Errors
    /// A sentence for operators, which repeats nothing of the body.
    pub fn parse(body: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| {
            format!(
                "it is not what is stored of a platform's answers (line {}, column {})",
                error.line(),
                error.column()
            )
        })
    }

    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("ids, a time and JSON can be written as JSON")
    }

    /// The change that states whether the platform has a webinar: no webhook reports its deletion, or that was lost.
    ///
    /// It is an observation of the moment of the request: a later one takes it back, and it takes back no cancellation.
    #[must_use]
    pub fn existence_change(&self, webinar: &WebinarId, absent: bool) -> Change {
        let mut change = Change::new(webinar.clone(), ChangeKind::Updated);
        change.account.clone_from(&self.account);
        change.occurred_at = Some(self.asked_at());
        change.whole.absent = Some(absent);
        change
    }

    /// Time of the request, by the platform's clock.
    #[must_use]
    pub fn asked_at(&self) -> Millis {
        self.asked_at.unwrap_or(self.at)
    }

    /// An answer by name; none if it is missing or was skipped.
    #[must_use]
    pub fn answer(&self, name: &str) -> Option<&'a RawValue> {
        self.answers.get(name).copied().filter(|answer| answer.get() != "null")
    }
}

/// Reads stored answers ([`FetchedAnswers::to_json`], scrubbed).
#[must_use]
pub fn read_answers(provider: &dyn Provider, body: &[u8]) -> ParsedPayload {
    let mut payload = match FetchedAnswers::parse(body) {
        Ok(fetched) => provider.read_fetched(&fetched),
        Err(reason) => ParsedPayload::fetched(Err(reason)),
    };
    if let PayloadContent::Changes { changes, .. } = &mut payload.content {
        for change in changes {
            change.is_answer = true;
        }
    }
    payload
}

/// A half-open range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First moment.
    pub from: Millis,
    /// First moment after the range.
    pub to: Millis,
}

impl TimeRange {
    /// Whether the moment is in the range.
    pub(super) fn contains(self, at: Millis) -> bool {
        (self.from..self.to).contains(&at)
    }
}

/// Selects a page of the list of webinars.
#[derive(Debug, Clone, Copy)]
pub struct ListQuery<'a> {
    /// When the webinars take place.
    pub span: TimeRange,
    /// The page's cursor; none for the first page.
    pub cursor: Option<&'a str>,
}

/// A page of a list of webinars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebinarPage {
    /// Webinars on the page and within the range.
    pub webinars: Vec<WebinarId>,
    /// Cursor of the next page; none on the last page.
    pub next: Option<String>,
}
