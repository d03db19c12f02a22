//! The store, for commands that work on it if nobody else has it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;

use super::Failure;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::ledger::Watcher;
use crate::ledger::sqlite::{Hands, OpenError, Rekey, Settings, SqliteLedger};

/// Opens the store; none if another process, the service, has it.
pub(super) fn open_unless_in_use(config: &Config) -> Result<Option<SqliteLedger>, Failure> {
    let opened = SqliteLedger::open(Settings {
        path: config.store.path.clone(),
        accounts: config.accounts.keys().cloned().collect(),
        policies: config.policies(),
        migrate: config.store.migrate,
        rekey: Rekey::Refuse,
        clock: Arc::new(SystemClock),
        watcher: Arc::new(Nobody),
        hands: Hands::OwnThread,
    });
    match opened {
        Ok(ledger) => Ok(Some(ledger)),
        Err(OpenError::InUse(_)) => Ok(None),
        Err(refused @ OpenError::Rekey { .. }) => Err(Failure::Usage(refused.to_string())),
        Err(error) => Err(anyhow!(error).context("the store cannot be opened").into()),
    }
}

/// Nobody looks on.
struct Nobody;

impl Watcher for Nobody {
    fn committed(&self, _: usize, _: Duration) {}
}
