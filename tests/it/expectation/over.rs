//! When an event ended, and what says so.

use webinar_bridge::event::{
    EndTime, Millis, OccurrenceId, RunChange, RunPhase, Shape, WebinarFields,
};

use super::off;
use super::said::{Said, Statement, own_fields, since};
use super::times::{self, Times};

const MINUTE: i64 = 60_000;
const HALF_A_DAY: i64 = 12 * 60 * MINUTE;
const DAY: i64 = 24 * 60 * MINUTE;

/// The end of an event.
pub(super) struct End {
    pub(super) is_over: bool,
    /// A run has begun, and nobody said that it ended.
    pub(super) has_begun: bool,
    /// The end that HubSpot gets.
    pub(super) shown: Option<Millis>,
    /// The end that decides whether a cancellation came too late (M16).
    pub(super) counts: Option<Millis>,
}

/// The end of the whole event, or of one occurrence.
pub(super) fn end(said: &Said<'_>, id: Option<&OccurrenceId>, times: &Times) -> End {
    let runs = runs(said, id, times);
    let last_run = runs.iter().rev().find(|run| run.value.ended.is_some()).map(|run| run.value);
    // The newest word about whether it is over counts; it is over since the first of its row.
    let mut words = completions(said, id, times);
    words.extend(runs.iter().map(|run| run.with(run.value.ended.is_some())));
    words.sort_by_key(|word| word.place);
    words.dedup_by_key(|word| word.place);
    let over_since = since(&words);
    let is_last_run_over = runs.last().is_some_and(|run| run.value.ended.is_some());
    let actual = runs
        .last()
        .filter(|_| is_last_run_over)
        .and_then(|run| run.value.told_end.map(|at| run.with(EndTime::At(at))));
    let shown = shown_end(times, actual);
    let planned = shown.filter(|_| times.are_known);
    let told = planned.into_iter().chain(over_since.map(|first| first.said_at)).min();
    let day_later = times.start.filter(|_| times.are_known).map(|at| later(at, DAY));
    let counts = last_run.and_then(|run| run.ended).or(told).or(day_later);
    let has_begun = !runs.is_empty() && !is_last_run_over;
    End { is_over: over_since.is_some(), has_begun, shown, counts }
}

/// The newest actual end that fits the start, else the planned end.
fn shown_end(times: &Times, of_run: Option<Statement<EndTime>>) -> Option<Millis> {
    let actual = times.actual.map(|end| end.with(EndTime::At(end.value)));
    let mut ends: Vec<_> = [actual, of_run].into_iter().flatten().collect();
    ends.sort_by_key(|end| std::cmp::Reverse(end.place));
    ends.into_iter().chain(times.planned).find_map(|end| match (end.value, times.start) {
        (EndTime::After(ms), start) => start.map(|at| later(at, i64::try_from(ms).expect("short"))),
        (EndTime::At(at), None) => Some(at),
        (EndTime::At(at), Some(start)) => {
            let is_of_another_date = times.start_place > Some(end.place) && at == start;
            (at >= start && !is_of_another_date).then_some(at)
        }
    })
}

/// A run that counts.
#[derive(Clone, Copy)]
struct Run {
    /// When it ended; none while it goes on.
    ended: Option<Millis>,
    /// Its end, if the platform told it.
    told_end: Option<Millis>,
}

/// The runs of an event that count (M15). A rehearsal ended before the start; after a run that counted, one that begins
/// more than half a day after its end is another's.
fn runs(said: &Said<'_>, id: Option<&OccurrenceId>, times: &Times) -> Vec<Statement<Run>> {
    let since = said.series_since();
    let shape = if since.is_some() { said.former_shape() } else { said.shape() };
    let is_single = matches!(shape, None | Some(Shape::Single));
    if id.is_none() && !is_single {
        return Vec::new();
    }
    // Of what its occurrences replaced, those before that (M27).
    let is_before = |run: &Statement<RunChange>| since.is_none_or(|since| run.place < since);
    let own = |run: &Statement<RunChange>| match id {
        Some(id) => occurrence_of(said, run).as_ref() == Some(id),
        None => is_before(run),
    };
    let mut counting: Vec<Statement<Run>> = Vec::new();
    for run in public_runs(said, own) {
        let RunChange { phase, started_at, ended_at } = run.value;
        let is_ended = phase == RunPhase::Ended;
        let ended = is_ended.then(|| ended_at.unwrap_or(run.said_at));
        let began = started_at.or(ended).unwrap_or(run.said_at);
        let before = counting.iter().rev().find_map(|run| run.value.ended);
        let is_rehearsal =
            ended.zip(times.start).is_some_and(|(ended, start)| later(ended, MINUTE) < start);
        if before.is_some_and(|before| began > later(before, HALF_A_DAY)) {
            continue;
        }
        if is_rehearsal {
            // What began then was the rehearsal.
            counting.pop_if(|last| last.value.ended.is_none());
            continue;
        }
        let value = Run { ended, told_end: ended_at.filter(|_| is_ended) };
        counting.push(run.with(value));
    }
    counting
}

/// The runs for an audience: a practice session takes the start before it with it.
fn public_runs(
    said: &Said<'_>,
    is_own: impl Fn(&Statement<RunChange>) -> bool,
) -> Vec<Statement<RunChange>> {
    let mut public: Vec<Statement<RunChange>> = Vec::new();
    for run in said.statements(|change| change.session).into_iter().filter(is_own) {
        if run.value.phase != RunPhase::Practised {
            public.push(run);
        } else if public.last().is_some_and(|last| last.value.phase == RunPhase::Started) {
            public.pop();
        }
    }
    public
}

/// The occurrence of a run: the nearest within half a day that was not cancelled before.
fn occurrence_of(said: &Said<'_>, run: &Statement<RunChange>) -> Option<OccurrenceId> {
    let began = run.value.started_at.unwrap_or(run.said_at);
    let near = said.occurrences().into_iter().filter_map(|id| {
        let start = said.statements(|change| own_fields(change, id)?.start).last()?.value;
        let distance = (start.get() - began.get()).abs();
        let was_off = off::since_of_occurrence(said, id).is_some_and(|off| off.place < run.place);
        (distance <= HALF_A_DAY && !was_off).then_some((distance, id))
    });
    near.min().map(|(_, id)| id.clone())
}

/// What was said of the completion of an event. One that was said of an earlier date does not count (M15): the present
/// start lies after it, and was first said after it.
fn completions(said: &Said<'_>, id: Option<&OccurrenceId>, times: &Times) -> Vec<Statement<bool>> {
    let mut words = said.statements(|change| {
        let own = id.and_then(|id| own_fields(change, id)?.completed);
        own.or(change.whole.completed)
    });
    if let (None, Some(Shape::Program { one_session })) = (id, said.shape()) {
        words.extend(program(said, one_session, times));
        words.sort_by_key(|word| word.place);
    }
    let is_of_another_date = |word: &Statement<bool>| {
        let after = |at: Option<Millis>| at.is_some_and(|at| at > word.said_at);
        after(times.start) && after(times.start_since)
    };
    words.retain(|word| !word.value || !is_of_another_date(word));
    words
}

/// Whether an event of several sessions is over: all that take place have ended, and the last reaches the last half day.
/// What ended before its start was a rehearsal (M15).
fn program(said: &Said<'_>, one_session: bool, times: &Times) -> Option<Statement<bool>> {
    let last = |id: &OccurrenceId, of: fn(&WebinarFields) -> Option<bool>| {
        said.statements(|change| of(own_fields(change, id)?)).last().copied()
    };
    let mut live = said.occurrences();
    live.retain(|id| !last(id, |fields| fields.cancelled).is_some_and(|off| off.value));
    let start_of = |id: &OccurrenceId| {
        let own = said.statements(|change| own_fields(change, id)?.start);
        own.last().map(|start| start.value).or(times.start)
    };
    let is_held = |id: &OccurrenceId, over: &Statement<bool>| {
        over.value && start_of(id).is_none_or(|start| later(over.said_at, MINUTE) >= start)
    };
    let ended: Vec<Option<Statement<bool>>> = live
        .iter()
        .map(|id| last(id, |fields| fields.completed).filter(|over| is_held(id, over)))
        .collect();
    let newest = ended.iter().flatten().max_by_key(|over| over.place).copied()?;
    if one_session {
        return Some(newest);
    }
    let reached = live.iter().filter_map(|id| times::own_end(said, id)).max();
    let is_day_left = times
        .planned
        .and_then(|end| end.value.for_start(times.start))
        .zip(reached)
        .is_some_and(|(planned, reached)| later(reached, HALF_A_DAY) < planned);
    (ended.iter().all(Option::is_some) && !is_day_left).then_some(newest)
}

fn later(at: Millis, ms: i64) -> Millis {
    Millis::new(at.get() + ms)
}
