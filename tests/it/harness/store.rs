//! Stores in temporary folders.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use webinar_bridge::clock::Clock;
use webinar_bridge::event::Millis;
use webinar_bridge::ledger::sqlite::{OpenError, Rekey, Settings, SqliteLedger, Threading};
use webinar_bridge::ledger::{CommitObserver, Heirs, Policies};

use super::build::{NOON, account};

/// Opens a store that the caller closed. Other tests start programs: between fork and exec one of them still holds the
/// lock that was just released.
pub(crate) fn open_when_free(settings: impl Fn() -> Settings) -> SqliteLedger {
    loop {
        match SqliteLedger::open(settings()) {
            Err(OpenError::InUse(_)) => std::thread::yield_now(),
            opened => break opened.expect("the store opens"),
        }
    }
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(crate) struct ManualClock(std::sync::atomic::AtomicI64, std::sync::atomic::AtomicBool);

impl ManualClock {
    pub(crate) fn at(time: Millis) -> Arc<Self> {
        Arc::new(Self(std::sync::atomic::AtomicI64::new(time.get()), false.into()))
    }

    /// Whether the clock is doubted from now on.
    pub(crate) fn set_doubted(&self, is_doubted: bool) {
        self.1.store(is_doubted, std::sync::atomic::Ordering::SeqCst);
    }

    pub(crate) fn set(&self, time: Millis) {
        self.0.store(time.get(), std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis::new(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn is_doubted(&self) -> bool {
        self.1.load(std::sync::atomic::Ordering::SeqCst)
    }
}

pub(crate) struct NoObserver;

impl CommitObserver for NoObserver {
    fn committed(&self, _jobs: usize, _took: Duration) {}
}

/// A folder with a store that can be closed and reopened.
pub(crate) struct StoreFolder {
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<ManualClock>,
}

impl StoreFolder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, clock: ManualClock::at(NOON) }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("data/bridge.db")
    }

    pub(crate) fn open(&self, policies: Policies) -> SqliteLedger {
        SqliteLedger::open(self.settings(policies)).expect("the store opens")
    }

    /// The number of rows of a table.
    pub(crate) fn count_rows(&self, table: &str) -> i64 {
        let store = rusqlite::Connection::open(self.file()).expect("opens");
        let sql = format!("SELECT count(*) FROM {table}");
        store.query_row(&sql, (), |row| row.get(0)).expect("counted")
    }

    pub(crate) fn settings(&self, policies: Policies) -> Settings {
        Settings {
            path: self.file(),
            accounts: vec![account("main"), account("other")],
            policies,
            heirs: Heirs::default(),
            migrate: true,
            rekey: Rekey::Refuse,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            observer: Arc::new(NoObserver),
            threading: Threading::Dedicated,
        }
    }

    /// Writes that many delivered events into the closed store, faster than they could be received.
    pub(crate) fn fill(&self, events: u32) {
        let store = rusqlite::Connection::open(self.file()).expect("opens");
        store
            .execute_batch(&format!(
                "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {events})
                 INSERT INTO events (webinar, hubspot, external_account_id, external_event_id,
                     version, state, input, input_hash, changed_at, pending_since, name)
                 SELECT 1000 + n, 'main', 'acct', 'filled-' || n, 1, 1, CAST('{{}}' AS BLOB),
                     zeroblob(16), 0, 0, 'Filled ' || n FROM n;
                 INSERT INTO event_counts (hubspot, state, count) VALUES ('main', 1, {events})
                     ON CONFLICT (hubspot, state) DO UPDATE SET count = count + excluded.count;"
            ))
            .expect("filled");
    }
}
