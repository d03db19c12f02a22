//! The stores that the simulation runs over.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use webinar_bridge::clock::VirtualClock;
use webinar_bridge::event::AccountName;
use webinar_bridge::ledger::memory::{MemoryLedger, MemorySettings, MemoryStore};
use webinar_bridge::ledger::sqlite::{OpenError, Rekey, Settings, SqliteLedger, Threading};
use webinar_bridge::ledger::{Heirs, Ledger};

use super::webhooks::{accounts, policies};
use crate::harness::store::NoObserver;

/// A store that outlives the process runs, each of which opens it again. A crash drops its ledger at an await.
pub(super) trait SimulatedStore: 'static {
    type Ledger: Ledger;

    /// Whether another process can have an account's lease; otherwise no lease is ever lost.
    const LOSES_LEASES: bool;

    /// An empty store.
    fn new() -> Self;

    /// Opens the store.
    fn open(&self, clock: VirtualClock) -> Self::Ledger;

    /// Gives the account's lease to another process, which settles nothing.
    fn take_lease_away(ledger: &Self::Ledger, account: &AccountName);

    /// Lets this process acquire the account's lease again.
    fn give_lease_back(ledger: &Self::Ledger, account: &AccountName);
}

/// A database file in a temporary folder, in memory if possible.
pub(super) struct SqliteFile {
    folder: TempDir,
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

    fn open(&self, clock: VirtualClock) -> SqliteLedger {
        let settings = || Settings {
            path: self.folder.path().join("bridge.db"),
            accounts: accounts().to_vec(),
            policies: policies(),
            heirs: Heirs::default(),
            migrate: true,
            rekey: Rekey::Refuse,
            clock: Arc::new(clock),
            observer: Arc::new(NoObserver),
            threading: Threading::Inline,
        };
        // Other tests start programs: between fork and exec one of them still holds the lock that was just released.
        loop {
            match SqliteLedger::open(settings()) {
                Err(OpenError::InUse(_)) => std::thread::yield_now(),
                opened => break opened.expect("the store opens again"),
            }
        }
    }

    fn take_lease_away(_ledger: &SqliteLedger, _account: &AccountName) {}

    fn give_lease_back(_ledger: &SqliteLedger, _account: &AccountName) {}
}

impl SimulatedStore for MemoryStore {
    type Ledger = MemoryLedger;

    const LOSES_LEASES: bool = true;

    fn new() -> Self {
        Self::default()
    }

    fn open(&self, clock: VirtualClock) -> MemoryLedger {
        MemoryLedger::open(MemorySettings {
            store: self.clone(),
            accounts: accounts().to_vec(),
            policies: policies(),
            heirs: Heirs::default(),
            accept_rekey: false,
            clock: Arc::new(clock),
            observer: Arc::new(NoObserver),
        })
        .expect("the store opens again")
    }

    fn take_lease_away(ledger: &MemoryLedger, account: &AccountName) {
        ledger.take_lease_away(account);
    }

    fn give_lease_back(ledger: &MemoryLedger, account: &AccountName) {
        ledger.give_lease_back(account);
    }
}
