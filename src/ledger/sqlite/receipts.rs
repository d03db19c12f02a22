//! Receipts as operators and replaying see them.

use rusqlite::{Connection, OptionalExtension, Row};

use super::bodies::{Place, Unpacked};
use super::look::{conversion, end_of_page};
use super::read::{corrupt, unavailable};
use crate::event::{
    AccountName, BodyHash, EventKey, ExternalAccountId, ExternalEventId, Millis, ProviderId,
    ReceiptId, SourceName, WebinarId,
};
use crate::ledger::{
    Acceptance, Dossier, LedgerError, PAGE_MAX, Page, ReceiptRecord, ReceiptSummary, ReceiptsAsk,
    WebinarKey,
};

/// Bytes of bodies that are handed out in one piece, unless a single one has more.
const BODIES_BYTES: usize = 8 * 1024 * 1024;

/// The number in `receipts.outcome`; none for a duplicate, which is not kept.
pub(super) fn outcome_code(outcome: Acceptance) -> Option<u8> {
    match outcome {
        Acceptance::Accepted => Some(0),
        Acceptance::Ignored => Some(1),
        Acceptance::Quarantined => Some(2),
        Acceptance::Duplicate => None,
    }
}

/// Columns of a summary, in the order in which [`summary`] reads them.
macro_rules! summary_columns {
    () => {
        "receipts.id, receipts.source, receipts.provider, receipts.event_type, \
         receipts.received_at, receipts.outcome, receipts.reason, receipts.hash"
    };
}

fn summary(row: &Row<'_>) -> rusqlite::Result<ReceiptSummary> {
    let number: u8 = row.get(5)?;
    let outcome = [Acceptance::Accepted, Acceptance::Ignored, Acceptance::Quarantined]
        .get(usize::from(number))
        .copied()
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(5, i64::from(number)))?;
    Ok(ReceiptSummary {
        id: ReceiptId::from_bytes(row.get(0)?),
        source: SourceName::parse(row.get::<_, String>(1)?).map_err(|e| conversion(1, e))?,
        provider: ProviderId::stored(row.get(2)?),
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
    ask: &ReceiptsAsk,
) -> Result<Page<ReceiptSummary>, LedgerError> {
    let wanted = ask.outcome.map(outcome_code);
    let sql = match ask.outcome {
        Some(Acceptance::Quarantined) => concat!(
            "SELECT ",
            summary_columns!(),
            ", seq FROM receipts INDEXED BY receipts_quarantined
             WHERE outcome = 2 AND seq < ?1 ORDER BY seq DESC"
        ),
        Some(Acceptance::Accepted | Acceptance::Ignored | Acceptance::Duplicate) | None => concat!(
            "SELECT ",
            summary_columns!(),
            ", seq FROM receipts WHERE seq < ?1 ORDER BY seq DESC"
        ),
    };
    let most = ask.most.clamp(1, PAGE_MAX);
    let mut statement = connection.prepare_cached(sql).map_err(unavailable)?;
    let after = ask.after.unwrap_or(i64::MAX);
    let mut rows = statement.query([after]).map_err(unavailable)?;
    let (mut items, mut looked, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next().map_err(unavailable)? {
        if end_of_page(items.len(), most, looked) {
            return Ok(Page { items, next: last });
        }
        looked += 1;
        last = Some(row.get(8).map_err(unavailable)?);
        let source = row.get_ref(1).map_err(unavailable)?.as_str().map_err(corrupt)?;
        let number: u8 = row.get(5).map_err(unavailable)?;
        let of_source = ask.source.as_ref().is_none_or(|wanted| wanted.as_str() == source);
        if of_source && wanted.is_none_or(|wanted| wanted == Some(number)) {
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
            ", body_id, body_offset, body_length, seq FROM receipts WHERE id = ?1"
        ))
        .and_then(|mut statement| {
            statement
                .query_row([id.as_bytes().as_slice()], |row| {
                    Ok((summary(row)?, place(row, 8)?, row.get::<_, i64>(11)?))
                })
                .optional()
        })
        .map_err(unavailable)?;
    let Some((summary, place, seq)) = found else { return Ok(None) };
    let mut unpacked = Unpacked::default();
    let body = match place {
        Some(place) => unpacked.read(connection, place)?.map(<[u8]>::to_vec),
        None => None,
    };
    Ok(Some(ReceiptRecord { summary, body, events: events_of(connection, seq)? }))
}

fn place(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Place>> {
    let Some(id) = row.get::<_, Option<i64>>(at)? else { return Ok(None) };
    Ok(Some(Place { id, offset: row.get(at + 1)?, length: row.get(at + 2)? }))
}

/// The events of the webinars that the receipt built, by key.
fn events_of(connection: &Connection, receipt: i64) -> Result<Vec<EventKey>, LedgerError> {
    let most = i64::try_from(PAGE_MAX).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT hubspot, external_account_id, external_event_id
             FROM webinar_receipts AS link JOIN events ON events.webinar = link.webinar
             WHERE link.receipt = ?1 ORDER BY 1, 2, 3 LIMIT ?2",
        )
        .and_then(|mut statement| {
            let keys = statement.query_map((receipt, most), |row| {
                Ok(EventKey {
                    hubspot: AccountName::parse(row.get::<_, String>(0)?)
                        .map_err(|e| conversion(0, e))?,
                    external_account_id: ExternalAccountId::parse(row.get::<_, String>(1)?)
                        .map_err(|e| conversion(1, e))?,
                    external_event_id: ExternalEventId::stored(row.get(2)?),
                })
            })?;
            keys.collect()
        })
        .map_err(unavailable)
}

/// The bodies of the first of these receipts, as many as [`BODIES_BYTES`] hold and at least one.
pub(super) fn bodies(
    connection: &Connection,
    receipts: &[ReceiptId],
) -> Result<Vec<Option<Vec<u8>>>, LedgerError> {
    let mut statement = connection
        .prepare_cached("SELECT body_id, body_offset, body_length FROM receipts WHERE id = ?1")
        .map_err(unavailable)?;
    let mut unpacked = Unpacked::default();
    let (mut bodies, mut bytes) = (Vec::new(), 0);
    for id in receipts {
        let place = statement
            .query_row([id.as_bytes().as_slice()], |row| place(row, 0))
            .optional()
            .map_err(unavailable)?
            .flatten();
        let body = match place {
            Some(place) => unpacked.read(connection, place)?,
            None => None,
        };
        bytes += body.map_or(0, <[u8]>::len);
        if bytes > BODIES_BYTES && !bodies.is_empty() {
            break;
        }
        bodies.push(body.map(<[u8]>::to_vec));
    }
    Ok(bodies)
}

/// The webinars that a receipt built, each with its receipts.
pub(super) fn dossiers_of(
    connection: &Connection,
    receipt: ReceiptId,
) -> Result<Vec<Dossier>, LedgerError> {
    let webinars: Vec<(i64, WebinarKey)> = connection
        .prepare_cached(
            "SELECT webinars.id, hubspot, account, webinars.webinar
             FROM receipts JOIN webinar_receipts AS link ON link.receipt = receipts.seq
                 JOIN webinars ON webinars.id = link.webinar
             WHERE receipts.id = ?1 ORDER BY webinars.id",
        )
        .and_then(|mut statement| {
            let keys = statement.query_map([receipt.as_bytes().as_slice()], |row| {
                let key = WebinarKey {
                    hubspot: AccountName::parse(row.get::<_, String>(1)?)
                        .map_err(|e| conversion(1, e))?,
                    account: ExternalAccountId::parse(row.get::<_, String>(2)?)
                        .map_err(|e| conversion(2, e))?,
                    webinar: WebinarId::parse(row.get::<_, String>(3)?)
                        .map_err(|e| conversion(3, e))?,
                };
                Ok((row.get(0)?, key))
            })?;
            keys.collect()
        })
        .map_err(unavailable)?;
    let dossier = |(id, key)| Ok(Dossier { key, receipts: receipts_of(connection, id)? });
    webinars.into_iter().map(dossier).collect()
}

/// One webinar with its receipts.
pub(super) fn dossier(connection: &Connection, key: &WebinarKey) -> Result<Dossier, LedgerError> {
    let WebinarKey { hubspot, account, webinar } = key;
    let id = connection
        .prepare_cached(
            "SELECT id FROM webinars WHERE hubspot = ?1 AND account = ?2 AND webinar = ?3",
        )
        .and_then(|mut statement| {
            statement
                .query_row((hubspot.as_str(), account.as_str(), webinar.as_str()), |row| row.get(0))
                .optional()
        })
        .map_err(unavailable)?;
    let receipts = id.map_or(Ok(Vec::new()), |id| receipts_of(connection, id))?;
    Ok(Dossier { key: key.clone(), receipts })
}

/// The retained receipts that built a webinar, oldest first.
fn receipts_of(connection: &Connection, webinar: i64) -> Result<Vec<ReceiptSummary>, LedgerError> {
    connection
        .prepare_cached(concat!(
            "SELECT ",
            summary_columns!(),
            " FROM webinar_receipts AS link JOIN receipts ON receipts.seq = link.receipt
             WHERE link.webinar = ?1 ORDER BY link.receipt"
        ))
        .and_then(|mut statement| statement.query_map([webinar], summary)?.collect())
        .map_err(unavailable)
}
