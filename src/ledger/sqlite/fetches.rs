//! The queue of fetches: webinars to ask the platforms' APIs about.

use rusqlite::{Connection, Row};

use super::accept;
use super::statements::{Statements as _, sql_count};
use super::transaction::{ReadTx, WriteTx};
use super::values::TimeOrZero;
use crate::event::{ExternalAccountId, FetchCondition, FetchRequest, Millis, Policy, SourceName};
use crate::ledger::rules::fetch::{
    FetchFailure, FetchRow, answer_of, due_since, is_fetch_needed, request_fetch, settle_fetch,
};
use crate::ledger::{
    EventState, FetchClaim, FetchOutcome, FetchTask, LONGEST_WAIT, LedgerError, ReceiptOutcome,
};

/// The most webinars that an operator requests in one job, so that webhooks are not delayed.
pub(super) const PIECE: usize = 500;

/// Puts webinars into the queue; returns how many of them are to be fetched. They count as requested since `at`.
pub(super) fn request(
    tx: &mut WriteTx<'_>,
    source: &SourceName,
    requests: &[FetchRequest],
    at: Millis,
) -> Result<usize, LedgerError> {
    // Without the source in the configuration, no worker would ever fetch them.
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
    connection.all(
        "SELECT events.state FROM webinars JOIN events ON events.webinar = webinars.id
         WHERE webinars.hubspot = ?1 AND webinars.account = ?2 AND webinars.webinar = ?3",
        (&policy.hubspot, account, &request.webinar),
        |row| row.get(0),
    )
}

fn enqueue(
    tx: &mut WriteTx<'_>,
    source: &SourceName,
    request: &FetchRequest,
    at: Millis,
) -> rusqlite::Result<()> {
    let account = request.account.as_ref().map_or("", ExternalAccountId::as_str);
    let found = tx.connection.first(
        "SELECT * FROM fetches WHERE source = ?1 AND webinar = ?2 AND account = ?3",
        (source, &request.webinar, account),
        |row| Ok((row.get("id")?, fetch_row(row)?)),
    )?;
    let was_given_up = found.as_ref().map(|(_, row)| row.given_up);
    if let Some((id, row)) = found {
        store(tx.connection, id, &request_fetch(Some(row), at))?;
    } else {
        let row = request_fetch(None, at);
        tx.connection.run(
            "INSERT INTO fetches (source, webinar, account, version, wanted_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (source, &request.webinar, account, row.version, row.requested_at),
        )?;
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

/// Claims due fetches; the one that has been due for longest comes first.
pub(super) fn claim(
    tx: &ReadTx<'_>,
    source: &SourceName,
    limit: usize,
) -> Result<FetchClaim, LedgerError> {
    // The claims are read before the rows: a task that is settled between the two may still be due in the rows read here.
    // No other claim can run meanwhile, since it needs this one reading connection.
    let claimed = tx.live.fetch_claims(tx.now);
    let never = tx.now.plus(LONGEST_WAIT);
    let rows = sql_count(limit.saturating_add(claimed.len()));
    let mut due: Vec<(Millis, FetchTask)> = Vec::new();
    // The rows that do not wait; those whose wait is over; and those whose time was written by a clock that was ahead.
    for (from, to) in [(0, 0), (1, tx.now.get()), (never.get().saturating_add(1), i64::MAX)] {
        let found = tx.connection.all(
            "SELECT * FROM fetches
             WHERE source = ?1 AND given_up = 0 AND not_before BETWEEN ?2 AND ?3
             ORDER BY not_before, wanted_at LIMIT ?4",
            (source, from, to, rows),
            |row| {
                let task = task(row)?;
                Ok(due_since(&task.row, tx.now).map(|since| (since, task)))
            },
        )?;
        due.extend(found.into_iter().flatten());
    }
    due.retain(|(_, task)| !claimed.contains(&task.id));
    due.sort_by_key(|(since, task)| (*since, task.id));
    let tasks: Vec<FetchTask> = due.into_iter().take(limit).map(|(_, task)| task).collect();
    let next_due = tx.connection.value(
        "SELECT min(not_before) FROM fetches
         WHERE source = ?1 AND given_up = 0 AND not_before > ?2 AND not_before <= ?3",
        (source, tx.now, never),
    )?;
    tx.live.claim_fetches(&tasks, tx.now);
    Ok(FetchClaim { tasks, next_due })
}

fn task(row: &Row<'_>) -> rusqlite::Result<FetchTask> {
    let account = match row.get_ref("account")?.as_str()? {
        "" => None,
        _ => Some(row.get("account")?),
    };
    Ok(FetchTask {
        id: row.get("id")?,
        source: row.get("source")?,
        account,
        webinar: row.get("webinar")?,
        row: fetch_row(row)?,
    })
}

/// Records the outcome of a task, with the receipt that it brings.
pub(super) fn settle(
    tx: &mut WriteTx<'_>,
    task: &FetchTask,
    mut outcome: FetchOutcome,
) -> Result<Option<ReceiptOutcome>, LedgerError> {
    tx.effects.settled_fetches.push(task.id);
    let answer = answer_of(task, &mut outcome);
    let accepted = answer.map(|receipt| accept::accept(tx, receipt)).transpose()?;
    let found = tx.connection.first("SELECT * FROM fetches WHERE id = ?1", [task.id], fetch_row)?;
    // An earlier call settled the task, and the worker did not get its answer.
    let Some(before) = found else { return Ok(accepted) };
    let row = settle_fetch(&before, task.row.version, &outcome, tx.now);
    match &row {
        Some(row) => store(tx.connection, task.id, row)?,
        None => tx.connection.run("DELETE FROM fetches WHERE id = ?1", [task.id])?,
    }
    let counts = tx.effects.fetch_counts(&task.source);
    counts.count(before.given_up, -1);
    if let Some(row) = row {
        counts.count(row.given_up, 1);
        counts.due |= due_since(&row, tx.now).is_some();
    }
    Ok(accepted)
}

fn fetch_row(row: &Row<'_>) -> rusqlite::Result<FetchRow> {
    let TimeOrZero(not_before) = row.get("not_before")?;
    let reason: Option<String> = row.get("last_error")?;
    let failed_at: Option<Millis> = row.get("failed_at")?;
    Ok(FetchRow {
        version: row.get("version")?,
        requested_at: row.get("wanted_at")?,
        not_before,
        attempts: row.get("attempts")?,
        given_up: row.get("given_up")?,
        failure: failed_at.map(|at| FetchFailure { at, reason: reason.unwrap_or_default() }),
    })
}

fn store(connection: &Connection, id: i64, row: &FetchRow) -> rusqlite::Result<()> {
    let failure = row.failure.as_ref();
    connection.run(
        "UPDATE fetches SET version = ?2, wanted_at = ?3, not_before = ?4, attempts = ?5,
             given_up = ?6, failed_at = ?7, last_error = ?8
         WHERE id = ?1",
        (
            id,
            row.version,
            row.requested_at,
            TimeOrZero(row.not_before),
            row.attempts,
            row.given_up,
            failure.map(|failure| failure.at),
            failure.map(|failure| &failure.reason),
        ),
    )
}
