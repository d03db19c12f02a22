//! The sources' configuration at the last start, and the consequences of a change since.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::events;
use super::open::OpenError;
use super::statements::Statements as _;
use super::transaction::WriteTx;
use crate::event::SourceName;
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::rules::source_config::{StoredSource, is_rekeyed, is_reshaped};
use crate::ledger::{LedgerError, Policies};

/// Webinars folded again in one piece.
const PIECE: i64 = 200;

/// The reaction to a configuration under which events would get new ids in HubSpot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rekey {
    /// Refuse to open the store: HubSpot would hold those events twice.
    Refuse,
    /// Open the store: the operator has confirmed the change.
    Accept,
}

/// Compares the sources' configuration with the last one and stores it.
pub(super) fn compare_and_store(
    connection: &mut Connection,
    policies: &Policies,
    rekey: Rekey,
) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if rekey == Rekey::Refuse {
        refuse_rekey(&transaction, policies)?;
    }
    let mut is_any_reshaped = false;
    for (name, policy) in policies {
        let now = StoredSource::from_policy(policy);
        is_any_reshaped |= is_reshaped(stored(&transaction, name)?.as_ref(), &now);
        transaction.run(
            "INSERT OR REPLACE INTO sources (name, identity, defaults) VALUES (?1, ?2, ?3)",
            (name, now.identity, now.defaults),
        )?;
    }
    if is_any_reshaped {
        transaction.run("INSERT OR REPLACE INTO revision (id, after) VALUES (0, 0)", ())?;
    }
    transaction.commit()?;
    Ok(())
}

/// Looks whether a store that is there would be opened with these sources, without changing it, even while it is in use.
///
/// # Errors
/// [`OpenError::Rekey`] if events would get new ids in HubSpot; another if the store cannot be read.
pub fn check_sources(path: &Path, policies: &Policies) -> Result<(), OpenError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    refuse_rekey(&connection, policies)
}

fn refuse_rekey(connection: &Connection, policies: &Policies) -> Result<(), OpenError> {
    let holds_webinars = connection.value("SELECT EXISTS (SELECT 1 FROM webinars)", ())?;
    for (name, policy) in policies {
        let (stored, now) = (stored(connection, name)?, StoredSource::from_policy(policy));
        if is_rekeyed(stored.as_ref(), &now, holds_webinars) {
            let was = stored.map(|stored| stored.identity).unwrap_or_default();
            return Err(OpenError::Rekey { source_name: name.clone(), was, is: now.identity });
        }
    }
    Ok(())
}

fn stored(connection: &Connection, name: &SourceName) -> rusqlite::Result<Option<StoredSource>> {
    connection.first("SELECT identity, defaults FROM sources WHERE name = ?1", [name], |row| {
        Ok(StoredSource { identity: row.get(0)?, defaults: row.get(1)? })
    })
}

/// Folds a piece of the webinars again after the defaults changed; returns whether there are more.
pub(super) fn refold_piece(tx: &mut WriteTx<'_>) -> Result<bool, LedgerError> {
    let after: Option<i64> =
        tx.connection.first("SELECT after FROM revision", (), |row| row.get(0))?;
    let Some(after) = after else { return Ok(false) };
    let piece: Vec<i64> = tx.connection.all(
        "SELECT id FROM webinars WHERE id > ?1 ORDER BY id LIMIT ?2",
        (after, PIECE),
        |row| row.get(0),
    )?;
    for id in &piece {
        events::refold(tx, *id, ReconcileScope::NotOver)?;
    }
    match piece.last() {
        Some(last) => tx.connection.run("UPDATE revision SET after = ?1", [last])?,
        None => tx.connection.run("DELETE FROM revision", ())?,
    }
    Ok(!piece.is_empty())
}
