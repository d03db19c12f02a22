//! Sending again what somebody asks to be sent again.

use super::job::{TxError, WriteTx};
use super::list_events;
use super::live_state::{StoredState, state_code};
use crate::event::{AccountName, EventKey};
use crate::ledger::{EventState, RedriveProgress, RedriveRequest, RedriveResult};

/// Events sent again in one piece, so that webhooks get their turn between.
const PIECE: usize = 500;
/// Rows looked at in one piece, at most: milliseconds of the writer's time.
const MAX_ROWS_READ: usize = 5_000;

/// Sends one event again.
pub(super) fn redrive(desk: &mut WriteTx<'_>, key: &EventKey) -> Result<RedriveResult, TxError> {
    let Some(id) = list_events::find(desk.connection, key)? else {
        return Ok(RedriveResult::Unknown);
    };
    let StoredState(state) = desk
        .connection
        .prepare_cached("SELECT state FROM events WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    match state {
        EventState::Incomplete => return Ok(RedriveResult::Incomplete),
        EventState::Filtered => return Ok(RedriveResult::Filtered),
        EventState::Pending | EventState::Delivered | EventState::Dead => {}
    }
    make_pending(desk, id, &key.hubspot, state)?;
    Ok(RedriveResult::Pending)
}

/// Sends a piece of many again.
pub(super) fn redrive_all(
    desk: &mut WriteTx<'_>,
    ask: &RedriveRequest,
) -> Result<RedriveProgress, TxError> {
    let mut piece = RedriveProgress { redriven: 0, next: None };
    if matches!(ask.state, EventState::Incomplete | EventState::Filtered) {
        return Ok(piece);
    }
    let sql = format!(
        "SELECT id, hubspot, state, ends_at FROM {} AND id > ?1 ORDER BY id",
        list_events::rows_in_state(Some(ask.state), desk.shared)
    );
    let (mut chosen, mut looked) = (Vec::new(), 0);
    {
        let mut statement = desk.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([ask.after.unwrap_or(0)])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            if chosen.len() >= PIECE || looked >= MAX_ROWS_READ {
                piece.next = last;
                break;
            }
            looked += 1;
            let id: i64 = row.get(0)?;
            last = Some(id);
            let hubspot: String = row.get(1)?;
            let StoredState(state) = row.get(2)?;
            let ends_at: Option<i64> = row.get(3)?;
            let over = ends_at.is_some_and(|end| end < desk.now.get());
            let of_account = ask.account.as_ref().is_none_or(|a| a.as_str() == hubspot);
            if of_account && state == ask.state && !(ask.not_over && over) {
                let account = AccountName::parse(hubspot)
                    .map_err(|error| TxError::Corrupt(format!("event {id}: {error}")))?;
                chosen.push((id, account));
            }
        }
    }
    for (id, account) in chosen {
        make_pending(desk, id, &account, ask.state)?;
        piece.redriven += 1;
    }
    Ok(piece)
}

/// Makes an event pending and forgets what would hold it, or would make the sending needless.
///
/// The version rises, so that the refusal of a call begun before does not bury the event again: whoever asks may have
/// put right what it was refused for. A confirmation of that call counts: it is of the present state.
fn make_pending(
    desk: &mut WriteTx<'_>,
    id: i64,
    account: &AccountName,
    state: EventState,
) -> Result<(), TxError> {
    desk.connection
        .prepare_cached(
            "UPDATE events SET state = ?2, version = version + 1, held_hash = NULL, refused = NULL,
                 attempts = 0, not_before = 0,
                 pending_since = CASE WHEN state = 0 THEN pending_since ELSE ?3 END
             WHERE id = ?1",
        )?
        .execute((id, state_code(EventState::Pending), desk.now.get()))?;
    desk.effects.counts.leave(account, state);
    desk.effects.counts.enter(account, EventState::Pending);
    desk.effects.woken.insert(account.clone());
    Ok(())
}
