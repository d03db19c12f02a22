//! Queries of webinars and their receipts, for replays.

use rusqlite::{Connection, OptionalExtension};

use super::bodies::BodyReader;
use super::list_events::conversion;
use super::receipts::{body_location, headers, summary, summary_columns};
use super::tx_error::TxError;
use super::webinars;
use crate::event::{AccountName, ExternalAccountId, ReceiptId, Webinar, WebinarId};
use crate::ledger::{ContributingReceipt, Page, WebinarKey, WebinarState};

/// The most bytes of bodies in one page of receipts, unless the first body is larger.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Unpacked bytes after which a page ends. A body shares its segment with others of the same commit, so small bodies can
/// be costly. Unpacking them takes some tens of milliseconds, which block the API's connection.
const MAX_UNPACKED_BYTES: usize = 64 * 1024 * 1024;

/// Reads the webinars that a receipt built.
pub(super) fn webinars_of(
    connection: &Connection,
    receipt: ReceiptId,
) -> Result<Vec<WebinarState>, TxError> {
    let connection = &*connection.unchecked_transaction()?;
    let keys = keys_of(connection, receipt)?;
    keys.into_iter().map(|key| Ok(read(connection, key)?.1)).collect()
}

/// Reads the keys of the webinars that a receipt built.
pub(super) fn keys_of(
    connection: &Connection,
    receipt: ReceiptId,
) -> Result<Vec<WebinarKey>, TxError> {
    let keys = connection
        .prepare_cached(
            "SELECT hubspot, account, webinars.webinar
             FROM receipts JOIN webinar_receipts AS link ON link.receipt = receipts.seq
                 JOIN webinars ON webinars.id = link.webinar
             WHERE receipts.id = ?1",
        )?
        .query_map([receipt.as_bytes().as_slice()], |row| {
            Ok(WebinarKey {
                hubspot: AccountName::parse(row.get::<_, String>(0)?)
                    .map_err(|e| conversion(0, e))?,
                account: ExternalAccountId::parse(row.get::<_, String>(1)?)
                    .map_err(|e| conversion(1, e))?,
                webinar: WebinarId::parse(row.get::<_, String>(2)?)
                    .map_err(|e| conversion(2, e))?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(keys)
}

/// Reads a webinar.
pub(super) fn webinar_state(
    connection: &Connection,
    key: &WebinarKey,
) -> Result<WebinarState, TxError> {
    let connection = &*connection.unchecked_transaction()?;
    Ok(read(connection, key.clone())?.1)
}

/// Reads a webinar and its row id, which is none if there is no such webinar. Runs in the caller's transaction.
pub(super) fn read(
    connection: &Connection,
    key: WebinarKey,
) -> Result<(Option<i64>, WebinarState), TxError> {
    let found = webinars::find(connection, webinars::sql_key(&key))?;
    let Some(webinars::FoundWebinar { id, webinar, base }) = found else {
        return Ok((None, WebinarState::new(key, Webinar::default(), false, &[])));
    };
    let receipts: Vec<ReceiptId> = connection
        .prepare_cached(
            "SELECT receipts.id FROM webinar_receipts AS link
                 JOIN receipts ON receipts.seq = link.receipt
             WHERE link.webinar = ?1 ORDER BY link.receipt",
        )?
        .query_map([id], |row| Ok(ReceiptId::from_bytes(row.get(0)?)))?
        .collect::<Result<_, _>>()?;
    Ok((Some(id), WebinarState::new(key, webinar, base, &receipts)))
}

/// Reads a page of the retained receipts that built a webinar, oldest first.
pub(super) fn receipts_of(
    connection: &Connection,
    key: &WebinarKey,
    after: Option<i64>,
) -> Result<Page<ContributingReceipt>, TxError> {
    let id: Option<i64> = connection
        .prepare_cached(
            "SELECT id FROM webinars WHERE hubspot = ?1 AND account = ?2 AND webinar = ?3",
        )?
        .query_row(webinars::sql_key(key), |row| row.get(0))
        .optional()?;
    let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
    let Some(id) = id else { return Ok(Page { items, next: None }) };
    // The open statement reads one snapshot.
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        summary_columns!(),
        ", body_id, body_offset, body_length, link.receipt, headers
         FROM webinar_receipts AS link JOIN receipts ON receipts.seq = link.receipt
         WHERE link.webinar = ?1 AND link.receipt > ?2 ORDER BY link.receipt"
    ))?;
    let mut rows = statement.query((id, after.unwrap_or(0)))?;
    let mut bodies = BodyReader::default();
    while let Some(row) = rows.next()? {
        let location = body_location(row, 9)?;
        let length = location.map_or(0, |body| usize::try_from(body.length).unwrap_or(0));
        if last.is_some()
            && (bytes + length > MAX_BODY_BYTES || bodies.bytes() > MAX_UNPACKED_BYTES)
        {
            return Ok(Page { items, next: last });
        }
        bytes += length;
        let body = match location {
            Some(location) => bodies.read(connection, location)?.map(<[u8]>::to_vec),
            None => None,
        };
        last = Some(row.get(12)?);
        items.push(ContributingReceipt {
            receipt: summary(row)?,
            headers: headers(row, 13)?,
            body,
        });
    }
    Ok(Page { items, next: None })
}
