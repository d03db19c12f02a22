//! An account's worker on virtual time: no sockets, no disk, no other threads. It sends to an emulated HubSpot and
//! settles in a ledger in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use webinar_bridge::clock::{Clock, VirtualClock};
use webinar_bridge::deliver::{AccountWorker, DeliveryAccount, DeliverySettings};
use webinar_bridge::event::{
    AccountName, AccountStatus, EventKey, ExternalAccountId, ExternalEventId, Millis, StatusChange,
    StatusUpdate,
};
use webinar_bridge::http::simple_server::{ResponseFault, SimpleRequest, SimpleResponse};
use webinar_bridge::hubspot::{AccountApiSettings, AccountClient, AccountCredentials, RateLimit};
use webinar_bridge::ledger::{
    AccountStatuses, BaseRead, BaseReadOutcome, BaseReads, ClaimRequest, ClaimResult, ClaimedEvent,
    DeliveryOutcome, EventState, EventStateCounts, EventVersion, HubspotRefusal, InputHash, Lease,
    LedgerError, Outbox, RecordResult, Redrive, RedriveProgress, RedriveRequest, RedriveResult,
    Settlement,
};
use webinar_bridge::net::{Http, HttpMethod, HttpRequest, HttpResponse, TransportError};
use webinar_bridge::sandbox::emulator::{
    EmulatorOperation, EmulatorSettings, HANG, HubspotEmulator,
};
use webinar_bridge::telemetry::Metrics;

use super::build::{NOON, account};
use super::process::TOKEN;

/// An emulated HubSpot with latency, which may do less than its answers say.
pub(crate) struct Hubspot {
    emulator: Mutex<HubspotEmulator>,
    clock: VirtualClock,
    pub(crate) latency: Mutex<Duration>,
    /// Events with a name that holds this are left out of the answer to a batch: no result, no error. Alone they get an
    /// empty answer.
    pub(crate) leaves_out: Mutex<Option<String>>,
    /// A batch with an event of such a name fails with this status, and nothing of it is stored; 0: no answer ever
    /// comes.
    pub(crate) fails_over: Mutex<Option<(&'static str, u16)>>,
    /// Single events are confirmed and not kept.
    pub(crate) forgets_singles: Mutex<bool>,
    /// The status of every answered batch, instead of `COMPLETE`.
    pub(crate) batch_status: Mutex<Option<&'static str>>,
    /// The status that the path of the account's details answers with.
    pub(crate) details: Mutex<Option<u16>>,
}

impl Hubspot {
    pub(crate) fn emulator(&self) -> MutexGuard<'_, HubspotEmulator> {
        lock(&self.emulator)
    }

    /// The number of calls of that kind.
    pub(crate) fn calls(&self, operation: EmulatorOperation) -> usize {
        self.emulator().calls().iter().filter(|call| call.operation == Some(operation)).count()
    }

    fn answer(&self, mut request: SimpleRequest) -> SimpleResponse {
        let is_details = request.path.ends_with("/details");
        if let Some(status) = lock(&self.details).filter(|_| is_details) {
            return SimpleResponse { status, headers: Vec::new(), body: Vec::new(), fault: None };
        }
        let is_upsert = request.path.ends_with("/upsert");
        let holds = |name: &str| String::from_utf8_lossy(&request.body).contains(name);
        let failing = lock(&self.fails_over).filter(|(name, _)| is_upsert && holds(name));
        if let Some((_, status)) = failing {
            let fault = (status == 0).then_some(HANG);
            let body = br#"{"status":"PENDING","results":[]}"#.to_vec();
            return SimpleResponse { status, headers: Vec::new(), body, fault };
        }
        let left_out = lock(&self.leaves_out).clone();
        if request.method == "PUT" && left_out.as_deref().is_some_and(holds) {
            return SimpleResponse::json(200, &json!({}));
        }
        if let Some(name) = left_out.filter(|_| is_upsert) {
            let mut body: Value = serde_json::from_slice(&request.body).expect("JSON");
            let inputs = body["inputs"].as_array_mut().expect("inputs");
            inputs.retain(|input| !input["eventName"].as_str().expect("a name").contains(&name));
            if inputs.is_empty() {
                let body = json!({ "status": "COMPLETE", "results": [] }).to_string().into();
                return SimpleResponse { status: 200, headers: Vec::new(), body, fault: None };
            }
            request.body = body.to_string().into();
        }
        let mut reply = self.emulator().handle(self.clock.now(), &request);
        if request.method == "PUT" && *lock(&self.forgets_singles) {
            let shown: Value = serde_json::from_slice(&reply.body).expect("JSON");
            let id = shown["id"].as_str().expect("an id");
            self.emulator().tamper("acct-1", id, |_| None);
        }
        if let Some(word) = lock(&self.batch_status).filter(|_| is_upsert && reply.status == 200) {
            let mut body: Value = serde_json::from_slice(&reply.body).expect("JSON");
            body["status"] = word.into();
            reply.body = body.to_string().into();
        }
        reply
    }
}

#[async_trait]
impl Http for Hubspot {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let half = *lock(&self.latency) / 2;
        tokio::time::sleep(half).await;
        let header = |(name, value): &(std::borrow::Cow<'static, str>, secrecy::SecretString)| {
            (name.to_string(), value.expose_secret().to_owned())
        };
        let reply = self.answer(SimpleRequest {
            method: match request.method {
                HttpMethod::Get => "GET".to_owned(),
                HttpMethod::Post => "POST".to_owned(),
                HttpMethod::Put => "PUT".to_owned(),
            },
            path: request.url.path().to_owned(),
            query: request.url.query().unwrap_or_default().to_owned(),
            headers: request.headers.iter().map(header).collect(),
            body: request.body,
        });
        tokio::time::sleep(half).await;
        match reply.fault {
            Some(ResponseFault::Hang(_)) => {
                tokio::time::sleep(request.timeout).await;
                Err(TransportError::Timeout)
            }
            Some(ResponseFault::Reset | ResponseFault::Truncate) => {
                Err(TransportError::Reset("simulated".into()))
            }
            None => Ok(HttpResponse {
                status: reply.status,
                headers: reply
                    .headers
                    .into_iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value))
                    .collect(),
                body: reply.body,
            }),
        }
    }
}

/// An account's worker with a HubSpot and a ledger.
pub(crate) struct DeliveryHarness {
    pub(crate) hubspot: Arc<Hubspot>,
    pub(crate) ledger: Arc<AccountLedger>,
    pub(crate) settings: DeliverySettings,
    clock: VirtualClock,
    running: Option<(JoinHandle<()>, CancellationToken)>,
}

impl DeliveryHarness {
    /// A harness in which nothing runs and nothing is pending.
    pub(crate) fn new(hubspot: EmulatorSettings) -> Self {
        let clock = VirtualClock::starting_at(NOON);
        let (requests, window) = hubspot.rate;
        Self {
            hubspot: Arc::new(Hubspot {
                emulator: Mutex::new(HubspotEmulator::new(hubspot)),
                clock,
                latency: Mutex::new(Duration::from_millis(50)),
                leaves_out: Mutex::default(),
                fails_over: Mutex::default(),
                forgets_singles: Mutex::default(),
                batch_status: Mutex::default(),
                details: Mutex::default(),
            }),
            ledger: Arc::new(AccountLedger::at(clock)),
            settings: DeliverySettings {
                sends: true,
                rate_limit: RateLimit { requests, window },
                max_batch: 100,
                max_linger: Duration::from_millis(100),
                max_in_flight: 16,
                random: rand::random,
            },
            clock,
            running: None,
        }
    }

    /// Runs a worker with the token that the emulator knows.
    pub(crate) fn start(&mut self) {
        self.start_with(AccountCredentials::Token(webinar_bridge::secret::Secret::Text(
            TOKEN.into(),
        )));
    }

    pub(crate) fn start_with(&mut self, credentials: AccountCredentials) {
        let worker = AccountWorker::new(self.account(credentials));
        let stop = CancellationToken::new();
        self.running = Some((tokio::spawn(worker.run(stop.clone())), stop));
    }

    /// The account with these credentials, to which nothing has been sent yet.
    pub(crate) fn account(&self, credentials: AccountCredentials) -> DeliveryAccount {
        let api = AccountApiSettings {
            base_url: "https://hubspot.example".parse().expect("a URL"),
            path_prefix: "/marketing/v3/marketing-events".to_owned(),
            request_timeout: Duration::from_secs(30),
            credentials,
        };
        let clock: Arc<dyn Clock> = Arc::new(self.clock);
        let main = account("main");
        let metrics = Metrics::new(std::slice::from_ref(&main), &[]);
        let http = Arc::clone(&self.hubspot) as _;
        let hubspot =
            AccountClient::new(main.clone(), api, http, Arc::clone(&clock), metrics.clone());
        let ledger = Arc::clone(&self.ledger) as _;
        DeliveryAccount::new(main, hubspot, self.settings, ledger, clock, metrics)
    }

    /// Stops the worker and waits until it has ended.
    pub(crate) async fn stop(&mut self) {
        let (worker, stop) = self.running.take().expect("it runs");
        stop.cancel();
        worker.await.expect("it ends well");
    }

    /// Waits, on virtual time, until the condition holds. Returns how long that took.
    pub(crate) async fn until(
        &self,
        limit: Duration,
        what: &str,
        mut holds: impl FnMut() -> bool,
    ) -> Duration {
        let began = Instant::now();
        while !holds() {
            let counts = self.ledger.counts();
            assert!(began.elapsed() < limit, "never came true: {what}; {counts:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    }

    /// Waits until nothing is pending or in flight.
    pub(crate) async fn drained(&self, limit: Duration) -> Duration {
        self.until(limit, "all is settled", || {
            let counts = self.ledger.counts();
            counts.pending + counts.in_flight == 0
        })
        .await
    }
}

impl Drop for DeliveryHarness {
    fn drop(&mut self) {
        if let Some((worker, _)) = self.running.take() {
            worker.abort();
        }
        if !std::thread::panicking() {
            let violations = self.hubspot.emulator().violations().to_vec();
            assert!(violations.is_empty(), "HubSpot was sent what it forbids: {violations:#?}");
        }
    }
}

/// An event in memory.
#[derive(Debug, Clone)]
pub(crate) struct LedgerRow {
    pub(crate) key: EventKey,
    pub(crate) input: Vec<u8>,
    pub(crate) state: EventState,
    pub(crate) pending_since: Millis,
    pub(crate) not_before: Millis,
    pub(crate) attempts: u32,
    pub(crate) refused: Option<HubspotRefusal>,
    pub(crate) last_error: Option<String>,
    claimed: bool,
}

/// A ledger in memory for one account, with the promises that delivery relies on.
pub(crate) struct AccountLedger {
    clock: VirtualClock,
    rows: Mutex<BTreeMap<i64, LedgerRow>>,
    status: watch::Sender<AccountStatus>,
    wake_up: Arc<Notify>,
    /// The longest time of a write; writes take different times.
    pub(crate) slowness: Mutex<Duration>,
    writes: AtomicU32,
}

impl AccountLedger {
    fn at(clock: VirtualClock) -> Self {
        Self {
            clock,
            rows: Mutex::default(),
            status: watch::Sender::default(),
            wake_up: Arc::default(),
            slowness: Mutex::default(),
            writes: AtomicU32::default(),
        }
    }

    /// Waits as long as a write takes.
    async fn write(&self) {
        let slowness = *lock(&self.slowness);
        if !slowness.is_zero() {
            let write = self.writes.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(slowness * (write * 37 % 100) / 100).await;
        }
    }

    /// Makes a new event pending.
    pub(crate) fn add(&self, name: &str) {
        let mut rows = lock(&self.rows);
        let id = i64::try_from(rows.len()).expect("a few") + 1;
        let external = ExternalEventId::from_stored(format!("event-{id}"));
        let input = json!({
            "externalAccountId": "acct-1",
            "externalEventId": external.as_str(),
            "eventName": name,
            "eventOrganizer": "Acme GmbH",
        });
        let key = EventKey {
            hubspot: account("main"),
            external_account_id: ExternalAccountId::parse("acct-1").expect("valid"),
            external_event_id: external,
        };
        rows.insert(
            id,
            LedgerRow {
                key,
                input: input.to_string().into_bytes(),
                state: EventState::Pending,
                pending_since: self.clock.now(),
                not_before: Millis::new(0),
                attempts: 0,
                refused: None,
                last_error: None,
                claimed: false,
            },
        );
        drop(rows);
        self.wake_up.notify_one();
    }

    pub(crate) fn rows(&self) -> Vec<LedgerRow> {
        lock(&self.rows).values().cloned().collect()
    }

    pub(crate) fn counts(&self) -> EventStateCounts {
        let mut counts = EventStateCounts::default();
        for row in lock(&self.rows).values() {
            let place = match row.state {
                EventState::Pending if row.claimed => &mut counts.in_flight,
                EventState::Pending => &mut counts.pending,
                EventState::Delivered => &mut counts.delivered,
                EventState::Incomplete => &mut counts.incomplete,
                EventState::Filtered => &mut counts.filtered,
                EventState::Dead => &mut counts.dead,
            };
            *place += 1;
        }
        counts
    }

    /// The account's status.
    pub(crate) fn status(&self) -> AccountStatus {
        self.status.borrow().clone()
    }

    /// Changes the account's status from outside, and wakes the worker.
    pub(crate) fn change_status(&self, change: &StatusChange) {
        self.apply(change);
        self.wake_up.notify_one();
    }

    fn apply(&self, change: &StatusChange) -> StatusUpdate {
        let now = self.clock.now();
        let (mut before, mut after) = (AccountStatus::default(), AccountStatus::default());
        self.status.send_modify(|status| {
            before = status.clone();
            *status = before.apply(change, now);
            after = status.clone();
        });
        StatusUpdate { before, after }
    }
}

impl LedgerRow {
    fn settle(&mut self, outcome: DeliveryOutcome, now: Millis) {
        match outcome {
            DeliveryOutcome::Confirmed { .. } | DeliveryOutcome::AlreadyConfirmed => {
                self.state = EventState::Delivered;
                (self.attempts, self.not_before) = (0, Millis::new(0));
            }
            DeliveryOutcome::Refused(refused) => {
                self.state = EventState::Dead;
                self.refused = Some(refused);
            }
            DeliveryOutcome::RefusalRevoked if self.state == EventState::Dead => {
                (self.state, self.refused) = (EventState::Pending, None);
            }
            DeliveryOutcome::RefusalUpheld(refused) if self.state == EventState::Pending => {
                self.state = EventState::Dead;
                self.refused = Some(refused);
            }
            DeliveryOutcome::RefusalRevoked
            | DeliveryOutcome::RefusalUpheld(_)
            | DeliveryOutcome::NotApplied
            | DeliveryOutcome::Ambiguous => {}
            DeliveryOutcome::RetryCounted { wait, reason } => {
                self.attempts += 1;
                (self.not_before, self.last_error) = (now.plus(wait), Some(reason));
            }
            DeliveryOutcome::RetryUncounted { wait, reason } => {
                (self.not_before, self.last_error) = (now.plus(wait), Some(reason));
            }
        }
    }
}

#[async_trait]
impl Outbox for AccountLedger {
    async fn claim(&self, _: &Lease, ask: ClaimRequest) -> Result<ClaimResult, LedgerError> {
        let now = self.clock.now();
        let mut rows = lock(&self.rows);
        let is_free = |row: &LedgerRow| row.state == EventState::Pending && !row.claimed;
        let ready: Vec<i64> = rows
            .iter()
            .filter(|(_, row)| is_free(row) && row.not_before <= now)
            .map(|(id, _)| *id)
            .collect();
        let ready = ask.select(ready, |id| *id);
        let leaves_at = ready.first().map(|id| rows[id].pending_since.plus(ask.linger));
        if ready.len() < ask.limit && leaves_at.is_none_or(|at| at > now) {
            let waiting = rows.values().filter(|row| is_free(row) && row.not_before > now);
            let next = waiting.map(|row| row.not_before).min();
            return Ok(ClaimResult::Wait(leaves_at.into_iter().chain(next).min()));
        }
        let mut batch = Vec::new();
        for id in ready {
            let Some(row) = rows.get_mut(&id) else { continue };
            row.claimed = true;
            batch.push(ClaimedEvent {
                id,
                key: row.key.clone(),
                version: 1,
                pending_since: row.pending_since,
                attempts: row.attempts,
                input: row.input.as_slice().into(),
                input_hash: InputHash::from_input(&row.input),
                already_confirmed: false,
                is_witness: false,
            });
        }
        Ok(ClaimResult::Batch(batch))
    }

    async fn begin_attempt(
        &self,
        _: &Lease,
        _: &[EventVersion],
    ) -> Result<RecordResult, LedgerError> {
        Ok(RecordResult::Recorded)
    }

    async fn settle(
        &self,
        _: &Lease,
        settled: Vec<Settlement>,
    ) -> Result<RecordResult, LedgerError> {
        self.write().await;
        let now = self.clock.now();
        let mut rows = lock(&self.rows);
        for Settlement { event, outcome } in settled {
            let row = rows.get_mut(&event.id).expect("it was claimed");
            // An event with a revoked refusal was freed when it was refused.
            row.claimed &= matches!(
                outcome,
                DeliveryOutcome::RefusalRevoked | DeliveryOutcome::RefusalUpheld(_)
            );
            row.settle(outcome, now);
        }
        self.wake_up.notify_one();
        Ok(RecordResult::Recorded)
    }

    fn release(&self, _: &Lease, claimed: &[EventVersion]) {
        let mut rows = lock(&self.rows);
        for claimed in claimed {
            rows.get_mut(&claimed.id).expect("it was claimed").claimed = false;
        }
        self.wake_up.notify_one();
    }

    fn wake_up(&self, _: &AccountName) -> Arc<Notify> {
        Arc::clone(&self.wake_up)
    }

    async fn acquire_lease(&self, account: &AccountName) -> Result<Option<Lease>, LedgerError> {
        Ok(Some(Lease::new(account.clone(), 1)))
    }

    async fn has_pending(&self, _: &AccountName) -> Result<bool, LedgerError> {
        Ok(self.counts().pending > 0)
    }
}

/// No event of this ledger was there before it.
#[async_trait]
impl BaseReads for AccountLedger {
    async fn claim_base_read(&self, _: &Lease) -> Result<Option<BaseRead>, LedgerError> {
        Ok(None)
    }

    async fn settle_base_read(
        &self,
        _: &Lease,
        _: &BaseRead,
        _: BaseReadOutcome,
    ) -> Result<RecordResult, LedgerError> {
        unsupported()
    }

    async fn has_base_reads(&self, _: &AccountName) -> Result<bool, LedgerError> {
        Ok(false)
    }

    fn release_base_read(&self, _: &Lease, _: &BaseRead) {}
}

#[async_trait]
impl AccountStatuses for AccountLedger {
    fn watch_status(&self, _: &AccountName) -> watch::Receiver<AccountStatus> {
        self.status.subscribe()
    }

    async fn account_status(&self, _: &AccountName) -> Result<AccountStatus, LedgerError> {
        Ok(self.status())
    }

    async fn update_status(
        &self,
        _: &AccountName,
        change: StatusChange,
    ) -> Result<StatusUpdate, LedgerError> {
        self.write().await;
        Ok(self.apply(&change))
    }
}

#[async_trait]
impl Redrive for AccountLedger {
    async fn redrive(&self, _: &EventKey) -> Result<RedriveResult, LedgerError> {
        unsupported()
    }

    async fn redrive_all(&self, ask: RedriveRequest) -> Result<RedriveProgress, LedgerError> {
        let mut redriven = 0;
        for row in lock(&self.rows).values_mut().filter(|row| row.state == ask.state) {
            redriven += u64::from(row.state != EventState::Pending);
            row.state = EventState::Pending;
        }
        self.wake_up.notify_one();
        Ok(RedriveProgress { redriven, next: None })
    }
}

fn unsupported<T>() -> Result<T, LedgerError> {
    Err(LedgerError::unavailable("only what delivery needs is here"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
