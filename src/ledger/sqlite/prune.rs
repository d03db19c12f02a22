//! Pruning: deletes old data, a bounded piece at a time so that no request waits long behind it.

use super::live_state::StoredState;
use super::transaction::WriteTx;
use super::tx_error::TxError;
use crate::event::AccountName;
use crate::ledger::Retention;

/// The most receipts read in one piece.
const RECEIPTS: i64 = 1_000;
/// The most webinars deleted in one piece.
const WEBINARS: i64 = 200;
/// The most given up fetches deleted in one piece, for each source.
const FETCHES: i64 = 1_000;

/// Deletes one piece; returns whether there may be more.
pub(super) fn prune(tx: &mut WriteTx<'_>, keep: Retention) -> Result<bool, TxError> {
    let receipts_before = tx.now.minus(keep.receipts).get();
    let receipts = prune_receipts(tx, receipts_before)?;
    let webinars = prune_webinars(tx, tx.now.minus(keep.events).get())?;
    let fetches = prune_given_up(tx, receipts_before)?;
    Ok(receipts || webinars || fetches)
}

fn prune_receipts(tx: &WriteTx<'_>, before: i64) -> Result<bool, TxError> {
    // Receipts are stored in the order of their time, so the oldest come first and need no index by time.
    let old: Option<i64> = tx
        .connection
        .prepare_cached(
            "SELECT max(seq) FROM (SELECT seq, received_at FROM receipts ORDER BY seq LIMIT ?1)
             WHERE received_at < ?2",
        )?
        .query_row((RECEIPTS, before), |row| row.get(0))?;
    let Some(old) = old else { return Ok(false) };
    // The webinars keep the values of these receipts, which no replay can map again.
    tx.connection
        .prepare_cached(
            "UPDATE webinars SET base = 1 WHERE base = 0 AND id IN (
                 SELECT link.webinar FROM receipts
                     JOIN webinar_receipts AS link ON link.receipt = receipts.seq
                 WHERE receipts.seq <= ?1 AND receipts.received_at < ?2)",
        )?
        .execute((old, before))?;
    // Before the links are deleted, which name the webinars.
    tx.connection
        .prepare_cached(
            "INSERT OR IGNORE INTO lasting_keys (source, dedupe_key, webinar)
                 SELECT receipts.source, receipts.dedupe_key, link.webinar FROM receipts
                     JOIN webinar_receipts AS link ON link.receipt = receipts.seq
                 WHERE receipts.seq <= ?1 AND receipts.received_at < ?2 AND receipts.lasting = 1",
        )?
        .execute((old, before))?;
    tx.connection
        .prepare_cached(
            "DELETE FROM webinar_receipts WHERE receipt IN (
                 SELECT seq FROM receipts WHERE seq <= ?1 AND received_at < ?2)",
        )?
        .execute((old, before))?;
    let deleted = tx
        .connection
        .prepare_cached("DELETE FROM receipts WHERE seq <= ?1 AND received_at < ?2")?
        .execute((old, before))?;
    // Negative ids are the eraser's filler: if it were deleted early, the eraser would overwrite the same pages again.
    tx.connection
        .prepare_cached(
            "DELETE FROM bodies WHERE id > 0 AND id < coalesce(
                 (SELECT min(body_id) FROM receipts WHERE body_id IS NOT NULL),
                 (SELECT max(id) FROM bodies))",
        )?
        .execute(())?;
    Ok(deleted > 0)
}

fn prune_webinars(tx: &mut WriteTx<'_>, before: i64) -> Result<bool, TxError> {
    let old: Vec<i64> = tx
        .connection
        .prepare_cached(
            "SELECT id FROM webinars WHERE last_at < ?1 AND NOT EXISTS
                 (SELECT 1 FROM events WHERE events.webinar = webinars.id AND events.state = 0)
             ORDER BY last_at LIMIT ?2",
        )?
        .query_map((before, WEBINARS), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &old {
        let gone: Vec<(String, StoredState)> = tx
            .connection
            .prepare_cached("DELETE FROM events WHERE webinar = ?1 RETURNING hubspot, state")?
            .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (hubspot, StoredState(state)) in gone {
            let account = AccountName::parse(hubspot)
                .map_err(|error| TxError::corrupt(format!("event of webinar {id}"), error))?;
            tx.effects.counts.leave(&account, state);
        }
        tx.connection
            .prepare_cached("DELETE FROM webinar_receipts WHERE webinar = ?1")?
            .execute([id])?;
        tx.connection
            .prepare_cached("DELETE FROM lasting_keys WHERE webinar = ?1")?
            .execute([id])?;
        tx.connection.prepare_cached("DELETE FROM webinars WHERE id = ?1")?.execute([id])?;
    }
    Ok(!old.is_empty())
}

/// Deletes fetches that were given up longer ago than receipts are kept, and not requested since.
fn prune_given_up(tx: &mut WriteTx<'_>, before: i64) -> Result<bool, TxError> {
    let mut more = false;
    for source in tx.policies.keys() {
        let deleted = tx
            .connection
            .prepare_cached(
                "DELETE FROM fetches WHERE id IN (
                     SELECT id FROM fetches
                     WHERE source = ?1 AND failed_at IS NOT NULL AND failed_at < ?2 AND given_up = 1
                     ORDER BY failed_at LIMIT ?3)",
            )?
            .execute((source.as_str(), before, FETCHES))?;
        if deleted > 0 {
            let deleted = i64::try_from(deleted).unwrap_or(i64::MAX);
            tx.effects.fetch_counts(source).count(true, -deleted);
            more = true;
        }
    }
    Ok(more)
}
