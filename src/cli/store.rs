//! Opens the store for commands that work on it unless another process has it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;

use super::CommandError;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::ledger::CommitObserver;
use crate::ledger::sqlite::{OpenError, Rekey, Settings, SqliteLedger, Threading};

/// Opens the store; none if another process, the service, has it.
pub(super) fn open_unless_in_use(config: &Config) -> Result<Option<SqliteLedger>, CommandError> {
    let opened = SqliteLedger::open(Settings {
        path: config.store.path.clone(),
        accounts: config.accounts.keys().cloned().collect(),
        policies: config.policies(),
        migrate: config.store.migrate,
        rekey: Rekey::Refuse,
        clock: Arc::new(SystemClock),
        observer: Arc::new(NoObserver),
        threading: Threading::Dedicated,
    });
    match opened {
        Ok(ledger) => Ok(Some(ledger)),
        Err(OpenError::InUse(_)) => Ok(None),
        Err(refused @ OpenError::Rekey { .. }) => Err(CommandError::Usage(refused.to_string())),
        Err(error) => Err(anyhow!(error).context("the store cannot be opened").into()),
    }
}

/// An observer that ignores every commit.
struct NoObserver;

impl CommitObserver for NoObserver {
    fn committed(&self, _: usize, _: Duration) {}
}
