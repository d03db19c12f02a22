//! Redrives: an operator has events sent again.

use super::event_rows;
use super::list_events;
use super::statements::{Statements as _, read_page};
use super::transaction::WriteTx;
use crate::event::{AccountName, EventKey};
use crate::ledger::rules::base::confirmed_input_of_copy;
use crate::ledger::rules::redrive::{self, can_redrive, is_selected};
use crate::ledger::{LedgerError, Page, RedriveProgress, RedriveRequest, RedriveResult};

/// The most events made pending in one piece, so that webhooks are not delayed.
const PIECE: usize = 500;
/// The most rows read in one piece: some milliseconds of the writer's time.
const MAX_ROWS_READ: usize = 5_000;

/// Makes one event pending.
pub(super) fn redrive(tx: &mut WriteTx<'_>, key: &EventKey) -> Result<RedriveResult, LedgerError> {
    match event_rows::find(tx.connection, key)? {
        Some(id) => make_pending(tx, id),
        None => Ok(RedriveResult::Unknown),
    }
}

/// Makes a piece of many pending.
pub(super) fn redrive_all(
    tx: &mut WriteTx<'_>,
    request: &RedriveRequest,
) -> Result<RedriveProgress, LedgerError> {
    if !can_redrive(request.state) {
        return Ok(RedriveProgress { redriven: 0, next: None });
    }
    let Page { items: chosen, next } = choose(tx, request)?;
    for id in &chosen {
        make_pending(tx, *id)?;
    }
    Ok(RedriveProgress { redriven: chosen.len() as u64, next })
}

fn choose(tx: &WriteTx<'_>, request: &RedriveRequest) -> Result<Page<i64>, LedgerError> {
    let sql = format!(
        "SELECT id, hubspot, state, ends_at FROM {} AND id > ?1 ORDER BY id",
        list_events::rows_in_state(Some(request.state), tx.live)
    );
    let mut statement = tx.connection.prepare_cached(&sql)?;
    let rows = statement.query([request.after.unwrap_or(0)])?;
    read_page(rows, PIECE, MAX_ROWS_READ, |row| {
        let account: AccountName = row.get("hubspot")?;
        let (state, ends_at) = (row.get("state")?, row.get("ends_at")?);
        let is_selected = is_selected(request, account.as_str(), state, ends_at, tx.now);
        Ok(is_selected.then_some(row.get("id")?))
    })
}

fn make_pending(tx: &mut WriteTx<'_>, id: i64) -> Result<RedriveResult, LedgerError> {
    let Some((account, before)) = event_rows::load(tx.connection, id)? else {
        return Ok(RedriveResult::Unknown);
    };
    match redrive::redrive(before.clone(), tx.now) {
        Ok(after) => {
            let confirmed_input = confirmed_input_of_copy(&before);
            event_rows::store_confirmed_input(tx.connection, id, confirmed_input, None)?;
            event_rows::replace(tx, &account, id, &before, &after)?;
            if after.input_hash.is_none() {
                tx.connection.run("UPDATE events SET input = NULL WHERE id = ?1", [id])?;
            }
            Ok(RedriveResult::Pending)
        }
        Err(refused) => Ok(refused),
    }
}
