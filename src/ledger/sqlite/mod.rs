//! The ledger on SQLite, inside this process.
//!
//! Promises: those of [`Ledger`], by WAL with `synchronous=FULL`: a commit is on disk when it returns.
//! Relies on: one process (a lock file sees to it) on a local disk.
//! On a crash: SQLite's WAL brings back every commit that returned; claims lived in memory and are free again.
//!
//! One thread owns the writing connection and commits what has queued together ([`writer`]); reading has a
//! connection of its own. Checkpoints run beside ([`checkpoint`]), so that the WAL stays bounded without
//! stopping the writer for long. Tools and simulations may do without these threads: [`Hands`].

mod accept;
mod bodies;
mod checkpoint;
mod events;
mod hands;
mod open;
mod prune;
mod read;
mod settle;
mod shared;
mod sources;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};

use super::{
    Acceptance, Amend, Amended, Claim, ClaimAsk, Claimed, Counts, Dossier, Due, EventDetail,
    EventRecord, EventSummary, EventsAsk, Ledger, LedgerError, NewReceipt, Page, Policies, Rebuild,
    Rebuilt, ReceiptRecord, ReceiptSummary, ReceiptsAsk, RedriveAsk, RedrivePiece, Redriven,
    Retention, Settlement, Sizes, Standing, Watcher, WebinarKey,
};
use crate::clock::Clock;
use crate::event::{AccountName, EventKey, Millis, ReceiptId};
use hands::Writer;
use shared::Shared;
use writer::Job;

pub use hands::Hands;
pub use open::{OpenError, StoreState, inspect, migrate};
pub use sources::Rekey;

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
        let shared = Arc::new(Shared::load(&connection, &settings.accounts)?);
        let reader = Arc::new(read::Reader::new(open::connect(&settings.path)?));
        let writer = Writer::start(connection, &settings, Arc::clone(&shared))?;
        let Settings { hands, clock, path, .. } = settings;
        Ok(Self { shared, reader, writer, hands, clock, path, _lock: lock })
    }

    async fn write<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> Job,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.writer.enqueue(job(reply))?;
        answer.await.map_err(|_| LedgerError::Unavailable("the writer stopped".into()))?
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        if self.hands == Hands::Caller {
            return self.reader.with(query);
        }
        let reader = Arc::clone(&self.reader);
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
        self.read(move |connection| read::claim(connection, &shared, &account, ask, now)).await
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

    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError> {
        self.write(|reply| Job::Prune { keep, reply }).await
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

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptRecord>, LedgerError> {
        self.read(move |connection| read::receipt(connection, id)).await
    }

    async fn page_events(&self, _: EventsAsk) -> Result<Page<EventSummary>, LedgerError> {
        Err(LedgerError::Unavailable("not written yet".into()))
    }

    async fn event(&self, _: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        Err(LedgerError::Unavailable("not written yet".into()))
    }

    async fn redrive(&self, _: &EventKey) -> Result<Redriven, LedgerError> {
        Err(LedgerError::Unavailable("not written yet".into()))
    }

    async fn redrive_all(&self, _: RedriveAsk) -> Result<RedrivePiece, LedgerError> {
        Err(LedgerError::Unavailable("not written yet".into()))
    }

    async fn page_receipts(&self, _: ReceiptsAsk) -> Result<Page<ReceiptSummary>, LedgerError> {
        Err(LedgerError::Unavailable("not written yet".into()))
    }

    async fn dossiers_of(&self, _: ReceiptId) -> Result<Vec<Dossier>, LedgerError> {
        Err(LedgerError::Unavailable("not written yet".into()))
    }

    async fn dossier(&self, _: &WebinarKey) -> Result<Dossier, LedgerError> {
        Err(LedgerError::Unavailable("not written yet".into()))
    }

    async fn rebuild(&self, _: Rebuild) -> Result<Rebuilt, LedgerError> {
        Err(LedgerError::Unavailable("not written yet".into()))
    }
}
