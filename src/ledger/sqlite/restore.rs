//! A copy that is put into service: HubSpot is newer than what it holds.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::event_rows;
use super::open::{self, OpenError};
use super::receipt_numbers::ReceiptNumbers;
use super::side_effects::SideEffects;
use super::statements::Statements as _;
use super::store_lock::StoreLock;
use crate::event::Millis;
use crate::ledger::rules::base::restore;

/// Marks a closed store as a copy that was not served yet. A store that does not exist stays so.
///
/// # Errors
/// [`OpenError`] names the obstacle.
pub fn mark_copy(path: &Path, now: Millis) -> Result<(), OpenError> {
    if !path.exists() {
        return Ok(());
    }
    let _lock = StoreLock::take(path)?;
    let mut connection = open::connect(path)?;
    open::ensure_schema(&mut connection, true)?;
    Ok(mark(&connection, now)?)
}

/// Marks a store as a copy that was not served yet.
pub(super) fn mark(connection: &Connection, now: Millis) -> rusqlite::Result<()> {
    connection.run("UPDATE store SET copied_at = ?1 WHERE id = 0", [now])
}

/// Puts a copy into service, once: what HubSpot holds lies above all that the copy holds.
pub(super) fn restore_copy(connection: &mut Connection, now: Millis) -> Result<(), OpenError> {
    let copied_at: Option<Millis> =
        connection.value("SELECT copied_at FROM store WHERE id = 0", ())?;
    let Some(copied_at) = copied_at else { return Ok(()) };
    let restored_at: Option<Millis> =
        connection.value("SELECT restored_at FROM store WHERE id = 0", ())?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let last = u64::try_from(ReceiptNumbers::after(&transaction)?.last()).unwrap_or(0);
    let ids: Vec<i64> =
        transaction.all("SELECT id FROM events ORDER BY id", (), |row| row.get(0))?;
    let mut effects = SideEffects::default();
    for id in ids {
        let Some((account, before)) = event_rows::load(&transaction, id)? else { continue };
        let state = before.state;
        let (after, confirmed_input) = restore(before, last);
        event_rows::store_confirmed_input(&transaction, id, confirmed_input, None)?;
        event_rows::store(&transaction, id, &after)?;
        effects.change_state(&account, id, Some(state), Some(after.state));
    }
    effects.write(&transaction)?;
    transaction
        .run("UPDATE events SET input = NULL WHERE input_hash IS NULL AND input IS NOT NULL", ())?;
    transaction.run(
        "UPDATE store SET copied_at = NULL, restored_at = ?1, restored_above = ?2 WHERE id = 0",
        (now, i64::try_from(last).unwrap_or(i64::MAX)),
    )?;
    transaction.commit()?;
    tracing::warn!(
        %copied_at,
        "the store is a copy that was put back: what HubSpot holds of an event is read before it is sent again"
    );
    if let Some(restored_at) = restored_at {
        tracing::warn!(
            %restored_at,
            "the store was put back before: if `--restored` was left on since, remove it, as each start with it takes \
             HubSpot for newer than what was accepted and not delivered"
        );
    }
    Ok(())
}
