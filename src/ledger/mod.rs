//! The ledger: the durable record of what was received, what follows from it, and what HubSpot has confirmed.
//!
//! The ledger is the only buffer. Its contract is a small trait for each client; [`Ledger`] is all of them. It promises:
//!
//! * [`Intake::accept`] returns only once the receipt and its effect are durable.
//! * A receipt is merged once, by its source and its dedupe key.
//! * An event is claimed by at most one batch at a time, under the [`Lease`] of its account. It stays pending until
//!   [`Outbox::settle`] confirms the claimed version, or a later equal one.
//! * After an attempt whose outcome is unknown, the present state is sent at once and again after
//!   [`LATE_EFFECT_WINDOW`], also across a crash: an older state that takes effect late does not stay.
//! * An event that HubSpot may hold from before the ledger knew it is read before its first send ([`BaseReads`]).
//! * A fetch request is stored with the receipt that needs it. It stays due until its answer is accepted, in one step
//!   with that, or until it is given up or dead, which shows.
//! * [`Browse::event_counts`] and [`FetchQueue::fetch_statuses`] are exact: they count every acceptance that has returned.
//!
//! Relies on: a back end that applies each call whole or not at all.
//! On a crash: claims are free again, and claimed events are sent again.

mod account_statuses;
mod base_reads;
mod browse;
pub mod erasure;
mod error;
mod fetch_queue;
mod heirs;
mod intake;
mod json_bytes;
pub mod memory;
mod outbox;
mod rebuild;
mod redrive;
pub mod rules;
pub mod sqlite;
mod store;
mod timers;

use std::time::Duration;

pub use crate::event::{
    EventStateCounts, FetchCondition, FetchRequest, FieldOrigin, HubspotRefusal,
};
pub use account_statuses::AccountStatuses;
pub use base_reads::{BaseRead, BaseReadOutcome, BaseReads};
pub use browse::{
    Browse, EventDetail, EventQuery, EventState, EventSummary, PAGE_MAX, Page, ReceiptDetail,
    ReceiptQuery, ReceiptRecord, ReceiptSummary,
};
pub use error::{LedgerError, SharedError};
pub use fetch_queue::{
    FETCH_CLAIM, FetchBlame, FetchClaim, FetchOutcome, FetchQuery, FetchQueue, FetchRedrive,
    FetchState, FetchStatus, FetchSummary, FetchTask,
};
pub use heirs::Heirs;
pub use intake::{
    DuplicateRule, Intake, NewReceipt, Policies, ReceiptContent, ReceiptKind, ReceiptOutcome,
};
pub use outbox::{
    ClaimRequest, ClaimResult, ClaimedEvent, DeliveryOutcome, EventVersion, InputHash, Lease,
    Outbox, Probe, ProbeKind, RecordResult, Settlement,
};
pub use rebuild::{
    RebuildRequest, RebuildResult, Rebuilds, RebuiltWebinar, WebinarKey, WebinarState,
};
pub use redrive::{Redrive, RedriveProgress, RedriveRequest, RedriveResult};
pub use store::{CommitObserver, Store, StoreSizes};
pub use timers::{Retention, Timers, TimersRun};

/// The traits that delivery to HubSpot needs.
pub trait DeliveryLedger: Outbox + BaseReads + AccountStatuses + Redrive {}

impl<T: Outbox + BaseReads + AccountStatuses + Redrive> DeliveryLedger for T {}

/// The traits that fetching needs.
pub trait FetchLedger: FetchQueue + Rebuilds {}

impl<T: FetchQueue + Rebuilds> FetchLedger for T {}

/// What replaying receipts needs.
pub trait ReplayLedger: FetchLedger + Browse {}

impl<T: FetchLedger + Browse> ReplayLedger for T {}

/// What the operators' listener needs.
pub trait OpsLedger: Browse + AccountStatuses + Redrive + FetchQueue + Store {}

impl<T: Browse + AccountStatuses + Redrive + FetchQueue + Store> OpsLedger for T {}

/// A store of receipts and events: every trait of the contract.
pub trait Ledger: Intake + DeliveryLedger + ReplayLedger + OpsLedger + Timers {}

impl<T: Intake + DeliveryLedger + ReplayLedger + OpsLedger + Timers> Ledger for T {}

/// How long after it was given up a call may still take effect at HubSpot.
///
/// HubSpot's edge gives up after 100 s (error handling: 524), so a call that has not taken effect by then was lost.
pub const LATE_EFFECT_WINDOW: Duration = Duration::from_mins(2);

/// The longest wait of an account, an event or a fetch (HubSpot's error handling: 477, up to 24 h).
///
/// A stored time that is further ahead was written by a clock that was ahead, and is ignored.
pub const LONGEST_WAIT: Duration = Duration::from_hours(24);
