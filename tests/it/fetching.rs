//! Fetching from platforms' APIs: an emulated API on loopback, the real client, the real ledger.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;
use webinar_bridge::clock::Clock;
use webinar_bridge::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, FetchCondition, FetchRequest, Millis, Policy,
    ProviderId, Shape, WebinarFields, WebinarId,
};
use webinar_bridge::fetch::{FetchWorker, Settings};
use webinar_bridge::intake::Source;
use webinar_bridge::ledger::sqlite::SqliteLedger;
use webinar_bridge::ledger::{
    Browse as _, EventState, FetchQuery, FetchQueue as _, FetchRedrive, FetchStatus, Intake as _,
    Ledger, ReceiptKind, ReceiptQuery, Store as _,
};
use webinar_bridge::net::HttpClient;
use webinar_bridge::providers::{
    ApiAnswers, ApiRateLimit, DemoApi, FetchedAnswers, ListQuery, OnMissing, ParsedPayload,
    PayloadContent, PlatformAccess, PlatformApi, PlatformCredentials, PlatformRequest, WebinarPage,
};
use webinar_bridge::sandbox::platform_server::PlatformServer;
use webinar_bridge::secret::Secret;
use webinar_bridge::telemetry::Metrics;

use crate::harness::build::{NOON, created, minutes, policies, policy, receipt, source};
use crate::harness::events::AllEvents as _;
use crate::harness::store::StoreFolder;
use crate::harness::stub_platform::{StubBehavior, StubProvider};

const HEADER: DemoApi = DemoApi::Header("x-api-key", "key-of-the-tests");
const CLIENT: DemoApi = DemoApi::Client("client", "secret-of-the-tests");

/// A platform whose webhooks hold only an id.
struct IdOnly {
    access: PlatformAccess,
    base: Url,
    on_missing_host: OnMissing,
    gone_means_cancelled: bool,
    shares_secret: bool,
}

impl IdOnly {
    fn new(
        server: &PlatformServer,
        api: DemoApi,
        rate_limit: ApiRateLimit,
        on_missing_host: OnMissing,
    ) -> Self {
        let base: Url = server.base_url().parse().expect("a URL");
        let secret = |text: &str| Secret::Text(SecretString::from(text.to_owned()));
        let credentials = match api {
            DemoApi::Client(id, text) => PlatformCredentials::ClientCredentials {
                token_url: base.join("/oauth/token").expect("a path"),
                client_id: id.to_owned(),
                client_secret: secret(text),
                form: vec![("grant_type", "client_credentials".to_owned())],
            },
            DemoApi::Header(header, value) => {
                PlatformCredentials::Token { header, prefix: "", token: secret(value) }
            }
            DemoApi::None => unreachable!("it has an API"),
        };
        let headers = vec![("accept", "application/json".to_owned())];
        let access = PlatformAccess { credentials, headers, rate_limit };
        Self { access, base, on_missing_host, gone_means_cancelled: true, shares_secret: false }
    }
}

impl StubBehavior for IdOnly {
    const ID: &'static str = "zoom";

    fn api(&self) -> Option<&dyn PlatformApi> {
        Some(self)
    }

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        let mut change = Change::new(fetched.webinar.clone(), ChangeKind::Updated);
        // As at Luma, only the webinar's body names its account.
        let named = || ExternalAccountId::parse("acct-1").ok();
        change.account = if fetched.gone { fetched.account.clone() } else { named() };
        change.occurred_at = Some(fetched.at);
        let parse_answer = |name: &str| {
            let answer = fetched.answer(name)?;
            serde_json::from_str::<Value>(answer.get()).ok()
        };
        let existence = Change {
            account: change.account.clone(),
            ..fetched.existence_change(&fetched.webinar, fetched.gone)
        };
        if let Some(webinar) = parse_answer("webinar") {
            change.full_picture = true;
            // Made while the ledger watches.
            change.created_at = Some(fetched.at);
            change.shape = Some(Shape::Single);
            change.whole = WebinarFields {
                name: webinar["name"].as_str().map(str::to_owned),
                organizer: parse_answer("host")
                    .and_then(|host| host["name"].as_str().map(str::to_owned)),
                start: Some(minutes(6_000)),
                end: EndTime::after_minutes(30),
                ..WebinarFields::default()
            };
        } else if !fetched.gone {
            return ParsedPayload::new(
                "fetched",
                PayloadContent::Unmappable("there is no answer".into()),
            );
        }
        let changes = vec![change, existence];
        let changes = PayloadContent::Changes { changes, bad_fields: Vec::new() };
        ParsedPayload::new("fetched", changes)
    }
}

impl PlatformApi for IdOnly {
    fn access(&self) -> &PlatformAccess {
        &self.access
    }

    fn next_request(
        &self,
        webinar: &WebinarId,
        answers: &ApiAnswers<'_>,
    ) -> Result<Option<PlatformRequest>, String> {
        let url = |path: &str| self.base.join(path).map_err(|error| error.to_string());
        let Some(answer) = answers.get("webinar") else {
            let url = url(&format!("/webinars/{webinar}"))?;
            return Ok(Some(PlatformRequest { name: "webinar", url, on_missing: OnMissing::Fail }));
        };
        if answers.contains_key("host") {
            return Ok(None);
        }
        let webinar: Value =
            serde_json::from_str(answer.get()).map_err(|error| error.to_string())?;
        let Some(host) = webinar["host"].as_str() else { return Ok(None) };
        let url = url(&format!("/hosts/{host}"))?;
        Ok(Some(PlatformRequest { name: "host", url, on_missing: self.on_missing_host }))
    }

    fn gone_means_cancelled(&self) -> bool {
        self.gone_means_cancelled
    }

    fn shares_secret(&self) -> bool {
        self.shares_secret
    }

    fn account(&self) -> Option<&ExternalAccountId> {
        static OWN: LazyLock<ExternalAccountId> =
            LazyLock::new(|| ExternalAccountId::parse("own").expect("valid"));
        self.shares_secret.then_some(&*OWN)
    }

    fn list_url(&self, _query: ListQuery<'_>) -> Option<Url> {
        self.base.join("/webinars").ok()
    }

    fn parse_list(&self, page: &[u8], _query: ListQuery<'_>) -> Result<WebinarPage, String> {
        let page: Value = serde_json::from_slice(page).map_err(|error| error.to_string())?;
        page["webinars"].as_array().map(|_| WebinarPage::default()).ok_or("no list".to_owned())
    }
}

/// A ledger, a platform, and the worker that fetches.
struct Fixture {
    store_folder: StoreFolder,
    ledger: Arc<SqliteLedger>,
    server: PlatformServer,
    api: DemoApi,
    rate_limit: ApiRateLimit,
    on_missing_host: OnMissing,
    gone_means_cancelled: bool,
    /// Whether the secret serves several accounts, all of which the source calls `acct-1`.
    joins_accounts: bool,
    accounts: Option<BTreeSet<String>>,
}

/// A clock that is ahead of another.
struct ClockAhead(Arc<dyn Clock>, Duration);

impl Clock for ClockAhead {
    fn now(&self) -> Millis {
        self.0.now().plus(self.1)
    }
}

impl Fixture {
    fn new(api: DemoApi) -> Self {
        Self::with_platform_clock_ahead(api, Duration::ZERO)
    }

    fn with_platform_clock_ahead(api: DemoApi, ahead: Duration) -> Self {
        let store_folder = StoreFolder::new();
        let ledger = Arc::new(store_folder.open(policies()));
        let clock = Arc::clone(&store_folder.clock) as Arc<dyn Clock>;
        let clock = Arc::new(ClockAhead(clock, ahead));
        let server = PlatformServer::open(api, clock).expect("it listens");
        let plenty = ApiRateLimit { requests: 100, window: Duration::from_secs(1) };
        let on_missing_host = OnMissing::Skip;
        Self {
            store_folder,
            ledger,
            server,
            api,
            rate_limit: plenty,
            on_missing_host,
            gone_means_cancelled: true,
            joins_accounts: false,
            accounts: None,
        }
    }

    fn worker(&self) -> Arc<FetchWorker> {
        let mut provider =
            IdOnly::new(&self.server, self.api, self.rate_limit, self.on_missing_host);
        provider.gone_means_cancelled = self.gone_means_cancelled;
        provider.shares_secret = self.joins_accounts;
        let joined = ExternalAccountId::parse("acct-1").ok().filter(|_| self.joins_accounts);
        let policy = Policy { external_account_id: joined, ..policy("main") };
        let settings = Settings {
            source: Arc::new(Source {
                platform_accounts: self.accounts.clone(),
                ..Source::new(source("zoom"), Arc::new(StubProvider(provider)), policy)
            }),
            ledger: Arc::clone(&self.ledger) as Arc<dyn Ledger>,
            http: Arc::new(HttpClient::new().expect("a client")),
            clock: Arc::clone(&self.store_folder.clock) as Arc<dyn Clock>,
            metrics: Metrics::new(&[], &[(source("zoom"), ProviderId::new("zoom"))]),
            random: || u32::MAX,
        };
        FetchWorker::new(settings).expect("it can be asked")
    }

    /// Receives a webhook that holds only this webinar's id.
    async fn request_fetch(&self, seed: &str, id: &str) {
        let mut webhook = receipt(seed, Vec::new());
        webhook.received_at = self.store_folder.clock.now();
        webhook.fetch_requests = vec![fetch_request(id)];
        self.ledger.accept(webhook).await.expect("stored");
    }

    /// Makes webinar 1 known, and requests its fetch.
    async fn add_known_webinar(&self) {
        let mut known = receipt("a", vec![created("1", "Known", NOON)]);
        known.fetch_requests = vec![fetch_request("1")];
        self.ledger.accept(known).await.expect("stored");
    }

    fn answer_webinar(&self, id: &str, name: &str) {
        self.server.answer(&format!("/webinars/{id}"), json!({ "name": name, "host": "h1" }));
        self.server.answer("/hosts/h1", json!({ "name": "Host One" }));
    }

    async fn status(&self) -> FetchStatus {
        self.ledger.fetch_statuses().await.expect("read")[&source("zoom")].clone()
    }

    async fn pending(&self) -> u64 {
        self.status().await.pending
    }

    /// Id, state and input of each event.
    async fn inputs(&self) -> Vec<(String, EventState, Value)> {
        let events = self.ledger.all_events().await.expect("events");
        let input = |bytes: Option<&[u8]>| {
            bytes.map_or(Value::Null, |bytes| serde_json::from_slice(bytes).expect("JSON"))
        };
        events
            .iter()
            .map(|event| {
                let id = event.key.external_event_id.to_string();
                (id, event.state, input(event.input.as_deref()))
            })
            .collect()
    }

    fn advance(&self, seconds: u64) {
        let now = self.store_folder.clock.now();
        self.store_folder.clock.set(now.plus(Duration::from_secs(seconds)));
    }

    fn paths(&self) -> Vec<(String, u16)> {
        self.server.calls().into_iter().map(|call| (call.path, call.status)).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.close();
    }
}

fn fetch_request(id: &str) -> FetchRequest {
    let webinar = WebinarId::parse(id).expect("an id");
    FetchRequest { account: None, webinar, condition: FetchCondition::Always }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_answered_is_merged_like_a_webhook() {
    let fixture = Fixture::new(HEADER);
    fixture.answer_webinar("1", "Named by the API");
    fixture.request_fetch("a", "1").await;
    assert_eq!(fixture.pending().await, 1);
    assert_eq!(fixture.inputs().await, [], "a webhook without content makes no event");
    assert_eq!(fixture.worker().drain(|| ()).await.expect("the fetches are made"), 1);
    assert_eq!(fixture.pending().await, 0);
    let inputs = fixture.inputs().await;
    assert_eq!(inputs.len(), 1);
    assert_eq!(inputs[0].1, EventState::Pending);
    assert_eq!(inputs[0].2["eventName"], "Named by the API");
    assert_eq!(inputs[0].2["eventOrganizer"], "Host One");
    assert_eq!(fixture.paths(), [("/webinars/1".to_owned(), 200), ("/hosts/h1".to_owned(), 200)]);
    let query = ReceiptQuery { limit: 10, ..ReceiptQuery::default() };
    let receipts = fixture.ledger.list_receipts(query).await.expect("receipts").items;
    let kinds: Vec<_> = receipts.iter().map(|receipt| receipt.kind).collect();
    assert_eq!(kinds, [ReceiptKind::Fetched, ReceiptKind::Webhook]);
}

/// M11: the API may not show yet what a webhook has just reported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_near_a_webhook_is_repeated_once_after_the_lag() {
    let fixture = Fixture::new(HEADER);
    fixture.answer_webinar("1", "Before");
    fixture.request_fetch("a", "1").await;
    let worker = fixture.worker();
    let drain = async || Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
    assert_eq!((drain().await, fixture.pending().await), (1, 0));
    fixture.advance(59);
    assert_eq!(drain().await, 0);
    fixture.answer_webinar("1", "After");
    fixture.advance(1);
    assert_eq!((drain().await, fixture.pending().await), (1, 0));
    assert_eq!(fixture.inputs().await[0].2["eventName"], "After");
    fixture.advance(3_600);
    assert_eq!(drain().await, 0, "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_not_found_yet_is_repeated() {
    let fixture = Fixture::new(HEADER);
    fixture.request_fetch("a", "1").await;
    let worker = fixture.worker();
    assert_eq!(Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made"), 1);
    assert_eq!(fixture.pending().await, 1);
    let error = fixture.status().await.last_error;
    assert_eq!(error.as_deref(), Some("it has no such webinar yet"));
    assert_eq!(
        Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made"),
        0,
        "it is not due at once"
    );
    fixture.answer_webinar("1", "There now");
    fixture.advance(5);
    assert_eq!(worker.drain(|| ()).await.expect("the fetches are made"), 1);
    assert_eq!((fixture.pending().await, fixture.inputs().await.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_missing_for_good_cancels_known_webinars_only() {
    let fixture = Fixture::new(HEADER);
    fixture.add_known_webinar().await;
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    fixture.request_fetch("b", "2").await;
    fixture.answer_webinar("3", "There");
    fixture.request_fetch("d", "3").await;
    let worker = fixture.worker();
    let mut count = 0;
    for _ in 0..20 {
        count += Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        fixture.advance(300);
    }
    assert_eq!(count, 24, "eleven requests for each missing webinar, and two for the found one");
    let status = fixture.status().await;
    assert_eq!((status.pending, status.given_up), (0, 2));
    let off: Vec<_> = fixture
        .inputs()
        .await
        .into_iter()
        .map(|(id, _, input)| (id, input["eventCancelled"] == true))
        .collect();
    let expected = [("1".to_owned(), true), ("3".to_owned(), false)];
    assert_eq!(off, expected, "an unknown webinar makes no event");
    fixture.request_fetch("c", "2").await;
    fixture.answer_webinar("2", "Back");
    assert_eq!(
        worker.drain(|| ()).await.expect("the fetches are made"),
        1,
        "a new request is fetched"
    );
    assert_eq!(fixture.inputs().await.len(), 3);
}

/// M13: what is absent and what is there again are ordered by one clock, the platform's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_missing_after_it_was_found_counts_whatever_the_platforms_clock() {
    let fixture = Fixture::with_platform_clock_ahead(HEADER, Duration::from_hours(2));
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    fixture.answer_webinar("1", "There");
    fixture.answer_webinar("2", "There too");
    fixture.request_fetch("a", "1").await;
    fixture.request_fetch("b", "2").await;
    let worker = fixture.worker();
    Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
    fixture.server.fail("/webinars/1", 404);
    fixture.advance(120);
    fixture.request_fetch("c", "1").await;
    for _ in 0..12 {
        Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        fixture.advance(300);
    }
    assert_eq!(fixture.status().await.given_up, 1);
    assert_eq!(fixture.inputs().await[0].2["eventCancelled"], true);
}

/// Whether a known webinar that the platform does not have is cancelled in the end. The request names no account.
async fn is_missing_webinar_cancelled(fixture: &Fixture) -> bool {
    fixture.ledger.accept(receipt("a", vec![created("1", "Known", NOON)])).await.expect("stored");
    let unnamed = FetchRequest { account: None, ..fetch_request("1") };
    fixture.ledger.request_fetches(&source("zoom"), vec![unnamed]).await.expect("noted");
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    fixture.answer_webinar("2", "There");
    fixture.request_fetch("b", "2").await;
    let worker = fixture.worker();
    for _ in 0..12 {
        Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        fixture.advance(300);
    }
    assert_eq!((fixture.pending().await, fixture.status().await.given_up), (0, 1));
    fixture.inputs().await[0].2["eventCancelled"] == true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_missing_where_gone_does_not_mean_cancelled_cancels_nothing() {
    assert!(is_missing_webinar_cancelled(&Fixture::new(HEADER)).await);
    let mut switched_off = Fixture::new(HEADER);
    switched_off.gone_means_cancelled = false;
    assert!(!is_missing_webinar_cancelled(&switched_off).await);
}

/// M14: the credentials are one account's, and the webinar may be another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_missing_among_joined_accounts_cancels_nothing() {
    for accounts in [None, Some(["acct-1", "own"])] {
        let mut joined = Fixture::new(HEADER);
        joined.joins_accounts = true;
        joined.accounts = accounts.map(|names| names.map(str::to_owned).into());
        assert!(!is_missing_webinar_cancelled(&joined).await, "{accounts:?}");
    }
}

/// Otherwise one 404 after an outage would cancel a webinar.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_outage_does_not_count_as_missing() {
    let fixture = Fixture::new(HEADER);
    fixture.add_known_webinar().await;
    fixture.server.fail("/webinars/1", 503);
    for _ in 0..20 {
        // A new worker each time, since the hold of a worker follows the machine's clock.
        fixture.worker().drain(|| ()).await.expect("the fetches are made");
        fixture.advance(300);
    }
    assert_eq!(fixture.status().await.last_error.as_deref(), Some("it answered 503"));
    fixture.server.fail("/webinars/1", 404);
    fixture.worker().drain(|| ()).await.expect("the fetches are made");
    let status = fixture.status().await;
    assert_eq!((status.pending, status.given_up), (1, 0));
    assert_eq!(fixture.inputs().await[0].2["eventCancelled"], false);
}

/// Otherwise a wrong address, an address that the platform has removed, or another account's credentials would cancel every
/// webinar that is fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_platform_that_finds_nothing_cancels_nothing() {
    const NONE_FOUND: &str = "it has no such webinar, and no other is found with these credentials";
    const NO_LIST: &str = "it has no such webinar, nor a list of webinars";
    let fixture = Fixture::new(HEADER);
    fixture.add_known_webinar().await;
    let worker = fixture.worker();
    let fetch_often = async || {
        for _ in 0..72 {
            Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
            fixture.advance(300);
        }
    };
    let is_held_with = async |why: &str| {
        fetch_often().await;
        assert_eq!(fixture.inputs().await[0].2["eventCancelled"], false);
        let FetchStatus { pending, given_up, last_error, .. } = fixture.status().await;
        assert_eq!((pending, given_up), (1, 0), "nothing is lost");
        assert_eq!(last_error.as_deref(), Some(why));
    };
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    is_held_with(NONE_FOUND).await;
    // Another webinar is found, so the account is right; but the address may be gone.
    fixture.answer_webinar("2", "There");
    fixture.request_fetch("b", "2").await;
    fixture.server.answer("/webinars", json!({ "error": "moved" }));
    is_held_with(NO_LIST).await;
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    fetch_often().await;
    assert_eq!((fixture.pending().await, fixture.status().await.given_up), (0, 1));
    assert_eq!(fixture.inputs().await[0].2["eventCancelled"], true);
}

/// M11: the webhook may report that the webinar is there again, and the API may not show that yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_missing_soon_after_a_webhook_is_repeated_after_the_lag() {
    let fixture = Fixture::new(HEADER);
    fixture.add_known_webinar().await;
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    fixture.answer_webinar("2", "There");
    fixture.request_fetch("b", "2").await;
    let worker = fixture.worker();
    let drain = async || Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
    for _ in 0..10 {
        drain().await;
        fixture.advance(300);
    }
    fixture.request_fetch("c", "1").await;
    drain().await;
    let tries = fixture.paths().iter().filter(|(path, _)| path == "/webinars/1").count();
    assert_eq!((tries, fixture.pending().await), (11, 1));
    fixture.answer_webinar("1", "Back");
    fixture.advance(60);
    drain().await;
    let (_, _, input) = &fixture.inputs().await[0];
    assert_eq!((&input["eventCancelled"], &input["eventName"]), (&json!(false), &json!("Back")));
    // Deleted for good now.
    fixture.server.fail("/webinars/1", 404);
    for _ in 0..12 {
        fixture.request_fetch("d", "1").await;
        drain().await;
        fixture.advance(300);
    }
    assert_eq!(fixture.inputs().await[0].2["eventCancelled"], true);
}

/// A webinar that was missing before counts as missing only once the platform had the time to know what the last webhook
/// reported of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_missing_counts_anew_after_each_webhook() {
    let fixture = Fixture::new(HEADER);
    fixture.add_known_webinar().await;
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    fixture.answer_webinar("2", "There");
    fixture.request_fetch("b", "2").await;
    let worker = fixture.worker();
    let drain = async || Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
    for _ in 0..10 {
        drain().await;
        fixture.advance(300);
    }
    fixture.request_fetch("c", "1").await;
    for _ in 0..12 {
        drain().await;
        assert_eq!(fixture.pending().await, 1);
        fixture.advance(59);
    }
    assert_eq!(fixture.inputs().await[0].2["eventCancelled"], false);
    for _ in 0..2 {
        fixture.advance(300);
        drain().await;
    }
    assert_eq!(fixture.inputs().await[0].2["eventCancelled"], true);
}

/// Otherwise credentials of another account would lose every webinar that was reported meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_of_an_unknown_webinar_goes_on_while_the_platform_finds_nothing() {
    for gone_means_cancelled in [true, false] {
        let mut fixture = Fixture::new(HEADER);
        fixture.gone_means_cancelled = gone_means_cancelled;
        fixture.request_fetch("a", "1").await;
        let worker = fixture.worker();
        for _ in 0..20 {
            Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
            fixture.advance(300);
        }
        let FetchStatus { pending, given_up, .. } = fixture.status().await;
        assert_eq!((pending, given_up), (1, 0));
        fixture.answer_webinar("1", "There after all");
        fixture.advance(6 * 3_600);
        Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        assert_eq!(fixture.inputs().await.len(), 1);
    }
}

/// M14: nothing was found within the hour, but another webinar to come is, when it is asked about for this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_missing_counts_if_another_coming_webinar_is_found() {
    let fixture = Fixture::new(HEADER);
    fixture.add_known_webinar().await;
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    let other = receipt("b", vec![created("2", "Known too", NOON)]);
    fixture.ledger.accept(other).await.expect("stored");
    fixture.answer_webinar("2", "There");
    let worker = fixture.worker();
    for _ in 0..12 {
        Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        fixture.advance(300);
    }
    let asked = fixture.paths().iter().filter(|(path, _)| path == "/webinars/2").count();
    assert_eq!((asked, fixture.status().await.given_up), (1, 1));
    let cancelled: Vec<bool> = fixture
        .inputs()
        .await
        .iter()
        .map(|(_, _, input)| input["eventCancelled"] == true)
        .collect();
    assert_eq!(cancelled, [true, false]);
}

/// M14: the webinars that are asked about first are gone, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_missing_counts_if_a_later_one_of_many_coming_webinars_is_found() {
    let fixture = Fixture::new(HEADER);
    fixture.add_known_webinar().await;
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    for id in 2..=9 {
        let other = receipt(&id.to_string(), vec![created(&id.to_string(), "Known too", NOON)]);
        fixture.ledger.accept(other).await.expect("stored");
    }
    fixture.answer_webinar("9", "There");
    let worker = fixture.worker();
    for _ in 0..72 {
        Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        fixture.advance(300);
    }
    assert_eq!(fixture.status().await.given_up, 1);
}

/// Otherwise twenty minutes of a page that says "back soon", and one 404, would cancel a webinar.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_response_without_json_does_not_count_as_missing() {
    let fixture = Fixture::new(HEADER);
    fixture.add_known_webinar().await;
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    fixture.answer_webinar("2", "There");
    fixture.request_fetch("b", "2").await;
    fixture.server.fail("/webinars/1", 204);
    let worker = fixture.worker();
    for _ in 0..20 {
        Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        fixture.advance(1_800);
    }
    assert!(fixture.paths().iter().filter(|(path, _)| path == "/webinars/1").count() > 5);
    fixture.server.fail("/webinars/1", 404);
    fixture.advance(6 * 3_600);
    Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
    assert_eq!(fixture.status().await.last_error.as_deref(), Some("it has no such webinar yet"));
    assert_eq!((fixture.pending().await, fixture.status().await.given_up), (1, 0));
}

/// There may be thousands of such webinars, and a platform's quota counts every call. B2: every 4xx is one of these.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_refused_is_repeated_less_and_less_and_dead_after_a_week() {
    for status in [400, 402, 403, 406, 422, 451] {
        let fixture = Fixture::new(HEADER);
        fixture.request_fetch("a", "1").await;
        fixture.server.fail("/webinars/1", status);
        let worker = fixture.worker();
        let mut count = 0;
        for _ in 0..24 * 12 {
            count += Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
            fixture.advance(300);
        }
        assert_eq!(count, 11, "at once, after 5, 10, 20, ... minutes, then every 6 hours");
        for _ in 0..7 * 4 {
            fixture.advance(6 * 3_600);
            Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        }
        assert_eq!(fixture.status().await.dead, 0, "nobody else was answered");
        fixture.answer_webinar("2", "There");
        fixture.request_fetch("b", "2").await;
        Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        fixture.advance(6 * 3_600);
        Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        assert_eq!((fixture.pending().await, fixture.status().await.dead), (0, 1), "{status}");
        fixture.answer_webinar("1", "Ours to see");
        fixture.ledger.redrive_fetches(FetchRedrive::default()).await.expect("redriven");
        assert_eq!(worker.drain(|| ()).await.expect("the fetches are made"), 1);
        assert_eq!((fixture.pending().await, fixture.inputs().await.len()), (0, 2));
    }
}

/// B3: what fails for one webinar, while others are answered, delays no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_failing_for_one_webinar_delays_no_other() {
    for status in [500, 503, 401, 402, 302, 204] {
        let fixture = Fixture::new(HEADER);
        fixture.server.fail("/webinars/1", status);
        let worker = fixture.worker();
        for round in 0..5 {
            fixture.request_fetch(&format!("bad {round}"), "1").await;
            for number in 2..6 {
                let id = format!("{round}{number}");
                fixture.answer_webinar(&id, "There");
                fixture.request_fetch(&format!("good {id}"), &id).await;
            }
            Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
            assert_eq!(fixture.pending().await, 1, "{status}: only the bad one waits");
            fixture.advance(600);
        }
        assert_eq!(fixture.inputs().await.len(), 5 * 4);
        fixture.answer_webinar("1", "There");
        fixture.advance(6 * 3_600);
        worker.drain(|| ()).await.expect("the fetches are made");
        assert_eq!(fixture.pending().await, 0, "{status}");
    }
}

/// What fails for all is the source's: no webinar is charged, and few calls are made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_failing_for_all_holds_the_source() {
    for status in [402, 500] {
        let fixture = Fixture::new(HEADER);
        for number in 0..20 {
            fixture.server.fail(&format!("/webinars/{number}"), status);
            fixture.request_fetch(&number.to_string(), &number.to_string()).await;
        }
        let worker = fixture.worker();
        worker.drain(|| ()).await.expect("the fetches are made");
        assert_eq!(fixture.pending().await, 20);
        let calls = fixture.paths().len();
        assert!((2..=4).contains(&calls), "no more than are asked at once: {calls}");
        let query = FetchQuery { limit: 50, ..FetchQuery::default() };
        let fetches = fixture.ledger.list_fetches(query).await.expect("read").items;
        let charged = fetches.iter().filter(|fetch| fetch.attempts > 0).count();
        assert_eq!(charged, 1, "the first, before it was known");
    }
}

/// The webinar exists: the platform has just answered with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_missing_second_answer_cancels_nothing() {
    let mut fixture = Fixture::new(HEADER);
    fixture.on_missing_host = OnMissing::Fail;
    fixture.add_known_webinar().await;
    fixture.server.answer("/webinars", json!({ "webinars": [] }));
    fixture.answer_webinar("1", "Known");
    fixture.server.fail("/hosts/h1", 404);
    let worker = fixture.worker();
    for _ in 0..12 {
        Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
        fixture.advance(300);
    }
    let status = fixture.status().await;
    assert_eq!((status.pending, status.given_up), (1, 0));
    assert_eq!(status.last_error.as_deref(), Some("it has no host"));
    assert_eq!(fixture.inputs().await[0].2["eventCancelled"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_refused_token_is_renewed_once() {
    let fixture = Fixture::new(CLIENT);
    fixture.answer_webinar("1", "One");
    fixture.answer_webinar("2", "Two");
    fixture.request_fetch("a", "1").await;
    let worker = fixture.worker();
    assert_eq!(Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made"), 1);
    fixture.server.revoke();
    fixture.request_fetch("b", "2").await;
    assert_eq!(worker.drain(|| ()).await.expect("the fetches are made"), 1);
    assert_eq!((fixture.pending().await, fixture.inputs().await.len()), (0, 2));
    let calls = fixture.paths();
    let of = |path: &str, status: u16| {
        calls.iter().filter(|(called, answer)| called == path && *answer == status).count()
    };
    assert_eq!((of("/oauth/token", 200), of("/webinars/2", 401)), (2, 1), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_refused_credentials_hold_all_calls_and_lose_nothing() {
    let mut fixture = Fixture::new(CLIENT);
    fixture.api = DemoApi::Client("client", "another");
    for id in ["1", "2", "3", "4", "5", "6"] {
        fixture.answer_webinar(id, "One");
        fixture.request_fetch(id, id).await;
    }
    let worker = fixture.worker();
    Arc::clone(&worker).drain(|| ()).await.expect("the fetches are made");
    assert_eq!(fixture.pending().await, 6);
    let error = fixture.status().await.last_error.expect("the failure is recorded");
    assert!(error.contains("the credentials are refused"), "{error}");
    assert!(!error.contains("another"), "{error}");
    let tokens = fixture.paths();
    assert!(tokens.iter().all(|(path, _)| path == "/oauth/token"), "{tokens:?}");
    assert!(tokens.len() <= 4, "at most as many as are fetched at the same time: {tokens:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_missing_optional_answer_is_skipped() {
    let fixture = Fixture::new(HEADER);
    fixture.answer_webinar("1", "One");
    fixture.server.fail("/hosts/h1", 403);
    fixture.request_fetch("a", "1").await;
    fixture.worker().drain(|| ()).await.expect("the fetches are made");
    let inputs = fixture.inputs().await;
    assert_eq!(inputs[0].2["eventOrganizer"], "Acme GmbH", "the source's organizer is used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_many_webinars_keep_the_platforms_rate_limit() {
    let mut fixture = Fixture::new(HEADER);
    let window = Duration::from_millis(300);
    fixture.server.limit(4, window);
    fixture.rate_limit = ApiRateLimit { requests: 4, window };
    for number in 0..10 {
        let id = number.to_string();
        fixture.answer_webinar(&id, "One");
        fixture.request_fetch(&id, &id).await;
    }
    assert_eq!(fixture.worker().drain(|| ()).await.expect("the fetches are made"), 10);
    assert_eq!((fixture.pending().await, fixture.inputs().await.len()), (0, 10));
    assert!(fixture.paths().iter().all(|(_, status)| *status == 200), "{:?}", fixture.paths());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_request_survives_a_restart() {
    let mut fixture = Fixture::new(HEADER);
    fixture.answer_webinar("1", "One");
    fixture.request_fetch("a", "1").await;
    fixture.ledger.close().await;
    let empty = StoreFolder::new();
    let elsewhere = Arc::new(empty.open(policies()));
    drop(std::mem::replace(&mut fixture.ledger, elsewhere));
    fixture.ledger = Arc::new(fixture.store_folder.open(policies()));
    assert_eq!(fixture.pending().await, 1);
    assert_eq!(fixture.worker().drain(|| ()).await.expect("the fetches are made"), 1);
    assert_eq!(fixture.inputs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_answer_of_a_foreign_account_is_ignored() {
    let mut fixture = Fixture::new(HEADER);
    fixture.accounts = Some(BTreeSet::from(["another".to_owned()]));
    fixture.answer_webinar("1", "One");
    fixture.request_fetch("a", "1").await;
    fixture.worker().drain(|| ()).await.expect("the fetches are made");
    assert_eq!((fixture.pending().await, fixture.inputs().await), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_running_wakes_for_requests_and_stops_when_cancelled() {
    let fixture = Fixture::new(HEADER);
    fixture.answer_webinar("1", "One");
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(fixture.worker().run(stop.clone()));
    fixture.request_fetch("a", "1").await;
    crate::harness::eventually("the webinar was fetched", async || fixture.pending().await == 0)
        .await;
    assert_eq!(fixture.inputs().await.len(), 1);
    stop.cancel();
    running.await.expect("it ends");
}
