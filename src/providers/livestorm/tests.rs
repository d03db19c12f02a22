use serde_json::json;

use super::*;
use crate::event::{ChangeKind, Millis};
use crate::providers::conformance::{self, load_fixtures};
use crate::providers::{ApiAnswers, ListQuery, PlatformRequest, TimeRange};

mod requests;
mod stories;
mod verification;

/// Livestorm without credentials.
const BARE: Livestorm = Livestorm { api: None };

#[test]
fn each_fixture_reads_as_expected() {
    assert!(load_fixtures("livestorm").len() > 30, "fixtures are missing");
    conformance::assert_fixtures_parse_as_expected("livestorm", &BARE);
}

#[test]
fn scrubbed_fixtures_hold_no_personal_data_and_read_the_same() {
    let personal = ["honey.example", "kettle"];
    conformance::assert_scrubbed_bodies_parse_the_same("livestorm", &BARE, &personal);
}

/// Neither the sample webhooks nor their API answers have a bad field.
#[test]
fn samples_read_without_bad_fields() {
    let now = Millis::new(1_790_848_800_000);
    let samples = (PLATFORM.demos)()[0].samples(now);
    let mut fetches = 0;
    for sample in &samples {
        let parsed = BARE.read(&Inbound::from_body(&sample.body).scrub(&BARE), &[]);
        match parsed.content {
            PayloadContent::Changes { bad_fields, .. } => {
                assert_eq!(bad_fields, Vec::<&str>::new());
            }
            PayloadContent::Ignored | PayloadContent::Excluded => {}
            PayloadContent::Unmappable(reason) => panic!("{reason}"),
            PayloadContent::Handshake(_) => panic!("Livestorm has no handshake"),
        }
        fetches += parsed.fetch_requests.len();
    }
    assert_eq!(fetches, samples.len() - 1, "every sample but the registration requests a fetch");
}

fn session(attributes: &serde_json::Value) -> Change {
    let body = json!({ "data": { "id": "s-1", "type": "sessions", "attributes": attributes } });
    let parsed = BARE.read(&Inbound::from_body(body.to_string().as_bytes()).scrub(&BARE), &[]);
    let PayloadContent::Changes { mut changes, bad_fields } = parsed.content else {
        panic!("no changes: {parsed:?}");
    };
    assert_eq!(bad_fields, Vec::<&str>::new());
    changes.remove(0)
}

#[test]
fn change_time_is_the_newest_time_in_the_body() {
    let at = |seconds: i64| Some(Millis::new(seconds * 1_000));
    let (day, later) = (1_790_000_000_i64, 1_790_000_100_i64);
    for newest in ["created_at", "updated_at", "started_at", "ended_at"] {
        let mut attributes =
            json!({ "created_at": day, "updated_at": day, "started_at": day, "ended_at": day });
        attributes[newest] = later.into();
        // The planned start does not date the change.
        attributes["estimated_started_at"] = (later + 1).into();
        assert_eq!(session(&attributes).occurred_at, at(later), "{newest}");
    }
    assert_eq!(session(&json!({ "estimated_started_at": later })).occurred_at, None);
}

/// A session may be edited or seen long after its cancellation, even after its planned end.
#[test]
fn cancellation_counts_from_canceled_at() {
    let attributes =
        json!({ "status": "canceled", "canceled_at": 1_790_000_000, "updated_at": 1_790_009_000 });
    let change = session(&attributes);
    assert_eq!((change.kind, change.whole.cancelled), (ChangeKind::Cancelled, Some(true)));
    assert_eq!(change.occurred_at, Some(Millis::new(1_790_000_000_000)));
    let change =
        session(&json!({ "status": "canceled", "canceled_at": 0, "updated_at": 1_790_009_000 }));
    assert_eq!(change.whole.cancelled, Some(true));
    assert_eq!(change.occurred_at, Some(Millis::new(1_790_009_000_000)));
}

#[test]
fn unmappable_reason_never_repeats_the_body() {
    for body in [
        r#"{"data":{"type":"sessions","id":"secret word"}}"#,
        r#"{"data":{"type":"sessions","id":"1","attributes":"secret word"}}"#,
        r#"{"data":"secret word"}"#,
        r#"{"data":{"type":["secret word"]}}"#,
        r#"{"data":{"type":"sessions","id":"1","attributes":{"status":"secret","status":"word"}}}"#,
        "secret word",
    ] {
        let parsed = BARE.read(&Inbound::from_body(body.as_bytes()).scrub(&BARE), &[]);
        let PayloadContent::Unmappable(reason) = parsed.content else {
            panic!("mapped: {parsed:?}")
        };
        assert!(!reason.contains("secret") && !reason.contains("word"), "{reason}");
    }
    let parsed =
        BARE.read(&Inbound::from_body(b"{\"data\":{\"type\":\"\xff\"}}").scrub(&BARE), &[]);
    assert_eq!(parsed.content, PayloadContent::Unmappable("the body is not UTF-8".to_owned()));
}
