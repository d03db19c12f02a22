//! Derives the events of a webinar. Facts that depend on other state are resolved here, each time afresh.

mod ending;
mod field_origin;
mod folded;
mod gaps;
mod held_event;
mod resolve;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;

use super::base::{EventBases, HELD, overlay};
use super::change::{EndTime, RunPhase, Shape};
use super::computed::step_budget;
use super::id::{ExternalAccountId, ExternalEventId, OccurrenceId, WebinarId};
use super::policy::{Policy, RecurringMode};
use super::register::Stamp;
use super::time::Millis;
use super::webinar::{Webinar, WebinarRun};
use crate::expression::StepBudget;
pub(super) use ending::LONGEST;
use ending::{
    PresentStart, RunOutcome, does_completion_count, effective_cancellation, end_that_counts,
    resolve_completed, resolve_program_completed, resolve_runs,
};
pub use field_origin::FieldOrigin;
pub use folded::{EventFlags, FoldedEvent};
pub use held_event::{HeldEvent, HeldEvents};
use resolve::{
    Candidate, Resolved, are_times_known, former_shape, latest, may_have_more_occurrences,
    nearest_occurrence, newest_valid_end, public_runs, resolve_occurrence,
    resolve_occurrence_cancelled, resolve_whole, resolve_whole_cancelled, series_since, writes,
};
pub(super) use resolve::{lacks_occurrences, occurrence_cancelled_since};
use view::{EventView, OccurrenceKnowledge};

/// The time at which no completion timer has run out: for a clock that is doubted.
pub const NO_TIMERS: Millis = Millis::new(i64::MIN);

/// Derives the webinar's events, sorted by id.
///
/// `now` decides only whether a completion timer has run out ([`NO_TIMERS`]: none has).
#[must_use]
pub fn fold(
    webinar: &Webinar,
    account: &ExternalAccountId,
    id: &WebinarId,
    policy: &Policy,
    held: &HeldEvents,
    now: Millis,
) -> Vec<FoldedEvent> {
    let bases = EventBases { held: held.clone(), ..EventBases::default() };
    fold_with_bases(webinar, &bases, account, id, policy, now)
}

/// As [`fold()`], with what HubSpot held of the events before.
#[must_use]
pub fn fold_with_bases(
    webinar: &Webinar,
    bases: &EventBases,
    account: &ExternalAccountId,
    id: &WebinarId,
    policy: &Policy,
    now: Millis,
) -> Vec<FoldedEvent> {
    let webinar = overlay(webinar, id, policy.recurring, bases);
    fold_lazily(&webinar, bases, account, id, policy, now, &mut step_budget()).collect()
}

/// As [`fold_with_bases()`], one event at a time: each of hundreds of events holds the series' texts, together many
/// megabytes.
///
/// `webinar` is the [`overlay()`] of it with the same bases. `steps` is the [`step_budget()`] of all events.
pub fn fold_lazily<'a>(
    webinar: &'a Webinar,
    bases: &'a EventBases,
    account: &'a ExternalAccountId,
    id: &WebinarId,
    policy: &'a Policy,
    now: Millis,
    steps: &'a mut StepBudget,
) -> impl Iterator<Item = FoldedEvent> + use<'a> {
    let mut views = build_views(webinar, id, policy.recurring);
    keep_until_replaced(&mut views, webinar, bases, id, policy);
    if policy.recurring == RecurringMode::Occurrence && may_have_more_occurrences(webinar, bases) {
        for view in views.iter_mut().filter(|v| v.occurrences == OccurrenceKnowledge::Known) {
            view.occurrences = OccurrenceKnowledge::Some;
        }
    }
    views.sort_by(|a, b| a.id.cmp(&b.id));
    views.into_iter().map(move |view| view.finish(webinar, bases, account, policy, now, steps))
}

/// The event of the whole stays as long as none of the occurrences that take its place can be sent.
fn keep_until_replaced<'a>(
    views: &mut [EventView<'a>],
    webinar: &'a Webinar,
    bases: &EventBases,
    id: &WebinarId,
    policy: &Policy,
) {
    let is_series = webinar.shape.as_ref().is_some_and(|shape| shape.value == Shape::Series);
    let whole = ExternalEventId::for_webinar(id);
    let Some(place) = views.iter().position(|view| view.id == whole) else { return };
    let is_replaced = is_series
        && policy.recurring == RecurringMode::Occurrence
        && views[place].occurrences == OccurrenceKnowledge::Known;
    let mut occurrences = views.iter().filter(|view| view.id != whole);
    if is_replaced
        && !webinar.has_frozen
        && !occurrences.any(|view| view.can_be_sent(webinar, bases, policy))
    {
        views[place] = former_view(webinar, id, OccurrenceKnowledge::StoodFor);
    }
}

/// The origin of each field of one event, as [`fold()`] resolves it. Values from the configuration have none and are
/// left out.
#[must_use]
pub fn field_origins(
    webinar: &Webinar,
    id: &WebinarId,
    event: &ExternalEventId,
    policy: &Policy,
    now: Millis,
) -> Vec<FieldOrigin> {
    let mut views = build_views(webinar, id, policy.recurring);
    keep_until_replaced(&mut views, webinar, &EventBases::default(), id, policy);
    let view = views.into_iter().find(|view| view.id == *event);
    view.map(|view| view.field_origins(&webinar.origins, policy, now)).unwrap_or_default()
}

/// Whether only the platform knows if and when the webinar takes place.
///
/// Its API did not have it and something is reported of it, its last run ended before the start, or no occurrence of the
/// series is known.
#[must_use]
pub fn is_uncertain(webinar: &Webinar) -> bool {
    let is_absent = webinar.whole.absent.as_ref().is_some_and(|absent| absent.value);
    is_absent || ended_early(webinar) || lacks_occurrences(webinar)
}

/// Whether the last run ended before the start that it belongs to, or belongs to no occurrence: it was a rehearsal, or the
/// start moved and nothing reported it.
fn ended_early(webinar: &Webinar) -> bool {
    let last = public_runs(webinar.sessions.iter()).pop();
    let Some(run) = last.filter(|run| run.phase == RunPhase::Ended) else { return false };
    let registers = match webinar.shape.as_ref().map(|shape| shape.value) {
        Some(Shape::Single) | None => &webinar.whole,
        Some(Shape::Series) => match nearest_occurrence(webinar, &candidates(webinar), run) {
            Some(id) => &webinar.occurrences[id],
            None => return true,
        },
        Some(Shape::Timeless | Shape::Program { .. }) => return false,
    };
    PresentStart::from_registers(webinar, registers)
        .is_some_and(|start| start.is_after(webinar, run))
}

/// The resolved values of all events, before policy and expressions.
fn build_views<'a>(
    webinar: &'a Webinar,
    id: &WebinarId,
    recurring: RecurringMode,
) -> Vec<EventView<'a>> {
    let shape = webinar.shape.as_ref().map(|shape| shape.value);
    let mut views = Vec::new();
    let has_parts = matches!(shape, Some(Shape::Series | Shape::Single | Shape::Timeless));
    if has_parts && recurring == RecurringMode::Occurrence {
        views.extend(occurrence_views(webinar, id));
    }
    let lacks_occurrences = lacks_occurrences(webinar);
    match (shape, recurring) {
        // The webinar keeps the event that it had before it became a series, until an occurrence is known.
        (Some(Shape::Series), _) if lacks_occurrences && webinar.was_whole => {
            views.push(former_view(webinar, id, OccurrenceKnowledge::StoodFor));
        }
        (Some(Shape::Series), RecurringMode::Series) => views.push(series_view(webinar, id)),
        (Some(Shape::Series), RecurringMode::Occurrence) if webinar.was_whole => {
            views.push(whole_view(webinar, id, shape));
        }
        (Some(Shape::Series), RecurringMode::Occurrence) => {
            if views.is_empty() && lacks_occurrences {
                views.push(former_view(webinar, id, OccurrenceKnowledge::Unknown));
            }
        }
        (None | Some(Shape::Single | Shape::Timeless | Shape::Program { .. }), _) => {
            views.push(whole_view(webinar, id, shape));
        }
    }
    views
}

/// The event of a series of which no occurrence is known, as it was before it became a series.
fn former_view<'a>(
    webinar: &'a Webinar,
    id: &WebinarId,
    occurrences: OccurrenceKnowledge,
) -> EventView<'a> {
    EventView { occurrences, ..whole_view(webinar, id, Some(former_shape(webinar))) }
}

/// The event of the whole webinar in that shape. That of a series is superseded by its occurrences: it is cancelled since
/// the webinar is a series.
fn whole_view<'a>(webinar: &'a Webinar, id: &WebinarId, shape: Option<Shape>) -> EventView<'a> {
    let superseded = shape == Some(Shape::Series);
    let replaced = webinar.replaced.as_deref();
    let whole = replaced.unwrap_or(&webinar.whole);
    // What its occurrences replaced stays as it was before that.
    let since = series_since(webinar).filter(|_| superseded).map(|series| series.stamp);
    let is_before = |stamp: Stamp| since.is_none_or(|since| stamp < since);
    let starts = writes(&whole.earlier_start, whole.start.as_ref());
    let start = starts.rev().find(|start| is_before(start.stamp) || start.receipt == HELD);
    let start = start.or(whole.start.as_ref());
    let present = start.and_then(|start| PresentStart::since_first_report(webinar, whole, start));
    let present = present.filter(|_| shape != Some(Shape::Timeless));
    let own_shape = if superseded { Some(former_shape(webinar)) } else { shape };
    let runs = match own_shape {
        Some(Shape::Single) | None => {
            let own = webinar.sessions.iter().filter(|run| is_before(run.stamp));
            resolve_runs(webinar, &public_runs(own), present)
        }
        // A run of a timeless webinar, or of one session of many, completes only itself.
        Some(Shape::Timeless | Shape::Series | Shape::Program { .. }) => RunOutcome::default(),
    };
    let program = match shape {
        Some(Shape::Program { one_session }) => {
            resolve_program_completed(webinar, one_session, present)
        }
        Some(Shape::Single | Shape::Series | Shape::Timeless) | None => None,
    };
    let program = program.filter(|over| does_completion_count(webinar, *over, present));
    let completed = resolve_completed(webinar, replaced, present, [program, runs.is_over]);
    let (start, end) = if shape == Some(Shape::Timeless) {
        (None, None)
    } else {
        let start = start.map(resolve_whole).map(copied);
        let actual = whole.actual_end.as_ref().map(resolve_whole);
        (start, resolve_end(start, whole.end.as_ref().map(resolve_whole), actual, runs))
    };
    let planned = (start.map(|start| start.value), end.map(|end| end.value));
    let over_at = end_that_counts(webinar, runs, completed, Some(planned));
    let cancelled = resolve_whole_cancelled(webinar, whole, superseded);
    EventView {
        cancelled: effective_cancellation(webinar, cancelled, over_at),
        completed,
        has_begun: runs.has_begun,
        begun: start.filter(|_| runs.has_begun),
        start,
        end,
        ..EventView::from_registers(ExternalEventId::for_webinar(id), None, whole)
    }
}

/// The end of an event with that start. The actual end lies above the planned one, however often that is reported again:
/// answers of APIs show the plan of what is over, too. The end that HubSpot held may be either, so it lies among the actual
/// ones.
fn resolve_end(
    start: Option<Resolved<Millis>>,
    planned: Option<Resolved<&EndTime>>,
    actual: Option<Resolved<&Millis>>,
    runs: RunOutcome,
) -> Option<Resolved<Millis>> {
    let actual = actual.map(|end| end.with(EndTime::At(*end.value)));
    let planned = planned.map(copied);
    let held = planned.filter(Resolved::is_held);
    newest_valid_end(start, [actual, runs.actual_end, held])
        .or_else(|| newest_valid_end(start, [planned]))
}

fn copied<T: Copy>(resolved: Resolved<&T>) -> Resolved<T> {
    resolved.with(*resolved.value)
}

/// The events of all occurrences.
fn occurrence_views<'a>(webinar: &'a Webinar, series: &WebinarId) -> Vec<EventView<'a>> {
    let candidates = candidates(webinar);
    let mut runs: BTreeMap<&OccurrenceId, Vec<&WebinarRun>> = BTreeMap::new();
    for run in &webinar.sessions {
        if let Some(id) = nearest_occurrence(webinar, &candidates, run) {
            runs.entry(id).or_default().push(run);
        }
    }
    candidates
        .iter()
        .map(|candidate| {
            let runs = runs.remove(candidate.id).unwrap_or_default();
            occurrence_view(webinar, series, candidate, runs)
        })
        .collect()
}

/// All occurrences, with whether each is cancelled.
fn candidates(webinar: &Webinar) -> Vec<Candidate<'_>> {
    let all = webinar.occurrences.iter().map(|(id, own)| Candidate {
        id,
        own,
        cancelled: resolve_occurrence_cancelled(webinar, id, own),
    });
    all.collect()
}

/// The event of one occurrence: its own registers over those of the whole series.
fn occurrence_view<'a>(
    webinar: &'a Webinar,
    series: &WebinarId,
    occurrence: &Candidate<'a>,
    runs: Vec<&WebinarRun>,
) -> EventView<'a> {
    let whole = &webinar.whole;
    let Candidate { id, own, cancelled } = *occurrence;
    let present = PresentStart::from_registers(webinar, own);
    let runs = resolve_runs(webinar, &public_runs(runs.into_iter()), present);
    let completed = resolve_completed(webinar, Some(own), present, [None, runs.is_over]);
    // The series' own start is that of its first occurrence; an end at a fixed time does not apply to every occurrence.
    let start = own.start.as_ref().map(resolve_occurrence).map(copied);
    let length = whole.end.as_ref().filter(|r| matches!(r.value, EndTime::After(_)));
    let actual = own.actual_end.as_ref().map(resolve_occurrence);
    let end = resolve_end(start, latest(own.end.as_ref(), length), actual, runs);
    let times_known = start.is_some() && are_times_known(webinar, own);
    let planned = (start.map(|start| start.value), end.map(|end| end.value));
    let over_at = end_that_counts(webinar, runs, completed, times_known.then_some(planned));
    EventView {
        cancelled: effective_cancellation(webinar, cancelled, over_at),
        completed,
        has_begun: runs.has_begun,
        begun: start.filter(|_| runs.has_begun),
        start,
        end,
        times_known,
        ..EventView::from_registers(ExternalEventId::for_occurrence(series, id), Some(own), whole)
    }
}

/// One event for a whole series: it spans the first to the last occurrence and is completed with the last.
fn series_view<'a>(webinar: &'a Webinar, id: &WebinarId) -> EventView<'a> {
    let all = occurrence_views(webinar, id);
    let mut live: Vec<&EventView<'_>> = all.iter().filter(|view| !view.is_cancelled()).collect();
    let none_left = live.is_empty();
    if none_left {
        live = all.iter().collect();
    }
    let at = |time: Option<Resolved<Millis>>| time.map(|time| time.value);
    let last = live.iter().max_by(|a, b| (at(a.start), &a.id).cmp(&(at(b.start), &b.id)));
    let whole_off = webinar.whole.cancelled.as_ref().map(resolve_whole).map(copied);
    // Cancelled with the last occurrence.
    let last_off = live.iter().filter_map(|view| view.cancelled).max_by_key(|off| off.stamp);
    EventView {
        cancelled: if all.is_empty() { whole_off } else { last_off },
        completed: last.and_then(|view| view.completed),
        has_begun: last.is_some_and(|view| view.has_begun),
        begun: last.and_then(|view| view.begun),
        start: live.iter().filter_map(|view| view.start).min_by_key(|start| start.value),
        end: live.iter().filter_map(|view| view.end).max_by_key(|end| end.value),
        times_known: live.iter().all(|view| view.times_known),
        occurrences: if all.is_empty() {
            OccurrenceKnowledge::Unknown
        } else {
            OccurrenceKnowledge::Known
        },
        ..EventView::from_registers(ExternalEventId::for_webinar(id), None, &webinar.whole)
    }
}
