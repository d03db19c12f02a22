use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Mutex as Lock;

use async_trait::async_trait;

use super::*;
use crate::clock::VirtualClock;
use crate::event::{AccountName, Millis};
use crate::net::{Http, TransportError};
use crate::telemetry::Metrics;

const GRANTED: &str = include_str!("../../../tests/fixtures/hubspot/token_granted.json");
const BAD_REFRESH: &str = include_str!("../../../tests/fixtures/hubspot/token_bad_refresh.json");
const BAD_HUB: &str = include_str!("../../../tests/fixtures/hubspot/token_bad_hub.json");
const START: Millis = Millis::new(1_800_000_000_000);

/// A token endpoint that gives the scripted responses, each after half a second, and keeps the forms of the requests.
#[derive(Default)]
struct Endpoint {
    answers: Lock<VecDeque<Result<HttpResponse, TransportError>>>,
    forms: Lock<Vec<String>>,
}

#[async_trait]
impl Http for Endpoint {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.forms.lock().unwrap().push(String::from_utf8(request.body).unwrap());
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.answers.lock().unwrap().pop_front().expect("the test scripts every response")
    }
}

impl Endpoint {
    fn answers(self: &Arc<Self>, status: u16, after: Option<u64>, body: &str) {
        let headers =
            after.map(|seconds| ("retry-after".to_owned(), seconds.to_string())).into_iter();
        self.answers.lock().unwrap().push_back(Ok(HttpResponse {
            status,
            headers: headers.collect(),
            body: body.into(),
        }));
    }

    fn grants(self: &Arc<Self>, token: &str) {
        self.answers(200, None, &GRANTED.replace("access-one", token));
    }

    fn asked(&self) -> usize {
        self.forms.lock().unwrap().len()
    }
}

fn oauth(endpoint: &Arc<Endpoint>, refresh_token: Secret) -> AccountTokens {
    measured_oauth(endpoint, refresh_token, &Metrics::new(&[], &[]))
}

fn measured_oauth(
    endpoint: &Arc<Endpoint>,
    refresh_token: Secret,
    metrics: &Metrics,
) -> AccountTokens {
    let credentials = AccountCredentials::OAuth {
        client_id: "app&1".to_owned(),
        client_secret: Secret::Text("s=cret".into()),
        refresh_token,
        token_url: "https://hubspot.example/oauth/2026-03/token".parse().unwrap(),
    };
    account_tokens(credentials, endpoint, metrics)
}

fn account_tokens(
    credentials: AccountCredentials,
    endpoint: &Arc<Endpoint>,
    metrics: &Metrics,
) -> AccountTokens {
    let account = AccountName::parse("main").unwrap();
    let http = AccountHttp { account, http: endpoint.clone(), metrics: metrics.clone() };
    let clock = Arc::new(VirtualClock::starting_at(START));
    AccountTokens::new(credentials, Duration::from_secs(30), http, clock)
}

/// The gauge of the token's end, in seconds.
fn expires_at(metrics: &Metrics) -> Option<f64> {
    let rendered = metrics.render();
    let name = r#"bridge_token_expires_timestamp_seconds{hubspot="main"} "#;
    rendered.lines().find_map(|line| line.strip_prefix(name)?.parse().ok())
}

fn configured() -> Secret {
    Secret::Text("refresh-configured".into())
}

async fn bearer(tokens: &AccountTokens) -> Result<String, AccountError> {
    tokens.bearer_token().await.map(|token| token.expose_secret().to_owned())
}

#[tokio::test]
async fn bearer_token_fixed_is_read_each_time() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"first\n").unwrap();
    let endpoint = Arc::new(Endpoint::default());
    let credentials = AccountCredentials::Token(Secret::file(file.path()));
    let metrics = Metrics::new(&[], &[]);
    let tokens = account_tokens(credentials, &endpoint, &metrics);
    assert_eq!(bearer(&tokens).await.unwrap(), "first");
    std::fs::write(file.path(), "second\n").unwrap();
    assert_eq!(bearer(&tokens).await.unwrap(), "second");
    assert_eq!(expires_at(&metrics), None);
    file.close().unwrap();
    let error = bearer(&tokens).await.unwrap_err();
    assert_eq!(error.kind, AccountErrorKind::Unauthorized);
}

#[tokio::test(start_paused = true)]
async fn bearer_token_many_callers_share_one_documented_request() {
    let endpoint = Arc::new(Endpoint::default());
    endpoint.grants("one");
    let metrics = Metrics::new(&[], &[]);
    let tokens = measured_oauth(&endpoint, configured(), &metrics);
    let waiting = (0..20).map(|_| bearer(&tokens));
    let got = futures_util::future::join_all(waiting).await;
    assert!(got.iter().all(|token| token.as_deref() == Ok("one")));
    assert_eq!(
        *endpoint.forms.lock().unwrap(),
        ["grant_type=refresh_token&refresh_token=refresh-configured\
          &client_id=app%261&client_secret=s%3Dcret"]
    );
    let ends = Duration::from_millis(START.get().unsigned_abs() + 500 + 1_800_000);
    assert_eq!(expires_at(&metrics), Some(ends.as_secs_f64()));
}

#[tokio::test(start_paused = true)]
async fn bearer_token_many_callers_share_one_failure_and_the_next_tries_again() {
    let endpoint = Arc::new(Endpoint::default());
    endpoint.answers(503, None, "");
    let tokens = oauth(&endpoint, configured());
    let got = futures_util::future::join_all((0..20).map(|_| bearer(&tokens))).await;
    for result in got {
        let error = result.unwrap_err();
        assert_eq!(error.kind, AccountErrorKind::Overloaded);
        assert!(!error.is_ambiguous());
    }
    assert_eq!(endpoint.asked(), 1);
    endpoint.grants("two");
    assert_eq!(bearer(&tokens).await.unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn bearer_token_near_its_end_is_renewed() {
    let endpoint = Arc::new(Endpoint::default());
    endpoint.grants("one");
    let tokens = oauth(&endpoint, configured());
    assert_eq!(bearer(&tokens).await.unwrap(), "one");
    // 1,800 s: five minutes ahead.
    tokio::time::advance(Duration::from_secs(1_499)).await;
    assert_eq!(bearer(&tokens).await.unwrap(), "one");
    endpoint.grants("two");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(bearer(&tokens).await.unwrap(), "two");

    // A short one: a fifth of its life ahead.
    endpoint.answers(200, None, r#"{"access_token":"short","expires_in":100}"#);
    tokens.invalidate(&"two".into()).await;
    assert_eq!(bearer(&tokens).await.unwrap(), "short");
    tokio::time::advance(Duration::from_secs(79)).await;
    assert_eq!(bearer(&tokens).await.unwrap(), "short");
    endpoint.grants("three");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(bearer(&tokens).await.unwrap(), "three");
}

#[tokio::test(start_paused = true)]
async fn bearer_token_failed_renewal_keeps_the_valid_token() {
    let endpoint = Arc::new(Endpoint::default());
    endpoint.grants("one");
    let tokens = oauth(&endpoint, configured());
    bearer(&tokens).await.unwrap();
    tokio::time::advance(Duration::from_mins(25)).await;
    endpoint.answers(502, None, "<html>");
    assert_eq!(bearer(&tokens).await.unwrap(), "one");
    assert_eq!(bearer(&tokens).await.unwrap(), "one");
    assert_eq!(endpoint.asked(), 2, "not with every call");
    tokio::time::advance(RETRY).await;
    endpoint.answers(502, None, "<html>");
    assert_eq!(bearer(&tokens).await.unwrap(), "one");
    tokio::time::advance(Duration::from_mins(5)).await;
    endpoint.answers(502, None, "<html>");
    assert_eq!(bearer(&tokens).await.unwrap_err().kind, AccountErrorKind::Overloaded);
}

#[tokio::test(start_paused = true)]
async fn bearer_token_retry_after_is_obeyed() {
    let endpoint = Arc::new(Endpoint::default());
    endpoint.answers(429, Some(20), r#"{"message":"You have reached your rate limit."}"#);
    let tokens = oauth(&endpoint, configured());
    let error = bearer(&tokens).await.unwrap_err();
    assert!(matches!(error.kind, AccountErrorKind::RateLimited { .. }));
    assert_eq!(error.retry_after, Some(Duration::from_secs(20)));
    tokio::time::advance(Duration::from_secs(15)).await;
    let error = bearer(&tokens).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(5)));
    assert_eq!(endpoint.asked(), 1);
    tokio::time::advance(Duration::from_secs(5)).await;
    endpoint.grants("one");
    assert_eq!(bearer(&tokens).await.unwrap(), "one");
}

#[tokio::test(start_paused = true)]
async fn invalidate_replaced_token_changes_nothing() {
    let endpoint = Arc::new(Endpoint::default());
    endpoint.grants("one");
    endpoint.grants("two");
    let tokens = oauth(&endpoint, configured());
    bearer(&tokens).await.unwrap();
    tokens.invalidate(&"one".into()).await;
    assert_eq!(bearer(&tokens).await.unwrap(), "two");
    tokens.invalidate(&"one".into()).await;
    assert_eq!(bearer(&tokens).await.unwrap(), "two");
    assert_eq!(endpoint.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn bearer_token_replaced_refresh_token_is_used_until_another_is_configured() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "configured").unwrap();
    let endpoint = Arc::new(Endpoint::default());
    let tokens = oauth(&endpoint, Secret::file(file.path()));
    for (token, handed) in [("one", "handed-out"), ("two", "handed-out"), ("three", "later")] {
        let body = GRANTED.replace("refresh-configured", handed).replace("access-one", token);
        endpoint.answers(200, None, &body);
        assert_eq!(bearer(&tokens).await.unwrap(), token);
        tokens.invalidate(&token.into()).await;
    }
    std::fs::write(file.path(), "renewed").unwrap();
    endpoint.grants("four");
    bearer(&tokens).await.unwrap();
    let forms = endpoint.forms.lock().unwrap().clone();
    let used = ["configured", "handed-out", "handed-out", "renewed"];
    assert_eq!(forms.len(), used.len());
    for (form, refresh) in forms.iter().zip(used) {
        assert!(form.contains(&format!("&refresh_token={refresh}&")), "{form}");
    }
}

/// Another refresh token may be another account's, so the old access token is dropped. While the
/// file cannot be read it stays.
#[tokio::test(start_paused = true)]
async fn bearer_token_new_refresh_token_drops_the_old_access_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refresh");
    std::fs::write(&path, "old").unwrap();
    let endpoint = Arc::new(Endpoint::default());
    let tokens = oauth(&endpoint, Secret::file(&path));
    endpoint.grants("one");
    assert_eq!(bearer(&tokens).await.unwrap(), "one");
    let before = tokens.fingerprint();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(bearer(&tokens).await.unwrap(), "one");
    std::fs::write(&path, "old").unwrap();
    assert!(tokens.fingerprint() == before, "only the content counts");
    assert_eq!(bearer(&tokens).await.unwrap(), "one");
    std::fs::write(&path, "new").unwrap();
    assert!(tokens.fingerprint() != before);
    endpoint.grants("two");
    assert_eq!(bearer(&tokens).await.unwrap(), "two");
    assert_eq!(endpoint.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn bearer_token_refusal_is_unauthorized_and_hides_secrets() {
    for (status, body, code) in [
        (400, BAD_REFRESH, "invalid_grant, BAD_REFRESH_TOKEN"),
        (403, BAD_HUB, "access_denied, BAD_HUB"),
        (401, r#"{"message":"s=cret refresh-configured"}"#, ""),
    ] {
        let endpoint = Arc::new(Endpoint::default());
        endpoint.answers(status, None, body);
        let tokens = oauth(&endpoint, configured());
        let error = bearer(&tokens).await.unwrap_err();
        assert_eq!(error.kind, AccountErrorKind::Unauthorized);
        assert_eq!(error.detail, format!("OAuth token: HTTP {status}: refused: {code}"));
        let shown = format!("{error:?}");
        assert!(!shown.contains("s=cret") && !shown.contains("refresh-configured"), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn bearer_token_other_failures_pass() {
    let table: [(Result<HttpResponse, TransportError>, AccountErrorKind); 4] = [
        (Err(TransportError::Timeout), AccountErrorKind::Transport { ambiguous: false }),
        (Ok(HttpResponse { status: 404, ..HttpResponse::default() }), AccountErrorKind::NotFound),
        (Ok(HttpResponse { status: 302, ..HttpResponse::default() }), AccountErrorKind::Redirected),
        (Ok(HttpResponse { status: 200, ..HttpResponse::default() }), AccountErrorKind::Overloaded),
    ];
    for (answer, kind) in table {
        let endpoint = Arc::new(Endpoint::default());
        endpoint.answers.lock().unwrap().push_back(answer);
        let tokens = oauth(&endpoint, configured());
        let error = bearer(&tokens).await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(!error.is_ambiguous());
    }
}
