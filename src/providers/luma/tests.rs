use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::event::{Change, ChangeKind, EndTime, Millis, Shape, WebinarFields, WebinarId};
use crate::providers::{ApiAnswers, ListQuery, TimeRange, VerifyError, conformance};

const SECRET: &[u8] = b"whsec_dGltYmVyIGFuZCBicmFzcw";
const NOW: Millis = Millis::new(1_790_150_400_000);

const STANDARD: Luma =
    Luma { scheme: LumaScheme::StandardWebhooks, calendar_events: false, api: None };

fn luma() -> Luma {
    Luma::default()
}

/// A source with these lines.
fn configured(lines: &str) -> Result<Arc<dyn Provider>, String> {
    conformance::provider_from_config(&format!("provider = 'luma'\nsecret = 'x'\n{lines}"))
}

fn with_api() -> Arc<dyn Provider> {
    configured("api = { key = 'k', base_url = 'https://luma.example/base/?x=1' }").expect("right")
}

fn event() -> Value {
    json!({
        "platform": "luma", "id": "evt-1", "calendar_id": "cal-1", "name": "Compilers",
        "description": "One editor.", "start_at": "2026-10-06T17:00:00.000Z",
        "end_at": "2026-10-06T18:30:00.000Z", "created_at": "2026-09-20T09:15:30.250Z",
        "timezone": "Europe/Vienna", "location_type": "zoom", "url": "https://luma.example/c",
        "meeting_url": "https://rooms.example/1",
    })
}

fn body(name: &str, data: impl Into<Value>) -> Vec<u8> {
    json!({ "type": name, "data": data.into() }).to_string().into_bytes()
}

fn read(body: &[u8]) -> ParsedPayload {
    luma().read(&Inbound::from_body(body).scrub(&luma()), &[])
}

fn changes(parsed: ParsedPayload) -> (Change, Vec<&'static str>) {
    let PayloadContent::Changes { mut changes, bad_fields } = parsed.content else {
        panic!("no changes: {parsed:?}");
    };
    assert_eq!(changes.len(), 1);
    (changes.remove(0), bad_fields)
}

fn changed(name: &str, data: Value) -> (Change, Vec<&'static str>) {
    changes(read(&body(name, data)))
}

fn time(text: &str) -> Millis {
    Millis::parse(text, None).expect("a time")
}

/// Reads a body sent and received at these times.
fn delivered(provider: &Luma, body: &[u8], sent: Millis, received: Millis) -> ParsedPayload {
    let headers = conformance::sign(provider, body, SECRET, sent).headers;
    provider.read(&Inbound::from_stored(&headers, body, received).scrub(provider), &[])
}

#[test]
fn each_fixture_reads_as_expected() {
    conformance::assert_fixtures_parse_as_expected("luma", &luma());
}

#[test]
fn scrubbed_fixtures_hold_no_personal_data_and_read_the_same() {
    let personal = ["thimble", "Thimble", "post.example", "Nele", "Brandsma"];
    conformance::assert_scrubbed_bodies_parse_the_same("luma", &luma(), &personal);
    conformance::assert_scrubbed_bodies_parse_the_same("luma", with_api().as_ref(), &personal);
}

#[test]
fn only_requests_signed_in_time_verify() {
    let body = r#"{"type":"event.created","name":"\u00e9 and raw é"}"#.as_bytes();
    for scheme in [LumaScheme::Native, LumaScheme::StandardWebhooks] {
        let provider = Luma { scheme, ..Luma::default() };
        let secret = b"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        conformance::assert_only_signed_bytes_verify(&provider, body, secret, NOW);
        conformance::assert_timestamp_tolerance(&provider, body, secret, NOW);
    }
}

/// Computed with another implementation of the observed algorithm: the key is the whole text of the secret.
#[test]
fn observed_signature_verifies() {
    let body = br#"{"type":"event.created","data":{"id":"evt-1"}}"#;
    let secret: &[u8] = b"whsec_dGVzdC1zZWNyZXQ";
    let now = Millis::new(1_735_689_600_000);
    let mut signed = conformance::sign(&luma(), body, secret, now);
    let mac = "77ab0a70b0d3ad82b8654bb877840eabed9af53b122fdfde79d4b1ba3c99d3d5";
    let header = ("webhook-signature".to_owned(), format!("t=1735689600,v1={mac}"));
    assert_eq!(signed.headers, [header]);
    signed.headers.push(("Webhook-Id".to_owned(), "wh_evt_test_123".to_owned()));
    signed.headers.push(("Webhook-Timestamp".to_owned(), "1735689600".to_owned()));
    assert_eq!(conformance::verify(&luma(), &signed, &[secret], now), Ok(0));
    let other = conformance::verify(&STANDARD, &signed, &[secret], now);
    assert!(other.is_err(), "the schemes accept each other's signature");
}

#[test]
fn timestamp_header_must_equal_the_signed_time() {
    let signed = conformance::sign(&luma(), b"{}", SECRET, NOW);
    let with = |values: &[&str]| {
        let mut signed = signed.clone();
        let header = |value: &&str| ("webhook-timestamp".to_owned(), (*value).to_owned());
        signed.headers.extend(values.iter().map(header));
        conformance::verify(&luma(), &signed, &[SECRET], NOW)
    };
    assert_eq!(with(&[]), Ok(0));
    assert_eq!(with(&["1790150400"]), Ok(0));
    for values in
        [&["1790150401"][..], &["01790150400"], &[""], &["now"], &["1790150400", "1790150400"]]
    {
        assert_eq!(with(values), Err(VerifyError::Malformed), "{values:?}");
    }
}

/// An attacker could resend a webhook under the id of a future one, which would then count as a duplicate.
#[test]
fn unsigned_webhook_id_is_not_the_delivery_id() {
    let body = body("event.updated", event());
    let delivery = |id: &str, sent: Millis| {
        let mut headers = conformance::sign(&luma(), &body, SECRET, sent).headers;
        headers.push(("webhook-id".to_owned(), id.to_owned()));
        let request = Inbound::from_stored(&headers, &body, NOW);
        let signed_time = luma().scheme().signed_time(&request);
        (signed_time, luma().read(&request.scrub(&luma()), &[]).delivery_id)
    };
    let first = delivery("a", NOW);
    assert_eq!(first, (Some(b"1790150400".to_vec()), None));
    assert_eq!(delivery("b", NOW), first, "the same request under another id");
    let later = NOW.plus(Duration::from_secs(1));
    assert_ne!(delivery("a", later), first, "a later delivery with the same body");
    assert_eq!(read(&body).delivery_id, None);
}

#[test]
fn signed_webhook_id_is_the_delivery_id() {
    let provider = STANDARD;
    let body = body("event.updated", event());
    let parsed = delivered(&provider, &body, NOW, NOW);
    assert_eq!(parsed.delivery_id.as_deref(), Some("msg_1790150400000"));
    assert_eq!(changes(parsed).0.occurred_at, Some(NOW));
}

#[test]
fn change_time_is_the_signed_second() {
    let ms = |ms: u64| Duration::from_millis(ms);
    for scheme in [LumaScheme::Native, LumaScheme::StandardWebhooks] {
        let provider = Luma { scheme, ..Luma::default() };
        for received in [NOW.plus(ms(350)), NOW.plus(ms(5_000)), NOW.minus(ms(5_000))] {
            let body = body("event.updated", event());
            let change = changes(delivered(&provider, &body, NOW, received)).0;
            assert_eq!(change.occurred_at, Some(NOW));
        }
        // The stored headers and body yield the same again.
        let body = body("event.canceled", event());
        let mut headers = conformance::sign(&provider, &body, SECRET, NOW).headers;
        headers.retain(|(name, _)| provider.read_headers().contains(name));
        assert_eq!(headers.len(), 1);
        let again = provider
            .read(&Inbound::from_stored(&headers, &body, NOW.plus(ms(20))).scrub(&provider), &[]);
        assert_eq!(changes(again).0.occurred_at, Some(NOW));
    }
    let created = delivered(&luma(), &body("event.created", event()), NOW, NOW);
    assert_eq!(changes(created).0.occurred_at, Some(time("2026-09-20T09:15:30.250Z")));
    assert_eq!(changed("event.updated", event()).0.occurred_at, None, "there is no signed time");
}

#[test]
fn created_updated_and_canceled_map_the_whole_event() {
    let shown = WebinarFields {
        name: Some("Compilers".into()),
        description: Some("One editor.".into()),
        event_type: Some("WEBINAR".into()),
        registration_url: Some("https://luma.example/c".into()),
        start: Some(time("2026-10-06T17:00:00Z")),
        end: Some(EndTime::At(time("2026-10-06T18:30:00Z"))),
        ..WebinarFields::default()
    };
    for (name, kind, cancelled) in [
        ("event.created", ChangeKind::Created, Some(false)),
        ("event.updated", ChangeKind::Updated, None),
        ("event.canceled", ChangeKind::Cancelled, Some(true)),
    ] {
        let (change, bad) = changed(name, event());
        assert_eq!((change.kind, bad), (kind, vec![]), "{name}");
        assert_eq!(change.whole, WebinarFields { cancelled, ..shown.clone() }, "{name}");
        assert_eq!((change.shape, change.full_picture), (Some(Shape::Single), true), "{name}");
        assert_eq!(change.account.expect("its calendar").as_str(), "cal-1", "{name}");
    }
}

#[test]
fn event_type_follows_from_location_type() {
    for (place, kind) in [
        (json!("zoom"), Some("WEBINAR")),
        (json!("unknown"), Some("WEBINAR")),
        (json!("one to come"), Some("WEBINAR")),
        (json!("offline"), Some("IN_PERSON")),
        (json!("missing"), None),
        (json!(null), None),
    ] {
        let mut data = event();
        data["location_type"] = place.clone();
        let (change, bad) = changed("event.updated", data);
        assert_eq!((change.whole.event_type.as_deref(), bad), (kind, vec![]), "{place}");
    }
}

#[test]
fn bad_field_is_counted_and_leaves_other_fields() {
    let all = changed("event.updated", event()).0;
    for (field, value) in [
        ("name", json!("")),
        ("description", json!(5)),
        ("start_at", json!("soon")),
        ("end_at", json!(0)),
        ("location_type", json!([])),
        ("url", json!("curious")),
        ("timezone", json!(1)),
    ] {
        let mut data = event();
        data[field] = value.clone();
        let (change, bad) = changed("event.updated", data);
        assert_eq!(bad, [field]);
        let mut expected = all.clone();
        match field {
            "name" => expected.whole.name = None,
            "description" => expected.whole.description = None,
            "start_at" => expected.whole.start = None,
            "end_at" => expected.whole.end = None,
            "location_type" => expected.whole.event_type = None,
            "url" => expected.whole.registration_url = None,
            _ => {}
        }
        expected.full_picture = !["name", "start_at"].contains(&field);
        assert_eq!(change, expected, "{field}: {value}");
    }
}

#[test]
fn added_calendar_events_are_mapped_only_if_configured() {
    let provider = configured("calendar_events = true").expect("right");
    let added = json!({
        "platform": "luma", "id": "evt-9", "name": "Meetup", "start_at": "2026-11-01T18:00:00Z",
        "end_at": "2026-11-01T20:00:00Z", "calendar": { "id": "cal-9" },
        "hosts": [{ "name": null }, { "name": "  " }, { "name": "Mirela" }],
    });
    let read_added = |data: &Value| {
        let body = body("calendar.event.added", data.clone());
        provider.read(&Inbound::from_body(&body).scrub(provider.as_ref()), &[])
    };
    let (change, bad) = changes(read_added(&added));
    assert_eq!(bad, Vec::<&str>::new());
    assert_eq!(change.account.as_ref().expect("its calendar").as_str(), "cal-9");
    assert_eq!(change.whole.organizer.as_deref(), Some("Mirela"));
    assert_eq!((change.whole.cancelled, change.full_picture), (None, true));
    assert_eq!(
        read(&body("calendar.event.added", added.clone())).content,
        PayloadContent::Excluded
    );
    for (field, value) in [
        ("platform", json!("external")),
        ("calendar", json!(null)),
        ("calendar", json!({})),
        ("calendar", json!("cal-9")),
    ] {
        let mut data = added.clone();
        data[field] = value.clone();
        assert_eq!(read_added(&data).content, PayloadContent::Ignored, "{field}: {value}");
    }
}

#[test]
fn unmappable_reason_never_repeats_the_body() {
    for sent in [
        json!({ "type": "event.created" }),
        json!({ "type": "event.created", "data": "secret word" }),
        json!({ "type": "event.updated", "data": { "name": "secret word" } }),
        json!({ "type": "event.updated", "data": { "id": "secret word" } }),
        json!({ "type": "event.updated", "data": { "id": "evt-1", "calendar_id": "secret word" } }),
        json!({ "type": 5 }),
        json!(["event.created"]),
    ] {
        let content = read(sent.to_string().as_bytes()).content;
        let PayloadContent::Unmappable(reason) = content else { panic!("mapped: {sent}") };
        assert!(!reason.contains("secret"), "{reason}");
    }
}

#[test]
fn other_webhook_with_any_data_is_ignored() {
    for name in ["guest.registered", "ticket.registered", "event.published", "Event.Created", ""] {
        assert_eq!(read(&body(name, json!(5))).content, PayloadContent::Ignored, "{name}");
    }
}

#[test]
fn created_and_updated_webhooks_request_a_fetch() {
    let fetch_request = |name: &str| read(&body(name, event())).fetch_requests.into_iter().next();
    let wanted = FetchRequest {
        account: changed("event.created", event()).0.account,
        webinar: WebinarId::parse("evt-1").expect("an id"),
        condition: FetchCondition::Always,
    };
    assert_eq!(fetch_request("event.created"), Some(wanted.clone()));
    assert_eq!(fetch_request("event.updated"), Some(wanted));
    assert_eq!(fetch_request("event.canceled"), None);
    assert_eq!(fetch_request("guest.registered"), None);
    assert!(luma().api().is_none(), "no API key is configured");
}

#[test]
fn event_fetch_makes_one_request() {
    let provider = with_api();
    let api = provider.api().expect("a key is configured");
    let id = WebinarId::parse("evt-1/../x?&y=#").expect("an id");
    let ask =
        api.next_request(&id, &ApiAnswers::new()).expect("the id is valid").expect("a request");
    let url = "https://luma.example/base/v1/events/get?event_id=evt-1%2F..%2Fx%3F%26y%3D%23";
    assert_eq!((ask.name, ask.url.as_str()), ("event", url));
    let answer = serde_json::value::RawValue::from_string("{}".to_owned()).expect("JSON");
    let answers = ApiAnswers::from([("event".to_owned(), &*answer)]);
    assert_eq!(api.next_request(&id, &answers), Ok(None));
    let access = format!("{:?}", api.access());
    assert!(access.contains("x-luma-api-key") && !access.contains("\"k\""), "{access}");
}

/// M13: other calendars' events are not in the API, so there a missing one may take place.
#[test]
fn gone_event_means_cancelled_unless_it_may_be_of_another_calendar() {
    for (more, calendar_events, expected) in [
        ("", "", true),
        ("", "calendar_events = true", false),
        (", gone_is_cancelled = true", "calendar_events = true", true),
        (", gone_is_cancelled = false", "", false),
    ] {
        let lines = format!("{calendar_events}\napi = {{ key = 'k'{more} }}");
        let provider = configured(&lines).expect("right");
        let means = provider.api().map(PlatformApi::gone_means_cancelled);
        assert_eq!(means, Some(expected), "{lines}");
    }
    let fetched = FetchedAnswers {
        webinar: WebinarId::parse("evt-1").expect("an id"),
        account: None,
        at: NOW,
        asked_at: None,
        gone: true,
        answers: ApiAnswers::new(),
    };
    let (gone, _) = changes(luma().read_fetched(&fetched));
    assert_eq!(gone.whole.absent, Some(true));
}

#[test]
fn backfill_lists_calendar_events_page_by_page() {
    let provider = with_api();
    let api = provider.api().expect("a key is configured");
    let span = TimeRange { from: time("2026-10-01T00:00:00Z"), to: time("2026-11-01T00:00:00Z") };
    let first = api.list_url(ListQuery { span, cursor: None }).expect("the API lists events");
    let list = "https://luma.example/base/v1/calendars/events/list?after=2026-09-30T23%3A59%3A59.999Z&before=2026-11-01T00%3A00%3A00Z";
    assert_eq!(first.as_str(), list);
    let next = api.list_url(ListQuery { span, cursor: Some("a&b") }).expect("the API lists events");
    assert_eq!(next.as_str(), format!("{list}&pagination_cursor=a%26b"));

    let listed =
        |page: Value| api.parse_list(page.to_string().as_bytes(), ListQuery { span, cursor: None });
    let ids = |page: Value| {
        let listed = listed(page).expect("a page");
        (listed.webinars.into_iter().map(String::from).collect::<Vec<_>>(), listed.next)
    };
    let entries = json!([
        { "id": "evt-1", "platform": "luma" }, { "api_id": "evt-2", "event": {} },
        { "id": "calev-3", "platform": "external" },
    ]);
    let both = vec!["evt-1".to_owned(), "evt-2".to_owned()];
    let page = |more: Value, cursor: Value| json!({ "entries": entries.clone(), "has_more": more, "next_cursor": cursor });
    assert_eq!(ids(page(json!(true), json!("c"))), (both.clone(), Some("c".to_owned())));
    assert_eq!(ids(page(json!(null), json!("c"))), (both.clone(), Some("c".to_owned())));
    assert_eq!(ids(page(json!(false), json!("c"))), (both.clone(), None));
    assert_eq!(ids(page(json!(true), json!(null))), (both, None));
    assert_eq!(ids(json!({ "entries": [] })), (vec![], None));
    for wrong in [json!([]), json!({}), json!({ "entries": [{}] }), json!({ "entries": "secret" })]
    {
        let reason = listed(wrong.clone()).expect_err("no page");
        assert!(!reason.contains("secret"), "{wrong}: {reason}");
    }
    assert!(api.parse_list(b"\xff", ListQuery { span, cursor: None }).is_err());
}

#[test]
fn source_keys_are_read_and_invalid_ones_reported() {
    for right in ["", "signature = 'luma'", "signature = 'standard_webhooks'"] {
        let provider = configured(right).expect("right");
        assert!(provider.api().is_none());
    }
    let access = with_api();
    let access = access.api().expect("a key is configured").access();
    assert_eq!(
        (access.rate_limit.requests, access.rate_limit.window),
        (200, Duration::from_mins(1))
    );
    for (wrong, key) in [
        ("signature = 'svix'", "source.it.signature"),
        ("calendar_events = 1", "source.it.calendar_events"),
        ("api = {}", "source.it.api.key"),
        ("api = { key = 'k', base_url = 'http://luma.example' }", "source.it.api.base_url"),
        ("api = { key = 'k', other = 1 }", "source.it.api.other"),
    ] {
        let problems = configured(wrong).err().unwrap_or_default();
        assert!(problems.contains(key), "{wrong}: {problems}");
    }
}
