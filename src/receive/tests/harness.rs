//! A ledger and a platform that do as they are told, and a client that sends exactly what it is given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::event::{
    AccountName, BodyHash, Change, ChangeKind, EventKey, ExternalAccountId, Millis, ProviderId,
    ReceiptId, SourceName, WebinarId,
};
use crate::ledger::{
    AccountStatus, ClaimRequest, ClaimResult, ClaimedEvent, ContributingReceipt, EventDetail,
    EventQuery, EventRecord, EventStateCounts, EventSummary, FetchClaim, FetchOutcome,
    FetchRequest, FetchStatus, FetchTask, Ledger, LedgerError, NewReceipt, Page, RebuildRequest,
    RebuildResult, ReceiptContent, ReceiptKind, ReceiptOutcome, ReceiptQuery, ReceiptRecord,
    ReceiptSummary, RedriveProgress, RedriveRequest, RedriveResult, Retention, Settlement,
    StatusFunction, StatusUpdate, StoreSizes, TimersRun, WebinarKey, WebinarState,
};
use crate::providers::{
    Capabilities, Demo, HandshakeReply, Header, Inbound, Keys, Options, ParsedPayload,
    PayloadContent, Platform, Provider, Sample, Scrubbed, SignedRequest, UnsignedRequest,
    Unverified, Verified, VerifyError,
};
use crate::receive::{Endpoint, WebhookLimits, WebhookSettings, run_webhooks};
use crate::secret::Secret;
use crate::telemetry::Metrics;

/// Longer than anything here takes; reaching it is a failure.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const SECRET: &str = "a secret of the platform";
pub(super) const TOKEN: &str = "token-of-the-path=";

pub(super) fn account() -> AccountName {
    AccountName::parse("main").expect("a name")
}

pub(super) fn source(name: &str) -> SourceName {
    SourceName::parse(name).expect("a name")
}

/// How the ledger answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LedgerMode {
    Accepting,
    Failing,
    /// Accepts once it is let.
    Waiting,
}

pub(super) struct FakeLedger {
    pub(super) mood: Mutex<LedgerMode>,
    pub(super) kept: Mutex<Vec<NewReceipt>>,
    /// Told when an acceptance has begun.
    pub(super) begun: Notify,
    /// Each permit lets one waiting acceptance go on.
    pub(super) gate: Semaphore,
    pub(super) counts: Mutex<EventStateCounts>,
    pub(super) standing: Mutex<AccountStatus>,
    pub(super) oldest: Mutex<Result<Option<Millis>, ()>>,
    pub(super) health: Mutex<Result<(), String>>,
    /// From that piece on nothing can be sent again.
    pub(super) breaks_after: AtomicI64,
    /// How long reading each of its receipts takes, oldest first; their numbers count from 1.
    pub(super) receipts: Mutex<Vec<Duration>>,
}

impl Default for FakeLedger {
    fn default() -> Self {
        Self {
            mood: Mutex::new(LedgerMode::Accepting),
            kept: Mutex::default(),
            begun: Notify::new(),
            gate: Semaphore::new(0),
            counts: Mutex::default(),
            standing: Mutex::default(),
            oldest: Mutex::new(Ok(None)),
            health: Mutex::new(Ok(())),
            breaks_after: AtomicI64::new(i64::MAX),
            receipts: Mutex::default(),
        }
    }
}

impl FakeLedger {
    pub(super) fn set(&self, mood: LedgerMode) {
        *self.mood.lock().unwrap() = mood;
    }

    /// What is looked for, if it is told at all.
    async fn respond<T>(&self, found: T) -> Result<T, LedgerError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            LedgerMode::Accepting => Ok(found),
            LedgerMode::Failing => Err(LedgerError::Unavailable("disk full".to_owned())),
            LedgerMode::Waiting => std::future::pending().await,
        }
    }

    pub(super) fn kept(&self) -> Vec<NewReceipt> {
        self.kept.lock().unwrap().clone()
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn accept(&self, receipt: NewReceipt) -> Result<ReceiptOutcome, LedgerError> {
        self.begun.notify_one();
        let mood = *self.mood.lock().unwrap();
        match mood {
            LedgerMode::Accepting => {}
            LedgerMode::Failing => return Err(LedgerError::Unavailable("disk full".to_owned())),
            LedgerMode::Waiting => self.gate.acquire().await.expect("never closed").forget(),
        }
        let mut kept = self.kept.lock().unwrap();
        let seen = |old: &NewReceipt| {
            (&old.source, old.dedupe_key) == (&receipt.source, receipt.dedupe_key)
        };
        if kept.iter().any(seen) {
            return Ok(ReceiptOutcome::Duplicate);
        }
        let acceptance = match receipt.content {
            ReceiptContent::Changes(_) => ReceiptOutcome::Accepted,
            ReceiptContent::Ignored => ReceiptOutcome::Ignored,
            ReceiptContent::Quarantined(_) => ReceiptOutcome::Quarantined,
        };
        kept.push(receipt);
        Ok(acceptance)
    }

    fn account_status(&self, _account: &AccountName) -> AccountStatus {
        self.standing.lock().unwrap().clone()
    }

    fn event_counts(&self) -> BTreeMap<AccountName, EventStateCounts> {
        [(account(), *self.counts.lock().unwrap())].into()
    }

    async fn oldest_pending(&self, _account: &AccountName) -> Result<Option<Millis>, LedgerError> {
        self.respond(()).await?;
        self.oldest.lock().unwrap().map_err(|()| LedgerError::Unavailable("locked".to_owned()))
    }

    async fn close(&self) {
        unreachable!("the listeners close nothing")
    }

    fn store_sizes(&self) -> StoreSizes {
        StoreSizes { store: 4_096, free: 1_024, wal: 512 }
    }

    fn health(&self) -> Result<(), String> {
        self.health.lock().unwrap().clone()
    }

    async fn claim(&self, _: &AccountName, _: ClaimRequest) -> Result<ClaimResult, LedgerError> {
        unreachable!("the listeners do not deliver")
    }

    async fn settle(&self, _: &AccountName, _: Vec<Settlement>) -> Result<(), LedgerError> {
        unreachable!("the listeners do not deliver")
    }

    fn release(&self, _: &AccountName, _: &[ClaimedEvent]) {
        unreachable!("the listeners do not deliver")
    }

    async fn update_status(
        &self,
        _: &AccountName,
        _: StatusFunction,
    ) -> Result<StatusUpdate, LedgerError> {
        unreachable!("the listeners do not deliver")
    }

    fn wake_up(&self, _: &AccountName) -> Arc<Notify> {
        unreachable!("the listeners do not deliver")
    }

    async fn begin_attempt(&self, _: &AccountName, _: &[ClaimedEvent]) -> Result<(), LedgerError> {
        unreachable!("the listeners send nothing")
    }

    async fn run_timers(&self, _: usize) -> Result<TimersRun, LedgerError> {
        unreachable!("the listeners keep no house")
    }

    async fn request_fetches(
        &self,
        _: &SourceName,
        _: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError> {
        unreachable!("the listeners fetch nothing")
    }

    async fn claim_fetches(
        &self,
        _: &SourceName,
        _: usize,
        _: &[i64],
    ) -> Result<FetchClaim, LedgerError> {
        unreachable!("the listeners fetch nothing")
    }

    async fn settle_fetch(
        &self,
        _: &FetchTask,
        _: FetchOutcome,
    ) -> Result<Option<ReceiptOutcome>, LedgerError> {
        unreachable!("the listeners fetch nothing")
    }

    fn fetch_wake_up(&self, _: &SourceName) -> Arc<Notify> {
        unreachable!("the listeners fetch nothing")
    }

    fn fetch_statuses(&self) -> BTreeMap<SourceName, FetchStatus> {
        BTreeMap::new()
    }

    async fn prune(&self, _: Retention) -> Result<bool, LedgerError> {
        unreachable!("the listeners keep no house")
    }

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptRecord>, LedgerError> {
        let number = usize::from(id.as_bytes()[15]);
        let takes = self.receipts.lock().unwrap().get(number.wrapping_sub(1)).copied();
        let Some(takes) = takes else { return self.respond(None).await };
        tokio::time::sleep(takes).await;
        let summary = summary_of(number);
        Ok(Some(ReceiptRecord { summary, headers: Vec::new(), body: None, events: Vec::new() }))
    }

    async fn events(&self, _: usize) -> Result<Vec<EventRecord>, LedgerError> {
        unreachable!("the listeners do not read events")
    }

    async fn list_events(&self, _: EventQuery) -> Result<Page<EventSummary>, LedgerError> {
        self.respond(Page { items: Vec::new(), next: None }).await
    }

    async fn event_detail(&self, _: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        unreachable!("the webhooks do not look at it")
    }

    async fn redrive(&self, _: &EventKey) -> Result<RedriveResult, LedgerError> {
        unreachable!("the webhooks do not look at it")
    }

    async fn redrive_all(&self, ask: RedriveRequest) -> Result<RedriveProgress, LedgerError> {
        let after = ask.after.unwrap_or_default();
        if after >= self.breaks_after.load(Ordering::Relaxed) {
            return Err(LedgerError::Unavailable("disk full".to_owned()));
        }
        self.respond(RedriveProgress { redriven: 10, next: Some(after + 1) }).await
    }

    async fn list_receipts(&self, ask: ReceiptQuery) -> Result<Page<ReceiptSummary>, LedgerError> {
        let all = self.receipts.lock().unwrap().len();
        let before = ask.after.map_or(all + 1, |after| usize::try_from(after).unwrap());
        let items = (1..before).rev().take(ask.limit).map(summary_of).collect();
        let last = before.saturating_sub(ask.limit);
        let next = (last > 1).then(|| i64::try_from(last).unwrap());
        Ok(Page { items, next })
    }

    async fn receipts_of(
        &self,
        _: &WebinarKey,
        _: Option<i64>,
    ) -> Result<Page<ContributingReceipt>, LedgerError> {
        unreachable!("the webhooks do not look at it")
    }

    async fn webinars_of(&self, _: ReceiptId) -> Result<Vec<WebinarState>, LedgerError> {
        unreachable!("the webhooks do not look at it")
    }

    async fn webinar_state(&self, _: &WebinarKey) -> Result<WebinarState, LedgerError> {
        unreachable!("the webhooks do not look at it")
    }

    async fn rebuild(&self, _: RebuildRequest) -> Result<RebuildResult, LedgerError> {
        unreachable!("the webhooks do not look at it")
    }
}

/// The receipt of that number.
fn summary_of(number: usize) -> ReceiptSummary {
    let mut id = [0; 16];
    id[15] = u8::try_from(number).expect("few");
    ReceiptSummary {
        id: ReceiptId::from_bytes(id),
        kind: ReceiptKind::Webhook,
        source: source("open"),
        provider: ProviderId::new("fake"),
        event_type: "fake.event".to_owned(),
        received_at: Millis::new(0),
        outcome: ReceiptOutcome::Quarantined,
        reason: None,
        hash: BodyHash::from_bytes([0; 16]),
    }
}

/// A platform whose "signature" is the secret itself, and whose bodies say what they mean in their first word.
pub(super) struct FakePlatform;

impl Platform for FakePlatform {
    fn id(&self) -> ProviderId {
        ProviderId::new("fake")
    }

    fn unconfigured(&self) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Self))
    }

    fn configure(&self, _options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        unreachable!("the listeners configure nothing")
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        [b"scrubbed ", body].concat()
    }

    fn demos(&self) -> Vec<Demo> {
        unreachable!("the listeners need no samples")
    }
}

impl Provider for FakePlatform {
    fn platform(&self) -> &'static dyn Platform {
        &Self
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::FULL
    }

    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        _now: Millis,
    ) -> Result<Inbound<'a, Verified>, VerifyError> {
        match request.headers.lookup("x-key") {
            Header::Missing => Err(VerifyError::Missing),
            Header::Repeated => Err(VerifyError::Malformed),
            Header::One(b"stale") => Err(VerifyError::Stale),
            Header::One(b"future") => Err(VerifyError::Future),
            Header::One(key) if keys.secrets.contains(&key) => Ok(Inbound::from_body(request.body)),
            Header::One(_) => Err(VerifyError::Mismatch),
        }
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        let text = std::str::from_utf8(&request.body).unwrap_or_default();
        let mut words = text.split_whitespace();
        let meaning = match words.next() {
            Some("changes") => PayloadContent::Changes {
                changes: words.take_while(|word| *word != "|").map(change).collect(),
                bad_fields: vec!["duration"],
            },
            Some("ignored") => PayloadContent::Ignored,
            Some("handshake") => PayloadContent::Handshake(HandshakeReply {
                status: 200,
                content_type: "text/plain",
                body: b"the answer".to_vec(),
            }),
            Some("panic") => panic!("told to"),
            Some(_) | None => PayloadContent::Unmappable("no id".to_owned()),
        };
        ParsedPayload::new("fake.event", meaning)
    }

    fn sign(&self, _request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        unreachable!("the listeners do not sign")
    }

    fn samples(&self, _now: Millis) -> Vec<Sample> {
        unreachable!("the listeners need no samples")
    }
}

/// A change of a webinar of the platform account of that name; `?` is none.
fn change(account: &str) -> Change {
    let webinar = WebinarId::parse("w1").expect("an id");
    let mut change = Change::new(webinar, ChangeKind::Updated);
    change.account = (account != "?").then(|| ExternalAccountId::parse(account).expect("an id"));
    change
}

/// A running public listener.
pub(super) struct RunningListener {
    pub(super) address: SocketAddr,
    pub(super) ledger: Arc<FakeLedger>,
    pub(super) metrics: Metrics,
    pub(super) stop: CancellationToken,
    pub(super) running: JoinHandle<std::io::Result<()>>,
}

pub(super) fn endpoint(name: &str) -> Endpoint {
    Endpoint {
        name: source(name),
        provider: Arc::new(FakePlatform),
        secrets: vec![Secret::Text(SECRET.to_owned().into())],
        path_token: None,
        tolerance: Duration::from_mins(5),
        platform_accounts: None,
    }
}

/// Sources: `open`; `closed`, with a path token; `picky`, for the platform accounts `a` and `b`; `keyless`, whose secret
/// cannot be read.
pub(super) fn start_listener(adjust: impl FnOnce(&mut WebhookSettings)) -> RunningListener {
    let mut closed = endpoint("closed");
    closed.path_token = Some(Secret::Text(TOKEN.to_owned().into()));
    let mut picky = endpoint("picky");
    picky.platform_accounts = Some(BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    let mut keyless = endpoint("keyless");
    keyless.secrets = vec![Secret::file("/nowhere/at/all")];
    let endpoints = vec![endpoint("open"), closed, picky, keyless];
    let names: Vec<_> =
        endpoints.iter().map(|each| (each.name.clone(), each.provider.id())).collect();

    let ledger = Arc::new(FakeLedger::default());
    let metrics = Metrics::new(&[account()], &names);
    let mut webhooks = WebhookSettings {
        endpoints,
        keys: BTreeMap::new(),
        ledger: Arc::<FakeLedger>::clone(&ledger),
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
        metrics: metrics.clone(),
        max_body: 1024 * 1024,
        limits: WebhookLimits::default(),
    };
    adjust(&mut webhooks);
    let (listener, address) = bind();
    let stop = CancellationToken::new();
    let running = tokio::spawn(run_webhooks(listener, webhooks, stop.clone(), PATIENCE));
    RunningListener { address, ledger, metrics, stop, running }
}

impl RunningListener {
    /// Sends an authentic webhook on a connection of its own.
    pub(super) async fn post(&self, source: &str, body: &[u8]) -> Response {
        self.send(&request("POST", &format!("/webhooks/{source}"), &[("x-key", SECRET)], body))
            .await
    }

    /// Sends these bytes on a connection of their own, and reads one answer.
    pub(super) async fn send(&self, bytes: &[u8]) -> Response {
        send(self.address, bytes).await
    }

    /// The value of a line of the metrics.
    pub(super) fn metric(&self, line: &str) -> Option<String> {
        metric(&self.metrics.render(), line)
    }

    /// How many webhooks of a source had that outcome.
    pub(super) fn outcomes(&self, source: &str, outcome: &str) -> Option<String> {
        self.metric(&format!(
            "bridge_webhooks_total{{outcome=\"{outcome}\",provider=\"fake\",source=\"{source}\"}}"
        ))
    }
}

pub(super) fn metric(text: &str, line: &str) -> Option<String> {
    let value = text.lines().find_map(|each| each.strip_prefix(line)?.strip_prefix(' '));
    value.map(ToOwned::to_owned)
}

pub(super) fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// A request with `Content-Length`.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = headers.collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: here\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// Names in lower case; without `date`.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

pub(super) async fn send(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut stream = connect(address).await;
    stream.write_all(bytes).await.expect("the listener reads");
    answer(&mut stream).await.expect("an answer")
}

pub(super) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("the listener takes connections")
}

/// Reads one answer; none if the connection is closed before it is whole.
pub(super) async fn answer(stream: &mut TcpStream) -> Option<Response> {
    tokio::time::timeout(PATIENCE, read_answer(stream)).await.expect("an answer in time")
}

async fn read_answer(stream: &mut TcpStream) -> Option<Response> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("a head is text");
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
    let mut headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    headers.remove("date");
    let length = headers.get("content-length").map_or(0, |text| text.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Response { status, headers, body: String::from_utf8(body).expect("bodies are text") })
}

/// Whether the other side closes the connection, and sends nothing more before.
pub(super) async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 64])).await;
    !matches!(read.expect("closed in time"), Ok(1..))
}
