//! The work that becomes due by time alone.

use std::time::Duration;

use async_trait::async_trait;

use super::{FetchState, LedgerError};
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
    /// Receipts, from their arrival; and given up fetches, from their last failure.
    pub receipts: Duration,
    /// Events, from their end or last change, whichever is later; and dead fetches, from their last failure.
    pub events: Duration,
}

impl Retention {
    /// How long a fetch that ended in each state is kept.
    #[must_use]
    pub fn ended_fetches(&self) -> [(FetchState, Duration); 2] {
        [(FetchState::GivenUp, self.receipts), (FetchState::Dead, self.events)]
    }
}
