//! An event as HubSpot shows it, and its differences from the input.

use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};
use webinar_bridge::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId, WebinarId};
use webinar_bridge::hubspot::{RemoteEvent, differences};

use super::token_response::{CannedResponse, account, check_error, fixed_token, permit};
use super::{Message, fixtures};

/// An input with every field.
fn input() -> Value {
    json!({
        "externalAccountId": "acct", "externalEventId": "83107745521",
        "eventName": "Kettles in spring", "eventOrganizer": "Acme", "eventType": "WEBINAR",
        "eventDescription": "Whistles\n", "eventUrl": "https://example.com/kettles?a=1",
        "startDateTime": "2026-03-05T18:00:00Z", "endDateTime": "2026-03-05T19:00:00Z",
        "eventCancelled": false, "eventCompleted": true,
        "customProperties": [{ "name": "platform", "value": "zoom" }, { "name": "seats", "value": "7" }],
    })
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut shown = input();
    for (name, value) in [
        ("id", json!("512")),
        ("attendees", json!(3)),
        ("startDateTime", json!("2026-03-05T13:00:00.000-05:00")),
        ("endDateTime", json!(1_772_737_200_000_i64)),
        ("eventCancelled", json!("true")),
        (
            "customProperties",
            json!([{ "name": "hs_event_status", "value": "PAST" }, { "name": "seats", "value": 7 }]),
        ),
    ] {
        shown[name] = value;
    }
    let seed =
        |status: u16, body: &[u8]| [format!("status: {status}\n\n").as_bytes(), body].concat();
    let mut seeds = vec![
        seed(200, input().to_string().as_bytes()),
        seed(200, shown.to_string().as_bytes()),
        seed(404, b"<html>"),
    ];
    for (name, body) in fixtures("hubspot") {
        let stem = name.split('.').next().unwrap_or_default();
        let status = stem.rsplit('_').next().and_then(|end| end.parse().ok());
        seeds.extend(status.map(|status| seed(status, &body)));
    }
    seeds
}

pub(super) fn check(data: &[u8]) {
    let response = Message::from_bytes(data).response();
    let webinar = WebinarId::parse("83107745521").expect("an id");
    let key = EventKey {
        hubspot: AccountName::parse("main").expect("a name"),
        external_account_id: ExternalAccountId::parse("acct").expect("an id"),
        external_event_id: ExternalEventId::for_webinar(&webinar),
    };
    let account = account(CannedResponse::shared(&response), fixed_token());
    let read = account.read_event(permit(), &key).now_or_never();
    match read.expect("nothing to wait for").outcome {
        Ok(Some(shown)) => {
            assert!(matches!(response.status, 200..=299), "an event by a {}", response.status);
            let fields = serde_json::from_slice::<Map<String, Value>>(&response.body);
            check_differences(&shown, fields.expect("an event is an object"));
        }
        Ok(None) => assert_eq!(response.status, 404, "only a 404 means that there is none"),
        Err(error) => check_error(&error, &response),
    }
}

fn check_differences(shown: &RemoteEvent, fields: Map<String, Value>) {
    let sent = input();
    let found = differences(&sent, shown);
    let differs = |name: &str| found.iter().any(|one| one == name);
    for (name, ours) in sent.as_object().expect("an object") {
        // An equal field is no difference, another text is one.
        match fields.get(name) {
            Some(theirs) if theirs == ours => assert!(!differs(name), "{name} is unchanged"),
            Some(Value::String(theirs)) if name == "eventName" || name == "eventUrl" => {
                assert!(differs(name), "{name} is {theirs:?}");
            }
            None if name.starts_with("event") && *ours != false => {
                assert!(differs(name), "{name} is absent");
            }
            Some(_) | None => {}
        }
    }
    for name in &found {
        let name = name.split('.').next().unwrap_or_default();
        assert!(sent.get(name).is_some(), "{name} is no field of the input");
    }
    assert!(found.len() <= 11, "a field is repeated: {found:?}");
    // An event does not differ from itself.
    assert_eq!(differences(&Value::Object(fields), shown), [""; 0]);
}
