//! Mapping of the answers of Zoom's API.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::{HOST_REQUEST, WEBINAR_REQUEST};
use super::object::{WebinarObject, occurrence_changes};
use super::payload::Webinar;
use crate::event::{
    Change, ChangeKind, Millis, OccurrenceListing, Shape, WebinarFields, WebinarId, text,
};
use crate::providers::lenient::{self, FieldReader};
use crate::providers::{FetchedAnswers, PayloadContent};

/// Reads the answers about a webinar as its full state at the time of the request.
///
/// Sets only whether Zoom has the webinar, and of occurrences which are absent: a deletion that a webhook reported stays. A
/// webinar in the trash is a 404, too; its webhook may have been lost.
///
/// # Errors
/// Returns why the body cannot be mapped, as a sentence for operators.
pub(super) fn read(fetched: &FetchedAnswers<'_>) -> Result<PayloadContent, String> {
    if fetched.gone {
        let changes = vec![fetched.existence_change(&fetched.webinar, true)];
        return Ok(PayloadContent::Changes { changes, bad_fields: Vec::new() });
    }
    let answer =
        fetched.answer(WEBINAR_REQUEST).ok_or("the answer about the webinar is missing")?;
    let object: Webinar<'_> = lenient::parse_object(answer.get(), "the answer is not a webinar")?;
    let id = lenient::identifier("id", object.id, WebinarId::parse)?;
    if id != fetched.webinar {
        return Err("the answer is about another webinar than requested".to_owned());
    }
    let mut reader = FieldReader::default();
    let webinar = WebinarObject::read(&object, &mut reader)?;
    let mut change = Change::new(id, ChangeKind::Updated);
    change.account.clone_from(&fetched.account);
    change.occurred_at = Some(fetched.at);
    change.created_at =
        reader.read("created_at", object.created_at, |raw| lenient::date_time(raw, None));
    change.full_picture = true;
    change.shape = webinar.shape;
    change.listing = listing(&webinar, fetched.at);
    let host_id = object.host_id.and_then(lenient::string);
    let host = reader.read("host", fetched.answer(HOST_REQUEST), |host| {
        Some(host_name(host, host_id.as_deref()))
    });
    // What a series that lists lengths has of its own is not that of occurrences that it does not list any more.
    let has_lengths = webinar.shape == Some(Shape::Series)
        && !webinar.occurrences.is_empty()
        && webinar.occurrences.iter().all(|listed| listed.end.is_some());
    let end = webinar.fields.end.filter(|_| !has_lengths);
    change.whole = WebinarFields { organizer: host.flatten(), end, ..webinar.fields };
    // Only a deletion is taken from an entry; presence in the list covers the rest.
    change.occurrences =
        occurrence_changes(webinar.occurrences, |deleted| deleted.filter(|deleted| *deleted));
    let existence = fetched.existence_change(&change.webinar, false);
    let changes = vec![change, existence];
    Ok(PayloadContent::Changes { changes, bad_fields: reader.into_bad_fields() })
}

/// What the answer's list shows of occurrences that it does not name.
///
/// Past occurrences are requested too. If Zoom returns only past ones, or none, nothing may be cancelled: so the list
/// counts as complete only if it names a future occurrence.
fn listing(webinar: &WebinarObject, at: Millis) -> OccurrenceListing {
    let to_come =
        webinar.occurrences.iter().any(|listed| listed.start.is_some_and(|start| start > at));
    if !to_come || webinar.shape != Some(Shape::Series) {
        return OccurrenceListing::Partial;
    }
    match webinar.full_listing() {
        OccurrenceListing::Full => OccurrenceListing::Observed,
        listing @ (OccurrenceListing::Partial
        | OccurrenceListing::Observed
        | OccurrenceListing::Unknown) => listing,
    }
}

/// The host's display name, else first and last name. Never the e-mail address, which is personal, and never the name
/// of a user other than the host.
fn host_name(host: &RawValue, host_id: Option<&str>) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'a"))]
    struct Names<'a> {
        id: Option<&'a RawValue>,
        display_name: Option<&'a RawValue>,
        first_name: Option<&'a RawValue>,
        last_name: Option<&'a RawValue>,
    }
    let Names { id, display_name, first_name, last_name } = lenient::object(host)?;
    if id.and_then(lenient::string).is_some_and(|id| Some(&*id) != host_id) {
        return None;
    }
    let [display_name, first_name, last_name] =
        [display_name, first_name, last_name].map(|name| name.and_then(lenient::non_empty_text));
    let full = || [first_name, last_name].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Some(text::clean_text(&display_name.unwrap_or_else(full))).filter(|name| !name.is_empty())
}
