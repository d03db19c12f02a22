//! Why a call to the ledger failed.

use std::error::Error;
use std::fmt::Display;
use std::sync::Arc;

/// The error behind a [`LedgerError`]: shared, since one failed commit answers many callers.
pub type SharedError = Arc<dyn Error + Send + Sync>;

/// Why the ledger did not carry out a call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// The store cannot do it now (full, locked, read-only, stopping). The caller should try again.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// The reason, for operators.
        reason: String,
        /// The error that caused it, if there is one.
        #[source]
        source: Option<SharedError>,
    },
    /// The store holds data that cannot be read. Trying again does not help.
    #[error("the store holds data that cannot be read: {reason}")]
    Corrupt {
        /// The data that cannot be read, for operators.
        reason: String,
        /// The error that caused it, if there is one.
        #[source]
        source: Option<SharedError>,
    },
}

impl LedgerError {
    /// An unavailable store, without an error behind it.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), source: None }
    }

    /// An unavailable store, because of this error, which also gives the reason.
    #[must_use]
    pub fn unavailable_from(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable { reason: error.to_string(), source: Some(Arc::new(error)) }
    }

    /// Unreadable data of the named row, because of this error.
    #[must_use]
    pub fn corrupt(what: impl Display, error: impl Error + Send + Sync + 'static) -> Self {
        Self::Corrupt { reason: format!("{what}: {error}"), source: Some(Arc::new(error)) }
    }

    /// The reason, for operators.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Unavailable { reason, .. } | Self::Corrupt { reason, .. } => reason,
        }
    }
}
