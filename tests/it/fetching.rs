//! Asking platforms' APIs: a made-up platform whose API listens on loopback, the real client, the real ledger.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;
use webinar_bridge::clock::{Clock, SystemClock};
use webinar_bridge::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, FetchCondition, FetchRequest, Millis,
    ProviderId, Shape, WebinarFields, WebinarId,
};
use webinar_bridge::fetch::{FetchWorker, Settings};
use webinar_bridge::intake::Source;
use webinar_bridge::ledger::sqlite::SqliteLedger;
use webinar_bridge::ledger::{
    Browse as _, EventState, FetchQueue as _, FetchStatus, Intake as _, Ledger, ReceiptKind,
    ReceiptQuery, Store as _,
};
use webinar_bridge::net::HttpClient;
use webinar_bridge::providers::{
    ApiAnswers, ApiCredentials, ApiRateLimit, ApiRequest, Capabilities, Demo, DemoApi,
    FetchedAnswers, Inbound, Keys, OnMissing, Options, ParsedPayload, PayloadContent, Platform,
    PlatformAccess, PlatformApi, Provider, Sample, Scrubbed, SignedRequest, TimeRange,
    UnsignedRequest, Unverified, Verified, VerifyError, WebinarPage,
};
use webinar_bridge::sandbox::platform_server::PlatformServer;
use webinar_bridge::secret::Secret;
use webinar_bridge::telemetry::Metrics;

use crate::harness::build::{NOON, created, minutes, policies, policy, receipt, source};
use crate::harness::store::Place;

const HEADER: DemoApi = DemoApi::Header("x-api-key", "key-of-the-tests");
const CLIENT: DemoApi = DemoApi::Client("client", "secret-of-the-tests");

/// A platform whose webhooks say nothing but an id.
struct Thin {
    access: PlatformAccess,
    base: Url,
    host_is: OnMissing,
    believes_gone: bool,
}

impl Thin {
    fn of(stage: &PlatformServer, api: DemoApi, pace: ApiRateLimit, host_is: OnMissing) -> Self {
        let base: Url = stage.base_url().parse().expect("a URL");
        let secret = |text: &str| Secret::Text(SecretString::from(text.to_owned()));
        let credentials = match api {
            DemoApi::Client(id, text) => ApiCredentials::ClientCredentials {
                token_url: base.join("/oauth/token").expect("a path"),
                client_id: id.to_owned(),
                client_secret: secret(text),
                form: vec![("grant_type", "client_credentials".to_owned())],
            },
            DemoApi::Header(header, value) => {
                ApiCredentials::Token { header, prefix: "", token: secret(value) }
            }
            DemoApi::None => unreachable!("it has an API"),
        };
        let headers = vec![("accept", "application/json".to_owned())];
        let access = PlatformAccess { credentials, headers, rate_limit: pace };
        Self { access, base, host_is, believes_gone: true }
    }
}

/// What is the same for all of them.
struct Plain;

impl Platform for Plain {
    fn id(&self) -> ProviderId {
        ProviderId::new("zoom")
    }

    fn unconfigured(&self) -> Option<Arc<dyn Provider>> {
        None
    }

    fn configure(&self, _options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        None
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        body.to_vec()
    }

    fn demos(&self) -> Vec<Demo> {
        Vec::new()
    }
}

impl Provider for Thin {
    fn platform(&self) -> &'static dyn Platform {
        &Plain
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::FULL
    }

    fn verify<'a>(
        &self,
        _request: Inbound<'a, Unverified>,
        _keys: Keys<'_>,
        _now: Millis,
    ) -> Result<Inbound<'a, Verified>, VerifyError> {
        unreachable!("what comes in goes to the ledger")
    }

    fn read(&self, _request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        unreachable!("what comes in goes to the ledger")
    }

    fn sign(&self, _request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        unreachable!("what comes in goes to the ledger")
    }

    fn samples(&self, _now: Millis) -> Vec<Sample> {
        Vec::new()
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        Some(self)
    }

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        let mut change = Change::new(fetched.webinar.clone(), ChangeKind::Updated);
        change.account = ExternalAccountId::parse("acct-1").ok();
        change.occurred_at = Some(fetched.at);
        let told = |name: &str| {
            let answer = fetched.answer(name)?;
            serde_json::from_str::<Value>(answer.get()).ok()
        };
        if fetched.gone {
            change.kind = ChangeKind::Cancelled;
            change.whole.cancelled = Some(true);
        } else if let Some(webinar) = told("webinar") {
            change.full_picture = true;
            change.shape = Some(Shape::Single);
            change.whole = WebinarFields {
                name: webinar["name"].as_str().map(str::to_owned),
                organizer: told("host").and_then(|host| host["name"].as_str().map(str::to_owned)),
                start: Some(minutes(600)),
                end: EndTime::after_minutes(30),
                ..WebinarFields::default()
            };
        } else {
            return ParsedPayload::new(
                "fetched",
                PayloadContent::Unmappable("nothing is told".into()),
            );
        }
        let changes = PayloadContent::Changes { changes: vec![change], bad_fields: Vec::new() };
        ParsedPayload::new("fetched", changes)
    }
}

impl PlatformApi for Thin {
    fn access(&self) -> &PlatformAccess {
        &self.access
    }

    fn next_request(
        &self,
        webinar: &WebinarId,
        answers: &ApiAnswers<'_>,
    ) -> Result<Option<ApiRequest>, String> {
        let url = |path: &str| self.base.join(path).map_err(|error| error.to_string());
        let Some(told) = answers.get("webinar") else {
            let url = url(&format!("/webinars/{webinar}"))?;
            return Ok(Some(ApiRequest { name: "webinar", url, on_missing: OnMissing::Fail }));
        };
        if answers.contains_key("host") {
            return Ok(None);
        }
        let told: Value = serde_json::from_str(told.get()).map_err(|error| error.to_string())?;
        let Some(host) = told["host"].as_str() else { return Ok(None) };
        let url = url(&format!("/hosts/{host}"))?;
        Ok(Some(ApiRequest { name: "host", url, on_missing: self.host_is }))
    }

    fn gone_means_cancelled(&self) -> bool {
        self.believes_gone
    }

    fn list_url(&self, _span: TimeRange, _cursor: Option<&str>) -> Option<Url> {
        self.base.join("/webinars").ok()
    }

    fn parse_list(
        &self,
        page: &[u8],
        _span: TimeRange,
        _cursor: Option<&str>,
    ) -> Result<WebinarPage, String> {
        let page: Value = serde_json::from_slice(page).map_err(|error| error.to_string())?;
        page["webinars"].as_array().map(|_| WebinarPage::default()).ok_or("no list".to_owned())
    }
}

/// A ledger, a platform, and who asks it.
struct Scene {
    place: Place,
    ledger: Arc<SqliteLedger>,
    stage: PlatformServer,
    api: DemoApi,
    pace: ApiRateLimit,
    host_is: OnMissing,
    believes_gone: bool,
    accounts: Option<BTreeSet<String>>,
}

impl Scene {
    fn new(api: DemoApi) -> Self {
        let place = Place::new();
        let ledger = Arc::new(place.open(policies()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stage = PlatformServer::open(api, clock).expect("it listens");
        let plenty = ApiRateLimit { requests: 100, window: Duration::from_secs(1) };
        let host_is = OnMissing::Skip;
        Self {
            place,
            ledger,
            stage,
            api,
            pace: plenty,
            host_is,
            believes_gone: true,
            accounts: None,
        }
    }

    fn asker(&self) -> Arc<FetchWorker> {
        let mut provider = Thin::of(&self.stage, self.api, self.pace, self.host_is);
        provider.believes_gone = self.believes_gone;
        let settings = Settings {
            source: Arc::new(Source {
                platform_accounts: self.accounts.clone(),
                ..Source::new(source("zoom"), Arc::new(provider), policy("main"))
            }),
            ledger: Arc::clone(&self.ledger) as Arc<dyn Ledger>,
            http: Arc::new(HttpClient::new().expect("a client")),
            clock: Arc::clone(&self.place.clock) as Arc<dyn Clock>,
            metrics: Metrics::new(&[], &[(source("zoom"), ProviderId::new("zoom"))]),
            random: || u32::MAX,
        };
        FetchWorker::new(settings).expect("it can be asked")
    }

    /// A webhook comes that says nothing but that something is with this webinar.
    async fn hint(&self, seed: &str, id: &str) {
        let mut hint = receipt(seed, Vec::new());
        hint.fetch_requests = vec![wanted(id)];
        self.ledger.accept(hint).await.expect("kept");
    }

    /// Webinar 1 is known, and to be asked about.
    async fn knows_one(&self) {
        let mut known = receipt("a", vec![created("1", "Known", NOON)]);
        known.fetch_requests = vec![wanted("1")];
        self.ledger.accept(known).await.expect("kept");
    }

    fn has(&self, id: &str, name: &str) {
        self.stage.answer(&format!("/webinars/{id}"), json!({ "name": name, "host": "h1" }));
        self.stage.answer("/hosts/h1", json!({ "name": "Host One" }));
    }

    async fn status(&self) -> FetchStatus {
        self.ledger.fetch_statuses().await.expect("read")[&source("zoom")].clone()
    }

    async fn pending(&self) -> u64 {
        self.status().await.pending
    }

    /// What HubSpot is to get of each event, by id.
    async fn inputs(&self) -> Vec<(String, EventState, Value)> {
        let events = self.ledger.events(100).await.expect("events");
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

    fn later(&self, seconds: u64) {
        let now = self.place.clock.now();
        self.place.clock.set(now.plus(Duration::from_secs(seconds)));
    }

    fn paths(&self) -> Vec<(String, u16)> {
        self.stage.calls().into_iter().map(|call| (call.path, call.status)).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stage.close();
    }
}

fn wanted(id: &str) -> FetchRequest {
    let webinar = WebinarId::parse(id).expect("an id");
    FetchRequest { account: None, webinar, condition: FetchCondition::Always }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_webhook_leaves_out_is_asked_for_and_merged_like_a_webhook() {
    let scene = Scene::new(HEADER);
    scene.has("1", "Told by the API");
    scene.hint("a", "1").await;
    assert_eq!(scene.pending().await, 1);
    assert_eq!(scene.inputs().await, [], "a hint says nothing");
    assert_eq!(scene.asker().drain(|| ()).await.expect("asked"), 1);
    assert_eq!(scene.pending().await, 0);
    let inputs = scene.inputs().await;
    assert_eq!(inputs.len(), 1);
    assert_eq!(inputs[0].1, EventState::Pending);
    assert_eq!(inputs[0].2["eventName"], "Told by the API");
    assert_eq!(inputs[0].2["eventOrganizer"], "Host One");
    assert_eq!(scene.paths(), [("/webinars/1".to_owned(), 200), ("/hosts/h1".to_owned(), 200)]);
    let ask = ReceiptQuery { limit: 10, ..ReceiptQuery::default() };
    let receipts = scene.ledger.list_receipts(ask).await.expect("receipts").items;
    let kinds: Vec<_> = receipts.iter().map(|receipt| receipt.kind).collect();
    assert_eq!(kinds, [ReceiptKind::Fetched, ReceiptKind::Webhook]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_platform_does_not_know_yet_is_asked_for_again() {
    let scene = Scene::new(HEADER);
    scene.hint("a", "1").await;
    let asker = scene.asker();
    assert_eq!(Arc::clone(&asker).drain(|| ()).await.expect("asked"), 1);
    assert_eq!(scene.pending().await, 1);
    let error = scene.status().await.last_error;
    assert_eq!(error.as_deref(), Some("it has no such webinar yet"));
    assert_eq!(Arc::clone(&asker).drain(|| ()).await.expect("asked"), 0, "not at once");
    scene.has("1", "There now");
    scene.later(5);
    assert_eq!(asker.drain(|| ()).await.expect("asked"), 1);
    assert_eq!((scene.pending().await, scene.inputs().await.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_for_good_is_told_of_only_if_it_was_known() {
    let scene = Scene::new(HEADER);
    scene.knows_one().await;
    scene.stage.answer("/webinars", json!({ "webinars": [] }));
    scene.hint("b", "2").await;
    scene.has("3", "There");
    scene.hint("d", "3").await;
    let asker = scene.asker();
    let mut count = 0;
    for _ in 0..20 {
        count += Arc::clone(&asker).drain(|| ()).await.expect("asked");
        scene.later(300);
    }
    assert_eq!(count, 23, "what is not there eleven times each");
    let status = scene.status().await;
    assert_eq!((status.pending, status.given_up), (0, 2));
    let off: Vec<_> = scene
        .inputs()
        .await
        .into_iter()
        .map(|(id, _, input)| (id, input["eventCancelled"] == true))
        .collect();
    let expected = [("1".to_owned(), true), ("3".to_owned(), false)];
    assert_eq!(off, expected, "of what was never heard of nothing is said");
    scene.hint("c", "2").await;
    scene.has("2", "Back");
    assert_eq!(asker.drain(|| ()).await.expect("asked"), 1, "wanted again, asked again");
    assert_eq!(scene.inputs().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_not_called_off_where_that_is_not_believed() {
    let mut scene = Scene::new(HEADER);
    scene.believes_gone = false;
    scene.knows_one().await;
    scene.stage.answer("/webinars", json!({ "webinars": [] }));
    let asker = scene.asker();
    for _ in 0..12 {
        Arc::clone(&asker).drain(|| ()).await.expect("asked");
        scene.later(300);
    }
    assert_eq!((scene.pending().await, scene.status().await.given_up), (0, 1));
    assert_eq!(scene.inputs().await[0].2["eventCancelled"], false);
}

/// Else one 404 after an outage would call a webinar off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_counts_for_no_absence() {
    let scene = Scene::new(HEADER);
    scene.knows_one().await;
    scene.stage.fail("/webinars/1", 503);
    for _ in 0..20 {
        // Another asker, as the time for which this one leaves the platform alone is the machine's.
        scene.asker().drain(|| ()).await.expect("asked");
        scene.later(300);
    }
    assert_eq!(scene.status().await.last_error.as_deref(), Some("it answered 503"));
    scene.stage.fail("/webinars/1", 404);
    scene.asker().drain(|| ()).await.expect("asked");
    let status = scene.status().await;
    assert_eq!((status.pending, status.given_up), (1, 0));
    assert_eq!(scene.inputs().await[0].2["eventCancelled"], false);
}

/// Else a wrong address, or one that the platform has taken away, or another account's credentials, would call off all that is
/// asked about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_that_knows_nothing_of_ours_calls_nothing_off() {
    const NONE_FOUND: &str =
        "it has no such webinar, and no other was found yet with these credentials";
    const NO_LIST: &str = "it has no such webinar, nor a list of webinars";
    let scene = Scene::new(HEADER);
    scene.knows_one().await;
    let asker = scene.asker();
    let ask_often = async || {
        for _ in 0..72 {
            Arc::clone(&asker).drain(|| ()).await.expect("asked");
            scene.later(300);
        }
    };
    let is_held_for = async |why: &str| {
        ask_often().await;
        assert_eq!(scene.inputs().await[0].2["eventCancelled"], false);
        let FetchStatus { pending, given_up, last_error } = scene.status().await;
        assert_eq!((pending, given_up), (1, 0), "nothing is lost");
        assert_eq!(last_error.as_deref(), Some(why));
    };
    scene.stage.answer("/webinars", json!({ "webinars": [] }));
    is_held_for(NONE_FOUND).await;
    // Another is found, so it is the right account; but what is gone may be the address.
    scene.has("2", "There");
    scene.hint("b", "2").await;
    scene.stage.answer("/webinars", json!({ "error": "moved" }));
    is_held_for(NO_LIST).await;
    scene.stage.answer("/webinars", json!({ "webinars": [] }));
    ask_often().await;
    assert_eq!((scene.pending().await, scene.status().await.given_up), (0, 1));
    assert_eq!(scene.inputs().await[0].2["eventCancelled"], true);
}

/// Else twenty minutes of a page that says "back soon", and one 404, would call a webinar off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_answer_counts_for_no_absence() {
    let scene = Scene::new(HEADER);
    scene.knows_one().await;
    scene.stage.answer("/webinars", json!({ "webinars": [] }));
    scene.has("2", "There");
    scene.hint("b", "2").await;
    scene.stage.fail("/webinars/1", 204);
    let asker = scene.asker();
    for _ in 0..20 {
        Arc::clone(&asker).drain(|| ()).await.expect("asked");
        scene.later(1_800);
    }
    assert!(scene.paths().iter().filter(|(path, _)| path == "/webinars/1").count() > 5);
    scene.stage.fail("/webinars/1", 404);
    scene.later(6 * 3_600);
    Arc::clone(&asker).drain(|| ()).await.expect("asked");
    assert_eq!(scene.status().await.last_error.as_deref(), Some("it has no such webinar yet"));
    assert_eq!((scene.pending().await, scene.status().await.given_up), (1, 0));
}

/// There may be thousands, and a platform's quota counts every call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_we_may_not_see_is_asked_for_less_and_less_and_never_given_up() {
    let scene = Scene::new(HEADER);
    scene.hint("a", "1").await;
    scene.stage.fail("/webinars/1", 403);
    let asker = scene.asker();
    let mut count = 0;
    for _ in 0..24 * 12 {
        count += Arc::clone(&asker).drain(|| ()).await.expect("asked");
        scene.later(300);
    }
    assert_eq!(count, 11, "at once, after 5, 10, 20, ... minutes, and every 6 hours");
    scene.has("1", "Ours to see");
    scene.later(6 * 3_600);
    assert_eq!(asker.drain(|| ()).await.expect("asked"), 1);
    assert_eq!((scene.pending().await, scene.inputs().await.len()), (0, 1));
}

/// It is there: the platform has just told of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_not_gone_for_want_of_another_answer() {
    let mut scene = Scene::new(HEADER);
    scene.host_is = OnMissing::Fail;
    scene.knows_one().await;
    scene.stage.answer("/webinars", json!({ "webinars": [] }));
    scene.has("1", "Known");
    scene.stage.fail("/hosts/h1", 404);
    let asker = scene.asker();
    for _ in 0..12 {
        Arc::clone(&asker).drain(|| ()).await.expect("asked");
        scene.later(300);
    }
    let status = scene.status().await;
    assert_eq!((status.pending, status.given_up), (0, 1));
    assert_eq!(status.last_error.as_deref(), Some("it has no host"));
    assert_eq!(scene.inputs().await[0].2["eventCancelled"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_refused_is_bought_anew_once() {
    let scene = Scene::new(CLIENT);
    scene.has("1", "One");
    scene.has("2", "Two");
    scene.hint("a", "1").await;
    let asker = scene.asker();
    assert_eq!(Arc::clone(&asker).drain(|| ()).await.expect("asked"), 1);
    scene.stage.revoke();
    scene.hint("b", "2").await;
    assert_eq!(asker.drain(|| ()).await.expect("asked"), 1);
    assert_eq!((scene.pending().await, scene.inputs().await.len()), (0, 2));
    let calls = scene.paths();
    let of = |path: &str, status: u16| {
        calls.iter().filter(|(called, answer)| called == path && *answer == status).count()
    };
    assert_eq!((of("/oauth/token", 200), of("/webinars/2", 401)), (2, 1), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_credentials_hold_everything_and_lose_nothing() {
    let mut scene = Scene::new(CLIENT);
    scene.api = DemoApi::Client("client", "another");
    for id in ["1", "2", "3", "4", "5", "6"] {
        scene.has(id, "One");
        scene.hint(id, id).await;
    }
    let asker = scene.asker();
    Arc::clone(&asker).drain(|| ()).await.expect("asked");
    assert_eq!(scene.pending().await, 6);
    let error = scene.status().await.last_error.expect("it is told");
    assert!(error.contains("the credentials are refused"), "{error}");
    assert!(!error.contains("another"), "{error}");
    let tokens = scene.paths();
    assert!(tokens.iter().all(|(path, _)| path == "/oauth/token"), "{tokens:?}");
    assert!(tokens.len() <= 4, "as many as asked at the same time, at most: {tokens:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_spared_is() {
    let scene = Scene::new(HEADER);
    scene.has("1", "One");
    scene.stage.fail("/hosts/h1", 403);
    scene.hint("a", "1").await;
    scene.asker().drain(|| ()).await.expect("asked");
    let inputs = scene.inputs().await;
    assert_eq!(inputs[0].2["eventOrganizer"], "Acme GmbH", "the source's own stands in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_calls_are_made_than_the_platform_lets_through() {
    let mut scene = Scene::new(HEADER);
    let window = Duration::from_millis(300);
    scene.stage.limit(4, window);
    scene.pace = ApiRateLimit { requests: 4, window };
    for number in 0..10 {
        let id = number.to_string();
        scene.has(&id, "One");
        scene.hint(&id, &id).await;
    }
    assert_eq!(scene.asker().drain(|| ()).await.expect("asked"), 10);
    assert_eq!((scene.pending().await, scene.inputs().await.len()), (0, 10));
    assert!(scene.paths().iter().all(|(_, status)| *status == 200), "{:?}", scene.paths());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wanted_outlives_a_crash() {
    let mut scene = Scene::new(HEADER);
    scene.has("1", "One");
    scene.hint("a", "1").await;
    scene.ledger.close().await;
    let empty = Place::new();
    let elsewhere = Arc::new(empty.open(policies()));
    drop(std::mem::replace(&mut scene.ledger, elsewhere));
    scene.ledger = Arc::new(scene.place.open(policies()));
    assert_eq!(scene.pending().await, 1);
    assert_eq!(scene.asker().drain(|| ()).await.expect("asked"), 1);
    assert_eq!(scene.inputs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_the_source_may_not_speak_for_is_not_believed_when_fetched() {
    let mut scene = Scene::new(HEADER);
    scene.accounts = Some(BTreeSet::from(["another".to_owned()]));
    scene.has("1", "One");
    scene.hint("a", "1").await;
    scene.asker().drain(|| ()).await.expect("asked");
    assert_eq!((scene.pending().await, scene.inputs().await), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_wakes_for_what_is_wanted_and_stops_when_told() {
    let scene = Scene::new(HEADER);
    scene.has("1", "One");
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(scene.asker().run(stop.clone()));
    scene.hint("a", "1").await;
    crate::harness::eventually("it was asked for", async || scene.pending().await == 0).await;
    assert_eq!(scene.inputs().await.len(), 1);
    stop.cancel();
    running.await.expect("it ends");
}
