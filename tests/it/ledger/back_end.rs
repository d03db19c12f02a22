//! The back ends that the suite runs over.

use std::sync::Arc;

use webinar_bridge::clock::Clock;
use webinar_bridge::event::AccountName;
use webinar_bridge::ledger::memory::{MemoryLedger, MemorySettings, MemoryStore};
use webinar_bridge::ledger::rules::orphans::ConfigRefused;
use webinar_bridge::ledger::sqlite::{self, OpenError, Rekey, Settings, SqliteLedger, Threading};
use webinar_bridge::ledger::{Heirs, Ledger, Policies};

use crate::harness::build::{NOON, account};
use crate::harness::store::{ManualClock, NoObserver, StoreFolder};

/// An empty store of one back end, which can be closed and opened again. Its clock begins at noon.
pub(crate) trait BackEnd: Sized + Send + Sync + 'static {
    /// The ledger that an open store is. A dropped one stands for a process that ended.
    type Ledger: Ledger;

    /// An empty store that is not open.
    fn new() -> Self;

    /// The clock of the store.
    fn clock(&self) -> &Arc<ManualClock>;

    /// Opens the store.
    fn try_open_with(&self, opening: Opening) -> Result<Self::Ledger, ConfigRefused>;

    /// Opens the store with the accounts `main` and `other`.
    fn try_open(&self, policies: Policies, rekey: Rekey) -> Result<Self::Ledger, ConfigRefused> {
        self.try_open_with(Opening { rekey, ..Opening::new(policies) })
    }

    /// Opens the store so that each call is done, with its notifications, when it answers.
    fn open_inline(&self, policies: Policies) -> Self::Ledger;

    /// The receipts, webinars and lasting keys that the closed or open store holds.
    fn row_counts(&self) -> RowCounts;

    /// Gives the account's lease to another process; false where the store has one owner, and no lease can be lost.
    fn take_lease_away(&self, ledger: &Self::Ledger, account: &AccountName) -> bool;

    /// Marks the closed store as a copy that was not served yet.
    fn mark_copy(&self);

    /// Lets this process acquire the account's lease again.
    fn give_lease_back(&self, ledger: &Self::Ledger, account: &AccountName);

    /// Opens the store as it was opened before.
    fn open(&self, policies: Policies) -> Self::Ledger {
        self.try_open(policies, Rekey::Refuse).unwrap_or_else(|refused| panic!("{refused}"))
    }
}

/// The configuration that a store is opened with.
pub(crate) struct Opening {
    pub(crate) policies: Policies,
    pub(crate) heirs: Heirs,
    pub(crate) accounts: Vec<AccountName>,
    pub(crate) rekey: Rekey,
}

impl Opening {
    /// With the accounts `main` and `other`, and nothing renamed.
    pub(crate) fn new(policies: Policies) -> Self {
        Self {
            policies,
            heirs: Heirs::default(),
            accounts: vec![account("main"), account("other")],
            rekey: Rekey::Refuse,
        }
    }
}

/// The number of rows of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RowCounts {
    pub(crate) receipts: i64,
    pub(crate) webinars: i64,
    pub(crate) lasting_keys: i64,
}

impl BackEnd for StoreFolder {
    type Ledger = SqliteLedger;

    fn new() -> Self {
        Self::new()
    }

    fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    fn try_open_with(&self, opening: Opening) -> Result<SqliteLedger, ConfigRefused> {
        let Opening { policies, heirs, accounts, rekey } = opening;
        match SqliteLedger::open(Settings { heirs, accounts, rekey, ..self.settings(policies) }) {
            Ok(ledger) => Ok(ledger),
            Err(OpenError::Config(refused)) => Err(refused),
            Err(error) => panic!("{error}"),
        }
    }

    fn open_inline(&self, policies: Policies) -> SqliteLedger {
        let settings = Settings { threading: Threading::Inline, ..self.settings(policies) };
        SqliteLedger::open(settings).expect("the store opens")
    }

    fn row_counts(&self) -> RowCounts {
        let count = |table| self.count_rows(table);
        RowCounts {
            receipts: count("receipts"),
            webinars: count("webinars"),
            lasting_keys: count("lasting_keys"),
        }
    }

    fn take_lease_away(&self, _ledger: &SqliteLedger, _account: &AccountName) -> bool {
        false
    }

    fn mark_copy(&self) {
        sqlite::mark_copy(&self.file(), NOON).expect("it is marked");
    }

    fn give_lease_back(&self, _ledger: &SqliteLedger, _account: &AccountName) {}
}

/// A store in memory.
pub(crate) struct MemoryPlace {
    store: MemoryStore,
    clock: Arc<ManualClock>,
}

impl BackEnd for MemoryPlace {
    type Ledger = MemoryLedger;

    fn new() -> Self {
        Self { store: MemoryStore::default(), clock: ManualClock::at(NOON) }
    }

    fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    fn try_open_with(&self, opening: Opening) -> Result<MemoryLedger, ConfigRefused> {
        let Opening { policies, heirs, accounts, rekey } = opening;
        MemoryLedger::open(MemorySettings {
            store: self.store.clone(),
            accounts,
            policies,
            heirs,
            accept_rekey: rekey == Rekey::Accept,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            observer: Arc::new(NoObserver),
        })
    }

    fn open_inline(&self, policies: Policies) -> MemoryLedger {
        self.open(policies)
    }

    fn row_counts(&self) -> RowCounts {
        let rows = self.store.rows();
        let number = |count| i64::try_from(count).expect("a small number");
        RowCounts {
            receipts: number(rows.receipts),
            webinars: number(rows.webinars),
            lasting_keys: number(rows.lasting_keys),
        }
    }

    fn take_lease_away(&self, ledger: &MemoryLedger, account: &AccountName) -> bool {
        ledger.take_lease_away(account);
        true
    }

    fn mark_copy(&self) {
        self.store.mark_copy();
    }

    fn give_lease_back(&self, ledger: &MemoryLedger, account: &AccountName) {
        ledger.give_lease_back(account);
    }
}
