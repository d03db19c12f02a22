//! Responses of HubSpot's token endpoint and of its account details.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::Url;
use webinar_bridge::clock::VirtualClock;
use webinar_bridge::event::{AccountName, Millis};
use webinar_bridge::hubspot::{
    AccountApiSettings, AccountClient, AccountCredentials, AccountError, CallPermit, RateLimit,
    RateLimiter, WaitingRateLimiter,
};
use webinar_bridge::net::{Http, HttpRequest, HttpResponse, TransportError};
use webinar_bridge::secret::Secret;
use webinar_bridge::telemetry::Metrics;

use super::{Message, fixtures, is_fit_for_logs};

/// Secrets that only the token endpoint may get.
const SECRETS: [&str; 2] = ["the client's own", "the installation's own"];
const NOW: Millis = Millis::new(1_800_000_000_000);

/// Gives every call the same response, and keeps the requests.
pub(super) struct CannedResponse {
    response: HttpResponse,
    requests: Mutex<Vec<HttpRequest>>,
}

impl CannedResponse {
    pub(super) fn shared(response: &HttpResponse) -> Arc<Self> {
        Arc::new(Self { response: response.clone(), requests: Mutex::default() })
    }
}

#[async_trait]
impl Http for CannedResponse {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.requests.lock().expect("whole").push(request);
        Ok(self.response.clone())
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (name, body) in fixtures("hubspot") {
        let status = match name.as_str() {
            name if name.starts_with("token_granted") || name.starts_with("account") => 200,
            name if name.starts_with("token_bad") => 400,
            name if name.contains("_502.") => 502,
            _ => continue,
        };
        seeds.push([format!("status: {status}\n\n").as_bytes(), &body].concat());
    }
    seeds
}

pub(super) fn check(data: &[u8]) {
    let response = Message::from_bytes(data).response();
    check_token(&response);
    check_portal(&response);
}

/// The response to the request for a token is given to the request with it, too.
fn check_token(response: &HttpResponse) {
    let secret = |text: &str| Secret::Text(text.to_owned().into());
    let credentials = AccountCredentials::OAuth {
        client_id: "client".into(),
        client_secret: secret(SECRETS[0]),
        refresh_token: secret(SECRETS[1]),
        token_url: url("https://api.hubapi.com/oauth/2026-03/token"),
    };
    let http = CannedResponse::shared(response);
    let account = account(http.clone(), credentials);
    let report = account.fetch_portal_id(permit()).now_or_never().expect("nothing to wait for");
    let requests = http.requests.lock().expect("whole");
    assert!(requests[0].url.path().ends_with("/token"));
    let Some(request) = requests.get(1) else {
        check_error(&report.outcome.expect_err("no token, no call"), response);
        return;
    };
    assert!(matches!(response.status, 200..=299), "a token by a {}", response.status);
    let (_, bearer) = &request.headers[0];
    if let Ok(body) = serde_json::from_slice::<Value>(&response.body) {
        let token = body["access_token"].as_str().expect("a token is a text");
        assert_eq!(bearer.expose_secret(), format!("Bearer {token}"));
        assert!(body["expires_in"].is_u64(), "{body}");
    }
}

fn check_portal(response: &HttpResponse) {
    let account = account(CannedResponse::shared(response), fixed_token());
    let report = account.fetch_portal_id(permit()).now_or_never().expect("nothing to wait for");
    match report.outcome {
        Ok(portal) => {
            assert!(matches!(response.status, 200..=299), "a portal by a {}", response.status);
            if let Ok(body) = serde_json::from_slice::<Value>(&response.body) {
                assert_eq!(body["portalId"], portal);
            }
        }
        Err(error) => check_error(&error, response),
    }
}

/// A client of the account.
pub(super) fn account(http: Arc<dyn Http>, credentials: AccountCredentials) -> AccountClient {
    let api = AccountApiSettings {
        base_url: url("https://api.hubapi.com"),
        path_prefix: "/marketing/v3/marketing-events".into(),
        request_timeout: Duration::from_secs(1),
        credentials,
    };
    let name = AccountName::parse("main").expect("a name");
    let clock = Arc::new(VirtualClock::starting_at(NOW));
    AccountClient::new(name, api, http, clock, Metrics::new(&[], &[]))
}

pub(super) fn fixed_token() -> AccountCredentials {
    AccountCredentials::Token(Secret::Text("a token".to_owned().into()))
}

pub(super) fn permit() -> CallPermit {
    let limit = RateLimit { requests: 1, window: Duration::from_secs(1) };
    let limiter = WaitingRateLimiter::new(RateLimiter::for_own_limit(limit));
    limiter.try_acquire().expect("nothing is used")
}

pub(super) fn check_error(error: &AccountError, response: &HttpResponse) {
    assert!(!error.detail.is_empty() && is_fit_for_logs(&error.detail), "{error:?}");
    let body = format!("{} {:?}", String::from_utf8_lossy(&response.body), response.headers);
    for secret in SECRETS.iter().filter(|secret| !body.contains(**secret)) {
        assert!(!error.detail.contains(secret), "a secret is shown: {error:?}");
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}
