//! One call that writes: it changes a copy of the rows, which replaces them when it ends.

use std::collections::BTreeSet;

use super::live::Live;
use super::state::State;
use crate::event::{AccountName, Millis, NO_TIMERS, SourceName};
use crate::ledger::Policies;

/// A call under way.
pub(super) struct Transaction<'a> {
    pub(super) state: State,
    pub(super) live: &'a mut Live,
    pub(super) policies: &'a Policies,
    pub(super) now: Millis,
    /// The time that dates what changes now: a clock that answers contradict dates nothing.
    pub(super) dated_now: Millis,
    /// Whether nothing may be deleted for its age or completed by time alone.
    pub(super) is_clock_doubted: bool,
    /// Accounts that have something to do once the call is done.
    pub(super) woken: BTreeSet<AccountName>,
    /// Sources that have a fetch due once the call is done.
    pub(super) woken_fetches: BTreeSet<SourceName>,
}

impl Transaction<'_> {
    /// The time by which completion timers run out: none does by a doubted clock (M10).
    pub(super) fn timer_time(&self) -> Millis {
        if self.is_clock_doubted { NO_TIMERS } else { self.now }
    }

    /// Does work that may turn out to be refused; then none of its changes is left.
    pub(super) fn attempt<T, E>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let before = self.state.clone();
        let done = work(self);
        if done.is_err() {
            self.state = before;
        }
        done
    }
}
