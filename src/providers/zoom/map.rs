//! Mapping of webinar webhooks to changes. Each function documents the event that it maps.
//!
//! [`super::object`] reads the fields; this module decides what they mean.

use serde::Deserialize;

use super::object::{
    self, ListedOccurrence, WebinarObject, listed_ids, occurrence_changes, read_fields,
};
use super::payload::{self, Webinar, ZoomWebhook};
use crate::event::{
    Change, ChangeKind, OccurrenceChange, OccurrenceId, OccurrenceListing, RunChange, RunPhase,
    Shape, WebinarFields, WebinarId,
};
use crate::providers::PayloadContent;
use crate::providers::lenient::{self, FieldReader};

/// Limit, in bytes, of text copied to single occurrences: a thousand times the size of Zoom's own updates, which list
/// one occurrence. Without it, a body of 100 kB would become a state of 50 MB.
const REPEATED_MAX: usize = 1024 * 1024;

/// What happened to a webinar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZoomWebinarAction {
    Created,
    ConvertedToWebinar,
    Updated,
    /// Moved to the trash, or deleted permanently.
    Deleted,
    Recovered,
    ConvertedToMeeting,
    Started,
    Ended,
}

impl ZoomWebinarAction {
    fn kind(self) -> ChangeKind {
        match self {
            Self::Created | Self::ConvertedToWebinar => ChangeKind::Created,
            Self::Updated => ChangeKind::Updated,
            Self::Deleted | Self::ConvertedToMeeting => ChangeKind::Cancelled,
            Self::Recovered => ChangeKind::Recovered,
            Self::Started => ChangeKind::Started,
            Self::Ended => ChangeKind::Completed,
        }
    }
}

/// Reads a webhook about a webinar.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn read(text: &str, action: ZoomWebinarAction) -> Result<PayloadContent, String> {
    let mut reader = FieldReader::default();
    let webhook: ZoomWebhook<'_, Webinar<'_>> = payload::parse_webhook(text, &mut reader)?;
    let id = lenient::identifier("object.id", webhook.object.id, WebinarId::parse)?;
    let mut change = Change::new(id, action.kind());
    change.account.clone_from(&webhook.account);
    change.occurred_at = webhook.occurred_at;
    change.is_creation = action == ZoomWebinarAction::Created;
    match action {
        ZoomWebinarAction::Started => {
            change.session = Some(read_session(&webhook.object, RunPhase::Started, &mut reader));
        }
        ZoomWebinarAction::Ended => {
            let practice = webhook.object.practice_session;
            let practised =
                reader.read("practice_session", practice, lenient::boolean) == Some(true);
            let phase = if practised { RunPhase::Practised } else { RunPhase::Ended };
            change.session = Some(read_session(&webhook.object, phase, &mut reader));
        }
        ZoomWebinarAction::ConvertedToMeeting => {
            apply_conversion_to_meeting(&mut change, &webhook.object, &mut reader);
        }
        ZoomWebinarAction::Created | ZoomWebinarAction::ConvertedToWebinar => {
            apply_created(&mut change, WebinarObject::read(&webhook.object, &mut reader)?);
        }
        ZoomWebinarAction::Updated => {
            let webinar = WebinarObject::read(&webhook.object, &mut reader)?;
            apply_updated(&mut change, webinar, &webhook, &mut reader)?;
        }
        ZoomWebinarAction::Deleted | ZoomWebinarAction::Recovered => {
            let webinar = WebinarObject::read(&webhook.object, &mut reader)?;
            let scope = reader.read("operation", webhook.operation, lenient::word::<ChangeScope>);
            apply_cancellation(&mut change, webinar, scope, action == ZoomWebinarAction::Deleted)?;
        }
    }
    let earlier = earlier_shape(&change, &webhook, &mut reader);
    let changes = earlier.into_iter().chain([change]).collect();
    Ok(PayloadContent::Changes { changes, bad_fields: reader.into_bad_fields() })
}

/// The change before this one, where the body shows that the series was one event until then: nobody else may have reported
/// that, and HubSpot may hold that event.
fn earlier_shape(
    change: &Change,
    webhook: &ZoomWebhook<'_, Webinar<'_>>,
    reader: &mut FieldReader,
) -> Option<Change> {
    let old = webhook.old.kind.filter(|_| change.shape == Some(Shape::Series));
    let shape = reader.read("old_object.type", old, object::shape_of_type)?;
    let account = change.account.clone();
    let earlier = Change {
        account,
        occurred_at: change.occurred_at,
        ..Change::new(change.webinar.clone(), change.kind)
    };
    (shape != Shape::Series).then_some(Change { shape: Some(shape), ..earlier })
}

/// Whether a change applies to the whole series or to single occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChangeScope {
    All,
    Single,
}

/// Applies the creation: the webinar takes place as shown, and a list names every occurrence.
fn apply_created(change: &mut Change, webinar: WebinarObject) {
    change.full_picture = true;
    change.shape = webinar.shape;
    if webinar.shape == Some(Shape::Series) || !webinar.occurrences.is_empty() {
        change.listing = webinar.full_listing();
    }
    change.whole = WebinarFields { cancelled: Some(false), ..webinar.fields };
    change.occurrences =
        occurrence_changes(webinar.occurrences, |deleted| Some(deleted.unwrap_or(false)));
}

/// Applies changed fields to the whole or, with scope `single`, to the listed occurrences.
fn apply_updated(
    change: &mut Change,
    webinar: WebinarObject,
    webhook: &ZoomWebhook<'_, Webinar<'_>>,
    reader: &mut FieldReader,
) -> Result<(), String> {
    let scope = reader.read("scope", webhook.scope, lenient::word::<ChangeScope>);
    change.full_picture = webinar.is_complete;
    change.shape = webinar.shape;
    change.listing = update_listing(&webinar, scope, webhook);
    let replaced = replaced_occurrences(&webinar, webhook, reader);
    let WebinarObject {
        fields, occurrences: listed, has_unreadable_occurrences: unreadable, ..
    } = webinar;
    if scope == Some(ChangeScope::Single) && !listed.is_empty() {
        if text_length(&fields) * listed.len() > REPEATED_MAX {
            return Err("the update copies too much text to too many single occurrences".to_owned());
        }
        let only_one = listed.len() == 1 && !unreadable;
        let own = |listed: ListedOccurrence| OccurrenceChange {
            id: listed.id,
            fields: WebinarFields {
                // With several occurrences, the object's start belongs to one of them, and the body does not show to
                // which.
                start: listed.start.or(fields.start.filter(|_| only_one)),
                end: listed.end.or(fields.end),
                cancelled: listed.deleted,
                ..fields.clone()
            },
        };
        change.occurrences = listed.into_iter().map(own).chain(replaced).collect();
        return Ok(());
    }
    change.whole = fields;
    change.occurrences = occurrence_changes(listed, |deleted| deleted);
    change.occurrences.extend(replaced);
    Ok(())
}

/// The occurrences that the update replaced, as the old list names them: a full list and another shape cancel only what
/// is known, and HubSpot may hold more from before. Without a new list, or with an entry in it that cannot be read, nobody
/// is left out for certain. Where the series became one event, its shape cancels all of them.
fn replaced_occurrences(
    webinar: &WebinarObject,
    webhook: &ZoomWebhook<'_, Webinar<'_>>,
    reader: &mut FieldReader,
) -> Vec<OccurrenceChange> {
    let Some(old) = webhook.old.occurrences else { return Vec::new() };
    if !webinar.is_one_event && !webinar.has_whole_list() {
        return Vec::new();
    }
    let is_listed = |id: &OccurrenceId| webinar.occurrences.iter().any(|listed| listed.id == *id);
    let old = listed_ids(old, reader).into_iter().filter(|id| !is_listed(id));
    let cancelled = (!webinar.is_one_event).then_some(true);
    let fields = WebinarFields { cancelled, ..WebinarFields::default() };
    old.map(|id| OccurrenceChange { id, fields: fields.clone() }).collect()
}

/// Sums the bytes of the texts that are copied to each occurrence.
fn text_length(fields: &WebinarFields) -> usize {
    let WebinarFields { name, description, registration_url, join_url, .. } = fields;
    [name, description, registration_url, join_url].into_iter().flatten().map(String::len).sum()
}

/// The listing that the list of an update, or its absence, implies for occurrences that it does not name.
fn update_listing(
    webinar: &WebinarObject,
    scope: Option<ChangeScope>,
    webhook: &ZoomWebhook<'_, Webinar<'_>>,
) -> OccurrenceListing {
    let recurrence = webhook.object.recurrence.is_some() || webhook.old.occurrences.is_some();
    if webinar.is_one_event {
        return OccurrenceListing::Partial;
    }
    match scope {
        Some(ChangeScope::All) if recurrence => return webinar.full_listing(),
        Some(ChangeScope::Single) => return OccurrenceListing::Partial,
        Some(ChangeScope::All) | None => {}
    }
    let zone = webhook.old.timezone.or(webhook.object.timezone).and_then(lenient::string);
    let moved = webinar.fields.start.is_some()
        && webhook
            .old
            .start_time
            .is_some_and(|old| lenient::date_time(old, zone.as_deref()) != webinar.fields.start);
    if webinar.occurrences.is_empty() && (moved || recurrence) {
        OccurrenceListing::Unknown
    } else {
        OccurrenceListing::Partial
    }
}

/// Cancels, or restores, the whole webinar or only the listed occurrences.
fn apply_cancellation(
    change: &mut Change,
    webinar: WebinarObject,
    scope: Option<ChangeScope>,
    cancelled: bool,
) -> Result<(), String> {
    let all = match scope {
        Some(ChangeScope::All) => true,
        Some(ChangeScope::Single) | None if webinar.is_one_event => true,
        None if webinar.occurrences.is_empty() && webinar.has_unreadable_occurrences => {
            return Err("object.occurrences has no readable entry".to_owned());
        }
        None => webinar.occurrences.is_empty(),
        Some(ChangeScope::Single) if webinar.occurrences.is_empty() => {
            return Err("operation is `single`, but no occurrence is listed".to_owned());
        }
        Some(ChangeScope::Single) => false,
    };
    change.full_picture = webinar.is_complete;
    change.shape = webinar.shape;
    // The series' length is not that of each occurrence, and nobody changed it.
    let end = webinar.fields.end.filter(|_| webinar.shape != Some(Shape::Series));
    change.whole = WebinarFields { cancelled: all.then_some(cancelled), end, ..webinar.fields };
    change.occurrences = occurrence_changes(webinar.occurrences, |deleted| {
        // An occurrence listed as deleted stays cancelled when the whole is restored.
        if all { deleted.filter(|gone| *gone) } else { Some(cancelled) }
    });
    Ok(())
}

/// Applies the conversion to a meeting, which cancels the webinar. Type and occurrences are the meeting's and are
/// ignored.
fn apply_conversion_to_meeting(
    change: &mut Change,
    object: &Webinar<'_>,
    reader: &mut FieldReader,
) {
    let typed = reader.read("type", object.kind, lenient::integer).is_some();
    let fields = read_fields(object, reader);
    change.full_picture = typed && fields.name.is_some() && fields.start.is_some();
    change.whole = WebinarFields { cancelled: Some(true), ..fields };
}

/// Reads the session that began or ended. Title, start and duration belong to the session; the duration may be 0.
fn read_session(object: &Webinar<'_>, phase: RunPhase, reader: &mut FieldReader) -> RunChange {
    let zone = reader.read("timezone", object.timezone, lenient::string);
    let zone = zone.as_deref();
    RunChange {
        phase,
        started_at: reader
            .read("start_time", object.start_time, |raw| lenient::date_time(raw, zone)),
        ended_at: reader.read("end_time", object.end_time, |raw| lenient::date_time(raw, zone)),
    }
}
