//! When an event is over: its runs, what reports it as completed, and the end that counts.

use std::time::Duration;

use super::resolve::{
    FlagsByStamp, MATCHING_SPAN, Resolved, resolve_occurrence, resolve_whole, start_of_streak,
    writes,
};
use crate::event::change::{EndTime, RunPhase};
use crate::event::register::Register;
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar, WebinarRun};

/// A run that ends this long before the start still completes the event: people begin and end a little early.
const GRACE: Duration = Duration::from_mins(1);
/// A webinar without any known end is over this long after its start.
pub(in crate::event) const LONGEST: Duration = Duration::from_hours(24);

/// The present start, and since when it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct PresentStart {
    value: Millis,
    since: Millis,
}

impl PresentStart {
    /// The start in some registers. It is as old as the first of its unbroken row of equal reports.
    pub(super) fn from_registers(webinar: &Webinar, registers: &Registers) -> Option<Self> {
        let last = registers.start.as_ref()?;
        Self::since_first_report(webinar, registers, last)
    }

    /// As [`Self::from_registers`], where that write of the start counts and none after it.
    pub(super) fn since_first_report(
        webinar: &Webinar,
        registers: &Registers,
        last: &Register<Millis>,
    ) -> Option<Self> {
        let all = writes(&registers.earlier_start, registers.start.as_ref()).rev();
        let until_then = all.filter(|start| start.stamp <= last.stamp);
        let first = until_then.take_while(|start| start.value == last.value).last()?;
        Some(Self { value: last.value, since: webinar.told_at(first.stamp, first.receipt) })
    }

    /// Whether what was reported of the webinar then belongs to an earlier date: the start came later, and lies later.
    fn supersedes(&self, told_at: Millis) -> bool {
        self.value > told_at && self.since > told_at
    }

    /// Whether what ended then was a rehearsal: it was over before the start.
    fn is_after_end(&self, ended_at: Millis) -> bool {
        ended_at.plus(GRACE) < self.value
    }

    /// Whether the run, which ended, was a rehearsal.
    pub(super) fn is_after(&self, webinar: &Webinar, run: &WebinarRun) -> bool {
        let reported = || webinar.told_at(run.stamp, run.receipt);
        self.is_after_end(run.ended_at.unwrap_or_else(reported))
    }
}

/// The outcome of an event's runs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunOutcome {
    /// Whether the last run is over; none without one that counts or goes on.
    pub(super) is_over: Option<Resolved<bool>>,
    /// The actual end of that run, if it is over and reported one.
    pub(super) actual_end: Option<Resolved<EndTime>>,
    /// Whether the last run has begun, and nobody reported that it ended.
    pub(super) has_begun: bool,
    /// When the last run that counts was over.
    ended_at: Option<Millis>,
}

/// A run that counts.
struct CountedRun {
    /// Whether it is over.
    is_over: Resolved<bool>,
    /// When it was over, if it is.
    ended_at: Option<Millis>,
    /// Its actual end, if that was reported.
    actual_end: Option<Millis>,
}

/// The outcome of some runs, oldest first, of an event with that start.
///
/// A run that ended before the start was a rehearsal. After a run that counted, one that begins more than half a day
/// after its end is another webinar's, or a test.
pub(super) fn resolve_runs(
    webinar: &Webinar,
    runs: &[&WebinarRun],
    start: Option<PresentStart>,
) -> RunOutcome {
    let mut counted: Vec<CountedRun> = Vec::new();
    let last_end = |counted: &[CountedRun]| counted.iter().rev().find_map(|run| run.ended_at);
    for run in runs {
        let WebinarRun { stamp, receipt, started_at, ended_at, .. } = **run;
        let told_at = webinar.told_at(stamp, receipt);
        let is_over = run.phase == RunPhase::Ended;
        let end = is_over.then(|| ended_at.unwrap_or(told_at));
        let began = started_at.or(end).unwrap_or(told_at);
        if last_end(&counted).is_some_and(|before| began > before.plus(MATCHING_SPAN)) {
            continue;
        }
        if is_over && start.is_some_and(|start| start.is_after(webinar, run)) {
            // With a rehearsal its beginning is forgotten.
            counted.pop_if(|last| last.ended_at.is_none());
            continue;
        }
        counted.push(CountedRun {
            // Runs name no occurrence, so their writes are for the whole webinar.
            is_over: Resolved { value: is_over, stamp, receipt, of_occurrence: false },
            ended_at: end,
            actual_end: ended_at.filter(|_| is_over),
        });
    }
    let ended_at = last_end(&counted);
    let Some(last) = counted.pop() else { return RunOutcome::default() };
    RunOutcome {
        is_over: Some(last.is_over),
        actual_end: last.actual_end.map(|end| last.is_over.with(EndTime::At(end))),
        has_begun: last.ended_at.is_none(),
        ended_at,
    }
}

/// Whether the event is completed: the newest report of it, and the first of its unbroken row. A completion of an
/// earlier date does not count. `others` are what runs and sessions say.
pub(super) fn resolve_completed(
    webinar: &Webinar,
    own: Option<&Registers>,
    start: Option<PresentStart>,
    others: [Option<Resolved<bool>>; 2],
) -> Option<Resolved<bool>> {
    let mut words = FlagsByStamp::new();
    for own in own.into_iter().flat_map(completions).map(resolve_occurrence) {
        words.insert(own.stamp, own.with(*own.value));
    }
    for whole in completions(&webinar.whole).map(resolve_whole) {
        words.entry(whole.stamp).or_insert(whole.with(*whole.value));
    }
    words.retain(|_, over| !over.value || does_completion_count(webinar, *over, start));
    for other in others.into_iter().flatten() {
        words.entry(other.stamp).or_insert(other);
    }
    start_of_streak(&words)
}

fn completions(registers: &Registers) -> impl Iterator<Item = &Register<bool>> {
    writes(&registers.earlier_completed, registers.completed.as_ref())
}

/// Whether a completion was reported of the present date.
pub(super) fn does_completion_count(
    webinar: &Webinar,
    over: Resolved<bool>,
    start: Option<PresentStart>,
) -> bool {
    let told_at = webinar.told_at(over.stamp, over.receipt);
    !start.is_some_and(|start| start.supersedes(told_at))
}

/// Whether a program is completed: all known sessions that are not cancelled have ended, and the last of them reaches
/// the last half day of the event. A session of a later day may not be known yet. A session that ended before its start,
/// or before that of the event where its own is unknown, was rehearsed.
pub(super) fn resolve_program_completed(
    webinar: &Webinar,
    one_session: bool,
    start: Option<PresentStart>,
) -> Option<Resolved<bool>> {
    let ended = |own: &Registers| {
        let completed = own.completed.as_ref().map(resolve_occurrence)?;
        let completed = completed.with(*completed.value);
        let ended_at = webinar.told_at(completed.stamp, completed.receipt);
        let start = PresentStart::from_registers(webinar, own).or(start);
        let was_rehearsal = start.is_some_and(|start| start.is_after_end(ended_at));
        Some(completed).filter(|completed| completed.value && !was_rehearsal)
    };
    let live = || {
        webinar.occurrences.values().filter(|own| !own.cancelled.as_ref().is_some_and(|r| r.value))
    };
    if one_session {
        return live().filter_map(ended).max_by_key(|completed| completed.stamp);
    }
    let all: Option<Vec<Resolved<bool>>> = live().map(ended).collect();
    let last = all?.into_iter().max_by_key(|completed| completed.stamp)?;
    let end_of = |registers: &Registers| {
        let start = registers.start.as_ref().map(|start| start.value);
        registers.end.as_ref().and_then(|end| end.value.for_start(start))
    };
    let planned_end = end_of(&webinar.whole);
    let last_end = live().filter_map(end_of).max();
    match (planned_end, last_end) {
        (Some(planned), Some(reached)) if reached.plus(MATCHING_SPAN) < planned => None,
        _ => Some(last),
    }
}

/// The end that decides whether a cancellation came too late: that of the last run that counts, else the planned end or
/// the moment of a completion, whichever is earlier, else a day after the start. Planned times count only while they
/// are known.
pub(super) fn end_that_counts(
    webinar: &Webinar,
    runs: RunOutcome,
    completed: Option<Resolved<bool>>,
    planned: Option<(Option<Millis>, Option<Millis>)>,
) -> Option<Millis> {
    let completed = completed.filter(|over| over.value);
    let completed = completed.map(|over| webinar.told_at(over.stamp, over.receipt));
    let (start, end) = planned.unwrap_or_default();
    let reported = end.into_iter().chain(completed).min();
    runs.ended_at.or(reported).or_else(|| start.map(|start| start.plus(LONGEST)))
}

/// Ignores a cancellation that was first reported after the end that counts: people tidy up their platform after the fact.
/// One that HubSpot held was in time (M20).
pub(super) fn effective_cancellation(
    webinar: &Webinar,
    cancelled: Option<Resolved<bool>>,
    end: Option<Millis>,
) -> Option<Resolved<bool>> {
    let off = cancelled?;
    let is_late =
        !off.is_held() && end.is_some_and(|end| webinar.told_at(off.stamp, off.receipt) > end);
    Some(off.with(off.value && !is_late))
}
