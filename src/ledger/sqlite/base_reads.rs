//! Reading what HubSpot holds of events before their first send.

use rusqlite::Connection;

use super::event_rows::{self, event_key};
use super::events;
use super::statements::{Statements as _, sql_count};
use super::transaction::{ReadTx, WriteTx};
use crate::event::AccountName;
use crate::ledger::rules::base::{self, StoreAge};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::{BaseRead, BaseReadOutcome, LedgerError};

/// Claims the next event whose base is to be read.
pub(super) fn claim(
    tx: &ReadTx<'_>,
    account: &AccountName,
) -> Result<Option<BaseRead>, LedgerError> {
    let (commits, claimed) = tx.live.bases(account, |bases| (bases.commits(), bases.claims()));
    let next = tx.connection.all(
        "SELECT id, hubspot, external_account_id, external_event_id FROM events
         WHERE hubspot = ?1 AND state = 2 AND base_rank IS NOT NULL ORDER BY base_rank, id LIMIT ?2",
        (account, sql_count(claimed.len() + 1)),
        |row| Ok(BaseRead { id: row.get("id")?, key: event_key(row)? }),
    )?;
    if next.is_empty() {
        tx.live.bases(account, |bases| bases.record_none(commits));
    }
    let next = next.into_iter().find(|read| !claimed.contains(&read.id));
    if let Some(read) = &next {
        tx.live.bases(account, |bases| bases.claim(read.id));
    }
    Ok(next)
}

/// Whether the account has an event whose base is to be read.
pub(super) fn has_unread(tx: &ReadTx<'_>, account: &AccountName) -> Result<bool, LedgerError> {
    let commits = tx.live.bases(account, |bases| bases.commits());
    let has_unread: bool = tx.connection.value(
        "SELECT EXISTS (SELECT 1 FROM events
             WHERE hubspot = ?1 AND state = 2 AND base_rank IS NOT NULL)",
        [account],
    )?;
    if !has_unread {
        tx.live.bases(account, |bases| bases.record_none(commits));
    }
    Ok(has_unread)
}

/// Records what was read, and folds the event's webinar again, with what else was read of it.
pub(super) fn settle(
    tx: &mut WriteTx<'_>,
    account: &AccountName,
    read: &BaseRead,
    outcome: BaseReadOutcome,
) -> Result<(), LedgerError> {
    // An event that was deleted meanwhile has nothing to record, and another one may have its number now.
    let is_same = tx.connection.value(
        "SELECT EXISTS (SELECT 1 FROM events WHERE id = ?1 AND hubspot = ?2
             AND external_account_id = ?3 AND external_event_id = ?4)",
        (read.id, account, &read.key.external_account_id, &read.key.external_event_id),
    )?;
    let row = if is_same { event_rows::load(tx.connection, read.id)? } else { None };
    if let Some((_, before)) = row {
        let sql = "SELECT confirmed_input FROM events WHERE id = ?1";
        let confirmed: Option<Vec<u8>> = tx.connection.value(sql, [read.id])?;
        let after = base::settle_base_read(before.clone(), outcome, confirmed.as_deref());
        if after != before {
            event_rows::store(tx.connection, read.id, &after)?;
            let sql = "SELECT webinar FROM events WHERE id = ?1";
            let webinar: i64 = tx.connection.value(sql, [read.id])?;
            let unread: i64 = tx.connection.value(
                "SELECT count(*) FROM events
                 WHERE webinar = ?1 AND state = 2 AND base_rank IS NOT NULL",
                [webinar],
            )?;
            if base::is_fold_due(usize::try_from(unread).unwrap_or(0)) {
                events::refold(tx, webinar, ReconcileScope::All)?;
            }
        }
    }
    tx.effects.released_bases.push((account.clone(), read.id));
    tx.effects.woken.insert(account.clone());
    Ok(())
}

/// Reads the store's ages.
pub(super) fn store_age(connection: &Connection) -> rusqlite::Result<StoreAge> {
    let sql = "SELECT born_at, restored_at, restored_above, pruned_to FROM store";
    connection.prepare_cached(sql)?.query_row((), |row| {
        let (born_at, restored_at, pruned_to) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let above: Option<i64> = row.get(2)?;
        let restored_above = above.and_then(|above| u64::try_from(above).ok());
        Ok(StoreAge { born_at, restored_at, restored_above, pruned_to })
    })
}
