//! Pruning: deletes old data, a bounded piece at a time so that no request waits long behind it.

use super::statements::Statements as _;
use super::transaction::WriteTx;
use crate::event::{AccountName, Millis};
use crate::ledger::rules::retention::{self, OldReceipts};
use crate::ledger::{EventState, FetchState, Retention};

/// The most receipts read in one piece.
const RECEIPTS: i64 = 1_000;
/// The most pieces that are looked through at a time: receipts from the future may come before old ones.
const PIECES: usize = 100;
/// The most webinars deleted in one piece.
const WEBINARS: i64 = 200;
/// The most frozen events deleted in one piece.
const FROZEN: i64 = 200;
/// The most ended fetches deleted in one piece, for each source.
const FETCHES: i64 = 1_000;

/// Deletes one piece; returns whether there may be more. A doubted clock deletes nothing (M10).
pub(super) fn prune(tx: &mut WriteTx<'_>, keep: Retention) -> rusqlite::Result<bool> {
    if tx.is_clock_doubted {
        return Ok(false);
    }
    let receipts_before = tx.now.minus(keep.receipts);
    let receipts = prune_receipts(tx, receipts_before)?;
    let webinars = prune_webinars(tx, keep)?;
    let frozen = prune_frozen(tx, keep)?;
    if webinars || frozen {
        let (to, _) = retention::webinar_bounds(keep, tx.now);
        tx.connection.run(
            "UPDATE store SET pruned_to = max(coalesce(pruned_to, ?1), ?1) WHERE id = 0",
            [to],
        )?;
        tx.live.pruned(to);
    }
    let mut fetches = false;
    for (state, span) in keep.ended_fetches() {
        fetches |= prune_fetches(tx, state, tx.now.minus(span))?;
    }
    Ok(receipts || webinars || frozen || fetches)
}

fn prune_receipts(tx: &WriteTx<'_>, before: Millis) -> rusqlite::Result<bool> {
    let Some(old) = last_old_receipt(tx, before)? else { return Ok(false) };
    // Of the receipts up to it, young ones stay; those that a wrong clock dated are as old as their neighbours.
    let now = tx.now;
    // The webinars keep the values of these receipts, which no replay can map again.
    tx.connection.run(
        "UPDATE webinars SET base = 1 WHERE base = 0 AND id IN (
             SELECT link.webinar FROM receipts
                 JOIN webinar_receipts AS link ON link.receipt = receipts.seq
             WHERE receipts.seq <= ?1 AND (receipts.doubted = 1 OR receipts.received_at NOT BETWEEN ?2 AND ?3))",
        (old, before, now),
    )?;
    // Before the links are deleted, which name the webinars.
    tx.connection.run(
        "INSERT OR IGNORE INTO lasting_keys (source, dedupe_key, webinar)
             SELECT receipts.source, receipts.dedupe_key, link.webinar FROM receipts
                 JOIN webinar_receipts AS link ON link.receipt = receipts.seq
             WHERE receipts.seq <= ?1 AND (receipts.doubted = 1 OR receipts.received_at NOT BETWEEN ?2 AND ?3)
                 AND receipts.lasting = 1",
        (old, before, now),
    )?;
    tx.connection.run(
        "DELETE FROM webinar_receipts WHERE receipt IN (
             SELECT seq FROM receipts WHERE seq <= ?1 AND (doubted = 1 OR received_at NOT BETWEEN ?2 AND ?3))",
        (old, before, now),
    )?;
    let deleted = tx.connection.change(
        "DELETE FROM receipts WHERE seq <= ?1 AND (doubted = 1 OR received_at NOT BETWEEN ?2 AND ?3)",
        (old, before, now),
    )?;
    tx.connection.run(
        "UPDATE store SET last_receipt = ?1 WHERE id = 0 AND last_receipt < ?1
             AND NOT EXISTS (SELECT 1 FROM receipts WHERE seq > ?1)",
        [old],
    )?;
    // Negative ids are the eraser's filler: if it were deleted early, the eraser would overwrite the same pages again.
    tx.connection.run(
        "DELETE FROM bodies WHERE id > 0 AND id < coalesce(
             (SELECT min(body_id) FROM receipts WHERE body_id IS NOT NULL),
             (SELECT max(id) FROM bodies))",
        (),
    )?;
    Ok(deleted > 0)
}

/// The last of the receipts to delete in one piece, by [`retention`].
fn last_old_receipt(tx: &WriteTx<'_>, before: Millis) -> rusqlite::Result<Option<i64>> {
    let (mut after, mut first_piece) = (0, None);
    for _ in 0..PIECES {
        // Receipts are stored in the order of their time, so the oldest come first and need no index by time.
        let piece: Vec<(i64, Option<Millis>)> = tx.connection.all(
            "SELECT seq, received_at, doubted FROM receipts
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            (after, RECEIPTS),
            |row| {
                let is_doubted: bool = row.get(2)?;
                let received_at = row.get(1)?;
                Ok((row.get(0)?, (!is_doubted).then_some(received_at)))
            },
        )?;
        let end = *first_piece.get_or_insert(piece.last().map_or(0, |(seq, _)| *seq));
        match retention::old_receipts(&piece, before, tx.now) {
            OldReceipts::UpTo(seq) => return Ok(Some(seq.min(end))),
            OldReceipts::LookAfter(seq) => after = seq,
            OldReceipts::None => break,
        }
    }
    Ok(None)
}

fn prune_webinars(tx: &mut WriteTx<'_>, keep: Retention) -> rusqlite::Result<bool> {
    // Until all webinars are folded again their dates are those of an earlier version or configuration.
    if tx.connection.value("SELECT EXISTS (SELECT 1 FROM revision)", ())? {
        return Ok(false);
    }
    let (usual, timeless) = retention::webinar_bounds(keep, tx.now);
    let old: Vec<i64> = tx.connection.all(
        "SELECT id FROM webinars
         WHERE last_at < ?1 AND (timeless = 0 OR last_at < ?2) AND NOT EXISTS
             (SELECT 1 FROM events WHERE events.webinar = webinars.id
                  AND (events.state = 0 OR events.due_at <= ?4))
         ORDER BY last_at LIMIT ?3",
        (usual, timeless, WEBINARS, tx.now),
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
        tx.connection.run("DELETE FROM unfolded WHERE webinar = ?1", [id])?;
        tx.connection.run("DELETE FROM webinars WHERE id = ?1", [id])?;
    }
    Ok(!old.is_empty())
}

/// Deletes the events of occurrences that left the state of their series, once they are old themselves.
fn prune_frozen(tx: &mut WriteTx<'_>, keep: Retention) -> rusqlite::Result<bool> {
    let (usual, _) = retention::webinar_bounds(keep, tx.now);
    let gone: Vec<(i64, AccountName, EventState)> = tx.connection.all(
        "DELETE FROM events WHERE id IN (
             SELECT id FROM events INDEXED BY events_frozen
             WHERE frozen = 1 AND ends_at < ?1 AND changed_at < ?1 AND state <> 0 LIMIT ?2)
         RETURNING id, hubspot, state",
        (usual, FROZEN),
        |row| row.try_into(),
    )?;
    for (event, account, state) in &gone {
        tx.effects.change_state(account, *event, Some(*state), None);
    }
    Ok(!gone.is_empty())
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
