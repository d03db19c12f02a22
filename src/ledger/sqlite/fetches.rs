//! The queue of what is to be asked of the platforms' APIs.

use rusqlite::{Connection, OptionalExtension, Row};

use super::accept;
use super::list_events::conversion;
use super::live_state::{LiveState, StoredState};
use super::transaction::WriteTx;
use super::tx_error::TxError;
use crate::event::{
    ExternalAccountId, FetchCondition, FetchRequest, Millis, Policy, SourceName, WebinarId,
};
use crate::ledger::rules::fetch::{
    FetchFailure, FetchRow, due_since, is_fetch_needed, request_fetch, settle_fetch,
};
use crate::ledger::{
    EventState, FetchClaim, FetchOutcome, FetchTask, LONGEST_WAIT, ReceiptOutcome,
};

/// Columns of a row, in the order in which [`row`] reads them.
macro_rules! row_columns {
    () => {
        "version, wanted_at, not_before, attempts, given_up, failed_at, last_error"
    };
}

/// Webinars that are wanted by hand in one piece, so that webhooks get their turn between.
pub(super) const PIECE: usize = 500;

/// Puts webinars into the queue and answers how many of them are to be fetched. They count as requested since `at`.
pub(super) fn request(
    tx: &mut WriteTx<'_>,
    source: &SourceName,
    requests: &[FetchRequest],
    at: Millis,
) -> Result<usize, TxError> {
    // Nobody would ever fetch them.
    let Some(policy) = tx.policies.get(source) else { return Ok(0) };
    let mut requested = 0;
    for request in requests {
        let events = match request.condition {
            FetchCondition::Always => Vec::new(),
            FetchCondition::IfIncomplete => event_states(tx.connection, policy, request)?,
        };
        if is_fetch_needed(request.condition, &events) {
            enqueue(tx, source, request, at)?;
            requested += 1;
        }
    }
    Ok(requested)
}

/// The states in which the webinar has events.
fn event_states(
    connection: &Connection,
    policy: &Policy,
    request: &FetchRequest,
) -> rusqlite::Result<Vec<EventState>> {
    let Ok(account) = policy.external_account(request.account.as_ref()) else {
        return Ok(Vec::new());
    };
    connection
        .prepare_cached(
            "SELECT events.state FROM webinars JOIN events ON events.webinar = webinars.id
             WHERE webinars.hubspot = ?1 AND webinars.account = ?2 AND webinars.webinar = ?3",
        )?
        .query_map((policy.hubspot.as_str(), account.as_str(), request.webinar.as_str()), |row| {
            row.get::<_, StoredState>(0).map(|state| state.0)
        })?
        .collect()
}

fn enqueue(
    tx: &mut WriteTx<'_>,
    source: &SourceName,
    request: &FetchRequest,
    at: Millis,
) -> rusqlite::Result<()> {
    let account = request.account.as_ref().map_or("", ExternalAccountId::as_str);
    let key = (source.as_str(), request.webinar.as_str(), account);
    let found: Option<(i64, FetchRow)> = tx
        .connection
        .prepare_cached(concat!(
            "SELECT ",
            row_columns!(),
            ", id FROM fetches WHERE source = ?1 AND webinar = ?2 AND account = ?3"
        ))?
        .query_row(key, |found| Ok((found.get(7)?, row(found)?)))
        .optional()?;
    let was_given_up = found.as_ref().map(|(_, row)| row.given_up);
    if let Some((id, row)) = found {
        store(tx.connection, id, &request_fetch(Some(row), at))?;
    } else {
        let row = request_fetch(None, at);
        tx.connection
            .prepare_cached(
                "INSERT INTO fetches (source, webinar, account, version, wanted_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((key.0, key.1, key.2, row.version, row.requested_at.get()))?;
    }
    if was_given_up == Some(false) {
        return Ok(());
    }
    let counts = tx.effects.fetch_counts(source);
    counts.count(false, 1);
    counts.due = true;
    if was_given_up.is_some() {
        counts.count(true, -1);
    }
    Ok(())
}

/// Claims what is due; what has been due for longest comes first.
pub(super) fn claim(
    connection: &Connection,
    live: &LiveState,
    source: &SourceName,
    limit: usize,
    now: Millis,
) -> Result<FetchClaim, TxError> {
    // Remembered before the look: a task that is settled during it may still look due. Nobody else claims meanwhile, since
    // that takes the one reading connection.
    let claimed = live.fetch_claims(now);
    // One state of the file for all of it.
    let connection = &*connection.unchecked_transaction()?;
    let never = now.plus(LONGEST_WAIT).get();
    let rows = i64::try_from(limit.saturating_add(claimed.len())).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        row_columns!(),
        ", id, account, webinar FROM fetches
         WHERE source = ?1 AND given_up = 0 AND not_before BETWEEN ?2 AND ?3
         ORDER BY not_before, wanted_at LIMIT ?4"
    ))?;
    let mut due: Vec<(Millis, FetchTask)> = Vec::new();
    // The rows that wait for nothing; those whose wait is over; and those whose time a clock wrote that was ahead.
    for (from, to) in [(0, 0), (1, now.get()), (never.saturating_add(1), i64::MAX)] {
        let mut rows = statement.query((source.as_str(), from, to, rows))?;
        while let Some(found) = rows.next()? {
            let row = row(found)?;
            if let Some(since) = due_since(&row, now) {
                due.push((since, task(found, source, &row)?));
            }
        }
    }
    due.retain(|(_, task)| !claimed.contains(&task.id));
    due.sort_by_key(|(since, task)| (*since, task.id));
    let tasks: Vec<FetchTask> = due.into_iter().take(limit).map(|(_, task)| task).collect();
    let next_due: Option<i64> = connection
        .prepare_cached(
            "SELECT min(not_before) FROM fetches
             WHERE source = ?1 AND given_up = 0 AND not_before > ?2 AND not_before <= ?3",
        )?
        .query_row((source.as_str(), now.get(), never), |row| row.get(0))?;
    live.claim_fetches(&tasks, now);
    Ok(FetchClaim { tasks, next_due: next_due.map(Millis::new) })
}

fn task(found: &Row<'_>, source: &SourceName, row: &FetchRow) -> rusqlite::Result<FetchTask> {
    let account: String = found.get(8)?;
    let account = (!account.is_empty()).then(|| ExternalAccountId::parse(account)).transpose();
    Ok(FetchTask {
        id: found.get(7)?,
        source: source.clone(),
        account: account.map_err(|error| conversion(8, error))?,
        webinar: WebinarId::parse(found.get::<_, String>(9)?).map_err(|e| conversion(9, e))?,
        version: row.version,
        requested_at: row.requested_at,
        attempts: row.attempts,
    })
}

/// Records the outcome of a task, with the receipt that it brings.
pub(super) fn settle(
    tx: &mut WriteTx<'_>,
    task: &FetchTask,
    mut outcome: FetchOutcome,
) -> Result<Option<ReceiptOutcome>, TxError> {
    tx.effects.settled_fetches.push(task.id);
    let accepted = match &mut outcome {
        FetchOutcome::Answered(receipt) | FetchOutcome::GivenUp { receipt: Some(receipt), .. } => {
            let asked = (&task.account, &task.webinar);
            receipt.fetch_requests.retain(|request| (&request.account, &request.webinar) != asked);
            Some(accept::accept(tx, receipt)?)
        }
        FetchOutcome::GivenUp { receipt: None, .. } | FetchOutcome::Retry { .. } => None,
    };
    let found: Option<FetchRow> = tx
        .connection
        .prepare_cached(concat!("SELECT ", row_columns!(), " FROM fetches WHERE id = ?1"))?
        .query_row([task.id], row)
        .optional()?;
    // It was settled before, and the worker did not hear of it.
    let Some(before) = found else { return Ok(accepted) };
    let row = settle_fetch(&before, task.version, &outcome, tx.now);
    match &row {
        Some(row) => store(tx.connection, task.id, row)?,
        None => {
            tx.connection
                .prepare_cached("DELETE FROM fetches WHERE id = ?1")?
                .execute([task.id])?;
        }
    }
    let counts = tx.effects.fetch_counts(&task.source);
    counts.count(before.given_up, -1);
    if let Some(row) = row {
        counts.count(row.given_up, 1);
        counts.due |= due_since(&row, tx.now).is_some();
    }
    Ok(accepted)
}

fn row(row: &Row<'_>) -> rusqlite::Result<FetchRow> {
    let not_before: i64 = row.get(2)?;
    let failed_at: Option<i64> = row.get(5)?;
    let reason: Option<String> = row.get(6)?;
    let failure = failed_at
        .map(|at| FetchFailure { at: Millis::new(at), reason: reason.unwrap_or_default() });
    Ok(FetchRow {
        version: row.get(0)?,
        requested_at: Millis::new(row.get(1)?),
        not_before: (not_before != 0).then_some(Millis::new(not_before)),
        attempts: row.get(3)?,
        given_up: row.get(4)?,
        failure,
    })
}

fn store(connection: &Connection, id: i64, row: &FetchRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE fetches SET version = ?2, wanted_at = ?3, not_before = ?4, attempts = ?5,
                 given_up = ?6, failed_at = ?7, last_error = ?8
             WHERE id = ?1",
        )?
        .execute((
            id,
            row.version,
            row.requested_at.get(),
            row.not_before.map_or(0, Millis::get),
            row.attempts,
            row.given_up,
            row.failure.as_ref().map(|failure| failure.at.get()),
            row.failure.as_ref().map(|failure| &failure.reason),
        ))?;
    Ok(())
}
