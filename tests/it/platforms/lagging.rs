//! Platforms' APIs that lag behind their webhooks, or fail for some webinars only.

use std::time::Duration;

use serde_json::{Value, json};
use webinar_bridge::clock::{Clock as _, SystemClock};

use super::zoom_api::{Scene, scene};
use crate::harness::process::Bridge;
use crate::harness::zoom::{payload, renamed, series, webhook, webinar, with};
use crate::harness::{eventually, http};

fn path(id: u64) -> String {
    format!("/v2/webinars/{id}?show_previous_occurrences=true")
}

fn now() -> i64 {
    SystemClock.now().get()
}

async fn ops(bridge: &Bridge, line: &str) -> Value {
    http::request(&bridge.ops, line, &[], &[]).await.expect("it is answered").json()
}

/// Waits until that many answers of the platform are merged.
async fn answers_merged(bridge: &Bridge, count: usize) {
    eventually("the answers are merged", async || {
        let receipts = ops(bridge, "GET /api/v1/receipts?limit=100").await;
        let receipts = receipts["receipts"].as_array().expect("a list").clone();
        receipts.iter().filter(|receipt| receipt["kind"] == "fetched").count() >= count
    })
    .await;
    bridge.settled().await;
}

/// The webinar in the queue; null if it is not in it.
async fn fetch_of(bridge: &Bridge, id: u64) -> Value {
    let fetches = ops(bridge, "GET /api/v1/fetches").await;
    let fetches = fetches["fetches"].as_array().expect("a list").clone();
    let id = id.to_string();
    let found = fetches.into_iter().find(|fetch| fetch["webinar"] == id.as_str());
    found.unwrap_or_default()
}

/// A2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_deleted_while_it_is_asked_about_stays_cancelled() {
    let Scene { api, setting, bridge, zoom } = scene();
    api.answer(&path(1), series(1, "Onboarding"));
    api.delay(&path(1), Duration::from_millis(600));
    zoom.story([webhook("webinar.created", now(), series(1, "Onboarding"))]).await;
    eventually("it is asked about", async || api.calls().iter().any(|c| c.path == path(1))).await;
    let deleted = webhook("webinar.deleted", now(), series(1, "Onboarding"));
    zoom.story([payload(deleted, json!({ "operation": "all" }))]).await;
    answers_merged(&bridge, 1).await;
    let held = setting.held();
    assert_eq!(held.len(), 3);
    assert!(held.values().all(|event| event.input.event_cancelled), "{held:?}");
    assert_eq!(fetch_of(&bridge, 1).await["state"], "answered", "it is asked about once more");
}

/// A2b.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_that_lags_behind_a_webhook_does_not_win() {
    let Scene { api, setting, bridge, zoom } = scene();
    let answer = with(webinar(1, "First topic"), json!({ "agenda": "How we release." }));
    api.answer(&path(1), answer);
    zoom.story([renamed(1, "Second topic", now())]).await;
    eventually("the event is in HubSpot", async || setting.held().contains_key("1")).await;
    answers_merged(&bridge, 1).await;
    let input = setting.event("1").input;
    assert_eq!(input.event_name, "Second topic");
    assert_eq!(input.event_description.as_deref(), Some("How we release."));
    assert_eq!(fetch_of(&bridge, 1).await["state"], "answered", "it is asked about once more");
}

/// B2: a 402 for one webinar is asked again after five minutes, not given up within one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webinar_that_the_platform_refuses_is_asked_about_in_five_minutes() {
    let Scene { api, setting: _setting, bridge, zoom } = scene();
    for (id, status) in [(1, 402), (2, 400), (3, 406), (4, 422), (5, 451)] {
        api.fail(&path(id), status);
        zoom.story([renamed(id, "Calm releases", now())]).await;
        eventually("it is refused", async || fetch_of(&bridge, id).await["attempts"] == 1).await;
        let fetch = fetch_of(&bridge, id).await;
        assert_eq!(
            (&fetch["state"], &fetch["last_error"]),
            (&json!("pending"), &json!(format!("it answered {status}")))
        );
        let at = |name: &str| {
            let text = fetch[name].as_str().expect("a time");
            text.parse::<jiff::Timestamp>().expect("a time").as_millisecond()
        };
        let wait = at("not_before") - at("failed_at");
        assert!((299_000..=301_000).contains(&wait), "{status}: {wait} ms");
        // Others are answered meanwhile.
        api.answer(&path(10 + id), webinar(10 + id, "Calm releases"));
        zoom.story([renamed(10 + id, "Calm releases", now())]).await;
        answers_merged(&bridge, usize::try_from(id).expect("small")).await;
    }
}

/// B3: one webinar's answer is 500, others' are right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webinar_for_which_the_platform_fails_delays_no_other() {
    let Scene { api, setting, bridge: _bridge, zoom } = scene();
    api.fail(&path(1), 500);
    zoom.story([renamed(1, "Calm releases", now())]).await;
    eventually("it fails", async || api.calls().iter().any(|call| call.status == 500)).await;
    for id in 2..8 {
        api.answer(&path(id), webinar(id, "Calm releases"));
    }
    zoom.story((2..8).map(|id| renamed(id, "Calm releases", now()))).await;
    eventually("the others are in HubSpot", async || setting.held().len() == 6).await;
}
