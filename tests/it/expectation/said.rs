//! The accepted changes of a webinar, in the order of the rules.

use std::collections::BTreeSet;

use webinar_bridge::event::{
    Change, Millis, OccurrenceId, OccurrenceListing, Shape, WebinarFields,
};

use super::Saying;

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
pub(super) struct Said<'a>(Vec<&'a Saying>);

impl<'a> Said<'a> {
    pub(super) fn new(sayings: &'a [Saying]) -> Self {
        let mut all: Vec<&Saying> = sayings.iter().collect();
        all.sort_by_key(|saying| (saying.place, saying.receipt));
        all.dedup_by_key(|saying| saying.place);
        Self(all)
    }

    pub(super) fn any(&self, is: impl Fn(&Change) -> bool) -> bool {
        self.0.iter().any(|saying| is(&saying.change))
    }

    /// Everything that was said of something, in order.
    pub(super) fn statements<T>(&self, of: impl Fn(&Change) -> Option<T>) -> Vec<Statement<T>> {
        let statement = |saying: &&Saying| {
            let value = of(&saying.change)?;
            Some(Statement { value, place: saying.place, said_at: saying.said_at })
        };
        self.0.iter().filter_map(statement).collect()
    }

    pub(super) fn shape(&self) -> Option<Shape> {
        self.statements(|change| change.shape).last().map(|last| last.value)
    }

    /// The newest value of a field of an occurrence, or of the whole; what names the occurrence goes before what one
    /// change says of the whole.
    pub(super) fn newest<T>(
        &self,
        id: Option<&OccurrenceId>,
        of: impl Fn(&WebinarFields) -> Option<T>,
    ) -> Option<T> {
        self.0.iter().rev().find_map(|saying| {
            let own = id.and_then(|id| own_fields(&saying.change, id)).and_then(&of);
            own.or_else(|| of(&saying.change.whole))
        })
    }

    /// All occurrences that were ever named.
    pub(super) fn occurrences(&self) -> BTreeSet<&'a OccurrenceId> {
        let named = self.0.iter().flat_map(|saying| &saying.change.occurrences);
        named.map(|occurrence| &occurrence.id).collect()
    }

    pub(super) fn property_names(&self) -> BTreeSet<String> {
        let parts = self.0.iter().flat_map(|saying| &saying.change.occurrences);
        let parts = parts.map(|occurrence| &occurrence.fields);
        let wholes = self.0.iter().map(|saying| &saying.change.whole);
        wholes.chain(parts).flat_map(|fields| fields.custom.keys().cloned()).collect()
    }

    /// When changes of this meaning of their list were received, and their places.
    pub(super) fn lists(&self, meaning: OccurrenceListing) -> Vec<(Place, Millis)> {
        let lists = self.0.iter().filter(|saying| saying.change.listing == meaning);
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
