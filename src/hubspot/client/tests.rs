use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::clock::SystemClock;
use crate::hubspot::{
    AccountCredentials, ItemVerdict, PermitWait, RateLimit, RateLimiter, WaitingRateLimiter,
};
use crate::secret::Secret;

const COMPLETE: &str = include_str!("../../../tests/fixtures/hubspot/upsert_complete.json");
const EXPIRED: &str = include_str!("../../../tests/fixtures/hubspot/expired_401.json");
const GRANTED: &str = include_str!("../../../tests/fixtures/hubspot/token_granted.json");
const DETAILS: &str = include_str!("../../../tests/fixtures/hubspot/account_details.json");

/// A HubSpot that gives the scripted responses, and keeps the requests and their metrics.
struct Script {
    answers: Mutex<VecDeque<Result<HttpResponse, TransportError>>>,
    asked: Mutex<Vec<HttpRequest>>,
    metrics: Metrics,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<HttpResponse, TransportError>>) -> Self {
        let answers = Mutex::new(answers.into_iter().collect());
        Self { answers, asked: Mutex::default(), metrics: Metrics::new(&[], &[]) }
    }

    /// The calls that the metrics count, by operation and status.
    fn calls(&self) -> Vec<String> {
        let prefix = r#"bridge_hubspot_requests_total{hubspot="main",operation=""#;
        let rendered = self.metrics.render();
        let lines = rendered.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.map(|line| line.replace(r#"",status=""#, " ").replace(r#""}"#, "")).collect()
    }
}

#[async_trait]
impl Http for Script {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.asked.lock().unwrap().push(request);
        self.answers.lock().unwrap().pop_front().expect("the test scripts every response")
    }
}

#[allow(clippy::unnecessary_wraps, reason = "scripts hold failures too")]
fn answer(status: u16, body: &str) -> Result<HttpResponse, TransportError> {
    Ok(HttpResponse { status, headers: Vec::new(), body: body.into() })
}

fn granted(token: &str) -> Result<HttpResponse, TransportError> {
    answer(200, &GRANTED.replace("access-one", token))
}

fn oauth() -> AccountCredentials {
    AccountCredentials::OAuth {
        client_id: "app".to_owned(),
        client_secret: Secret::Text("secret".into()),
        refresh_token: Secret::Text("refresh".into()),
        token_url: "https://hubspot.example/oauth/2026-03/token".parse().unwrap(),
    }
}

fn fixed() -> AccountCredentials {
    AccountCredentials::Token(Secret::Text("fixed-token".into()))
}

fn account(
    credentials: AccountCredentials,
    answers: impl IntoIterator<Item = Result<HttpResponse, TransportError>>,
) -> (AccountClient, Arc<Script>) {
    let script = Arc::new(Script::new(answers));
    (client(credentials, script.clone(), script.metrics.clone()), script)
}

fn client(credentials: AccountCredentials, http: Arc<dyn Http>, metrics: Metrics) -> AccountClient {
    let api = AccountApiSettings {
        base_url: "https://hubspot.example".parse().unwrap(),
        path_prefix: "/marketing/v3/marketing-events".to_owned(),
        request_timeout: Duration::from_secs(30),
        credentials,
    };
    let name = AccountName::parse("main").unwrap();
    AccountClient::new(name, api, http, Arc::new(SystemClock), metrics)
}

fn limiter() -> WaitingRateLimiter {
    let limit = RateLimit { requests: 2, window: Duration::from_secs(10) };
    WaitingRateLimiter::new(RateLimiter::for_own_limit(limit))
}

fn permit() -> CallPermit {
    limiter().try_acquire().expect("nothing is used")
}

const SENT: [BatchItem<'static>; 3] = [
    BatchItem { external_event_id: "83107745521-1801647000000", input: br#"{"n":1}"# },
    BatchItem { external_event_id: "83107745521", input: br#"{"n":2}"# },
    BatchItem { external_event_id: "wbn-7041", input: br#"{"n":3}"# },
];

fn bearers(script: &Script) -> Vec<String> {
    let asked = script.asked.lock().unwrap();
    let headers = asked.iter().flat_map(|request| &request.headers);
    headers
        .filter(|(name, _)| *name == "authorization")
        .map(|(_, value)| value.expose_secret().to_owned())
        .collect()
}

fn kind(report: &ApiReport<Verdict>) -> AccountErrorKind {
    match &report.outcome {
        Verdict::Account(error) => error.kind,
        Verdict::Items(_) | Verdict::Split(_) => panic!("{report:?}"),
    }
}

#[tokio::test]
async fn upsert_any_batch_is_one_post_of_all_inputs() {
    let headers = [
        ("x-hubspot-ratelimit-max", "190"),
        ("x-hubspot-ratelimit-remaining", "188"),
        ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
        ("x-hubspot-ratelimit-daily", "625000"),
        ("x-hubspot-ratelimit-daily-remaining", "7"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let answer = HttpResponse { status: 200, headers: headers.into(), body: COMPLETE.into() };
    let (account, script) = account(fixed(), [Ok(answer)]);
    let report = account.upsert(permit(), &SENT).await;
    let Verdict::Items(items) = &report.outcome else { panic!("{report:?}") };
    assert!(items.iter().all(|item| matches!(item, ItemVerdict::Confirmed { .. })));
    assert_eq!(report.daily_remaining, Some(7));
    assert!(report.timing.is_some());
    assert_eq!(script.calls(), ["upsert 200 1"]);

    let request = script.asked.lock().unwrap()[0].clone();
    assert_eq!(request.method, HttpMethod::Post);
    assert_eq!(
        request.url.as_str(),
        "https://hubspot.example/marketing/v3/marketing-events/events/upsert"
    );
    assert_eq!(request.body, br#"{"inputs":[{"n":1},{"n":2},{"n":3}]}"#);
    assert_eq!(request.timeout, Duration::from_secs(30));
    assert_eq!(bearers(&script), ["Bearer fixed-token"]);
}

#[tokio::test]
async fn upsert_after_a_401_tries_another_token_once() {
    let answers = [granted("one"), answer(401, EXPIRED), granted("two"), answer(200, COMPLETE)];
    let (account, script) = account(oauth(), answers);
    let report = account.upsert(permit(), &SENT).await;
    assert!(matches!(report.outcome, Verdict::Items(_)));
    assert_eq!(script.calls(), ["token 200 2", "upsert 200 1", "upsert 401 1"]);
    assert_eq!(bearers(&script), ["Bearer one", "Bearer two"]);
}

/// A HubSpot that changes the file of the credentials while it answers.
struct Changing {
    script: Script,
    file: std::path::PathBuf,
}

#[async_trait]
impl Http for Changing {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        std::fs::write(&self.file, "another-apps").unwrap();
        self.script.send(request).await
    }
}

#[tokio::test]
async fn upsert_credentials_changed_meanwhile_are_not_used() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let secret = || Secret::file(file.path());
    let fixed = AccountCredentials::Token(secret());
    let AccountCredentials::OAuth { client_id, client_secret, token_url, .. } = oauth() else {
        panic!("it is OAuth")
    };
    let oauth =
        AccountCredentials::OAuth { client_id, client_secret, refresh_token: secret(), token_url };
    for (credentials, first, made) in [
        (fixed, answer(401, EXPIRED), "upsert 401 1"),
        // The token was granted for what was there before: it is not used for what is there now.
        (oauth, granted("one"), "token 200 1"),
    ] {
        std::fs::write(file.path(), "ours").unwrap();
        let script = Script::new([first]);
        let http = Arc::new(Changing { script, file: file.path().to_owned() });
        let account = client(credentials, http.clone(), http.script.metrics.clone());
        let report = account.upsert(permit(), &SENT).await;
        assert!(matches!(report.outcome, Verdict::Account(_)));
        assert_eq!(http.script.calls(), [made]);
    }
}

#[tokio::test]
async fn upsert_second_401_is_the_accounts() {
    let answers = [granted("one"), answer(401, EXPIRED), granted("two"), answer(401, EXPIRED)];
    let (account, script) = account(oauth(), answers);
    let report = account.upsert(permit(), &SENT).await;
    assert_eq!(kind(&report), AccountErrorKind::Unauthorized);
    assert_eq!(script.calls(), ["token 200 2", "upsert 401 2"]);
}

#[tokio::test]
async fn upsert_same_token_after_a_401_is_not_tried_again() {
    let (fixed, script) = account(fixed(), [answer(401, EXPIRED)]);
    let report = fixed.upsert(permit(), &SENT).await;
    assert_eq!(kind(&report), AccountErrorKind::Unauthorized);
    assert_eq!(script.calls(), ["upsert 401 1"]);

    let (same, script) = account(oauth(), [granted("one"), answer(401, EXPIRED), granted("one")]);
    let report = same.upsert(permit(), &SENT).await;
    assert_eq!(kind(&report), AccountErrorKind::Unauthorized);
    assert_eq!(script.calls(), ["token 200 2", "upsert 401 1"]);
}

#[tokio::test]
async fn upsert_without_a_token_sends_nothing() {
    let (account, script) = account(oauth(), [Err(TransportError::Timeout)]);
    let report = account.upsert(permit(), &SENT).await;
    assert_eq!(kind(&report), AccountErrorKind::Transport { ambiguous: false });
    assert!(report.timing.is_none());
    assert_eq!(script.calls(), ["token timeout 1"]);
    assert!(bearers(&script).is_empty());
}

#[tokio::test]
async fn upsert_each_try_counts_against_the_rate_limit() {
    let limiter = limiter();
    let (without_a_token, _script) = account(oauth(), [Err(TransportError::Timeout)]);
    without_a_token.upsert(limiter.try_acquire().expect("nothing is used"), &SENT).await;
    let answers = [granted("one"), answer(401, EXPIRED), granted("two"), answer(200, COMPLETE)];
    let (account, _script) = account(oauth(), answers);
    account.upsert(limiter.try_acquire().expect("no call was made"), &SENT).await;
    assert!(matches!(limiter.try_acquire(), Err(PermitWait::Until(_))), "both tries are counted");
}

#[tokio::test]
async fn upsert_without_a_response_labels_the_failure() {
    let broken = || Box::new(std::io::Error::other("broken"));
    for (error, label) in [
        (TransportError::Timeout, "upsert timeout 1"),
        (TransportError::Connect(broken()), "upsert connect 1"),
        (TransportError::Reset(broken()), "upsert reset 1"),
        (TransportError::TooLarge(1), "upsert reset 1"),
    ] {
        let (account, script) = account(fixed(), [Err(error)]);
        let report = account.upsert(permit(), &SENT).await;
        assert_eq!(report.daily_remaining, None);
        assert_eq!(script.calls(), [label]);
    }
}

#[tokio::test]
async fn put_event_is_one_put_of_the_input_by_the_encoded_id() {
    let shown = r#"{"id":"a/b","objectId":"42","n":1}"#;
    let (account, script) = account(fixed(), [answer(200, shown)]);
    let event = BatchItem { external_event_id: "a/b", input: br#"{"n":1}"# };
    let report = account.put_event(permit(), &event).await;
    let confirmed = ItemVerdict::Confirmed { object_id: Some("42".into()) };
    assert_eq!(report.outcome, Verdict::Items(vec![confirmed]));
    assert_eq!(script.calls(), ["put 200 1"]);
    let request = script.asked.lock().unwrap()[0].clone();
    assert_eq!((request.method, request.body.as_slice()), (HttpMethod::Put, event.input));
    let path = "https://hubspot.example/marketing/v3/marketing-events/events/a%2Fb";
    assert_eq!(request.url.as_str(), path);
}

#[tokio::test]
async fn fetch_portal_id_reads_the_details() {
    let (good, script) = account(fixed(), [answer(200, DETAILS)]);
    assert_eq!(good.fetch_portal_id(permit()).await.outcome.unwrap(), 48_213_377);
    let asked = script.asked.lock().unwrap().clone();
    assert_eq!(asked[0].method, HttpMethod::Get);
    assert_eq!(asked[0].url.as_str(), "https://hubspot.example/account-info/v3/details");
    assert!(asked[0].body.is_empty());

    for (status, body, kind) in [
        (200, "{}", AccountErrorKind::Overloaded),
        (400, "{}", AccountErrorKind::Overloaded),
        (401, EXPIRED, AccountErrorKind::Unauthorized),
        (404, "", AccountErrorKind::NotFound),
    ] {
        let (bad, _script) = account(fixed(), [answer(status, body)]);
        assert_eq!(bad.fetch_portal_id(permit()).await.outcome.unwrap_err().kind, kind, "{status}");
    }
}

#[test]
fn join_url_base_with_a_path_keeps_it_in_front() {
    let url = |base: &str, parts: &[&str]| join_url(&base.parse().unwrap(), parts).to_string();
    assert_eq!(url("http://127.0.0.1:9/hub/", &["/a/b/", "c"]), "http://127.0.0.1:9/hub/a/b/c");
    assert_eq!(url("https://hubspot.example", &["a"]), "https://hubspot.example/a");
}

#[test]
fn debug_any_credentials_hide_secrets() {
    let shown = format!("{:?} {:?}", fixed(), oauth());
    assert!(
        !["fixed-token", "secret\"", "refresh\""].iter().any(|text| shown.contains(text)),
        "{shown}"
    );
}
