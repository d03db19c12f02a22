//! What HubSpot's token endpoint and its account details answer.

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

/// What is sent to the token endpoint and told to nobody else.
const SECRETS: [&str; 2] = ["the client's own", "the installation's own"];
const NOW: Millis = Millis::new(1_800_000_000_000);

/// Answers every call alike.
pub(super) struct Canned(pub(super) HttpResponse);

#[async_trait]
impl Http for Canned {
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
    let answer = Message::of(data).answer();
    let http: Arc<dyn Http> = Arc::new(Canned(answer.clone()));
    a_token(&answer, Arc::clone(&http));
    a_portal(&answer, http);
}

fn a_token(answer: &HttpResponse, http: Arc<dyn Http>) {
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
    let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
    match token {
        Ok(token) => {
            assert!(matches!(answer.status, 200..=299), "a token by a {}", answer.status);
            if let Some(said) = said {
                assert_eq!(said["access_token"], token.expose_secret());
                assert!(said["expires_in"].is_u64(), "{said}");
            }
            let ends = tokens.expires_at().expect("a token that was fetched ends");
            assert!(ends >= NOW && ends.since(NOW) <= Duration::from_hours(24 * 367), "{ends}");
        }
        Err(trouble) => {
            assert_eq!(tokens.expires_at(), None);
            troubled(&trouble, answer);
        }
    }
}

fn a_portal(answer: &HttpResponse, http: Arc<dyn Http>) {
    let account = account(http);
    match account.fetch_portal_id().now_or_never().expect("nothing to wait for").outcome {
        Ok(portal) => {
            assert!(matches!(answer.status, 200..=299), "a portal by a {}", answer.status);
            if let Ok(said) = serde_json::from_slice::<Value>(&answer.body) {
                assert_eq!(said["portalId"], portal);
            }
        }
        Err(trouble) => troubled(&trouble, answer),
    }
}

/// The account that is asked.
pub(super) fn account(http: Arc<dyn Http>) -> AccountClient {
    let api = AccountApiSettings {
        base_url: url("https://api.hubapi.com"),
        path_prefix: "/marketing/v3/marketing-events".into(),
        request_timeout: Duration::from_secs(1),
        credentials: AccountCredentials::Token(Secret::Text("a token".to_owned().into())),
    };
    AccountClient::new(api, http, Arc::new(VirtualClock::starting_at(NOW)))
}

pub(super) fn troubled(trouble: &AccountError, answer: &HttpResponse) {
    assert!(!trouble.detail.is_empty() && is_fit_for_logs(&trouble.detail), "{trouble:?}");
    let said = format!("{} {:?}", String::from_utf8_lossy(&answer.body), answer.headers);
    for secret in SECRETS.iter().filter(|secret| !said.contains(**secret)) {
        assert!(!trouble.detail.contains(secret), "a secret is told: {trouble:?}");
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}
