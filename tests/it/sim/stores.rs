//! The stores that the simulation runs over.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use webinar_bridge::clock::Clock;
use webinar_bridge::event::{AccountName, Millis};
use webinar_bridge::ledger::Ledger;
use webinar_bridge::ledger::memory::{MemoryLedger, MemorySettings, MemoryStore};
use webinar_bridge::ledger::sqlite::{Rekey, Settings, SqliteLedger, Threading, backup};

use super::renamed_source::heirs;
use super::webhooks::{accounts, policies};
use crate::harness::store::{NoObserver, open_when_free};

/// A store that outlives the process runs, each of which opens it again. A crash drops its ledger at an await.
pub(super) trait SimulatedStore: 'static {
    type Ledger: Ledger;

    /// Whether another process can have an account's lease; otherwise no lease is ever lost.
    const LOSES_LEASES: bool;

    /// An empty store.
    fn new() -> Self;

    /// Opens the store.
    fn open(&self, clock: &Arc<dyn Clock>) -> Self::Ledger;

    /// Copies the store, which may be in use.
    fn back_up(&self, now: Millis);

    /// Puts the copy in the place of the closed store.
    fn restore(&mut self);

    /// Gives the account's lease to another process, which settles nothing.
    fn take_lease_away(ledger: &Self::Ledger, account: &AccountName);

    /// Lets this process acquire the account's lease again.
    fn give_lease_back(ledger: &Self::Ledger, account: &AccountName);
}

/// A database file in a temporary folder, in memory if possible.
pub(super) struct SqliteFile {
    folder: TempDir,
}

impl SqliteFile {
    fn path(&self) -> PathBuf {
        self.folder.path().join("bridge.db")
    }

    fn copy_path(&self) -> PathBuf {
        self.folder.path().join("copy.db")
    }
}

impl SimulatedStore for SqliteFile {
    type Ledger = SqliteLedger;

    const LOSES_LEASES: bool = false;

    fn new() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let in_memory = tempfile::Builder::new().prefix("bridge-sim-").tempdir_in(memory);
        let folder = in_memory.or_else(|_| tempfile::tempdir()).expect("a temporary folder");
        Self { folder }
    }

    fn open(&self, clock: &Arc<dyn Clock>) -> SqliteLedger {
        let settings = || Settings {
            path: self.path(),
            accounts: accounts().to_vec(),
            policies: policies(),
            heirs: heirs(),
            migrate: true,
            rekey: Rekey::Refuse,
            clock: Arc::clone(clock),
            observer: Arc::new(NoObserver),
            threading: Threading::Inline,
        };
        open_when_free(settings)
    }

    fn back_up(&self, now: Millis) {
        let (store, copy) = (self.path(), self.copy_path());
        backup(&store, &copy, now).expect("the store is copied");
    }

    fn restore(&mut self) {
        let store = self.path();
        for suffix in ["-wal", "-shm"] {
            let mut beside = store.clone().into_os_string();
            beside.push(suffix);
            match std::fs::remove_file(&beside) {
                Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
                Ok(()) | Err(_) => {}
            }
        }
        std::fs::rename(self.copy_path(), store).expect("the copy is there");
    }

    fn take_lease_away(_ledger: &SqliteLedger, _account: &AccountName) {}

    fn give_lease_back(_ledger: &SqliteLedger, _account: &AccountName) {}
}

/// Rows in memory, and a copy of them.
#[derive(Default)]
pub(super) struct MemoryRows {
    rows: MemoryStore,
    copy: RefCell<Option<MemoryStore>>,
}

impl SimulatedStore for MemoryRows {
    type Ledger = MemoryLedger;

    const LOSES_LEASES: bool = true;

    fn new() -> Self {
        Self::default()
    }

    fn open(&self, clock: &Arc<dyn Clock>) -> MemoryLedger {
        MemoryLedger::open(MemorySettings {
            store: self.rows.clone(),
            accounts: accounts().to_vec(),
            policies: policies(),
            heirs: heirs(),
            accept_rekey: false,
            clock: Arc::clone(clock),
            observer: Arc::new(NoObserver),
        })
        .expect("the store opens again")
    }

    fn back_up(&self, _now: Millis) {
        *self.copy.borrow_mut() = Some(self.rows.copy());
    }

    fn restore(&mut self) {
        self.rows = self.copy.take().expect("the copy is there");
    }

    fn take_lease_away(ledger: &MemoryLedger, account: &AccountName) {
        ledger.take_lease_away(account);
    }

    fn give_lease_back(ledger: &MemoryLedger, account: &AccountName) {
        ledger.give_lease_back(account);
    }
}
