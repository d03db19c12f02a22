//! The webinars' rows.

use rusqlite::{Connection, OptionalExtension};

use super::transaction::WriteTx;
use super::tx_error::TxError;
use crate::event::{Millis, Webinar};
use crate::ledger::WebinarKey;

/// A webinar's key in SQL: HubSpot account, platform's account, platform's id.
pub(super) type SqlKey<'a> = (&'a str, &'a str, &'a str);

/// Converts the ledger's key.
pub(super) fn sql_key(key: &WebinarKey) -> SqlKey<'_> {
    let WebinarKey { hubspot, account, webinar } = key;
    (hubspot.as_str(), account.as_str(), webinar.as_str())
}

/// A stored webinar.
pub(super) struct FoundWebinar {
    pub(super) id: i64,
    pub(super) webinar: Webinar,
    /// Whether receipts that built it are deleted.
    pub(super) base: bool,
}

/// Parses a webinar's stored state.
pub(super) fn read_state(id: i64, state: &[u8]) -> Result<Webinar, TxError> {
    serde_json::from_slice(state).map_err(|error| TxError::corrupt(format!("webinar {id}"), error))
}

/// Finds the webinar with that key.
pub(super) fn find(
    connection: &Connection,
    key: SqlKey<'_>,
) -> Result<Option<FoundWebinar>, TxError> {
    let found: Option<(i64, Vec<u8>, bool)> = connection
        .prepare_cached(
            "SELECT id, state, base FROM webinars
             WHERE hubspot = ?1 AND account = ?2 AND webinar = ?3",
        )?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((id, state, base)) = found else { return Ok(None) };
    Ok(Some(FoundWebinar { id, webinar: read_state(id, &state)?, base }))
}

/// Stores a webinar's state; returns its row id.
pub(super) fn store(
    tx: &WriteTx<'_>,
    id: Option<i64>,
    key: SqlKey<'_>,
    webinar: &Webinar,
    at: Millis,
) -> Result<i64, TxError> {
    let state = serde_json::to_vec(webinar).map_err(|error| TxError::corrupt("webinar", error))?;
    if let Some(id) = id {
        tx.connection
            .prepare_cached("UPDATE webinars SET state = ?2 WHERE id = ?1")?
            .execute((id, state))?;
        return Ok(id);
    }
    tx.connection
        .prepare_cached(
            "INSERT INTO webinars (hubspot, account, webinar, state, last_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((key.0, key.1, key.2, state, at.get()))?;
    Ok(tx.connection.last_insert_rowid())
}

/// Records that a receipt built a webinar.
pub(super) fn link(tx: &WriteTx<'_>, webinar: i64, receipt: i64) -> Result<(), TxError> {
    tx.connection
        .prepare_cached(
            "INSERT OR IGNORE INTO webinar_receipts (webinar, receipt) VALUES (?1, ?2)",
        )?
        .execute((webinar, receipt))?;
    Ok(())
}

/// Records that a receipt no longer builds a webinar.
pub(super) fn unlink(tx: &WriteTx<'_>, webinar: i64, receipt: i64) -> Result<(), TxError> {
    tx.connection
        .prepare_cached("DELETE FROM webinar_receipts WHERE webinar = ?1 AND receipt = ?2")?
        .execute((webinar, receipt))?;
    Ok(())
}
