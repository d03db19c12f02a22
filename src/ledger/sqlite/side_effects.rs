//! The effects of a job beside its rows: on the counts, and on the state in memory. They take effect with the commit, or
//! not at all.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::fetch_counts::FetchCounts;
use super::statements::Statements as _;
use crate::event::{AccountName, SourceName};
use crate::ledger::EventState;

/// The effects of one job, or of all jobs of a commit.
#[derive(Default)]
pub(super) struct SideEffects {
    /// Changes of the numbers of events.
    pub(super) counts: BTreeMap<(AccountName, EventState), i64>,
    /// Events that changed their state, and whether they are pending now.
    pub(super) pending_changes: Vec<(i64, bool)>,
    /// Events whose claims end.
    pub(super) released: Vec<(AccountName, Vec<i64>)>,
    /// Events whose bases were read.
    pub(super) released_bases: Vec<(AccountName, i64)>,
    /// Rows of fetches whose claims end.
    pub(super) settled_fetches: Vec<i64>,
    /// Accounts that have something to do.
    pub(super) woken: BTreeSet<AccountName>,
    /// Accounts of which an event waits for its base.
    pub(super) unread: BTreeSet<AccountName>,
    pub(super) fetches: BTreeMap<SourceName, FetchCounts>,
    /// Webinars that could not be folded and were passed by.
    pub(super) passed_by: usize,
}

impl SideEffects {
    /// Notes an event's state before and after a change; none where there is no such event.
    pub(super) fn change_state(
        &mut self,
        account: &AccountName,
        id: i64,
        before: Option<EventState>,
        after: Option<EventState>,
    ) {
        let is_pending = after == Some(EventState::Pending);
        if before != after {
            for (state, by) in [(before, -1), (after, 1)] {
                if let Some(state) = state {
                    *self.counts.entry((account.clone(), state)).or_default() += by;
                }
            }
            self.pending_changes.push((id, is_pending));
        }
        if is_pending {
            self.woken.insert(account.clone());
        }
    }

    /// Notes that an event of the account waits for its base.
    pub(super) fn wait_for_base(&mut self, account: &AccountName) {
        self.unread.insert(account.clone());
        self.woken.insert(account.clone());
    }

    /// The change of a source's queue of fetches.
    pub(super) fn fetch_counts(&mut self, source: &SourceName) -> &mut FetchCounts {
        self.fetches.entry(source.clone()).or_default()
    }

    pub(super) fn absorb(&mut self, mut other: Self) {
        for (key, by) in other.counts {
            *self.counts.entry(key).or_default() += by;
        }
        self.pending_changes.append(&mut other.pending_changes);
        self.released.append(&mut other.released);
        self.released_bases.append(&mut other.released_bases);
        self.settled_fetches.append(&mut other.settled_fetches);
        self.woken.append(&mut other.woken);
        self.unread.append(&mut other.unread);
        self.passed_by += other.passed_by;
        for (source, queue) in other.fetches {
            self.fetches.entry(source).or_default().absorb(&queue);
        }
    }

    /// Stores the changes of the counts, in the transaction that changes the rows.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for ((account, state), by) in self.counts.iter().filter(|(_, by)| **by != 0) {
            connection.run(
                "INSERT INTO event_counts (hubspot, state, count) VALUES (?1, ?2, ?3)
                 ON CONFLICT (hubspot, state) DO UPDATE SET count = count + excluded.count",
                (account, state, by),
            )?;
        }
        self.fetches.iter_mut().try_for_each(|(source, queue)| queue.write(connection, source))
    }
}
