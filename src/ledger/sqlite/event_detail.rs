//! One event in full, for the API.

use super::event_rows;
use super::list_events;
use super::statements::{Statements as _, sql_count};
use super::transaction::ReadTx;
use super::webinars;
use crate::event::{EventKey, FieldOrigin, Millis, WebinarId, field_origins};
use crate::ledger::rules::ownership::policy_for;
use crate::ledger::rules::timers::DERIVED_AGAIN;
use crate::ledger::{EventDetail, LedgerError, PAGE_MAX};

/// Reads one event in full.
pub(super) fn detail(tx: &ReadTx<'_>, key: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
    let Some(id) = event_rows::find(tx.connection, key)? else { return Ok(None) };
    let Some(summary) = list_events::summary(tx, id)? else { return Ok(None) };
    let (webinar, confirmed_input, is_confirmed, due_at, resend_at): (
        i64,
        Option<Vec<u8>>,
        bool,
        Option<Millis>,
        Option<Millis>,
    ) = tx
        .connection
        .prepare_cached(
            "SELECT webinar, confirmed_input, coalesce(confirmed_hash = input_hash, 0),
                 due_at, resend_at
             FROM events WHERE id = ?1",
        )?
        .query_row([id], |row| row.try_into())?;
    let confirmed_input = if is_confirmed { summary.input.clone() } else { confirmed_input };
    Ok(Some(EventDetail {
        summary,
        confirmed_input,
        due_at: due_at.filter(|at| *at != DERIVED_AGAIN),
        resend_at,
        fields: fields(tx, webinar, key)?,
        // The latest retained receipts that built the webinar, newest first.
        receipts: tx.connection.all(
            "SELECT receipts.id
             FROM webinar_receipts AS link JOIN receipts ON receipts.seq = link.receipt
             WHERE link.webinar = ?1 ORDER BY link.receipt DESC LIMIT ?2",
            (webinar, sql_count(PAGE_MAX)),
            |row| row.get(0),
        )?,
    }))
}

/// The origin of each field.
fn fields(tx: &ReadTx<'_>, webinar: i64, key: &EventKey) -> Result<Vec<FieldOrigin>, LedgerError> {
    let (id, state): (WebinarId, Vec<u8>) = tx
        .connection
        .prepare_cached("SELECT webinar, state FROM webinars WHERE id = ?1")?
        .query_row([webinar], |row| row.try_into())?;
    let known = webinars::parse_state(webinar, &state)?;
    let Some(policy) = policy_for(tx.policies, &known) else { return Ok(Vec::new()) };
    Ok(field_origins(&known, &id, &key.external_event_id, &policy, tx.now))
}
