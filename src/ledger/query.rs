//! Looking at the ledger, and asking for things to be done again.
//!
//! Lists come newest first, a page at a time. A page looks at a bounded number of rows, so one with a rare filter may
//! be short, or empty, and still say where to go on.

use serde::Serialize;

use super::{EventState, HubspotRefusal};
use crate::event::webinar::Provenance;
use crate::event::{
    AccountName, BodyHash, Change, EventKey, Gap, Millis, Origin, ProviderId, ReceiptId, SourceName,
};
use crate::ledger::{ReceiptKind, ReceiptOutcome};

/// The most that one page shows.
pub const PAGE_MAX: usize = 200;

/// A piece of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// Where the next piece begins; none at the end.
    pub next: Option<i64>,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Of that account only.
    pub account: Option<AccountName>,
    /// In that state only.
    pub state: Option<EventState>,
    /// Those only whose external ids or name hold this text, whatever its case.
    pub text: Option<String>,
    /// Where a page before said to go on.
    pub after: Option<i64>,
    /// Up to so many, at most [`PAGE_MAX`].
    pub limit: usize,
}

/// An event in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSummary {
    /// Its key.
    pub key: EventKey,
    /// Its state.
    pub state: EventState,
    /// A call with it is under way.
    pub in_flight: bool,
    /// Rises with every change of what HubSpot is to get, and when it is asked to be sent again.
    pub version: i64,
    /// What HubSpot is to get: JSON of [`crate::event::EventInput`]; none while incomplete or filtered.
    pub input: Option<Vec<u8>>,
    /// Its name as far as known, also while incomplete.
    pub name: Option<String>,
    /// Why it is not sent, while incomplete or filtered; else what is wrong with what is sent.
    pub gaps: Vec<Gap>,
    /// When what HubSpot is to get changed last.
    pub changed_at: Millis,
    /// Since when it has been pending, while it is.
    pub pending_since: Option<Millis>,
    /// Not sent before then, while it waits for a retry.
    pub not_before: Option<Millis>,
    /// Calls in a row that did not end with a confirmation and were its own.
    pub attempts: u32,
    /// When HubSpot last confirmed a state of it.
    pub confirmed_at: Option<Millis>,
    /// HubSpot's id of the record.
    pub object_id: Option<String>,
    /// Why HubSpot refused it, while dead.
    pub refused: Option<HubspotRefusal>,
    /// What went wrong last, if it did since the last confirmation.
    pub last_error: Option<String>,
}

/// An event with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct EventDetail {
    /// What lists show.
    pub summary: EventSummary,
    /// What HubSpot confirmed last, in full.
    pub confirmed_input: Option<Vec<u8>>,
    /// When its completion timer runs out.
    pub due_at: Option<Millis>,
    /// When it is sent a second time, after a call of which nobody knows whether it landed.
    pub resend_at: Option<Millis>,
    /// What each field rests on, by our names of the fields.
    pub fields: Vec<FieldOrigin>,
    /// The latest retained receipts that built it, newest first, at most [`PAGE_MAX`].
    pub receipts: Vec<ReceiptId>,
}

/// What a field's present value rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldOrigin {
    /// Which field: `name`, `start`, `custom.webinar_platform`.
    pub field: String,
    /// What it holds.
    pub value: serde_json::Value,
    /// Whether it was said of this occurrence, or of the whole webinar or series.
    pub of_occurrence: bool,
    /// The time that decides between writes.
    pub at: Millis,
    /// The receipt, which may be deleted by now.
    pub receipt: ReceiptId,
    /// The receipt's source.
    pub source: SourceName,
    /// The platform's name of the webhook.
    pub event_type: String,
    /// The platform's own time of it.
    pub reported_at: Option<Millis>,
    /// When it arrived.
    pub received_at: Millis,
}

/// What came of asking for an event to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedriveResult {
    /// It is pending.
    Pending,
    /// It is incomplete: there is nothing to send.
    Incomplete,
    /// Its source's filter refuses it.
    Filtered,
    /// There is no such event.
    Unknown,
}

/// Which events to send again, all of them, a bounded piece at a time.
#[derive(Debug, Clone)]
pub struct RedriveRequest {
    /// Of that account only.
    pub account: Option<AccountName>,
    /// Those in that state; incomplete and filtered ones are never sent.
    pub state: EventState,
    /// Leave out those that are over (ended before now).
    pub not_over: bool,
    /// Where a piece before said to go on.
    pub after: Option<i64>,
}

/// A piece of sending again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedriveProgress {
    /// Events that are to be sent: that were made pending, or were and need not wait any longer.
    pub redriven: u64,
    /// Where to go on; none when all are done.
    pub next: Option<i64>,
}

/// Which receipts.
#[derive(Debug, Clone, Default)]
pub struct ReceiptQuery {
    /// Of that source only.
    pub source: Option<SourceName>,
    /// With that outcome only.
    pub outcome: Option<ReceiptOutcome>,
    /// Where a page before said to go on.
    pub after: Option<i64>,
    /// Up to so many, at most [`PAGE_MAX`].
    pub limit: usize,
}

/// A receipt without its headers and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptSummary {
    /// Its id.
    pub id: ReceiptId,
    /// How it came.
    pub kind: ReceiptKind,
    /// Its source.
    pub source: SourceName,
    /// The source's provider, then.
    pub provider: ProviderId,
    /// The platform's name of it.
    pub event_type: String,
    /// When it arrived.
    pub received_at: Millis,
    /// What became of it; never a duplicate, which is not kept.
    pub outcome: ReceiptOutcome,
    /// Why it is quarantined, if it is.
    pub reason: Option<String>,
    /// The start of the SHA-256 of the raw body.
    pub hash: BodyHash,
}

impl ReceiptSummary {
    /// Who says a change that it brings, as when it came.
    #[must_use]
    pub fn provenance(&self, change: &Change) -> Provenance {
        let origin = Origin {
            source: self.source.clone(),
            provider: self.provider.clone(),
            event_type: self.event_type.clone(),
            reported_at: change.occurred_at,
            received_at: self.received_at,
        };
        Provenance { receipt: self.id, hash: self.hash, origin }
    }
}
