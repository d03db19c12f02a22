//! The ledger: the durable record of what was received, what follows from it, and what HubSpot has confirmed.
//!
//! It is the buffer; nothing else queues. What it promises:
//!
//! * [`Ledger::accept`] returns only once the receipt and its effect are durable.
//! * The same receipt (source and dedupe key) is merged once.
//! * An event is claimed by at most one flight at a time, and stays pending until [`Ledger::settle`] confirms the very
//!   version that was claimed, or a later equal one.
//! * A crash frees all claims; what was claimed is sent again.
//! * After a call of which nobody knows whether HubSpot acted on it, or still will, the present state is sent at once and
//!   again [`LANDED`] later, also across a crash: an older state that lands after a newer one does not stay.
//! * [`Ledger::census`] is exact: it counts every acceptance that has returned.

mod delivery;
mod receipt;
pub mod sqlite;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::event::{AccountName, Millis, ReceiptId};
pub use delivery::{
    Claim, ClaimAsk, Claimed, Counts, Due, EventRecord, EventState, Outcome, RefusedBy, Retention,
    Settlement, Sizes,
};
pub use receipt::{Acceptance, Content, NewReceipt, Policies, ReceiptRecord};
pub use standing::{Pause, PauseReason, Standing};

/// A store of receipts and events. Every implementation passes the same suite.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Stores a receipt and merges what it says; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when nothing was kept: the sender should come again. Also when it is unknown
    /// whether it was kept, which a repetition heals.
    ///
    /// # Cancel safety
    /// A cancelled call may still be carried out.
    async fn accept(&self, receipt: NewReceipt) -> Result<Acceptance, LedgerError>;

    /// Takes up to `ask.most` pending events of the account, oldest first, none of them in flight.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn claim(&self, account: &AccountName, ask: ClaimAsk) -> Result<Claim, LedgerError>;

    /// Notes that a call with these claimed events is about to be made; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when it was not noted: the call must not be made.
    async fn depart(&self, account: &AccountName, claimed: &[Claimed]) -> Result<(), LedgerError>;

    /// Records what became of claimed events, and frees them; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was recorded; the events stay claimed, so the caller must try again or release.
    async fn settle(
        &self,
        account: &AccountName,
        settled: Vec<Settlement>,
    ) -> Result<(), LedgerError>;

    /// Gives claimed events back with which no call was begun.
    fn release(&self, account: &AccountName, claimed: &[Claimed]);

    /// What is known of an account's standing: pauses, failures, budget.
    fn standing(&self, account: &AccountName) -> Standing;

    /// Keeps an account's standing; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when it was not kept. It is shown all the same.
    async fn keep_standing(
        &self,
        account: &AccountName,
        standing: Standing,
    ) -> Result<(), LedgerError>;

    /// Told after each commit that may have made something to do for the account. Carries no data; arm it before looking.
    fn wake_up(&self, account: &AccountName) -> Arc<Notify>;

    /// The events of every account by state, now.
    fn census(&self) -> BTreeMap<AccountName, Counts>;

    /// Since when the account's oldest pending event has been pending.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn oldest_pending(&self, account: &AccountName) -> Result<Option<Millis>, LedgerError>;

    /// Does what time alone makes due, to at most `most` events: completes those whose timer has run out, and makes
    /// those pending that are to be sent a second time. Says how many there were and when the next is due.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was changed.
    async fn advance(&self, most: usize) -> Result<Due, LedgerError>;

    /// Deletes what is older than it is to be kept, a bounded piece at a time; says whether there is more.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was deleted.
    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError>;

    /// Sizes for the metrics.
    fn sizes(&self) -> Sizes;

    /// Whether the last attempt to write succeeded.
    ///
    /// # Errors
    /// Why it did not, for operators.
    fn health(&self) -> Result<(), String>;

    /// Every event, for reading back in tests and tools, by key; at most `most`.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn events(&self, most: usize) -> Result<Vec<EventRecord>, LedgerError>;

    /// A receipt with its body, as it is kept.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptRecord>, LedgerError>;
}

/// What a commit changed, for those who watch the ledger.
pub trait Watcher: Send + Sync + 'static {
    /// A commit of so many jobs took so long.
    fn committed(&self, jobs: usize, took: Duration);
}

/// How long after it was given up a call may still take effect at HubSpot. Its edge gives up after 100 s (error handling:
/// 524), so what has not landed by then was lost.
pub const LANDED: Duration = Duration::from_mins(2);

/// The longest that an account or an event is ever told to wait (HubSpot's error handling: 477, up to 24 h). A later time
/// was told by a clock that was ahead, and holds nothing.
pub const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Why the ledger did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot now (full, locked, read-only, stopping); trying again is right.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What it read makes no sense; trying again is of no use.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(String),
}
