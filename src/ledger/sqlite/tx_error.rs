//! Why a piece of work within a transaction failed.

use crate::ledger::{LedgerError, SharedError};

/// Why a piece of work within a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TxError {
    /// SQLite's failure.
    #[error("sqlite")]
    Database(#[from] rusqlite::Error),
    /// A row holds data that cannot be read.
    #[error("{what} cannot be read")]
    Corrupt {
        /// The row: `event 7`.
        what: String,
        /// What is wrong with it.
        #[source]
        source: SharedError,
    },
}

impl TxError {
    pub(super) fn corrupt(
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Corrupt { what: what.into(), source: std::sync::Arc::new(source) }
    }
}

impl From<TxError> for LedgerError {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Database(error) => Self::unavailable_from(error),
            TxError::Corrupt { what, source } => {
                Self::Corrupt { reason: format!("{what}: {source}"), source: Some(source) }
            }
        }
    }
}
