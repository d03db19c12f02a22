//! The accepted changes of a webinar, in the order of the rules.

use std::collections::BTreeSet;

use webinar_bridge::event::{
    Change, Millis, OccurrenceId, OccurrenceListing, Shape, WebinarFields,
};

use super::{LastReport, Saying, times};

/// Place of a change among those of the webinar: creations first (M5), then by time, by the first arrival of the body,
/// and by the place in the body (M4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) is_report: bool,
    pub(super) at: Millis,
    pub(super) seq: u64,
    pub(super) nth: usize,
}

/// One value, and when it was said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement<T> {
    pub(super) value: T,
    pub(super) place: Place,
    pub(super) said_at: Millis,
}

impl<T> Statement<T> {
    /// Another value that was said there.
    pub(super) fn with<U>(&self, value: U) -> Statement<U> {
        Statement { value, place: self.place, said_at: self.said_at }
    }
}

/// All accepted changes, in order; a body that arrived twice is there once.
pub(super) struct Said<'a> {
    all: Vec<&'a Saying>,
    /// Whether occurrences of long ago are passed by.
    passes_by: bool,
    /// Whether the webinar is read as it was before it became a series.
    is_before_series: bool,
}

/// An occurrence that is over for so long is passed by what does not name it (M26).
const FROZEN_AFTER: i64 = 30 * 24 * 3_600_000;
/// An occurrence without a known end is over this long after its start.
const LONGEST: i64 = 24 * 3_600_000;

impl<'a> Said<'a> {
    pub(super) fn new(sayings: &'a [Saying], passes_by: bool) -> Self {
        let mut all: Vec<&Saying> = sayings.iter().collect();
        all.sort_by_key(|saying| (saying.place, saying.receipt));
        all.dedup_by_key(|saying| saying.place);
        Self { all, passes_by, is_before_series: false }
    }

    /// The changes without those that pass the occurrence by, since it was over for thirty days when they came (M26); none
    /// if all concern it. What names it, and nothing else, wakes it.
    pub(super) fn passing_by(&self, id: &OccurrenceId) -> Option<Self> {
        let told_at = |saying: &&Saying| saying.said_at.min(saying.received_at).get();
        let first =
            self.all.iter().filter_map(|saying| own_fields(&saying.change, id)?.start).min()?;
        let newest = self.all.iter().map(told_at).max()?;
        if !self.passes_by || newest - first.get() < FROZEN_AFTER {
            return None;
        }
        let mut arrivals = self.all.clone();
        arrivals.sort_by_key(|saying| (saying.received_at, saying.place.seq));
        let mut concerns = Self { all: Vec::new(), passes_by: false, is_before_series: false };
        let mut is_frozen = false;
        for saying in arrivals {
            let change = &saying.change;
            let is_named = own_fields(change, id).is_some();
            let is_about_whole = change.listing != OccurrenceListing::Partial
                || change.whole != WebinarFields::default();
            let times = times::of_occurrence(&concerns, id);
            let planned = times.planned.and_then(|end| end.value.for_start(times.start));
            let end = planned.max(times.actual.map(|end| end.value)).map(Millis::get);
            let end = end.or_else(|| times.start.map(|start| start.get() + LONGEST));
            is_frozen |= !is_named && end.is_some_and(|end| end + FROZEN_AFTER < told_at(&saying));
            is_frozen &= !is_named || is_about_whole;
            if !is_frozen {
                concerns.all.push(saying);
                concerns.all.sort_by_key(|saying| (saying.place, saying.receipt));
            }
        }
        Some(concerns)
    }

    pub(super) fn any(&self, is: impl Fn(&Change) -> bool) -> bool {
        self.all.iter().any(|saying| is(&saying.change))
    }

    /// Everything that was said of something, in order.
    pub(super) fn statements<T>(&self, of: impl Fn(&Change) -> Option<T>) -> Vec<Statement<T>> {
        let statement = |saying: &&Saying| {
            let value = of(&saying.change)?;
            Some(Statement { value, place: saying.place, said_at: saying.said_at })
        };
        self.all.iter().filter_map(statement).collect()
    }

    /// The newest value of a field of the whole; none if only creations have it.
    pub(super) fn last_report<T>(
        &self,
        of: impl Fn(&WebinarFields) -> Option<T>,
    ) -> Option<LastReport<T>> {
        let newest = self.all.iter().rev().find_map(|saying| {
            let value = of(&saying.change.whole)?;
            let report = LastReport { value, at: saying.place.at, received_at: saying.received_at };
            Some((saying.place.is_report, report))
        });
        newest.filter(|(is_report, _)| *is_report).map(|(_, report)| report)
    }

    pub(super) fn shape(&self) -> Option<Shape> {
        let mut shapes = self.statements(|change| change.shape);
        if self.is_before_series {
            shapes.retain(|shape| shape.value != Shape::Series);
            return Some(shapes.last().map_or(Shape::Single, |last| last.value));
        }
        shapes.last().map(|last| last.value)
    }

    /// The same changes of the webinar as it was before it became a series.
    pub(super) fn before_series(&self) -> Self {
        Self { all: self.all.clone(), is_before_series: true, ..*self }
    }

    /// Whether an occurrence is known: its start was said, and not only when it was called off, unless there is a list.
    pub(super) fn is_known(&self, id: &OccurrenceId) -> bool {
        let starts = self.statements(|change| own_fields(change, id)?.start);
        let offs = self.statements(|change| own_fields(change, id)?.cancelled.filter(|off| *off));
        let has_list = self.any(|change| {
            matches!(change.listing, OccurrenceListing::Full | OccurrenceListing::Observed)
        });
        let other = self.statements(|change| change.shape.filter(|s| *s != Shape::Series));
        let is_of_this_series =
            other.last().is_none_or(|other| self.is_named_since(id, other.place));
        is_of_this_series
            && starts.first().is_some_and(|start| {
                has_list || offs.first().is_none_or(|off| start.place < off.place)
            })
    }

    /// Whether something was said of the occurrence, or a list named it, after that.
    pub(super) fn is_named_since(&self, id: &OccurrenceId, place: Place) -> bool {
        let names = |change: &Change| {
            let is_listed =
                matches!(change.listing, OccurrenceListing::Full | OccurrenceListing::Observed);
            let own = own_fields(change, id)?;
            (is_listed || *own != WebinarFields::default()).then_some(())
        };
        self.statements(names).last().is_some_and(|named| named.place > place)
    }

    /// Since when the webinar is a series, if it is one.
    pub(super) fn series_since(&self) -> Option<Place> {
        let shapes = self.statements(|change| change.shape.map(|s| s == Shape::Series));
        since(&shapes).filter(|_| !self.is_before_series).map(|first| first.place)
    }

    /// The last shape that was none of a series.
    pub(super) fn former_shape(&self) -> Option<Shape> {
        let other = self.statements(|change| change.shape.filter(|s| *s != Shape::Series));
        other.last().map(|other| other.value)
    }

    /// The newest value of a field of an occurrence, or of the whole; what names the occurrence goes before what one
    /// change says of the whole.
    pub(super) fn newest<T>(
        &self,
        id: Option<&OccurrenceId>,
        of: impl Fn(&WebinarFields) -> Option<T>,
    ) -> Option<T> {
        self.all.iter().rev().find_map(|saying| {
            let own = id.and_then(|id| own_fields(&saying.change, id)).and_then(&of);
            own.or_else(|| of(&saying.change.whole))
        })
    }

    /// All occurrences that were ever named.
    pub(super) fn occurrences(&self) -> BTreeSet<&'a OccurrenceId> {
        let named = self.all.iter().flat_map(|saying| &saying.change.occurrences);
        named.map(|occurrence| &occurrence.id).collect()
    }

    pub(super) fn property_names(&self) -> BTreeSet<String> {
        let parts = self.all.iter().flat_map(|saying| &saying.change.occurrences);
        let parts = parts.map(|occurrence| &occurrence.fields);
        let wholes = self.all.iter().map(|saying| &saying.change.whole);
        wholes.chain(parts).flat_map(|fields| fields.custom.keys().cloned()).collect()
    }

    /// When changes of this meaning of their list were received, and their places.
    pub(super) fn lists(&self, meaning: OccurrenceListing) -> Vec<(Place, Millis)> {
        let lists = self.all.iter().filter(|saying| saying.change.listing == meaning);
        lists.map(|saying| (saying.place, saying.received_at)).collect()
    }
}

/// What a change says of that occurrence; if it names it twice, the first counts.
pub(super) fn own_fields<'a>(change: &'a Change, id: &OccurrenceId) -> Option<&'a WebinarFields> {
    let named = change.occurrences.iter().find(|occurrence| occurrence.id == *id);
    named.map(|occurrence| &occurrence.fields)
}

/// The first of the unbroken row of yeses at the end, if the last is one.
pub(super) fn since(statements: &[Statement<bool>]) -> Option<Statement<bool>> {
    row(statements).first().copied()
}

/// The unbroken row of yeses at the end.
pub(super) fn row(statements: &[Statement<bool>]) -> &[Statement<bool>] {
    let begin = statements.iter().rposition(|statement| !statement.value).map_or(0, |no| no + 1);
    &statements[begin..]
}
