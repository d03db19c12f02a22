//! Recording what became of claimed events.

use rusqlite::OptionalExtension;

use super::events::hash_of;
use super::shared::{code, state};
use super::writer::{Desk, JobError};
use crate::event::AccountName;
use crate::ledger::{EventState, Outcome, Settlement, Standing};

/// Records outcomes and frees the claims, which the commit makes visible.
pub(super) fn settle(
    desk: &mut Desk<'_>,
    account: &AccountName,
    settled: &[Settlement],
) -> Result<(), JobError> {
    for settlement in settled {
        settle_one(desk, account, settlement)?;
    }
    desk.freed.push((account.clone(), settled.iter().map(|s| s.claimed.id).collect()));
    desk.woken.insert(account.clone());
    Ok(())
}

fn settle_one(
    desk: &mut Desk<'_>,
    account: &AccountName,
    settlement: &Settlement,
) -> Result<(), JobError> {
    let id = settlement.claimed.id;
    let found: Option<(u8, i64, Option<Vec<u8>>)> = desk
        .connection
        .prepare_cached("SELECT state, version, input_hash FROM events WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    // Deleted while in flight: nothing is left to record.
    let Some((number, version, input_hash)) = found else { return Ok(()) };
    let before =
        state(number).ok_or_else(|| JobError::Corrupt(format!("event {id} has state {number}")))?;
    let sent_hash = hash_of(&settlement.claimed.input);
    let is_current = input_hash.as_ref() == Some(&sent_hash);
    let after = match &settlement.outcome {
        Outcome::Confirmed { object_id } => {
            let after = if is_current { EventState::Delivered } else { before };
            // The present state is younger than the one confirmed: it has been pending since it came.
            desk.connection
                .prepare_cached(
                    "UPDATE events SET confirmed_hash = ?2,
                         confirmed_input = CASE WHEN input_hash = ?2 THEN NULL ELSE ?3 END,
                         confirmed_at = ?4, object_id = coalesce(?5, object_id), state = ?6,
                         pending_since = changed_at, attempts = 0, not_before = 0,
                         last_error = NULL
                     WHERE id = ?1",
                )?
                .execute((
                    id,
                    &sent_hash,
                    &settlement.claimed.input,
                    desk.now.get(),
                    object_id,
                    code(after),
                ))?;
            after
        }
        Outcome::Refused(refused) => {
            // A refusal speaks of what was sent, not of what has become of it since.
            if !is_current || version != settlement.claimed.version {
                return Ok(());
            }
            let words = serde_json::to_string(refused)
                .map_err(|error| JobError::Corrupt(format!("refusal: {error}")))?;
            desk.connection
                .prepare_cached(
                    "UPDATE events SET state = ?2, refused = ?3, attempts = attempts + 1
                     WHERE id = ?1",
                )?
                .execute((id, code(EventState::Dead), words))?;
            EventState::Dead
        }
        Outcome::Again { not_before, reason } => {
            desk.connection
                .prepare_cached(
                    "UPDATE events SET not_before = ?2, attempts = attempts + 1, last_error = ?3
                     WHERE id = ?1",
                )?
                .execute((id, not_before.get(), reason))?;
            before
        }
    };
    if after != before {
        desk.tally.leave(account, before);
        desk.tally.enter(account, after);
    }
    Ok(())
}

/// Keeps how an account stands.
pub(super) fn keep_standing(
    desk: &mut Desk<'_>,
    account: &AccountName,
    standing: &Standing,
) -> Result<(), JobError> {
    let text = serde_json::to_string(standing)
        .map_err(|error| JobError::Corrupt(format!("standing: {error}")))?;
    desk.connection
        .prepare_cached("INSERT OR REPLACE INTO standings (hubspot, standing) VALUES (?1, ?2)")?
        .execute((account.as_str(), text))?;
    Ok(())
}
