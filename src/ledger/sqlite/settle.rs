//! Recording what became of claimed events.

use rusqlite::{Connection, OptionalExtension};

use super::job::{TxError, WriteTx};
use super::live_state::{StoredState, state_code};
use crate::event::{AccountName, AccountStatus, Millis, PauseReason};
use crate::ledger::{DeliveryOutcome, EventState, HubspotRefusal, LATE_EFFECT_WINDOW, Settlement};

/// Records outcomes and frees the claims, which the commit makes visible.
pub(super) fn settle(
    desk: &mut WriteTx<'_>,
    account: &AccountName,
    settled: &[Settlement],
) -> Result<(), TxError> {
    for settlement in settled {
        settle_one(desk, account, settlement)?;
    }
    // What is given back was freed when it was refused; by now another flight may hold it.
    let held = settled.iter().filter(|s| !matches!(s.outcome, DeliveryOutcome::RefusalRevoked));
    desk.effects.released.push((account.clone(), held.map(|s| s.event.id).collect()));
    desk.effects.woken.insert(account.clone());
    Ok(())
}

/// An event's row, as far as an outcome needs it.
struct AttemptRow {
    state: EventState,
    version: i64,
    input_hash: Option<Vec<u8>>,
    held_hash: Option<Vec<u8>>,
    sending_since: Option<i64>,
    resend_at: Option<i64>,
}

fn load(desk: &WriteTx<'_>, id: i64) -> Result<Option<AttemptRow>, TxError> {
    let found = desk
        .connection
        .prepare_cached(
            "SELECT state, version, input_hash, held_hash, sending_since, resend_at
             FROM events WHERE id = ?1",
        )?
        .query_row([id], |row| {
            Ok(AttemptRow {
                state: row.get::<_, StoredState>(0)?.0,
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
    desk: &mut WriteTx<'_>,
    account: &AccountName,
    settlement: &Settlement,
) -> Result<(), TxError> {
    let id = settlement.event.id;
    // Deleted while in flight: nothing is left to record.
    let Some(row) = load(desk, id)? else { return Ok(()) };
    let after = match &settlement.outcome {
        DeliveryOutcome::Confirmed { object_id } => {
            confirmed(desk, account, &row, settlement, object_id.as_deref())?
        }
        DeliveryOutcome::Refused(refused) => record_refusal(desk, &row, settlement, refused)?,
        DeliveryOutcome::RefusalRevoked if row.state == EventState::Dead => {
            desk.connection
                .prepare_cached("UPDATE events SET refused = NULL WHERE id = ?1")?
                .execute([id])?;
            EventState::Pending
        }
        // It changed since, or was asked for, and may be on its way again.
        DeliveryOutcome::RefusalRevoked => return Ok(()),
        DeliveryOutcome::NotApplied => row.state,
        DeliveryOutcome::AlreadyConfirmed => already_confirmed(&row),
        DeliveryOutcome::Ambiguous => {
            mark_ambiguous(desk, id)?;
            pending_again(row.state)
        }
        DeliveryOutcome::RetryCounted { not_before, reason } => {
            desk.connection
                .prepare_cached(
                    "UPDATE events SET held_hash = NULL, not_before = ?2, attempts = attempts + 1,
                         last_error = ?3
                     WHERE id = ?1",
                )?
                .execute((id, not_before.get(), reason))?;
            row.state
        }
        DeliveryOutcome::RetryUncounted { not_before, reason } => {
            mark_ambiguous(desk, id)?;
            desk.connection
                .prepare_cached("UPDATE events SET not_before = ?2, last_error = ?3 WHERE id = ?1")?
                .execute((id, not_before.get(), reason))?;
            pending_again(row.state)
        }
    };
    desk.connection
        .prepare_cached("UPDATE events SET state = ?2, sending_since = NULL WHERE id = ?1")?
        .execute((id, state_code(after)))?;
    if after != row.state {
        desk.effects.counts.leave(account, row.state);
        desk.effects.counts.enter(account, after);
    }
    Ok(())
}

/// Nobody knows what HubSpot holds of it, or will: it is said once more when that can no longer change.
fn mark_ambiguous(desk: &WriteTx<'_>, id: i64) -> Result<(), TxError> {
    let at = desk.now.plus(LATE_EFFECT_WINDOW).get();
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
    desk: &WriteTx<'_>,
    account: &AccountName,
    row: &AttemptRow,
    settlement: &Settlement,
    object_id: Option<&str>,
) -> Result<EventState, TxError> {
    let id = settlement.event.id;
    let input = desk.shared.claimed_input(account, id);
    let sent_hash = settlement.event.input_hash.as_bytes().to_vec();
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
        .execute((id, &sent_hash, input.as_deref(), desk.now.get(), object_id, landed))?;
    let is_current = row.input_hash.as_ref() == Some(&sent_hash);
    Ok(if is_current { EventState::Delivered } else { row.state })
}

/// The claim was read beside the writer: only what is still so counts.
fn already_confirmed(row: &AttemptRow) -> EventState {
    let same = row.input_hash.is_some() && row.input_hash == row.held_hash;
    if same && row.state == EventState::Pending { EventState::Delivered } else { row.state }
}

fn record_refusal(
    desk: &WriteTx<'_>,
    row: &AttemptRow,
    settlement: &Settlement,
    refused: &HubspotRefusal,
) -> Result<EventState, TxError> {
    let is_current =
        row.input_hash.as_deref() == Some(settlement.event.input_hash.as_bytes().as_slice());
    // A refusal speaks of what was sent, not of what has become of it since.
    if !is_current || row.version != settlement.event.version {
        return Ok(row.state);
    }
    let words = serde_json::to_string(refused)
        .map_err(|error| TxError::Corrupt(format!("refusal: {error}")))?;
    desk.connection
        .prepare_cached("UPDATE events SET refused = ?2, attempts = attempts + 1 WHERE id = ?1")?
        .execute((settlement.event.id, words))?;
    Ok(EventState::Dead)
}

/// Notes that calls with these events begin. What HubSpot holds is unknown from then on until it confirms something: a
/// call that it answers with an error may have been carried out before the error.
pub(super) fn begin_attempt(desk: &WriteTx<'_>, ids: &[i64]) -> Result<(), TxError> {
    let mut note = desk
        .connection
        .prepare_cached("UPDATE events SET sending_since = ?2, held_hash = NULL WHERE id = ?1")?;
    for id in ids {
        note.execute((id, desk.now.get()))?;
    }
    Ok(())
}

/// Makes events pending that are to be sent a second time.
pub(super) fn run_resend_timers(desk: &mut WriteTx<'_>, most: i64) -> Result<usize, TxError> {
    let due: Vec<(i64, String, StoredState)> = desk
        .connection
        .prepare_cached(
            "SELECT id, hubspot, state FROM events
             WHERE resend_at <= ?1 AND sending_since IS NULL ORDER BY resend_at LIMIT ?2",
        )?
        .query_map((desk.now.get(), most), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (id, hubspot, StoredState(state)) in &due {
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
                .map_err(|error| TxError::Corrupt(format!("event {id}: {error}")))?;
            desk.effects.counts.leave(&account, EventState::Delivered);
            desk.effects.counts.enter(&account, EventState::Pending);
            desk.effects.woken.insert(account);
        }
    }
    Ok(due.len())
}

/// After a crash: of calls under way when the process ended nobody knows whether they land.
pub(super) fn recover(connection: &Connection, now: Millis) -> rusqlite::Result<()> {
    let at = now.plus(LATE_EFFECT_WINDOW).get();
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

/// Stores an account's status.
pub(super) fn store_status(
    desk: &mut WriteTx<'_>,
    account: &AccountName,
    status: &AccountStatus,
) -> Result<(), TxError> {
    let known: Option<String> = desk
        .connection
        .prepare_cached("SELECT standing FROM standings WHERE hubspot = ?1")?
        .query_row([account.as_str()], |row| row.get(0))
        .optional()?;
    // A status that can no longer be read counts as none.
    let known: Option<AccountStatus> = known.and_then(|text| serde_json::from_str(&text).ok());
    let refuses = |status: &AccountStatus| status.is_paused_for(PauseReason::Refused);
    if known.as_ref().is_some_and(refuses) && !refuses(status) {
        // The account accepts events again: those that were sent as probes and have to wait may go now.
        desk.connection
            .prepare_cached(
                "UPDATE events SET not_before = 0
                 WHERE hubspot = ?1 AND state = 0 AND not_before > 0",
            )?
            .execute([account.as_str()])?;
        desk.effects.woken.insert(account.clone());
    }
    let text = serde_json::to_string(status)
        .map_err(|error| TxError::Corrupt(format!("account status: {error}")))?;
    desk.connection
        .prepare_cached("INSERT OR REPLACE INTO standings (hubspot, standing) VALUES (?1, ?2)")?
        .execute((account.as_str(), text))?;
    Ok(())
}
