//! Zoom's API: fetches of the fields that webhooks leave out.

use std::sync::Arc;

use serde_json::{Value, json};
use webinar_bridge::clock::SystemClock;
use webinar_bridge::providers::DemoApi;
use webinar_bridge::sandbox::platform_server::PlatformServer;

use crate::harness::eventually;
use crate::harness::http::scrape;
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{
    ACCOUNT, Zoom, ago, at, created, occurrence, payload, planned, renamed, series, updated,
    webhook, webinar, with,
};

const DAY: i64 = 24 * 60;
/// The path of the request for webinar 1.
const WEBINAR: &str = "/v2/webinars/1?show_previous_occurrences=true";
const HOST: &str = "/v2/users/uLoRgfbbTayCX6r2Q_qQsQ";

/// A bridge with an emulated Zoom API.
pub(super) struct Scene {
    pub(super) api: PlatformServer,
    pub(super) setting: Setting,
    pub(super) bridge: Bridge,
    pub(super) zoom: Zoom,
}

pub(super) fn scene() -> Scene {
    let (api, setting) = open_scene("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    Scene { api, setting, bridge, zoom }
}

/// Opens the API and a setting before the bridge starts, with these further keys in the table `api`.
fn open_scene(more: &str) -> (PlatformServer, Setting) {
    let api = PlatformServer::open(DemoApi::Client("client-1", "hush-1"), Arc::new(SystemClock));
    let api = api.expect("the server listens");
    let setting = Setting::new(&format!(
        "api = {{ account_id = '{ACCOUNT}', client_id = 'client-1', client_secret = 'hush-1', \
         base_url = '{base}', token_url = '{base}/oauth/token'{more} }}",
        base = api.base_url(),
    ));
    (api, setting)
}

fn answer(more: Value) -> Value {
    with(
        with(
            webinar(1, "Calm releases"),
            json!({
                "agenda": "How we release.", "host_email": "lena@example.org",
                "registration_url": "https://example.zoom.us/webinar/register/WN_1",
                "start_url": "https://example.zoom.us/s/1?zak=secret-zak",
            }),
        ),
        more,
    )
}

fn host() -> Value {
    json!({
        "id": "uLoRgfbbTayCX6r2Q_qQsQ", "display_name": "Lena Brandt", "first_name": "Lena",
        "last_name": "Brandt", "email": "lena@example.org",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_of_unknown_webinar_is_completed_by_the_api() {
    let Scene { api, setting, bridge, zoom } = scene();
    api.answer(WEBINAR, answer(json!({})));
    api.answer(HOST, host());
    zoom.story([renamed(1, "Calm releases", at(0))]).await;
    eventually("the event is in HubSpot", async || setting.held().contains_key("1")).await;
    bridge.settled().await;
    let event = setting.event("1");
    assert_eq!(event.input.event_name, "Calm releases");
    assert_eq!(event.input.event_organizer, "Lena Brandt");
    assert_eq!(event.input.event_description.as_deref(), Some("How we release."));
    assert_eq!(
        event.input.event_url.as_deref(),
        Some("https://example.zoom.us/webinar/register/WN_1")
    );
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(planned(0)), Some(planned(60)))
    );
    assert_eq!(event.writes, 1, "the event is sent only once complete");
    let calls: Vec<(String, String, u16)> =
        api.calls().into_iter().map(|call| (call.method, call.path, call.status)).collect();
    let call = |method: &str, path: &str| (method.to_owned(), path.to_owned(), 200);
    assert_eq!(calls, [call("POST", "/oauth/token"), call("GET", WEBINAR), call("GET", HOST)]);

    // A complete event is not fetched again. The answer is of the present, so the update needs a later time.
    zoom.story([renamed(1, "Calmer releases", at(3 * 60 * 60))]).await;
    eventually("the update is in HubSpot", async || {
        setting.event("1").input.event_name == "Calmer releases"
    })
    .await;
    assert_eq!(api.calls().len(), 3);
    let log = bridge.logged();
    for secret in ["hush-1", "platform-token", "lena@example.org", "secret-zak"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn organizer_is_the_host_name_else_the_source_default() {
    let Scene { api, setting, bridge, zoom } = scene();
    api.answer(WEBINAR, answer(json!({})));
    api.fail(HOST, 403);
    zoom.story([created(1, "Calm releases", at(0))]).await;
    eventually("the agenda is in HubSpot", async || {
        setting.held().get("1").is_some_and(|event| event.input.event_description.is_some())
    })
    .await;
    assert_eq!(setting.event("1").input.event_organizer, "Acme GmbH");

    api.answer(HOST, host());
    zoom.story([webhook("meeting.converted_to_webinar", at(10), webinar(1, "Calm releases"))])
        .await;
    eventually("the host is in HubSpot", async || {
        setting.event("1").input.event_organizer == "Lena Brandt"
    })
    .await;
    bridge.settled().await;
    assert_eq!(setting.event("1").input.event_description.as_deref(), Some("How we release."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recurrence_change_without_list_is_fetched() {
    let Scene { api, setting, bridge, zoom } = scene();
    let list = |days: [i64; 2]| days.map(|day| occurrence(day + 1, day * DAY)).to_vec();
    let series_now =
        |days| answer(with(series(1, "Onboarding"), json!({ "occurrences": list(days) })));
    api.answer(WEBINAR, answer(series(1, "Onboarding")));
    api.answer(HOST, host());
    zoom.story([webhook("webinar.created", at(0), series(1, "Onboarding"))]).await;
    let is_cancelled =
        |id: &str| setting.held().get(id).is_some_and(|event| event.input.event_cancelled);
    eventually("all three are in HubSpot", async || {
        let held = setting.held();
        held.len() == 3 && held.values().all(|event| event.input.event_organizer == "Lena Brandt")
    })
    .await;
    api.answer(WEBINAR, series_now([0, 2]));
    let changed = updated(1, json!({ "recurrence": { "type": 1, "end_times": 2 } }), at(20));
    zoom.story([payload(changed, json!({ "scope": "all" }))]).await;
    eventually("the second occurrence is cancelled", async || is_cancelled("1-o2")).await;
    bridge.settled().await;
    assert!(!is_cancelled("1-o1") && !is_cancelled("1-o3"));
    assert_eq!(scrape(&bridge.ops).await.events("main", "incomplete"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_without_api_credentials_stays_incomplete() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([renamed(1, "Calm releases", at(0))]).await;
    bridge.settled().await;
    assert_eq!(scrape(&bridge.ops).await.events("main", "incomplete"), 1);
    assert!(setting.held().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_delivers_webinars_of_the_configured_users() {
    let (api, setting) = open_scene(", users = ['me', 'host-2']");
    let list = |user: &str, more: &str| {
        format!("/v2/users/{user}/webinars?include_events_webinar=false&page_size=300{more}")
    };
    let page = |ids: &[u64], next: &str| {
        let webinars: Vec<Value> = ids.iter().map(|id| webinar(*id, "Calm releases")).collect();
        json!({ "webinars": webinars, "next_page_token": next })
    };
    api.answer(&list("me", ""), page(&[1], "token=="));
    api.answer(&list("me", "&next_page_token=token%3D%3D"), page(&[2], ""));
    api.answer(&list("host-2", ""), page(&[3, 1], ""));
    api.answer(HOST, host());
    for id in 1..=3 {
        let path = format!("/v2/webinars/{id}?show_previous_occurrences=true");
        api.answer(&path, with(webinar(id, "Calm releases"), json!({ "agenda": "From before." })));
    }
    let (code, output) = setting.run(&["backfill", "--source", "zoom"]).await;
    assert_eq!(code, Some(0), "{output}");
    let bridge = setting.start();
    bridge.settled().await;
    let held = setting.held();
    assert_eq!(held.keys().collect::<Vec<_>>(), ["1", "2", "3"]);
    for event in held.values() {
        assert_eq!(event.input.event_organizer, "Lena Brandt");
        assert_eq!(event.input.event_description.as_deref(), Some("From before."));
    }
}

/// M15: a run that ended before the start was a rehearsal, unless the start moved: only Zoom knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_before_the_start_asks_whether_the_start_moved() {
    let Scene { api, setting, bridge, zoom } = scene();
    api.answer(WEBINAR, answer(json!({ "start_time": ago(40).to_string() })));
    api.answer(HOST, host());
    let run = |event: &str, minutes: i64| {
        let object = json!({
            "id": "1", "start_time": ago(40).to_string(), "end_time": ago(minutes).to_string(),
        });
        webhook(&format!("webinar.{event}"), ago(minutes).get(), object)
    };
    let planned = webhook("webinar.updated", ago(90).get(), webinar(1, "Calm releases"));
    zoom.story([planned, run("started", 40)]).await;
    bridge.settled().await;
    assert!(!setting.event("1").input.event_completed);
    assert_eq!(api.calls().len(), 0, "nothing is missing");
    zoom.story([run("ended", 5)]).await;
    eventually("the event is completed", async || setting.event("1").input.event_completed).await;
    let input = setting.event("1").input;
    assert_eq!((input.start_date_time, input.end_date_time), (Some(ago(40)), Some(ago(5))));
}
