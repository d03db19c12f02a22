//! Queries of events, for the API and the tests.

use rusqlite::{Connection, OptionalExtension, Row};

use super::claims::key;
use super::live_state::{LiveState, StoredState, state_code};
use super::read::{corrupt, unavailable};
use crate::event::{AccountName, EventKey, Millis};
use crate::ledger::{
    EventQuery, EventRecord, EventState, EventSummary, HubspotRefusal, LedgerError, PAGE_MAX, Page,
};

/// The most rows that one page reads: some tens of milliseconds, however rare the matches are.
pub(super) const MAX_ROWS_READ: usize = 20_000;

/// Whether a page ends before the next row.
pub(super) fn is_page_full(items: usize, limit: usize, rows_read: usize) -> bool {
    items >= limit || rows_read >= MAX_ROWS_READ
}

/// The error for a stored text that is invalid in its column.
pub(super) fn conversion(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    let text = rusqlite::types::Type::Text;
    rusqlite::Error::FromSqlConversionFailure(column, text, Box::new(error))
}

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
pub(super) fn page(
    connection: &Connection,
    live: &LiveState,
    query: &EventQuery,
) -> Result<Page<EventSummary>, LedgerError> {
    // One snapshot of the file for the whole page.
    let connection = &*connection.unchecked_transaction().map_err(unavailable)?;
    let sql = format!(
        "SELECT id, hubspot, state, external_account_id, external_event_id, name
         FROM {} AND id < ?1 ORDER BY id DESC",
        rows_in_state(query.state, live)
    );
    let limit = query.limit.clamp(1, PAGE_MAX);
    let text = query.text.as_ref().map(|text| text.to_lowercase());
    let mut statement = connection.prepare_cached(&sql).map_err(unavailable)?;
    let after = query.after.unwrap_or(i64::MAX);
    let mut rows = statement.query([after]).map_err(unavailable)?;
    let (mut items, mut rows_read, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next().map_err(unavailable)? {
        if is_page_full(items.len(), limit, rows_read) {
            return Ok(Page { items, next: last });
        }
        rows_read += 1;
        let id = row.get(0).map_err(unavailable)?;
        last = Some(id);
        if matches(row, query, text.as_deref()).map_err(unavailable)? {
            items.extend(summary(connection, live, id)?);
        }
    }
    Ok(Page { items, next: None })
}

fn matches(row: &Row<'_>, query: &EventQuery, text: Option<&str>) -> rusqlite::Result<bool> {
    let account = row.get_ref(1)?.as_str()?;
    if query.account.as_ref().is_some_and(|wanted| wanted.as_str() != account) {
        return Ok(false);
    }
    if query.state.is_some_and(|wanted| row.get::<_, u8>(2).ok() != Some(state_code(wanted))) {
        return Ok(false);
    }
    let Some(text) = text else { return Ok(true) };
    for column in 3..=5 {
        if let Some(value) = row.get_ref(column)?.as_str_or_null()?
            && value.to_lowercase().contains(text)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds the row of an event.
pub(super) fn find(connection: &Connection, key: &EventKey) -> rusqlite::Result<Option<i64>> {
    let EventKey { hubspot, external_account_id, external_event_id } = key;
    connection
        .prepare_cached(
            "SELECT id FROM events
             WHERE hubspot = ?1 AND external_account_id = ?2 AND external_event_id = ?3",
        )?
        .query_row(
            (hubspot.as_str(), external_account_id.as_str(), external_event_id.as_str()),
            |row| row.get(0),
        )
        .optional()
}

/// Reads one event as lists show it.
pub(super) fn summary(
    connection: &Connection,
    live: &LiveState,
    id: i64,
) -> Result<Option<EventSummary>, LedgerError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT hubspot, external_account_id, external_event_id, state, version, input, name,
                 gaps, changed_at, pending_since, not_before, attempts, confirmed_at, object_id,
                 refused, last_error
             FROM events WHERE id = ?1",
        )
        .map_err(unavailable)?;
    let mut rows = statement.query([id]).map_err(unavailable)?;
    let Some(row) = rows.next().map_err(unavailable)? else { return Ok(None) };
    let read = || -> rusqlite::Result<EventSummary> {
        let account = AccountName::parse(row.get::<_, String>(0)?).map_err(|e| conversion(0, e))?;
        let StoredState(state) = row.get(3)?;
        let pending = state == EventState::Pending;
        let gaps: String = row.get(7)?;
        let not_before: i64 = row.get(10)?;
        let refused: Option<String> = row.get(14)?;
        let refused: Option<HubspotRefusal> = refused
            .map(|text| serde_json::from_str(&text).map_err(|e| conversion(14, e)))
            .transpose()?;
        Ok(EventSummary {
            key: key(row, &account, 1)?,
            state,
            in_flight: pending && live.is_claimed(&account, id),
            version: row.get(4)?,
            input: row.get(5)?,
            name: row.get(6)?,
            gaps: serde_json::from_str(&gaps).map_err(|e| conversion(7, e))?,
            changed_at: Millis::new(row.get(8)?),
            pending_since: pending.then_some(Millis::new(row.get(9)?)),
            not_before: (pending && not_before > 0).then_some(Millis::new(not_before)),
            attempts: row.get(11)?,
            confirmed_at: row.get::<_, Option<i64>>(12)?.map(Millis::new),
            object_id: row.get(13)?,
            refused: refused.filter(|_| state == EventState::Dead),
            last_error: row.get(15)?,
        })
    };
    read().map(Some).map_err(corrupt)
}

/// Reads every event up to a limit, by key.
pub(super) fn events(
    connection: &Connection,
    limit: usize,
) -> Result<Vec<EventRecord>, LedgerError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT hubspot, external_account_id, external_event_id, state, version, input, gaps,
                 object_id, refused
             FROM events ORDER BY hubspot, external_account_id, external_event_id LIMIT ?1",
        )
        .map_err(unavailable)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query([limit]).map_err(unavailable)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(unavailable)? {
        let get = |at: usize| row.get::<_, String>(at).map_err(unavailable);
        let account = AccountName::parse(get(0)?).map_err(corrupt)?;
        let StoredState(state) = row.get(3).map_err(unavailable)?;
        let refused: Option<String> = row.get(8).map_err(unavailable)?;
        found.push(EventRecord {
            key: key(row, &account, 1).map_err(unavailable)?,
            state,
            version: row.get(4).map_err(unavailable)?,
            input: row.get(5).map_err(unavailable)?,
            gaps: serde_json::from_str(&get(6)?).map_err(corrupt)?,
            object_id: row.get(7).map_err(unavailable)?,
            refused: refused
                .map(|text| serde_json::from_str(&text).map_err(corrupt))
                .transpose()?,
        });
    }
    Ok(found)
}
