//! The events of occurrences that left the state of their series: they are not loaded with what is reported of the whole.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::event_rows::{known_event, select_known_events};
use super::statements::Statements as _;
use super::transaction::WriteTx;
use crate::event::{Change, ExternalEventId, OccurrenceId, Webinar, WebinarId};
use crate::ledger::WebinarKey;
use crate::ledger::rules::reconcile::KnownEvent;

/// The events of a webinar by external id, without those of occurrences that left its state: nothing that is reported of
/// the whole changes them.
pub(super) fn load_live(
    tx: &WriteTx<'_>,
    key: &WebinarKey,
    id: i64,
    webinar: &Webinar,
) -> rusqlite::Result<BTreeMap<String, KnownEvent>> {
    let sql = select_known_events!("WHERE webinar = ?1 AND frozen = 0");
    let known = tx.connection.all(sql, [id], |row| known_event(tx, &key.hubspot, row))?;
    let mut known: BTreeMap<String, KnownEvent> = known.into_iter().collect();
    if webinar.has_frozen {
        for occurrence in webinar.occurrences.keys() {
            let event = ExternalEventId::for_occurrence(&key.webinar, occurrence);
            if !known.contains_key(event.as_str()) {
                known.extend(tx.connection.first(
                    select_known_events!(
                        "WHERE hubspot = ?1 AND external_account_id = ?2
                             AND external_event_id = ?3 AND webinar = ?4"
                    ),
                    (&key.hubspot, &key.account, &event, id),
                    |row| known_event(tx, &key.hubspot, row),
                )?);
            }
        }
    }
    Ok(known)
}

/// The occurrences of a series whose timers have run out, and were not run yet.
pub(super) fn awaited_occurrences(
    tx: &WriteTx<'_>,
    webinar: i64,
    series: &WebinarId,
) -> rusqlite::Result<BTreeSet<OccurrenceId>> {
    let ids: Vec<ExternalEventId> = tx.connection.all(
        "SELECT external_event_id FROM events WHERE webinar = ?1 AND due_at <= ?2",
        (webinar, tx.now),
        |row| row.get(0),
    )?;
    Ok(ids.iter().filter_map(|id| id.occurrence_of(series)).collect())
}

/// Those occurrences that a change names whose events are frozen.
pub(super) fn frozen_among(
    connection: &Connection,
    key: &WebinarKey,
    webinar: &Webinar,
    change: &Change,
) -> rusqlite::Result<BTreeSet<OccurrenceId>> {
    let mut frozen = BTreeSet::new();
    let named = change.occurrences.iter().map(|own| &own.id);
    for occurrence in named.filter(|id| !webinar.occurrences.contains_key(*id)) {
        let event = ExternalEventId::for_occurrence(&key.webinar, occurrence);
        let is_frozen = connection.first(
            "SELECT 1 FROM events WHERE hubspot = ?1 AND external_account_id = ?2
                 AND external_event_id = ?3 AND frozen = 1",
            (&key.hubspot, &key.account, &event),
            |_| Ok(()),
        )?;
        if is_frozen.is_some() {
            frozen.insert(occurrence.clone());
        }
    }
    Ok(frozen)
}
