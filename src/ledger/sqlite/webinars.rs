//! The webinars' rows.

use rusqlite::{Connection, Row};

use super::statements::Statements as _;
use crate::event::webinar::ReceiptOrder;
use crate::event::{BodyHash, Millis, Webinar};
use crate::ledger::{LedgerError, WebinarKey};

/// A stored webinar.
pub(super) struct FoundWebinar {
    pub(super) id: i64,
    pub(super) webinar: Webinar,
    pub(super) has_expired_receipts: bool,
}

/// Reads a webinar's key.
pub(super) fn webinar_key(row: &Row<'_>) -> rusqlite::Result<WebinarKey> {
    Ok(WebinarKey {
        hubspot: row.get("hubspot")?,
        account: row.get("account")?,
        webinar: row.get("webinar")?,
    })
}

/// Parses a webinar's stored state.
pub(super) fn parse_state(id: i64, state: &[u8]) -> Result<Webinar, LedgerError> {
    serde_json::from_slice(state)
        .map_err(|error| LedgerError::corrupt(format_args!("webinar {id}"), error))
}

/// Finds the webinar with that key.
pub(super) fn find(
    connection: &Connection,
    key: &WebinarKey,
) -> Result<Option<FoundWebinar>, LedgerError> {
    let found: Option<(i64, Vec<u8>, bool)> = connection.first(
        "SELECT id, state, base FROM webinars
         WHERE hubspot = ?1 AND account = ?2 AND webinar = ?3",
        (&key.hubspot, &key.account, &key.webinar),
        |row| row.try_into(),
    )?;
    let Some((id, state, has_expired_receipts)) = found else { return Ok(None) };
    Ok(Some(FoundWebinar { id, webinar: parse_state(id, &state)?, has_expired_receipts }))
}

/// Stores a webinar's state; returns its row id.
pub(super) fn store(
    connection: &Connection,
    id: Option<i64>,
    key: &WebinarKey,
    webinar: &Webinar,
    at: Millis,
) -> Result<i64, LedgerError> {
    let state =
        serde_json::to_vec(webinar).map_err(|error| LedgerError::corrupt("webinar", error))?;
    if let Some(id) = id {
        connection.run("UPDATE webinars SET state = ?2 WHERE id = ?1", (id, state))?;
        return Ok(id);
    }
    connection.run(
        "INSERT INTO webinars (hubspot, account, webinar, state, last_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (&key.hubspot, &key.account, &key.webinar, state, at),
    )?;
    Ok(connection.last_insert_rowid())
}

/// A receipt's row id as a sequence number.
pub(super) fn sequence_number(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}

/// The sequence number of the first retained receipt of the webinar with that body.
pub(super) fn first_of_body(
    connection: &Connection,
    webinar: i64,
    body: BodyHash,
) -> rusqlite::Result<Option<u64>> {
    let first: Option<i64> = connection.value(
        "SELECT min(coalesce(link.order_seq, link.receipt)) FROM webinar_receipts AS link
             JOIN receipts ON receipts.seq = link.receipt
         WHERE link.webinar = ?1 AND receipts.hash = ?2",
        (webinar, body),
    )?;
    Ok(first.map(sequence_number))
}

/// Records that a receipt builds a webinar, and its place where that does not follow from the receipt itself.
pub(super) fn link_new(
    connection: &Connection,
    webinar: i64,
    receipt: i64,
    received_at: Millis,
    order: ReceiptOrder,
) -> rusqlite::Result<()> {
    let seq = (order.seq != sequence_number(receipt)).then_some(order.seq);
    let seq = seq.map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
    let at = (order.at != received_at).then_some(order.at);
    connection.run(
        "INSERT OR IGNORE INTO webinar_receipts (webinar, receipt, order_seq, order_at)
         VALUES (?1, ?2, ?3, ?4)",
        (webinar, receipt, seq, at),
    )
}

/// Records whether a replayed receipt builds a webinar.
pub(super) fn link(
    connection: &Connection,
    webinar: i64,
    receipt: i64,
    builds: bool,
) -> rusqlite::Result<()> {
    let sql = if builds {
        "INSERT OR IGNORE INTO webinar_receipts (webinar, receipt) VALUES (?1, ?2)"
    } else {
        "DELETE FROM webinar_receipts WHERE webinar = ?1 AND receipt = ?2"
    };
    connection.run(sql, (webinar, receipt))
}
