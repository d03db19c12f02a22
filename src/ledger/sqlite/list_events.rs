//! Queries of events, for the API.

use rusqlite::Row;

use super::event_columns::{event_row, row_columns};
use super::event_rows::event_key;
use super::live_state::LiveState;
use super::statements::{MAX_ROWS_READ, Statements as _, read_page};
use super::transaction::ReadTx;
use super::values::Json;
use crate::ledger::rules::event_row::EventRow;
use crate::ledger::{EventQuery, EventState, EventSummary, LedgerError, PAGE_MAX, Page};

/// The `FROM` clause for events of a state. Rare states have an index. So has the pending one, but not in the order of
/// rows, so a long queue is scanned instead.
pub(super) fn rows_in_state(state: Option<EventState>, live: &LiveState) -> &'static str {
    match state {
        Some(EventState::Dead) => "events INDEXED BY events_held WHERE state > 1 AND state = 3",
        Some(EventState::Incomplete) => {
            "events INDEXED BY events_held WHERE state > 1 AND state = 2"
        }
        Some(EventState::Filtered) => "events INDEXED BY events_held WHERE state > 1 AND state = 4",
        Some(EventState::Pending) if live.pending_count() <= MAX_ROWS_READ => {
            "events WHERE id IN (SELECT id FROM events INDEXED BY events_pending WHERE state = 0)"
        }
        Some(EventState::Pending | EventState::Delivered) | None => "events WHERE TRUE",
    }
}

/// A page of events, newest first.
pub(super) fn page(tx: &ReadTx<'_>, query: &EventQuery) -> Result<Page<EventSummary>, LedgerError> {
    let sql = format!(
        "SELECT id, hubspot, state, external_account_id, external_event_id, name
         FROM {} AND id < ?1 ORDER BY id DESC",
        rows_in_state(query.state, tx.live)
    );
    let text = query.text.as_ref().map(|text| text.to_lowercase());
    let mut statement = tx.connection.prepare_cached(&sql)?;
    let rows = statement.query([query.after.unwrap_or(i64::MAX)])?;
    read_page(rows, query.limit.clamp(1, PAGE_MAX), MAX_ROWS_READ, |row| {
        if matches(row, query, text.as_deref())? { summary(tx, row.get("id")?) } else { Ok(None) }
    })
}

fn matches(row: &Row<'_>, query: &EventQuery, text: Option<&str>) -> rusqlite::Result<bool> {
    let account = row.get_ref("hubspot")?.as_str()?;
    if query.account.as_ref().is_some_and(|wanted| wanted.as_str() != account) {
        return Ok(false);
    }
    if query.state.is_some_and(|wanted| row.get("state").ok() != Some(wanted)) {
        return Ok(false);
    }
    let Some(text) = text else { return Ok(true) };
    for column in ["external_account_id", "external_event_id", "name"] {
        if let Some(value) = row.get_ref(column)?.as_str_or_null()?
            && value.to_lowercase().contains(text)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads one event as lists show it.
pub(super) fn summary(tx: &ReadTx<'_>, id: i64) -> Result<Option<EventSummary>, LedgerError> {
    let summary = tx.connection.first(
        concat!(
            "SELECT ",
            row_columns!(),
            ", hubspot, external_account_id, external_event_id, input, name
             FROM events WHERE id = ?1"
        ),
        [id],
        |row| {
            let key = event_key(row)?;
            let Json(gaps) = row.get("gaps")?;
            let refused: Option<Json<_>> = row.get("refused")?;
            let refused = refused.map(|Json(refusal)| refusal);
            let stored = EventRow { gaps, refused, ..event_row(row)? };
            let is_claimed = tx.live.is_claimed(&key.hubspot, id);
            Ok(EventSummary::new(key, stored, row.get("input")?, row.get("name")?, is_claimed))
        },
    )?;
    Ok(summary)
}
