//! What we send fits HubSpot's published schema, and the emulator knows the same schema.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use webinar_bridge::event::{EventInput, Millis};
use webinar_bridge::http::simple_server::SimpleRequest;
use webinar_bridge::sandbox::emulator::{EmulatorSettings, HubspotEmulator};

const SCHEMA: &str = include_str!("../fixtures/hubspot/upsert.schema.json");
const NOW: Millis = Millis::new(1_790_000_000_000);

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("the schema is a schema")
});

/// Whether the emulator takes the body.
fn emulated(body: &[u8]) -> bool {
    let mut emulator = HubspotEmulator::new(EmulatorSettings::new("pat-made-up"));
    let request = SimpleRequest {
        method: "POST".into(),
        path: "/marketing/v3/marketing-events/events/upsert".into(),
        query: String::new(),
        headers: vec![
            ("Authorization".into(), "Bearer pat-made-up".into()),
            ("Content-Type".into(), "application/json".into()),
        ],
        body: body.to_vec(),
    };
    emulator.handle(NOW, &request).status == 200
}

fn body_of(inputs: &[EventInput]) -> Vec<u8> {
    let inputs: Vec<Vec<u8>> = inputs.iter().map(EventInput::to_json).collect();
    [b"{\"inputs\":[".as_slice(), &inputs.join(&b","[..]), b"]}"].concat()
}

prop_compose! {
    fn input()(
        account in ".{1,20}",
        event in ".{1,20}",
        name in ".{0,40}",
        organizer in ".{0,40}",
        event_type in ".{0,12}",
        description in proptest::option::of("(.|\n){0,60}"),
        url in proptest::option::of(".{0,40}"),
        start in proptest::option::of(946_684_800_000_i64..7_258_118_400_000),
        end in proptest::option::of(946_684_800_000_i64..7_258_118_400_000),
        cancelled in any::<bool>(),
        completed in any::<bool>(),
        properties in proptest::collection::btree_map(".{1,12}", ".{0,20}", 0..4),
    ) -> EventInput {
        EventInput {
            external_account_id: account,
            external_event_id: event,
            event_name: name,
            event_organizer: organizer,
            event_type,
            event_description: description,
            event_url: url,
            start_date_time: start.map(Millis::new),
            end_date_time: end.map(Millis::new),
            event_cancelled: cancelled,
            event_completed: completed,
            custom_properties: properties,
        }
    }
}

proptest! {
    #[test]
    fn every_input_fits(input in input()) {
        let body = body_of(std::slice::from_ref(&input));
        let value: Value = serde_json::from_slice(&body).expect("JSON");
        let problems: Vec<String> =
            VALIDATOR.iter_errors(&value).map(|error| error.to_string()).collect();
        prop_assert!(problems.is_empty(), "{problems:?}");
        prop_assert!(emulated(&body));
    }

    /// The emulator checks by other means than the schema does; here the two keep each other honest.
    #[test]
    fn the_emulator_agrees_on_what_does_not_fit(
        input in input(),
        field in proptest::sample::select(FIELDS.as_slice()),
        wrong in proptest::sample::select(vec![json!(null), json!(5), json!([1]), json!({}), json!("?")]),
    ) {
        let mut value: Value = serde_json::from_slice(&body_of(&[input])).expect("JSON");
        value["inputs"][0][field] = wrong;
        prop_assert_eq!(VALIDATOR.is_valid(&value), emulated(value.to_string().as_bytes()));
    }
}

const FIELDS: [&str; 13] = [
    "externalAccountId",
    "externalEventId",
    "eventName",
    "eventOrganizer",
    "eventType",
    "eventDescription",
    "eventUrl",
    "startDateTime",
    "endDateTime",
    "eventCancelled",
    "eventCompleted",
    "customProperties",
    "eventStartTime",
];

#[test]
fn what_is_broken_does_not_fit() {
    let whole = json!({
        "externalAccountId": "acct-7",
        "externalEventId": "w-1",
        "eventName": "Roots",
        "eventOrganizer": "Northwind Talks",
        "startDateTime": "2026-11-30T18:00:00Z",
        "customProperties": [{ "name": "platform", "value": "none" }],
    });
    let fits = |input: &Value| VALIDATOR.is_valid(&json!({ "inputs": [input] }));
    assert!(fits(&whole));

    for required in ["externalAccountId", "externalEventId", "eventName", "eventOrganizer"] {
        let mut less = whole.clone();
        less.as_object_mut().expect("an object").remove(required);
        assert!(!fits(&less), "without {required}");
    }
    for (field, value) in [
        ("eventName", json!(7)),
        ("eventCancelled", json!("true")),
        ("startDateTime", json!("tomorrow")),
        ("startDateTime", json!("2026-11-30T18:00:00")),
        ("endDateTime", json!(1_790_000_000_000_i64)),
        ("customProperties", json!({ "platform": "none" })),
        ("customProperties", json!([{ "name": "platform" }])),
        ("customProperties", json!([{ "name": "platform", "value": 3 }])),
        ("eventStartTime", json!("2026-11-30T18:00:00Z")),
    ] {
        let mut wrong = whole.clone();
        wrong[field] = value.clone();
        assert!(!fits(&wrong), "{field} = {value}");
    }
    assert!(!VALIDATOR.is_valid(&json!({ "inputs": [] })));
    assert!(!VALIDATOR.is_valid(&json!({ "inputs": vec![whole; 101] })));
    assert!(!VALIDATOR.is_valid(&json!({})));
}

#[test]
fn the_smallest_and_the_largest_batch_fit() {
    let input = |number: usize| EventInput {
        external_account_id: "acct-7".into(),
        external_event_id: format!("w-{number}"),
        event_name: "Roots".into(),
        event_organizer: "Northwind Talks".into(),
        event_type: "WEBINAR".into(),
        event_description: None,
        event_url: None,
        start_date_time: None,
        end_date_time: None,
        event_cancelled: false,
        event_completed: false,
        custom_properties: BTreeMap::new(),
    };
    for count in [1, 100] {
        let body = body_of(&(0..count).map(input).collect::<Vec<_>>());
        assert!(VALIDATOR.is_valid(&serde_json::from_slice(&body).expect("JSON")), "{count}");
        assert!(emulated(&body), "{count}");
    }
}
