//! Reading connections, beside the writer's.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use crate::ledger::LedgerError;

/// The reading connection; one reader at a time is plenty, since no query is longer than a page of rows.
pub(super) struct Reader(Mutex<Connection>);

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Mutex::new(connection))
    }

    pub(super) fn with<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        query(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn unavailable(error: rusqlite::Error) -> LedgerError {
    LedgerError::unavailable_from(error)
}

pub(super) fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> LedgerError {
    LedgerError::corrupt_from(error)
}
