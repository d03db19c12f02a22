//! Queries of the ledger.
//!
//! Lists come newest first, a page at a time. A page looks at a bounded number of rows: one with a rare filter may be
//! short, or empty, and still name the place to go on from.
//!
//! The records serialize as the operators' API shows them: their members keep their names and may only be joined by new
//! ones.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize, Serializer};

use super::rules::event_row::EventRow;
use super::{HubspotRefusal, LedgerError, ReceiptKind, ReceiptOutcome, json_bytes};
use crate::event::webinar::{Provenance, ReceiptOrder};
use crate::event::{
    AccountName, BodyHash, Change, EventKey, EventStateCounts, FieldOrigin, Gap, Millis, Origin,
    ProviderId, ReceiptId, SourceName, rfc3339,
};

/// The queries of people and metrics.
#[async_trait]
pub trait Browse: Send + Sync + 'static {
    /// The number of events in each state, by account, now.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn event_counts(&self) -> Result<BTreeMap<AccountName, EventStateCounts>, LedgerError>;

    /// Since when the account's oldest pending event has been pending.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn oldest_pending(&self, account: &AccountName) -> Result<Option<Millis>, LedgerError>;

    /// A page of events, newest first.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn list_events(&self, query: EventQuery) -> Result<Page<EventSummary>, LedgerError>;

    /// All that is known of one event.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn event_detail(&self, key: &EventKey) -> Result<Option<EventDetail>, LedgerError>;

    /// A page of receipts, newest first.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn list_receipts(&self, query: ReceiptQuery)
    -> Result<Page<ReceiptSummary>, LedgerError>;

    /// A receipt with its body and its events, as it is stored.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptDetail>, LedgerError>;
}

/// The most that one page shows.
pub const PAGE_MAX: usize = 200;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; none at the end.
    pub next: Option<i64>,
}

/// The state of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the states of `bridge_events`; one in flight is pending here")]
pub enum EventState {
    Pending,
    Delivered,
    Incomplete,
    Filtered,
    Dead,
}

impl EventState {
    /// The number of the events in this state.
    #[must_use]
    pub fn count_in(self, counts: &mut EventStateCounts) -> &mut u64 {
        match self {
            Self::Pending => &mut counts.pending,
            Self::Delivered => &mut counts.delivered,
            Self::Incomplete => &mut counts.incomplete,
            Self::Filtered => &mut counts.filtered,
            Self::Dead => &mut counts.dead,
        }
    }
}

/// A query for events.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only events of that account.
    pub account: Option<AccountName>,
    /// Only events in that state.
    pub state: Option<EventState>,
    /// Only events with this text in their external ids or name, in any case.
    pub text: Option<String>,
    /// Where to go on: the `next` of the page before.
    pub after: Option<i64>,
    /// The most items, up to [`PAGE_MAX`].
    pub limit: usize,
}

/// An event in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSummary {
    /// The key.
    #[serde(flatten)]
    pub key: EventKey,
    /// The state.
    pub state: EventState,
    /// A batch holds the event.
    pub in_flight: bool,
    /// Rises with every change of the input, and with every redrive.
    pub version: i64,
    /// The input for HubSpot, JSON of [`crate::event::EventInput`]; none while incomplete or filtered.
    #[serde(default, with = "json_bytes")]
    pub input: Option<Vec<u8>>,
    /// The name, if known, also while incomplete.
    pub name: Option<String>,
    /// Why it is not sent, while incomplete or filtered; else what is wrong with the input.
    pub gaps: Vec<Gap>,
    /// When the input changed last.
    #[serde(with = "rfc3339")]
    pub changed_at: Millis,
    /// Since when it has been pending, while it is.
    #[serde(default, with = "rfc3339::option")]
    pub pending_since: Option<Millis>,
    /// The earliest next attempt, while it waits for one.
    #[serde(default, with = "rfc3339::option")]
    pub not_before: Option<Millis>,
    /// Counted calls in a row that did not end with a confirmation.
    pub attempts: u32,
    /// When HubSpot last confirmed a state of it.
    #[serde(default, with = "rfc3339::option")]
    pub confirmed_at: Option<Millis>,
    /// HubSpot's id of the record.
    pub object_id: Option<String>,
    /// Why HubSpot refused it, while dead.
    pub refused: Option<HubspotRefusal>,
    /// The last failure since the last confirmation.
    pub last_error: Option<String>,
}

impl EventSummary {
    /// The summary of a stored event.
    pub(super) fn new(
        key: EventKey,
        row: EventRow,
        input: Option<Vec<u8>>,
        name: Option<String>,
        is_claimed: bool,
    ) -> Self {
        let is_pending = row.state == EventState::Pending;
        Self {
            key,
            state: row.state,
            in_flight: is_pending && is_claimed,
            version: row.version,
            input,
            name,
            gaps: row.gaps,
            changed_at: row.changed_at,
            pending_since: is_pending.then_some(row.pending_since),
            not_before: row.not_before.filter(|_| is_pending),
            attempts: row.attempts,
            confirmed_at: row.confirmed_at,
            object_id: row.object_id,
            refused: row.refused.filter(|_| row.state == EventState::Dead),
            last_error: row.last_error,
        }
    }
}

/// An event with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventDetail {
    /// The event as lists show it.
    #[serde(flatten)]
    pub summary: EventSummary,
    /// The input that HubSpot confirmed last, in full.
    #[serde(default, with = "json_bytes")]
    pub confirmed_input: Option<Vec<u8>>,
    /// When its completion timer runs out.
    #[serde(default, with = "rfc3339::option")]
    pub due_at: Option<Millis>,
    /// When it is sent a second time, after a call whose effect is unknown.
    #[serde(default, with = "rfc3339::option")]
    pub resend_at: Option<Millis>,
    /// The origin of each field, by our names of the fields.
    pub fields: Vec<FieldOrigin>,
    /// The latest retained receipts that built it, newest first, at most [`PAGE_MAX`].
    pub receipts: Vec<ReceiptId>,
}

/// A query for receipts.
#[derive(Debug, Clone, Default)]
pub struct ReceiptQuery {
    /// Only receipts of that source.
    pub source: Option<SourceName>,
    /// Only receipts with that outcome.
    pub outcome: Option<ReceiptOutcome>,
    /// Where to go on: the `next` of the page before.
    pub after: Option<i64>,
    /// The most items, up to [`PAGE_MAX`].
    pub limit: usize,
}

/// A receipt with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptDetail {
    /// The receipt.
    pub record: ReceiptRecord,
    /// The events of the webinars that it built, by key; at most [`PAGE_MAX`].
    pub events: Vec<EventKey>,
}

/// A receipt as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRecord {
    /// Its sequence number: receipts are numbered in the order of their arrival.
    pub seq: u64,
    /// Everything but the headers and the body.
    pub summary: ReceiptSummary,
    /// The headers that mapping needs again, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// The scrubbed body; none for an ignored or erased one.
    pub body: Option<Vec<u8>>,
}

/// A receipt without its headers and its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiptSummary {
    /// Its id.
    pub id: ReceiptId,
    /// How it came.
    pub kind: ReceiptKind,
    /// Its source.
    pub source: SourceName,
    /// The source's provider at that time.
    pub provider: ProviderId,
    /// The platform's name of it.
    pub event_type: String,
    /// When it arrived.
    #[serde(with = "rfc3339")]
    pub received_at: Millis,
    /// The outcome; never a duplicate, which is not stored.
    pub outcome: ReceiptOutcome,
    /// Why it is quarantined, if it is.
    pub reason: Option<String>,
    /// The start of the SHA-256 of the raw body; hexadecimal digits in JSON.
    #[serde(serialize_with = "hexadecimal")]
    pub hash: BodyHash,
}

fn hexadecimal<S: Serializer>(hash: &BodyHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(hash.to_bytes()))
}

impl ReceiptSummary {
    /// The provenance of a change that the receipt brings, as the one at that place among its changes.
    #[must_use]
    pub fn provenance(&self, change: &Change, place: usize, order: ReceiptOrder) -> Provenance {
        let origin = Origin {
            source: self.source.clone(),
            provider: self.provider.clone(),
            event_type: self.event_type.clone(),
            reported_at: change.occurred_at,
            received_at: self.received_at,
        };
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        Provenance { receipt: self.id, order, place, origin }
    }
}
