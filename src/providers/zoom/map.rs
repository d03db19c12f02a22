//! From the body of a webinar's event to a change. What each event says is told where it is mapped.
//!
//! What an object carries is read by [`super::facts`]; here is decided what it means.

use serde_json::value::RawValue;

use super::facts::{Facts, Listed, fields};
use super::payload::{self, Said, Webinar};
use crate::event::{
    Change, Fields, Kind, Listing, OccurrenceSaid, Phase, Session, Shape, WebinarId,
};
use crate::providers::Meaning;
use crate::providers::lenient::{self, Lenient};

/// Most text, in bytes, that one body may repeat for the single occurrences it lists: a thousand times what Zoom sends,
/// whose lists name one. Without it, a body of a hundred kilobytes would become a state of fifty megabytes.
const REPEATED_MAX: usize = 1024 * 1024;

/// What happened to a webinar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifecycle {
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

impl Lifecycle {
    fn kind(self) -> Kind {
        match self {
            Self::Created | Self::ConvertedToWebinar => Kind::Created,
            Self::Updated => Kind::Updated,
            Self::Deleted | Self::ConvertedToMeeting => Kind::Cancelled,
            Self::Recovered => Kind::Recovered,
            Self::Started => Kind::Started,
            Self::Ended => Kind::Completed,
        }
    }
}

/// Reads the body of a webinar's event.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read(text: &str, what: Lifecycle) -> Result<Meaning, String> {
    let mut lenient = Lenient::default();
    let said: Said<'_, Webinar<'_>> = payload::said(text, &mut lenient)?;
    let id = lenient::identifier("object.id", said.object.id, WebinarId::parse)?;
    let mut change = Change::new(id, what.kind());
    change.account.clone_from(&said.account);
    change.occurred_at = said.occurred_at;
    match what {
        Lifecycle::Started => {
            change.session = Some(run(&said.object, Phase::Started, &mut lenient));
        }
        Lifecycle::Ended => {
            let practice = said.object.practice_session;
            let practised =
                lenient.read("practice_session", practice, lenient::yes_or_no) == Some(true);
            let phase = if practised { Phase::Practised } else { Phase::Ended };
            change.session = Some(run(&said.object, phase, &mut lenient));
        }
        Lifecycle::ConvertedToMeeting => {
            converted_to_meeting(&mut change, &said.object, &mut lenient);
        }
        Lifecycle::Created | Lifecycle::ConvertedToWebinar => {
            created(&mut change, Facts::of(&said.object, &mut lenient)?);
        }
        Lifecycle::Updated => {
            let facts = Facts::of(&said.object, &mut lenient)?;
            updated(&mut change, facts, &said, &mut lenient)?;
        }
        Lifecycle::Deleted | Lifecycle::Recovered => {
            let facts = Facts::of(&said.object, &mut lenient)?;
            let reach = lenient.read("operation", said.operation, Reach::of);
            called_off(&mut change, facts, reach, what == Lifecycle::Deleted)?;
        }
    }
    Ok(Meaning::Changes { changes: vec![change], bad_fields: lenient.into_bad() })
}

/// How far a change of a series goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    Single,
}

impl Reach {
    fn of(raw: &RawValue) -> Option<Self> {
        match &*lenient::string(raw)? {
            "all" => Some(Self::All),
            "single" => Some(Self::Single),
            _ => None,
        }
    }
}

/// It is to take place, as it is told here; a list names every occurrence there is.
fn created(change: &mut Change, facts: Facts) {
    change.full_picture = true;
    change.shape = facts.shape;
    if facts.shape == Some(Shape::Series) || !facts.listed.is_empty() {
        change.listing = facts.full_listing();
    }
    change.whole = Fields { cancelled: Some(false), ..facts.fields };
    change.occurrences = facts
        .listed
        .into_iter()
        .map(|listed| {
            let cancelled = listed.deleted.unwrap_or(false);
            listed.said(Some(cancelled))
        })
        .collect();
}

/// Some fields are other than before, of the whole or, with scope `single`, of the occurrences that are listed.
fn updated(
    change: &mut Change,
    facts: Facts,
    said: &Said<'_, Webinar<'_>>,
    lenient: &mut Lenient,
) -> Result<(), String> {
    let scope = lenient.read("scope", said.scope, Reach::of);
    change.full_picture = facts.whole_picture;
    change.shape = facts.shape;
    change.listing = listing_of_update(&facts, scope, said);
    let Facts { fields, listed, unreadable, .. } = facts;
    if scope == Some(Reach::Single) && !listed.is_empty() {
        if text_length(&fields) * listed.len() > REPEATED_MAX {
            return Err("says too much of too many single occurrences".to_owned());
        }
        let only_one = listed.len() == 1 && !unreadable;
        let own = |listed: Listed| OccurrenceSaid {
            id: listed.id,
            fields: Fields {
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
            listed.said(cancelled)
        })
        .collect();
    Ok(())
}

/// The bytes of the texts that an object carries.
fn text_length(fields: &Fields) -> usize {
    let Fields { name, description, registration_url, join_url, .. } = fields;
    [name, description, registration_url, join_url].into_iter().flatten().map(String::len).sum()
}

/// What an update's list of occurrences, or the lack of one, says of those that it does not name.
fn listing_of_update(facts: &Facts, scope: Option<Reach>, said: &Said<'_, Webinar<'_>>) -> Listing {
    let recurrence = said.object.recurrence.is_some() || said.old.occurrences.is_some();
    if facts.one_event {
        return Listing::Partial;
    }
    match scope {
        Some(Reach::All) if recurrence => return facts.full_listing(),
        Some(Reach::Single) => return Listing::Partial,
        Some(Reach::All) | None => {}
    }
    let zone = said.old.timezone.or(said.object.timezone).and_then(lenient::string);
    let moved = facts.fields.start.is_some()
        && said
            .old
            .start_time
            .is_some_and(|old| lenient::time(old, zone.as_deref()) != facts.fields.start);
    if facts.listed.is_empty() && (moved || recurrence) {
        Listing::Unknown
    } else {
        Listing::Partial
    }
}

/// The whole is called off (or that is taken back), or the occurrences that are listed: never more than was said.
fn called_off(
    change: &mut Change,
    facts: Facts,
    reach: Option<Reach>,
    cancelled: bool,
) -> Result<(), String> {
    let all = match reach {
        Some(Reach::All) => true,
        Some(Reach::Single) | None if facts.one_event => true,
        None if facts.listed.is_empty() && facts.unreadable => {
            return Err("lists occurrences, and none of them can be read".to_owned());
        }
        None => facts.listed.is_empty(),
        Some(Reach::Single) if facts.listed.is_empty() => {
            return Err("names a single occurrence and lists none".to_owned());
        }
        Some(Reach::Single) => false,
    };
    change.full_picture = facts.whole_picture;
    change.shape = facts.shape;
    change.whole = Fields { cancelled: all.then_some(cancelled), ..facts.fields };
    change.occurrences = facts
        .listed
        .into_iter()
        .map(|listed| {
            // Beside what is said of all, one that the list calls deleted stays so.
            let own = if all { listed.deleted.filter(|gone| *gone) } else { Some(cancelled) };
            listed.said(own)
        })
        .collect();
    Ok(())
}

/// There is no webinar any more. The type is a meeting's and says nothing of the webinar's; nor do its occurrences.
fn converted_to_meeting(change: &mut Change, object: &Webinar<'_>, lenient: &mut Lenient) {
    let typed = lenient.read("type", object.kind, lenient::integer).is_some();
    let fields = fields(object, lenient);
    change.full_picture = typed && fields.name.is_some() && fields.start.is_some();
    change.whole = Fields { cancelled: Some(true), ..fields };
}

/// A run began or ended. Its title, start and duration are the run's own, and a duration may be 0.
fn run(object: &Webinar<'_>, phase: Phase, lenient: &mut Lenient) -> Session {
    let zone = lenient.read("timezone", object.timezone, lenient::string);
    let zone = zone.as_deref();
    Session {
        phase,
        started_at: lenient.read("start_time", object.start_time, |raw| lenient::time(raw, zone)),
        ended_at: lenient.read("end_time", object.end_time, |raw| lenient::time(raw, zone)),
    }
}
