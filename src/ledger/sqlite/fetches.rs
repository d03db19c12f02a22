//! The queue of fetches: webinars to ask the platforms' APIs about.

use rusqlite::{Connection, Row};

use super::statements::{Statements as _, sql_count};
use super::transaction::{ReadTx, WriteTx};
use super::values::{Json, TimeOrZero};
use super::{accept, webinars};
use crate::event::{
    ExternalAccountId, FetchCondition, FetchRequest, Gap, Millis, Policy, SourceName, is_uncertain,
};
use crate::ledger::rules::fetch::{
    ABSENCE_SPAN, FetchFailure, FetchRequester, FetchRow, SourceFacts, due_since, is_fetch_needed,
    request_fetch, review_outcome, settle_fetch, state_for_fetch,
};
use crate::ledger::{
    EventState, FetchBlame, FetchClaim, FetchOutcome, FetchState, FetchTask, LONGEST_WAIT,
    LedgerError, NewReceipt, ReceiptOutcome, WebinarKey,
};

/// The most webinars that an operator requests in one job, so that webhooks are not delayed.
pub(super) const PIECE: usize = 500;

/// Puts webinars into the queue; returns how many of them are to be fetched. They count as requested since `at`.
pub(super) fn request(
    tx: &mut WriteTx<'_>,
    source: &SourceName,
    requests: &[FetchRequest],
    by: FetchRequester,
    at: Millis,
) -> Result<usize, LedgerError> {
    // Without the source in the configuration, no worker would ever fetch them.
    let Some(policy) = tx.policies.get(source) else { return Ok(0) };
    let mut requested = 0;
    for request in requests {
        let (events, is_uncertain) = match request.condition {
            FetchCondition::Always => (Vec::new(), false),
            FetchCondition::IfUncertain => (
                event_states(tx.connection, policy, request)?,
                is_webinar_uncertain(tx.connection, policy, request)?,
            ),
        };
        if is_fetch_needed(request.condition, &events, is_uncertain) {
            enqueue(tx, source, request, by, at)?;
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
        "SELECT events.state, events.gaps FROM webinars JOIN events ON events.webinar = webinars.id
         WHERE webinars.hubspot = ?1 AND webinars.account = ?2 AND webinars.webinar = ?3",
        (&policy.hubspot, account, &request.webinar),
        |row| {
            // Gaps that cannot be read count as none: they must not hold up the request.
            let gaps = row.get::<_, Json<Vec<Gap>>>(1).map(|Json(gaps)| gaps).unwrap_or_default();
            Ok(state_for_fetch(row.get(0)?, &gaps))
        },
    )
}

/// Whether only the platform knows if and when the webinar takes place.
fn is_webinar_uncertain(
    connection: &Connection,
    policy: &Policy,
    request: &FetchRequest,
) -> Result<bool, LedgerError> {
    let Ok(key) = WebinarKey::new(policy, request.account.as_ref(), &request.webinar) else {
        return Ok(false);
    };
    let found = webinars::find(connection, &key)?;
    Ok(found.is_some_and(|found| is_uncertain(&found.webinar)))
}

fn enqueue(
    tx: &mut WriteTx<'_>,
    source: &SourceName,
    request: &FetchRequest,
    by: FetchRequester,
    at: Millis,
) -> rusqlite::Result<()> {
    let account = request.account.as_ref().map_or("", ExternalAccountId::as_str);
    let found = tx.connection.first(
        "SELECT * FROM fetches WHERE source = ?1 AND webinar = ?2 AND account = ?3",
        (source, &request.webinar, account),
        |row| Ok((row.get("id")?, fetch_row(row)?)),
    )?;
    let Some((id, before)) = found else {
        let row = request_fetch(None, by, at);
        tx.connection.run(
            "INSERT INTO fetches (source, webinar, account, version, wanted_at, reported_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (source, &request.webinar, account, row.version, row.requested_at, row.reported_at),
        )?;
        let counts = tx.effects.fetch_counts(source);
        counts.count(row.state, 1);
        counts.due = true;
        return Ok(());
    };
    let state = before.state;
    replace(tx, source, id, state, &request_fetch(Some(before), by, at))
}

/// Stores a row that was in that state. One that becomes pending wakes the source's worker.
pub(super) fn replace(
    tx: &mut WriteTx<'_>,
    source: &SourceName,
    id: i64,
    before: FetchState,
    row: &FetchRow,
) -> rusqlite::Result<()> {
    store(tx.connection, id, row)?;
    if before != row.state {
        let counts = tx.effects.fetch_counts(source);
        counts.count(before, -1);
        counts.count(row.state, 1);
        counts.due |= due_since(row, tx.now).is_some();
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
             WHERE source = ?1 AND state IN (0, 3) AND not_before BETWEEN ?2 AND ?3
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
         WHERE source = ?1 AND state IN (0, 3) AND not_before > ?2 AND not_before <= ?3",
        (source, tx.now, never),
    )?;
    tx.live.claim_fetches(&tasks, tx.now);
    Ok(FetchClaim { tasks, next_due })
}

pub(super) fn task(row: &Row<'_>) -> rusqlite::Result<FetchTask> {
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
    let found = tx.connection.first("SELECT * FROM fetches WHERE id = ?1", [task.id], fetch_row)?;
    let facts = source_facts(tx, task, &outcome)?;
    review_outcome(task, found.as_ref(), &facts, &mut outcome);
    let receipt = outcome.receipt();
    let accepted = receipt.map(|receipt| accept::accept(tx, receipt)).transpose()?;
    if matches!(outcome, FetchOutcome::Answered { .. }) {
        tx.connection.run(
            "INSERT INTO fetch_sources (source, answered_at) VALUES (?1, ?2)
             ON CONFLICT (source) DO UPDATE SET answered_at = excluded.answered_at",
            (&task.source, tx.now),
        )?;
    }
    // If it is not found, an earlier call settled the task, and the worker did not get its answer.
    let Some(before) = found else { return Ok(accepted) };
    let row = settle_fetch(&before, &task.row, &outcome, &facts, tx.now);
    match &row {
        Some(row) => store(tx.connection, task.id, row)?,
        None => tx.connection.run("DELETE FROM fetches WHERE id = ?1", [task.id])?,
    }
    let counts = tx.effects.fetch_counts(&task.source);
    counts.count(before.state, -1);
    if let Some(row) = row {
        counts.count(row.state, 1);
        counts.due |= due_since(&row, tx.now).is_some();
        if row.state == FetchState::Dead && before.state != FetchState::Dead {
            let reason = row.failure.as_ref().map(|failure| failure.reason.as_str());
            tracing::warn!(
                source.name = %task.source,
                webinar = %task.webinar,
                reason,
                "a fetch is dead: nothing asks about the webinar any more until it is redriven"
            );
        }
    }
    Ok(accepted)
}

/// Reads what the outcome needs to know of the task's source.
fn source_facts(
    tx: &WriteTx<'_>,
    task: &FetchTask,
    outcome: &FetchOutcome,
) -> rusqlite::Result<SourceFacts> {
    let mut facts = SourceFacts::default();
    match outcome {
        FetchOutcome::Retry { blame: FetchBlame::Webinar | FetchBlame::NotFound, .. } => {
            let sql = "SELECT answered_at FROM fetch_sources WHERE source = ?1";
            let found = tx.connection.first(sql, [&task.source], |row| row.get(0))?;
            facts.answered_at = found.flatten();
        }
        FetchOutcome::GivenUp { receipt: Some(receipt), .. } => {
            let count: i64 = tx.connection.value(
                "SELECT count(*) FROM fetches WHERE source = ?1 AND absent_at > ?2 AND id <> ?3",
                (&task.source, tx.now.minus(ABSENCE_SPAN), task.id),
            )?;
            facts.turned_absent = u64::try_from(count).unwrap_or(0);
            facts.coming = coming(tx, receipt)?;
        }
        FetchOutcome::Retry { blame: FetchBlame::Source, .. }
        | FetchOutcome::GivenUp { receipt: None, .. }
        | FetchOutcome::Held { .. } => {}
        FetchOutcome::Answered { receipt, .. } => {
            for key in receipt.webinar_keys(tx.policies) {
                facts.webhook_at = facts.webhook_at.max(last_webhook(tx, &key)?);
            }
        }
    }
    Ok(facts)
}

/// When the last webhook arrived that built the webinar.
fn last_webhook(tx: &WriteTx<'_>, key: &WebinarKey) -> rusqlite::Result<Option<Millis>> {
    tx.connection.first(
        "SELECT receipts.received_at
         FROM webinar_receipts AS link JOIN receipts ON receipts.seq = link.receipt
         WHERE receipts.kind = 0 AND link.webinar =
             (SELECT id FROM webinars WHERE hubspot = ?1 AND account = ?2 AND webinar = ?3)
         ORDER BY link.receipt DESC LIMIT 1",
        (&key.hubspot, &key.account, &key.webinar),
        |row| row.get(0),
    )
}

/// The number of coming webinars of the account that the receipt speaks of.
fn coming(tx: &WriteTx<'_>, receipt: &NewReceipt) -> rusqlite::Result<u64> {
    let Some(key) = receipt.webinar_keys(tx.policies).pop_first() else { return Ok(0) };
    let count: i64 = tx.connection.value(
        "SELECT count(*) FROM webinars WHERE hubspot = ?1 AND account = ?2 AND last_at > ?3",
        (&key.hubspot, &key.account, tx.now),
    )?;
    Ok(u64::try_from(count).unwrap_or(0))
}

pub(super) fn fetch_row(row: &Row<'_>) -> rusqlite::Result<FetchRow> {
    let TimeOrZero(not_before) = row.get("not_before")?;
    let reason: Option<String> = row.get("last_error")?;
    let failed_at: Option<Millis> = row.get("failed_at")?;
    Ok(FetchRow {
        version: row.get("version")?,
        requested_at: row.get("wanted_at")?,
        not_before,
        state: row.get("state")?,
        attempts: row.get("attempts")?,
        not_found: row.get("not_found")?,
        failing_since: row.get("failing_since")?,
        absence: row.get("absence")?,
        absent_at: row.get("absent_at")?,
        reported_at: row.get("reported_at")?,
        repeated_for: row.get("repeated_for")?,
        failure: failed_at.map(|at| FetchFailure { at, reason: reason.unwrap_or_default() }),
    })
}

fn store(connection: &Connection, id: i64, row: &FetchRow) -> rusqlite::Result<()> {
    let failure = row.failure.as_ref();
    connection.run(
        "UPDATE fetches SET version = ?2, wanted_at = ?3, not_before = ?4, attempts = ?5,
             state = ?6, failed_at = ?7, last_error = ?8, not_found = ?9, failing_since = ?10,
             absence = ?11, absent_at = ?12, reported_at = ?13, repeated_for = ?14
         WHERE id = ?1",
        (
            id,
            row.version,
            row.requested_at,
            TimeOrZero(row.not_before),
            row.attempts,
            row.state,
            failure.map(|failure| failure.at),
            failure.map(|failure| &failure.reason),
            row.not_found,
            row.failing_since,
            row.absence,
            row.absent_at,
            row.reported_at,
            row.repeated_for,
        ),
    )
}
