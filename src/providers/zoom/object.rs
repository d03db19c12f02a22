//! The `object` of a webinar's body, read field by field. [`super::map`] decides what it means.

use serde_json::value::RawValue;

use super::payload::{Occurrence, Webinar};
use crate::event::webinar::OCCURRENCES_MAX;
use crate::event::{
    EndTime, Millis, OccurrenceChange, OccurrenceId, OccurrenceListing, Shape, WebinarFields,
};
use crate::providers::lenient::{self, FieldReader};

/// The fields of a webinar's `object`.
pub(super) struct WebinarObject {
    /// The shape given by the type, or [`Shape::Series`] where occurrences are listed without a type.
    pub(super) shape: Option<Shape>,
    /// Whether the type rules out occurrences.
    pub(super) is_one_event: bool,
    /// Whether title, type and times are all present.
    pub(super) is_complete: bool,
    pub(super) fields: WebinarFields,
    pub(super) occurrences: Vec<ListedOccurrence>,
    /// Whether `occurrences` is not a list, or an entry could not be read.
    pub(super) has_unreadable_occurrences: bool,
}

/// An entry of `occurrences`.
pub(super) struct ListedOccurrence {
    pub(super) id: OccurrenceId,
    pub(super) start: Option<Millis>,
    pub(super) end: Option<EndTime>,
    pub(super) deleted: Option<bool>,
    /// Whether it has a start that cannot be read.
    has_bad_start: bool,
}

/// The changes of listed occurrences; `cancelled` decides from what an entry states.
pub(super) fn occurrence_changes(
    listed: Vec<ListedOccurrence>,
    cancelled: impl Fn(Option<bool>) -> Option<bool>,
) -> Vec<OccurrenceChange> {
    let change = |ListedOccurrence { id, start, end, deleted, .. }| {
        let cancelled = cancelled(deleted);
        let fields = WebinarFields { start, end, cancelled, ..WebinarFields::default() };
        OccurrenceChange { id, fields }
    };
    listed.into_iter().map(change).collect()
}

/// The shape of a `type`: single webinars, recurring ones without fixed times, recurring ones with fixed times (Zoom's
/// generated types: <https://github.com/zoom/rivet-javascript>, meetings/meetings.d.ts).
pub(super) fn shape_of_type(raw: &RawValue) -> Option<Shape> {
    match lenient::integer(raw)? {
        5 => Some(Shape::Single),
        6 => Some(Shape::Timeless),
        9 => Some(Shape::Series),
        _ => None,
    }
}

impl WebinarObject {
    pub(super) fn read(object: &Webinar<'_>, reader: &mut FieldReader) -> Result<Self, String> {
        let typed = reader.read("type", object.kind, shape_of_type);
        let one_event = matches!(typed, Some(Shape::Single | Shape::Timeless));
        let fields = read_fields(object, reader);
        let (mut listed, mut unreadable) = read_occurrences(object, reader)?;
        if one_event && !listed.is_empty() {
            // Occurrences of a single event would become further events.
            reader.reject("occurrences");
            (listed, unreadable) = (Vec::new(), false);
        }
        let guessed = (object.kind.is_none() && !listed.is_empty()).then_some(Shape::Series);
        let timed = fields.start.is_some() || typed == Some(Shape::Timeless);
        let whole_picture = fields.name.is_some() && typed.is_some() && timed;
        Ok(Self {
            shape: typed.or(guessed),
            is_one_event: one_event,
            is_complete: whole_picture,
            fields,
            occurrences: listed,
            has_unreadable_occurrences: unreadable,
        })
    }

    /// Whether the list of occurrences has entries, and each can be read. An entry that cannot may be any occurrence.
    pub(super) fn has_whole_list(&self) -> bool {
        let has_bad_start = self.occurrences.iter().any(|listed| listed.has_bad_start);
        !self.occurrences.is_empty() && !self.has_unreadable_occurrences && !has_bad_start
    }

    /// The listing that a list implies for occurrences that it does not name. A list with unreadable entries is
    /// partial: such an entry must not count as cancelled.
    pub(super) fn full_listing(&self) -> OccurrenceListing {
        match (self.occurrences.is_empty(), self.has_whole_list()) {
            (true, _) if self.is_one_event => OccurrenceListing::Partial,
            (true, _) => OccurrenceListing::Unknown,
            (false, false) => OccurrenceListing::Partial,
            (false, true) => OccurrenceListing::Full,
        }
    }
}

/// The ids in another list of occurrences, such as that of `old_object`. Entries without a readable id are passed over.
pub(super) fn listed_ids(list: &RawValue, reader: &mut FieldReader) -> Vec<OccurrenceId> {
    let entries = reader.read("old_object.occurrences", Some(list), |raw| {
        serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()
    });
    let id = |entry: &RawValue| {
        let entry: Occurrence<'_> = lenient::object(entry)?;
        lenient::identifier("occurrence_id", entry.id, OccurrenceId::parse).ok()
    };
    let entries = entries.unwrap_or_default().into_iter();
    entries.take(OCCURRENCES_MAX).filter_map(id).collect()
}

/// Reads the fields of the webinar as a whole.
pub(super) fn read_fields(object: &Webinar<'_>, reader: &mut FieldReader) -> WebinarFields {
    let zone = reader.read("timezone", object.timezone, lenient::string);
    WebinarFields {
        name: reader.read("topic", object.topic, lenient::non_empty_text),
        description: reader.read("agenda", object.agenda, lenient::clean_text),
        registration_url: reader.read("registration_url", object.registration_url, lenient::link),
        join_url: reader.read("join_url", object.join_url, lenient::link),
        start: reader
            .read("start_time", object.start_time, |raw| lenient::date_time(raw, zone.as_deref())),
        end: reader.read("duration", object.duration, lenient::duration_minutes),
        ..WebinarFields::default()
    }
}

/// Reads the list of occurrences. The flag reports whether an entry, or the list itself, could not be read.
fn read_occurrences(
    object: &Webinar<'_>,
    reader: &mut FieldReader,
) -> Result<(Vec<ListedOccurrence>, bool), String> {
    let Some(list) = object.occurrences else { return Ok((Vec::new(), false)) };
    let entries = reader.read("occurrences", Some(list), |raw| {
        serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()
    });
    let Some(entries) = entries else { return Ok((Vec::new(), true)) };
    if entries.len() > OCCURRENCES_MAX {
        return Err(format!("object.occurrences has more than {OCCURRENCES_MAX} entries"));
    }
    let zone = object.timezone.and_then(lenient::string);
    let count = entries.len();
    let listed: Vec<ListedOccurrence> = entries
        .into_iter()
        .filter_map(|entry| read_occurrence(entry, zone.as_deref(), reader))
        .collect();
    let unreadable = listed.len() < count;
    Ok((listed, unreadable))
}

fn read_occurrence(
    entry: &RawValue,
    zone: Option<&str>,
    reader: &mut FieldReader,
) -> Option<ListedOccurrence> {
    let read = || {
        let entry: Occurrence<'_> = lenient::object(entry)?;
        let id = lenient::identifier("occurrence_id", entry.id, OccurrenceId::parse).ok()?;
        Some((id, entry))
    };
    let Some((id, entry)) = read() else {
        reader.reject("occurrence_id");
        return None;
    };
    let start = reader.read("start_time", entry.start_time, |raw| lenient::date_time(raw, zone));
    Some(ListedOccurrence {
        id,
        start,
        has_bad_start: entry.start_time.is_some() && start.is_none(),
        end: reader.read("duration", entry.duration, lenient::duration_minutes),
        deleted: reader.read("status", entry.status, |raw| match &*lenient::string(raw)? {
            "deleted" => Some(true),
            "available" => Some(false),
            _ => None,
        }),
    })
}
