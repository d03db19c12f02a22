//! One event with all that is known of it.

use rusqlite::Connection;

use super::events;
use super::list_events;
use super::live_state::LiveState;
use super::read::{corrupt, unavailable};
use super::webinars;
use crate::event::{EventKey, Millis, Origin, ReceiptId, ValueOrigin, WebinarId, value_origins};
use crate::ledger::{EventDetail, FieldOrigin, LedgerError, PAGE_MAX, Policies};

/// All that is known of one event.
pub(super) fn detail(
    connection: &Connection,
    shared: &LiveState,
    policies: &Policies,
    key: &EventKey,
    now: Millis,
) -> Result<Option<EventDetail>, LedgerError> {
    let connection = &*connection.unchecked_transaction().map_err(unavailable)?;
    let Some(id) = list_events::find(connection, key).map_err(unavailable)? else {
        return Ok(None);
    };
    let Some(summary) = list_events::summary(connection, shared, id)? else { return Ok(None) };
    let (webinar, confirmed_input, due_at, resend_at): (i64, Option<Vec<u8>>, Option<i64>, Option<i64>) = connection
        .prepare_cached(
            "SELECT webinar, CASE WHEN confirmed_hash = input_hash THEN input ELSE confirmed_input END,
                 due_at, resend_at
             FROM events WHERE id = ?1",
        )
        .and_then(|mut statement| {
            statement.query_row([id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
        })
        .map_err(unavailable)?;
    Ok(Some(EventDetail {
        summary,
        confirmed_input,
        due_at: due_at.map(Millis::new),
        resend_at: resend_at.map(Millis::new),
        fields: fields(connection, policies, webinar, key, now)?,
        receipts: receipts(connection, webinar)?,
    }))
}

/// What each field rests on.
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
    let Some(policy) = events::policy_for(policies, &known) else { return Ok(Vec::new()) };
    let bases = value_origins(&known, &id, &key.external_event_id, policy, now);
    let origin = |basis: ValueOrigin| {
        let Origin { source, event_type, reported_at, received_at, .. } =
            known.origins.get(&basis.receipt)?.clone();
        let ValueOrigin { field, value, from_occurrence: of_occurrence, stamp, receipt } = basis;
        Some(FieldOrigin {
            field,
            value,
            of_occurrence,
            at: stamp.at,
            receipt,
            source,
            event_type,
            reported_at,
            received_at,
        })
    };
    Ok(bases.into_iter().filter_map(origin).collect())
}

/// The latest retained receipts that built the webinar, newest first.
fn receipts(connection: &Connection, webinar: i64) -> Result<Vec<ReceiptId>, LedgerError> {
    let most = i64::try_from(PAGE_MAX).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT receipts.id
             FROM webinar_receipts AS link JOIN receipts ON receipts.seq = link.receipt
             WHERE link.webinar = ?1 ORDER BY link.receipt DESC LIMIT ?2",
        )
        .and_then(|mut statement| {
            let ids = statement
                .query_map((webinar, most), |row| Ok(ReceiptId::from_bytes(row.get(0)?)))?;
            ids.collect()
        })
        .map_err(unavailable)
}
