//! The reading connections, beside the writer's.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::live_state::LiveState;
use super::store_lock::StoreLock;
use super::transaction::ReadTx;
use crate::clock::Clock;
use crate::ledger::{LedgerError, Policies};

/// A reading connection. One reader at a time is enough, since no query reads more than a page of rows.
pub(super) struct Reader {
    pub(super) connection: Mutex<Connection>,
    /// Outlives the connection.
    pub(super) _lock: Arc<StoreLock>,
    pub(super) policies: Policies,
    pub(super) live: Arc<LiveState>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Reader {
    /// Answers a query from one snapshot of the file.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&ReadTx<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        query(&ReadTx {
            connection: &*connection.unchecked_transaction()?,
            policies: &self.policies,
            live: &self.live,
            now: self.clock.now(),
        })
    }
}
