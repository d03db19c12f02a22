//! The number of fetches of each source, kept with every change so that nobody has to count.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use crate::event::SourceName;
use crate::ledger::FetchStatus;

/// How a source's queue stands, or what a job or a commit changes of that.
#[derive(Debug, Clone, Default)]
pub(super) struct FetchCounts {
    pending: i64,
    given_up: i64,
    /// What went wrong last with what is there; of a change it is known once that is written.
    last_error: Option<String>,
    /// The change made something due.
    pub(super) due: bool,
}

impl FetchCounts {
    pub(super) fn count(&mut self, given_up: bool, by: i64) {
        *if given_up { &mut self.given_up } else { &mut self.pending } += by;
    }

    pub(super) fn absorb(&mut self, change: &Self) {
        self.pending += change.pending;
        self.given_up += change.given_up;
        self.last_error.clone_from(&change.last_error);
        self.due |= change.due;
    }

    /// Writes the change, after the rows that it is of.
    pub(super) fn write(
        &mut self,
        connection: &Connection,
        source: &SourceName,
    ) -> rusqlite::Result<()> {
        for (given_up, by) in [(false, self.pending), (true, self.given_up)] {
            if by != 0 {
                connection
                    .prepare_cached(
                        "INSERT INTO fetch_counts (source, given_up, count) VALUES (?1, ?2, ?3)
                         ON CONFLICT (source, given_up) DO UPDATE SET count = count + excluded.count",
                    )?
                    .execute((source.as_str(), given_up, by))?;
            }
        }
        self.last_error = last_error(connection, source)?;
        Ok(())
    }

    pub(super) fn status(&self) -> FetchStatus {
        let positive = |n: i64| u64::try_from(n).unwrap_or(0);
        FetchStatus {
            pending: positive(self.pending),
            given_up: positive(self.given_up),
            last_error: self.last_error.clone(),
        }
    }
}

fn last_error(connection: &Connection, source: &SourceName) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(
            "SELECT last_error FROM fetches WHERE source = ?1 AND failed_at IS NOT NULL
             ORDER BY failed_at DESC LIMIT 1",
        )?
        .query_row([source.as_str()], |row| row.get(0))
        .optional()
}

/// The queues of these sources as the file knows them.
pub(super) fn load(
    connection: &Connection,
    sources: &[SourceName],
) -> rusqlite::Result<BTreeMap<SourceName, FetchCounts>> {
    let mut counts =
        connection.prepare("SELECT given_up, count FROM fetch_counts WHERE source = ?1")?;
    let mut queues = BTreeMap::new();
    for source in sources {
        let mut queue =
            FetchCounts { last_error: last_error(connection, source)?, ..FetchCounts::default() };
        let mut rows = counts.query([source.as_str()])?;
        while let Some(row) = rows.next()? {
            queue.count(row.get(0)?, row.get(1)?);
        }
        queues.insert(source.clone(), queue);
    }
    Ok(queues)
}
