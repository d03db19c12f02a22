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
mod claims;
mod contract;
mod disk_errors;
mod disk_space;
mod erase;
mod event_detail;
mod event_rows;
mod events;
mod fetch_counts;
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
mod timers;
mod transaction;
mod tx_error;
mod webinar_state;
mod webinars;
mod write_queue;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{CommitObserver, LedgerError, Policies};
use crate::clock::Clock;
use crate::event::{AccountName, SourceName};
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
        settle::recover(&connection, settings.clock.now()).map_err(OpenError::from)?;
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
        answer.await.map_err(|_| LedgerError::unavailable("the writer stopped"))?
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
            .map_err(LedgerError::unavailable_from)?
    }
}
