//! The traits of the contract.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use super::{MemoryLedger, browse, fetches, merge, outbox, rebuild, timers};
use crate::event::{
    AccountName, AccountStatus, EventKey, FetchRequest, Millis, ReceiptId, SourceName,
    StatusChange, StatusUpdate,
};
use crate::ledger::{
    AccountStatuses, AttemptStart, Browse, ClaimRequest, ClaimResult, ContributingReceipt,
    EventDetail, EventQuery, EventRecord, EventStateCounts, EventSummary, EventVersion, FetchClaim,
    FetchOutcome, FetchQueue, FetchStatus, FetchTask, Intake, Lease, LedgerError, NewReceipt,
    Outbox, Page, RebuildRequest, RebuildResult, Rebuilds, ReceiptOutcome, ReceiptQuery,
    ReceiptRecord, ReceiptSummary, Redrive, RedriveProgress, RedriveRequest, RedriveResult,
    Retention, SettleResult, Settlement, Store, StoreSizes, Timers, TimersRun, WebinarKey,
    WebinarState,
};

/// Every answer is kept.
fn always<T>(_answer: &T) -> bool {
    true
}

#[async_trait]
impl Intake for MemoryLedger {
    async fn accept(&self, receipt: NewReceipt) -> Result<ReceiptOutcome, LedgerError> {
        self.write(|tx| merge::accept(tx, &receipt), always)
    }
}

#[async_trait]
impl Outbox for MemoryLedger {
    async fn acquire_lease(&self, account: &AccountName) -> Result<Option<Lease>, LedgerError> {
        Ok(self.live().acquire_lease(account))
    }

    async fn claim(
        &self,
        lease: &Lease,
        request: ClaimRequest,
    ) -> Result<ClaimResult, LedgerError> {
        let now = self.clock.now();
        Ok(self.read(|state, live| {
            if !live.holds(lease) {
                return ClaimResult::LeaseLost;
            }
            outbox::claim(state, live, lease.account(), &request, now)
        }))
    }

    async fn begin_attempt(
        &self,
        lease: &Lease,
        events: &[EventVersion],
    ) -> Result<AttemptStart, LedgerError> {
        let begin = |tx: &mut super::Transaction<'_>| {
            if !tx.live.holds(lease) {
                return AttemptStart::LeaseLost;
            }
            outbox::begin_attempt(tx, events);
            AttemptStart::Started
        };
        self.write(begin, always)
    }

    async fn settle(
        &self,
        lease: &Lease,
        settlements: Vec<Settlement>,
    ) -> Result<SettleResult, LedgerError> {
        let account = lease.account();
        let settle = |tx: &mut super::Transaction<'_>| {
            tx.live.holds(lease).then(|| outbox::settle(tx, account, &settlements))
        };
        match self.write(settle, Option::is_some)? {
            Some(freed) => {
                self.live().release(account, freed.into_iter());
                self.wake(account);
                Ok(SettleResult::Settled)
            }
            None => Ok(SettleResult::LeaseLost),
        }
    }

    fn release(&self, lease: &Lease, events: &[EventVersion]) {
        let mut live = self.live();
        if live.holds(lease) {
            live.release(lease.account(), events.iter().map(|event| event.id));
        }
        drop(live);
        self.wake(lease.account());
    }

    async fn has_pending(&self, account: &AccountName) -> Result<bool, LedgerError> {
        Ok(self.read(|state, live| outbox::has_pending(state, live, account)))
    }

    fn wake_up(&self, account: &AccountName) -> Arc<Notify> {
        self.notify.get(account).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl AccountStatuses for MemoryLedger {
    fn watch_status(&self, account: &AccountName) -> watch::Receiver<AccountStatus> {
        let unknown = || watch::Sender::new(AccountStatus::default()).subscribe();
        self.statuses.get(account).map_or_else(unknown, watch::Sender::subscribe)
    }

    async fn account_status(&self, account: &AccountName) -> Result<AccountStatus, LedgerError> {
        Ok(self.read(|state, _| state.statuses.get(account).cloned().unwrap_or_default()))
    }

    async fn update_status(
        &self,
        account: &AccountName,
        change: StatusChange,
    ) -> Result<StatusUpdate, LedgerError> {
        let update = |tx: &mut super::Transaction<'_>| {
            let before = tx.state.statuses.get(account).cloned().unwrap_or_default();
            let after = before.apply(&change, tx.now);
            if before != after {
                outbox::store_status(tx, account, &before, &after);
            }
            StatusUpdate { before, after }
        };
        let update = self.write(update, |update| update.before != update.after)?;
        if let Some(status) = self.statuses.get(account) {
            status.send_if_modified(|status| {
                let is_changed = *status != update.after;
                status.clone_from(&update.after);
                is_changed
            });
        }
        Ok(update)
    }
}

#[async_trait]
impl FetchQueue for MemoryLedger {
    async fn request_fetches(
        &self,
        source: &SourceName,
        requests: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError> {
        self.write(|tx| fetches::request(tx, source, &requests, tx.now), always)
    }

    async fn claim_fetches(
        &self,
        source: &SourceName,
        limit: usize,
    ) -> Result<FetchClaim, LedgerError> {
        let now = self.clock.now();
        Ok(self.read(|state, live| fetches::claim(state, live, source, limit, now)))
    }

    async fn settle_fetch(
        &self,
        task: &FetchTask,
        outcome: FetchOutcome,
    ) -> Result<Option<ReceiptOutcome>, LedgerError> {
        self.write(|tx| fetches::settle(tx, task, outcome), always)
    }

    fn release_fetch(&self, task: &FetchTask) {
        self.live().fetch_claims.remove(&task.id);
    }

    fn fetch_wake_up(&self, source: &SourceName) -> Arc<Notify> {
        self.notify_fetch.get(source).cloned().unwrap_or_default()
    }

    async fn fetch_statuses(&self) -> Result<BTreeMap<SourceName, FetchStatus>, LedgerError> {
        Ok(self.read(|state, _| fetches::statuses(state, &self.policies)))
    }
}

#[async_trait]
impl Timers for MemoryLedger {
    async fn run_timers(&self, limit: usize) -> Result<TimersRun, LedgerError> {
        self.write(|tx| timers::run(tx, limit), always)
    }

    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError> {
        self.write(|tx| timers::prune(tx, keep), always)
    }
}

#[async_trait]
impl Browse for MemoryLedger {
    async fn event_counts(&self) -> Result<BTreeMap<AccountName, EventStateCounts>, LedgerError> {
        Ok(self.read(|state, live| browse::event_counts(state, live, &self.accounts)))
    }

    async fn oldest_pending(&self, account: &AccountName) -> Result<Option<Millis>, LedgerError> {
        Ok(self.read(|state, _| outbox::oldest_pending(state, account)))
    }

    async fn events(&self, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        Ok(self.read(|state, _| browse::events(state, limit)))
    }

    async fn list_events(&self, query: EventQuery) -> Result<Page<EventSummary>, LedgerError> {
        Ok(self.read(|state, live| browse::list_events(state, live, &query)))
    }

    async fn event_detail(&self, key: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        let now = self.clock.now();
        Ok(self.read(|state, live| browse::event_detail(state, live, &self.policies, key, now)))
    }

    async fn list_receipts(
        &self,
        query: ReceiptQuery,
    ) -> Result<Page<ReceiptSummary>, LedgerError> {
        Ok(self.read(|state, _| browse::list_receipts(state, &query)))
    }

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptRecord>, LedgerError> {
        Ok(self.read(|state, _| browse::receipt(state, id)))
    }
}

#[async_trait]
impl Redrive for MemoryLedger {
    async fn redrive(&self, key: &EventKey) -> Result<RedriveResult, LedgerError> {
        self.write(|tx| timers::redrive_one(tx, key), always)
    }

    async fn redrive_all(&self, request: RedriveRequest) -> Result<RedriveProgress, LedgerError> {
        self.write(|tx| timers::redrive_all(tx, &request), always)
    }
}

#[async_trait]
impl Rebuilds for MemoryLedger {
    async fn webinars_of(&self, receipt: ReceiptId) -> Result<Vec<WebinarState>, LedgerError> {
        Ok(self.read(|state, _| rebuild::webinars_of(state, receipt)))
    }

    async fn webinar_state(&self, key: &WebinarKey) -> Result<WebinarState, LedgerError> {
        Ok(self.read(|state, _| rebuild::webinar_state(state, key)))
    }

    async fn receipts_of(
        &self,
        key: &WebinarKey,
        after: Option<i64>,
    ) -> Result<Page<ContributingReceipt>, LedgerError> {
        Ok(self.read(|state, _| rebuild::receipts_of(state, key, after)))
    }

    async fn rebuild(&self, request: RebuildRequest) -> Result<RebuildResult, LedgerError> {
        self.write(|tx| rebuild::rebuild(tx, &request), |result| *result == RebuildResult::Done)
    }
}

#[async_trait]
impl Store for MemoryLedger {
    fn health(&self) -> Result<(), String> {
        if self.live().is_closed { Err("the store is closed".to_owned()) } else { Ok(()) }
    }

    async fn store_sizes(&self) -> Result<StoreSizes, LedgerError> {
        // There is no file.
        Ok(StoreSizes::default())
    }

    async fn close(&self) {
        self.live().is_closed = true;
    }
}
