//! What goes out, and what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{EventKey, Gap, Millis};

/// What a claim asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// The most events one batch may hold.
    pub limit: usize,
    /// How long a pending event waits for company before a batch leaves that is not full.
    pub linger: Duration,
    /// Events that go alone, the first of them first: when there are no others, or when they are due.
    pub alone: Vec<i64>,
    /// So many of the first of these are due, and go before all others.
    pub due: usize,
}

impl ClaimRequest {
    /// Of the events that could go, oldest first: those that are to go in one batch.
    #[must_use]
    pub fn choose<T>(&self, free: Vec<T>, id: impl Fn(&T) -> i64) -> Vec<T> {
        let ranks: BTreeMap<i64, usize> =
            self.alone.iter().enumerate().map(|(rank, id)| (*id, rank)).collect();
        let rank = |event: &T| ranks.get(&id(event)).copied();
        let (alone, mut others): (Vec<T>, Vec<T>) =
            free.into_iter().partition(|event| rank(event).is_some());
        let first = alone.into_iter().min_by_key(&rank);
        let goes = |event: &T| others.is_empty() || rank(event).is_some_and(|rank| rank < self.due);
        if let Some(first) = first.filter(goes) {
            return vec![first];
        }
        others.truncate(self.limit);
        others
    }
}

/// The answer to a claim.
#[derive(Debug)]
pub enum ClaimResult {
    /// These, now.
    Batch(Vec<ClaimedEvent>),
    /// Nothing yet; look again then, or when woken. None: only when woken.
    Wait(Option<Millis>),
}

/// A claimed event: one version of its state, to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEvent {
    /// The ledger's own number of the event.
    pub id: i64,
    /// Its name.
    pub key: EventKey,
    /// The version that was claimed.
    pub version: i64,
    /// Since when it has been pending.
    pub pending_since: Millis,
    /// How often in a row this state of it came back as [`Outcome::Again`].
    pub attempts: u32,
    /// Its full state as HubSpot takes it: JSON of [`crate::event::EventInput`].
    pub input: Vec<u8>,
    /// HubSpot confirmed this very state last, and nothing was sent since: settle it as [`Outcome::Unchanged`].
    pub already_confirmed: bool,
}

/// What became of one claimed event.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which, and which version of it.
    pub claimed: ClaimedEvent,
    /// What.
    pub outcome: DeliveryOutcome,
}

/// What became of a sent event.
#[derive(Debug, Clone)]
pub enum DeliveryOutcome {
    /// HubSpot confirmed it.
    Confirmed {
        /// HubSpot's id of the record, where the answer tells it.
        object_id: Option<String>,
    },
    /// HubSpot refused this state of it for good: a dead letter until it changes or is redriven.
    Refused(HubspotRefusal),
    /// It was not sent: HubSpot holds it already.
    AlreadyConfirmed,
    /// It was taken for bad and is not: pending again, unless it changed since.
    RefusalRevoked,
    /// The account could not take it, and surely did not.
    NotApplied,
    /// Nobody knows whether HubSpot took it, or still will.
    Ambiguous,
    /// HubSpot did nothing with it, and took others: that is counted against it. Try again, not before then.
    RetryCounted {
        /// The earliest next attempt.
        not_before: Millis,
        /// Why, for showing.
        reason: String,
    },
    /// Nothing is known against it, nor whether HubSpot took it, or still will: try again, not before then.
    RetryUncounted {
        /// The earliest next attempt.
        not_before: Millis,
        /// Why, for showing.
        reason: String,
    },
}

/// HubSpot's words on why it refused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubspotRefusal {
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
pub struct EventStateCounts {
    pub pending: u64,
    pub in_flight: u64,
    pub delivered: u64,
    pub incomplete: u64,
    pub filtered: u64,
    pub dead: u64,
}

/// The state of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the states of `bridge_events`; one in flight is pending here")]
pub enum EventState {
    Pending,
    Delivered,
    Incomplete,
    Filtered,
    Dead,
}

/// An event as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Its name.
    pub key: EventKey,
    /// Its state.
    pub state: EventState,
    /// Rises with every change of what HubSpot is to get, and when it is asked to be sent again.
    pub version: i64,
    /// What HubSpot is to get; none while incomplete or filtered.
    pub input: Option<Vec<u8>>,
    /// Why it is not sent, while incomplete or filtered; else what is wrong with what is sent.
    pub gaps: Vec<Gap>,
    /// HubSpot's id of the record.
    pub object_id: Option<String>,
    /// Why HubSpot refused it, if it did.
    pub refused: Option<HubspotRefusal>,
}

/// The answer of [`super::Ledger::advance`].
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
