//! When an event takes place.

use webinar_bridge::event::{
    EndTime, Millis, OccurrenceId, OccurrenceListing, Shape, WebinarFields,
};

use super::said::{Place, Said, Statement, own_fields};

/// The planned times of an event.
pub(super) struct Times {
    pub(super) start: Option<Millis>,
    /// Where the present start was said last.
    pub(super) start_place: Option<Place>,
    /// When the present start was first said: the first of its unbroken row.
    pub(super) start_since: Option<Millis>,
    /// The newest planned end.
    pub(super) planned: Option<Statement<EndTime>>,
    /// The newest actual end.
    pub(super) actual: Option<Statement<Millis>>,
    pub(super) are_known: bool,
}

pub(super) fn of_whole(said: &Said<'_>) -> Times {
    if said.shape() == Some(Shape::Timeless) {
        let (start, start_place, start_since, planned, actual) = Default::default();
        return Times { start, start_place, start_since, planned, actual, are_known: true };
    }
    let mut starts = said.statements(|change| change.whole.start);
    // What its occurrences replaced stays as it was before that (M27).
    if let Some(since) = said.series_since()
        && starts.iter().any(|start| start.place < since)
    {
        starts.retain(|start| start.place < since);
    }
    let planned = said.statements(|change| planned_end(&change.whole));
    let actual = said.statements(|change| change.whole.actual_end);
    times(&starts, planned.last().copied(), actual.last().copied(), true)
}

pub(super) fn of_occurrence(said: &Said<'_>, id: &OccurrenceId) -> Times {
    let starts = said.statements(|change| own_fields(change, id)?.start);
    let own = said.statements(|change| planned_end(own_fields(change, id)?)).last().copied();
    // An end at a fixed time of the whole is not that of each occurrence.
    let whole = said.statements(|change| planned_end(&change.whole)).last().copied();
    let whole = whole.filter(|end| matches!(end.value, EndTime::After(_)));
    let planned = match (own, whole) {
        (Some(own), Some(whole)) if whole.place > own.place => Some(whole),
        (own, whole) => own.or(whole),
    };
    let actual = said.statements(|change| own_fields(change, id)?.actual_end);
    let are_known = !starts.is_empty() && are_times_known(said, starts.last().map(|s| s.place));
    times(&starts, planned, actual.last().copied(), are_known)
}

/// The planned end that was said of this occurrence itself.
pub(super) fn own_end(said: &Said<'_>, id: &OccurrenceId) -> Option<Millis> {
    let start = said.statements(|change| own_fields(change, id)?.start);
    let end = said.statements(|change| planned_end(own_fields(change, id)?));
    end.last()?.value.for_start(start.last().map(|start| start.value))
}

fn times(
    starts: &[Statement<Millis>],
    planned: Option<Statement<EndTime>>,
    actual: Option<Statement<Millis>>,
    are_known: bool,
) -> Times {
    let last = starts.last();
    let same = starts.iter().rev().take_while(|start| Some(start.value) == last.map(|l| l.value));
    Times {
        start: last.map(|last| last.value),
        start_place: last.map(|last| last.place),
        start_since: same.last().map(|first| first.said_at),
        planned,
        actual,
        are_known,
    }
}

/// The end that some fields plan: told with a start, it is the distance between them (M2).
fn planned_end(fields: &WebinarFields) -> Option<EndTime> {
    let end = fields.end?;
    let (EndTime::At(at), Some(start)) = (end, fields.start) else { return Some(end) };
    let distance = u64::try_from(at.get() - start.get()).ok();
    // An end before its start says nothing (M3).
    distance.map(EndTime::After)
}

/// Times are unknown after a change of the recurrence without a list, until a list, or the start itself, comes after it,
/// or a full list that was asked for after that change arrived (M12).
fn are_times_known(said: &Said<'_>, reported: Option<Place>) -> bool {
    let Some((unknown, changed_at)) = said.lists(OccurrenceListing::Unknown).last().copied() else {
        return true;
    };
    let observed = said.lists(OccurrenceListing::Observed);
    let listed = said.lists(OccurrenceListing::Full).last().map(|(place, _)| *place);
    observed.iter().any(|(_, asked_at)| *asked_at > changed_at)
        || reported.max(listed).is_some_and(|place| place > unknown)
}
