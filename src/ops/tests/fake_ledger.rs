//! A ledger whose answers to operators a test sets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use crate::event::{
    AccountName, AccountStatus, BodyHash, EventKey, ExternalAccountId, Millis, ProviderId,
    ReceiptId, SourceName, StatusChange, StatusUpdate, WebinarId,
};
use crate::ledger::{
    AccountStatuses, Browse, EventDetail, EventQuery, EventStateCounts, EventSummary, FetchClaim,
    FetchOutcome, FetchQuery, FetchQueue, FetchRedrive, FetchRequest, FetchStatus, FetchSummary,
    FetchTask, LedgerError, Page, RebuildRequest, RebuildResult, Rebuilds, ReceiptDetail,
    ReceiptKind, ReceiptOutcome, ReceiptQuery, ReceiptRecord, ReceiptSummary, Redrive,
    RedriveProgress, RedriveRequest, RedriveResult, Store, StoreSizes, WebinarKey, WebinarState,
};
use crate::receive::tests::fake_intake::{account, source};

/// How the ledger answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LedgerMode {
    Answering,
    Failing,
    Hanging,
}

pub(super) struct FakeLedger {
    mode: Mutex<LedgerMode>,
    pub(super) counts: Mutex<EventStateCounts>,
    pub(super) status: Mutex<AccountStatus>,
    pub(super) oldest: Mutex<Result<Option<Millis>, ()>>,
    pub(super) health: Mutex<Result<(), String>>,
    /// Number of pieces after which redriving fails.
    pub(super) breaks_after: AtomicI64,
    /// Reading time of each receipt, oldest first; their numbers count from 1.
    pub(super) receipts: Mutex<Vec<Duration>>,
}

impl Default for FakeLedger {
    fn default() -> Self {
        Self {
            mode: Mutex::new(LedgerMode::Answering),
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
    pub(super) fn set(&self, mode: LedgerMode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Returns `found`, fails or hangs, as the mode is.
    async fn respond<T>(&self, found: T) -> Result<T, LedgerError> {
        let mode = *self.mode.lock().unwrap();
        match mode {
            LedgerMode::Answering => Ok(found),
            LedgerMode::Failing => Err(LedgerError::unavailable("disk full")),
            LedgerMode::Hanging => std::future::pending().await,
        }
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
        unreachable!("the test delivers nothing")
    }

    fn watch_status(&self, _: &AccountName) -> watch::Receiver<AccountStatus> {
        unreachable!("the test delivers nothing")
    }
}

#[async_trait]
impl FetchQueue for FakeLedger {
    async fn request_fetches(
        &self,
        _: &SourceName,
        _: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError> {
        unreachable!("the test fetches nothing")
    }

    async fn claim_fetches(&self, _: &SourceName, _: usize) -> Result<FetchClaim, LedgerError> {
        unreachable!("the test fetches nothing")
    }

    async fn settle_fetch(
        &self,
        _: &FetchTask,
        _: FetchOutcome,
    ) -> Result<Option<ReceiptOutcome>, LedgerError> {
        unreachable!("the test fetches nothing")
    }

    fn fetch_wake_up(&self, _: &SourceName) -> Arc<Notify> {
        unreachable!("the test fetches nothing")
    }

    async fn fetch_statuses(&self) -> Result<BTreeMap<SourceName, FetchStatus>, LedgerError> {
        Ok(BTreeMap::new())
    }

    async fn list_fetches(&self, _: FetchQuery) -> Result<Page<FetchSummary>, LedgerError> {
        unreachable!("the test fetches nothing")
    }

    async fn redrive_fetches(&self, _: FetchRedrive) -> Result<RedriveProgress, LedgerError> {
        unreachable!("the test fetches nothing")
    }

    async fn coming_webinars(
        &self,
        _: &SourceName,
        _: Option<i64>,
    ) -> Result<Page<WebinarId>, LedgerError> {
        unreachable!("the test fetches nothing")
    }

    async fn accounts_of(
        &self,
        _: &SourceName,
        _: &WebinarId,
    ) -> Result<Vec<ExternalAccountId>, LedgerError> {
        unreachable!("the test fetches nothing")
    }

    async fn note_fetch_config(&self, _: &SourceName, _: [u8; 32]) -> Result<u64, LedgerError> {
        unreachable!("the test fetches nothing")
    }

    fn release_fetch(&self, _: &FetchTask) {
        unreachable!("the test fetches nothing")
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

    async fn list_events(&self, _: EventQuery) -> Result<Page<EventSummary>, LedgerError> {
        self.respond(Page { items: Vec::new(), next: None }).await
    }

    async fn event_detail(&self, _: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        unreachable!("the test does not ask for it")
    }

    async fn list_receipts(&self, ask: ReceiptQuery) -> Result<Page<ReceiptSummary>, LedgerError> {
        let all = self.receipts.lock().unwrap().len();
        let before = ask.after.map_or(all + 1, |after| usize::try_from(after).unwrap());
        let items = (1..before).rev().take(ask.limit).map(summary_of).collect();
        let last = before.saturating_sub(ask.limit);
        let next = (last > 1).then(|| i64::try_from(last).unwrap());
        Ok(Page { items, next })
    }

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptDetail>, LedgerError> {
        let number = usize::from(id.as_bytes()[15]);
        let takes = self.receipts.lock().unwrap().get(number.wrapping_sub(1)).copied();
        let Some(takes) = takes else { return self.respond(None).await };
        tokio::time::sleep(takes).await;
        let summary = summary_of(number);
        let record = ReceiptRecord { seq: 1, summary, headers: Vec::new(), body: None };
        Ok(Some(ReceiptDetail { record, events: Vec::new() }))
    }
}

#[async_trait]
impl Redrive for FakeLedger {
    async fn redrive(&self, _: &EventKey) -> Result<RedriveResult, LedgerError> {
        unreachable!("the test does not ask for it")
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
        unreachable!("the test does not ask for it")
    }

    async fn webinar_state(&self, _: &WebinarKey) -> Result<WebinarState, LedgerError> {
        unreachable!("the test does not ask for it")
    }

    async fn receipts_of(
        &self,
        _: &WebinarKey,
        _: Option<i64>,
    ) -> Result<Page<ReceiptRecord>, LedgerError> {
        unreachable!("the test does not ask for it")
    }

    async fn rebuild(&self, _: RebuildRequest) -> Result<RebuildResult, LedgerError> {
        unreachable!("the test does not ask for it")
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
        unreachable!("the test closes nothing")
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
