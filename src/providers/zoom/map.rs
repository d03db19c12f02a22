//! From the body of a webinar's event to a change. What each event says is told where it is mapped.
//!
//! What an object carries is read by [`super::facts`]; here is decided what it means.

use serde_json::value::RawValue;

use super::object::{ListedOccurrence, WebinarObject, read_fields};
use super::payload::{self, Webinar, ZoomWebhook};
use crate::event::{
    Change, ChangeKind, OccurrenceChange, OccurrenceListing, RunChange, RunPhase, Shape,
    WebinarFields, WebinarId,
};
use crate::providers::PayloadContent;
use crate::providers::lenient::{self, FieldReader};

/// Most text, in bytes, that one body may repeat for the single occurrences it lists: a thousand times what Zoom sends,
/// whose lists name one. Without it, a body of a hundred kilobytes would become a state of fifty megabytes.
const REPEATED_MAX: usize = 1024 * 1024;

/// What happened to a webinar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ZoomWebinarAction {
    Created,
    ConvertedToWebinar,
    Updated,
    /// To the trash, or for good.
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

/// Reads the body of a webinar's event.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read(text: &str, what: ZoomWebinarAction) -> Result<PayloadContent, String> {
    let mut lenient = FieldReader::default();
    let said: ZoomWebhook<'_, Webinar<'_>> = payload::parse_webhook(text, &mut lenient)?;
    let id = lenient::identifier("object.id", said.object.id, WebinarId::parse)?;
    let mut change = Change::new(id, what.kind());
    change.account.clone_from(&said.account);
    change.occurred_at = said.occurred_at;
    match what {
        ZoomWebinarAction::Started => {
            change.session = Some(read_session(&said.object, RunPhase::Started, &mut lenient));
        }
        ZoomWebinarAction::Ended => {
            let practice = said.object.practice_session;
            let practised =
                lenient.read("practice_session", practice, lenient::boolean) == Some(true);
            let phase = if practised { RunPhase::Practised } else { RunPhase::Ended };
            change.session = Some(read_session(&said.object, phase, &mut lenient));
        }
        ZoomWebinarAction::ConvertedToMeeting => {
            apply_conversion_to_meeting(&mut change, &said.object, &mut lenient);
        }
        ZoomWebinarAction::Created | ZoomWebinarAction::ConvertedToWebinar => {
            apply_created(&mut change, WebinarObject::read(&said.object, &mut lenient)?);
        }
        ZoomWebinarAction::Updated => {
            let facts = WebinarObject::read(&said.object, &mut lenient)?;
            apply_updated(&mut change, facts, &said, &mut lenient)?;
        }
        ZoomWebinarAction::Deleted | ZoomWebinarAction::Recovered => {
            let facts = WebinarObject::read(&said.object, &mut lenient)?;
            let reach = lenient.read("operation", said.operation, ChangeScope::read);
            apply_cancellation(&mut change, facts, reach, what == ZoomWebinarAction::Deleted)?;
        }
    }
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: lenient.into_bad_fields() })
}

/// How far a change of a series goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChangeScope {
    All,
    Single,
}

impl ChangeScope {
    fn read(raw: &RawValue) -> Option<Self> {
        match &*lenient::string(raw)? {
            "all" => Some(Self::All),
            "single" => Some(Self::Single),
            _ => None,
        }
    }
}

/// It is to take place, as it is told here; a list names every occurrence there is.
fn apply_created(change: &mut Change, facts: WebinarObject) {
    change.full_picture = true;
    change.shape = facts.shape;
    if facts.shape == Some(Shape::Series) || !facts.occurrences.is_empty() {
        change.listing = facts.full_listing();
    }
    change.whole = WebinarFields { cancelled: Some(false), ..facts.fields };
    change.occurrences = facts
        .occurrences
        .into_iter()
        .map(|listed| {
            let cancelled = listed.deleted.unwrap_or(false);
            listed.into_change(Some(cancelled))
        })
        .collect();
}

/// Some fields are other than before, of the whole or, with scope `single`, of the occurrences that are listed.
fn apply_updated(
    change: &mut Change,
    facts: WebinarObject,
    said: &ZoomWebhook<'_, Webinar<'_>>,
    lenient: &mut FieldReader,
) -> Result<(), String> {
    let scope = lenient.read("scope", said.scope, ChangeScope::read);
    change.full_picture = facts.is_complete;
    change.shape = facts.shape;
    change.listing = update_listing(&facts, scope, said);
    let WebinarObject {
        fields, occurrences: listed, has_unreadable_occurrences: unreadable, ..
    } = facts;
    if scope == Some(ChangeScope::Single) && !listed.is_empty() {
        if text_length(&fields) * listed.len() > REPEATED_MAX {
            return Err("says too much of too many single occurrences".to_owned());
        }
        let only_one = listed.len() == 1 && !unreadable;
        let own = |listed: ListedOccurrence| OccurrenceChange {
            id: listed.id,
            fields: WebinarFields {
                // Of several, the object's start can be that of only one, and it is not said of which.
                start: listed.start.or(fields.start.filter(|_| only_one)),
                end: listed.end.or(fields.end),
                cancelled: listed.deleted,
                ..fields.clone()
            },
        };
        change.occurrences = listed.into_iter().map(own).collect();
        return Ok(());
    }
    change.whole = fields;
    change.occurrences = listed
        .into_iter()
        .map(|listed| {
            let cancelled = listed.deleted;
            listed.into_change(cancelled)
        })
        .collect();
    Ok(())
}

/// The bytes of the texts that an object carries.
fn text_length(fields: &WebinarFields) -> usize {
    let WebinarFields { name, description, registration_url, join_url, .. } = fields;
    [name, description, registration_url, join_url].into_iter().flatten().map(String::len).sum()
}

/// What an update's list of occurrences, or the lack of one, says of those that it does not name.
fn update_listing(
    facts: &WebinarObject,
    scope: Option<ChangeScope>,
    said: &ZoomWebhook<'_, Webinar<'_>>,
) -> OccurrenceListing {
    let recurrence = said.object.recurrence.is_some() || said.old.occurrences.is_some();
    if facts.is_one_event {
        return OccurrenceListing::Partial;
    }
    match scope {
        Some(ChangeScope::All) if recurrence => return facts.full_listing(),
        Some(ChangeScope::Single) => return OccurrenceListing::Partial,
        Some(ChangeScope::All) | None => {}
    }
    let zone = said.old.timezone.or(said.object.timezone).and_then(lenient::string);
    let moved = facts.fields.start.is_some()
        && said
            .old
            .start_time
            .is_some_and(|old| lenient::date_time(old, zone.as_deref()) != facts.fields.start);
    if facts.occurrences.is_empty() && (moved || recurrence) {
        OccurrenceListing::Unknown
    } else {
        OccurrenceListing::Partial
    }
}

/// The whole is called off (or that is taken back), or the occurrences that are listed: never more than was said.
fn apply_cancellation(
    change: &mut Change,
    facts: WebinarObject,
    reach: Option<ChangeScope>,
    cancelled: bool,
) -> Result<(), String> {
    let all = match reach {
        Some(ChangeScope::All) => true,
        Some(ChangeScope::Single) | None if facts.is_one_event => true,
        None if facts.occurrences.is_empty() && facts.has_unreadable_occurrences => {
            return Err("lists occurrences, and none of them can be read".to_owned());
        }
        None => facts.occurrences.is_empty(),
        Some(ChangeScope::Single) if facts.occurrences.is_empty() => {
            return Err("names a single occurrence and lists none".to_owned());
        }
        Some(ChangeScope::Single) => false,
    };
    change.full_picture = facts.is_complete;
    change.shape = facts.shape;
    change.whole = WebinarFields { cancelled: all.then_some(cancelled), ..facts.fields };
    change.occurrences = facts
        .occurrences
        .into_iter()
        .map(|listed| {
            // Beside what is said of all, one that the list calls deleted stays so.
            let own = if all { listed.deleted.filter(|gone| *gone) } else { Some(cancelled) };
            listed.into_change(own)
        })
        .collect();
    Ok(())
}

/// There is no webinar any more. The type is a meeting's and says nothing of the webinar's; nor do its occurrences.
fn apply_conversion_to_meeting(
    change: &mut Change,
    object: &Webinar<'_>,
    lenient: &mut FieldReader,
) {
    let typed = lenient.read("type", object.kind, lenient::integer).is_some();
    let fields = read_fields(object, lenient);
    change.full_picture = typed && fields.name.is_some() && fields.start.is_some();
    change.whole = WebinarFields { cancelled: Some(true), ..fields };
}

/// A run began or ended. Its title, start and duration are the run's own, and a duration may be 0.
fn read_session(object: &Webinar<'_>, phase: RunPhase, lenient: &mut FieldReader) -> RunChange {
    let zone = lenient.read("timezone", object.timezone, lenient::string);
    let zone = zone.as_deref();
    RunChange {
        phase,
        started_at: lenient
            .read("start_time", object.start_time, |raw| lenient::date_time(raw, zone)),
        ended_at: lenient.read("end_time", object.end_time, |raw| lenient::date_time(raw, zone)),
    }
}
