//! What needs the rest of the webinar to be understood.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::change::{EndTime, RunPhase, Shape};
use crate::event::id::{OccurrenceId, ReceiptId};
use crate::event::register::{Register, Stamp};
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar, WebinarRun};

/// A run that names no occurrence belongs to the one whose start is nearest, within this span. Half a day: the
/// occurrences of a daily series are a day apart.
const MATCHING_SPAN: Duration = Duration::from_hours(12);

/// A value with the saying that it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolved<T> {
    pub(super) value: T,
    pub(super) stamp: Stamp,
    pub(super) receipt: ReceiptId,
    /// Whether it was said of an occurrence, not of the whole.
    pub(super) from_occurrence: bool,
}

impl<T> Resolved<T> {
    /// The same saying taken for this.
    pub(super) fn with<U>(self, value: U) -> Resolved<U> {
        let Self { stamp, receipt, from_occurrence: of_occurrence, .. } = self;
        Resolved { value, stamp, receipt, from_occurrence: of_occurrence }
    }
}

/// What was said of the whole.
pub(super) fn resolve_whole<T>(register: &Register<T>) -> Resolved<&T> {
    let Register { value, stamp, receipt } = register;
    Resolved { value, stamp: *stamp, receipt: *receipt, from_occurrence: false }
}

/// What was said of one occurrence.
pub(super) fn resolve_occurrence<T>(register: &Register<T>) -> Resolved<&T> {
    Resolved { from_occurrence: true, ..resolve_whole(register) }
}

/// The later of what was said of an occurrence and of the whole; of equals the first, the more specific.
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

/// What was said on being called off, or on another thing that calls off, each at its time.
type FlagsByStamp = BTreeMap<Stamp, Resolved<bool>>;

/// Whether this occurrence is called off and since when, by all sayings on its taking place.
pub(super) fn resolve_occurrence_cancelled(
    webinar: &Webinar,
    id: &OccurrenceId,
    own: &Registers,
) -> Option<Resolved<bool>> {
    let mut said: FlagsByStamp = cancellations(own)
        .map(resolve_occurrence)
        .map(|off| (off.stamp, off.with(*off.value)))
        .collect();
    // A list says nothing of what was first told of after it.
    let told = own.start.as_ref().map(|start| start.stamp);
    for list in webinar.earlier_lists.iter().chain(&webinar.full_list) {
        let absent = !list.value.contains(id);
        if !absent || told.is_none_or(|told| told <= list.stamp) {
            said.entry(list.stamp).or_insert(resolve_whole(list).with(absent));
        }
    }
    // That the series is to take place (again) says nothing of an occurrence that was called off by itself.
    for off in trailing_streak(whole_cancellations(webinar))
        .chain(trailing_streak(series_history(webinar, false)))
    {
        said.entry(off.stamp).or_insert(off);
    }
    start_of_streak(&said)
}

/// The same of the event of the whole webinar; `superseded` by its occurrences, the webinar's being a series says so too.
pub(super) fn resolve_whole_cancelled(
    webinar: &Webinar,
    superseded: bool,
) -> Option<Resolved<bool>> {
    let mut said: FlagsByStamp = whole_cancellations(webinar).map(|off| (off.stamp, off)).collect();
    for off in trailing_streak(series_history(webinar, true)).filter(|_| superseded) {
        said.entry(off.stamp).or_insert(off);
    }
    start_of_streak(&said)
}

/// The last saying; of a calling off, the first of those in a row, since saying it again does not make it newer.
fn start_of_streak(said: &FlagsByStamp) -> Option<Resolved<bool>> {
    let last = said.values().next_back()?;
    Some(trailing_streak(said.values().copied()).last().unwrap_or(*last))
}

/// The sayings that still hold, newest first: those after the last that said otherwise.
fn trailing_streak(
    said: impl DoubleEndedIterator<Item = Resolved<bool>>,
) -> impl Iterator<Item = Resolved<bool>> {
    said.rev().take_while(|off| off.value)
}

/// What was said on being called off, oldest first.
fn cancellations(registers: &Registers) -> impl DoubleEndedIterator<Item = &Register<bool>> {
    registers.earlier_cancelled.iter().chain(&registers.cancelled)
}

fn whole_cancellations(webinar: &Webinar) -> impl DoubleEndedIterator<Item = Resolved<bool>> {
    cancellations(&webinar.whole).map(resolve_whole).map(|off| off.with(*off.value))
}

/// Whether the webinar was said to be a series, or not to be one, oldest first.
fn series_history(
    webinar: &Webinar,
    series: bool,
) -> impl DoubleEndedIterator<Item = Resolved<bool>> {
    let all = webinar.earlier_shapes.iter().chain(&webinar.shape);
    all.map(resolve_whole).map(move |shape| shape.with((*shape.value == Shape::Series) == series))
}

/// An occurrence, and whether it is called off.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) id: &'a OccurrenceId,
    pub(super) own: &'a Registers,
    pub(super) cancelled: Option<Resolved<bool>>,
}

/// The occurrence that a run belongs to: the nearest in time of those that were to take place.
pub(super) fn nearest_occurrence<'a>(
    candidates: &[Candidate<'a>],
    run: &WebinarRun,
) -> Option<&'a OccurrenceId> {
    let began = run.started_at.unwrap_or(run.stamp.at);
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

/// Whether a run of a single webinar was over long before its date: a test, or what was held before the webinar was
/// moved. Neither is the webinar; a run that is late is.
pub(super) fn ended_long_before(start: Option<&Register<Millis>>, run: &WebinarRun) -> bool {
    start.zip(run.started_at).is_some_and(|(start, began)| began.plus(MATCHING_SPAN) < start.value)
}

/// When the last session of a program ended, if it did.
///
/// All known sessions that were not called off have ended, and the last of them reaches the event's last half day:
/// a session of a later day may not be known.
pub(super) fn resolve_program_completed(
    webinar: &Webinar,
    one_session: bool,
) -> Option<Resolved<bool>> {
    fn ended(own: &Registers) -> Option<Resolved<bool>> {
        let completed = own.completed.as_ref().map(resolve_occurrence)?;
        Some(completed.with(*completed.value)).filter(|completed| completed.value)
    }
    let live = || {
        webinar.occurrences.values().filter(|own| !own.cancelled.as_ref().is_some_and(|r| r.value))
    };
    if one_session {
        return live().filter_map(ended).max_by_key(|completed| completed.stamp);
    }
    let all: Option<Vec<Resolved<bool>>> = live().map(ended).collect();
    let last = all?.into_iter().max_by_key(|completed| completed.stamp)?;
    let planned_end = webinar.whole.end.as_ref().and_then(|r| r.value.for_start(None));
    let last_end =
        live().filter_map(|own| own.end.as_ref().and_then(|r| r.value.for_start(None))).max();
    match (planned_end, last_end) {
        (Some(planned), Some(reached)) if reached.plus(MATCHING_SPAN) < planned => None,
        _ => Some(last),
    }
}

/// An occurrence's times are known unless the recurrence changed, without a list, after they were told.
pub(super) fn are_times_known(webinar: &Webinar, own: &Registers) -> bool {
    let Some(unknown) = &webinar.times_unknown else { return true };
    let told = own.start.as_ref().map(|start| start.stamp);
    let listed = webinar.full_list.as_ref().map(|list| list.stamp);
    told.max(listed).is_some_and(|told| told > unknown.stamp)
}

/// A platform is tidied up after the fact: a calling off after the end, or after completion, is not one.
pub(super) fn effective_cancellation(
    cancelled: Option<Resolved<bool>>,
    completed: Option<Resolved<bool>>,
    end: Option<Resolved<Millis>>,
) -> Option<Resolved<bool>> {
    let off = cancelled?;
    let after_completion = completed.is_some_and(|over| over.value && off.stamp.at > over.stamp.at);
    let after_end = end.is_some_and(|end| off.stamp.at > end.value);
    Some(off.with(off.value && !after_completion && !after_end))
}

/// Takes the later saying; of equal stamps the one that is there, which is the more specific.
pub(super) fn replace_if_later(said: &mut Option<Resolved<bool>>, other: Option<Resolved<bool>>) {
    if let Some(other) = other
        && said.is_none_or(|said| other.stamp > said.stamp)
    {
        *said = Some(other);
    }
}

/// The runs that were for an audience: a practice session takes the start before it along, which did not say that it was
/// to be practice.
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

/// Whether the last run is over, if there was one. Runs name no occurrence, so they are said of the whole.
pub(super) fn last_run_ended(runs: &[&WebinarRun]) -> Option<Resolved<bool>> {
    let run = runs.last()?;
    let WebinarRun { stamp, receipt, .. } = **run;
    let value = run.phase == RunPhase::Ended;
    Some(Resolved { value, stamp, receipt, from_occurrence: false })
}

/// The actual end of the last run, unless another began since.
pub(super) fn last_run_end(runs: &[&WebinarRun]) -> Option<Resolved<EndTime>> {
    let over = last_run_ended(runs).filter(|over| over.value)?;
    runs.last()?.ended_at.map(|end| over.with(EndTime::At(end)))
}

/// The newest end that fits the start: a fixed end told before the present start, and not after it, ended another date.
pub(super) fn newest_valid_end(
    start: Option<Resolved<Millis>>,
    mut ends: [Option<Resolved<EndTime>>; 3],
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
