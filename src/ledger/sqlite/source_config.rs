//! What the configuration said of the sources when the store was last opened, and what follows if it says otherwise now.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::events;
use super::job::{TxError, WriteTx};
use super::open::OpenError;
use crate::ledger::Policies;

/// Webinars gone through in one piece.
const PIECE: i64 = 200;

/// What to do if events would get new ids in HubSpot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rekey {
    /// Refuse to open the store: HubSpot would hold those events twice.
    Refuse,
    /// Go on: somebody has said that this is meant.
    Accept,
}

/// Compares the sources' configuration with the last one and remembers it.
pub(super) fn compare_and_store(
    connection: &mut Connection,
    policies: &Policies,
    rekey: Rekey,
) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if rekey == Rekey::Refuse {
        refuse_rekey(&transaction, policies)?;
    }
    let mut changed = false;
    for (name, policy) in policies {
        let (identity, defaults) = (policy.identity_fingerprint(), policy.defaults_fingerprint());
        let known: Option<(String, String)> = transaction
            .query_row(
                "SELECT identity, defaults FROM sources WHERE name = ?1",
                [name.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        changed |= known.is_some_and(|(was, shaped)| was != identity || shaped != defaults);
        transaction.execute(
            "INSERT OR REPLACE INTO sources (name, identity, defaults) VALUES (?1, ?2, ?3)",
            (name.as_str(), identity, defaults),
        )?;
    }
    if changed {
        transaction.execute("INSERT OR REPLACE INTO revision (id, after) VALUES (0, 0)", ())?;
    }
    transaction.commit()?;
    Ok(())
}

/// Looks whether a store that is there would be opened with these sources, without changing it, even while it is in use.
///
/// # Errors
/// [`OpenError::Rekey`] if events would get new ids in HubSpot; another if it cannot be looked at.
pub fn check_sources(path: &Path, policies: &Policies) -> Result<(), OpenError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    refuse_rekey(&connection, policies)
}

fn refuse_rekey(connection: &Connection, policies: &Policies) -> Result<(), OpenError> {
    for (name, policy) in policies {
        let is = policy.identity_fingerprint();
        let was: Option<String> = connection
            .query_row("SELECT identity FROM sources WHERE name = ?1", [name.as_str()], |row| {
                row.get(0)
            })
            .optional()?;
        if let Some(was) = was.filter(|was| *was != is)
            && holds_webinars(connection)?
        {
            return Err(OpenError::Rekey { source_name: name.clone(), was, is });
        }
    }
    Ok(())
}

fn holds_webinars(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM webinars)", (), |row| row.get(0))
}

/// Folds a piece of the webinars again after the defaults changed; says whether there are more.
pub(super) fn refold_piece(desk: &mut WriteTx<'_>) -> Result<bool, TxError> {
    let after: Option<i64> = desk
        .connection
        .prepare_cached("SELECT after FROM revision")?
        .query_row((), |row| row.get(0))
        .optional()?;
    let Some(after) = after else { return Ok(false) };
    let piece: Vec<i64> = desk
        .connection
        .prepare_cached("SELECT id FROM webinars WHERE id > ?1 ORDER BY id LIMIT ?2")?
        .query_map((after, PIECE), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &piece {
        events::refold(desk, *id, events::RefoldScope::NotOver)?;
    }
    if let Some(last) = piece.last() {
        desk.connection.prepare_cached("UPDATE revision SET after = ?1")?.execute([last])?;
    } else {
        desk.connection.prepare_cached("DELETE FROM revision")?.execute(())?;
    }
    Ok(!piece.is_empty())
}
