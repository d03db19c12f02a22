//! Starts and ends of single webinars, of one occurrence among others, and of Zoom Events.

use serde_json::{Value, json};

use crate::harness::process::Setting;
use crate::harness::zoom::{Zoom, ago, planned, series, webhook, webinar, with};

/// A session as in `webinar.started` and `webinar.ended`, with its own times and topic.
fn run(id: u64, started: i64, more: Value) -> Value {
    let object = json!({
        "id": id.to_string(), "uuid": "run==", "topic": "As it was when it ran", "type": 5, "timezone": "UTC",
        "start_time": ago(started).to_string(), "duration": 0,
    });
    with(object, more)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webinar_is_completed_by_its_end_and_not_by_its_practice_session() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let plan = with(webinar(1, "Calm releases"), json!({ "start_time": ago(90).to_string() }));
    zoom.story([
        webhook("webinar.created", ago(110).get(), plan.clone()),
        webhook("webinar.started", ago(100).get(), run(1, 100, json!({}))),
    ])
    .await;
    let practice =
        run(1, 100, json!({ "end_time": ago(95).to_string(), "practice_session": true }));
    assert_eq!(zoom.tell(webhook("webinar.ended", ago(95).get(), practice)).await, "accepted");
    bridge.settled().await;
    let event = setting.event("1");
    assert!(!event.input.event_completed, "the practice session ended");
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(ago(90)), Some(ago(30)))
    );
    zoom.story([webhook("webinar.started", ago(89).get(), run(1, 89, json!({})))]).await;
    let end = run(1, 89, json!({ "end_time": ago(40).to_string(), "practice_session": false }));
    zoom.story([webhook("webinar.ended", ago(40).get(), end)]).await;
    bridge.settled().await;
    let event = setting.event("1");
    assert!(event.input.event_completed);
    assert_eq!(
        event.input.event_name, "Calm releases",
        "the run's title and duration are not the plan's"
    );
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(ago(90)), Some(ago(40)))
    );
    // A deletion after the end does not cancel.
    zoom.story([webhook("webinar.deleted", ago(20).get(), plan)]).await;
    bridge.settled().await;
    let event = setting.event("1");
    assert_eq!((event.input.event_cancelled, event.input.event_completed), (false, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_of_a_series_completes_only_the_nearest_occurrence() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let mut object = series(9, "Onboarding");
    object["occurrences"][0]["start_time"] = ago(60).to_string().into();
    object["start_time"] = ago(60).to_string().into();
    let end = run(9, 58, json!({ "type": 9, "end_time": ago(25).to_string() }));
    zoom.story([
        webhook("webinar.created", ago(110).get(), object),
        webhook("webinar.started", ago(58).get(), run(9, 58, json!({ "type": 9 }))),
        webhook("webinar.ended", ago(25).get(), end),
    ])
    .await;
    bridge.settled().await;
    let completed: Vec<(String, bool)> =
        setting.held().into_iter().map(|(id, event)| (id, event.input.event_completed)).collect();
    let expected = [("9-o1", true), ("9-o2", false), ("9-o3", false)];
    assert_eq!(completed, expected.map(|(id, over)| (id.to_owned(), over)));
    assert_eq!(setting.event("9-o1").input.end_date_time, Some(ago(25)));
}

fn conference(id: &str, name: &str, kind: &str) -> Value {
    json!({
        "event_id": id, "name": name, "description": "Two tracks.", "event_type": kind, "status": "DRAFT",
        "start_time": planned(0).to_string(), "end_time": planned(480).to_string(), "timezone": "UTC",
    })
}

fn session(event: &str, id: &str, from: i64, to: i64) -> Value {
    json!({
        "event_id": event, "session_id": id, "name": format!("Session {id}"), "timezone": "UTC",
        "start_time": planned(from).to_string(), "end_time": planned(to).to_string(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_event_lifecycle_is_delivered() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let draft = conference("conf", "Makers' day", "CONFERENCE");
    zoom.story([webhook("zoom_events.event_published", ago(60).get(), draft.clone())]).await;
    bridge.settled().await;
    let event = setting.event("conf");
    assert_eq!(
        (event.input.event_name.as_str(), event.input.event_type.as_deref()),
        ("Makers' day", Some("CONFERENCE"))
    );
    assert_eq!(event.input.event_description.as_deref(), Some("Two tracks."));
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(planned(0)), Some(planned(480)))
    );
    let renamed = with(draft.clone(), json!({ "name": "Makers' days" }));
    zoom.story([webhook("zoom_events.event_updated", ago(50).get(), renamed)]).await;
    bridge.settled().await;
    assert_eq!(setting.event("conf").input.event_name, "Makers' days");
    zoom.story([webhook("zoom_events.event_cancelled", ago(40).get(), draft)]).await;
    bridge.settled().await;
    assert!(setting.event("conf").input.event_cancelled);
}

/// An event, and sessions of it, of these minutes ago.
fn held(object: Value, from: i64, to: i64) -> Value {
    let times = json!({ "start_time": ago(from).to_string(), "end_time": ago(to).to_string() });
    with(object, times)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_event_is_completed_with_its_last_session() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let published = |minutes: i64, id: &str, name: &str, kind: &str| {
        let object = held(conference(id, name, kind), 500, 20);
        webhook("zoom_events.event_published", ago(minutes).get(), object)
    };
    let talk = held(session("one", "a", 0, 0), 500, 20);
    let session = |event: &str, minutes: i64, id: &str, from: i64, to: i64| {
        let object = held(session("conf", id, 0, 0), from, to);
        webhook(&format!("zoom_events.session_{event}"), ago(minutes).get(), object)
    };
    zoom.story([
        published(600, "conf", "Makers' day", "CONFERENCE"),
        session("created", 599, "a", 500, 300),
        session("created", 598, "b", 260, 20),
        session("ended", 300, "a", 500, 300),
        published(597, "one", "A talk", "SIMPLE_EVENT"),
    ])
    .await;
    bridge.settled().await;
    assert!(!setting.event("conf").input.event_completed, "another session is upcoming");
    zoom.story([
        session("ended", 20, "b", 260, 20),
        webhook("zoom_events.session_ended", ago(20).get(), talk),
    ])
    .await;
    bridge.settled().await;
    assert!(setting.event("conf").input.event_completed);
    assert!(setting.event("one").input.event_completed);
    assert_eq!(setting.held().len(), 2, "sessions do not become events");
}

/// M15, A3b: a session that ended before its start was a rehearsal. M13: an update takes back no deletion.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zoom_event_waits_for_no_deleted_session_and_not_for_a_rehearsal() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let event = held(conference("conf", "Makers' day", "CONFERENCE"), 500, 20);
    let session = |event: &str, minutes: i64, id: &str, from: i64, to: i64| {
        let object = held(session("conf", id, 0, 0), from, to);
        webhook(&format!("zoom_events.session_{event}"), ago(minutes).get(), object)
    };
    zoom.story([
        webhook("zoom_events.event_published", ago(900).get(), event),
        session("created", 899, "a", 500, 20),
        session("created", 898, "b", 500, 20),
        session("ended", 800, "a", 810, 800),
        session("deleted", 790, "b", 500, 20),
        session("updated", 780, "b", 500, 30),
    ])
    .await;
    bridge.settled().await;
    assert!(!setting.event("conf").input.event_completed, "it was rehearsed");
    zoom.story([session("ended", 20, "a", 500, 20)]).await;
    bridge.settled().await;
    assert!(setting.event("conf").input.event_completed, "the other session was deleted");
}
