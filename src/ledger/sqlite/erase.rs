//! Erasing a person from the file: stored bodies, other texts, and deleted content in free pages and the WAL.
//!
//! The erasure runs beside the service, in one short transaction for each segment of bodies. Pauses between them keep
//! webhooks from waiting long, and the WAL as short as the service keeps it. An interrupted erasure has erased a part;
//! running it again completes it.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior};
use tokio::time::Instant;

use super::bodies::{self, BodyLocation};
use super::checkpoint;
use super::open::{self, OpenError};
use super::statements::{Statements as _, sql_count};
use super::store_lock::StoreLock;
use crate::ledger::LedgerError;
use crate::ledger::erasure::{self, EmailAddress};

/// Free pages overwritten in one transaction: 4 MiB.
const PIECE: i64 = 512;
/// Attempts to empty the WAL; each waits for readers and the writer up to a tool's busy timeout.
const TRIES: usize = 6;

/// The shortest and the longest pause after a piece of writing. SQLite polls its lock, every 100 ms at the latest: without
/// pauses the service's commits would time out.
const PAUSE: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(250)];

/// The reason why an erasure is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] OpenError),
    /// The store cannot be read or written.
    #[error("the store cannot be changed")]
    Database(#[from] rusqlite::Error),
    /// The store holds data that cannot be read.
    #[error(transparent)]
    Corrupt(#[from] LedgerError),
    /// The service, a backup or another reader kept the WAL in use.
    #[error(
        "the bodies are erased, but the write-ahead log still holds the old ones: another process is using it"
    )]
    LogInUse,
}

/// The counts of an erasure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErasureSummary {
    /// Bodies from which the person was erased.
    pub bodies: u64,
    /// Reasons, headers and error messages from which the address was erased.
    pub texts: u64,
    /// Events with the address in their own content, which stays: HubSpot shows it.
    pub events: u64,
}

/// Erases a person from the store at that path, which may be in use. The dedupe keys stay, so that a repeated webhook
/// does not bring the person back.
///
/// # Errors
/// [`EraseError`] when a part is not erased; the caller can run it again.
pub fn erase(store: &Path, address: &EmailAddress) -> Result<ErasureSummary, EraseError> {
    let mut connection = open::open_existing(store)?;
    // SQLite overwrites content that it deletes from now on.
    connection.pragma_update(None, "secure_delete", "ON")?;
    let mut erased = ErasureSummary::default();
    let mut after = i64::MIN;
    while let Some((segment, data)) = next_segment(&connection, after)? {
        after = segment;
        if !address.find(&unpack(segment, &data)?).is_empty() {
            drop(data);
            erased.bodies += piece(&mut connection, |c| rewrite(c, segment, address))?;
        }
    }
    for (table, key, column) in TEXTS {
        erased.texts += rewrite_texts(&mut connection, table, key, column, address)?;
    }
    erased.events = count_mentions(&connection, address)?;
    match StoreLock::take(store) {
        // No other process has the store open: VACUUM rewrites it without deleted content, also within pages.
        Ok(lock) => {
            connection.execute_batch("VACUUM")?;
            empty_wal(&connection)?;
            // The lock outlives the connection.
            drop(connection);
            drop(lock);
        }
        Err(OpenError::InUse(_)) => {
            overwrite_free_pages(&mut connection)?;
            empty_wal(&connection)?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(erased)
}

/// Columns with texts that may repeat parts of a body: table, its key, the column.
const TEXTS: [(&str, &str, &str); 6] = [
    ("receipts", "seq", "reason"),
    ("receipts", "seq", "headers"),
    ("events", "id", "refused"),
    ("events", "id", "last_error"),
    ("fetches", "id", "last_error"),
    ("standings", "hubspot", "standing"),
];

fn next_segment(connection: &Connection, after: i64) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
    connection.first(
        "SELECT id, data FROM bodies WHERE id > ?1 ORDER BY id LIMIT 1",
        [after],
        |row| row.try_into(),
    )
}

fn unpack(segment: i64, packed: &[u8]) -> Result<Vec<u8>, LedgerError> {
    // Filler of an earlier run that was interrupted while it overwrote free pages.
    if segment < 0 { Ok(Vec::new()) } else { bodies::unpack(segment, packed) }
}

/// Rewrites a segment without the person and without bodies of deleted receipts; returns the number of changed bodies.
fn rewrite(
    connection: &mut Connection,
    segment: i64,
    address: &EmailAddress,
) -> Result<u64, EraseError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let packed: Option<Vec<u8>> =
        transaction.first("SELECT data FROM bodies WHERE id = ?1", [segment], |row| row.get(0))?;
    // The service pruned the segment meanwhile.
    let Some(packed) = packed else { return Ok(0) };
    let old = unpack(segment, &packed)?;
    let (mut new, mut changed) = (Vec::with_capacity(old.len()), 0);
    let stored: Vec<(i64, i64, i64)> = transaction.all(
        "SELECT seq, body_offset, body_length FROM receipts WHERE body_id = ?1 ORDER BY body_offset",
        [segment],
        |row| row.try_into(),
    )?;
    for (seq, offset, length) in stored {
        let body = BodyLocation { id: segment, offset, length }.find_in(&old)?;
        let erased = erasure::erase(body, address);
        changed += u64::from(erased.is_some());
        let body = erased.as_deref().unwrap_or(body);
        transaction.run(
            "UPDATE receipts SET body_offset = ?2, body_length = ?3 WHERE seq = ?1",
            (seq, sql_count(new.len()), sql_count(body.len())),
        )?;
        new.extend_from_slice(body);
    }
    let packed = lz4_flex::compress_prepend_size(&new);
    transaction.run("UPDATE bodies SET data = ?2 WHERE id = ?1", (segment, packed))?;
    transaction.commit()?;
    Ok(changed)
}

/// Replaces the address in a column of texts, a row at a time; returns the number of such rows.
fn rewrite_texts(
    connection: &mut Connection,
    table: &str,
    key: &str,
    column: &str,
    address: &EmailAddress,
) -> Result<u64, EraseError> {
    let texts = format!("SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL");
    let mut found: Vec<(Value, String)> = Vec::new();
    connection.all(&texts, (), |row| {
        let text: String = row.get(1)?;
        if !address.find(text.as_bytes()).is_empty() {
            found.push((row.get(0)?, text));
        }
        Ok(())
    })?;
    for (row, text) in &found {
        let without = erasure::erase_bytes(text.as_bytes(), address);
        // Only if the text is unchanged: the service may have replaced it meanwhile.
        piece(connection, |connection| {
            connection.execute(
                &format!("UPDATE {table} SET {column} = ?2 WHERE {key} = ?1 AND {column} = ?3"),
                (row, String::from_utf8_lossy(&without), text),
            )
        })?;
    }
    Ok(found.len() as u64)
}

/// Counts the events with the address in their own content.
fn count_mentions(connection: &Connection, address: &EmailAddress) -> Result<u64, EraseError> {
    let mut statement = connection.prepare(
        "SELECT e.input, w.state FROM events e JOIN webinars w ON w.id = e.webinar ORDER BY e.id",
    )?;
    let mut rows = statement.query(())?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let (input, state): (Option<Vec<u8>>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let contains = |bytes: &[u8]| !address.find(bytes).is_empty();
        count += u64::from(input.as_deref().is_some_and(contains) || contains(&state));
    }
    Ok(count)
}

/// Overwrites the free pages: fills them with zeros, as bodies without a receipt, and frees them again.
fn overwrite_free_pages(connection: &mut Connection) -> rusqlite::Result<()> {
    let first: Option<i64> = connection.value("SELECT min(id) FROM bodies WHERE id < 0", ())?;
    let mut id = first.unwrap_or(0);
    // Until none is free: the service frees further pages meanwhile, and SQLite takes the last freed ones first.
    loop {
        let free: i64 = connection.value("PRAGMA freelist_count", ())?;
        let pages = free.min(PIECE);
        if pages == 0 {
            break;
        }
        id -= 1;
        piece(connection, |connection| {
            let filler = "INSERT INTO bodies (id, data) VALUES (?1, zeroblob(?2))";
            connection.run(filler, (id, filler_bytes(pages)))
        })?;
    }
    // These pages hold zeros already.
    connection.pragma_update(None, "secure_delete", "OFF")?;
    loop {
        let deleted = piece(connection, |connection| {
            connection.change(
                "DELETE FROM bodies
                 WHERE id IN (SELECT id FROM bodies WHERE id < 0 ORDER BY id LIMIT 4)",
                (),
            )
        })?;
        if deleted == 0 {
            return Ok(());
        }
    }
}

/// The length of a body of zeros that fills this number of pages completely: beyond the body's end its last page may keep
/// old content. See <https://www.sqlite.org/fileformat2.html#b_tree_pages>, "Cell Payload Overflow Pages".
fn filler_bytes(pages: i64) -> i64 {
    let page = i64::from(open::PAGE_BYTES);
    // An overflowing row keeps this number of bytes in its table page, if the rest fills whole overflow pages.
    let kept = (page - 12) * 32 / 255 - 23;
    let row = kept + pages * (page - 4);
    // The row's header: its own length, the type of the id, and the type of the blob, which includes the blob's length.
    let kind = |bytes: i64| if 2 * bytes + 12 < 1 << 21 { 3 } else { 4 };
    row - 2 - kind(row - 2 - 4)
}

/// Writes one piece, copies the WAL back, and pauses so that the service can write. The next write then restarts the WAL.
fn piece<T, E>(
    connection: &mut Connection,
    write: impl FnOnce(&mut Connection) -> Result<T, E>,
) -> Result<T, E>
where
    E: From<rusqlite::Error>,
{
    let began = Instant::now();
    let written = write(connection)?;
    checkpoint::run(connection, "PASSIVE")?;
    let [least, most] = PAUSE;
    std::thread::sleep((began.elapsed() * 2).clamp(least, most));
    Ok(written)
}

/// Copies the WAL back and truncates it: it holds old versions of pages.
fn empty_wal(connection: &Connection) -> Result<(), EraseError> {
    for _ in 0..TRIES {
        if !checkpoint::run(connection, "TRUNCATE")?.busy {
            return Ok(());
        }
    }
    Err(EraseError::LogInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filler_fills_its_pages_to_their_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut connection = open::connect(&folder.path().join("store.db")).expect("it opens");
        open::ensure_schema(&mut connection, true).expect("the schema");
        for pages in [1, 2, 127, 128, 129, PIECE] {
            connection.execute("DELETE FROM bodies", ()).expect("deleted");
            connection
                .execute("INSERT INTO bodies VALUES (-1, zeroblob(?1))", [filler_bytes(pages)])
                .expect("inserted");
            let overflow: (i64, i64) = connection
                .query_row(
                    "SELECT count(*), sum(unused) FROM dbstat
                     WHERE name = 'bodies' AND pagetype = 'overflow'",
                    (),
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .expect("dbstat answers");
            assert_eq!(overflow, (pages, 0), "exactly these pages, without unused bytes");
        }
    }
}
