use serde_json::{Value, json};

use super::*;
use crate::event::{
    Change, ChangeKind, EndTime, Millis, RunChange, RunPhase, Shape, WebinarFields,
};
use crate::providers::{VerifyError, conformance};

const SECRET: &[u8] = b"quiet-room-of-the-tests";
const NOW: Millis = Millis::new(1_790_150_400_000);

fn read(body: &[u8]) -> ParsedPayload {
    Riverside.read(&Inbound::from_body(body).scrub(&Riverside), &[])
}

/// A webinar as shown in every body.
fn webinar() -> Value {
    json!({
        "event_id": "w1", "id": "w1", "title": "Editing by ear", "description": "How.",
        "scheduled_start_time": "2026-09-24T15:00:00.000Z",
        "scheduled_end_time": "2026-09-24T16:00:00.000Z", "timezone": "UTC", "hosted_by": "Tamsin",
        "actual_start_time": "2026-09-24T15:01:00.000Z",
        "actual_end_time": "2026-09-24T15:58:00.000Z",
    })
}

fn body(event: &str, data: impl Into<Value>) -> Value {
    json!({ "id": "evt_1", "event": event, "event_ts": 1_790_150_400, "account_id": "a", "data": data.into() })
}

fn changed(event: &str, data: Value) -> (Change, Vec<&'static str>) {
    let parsed = read(body(event, data).to_string().as_bytes());
    let PayloadContent::Changes { mut changes, bad_fields } = parsed.content else {
        panic!("no changes: {parsed:?}");
    };
    assert_eq!(changes.len(), 1);
    (changes.remove(0), bad_fields)
}

fn unmappable(parsed: ParsedPayload) -> String {
    let PayloadContent::Unmappable(reason) = parsed.content else { panic!("mapped: {parsed:?}") };
    reason
}

fn time(text: &str) -> Millis {
    Millis::parse(text, None).expect("a time")
}

#[test]
fn each_fixture_reads_as_expected() {
    conformance::assert_fixtures_parse_as_expected("riverside", &Riverside);
}

#[test]
fn scrubbed_fixtures_hold_no_personal_data_and_read_the_same() {
    let personal = ["post.example", "Nele", "Brandsma", "Kiezelhof", "quartz-17"];
    conformance::assert_scrubbed_bodies_parse_the_same("riverside", &Riverside, &personal);
}

#[test]
fn only_requests_signed_in_time_verify() {
    let body = r#"{"event":"webinar.created","title":"\u00e9 and raw é"}"#.as_bytes();
    conformance::assert_only_signed_bytes_verify(&Riverside, body, SECRET, NOW);
    conformance::assert_timestamp_tolerance(&Riverside, body, SECRET, NOW);
}

/// Computed with another implementation of the documented algorithm.
#[test]
fn documented_signature_verifies() {
    let body = br#"{"type":"event.created","data":{"id":"evt-1"}}"#;
    let mac = "5e847d28826fd3f80db25d9961be8b06b8e8e23e5efc83b97e2d7dd0bc56338b";
    let signed = conformance::sign(
        &Riverside,
        body,
        b"whsec_dGVzdC1zZWNyZXQ",
        Millis::new(1_735_689_600_999),
    );
    let headers = [
        ("x-riverside-signature".to_owned(), format!("v1={mac}")),
        ("x-riverside-timestamp".to_owned(), "1735689600".to_owned()),
    ];
    assert_eq!(signed.headers, headers);
    let now = Millis::new(1_735_689_600_000);
    let secrets: &[&[u8]] = &[b"whsec_dGVzdC1zZWNyZXQ"];
    assert_eq!(conformance::verify(&Riverside, &signed, secrets, now), Ok(0));
}

#[test]
fn signature_without_version_or_lower_case_is_malformed() {
    let body = b"{}";
    let signed = conformance::sign(&Riverside, body, SECRET, NOW);
    let mac = signed.headers[0].1.replace("v1=", "");
    for value in [
        mac.clone(),
        format!("v2={mac}"),
        format!("V1={mac}"),
        format!("v1={}", mac.to_uppercase()),
        format!("v1={mac},v1={mac}"),
        format!("t=1,v1={mac}"),
    ] {
        let mut other = signed.clone();
        other.headers[0].1.clone_from(&value);
        let refusal = conformance::verify(&Riverside, &other, &[SECRET], NOW);
        assert_eq!(refusal, Err(VerifyError::Malformed), "{value}");
    }
}

#[test]
fn created_webhook_maps_the_plan() {
    let (change, bad) = changed("webinar.created", webinar());
    let expected = WebinarFields {
        name: Some("Editing by ear".into()),
        organizer: Some("Tamsin".into()),
        description: Some("How.".into()),
        start: Some(time("2026-09-24T15:00:00Z")),
        end: Some(EndTime::At(time("2026-09-24T16:00:00Z"))),
        cancelled: Some(false),
        ..WebinarFields::default()
    };
    assert_eq!((change.whole, bad), (expected, vec![]));
    assert_eq!(
        (change.kind, change.session, change.full_picture),
        (ChangeKind::Created, None, true)
    );
    assert_eq!((change.shape, change.occurred_at), (Some(Shape::Single), Some(NOW)));
    assert_eq!(change.account.expect("the body names it").as_str(), "a");
}

#[test]
fn started_and_ended_webhooks_map_plan_and_session() {
    let plan = WebinarFields { cancelled: None, ..changed("webinar.created", webinar()).0.whole };
    let (started, _) = changed("webinar.started", webinar());
    let began = Some(time("2026-09-24T15:01:00Z"));
    let run = RunChange { phase: RunPhase::Started, started_at: began, ended_at: None };
    assert_eq!((started.kind, started.session), (ChangeKind::Started, Some(run)));
    assert_eq!(started.whole, plan);
    assert!(started.full_picture, "the bridge may have been installed after the creation");

    let (ended, _) = changed("webinar.ended", webinar());
    let over = Some(time("2026-09-24T15:58:00Z"));
    let run = RunChange { phase: RunPhase::Ended, started_at: began, ended_at: over };
    assert_eq!((ended.kind, ended.session), (ChangeKind::Completed, Some(run)));
    assert_eq!(ended.whole, plan, "M2: an end keeps its distance, whatever the run's end was");

    let mut unknown = webinar();
    unknown["actual_end_time"] = Value::Null;
    assert_eq!(changed("webinar.ended", unknown).0.whole, plan);
}

#[test]
fn full_picture_requires_title_and_start() {
    for (field, full) in [
        ("title", false),
        ("scheduled_start_time", false),
        ("scheduled_end_time", true),
        ("hosted_by", true),
        ("description", true),
    ] {
        let mut data = webinar();
        data[field] = Value::Null;
        let (change, bad) = changed("webinar.created", data);
        assert_eq!((change.full_picture, bad), (full, vec![]), "{field}");
    }
}

#[test]
fn bad_field_is_counted_and_leaves_other_fields() {
    let all = changed("webinar.ended", webinar()).0;
    for (field, values) in [
        ("title", vec![json!(5), json!(""), json!({})]),
        ("description", vec![json!(5), json!([])]),
        ("scheduled_start_time", vec![json!("soon"), json!(1), json!("")]),
        ("hosted_by", vec![json!(""), json!(true)]),
        ("timezone", vec![json!(1)]),
        ("actual_start_time", vec![json!(0), json!("1970-01-01T00:00:00Z")]),
    ] {
        for value in values {
            let mut data = webinar();
            data[field] = value.clone();
            let (change, bad) = changed("webinar.ended", data);
            assert_eq!(bad, [field], "{value}");
            let mut expected = all.clone();
            match field {
                "title" => expected.whole.name = None,
                "description" => expected.whole.description = None,
                "scheduled_start_time" => expected.whole.start = None,
                "hosted_by" => expected.whole.organizer = None,
                "actual_start_time" => {
                    expected.session =
                        expected.session.map(|run| RunChange { started_at: None, ..run });
                }
                _ => {}
            }
            expected.full_picture = !["title", "scheduled_start_time"].contains(&field);
            assert_eq!(change, expected, "{field}: {value}");
        }
    }
}

#[test]
fn change_time_is_read_in_seconds() {
    for (written, read) in [
        (json!(1_790_150_400), Some(NOW)),
        (json!(null), None),
        (json!(0), None),
        (json!(1_790_150_400_000_i64), None),
        (json!(i64::MAX), None),
        (json!("1790150400"), Some(NOW)),
        (json!("soon"), None),
    ] {
        let mut sent = body("webinar.created", webinar());
        sent["event_ts"] = written.clone();
        let parsed = self::read(sent.to_string().as_bytes());
        let PayloadContent::Changes { changes, bad_fields } = parsed.content else {
            panic!("{written}")
        };
        assert_eq!(changes[0].occurred_at, read, "{written}");
        assert_eq!(bad_fields.is_empty(), read.is_some() || written.is_null(), "{written}");
    }
}

#[test]
fn event_id_is_the_delivery_id_for_every_event() {
    let delivery = |body: &Value| read(body.to_string().as_bytes()).delivery_id;
    let mut sent = body("webinar.created", webinar());
    assert_eq!(delivery(&sent).as_deref(), Some("evt_1"));
    sent["delivery_attempt"] = 3.into();
    assert_eq!(delivery(&sent).as_deref(), Some("evt_1"));
    assert_eq!(delivery(&body("registrant.created", json!(5))).as_deref(), Some("evt_1"));
    assert_eq!(delivery(&body("webinar.ended", json!(5))).as_deref(), Some("evt_1"));
    for none in [json!(null), json!(""), json!(5), json!(["evt_1"])] {
        sent["id"] = none;
        assert_eq!(delivery(&sent), None);
    }
}

#[test]
fn test_event_is_ignored() {
    let mut data = webinar();
    data["test"] = true.into();
    let marked = body("webinar.ended", data.clone());
    assert_eq!(read(marked.to_string().as_bytes()).content, PayloadContent::Ignored);
    let mut marked = body("webinar.ended", webinar());
    marked["test"] = true.into();
    assert_eq!(read(marked.to_string().as_bytes()).content, PayloadContent::Ignored);
    for real in [json!(false), json!(null), json!("no")] {
        data["test"] = real;
        changed("webinar.ended", data.clone());
    }
}

#[test]
fn unmappable_reason_never_repeats_the_body() {
    for sent in [
        json!({ "event": "webinar.created" }),
        body("webinar.created", json!("secret word")),
        body("webinar.created", json!(["secret word"])),
        body("webinar.created", json!({ "title": "secret word" })),
        body("webinar.created", json!({ "id": "secret word", "event_id": "w1" })),
        json!({ "event": "webinar.created", "account_id": "secret word", "data": { "id": "w" } }),
        json!(["webinar.created"]),
        json!({ "event": 5 }),
    ] {
        let reason = unmappable(read(sent.to_string().as_bytes()));
        assert!(!reason.contains("secret"), "{reason}");
    }
    unmappable(read(b"{\"event\":\"webinar.created\",\"data\":{\"id\":\"w\",\"id\":\"v\"}}"));
    unmappable(read(b"{\"event\":\"recording.ready\",\"a\":\"\xff\"}"));
}

#[test]
fn other_event_with_any_data_is_ignored() {
    for event in ["registrant.created", "attendee.joined", "webinar.moved", "Webinar.Created", ""] {
        let sent = format!(r#"{{"event":"{event}","data":"\ud83d"}}"#);
        assert_eq!(read(sent.as_bytes()).content, PayloadContent::Ignored, "{event}");
    }
}
