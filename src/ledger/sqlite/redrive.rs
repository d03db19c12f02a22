//! Redrives: an operator has events sent again.

use super::event_rows;
use super::list_events;
use super::live_state::StoredState;
use super::transaction::WriteTx;
use super::tx_error::TxError;
use crate::event::{AccountName, EventKey, Millis};
use crate::ledger::rules::redrive::{self, can_redrive, is_selected};
use crate::ledger::{RedriveProgress, RedriveRequest, RedriveResult};

/// The most events made pending in one piece, so that webhooks are not delayed.
const PIECE: usize = 500;
/// The most rows read in one piece: some milliseconds of the writer's time.
const MAX_ROWS_READ: usize = 5_000;

/// Makes one event pending.
pub(super) fn redrive(tx: &mut WriteTx<'_>, key: &EventKey) -> Result<RedriveResult, TxError> {
    match list_events::find(tx.connection, key)? {
        Some(id) => make_pending(tx, id, &key.hubspot),
        None => Ok(RedriveResult::Unknown),
    }
}

/// Makes a piece of many pending.
pub(super) fn redrive_all(
    tx: &mut WriteTx<'_>,
    request: &RedriveRequest,
) -> Result<RedriveProgress, TxError> {
    let mut progress = RedriveProgress { redriven: 0, next: None };
    if !can_redrive(request.state) {
        return Ok(progress);
    }
    let (chosen, next) = choose(tx, request)?;
    progress.next = next;
    for (id, account) in chosen {
        make_pending(tx, id, &account)?;
        progress.redriven += 1;
    }
    Ok(progress)
}

/// The events of one piece, and where the next piece goes on.
type Piece = (Vec<(i64, AccountName)>, Option<i64>);

fn choose(tx: &WriteTx<'_>, request: &RedriveRequest) -> Result<Piece, TxError> {
    let sql = format!(
        "SELECT id, hubspot, state, ends_at FROM {} AND id > ?1 ORDER BY id",
        list_events::rows_in_state(Some(request.state), tx.live)
    );
    let (mut chosen, mut rows_read, mut last) = (Vec::new(), 0, None);
    let mut statement = tx.connection.prepare_cached(&sql)?;
    let mut rows = statement.query([request.after.unwrap_or(0)])?;
    while let Some(row) = rows.next()? {
        if chosen.len() >= PIECE || rows_read >= MAX_ROWS_READ {
            return Ok((chosen, last));
        }
        rows_read += 1;
        let id: i64 = row.get(0)?;
        last = Some(id);
        let account: String = row.get(1)?;
        let StoredState(state) = row.get(2)?;
        let ends_at = row.get::<_, Option<i64>>(3)?.map(Millis::new);
        if is_selected(request, &account, state, ends_at, tx.now) {
            let account = AccountName::parse(account)
                .map_err(|error| TxError::corrupt(format!("event {id}"), error))?;
            chosen.push((id, account));
        }
    }
    Ok((chosen, None))
}

fn make_pending(
    tx: &mut WriteTx<'_>,
    id: i64,
    account: &AccountName,
) -> Result<RedriveResult, TxError> {
    let Some(before) = event_rows::load(tx.connection, id)? else {
        return Ok(RedriveResult::Unknown);
    };
    match redrive::redrive(before.clone(), tx.now) {
        Ok(after) => {
            event_rows::replace(tx, account, id, &before, &after)?;
            Ok(RedriveResult::Pending)
        }
        Err(refused) => Ok(refused),
    }
}
