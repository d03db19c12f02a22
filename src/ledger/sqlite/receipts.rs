//! Queries of receipts, for the API and for replays.

use rusqlite::{Connection, Row};

use super::bodies::{BodyLocation, BodyReader};
use super::event_rows::event_key;
use super::statements::{MAX_ROWS_READ, Statements as _, read_page, sql_count};
use super::transaction::ReadTx;
use super::values::Json;
use super::webinars::sequence_number;
use crate::event::ReceiptId;
use crate::ledger::{
    LedgerError, PAGE_MAX, Page, ReceiptDetail, ReceiptOutcome, ReceiptQuery, ReceiptRecord,
    ReceiptSummary,
};

fn summary(row: &Row<'_>) -> rusqlite::Result<ReceiptSummary> {
    Ok(ReceiptSummary {
        id: row.get("id")?,
        kind: row.get("kind")?,
        source: row.get("source")?,
        provider: row.get("provider")?,
        event_type: row.get("event_type")?,
        received_at: row.get("received_at")?,
        outcome: row.get("outcome")?,
        reason: row.get("reason")?,
        hash: row.get("hash")?,
    })
}

/// A receipt as its row holds it.
pub(super) struct ReceiptColumns {
    pub(super) seq: i64,
    summary: ReceiptSummary,
    headers: Vec<(String, String)>,
    pub(super) body: Option<BodyLocation>,
}

impl ReceiptColumns {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let headers: Option<Json<_>> = row.get("headers")?;
        let body = match row.get("body_id")? {
            Some(id) => {
                let (offset, length) = (row.get("body_offset")?, row.get("body_length")?);
                Some(BodyLocation { id, offset, length })
            }
            None => None,
        };
        let headers = headers.map(|Json(headers)| headers).unwrap_or_default();
        Ok(Self { seq: row.get("seq")?, summary: summary(row)?, headers, body })
    }

    /// Reads the receipt's body.
    pub(super) fn with_body(
        self,
        connection: &Connection,
        bodies: &mut BodyReader,
    ) -> Result<ReceiptRecord, LedgerError> {
        let body = match self.body {
            Some(location) => bodies.read(connection, location)?.map(<[u8]>::to_vec),
            None => None,
        };
        let seq = sequence_number(self.seq);
        Ok(ReceiptRecord { seq, summary: self.summary, headers: self.headers, body })
    }
}

/// A page of receipts, newest first.
pub(super) fn page(
    tx: &ReadTx<'_>,
    query: &ReceiptQuery,
) -> Result<Page<ReceiptSummary>, LedgerError> {
    let sql = if query.outcome == Some(ReceiptOutcome::Quarantined) {
        "SELECT * FROM receipts INDEXED BY receipts_quarantined
         WHERE outcome = 2 AND seq < ?1 ORDER BY seq DESC"
    } else {
        "SELECT * FROM receipts WHERE seq < ?1 ORDER BY seq DESC"
    };
    let mut statement = tx.connection.prepare_cached(sql)?;
    let rows = statement.query([query.after.unwrap_or(i64::MAX)])?;
    read_page(rows, query.limit.clamp(1, PAGE_MAX), MAX_ROWS_READ, |row| {
        let source = row.get_ref("source")?.as_str().map_err(rusqlite::Error::from)?;
        let outcome = row.get("outcome")?;
        let is_wanted = query.source.as_ref().is_none_or(|wanted| wanted.as_str() == source)
            && query.outcome.is_none_or(|wanted| wanted == outcome);
        Ok(is_wanted.then(|| summary(row)).transpose()?)
    })
}

/// A receipt with its body and the events it built.
pub(super) fn receipt(
    tx: &ReadTx<'_>,
    id: ReceiptId,
) -> Result<Option<ReceiptDetail>, LedgerError> {
    let found =
        tx.connection.first("SELECT * FROM receipts WHERE id = ?1", [id], ReceiptColumns::read)?;
    let Some(stored) = found else { return Ok(None) };
    let events = tx.connection.all(
        "SELECT hubspot, external_account_id, external_event_id
         FROM webinar_receipts AS link JOIN events ON events.webinar = link.webinar
         WHERE link.receipt = ?1 ORDER BY 1, 2, 3 LIMIT ?2",
        (stored.seq, sql_count(PAGE_MAX)),
        event_key,
    )?;
    let record = stored.with_body(tx.connection, &mut BodyReader::default())?;
    Ok(Some(ReceiptDetail { record, events }))
}
