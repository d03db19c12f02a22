//! The calls that the bridge makes to an account.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::clock::Clock;
use crate::event::{AccountName, CredentialsDigest, EventKey};
use crate::net::{
    CallPermit, CredentialsFingerprint, Http, HttpMethod, HttpRequest, HttpResponse,
    TransportError, parse_json_object,
};
use crate::secret::secrets_equal;
use crate::telemetry::Metrics;

use super::account_error::{AccountError, AccountErrorKind};
use super::account_http::{AccountHttp, ApiOperation};
use super::body;
use super::credentials::AccountTokens;
use super::rate_limit_headers::RateLimitHeaders;
use super::remote_event::RemoteEvent;
use super::settings::AccountApiSettings;
use super::single_verdict::judge_put;
use super::verdict::{BatchItem, Verdict, judge};

/// Longest response, in bytes. A batch's response repeats its events: a hundred with the longest texts have about half
/// of this. After a longer response the batch is halved.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// Calls one account's API.
pub struct AccountClient {
    upsert_url: Url,
    events_url: Url,
    details_url: Url,
    timeout: Duration,
    tokens: AccountTokens,
    http: AccountHttp,
}

/// The result of one request to the account's API.
#[derive(Debug, Clone)]
pub struct ApiReport<T> {
    /// Meaning of the response.
    pub outcome: T,
    /// Calls left of the day, if the response reports them.
    pub daily_remaining: Option<u64>,
    /// The call's times; none if no call was made, because there was no token for it.
    pub timing: Option<CallTiming>,
}

/// The times of a call.
#[derive(Debug, Clone, Copy)]
pub struct CallTiming {
    /// The beginning, token requests included.
    pub began: Instant,
    /// The end.
    pub ended: Instant,
    /// HubSpot's response time of the last try.
    pub elapsed: Duration,
}

/// The field of `GET /account-info/v3/details` that is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountDetails {
    portal_id: u64,
}

/// The tries of one request.
struct Tries {
    permit: CallPermit,
    /// Response time of the last try.
    elapsed: Option<Duration>,
}

impl AccountClient {
    /// Creates a client; it calls nothing yet.
    #[must_use]
    pub fn new(
        account: AccountName,
        api: AccountApiSettings,
        http: Arc<dyn Http>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Self {
        let AccountApiSettings { base_url, path_prefix, request_timeout: timeout, credentials } =
            api;
        let http = AccountHttp { account, http, metrics };
        Self {
            upsert_url: join_url(&base_url, &[&path_prefix, "events/upsert"]),
            events_url: join_url(&base_url, &[&path_prefix, "events"]),
            details_url: join_url(&base_url, &["account-info/v3/details"]),
            timeout,
            tokens: AccountTokens::new(credentials, timeout, http.clone(), clock),
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
    pub async fn upsert(&self, permit: CallPermit, batch: &[BatchItem<'_>]) -> ApiReport<Verdict> {
        let request = |token: &SecretString| {
            let body = body::upsert_body(batch.iter().map(|event| event.input));
            self.request(HttpMethod::Post, &self.upsert_url, token, body)
        };
        self.report(permit, ApiOperation::Upsert, request, |result| match result {
            Ok(response) => judge(batch, response.as_ref()),
            Err(error) => Verdict::Account(error),
        })
        .await
    }

    /// Sends the full state of one event: `PUT /events/{externalEventId}`. As [`Self::upsert`], of a batch of one.
    ///
    /// # Cancel safety
    /// HubSpot may have carried out a cancelled call, or may do so later.
    pub async fn put_event(&self, permit: CallPermit, event: &BatchItem<'_>) -> ApiReport<Verdict> {
        let url = self.event_url(event.external_event_id);
        let request =
            |token: &SecretString| self.request(HttpMethod::Put, &url, token, event.input.to_vec());
        self.report(permit, ApiOperation::Put, request, |result| match result {
            Ok(response) => judge_put(event, response.as_ref()),
            Err(error) => Verdict::Account(error),
        })
        .await
    }

    /// Reads an event: `GET /events/{externalEventId}?externalAccountId=`. The outcome is none if this app has no such
    /// event; those of other apps are not found (published guide).
    pub async fn read_event(
        &self,
        permit: CallPermit,
        key: &EventKey,
    ) -> ApiReport<Result<Option<RemoteEvent>, AccountError>> {
        let mut url = self.event_url(key.external_event_id.as_str());
        url.query_pairs_mut().append_pair("externalAccountId", key.external_account_id.as_str());
        self.get(permit, ApiOperation::Read, &url, RemoteEvent::from_response).await
    }

    /// Reads the number of the portal to which the credentials belong.
    pub async fn fetch_portal_id(
        &self,
        permit: CallPermit,
    ) -> ApiReport<Result<u64, AccountError>> {
        self.get(permit, ApiOperation::Details, &self.details_url, parse_portal_id).await
    }

    /// The credentials as they are now, for noticing a change.
    #[must_use]
    pub fn fingerprint(&self) -> CredentialsFingerprint {
        self.tokens.fingerprint()
    }

    /// The digest by which these credentials are recognised after a restart; none while they cannot be read.
    ///
    /// It covers HubSpot's address, which a gateway may lead elsewhere, and every secret as it is configured: the access
    /// token, or the app's id and secret and the refresh token. Of an OAuth app the id alone is not enough, since it may
    /// be installed in several portals; the refresh token is that of one installation. One that HubSpot gave in its place
    /// meanwhile is not kept, and does not count. So whatever is changed is checked before it is used.
    #[must_use]
    pub fn credentials_digest(&self, present: CredentialsFingerprint) -> Option<CredentialsDigest> {
        let used_with = [self.details_url.as_str(), self.client_id().unwrap_or_default()];
        present.digest_of(&used_with).as_ref().map(CredentialsDigest::new)
    }

    /// The OAuth app's id. A fixed token does not show its app.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.tokens.client_id()
    }

    fn event_url(&self, external_event_id: &str) -> Url {
        let mut url = self.events_url.clone();
        url.path_segments_mut().expect("an http URL has a path").push(external_event_id);
        url
    }

    async fn get<T>(
        &self,
        permit: CallPermit,
        operation: ApiOperation,
        url: &Url,
        parse: impl FnOnce(&HttpResponse) -> Result<T, AccountError>,
    ) -> ApiReport<Result<T, AccountError>> {
        let request = |token: &SecretString| self.request(HttpMethod::Get, url, token, Vec::new());
        self.report(permit, operation, request, |result| match result? {
            Ok(response) => parse(&response),
            Err(error) => Err(AccountError::from_transport(&error)),
        })
        .await
    }

    /// Makes a request with that permit, and reads the result. The outer error of the result means that there was no
    /// token.
    async fn report<T>(
        &self,
        permit: CallPermit,
        operation: ApiOperation,
        request: impl Fn(&SecretString) -> HttpRequest,
        read: impl FnOnce(Result<Result<HttpResponse, TransportError>, AccountError>) -> T,
    ) -> ApiReport<T> {
        let began = Instant::now();
        let mut tries = Tries { permit, elapsed: None };
        let result = self.call_authorized(operation, request, &mut tries).await;
        let mut daily_remaining = None;
        if let Ok(Ok(response)) = &result {
            let limits = RateLimitHeaders::from_response(response);
            tries.permit.observe(limits.limit, limits.remaining);
            daily_remaining = limits.daily_remaining;
        }
        let ended = Instant::now();
        let timing = tries.elapsed.map(|elapsed| CallTiming { began, ended, elapsed });
        ApiReport { outcome: read(result), daily_remaining, timing }
    }

    /// Makes a call with a token, and once more if that is refused and there is another token of the same credentials:
    /// other credentials may be another account's. The outer error means that there was no token.
    async fn call_authorized(
        &self,
        operation: ApiOperation,
        request: impl Fn(&SecretString) -> HttpRequest,
        tries: &mut Tries,
    ) -> Result<Result<HttpResponse, TransportError>, AccountError> {
        let credentials = self.fingerprint();
        let token = self.tokens.bearer_token().await?;
        if self.fingerprint() != credentials {
            let kind = AccountErrorKind::Transport { ambiguous: false };
            return Err(AccountError::new(kind, "the credentials changed before the call"));
        }
        let first = self.call(operation, request(&token), tries).await;
        if !first.as_ref().is_ok_and(|response| response.status == 401) {
            return Ok(first);
        }
        self.tokens.invalidate(&token).await;
        if self.fingerprint() != credentials {
            return Ok(first);
        }
        let another = self.tokens.bearer_token().await?;
        if secrets_equal(&another, &token) {
            return Ok(first);
        }
        Ok(self.call(operation, request(&another), tries).await)
    }

    async fn call(
        &self,
        operation: ApiOperation,
        request: HttpRequest,
        tries: &mut Tries,
    ) -> Result<HttpResponse, TransportError> {
        tries.permit.begin();
        let started_at = Instant::now();
        let result = self.http.send(operation, request).await;
        tries.elapsed = Some(started_at.elapsed());
        result
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

fn parse_portal_id(response: &HttpResponse) -> Result<u64, AccountError> {
    match response.status {
        200..=299 => parse_json_object(&response.body)
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
