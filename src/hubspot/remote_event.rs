//! An event as HubSpot shows it, and its differences from an input.

use serde_json::{Map, Value};

use super::account_error::AccountError;
use super::body::{ErrorBody, sanitize};
use crate::event::{BaseFields, Millis};
use crate::net::HttpResponse;

/// Fields that are text.
const TEXTS: [&str; 5] =
    ["eventName", "eventOrganizer", "eventType", "eventDescription", "eventUrl"];
/// Fields that are points in time.
const TIMES: [&str; 2] = ["startDateTime", "endDateTime"];
/// Fields that are flags; "Defaults to `false`" by the published schema.
const FLAGS: [&str; 2] = ["eventCancelled", "eventCompleted"];

/// An event as HubSpot shows it: `MarketingEventPublicReadResponse` of the published schema. Any field may be missing,
/// or of another type than documented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteEvent(Map<String, Value>);

impl RemoteEvent {
    /// Reads the response to the request for one event; none if there is no such event.
    ///
    /// A 404 of the API means that there is none. Any other 404 is the path's, and proves nothing about the event.
    pub(super) fn from_response(response: &HttpResponse) -> Result<Option<Self>, AccountError> {
        match response.status {
            200..=299 => match serde_json::from_slice(&response.body) {
                Ok(Value::Object(fields)) => Ok(Some(Self(fields))),
                Ok(_) | Err(_) => Err(AccountError::from_unreadable(response, "no event in JSON")),
            },
            404 if is_absence(response) => Ok(None),
            _ => Err(AccountError::from_response(response)),
        }
    }

    /// HubSpot's id of the record, if it is shown.
    #[must_use]
    pub fn object_id(&self) -> Option<String> {
        Some(text(self.0.get("objectId"))).filter(|id| !id.is_empty()).map(|id| sanitize(&id))
    }

    /// Its values, without HubSpot's own properties and those that HubSpot calculates.
    #[must_use]
    pub fn base_fields(&self) -> BaseFields {
        let filled = |name: &str| Some(text(self.0.get(name))).filter(|text| !text.is_empty());
        let time = |name: &str| parse_time(&text(self.0.get(name)));
        let list = self.0.get("customProperties").and_then(Value::as_array);
        let custom = list.into_iter().flatten().filter_map(|each| {
            let is_calculated = each.get("source").and_then(Value::as_str) == Some("CALCULATED");
            let name = each.get("name")?.as_str().filter(|_| !is_calculated)?;
            Some((name.to_owned(), text(each.get("value"))))
        });
        BaseFields {
            name: filled("eventName"),
            organizer: filled("eventOrganizer"),
            event_type: filled("eventType"),
            description: filled("eventDescription"),
            url: filled("eventUrl"),
            start: time("startDateTime"),
            end: time("endDateTime"),
            cancelled: is_true(self.0.get("eventCancelled")),
            completed: is_true(self.0.get("eventCompleted")),
            custom: custom.collect(),
        }
        .cleaned()
    }

    /// Whether it is this very event, as it was sent: by its name, organizer, description and link, its times as
    /// instants, and its two flags. Its type and its properties prove nothing: HubSpot drops unknown properties.
    #[must_use]
    pub fn shows(&self, input: &[u8]) -> bool {
        let is_proof = |name: &String| name != "eventType" && !name.starts_with("customProperties");
        serde_json::from_slice(input)
            .is_ok_and(|input: Value| !differences(&input, self).iter().any(is_proof))
    }

    /// Whether it holds all of an input. Before an event is sent again, less would not do: an older state of it may
    /// differ in a property alone.
    #[must_use]
    pub fn equals(&self, input: &[u8]) -> bool {
        serde_json::from_slice(input).is_ok_and(|input: Value| differences(&input, self).is_empty())
    }

    /// An event with these fields.
    #[must_use]
    pub fn from_fields(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

/// Whether a 404 is HubSpot's own, in JSON: `OBJECT_NOT_FOUND`, or an error with a correlation id. A gateway's, or that
/// of a path that does not exist, has neither.
fn is_absence(response: &HttpResponse) -> bool {
    ErrorBody::parse(&response.body).is_some_and(|error| {
        error.category.as_deref() == Some("OBJECT_NOT_FOUND")
            || (error.status.as_deref() == Some("error") && error.correlation_id.is_some())
    })
}

/// The fields in which HubSpot differs from an input (JSON of [`crate::event::EventInput`]), by HubSpot's names.
///
/// Those of the input's `customProperties` are named `customProperties.NAME`. An absent field equals an empty one,
/// times are compared as instants, and fields that HubSpot adds are ignored.
#[must_use]
pub fn differences(input: &Value, remote: &RemoteEvent) -> Vec<String> {
    let (ours, theirs) = (|name: &str| input.get(name), |name: &str| remote.0.get(name));
    let texts = TEXTS.into_iter().filter(|name| text(ours(name)) != text(theirs(name)));
    let times = TIMES.into_iter().filter(|name| !is_same_time(ours(name), theirs(name)));
    let flags = FLAGS.into_iter().filter(|name| is_true(ours(name)) != is_true(theirs(name)));
    let mut differing: Vec<String> = texts.chain(times).chain(flags).map(str::to_owned).collect();
    let remote_properties = theirs("customProperties");
    for (name, value) in properties(ours("customProperties")) {
        let same = properties(remote_properties)
            .any(|(other, remote)| other == name && text(remote) == text(value));
        // An empty property may be absent.
        if !same && !text(value).is_empty() {
            differing.push(format!("customProperties.{name}"));
        }
    }
    differing
}

/// A text; a number or a flag as written.
fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => String::new(),
    }
}

fn is_true(value: Option<&Value>) -> bool {
    text(value) == "true"
}

fn is_same_time(ours: Option<&Value>, theirs: Option<&Value>) -> bool {
    let (ours, theirs) = (text(ours), text(theirs));
    ours == theirs || parse_time(&ours).is_some_and(|ours| parse_time(&theirs) == Some(ours))
}

/// Parses RFC 3339, or milliseconds, as HubSpot shows properties of times elsewhere.
fn parse_time(text: &str) -> Option<Millis> {
    text.parse().map_or_else(|_| Millis::parse(text, None), Millis::from_plausible_ms)
}

/// Names and values of a list of properties.
fn properties(list: Option<&Value>) -> impl Iterator<Item = (&str, Option<&Value>)> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|each| Some((each.get("name")?.as_str()?, each.get("value"))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::hubspot::AccountErrorKind;

    fn input() -> Value {
        json!({
            "externalAccountId": "acct", "externalEventId": "1",
            "eventName": "Calm releases", "eventOrganizer": "Acme GmbH", "eventType": "WEBINAR",
            "eventDescription": "How", "eventUrl": "https://example.com/1",
            "startDateTime": "2026-03-05T18:00:00Z", "endDateTime": "2026-03-05T19:00:00Z",
            "eventCancelled": false, "eventCompleted": true,
            "customProperties": [{ "name": "platform", "value": "zoom" }, { "name": "seats", "value": "7" }],
        })
    }

    /// The event of [`input`] as HubSpot would show it, with these fields instead.
    fn shown(changes: &Value) -> RemoteEvent {
        let mut fields = input();
        for (name, value) in json!({
            "id": "1", "objectId": "9", "createdAt": "2026-01-01T00:00:00Z", "attendees": 3,
            "customProperties": [
                { "name": "hs_event_status", "value": "PAST", "source": "CALCULATED" },
                { "name": "seats", "value": 7 },
                { "name": "platform", "value": "zoom" },
            ],
        })
        .as_object()
        .expect("an object")
        .iter()
        .chain(changes.as_object().expect("an object"))
        {
            fields[name] = value.clone();
        }
        let Value::Object(fields) = fields else { panic!("an object") };
        RemoteEvent::from_fields(fields)
    }

    #[test]
    fn differences_other_notation_or_added_fields_are_none() {
        for same in [
            json!({}),
            json!({ "startDateTime": "2026-03-05T13:00:00-05:00" }),
            json!({ "startDateTime": "2026-03-05T18:00:00.000Z" }),
            json!({ "startDateTime": 1_772_733_600_000_i64, "endDateTime": "1772737200000" }),
            json!({ "eventCancelled": null, "eventCompleted": "true" }),
        ] {
            assert_eq!(differences(&input(), &shown(&same)), [""; 0], "{same}");
        }
        let bare = json!({ "eventName": "Bare", "eventOrganizer": "", "customProperties": [{ "name": "a", "value": "" }] });
        let held = json!({ "eventName": "Bare", "eventUrl": "", "startDateTime": null });
        let Value::Object(held) = held else { panic!("an object") };
        assert_eq!(differences(&bare, &RemoteEvent::from_fields(held)), [""; 0]);
    }

    #[test]
    fn differences_changed_field_is_named() {
        for (change, expected) in [
            (json!({ "eventName": "Other" }), "eventName"),
            (json!({ "eventName": "Calm releases " }), "eventName"),
            (json!({ "eventOrganizer": null }), "eventOrganizer"),
            (json!({ "eventType": "CONFERENCE" }), "eventType"),
            (json!({ "eventDescription": "" }), "eventDescription"),
            (json!({ "eventUrl": {} }), "eventUrl"),
            (json!({ "startDateTime": "2026-03-05T18:00:01Z" }), "startDateTime"),
            (json!({ "startDateTime": "soon" }), "startDateTime"),
            (json!({ "endDateTime": null }), "endDateTime"),
            (json!({ "eventCancelled": true }), "eventCancelled"),
            (json!({ "eventCompleted": null }), "eventCompleted"),
            (
                json!({ "customProperties": [{ "name": "seats", "value": "7" }] }),
                "customProperties.platform",
            ),
            (
                json!({ "customProperties": [{ "name": "platform", "value": "zoom" }, { "name": "seats", "value": "8" }] }),
                "customProperties.seats",
            ),
        ] {
            assert_eq!(differences(&input(), &shown(&change)), [expected], "{change}");
        }
        let nothing = json!({ "customProperties": null });
        let both = ["customProperties.platform", "customProperties.seats"];
        assert_eq!(differences(&input(), &shown(&nothing)), both);
    }

    #[test]
    fn differences_time_that_only_hubspot_has_is_named() {
        let mut input = input();
        input.as_object_mut().expect("an object").remove("endDateTime");
        assert_eq!(differences(&input, &shown(&json!({}))), ["endDateTime"]);
    }

    #[test]
    fn base_fields_are_all_values_but_hubspots_own() {
        let fields = shown(&json!({ "eventDescription": "", "endDateTime": null })).base_fields();
        let custom = [("platform", "zoom"), ("seats", "7")];
        let expected = BaseFields {
            name: Some("Calm releases".into()),
            organizer: Some("Acme GmbH".into()),
            event_type: Some("WEBINAR".into()),
            description: None,
            url: Some("https://example.com/1".into()),
            start: Millis::parse("2026-03-05T18:00:00Z", None),
            end: None,
            cancelled: false,
            completed: true,
            custom: custom.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        assert_eq!(fields, expected);
    }

    #[test]
    fn shows_event_by_what_hubspot_certainly_keeps() {
        let input = serde_json::to_vec(&input()).expect("JSON");
        for same in [
            json!({}),
            json!({ "eventType": "CONFERENCE", "customProperties": [] }),
            json!({ "startDateTime": "2026-03-05T13:00:00-05:00" }),
        ] {
            assert!(shown(&same).shows(&input), "{same}");
        }
        for other in [
            json!({ "eventName": "Other" }),
            json!({ "eventOrganizer": "Other" }),
            json!({ "eventDescription": null }),
            json!({ "eventUrl": "https://example.com/2" }),
            json!({ "endDateTime": "2026-03-05T19:00:01Z" }),
            json!({ "eventCancelled": true }),
            json!({ "eventCompleted": false }),
        ] {
            assert!(!shown(&other).shows(&input), "{other}");
        }
        assert!(!RemoteEvent::from_fields(Map::new()).shows(&input), "an empty answer");
        assert!(!shown(&json!({})).shows(b"no JSON"));
    }

    #[test]
    fn from_response_any_status_is_event_absence_or_error() {
        let read = |status, kind: &str, body: &str| {
            let headers = vec![("content-type".to_owned(), kind.to_owned())];
            RemoteEvent::from_response(&HttpResponse { status, headers, body: body.into() })
        };
        let json = "application/json";
        assert_eq!(read(200, json, "{}"), Ok(Some(RemoteEvent::from_fields(Map::new()))));
        assert_eq!(read(404, json, r#"{"category":"OBJECT_NOT_FOUND"}"#), Ok(None));
        let unnamed = r#"{"status":"error","message":"no","correlationId":"c"}"#;
        assert_eq!(read(404, json, unnamed), Ok(None));
        for other in ["{}", "", "<html>", r#"{"message":"no route"}"#, r#"{"status":"error"}"#] {
            let error = read(404, json, other).expect_err("it is the path's");
            assert_eq!(error.kind, AccountErrorKind::NotFound, "M22: {other}");
        }
        for (status, body) in
            [(200, "[]"), (200, ""), (401, "{}"), (429, "{}"), (500, "{}"), (302, "")]
        {
            assert!(read(status, json, body).is_err(), "{status} {body}");
        }
    }
}
