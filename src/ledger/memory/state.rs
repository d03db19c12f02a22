//! The rows, and what is known beside them while the ledger is open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::{
    AccountName, AccountStatus, EventKey, ExternalAccountId, Millis, ReceiptId, SourceName,
    Webinar, WebinarId,
};
use crate::ledger::rules::event_row::{ConfirmedInput, EventRow};
use crate::ledger::rules::fetch::FetchRow;
use crate::ledger::rules::reconcile::EventFacts;
use crate::ledger::rules::source_config::StoredSource;
use crate::ledger::{ReceiptSummary, WebinarKey};

/// Everything that outlives the process. Cheap to copy: what is large is shared.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The receipts, by number, in the order of their arrival.
    pub(super) receipts: BTreeMap<i64, ReceiptRow>,
    /// The number of each receipt.
    pub(super) receipt_ids: BTreeMap<ReceiptId, i64>,
    /// The dedupe keys of the receipts that are kept.
    pub(super) dedupe_keys: BTreeSet<(SourceName, [u8; 32])>,
    /// Dedupe keys that outlive their receipt, and the webinar for whose life they are kept.
    pub(super) lasting_keys: BTreeSet<(SourceName, [u8; 32], i64)>,
    /// The webinars, by number.
    pub(super) webinars: BTreeMap<i64, WebinarRow>,
    /// The number of each webinar.
    pub(super) webinar_ids: BTreeMap<WebinarKey, i64>,
    /// The events, by number.
    pub(super) events: BTreeMap<i64, StoredEvent>,
    /// The number of each event.
    pub(super) event_ids: BTreeMap<EventKey, i64>,
    /// The queue of fetches, by number.
    pub(super) fetches: BTreeMap<i64, StoredFetch>,
    /// The status of each account.
    pub(super) statuses: BTreeMap<AccountName, AccountStatus>,
    /// The configuration of each source when the store was last opened.
    pub(super) sources: BTreeMap<SourceName, StoredSource>,
    /// The last webinar that was folded again since the defaults changed; none: all were.
    pub(super) refolded_up_to: Option<i64>,
    last_number: i64,
}

impl State {
    /// A number that no row has or had.
    pub(super) fn next_number(&mut self) -> i64 {
        self.last_number += 1;
        self.last_number
    }

    /// The events of a webinar.
    pub(super) fn events_of(&self, webinar: i64) -> impl Iterator<Item = (i64, &StoredEvent)> {
        let events = self.events.iter().filter(move |(_, event)| event.webinar == webinar);
        events.map(|(id, event)| (*id, event))
    }

    /// Deletes an event.
    pub(super) fn delete_event(&mut self, id: i64) {
        if let Some(event) = self.events.remove(&id) {
            self.event_ids.remove(&event.key);
        }
    }
}

/// An event.
#[derive(Debug, Clone)]
pub(super) struct StoredEvent {
    /// The number of its webinar.
    pub(super) webinar: i64,
    pub(super) key: EventKey,
    pub(super) row: EventRow,
    pub(super) input: Option<Arc<[u8]>>,
    /// The input that HubSpot confirmed last, where it differs from `input`.
    pub(super) confirmed_input: Option<Arc<[u8]>>,
    pub(super) facts: EventFacts,
}

impl StoredEvent {
    /// Applies what a rule answers about the confirmed input. `sent` is the input that was sent.
    pub(super) fn store_confirmed_input(
        &mut self,
        change: ConfirmedInput,
        sent: Option<&Arc<[u8]>>,
    ) {
        self.confirmed_input = match change {
            ConfirmedInput::Keep => return,
            ConfirmedInput::TakePresent => self.input.clone(),
            ConfirmedInput::Clear => None,
            ConfirmedInput::TakeSent => sent.cloned(),
        };
    }
}

/// A receipt.
#[derive(Debug, Clone)]
pub(super) struct ReceiptRow {
    pub(super) summary: ReceiptSummary,
    pub(super) dedupe_key: [u8; 32],
    pub(super) has_lasting_key: bool,
    pub(super) headers: Arc<[(String, String)]>,
    pub(super) body: Option<Arc<[u8]>>,
}

/// A webinar.
#[derive(Debug, Clone)]
pub(super) struct WebinarRow {
    pub(super) key: WebinarKey,
    pub(super) webinar: Arc<Webinar>,
    /// The retained receipts that built it, by number.
    pub(super) receipts: BTreeSet<i64>,
    /// Receipts that built it are gone.
    pub(super) has_expired_receipts: bool,
    /// Its last end or last change, whichever is later.
    pub(super) last_at: Millis,
}

/// A row of the queue of fetches.
#[derive(Debug, Clone)]
pub(super) struct StoredFetch {
    pub(super) source: SourceName,
    pub(super) webinar: WebinarId,
    pub(super) account: Option<ExternalAccountId>,
    pub(super) row: FetchRow,
}
