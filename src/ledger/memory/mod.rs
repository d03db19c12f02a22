//! The ledger in memory: a second back end over [`super::rules`], for tests and simulations.
//!
//! Each trait of the contract is implemented beside what it works with:
//!
//! * [`merge`]: accepting receipts; [`outbox`]: delivering; [`fetches`]: the queue of fetches.
//! * [`base_reads`]: reading what HubSpot held before; [`timers`]: what time makes due, and redrives; [`rebuild`]: replays; [`browse`]: lists, details and counts.
//! * [`state`]: the rows; [`live`]: claims and leases; [`transaction`]: one call that writes.
//!
//! Promises: those of [`super::Ledger`], as long as its [`MemoryStore`] lives. A call is applied whole or not at all:
//! it changes a copy of the rows, which replaces them if it succeeds. A lease can be taken away on command, as by
//! another process ([`MemoryLedger::take_lease_away`]).
//! Relies on: nothing outside of the process.
//! On a crash of the process: everything is gone. A crash is simulated by dropping the ledger and opening its store
//! again: claims are free, and calls that were under way have an unknown outcome.

mod base_reads;
mod browse;
mod fetches;
mod live;
mod merge;
mod open;
mod outbox;
mod rebuild;
mod repetitions;
mod state;
mod timers;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::rules::orphans::ConfigRefused;
use super::{CommitObserver, Heirs, LedgerError, Policies, Store, StoreSizes};
use crate::clock::{Clock, ClockStep};
use crate::event::{AccountName, AccountStatus, SourceName};
use live::Live;
use open::Configuration;
use state::State;
use transaction::Transaction;

/// The rows, which outlive the ledgers that are opened on them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<State>>);

/// The number of a store's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRows {
    /// Receipts.
    pub receipts: usize,
    /// Webinars.
    pub webinars: usize,
    /// Dedupe keys that outlive their receipts.
    pub lasting_keys: usize,
}

impl MemoryStore {
    /// Marks the store as a copy that was not served yet.
    pub fn mark_copy(&self) {
        self.lock().is_copy = true;
    }

    /// A copy of the rows as they are now, marked as one that was not served yet.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self(Arc::new(Mutex::new(self.lock().clone())));
        copy.mark_copy();
        copy
    }

    /// The number of the store's rows.
    #[must_use]
    pub fn rows(&self) -> MemoryRows {
        let state = self.lock();
        MemoryRows {
            receipts: state.receipts.len(),
            webinars: state.webinars.len(),
            lasting_keys: state.webinars.values().map(|row| row.lasting_keys.len()).sum(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Rows are replaced whole, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The settings of an open store.
pub struct MemorySettings {
    /// The rows.
    pub store: MemoryStore,
    /// The accounts of the configuration.
    pub accounts: Vec<AccountName>,
    /// The sources' policies.
    pub policies: Policies,
    /// The sources and accounts that took the place of former ones.
    pub heirs: Heirs,
    /// Whether events may get new ids in HubSpot.
    pub accept_rekey: bool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Notified of every call that changed rows.
    pub observer: Arc<dyn CommitObserver>,
}

/// An open ledger.
pub struct MemoryLedger {
    store: MemoryStore,
    policies: Policies,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn CommitObserver>,
    live: Mutex<Live>,
    statuses: BTreeMap<AccountName, watch::Sender<AccountStatus>>,
    notify: BTreeMap<AccountName, Arc<Notify>>,
    notify_fetch: BTreeMap<SourceName, Arc<Notify>>,
}

impl MemoryLedger {
    /// Opens a store.
    ///
    /// # Errors
    /// [`ConfigRefused`] if the configuration does not fit what the store holds, and that is not accepted.
    pub fn open(settings: MemorySettings) -> Result<Self, ConfigRefused> {
        let MemorySettings { store, accounts, policies, heirs, accept_rekey, clock, observer } =
            settings;
        let mut state = store.lock();
        if let (Some(written), Some(trust)) = (state.written_at, clock.trust()) {
            trust.recall_last_write(written);
        }
        let config = Configuration { policies: &policies, heirs: &heirs, accounts: &accounts };
        config.compare_and_store(&mut state, accept_rekey, clock.now())?;
        timers::open(&mut state, clock.now());
        let status = |account: &AccountName| {
            let status = state.statuses.get(account).cloned().unwrap_or_default();
            (account.clone(), watch::Sender::new(status))
        };
        let statuses = accounts.iter().map(status).collect();
        drop(state);
        Ok(Self {
            notify: accounts.into_iter().map(|account| (account, Arc::default())).collect(),
            notify_fetch: policies.keys().map(|s| (s.clone(), Arc::default())).collect(),
            store,
            policies,
            clock,
            observer,
            live: Mutex::default(),
            statuses,
        })
    }

    /// Gives the account's lease to another process, which settles nothing. The claims of this process end, and its
    /// settlements from now on are not recorded: its calls under way have an unknown outcome.
    pub fn take_lease_away(&self, account: &AccountName) {
        let (mut state, mut live) = self.lock();
        timers::recover_calls(&mut state, |event| event.key.hubspot == *account, self.clock.now());
        live.take_lease_away(account);
        drop((live, state));
        self.wake(account);
    }

    /// Lets this process acquire the account's lease again.
    pub fn give_lease_back(&self, account: &AccountName) {
        self.live().give_lease_back(account);
        self.wake(account);
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows, and what is known beside them, for a call that reads.
    fn lock(&self) -> (MutexGuard<'_, State>, MutexGuard<'_, Live>) {
        (self.store.lock(), self.live())
    }

    fn wake(&self, account: &AccountName) {
        if let Some(notify) = self.notify.get(account) {
            notify.notify_one();
        }
    }

    /// Carries out a call that writes.
    fn write<T>(&self, call: impl FnOnce(&mut Transaction<'_>) -> T) -> Result<T, LedgerError> {
        let began = Instant::now();
        let (mut state, mut live) = self.lock();
        if live.is_closed {
            return Err(LedgerError::unavailable("the store is closed"));
        }
        let mut tx = Transaction {
            state: state.clone(),
            live: &mut live,
            policies: &self.policies,
            now: self.clock.now(),
            dated_now: self.clock.dated_now(),
            is_clock_doubted: self.clock.is_doubted(),
            woken: BTreeSet::new(),
            woken_fetches: BTreeSet::new(),
        };
        match tx.live.steps.observe(tx.now) {
            Some(ClockStep::Back(by)) => timers::move_waits_back(&mut tx, by),
            Some(ClockStep::Ahead(by)) => timers::move_second_sendings_ahead(&mut tx, by),
            None => {}
        }
        if tx.is_clock_doubted && !tx.live.was_doubted {
            timers::derive_again(&mut tx.state);
        }
        tx.live.was_doubted = tx.is_clock_doubted;
        let answer = call(&mut tx);
        let Transaction { state: mut next, woken, woken_fetches, .. } = tx;
        next.written_at = Some(self.clock.likely_now());
        if let Some(trust) = self.clock.trust() {
            trust.record_write(self.clock.now());
        }
        *state = next;
        let statuses = state.statuses.clone();
        drop((live, state));
        for (account, watched) in &self.statuses {
            let status = statuses.get(account).cloned().unwrap_or_default();
            watched.send_if_modified(|known| std::mem::replace(known, status.clone()) != status);
        }
        self.observer.committed(1, began.elapsed());
        for account in &woken {
            self.wake(account);
        }
        for notify in woken_fetches.iter().filter_map(|source| self.notify_fetch.get(source)) {
            notify.notify_one();
        }
        Ok(answer)
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
