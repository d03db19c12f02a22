//! Queries of webinars and their receipts, for replays.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::bodies::BodyReader;
use super::event_rows;
use super::receipts::ReceiptColumns;
use super::statements::Statements as _;
use super::transaction::ReadTx;
use super::webinars::{self, FoundWebinar};
use crate::event::webinar::ReceiptOrder;
use crate::event::{ReceiptId, Webinar};
use crate::ledger::{LedgerError, Page, ReceiptRecord, WebinarKey, WebinarState};

/// The most bytes of bodies in one page of receipts, unless the first body is larger.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Unpacked bytes after which a page ends. A body shares its segment with others of the same commit, so small bodies can
/// be costly. Unpacking them takes some tens of milliseconds, which block the API's connection.
const MAX_UNPACKED_BYTES: usize = 64 * 1024 * 1024;

/// Reads the webinars that a receipt built.
pub(super) fn webinars_of(
    tx: &ReadTx<'_>,
    receipt: ReceiptId,
) -> Result<Vec<WebinarState>, LedgerError> {
    let keys = keys_of(tx.connection, receipt)?;
    keys.into_iter().map(|key| Ok(read(tx.connection, key)?.1)).collect()
}

/// Reads the keys of the webinars that a receipt built.
pub(super) fn keys_of(
    connection: &Connection,
    receipt: ReceiptId,
) -> rusqlite::Result<Vec<WebinarKey>> {
    connection.all(
        "SELECT hubspot, account, webinars.webinar AS webinar
         FROM receipts JOIN webinar_receipts AS link ON link.receipt = receipts.seq
             JOIN webinars ON webinars.id = link.webinar
         WHERE receipts.id = ?1",
        [receipt],
        webinars::webinar_key,
    )
}

/// Reads a webinar and its row id, which is none if there is no such webinar.
pub(super) fn read(
    connection: &Connection,
    key: WebinarKey,
) -> Result<(Option<i64>, WebinarState), LedgerError> {
    let Some(found) = webinars::find(connection, &key)? else {
        return Ok((None, WebinarState::new(key, Webinar::default(), false, &[], BTreeMap::new())));
    };
    let FoundWebinar { id, webinar, has_expired_receipts } = found;
    let receipts: Vec<ReceiptId> = connection.all(
        "SELECT receipts.id FROM webinar_receipts AS link
             JOIN receipts ON receipts.seq = link.receipt
         WHERE link.webinar = ?1 ORDER BY link.receipt",
        [id],
        |row| row.get(0),
    )?;
    let orders = recorded_orders(connection, id)?;
    let frozen = event_rows::frozen_occurrences(connection, id, &key.webinar)?;
    let state = WebinarState::new(key, webinar, has_expired_receipts, &receipts, orders);
    Ok((Some(id), WebinarState { frozen, ..state }))
}

/// Reads the places of the webinar's receipts that do not follow from the receipts themselves.
fn recorded_orders(
    connection: &Connection,
    webinar: i64,
) -> rusqlite::Result<BTreeMap<ReceiptId, ReceiptOrder>> {
    let orders = connection.all(
        "SELECT receipts.id AS id, coalesce(link.order_seq, link.receipt) AS seq,
             coalesce(link.order_at, receipts.received_at) AS at
         FROM webinar_receipts AS link JOIN receipts ON receipts.seq = link.receipt
         WHERE link.webinar = ?1 AND (link.order_seq IS NOT NULL OR link.order_at IS NOT NULL)",
        [webinar],
        |row| {
            let seq = webinars::sequence_number(row.get("seq")?);
            Ok((row.get("id")?, ReceiptOrder { seq, at: row.get("at")? }))
        },
    )?;
    Ok(orders.into_iter().collect())
}

/// Reads a page of the retained receipts that built a webinar, oldest first.
pub(super) fn receipts_of(
    tx: &ReadTx<'_>,
    key: &WebinarKey,
    after: Option<i64>,
) -> Result<Page<ReceiptRecord>, LedgerError> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT receipts.*
         FROM webinar_receipts AS link JOIN receipts ON receipts.seq = link.receipt
         WHERE link.receipt > ?4 AND link.webinar =
             (SELECT id FROM webinars WHERE hubspot = ?1 AND account = ?2 AND webinar = ?3)
         ORDER BY link.receipt",
    )?;
    let mut rows =
        statement.query((&key.hubspot, &key.account, &key.webinar, after.unwrap_or(0)))?;
    let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
    let mut bodies = BodyReader::default();
    while let Some(row) = rows.next()? {
        let stored = ReceiptColumns::read(row)?;
        let length = stored.body.map_or(0, |body| usize::try_from(body.length).unwrap_or(0));
        if last.is_some()
            && (bytes + length > MAX_BODY_BYTES || bodies.bytes() > MAX_UNPACKED_BYTES)
        {
            return Ok(Page { items, next: last });
        }
        bytes += length;
        last = Some(stored.seq);
        items.push(stored.with_body(tx.connection, &mut bodies)?);
    }
    Ok(Page { items, next: None })
}
