//! What a job changes beside its rows: counts, and what is known in memory. It takes effect with the commit, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::fetch_counts::FetchCounts;
use super::live_state::StateCounts;
use crate::event::{AccountName, SourceName};
use crate::ledger::EventState;

/// The effects of one job, or of all jobs of a commit.
#[derive(Default)]
pub(super) struct SideEffects {
    pub(super) counts: CountChanges,
    pub(super) pending_changes: Vec<PendingChange>,
    /// Events whose claims end.
    pub(super) released: Vec<(AccountName, Vec<i64>)>,
    /// Rows of fetches whose claims end.
    pub(super) settled_fetches: Vec<i64>,
    /// Accounts that have something to do.
    pub(super) woken: BTreeSet<AccountName>,
    pub(super) fetches: BTreeMap<SourceName, FetchCounts>,
}

/// An event that became pending, or ceased to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingChange {
    pub(super) id: i64,
    pub(super) pending: bool,
}

/// Changes of counts by account.
#[derive(Debug, Default)]
pub(super) struct CountChanges(pub(super) BTreeMap<AccountName, StateCounts>);

impl CountChanges {
    pub(super) fn enter(&mut self, account: &AccountName, state: EventState) {
        self.0.entry(account.clone()).or_default().add(state, 1);
    }

    pub(super) fn leave(&mut self, account: &AccountName, state: EventState) {
        self.0.entry(account.clone()).or_default().add(state, -1);
    }

    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (account, counts) in &self.0 {
            for (state, by) in counts.each().filter(|(_, by)| *by != 0) {
                connection
                    .prepare_cached(
                        "INSERT INTO event_counts (hubspot, state, count) VALUES (?1, ?2, ?3)
                         ON CONFLICT (hubspot, state) DO UPDATE SET count = count + excluded.count",
                    )?
                    .execute((account.as_str(), state, by))?;
            }
        }
        Ok(())
    }
}

impl SideEffects {
    /// What a source's queue of fetches becomes.
    pub(super) fn fetch_counts(&mut self, source: &SourceName) -> &mut FetchCounts {
        self.fetches.entry(source.clone()).or_default()
    }

    pub(super) fn absorb(&mut self, mut other: Self) {
        for (account, counts) in other.counts.0 {
            self.counts.0.entry(account).or_default().absorb(counts);
        }
        self.pending_changes.append(&mut other.pending_changes);
        self.released.append(&mut other.released);
        self.settled_fetches.append(&mut other.settled_fetches);
        self.woken.append(&mut other.woken);
        for (source, queue) in other.fetches {
            self.fetches.entry(source).or_default().absorb(&queue);
        }
    }

    /// The counts change in the transaction that changes the rows.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.counts.write(connection)?;
        self.fetches.iter_mut().try_for_each(|(source, queue)| queue.write(connection, source))
    }
}
