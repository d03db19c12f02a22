//! The rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::webinar::ReceiptOrder;
use crate::event::{
    AccountName, AccountStatus, BodyHash, EventKey, ExternalEventId, Millis, OccurrenceId,
    ReceiptId, SourceName, Webinar,
};
use crate::ledger::rules::base::{self, StoreAge, waits_for_base};
use crate::ledger::rules::event_row::{ConfirmedInput, EventRow};
use crate::ledger::rules::reconcile::EventFacts;
use crate::ledger::rules::source_config::StoredSource;
use crate::ledger::rules::timers::is_overdue;
use crate::ledger::{EventState, FetchTask, ReceiptRecord, ReceiptSummary, WebinarKey};

/// Everything that outlives the process. Cheap to copy: what is large is shared.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The receipts, by number, in the order of their arrival.
    pub(super) receipts: BTreeMap<i64, ReceiptRow>,
    pub(super) webinars: BTreeMap<WebinarKey, MemoryWebinar>,
    /// The events, by number.
    pub(super) events: BTreeMap<i64, MemoryEvent>,
    /// The queue of fetches, by number.
    pub(super) fetches: BTreeMap<i64, FetchTask>,
    /// What is known of asking each source's platform.
    pub(super) fetch_sources: BTreeMap<SourceName, FetchSource>,
    /// The status of each account.
    pub(super) statuses: BTreeMap<AccountName, AccountStatus>,
    /// The configuration of each source when the store was last opened.
    pub(super) sources: BTreeMap<SourceName, StoredSource>,
    /// Those of them that are not configured any more.
    pub(super) gone_sources: BTreeSet<SourceName>,
    /// The accounts that the store was opened with; none before the first time.
    pub(super) accounts: Option<BTreeSet<AccountName>>,
    /// The ages of the store; none before it was first opened.
    pub(super) age: Option<StoreAge>,
    /// It is a copy that was not served yet.
    pub(super) is_copy: bool,
    /// The defaults changed since the webinars were folded.
    pub(super) are_defaults_new: bool,
    /// When something was written last.
    pub(super) written_at: Option<Millis>,
    last_number: i64,
}

impl State {
    /// A number that no row has or had.
    pub(super) fn next_number(&mut self) -> i64 {
        self.last_number += 1;
        self.last_number
    }

    /// The highest number that was given.
    pub(super) fn last_number(&self) -> i64 {
        self.last_number
    }

    /// A receipt and its number.
    pub(super) fn find_receipt(&self, id: ReceiptId) -> Option<(i64, &ReceiptRow)> {
        let (number, row) = self.receipts.iter().find(|(_, row)| row.summary.id == id)?;
        Some((*number, row))
    }

    /// The sequence number of the first retained receipt of the webinar with that body.
    pub(super) fn first_of_body(&self, webinar: &WebinarKey, body: BodyHash) -> Option<u64> {
        let receipts = self.webinars.get(webinar)?.receipts.iter();
        let same = receipts.filter(|(number, _)| self.receipts[*number].summary.hash == body);
        same.map(|(_, order)| order.seq).min()
    }

    /// The number of an event.
    pub(super) fn find_event(&self, key: &EventKey) -> Option<i64> {
        self.events.iter().find(|(_, event)| event.key == *key).map(|(id, _)| *id)
    }

    /// The events of a webinar, with their numbers.
    pub(super) fn events_of(
        &self,
        webinar: &WebinarKey,
    ) -> impl Iterator<Item = (i64, &MemoryEvent)> {
        let events = self.events.iter().filter(move |(_, event)| event.webinar == *webinar);
        events.map(|(id, event)| (*id, event))
    }

    /// The occurrences of a series whose events are frozen.
    pub(super) fn frozen_occurrences(&self, webinar: &WebinarKey) -> BTreeSet<OccurrenceId> {
        let frozen = self.events_of(webinar).filter(|(_, event)| event.row.is_frozen);
        let ids = frozen.map(|(_, event)| &event.key.external_event_id);
        ids.filter_map(|id| id.occurrence_of(&webinar.webinar)).collect()
    }

    /// The occurrences of a series whose timers have run out, and were not run yet.
    pub(super) fn awaited_occurrences(
        &self,
        webinar: &WebinarKey,
        now: Millis,
    ) -> BTreeSet<OccurrenceId> {
        let events = self.events_of(webinar);
        let awaited = events.filter(|(_, event)| is_overdue(event.facts.due_at, now));
        let ids = awaited.map(|(_, event)| &event.key.external_event_id);
        ids.filter_map(|id| id.occurrence_of(&webinar.webinar)).collect()
    }

    /// Freezes the event of an occurrence that left the webinar's state.
    pub(super) fn freeze_event(&mut self, webinar: &WebinarKey, id: &ExternalEventId) {
        for event in self.events.values_mut() {
            if event.webinar == *webinar && event.key.external_event_id == *id {
                event.row.is_frozen = true;
                event.facts.due_at = None;
            }
        }
    }

    /// Gives the event of a frozen occurrence, which that receipt names again, its base.
    pub(super) fn wake_event(&mut self, webinar: &WebinarKey, id: &ExternalEventId, receipt: u64) {
        for event in self.events.values_mut() {
            if event.webinar == *webinar && event.key.external_event_id == *id {
                let confirmed = event.last_confirmed_input().cloned();
                event.row = base::wake(event.row.clone(), confirmed.as_deref(), receipt);
            }
        }
    }

    /// A webinar's row; an empty one, last changed `at`, if it is not there yet.
    pub(super) fn webinar_row(&mut self, key: &WebinarKey, at: Millis) -> &mut MemoryWebinar {
        self.webinars.entry(key.clone()).or_insert_with(|| MemoryWebinar {
            webinar: Arc::default(),
            receipts: BTreeMap::new(),
            has_expired_receipts: false,
            lasting_keys: BTreeSet::new(),
            last_at: at,
            is_timeless: false,
        })
    }
}

/// A receipt's number as a sequence number.
pub(super) fn sequence_number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// What is known of asking a source's platform.
#[derive(Debug, Clone, Default)]
pub(super) struct FetchSource {
    /// When a webinar was last answered.
    pub(super) answered_at: Option<Millis>,
    /// The digest of how the platform is asked.
    pub(super) config: Option<[u8; 32]>,
}

/// An event.
#[derive(Debug, Clone)]
pub(super) struct MemoryEvent {
    pub(super) webinar: WebinarKey,
    pub(super) key: EventKey,
    pub(super) row: EventRow,
    pub(super) input: Option<Arc<[u8]>>,
    /// The input that HubSpot confirmed last, where it differs from `input`.
    pub(super) confirmed_input: Option<Arc<[u8]>>,
    pub(super) facts: EventFacts,
}

impl MemoryEvent {
    pub(super) fn is_pending(&self) -> bool {
        self.row.state == EventState::Pending
    }

    /// Stores a row. An event that becomes pending, or changes while it is, wakes its account.
    pub(super) fn store_row(&mut self, row: EventRow, woken: &mut BTreeSet<AccountName>) {
        let has_work = row.state == EventState::Pending || waits_for_base(&row);
        if has_work && row != self.row {
            woken.insert(self.key.hubspot.clone());
        }
        self.row = row;
    }

    /// Stores the row of a redriven event.
    pub(super) fn redrive(&mut self, row: EventRow, woken: &mut BTreeSet<AccountName>) {
        self.store_confirmed_input(base::confirmed_input_of_copy(&self.row), None);
        self.input = self.input.take().filter(|_| row.input_hash.is_some());
        self.store_row(row, woken);
    }

    /// The input that HubSpot confirmed last, of an event of which it confirmed one; else the one that is to be sent.
    pub(super) fn last_confirmed_input(&self) -> Option<&Arc<[u8]>> {
        self.confirmed_input.as_ref().or(self.input.as_ref())
    }

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

/// A source's name for a delivery, by which a repetition is known.
pub(super) type DedupeKey = (SourceName, [u8; 32]);

/// A receipt.
#[derive(Debug, Clone)]
pub(super) struct ReceiptRow {
    pub(super) summary: ReceiptSummary,
    pub(super) dedupe_key: DedupeKey,
    pub(super) has_lasting_key: bool,
    pub(super) headers: Arc<[(String, String)]>,
    pub(super) body: Option<Arc<[u8]>>,
    /// The clock was doubted when it arrived.
    pub(super) is_doubted: bool,
}

impl ReceiptRow {
    /// When it arrived, unless the clock was doubted then.
    pub(super) fn undoubted_at(&self) -> Option<Millis> {
        (!self.is_doubted).then_some(self.summary.received_at)
    }

    /// The receipt of that number as queries show it.
    pub(super) fn record(&self, number: i64) -> ReceiptRecord {
        ReceiptRecord {
            seq: sequence_number(number),
            summary: self.summary.clone(),
            headers: self.headers.to_vec(),
            body: self.body.as_deref().map(<[u8]>::to_vec),
        }
    }
}

/// A webinar.
#[derive(Debug, Clone)]
pub(super) struct MemoryWebinar {
    pub(super) webinar: Arc<Webinar>,
    /// The retained receipts that built it, by number, and their places.
    pub(super) receipts: BTreeMap<i64, ReceiptOrder>,
    /// Receipts that built it are gone.
    pub(super) has_expired_receipts: bool,
    /// The dedupe keys of such receipts that are kept as long as the webinar.
    pub(super) lasting_keys: BTreeSet<DedupeKey>,
    /// Its last end or last change, whichever is later.
    pub(super) last_at: Millis,
    /// Nothing says when one of its events takes place.
    pub(super) is_timeless: bool,
}
