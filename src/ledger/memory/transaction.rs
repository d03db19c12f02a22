//! One call that writes: it changes a copy of the rows, which replaces them if the call succeeds.

use std::collections::BTreeSet;

use super::live::Live;
use super::state::State;
use crate::event::{AccountName, Millis, SourceName};
use crate::ledger::rules::event_row::EventRow;
use crate::ledger::{EventState, Policies};

/// A call under way.
pub(super) struct Transaction<'a> {
    pub(super) state: &'a mut State,
    pub(super) live: &'a Live,
    pub(super) policies: &'a Policies,
    pub(super) now: Millis,
    /// Accounts that have something to do once the call succeeded.
    pub(super) woken: BTreeSet<AccountName>,
    /// Sources that have a fetch due once the call succeeded.
    pub(super) woken_fetches: BTreeSet<SourceName>,
    /// Fetch tasks whose claims end with the call.
    pub(super) settled_fetches: Vec<i64>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(
        state: &'a mut State,
        live: &'a Live,
        policies: &'a Policies,
        now: Millis,
    ) -> Self {
        Self {
            state,
            live,
            policies,
            now,
            woken: BTreeSet::new(),
            woken_fetches: BTreeSet::new(),
            settled_fetches: Vec::new(),
        }
    }

    /// Stores an event's row. One that becomes pending, or changes while it is, wakes its account.
    pub(super) fn store_row(&mut self, id: i64, row: EventRow) {
        let Some(event) = self.state.events.get_mut(&id) else { return };
        if row.state == EventState::Pending && row != event.row {
            self.woken.insert(event.key.hubspot.clone());
        }
        event.row = row;
    }
}
