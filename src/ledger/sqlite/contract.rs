//! The contract's traits: each call is handed to the writer, or read on one of the reading connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot, watch};

use super::job::JobKind;
use super::transaction::WriteTx;
use super::{
    SqliteLedger, Threading, accept, base_reads, claims, event_detail, fetch_admin, fetches,
    list_events, open, prune, rebuild, receipts, redrive, settle, timers, webinar_state,
};
use crate::event::{
    AccountName, AccountStatus, EventKey, ExternalAccountId, FetchRequest, Millis, ReceiptId,
    SourceName, StatusChange, StatusUpdate, WebinarId,
};
use crate::ledger::rules::fetch::FetchRequester;
use crate::ledger::{
    AccountStatuses, BaseRead, BaseReadOutcome, BaseReads, Browse, ClaimRequest, ClaimResult,
    EventDetail, EventQuery, EventStateCounts, EventSummary, EventVersion, FetchClaim,
    FetchOutcome, FetchQuery, FetchQueue, FetchRedrive, FetchStatus, FetchSummary, FetchTask,
    Intake, Lease, LedgerError, NewReceipt, Outbox, Page, RebuildRequest, RebuildResult, Rebuilds,
    ReceiptDetail, ReceiptOutcome, ReceiptQuery, ReceiptRecord, ReceiptSummary, RecordResult,
    Redrive, RedriveProgress, RedriveRequest, RedriveResult, Retention, Settlement, Store,
    StoreSizes, Timers, TimersRun, WebinarKey, WebinarState,
};

/// The fencing number of every lease: the file's lock sees to it that there is one process.
const FENCE: u64 = 1;

#[async_trait]
impl Intake for SqliteLedger {
    async fn accept(&self, receipt: NewReceipt) -> Result<ReceiptOutcome, LedgerError> {
        let share = self.queue.reserve(&receipt.body)?;
        self.write(JobKind::Receipt, move |tx| {
            let _share = share;
            accept::accept(tx, &receipt)
        })
        .await
    }
}

#[async_trait]
impl Outbox for SqliteLedger {
    async fn acquire_lease(&self, account: &AccountName) -> Result<Option<Lease>, LedgerError> {
        Ok(Some(Lease::new(account.clone(), FENCE)))
    }

    async fn claim(
        &self,
        lease: &Lease,
        request: ClaimRequest,
    ) -> Result<ClaimResult, LedgerError> {
        let account = lease.account().clone();
        self.read(&self.reader, move |tx| claims::claim(tx, &account, &request)).await
    }

    async fn begin_attempt(
        &self,
        _lease: &Lease,
        events: &[EventVersion],
    ) -> Result<RecordResult, LedgerError> {
        let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
        self.write(JobKind::Upkeep, move |tx| settle::begin_attempt(tx, &ids)).await?;
        Ok(RecordResult::Recorded)
    }

    async fn settle(
        &self,
        lease: &Lease,
        settlements: Vec<Settlement>,
    ) -> Result<RecordResult, LedgerError> {
        let account = lease.account().clone();
        self.write(JobKind::Upkeep, move |tx| settle::settle(tx, &account, &settlements)).await?;
        Ok(RecordResult::Recorded)
    }

    fn release(&self, lease: &Lease, events: &[EventVersion]) {
        self.live.release(lease.account(), events.iter().map(|event| event.id));
        self.live.wake(lease.account());
    }

    async fn has_pending(&self, account: &AccountName) -> Result<bool, LedgerError> {
        Ok(self.live.event_counts().get(account).is_some_and(|counts| counts.pending > 0))
    }

    fn wake_up(&self, account: &AccountName) -> Arc<Notify> {
        self.live.wake_up(account)
    }
}

#[async_trait]
impl BaseReads for SqliteLedger {
    async fn claim_base_read(&self, lease: &Lease) -> Result<Option<BaseRead>, LedgerError> {
        let account = lease.account().clone();
        if !self.live.bases(&account, |bases| bases.may_have_events()) {
            return Ok(None);
        }
        self.read(&self.reader, move |tx| base_reads::claim(tx, &account)).await
    }

    async fn settle_base_read(
        &self,
        lease: &Lease,
        read: &BaseRead,
        outcome: BaseReadOutcome,
    ) -> Result<RecordResult, LedgerError> {
        let (account, read) = (lease.account().clone(), read.clone());
        let record = move |tx: &mut WriteTx<'_>| base_reads::settle(tx, &account, &read, outcome);
        self.write(JobKind::Upkeep, record).await?;
        Ok(RecordResult::Recorded)
    }

    async fn has_base_reads(&self, account: &AccountName) -> Result<bool, LedgerError> {
        if !self.live.bases(account, |bases| bases.may_have_events()) {
            return Ok(false);
        }
        let account = account.clone();
        self.read(&self.reader, move |tx| base_reads::has_unread(tx, &account)).await
    }

    fn release_base_read(&self, lease: &Lease, read: &BaseRead) {
        self.live.bases(lease.account(), |bases| bases.release(read.id));
        self.live.wake(lease.account());
    }
}

#[async_trait]
impl AccountStatuses for SqliteLedger {
    fn watch_status(&self, account: &AccountName) -> watch::Receiver<AccountStatus> {
        self.live.watch_status(account)
    }

    async fn account_status(&self, account: &AccountName) -> Result<AccountStatus, LedgerError> {
        Ok(self.live.account_status(account))
    }

    async fn update_status(
        &self,
        account: &AccountName,
        change: StatusChange,
    ) -> Result<StatusUpdate, LedgerError> {
        let update = self.live.update_status(account, &change, self.clock.now());
        if update.before != update.after {
            // The change holds from now on, stored or not, so the account is woken now.
            self.live.wake(account);
        }
        if !self.live.is_status_stored(account) {
            let stored = account.clone();
            self.write(JobKind::Upkeep, move |tx| settle::store_status(tx, &stored)).await?;
            self.live.mark_status_stored(account, &update.after);
        }
        Ok(update)
    }
}

#[async_trait]
impl FetchQueue for SqliteLedger {
    async fn request_fetches(
        &self,
        source: &SourceName,
        requests: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError> {
        let mut requested = 0;
        for piece in requests.chunks(fetches::PIECE) {
            let (source, requests) = (source.clone(), piece.to_vec());
            let request = move |tx: &mut WriteTx<'_>| {
                fetches::request(tx, &source, &requests, FetchRequester::Other, tx.now)
            };
            requested += self.write(JobKind::NewData, request).await?;
        }
        Ok(requested)
    }

    async fn claim_fetches(
        &self,
        source: &SourceName,
        limit: usize,
    ) -> Result<FetchClaim, LedgerError> {
        let source = source.clone();
        self.read(&self.reader, move |tx| fetches::claim(tx, &source, limit)).await
    }

    async fn settle_fetch(
        &self,
        task: &FetchTask,
        outcome: FetchOutcome,
    ) -> Result<Option<ReceiptOutcome>, LedgerError> {
        let kind = JobKind::of_fetch(&outcome);
        let body = outcome.receipt().map_or(&[][..], |receipt| &receipt.body);
        let (share, task) = (self.queue.reserve(body)?, task.clone());
        self.write(kind, move |tx| {
            let _share = share;
            fetches::settle(tx, &task, outcome)
        })
        .await
    }

    fn release_fetch(&self, task: &FetchTask) {
        self.live.release_fetch(task);
    }

    fn fetch_wake_up(&self, source: &SourceName) -> Arc<Notify> {
        self.live.fetch_wake_up(source)
    }

    async fn fetch_statuses(&self) -> Result<BTreeMap<SourceName, FetchStatus>, LedgerError> {
        Ok(self.live.fetch_statuses())
    }

    async fn list_fetches(&self, query: FetchQuery) -> Result<Page<FetchSummary>, LedgerError> {
        self.read(&self.api_reader, move |tx| fetch_admin::page(tx, &query)).await
    }

    async fn redrive_fetches(&self, request: FetchRedrive) -> Result<RedriveProgress, LedgerError> {
        self.write(JobKind::Upkeep, move |tx| fetch_admin::redrive(tx, &request)).await
    }

    async fn coming_webinars(
        &self,
        source: &SourceName,
        after: Option<i64>,
    ) -> Result<Page<WebinarId>, LedgerError> {
        let source = source.clone();
        self.read(&self.api_reader, move |tx| fetch_admin::coming(tx, &source, after)).await
    }

    async fn accounts_of(
        &self,
        source: &SourceName,
        webinar: &WebinarId,
    ) -> Result<Vec<ExternalAccountId>, LedgerError> {
        let (source, webinar) = (source.clone(), webinar.clone());
        self.read(&self.api_reader, move |tx| fetch_admin::accounts_of(tx, &source, &webinar)).await
    }

    async fn note_fetch_config(
        &self,
        source: &SourceName,
        digest: [u8; 32],
    ) -> Result<u64, LedgerError> {
        let source = source.clone();
        self.write(JobKind::Upkeep, move |tx| fetch_admin::note_config(tx, &source, digest)).await
    }
}

#[async_trait]
impl Timers for SqliteLedger {
    async fn run_timers(&self, limit: usize) -> Result<TimersRun, LedgerError> {
        self.write(JobKind::Upkeep, move |tx| timers::run_timers(tx, limit)).await
    }

    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError> {
        self.write(JobKind::Upkeep, move |tx| Ok(prune::prune(tx, keep)?)).await
    }
}

#[async_trait]
impl Browse for SqliteLedger {
    async fn event_counts(&self) -> Result<BTreeMap<AccountName, EventStateCounts>, LedgerError> {
        Ok(self.live.event_counts())
    }

    async fn oldest_pending(&self, account: &AccountName) -> Result<Option<Millis>, LedgerError> {
        let account = account.clone();
        self.read(&self.reader, move |tx| claims::oldest_pending(tx, &account)).await
    }

    async fn list_events(&self, query: EventQuery) -> Result<Page<EventSummary>, LedgerError> {
        self.read(&self.api_reader, move |tx| list_events::page(tx, &query)).await
    }

    async fn event_detail(&self, key: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        let key = key.clone();
        self.read(&self.api_reader, move |tx| event_detail::detail(tx, &key)).await
    }

    async fn list_receipts(
        &self,
        query: ReceiptQuery,
    ) -> Result<Page<ReceiptSummary>, LedgerError> {
        self.read(&self.api_reader, move |tx| receipts::page(tx, &query)).await
    }

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptDetail>, LedgerError> {
        self.read(&self.api_reader, move |tx| receipts::receipt(tx, id)).await
    }
}

#[async_trait]
impl Redrive for SqliteLedger {
    async fn redrive(&self, key: &EventKey) -> Result<RedriveResult, LedgerError> {
        let key = key.clone();
        self.write(JobKind::Upkeep, move |tx| redrive::redrive(tx, &key)).await
    }

    async fn redrive_all(&self, request: RedriveRequest) -> Result<RedriveProgress, LedgerError> {
        self.write(JobKind::Upkeep, move |tx| redrive::redrive_all(tx, &request)).await
    }
}

#[async_trait]
impl Rebuilds for SqliteLedger {
    async fn webinars_of(&self, receipt: ReceiptId) -> Result<Vec<WebinarState>, LedgerError> {
        self.read(&self.api_reader, move |tx| webinar_state::webinars_of(tx, receipt)).await
    }

    async fn webinar_state(&self, key: &WebinarKey) -> Result<WebinarState, LedgerError> {
        let key = key.clone();
        self.read(&self.api_reader, move |tx| Ok(webinar_state::read(tx.connection, key)?.1)).await
    }

    async fn receipts_of(
        &self,
        key: &WebinarKey,
        after: Option<i64>,
    ) -> Result<Page<ReceiptRecord>, LedgerError> {
        let key = key.clone();
        self.read(&self.api_reader, move |tx| webinar_state::receipts_of(tx, &key, after)).await
    }

    async fn rebuild(&self, request: RebuildRequest) -> Result<RebuildResult, LedgerError> {
        self.write(JobKind::Upkeep, move |tx| rebuild::rebuild(tx, &request)).await
    }
}

#[async_trait]
impl Store for SqliteLedger {
    fn health(&self) -> Result<(), String> {
        self.live.health()
    }

    async fn store_sizes(&self) -> Result<StoreSizes, LedgerError> {
        let path = self.path.clone();
        self.block(move || Ok(open::sizes(&path))).await
    }

    async fn close(&self) {
        let work = self.queue.close();
        if self.threading == Threading::Inline {
            return work();
        }
        let (working, closed) = oneshot::channel::<()>();
        // Not among tokio's threads, for whose end a runtime waits: a disk that hangs must not keep the process.
        let thread = std::thread::Builder::new().name("ledger-close".into()).spawn(move || {
            work();
            drop(working);
        });
        if let Err(error) = thread {
            tracing::warn!(%error, "the store could not be closed; the next start reads its log");
        }
        // Nothing is ever sent; it ends with the work.
        drop(closed.await);
    }
}
