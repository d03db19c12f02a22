//! The work that becomes due by time alone.

use std::time::Duration;

use async_trait::async_trait;

use super::LedgerError;
use crate::event::Millis;

/// The ledger's work that becomes due by time alone.
#[async_trait]
pub trait Timers: Send + Sync + 'static {
    /// Runs what is due, for at most `limit` events of each kind: completes those whose timer has run out, and makes those
    /// pending that are to be sent a second time.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was changed.
    async fn run_timers(&self, limit: usize) -> Result<TimersRun, LedgerError>;

    /// Deletes what is older than it is kept, a bounded piece at a time. Answers whether there is more.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was deleted.
    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError>;
}

/// A run of the timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimersRun {
    /// How many events, or webinars, were due.
    pub done: usize,
    /// When the next one is due, if any.
    pub next_due: Option<Millis>,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Receipts, from their arrival; and fetches, from when they were given up.
    pub receipts: Duration,
    /// Events, from their end or last change, whichever is later.
    pub events: Duration,
}
