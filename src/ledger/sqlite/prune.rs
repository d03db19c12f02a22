//! Pruning: deletes old data, a bounded piece at a time so that no request waits long behind it.

use super::statements::Statements as _;
use super::transaction::WriteTx;
use crate::event::{AccountName, Millis};
use crate::ledger::{EventState, FetchState, Retention};

/// The most receipts read in one piece.
const RECEIPTS: i64 = 1_000;
/// The most webinars deleted in one piece.
const WEBINARS: i64 = 200;
/// The most ended fetches deleted in one piece, for each source.
const FETCHES: i64 = 1_000;

/// Deletes one piece; returns whether there may be more. A doubted clock deletes nothing (M10).
pub(super) fn prune(tx: &mut WriteTx<'_>, keep: Retention) -> rusqlite::Result<bool> {
    if tx.is_clock_doubted {
        return Ok(false);
    }
    let receipts_before = tx.now.minus(keep.receipts);
    let receipts = prune_receipts(tx, receipts_before)?;
    let webinars = prune_webinars(tx, tx.now.minus(keep.events))?;
    let mut fetches = false;
    for (state, span) in keep.ended_fetches() {
        fetches |= prune_fetches(tx, state, tx.now.minus(span))?;
    }
    Ok(receipts || webinars || fetches)
}

fn prune_receipts(tx: &WriteTx<'_>, before: Millis) -> rusqlite::Result<bool> {
    // Receipts are stored in the order of their time, so the oldest come first and need no index by time.
    let old: Option<i64> = tx.connection.value(
        "SELECT max(seq) FROM (SELECT seq, received_at FROM receipts ORDER BY seq LIMIT ?1)
         WHERE received_at < ?2",
        (RECEIPTS, before),
    )?;
    let Some(old) = old else { return Ok(false) };
    // The webinars keep the values of these receipts, which no replay can map again.
    tx.connection.run(
        "UPDATE webinars SET base = 1 WHERE base = 0 AND id IN (
             SELECT link.webinar FROM receipts
                 JOIN webinar_receipts AS link ON link.receipt = receipts.seq
             WHERE receipts.seq <= ?1 AND receipts.received_at < ?2)",
        (old, before),
    )?;
    // Before the links are deleted, which name the webinars.
    tx.connection.run(
        "INSERT OR IGNORE INTO lasting_keys (source, dedupe_key, webinar)
             SELECT receipts.source, receipts.dedupe_key, link.webinar FROM receipts
                 JOIN webinar_receipts AS link ON link.receipt = receipts.seq
             WHERE receipts.seq <= ?1 AND receipts.received_at < ?2 AND receipts.lasting = 1",
        (old, before),
    )?;
    tx.connection.run(
        "DELETE FROM webinar_receipts WHERE receipt IN (
             SELECT seq FROM receipts WHERE seq <= ?1 AND received_at < ?2)",
        (old, before),
    )?;
    let deleted = tx
        .connection
        .change("DELETE FROM receipts WHERE seq <= ?1 AND received_at < ?2", (old, before))?;
    // Negative ids are the eraser's filler: if it were deleted early, the eraser would overwrite the same pages again.
    tx.connection.run(
        "DELETE FROM bodies WHERE id > 0 AND id < coalesce(
             (SELECT min(body_id) FROM receipts WHERE body_id IS NOT NULL),
             (SELECT max(id) FROM bodies))",
        (),
    )?;
    Ok(deleted > 0)
}

fn prune_webinars(tx: &mut WriteTx<'_>, before: Millis) -> rusqlite::Result<bool> {
    let old: Vec<i64> = tx.connection.all(
        "SELECT id FROM webinars WHERE last_at < ?1 AND NOT EXISTS
             (SELECT 1 FROM events WHERE events.webinar = webinars.id AND events.state = 0)
         ORDER BY last_at LIMIT ?2",
        (before, WEBINARS),
        |row| row.get(0),
    )?;
    for id in &old {
        let gone: Vec<(i64, AccountName, EventState)> = tx.connection.all(
            "DELETE FROM events WHERE webinar = ?1 RETURNING id, hubspot, state",
            [id],
            |row| row.try_into(),
        )?;
        for (event, account, state) in gone {
            tx.effects.change_state(&account, event, Some(state), None);
        }
        tx.connection.run("DELETE FROM webinar_receipts WHERE webinar = ?1", [id])?;
        tx.connection.run("DELETE FROM lasting_keys WHERE webinar = ?1", [id])?;
        tx.connection.run("DELETE FROM webinars WHERE id = ?1", [id])?;
    }
    Ok(!old.is_empty())
}

/// Deletes fetches that ended in that state before then, and were not requested since.
fn prune_fetches(
    tx: &mut WriteTx<'_>,
    state: FetchState,
    before: Millis,
) -> rusqlite::Result<bool> {
    let mut more = false;
    for source in tx.policies.keys() {
        let deleted = tx.connection.change(
            "DELETE FROM fetches WHERE id IN (
                 SELECT id FROM fetches
                 WHERE source = ?1 AND failed_at IS NOT NULL AND failed_at < ?2 AND state = ?4
                 ORDER BY failed_at LIMIT ?3)",
            (source, before, FETCHES, state),
        )?;
        if deleted > 0 {
            let deleted = i64::try_from(deleted).unwrap_or(i64::MAX);
            tx.effects.fetch_counts(source).count(state, -deleted);
            more = true;
        }
    }
    Ok(more)
}
