//! API answers of different times, merged in any order.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::event::{Register, Webinar};

/// In seconds.
const NOW: i64 = 1_790_848_800;

fn answers(at: i64, session: &Value, event_at: i64) -> Vec<u8> {
    let session = json!({ "data": { "id": "s-1", "type": "sessions", "attributes": session } });
    let event = json!({ "title": "Compost", "estimated_duration": 45, "updated_at": event_at });
    let event = json!({ "data": { "id": "e-1", "type": "events", "attributes": event } });
    let answers = json!({ "session": session, "event": event });
    stored(at, false, &answers)
}

fn gone(at: i64) -> Vec<u8> {
    stored(at, true, &json!({}))
}

fn stored(at: i64, gone: bool, answers: &Value) -> Vec<u8> {
    let at = at * 1_000 + 300;
    let stored =
        json!({ "webinar": "s-1", "account": null, "at": at, "gone": gone, "answers": answers });
    stored.to_string().into_bytes()
}

fn upcoming() -> Value {
    json!({ "event_id": "e-1", "status": "upcoming", "estimated_started_at": NOW + 9_000, "updated_at": NOW - 900 })
}

fn called_off(at: i64) -> Value {
    let mut session = upcoming();
    session["status"] = "canceled".into();
    session["canceled_at"] = at.into();
    session
}

fn merged(bodies: &[Vec<u8>]) -> Webinar {
    let mut webinars = conformance::merge_bodies(&BARE, bodies, Millis::new(NOW * 1_000));
    webinars.remove(&WebinarId::parse("s-1").expect("valid")).expect("it was merged")
}

fn is_cancelled(webinar: &Webinar) -> bool {
    let is_set = |flag: &Option<Register<bool>>| flag.as_ref().is_some_and(|flag| flag.value);
    is_set(&webinar.whole.cancelled) || is_set(&webinar.whole.absent)
}

/// With a token of another workspace the API answers 404 for the session, and with the right token it does not.
#[test]
fn session_found_again_after_404_is_restored() {
    let (seen, lost, found) = (
        answers(NOW - 500, &upcoming(), NOW - 900),
        gone(NOW - 400),
        answers(NOW - 300, &upcoming(), NOW - 900),
    );
    assert!(is_cancelled(&merged(&[seen.clone(), lost.clone()])));
    assert!(!is_cancelled(&merged(&[seen, lost, found])));
}

/// The session was fetched just before its cancellation, and its event, which the cancellation updated, just after.
#[test]
fn newer_event_does_not_make_an_older_session_win() {
    let between = answers(NOW - 400, &upcoming(), NOW - 399);
    let after = answers(NOW - 300, &called_off(NOW - 400), NOW - 399);
    assert!(is_cancelled(&merged(&[between, after])));
}

/// M13: an answer that still shows the session, with a status of before, does not take back its cancellation.
#[test]
fn session_found_after_its_cancellation_stays_cancelled() {
    let off = answers(NOW - 400, &called_off(NOW - 400), NOW - 399);
    let found = answers(NOW - 300, &upcoming(), NOW - 399);
    assert!(is_cancelled(&merged(&[off, found])));
}

proptest! {
    #[test]
    fn latest_observation_and_latest_status_decide_whether_the_session_takes_place(
        kinds in prop::collection::vec(0_u8..3, 1..8),
        order in any::<prop::sample::Index>(),
    ) {
        let answer = |(kind, at): (&u8, i64)| match kind {
            0 => {
                let mut session = upcoming();
                session["updated_at"] = at.into();
                answers(at, &session, at)
            }
            1 => answers(at, &called_off(at), at),
            _ => gone(at),
        };
        let mut bodies: Vec<_> = kinds.iter().zip((NOW - 700..).step_by(2)).map(answer).collect();
        let last_status = kinds.iter().rev().find(|kind| **kind < 2);
        let is_off = kinds.last() == Some(&2) || last_status == Some(&1);
        let turn = order.index(bodies.len());
        bodies.rotate_left(turn);
        prop_assert_eq!(is_cancelled(&merged(&bodies)), is_off);
    }
}
