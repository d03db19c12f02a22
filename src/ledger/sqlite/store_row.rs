//! The store's own row: when it was made, and when it was written last.

use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::statements::Statements as _;
use crate::clock::Clock;
use crate::event::Millis;

/// The least time between two records of the last write: each is a page more in its commit.
const INTERVAL: Duration = Duration::from_secs(5);

/// Dates a store that was just made by the ledger's clock: SQLite knows only the machine's.
pub(super) fn date_new_store(connection: &Connection, now: Millis) -> rusqlite::Result<()> {
    connection.run("UPDATE store SET born_at = ?1, written_at = ?1 WHERE id = 0", [now])
}

/// Tells the clock when the store was written last.
pub(super) fn recall_last_write(
    connection: &Connection,
    clock: &dyn Clock,
) -> rusqlite::Result<()> {
    let written: Option<Millis> =
        connection.first("SELECT written_at FROM store WHERE id = 0", (), |row| row.get(0))?;
    if let (Some(written), Some(trust)) = (written, clock.trust()) {
        trust.recall_last_write(written);
    }
    Ok(())
}

/// The record of the last write, within commits that happen anyway.
#[derive(Debug, Default)]
pub(super) struct LastWrite {
    recorded: Option<Instant>,
}

impl LastWrite {
    /// Records that the store is written now, unless it was recorded a moment ago. A clock that is doubted must not
    /// become the reference for the next start, so the likely time is recorded.
    pub(super) fn record(
        &mut self,
        connection: &Connection,
        clock: &dyn Clock,
    ) -> rusqlite::Result<()> {
        if self.recorded.is_some_and(|recorded| recorded.elapsed() < INTERVAL) {
            return Ok(());
        }
        let likely = clock.likely_now();
        connection.run("UPDATE store SET written_at = ?1 WHERE id = 0", [likely])?;
        if let Some(trust) = clock.trust() {
            trust.record_write(clock.now());
        }
        self.recorded = Some(Instant::now());
        Ok(())
    }
}
