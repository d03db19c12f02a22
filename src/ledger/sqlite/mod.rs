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
mod detail;
mod dossier;
mod effects;
mod erase;
mod events;
mod fetches;
mod hands;
mod job;
mod look;
mod open;
mod prune;
mod read;
mod rebuild;
mod receipts;
mod redrive;
mod settle;
mod shared;
mod sources;
mod space;
#[cfg(test)]
mod tests;
mod trouble;
mod webinars;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};

use super::{
    Acceptance, Amend, Amended, Claim, ClaimAsk, Claimed, Counts, Dossier, Due, EventDetail,
    EventRecord, EventSummary, EventsAsk, FetchClaim, FetchOutcome, FetchStatus, FetchTask, Ledger,
    LedgerError, NewReceipt, Page, Policies, Rebuild, Rebuilt, ReceiptRecord, ReceiptSummary,
    ReceiptsAsk, RedriveAsk, RedrivePiece, Redriven, Retention, Settlement, Sizes, Standing,
    Teller, Wanted, Watcher, WebinarKey,
};
use crate::clock::Clock;
use crate::event::{AccountName, EventKey, Millis, ReceiptId, SourceName};
use hands::Writer;
use job::Job;
use shared::Shared;

pub use backup::{BackupError, Copied, backup};
pub use erase::{EraseError, Erased, erase};
pub use hands::Hands;
pub use open::{OpenError, StoreState, inspect, migrate};
pub use sources::{Rekey, check_sources};

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
    pub watcher: Arc<dyn Watcher>,
    /// Whose threads do the work.
    pub hands: Hands,
}

/// An open store.
pub struct SqliteLedger {
    shared: Arc<Shared>,
    reader: Arc<read::Reader>,
    looker: Arc<read::Reader>,
    policies: Arc<Policies>,
    writer: Writer,
    hands: Hands,
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
        sources::compare(&mut connection, &settings.policies, settings.rekey)?;
        settle::recover(&connection, settings.clock.now())?;
        let sources: Vec<SourceName> = settings.policies.keys().cloned().collect();
        let shared = Arc::new(Shared::load(&connection, &settings.accounts, &sources)?);
        let reader = Arc::new(read::Reader::new(open::connect(&settings.path)?));
        let looker = Arc::new(read::Reader::new(open::connect_to_look(&settings.path)?));
        let policies = Arc::new(settings.policies.clone());
        let writer = Writer::start(connection, &settings, Arc::clone(&shared))?;
        let Settings { hands, clock, path, .. } = settings;
        Ok(Self { shared, reader, looker, policies, writer, hands, clock, path, _lock: lock })
    }

    async fn write<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> Job,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.writer.enqueue(job(reply))?;
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
    async fn look<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.read_with(&self.looker, query).await
    }

    async fn read_with<T: Send + 'static>(
        &self,
        reader: &Arc<read::Reader>,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        if self.hands == Hands::Caller {
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
    async fn accept(&self, receipt: NewReceipt) -> Result<Acceptance, LedgerError> {
        let share = self.writer.room_for(&receipt.body)?;
        self.write(|reply| Job::Accept { receipt: Box::new(receipt), share, reply }).await
    }

    async fn claim(&self, account: &AccountName, ask: ClaimAsk) -> Result<Claim, LedgerError> {
        let (account, now) = (account.clone(), self.clock.now());
        let shared = Arc::clone(&self.shared);
        self.read(move |connection| read::claim(connection, &shared, &account, &ask, now)).await
    }

    async fn depart(&self, _account: &AccountName, claimed: &[Claimed]) -> Result<(), LedgerError> {
        let ids = claimed.iter().map(|claimed| claimed.id).collect();
        self.write(|reply| Job::Depart { ids, reply }).await
    }

    async fn settle(
        &self,
        account: &AccountName,
        settled: Vec<Settlement>,
    ) -> Result<(), LedgerError> {
        self.write(|reply| Job::Settle { account: account.clone(), settled, reply }).await
    }

    fn release(&self, account: &AccountName, claimed: &[Claimed]) {
        self.shared.release(account, claimed.iter().map(|claimed| claimed.id));
        self.shared.wake(account);
    }

    fn standing(&self, account: &AccountName) -> Standing {
        self.shared.standing(account)
    }

    async fn amend_standing(
        &self,
        account: &AccountName,
        amend: Amend,
    ) -> Result<Amended, LedgerError> {
        let amended = self.shared.amend_standing(account, amend);
        if amended.before != amended.after {
            // It holds from now on, kept or not, and whoever waits for the account is to see it.
            self.shared.wake(account);
        }
        if !self.shared.standing_is_kept(account) {
            self.write(|reply| Job::Standing { account: account.clone(), reply }).await?;
            self.shared.standing_kept(account, &amended.after);
        }
        Ok(amended)
    }

    fn wake_up(&self, account: &AccountName) -> Arc<Notify> {
        self.shared.notify(account)
    }

    fn census(&self) -> BTreeMap<AccountName, Counts> {
        self.shared.census()
    }

    async fn oldest_pending(&self, account: &AccountName) -> Result<Option<Millis>, LedgerError> {
        let account = account.clone();
        self.read(move |connection| read::oldest_pending(connection, &account)).await
    }

    async fn advance(&self, most: usize) -> Result<Due, LedgerError> {
        self.write(|reply| Job::Advance { most, reply }).await
    }

    async fn want(&self, source: &SourceName, wanted: Vec<Wanted>) -> Result<usize, LedgerError> {
        let mut asked = 0;
        for piece in wanted.chunks(fetches::PIECE) {
            let (source, wanted) = (source.clone(), piece.to_vec());
            asked += self.write(|reply| Job::Want { source, wanted, reply }).await?;
        }
        Ok(asked)
    }

    async fn due_fetches(
        &self,
        source: &SourceName,
        most: usize,
        except: &[i64],
    ) -> Result<FetchClaim, LedgerError> {
        let (source, except, now) = (source.clone(), except.to_vec(), self.clock.now());
        self.read(move |connection| Ok(fetches::due(connection, &source, most, &except, now)?))
            .await
    }

    async fn settle_fetch(
        &self,
        task: &FetchTask,
        outcome: FetchOutcome,
    ) -> Result<Option<Acceptance>, LedgerError> {
        let body = outcome.receipt().map_or(&[][..], |receipt| &receipt.body);
        let (share, task) = (self.writer.room_for(body)?, task.clone());
        self.write(|reply| Job::SettleFetch { task, outcome, share, reply }).await
    }

    fn fetch_wake_up(&self, source: &SourceName) -> Arc<Notify> {
        self.shared.notify_fetch(source)
    }

    fn fetches(&self) -> BTreeMap<SourceName, FetchStatus> {
        self.shared.fetches()
    }

    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError> {
        self.write(|reply| Job::Prune { keep, reply }).await
    }

    async fn close(&self) {
        let work = self.writer.close();
        if self.hands == Hands::Caller {
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

    fn sizes(&self) -> Sizes {
        open::sizes(&self.path)
    }

    fn health(&self) -> Result<(), String> {
        self.shared.health()
    }

    async fn events(&self, most: usize) -> Result<Vec<EventRecord>, LedgerError> {
        self.read(move |connection| read::events(connection, most)).await
    }

    async fn page_events(&self, ask: EventsAsk) -> Result<Page<EventSummary>, LedgerError> {
        let shared = Arc::clone(&self.shared);
        self.look(move |connection| look::page(connection, &shared, &ask)).await
    }

    async fn event(&self, key: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        let now = self.clock.now();
        let (key, shared, policies) =
            (key.clone(), Arc::clone(&self.shared), Arc::clone(&self.policies));
        self.look(move |connection| detail::detail(connection, &shared, &policies, &key, now)).await
    }

    async fn redrive(&self, key: &EventKey) -> Result<Redriven, LedgerError> {
        self.write(|reply| Job::Redrive { key: key.clone(), reply }).await
    }

    async fn redrive_all(&self, ask: RedriveAsk) -> Result<RedrivePiece, LedgerError> {
        self.write(|reply| Job::RedriveAll { ask, reply }).await
    }

    async fn page_receipts(&self, ask: ReceiptsAsk) -> Result<Page<ReceiptSummary>, LedgerError> {
        self.look(move |connection| receipts::page(connection, &ask)).await
    }

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptRecord>, LedgerError> {
        self.look(move |connection| receipts::receipt(connection, id)).await
    }

    async fn dossiers_of(&self, receipt: ReceiptId) -> Result<Vec<Dossier>, LedgerError> {
        self.look(move |connection| Ok(dossier::dossiers_of(connection, receipt)?)).await
    }

    async fn dossier(&self, key: &WebinarKey) -> Result<Dossier, LedgerError> {
        let key = key.clone();
        self.look(move |connection| Ok(dossier::dossier(connection, &key)?)).await
    }

    async fn tellers(
        &self,
        key: &WebinarKey,
        after: Option<i64>,
    ) -> Result<Page<Teller>, LedgerError> {
        let key = key.clone();
        self.look(move |connection| Ok(dossier::tellers(connection, &key, after)?)).await
    }

    async fn rebuild(&self, rebuild: Rebuild) -> Result<Rebuilt, LedgerError> {
        self.write(|reply| Job::Rebuild { rebuild: Box::new(rebuild), reply }).await
    }
}
