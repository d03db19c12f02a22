//! The calls that the bridge makes to an account.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::clock::Clock;
use crate::event::{EventKey, Millis};
use crate::net::{Http, HttpMethod, HttpRequest, HttpResponse, TransportError};
use crate::secret::secrets_equal;

use super::account_error::{AccountError, AccountErrorKind};
use super::body;
use super::credentials::AccountTokens;
use super::fingerprint::CredentialsFingerprint;
use super::rate_limit_headers::RateLimitHeaders;
use super::remote_event::RemoteEvent;
use super::settings::AccountApiSettings;
use super::verdict::{BatchItem, Verdict, judge};

/// A batch's answer repeats what was sent: a hundred events with the longest texts have about half of this. A longer
/// one is answered by halving the batch.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// One account's API.
#[derive(Clone)]
pub struct AccountClient {
    upsert_url: Url,
    events_url: Url,
    details_url: Url,
    timeout: Duration,
    tokens: Arc<AccountTokens>,
    http: Arc<dyn Http>,
}

/// What came of asking the account's API for one thing.
#[derive(Debug)]
pub struct ApiReport<T> {
    /// What the answer means.
    pub outcome: T,
    /// The limits as the last answer's headers tell them; empty without an answer.
    pub rate_limits: RateLimitHeaders,
    /// The calls that were made, tokens' included, in their order. Every one of the account's API beyond the first was
    /// made without a slot of the pace: [`super::Pace::count`]. With none among them the slot was not used:
    /// [`super::Pace::cancel`].
    pub calls: Vec<ApiCall>,
}

/// A call that was made, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiCall {
    /// Which.
    pub operation: ApiOperation,
    /// How it ended.
    pub status: CallStatus,
    /// How long it took.
    pub elapsed: Duration,
}

/// What is called: label values of `bridge_hubspot_requests_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiOperation {
    /// The batch upsert.
    Upsert,
    /// Reading one event.
    Read,
    /// The account's details.
    Details,
    /// The OAuth token endpoint.
    Token,
}

/// How a call ended; displays as a label value of `bridge_hubspot_requests_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStatus {
    /// With an answer of that status.
    Http(u16),
    /// Without one in time.
    Timeout,
    /// Without a connection.
    Connect,
    /// With a broken connection, or an answer that is not read to its end.
    Reset,
}

/// `GET /account-info/v3/details`, as far as it is of use.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountDetails {
    portal_id: u64,
}

impl AccountClient {
    /// Nothing is called yet.
    #[must_use]
    pub fn new(api: AccountApiSettings, http: Arc<dyn Http>, clock: Arc<dyn Clock>) -> Self {
        let timeout = api.request_timeout;
        Self {
            upsert_url: join_url(&api.base_url, &[&api.path_prefix, "events/upsert"]),
            events_url: join_url(&api.base_url, &[&api.path_prefix, "events"]),
            details_url: join_url(&api.base_url, &["account-info/v3/details"]),
            timeout,
            tokens: Arc::new(AccountTokens::new(
                api.credentials,
                timeout,
                Arc::clone(&http),
                clock,
            )),
            http,
        }
    }

    /// Sends the full state of these events, and says what the answer means for each.
    ///
    /// A 401 is answered by trying once more with another token, if there is one by then: a 401 does not prove a token
    /// bad (usage guidelines), and another call may have renewed it meanwhile. A second one is the account's trouble.
    ///
    /// # Cancel safety
    /// A cancelled call may have been carried out, or may yet.
    pub async fn upsert(&self, sent: &[BatchItem<'_>]) -> ApiReport<Verdict> {
        let mut calls = Vec::new();
        let request = |token: &SecretString| {
            let body = body::upsert_body(sent.iter().map(|event| event.input));
            self.request(HttpMethod::Post, &self.upsert_url, token, body)
        };
        let answer = self.call_authorized(ApiOperation::Upsert, request, &mut calls).await;
        let (outcome, rates) = match answer {
            Ok(answer) => {
                let rates =
                    answer.as_ref().map(RateLimitHeaders::from_response).unwrap_or_default();
                (judge(sent, answer.as_ref()), rates)
            }
            Err(trouble) => (Verdict::Account(trouble), RateLimitHeaders::default()),
        };
        ApiReport { outcome, rate_limits: rates, calls }
    }

    /// Reads an event: `GET /events/{externalEventId}?externalAccountId=`; the outcome is the event as HubSpot shows it, none
    /// if there is no such event of this app's. Another app's events are not found (published
    /// guide).
    pub async fn read_event(
        &self,
        key: &EventKey,
    ) -> ApiReport<Result<Option<RemoteEvent>, AccountError>> {
        let mut url = self.events_url.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .push(key.external_event_id.as_str());
        url.query_pairs_mut().append_pair("externalAccountId", key.external_account_id.as_str());
        let mut calls = Vec::new();
        let request = |token: &SecretString| self.request(HttpMethod::Get, &url, token, Vec::new());
        let answer = self.call_authorized(ApiOperation::Read, request, &mut calls).await;
        let (outcome, rates) = match answer {
            Ok(Ok(answer)) => {
                (RemoteEvent::from_response(&answer), RateLimitHeaders::from_response(&answer))
            }
            Ok(Err(error)) => {
                (Err(AccountError::from_transport(&error)), RateLimitHeaders::default())
            }
            Err(trouble) => (Err(trouble), RateLimitHeaders::default()),
        };
        ApiReport { outcome, rate_limits: rates, calls }
    }

    /// Asks which portal the credentials belong to; the outcome is its number, or why HubSpot does not tell.
    pub async fn fetch_portal_id(&self) -> ApiReport<Result<u64, AccountError>> {
        let mut calls = Vec::new();
        let request = |token: &SecretString| {
            self.request(HttpMethod::Get, &self.details_url, token, Vec::new())
        };
        let (outcome, rates) = match self
            .call_authorized(ApiOperation::Details, request, &mut calls)
            .await
        {
            Ok(Ok(answer)) => (parse_portal_id(&answer), RateLimitHeaders::from_response(&answer)),
            Ok(Err(error)) => {
                (Err(AccountError::from_transport(&error)), RateLimitHeaders::default())
            }
            Err(trouble) => (Err(trouble), RateLimitHeaders::default()),
        };
        ApiReport { outcome, rate_limits: rates, calls }
    }

    /// The credentials as they are now: whether they changed.
    #[must_use]
    pub fn fingerprint(&self) -> CredentialsFingerprint {
        self.tokens.fingerprint()
    }

    /// The OAuth app's id; of a token it is not known which app's it is.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.tokens.client_id()
    }

    /// When the present token ends, if it does.
    #[must_use]
    pub fn token_expires_at(&self) -> Option<Millis> {
        self.tokens.expires_at()
    }

    /// Makes a call with a token, and once more if that is refused and there is another of the same credentials: of
    /// others it is not known yet whose they are. The outer error is that there is no token, and so no call.
    async fn call_authorized(
        &self,
        operation: ApiOperation,
        request: impl Fn(&SecretString) -> HttpRequest,
        calls: &mut Vec<ApiCall>,
    ) -> Result<Result<HttpResponse, TransportError>, AccountError> {
        let credentials = self.fingerprint();
        let token = self.tokens.bearer_token(calls).await?;
        if self.fingerprint() != credentials {
            let kind = AccountErrorKind::Transport { ambiguous: false };
            return Err(AccountError::new(kind, "the credentials changed before the call"));
        }
        let first = self.call(operation, request(&token), calls).await;
        if !first.as_ref().is_ok_and(|answer| answer.status == 401) {
            return Ok(first);
        }
        self.tokens.invalidate(&token).await;
        if self.fingerprint() != credentials {
            return Ok(first);
        }
        let another = self.tokens.bearer_token(calls).await?;
        if secrets_equal(&another, &token) {
            return Ok(first);
        }
        Ok(self.call(operation, request(&another), calls).await)
    }

    async fn call(
        &self,
        operation: ApiOperation,
        request: HttpRequest,
        calls: &mut Vec<ApiCall>,
    ) -> Result<HttpResponse, TransportError> {
        let began = Instant::now();
        let answer = self.http.send(request).await;
        calls.push(ApiCall {
            operation,
            status: CallStatus::from_result(&answer),
            elapsed: began.elapsed(),
        });
        answer
    }

    fn request(
        &self,
        method: HttpMethod,
        url: &Url,
        token: &SecretString,
        body: Vec<u8>,
    ) -> HttpRequest {
        let bearer = format!("Bearer {}", token.expose_secret());
        HttpRequest {
            method,
            url: url.clone(),
            headers: vec![
                ("authorization".into(), bearer.into()),
                ("content-type".into(), "application/json".into()),
                ("accept".into(), "application/json".into()),
            ],
            body,
            timeout: self.timeout,
            max_response_bytes: MAX_RESPONSE_BYTES,
        }
    }
}

impl ApiOperation {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Read => "read",
            Self::Details => "details",
            Self::Token => "token",
        }
    }
}

impl CallStatus {
    pub(super) fn from_result(answer: &Result<HttpResponse, TransportError>) -> Self {
        match answer {
            Ok(answer) => Self::Http(answer.status),
            Err(TransportError::Timeout) => Self::Timeout,
            Err(TransportError::Connect(_)) => Self::Connect,
            Err(TransportError::Reset(_) | TransportError::TooLarge(_)) => Self::Reset,
        }
    }
}

impl fmt::Display for CallStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(status) => write!(f, "{status}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Connect => f.write_str("connect"),
            Self::Reset => f.write_str("reset"),
        }
    }
}

impl fmt::Debug for AccountClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("url", &self.upsert_url.as_str()).finish_non_exhaustive()
    }
}

fn parse_portal_id(answer: &HttpResponse) -> Result<u64, AccountError> {
    match answer.status {
        200..=299 => body::parse_object(&answer.body)
            .map(|details: AccountDetails| details.portal_id)
            .ok_or_else(|| AccountError::from_unreadable(answer, "no portalId")),
        _ => Err(AccountError::from_response(answer)),
    }
}

/// The base URL's path, which a gateway may have put there, and then these, with one slash between.
fn join_url(base: &Url, parts: &[&str]) -> Url {
    let mut path = base.path().trim_end_matches('/').to_owned();
    for part in parts {
        path.push('/');
        path.push_str(part.trim_matches('/'));
    }
    let mut url = base.clone();
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests;
