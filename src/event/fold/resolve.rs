//! What needs the rest of the webinar to be understood.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::change::{End, Phase, Shape};
use crate::event::id::OccurrenceId;
use crate::event::register::{Register, Stamp};
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Run, Webinar};

/// A run that names no occurrence belongs to the one whose start is nearest, within this span. Half a day: the
/// occurrences of a daily series are a day apart.
const NEAREST: Duration = Duration::from_hours(12);

/// Whether this occurrence is called off and since when, by all sayings on its taking place.
pub(super) fn occurrence_cancelled(
    webinar: &Webinar,
    id: &OccurrenceId,
    own: &Registers,
) -> Option<(Stamp, bool)> {
    let mut said: BTreeMap<Stamp, bool> = said_of(own).collect();
    // A list says nothing of what was first told of after it.
    let told = own.start.as_ref().map(|start| start.stamp);
    let last = webinar.full_list.as_ref().map(|list| (list.stamp, &list.value));
    let lists = webinar.earlier_lists.iter().map(|(stamp, list)| (*stamp, list)).chain(last);
    for (stamp, list) in lists {
        let absent = !list.contains(id);
        if !absent || told.is_none_or(|told| told <= stamp) {
            said.entry(stamp).or_insert(absent);
        }
    }
    // That the series is to take place (again) says nothing of an occurrence that was called off by itself.
    for stamp in standing(said_of(&webinar.whole)).chain(standing(shapes(webinar, false))) {
        said.entry(stamp).or_insert(true);
    }
    since(&said)
}

/// The same of the event of the whole webinar; `superseded` by its occurrences, the webinar's being a series says so too.
pub(super) fn whole_cancelled(webinar: &Webinar, superseded: bool) -> Option<(Stamp, bool)> {
    let mut said: BTreeMap<Stamp, bool> = said_of(&webinar.whole).collect();
    for stamp in standing(shapes(webinar, true)).filter(|_| superseded) {
        said.entry(stamp).or_insert(true);
    }
    since(&said)
}

/// The last saying; of a calling off, the first of those in a row, since saying it again does not make it newer.
fn since(said: &BTreeMap<Stamp, bool>) -> Option<(Stamp, bool)> {
    let (last, off) = said.last_key_value()?;
    let first = standing(said.iter().map(|(stamp, off)| (*stamp, *off))).last();
    Some((first.unwrap_or(*last), *off))
}

/// The times of the sayings that still hold, newest first: those after the last that said otherwise.
fn standing(said: impl DoubleEndedIterator<Item = (Stamp, bool)>) -> impl Iterator<Item = Stamp> {
    said.rev().take_while(|(_, off)| *off).map(|(stamp, _)| stamp)
}

/// What was said on being called off, oldest first.
fn said_of(registers: &Registers) -> impl DoubleEndedIterator<Item = (Stamp, bool)> {
    let last = registers.cancelled.as_ref().map(|r| (r.stamp, r.value));
    registers.earlier_cancelled.iter().copied().chain(last)
}

/// Whether the webinar was said to be a series, or not to be one, oldest first.
fn shapes(webinar: &Webinar, series: bool) -> impl DoubleEndedIterator<Item = (Stamp, bool)> {
    let last = webinar.shape.as_ref().map(|r| (r.stamp, r.value == Shape::Series));
    let all = webinar.earlier_shapes.iter().copied().chain(last);
    all.map(move |(stamp, is_series)| (stamp, is_series == series))
}

/// An occurrence, and whether it is called off.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) id: &'a OccurrenceId,
    pub(super) own: &'a Registers,
    pub(super) cancelled: Option<(Stamp, bool)>,
}

/// The occurrence that a run belongs to: the nearest in time of those that were to take place.
pub(super) fn nearest<'a>(candidates: &[Candidate<'a>], run: &Run) -> Option<&'a OccurrenceId> {
    let began = run.started_at.unwrap_or(run.stamp.at);
    let was_off = |candidate: &Candidate<'_>| {
        candidate.cancelled.is_some_and(|(since, off)| off && since < run.stamp)
    };
    candidates
        .iter()
        .filter(|candidate| !was_off(candidate))
        .filter_map(|candidate| {
            let start = candidate.own.start.as_ref()?;
            Some((start.value.distance(began), candidate.id))
        })
        .filter(|(distance, _)| *distance <= NEAREST)
        .min()
        .map(|(_, id)| id)
}

/// Whether a run of a single webinar was over long before its date: a test, or what was held before the webinar was
/// moved. Neither is the webinar; a run that is late is.
pub(super) fn long_before(start: Option<&Register<Millis>>, run: &Run) -> bool {
    start.zip(run.started_at).is_some_and(|(start, began)| began.plus(NEAREST) < start.value)
}

/// When the last session of a program ended, if it did.
///
/// All known sessions that were not called off have ended, and the last of them reaches the event's last half day:
/// a session of a later day may not be known.
pub(super) fn program_completed(webinar: &Webinar, one_session: bool) -> Option<Stamp> {
    let ended = |own: &Registers| own.completed.as_ref().filter(|r| r.value).map(|r| r.stamp);
    let live = || {
        webinar.occurrences.values().filter(|own| !own.cancelled.as_ref().is_some_and(|r| r.value))
    };
    if one_session {
        return live().filter_map(ended).max();
    }
    let stamps: Option<Vec<Stamp>> = live().map(ended).collect();
    let last = stamps?.into_iter().max()?;
    let planned_end = webinar.whole.end.as_ref().and_then(|r| r.value.for_start(None));
    let last_end =
        live().filter_map(|own| own.end.as_ref().and_then(|r| r.value.for_start(None))).max();
    match (planned_end, last_end) {
        (Some(planned), Some(reached)) if reached.plus(NEAREST) < planned => None,
        _ => Some(last),
    }
}

/// An occurrence's times are known unless the recurrence changed, without a list, after they were told.
pub(super) fn times_known(webinar: &Webinar, own: &Registers) -> bool {
    let Some(unknown) = &webinar.times_unknown else { return true };
    let told = own.start.as_ref().map(|start| start.stamp);
    let listed = webinar.full_list.as_ref().map(|list| list.stamp);
    told.max(listed).is_some_and(|told| told > unknown.stamp)
}

/// A platform is tidied up after the fact: a calling off after the end, or after completion, is not one.
pub(super) fn sent_cancelled(
    cancelled: Option<(Stamp, bool)>,
    completed: Option<(Stamp, bool)>,
    end: Option<Millis>,
) -> bool {
    let Some((stamp, true)) = cancelled else { return false };
    let after_completion = completed.is_some_and(|(over, value)| value && stamp.at > over.at);
    let after_end = end.is_some_and(|end| stamp.at > end);
    !after_completion && !after_end
}

/// Takes the later saying; of equal stamps the one that is there, which is the more specific.
pub(super) fn raise(said: &mut Option<(Stamp, bool)>, other: Option<(Stamp, bool)>) {
    if let Some(other) = other
        && said.is_none_or(|said| other.0 > said.0)
    {
        *said = Some(other);
    }
}

pub(super) fn end_of(register: Option<&Register<End>>) -> Option<(Stamp, End)> {
    register.map(|r| (r.stamp, r.value))
}

pub(super) fn end_of_actual(register: Option<&Register<Millis>>) -> Option<(Stamp, End)> {
    register.map(|r| (r.stamp, End::At(r.value)))
}

/// The runs that were for an audience: a practice session takes the start before it along, which did not say that it was
/// to be practice.
pub(super) fn public<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<&'a Run> {
    let mut public: Vec<&Run> = Vec::new();
    for run in runs {
        match run.phase {
            Phase::Started | Phase::Ended => public.push(run),
            Phase::Practised => {
                public.pop_if(|last| last.phase == Phase::Started);
            }
        }
    }
    public
}

/// The actual end of the last run, unless another began since.
pub(super) fn end_of_runs(runs: &[&Run]) -> Option<(Stamp, End)> {
    let last = runs.last().filter(|run| run.phase == Phase::Ended)?;
    last.ended_at.map(|end| (last.stamp, End::At(end)))
}

/// The newest end that fits the start: a fixed end told before the present start, and not after it, ended another date.
pub(super) fn resolve_end(
    start: Option<&Register<Millis>>,
    mut ends: [Option<(Stamp, End)>; 3],
) -> Option<Millis> {
    ends.sort_by_key(|end| std::cmp::Reverse(end.map(|(stamp, _)| stamp)));
    ends.into_iter().flatten().find_map(|(stamp, end)| {
        let at = end.for_start(start.map(|r| r.value))?;
        let outdated = start.is_some_and(|start| match end {
            End::At(_) => at < start.value || (stamp < start.stamp && at == start.value),
            End::After(_) => false,
        });
        (!outdated).then_some(at)
    })
}
