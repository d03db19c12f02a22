//! Resolves facts that depend on the rest of the webinar's state.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::base::{BasePosition, BaseState, EventBases, HELD};
use crate::event::change::{EndTime, RunPhase, Shape};
use crate::event::history::History;
use crate::event::id::{OccurrenceId, ReceiptId};
use crate::event::register::{Register, Stamp};
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar, WebinarRun};

/// A run that names no occurrence belongs to the occurrence with the nearest start within this span. Half a day: the
/// occurrences of a daily series are a day apart.
pub(super) const MATCHING_SPAN: Duration = Duration::from_hours(12);

/// A value with the stamp and receipt of the write that set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolved<T> {
    pub(super) value: T,
    pub(super) stamp: Stamp,
    pub(super) receipt: ReceiptId,
    /// Whether the write was for an occurrence, not for the whole webinar.
    pub(super) of_occurrence: bool,
}

impl<T> Resolved<T> {
    /// Whether it is what HubSpot held when it was read.
    pub(super) fn is_held(&self) -> bool {
        self.receipt == HELD
    }

    /// The same write with another value.
    pub(super) fn with<U>(self, value: U) -> Resolved<U> {
        let Self { stamp, receipt, of_occurrence, .. } = self;
        Resolved { value, stamp, receipt, of_occurrence }
    }
}

/// A register of the whole webinar.
pub(super) fn resolve_whole<T>(register: &Register<T>) -> Resolved<&T> {
    let Register { value, stamp, receipt } = register;
    Resolved { value, stamp: *stamp, receipt: *receipt, of_occurrence: false }
}

/// A register of one occurrence.
pub(super) fn resolve_occurrence<T>(register: &Register<T>) -> Resolved<&T> {
    Resolved { of_occurrence: true, ..resolve_whole(register) }
}

/// The later write of an occurrence and of the whole; of equals the occurrence's, which is more specific.
pub(super) fn latest<'a, T>(
    own: Option<&'a Register<T>>,
    whole: Option<&'a Register<T>>,
) -> Option<Resolved<&'a T>> {
    match (own, whole) {
        (Some(own), Some(whole)) if whole.stamp > own.stamp => Some(resolve_whole(whole)),
        (Some(own), _) => Some(resolve_occurrence(own)),
        (None, whole) => whole.map(resolve_whole),
    }
}

/// The writes of a flag, by the stamp of the write.
pub(super) type FlagsByStamp = BTreeMap<Stamp, Resolved<bool>>;

/// Whether this occurrence is cancelled and since when, by all writes that concern it.
pub(super) fn resolve_occurrence_cancelled(
    webinar: &Webinar,
    id: &OccurrenceId,
    own: &Registers,
) -> Option<Resolved<bool>> {
    let mut flags: FlagsByStamp = writes(&own.earlier_cancelled, own.cancelled.as_ref())
        .map(resolve_occurrence)
        .map(|off| (off.stamp, off.with(*off.value)))
        .collect();
    // A list does not cancel an occurrence that was first reported after it.
    let reported = own.first_reported();
    let counts =
        |absent: bool, stamp: Stamp| !absent || reported.is_none_or(|reported| reported <= stamp);
    for unlisted in writes(&own.earlier_unlisted, own.unlisted.as_ref()) {
        if counts(unlisted.value, unlisted.stamp) {
            let off = resolve_whole(unlisted).with(unlisted.value);
            flags.entry(off.stamp).or_insert(off);
        }
    }
    for list in writes(&webinar.earlier_lists, webinar.full_list.as_ref()) {
        let absent = !list.value.contains(id);
        if counts(absent, list.stamp) {
            flags.entry(list.stamp).or_insert(resolve_whole(list).with(absent));
        }
    }
    // A recovered series does not recover an occurrence that was cancelled on its own.
    for off in trailing_streak(cancellations(&webinar.whole)) {
        flags.entry(off.stamp).or_insert(off);
    }
    let observed = writes(&webinar.earlier_observed, webinar.observed_list.as_ref());
    let observed = observed.map(|list| resolve_whole(list).with(!list.value.contains(id)));
    let absences = absences_of(own).chain(observed);
    let absences: FlagsByStamp = absences
        .filter(|absent| counts(absent.value, absent.stamp))
        .map(|absent| (absent.stamp, absent))
        .collect();
    let others = [
        trailing_streak(absences.values().copied()).last(),
        trailing_streak(absences_of(&webinar.whole)).last(),
        // The events of the other shape are cancelled, whatever is reported of them.
        other_shape_of(webinar, id, own),
    ];
    earliest_reason(webinar, start_of_cancellation(&flags), others)
}

/// The first write of another shape of the webinar than a series, if it is of that now, or was since the occurrence was last
/// named. What HubSpot holds is no such reason.
fn other_shape_of(webinar: &Webinar, id: &OccurrenceId, own: &Registers) -> Option<Resolved<bool>> {
    let history: Vec<Resolved<bool>> = series_history(webinar, false).collect();
    let last = history.iter().rposition(|other| other.value)?;
    let first = trailing_streak(history[..=last].iter().copied()).last()?;
    let is_present = last + 1 == history.len();
    let is_off = is_present
        || !is_held_as_live(own) && !is_named_since(webinar, id, own, history[last].stamp);
    // HubSpot that holds the other shape also holds which of the occurrences are cancelled.
    Some(first).filter(|first| is_off && !first.is_held())
}

/// The last write of another shape than a series.
fn last_other_shape(webinar: &Webinar) -> Option<Stamp> {
    let other = series_history(webinar, false).rev().find(|shape| shape.value);
    other.map(|shape| shape.stamp)
}

/// Whether something was reported of the occurrence, or a list named it, since then.
fn is_named_since(webinar: &Webinar, id: &OccurrenceId, own: &Registers, since: Stamp) -> bool {
    let full = webinar.full_list.as_ref().filter(|list| list.value.contains(id));
    let observed = webinar.observed_list.as_ref().filter(|list| list.value.contains(id));
    let lists = full.map(|list| list.stamp).max(observed.map(|list| list.stamp));
    own.last_named().max(lists).is_some_and(|named| named > since)
}

/// Whether HubSpot holds that the occurrence takes place.
fn is_held_as_live(own: &Registers) -> bool {
    own.cancelled.as_ref().is_some_and(|off| off.receipt == HELD && !off.value)
}

/// Since when this occurrence is cancelled, if it is.
pub(in crate::event) fn occurrence_cancelled_since(
    webinar: &Webinar,
    id: &OccurrenceId,
    own: &Registers,
) -> Option<Millis> {
    let off = resolve_occurrence_cancelled(webinar, id, own)?;
    off.value.then(|| webinar.told_at(off.stamp, off.receipt))
}

/// Whether the event of the whole webinar is cancelled and since when. If its occurrences have `superseded` it, it is
/// cancelled since the webinar is a series.
pub(super) fn resolve_whole_cancelled(
    webinar: &Webinar,
    whole: &Registers,
    superseded: bool,
) -> Option<Resolved<bool>> {
    let flags: FlagsByStamp = cancellations(whole).map(|off| (off.stamp, off)).collect();
    let series = series_since(webinar);
    let absent = trailing_streak(absences_of(&webinar.whole)).last();
    earliest_reason(webinar, start_of_cancellation(&flags), [absent, series.filter(|_| superseded)])
}

/// Since when the webinar is a series, if it is one.
pub(super) fn series_since(webinar: &Webinar) -> Option<Resolved<bool>> {
    trailing_streak(series_history(webinar, true)).last()
}

/// The reason that was reported first: the cancellation, or one of the others. What HubSpot held comes first.
fn earliest_reason<const N: usize>(
    webinar: &Webinar,
    cancelled: Option<Resolved<bool>>,
    others: [Option<Resolved<bool>>; N],
) -> Option<Resolved<bool>> {
    let off = cancelled.filter(|off| off.value).into_iter().chain(others.into_iter().flatten());
    off.min_by_key(|off| (!off.is_held(), webinar.told_at(off.stamp, off.receipt))).or(cancelled)
}

/// Whether each answer of the platform's API lacked the webinar or occurrence, oldest first.
fn absences_of(registers: &Registers) -> impl DoubleEndedIterator<Item = Resolved<bool>> {
    let all = writes(&registers.earlier_absent, registers.absent.as_ref()).map(resolve_whole);
    all.map(|absent| absent.with(*absent.value))
}

/// The newest write. For a cancellation it is the first of an unbroken row: repeating it does not make it newer.
pub(super) fn start_of_streak(flags: &FlagsByStamp) -> Option<Resolved<bool>> {
    let last = flags.values().next_back()?;
    Some(trailing_streak(flags.values().copied()).last().unwrap_or(*last))
}

/// As [`start_of_streak`], but what HubSpot held comes first: nobody knows when it was reported first.
fn start_of_cancellation(flags: &FlagsByStamp) -> Option<Resolved<bool>> {
    let held = trailing_streak(flags.values().copied()).find(Resolved::is_held);
    held.or_else(|| start_of_streak(flags))
}

/// The unbroken row of newest writes that are true, newest first.
pub(super) fn trailing_streak(
    flags: impl DoubleEndedIterator<Item = Resolved<bool>>,
) -> impl Iterator<Item = Resolved<bool>> {
    flags.rev().take_while(|off| off.value)
}

/// All writes of a field, oldest first.
pub(super) fn writes<'a, T>(
    earlier: &'a History<T>,
    last: Option<&'a Register<T>>,
) -> impl DoubleEndedIterator<Item = &'a Register<T>> {
    earlier.iter().chain(last)
}

fn cancellations(whole: &Registers) -> impl DoubleEndedIterator<Item = Resolved<bool>> {
    let all = writes(&whole.earlier_cancelled, whole.cancelled.as_ref());
    all.map(resolve_whole).map(|off| off.with(*off.value))
}

/// Whether each write of the shape made the webinar a series (or, for `series` false, anything else), oldest first.
fn series_history(
    webinar: &Webinar,
    series: bool,
) -> impl DoubleEndedIterator<Item = Resolved<bool>> {
    let all = writes(&webinar.earlier_shapes, webinar.shape.as_ref());
    all.map(resolve_whole).map(move |shape| shape.with((*shape.value == Shape::Series) == series))
}

/// Whether the webinar is a series of which no occurrence is known: of none the start was ever reported, or only of those of
/// an earlier series, or without a list only of such as were cancelled as soon as they were named.
pub(in crate::event) fn lacks_occurrences(webinar: &Webinar) -> bool {
    let is_series = webinar.shape.as_ref().is_some_and(|shape| shape.value == Shape::Series);
    let has_list = webinar.full_list.is_some() || webinar.observed_list.is_some();
    let is_known = |own: &Registers| match (own.first_reported(), first_cancelled(own)) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(reported), Some(off)) => has_list || reported < off,
    };
    let since = last_other_shape(webinar);
    let is_of_this_series = |id: &OccurrenceId, own: &Registers| {
        is_held_as_live(own) || since.is_none_or(|since| is_named_since(webinar, id, own, since))
    };
    let mut all = webinar.occurrences.iter();
    is_series
        && !webinar.has_frozen
        && !all.any(|(id, own)| is_known(own) && is_of_this_series(id, own))
}

/// When the occurrence was first cancelled on its own.
fn first_cancelled(own: &Registers) -> Option<Stamp> {
    let mut all = writes(&own.earlier_cancelled, own.cancelled.as_ref());
    all.find(|off| off.value).map(|off| off.stamp)
}

/// Whether a series may have occurrences that are not known: it was deleted since a copy of the ledger was put back, and no
/// list came since then. HubSpot may hold such as were added after the copy was made.
pub(super) fn may_have_more_occurrences(webinar: &Webinar, bases: &EventBases) -> bool {
    let BaseState::Unread { position: BasePosition::AboveReceipt(last), .. } = bases.of_new_event
    else {
        return false;
    };
    let is_series = webinar.shape.as_ref().is_some_and(|shape| shape.value == Shape::Series);
    let Some(off) = webinar.whole.cancelled.as_ref().filter(|off| off.value && is_series) else {
        return false;
    };
    let full = webinar.full_list.as_ref().map(|list| list.stamp);
    let observed = webinar.observed_list.as_ref().map(|list| list.stamp);
    let is_listed_since = [full, observed].into_iter().flatten().any(|list| list.seq > last);
    let names_its_occurrences = webinar
        .occurrences
        .values()
        .any(|own| own.start.as_ref().is_some_and(|start| start.receipt == off.receipt));
    off.stamp.seq > last && !is_listed_since && !names_its_occurrences
}

/// The shape of a series before it became one.
pub(super) fn former_shape(webinar: &Webinar) -> Shape {
    let mut shapes = webinar.earlier_shapes.iter().rev().map(|shape| shape.value);
    shapes.find(|shape| *shape != Shape::Series).unwrap_or(Shape::Single)
}

/// An occurrence, and whether it is cancelled.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) id: &'a OccurrenceId,
    pub(super) own: &'a Registers,
    pub(super) cancelled: Option<Resolved<bool>>,
}

/// The occurrence that a run belongs to: the one with the nearest start that was not cancelled before the run.
pub(super) fn nearest_occurrence<'a>(
    webinar: &Webinar,
    candidates: &[Candidate<'a>],
    run: &WebinarRun,
) -> Option<&'a OccurrenceId> {
    let began = run.started_at.unwrap_or_else(|| webinar.told_at(run.stamp, run.receipt));
    let was_off = |candidate: &Candidate<'_>| {
        candidate.cancelled.is_some_and(|off| off.value && off.stamp < run.stamp)
    };
    candidates
        .iter()
        .filter(|candidate| !was_off(candidate))
        .filter_map(|candidate| {
            let start = candidate.own.start.as_ref()?;
            Some((start.value.distance(began), candidate.id))
        })
        .filter(|(distance, _)| *distance <= MATCHING_SPAN)
        .min()
        .map(|(_, id)| id)
}

/// Whether an occurrence's times are known: not if the recurrence changed, without a list, after they were reported. Any
/// list that the platform was asked for after that change arrived makes them known again.
pub(super) fn are_times_known(webinar: &Webinar, own: &Registers) -> bool {
    let Some(unknown) = &webinar.times_unknown else { return true };
    let reported = own.start.as_ref().map(|start| start.stamp);
    let listed = webinar.full_list.as_ref().map(|list| list.stamp);
    let changed_at = webinar.origins.get(&unknown.receipt).map(|origin| origin.received_at);
    let asked = webinar.last_asked.zip(changed_at);
    let asked_since = asked.is_some_and(|(list, changed_at)| list.asked_at > changed_at);
    asked_since || reported.max(listed).is_some_and(|reported| reported > unknown.stamp)
}

/// The runs for an audience. A practice session removes the start before it, which does not show that it begins a
/// practice.
pub(super) fn public_runs<'a>(runs: impl Iterator<Item = &'a WebinarRun>) -> Vec<&'a WebinarRun> {
    let mut public: Vec<&WebinarRun> = Vec::new();
    for run in runs {
        match run.phase {
            RunPhase::Started | RunPhase::Ended => public.push(run),
            RunPhase::Practised => {
                public.pop_if(|last| last.phase == RunPhase::Started);
            }
        }
    }
    public
}

/// The newest end that fits the start. A fixed end is outdated if it was reported before the present start and is not
/// after it: it belongs to another date.
pub(super) fn newest_valid_end<const N: usize>(
    start: Option<Resolved<Millis>>,
    mut ends: [Option<Resolved<EndTime>>; N],
) -> Option<Resolved<Millis>> {
    ends.sort_by_key(|end| std::cmp::Reverse(end.map(|end| end.stamp)));
    ends.into_iter().flatten().find_map(|end| {
        let at = end.value.for_start(start.map(|start| start.value))?;
        let outdated = start.is_some_and(|start| match end.value {
            EndTime::At(_) => at < start.value || (end.stamp < start.stamp && at == start.value),
            EndTime::After(_) => false,
        });
        (!outdated).then_some(end.with(at))
    })
}
