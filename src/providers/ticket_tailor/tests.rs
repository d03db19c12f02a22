use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::config::validate_for;
use crate::event::{Change, ChangeKind, EndTime, Shape, WebinarFields};
use crate::providers::{PLATFORMS, VerifyError, conformance};

const SECRET: &[u8] = b"ink-and-paper-of-the-tests";
const NOW: Millis = Millis::new(1_790_150_400_000);

fn read_by(provider: &TicketTailor, body: &Value) -> ParsedPayload {
    provider.read(&Inbound::from_body(body.to_string().as_bytes()).scrub(provider), &[])
}

fn read(body: &Value) -> ParsedPayload {
    read_by(&TicketTailor::default(), body)
}

fn event() -> Value {
    json!({
        "object": "event", "id": "ev_1", "name": "Ink and paper", "description": "Letterpress.",
        "status": "published", "online_event": "false", "timezone": "Europe/London",
        "start": { "iso": "2026-10-02T19:00:00+01:00", "unix": 1_790_964_000 },
        "end": { "iso": "2026-10-02T21:00:00+01:00", "unix": 1_790_971_200 },
        "url": "https://tickets.example/events/inkclub/40",
    })
}

fn webhook(name: &str, payload: impl Into<Value>) -> Value {
    json!({ "id": "wh_1", "created_at": "2026-09-23 08:00:00", "event": name, "payload": payload.into() })
}

fn changes(parsed: ParsedPayload) -> (Change, Vec<&'static str>) {
    let PayloadContent::Changes { mut changes, bad_fields } = parsed.content else {
        panic!("no changes: {parsed:?}");
    };
    assert_eq!(changes.len(), 1);
    (changes.remove(0), bad_fields)
}

fn changed(name: &str, payload: Value) -> (Change, Vec<&'static str>) {
    changes(read(&webhook(name, payload)))
}

fn time(text: &str) -> Millis {
    Millis::parse(text, None).expect("a time")
}

#[test]
fn each_fixture_reads_as_expected() {
    conformance::assert_fixtures_parse_as_expected("ticket_tailor", &TicketTailor::default());
}

#[test]
fn scrubbed_fixtures_hold_no_personal_data_and_read_the_same() {
    let personal = ["thimble", "velvet", "post.example", "Nele"];
    conformance::assert_scrubbed_bodies_parse_the_same(
        "ticket_tailor",
        &TicketTailor::default(),
        &personal,
    );
}

#[test]
fn only_requests_signed_in_time_verify() {
    let provider = TicketTailor::default();
    let body = r#"{"event":"EVENT.CREATED","name":"\u00e9 and raw é"}"#.as_bytes();
    conformance::assert_only_signed_bytes_verify(&provider, body, SECRET, NOW);
    conformance::assert_timestamp_tolerance(&provider, body, SECRET, NOW);
}

/// Computed with another implementation of the documented algorithm.
#[test]
fn documented_signature_verifies() {
    let provider = TicketTailor::default();
    let body = br#"{"type":"event.created","data":{"id":"evt-1"}}"#;
    let secret: &[u8] = b"whsec_dGVzdC1zZWNyZXQ";
    let now = Millis::new(1_735_689_600_000);
    let signed = conformance::sign(&provider, body, secret, now);
    let mac = "468428a65a7f5ed22d674c7af257237c1f6d96ea193a4c8aa535b87acac927f5";
    let header = ("tickettailor-webhook-signature".to_owned(), format!("t=1735689600,v1={mac}"));
    assert_eq!(signed.headers, [header]);
    assert_eq!(conformance::verify(&provider, &signed, &[secret], now), Ok(0));
}

/// No separator stands between the time and the body in the signed message.
#[test]
fn digits_moved_between_time_and_body_are_refused() {
    let provider = TicketTailor::default();
    let right = conformance::sign(&provider, b"{}", SECRET, NOW);
    let mut moved = right.clone();
    moved.headers[0].1 = moved.headers[0].1.replace("t=1790150400", "t=179015040");
    moved.body = b"0{}".to_vec();
    let refusal = conformance::verify(&provider, &moved, &[SECRET], NOW);
    assert_eq!(refusal, Err(VerifyError::Stale), "the signature matches, the time is too old");
    // With any tolerance, the body would still be unmappable.
    let content = provider.read(&Inbound::from_body(&moved.body).scrub(&provider), &[]).content;
    assert!(matches!(content, PayloadContent::Unmappable(_)), "{content:?}");
}

#[test]
fn header_with_several_signatures_is_malformed() {
    let provider = TicketTailor::default();
    let mut signed = conformance::sign(&provider, b"{}", SECRET, NOW);
    let value = signed.headers[0].1.clone();
    let (_, mac) = value.split_once(",v1=").expect("the header has a signature");
    signed.headers[0].1 = format!("{value},v1={mac}");
    let refusal = conformance::verify(&provider, &signed, &[SECRET], NOW);
    assert_eq!(refusal, Err(VerifyError::Malformed));
}

#[test]
fn created_updated_and_deleted_map_the_whole_event() {
    let (created, bad) = changed("EVENT.CREATED", event());
    let shown = WebinarFields {
        name: Some("Ink and paper".into()),
        description: Some("Letterpress.".into()),
        event_type: Some("IN_PERSON".into()),
        registration_url: Some("https://tickets.example/events/inkclub/40".into()),
        start: Some(time("2026-10-02T18:00:00Z")),
        end: Some(EndTime::At(time("2026-10-02T20:00:00Z"))),
        ..WebinarFields::default()
    };
    assert_eq!(bad, Vec::<&str>::new());
    assert_eq!((created.account, created.occurred_at), (None, Some(NOW)));
    assert_eq!((created.kind, created.shape), (ChangeKind::Created, Some(Shape::Single)));
    assert!(created.full_picture);
    assert_eq!(created.whole, WebinarFields { cancelled: Some(false), ..shown.clone() });
    let (updated, _) = changed("EVENT.UPDATED", event());
    assert_eq!((updated.kind, updated.whole), (ChangeKind::Updated, shown.clone()));
    let (deleted, _) = changed("EVENT.DELETED", event());
    assert_eq!(deleted.kind, ChangeKind::Cancelled);
    assert_eq!(deleted.whole, WebinarFields { cancelled: Some(true), ..shown });
}

#[test]
fn event_type_follows_from_online_event() {
    for (written, read) in [
        (json!("true"), Some("WEBINAR")),
        (json!(true), Some("WEBINAR")),
        (json!("false"), Some("IN_PERSON")),
        (json!(null), None),
    ] {
        let mut payload = event();
        payload["online_event"] = written.clone();
        let (change, bad) = changed("EVENT.UPDATED", payload);
        assert_eq!((change.whole.event_type.as_deref(), bad), (read, vec![]), "{written}");
    }
}

#[test]
fn start_is_read_from_iso_or_unix_time() {
    let start = Some(time("2026-10-02T18:00:00Z"));
    for written in [
        json!({ "iso": "2026-10-02T19:00:00+01:00" }),
        json!({ "iso": "2026-10-02T19:00:00" }),
        json!({ "unix": 1_790_964_000 }),
        json!({ "iso": "soon", "unix": 1_790_964_000 }),
        json!({ "iso": null, "unix": 1_790_964_000, "formatted": 5 }),
    ] {
        let mut payload = event();
        payload["start"] = written.clone();
        let (change, bad) = changed("EVENT.UPDATED", payload);
        assert_eq!((change.whole.start, bad), (start, vec![]), "{written}");
    }
    for none in [json!({}), json!({ "unix": 0 }), json!("2026-10-02T19:00:00Z"), json!([1])] {
        let mut payload = event();
        payload["start"] = none.clone();
        let (change, bad) = changed("EVENT.UPDATED", payload);
        assert_eq!((change.whole.start, bad), (None, vec!["start"]), "{none}");
        assert!(!change.full_picture);
    }
}

#[test]
fn webhook_time_is_read_in_the_source_time_zone() {
    let at = |zone: &str, written: Value| {
        let provider = TicketTailor { zone: zone.to_owned(), drafts: true };
        let mut body = webhook("EVENT.UPDATED", event());
        body["created_at"] = written;
        let (change, bad) = changes(read_by(&provider, &body));
        (change.occurred_at.map(|at| at.to_string()), bad)
    };
    let bare = || json!("2026-07-01 10:00:00");
    let read = |text: &str| (Some(text.to_owned()), vec![]);
    assert_eq!(at("UTC", bare()), read("2026-07-01T10:00:00Z"));
    assert_eq!(at("Europe/London", bare()), read("2026-07-01T09:00:00Z"));
    assert_eq!(at("Europe/London", json!("2026-07-01T10:00:00Z")), read("2026-07-01T10:00:00Z"));
    for bad in [json!(1_790_150_400), json!(""), json!("0000-00-00 00:00:00")] {
        assert_eq!(at("UTC", bad.clone()), (None, vec!["created_at"]), "{bad}");
    }
    assert_eq!(at("UTC", json!(null)), (None, vec![]));

    // The time has whole seconds: it is the beginning of its second, whenever the webhook comes.
    let body = webhook("EVENT.UPDATED", event()).to_string().into_bytes();
    let received = NOW.plus(std::time::Duration::from_millis(350));
    let headers = Vec::new();
    let provider = TicketTailor::default();
    let request = Inbound::from_stored(&headers, &body, received).scrub(&provider);
    assert_eq!(changes(provider.read(&request, &[])).0.occurred_at, Some(NOW));
}

#[test]
fn drafts_are_mapped_unless_configured_otherwise() {
    let mut draft = event();
    draft["status"] = "draft".into();
    let (change, _) = changed("EVENT.CREATED", draft.clone());
    assert!(change.full_picture);

    let published_only = TicketTailor { drafts: false, ..TicketTailor::default() };
    let content_of = |name: &str, payload: &Value| {
        read_by(&published_only, &webhook(name, payload.clone())).content
    };
    assert_eq!(content_of("EVENT.CREATED", &draft), PayloadContent::Excluded);
    assert_eq!(content_of("EVENT.UPDATED", &draft), PayloadContent::Excluded);
    for status in ["published", "sales_closed", "a future status"] {
        let mut payload = event();
        payload["status"] = status.into();
        assert!(
            matches!(content_of("EVENT.UPDATED", &payload), PayloadContent::Changes { .. }),
            "{status}"
        );
    }
    // A published event may have become a draft. It is cancelled, but an unknown one is not created for that.
    let deleted = read_by(&published_only, &webhook("EVENT.DELETED", draft));
    let (change, _) = changes(deleted);
    assert_eq!((change.whole.cancelled, change.full_picture), (Some(true), false));
}

#[test]
fn series_is_ignored() {
    for (field, value) in [("id", "es_1"), ("object", "event_series"), ("object", "order")] {
        let mut payload = event();
        payload[field] = value.into();
        let parsed = read(&webhook("EVENT.UPDATED", payload));
        assert_eq!(parsed.content, PayloadContent::Ignored, "{field}: {value}");
    }
}

#[test]
fn webhook_id_is_the_delivery_id() {
    let mut body = webhook("EVENT.UPDATED", event());
    assert_eq!(read(&body).delivery_id.as_deref(), Some("wh_1"));
    assert_eq!(read(&webhook("ORDER.CREATED", json!(5))).delivery_id.as_deref(), Some("wh_1"));
    for none in [json!(null), json!(""), json!(1)] {
        body["id"] = none;
        assert_eq!(read(&body).delivery_id, None);
    }
}

#[test]
fn unmappable_reason_never_repeats_the_body() {
    for body in [
        json!({ "event": "EVENT.CREATED" }),
        webhook("EVENT.CREATED", json!("secret word")),
        webhook("EVENT.CREATED", json!([])),
        webhook("EVENT.CREATED", json!({ "name": "secret word" })),
        webhook("EVENT.DELETED", json!({ "id": "secret word" })),
        json!({ "event": ["EVENT.CREATED"] }),
        json!("EVENT.CREATED"),
    ] {
        let PayloadContent::Unmappable(reason) = read(&body).content else {
            panic!("mapped: {body}")
        };
        assert!(!reason.contains("secret"), "{reason}");
    }
}

#[test]
fn other_event_with_any_payload_is_ignored() {
    for name in ["ORDER.CREATED", "ISSUED_TICKET.UPDATED", "EVENT.MOVED", "event.created", ""] {
        assert_eq!(read(&webhook(name, json!(5))).content, PayloadContent::Ignored, "{name}");
    }
}

/// The configuration errors of a source with these lines.
fn problems(lines: &str) -> String {
    let text = format!(
        "[hubspot.main]\naccess_token = 'x'\n[source.s]\nprovider = 'ticket_tailor'\nsecret = 'x'\n{lines}"
    );
    match validate_for("bridge.toml", &text, &BTreeMap::new(), PLATFORMS) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn source_keys_are_read_and_invalid_ones_reported() {
    let account = "external_account_id = 'office'\n";
    assert_eq!(problems(account), "");
    assert_eq!(problems(&format!("{account}time_zone = 'Europe/London'\ndrafts = false\n")), "");
    let wrong = problems(&format!("{account}time_zone = 'Nowhere/Land'\n"));
    assert!(wrong.contains("source.s.time_zone: is not a time zone"), "{wrong}");
    assert!(problems(&format!("{account}drafts = 'no'\n")).contains("source.s.drafts"));
    assert!(problems("").contains("external_account_id"));
}
