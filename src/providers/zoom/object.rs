//! What the object of a webinar's body carries, read leniently and not yet judged.

use serde_json::value::RawValue;

use super::payload::{Occurrence, Webinar};
use crate::event::webinar::OCCURRENCES_MAX;
use crate::event::{
    EndTime, Millis, OccurrenceChange, OccurrenceId, OccurrenceListing, Shape, WebinarFields,
};
use crate::providers::lenient::{self, FieldReader, Object};

/// What the object of a body carries.
pub(super) struct WebinarObject {
    /// What it is, by its type, or by having occurrences.
    pub(super) shape: Option<Shape>,
    /// It is known to be one event, so that it has no occurrences.
    pub(super) is_one_event: bool,
    /// Title, type and times are all there.
    pub(super) is_complete: bool,
    pub(super) fields: WebinarFields,
    pub(super) occurrences: Vec<ListedOccurrence>,
    /// Entries of the list that could not be read, or a list that is none.
    pub(super) has_unreadable_occurrences: bool,
}

/// What an entry of `occurrences` carries.
pub(super) struct ListedOccurrence {
    pub(super) id: OccurrenceId,
    pub(super) start: Option<Millis>,
    pub(super) end: Option<EndTime>,
    pub(super) deleted: Option<bool>,
}

impl ListedOccurrence {
    pub(super) fn into_change(self, cancelled: Option<bool>) -> OccurrenceChange {
        let Self { id, start, end, deleted: _ } = self;
        OccurrenceChange {
            id,
            fields: WebinarFields { start, end, cancelled, ..WebinarFields::default() },
        }
    }
}

impl WebinarObject {
    pub(super) fn read(object: &Webinar<'_>, lenient: &mut FieldReader) -> Result<Self, String> {
        // A webinar, recurring ones without fixed times, recurring ones with them (Zoom's own generated types:
        // https://github.com/zoom/rivet-javascript, meetings/meetings.d.ts).
        let typed = lenient.read("type", object.kind, |raw| match lenient::integer(raw)? {
            5 => Some(Shape::Single),
            6 => Some(Shape::Timeless),
            9 => Some(Shape::Series),
            _ => None,
        });
        let one_event = matches!(typed, Some(Shape::Single | Shape::Timeless));
        let fields = read_fields(object, lenient);
        let (mut listed, mut unreadable) = read_occurrences(object, lenient)?;
        if one_event && !listed.is_empty() {
            // One event has no occurrences; taken, they would become events beside it.
            lenient.reject("occurrences");
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

    /// What a list that names every occurrence says of the others. One that could not be read to its end says nothing:
    /// an entry that was skipped must not be called off.
    pub(super) fn full_listing(&self) -> OccurrenceListing {
        match (self.occurrences.is_empty(), self.has_unreadable_occurrences) {
            (true, _) if self.is_one_event => OccurrenceListing::Partial,
            (true, _) => OccurrenceListing::Unknown,
            (false, true) => OccurrenceListing::Partial,
            (false, false) => OccurrenceListing::Full,
        }
    }
}

/// The fields of the whole.
pub(super) fn read_fields(object: &Webinar<'_>, lenient: &mut FieldReader) -> WebinarFields {
    let zone = lenient.read("timezone", object.timezone, lenient::string);
    WebinarFields {
        name: lenient.read("topic", object.topic, lenient::non_empty_text),
        description: lenient.read("agenda", object.agenda, lenient::clean_text),
        registration_url: lenient.read("registration_url", object.registration_url, lenient::link),
        join_url: lenient.read("join_url", object.join_url, lenient::link),
        start: lenient
            .read("start_time", object.start_time, |raw| lenient::date_time(raw, zone.as_deref())),
        end: lenient.read("duration", object.duration, lenient::duration_minutes),
        ..WebinarFields::default()
    }
}

/// The entries of the list that can be read, and whether some could not.
fn read_occurrences(
    object: &Webinar<'_>,
    lenient: &mut FieldReader,
) -> Result<(Vec<ListedOccurrence>, bool), String> {
    let Some(list) = object.occurrences else { return Ok((Vec::new(), false)) };
    let entries = lenient.read("occurrences", Some(list), |raw| {
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
        .filter_map(|entry| read_occurrence(entry, zone.as_deref(), lenient))
        .collect();
    let unreadable = listed.len() < count;
    Ok((listed, unreadable))
}

fn read_occurrence(
    entry: &RawValue,
    zone: Option<&str>,
    lenient: &mut FieldReader,
) -> Option<ListedOccurrence> {
    let read = || {
        let entry: Object<Occurrence<'_>> = serde_json::from_str(entry.get()).ok()?;
        let id = entry.0.id;
        let id = lenient::identifier("occurrence_id", id, OccurrenceId::parse).ok()?;
        Some((id, entry.0))
    };
    let Some((id, entry)) = read() else {
        lenient.reject("occurrence_id");
        return None;
    };
    Some(ListedOccurrence {
        id,
        start: lenient.read("start_time", entry.start_time, |raw| lenient::date_time(raw, zone)),
        end: lenient.read("duration", entry.duration, lenient::duration_minutes),
        deleted: lenient.read("status", entry.status, |raw| match &*lenient::string(raw)? {
            "deleted" => Some(true),
            "available" => Some(false),
            _ => None,
        }),
    })
}
