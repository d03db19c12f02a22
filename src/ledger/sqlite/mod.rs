//! The ledger on SQLite, inside this process.
//!
//! Promises: those of [`super::Ledger`], by WAL with `synchronous=FULL`: a commit is on disk when it returns.
//! Relies on: one process (a lock on the file ensures it, [`store_lock`]) on a local disk.
//! On a crash: SQLite's WAL restores every commit that returned; claims lived in memory and are free again.
//!
//! When the disk fails, the writer rolls the commit back and answers its jobs as failed. It never retries the same
//! commit, so no later sync can answer for an earlier one. A failed sync may leave pages clean in memory that never
//! reached the disk (Linux does not write them again). This is harmless: SQLite advances its end of the WAL only after a
//! successful sync, so the next commit overwrites the frames that failed. SQLite counts pages as copied back only after
//! a successful sync of the database, so the next checkpoint copies them again. The store stays open and the writer
//! probes it every half second, so it recovers as soon as the disk does. Receipts are refused before the disk is full
//! ([`disk_space`]).
//!
//! One thread owns the writing connection and commits the queued jobs together ([`writer`], [`job`]). Delivery and the
//! operators' API read on a connection each, so that API queries never delay delivery. A thread of its own runs
//! checkpoints ([`checkpoint`]), which bounds the WAL without stopping the writer for long.
//! Tools and simulations can run without these threads: [`Threading::Inline`].

mod accept;
mod backup;
mod base_queue;
mod base_reads;
mod bodies;
mod checkpoint;
mod claims;
mod contract;
mod disk_errors;
mod disk_space;
mod erase;
mod event_columns;
mod event_detail;
mod event_rows;
mod events;
mod fetch_admin;
mod fetch_counts;
mod fetches;
mod frozen;
mod inherit;
mod job;
mod list_events;
mod live_state;
mod open;
mod prune;
mod read;
mod rebuild;
mod receipt_numbers;
mod receipts;
mod redrive;
mod repetitions;
mod restore;
mod settle;
mod side_effects;
mod source_config;
mod statements;
mod store_lock;
mod store_row;
#[cfg(test)]
mod tests;
mod timers;
mod transaction;
mod values;
mod waits;
mod webinar_state;
mod webinars;
mod write_queue;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::rules::waits::cut_status;
use super::{CommitObserver, Heirs, LedgerError, Policies};
use crate::clock::Clock;
use crate::event::{AccountName, SourceName};
use job::{Job, JobKind};
use live_state::LiveState;
use read::Reader;
use store_lock::StoreLock;
use transaction::{ReadTx, WriteTx};
use write_queue::WriteQueue;

pub use backup::{BackupError, BackupSummary, backup};
pub use erase::{EraseError, ErasureSummary, erase};
pub use open::{OpenError, StoreState, inspect, migrate};
pub use restore::mark_copy;
pub use source_config::{Rekey, StoredAccounts, check_sources, stored_accounts};
pub use write_queue::Threading;

/// The options of a store.
pub struct Settings {
    /// The database file; its folder is created if it does not exist.
    pub path: PathBuf,
    /// The accounts of the configuration.
    pub accounts: Vec<AccountName>,
    /// The sources' policies.
    pub policies: Policies,
    /// The sources and accounts that took the place of former ones.
    pub heirs: Heirs,
    /// Whether to bring an older schema up to date.
    pub migrate: bool,
    /// The reaction to a configuration under which events would get new ids in HubSpot.
    pub rekey: Rekey,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The observer of every commit.
    pub observer: Arc<dyn CommitObserver>,
    /// The threads that do the work.
    pub threading: Threading,
}

/// An open store.
pub struct SqliteLedger {
    live: Arc<LiveState>,
    /// The delivery's connection for reading.
    reader: Arc<Reader>,
    /// The API's connection for reading, so that its queries do not delay delivery.
    api_reader: Arc<Reader>,
    queue: WriteQueue,
    threading: Threading,
    clock: Arc<dyn Clock>,
    path: PathBuf,
}

impl SqliteLedger {
    /// Opens the store and starts its writer.
    ///
    /// # Errors
    /// [`OpenError`] names the obstacle and the remedy.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let lock = StoreLock::take(&settings.path)?;
        let mut connection = open::connect(&settings.path)?;
        let is_new = open::schema_version(&connection)? == 0;
        if settings.migrate && open::is_older(&connection)? {
            // A start that is refused must leave the way back to the version before.
            source_config::refuse(&connection, &settings)?;
        }
        open::ensure_schema(&mut connection, settings.migrate)?;
        if is_new {
            store_row::date_new_store(&connection, settings.clock.now())?;
        }
        store_row::recall_last_write(&connection, settings.clock.as_ref())?;
        restore::restore_copy(&mut connection, settings.clock.now())?;
        source_config::compare_and_store(&mut connection, &settings)?;
        settle::recover(&mut connection, settings.clock.now())?;
        waits::cut_at_start(&mut connection, settings.clock.now())?;
        let sources: Vec<SourceName> = settings.policies.keys().cloned().collect();
        let live = Arc::new(LiveState::load(&connection, &settings.accounts, &sources)?);
        live.change_statuses(|status| cut_status(status, settings.clock.now()));
        let lock = Arc::new(lock.watch_log());
        let reader = |connection| {
            Arc::new(Reader {
                connection: Mutex::new(connection),
                _lock: Arc::clone(&lock),
                policies: settings.policies.clone(),
                live: Arc::clone(&live),
                clock: Arc::clone(&settings.clock),
            })
        };
        Ok(Self {
            reader: reader(open::connect(&settings.path)?),
            api_reader: reader(open::connect_for_api(&settings.path)?),
            threading: settings.threading,
            clock: Arc::clone(&settings.clock),
            path: settings.path.clone(),
            queue: WriteQueue::start(connection, settings, Arc::clone(&live), Arc::clone(&lock))?,
            live,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        kind: JobKind,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (job, answer) = Job::new(kind, work);
        self.queue.enqueue(job)?;
        answer.await.map_err(|_| LedgerError::unavailable("the writer stopped"))?
    }

    /// Answers a query on one of the two reading connections.
    async fn read<T: Send + 'static>(
        &self,
        reader: &Arc<Reader>,
        query: impl FnOnce(&ReadTx<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let reader = Arc::clone(reader);
        self.block(move || reader.read(query)).await
    }

    /// Does work that blocks, on one of tokio's threads for that unless the store works on the caller's.
    async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        if self.threading == Threading::Inline {
            return work();
        }
        tokio::task::spawn_blocking(work).await.map_err(LedgerError::unavailable_from)?
    }
}
