//! Queries of receipts, for the API and for replays.

use rusqlite::{Connection, OptionalExtension, Row};

use super::bodies::{BodyLocation, BodyReader};
use super::list_events::{conversion, is_page_full};
use super::read::{corrupt, unavailable};
use crate::event::{
    AccountName, BodyHash, EventKey, ExternalAccountId, ExternalEventId, Millis, ProviderId,
    ReceiptId, SourceName,
};
use crate::ledger::{
    LedgerError, PAGE_MAX, Page, ReceiptKind, ReceiptOutcome, ReceiptQuery, ReceiptRecord,
    ReceiptSummary,
};

/// The number in `receipts.outcome`; none for a duplicate, which is not stored.
pub(super) fn outcome_code(outcome: ReceiptOutcome) -> Option<u8> {
    match outcome {
        ReceiptOutcome::Accepted => Some(0),
        ReceiptOutcome::Ignored => Some(1),
        ReceiptOutcome::Quarantined => Some(2),
        ReceiptOutcome::Duplicate => None,
    }
}

/// The number in `receipts.kind`.
pub(super) fn kind_code(kind: ReceiptKind) -> u8 {
    match kind {
        ReceiptKind::Webhook => 0,
        ReceiptKind::Fetched => 1,
    }
}

/// The text in `receipts.headers`.
pub(super) fn headers_text(headers: &[(String, String)]) -> Option<String> {
    let text = || serde_json::to_string(headers).expect("texts can be written as JSON");
    (!headers.is_empty()).then(text)
}

pub(super) fn headers(row: &Row<'_>, at: usize) -> rusqlite::Result<Vec<(String, String)>> {
    let text: Option<String> = row.get(at)?;
    let read = |text: String| serde_json::from_str(&text).map_err(|error| conversion(at, error));
    text.map_or_else(|| Ok(Vec::new()), read)
}

/// Columns of a summary, in the order in which [`summary`] reads them.
macro_rules! summary_columns {
    () => {
        "receipts.id, receipts.source, receipts.provider, receipts.event_type, \
         receipts.received_at, receipts.outcome, receipts.reason, receipts.hash, receipts.kind"
    };
}
pub(super) use summary_columns;

pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<ReceiptSummary> {
    let number: u8 = row.get(5)?;
    let outcome = [ReceiptOutcome::Accepted, ReceiptOutcome::Ignored, ReceiptOutcome::Quarantined]
        .get(usize::from(number))
        .copied()
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(5, i64::from(number)))?;
    let number: u8 = row.get(8)?;
    let kind = [ReceiptKind::Webhook, ReceiptKind::Fetched]
        .into_iter()
        .find(|kind| kind_code(*kind) == number)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(8, i64::from(number)))?;
    Ok(ReceiptSummary {
        id: ReceiptId::from_bytes(row.get(0)?),
        kind,
        source: SourceName::parse(row.get::<_, String>(1)?).map_err(|e| conversion(1, e))?,
        provider: ProviderId::from_stored(row.get(2)?),
        event_type: row.get(3)?,
        received_at: Millis::new(row.get(4)?),
        outcome,
        reason: row.get(6)?,
        hash: BodyHash::from_bytes(row.get(7)?),
    })
}

/// A page of receipts, newest first.
pub(super) fn page(
    connection: &Connection,
    query: &ReceiptQuery,
) -> Result<Page<ReceiptSummary>, LedgerError> {
    let wanted = query.outcome.map(outcome_code);
    let sql = match query.outcome {
        Some(ReceiptOutcome::Quarantined) => concat!(
            "SELECT ",
            summary_columns!(),
            ", seq FROM receipts INDEXED BY receipts_quarantined
             WHERE outcome = 2 AND seq < ?1 ORDER BY seq DESC"
        ),
        Some(ReceiptOutcome::Accepted | ReceiptOutcome::Ignored | ReceiptOutcome::Duplicate)
        | None => concat!(
            "SELECT ",
            summary_columns!(),
            ", seq FROM receipts WHERE seq < ?1 ORDER BY seq DESC"
        ),
    };
    let limit = query.limit.clamp(1, PAGE_MAX);
    let mut statement = connection.prepare_cached(sql).map_err(unavailable)?;
    let after = query.after.unwrap_or(i64::MAX);
    let mut rows = statement.query([after]).map_err(unavailable)?;
    let (mut items, mut rows_read, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next().map_err(unavailable)? {
        if is_page_full(items.len(), limit, rows_read) {
            return Ok(Page { items, next: last });
        }
        rows_read += 1;
        last = Some(row.get(9).map_err(unavailable)?);
        let source = row.get_ref(1).map_err(unavailable)?.as_str().map_err(corrupt)?;
        let number: u8 = row.get(5).map_err(unavailable)?;
        let source_matches = query.source.as_ref().is_none_or(|wanted| wanted.as_str() == source);
        if source_matches && wanted.is_none_or(|wanted| wanted == Some(number)) {
            items.push(summary(row).map_err(corrupt)?);
        }
    }
    Ok(Page { items, next: None })
}

/// A receipt with its body and the events it built.
pub(super) fn receipt(
    connection: &Connection,
    id: ReceiptId,
) -> Result<Option<ReceiptRecord>, LedgerError> {
    let found = connection
        .prepare_cached(concat!(
            "SELECT ",
            summary_columns!(),
            ", body_id, body_offset, body_length, seq, headers FROM receipts WHERE id = ?1"
        ))
        .and_then(|mut statement| {
            statement
                .query_row([id.as_bytes().as_slice()], |row| {
                    Ok((
                        summary(row)?,
                        headers(row, 13)?,
                        body_location(row, 9)?,
                        row.get::<_, i64>(12)?,
                    ))
                })
                .optional()
        })
        .map_err(unavailable)?;
    let Some((summary, headers, location, seq)) = found else { return Ok(None) };
    let mut bodies = BodyReader::default();
    let body = match location {
        Some(location) => bodies.read(connection, location)?.map(<[u8]>::to_vec),
        None => None,
    };
    Ok(Some(ReceiptRecord { summary, headers, body, events: events_built_by(connection, seq)? }))
}

pub(super) fn body_location(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<BodyLocation>> {
    let Some(id) = row.get::<_, Option<i64>>(at)? else { return Ok(None) };
    Ok(Some(BodyLocation { id, offset: row.get(at + 1)?, length: row.get(at + 2)? }))
}

/// The keys of the events of the webinars that the receipt built.
fn events_built_by(connection: &Connection, receipt: i64) -> Result<Vec<EventKey>, LedgerError> {
    let limit = i64::try_from(PAGE_MAX).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT hubspot, external_account_id, external_event_id
             FROM webinar_receipts AS link JOIN events ON events.webinar = link.webinar
             WHERE link.receipt = ?1 ORDER BY 1, 2, 3 LIMIT ?2",
        )
        .and_then(|mut statement| {
            let keys = statement.query_map((receipt, limit), |row| {
                Ok(EventKey {
                    hubspot: AccountName::parse(row.get::<_, String>(0)?)
                        .map_err(|e| conversion(0, e))?,
                    external_account_id: ExternalAccountId::parse(row.get::<_, String>(1)?)
                        .map_err(|e| conversion(1, e))?,
                    external_event_id: ExternalEventId::from_stored(row.get(2)?),
                })
            })?;
            keys.collect()
        })
        .map_err(unavailable)
}
