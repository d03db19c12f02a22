//! A single webinar from its creation through changes to its cancellation and recovery.

use serde_json::{Value, json};

use crate::harness::process::Setting;
use crate::harness::zoom::{
    Zoom, at, created, payload, planned, renamed, updated, webhook, webinar,
};

fn deleted(id: u64, at: i64) -> Value {
    payload(
        webhook("webinar.deleted", at, webinar(id, "Calm releases")),
        json!({ "operation": "all" }),
    )
}

fn recovered(id: u64, at: i64) -> Value {
    payload(
        webhook("webinar.recovered", at, webinar(id, "Calm releases")),
        json!({ "operation": "all" }),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_update_keeps_other_fields() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([created(1, "Calm releases", at(0))]).await;
    bridge.settled().await;
    zoom.story([updated(1, json!({ "agenda": "How we release." }), at(10))]).await;
    bridge.settled().await;
    zoom.story([renamed(1, "Calmer releases", at(20))]).await;
    bridge.settled().await;
    let event = setting.event("1");
    assert_eq!(event.input.event_name, "Calmer releases");
    assert_eq!(event.input.event_description.as_deref(), Some("How we release."));
    assert_eq!(event.input.event_organizer, "Acme GmbH");
    assert_eq!(event.input.event_type.as_deref(), Some("WEBINAR"));
    assert_eq!(event.input.event_url.as_deref(), Some("https://example.zoom.us/j/1"));
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(planned(0)), Some(planned(60)))
    );
    assert_eq!((event.input.event_cancelled, event.input.event_completed), (false, false));
    assert_eq!(event.writes, 3, "each state was sent separately");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_follows_start_and_duration() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([
        created(1, "Calm releases", at(0)),
        updated(1, json!({ "start_time": planned(120).to_string() }), at(10)),
    ])
    .await;
    bridge.settled().await;
    let event = setting.event("1");
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(planned(120)), Some(planned(180)))
    );
    zoom.story([updated(1, json!({ "duration": 45 }), at(20))]).await;
    bridge.settled().await;
    let event = setting.event("1");
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(planned(120)), Some(planned(165)))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_webhook_changes_no_newer_field() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([created(1, "Calm releases", at(0)), renamed(1, "The newest", at(100))]).await;
    bridge.settled().await;
    let late = json!({
        "topic": "An older one", "agenda": "An older agenda", "start_time": planned(30).to_string(),
    });
    zoom.story([updated(1, late, at(50))]).await;
    bridge.settled().await;
    let event = setting.event("1");
    assert_eq!(event.input.event_name, "The newest");
    assert_eq!(
        event.input.event_description.as_deref(),
        Some("An older agenda"),
        "no newer webhook has an agenda"
    );
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(planned(30)), Some(planned(90)))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_is_undone_only_by_recovery() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([created(1, "Calm releases", at(0)), deleted(1, at(200))]).await;
    bridge.settled().await;
    assert!(setting.event("1").input.event_cancelled);
    // Late deletions, a late copy of the creation, and a newer update do not restore it.
    zoom.story([
        renamed(1, "Late", at(150)),
        created(1, "Calm releases, again", at(1)),
        renamed(1, "Later", at(250)),
    ])
    .await;
    bridge.settled().await;
    let event = setting.event("1");
    assert!(event.input.event_cancelled);
    assert_eq!(event.input.event_name, "Later");
    zoom.story([recovered(1, at(300))]).await;
    bridge.settled().await;
    assert!(!setting.event("1").input.event_cancelled);
    zoom.story([deleted(1, at(299))]).await;
    bridge.settled().await;
    assert!(!setting.event("1").input.event_cancelled, "deleted before it was recovered");
    assert_eq!(setting.held().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incomplete_webinar_is_sent_once_complete() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([renamed(1, "Only a title", at(10)), created(2, "Whole", at(10))]).await;
    bridge.settled().await;
    assert_eq!(setting.held().keys().collect::<Vec<_>>(), ["2"]);
    zoom.story([created(1, "As it was", at(0))]).await;
    bridge.settled().await;
    assert_eq!(setting.event("1").input.event_name, "Only a title");
}
