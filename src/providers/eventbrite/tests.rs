use serde_json::{Value, json};

use super::*;
use crate::event::{Millis, WebinarId};
use crate::providers::conformance::{self, load_fixtures};
use crate::providers::{ApiAnswers, ListQuery, PlatformRequest, TimeRange};

mod requests;

/// Eventbrite without credentials.
const BARE: Eventbrite = Eventbrite { api: None };

fn read(body: &Value, at: i64) -> ParsedPayload {
    BARE.read(
        &Inbound::from_stored(&Vec::new(), body.to_string().as_bytes(), Millis::new(at))
            .scrub(&BARE),
        &[],
    )
}

#[test]
fn each_fixture_reads_as_expected() {
    assert!(load_fixtures("eventbrite").len() > 35, "fixtures are missing");
    conformance::assert_fixtures_parse_as_expected("eventbrite", &BARE);
}

/// The fixtures hold the path token, because webhooks repeat it.
#[test]
fn scrubbed_fixtures_hold_no_secrets_and_read_the_same() {
    conformance::assert_scrubbed_bodies_parse_the_same("eventbrite", &BARE, &["kettle"]);
}

#[test]
fn repeated_update_with_equal_body_is_no_duplicate() {
    let body = json!({
        "config": { "action": "event.updated", "webhook_id": "1", "endpoint_url": "https://b.example/" },
        "api_url": "https://www.eventbriteapi.com/v3/events/42/",
    });
    let (first, second) = (read(&body, 1_790_848_800_000), read(&body, 1_790_848_800_001));
    assert_eq!((&first.delivery_id, &second.delivery_id), (&None, &None));
    assert_eq!(first.fetch_requests.len(), 1);
    assert_eq!(first, second, "only the ledger knows whether the fetch is still requested");
}

/// `api_url` yields only an id of digits, and only in its one documented form.
#[test]
fn api_url_of_another_form_yields_no_id() {
    let wanted = |url: Value| {
        let body = json!({ "config": { "action": "event.published" }, "api_url": url });
        read(&body, 0).fetch_requests.pop().map(|wanted| String::from(wanted.webinar))
    };
    let right = "https://www.eventbriteapi.com/v3/events/42";
    assert_eq!(wanted(json!(right)).as_deref(), Some("42"));
    assert_eq!(wanted(json!(format!("{right}/"))).as_deref(), Some("42"));
    let long = "4".repeat(21);
    for url in [
        format!("{right}//"),
        format!("{right}/?expand=x"),
        format!("{right}#x"),
        format!("{right}/../43/"),
        format!("{right}a/"),
        format!("{right}%20/"),
        format!(" {right}/"),
        format!("{right}/\n"),
        right.replace("https", "http"),
        right.replace("www.", ""),
        right.replace("www", "WWW"),
        right.replace(".com", ".com:443"),
        right.replace(".com", ".com.example"),
        right.replace("www.", "www.eventbriteapi.com@"),
        right.replace("v3", "v4"),
        right.replace("42", "٤٢"),
        right.replace("42", "-42"),
        right.replace("42", ""),
        right.replace("42", &long),
    ] {
        assert_eq!(wanted(json!(url)), None, "{url}");
    }
    for url in [json!(null), json!(42), json!([right])] {
        assert_eq!(wanted(url), None);
    }
}

#[test]
fn samples_request_a_fetch_and_scrub_the_path_token() {
    let samples = (PLATFORM.demos)()[0].samples(Millis::new(1_790_848_800_000));
    for sample in &samples {
        let parsed = BARE.read(&Inbound::from_body(&sample.body).scrub(&BARE), &[]);
        assert_eq!(parsed.fetch_requests.len(), 1, "{}", sample.summary);
        let stored = (PLATFORM.scrub)(&sample.body);
        assert!(!String::from_utf8_lossy(&stored).contains("path-token"));
    }
}

#[test]
fn unmappable_reason_never_repeats_the_body() {
    for body in [
        r#"{"config":{"action":"event.updated"},"api_url":"secret word"}"#,
        r#"{"config":{"action":["secret word"]}}"#,
        r#"{"config":"secret word"}"#,
        "secret word",
    ] {
        let parsed = BARE.read(&Inbound::from_body(body.as_bytes()).scrub(&BARE), &[]);
        let PayloadContent::Unmappable(reason) = parsed.content else {
            panic!("mapped: {parsed:?}")
        };
        assert!(!reason.contains("secret") && !reason.contains("word"), "{reason}");
    }
    let parsed = BARE.read(&Inbound::from_body(b"{\"config\":\"\xff\"}").scrub(&BARE), &[]);
    assert_eq!(parsed.content, PayloadContent::Unmappable("the body is not UTF-8".to_owned()));
}
