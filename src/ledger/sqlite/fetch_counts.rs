//! The number of fetches of each source, updated with every change so that no query has to count rows.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::statements::Statements as _;
use crate::event::SourceName;
use crate::ledger::{FetchState, FetchStatus};

/// The counts of a source's queue, or a change of them by a job or a commit.
#[derive(Debug, Clone, Default)]
pub(super) struct FetchCounts {
    pending: i64,
    given_up: i64,
    dead: i64,
    /// The last failure of a row in the queue; in a change it is known once the change is stored.
    last_error: Option<String>,
    /// Whether the change made a fetch due.
    pub(super) due: bool,
}

impl FetchCounts {
    pub(super) fn count(&mut self, state: FetchState, by: i64) {
        *match state {
            FetchState::Pending => &mut self.pending,
            FetchState::GivenUp => &mut self.given_up,
            FetchState::Dead => &mut self.dead,
            // It has been answered: what is left is a precaution.
            FetchState::Answered => return,
        } += by;
    }

    pub(super) fn absorb(&mut self, change: &Self) {
        self.pending += change.pending;
        self.given_up += change.given_up;
        self.dead += change.dead;
        self.last_error.clone_from(&change.last_error);
        self.due |= change.due;
    }

    /// Stores the change, after its rows.
    pub(super) fn write(
        &mut self,
        connection: &Connection,
        source: &SourceName,
    ) -> rusqlite::Result<()> {
        for (state, by) in [
            (FetchState::Pending, self.pending),
            (FetchState::GivenUp, self.given_up),
            (FetchState::Dead, self.dead),
        ] {
            if by != 0 {
                connection.run(
                    "INSERT INTO fetch_counts (source, state, count) VALUES (?1, ?2, ?3)
                     ON CONFLICT (source, state) DO UPDATE SET count = count + excluded.count",
                    (source, state, by),
                )?;
            }
        }
        self.last_error = last_error(connection, source)?;
        Ok(())
    }

    pub(super) fn status(&self) -> FetchStatus {
        FetchStatus {
            pending: u64::try_from(self.pending).unwrap_or(0),
            given_up: u64::try_from(self.given_up).unwrap_or(0),
            dead: u64::try_from(self.dead).unwrap_or(0),
            last_error: self.last_error.clone(),
        }
    }
}

fn last_error(connection: &Connection, source: &SourceName) -> rusqlite::Result<Option<String>> {
    connection.first(
        "SELECT last_error FROM fetches WHERE source = ?1 AND failed_at IS NOT NULL
         ORDER BY failed_at DESC LIMIT 1",
        [source],
        |row| row.get(0),
    )
}

/// Reads the counts of these sources' queues from the file.
pub(super) fn load(
    connection: &Connection,
    sources: &[SourceName],
) -> rusqlite::Result<BTreeMap<SourceName, FetchCounts>> {
    let mut queues = BTreeMap::new();
    for source in sources {
        let last_error = last_error(connection, source)?;
        let mut queue = FetchCounts { last_error, ..FetchCounts::default() };
        let counts = "SELECT state, count FROM fetch_counts WHERE source = ?1";
        for (state, count) in
            connection.all(counts, [source], |row| Ok((row.get(0)?, row.get(1)?)))?
        {
            queue.count(state, count);
        }
        queues.insert(source.clone(), queue);
    }
    Ok(queues)
}
