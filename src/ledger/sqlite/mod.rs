//! The ledger on SQLite, inside this process.
//!
//! Promises: those of [`Ledger`], by WAL with `synchronous=FULL`: a commit is on disk when it returns.
//! Relies on: one process (a lock file sees to it) on a local disk.
//! On a crash: SQLite's WAL brings back every commit that returned; claims lived in memory and are free again.
//!
//! When the disk fails: what fails is rolled back and answered as failed, never tried again as it is, so that no later
//! sync can answer for an earlier one. A sync that failed may have left pages clean in memory that never reached the
//! disk (Linux does not write them again). That does no harm here: SQLite moves its end of the WAL only after a good
//! sync, so that the next commit writes over the very frames that failed, and counts pages as copied back only after a
//! good sync of the database, so that the next checkpoint copies them once more. The store stays open and is tried
//! every half second: room that is made, or a disk that works again, is found at once. Receipts are refused before the last room
//! is taken ([`space`]).
//!
//! One thread owns the writing connection and commits what has queued together ([`writer`], [`job`]). Delivering reads
//! on a connection of its own, and people look on another, so that looking never holds up delivering. Checkpoints run
//! beside ([`checkpoint`]), so that the WAL stays bounded without
//! stopping the writer for long.
//! Tools and simulations may do without these threads: [`Hands`].

mod accept;
mod backup;
mod bodies;
mod checkpoint;
mod disk_errors;
mod disk_space;
mod erase;
mod event_detail;
mod events;
mod fetches;
mod job;
mod list_events;
mod live_state;
mod open;
mod prune;
mod read;
mod rebuild;
mod receipts;
mod redrive;
mod settle;
mod side_effects;
mod source_config;
#[cfg(test)]
mod tests;
mod webinar_state;
mod webinars;
mod write_queue;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot, watch};

use super::{
    ClaimRequest, ClaimResult, ClaimedEvent, CommitObserver, ContributingReceipt, EventDetail,
    EventQuery, EventRecord, EventStateCounts, EventSummary, FetchClaim, FetchOutcome,
    FetchRequest, FetchStatus, FetchTask, Ledger, LedgerError, NewReceipt, Page, Policies,
    RebuildRequest, RebuildResult, ReceiptOutcome, ReceiptQuery, ReceiptRecord, ReceiptSummary,
    RedriveProgress, RedriveRequest, RedriveResult, Retention, Settlement, StoreSizes, TimersRun,
    WebinarKey, WebinarState,
};
use crate::clock::Clock;
use crate::event::{
    AccountName, AccountStatus, EventKey, Millis, ReceiptId, SourceName, StatusChange, StatusUpdate,
};
use job::Job;
use live_state::LiveState;
use write_queue::WriteQueue;

pub use backup::{BackupError, BackupSummary, backup};
pub use erase::{EraseError, ErasureSummary, erase};
pub use open::{OpenError, StoreState, inspect, migrate};
pub use source_config::{Rekey, check_sources};
pub use write_queue::Threading;

/// What a store is opened with.
pub struct Settings {
    /// The database file; its folder is made if it is not there.
    pub path: PathBuf,
    /// The accounts of the configuration.
    pub accounts: Vec<AccountName>,
    /// The sources' policies.
    pub policies: Policies,
    /// Whether to bring an older schema up to date.
    pub migrate: bool,
    /// What to do if events would get new ids in HubSpot.
    pub rekey: Rekey,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Told of every commit.
    pub observer: Arc<dyn CommitObserver>,
    /// Whose threads do the work.
    pub threading: Threading,
}

/// An open store.
pub struct SqliteLedger {
    live: Arc<LiveState>,
    reader: Arc<read::Reader>,
    api_reader: Arc<read::Reader>,
    policies: Arc<Policies>,
    queue: WriteQueue,
    threading: Threading,
    clock: Arc<dyn Clock>,
    path: PathBuf,
    /// Held for as long as the store is open: a second process would send everything twice.
    _lock: std::fs::File,
}

impl SqliteLedger {
    /// Opens the store and starts its writer.
    ///
    /// # Errors
    /// [`OpenError`] says what stands in the way and what to do about it.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let lock = open::lock(&settings.path)?;
        let mut connection = open::connect(&settings.path)?;
        open::ensure_schema(&mut connection, settings.migrate)?;
        source_config::compare_and_store(&mut connection, &settings.policies, settings.rekey)?;
        settle::recover(&connection, settings.clock.now())?;
        let sources: Vec<SourceName> = settings.policies.keys().cloned().collect();
        let shared = Arc::new(LiveState::load(&connection, &settings.accounts, &sources)?);
        let reader = Arc::new(read::Reader::new(open::connect(&settings.path)?));
        let looker = Arc::new(read::Reader::new(open::connect_for_api(&settings.path)?));
        let policies = Arc::new(settings.policies.clone());
        let writer = WriteQueue::start(connection, &settings, Arc::clone(&shared))?;
        let Settings { threading: hands, clock, path, .. } = settings;
        Ok(Self {
            live: shared,
            reader,
            api_reader: looker,
            policies,
            queue: writer,
            threading: hands,
            clock,
            path,
            _lock: lock,
        })
    }

    async fn write<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> Job,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.queue.enqueue(job(reply))?;
        answer.await.map_err(|_| LedgerError::Unavailable("the writer stopped".into()))?
    }

    /// Reads what delivering needs.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.read_with(&self.reader, query).await
    }

    /// Reads what people look at, without holding up delivering.
    async fn read_for_api<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.read_with(&self.api_reader, query).await
    }

    async fn read_with<T: Send + 'static>(
        &self,
        reader: &Arc<read::Reader>,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        if self.threading == Threading::Inline {
            return reader.with(query);
        }
        let reader = Arc::clone(reader);
        tokio::task::spawn_blocking(move || reader.with(query))
            .await
            .map_err(|_| LedgerError::Unavailable("reading was interrupted".into()))?
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn accept(&self, receipt: NewReceipt) -> Result<ReceiptOutcome, LedgerError> {
        let share = self.queue.reserve(&receipt.body)?;
        self.write(|reply| Job::Accept { receipt: Box::new(receipt), share, reply }).await
    }

    async fn claim(
        &self,
        account: &AccountName,
        ask: ClaimRequest,
    ) -> Result<ClaimResult, LedgerError> {
        let (account, now) = (account.clone(), self.clock.now());
        let shared = Arc::clone(&self.live);
        self.read(move |connection| read::claim(connection, &shared, &account, &ask, now)).await
    }

    async fn begin_attempt(
        &self,
        _account: &AccountName,
        claimed: &[ClaimedEvent],
    ) -> Result<(), LedgerError> {
        let ids = claimed.iter().map(|claimed| claimed.id).collect();
        self.write(|reply| Job::BeginAttempt { ids, reply }).await
    }

    async fn settle(
        &self,
        account: &AccountName,
        settled: Vec<Settlement>,
    ) -> Result<(), LedgerError> {
        self.write(|reply| Job::Settle { account: account.clone(), settled, reply }).await
    }

    fn release(&self, account: &AccountName, claimed: &[ClaimedEvent]) {
        self.live.release(account, claimed.iter().map(|claimed| claimed.id));
        self.live.wake(account);
    }

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
            self.write(|reply| Job::StoreStatus { account: account.clone(), reply }).await?;
            self.live.mark_status_stored(account, &update.after);
        }
        Ok(update)
    }

    fn wake_up(&self, account: &AccountName) -> Arc<Notify> {
        self.live.wake_up(account)
    }

    fn event_counts(&self) -> BTreeMap<AccountName, EventStateCounts> {
        self.live.event_counts()
    }

    async fn oldest_pending(&self, account: &AccountName) -> Result<Option<Millis>, LedgerError> {
        let account = account.clone();
        self.read(move |connection| read::oldest_pending(connection, &account)).await
    }

    async fn run_timers(&self, most: usize) -> Result<TimersRun, LedgerError> {
        self.write(|reply| Job::RunTimers { most, reply }).await
    }

    async fn request_fetches(
        &self,
        source: &SourceName,
        wanted: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError> {
        let mut asked = 0;
        for piece in wanted.chunks(fetches::PIECE) {
            let (source, wanted) = (source.clone(), piece.to_vec());
            asked += self.write(|reply| Job::RequestFetches { source, wanted, reply }).await?;
        }
        Ok(asked)
    }

    async fn claim_fetches(
        &self,
        source: &SourceName,
        most: usize,
        except: &[i64],
    ) -> Result<FetchClaim, LedgerError> {
        let (source, except, now) = (source.clone(), except.to_vec(), self.clock.now());
        self.read(move |connection| Ok(fetches::claim(connection, &source, most, &except, now)?))
            .await
    }

    async fn settle_fetch(
        &self,
        task: &FetchTask,
        outcome: FetchOutcome,
    ) -> Result<Option<ReceiptOutcome>, LedgerError> {
        let body = outcome.receipt().map_or(&[][..], |receipt| &receipt.body);
        let (share, task) = (self.queue.reserve(body)?, task.clone());
        self.write(|reply| Job::SettleFetch { task, outcome, share, reply }).await
    }

    fn fetch_wake_up(&self, source: &SourceName) -> Arc<Notify> {
        self.live.fetch_wake_up(source)
    }

    fn fetch_statuses(&self) -> BTreeMap<SourceName, FetchStatus> {
        self.live.fetch_statuses()
    }

    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError> {
        self.write(|reply| Job::Prune { keep, reply }).await
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

    fn store_sizes(&self) -> StoreSizes {
        open::sizes(&self.path)
    }

    fn health(&self) -> Result<(), String> {
        self.live.health()
    }

    async fn events(&self, most: usize) -> Result<Vec<EventRecord>, LedgerError> {
        self.read(move |connection| read::events(connection, most)).await
    }

    async fn list_events(&self, ask: EventQuery) -> Result<Page<EventSummary>, LedgerError> {
        let shared = Arc::clone(&self.live);
        self.read_for_api(move |connection| list_events::page(connection, &shared, &ask)).await
    }

    async fn event_detail(&self, key: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        let now = self.clock.now();
        let (key, shared, policies) =
            (key.clone(), Arc::clone(&self.live), Arc::clone(&self.policies));
        self.read_for_api(move |connection| {
            event_detail::detail(connection, &shared, &policies, &key, now)
        })
        .await
    }

    async fn redrive(&self, key: &EventKey) -> Result<RedriveResult, LedgerError> {
        self.write(|reply| Job::Redrive { key: key.clone(), reply }).await
    }

    async fn redrive_all(&self, ask: RedriveRequest) -> Result<RedriveProgress, LedgerError> {
        self.write(|reply| Job::RedriveAll { ask, reply }).await
    }

    async fn list_receipts(&self, ask: ReceiptQuery) -> Result<Page<ReceiptSummary>, LedgerError> {
        self.read_for_api(move |connection| receipts::page(connection, &ask)).await
    }

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptRecord>, LedgerError> {
        self.read_for_api(move |connection| receipts::receipt(connection, id)).await
    }

    async fn webinars_of(&self, receipt: ReceiptId) -> Result<Vec<WebinarState>, LedgerError> {
        self.read_for_api(move |connection| Ok(webinar_state::webinars_of(connection, receipt)?))
            .await
    }

    async fn webinar_state(&self, key: &WebinarKey) -> Result<WebinarState, LedgerError> {
        let key = key.clone();
        self.read_for_api(move |connection| Ok(webinar_state::webinar_state(connection, &key)?))
            .await
    }

    async fn receipts_of(
        &self,
        key: &WebinarKey,
        after: Option<i64>,
    ) -> Result<Page<ContributingReceipt>, LedgerError> {
        let key = key.clone();
        self.read_for_api(move |connection| {
            Ok(webinar_state::receipts_of(connection, &key, after)?)
        })
        .await
    }

    async fn rebuild(&self, rebuild: RebuildRequest) -> Result<RebuildResult, LedgerError> {
        self.write(|reply| Job::Rebuild { rebuild: Box::new(rebuild), reply }).await
    }
}
