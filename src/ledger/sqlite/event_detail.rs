//! One event in full, for the API.

use rusqlite::{Connection, Row};

use super::list_events;
use super::live_state::LiveState;
use super::read::{corrupt, unavailable};
use super::webinars;
use crate::event::{EventKey, FieldOrigin, Millis, ReceiptId, WebinarId, field_origins};
use crate::ledger::rules::reconcile::policy_for;
use crate::ledger::{EventDetail, LedgerError, PAGE_MAX, Policies};

/// Reads one event in full.
pub(super) fn detail(
    connection: &Connection,
    live: &LiveState,
    policies: &Policies,
    key: &EventKey,
    now: Millis,
) -> Result<Option<EventDetail>, LedgerError> {
    let connection = &*connection.unchecked_transaction().map_err(unavailable)?;
    let Some(id) = list_events::find(connection, key).map_err(unavailable)? else {
        return Ok(None);
    };
    let Some(summary) = list_events::summary(connection, live, id)? else { return Ok(None) };
    let stored = connection
        .prepare_cached(
            "SELECT webinar, confirmed_input, coalesce(confirmed_hash = input_hash, 0),
                 due_at, resend_at
             FROM events WHERE id = ?1",
        )
        .and_then(|mut statement| statement.query_row([id], stored))
        .map_err(unavailable)?;
    let Stored { webinar, confirmed_input, is_confirmed, due_at, resend_at } = stored;
    let confirmed_input = if is_confirmed { summary.input.clone() } else { confirmed_input };
    Ok(Some(EventDetail {
        summary,
        confirmed_input,
        due_at,
        resend_at,
        fields: fields(connection, policies, webinar, key, now)?,
        receipts: receipts(connection, webinar)?,
    }))
}

/// The columns that only the detail shows.
struct Stored {
    webinar: i64,
    confirmed_input: Option<Vec<u8>>,
    /// Whether the event's input is the confirmed one.
    is_confirmed: bool,
    due_at: Option<Millis>,
    resend_at: Option<Millis>,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        webinar: row.get(0)?,
        confirmed_input: row.get(1)?,
        is_confirmed: row.get(2)?,
        due_at: row.get::<_, Option<i64>>(3)?.map(Millis::new),
        resend_at: row.get::<_, Option<i64>>(4)?.map(Millis::new),
    })
}

/// The origin of each field.
fn fields(
    connection: &Connection,
    policies: &Policies,
    webinar: i64,
    key: &EventKey,
    now: Millis,
) -> Result<Vec<FieldOrigin>, LedgerError> {
    let (id, state): (String, Vec<u8>) = connection
        .prepare_cached("SELECT webinar, state FROM webinars WHERE id = ?1")
        .and_then(|mut statement| {
            statement.query_row([webinar], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .map_err(unavailable)?;
    let id = WebinarId::parse(id).map_err(corrupt)?;
    let known = webinars::read_state(webinar, &state)?;
    let Some(policy) = policy_for(policies, &known) else { return Ok(Vec::new()) };
    Ok(field_origins(&known, &id, &key.external_event_id, policy, now))
}

/// The latest retained receipts that built the webinar, newest first.
fn receipts(connection: &Connection, webinar: i64) -> Result<Vec<ReceiptId>, LedgerError> {
    let limit = i64::try_from(PAGE_MAX).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT receipts.id
             FROM webinar_receipts AS link JOIN receipts ON receipts.seq = link.receipt
             WHERE link.webinar = ?1 ORDER BY link.receipt DESC LIMIT ?2",
        )
        .and_then(|mut statement| {
            let ids = statement
                .query_map((webinar, limit), |row| Ok(ReceiptId::from_bytes(row.get(0)?)))?;
            ids.collect()
        })
        .map_err(unavailable)
}
