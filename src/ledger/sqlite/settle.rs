//! Recording what became of claimed events.

use rusqlite::{Connection, OptionalExtension};

use super::events::hash_of;
use super::job::{Desk, JobError};
use super::shared::{Stored, code};
use crate::event::{AccountName, Millis};
use crate::ledger::{EventState, LANDED, Outcome, PauseReason, RefusedBy, Settlement, Standing};

/// Records outcomes and frees the claims, which the commit makes visible.
pub(super) fn settle(
    desk: &mut Desk<'_>,
    account: &AccountName,
    settled: &[Settlement],
) -> Result<(), JobError> {
    for settlement in settled {
        settle_one(desk, account, settlement)?;
    }
    // What is given back was freed when it was refused; by now another flight may hold it.
    let held = settled.iter().filter(|s| !matches!(s.outcome, Outcome::GivenBack));
    desk.effects.freed.push((account.clone(), held.map(|s| s.claimed.id).collect()));
    desk.effects.woken.insert(account.clone());
    Ok(())
}

/// An event's row, as far as an outcome needs it.
struct Row {
    state: EventState,
    version: i64,
    input_hash: Option<Vec<u8>>,
    held_hash: Option<Vec<u8>>,
    sending_since: Option<i64>,
    resend_at: Option<i64>,
}

fn load(desk: &Desk<'_>, id: i64) -> Result<Option<Row>, JobError> {
    let found = desk
        .connection
        .prepare_cached(
            "SELECT state, version, input_hash, held_hash, sending_since, resend_at
             FROM events WHERE id = ?1",
        )?
        .query_row([id], |row| {
            Ok(Row {
                state: row.get::<_, Stored>(0)?.0,
                version: row.get(1)?,
                input_hash: row.get(2)?,
                held_hash: row.get(3)?,
                sending_since: row.get(4)?,
                resend_at: row.get(5)?,
            })
        })
        .optional()?;
    Ok(found)
}

fn settle_one(
    desk: &mut Desk<'_>,
    account: &AccountName,
    settlement: &Settlement,
) -> Result<(), JobError> {
    let id = settlement.claimed.id;
    // Deleted while in flight: nothing is left to record.
    let Some(row) = load(desk, id)? else { return Ok(()) };
    let after = match &settlement.outcome {
        Outcome::Confirmed { object_id } => {
            confirmed(desk, &row, settlement, object_id.as_deref())?
        }
        Outcome::Refused(refused) => refuse(desk, &row, settlement, refused)?,
        Outcome::GivenBack if row.state == EventState::Dead => {
            desk.connection
                .prepare_cached("UPDATE events SET refused = NULL WHERE id = ?1")?
                .execute([id])?;
            EventState::Pending
        }
        // It changed since, or was asked for, and may be on its way again.
        Outcome::GivenBack => return Ok(()),
        Outcome::NotTaken => row.state,
        Outcome::Unchanged => unchanged(&row),
        Outcome::Ambiguous => {
            ambiguous(desk, id)?;
            pending_again(row.state)
        }
        Outcome::Again { not_before, reason } => {
            desk.connection
                .prepare_cached(
                    "UPDATE events SET held_hash = NULL, not_before = ?2, attempts = attempts + 1,
                         last_error = ?3
                     WHERE id = ?1",
                )?
                .execute((id, not_before.get(), reason))?;
            row.state
        }
        Outcome::Later { not_before, reason } => {
            ambiguous(desk, id)?;
            desk.connection
                .prepare_cached("UPDATE events SET not_before = ?2, last_error = ?3 WHERE id = ?1")?
                .execute((id, not_before.get(), reason))?;
            pending_again(row.state)
        }
    };
    desk.connection
        .prepare_cached("UPDATE events SET state = ?2, sending_since = NULL WHERE id = ?1")?
        .execute((id, code(after)))?;
    if after != row.state {
        desk.effects.tally.leave(account, row.state);
        desk.effects.tally.enter(account, after);
    }
    Ok(())
}

/// Nobody knows what HubSpot holds of it, or will: it is said once more when that can no longer change.
fn ambiguous(desk: &Desk<'_>, id: i64) -> Result<(), JobError> {
    let at = desk.now.plus(LANDED).get();
    desk.connection
        .prepare_cached(
            "UPDATE events SET held_hash = NULL, resend_at = max(coalesce(resend_at, 0), ?2)
             WHERE id = ?1",
        )?
        .execute((id, at))?;
    Ok(())
}

/// What HubSpot holds is unknown, so the present state is to be sent, were it confirmed before.
fn pending_again(state: EventState) -> EventState {
    match state {
        EventState::Delivered => EventState::Pending,
        EventState::Pending | EventState::Incomplete | EventState::Filtered | EventState::Dead => {
            state
        }
    }
}

fn confirmed(
    desk: &Desk<'_>,
    row: &Row,
    settlement: &Settlement,
    object_id: Option<&str>,
) -> Result<EventState, JobError> {
    let input = &settlement.claimed.input;
    let sent_hash = hash_of(input);
    // A call begun when the older one could no longer land is the last word; an earlier one is said once more.
    let landed = row.resend_at.is_some_and(|at| row.sending_since.is_some_and(|since| since >= at));
    // The present state is younger than the one confirmed: it has been pending since it came.
    desk.connection
        .prepare_cached(
            "UPDATE events SET held_hash = ?2, confirmed_hash = ?2,
                 confirmed_input = CASE WHEN input_hash = ?2 THEN NULL ELSE ?3 END,
                 confirmed_at = ?4, object_id = coalesce(?5, object_id),
                 resend_at = CASE WHEN ?6 THEN NULL ELSE resend_at END,
                 pending_since = changed_at, attempts = 0, not_before = 0, last_error = NULL
             WHERE id = ?1",
        )?
        .execute((settlement.claimed.id, &sent_hash, input, desk.now.get(), object_id, landed))?;
    let is_current = row.input_hash.as_ref() == Some(&sent_hash);
    Ok(if is_current { EventState::Delivered } else { row.state })
}

/// The claim was read beside the writer: only what is still so counts.
fn unchanged(row: &Row) -> EventState {
    let same = row.input_hash.is_some() && row.input_hash == row.held_hash;
    if same && row.state == EventState::Pending { EventState::Delivered } else { row.state }
}

fn refuse(
    desk: &Desk<'_>,
    row: &Row,
    settlement: &Settlement,
    refused: &RefusedBy,
) -> Result<EventState, JobError> {
    let is_current = row.input_hash.as_ref() == Some(&hash_of(&settlement.claimed.input));
    // A refusal speaks of what was sent, not of what has become of it since.
    if !is_current || row.version != settlement.claimed.version {
        return Ok(row.state);
    }
    let words = serde_json::to_string(refused)
        .map_err(|error| JobError::Corrupt(format!("refusal: {error}")))?;
    desk.connection
        .prepare_cached("UPDATE events SET refused = ?2, attempts = attempts + 1 WHERE id = ?1")?
        .execute((settlement.claimed.id, words))?;
    Ok(EventState::Dead)
}

/// Notes that calls with these events begin. What HubSpot holds is unknown from then on until it confirms something: a
/// call that it answers with an error may have been carried out before the error.
pub(super) fn depart(desk: &Desk<'_>, ids: &[i64]) -> Result<(), JobError> {
    let mut note = desk
        .connection
        .prepare_cached("UPDATE events SET sending_since = ?2, held_hash = NULL WHERE id = ?1")?;
    for id in ids {
        note.execute((id, desk.now.get()))?;
    }
    Ok(())
}

/// Makes events pending that are to be sent a second time.
pub(super) fn resend_due(desk: &mut Desk<'_>, most: i64) -> Result<usize, JobError> {
    let due: Vec<(i64, String, Stored)> = desk
        .connection
        .prepare_cached(
            "SELECT id, hubspot, state FROM events
             WHERE resend_at <= ?1 AND sending_since IS NULL ORDER BY resend_at LIMIT ?2",
        )?
        .query_map((desk.now.get(), most), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (id, hubspot, Stored(state)) in &due {
        // What is pending is sent from now on anyway, and what is incomplete, filtered or dead is not sent at all.
        let again = *state == EventState::Delivered;
        desk.connection
            .prepare_cached(
                "UPDATE events SET resend_at = NULL, state = CASE WHEN ?2 THEN 0 ELSE state END,
                     pending_since = CASE WHEN ?2 THEN ?3 ELSE pending_since END,
                     held_hash = NULL
                 WHERE id = ?1",
            )?
            .execute((id, again, desk.now.get()))?;
        if again {
            let account = AccountName::parse(hubspot.as_str())
                .map_err(|error| JobError::Corrupt(format!("event {id}: {error}")))?;
            desk.effects.tally.leave(&account, EventState::Delivered);
            desk.effects.tally.enter(&account, EventState::Pending);
            desk.effects.woken.insert(account);
        }
    }
    Ok(due.len())
}

/// After a crash: of calls under way when the process ended nobody knows whether they land.
pub(super) fn recover(connection: &Connection, now: Millis) -> rusqlite::Result<()> {
    let at = now.plus(LANDED).get();
    connection.execute_batch("BEGIN IMMEDIATE")?;
    // The index is named since for the groups' sake SQLite would go through all events instead.
    let recovered = connection
        .execute(
            "INSERT INTO event_counts (hubspot, state, count)
             SELECT hubspot, 0, count(*) FROM events INDEXED BY events_sending
                 WHERE sending_since IS NOT NULL AND state = 1 GROUP BY hubspot
             UNION ALL SELECT hubspot, 1, -count(*) FROM events INDEXED BY events_sending
                 WHERE sending_since IS NOT NULL AND state = 1 GROUP BY hubspot
             ON CONFLICT (hubspot, state) DO UPDATE SET count = count + excluded.count",
            (),
        )
        .and_then(|_| {
            connection.execute(
                "UPDATE events SET sending_since = NULL, held_hash = NULL,
                     resend_at = max(coalesce(resend_at, 0), ?1),
                     state = CASE WHEN state = 1 THEN 0 ELSE state END
                 WHERE sending_since IS NOT NULL",
                [at],
            )
        })
        .and_then(|_| connection.execute_batch("COMMIT"));
    if recovered.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    recovered
}

/// Keeps how an account stands.
pub(super) fn keep_standing(
    desk: &mut Desk<'_>,
    account: &AccountName,
    standing: &Standing,
) -> Result<(), JobError> {
    let known: Option<String> = desk
        .connection
        .prepare_cached("SELECT standing FROM standings WHERE hubspot = ?1")?
        .query_row([account.as_str()], |row| row.get(0))
        .optional()?;
    // What can no longer be read is as good as nothing known.
    let known: Option<Standing> = known.and_then(|text| serde_json::from_str(&text).ok());
    let refused = |standing: &Standing| {
        standing.paused.as_ref().is_some_and(|pause| pause.reason == PauseReason::Refused)
    };
    if known.as_ref().is_some_and(refused) && !refused(standing) {
        // It takes events again: those that asked meanwhile, and were told to wait, may go now.
        desk.connection
            .prepare_cached(
                "UPDATE events SET not_before = 0
                 WHERE hubspot = ?1 AND state = 0 AND not_before > 0",
            )?
            .execute([account.as_str()])?;
        desk.effects.woken.insert(account.clone());
    }
    let text = serde_json::to_string(standing)
        .map_err(|error| JobError::Corrupt(format!("standing: {error}")))?;
    desk.connection
        .prepare_cached("INSERT OR REPLACE INTO standings (hubspot, standing) VALUES (?1, ?2)")?
        .execute((account.as_str(), text))?;
    Ok(())
}
