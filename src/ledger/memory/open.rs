//! The configuration at the last opening, and what the heirs of renamed sources and accounts inherit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::State;
use crate::event::{AccountName, Millis, SourceName};
use crate::ledger::rules::accept::superseded_key;
use crate::ledger::rules::orphans::{ConfigRefused, KnownNames, Orphans};
use crate::ledger::rules::source_config::{HeldWebinar, StoredSource, check_rekey, is_reshaped};
use crate::ledger::rules::timers::TIMER_RETRY;
use crate::ledger::{Heirs, Policies, WebinarKey};

/// The configuration that a store is opened with.
pub(super) struct Configuration<'a> {
    pub(super) policies: &'a Policies,
    pub(super) heirs: &'a Heirs,
    pub(super) accounts: &'a [AccountName],
}

impl Configuration<'_> {
    /// Compares the configuration with the last one, makes what the store holds of renamed sources and accounts their
    /// heirs', and stores the configuration.
    pub(super) fn compare_and_store(
        &self,
        state: &mut State,
        accept_rekey: bool,
        now: Millis,
    ) -> Result<(), ConfigRefused> {
        if !accept_rekey {
            self.check(state, now)?;
        }
        let mut is_changed = false;
        for (from, to) in &self.heirs.sources {
            if state.sources.contains_key(from) && self.policies.contains_key(to) {
                self.rename_source(state, from, to);
                is_changed = true;
            }
        }
        for (from, to) in &self.heirs.accounts {
            rename_account(state, from, to);
        }
        for stored in state.sources.values_mut() {
            *stored = stored.clone().with_renamed_account(self.heirs);
        }
        let gone = state.sources.keys().filter(|name| !self.policies.contains_key(*name));
        let gone = gone.cloned().collect();
        is_changed |= state.gone_sources != gone;
        state.gone_sources = gone;
        for (name, policy) in self.policies {
            let source = StoredSource::from_policy(policy);
            is_changed |= is_reshaped(state.sources.get(name), &source);
            state.sources.insert(name.clone(), source);
        }
        let known = state.accounts.get_or_insert_default();
        known.extend(self.accounts.iter().cloned());
        if is_changed {
            state.are_defaults_new = true;
            let until = now.plus(TIMER_RETRY);
            for event in state.events.values_mut() {
                let due_at = &mut event.facts.due_at;
                // A timer that waits for its source is looked at again.
                *due_at = due_at.map(|at| if at <= until { at.min(now) } else { at });
            }
        }
        Ok(())
    }

    fn check(&self, state: &State, now: Millis) -> Result<(), ConfigRefused> {
        let Self { policies, heirs, accounts } = *self;
        for (name, stored) in &state.sources {
            if let Some(policy) = policies.get(heirs.source(name)) {
                check_rekey((name, stored.clone()), policy, heirs, now, |visit| {
                    held_webinars(state, name).into_iter().try_for_each(visit)
                })?;
            }
        }
        let known = KnownNames {
            sources: state.sources.keys().cloned().collect(),
            accounts: state.accounts.clone(),
        };
        let mut orphans = Orphans::default();
        for event in state.events.values() {
            let webinar = &state.webinars[&event.webinar].webinar;
            for name in known.gone(policies, heirs).filter(|name| webinar.sources.contains(*name)) {
                orphans.sources.insert(name.clone(), webinar.provider.clone());
            }
            if !accounts.contains(heirs.account(&event.key.hubspot)) {
                orphans.accounts.insert(event.key.hubspot.clone());
            }
        }
        orphans.check(&known, policies, accounts, heirs)
    }

    fn rename_source(&self, state: &mut State, from: &SourceName, to: &SourceName) {
        let provider = &self.policies[to].provider;
        let taken: Vec<[u8; 32]> = state
            .receipts
            .values()
            .filter(|row| row.dedupe_key.0 == *to)
            .map(|row| row.dedupe_key.1)
            .collect();
        for (number, row) in &mut state.receipts {
            if row.summary.source == *from {
                row.summary.source = to.clone();
                row.dedupe_key.0 = to.clone();
                if taken.contains(&row.dedupe_key.1) {
                    // The heir knows the same key, and keeps it.
                    row.dedupe_key.1 = superseded_key(&row.dedupe_key.1, *number);
                    row.has_lasting_key = false;
                }
            }
        }
        for row in state.webinars.values_mut() {
            let keys = std::mem::take(&mut row.lasting_keys);
            let rename = |(source, key)| (if source == *from { to.clone() } else { source }, key);
            row.lasting_keys = keys.into_iter().map(rename).collect();
            if row.webinar.sources.contains(from) {
                Arc::make_mut(&mut row.webinar).inherit(from, to, provider);
            }
        }
        let is_there = |state: &State, wanted: &(Option<_>, _)| {
            let mut tasks = state.fetches.values().filter(|task| task.source == *to);
            tasks.any(|task| (task.account.clone(), task.webinar.clone()) == *wanted)
        };
        let moved = state.fetches.extract_if(.., |_, task| task.source == *from);
        let moved: Vec<_> = moved.collect();
        for (number, mut task) in moved {
            if !is_there(state, &(task.account.clone(), task.webinar.clone())) {
                task.source = to.clone();
                state.fetches.insert(number, task);
            }
        }
        if let Some(source) = state.fetch_sources.remove(from) {
            state.fetch_sources.entry(to.clone()).or_insert(source);
        }
        if let Some(stored) = state.sources.remove(from) {
            state.sources.entry(to.clone()).or_insert(stored);
        }
    }
}

/// The webinars that a source spoke of.
fn held_webinars(state: &State, source: &SourceName) -> Vec<HeldWebinar> {
    let webinars = state.webinars.iter().filter(|(_, row)| row.webinar.sources.contains(source));
    let held = webinars.map(|(key, row)| HeldWebinar {
        key: key.clone(),
        webinar: (*row.webinar).clone(),
        events: state
            .events_of(key)
            .map(|(_, event)| (event.key.external_event_id.clone(), event.facts.ends_at))
            .collect(),
    });
    held.collect()
}

fn rename_account(state: &mut State, from: &AccountName, to: &AccountName) {
    let mut renamed: BTreeMap<WebinarKey, WebinarKey> = BTreeMap::new();
    for key in state.webinars.keys().filter(|key| key.hubspot == *from) {
        let new = WebinarKey { hubspot: to.clone(), ..key.clone() };
        if !state.webinars.contains_key(&new) {
            renamed.insert(key.clone(), new);
        }
    }
    for (old, new) in &renamed {
        if let Some(row) = state.webinars.remove(old) {
            state.webinars.insert(new.clone(), row);
        }
    }
    for event in state.events.values_mut() {
        if let Some(new) = renamed.get(&event.webinar) {
            event.webinar = new.clone();
            event.key.hubspot = to.clone();
        }
    }
    if let Some(status) = state.statuses.remove(from) {
        state.statuses.entry(to.clone()).or_insert(status);
    }
    if let Some(known) = &mut state.accounts {
        known.remove(from);
    }
}
