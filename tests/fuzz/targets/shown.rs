//! What HubSpot shows of an event when it is asked for one, and how that differs from what it was sent.

use std::sync::Arc;

use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};
use webinar_bridge::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId, WebinarId};
use webinar_bridge::hubspot::{RemoteEvent, differences};

use super::token::{Canned, account, troubled};
use super::{Message, fixtures};

/// What the bridge may have sent: all that an input can hold.
fn sent() -> Value {
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
    let mut shown = sent();
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
        seed(200, sent().to_string().as_bytes()),
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
    let answer = Message::of(data).answer();
    let webinar = WebinarId::parse("83107745521").expect("an id");
    let key = EventKey {
        hubspot: AccountName::parse("main").expect("a name"),
        external_account_id: ExternalAccountId::parse("acct").expect("an id"),
        external_event_id: ExternalEventId::for_webinar(&webinar),
    };
    let asked = account(Arc::new(Canned(answer.clone()))).read_event(&key).now_or_never();
    match asked.expect("nothing to wait for").outcome {
        Ok(Some(shown)) => {
            assert!(matches!(answer.status, 200..=299), "an event by a {}", answer.status);
            let fields = serde_json::from_slice::<Map<String, Value>>(&answer.body);
            differ(&shown, fields.expect("an event is an object"));
        }
        Ok(None) => assert_eq!(answer.status, 404, "only that says that there is none"),
        Err(trouble) => troubled(&trouble, &answer),
    }
}

fn differ(shown: &RemoteEvent, fields: Map<String, Value>) {
    let sent = sent();
    let found = differences(&sent, shown);
    let differs = |name: &str| found.iter().any(|one| one == name);
    for (name, ours) in sent.as_object().expect("an object") {
        // What was sent is there word for word, or another text is.
        match fields.get(name) {
            Some(theirs) if theirs == ours => assert!(!differs(name), "{name} is as it was sent"),
            Some(Value::String(theirs)) if name == "eventName" || name == "eventUrl" => {
                assert!(differs(name), "{name} is {theirs:?}");
            }
            None if name.starts_with("event") && *ours != false => {
                assert!(differs(name), "{name} is not there");
            }
            Some(_) | None => {}
        }
    }
    for name in &found {
        let name = name.split('.').next().unwrap_or_default();
        assert!(sent.get(name).is_some(), "{name} was never sent");
    }
    assert!(found.len() <= 11, "each at most once: {found:?}");
    // HubSpot holds what it holds.
    assert_eq!(differences(&Value::Object(fields), shown), [""; 0]);
}
