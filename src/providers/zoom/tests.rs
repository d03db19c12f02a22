use serde_json::{Value, json};

use super::*;
use crate::event::webinar::OCCURRENCES_MAX;
use crate::event::{
    Change, EndTime, Millis, OccurrenceChange, OccurrenceListing, RunPhase, Shape, WebinarFields,
};

mod api;
mod fixtures;
mod hostile;
mod stories;
mod verification;

const ACCOUNT: &str = "acc-1";
const ZOOM: Zoom = Zoom { api: None };

/// Reads a body as verified.
fn read(body: &[u8]) -> ParsedPayload {
    ZOOM.read(&Inbound::from_body(body).scrub(&ZOOM), &[b"fixture secret"])
}

fn webhook(event: &str, mut payload: Value) -> ParsedPayload {
    if payload.get("account_id").is_none() {
        payload["account_id"] = ACCOUNT.into();
    }
    let body = json!({ "event": event, "event_ts": 1_789_207_200_000_i64, "payload": payload });
    read(body.to_string().as_bytes())
}

fn changed(event: &str, payload: Value) -> (Change, Vec<&'static str>) {
    let parsed = webhook(event, payload);
    let PayloadContent::Changes { mut changes, bad_fields } = parsed.content else {
        panic!("no changes: {parsed:?}");
    };
    assert_eq!(changes.len(), 1);
    (changes.remove(0), bad_fields)
}

fn change(event: &str, payload: Value) -> Change {
    let (change, bad_fields) = changed(event, payload);
    assert_eq!(bad_fields, Vec::<&str>::new());
    change
}

fn unmappable(parsed: ParsedPayload) -> String {
    let PayloadContent::Unmappable(reason) = parsed.content else { panic!("mapped: {parsed:?}") };
    reason
}

fn updated(object: &Value) -> Change {
    change("webinar.updated", json!({ "object": object }))
}

#[test]
fn body_without_one_text_event_is_unmappable() {
    let deep =
        format!(r#"{{"event":"webinar.alert","a":{}1{}}}"#, "[".repeat(127), "]".repeat(127));
    for body in [
        "",
        "null",
        r#"["webinar.created"]"#,
        r#"{"payload":{}}"#,
        r#"{"event":5}"#,
        r#"{"event":null}"#,
        r#"{"event":"webinar.alert","event":"webinar.alert"}"#,
        r#"{"event":"webinar.alert"} trailing"#,
        r#"{"event":"webinar.alert""#,
        &deep,
    ] {
        let parsed = read(body.as_bytes());
        assert_eq!(parsed.event_type, "unknown", "{body}");
        unmappable(parsed);
    }
    unmappable(read(b"{\"event\":\"webinar.alert\",\"a\":\"\xff\"}"));
}

#[test]
fn webinar_body_of_wrong_shape_is_unmappable() {
    for payload in [
        json!(5),
        json!(["acc", null]),
        json!({}),
        json!({ "object": null }),
        json!({ "object": [1, 2] }),
        json!({ "object": { "topic": "x" } }),
        json!({ "object": { "id": null } }),
        json!({ "object": { "id": "" } }),
        json!({ "object": { "id": " 1" } }),
        json!({ "object": { "id": 1.5 } }),
    ] {
        let body = json!({ "event": "webinar.updated", "payload": payload });
        unmappable(read(body.to_string().as_bytes()));
    }
    let twice =
        br#"{"event":"webinar.updated","payload":{"object":{"id":1,"topic":"a","topic":"b"}}}"#;
    unmappable(read(twice));
}

#[test]
fn unmappable_reason_never_repeats_the_body() {
    for body in [
        r#"{"event":"webinar.updated","payload":"secret word"}"#,
        r#"{"event":"webinar.updated","payload":{"object":{"id":"secret word"}}}"#,
        r#"{"event":"webinar.updated","payload":{"account_id":"secret word","object":{"id":1}}}"#,
        r#"{"event":"webinar.updated","payload":{"object":"secret word"}}"#,
    ] {
        let reason = unmappable(read(body.as_bytes()));
        assert!(!reason.contains("secret"), "{reason}");
    }
}

/// M24: an entry that cannot be read may be any of the old ones.
#[test]
fn update_with_a_torn_list_cancels_nothing_of_the_old_one() {
    let old = json!({ "occurrences": [{ "occurrence_id": "o1" }, { "occurrence_id": "o2" }] });
    let named = |list: Value| -> Vec<String> {
        let object = json!({ "id": 1, "occurrences": list });
        let (change, _) =
            changed("webinar.updated", json!({ "object": object, "old_object": old }));
        change.occurrences.iter().map(|occurrence| occurrence.id.to_string()).collect()
    };
    assert_eq!(named(json!([{ "occurrence_id": "o1" }])), ["o1", "o2"]);
    assert_eq!(named(json!([{ "occurrence_id": "o1" }, { "occurrence_id": [] }])), ["o1"]);
    let unreadable = json!([{ "occurrence_id": "o1", "start_time": "soon" }]);
    assert_eq!(named(unreadable), ["o1"]);
}

/// M24, M27: a series that becomes one event names the dates that it had; its shape cancels them.
#[test]
fn update_that_makes_one_event_of_a_series_names_what_it_had() {
    let old = json!({ "occurrences": [{ "occurrence_id": "o1" }, { "occurrence_id": "o2" }] });
    for kind in [5, 6] {
        let object = json!({ "id": 1, "type": kind });
        let change =
            change("webinar.updated", json!({ "object": object, "old_object": old.clone() }));
        let named: Vec<&str> =
            change.occurrences.iter().map(|occurrence| occurrence.id.as_str()).collect();
        assert_eq!((named, change.listing), (vec!["o1", "o2"], OccurrenceListing::Partial));
        let said = |own: &OccurrenceChange| own.fields != WebinarFields::default();
        assert!(!change.occurrences.iter().any(said));
    }
}

/// M27: the event that the webinar was before it became a series may be HubSpot's, although no other webhook reported it.
#[test]
fn update_that_makes_a_series_of_one_event_says_what_it_was() {
    let shapes = |old: Value, new: u8| -> Vec<Option<Shape>> {
        let parsed = webhook(
            "webinar.updated",
            json!({ "object": { "id": 1, "type": new }, "old_object": old }),
        );
        let PayloadContent::Changes { changes, .. } = parsed.content else { panic!("no changes") };
        changes.iter().map(|change| change.shape).collect()
    };
    let series = Some(Shape::Series);
    assert_eq!(shapes(json!({ "type": 5 }), 9), [Some(Shape::Single), series]);
    assert_eq!(shapes(json!({ "type": 6 }), 9), [Some(Shape::Timeless), series]);
    assert_eq!(shapes(json!({ "type": 9 }), 9), [series]);
    assert_eq!(shapes(json!({}), 9), [series]);
    assert_eq!(shapes(json!({ "type": 9 }), 5), [Some(Shape::Single)]);
}

/// M24: a full list leaves out only what is known; the old list names what HubSpot may hold from before.
#[test]
fn update_with_a_full_list_names_what_it_replaced() {
    let list =
        |ids: &[&str]| -> Value { ids.iter().map(|id| json!({ "occurrence_id": id })).collect() };
    let object = json!({ "id": 1, "recurrence": { "type": 1 }, "occurrences": list(&["o1"]) });
    let old = json!({ "occurrences": list(&["o1", "o2"]) });
    let payload = json!({ "scope": "all", "object": object, "old_object": old });
    let (change, _) = changed("webinar.updated", payload);
    assert_eq!(change.listing, OccurrenceListing::Full);
    let cancelled = |nth: usize| change.occurrences[nth].fields.cancelled;
    assert_eq!((change.occurrences.len(), cancelled(0), cancelled(1)), (2, None, Some(true)));
}

#[test]
fn other_event_with_any_payload_is_ignored() {
    for event in [
        "webinar.registration_created",
        "webinar.participant_joined",
        "app_deauthorized",
        "zoom_events.event_duplicated",
        "zoom_events.ticket_created",
        "Webinar.Created",
        "meeting.created",
        "",
    ] {
        for rest in ["", r#","payload":5"#, r#","payload":[1],"payload":"\ud83d""#] {
            let body = format!(r#"{{"event":"{event}"{rest}}}"#);
            assert_eq!(read(body.as_bytes()).content, PayloadContent::Ignored, "{body}");
        }
    }
}

#[test]
fn event_name_is_cleaned_and_cut() {
    let named = |event: &str| read(json!({ "event": event }).to_string().as_bytes()).event_type;
    assert_eq!(named("webinar.alert"), "webinar.alert");
    assert_eq!(named("a\u{0}b\u{1b}"), "ab");
    assert_eq!(named(" \u{0}"), "unknown");
    assert_eq!(named(&"é".repeat(500)), "é".repeat(100));
}

#[test]
fn account_missing_is_accepted_and_bad_is_unmappable() {
    let object = json!({ "id": 1, "topic": "x" });
    let body = json!({ "event": "webinar.updated", "payload": { "object": object } });
    let PayloadContent::Changes { changes, .. } = read(body.to_string().as_bytes()).content else {
        panic!("a body without an account is mapped");
    };
    assert_eq!(changes[0].account, None);
    for account in [json!(""), json!("a b"), json!({}), json!(true)] {
        let payload = json!({ "account_id": account, "object": object });
        assert!(unmappable(webhook("webinar.updated", payload)).starts_with("account_id"));
    }
    let payload = json!({ "account_id": 18_446_744_073_709_551_615_u64, "object": object });
    let change = change("webinar.updated", payload);
    assert_eq!(change.account.expect("there").as_str(), "18446744073709551615");
}

#[test]
fn null_field_changes_nothing_and_is_not_counted_bad() {
    let change = updated(&json!({
        "id": 1, "topic": null, "agenda": null, "type": null, "start_time": null, "duration": null,
        "timezone": null, "join_url": null, "registration_url": null, "occurrences": null,
    }));
    assert_eq!(change.whole, crate::event::WebinarFields::default());
    assert_eq!((change.shape, change.listing), (None, OccurrenceListing::Partial));
}

#[test]
fn bad_field_is_counted_and_leaves_other_fields() {
    let good = json!({
        "id": 1, "topic": "x", "agenda": "y", "type": 5, "start_time": "2026-10-01T15:00:00Z",
        "duration": 30, "timezone": "UTC", "join_url": "https://e.test/j",
        "registration_url": "https://e.test/r",
    });
    let all = updated(&good);
    for (field, values) in [
        ("topic", vec![json!(5), json!(""), json!({})]),
        ("agenda", vec![json!(5), json!([])]),
        ("type", vec![json!(8), json!("five"), json!(5.5)]),
        ("start_time", vec![json!("soon"), json!(1), json!("2026-10-01T25:00:00Z")]),
        ("duration", vec![json!(0), json!(-1), json!(i64::MAX), json!(1e300), json!("-30")]),
        ("timezone", vec![json!(1)]),
        ("join_url", vec![json!("e.test"), json!("ftp://e.test"), json!(1)]),
        ("registration_url", vec![json!("https://me:pw@e.test/"), json!(true)]),
        ("occurrences", vec![json!("none"), json!({}), json!([{ "occurrence_id": "1" }])]),
    ] {
        for value in values {
            let mut object = good.clone();
            object[field] = value.clone();
            let (change, bad) = changed("webinar.updated", json!({ "object": object }));
            assert_eq!(bad, [field], "{value}");
            let mut expected = all.clone();
            match field {
                "topic" => expected.whole.name = None,
                "agenda" => expected.whole.description = None,
                "type" => expected.shape = None,
                "start_time" => expected.whole.start = None,
                "duration" => expected.whole.end = None,
                "join_url" => expected.whole.join_url = None,
                "registration_url" => expected.whole.registration_url = None,
                _ => {}
            }
            expected.full_picture = !["topic", "type", "start_time"].contains(&field);
            assert_eq!(change, expected, "{field}: {value}");
        }
    }
}

#[test]
fn change_time_takes_precedence_over_delivery_time() {
    let at = |ms: i64| Some(Millis::new(ms));
    let (sent, changed_at) = (1_789_207_200_000_i64, 1_789_207_100_000_i64);
    let time = |body: Value| {
        let PayloadContent::Changes { changes, bad_fields } =
            read(body.to_string().as_bytes()).content
        else {
            panic!("mapped: {body}");
        };
        (changes[0].occurred_at, bad_fields)
    };
    let event = "webinar.updated";
    let object = json!({ "id": 1 });
    let plain = json!({ "event": event, "event_ts": sent, "payload": { "object": object } });
    assert_eq!(time(plain.clone()), (at(sent), vec![]));
    let mut official = plain.clone();
    official["payload"]["time_stamp"] = changed_at.into();
    assert_eq!(time(official), (at(changed_at), vec![]));
    let mut top = plain.clone();
    top["time_stamp"] = changed_at.into();
    assert_eq!(time(top), (at(changed_at), vec![]));
    let mut old = plain.clone();
    old["payload"]["old_object"] = json!({ "time_stamp": changed_at });
    assert_eq!(time(old), (at(changed_at), vec![]));
    for bad in [json!(0), json!(1_789_207_100), json!("now"), json!(i64::MAX)] {
        let mut body = plain.clone();
        body["payload"]["time_stamp"] = bad.clone();
        assert_eq!(time(body), (at(sent), vec!["time_stamp"]), "{bad}");
        let mut body = plain.clone();
        body["event_ts"] = bad.clone();
        assert_eq!(time(body), (None, vec!["event_ts"]), "{bad}");
    }
}

#[test]
fn time_without_offset_is_read_in_the_body_time_zone() {
    let change = updated(&json!({
        "id": 1, "start_time": "2026-07-01T12:00:00", "timezone": "America/New_York",
        "occurrences": [{ "occurrence_id": "1", "start_time": "2026-07-02T12:00:00" }],
    }));
    assert_eq!(change.whole.start.expect("there").to_string(), "2026-07-01T16:00:00Z");
    let own = &change.occurrences[0].fields;
    assert_eq!(own.start.expect("there").to_string(), "2026-07-02T16:00:00Z");
}

#[test]
fn full_picture_requires_title_type_and_times() {
    let start = "2026-10-01T15:00:00Z";
    for (object, full) in [
        (json!({ "id": 1, "topic": "x", "type": 5, "start_time": start }), true),
        (json!({ "id": 1, "topic": "x", "type": 6 }), true),
        (json!({ "id": 1, "topic": "x", "type": 9 }), false),
        (json!({ "id": 1, "topic": "x", "start_time": start }), false),
        (json!({ "id": 1, "type": 5, "start_time": start }), false),
    ] {
        let payload = json!({ "object": object });
        for event in ["webinar.updated", "webinar.deleted", "webinar.recovered"] {
            assert_eq!(change(event, payload.clone()).full_picture, full, "{event} {object}");
        }
        for event in ["webinar.created", "meeting.converted_to_webinar"] {
            assert!(change(event, payload.clone()).full_picture, "{event} {object}");
        }
        for event in ["webinar.started", "webinar.ended"] {
            assert!(!change(event, payload.clone()).full_picture, "{event} {object}");
        }
    }
}

#[test]
fn shape_follows_from_type_or_occurrence_list() {
    let list = json!([{ "occurrence_id": "1" }]);
    for (object, shape) in [
        (json!({ "id": 1, "type": 5 }), Some(Shape::Single)),
        (json!({ "id": 1, "type": 6 }), Some(Shape::Timeless)),
        (json!({ "id": 1, "type": 9 }), Some(Shape::Series)),
        (json!({ "id": 1, "occurrences": list }), Some(Shape::Series)),
        (json!({ "id": 1, "occurrences": [] }), None),
        (json!({ "id": 1 }), None),
    ] {
        assert_eq!(updated(&object).shape, shape, "{object}");
    }
    let object = json!({ "id": 1, "type": 5, "occurrences": list });
    assert_eq!(change("webinar.converted_to_meeting", json!({ "object": object })).shape, None);
}

#[test]
fn listing_of_each_body_is_full_partial_or_unknown() {
    let list = json!([{ "occurrence_id": "1" }]);
    let torn = json!([{ "occurrence_id": "1" }, { "occurrence_id": "" }]);
    let listing = |event: &str, payload: Value| changed(event, payload).0.listing;
    let created = |object: Value| listing("webinar.created", json!({ "object": object }));
    assert_eq!(
        created(json!({ "id": 1, "type": 9, "occurrences": list })),
        OccurrenceListing::Full
    );
    assert_eq!(created(json!({ "id": 1, "occurrences": list })), OccurrenceListing::Full);
    assert_eq!(
        created(json!({ "id": 1, "type": 9, "occurrences": torn })),
        OccurrenceListing::Partial
    );
    assert_eq!(
        created(json!({ "id": 1, "type": 9, "occurrences": 5 })),
        OccurrenceListing::Unknown
    );
    assert_eq!(
        created(json!({ "id": 1, "type": 9, "occurrences": [] })),
        OccurrenceListing::Unknown
    );
    assert_eq!(created(json!({ "id": 1, "type": 9 })), OccurrenceListing::Unknown);
    assert_eq!(created(json!({ "id": 1, "type": 5 })), OccurrenceListing::Partial);

    let updated = |payload: Value| listing("webinar.updated", payload);
    let (recurrence, old_list) = (json!({ "type": 1 }), json!({ "occurrences": [] }));
    let (start, old_start) =
        ("2026-10-01T15:00:00Z", json!({ "start_time": "2026-10-01T14:00:00Z" }));
    for (payload, expected) in [
        // The recurrence changed, with scope `all`.
        (
            json!({ "scope": "all", "object": { "id": 1, "recurrence": recurrence, "occurrences": list } }),
            OccurrenceListing::Full,
        ),
        (
            json!({ "scope": "all", "object": { "id": 1, "occurrences": list }, "old_object": old_list }),
            OccurrenceListing::Full,
        ),
        (
            json!({ "scope": "all", "object": { "id": 1, "recurrence": recurrence, "occurrences": torn } }),
            OccurrenceListing::Partial,
        ),
        (
            json!({ "scope": "all", "object": { "id": 1, "recurrence": recurrence } }),
            OccurrenceListing::Unknown,
        ),
        (
            json!({ "scope": "all", "object": { "id": 1, "type": 9 }, "old_object": old_list }),
            OccurrenceListing::Unknown,
        ),
        (
            json!({ "scope": "all", "object": { "id": 1, "type": 5, "recurrence": recurrence } }),
            OccurrenceListing::Partial,
        ),
        // The scope is absent.
        (json!({ "object": { "id": 1, "recurrence": recurrence } }), OccurrenceListing::Unknown),
        (
            json!({ "object": { "id": 1, "recurrence": recurrence, "occurrences": list } }),
            OccurrenceListing::Partial,
        ),
        (
            json!({ "object": { "id": 1, "type": 6, "recurrence": recurrence } }),
            OccurrenceListing::Partial,
        ),
        // The recurrence did not change.
        (
            json!({ "scope": "all", "object": { "id": 1, "occurrences": list } }),
            OccurrenceListing::Partial,
        ),
        (
            json!({ "scope": "single", "object": { "id": 1, "recurrence": recurrence, "occurrences": list } }),
            OccurrenceListing::Partial,
        ),
        // The start moved.
        (
            json!({ "object": { "id": 1, "start_time": start }, "old_object": old_start }),
            OccurrenceListing::Unknown,
        ),
        (
            json!({ "scope": "all", "object": { "id": 1, "start_time": start }, "old_object": old_start }),
            OccurrenceListing::Unknown,
        ),
        (
            json!({ "scope": "single", "object": { "id": 1, "start_time": start }, "old_object": old_start }),
            OccurrenceListing::Partial,
        ),
        (
            json!({ "object": { "id": 1, "type": 5, "start_time": start }, "old_object": old_start }),
            OccurrenceListing::Partial,
        ),
        (
            json!({ "object": { "id": 1, "start_time": start, "occurrences": list }, "old_object": old_start }),
            OccurrenceListing::Partial,
        ),
        (
            json!({ "object": { "id": 1, "start_time": start }, "old_object": { "start_time": "2026-10-01T17:00:00+02:00" } }),
            OccurrenceListing::Partial,
        ),
        (json!({ "object": { "id": 1, "start_time": start } }), OccurrenceListing::Partial),
    ] {
        assert_eq!(updated(payload.clone()), expected, "{payload}");
    }
}

/// M24: an entry with a start that cannot be read may be any occurrence.
#[test]
fn list_with_an_unreadable_start_is_partial() {
    let listing = |start: Value| {
        let list = json!([{ "occurrence_id": "1", "start_time": start }]);
        let object = json!({ "id": 1, "type": 9, "occurrences": list });
        changed("webinar.created", json!({ "object": object })).0.listing
    };
    assert_eq!(listing(json!("2026-10-01T15:00:00Z")), OccurrenceListing::Full);
    assert_eq!(listing(json!(null)), OccurrenceListing::Full, "it says nothing of its start");
    for unreadable in [json!("soon"), json!(5), json!("2026-10-01T25:00:00Z")] {
        assert_eq!(listing(unreadable), OccurrenceListing::Partial);
    }
}

#[test]
fn occurrence_with_deleted_status_is_cancelled() {
    let list = json!([
        { "occurrence_id": "1", "status": "available" },
        { "occurrence_id": "2", "status": "deleted" },
        { "occurrence_id": "3" },
    ]);
    let payload = json!({ "object": { "id": 1, "type": 9, "occurrences": list } });
    let cancelled = |event: &str| -> Vec<Option<bool>> {
        let change = change(event, payload.clone());
        change.occurrences.iter().map(|occurrence| occurrence.fields.cancelled).collect()
    };
    assert_eq!(cancelled("webinar.created"), [Some(false), Some(true), Some(false)]);
    assert_eq!(cancelled("webinar.updated"), [Some(false), Some(true), None]);
    assert_eq!(change("webinar.created", payload.clone()).whole.cancelled, Some(false));
    assert_eq!(change("webinar.updated", payload.clone()).whole.cancelled, None);
}

#[test]
fn update_with_single_scope_changes_listed_occurrences_only() {
    let start = "2026-10-01T15:00:00Z";
    let payload = |list: Value| {
        json!({ "scope": "single", "object": {
            "id": 1, "type": 9, "topic": "x", "start_time": start, "duration": 30, "occurrences": list,
        } })
    };
    let one = change("webinar.updated", payload(json!([{ "occurrence_id": "1" }])));
    assert_eq!(one.whole, crate::event::WebinarFields::default());
    let own = &one.occurrences[0].fields;
    assert_eq!(own.name.as_deref(), Some("x"));
    assert_eq!((own.start, own.end), (Millis::parse(start, None), EndTime::after_minutes(30)));

    let own_times =
        json!([{ "occurrence_id": "1", "start_time": "2026-10-02T15:00:00Z", "duration": 45 }]);
    let one = change("webinar.updated", payload(own_times));
    let own = &one.occurrences[0].fields;
    let second = Millis::parse("2026-10-02T15:00:00Z", None);
    assert_eq!((own.start, own.end), (second, EndTime::after_minutes(45)));

    let two = change(
        "webinar.updated",
        payload(json!([{ "occurrence_id": "1" }, { "occurrence_id": "2" }])),
    );
    assert!(two.occurrences.iter().all(|occurrence| occurrence.fields.start.is_none()));
    assert!(
        two.occurrences.iter().all(|occurrence| occurrence.fields.name.as_deref() == Some("x"))
    );

    let torn = payload(json!([{ "occurrence_id": "1" }, {}]));
    assert_eq!(changed("webinar.updated", torn).0.occurrences[0].fields.start, None);

    let none = change("webinar.updated", payload(json!([])));
    assert_eq!((none.whole.name.as_deref(), none.occurrences.len()), (Some("x"), 0));
}

#[test]
fn deletion_cancels_only_the_named_scope() {
    let list = json!([{ "occurrence_id": "1", "start_time": "2026-10-01T15:00:00Z" }]);
    let events = [
        ("webinar.deleted", true),
        ("webinar.permanently_deleted", true),
        ("webinar.recovered", false),
    ];
    for (event, cancelled) in events {
        for (payload, whole, own) in [
            (json!({ "operation": "all", "object": { "id": 1, "type": 9 } }), true, false),
            (
                json!({ "operation": "all", "object": { "id": 1, "type": 9, "occurrences": list } }),
                true,
                false,
            ),
            (
                json!({ "operation": "single", "object": { "id": 1, "type": 9, "occurrences": list } }),
                false,
                true,
            ),
            (
                json!({ "operation": "single", "object": { "id": 1, "occurrences": list } }),
                false,
                true,
            ),
            (json!({ "object": { "id": 1, "type": 9, "occurrences": list } }), false, true),
            (json!({ "object": { "id": 1, "type": 9 } }), true, false),
            (json!({ "object": { "id": 1 } }), true, false),
            (json!({ "operation": "single", "object": { "id": 1, "type": 5 } }), true, false),
            (json!({ "operation": "single", "object": { "id": 1, "type": 6 } }), true, false),
        ] {
            let change = change(event, payload.clone());
            assert_eq!(change.whole.cancelled, whole.then_some(cancelled), "{event} {payload}");
            for one in &change.occurrences {
                assert_eq!(one.fields.cancelled, own.then_some(cancelled), "{event} {payload}");
                assert!(one.fields.start.is_some());
            }
            assert_eq!(change.listing, OccurrenceListing::Partial);
        }
        for object in [
            json!({ "id": 1, "type": 9 }),
            json!({ "id": 1 }),
            json!({ "id": 1, "type": 9, "occurrences": [] }),
        ] {
            let payload = json!({ "operation": "single", "object": object });
            let reason = unmappable(webhook(event, payload));
            assert_eq!(reason, "operation is `single`, but no occurrence is listed");
        }
        let unreadable = json!({ "object": { "id": 1, "type": 9, "occurrences": [{}] } });
        unmappable(webhook(event, unreadable));
    }
}

#[test]
fn deletion_and_recovery_do_not_change_the_length_of_occurrences() {
    let length = EndTime::after_minutes(40);
    for (event, kind, end) in [
        ("webinar.deleted", 9, None),
        ("webinar.recovered", 9, None),
        ("webinar.deleted", 5, length),
        ("webinar.recovered", 5, length),
    ] {
        let object = json!({ "id": 1, "type": kind, "topic": "x", "duration": 40 });
        let change = change(event, json!({ "operation": "all", "object": object }));
        assert_eq!(change.whole.end, end, "{event} {kind}");
    }
}

#[test]
fn started_and_ended_webhooks_write_only_the_session() {
    let object = json!({
        "id": "1", "topic": "x", "type": 5, "start_time": "2026-10-01T15:00:00Z", "duration": 0,
        "end_time": "2026-10-01T16:00:00Z", "practice_session": false,
    });
    for event in ["webinar.started", "webinar.ended"] {
        let change = change(event, json!({ "object": object }));
        assert_eq!(change.whole, crate::event::WebinarFields::default());
        assert_eq!((change.shape, change.full_picture), (None, false));
        let session = change.session.expect("a run");
        assert_eq!(session.started_at, Millis::parse("2026-10-01T15:00:00Z", None));
        assert_eq!(session.ended_at, Millis::parse("2026-10-01T16:00:00Z", None));
    }
    for practice in [json!(true), json!("true")] {
        let payload = json!({ "object": { "id": "1", "practice_session": practice } });
        let session = change("webinar.ended", payload).session.expect("a run");
        assert_eq!(session.phase, RunPhase::Practised);
    }
}

#[test]
fn occurrence_list_above_limit_is_unmappable() {
    let list = |n: usize| -> Value {
        let entries: Value = (0..n).map(|i| json!({ "occurrence_id": i })).collect();
        json!({ "object": { "id": 1, "type": 9, "occurrences": entries } })
    };
    let most = change("webinar.created", list(OCCURRENCES_MAX));
    assert_eq!(most.occurrences.len(), OCCURRENCES_MAX);
    unmappable(webhook("webinar.created", list(OCCURRENCES_MAX + 1)));
}

#[test]
fn zoom_events_shape_follows_from_event_type() {
    let event = |object: Value| change("zoom_events.event_updated", json!({ "object": object }));
    let shape =
        |event_type: &str| event(json!({ "event_id": "e", "event_type": event_type })).shape;
    assert_eq!(shape("SIMPLE_EVENT"), Some(Shape::Program { one_session: true }));
    assert_eq!(shape("CONFERENCE"), Some(Shape::Program { one_session: false }));
    assert_eq!(event(json!({ "event_id": "e" })).shape, None);
    let named = |event_type: &str| {
        event(json!({ "event_id": "e", "event_type": event_type })).whole.event_type
    };
    assert_eq!(named("CONFERENCE").as_deref(), Some("CONFERENCE"));
    assert_eq!(named("SIMPLE_EVENT"), None);
}

#[test]
fn end_before_start_is_rejected() {
    let object = json!({
        "event_id": "e", "session_id": "s", "name": "x",
        "start_time": "2026-10-01T15:00:00Z", "end_time": "2026-10-01T14:00:00Z",
    });
    let (event, bad) = changed("zoom_events.event_published", json!({ "object": object }));
    assert_eq!((event.whole.end, event.full_picture, bad), (None, false, vec!["end_time"]));
    let (session, bad) = changed("zoom_events.session_created", json!({ "object": object }));
    assert_eq!((session.occurrences[0].fields.end, bad), (None, vec!["end_time"]));
}

#[test]
fn session_without_both_ids_is_unmappable() {
    for object in [json!({ "event_id": "e" }), json!({ "session_id": "s" }), json!({})] {
        unmappable(webhook("zoom_events.session_ended", json!({ "object": object })));
    }
}
