//! Derives the events of a webinar. Facts that depend on other state are resolved here, each time afresh.

mod field_origin;
mod folded;
mod resolve;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;

use super::change::{EndTime, Shape};
use super::computed::step_budget;
use super::id::{ExternalAccountId, ExternalEventId, OccurrenceId, WebinarId};
use super::policy::{Policy, RecurringMode};
use super::time::Millis;
use super::webinar::{Webinar, WebinarRun};
use crate::expression::StepBudget;
pub use field_origin::FieldOrigin;
pub use folded::FoldedEvent;
use resolve::{
    Candidate, Resolved, are_times_known, effective_cancellation, ended_long_before, last_run_end,
    last_run_ended, latest, nearest_occurrence, newest_valid_end, public_runs, replace_if_later,
    resolve_occurrence, resolve_occurrence_cancelled, resolve_program_completed, resolve_whole,
    resolve_whole_cancelled,
};
use view::EventView;

/// Derives the webinar's events, sorted by id.
///
/// `now` decides only whether a completion timer has run out.
#[must_use]
pub fn fold(
    webinar: &Webinar,
    account: &ExternalAccountId,
    id: &WebinarId,
    policy: &Policy,
    now: Millis,
) -> Vec<FoldedEvent> {
    fold_lazily(webinar, account, id, policy, now, &mut step_budget()).collect()
}

/// As [`fold()`], one event at a time: each of hundreds of events holds the series' texts, together many megabytes.
/// `steps` is the [`step_budget()`] of all of them.
pub fn fold_lazily<'a>(
    webinar: &'a Webinar,
    account: &'a ExternalAccountId,
    id: &WebinarId,
    policy: &'a Policy,
    now: Millis,
    steps: &'a mut StepBudget,
) -> impl Iterator<Item = FoldedEvent> + use<'a> {
    let mut views = build_views(webinar, id, policy.recurring);
    views.sort_by(|a, b| a.id.cmp(&b.id));
    views.into_iter().map(move |view| view.finish(webinar, account, policy, now, steps))
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
    let mut views = build_views(webinar, id, policy.recurring).into_iter();
    let view = views.find(|view| view.id == *event);
    view.map(|view| view.field_origins(&webinar.origins, policy, now)).unwrap_or_default()
}

/// The resolved values of all events, before policy and expressions.
fn build_views<'a>(
    webinar: &'a Webinar,
    id: &WebinarId,
    recurring: RecurringMode,
) -> Vec<EventView<'a>> {
    let shape = webinar.shape.as_ref().map(|shape| shape.value);
    let mut views = Vec::new();
    match (shape, recurring) {
        (Some(Shape::Series), RecurringMode::Series) => views.push(series_view(webinar, id)),
        (Some(Shape::Series), RecurringMode::Occurrence) => {
            views.extend(occurrence_views(webinar, id));
            if webinar.was_whole {
                views.push(whole_view(webinar, id, true));
            } else if views.is_empty() {
                views.push(EventView { times_known: false, ..whole_view(webinar, id, false) });
            }
        }
        (None | Some(Shape::Program { .. }), _)
        | (Some(Shape::Single | Shape::Timeless), RecurringMode::Series) => {
            views.push(whole_view(webinar, id, false));
        }
        (Some(Shape::Single | Shape::Timeless), RecurringMode::Occurrence) => {
            views.push(whole_view(webinar, id, false));
            views.extend(occurrence_views(webinar, id));
        }
    }
    views
}

/// The event of the whole webinar. If its occurrences have `superseded` it, it is cancelled since the webinar is a
/// series.
fn whole_view<'a>(webinar: &'a Webinar, id: &WebinarId, superseded: bool) -> EventView<'a> {
    let whole = &webinar.whole;
    let shape = webinar.shape.as_ref().map(|shape| shape.value);
    let cancelled = resolve_whole_cancelled(webinar, superseded);
    let runs: Vec<&WebinarRun> = match shape {
        Some(Shape::Single) | None => {
            let runs = webinar.sessions.iter();
            public_runs(runs.filter(|run| !ended_long_before(whole.start.as_ref(), run)))
        }
        // A run of a timeless webinar, or of one session of many, completes only itself.
        Some(Shape::Timeless | Shape::Series | Shape::Program { .. }) => Vec::new(),
    };
    let mut completed = whole.completed.as_ref().map(resolve_whole).map(copied);
    replace_if_later(&mut completed, last_run_ended(&runs));
    if let Some(Shape::Program { one_session }) = shape {
        replace_if_later(&mut completed, resolve_program_completed(webinar, one_session));
    }
    let (start, end) = if shape == Some(Shape::Timeless) {
        (None, None)
    } else {
        let start = whole.start.as_ref().map(resolve_whole).map(copied);
        let actual = whole.actual_end.as_ref().map(resolve_whole);
        let ends = [
            whole.end.as_ref().map(resolve_whole).map(copied),
            actual.map(|end| end.with(EndTime::At(*end.value))),
            last_run_end(&runs),
        ];
        (start, newest_valid_end(start, ends))
    };
    EventView {
        cancelled: effective_cancellation(cancelled, completed, end),
        completed,
        start,
        end,
        ..EventView::from_registers(ExternalEventId::for_webinar(id), None, whole)
    }
}

fn copied<T: Copy>(resolved: Resolved<&T>) -> Resolved<T> {
    resolved.with(*resolved.value)
}

/// The events of all occurrences.
fn occurrence_views<'a>(webinar: &'a Webinar, series: &WebinarId) -> Vec<EventView<'a>> {
    let candidates: Vec<Candidate<'_>> = webinar
        .occurrences
        .iter()
        .map(|(id, own)| Candidate {
            id,
            own,
            cancelled: resolve_occurrence_cancelled(webinar, id, own),
        })
        .collect();
    let mut runs: BTreeMap<&OccurrenceId, Vec<&WebinarRun>> = BTreeMap::new();
    for run in &webinar.sessions {
        if let Some(id) = nearest_occurrence(&candidates, run) {
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

/// The event of one occurrence: its own registers over those of the whole series.
fn occurrence_view<'a>(
    webinar: &'a Webinar,
    series: &WebinarId,
    occurrence: &Candidate<'a>,
    runs: Vec<&WebinarRun>,
) -> EventView<'a> {
    let whole = &webinar.whole;
    let Candidate { id, own, cancelled } = *occurrence;
    let runs = public_runs(runs.into_iter());
    let mut completed = latest(own.completed.as_ref(), whole.completed.as_ref()).map(copied);
    replace_if_later(&mut completed, last_run_ended(&runs));
    // The series' own start is that of its first occurrence; an end at a fixed time does not apply to every occurrence.
    let start = own.start.as_ref().map(resolve_occurrence).map(copied);
    let length = whole.end.as_ref().filter(|r| matches!(r.value, EndTime::After(_)));
    let planned = latest(own.end.as_ref(), length).map(copied);
    let actual = own.actual_end.as_ref().map(resolve_occurrence);
    let actual = actual.map(|end| end.with(EndTime::At(*end.value)));
    let end = newest_valid_end(start, [planned, actual, last_run_end(&runs)]);
    EventView {
        cancelled: effective_cancellation(cancelled, completed, end),
        completed,
        start,
        end,
        times_known: start.is_some() && are_times_known(webinar, own),
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
        start: live.iter().filter_map(|view| view.start).min_by_key(|start| start.value),
        end: live.iter().filter_map(|view| view.end).max_by_key(|end| end.value),
        times_known: !all.is_empty() && live.iter().all(|view| view.times_known),
        ..EventView::from_registers(ExternalEventId::for_webinar(id), None, &webinar.whole)
    }
}
