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
//! * What is to be asked of a platform's API is noted with the receipt that it is wanted for, and is due until its answer
//!   is accepted, which is one step, or it is given up.
//! * [`Ledger::census`] and [`Ledger::fetches`] are exact: they count every acceptance that has returned.

mod delivery;
pub mod erasure;
mod fetch;
mod query;
mod rebuild;
mod receipt;
pub mod sqlite;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use crate::event::{
    AccountName, AccountStatus, EventKey, Millis, ReceiptId, SourceName, StatusChange, StatusUpdate,
};
pub use crate::event::{FetchCondition, FetchRequest};
pub use delivery::{
    ClaimRequest, ClaimResult, ClaimedEvent, DeliveryOutcome, EventRecord, EventState,
    EventStateCounts, HubspotRefusal, Retention, Settlement, StoreSizes, TimersRun,
};
pub use fetch::{FetchClaim, FetchOutcome, FetchStatus, FetchTask};
pub use query::{
    EventDetail, EventQuery, EventSummary, FieldOrigin, PAGE_MAX, Page, ReceiptQuery,
    ReceiptSummary, RedriveProgress, RedriveRequest, RedriveResult,
};
pub use rebuild::{
    ContributingReceipt, RebuildRequest, RebuildResult, RebuiltWebinar, WebinarKey, WebinarState,
};
pub use receipt::{
    NewReceipt, Policies, ReceiptContent, ReceiptKind, ReceiptOutcome, ReceiptRecord,
};

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
    async fn accept(&self, receipt: NewReceipt) -> Result<ReceiptOutcome, LedgerError>;

    /// Takes up to `ask.most` pending events of the account, oldest first, none of them in flight.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn claim(
        &self,
        account: &AccountName,
        ask: ClaimRequest,
    ) -> Result<ClaimResult, LedgerError>;

    /// Notes that a call with these claimed events is about to be made; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when it was not noted: the call must not be made.
    async fn begin_attempt(
        &self,
        account: &AccountName,
        claimed: &[ClaimedEvent],
    ) -> Result<(), LedgerError>;

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
    fn release(&self, account: &AccountName, claimed: &[ClaimedEvent]);

    /// The account's status, now and after every change, for the one that delivers to the account.
    fn watch_status(&self, account: &AccountName) -> watch::Receiver<AccountStatus>;

    /// The account's status now.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn account_status(&self, account: &AccountName) -> Result<AccountStatus, LedgerError>;

    /// Applies a change to the account's status, one change after the other; durable when it returns. Returns the status
    /// before and after. If they differ, the account is woken.
    ///
    /// # Errors
    /// [`LedgerError`] when the change was not stored. It holds all the same, for as long as the process lives.
    async fn update_status(
        &self,
        account: &AccountName,
        change: StatusChange,
    ) -> Result<StatusUpdate, LedgerError>;

    /// Told after each commit, and each change of its status, that may have made something to do for the account.
    /// Carries no data; arm it before looking.
    fn wake_up(&self, account: &AccountName) -> Arc<Notify>;

    /// The events of every account by state, now.
    fn event_counts(&self) -> BTreeMap<AccountName, EventStateCounts>;

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
    async fn run_timers(&self, most: usize) -> Result<TimersRun, LedgerError>;

    /// Notes that webinars are to be asked of the source's API, without any receipt; durable when it returns. Says of how
    /// many that is true from now on. Of a source that is not in the configuration nothing is noted.
    ///
    /// # Errors
    /// [`LedgerError`] when not all were noted. Trying again is right: what is wanted twice is asked for once.
    ///
    /// # Cancel safety
    /// A cancelled call may still be carried out, or a part of it.
    async fn request_fetches(
        &self,
        source: &SourceName,
        wanted: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError>;

    /// Up to `most` webinars that are to be asked of the source's API now, but for those of the numbers `except`, which
    /// the source's one worker has under way.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn claim_fetches(
        &self,
        source: &SourceName,
        most: usize,
        except: &[i64],
    ) -> Result<FetchClaim, LedgerError>;

    /// Records what became of a task and accepts the receipt that it brings, in one step; durable when it returns. Says
    /// what became of the receipt, if there is one.
    ///
    /// What was wanted again since the task was taken stays due: at once, or, after [`FetchOutcome::Later`], when that
    /// says. What a receipt wants of the very webinar and account that it answers is passed over: it would be for ever.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was recorded, or it is unknown whether it was, which a repetition heals.
    ///
    /// # Cancel safety
    /// A cancelled call may still be carried out.
    async fn settle_fetch(
        &self,
        task: &FetchTask,
        outcome: FetchOutcome,
    ) -> Result<Option<ReceiptOutcome>, LedgerError>;

    /// Told after each commit that made something of the source due to be asked for. Carries no data; arm it before
    /// looking.
    fn fetch_wake_up(&self, source: &SourceName) -> Arc<Notify>;

    /// How asking the API of every source of the configuration stands, now.
    fn fetch_statuses(&self) -> BTreeMap<SourceName, FetchStatus>;

    /// Deletes what is older than it is to be kept, a bounded piece at a time; says whether there is more.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was deleted.
    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError>;

    /// Does what was asked of it, then writes no more: whatever is asked from now on is unavailable. The store is whole
    /// by itself after it, for whoever copies it. Not needed for what was promised: a process may end at any time.
    ///
    /// # Cancel safety
    /// A cancelled call is carried out all the same, if the process lives.
    async fn close(&self);

    /// Sizes for the metrics.
    fn store_sizes(&self) -> StoreSizes;

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

    /// A page of events, newest first.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn list_events(&self, ask: EventQuery) -> Result<Page<EventSummary>, LedgerError>;

    /// All that is known of one event.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn event_detail(&self, key: &EventKey) -> Result<Option<EventDetail>, LedgerError>;

    /// Makes an event pending, whatever HubSpot has said of its present state; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was changed.
    async fn redrive(&self, key: &EventKey) -> Result<RedriveResult, LedgerError>;

    /// The same for many, a bounded piece at a time.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing of this piece was changed.
    async fn redrive_all(&self, ask: RedriveRequest) -> Result<RedriveProgress, LedgerError>;

    /// A page of receipts, newest first.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn list_receipts(&self, ask: ReceiptQuery) -> Result<Page<ReceiptSummary>, LedgerError>;

    /// A receipt with its body, as it is kept.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptRecord>, LedgerError>;

    /// The webinars that a receipt built, as they are.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn webinars_of(&self, receipt: ReceiptId) -> Result<Vec<WebinarState>, LedgerError>;

    /// A webinar as it is.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn webinar_state(&self, key: &WebinarKey) -> Result<WebinarState, LedgerError>;

    /// A page of the retained receipts that built a webinar, with their bodies, oldest first: as many as some megabytes
    /// hold, and at least one if there is any. `after` is where a page before said to go on.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn receipts_of(
        &self,
        key: &WebinarKey,
        after: Option<i64>,
    ) -> Result<Page<ContributingReceipt>, LedgerError>;

    /// Puts webinars that were told anew, after a receipt was mapped again, in the place of what they were. Told as
    /// before, nothing changes. Durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was changed.
    async fn rebuild(&self, rebuild: RebuildRequest) -> Result<RebuildResult, LedgerError>;
}

/// What a commit changed, for those who watch the ledger.
pub trait CommitObserver: Send + Sync + 'static {
    /// A commit of so many jobs took so long.
    fn committed(&self, jobs: usize, took: Duration);
}

/// How long after it was given up a call may still take effect at HubSpot. Its edge gives up after 100 s (error handling:
/// 524), so what has not landed by then was lost.
pub const LATE_EFFECT_WINDOW: Duration = Duration::from_mins(2);

/// The longest that an account, an event or a fetch is ever told to wait (HubSpot's error handling: 477, up to 24 h).
///
/// A later time was told by a clock that was ahead, and holds nothing.
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
