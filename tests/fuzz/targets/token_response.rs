//! Responses of HubSpot's token endpoint and of its account details.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::Url;
use webinar_bridge::clock::VirtualClock;
use webinar_bridge::event::Millis;
use webinar_bridge::hubspot::{
    AccountApiSettings, AccountClient, AccountCredentials, AccountError, AccountTokens,
};
use webinar_bridge::net::{Http, HttpRequest, HttpResponse, TransportError};
use webinar_bridge::secret::Secret;

use super::{Message, fixtures, is_fit_for_logs};

/// Secrets that only the token endpoint may get.
const SECRETS: [&str; 2] = ["the client's own", "the installation's own"];
const NOW: Millis = Millis::new(1_800_000_000_000);

/// Gives every call the same response.
pub(super) struct CannedResponse(pub(super) HttpResponse);

#[async_trait]
impl Http for CannedResponse {
    async fn send(&self, _request: HttpRequest) -> Result<HttpResponse, TransportError> {
        Ok(self.0.clone())
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
    let http: Arc<dyn Http> = Arc::new(CannedResponse(response.clone()));
    check_token(&response, Arc::clone(&http));
    check_portal(&response, http);
}

fn check_token(response: &HttpResponse, http: Arc<dyn Http>) {
    let secret = |text: &str| Secret::Text(text.to_owned().into());
    let credentials = AccountCredentials::OAuth {
        client_id: "client".into(),
        client_secret: secret(SECRETS[0]),
        refresh_token: secret(SECRETS[1]),
        token_url: url("https://api.hubapi.com/oauth/2026-03/token"),
    };
    let clock = Arc::new(VirtualClock::starting_at(NOW));
    let tokens = AccountTokens::new(credentials, Duration::from_secs(1), http, clock);
    let mut calls = Vec::new();
    let token = tokens.bearer_token(&mut calls).now_or_never().expect("nothing to wait for");
    assert_eq!(calls.len(), 1);
    let body: Option<Value> = serde_json::from_slice(&response.body).ok();
    match token {
        Ok(token) => {
            assert!(matches!(response.status, 200..=299), "a token by a {}", response.status);
            if let Some(body) = body {
                assert_eq!(body["access_token"], token.expose_secret());
                assert!(body["expires_in"].is_u64(), "{body}");
            }
            let ends = tokens.expires_at().expect("a granted token expires");
            assert!(ends >= NOW && ends.since(NOW) <= Duration::from_hours(24 * 367), "{ends}");
        }
        Err(error) => {
            assert_eq!(tokens.expires_at(), None);
            check_error(&error, response);
        }
    }
}

fn check_portal(response: &HttpResponse, http: Arc<dyn Http>) {
    let account = account(http);
    match account.fetch_portal_id().now_or_never().expect("nothing to wait for").outcome {
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
pub(super) fn account(http: Arc<dyn Http>) -> AccountClient {
    let api = AccountApiSettings {
        base_url: url("https://api.hubapi.com"),
        path_prefix: "/marketing/v3/marketing-events".into(),
        request_timeout: Duration::from_secs(1),
        credentials: AccountCredentials::Token(Secret::Text("a token".to_owned().into())),
    };
    AccountClient::new(api, http, Arc::new(VirtualClock::starting_at(NOW)))
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
