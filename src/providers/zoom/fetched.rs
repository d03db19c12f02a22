//! What Zoom's API answered, as a change.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::{HOST_REQUEST, WEBINAR_REQUEST};
use super::object::WebinarObject;
use super::payload::Webinar;
use crate::event::{
    Change, ChangeKind, Millis, OccurrenceListing, Shape, WebinarFields, WebinarId, text,
};
use crate::providers::lenient::{self, FieldReader, Object};
use crate::providers::{FetchedAnswers, PayloadContent};

/// Reads what was answered about a webinar: all of it as it was then.
///
/// Says nothing of whether the webinar takes place. It does if there is an answer, but one that is a moment older than it
/// seems would take back a deletion; and what is answered 404 may be in the trash, for good or not, of which Zoom sends a
/// webhook of its own.
///
/// # Errors
/// Why it cannot be mapped, for operators.
pub(super) fn read(fetched: &FetchedAnswers<'_>) -> Result<PayloadContent, String> {
    if fetched.gone {
        return Ok(PayloadContent::Ignored);
    }
    let answer = fetched.answer(WEBINAR_REQUEST).ok_or("there is no answer about the webinar")?;
    let object: Object<Webinar<'_>> = lenient::parse(answer.get(), "it is not a webinar")?;
    let object = object.0;
    let id = lenient::identifier("id", object.id, WebinarId::parse)?;
    if id != fetched.webinar {
        return Err("it is about another webinar than was asked for".to_owned());
    }
    let mut lenient = FieldReader::default();
    let facts = WebinarObject::read(&object, &mut lenient)?;
    let mut change = Change::new(id, ChangeKind::Updated);
    change.account.clone_from(&fetched.account);
    change.occurred_at = Some(fetched.at);
    change.full_picture = true;
    change.shape = facts.shape;
    change.listing = listing(&facts, fetched.at);
    let host_id = object.host_id.and_then(lenient::string);
    let host = lenient.read("host", fetched.answer(HOST_REQUEST), |host| {
        Some(host_name(host, host_id.as_deref()))
    });
    change.whole = WebinarFields { organizer: host.flatten(), ..facts.fields };
    change.occurrences = facts
        .occurrences
        .into_iter()
        .map(|listed| {
            // That one takes place is said by the list.
            let cancelled = listed.deleted.filter(|deleted| *deleted);
            listed.into_change(cancelled)
        })
        .collect();
    Ok(PayloadContent::Changes { changes: vec![change], bad_fields: lenient.into_bad_fields() })
}

/// What the list says of occurrences that it leaves out.
///
/// It was asked for past ones too. Should Zoom take that for "only past ones", or answer none at all, nothing must be
/// called off for it: so it counts as whole only if it names one that is to come.
fn listing(facts: &WebinarObject, at: Millis) -> OccurrenceListing {
    let to_come =
        facts.occurrences.iter().any(|listed| listed.start.is_some_and(|start| start > at));
    if to_come && facts.shape == Some(Shape::Series) {
        facts.full_listing()
    } else {
        OccurrenceListing::Partial
    }
}

/// The host's name as Zoom shows it, else first and last name. Never the e-mail address, which is a person's own; nor
/// anything of another user than the host.
fn host_name(host: &RawValue, host_id: Option<&str>) -> Option<String> {
    #[derive(Deserialize)]
    struct Names<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        #[serde(borrow, rename = "display_name")]
        shown: Option<&'a RawValue>,
        #[serde(borrow, rename = "first_name")]
        first: Option<&'a RawValue>,
        #[serde(borrow, rename = "last_name")]
        last: Option<&'a RawValue>,
    }
    let names: Object<Names<'_>> = serde_json::from_str(host.get()).ok()?;
    let Names { id, shown, first, last } = names.0;
    if id.and_then(lenient::string).is_some_and(|id| Some(&*id) != host_id) {
        return None;
    }
    let [shown, first, last] =
        [shown, first, last].map(|name| name.and_then(lenient::non_empty_text));
    let full = || [first, last].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Some(text::clean_text(&shown.unwrap_or_else(full))).filter(|name| !name.is_empty())
}
