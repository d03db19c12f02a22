//! The events' rows, loaded for a rule and stored as it answers.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::live_state::{StoredState, state_code};
use super::side_effects::{PendingChange, SideEffects};
use super::transaction::WriteTx;
use super::tx_error::TxError;
use crate::event::{AccountName, Millis};
use crate::ledger::rules::event_row::{ConfirmedInput, EventRow};
use crate::ledger::rules::reconcile::{EventFacts, KnownEvent};
use crate::ledger::{EventState, InputHash};

/// Columns of a row, in the order in which [`row`] reads them.
macro_rules! row_columns {
    () => {
        "state, version, input_hash, gaps, changed_at, pending_since, not_before, attempts, \
         sending_since, resend_at, held_hash, confirmed_hash, confirmed_at, object_id, refused, \
         last_error"
    };
}

fn row(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    let time = |at: usize| row.get::<_, Option<i64>>(at).map(|time| time.map(Millis::new));
    let hash = |at: usize| row.get::<_, Option<Vec<u8>>>(at).map(|hash| hash.map(stored_hash));
    let gaps: String = row.get(3)?;
    let not_before: i64 = row.get(6)?;
    let refused: Option<String> = row.get(14)?;
    Ok(EventRow {
        state: row.get::<_, StoredState>(0)?.0,
        version: row.get(1)?,
        input_hash: hash(2)?,
        // What cannot be read is shown as an error; it must not hold up what does not need it.
        gaps: serde_json::from_str(&gaps).unwrap_or_default(),
        changed_at: Millis::new(row.get(4)?),
        pending_since: Millis::new(row.get(5)?),
        not_before: (not_before != 0).then_some(Millis::new(not_before)),
        attempts: row.get(7)?,
        sending_since: time(8)?,
        resend_at: time(9)?,
        held_hash: hash(10)?,
        confirmed_hash: hash(11)?,
        confirmed_at: time(12)?,
        object_id: row.get(13)?,
        refused: refused.and_then(|text| serde_json::from_str(&text).ok()),
        last_error: row.get(15)?,
    })
}

/// A stored hash. One of another length, which no version of this program wrote, equals no input's.
pub(super) fn stored_hash(bytes: Vec<u8>) -> InputHash {
    let hash = <[u8; 16]>::try_from(bytes);
    hash.map_or_else(|bytes| InputHash::from_input(&bytes), InputHash::from_bytes)
}

/// An event's row; none if the event is deleted.
pub(super) fn load(connection: &Connection, id: i64) -> Result<Option<EventRow>, TxError> {
    let found = connection
        .prepare_cached(concat!("SELECT ", row_columns!(), " FROM events WHERE id = ?1"))?
        .query_row([id], row)
        .optional()?;
    Ok(found)
}

/// The events of a webinar by external id.
pub(super) fn load_webinar(
    tx: &WriteTx<'_>,
    account: &AccountName,
    webinar: i64,
) -> Result<BTreeMap<String, KnownEvent>, TxError> {
    let mut statement = tx.connection.prepare_cached(concat!(
        "SELECT ",
        row_columns!(),
        ", id, external_event_id FROM events WHERE webinar = ?1"
    ))?;
    let mut rows = statement.query([webinar])?;
    let mut known = BTreeMap::new();
    while let Some(found) = rows.next()? {
        let id = found.get(16)?;
        let is_claimed = tx.live.is_claimed(account, id);
        known.insert(found.get(17)?, KnownEvent { id, row: row(found)?, is_claimed });
    }
    Ok(known)
}

/// Stores a row in place of the one before, with what follows for counts, claims and sleepers.
pub(super) fn replace(
    tx: &mut WriteTx<'_>,
    account: &AccountName,
    id: i64,
    before: &EventRow,
    after: &EventRow,
) -> Result<(), TxError> {
    if before == after {
        return Ok(());
    }
    store(tx.connection, id, after)?;
    note_state(&mut tx.effects, account, id, before.state, after.state);
    Ok(())
}

/// Notes in the side effects that an event is in another state.
pub(super) fn note_state(
    effects: &mut SideEffects,
    account: &AccountName,
    id: i64,
    before: EventState,
    after: EventState,
) {
    let is_pending = after == EventState::Pending;
    if before != after {
        effects.counts.leave(account, before);
        effects.counts.enter(account, after);
        effects.pending_changes.push(PendingChange { id, pending: is_pending });
    }
    if is_pending {
        effects.woken.insert(account.clone());
    }
}

pub(super) fn store(connection: &Connection, id: i64, row: &EventRow) -> Result<(), TxError> {
    connection
        .prepare_cached(
            "UPDATE events SET state = ?2, version = ?3, input_hash = ?4, gaps = ?5, changed_at = ?6,
                 pending_since = ?7, not_before = ?8, attempts = ?9, sending_since = ?10,
                 resend_at = ?11, held_hash = ?12, confirmed_hash = ?13, confirmed_at = ?14,
                 object_id = ?15, refused = ?16, last_error = ?17
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            state_code(row.state),
            row.version,
            hash(row.input_hash.as_ref()),
            gaps(row),
            row.changed_at.get(),
            row.pending_since.get(),
            row.not_before.map_or(0, Millis::get),
            row.attempts,
            row.sending_since.map(Millis::get),
            row.resend_at.map(Millis::get),
            hash(row.held_hash.as_ref()),
            hash(row.confirmed_hash.as_ref()),
            row.confirmed_at.map(Millis::get),
            row.object_id,
            refused(row),
            row.last_error,
        ])?;
    Ok(())
}

fn hash(hash: Option<&InputHash>) -> Option<&[u8]> {
    hash.map(|hash| hash.as_bytes().as_slice())
}

fn gaps(row: &EventRow) -> String {
    serde_json::to_string(&row.gaps).expect("a list of names can be written as JSON")
}

fn refused(row: &EventRow) -> Option<String> {
    let text = |refusal| serde_json::to_string(refusal).expect("texts can be written as JSON");
    row.refused.as_ref().map(text)
}

/// A new event of a webinar, as the rules answer it.
pub(super) struct NewEvent<'a> {
    pub(super) webinar: i64,
    pub(super) account: &'a AccountName,
    pub(super) external_account_id: &'a str,
    pub(super) external_event_id: &'a str,
    pub(super) row: &'a EventRow,
    pub(super) input: Option<&'a [u8]>,
    pub(super) facts: &'a EventFacts,
}

/// Adds an event; false if another webinar has one of that id.
pub(super) fn insert(tx: &mut WriteTx<'_>, event: &NewEvent<'_>) -> Result<bool, TxError> {
    let NewEvent { row, facts, .. } = event;
    let inserted = tx
        .connection
        .prepare_cached(
            "INSERT INTO events (webinar, hubspot, external_account_id, external_event_id, version,
                 state, input, input_hash, gaps, changed_at, pending_since, due_at, name, ends_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT (hubspot, external_account_id, external_event_id) DO NOTHING",
        )?
        .execute((
            event.webinar,
            event.account.as_str(),
            event.external_account_id,
            event.external_event_id,
            row.version,
            state_code(row.state),
            event.input,
            hash(row.input_hash.as_ref()),
            gaps(row),
            row.changed_at.get(),
            row.pending_since.get(),
            facts.due_at.map(Millis::get),
            &facts.name,
            facts.ends_at.map(Millis::get),
        ))?;
    if inserted == 0 {
        return Ok(false);
    }
    tx.effects.counts.enter(event.account, row.state);
    if row.state == EventState::Pending {
        tx.effects.woken.insert(event.account.clone());
    }
    Ok(true)
}

/// Stores what is stored beside an event, where it differs.
pub(super) fn store_facts(tx: &WriteTx<'_>, id: i64, facts: &EventFacts) -> Result<(), TxError> {
    // Compared where it is: hundreds of long names would be megabytes.
    tx.connection
        .prepare_cached(
            "UPDATE events SET due_at = ?2, ends_at = ?3, name = ?4
             WHERE id = ?1 AND (due_at IS NOT ?2 OR ends_at IS NOT ?3 OR name IS NOT ?4)",
        )?
        .execute((
            id,
            facts.due_at.map(Millis::get),
            facts.ends_at.map(Millis::get),
            &facts.name,
        ))?;
    Ok(())
}

/// Stores an event's input; after [`store_confirmed_input`].
pub(super) fn store_input(tx: &WriteTx<'_>, id: i64, input: Option<&[u8]>) -> Result<(), TxError> {
    tx.connection
        .prepare_cached("UPDATE events SET input = ?2 WHERE id = ?1")?
        .execute((id, input))?;
    Ok(())
}

/// Stores the input that HubSpot confirmed last; `sent` is the one that was sent, where that is known.
pub(super) fn store_confirmed_input(
    tx: &WriteTx<'_>,
    id: i64,
    change: ConfirmedInput,
    sent: Option<&[u8]>,
) -> Result<(), TxError> {
    let present = "UPDATE events SET confirmed_input = input WHERE id = ?1";
    let given = "UPDATE events SET confirmed_input = ?2 WHERE id = ?1";
    match change {
        ConfirmedInput::Keep => 0,
        ConfirmedInput::TakePresent => tx.connection.prepare_cached(present)?.execute([id])?,
        ConfirmedInput::Clear => {
            tx.connection.prepare_cached(given)?.execute((id, None::<&[u8]>))?
        }
        ConfirmedInput::TakeSent => tx.connection.prepare_cached(given)?.execute((id, sent))?,
    };
    Ok(())
}

/// Deletes events.
pub(super) fn delete(
    tx: &mut WriteTx<'_>,
    account: &AccountName,
    events: Vec<KnownEvent>,
) -> Result<(), TxError> {
    for KnownEvent { id, row, .. } in events {
        // A batch may have claimed it since it was loaded: folding takes its time.
        if tx.live.is_claimed(account, id) {
            continue;
        }
        tx.connection.prepare_cached("DELETE FROM events WHERE id = ?1")?.execute([id])?;
        tx.effects.counts.leave(account, row.state);
    }
    Ok(())
}

/// An event's account, by its row.
pub(super) fn account_of(connection: &Connection, id: i64) -> Result<AccountName, TxError> {
    let account: String = connection
        .prepare_cached("SELECT hubspot FROM events WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    AccountName::parse(account).map_err(|error| TxError::corrupt(format!("event {id}"), error))
}
