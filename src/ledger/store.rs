//! The store itself: health, sizes and closing.

use std::time::Duration;

use async_trait::async_trait;

use super::LedgerError;

/// The store as its operators see it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Whether the last attempt to write succeeded.
    ///
    /// # Errors
    /// The reason, for operators.
    fn health(&self) -> Result<(), String>;

    /// The sizes for the metrics.
    ///
    /// # Errors
    /// [`LedgerError`] when they cannot be read.
    async fn store_sizes(&self) -> Result<StoreSizes, LedgerError>;

    /// Finishes the calls under way, then stops: every later call is answered as unavailable. The store's file is then
    /// complete by itself and can be copied. No promise needs this: a process may end at any time.
    ///
    /// # Cancel safety
    /// A cancelled call is carried out all the same, if the process lives.
    async fn close(&self);
}

/// An observer of commits.
pub trait CommitObserver: Send + Sync + 'static {
    /// Observes a commit: its number of jobs and its duration.
    fn committed(&self, jobs: usize, took: Duration);

    /// Observes webinars that could not be folded and were passed by.
    fn passed_by(&self, _webinars: usize) {}
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the gauges `bridge_store_bytes`, `bridge_store_free_bytes`, `bridge_wal_bytes`"
)]
pub struct StoreSizes {
    pub store: u64,
    pub free: u64,
    pub wal: u64,
}
