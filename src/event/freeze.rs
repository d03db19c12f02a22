//! Occurrences that leave the state of a series: nothing reported of the whole changes them any more. Their events stay as
//! they are.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use super::change::{Change, EndTime, OccurrenceListing, WebinarFields};
use super::fold::{LONGEST, occurrence_cancelled_since};
use super::id::OccurrenceId;
use super::policy::RecurringMode;
use super::registers::Registers;
use super::time::Millis;
use super::webinar::{OCCURRENCES_MAX, Webinar};

/// How long after its end an occurrence leaves the state.
const FREEZE_AFTER: Duration = Duration::from_hours(30 * 24);

impl Webinar {
    /// Takes out the occurrences that ended long before a change, which arrived then, and, where the change would bring
    /// too many, those that were cancelled longest ago. Answers their ids. Where the whole series is one event, only the
    /// latter go: the event spans all others. While our clock `is_doubted`, it alone ends none (M10). Those `awaited` by a
    /// timer stay until it has run.
    pub fn freeze_for(
        &mut self,
        change: &Change,
        (received_at, is_doubted): (Millis, bool),
        recurring: RecurringMode,
        awaited: &BTreeSet<OccurrenceId>,
    ) -> Vec<OccurrenceId> {
        if self.occurrences.is_empty() {
            return Vec::new();
        }
        let named: BTreeSet<&OccurrenceId> = change.occurrences.iter().map(|own| &own.id).collect();
        // The earlier of both clocks: one that is ahead must not end what is still to come.
        let own = change.occurred_at.map(|at| at.min(received_at));
        let reported_at = own.or((!is_doubted).then_some(received_at));
        let horizon = reported_at.map(|at| at.minus(FREEZE_AFTER));
        let unnamed = self.occurrences.iter().filter(|(id, _)| !named.contains(id));
        let unnamed = unnamed.filter(|(id, _)| !awaited.contains(*id));
        let is_over = |own: &Registers| {
            recurring == RecurringMode::Occurrence
                && self.end_of(own).zip(horizon).is_some_and(|(end, horizon)| end < horizon)
        };
        let over = unnamed.clone().filter(|(_, own)| is_over(own)).map(|(id, _)| id.clone());
        let mut frozen: Vec<OccurrenceId> = over.collect();
        let new = named.iter().filter(|id| !self.occurrences.contains_key(**id)).count();
        let beyond = (self.occurrences.len() - frozen.len() + new).saturating_sub(OCCURRENCES_MAX);
        if beyond > 0 {
            let live = unnamed.filter(|(_, own)| !is_over(own));
            let cancelled = live.filter_map(|(id, own)| {
                Some((occurrence_cancelled_since(self, id, own)?, id.clone()))
            });
            let mut cancelled: Vec<_> = cancelled.collect();
            cancelled.sort();
            frozen.extend(cancelled.into_iter().take(beyond).map(|(_, id)| id));
        }
        self.occurrences.retain(|id, _| !frozen.contains(id));
        self.has_frozen |= !frozen.is_empty();
        frozen
    }

    /// The end of an occurrence as far as it is known.
    pub(super) fn end_of(&self, own: &Registers) -> Option<Millis> {
        let start = own.start.as_ref()?.value;
        let length = self.whole.end.as_ref().map(|end| end.value);
        let length = length.filter(|end| matches!(end, EndTime::After(_)));
        let end = own.end.as_ref().map(|end| end.value).or(length);
        let planned = end.and_then(|end| end.for_start(Some(start)));
        let actual = own.actual_end.as_ref().map(|end| end.value);
        planned.max(actual).or(Some(start.plus(LONGEST)))
    }
}

/// The frozen occurrences that a change, of which [`pass_by_frozen`] left these, names again.
pub fn woken<'a>(
    change: &'a Change,
    frozen: &'a BTreeSet<OccurrenceId>,
) -> impl Iterator<Item = &'a OccurrenceId> {
    change.occurrences.iter().map(|own| &own.id).filter(|id| frozen.contains(*id))
}

/// A change without its reports of frozen occurrences, unless it is about these alone.
#[must_use]
pub fn pass_by_frozen<'a>(change: &'a Change, frozen: &BTreeSet<OccurrenceId>) -> Cow<'a, Change> {
    let is_about_whole =
        change.listing != OccurrenceListing::Partial || change.whole != WebinarFields::default();
    if is_about_whole { without_frozen(change, frozen) } else { Cow::Borrowed(change) }
}

/// A change without its reports of frozen occurrences.
#[must_use]
pub fn without_frozen<'a>(change: &'a Change, frozen: &BTreeSet<OccurrenceId>) -> Cow<'a, Change> {
    if !change.occurrences.iter().any(|own| frozen.contains(&own.id)) {
        return Cow::Borrowed(change);
    }
    let mut rest = change.clone();
    rest.occurrences.retain(|own| !frozen.contains(&own.id));
    Cow::Owned(rest)
}

#[cfg(test)]
mod tests;
