//! The events' rows: they are loaded for a rule, and stored as the rule answers.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row, params};

use super::event_columns::{BaseColumns, Columns, read_event_row, row_columns};
use super::statements::Statements as _;
use super::transaction::WriteTx;
use super::values::{Json, TimeOrZero};
use crate::event::{AccountName, EventKey, ExternalEventId, Millis, OccurrenceId, WebinarId};
use crate::ledger::rules::base::{self, waits_for_base};
use crate::ledger::rules::event_row::{ConfirmedInput, EventRow};
use crate::ledger::rules::reconcile::{EventFacts, KnownEvent, TimerCompletion};

/// Selects the columns that [`known_event`] reads.
macro_rules! select_known_events {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            $crate::ledger::sqlite::event_columns::row_columns!(),
            ", id, external_event_id, timer_end, timer_confirmed FROM events ",
            $condition
        )
    };
}
pub(super) use select_known_events;

/// Reads an event's key.
pub(super) fn event_key(row: &Row<'_>) -> rusqlite::Result<EventKey> {
    Ok(EventKey {
        hubspot: row.get("hubspot")?,
        external_account_id: row.get("external_account_id")?,
        external_event_id: row.get("external_event_id")?,
    })
}

/// Finds the row of an event.
pub(super) fn find(connection: &Connection, key: &EventKey) -> rusqlite::Result<Option<i64>> {
    connection.first(
        "SELECT id FROM events
         WHERE hubspot = ?1 AND external_account_id = ?2 AND external_event_id = ?3",
        (&key.hubspot, &key.external_account_id, &key.external_event_id),
        |row| row.get(0),
    )
}

/// An event's account and row; none if the event is deleted.
pub(super) fn load(
    connection: &Connection,
    id: i64,
) -> rusqlite::Result<Option<(AccountName, EventRow)>> {
    connection.first(
        concat!("SELECT ", row_columns!(), ", hubspot FROM events WHERE id = ?1"),
        [id],
        |row| {
            let mut columns = Columns::new(row);
            let event = read_event_row(&mut columns)?;
            Ok((columns.next()?, event))
        },
    )
}

/// The events of a webinar by external id.
pub(super) fn load_webinar(
    tx: &WriteTx<'_>,
    account: &AccountName,
    webinar: i64,
) -> rusqlite::Result<BTreeMap<String, KnownEvent>> {
    let sql = select_known_events!("WHERE webinar = ?1");
    let known = tx.connection.all(sql, [webinar], |row| known_event(tx, account, row))?;
    Ok(known.into_iter().collect())
}

/// Reads an event of a webinar, and its external id.
pub(super) fn known_event(
    tx: &WriteTx<'_>,
    account: &AccountName,
    row: &Row<'_>,
) -> rusqlite::Result<(String, KnownEvent)> {
    let mut columns = Columns::new(row);
    let row = read_event_row(&mut columns)?;
    let (id, external_event_id) = (columns.next()?, columns.next()?);
    let (end, is_confirmed): (Option<Millis>, bool) = (columns.next()?, columns.next()?);
    let timer = end.map(|end| TimerCompletion { end, is_confirmed });
    let is_claimed = tx.live.is_claimed(account, id);
    Ok((external_event_id, KnownEvent { id, row, is_claimed, timer }))
}

/// The occurrences of a series whose events are frozen.
pub(super) fn frozen_occurrences(
    connection: &Connection,
    webinar: i64,
    series: &WebinarId,
) -> rusqlite::Result<BTreeSet<OccurrenceId>> {
    let ids: Vec<ExternalEventId> = connection.all(
        "SELECT external_event_id FROM events WHERE webinar = ?1 AND frozen = 1",
        [webinar],
        |row| row.get(0),
    )?;
    Ok(ids.iter().filter_map(|id| id.occurrence_of(series)).collect())
}

/// Freezes the event of an occurrence that left the webinar's state. Nothing is due for it any more.
pub(super) fn freeze(
    connection: &Connection,
    webinar: i64,
    event: &ExternalEventId,
) -> rusqlite::Result<()> {
    connection.run(
        "UPDATE events SET frozen = 1, due_at = NULL
         WHERE webinar = ?1 AND external_event_id = ?2",
        (webinar, event),
    )
}

/// Gives the event of a frozen occurrence, which that receipt names again, its base.
pub(super) fn wake(
    connection: &Connection,
    webinar: i64,
    event: &ExternalEventId,
    receipt: u64,
) -> rusqlite::Result<()> {
    let id: Option<i64> = connection.first(
        "SELECT id FROM events WHERE webinar = ?1 AND external_event_id = ?2",
        (webinar, event),
        |row| row.get(0),
    )?;
    let Some(id) = id else { return Ok(()) };
    let Some((_, row)) = load(connection, id)? else { return Ok(()) };
    let confirmed = last_confirmed_input(connection, id)?;
    store(connection, id, &base::wake(row, confirmed.as_deref(), receipt))
}

/// Stores a row in place of the one before, with the side effects of its state.
pub(super) fn replace(
    tx: &mut WriteTx<'_>,
    account: &AccountName,
    id: i64,
    before: &EventRow,
    after: &EventRow,
) -> rusqlite::Result<()> {
    if before == after {
        return Ok(());
    }
    store(tx.connection, id, after)?;
    tx.effects.change_state(account, id, Some(before.state), Some(after.state));
    if waits_for_base(after) {
        tx.effects.wait_for_base(account);
    }
    Ok(())
}

pub(super) fn store(connection: &Connection, id: i64, row: &EventRow) -> rusqlite::Result<()> {
    let base = BaseColumns::new(&row.base);
    connection.run(
        "UPDATE events SET state = ?2, version = ?3, input_hash = ?4, gaps = ?5, changed_at = ?6,
             pending_since = ?7, not_before = ?8, attempts = ?9, sending_since = ?10,
             resend_at = ?11, held_hash = ?12, confirmed_hash = ?13, confirmed_at = ?14,
             object_id = ?15, refused = ?16, last_error = ?17, frozen = ?18, base = ?19,
             base_rank = ?20, base_above = ?21, base_fields = ?22
         WHERE id = ?1",
        params![
            id,
            row.state,
            row.version,
            row.input_hash,
            Json(&row.gaps),
            row.changed_at,
            row.pending_since,
            TimeOrZero(row.not_before),
            row.attempts,
            row.sending_since,
            row.resend_at,
            row.held_hash,
            row.confirmed_hash,
            row.confirmed_at,
            row.object_id,
            row.refused.as_ref().map(Json),
            row.last_error,
            row.is_frozen,
            base.code,
            base.rank,
            base.above,
            base.fields,
        ],
    )
}

/// Adds an event; false if another webinar has one of that id.
pub(super) fn insert(
    tx: &mut WriteTx<'_>,
    webinar: i64,
    key: &EventKey,
    row: &EventRow,
    input: Option<&[u8]>,
    facts: &EventFacts,
) -> rusqlite::Result<bool> {
    let base = BaseColumns::new(&row.base);
    let inserted = tx.connection.change(
        "INSERT INTO events (webinar, hubspot, external_account_id, external_event_id, version,
             state, input, input_hash, gaps, changed_at, pending_since, due_at, name, ends_at,
             timer_end, base, base_rank, base_above)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
         ON CONFLICT (hubspot, external_account_id, external_event_id) DO NOTHING",
        params![
            webinar,
            &key.hubspot,
            &key.external_account_id,
            &key.external_event_id,
            row.version,
            row.state,
            input,
            row.input_hash,
            Json(&row.gaps),
            row.changed_at,
            row.pending_since,
            facts.due_at,
            &facts.name,
            facts.ends_at,
            facts.timer.map(|timer| timer.end),
            base.code,
            base.rank,
            base.above,
        ],
    )?;
    if inserted == 0 {
        return Ok(false);
    }
    let id = tx.connection.last_insert_rowid();
    tx.effects.change_state(&key.hubspot, id, None, Some(row.state));
    if waits_for_base(row) {
        tx.effects.wait_for_base(&key.hubspot);
    }
    Ok(true)
}

/// Stores the facts beside an event, where they differ.
pub(super) fn store_facts(tx: &WriteTx<'_>, id: i64, facts: &EventFacts) -> rusqlite::Result<()> {
    // SQLite compares them: reading hundreds of long names would take megabytes.
    tx.connection.run(
        "UPDATE events SET due_at = ?2, ends_at = ?3, name = ?4, timer_end = ?5, timer_confirmed = ?6
         WHERE id = ?1 AND (due_at IS NOT ?2 OR ends_at IS NOT ?3 OR name IS NOT ?4
             OR timer_end IS NOT ?5 OR timer_confirmed <> ?6)",
        (
            id,
            facts.due_at,
            facts.ends_at,
            &facts.name,
            facts.timer.map(|timer| timer.end),
            facts.timer.is_some_and(|timer| timer.is_confirmed),
        ),
    )
}

/// Stores the input that HubSpot confirmed last; `sent` is the input that was sent, where it is known.
pub(super) fn store_confirmed_input(
    connection: &Connection,
    id: i64,
    change: ConfirmedInput,
    sent: Option<&[u8]>,
) -> rusqlite::Result<()> {
    let input = match change {
        ConfirmedInput::Keep => return Ok(()),
        ConfirmedInput::TakePresent => {
            let present = "UPDATE events SET confirmed_input = input WHERE id = ?1";
            return connection.run(present, [id]);
        }
        ConfirmedInput::Clear => None,
        ConfirmedInput::TakeSent => sent,
    };
    connection.run("UPDATE events SET confirmed_input = ?2 WHERE id = ?1", (id, input))
}

/// The input that HubSpot confirmed last, of an event of which it confirmed one; else the one that is to be sent.
pub(super) fn last_confirmed_input(
    connection: &Connection,
    id: i64,
) -> rusqlite::Result<Option<Vec<u8>>> {
    connection.value("SELECT coalesce(confirmed_input, input) FROM events WHERE id = ?1", [id])
}

/// Deletes events.
pub(super) fn delete(
    tx: &mut WriteTx<'_>,
    account: &AccountName,
    events: Vec<KnownEvent>,
) -> rusqlite::Result<()> {
    for KnownEvent { id, row, .. } in events {
        // A batch may have claimed the event since it was loaded: folding takes time.
        if tx.live.is_claimed(account, id) {
            continue;
        }
        tx.connection.run("DELETE FROM events WHERE id = ?1", [id])?;
        tx.effects.change_state(account, id, Some(row.state), None);
    }
    Ok(())
}
