//! Asking a platform's API for what its webhooks leave out: which questions, and what the answers mean. No I/O: the
//! asking itself is `fetch`'s.

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
    /// How it is called.
    fn access(&self) -> &PlatformAccess;

    /// The next question about a webinar, given the answers so far; none when all is known.
    ///
    /// URLs are built from the configured address and the validated id alone, percent-encoded, never from what a webhook
    /// or an answer calls a URL.
    ///
    /// # Errors
    /// Why the answers so far make no sense, for operators.
    fn next_request(
        &self,
        webinar: &WebinarId,
        answers: &ApiAnswers<'_>,
    ) -> Result<Option<ApiRequest>, String>;

    /// Whether it is told of as gone ([`Fetched::gone`]) that the API does not know a webinar, for good.
    fn gone_means_cancelled(&self) -> bool {
        true
    }

    /// For `backfill`: the question that lists the webinars of a time, or its next page. None if the API cannot list.
    fn list_url(&self, span: TimeRange, cursor: Option<&str>) -> Option<Url>;

    /// For `backfill`: the webinars on the page that was asked for with these.
    ///
    /// # Errors
    /// Why the page cannot be read, for operators.
    fn parse_list(
        &self,
        page: &[u8],
        span: TimeRange,
        cursor: Option<&str>,
    ) -> Result<WebinarPage, String>;

    /// The platform's account that the credentials are for, where the configuration tells and answers do not.
    fn account(&self) -> Option<&ExternalAccountId> {
        None
    }
}

/// How a platform's API is called.
#[derive(Debug, Clone)]
pub struct PlatformAccess {
    /// What proves us.
    pub credentials: ApiCredentials,
    /// Headers of every call, not secret: `accept`.
    pub headers: Vec<(&'static str, String)>,
    /// Calls that it lets through.
    pub rate_limit: ApiRateLimit,
}

/// What proves us to a platform's API.
#[derive(Debug, Clone)]
pub enum ApiCredentials {
    /// A header with a token that is given once: `authorization: Bearer TOKEN`, `x-api-key: TOKEN`.
    Token {
        /// The header's name, in lower case.
        header: &'static str,
        /// What stands before the token: `Bearer `.
        prefix: &'static str,
        /// The token.
        token: Secret,
    },
    /// `OAuth` without a user: the client's id and secret (HTTP Basic) buy tokens that end (RFC 6749, 4.4, or a grant of the
    /// platform's own with the same answer).
    ClientCredentials {
        /// Where tokens are asked for.
        token_url: Url,
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
        /// The form that is posted: `grant_type` and what else the platform wants.
        form: Vec<(&'static str, String)>,
    },
    /// `OAuth` for a user: a refresh token buys tokens that end (RFC 6749, 6), and may be replaced by each.
    RefreshToken {
        /// Where tokens are asked for.
        token_url: Url,
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
        /// The refresh token to begin with.
        refresh_token: Secret,
    },
}

/// So many calls in any stretch of that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiRateLimit {
    /// Calls.
    pub requests: u32,
    /// The stretch.
    pub window: Duration,
}

/// A question, by `GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// What its answer is called: `webinar`, `host`.
    pub name: &'static str,
    /// The whole URL.
    pub url: Url,
    /// Whether the rest is of use without an answer.
    pub on_missing: OnMissing,
}

impl ApiRequest {
    /// A question without whose answer there is nothing to say.
    pub(super) fn required(name: &'static str, url: Url) -> Self {
        Self { name, url, on_missing: OnMissing::Fail }
    }
}

/// The address of these path segments, percent-encoded, below a configured one. Ids among them must be known to be
/// neither `.` nor `..`, which are no segments.
pub(super) fn api_url(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.path_segments_mut().expect("a URL with a host has a path").pop_if_empty().extend(segments);
    url
}

/// What no answer to a question means, once it is final (403, 404).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    /// There is nothing to say without it: the platform does not have the webinar.
    Fail,
    /// The rest is said without it: a host's name that we may not see.
    Skip,
}

/// The answers so far, by the questions' names; null where one was spared.
pub type ApiAnswers<'a> = BTreeMap<String, &'a RawValue>;

/// What a platform's API answered about one webinar, as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FetchedAnswers<'a> {
    /// Which.
    pub webinar: WebinarId,
    /// Of which account of the platform, if that was known before.
    pub account: Option<ExternalAccountId>,
    /// When it was so, by the platform's clock (the first answer's `Date`; within its second, or where there is none, when
    /// it was asked for), never later than by ours.
    pub at: Millis,
    /// Whether the platform said that it has no such webinar, for good.
    pub gone: bool,
    /// The answers.
    #[serde(borrow)]
    pub answers: ApiAnswers<'a>,
}

impl<'a> FetchedAnswers<'a> {
    /// Reads what was stored.
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

    /// As it is stored.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("ids, a time and JSON can be written as JSON")
    }

    /// That a webinar was called off when this was so, or was not: for platforms that send no webhook about it.
    ///
    /// What is answered is as old as the last change that it tells of, and takes nothing back of what was said after that:
    /// that there was no such webinar, when it was asked for with credentials that may not see it. That it takes place holds
    /// from the beginning of the second, as platforms tell times, so that a calling off in it wins.
    #[must_use]
    pub fn existence_change(&self, webinar: &WebinarId, cancelled: bool) -> Change {
        let second = Millis::new(self.at.get().div_euclid(1_000) * 1_000);
        let kind = if cancelled { ChangeKind::Cancelled } else { ChangeKind::Updated };
        let mut change = Change::new(webinar.clone(), kind);
        change.account.clone_from(&self.account);
        change.occurred_at = Some(if cancelled { self.at } else { second });
        change.whole.cancelled = Some(cancelled);
        change
    }

    /// The answer of that name; none if it is not there or was spared.
    #[must_use]
    pub fn answer(&self, name: &str) -> Option<&'a RawValue> {
        self.answers.get(name).copied().filter(|answer| answer.get() != "null")
    }
}

/// Reads what is stored of a platform's answers ([`Fetched::to_json`], scrubbed).
#[must_use]
pub fn read_answers(provider: &dyn Provider, body: &[u8]) -> ParsedPayload {
    match FetchedAnswers::parse(body) {
        Ok(fetched) => provider.read_fetched(&fetched),
        Err(why) => ParsedPayload::new("fetched", PayloadContent::Unmappable(why)),
    }
}

/// A stretch of time, from its first moment to before its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// From.
    pub from: Millis,
    /// To.
    pub to: Millis,
}

/// A page of a list of webinars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebinarPage {
    /// Those that are on it and within the time asked for.
    pub webinars: Vec<WebinarId>,
    /// Where the next page begins; none: it is the last.
    pub next: Option<String>,
}
