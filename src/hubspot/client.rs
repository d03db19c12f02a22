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
use crate::net::{
    CallStatus, CredentialsFingerprint, Http, HttpMethod, HttpRequest, HttpResponse, TransportError,
};
use crate::secret::secrets_equal;

use super::account_error::{AccountError, AccountErrorKind};
use super::body;
use super::call::{ApiCall, ApiOperation};
use super::credentials::AccountTokens;
use super::rate_limit_headers::RateLimitHeaders;
use super::remote_event::RemoteEvent;
use super::settings::AccountApiSettings;
use super::verdict::{BatchItem, Verdict, judge};

/// Longest response, in bytes. A batch's response repeats its events: a hundred with the longest texts have about half
/// of this. After a longer response the batch is halved.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// Calls one account's API.
#[derive(Clone)]
pub struct AccountClient {
    upsert_url: Url,
    events_url: Url,
    details_url: Url,
    timeout: Duration,
    tokens: Arc<AccountTokens>,
    http: Arc<dyn Http>,
}

/// The result of one request to the account's API.
#[derive(Debug)]
pub struct ApiReport<T> {
    /// Meaning of the response.
    pub outcome: T,
    /// Limits in the headers of the last response; empty without a response.
    pub rate_limits: RateLimitHeaders,
    /// Calls that were made, those for tokens included, in their order. The first call of the account's API used the
    /// caller's permit; each further one had none ([`RateLimiter::record_call`](crate::net::RateLimiter::record_call)).
    /// Without any, the permit is unused ([`RateLimiter::cancel`](crate::net::RateLimiter::cancel)).
    pub calls: Vec<ApiCall>,
}

/// The field of `GET /account-info/v3/details` that is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountDetails {
    portal_id: u64,
}

impl AccountClient {
    /// Creates a client; it calls nothing yet.
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

    /// Sends the full state of these events, and judges the response for each.
    ///
    /// After a 401 the call is made once more with another token, if there is one by then: a 401 does not prove a token
    /// invalid (usage guidelines), and another call may have renewed it meanwhile. A second 401 is the account's error.
    ///
    /// # Cancel safety
    /// HubSpot may have carried out a cancelled call, or may do so later.
    pub async fn upsert(&self, batch: &[BatchItem<'_>]) -> ApiReport<Verdict> {
        let mut calls = Vec::new();
        let request = |token: &SecretString| {
            let body = body::upsert_body(batch.iter().map(|event| event.input));
            self.request(HttpMethod::Post, &self.upsert_url, token, body)
        };
        let response = self.call_authorized(ApiOperation::Upsert, request, &mut calls).await;
        let (outcome, rate_limits) = match response {
            Ok(response) => {
                let rate_limits =
                    response.as_ref().map(RateLimitHeaders::from_response).unwrap_or_default();
                (judge(batch, response.as_ref()), rate_limits)
            }
            Err(error) => (Verdict::Account(error), RateLimitHeaders::default()),
        };
        ApiReport { outcome, rate_limits, calls }
    }

    /// Reads an event: `GET /events/{externalEventId}?externalAccountId=`. The outcome is none if this app has no such
    /// event; those of other apps are not found (published guide).
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
        let response = self.call_authorized(ApiOperation::Read, request, &mut calls).await;
        let (outcome, rate_limits) = match response {
            Ok(Ok(response)) => {
                (RemoteEvent::from_response(&response), RateLimitHeaders::from_response(&response))
            }
            Ok(Err(error)) => {
                (Err(AccountError::from_transport(&error)), RateLimitHeaders::default())
            }
            Err(error) => (Err(error), RateLimitHeaders::default()),
        };
        ApiReport { outcome, rate_limits, calls }
    }

    /// Reads the number of the portal to which the credentials belong.
    pub async fn fetch_portal_id(&self) -> ApiReport<Result<u64, AccountError>> {
        let mut calls = Vec::new();
        let request = |token: &SecretString| {
            self.request(HttpMethod::Get, &self.details_url, token, Vec::new())
        };
        let (outcome, rate_limits) =
            match self.call_authorized(ApiOperation::Details, request, &mut calls).await {
                Ok(Ok(response)) => {
                    (parse_portal_id(&response), RateLimitHeaders::from_response(&response))
                }
                Ok(Err(error)) => {
                    (Err(AccountError::from_transport(&error)), RateLimitHeaders::default())
                }
                Err(error) => (Err(error), RateLimitHeaders::default()),
            };
        ApiReport { outcome, rate_limits, calls }
    }

    /// The credentials as they are now, for noticing a change.
    #[must_use]
    pub fn fingerprint(&self) -> CredentialsFingerprint {
        self.tokens.fingerprint()
    }

    /// The OAuth app's id. A fixed token does not show its app.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.tokens.client_id()
    }

    /// When the present token expires, if it does.
    #[must_use]
    pub fn token_expires_at(&self) -> Option<Millis> {
        self.tokens.expires_at()
    }

    /// Makes a call with a token, and once more if that is refused and there is another token of the same credentials:
    /// other credentials may be another account's. The outer error means that there was no token, and so no call.
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
        if !first.as_ref().is_ok_and(|response| response.status == 401) {
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
        let started_at = Instant::now();
        let response = self.http.send(request).await;
        calls.push(ApiCall {
            operation,
            status: CallStatus::from_result(&response),
            elapsed: started_at.elapsed(),
        });
        response
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

impl fmt::Debug for AccountClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountClient")
            .field("url", &self.upsert_url.as_str())
            .finish_non_exhaustive()
    }
}

fn parse_portal_id(response: &HttpResponse) -> Result<u64, AccountError> {
    match response.status {
        200..=299 => body::parse_object(&response.body)
            .map(|details: AccountDetails| details.portal_id)
            .ok_or_else(|| AccountError::from_unreadable(response, "no portalId")),
        _ => Err(AccountError::from_response(response)),
    }
}

/// Appends these parts to the base URL's path, which a gateway may have set, with one slash between.
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
