//! Since when an event is cancelled: the first of an unbroken row of sayings (M9), of each reason by itself.

use webinar_bridge::event::{Change, OccurrenceId, OccurrenceListing, Shape};

use super::said::{Place, Said, Statement, own_fields, row, since};

/// Since when the event of the whole is cancelled: called off, absent from its platform (M13), or replaced by the events
/// of its occurrences (M27).
pub(super) fn since_of_whole(said: &Said<'_>, replaced: bool) -> Option<Statement<bool>> {
    let called_off = since(&said.statements(|change| change.whole.cancelled));
    let became_series = since(&said.statements(|change| change.shape.map(|s| s == Shape::Series)));
    earliest([called_off, absence(said), became_series.filter(|_| replaced)])
}

/// Since when an occurrence is cancelled.
pub(super) fn since_of_occurrence(said: &Said<'_>, id: &OccurrenceId) -> Option<Statement<bool>> {
    let first_known = known_since(said, id);
    let is_listed =
        |change: &Change| change.occurrences.iter().any(|occurrence| occurrence.id == *id);
    let own = said.statements(|change| own_fields(change, id)?.cancelled);
    // M24: a full list says who takes place, and who does not. It says nothing of what became known later.
    let full =
        |change: &Change| (change.listing == OccurrenceListing::Full).then(|| !is_listed(change));
    let lists = said.statements(full).into_iter().filter(counts(first_known)).collect::<Vec<_>>();
    // The recovery of a series does not bring back an occurrence that was cancelled by itself.
    let of_whole = said.statements(|change| change.whole.cancelled);
    let mut all: Vec<Statement<bool>> = [own.as_slice(), lists.as_slice(), row(&of_whole)].concat();
    // Stable: what one change says of the occurrence goes before its list, and that before the whole.
    all.sort_by_key(|statement| statement.place);
    all.dedup_by_key(|statement| statement.place);
    let observed = said.statements(|change| match change.listing {
        OccurrenceListing::Observed => Some(!is_listed(change)),
        OccurrenceListing::Partial | OccurrenceListing::Full | OccurrenceListing::Unknown => {
            own_fields(change, id)?.absent
        }
    });
    let observed: Vec<_> = observed.into_iter().filter(counts(first_known)).collect();
    earliest([since(&all), since(&observed), absence(said), since_of_other_shape(said, id)])
}

/// Since when the webinar is no series, or was none after the occurrence was last named (M27).
fn since_of_other_shape(said: &Said<'_>, id: &OccurrenceId) -> Option<Statement<bool>> {
    let other = said.statements(|change| change.shape.map(|s| s != Shape::Series));
    let last = other.iter().rposition(|other| other.value)?;
    let is_series = last + 1 < other.len();
    if is_series && said.is_named_since(id, other[last].place) {
        return None;
    }
    since(&other[..=last])
}

/// Since when the platform does not have the webinar.
fn absence(said: &Said<'_>) -> Option<Statement<bool>> {
    since(&said.statements(|change| change.whole.absent))
}

fn earliest<const N: usize>(reasons: [Option<Statement<bool>>; N]) -> Option<Statement<bool>> {
    reasons.into_iter().flatten().min_by_key(|reason| reason.said_at)
}

/// When the occurrence was first reported with its start.
fn known_since(said: &Said<'_>, id: &OccurrenceId) -> Option<Place> {
    said.statements(|change| own_fields(change, id)?.start).first().map(|first| first.place)
}

/// Whether a list counts for an occurrence that is known since then.
fn counts(known: Option<Place>) -> impl Fn(&Statement<bool>) -> bool {
    move |missing| !missing.value || known.is_none_or(|known| known <= missing.place)
}
