use serde_json::json;

use super::*;
use crate::event::{ChangeKind, Millis};
use crate::providers::trial::{self, load_fixtures};
use crate::providers::{ApiAnswers, ApiRequest, TimeRange};

mod asking;
mod stories;
mod verification;

/// Livestorm without credentials.
const BARE: Livestorm = Livestorm { api: None };

#[test]
fn each_fixture_reads_as_expected() {
    assert!(load_fixtures("livestorm").len() > 30, "fixtures are missing");
    trial::assert_fixtures_parse_as_expected("livestorm", &BARE);
}

#[test]
fn what_is_stored_holds_nothing_personal_and_says_the_same() {
    let personal = ["honey.example", "kettle"];
    trial::assert_scrubbed_bodies_parse_the_same("livestorm", &BARE, &personal);
}

/// The sample webhooks, and what is fetched because of them, are read without a bad field.
#[test]
fn the_samples_are_bodies_that_can_be_read() {
    let now = Millis::new(1_790_848_800_000);
    let samples = BARE.samples(now);
    let mut asked = 0;
    for sample in &samples {
        let reading = BARE.read(&Inbound::from_body(&sample.body), &[]);
        match reading.content {
            PayloadContent::Changes { bad_fields, .. } => {
                assert_eq!(bad_fields, Vec::<&str>::new());
            }
            PayloadContent::Ignored => {}
            PayloadContent::Unmappable(why) => panic!("{why}"),
            PayloadContent::Handshake(_) => panic!("Livestorm has none"),
        }
        asked += reading.fetch_requests.len();
    }
    assert_eq!(asked, samples.len() - 1, "all but the registration are occasions to ask");
}

fn session(attributes: &serde_json::Value) -> Change {
    let body = json!({ "data": { "id": "s-1", "type": "sessions", "attributes": attributes } });
    let reading = BARE.read(&Inbound::from_body(body.to_string().as_bytes()), &[]);
    let PayloadContent::Changes { mut changes, bad_fields } = reading.content else {
        panic!("no changes: {reading:?}");
    };
    assert_eq!(bad_fields, Vec::<&str>::new());
    changes.remove(0)
}

#[test]
fn a_body_is_as_new_as_the_newest_time_that_it_tells() {
    let at = |seconds: i64| Some(Millis::new(seconds * 1_000));
    let (day, later) = (1_790_000_000_i64, 1_790_000_100_i64);
    for newest in ["created_at", "updated_at", "started_at", "ended_at"] {
        let mut said =
            json!({ "created_at": day, "updated_at": day, "started_at": day, "ended_at": day });
        said[newest] = later.into();
        // When it is to begin says nothing of that.
        said["estimated_started_at"] = (later + 1).into();
        assert_eq!(session(&said).occurred_at, at(later), "{newest}");
    }
    assert_eq!(session(&json!({ "estimated_started_at": later })).occurred_at, None);
}

/// It may be edited or seen long after it was called off, even after it was to end: called off it was before.
#[test]
fn what_is_called_off_is_so_since_it_says() {
    let said =
        json!({ "status": "canceled", "canceled_at": 1_790_000_000, "updated_at": 1_790_009_000 });
    let change = session(&said);
    assert_eq!((change.kind, change.whole.cancelled), (ChangeKind::Cancelled, Some(true)));
    assert_eq!(change.occurred_at, Some(Millis::new(1_790_000_000_000)));
    let change =
        session(&json!({ "status": "canceled", "canceled_at": 0, "updated_at": 1_790_009_000 }));
    assert_eq!(change.whole.cancelled, Some(true));
    assert_eq!(change.occurred_at, Some(Millis::new(1_790_009_000_000)));
}

#[test]
fn what_cannot_be_read_is_not_repeated() {
    for body in [
        r#"{"data":{"type":"sessions","id":"secret word"}}"#,
        r#"{"data":{"type":"sessions","id":"1","attributes":"secret word"}}"#,
        r#"{"data":"secret word"}"#,
        r#"{"data":{"type":["secret word"]}}"#,
        r#"{"data":{"type":"sessions","id":"1","attributes":{"status":"secret","status":"word"}}}"#,
        "secret word",
    ] {
        let reading = BARE.read(&Inbound::from_body(body.as_bytes()), &[]);
        let PayloadContent::Unmappable(why) = reading.content else {
            panic!("mapped: {reading:?}")
        };
        assert!(!why.contains("secret") && !why.contains("word"), "{why}");
    }
    let reading = BARE.read(&Inbound::from_body(b"{\"data\":{\"type\":\"\xff\"}}"), &[]);
    assert_eq!(reading.content, PayloadContent::Unmappable("the body is not UTF-8".to_owned()));
}
