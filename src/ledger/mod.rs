//! The ledger: the durable record of what was received, what follows from it, and what HubSpot has confirmed.
//!
//! It is the buffer; nothing else queues. What it promises:
//!
//! * [`Ledger::accept`] returns only once the receipt and its effect are durable.
//! * The same receipt (source and dedupe key) is merged once.
//! * An event is claimed by at most one flight at a time, and stays pending until [`Ledger::settle`] confirms the very
//!   version that was claimed, or a later equal one.
//! * A crash frees all claims; what was claimed is sent again.
//! * [`Ledger::census`] is exact: it counts every acceptance that has returned.

pub mod sqlite;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::event::{
    AccountName, BodyHash, Change, EventKey, Gap, Millis, Policy, ProviderId, ReceiptId, SourceName,
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
    async fn accept(&self, receipt: NewReceipt) -> Result<Acceptance, LedgerError>;

    /// Takes up to `ask.most` pending events of the account, oldest first, none of them in flight.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn claim(&self, account: &AccountName, ask: ClaimAsk) -> Result<Claim, LedgerError>;

    /// Records what became of claimed events, and frees them; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was recorded; the events stay claimed, so the caller must try again or release.
    async fn settle(
        &self,
        account: &AccountName,
        settled: Vec<Settlement>,
    ) -> Result<(), LedgerError>;

    /// Gives claimed events back untouched.
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

    /// Completes events whose timer has run out, at most `most`; says how many and when the next is due.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was changed.
    async fn complete_due(&self, most: usize) -> Result<Due, LedgerError>;

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

/// The events' configuration by source, which merging needs.
pub type Policies = BTreeMap<SourceName, Policy>;

/// A verified webhook, on its way in.
#[derive(Debug, Clone)]
pub struct NewReceipt {
    /// Its id.
    pub id: ReceiptId,
    /// Its source.
    pub source: SourceName,
    /// The source's provider.
    pub provider: ProviderId,
    /// When it arrived.
    pub received_at: Millis,
    /// The platform's name of it.
    pub event_type: String,
    /// SHA-256 of what makes it the same as another: the platform's documented delivery id, else the raw body.
    pub dedupe_key: [u8; 32],
    /// The start of the SHA-256 of the raw body.
    pub hash: BodyHash,
    /// What came in, scrubbed. Not kept for what is ignored.
    pub body: Vec<u8>,
    /// What to do with it.
    pub content: Content,
}

/// What a receipt holds for the ledger.
#[derive(Debug, Clone)]
pub enum Content {
    /// Merge these.
    Changes(Vec<Change>),
    /// Nothing for us; only its key is kept.
    Ignored,
    /// Authentic but not understood; kept for replaying. The text is for operators.
    Quarantined(String),
}

/// What became of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// Merged.
    Accepted,
    /// Seen before.
    Duplicate,
    /// Kept as seen; nothing for us.
    Ignored,
    /// Kept; not understood.
    Quarantined,
}

/// What a claim asks for.
#[derive(Debug, Clone, Copy)]
pub struct ClaimAsk {
    /// The most events one batch may hold.
    pub most: usize,
    /// How long a pending event waits for company before a batch leaves that is not full.
    pub linger: Duration,
}

/// The answer to a claim.
#[derive(Debug)]
pub enum Claim {
    /// These, now.
    Batch(Vec<Claimed>),
    /// Nothing yet; look again then, or when woken. None: only when woken.
    Later(Option<Millis>),
}

/// A claimed event: one version of its state, to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The ledger's own number of the event.
    pub id: i64,
    /// Its name.
    pub key: EventKey,
    /// The version that was claimed.
    pub version: i64,
    /// Since when it has been pending.
    pub pending_since: Millis,
    /// Its full state as HubSpot takes it: JSON of [`crate::event::EventInput`].
    pub input: Vec<u8>,
}

/// What became of one claimed event.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which, and which version of it.
    pub claimed: Claimed,
    /// What.
    pub outcome: Outcome,
}

/// What became of a sent event.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// HubSpot confirmed it.
    Confirmed {
        /// HubSpot's id of the record, where the answer tells it.
        object_id: Option<String>,
    },
    /// HubSpot refused this state of it for good: a dead letter until it changes or is redriven.
    Refused(RefusedBy),
    /// Nothing is known against it: try again, not before then.
    Again {
        /// The earliest next attempt.
        not_before: Millis,
        /// Why, for showing.
        reason: String,
    },
}

/// HubSpot's words on why it refused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedBy {
    /// HTTP status.
    pub status: u16,
    /// HubSpot's `category`: `VALIDATION_ERROR`. Bounded; `UNKNOWN` if it said none.
    pub category: String,
    /// HubSpot's `message`, bounded.
    pub message: String,
    /// HubSpot's `correlationId`.
    pub correlation_id: Option<String>,
}

/// Events of an account by state; disjoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the states of `bridge_events`")]
pub struct Counts {
    pub pending: u64,
    pub in_flight: u64,
    pub delivered: u64,
    pub incomplete: u64,
    pub dead: u64,
}

/// An account's standing with HubSpot, kept across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Why nothing is sent, if so.
    pub paused: Option<Pause>,
    /// Nothing is sent before then.
    pub retry_at: Option<Millis>,
    /// Failures of the account in a row.
    pub failures: u32,
    /// Since when it has been failing.
    pub failing_since: Option<Millis>,
    /// The last failure, for showing.
    pub last_error: Option<String>,
    /// What is left of the day's calls, where HubSpot tells.
    pub daily_remaining: Option<u64>,
}

/// A pause of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why.
    pub reason: PauseReason,
    /// Since when.
    pub since: Millis,
    /// What to do about it, for operators.
    pub detail: String,
}

/// Why an account is paused: label values of `bridge_account_paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// 401 with credentials that are fresh.
    Unauthorized,
    /// 403.
    Forbidden,
    /// The path is not there, or the account is another.
    Misconfigured,
    /// The day's calls are used up.
    DailyLimit,
    /// HubSpot moves the account between data centres (477).
    Migrating,
    /// HubSpot refuses everything for the same reason.
    Refused,
    /// An operator said so.
    Operator,
}

impl PauseReason {
    /// All reasons, for metrics that exist from the start.
    pub const ALL: [Self; 7] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::Misconfigured,
        Self::DailyLimit,
        Self::Migrating,
        Self::Refused,
        Self::Operator,
    ];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Misconfigured => "misconfigured",
            Self::DailyLimit => "daily_limit",
            Self::Migrating => "migrating",
            Self::Refused => "refused",
            Self::Operator => "operator",
        }
    }
}

/// The answer of [`Ledger::complete_due`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// How many events were completed.
    pub completed: usize,
    /// When the next one is due, if any.
    pub next: Option<Millis>,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Receipts, from their arrival.
    pub receipts: Duration,
    /// Events, from their end or last change, whichever is later.
    pub events: Duration,
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the gauges `bridge_store_bytes`, `bridge_store_free_bytes`, `bridge_wal_bytes`"
)]
pub struct Sizes {
    pub store: u64,
    pub free: u64,
    pub wal: u64,
}

/// The state of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the states of `bridge_events`; one in flight is pending here")]
pub enum EventState {
    Pending,
    Delivered,
    Incomplete,
    Dead,
}

/// An event as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Its name.
    pub key: EventKey,
    /// Its state.
    pub state: EventState,
    /// Rises with every change of what HubSpot is to get.
    pub version: i64,
    /// What HubSpot is to get; none while incomplete.
    pub input: Option<Vec<u8>>,
    /// What is missing while incomplete.
    pub gaps: Vec<Gap>,
    /// HubSpot's id of the record.
    pub object_id: Option<String>,
    /// Why HubSpot refused it, if it did.
    pub refused: Option<RefusedBy>,
}

/// A receipt as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRecord {
    /// Its source.
    pub source: SourceName,
    /// The platform's name of it.
    pub event_type: String,
    /// When it arrived.
    pub received_at: Millis,
    /// What became of it; never a duplicate, which is not kept.
    pub outcome: Acceptance,
    /// Why it is quarantined, if it is.
    pub reason: Option<String>,
    /// The scrubbed body; none for what was ignored.
    pub body: Option<Vec<u8>>,
}

/// What a commit changed, for those who watch the ledger.
pub trait Watcher: Send + Sync + 'static {
    /// A commit of so many jobs took so long.
    fn committed(&self, jobs: usize, took: Duration);
}

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
