//! A ledger whose answers a test sets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore, watch};

use crate::event::{
    AccountName, AccountStatus, BodyHash, EventKey, Millis, ProviderId, ReceiptId, SourceName,
    StatusChange, StatusUpdate,
};
use crate::ledger::{
    AccountStatuses, AttemptStart, Browse, ClaimRequest, ClaimResult, ContributingReceipt,
    EventDetail, EventQuery, EventRecord, EventStateCounts, EventSummary, EventVersion, FetchClaim,
    FetchOutcome, FetchQueue, FetchRequest, FetchStatus, FetchTask, Intake, Lease, LedgerError,
    NewReceipt, Outbox, Page, RebuildRequest, RebuildResult, Rebuilds, ReceiptContent, ReceiptKind,
    ReceiptOutcome, ReceiptQuery, ReceiptRecord, ReceiptSummary, Redrive, RedriveProgress,
    RedriveRequest, RedriveResult, Retention, SettleResult, Settlement, Store, StoreSizes, Timers,
    TimersRun, WebinarKey, WebinarState,
};

pub(crate) fn account() -> AccountName {
    AccountName::parse("main").expect("a name")
}

pub(crate) fn source(name: &str) -> SourceName {
    SourceName::parse(name).expect("a name")
}

/// How the ledger answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LedgerMode {
    Accepting,
    Failing,
    /// Accepts as soon as `gate` permits.
    Waiting,
}

pub(crate) struct FakeLedger {
    pub(crate) mode: Mutex<LedgerMode>,
    pub(crate) kept: Mutex<Vec<NewReceipt>>,
    /// Notified when an acceptance has begun.
    pub(crate) begun: Notify,
    /// Each permit lets one waiting acceptance go on.
    pub(crate) gate: Semaphore,
    pub(crate) counts: Mutex<EventStateCounts>,
    pub(crate) status: Mutex<AccountStatus>,
    pub(crate) oldest: Mutex<Result<Option<Millis>, ()>>,
    pub(crate) health: Mutex<Result<(), String>>,
    /// Number of pieces after which redriving fails.
    pub(crate) breaks_after: AtomicI64,
    /// Reading time of each receipt, oldest first; their numbers count from 1.
    pub(crate) receipts: Mutex<Vec<Duration>>,
}

impl Default for FakeLedger {
    fn default() -> Self {
        Self {
            mode: Mutex::new(LedgerMode::Accepting),
            kept: Mutex::default(),
            begun: Notify::new(),
            gate: Semaphore::new(0),
            counts: Mutex::default(),
            status: Mutex::default(),
            oldest: Mutex::new(Ok(None)),
            health: Mutex::new(Ok(())),
            breaks_after: AtomicI64::new(i64::MAX),
            receipts: Mutex::default(),
        }
    }
}

impl FakeLedger {
    pub(crate) fn set(&self, mode: LedgerMode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Returns `found`, fails or hangs, as the mode is.
    async fn respond<T>(&self, found: T) -> Result<T, LedgerError> {
        let mode = *self.mode.lock().unwrap();
        match mode {
            LedgerMode::Accepting => Ok(found),
            LedgerMode::Failing => Err(LedgerError::unavailable("disk full")),
            LedgerMode::Waiting => std::future::pending().await,
        }
    }

    pub(crate) fn kept(&self) -> Vec<NewReceipt> {
        self.kept.lock().unwrap().clone()
    }
}

#[async_trait]
impl Intake for FakeLedger {
    async fn accept(&self, receipt: NewReceipt) -> Result<ReceiptOutcome, LedgerError> {
        self.begun.notify_one();
        let mode = *self.mode.lock().unwrap();
        match mode {
            LedgerMode::Accepting => {}
            LedgerMode::Failing => return Err(LedgerError::unavailable("disk full")),
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
}

#[async_trait]
impl Outbox for FakeLedger {
    async fn claim(&self, _: &Lease, _: ClaimRequest) -> Result<ClaimResult, LedgerError> {
        unreachable!("the listeners do not deliver")
    }

    async fn begin_attempt(
        &self,
        _: &Lease,
        _: &[EventVersion],
    ) -> Result<AttemptStart, LedgerError> {
        unreachable!("the listeners send nothing")
    }

    async fn settle(&self, _: &Lease, _: Vec<Settlement>) -> Result<SettleResult, LedgerError> {
        unreachable!("the listeners do not deliver")
    }

    fn release(&self, _: &Lease, _: &[EventVersion]) {
        unreachable!("the listeners do not deliver")
    }

    fn wake_up(&self, _: &AccountName) -> Arc<Notify> {
        unreachable!("the listeners do not deliver")
    }

    async fn acquire_lease(&self, _: &AccountName) -> Result<Option<Lease>, LedgerError> {
        unreachable!("the listeners do not deliver")
    }

    async fn has_pending(&self, _: &AccountName) -> Result<bool, LedgerError> {
        unreachable!("the listeners do not deliver")
    }
}

#[async_trait]
impl AccountStatuses for FakeLedger {
    async fn account_status(&self, _account: &AccountName) -> Result<AccountStatus, LedgerError> {
        Ok(self.status.lock().unwrap().clone())
    }

    async fn update_status(
        &self,
        _: &AccountName,
        _: StatusChange,
    ) -> Result<StatusUpdate, LedgerError> {
        unreachable!("the listeners do not deliver")
    }

    fn watch_status(&self, _: &AccountName) -> watch::Receiver<AccountStatus> {
        unreachable!("the listeners do not deliver")
    }
}

#[async_trait]
impl FetchQueue for FakeLedger {
    async fn request_fetches(
        &self,
        _: &SourceName,
        _: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError> {
        unreachable!("the listeners fetch nothing")
    }

    async fn claim_fetches(&self, _: &SourceName, _: usize) -> Result<FetchClaim, LedgerError> {
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

    async fn fetch_statuses(&self) -> Result<BTreeMap<SourceName, FetchStatus>, LedgerError> {
        Ok(BTreeMap::new())
    }

    fn release_fetch(&self, _: &FetchTask) {
        unreachable!("the listeners fetch nothing")
    }
}

#[async_trait]
impl Timers for FakeLedger {
    async fn run_timers(&self, _: usize) -> Result<TimersRun, LedgerError> {
        unreachable!("the listeners do no housekeeping")
    }

    async fn prune(&self, _: Retention) -> Result<bool, LedgerError> {
        unreachable!("the listeners do no housekeeping")
    }
}

#[async_trait]
impl Browse for FakeLedger {
    async fn event_counts(&self) -> Result<BTreeMap<AccountName, EventStateCounts>, LedgerError> {
        Ok([(account(), *self.counts.lock().unwrap())].into())
    }

    async fn oldest_pending(&self, _account: &AccountName) -> Result<Option<Millis>, LedgerError> {
        self.respond(()).await?;
        self.oldest.lock().unwrap().map_err(|()| LedgerError::unavailable("locked"))
    }

    async fn events(&self, _: usize) -> Result<Vec<EventRecord>, LedgerError> {
        unreachable!("the listeners do not read events")
    }

    async fn list_events(&self, _: EventQuery) -> Result<Page<EventSummary>, LedgerError> {
        self.respond(Page { items: Vec::new(), next: None }).await
    }

    async fn event_detail(&self, _: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        unreachable!("the webhook listener does not read it")
    }

    async fn list_receipts(&self, ask: ReceiptQuery) -> Result<Page<ReceiptSummary>, LedgerError> {
        let all = self.receipts.lock().unwrap().len();
        let before = ask.after.map_or(all + 1, |after| usize::try_from(after).unwrap());
        let items = (1..before).rev().take(ask.limit).map(summary_of).collect();
        let last = before.saturating_sub(ask.limit);
        let next = (last > 1).then(|| i64::try_from(last).unwrap());
        Ok(Page { items, next })
    }

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptRecord>, LedgerError> {
        let number = usize::from(id.as_bytes()[15]);
        let takes = self.receipts.lock().unwrap().get(number.wrapping_sub(1)).copied();
        let Some(takes) = takes else { return self.respond(None).await };
        tokio::time::sleep(takes).await;
        let summary = summary_of(number);
        Ok(Some(ReceiptRecord { summary, headers: Vec::new(), body: None, events: Vec::new() }))
    }
}

#[async_trait]
impl Redrive for FakeLedger {
    async fn redrive(&self, _: &EventKey) -> Result<RedriveResult, LedgerError> {
        unreachable!("the webhook listener does not read it")
    }

    async fn redrive_all(&self, ask: RedriveRequest) -> Result<RedriveProgress, LedgerError> {
        let after = ask.after.unwrap_or_default();
        if after >= self.breaks_after.load(Ordering::Relaxed) {
            return Err(LedgerError::unavailable("disk full"));
        }
        self.respond(RedriveProgress { redriven: 10, next: Some(after + 1) }).await
    }
}

#[async_trait]
impl Rebuilds for FakeLedger {
    async fn webinars_of(&self, _: ReceiptId) -> Result<Vec<WebinarState>, LedgerError> {
        unreachable!("the webhook listener does not read it")
    }

    async fn webinar_state(&self, _: &WebinarKey) -> Result<WebinarState, LedgerError> {
        unreachable!("the webhook listener does not read it")
    }

    async fn receipts_of(
        &self,
        _: &WebinarKey,
        _: Option<i64>,
    ) -> Result<Page<ContributingReceipt>, LedgerError> {
        unreachable!("the webhook listener does not read it")
    }

    async fn rebuild(&self, _: RebuildRequest) -> Result<RebuildResult, LedgerError> {
        unreachable!("the webhook listener does not read it")
    }
}

#[async_trait]
impl Store for FakeLedger {
    fn health(&self) -> Result<(), String> {
        self.health.lock().unwrap().clone()
    }

    async fn store_sizes(&self) -> Result<StoreSizes, LedgerError> {
        Ok(StoreSizes { store: 4_096, free: 1_024, wal: 512 })
    }

    async fn close(&self) {
        unreachable!("the listeners close nothing")
    }
}

/// A receipt with that number.
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
