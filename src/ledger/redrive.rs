//! Redrives: an operator has events sent again.

use async_trait::async_trait;

use super::{EventState, LedgerError};
use crate::event::{AccountName, EventKey};

/// Makes events pending again, regardless of HubSpot's answer about their present state.
#[async_trait]
pub trait Redrive: Send + Sync + 'static {
    /// Makes one event pending; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was changed.
    async fn redrive(&self, key: &EventKey) -> Result<RedriveResult, LedgerError>;

    /// Makes many events pending, a bounded piece at a time.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing of this piece was changed.
    async fn redrive_all(&self, request: RedriveRequest) -> Result<RedriveProgress, LedgerError>;
}

/// The answer to a redrive of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveResult {
    /// The event is pending.
    Pending,
    /// The event is incomplete: there is nothing to send.
    Incomplete,
    /// The source's filter refuses the event.
    Filtered,
    /// There is no such event.
    Unknown,
}

/// A request to send many events again, a bounded piece at a time.
#[derive(Debug, Clone)]
pub struct RedriveRequest {
    /// Only events of that account.
    pub account: Option<AccountName>,
    /// Only events in that state; incomplete and filtered ones are never sent.
    pub state: EventState,
    /// Only events that are not over (ended before now).
    pub not_over: bool,
    /// Where to go on: the `next` of the piece before.
    pub after: Option<i64>,
}

/// One piece of a redrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedriveProgress {
    /// Events that will be sent: made pending, or pending before and freed of their wait.
    pub redriven: u64,
    /// Where to go on; none when all are done.
    pub next: Option<i64>,
}
