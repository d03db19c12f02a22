//! Stores in temporary folders.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use webinar_bridge::clock::Clock;
use webinar_bridge::event::Millis;
use webinar_bridge::ledger::sqlite::{Hands, Rekey, Settings, SqliteLedger};
use webinar_bridge::ledger::{Policies, Watcher};

use super::build::{NOON, account};

/// A clock that stands where it is put.
#[derive(Debug)]
pub(crate) struct HandClock(std::sync::atomic::AtomicI64);

impl HandClock {
    pub(crate) fn at(time: Millis) -> Arc<Self> {
        Arc::new(Self(std::sync::atomic::AtomicI64::new(time.get())))
    }

    pub(crate) fn set(&self, time: Millis) {
        self.0.store(time.get(), std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Millis {
        Millis::new(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

pub(crate) struct Unwatched;

impl Watcher for Unwatched {
    fn committed(&self, _jobs: usize, _took: Duration) {}
}

/// A folder with a store that can be closed and opened again.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<HandClock>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, clock: HandClock::at(NOON) }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("data/bridge.db")
    }

    pub(crate) fn open(&self, policies: Policies) -> SqliteLedger {
        SqliteLedger::open(self.settings(policies)).expect("the store opens")
    }

    pub(crate) fn settings(&self, policies: Policies) -> Settings {
        Settings {
            path: self.file(),
            accounts: vec![account("main"), account("other")],
            policies,
            migrate: true,
            rekey: Rekey::Refuse,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            watcher: Arc::new(Unwatched),
            hands: Hands::OwnThread,
        }
    }
}
