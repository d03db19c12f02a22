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
        let value = registers.start.as_ref()?.value;
        let all = writes(&registers.earlier_start, registers.start.as_ref()).rev();
        let first = all.take_while(|start| start.value == value).last()?;
        Some(Self { value, since: webinar.told_at(first.stamp, first.receipt) })
    }

    /// Whether what was reported of the webinar then belongs to an earlier date: the start came later, and lies later.
    fn supersedes(&self, told_at: Millis) -> bool {
        self.value > told_at && self.since > told_at
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

/// The outcome of some runs, oldest first, of an event with that start.
///
/// A run that ended before the start was a rehearsal. After a run that counted, one that begins more than half a day
/// after its end is another webinar's, or a test.
pub(super) fn resolve_runs(
    webinar: &Webinar,
    runs: &[&WebinarRun],
    start: Option<PresentStart>,
) -> RunOutcome {
    let mut outcome = RunOutcome::default();
    for run in runs {
        let WebinarRun { stamp, receipt, started_at, ended_at, .. } = **run;
        let told_at = webinar.told_at(stamp, receipt);
        let is_over = run.phase == RunPhase::Ended;
        let end = ended_at.unwrap_or(told_at);
        let began = started_at.unwrap_or(if is_over { end } else { told_at });
        if outcome.ended_at.is_some_and(|before| began > before.plus(MATCHING_SPAN)) {
            continue;
        }
        let was_rehearsal = is_over && start.is_some_and(|start| end.plus(GRACE) < start.value);
        if was_rehearsal {
            continue;
        }
        let counted = Resolved {
            value: is_over,
            stamp,
            receipt,
            // Runs name no occurrence, so their writes are for the whole webinar.
            of_occurrence: false,
        };
        outcome.is_over = Some(counted);
        outcome.has_begun = !is_over;
        outcome.actual_end = None;
        if counted.value {
            outcome.ended_at = Some(end);
            outcome.actual_end = ended_at.map(|end| counted.with(EndTime::At(end)));
        }
    }
    outcome
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
pub(super) fn effective_cancellation(
    webinar: &Webinar,
    cancelled: Option<Resolved<bool>>,
    end: Option<Millis>,
) -> Option<Resolved<bool>> {
    let off = cancelled?;
    let is_late = end.is_some_and(|end| webinar.told_at(off.stamp, off.receipt) > end);
    Some(off.with(off.value && !is_late))
}
