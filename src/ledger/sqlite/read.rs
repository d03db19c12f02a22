//! The reading connections, beside the writer's.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use crate::ledger::LedgerError;

/// A reading connection. One reader at a time is enough, since no query reads more than a page of rows.
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

#[allow(clippy::needless_pass_by_value, reason = "`map_err` passes it by value")]
pub(super) fn unavailable(error: rusqlite::Error) -> LedgerError {
    LedgerError::unavailable_from(error)
}

pub(super) fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> LedgerError {
    LedgerError::corrupt_from(error)
}
