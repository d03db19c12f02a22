use serde_json::{Value as Json, json};

use crate::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, Millis, RunChange, RunPhase, WebinarFields,
};
use crate::providers::custom::tests::{config_error, provider};
use crate::providers::{Inbound, ParsedPayload, PayloadContent, Verified};

const NOW: Millis = Millis::new(1_800_000_000_000);

/// A source with these expressions and one for `event_id`.
fn source(map: &str) -> String {
    format!(
        "secret = \"s\"\nexternal_account_id = \"a\"\nverify = {{ scheme = \"bearer\" }}\n\
         [source.it.map]\nevent_id = 'payload.id'\n{map}\n"
    )
}

fn read(map: &str, payload: &Json) -> ParsedPayload {
    let headers = vec![("x-event".to_owned(), "made".to_owned())];
    let body = payload.to_string().into_bytes();
    read_by(&source(map), Inbound::from_stored(&headers, &body, NOW))
}

fn read_by(source: &str, request: Inbound<'_, Verified>) -> ParsedPayload {
    let provider = provider(source);
    provider.read(&request.scrub(provider.as_ref()), &[])
}

/// The one change, with the bad fields. Panics for other content.
fn single_change(content: PayloadContent) -> (Change, Vec<&'static str>) {
    let PayloadContent::Changes { mut changes, bad_fields } = content else {
        panic!("{content:?}")
    };
    assert_eq!(changes.len(), 1, "{changes:?}");
    (changes.remove(0), bad_fields)
}

/// The reason why the body is unmappable. Panics for other content.
fn reason(content: PayloadContent) -> String {
    let PayloadContent::Unmappable(reason) = content else { panic!("{content:?}") };
    reason
}

/// Maps a payload, and returns the fields and the bad ones.
fn fields(map: &str, payload: &Json) -> (WebinarFields, Vec<&'static str>) {
    let mut payload = payload.clone();
    payload["id"] = "e-1".into();
    let (change, bad_fields) = single_change(read(map, &payload).content);
    (change.whole, bad_fields)
}

fn unmappable(map: &str, payload: &Json) -> String {
    reason(read(map, payload).content)
}

#[test]
fn each_expression_sets_its_field() {
    let map = r#"
        webhook = 'headers["X-Event"]'
        account = 'payload.account'
        occurred_at = 'payload.at'
        name = 'payload.title + " live"'
        description = 'payload.text'
        organizer = '"Acme"'
        event_type = 'payload.kind.upperAscii()'
        start = 'payload.start'
        end = 'timestamp(payload.start) + duration("90m")'
        actual_end = 'received_at'
        registration_url = 'payload.sign_up'
        join_url = '"https://x.example/room?pwd=1"'
        cancelled = 'payload.state == "off"'
        completed = 'payload.state == "over"'
    "#;
    let payload = json!({
        "id": 7, "account": "acct", "at": "2027-01-01T00:00:00Z", "title": " Tea", "text": "a\u{0}b", "kind": "webinar",
        "start": "2027-02-03T10:00:00+01:00", "sign_up": "https://x.example/a b", "state": "over",
    });
    let parsed = read(map, &payload);
    assert_eq!(parsed.event_type, "made");
    let (change, bad_fields) = single_change(parsed.content);
    assert!(bad_fields.is_empty(), "{bad_fields:?}");
    assert_eq!(change.webinar.as_str(), "7");
    assert_eq!(change.account.as_ref().map(ExternalAccountId::as_str), Some("acct"));
    assert_eq!(change.occurred_at, Millis::parse("2027-01-01T00:00:00Z", None));
    assert_eq!((change.kind, change.full_picture), (ChangeKind::Completed, true));
    let start = Millis::parse("2027-02-03T09:00:00Z", None).expect("a time");
    assert_eq!(
        change.whole,
        WebinarFields {
            name: Some("Tea live".into()),
            description: Some("ab".into()),
            organizer: Some("Acme".into()),
            event_type: Some("WEBINAR".into()),
            registration_url: Some("https://x.example/a%20b".into()),
            join_url: Some("https://x.example/room".into()),
            start: Some(start),
            end: Millis::parse("2027-02-03T10:30:00Z", None).map(EndTime::At),
            cancelled: Some(false),
            ..WebinarFields::default()
        }
    );
    let run = RunChange { phase: RunPhase::Ended, started_at: None, ended_at: Some(NOW) };
    assert_eq!(change.session, Some(run), "M1: an end with its time is a run");
}

/// M15: an end with its time is a run, which may be a rehearsal; without one it is a completion. M18: what began may lose
/// its end.
#[test]
fn starts_and_timed_ends_are_runs() {
    let read = |map: &str| {
        let change = single_change(read(map, &json!({ "id": 1 })).content).0;
        let completed = (change.whole.completed, change.whole.actual_end);
        (change.kind, change.session.map(|run| run.phase), completed)
    };
    let (timed, over, begun) =
        ("actual_end = 'received_at'", "completed = 'true'", "started = 'true'");
    assert_eq!(read(over), (ChangeKind::Completed, None, (Some(true), None)));
    assert_eq!(read(timed), (ChangeKind::Updated, None, (None, Some(NOW))));
    let started = Some(RunPhase::Started);
    assert_eq!(read(begun), (ChangeKind::Started, started, (None, None)));
    assert_eq!(read("started = 'false'"), (ChangeKind::Updated, None, (None, None)));
    let both = format!("{begun}\n{over}");
    assert_eq!(read(&both), (ChangeKind::Completed, None, (Some(true), None)));
    let all = format!("{both}\n{timed}");
    assert_eq!(read(&all), (ChangeKind::Completed, Some(RunPhase::Ended), (None, None)));
}

/// A missing key, null, and expressions of either have no value.
#[test]
fn expression_without_value_sets_nothing() {
    let map = r#"
        name = 'payload.title + "!"'
        description = 'payload.text'
        start = 'timestamp(payload.start)'
        duration_minutes = 'payload.minutes'
        registration_url = 'payload.links[3].url'
        cancelled = 'payload.state == "off" ? true : null'
        completed = 'payload.over'
        account = 'payload.account'
        occurred_at = 'payload.at'
        webhook = 'headers["x-other"]'
    "#;
    let payload = json!({ "id": "e", "text": null, "start": null, "links": [] });
    let parsed = read(map, &payload);
    assert_eq!(parsed.event_type, "unknown");
    let (change, bad_fields) = single_change(parsed.content);
    assert!(bad_fields.is_empty(), "{bad_fields:?}");
    assert_eq!(change.whole, WebinarFields::default());
    assert_eq!((change.kind, change.full_picture), (ChangeKind::Updated, false));
    assert_eq!((&change.account, change.occurred_at), (&None, None));
}

#[test]
fn bad_field_is_counted_and_sets_nothing() {
    for (map, payload) in [
        ("name = 'payload.x'", json!({ "x": 5 })),
        ("name = 'payload.x'", json!({ "x": "" })),
        ("name = 'payload.x + 1'", json!({ "x": "a" })),
        ("name = 'string(1 / payload.x)'", json!({ "x": 0 })),
        ("organizer = 'payload'", json!({})),
        ("registration_url = 'payload.x'", json!({ "x": "nowhere" })),
        ("start = 'payload.x'", json!({ "x": "soon" })),
        ("start = 'payload.x'", json!({ "x": "2027-01-01T10:00:00" })),
        ("start = 'payload.x'", json!({ "x": 1_800_000_000 })),
        ("start = 'timestamp(payload.x)'", json!({ "x": 0 })),
        ("start = 'payload.x'\ntime_unit = 's'", json!({ "x": 0 })),
        ("start = 'payload.x'\ntime_unit = 's'", json!({ "x": 1_800_000_000_000_i64 })),
        ("start = 'payload.x'\ntime_unit = 's'", json!({ "x": i64::MAX })),
        ("start = 'payload.x'\ntime_unit = 'ms'", json!({ "x": 1_800_000_000 })),
        ("duration_minutes = 'payload.x'", json!({ "x": 0 })),
        ("duration_minutes = 'payload.x'", json!({ "x": "60" })),
        ("cancelled = 'payload.x'", json!({ "x": "true" })),
        ("completed = 'payload.x'", json!({ "x": 1 })),
    ] {
        let (read, bad) = fields(map, &payload);
        assert_eq!(read, WebinarFields::default(), "{map} {payload}");
        assert_eq!(bad, [map.split(' ').next().expect("a key")], "{map} {payload}");
    }
    // An end before the start is rejected.
    let (read, bad) = fields(
        "start = '\"2027-01-01T10:00:00Z\"'\nend = '\"2027-01-01T09:00:00Z\"'\nduration_minutes = '30'",
        &json!({}),
    );
    assert_eq!((read.end, bad), (EndTime::after_minutes(30), vec!["end"]));
}

#[test]
fn number_is_a_time_only_with_a_time_unit() {
    let at = |map: &str, x: Json| fields(map, &json!({ "x": x })).0.start;
    assert_eq!(at("start = 'payload.x'\ntime_unit = 's'", json!(1_800_000_000)), Some(NOW));
    assert_eq!(
        at("start = 'payload.x'\ntime_unit = 'ms'", json!(1_800_000_000_000_i64)),
        Some(NOW)
    );
    assert_eq!(
        at("start = 'timestamp(payload.x)'\ntime_unit = 'ms'", json!(1_800_000_000)),
        Some(NOW)
    );
    assert_eq!(at("start = 'timestamp(int(payload.x) / 1000)'", json!("1800000000000")), Some(NOW));
}

#[test]
fn time_without_offset_is_read_in_the_mapped_time_zone() {
    let start = |zone: &str| {
        let map = format!("start = 'payload.x'\ntimezone = '{zone}'");
        fields(&map, &json!({ "x": "2027-07-05T13:00:00", "zone": "Europe/Berlin" }))
    };
    let berlin = Millis::parse("2027-07-05T11:00:00Z", None);
    assert_eq!(start("payload.zone").0.start, berlin);
    assert_eq!(start("\"Europe/Berlin\"").0.start, berlin);
    assert_eq!(start("\"Nowhere/Land\""), (WebinarFields::default(), vec!["start"]));
}

/// A9d.
#[test]
fn times_of_the_change_are_read_in_the_timezone() {
    let map = "timezone = 'payload.zone'\noccurred_at = 'payload.at'\ncreated_at = 'payload.since'";
    let local = json!({
        "id": 1, "zone": "Europe/Berlin", "at": "2026-11-30 10:05:00", "since": "2026-07-01 10:00:00",
    });
    let (change, bad_fields) = single_change(read(map, &local).content);
    assert_eq!(change.occurred_at, Millis::parse("2026-11-30T09:05:00Z", None));
    assert_eq!(change.created_at, Millis::parse("2026-07-01T08:00:00Z", None));
    assert_eq!(bad_fields, [""; 0]);
    let offset = json!({ "id": 1, "zone": "Europe/Berlin", "at": "2026-11-30T10:05:00+00:00" });
    let (change, _) = single_change(read(map, &offset).content);
    assert_eq!(change.occurred_at, Millis::parse("2026-11-30T10:05:00Z", None));
    let nowhere = json!({ "id": 1, "zone": "Nowhere/Land", "at": "2026-11-30 10:05:00" });
    let (change, bad_fields) = single_change(read(map, &nowhere).content);
    assert_eq!((change.occurred_at, bad_fields), (None, vec!["occurred_at"]));
}

/// M5.
#[test]
fn created_expression_marks_what_is_sent_once() {
    let map = "created = 'payload.type == \"created\"'";
    let of = |kind: &str| {
        let (change, _) = single_change(read(map, &json!({ "id": 1, "type": kind })).content);
        (change.is_creation, change.kind)
    };
    assert_eq!(of("created"), (true, ChangeKind::Created));
    assert_eq!(of("changed"), (false, ChangeKind::Updated));
    let (change, bad_fields) =
        single_change(read("created = 'payload.id'", &json!({ "id": 1 })).content);
    assert_eq!((change.is_creation, bad_fields), (false, vec!["created"]));
}

#[test]
fn when_expression_decides_what_is_ignored() {
    let content = |when: &str, payload: Json| read(&format!("when = '{when}'"), &payload).content;
    let is_for_us = |when: &str, payload: Json| {
        let content = content(when, payload);
        assert!(
            matches!(content, PayloadContent::Changes { .. } | PayloadContent::Excluded),
            "{content:?}"
        );
        content != PayloadContent::Excluded
    };
    assert!(is_for_us("payload.type == \"webinar\"", json!({ "id": 1, "type": "webinar" })));
    assert!(!is_for_us("payload.type == \"webinar\"", json!({ "id": 1, "type": "person" })));
    assert!(!is_for_us("payload.type == \"webinar\"", json!({ "type": null })));
    assert!(!is_for_us("payload.for_us", json!({ "id": 1 })));
    for (when, payload) in [
        ("payload.type", json!({ "type": "webinar" })),
        ("1 / payload.n == 1", json!({ "n": 0 })),
        ("payload.n < \"a\"", json!({ "n": 0 })),
    ] {
        let reason = reason(content(when, payload));
        assert!(reason.starts_with("map.when "), "{reason}");
    }
}

/// The reason names the expression and repeats nothing from the payload.
#[test]
fn payload_without_usable_id_is_unmappable() {
    for (payload, what) in [
        (json!({}), "map.event_id yields no value"),
        (json!({ "id": null }), "map.event_id yields no value"),
        (json!({ "id": "" }), "map.event_id is empty"),
        (json!({ "id": "of Paul" }), "map.event_id has a character that is not allowed"),
        (json!({ "id": 1.5 }), "map.event_id yields neither a text nor a whole number"),
        (json!({ "id": ["Paul"] }), "map.event_id yields neither a text nor a whole number"),
    ] {
        assert_eq!(unmappable("", &payload), what);
    }
    let reason = unmappable("account = 'payload.a'", &json!({ "id": 1, "a": true }));
    assert_eq!(reason, "map.account yields neither a text nor a whole number");
    // A number beyond 64 bits keeps all its digits.
    let body = br#"{"id":24576065432313123456789}"#;
    let parsed = read_by(&source(""), Inbound::from_body(body));
    assert_eq!(single_change(parsed.content).0.webinar.as_str(), "24576065432313123456789");
}

#[test]
fn unreadable_body_is_unmappable() {
    let reason = |body: &[u8]| reason(read_by(&source(""), Inbound::from_body(body)).content);
    assert_eq!(reason(b"{\"id\":"), "the body cannot be read: it is not JSON");
    assert!(reason(b"[1]").starts_with("map.event_id fails: "));
    let long = format!(r#"{{"id":1,"text":"{}"}}"#, "a".repeat(256 * 1024));
    assert_eq!(reason(long.as_bytes()), "the body is longer than 256 KiB");
}

#[test]
fn change_kind_follows_from_cancelled_and_completed() {
    let kind = |map: &str| single_change(read(map, &json!({ "id": 1 })).content).0.kind;
    assert_eq!(kind("cancelled = 'true'"), ChangeKind::Cancelled);
    assert_eq!(kind("cancelled = 'false'"), ChangeKind::Updated);
    assert_eq!(kind("completed = 'true'\ncancelled = 'true'"), ChangeKind::Completed);
    assert_eq!(kind("completed = 'false'"), ChangeKind::Updated);
    // That an event is not over changes nothing.
    assert_eq!(fields("completed = 'false'", &json!({})), (WebinarFields::default(), vec![]));
}

#[test]
fn full_picture_follows_from_fields_or_expression() {
    let full = |map: &str| {
        single_change(read(map, &json!({ "id": 1, "x": "2027-01-01T10:00:00Z" })).content)
            .0
            .full_picture
    };
    let named_and_timed = "name = '\"a\"'\nstart = 'payload.x'\n";
    // M21: name, shape and start together, or the body of the creation.
    assert!(full(named_and_timed));
    assert!(!full("name = '\"a\"'\nduration_minutes = '60'\n"));
    assert!(full("name = '\"a\"'\ncreated = 'true'\n"));
    assert!(full("start = 'payload.x'\nfull_picture = 'true'"));
    assert!(!full(&format!("{named_and_timed}full_picture = 'false'")));
}

#[test]
fn invalid_expression_is_reported_with_its_key() {
    let without_id = source("").replace("event_id", "name");
    let errors = config_error(&without_id);
    assert!(errors.contains("source.it.map.event_id: is missing"), "{errors}");
    for (map, what) in [
        ("name = 'payload.'", "source.it.map.name: is not an expression: "),
        ("name = 'body.title'", "unknown variable body. Known variables: "),
        ("name = 'shout(payload.x)'", "unknown function shout()"),
        ("name = 5", "source.it.map.name: must be a text"),
        ("name = 'headers[payload.x]'", "source.it.map.name: uses headers without naming them"),
        ("title = 'payload.x'", "source.it.map.title: is not a key of [source.it.map]"),
        ("time_unit = 'm'", "source.it.map.time_unit: must be \"s\" or \"ms\""),
    ] {
        let errors = config_error(&source(map));
        assert!(errors.contains(what), "{map}: {errors}");
    }
}

/// One slow expression is allowed; many together exceed the limit.
#[test]
fn expressions_of_one_payload_share_a_step_limit() {
    let costly = "payload.list.exists(x, x == payload.id || x == payload.type)";
    let payload = json!({ "id": "e-1", "list": vec![0; 60_000] });
    let (_, bad) = single_change(read(&format!("cancelled = '{costly}'"), &payload).content);
    assert_eq!(bad, Vec::<&str>::new());
    let keys = ["cancelled", "completed", "full_picture", "name", "description", "organizer"];
    let more = ["event_type", "registration_url", "join_url", "timezone", "start", "end"];
    let keys = keys.into_iter().chain(more);
    let map: Vec<String> = keys.map(|key| format!("{key} = '{costly} ? null : null'")).collect();
    assert!(unmappable(&map.join("\n"), &payload).contains("more than 5000000 steps"));
}
