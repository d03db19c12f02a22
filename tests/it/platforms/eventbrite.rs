//! Eventbrite: webhooks that prove and say nothing, and an API that is asked because of each.

use serde_json::{Value, json};
use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::platform_server::PlatformServer;

use super::{api, asked_and_settled, refused, seconds, tell};
use crate::harness::eventually;
use crate::harness::http::{self, scrape};
use crate::harness::process::{Bridge, Setting};

const PATH: &str = "eventbrite/path-token-of-the-tests";
const ORGANIZATION: &str = "171000000009";
const HOUR: i64 = 3_600;

fn setting() -> (PlatformServer, Setting) {
    let api = api("authorization", "Bearer eventbrite-token-of-the-tests");
    api.limit(20, std::time::Duration::from_secs(1));
    let setting = Setting::new(&format!(
        "[source.eventbrite]\nprovider = \"eventbrite\"\npath_token = \"path-token-of-the-tests\"\n\
         api = {{ token = \"eventbrite-token-of-the-tests\", organization = \"{ORGANIZATION}\", \
         base_url = \"{}\", rate_limit = {{ requests = 20, window = \"1s\" }} }}\n",
        api.base_url()
    ));
    (api, setting)
}

fn webhook(action: &str, api_url: &str) -> Value {
    json!({
        "config": {
            "action": action, "user_id": "170000000008", "webhook_id": "12000008",
            "endpoint_url": format!("https://bridge.example/webhooks/{PATH}"),
        },
        "api_url": api_url,
    })
}

async fn sent(bridge: &Bridge, action: &str, api_url: &str) -> String {
    // Their delivery header is the webhook's id, so it is the same each time.
    let headers = [("X-Eventbrite-Delivery".to_owned(), "12000008".to_owned())];
    tell(bridge, PATH, &headers, webhook(action, api_url).to_string().as_bytes()).await
}

fn url(id: &str) -> String {
    format!("https://www.eventbriteapi.com/v3/events/{id}/")
}

/// An event of an hour.
fn event(id: &str, status: &str, start: i64, changed: i64, more: Value) -> Value {
    let at = |seconds: i64| Millis::new(seconds * 1_000).to_string();
    let mut event = json!({
        "id": id, "organization_id": ORGANIZATION, "status": status, "online_event": false,
        "name": { "text": "Open day" }, "description": { "text": "Come in." },
        "url": format!("https://www.eventbrite.example/e/{id}"), "changed": at(changed),
        "start": { "utc": at(start) }, "end": { "utc": at(start + HOUR) },
        "is_series": false, "is_series_parent": false, "organizer": { "name": "The Museum" },
    });
    let Value::Object(more) = more else { panic!("{more} is no object") };
    for (name, value) in more {
        event[name] = value;
    }
    event
}

fn knows(api: &PlatformServer, event: Value) {
    let id = event["id"].as_str().expect("it has an id").to_owned();
    api.answer(&format!("/v3/events/{id}/?expand=organizer"), event);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_to_be_change_and_are_called_off_or_end() {
    let (api, setting) = setting();
    let bridge = setting.start();
    let (now, none) = (seconds(), json!({}));
    let start = now + 24 * HOUR;

    knows(&api, event("41", "draft", start, now - 600, none.clone()));
    assert_eq!(sent(&bridge, "event.created", &url("41")).await, "accepted");
    asked_and_settled(&bridge, "eventbrite").await;
    assert_eq!(scrape(&bridge.ops).await.events("main", "incomplete"), 1);
    assert!(setting.held_of(ORGANIZATION).is_empty(), "a draft is not shown");

    knows(&api, event("41", "live", start, now - 500, none.clone()));
    assert_eq!(sent(&bridge, "event.published", &url("41")).await, "accepted");
    asked_and_settled(&bridge, "eventbrite").await;
    let held = &setting.held_of(ORGANIZATION)["41"];
    assert_eq!((held.name.as_str(), held.organizer.as_str()), ("Open day", "The Museum"));
    assert_eq!(held.description.as_deref(), Some("Come in."));
    assert_eq!(held.url.as_deref(), Some("https://www.eventbrite.example/e/41"));
    assert_eq!(held.event_type.as_deref(), Some("CONFERENCE"));
    let at = |seconds: i64| Some(Millis::new(seconds * 1_000));
    assert_eq!((held.start, held.end), (at(start), at(start + HOUR)));
    assert_eq!((held.cancelled, held.completed), (false, false));

    // The bodies of two updates are the same, and both count.
    for (number, title) in [(4, "Open days"), (3, "Open weekend")] {
        let renamed = json!({ "name": { "text": title }, "online_event": true });
        knows(&api, event("41", "live", start, now - number * 100, renamed));
        assert_eq!(sent(&bridge, "event.updated", &url("41")).await, "accepted");
        asked_and_settled(&bridge, "eventbrite").await;
        let held = &setting.held_of(ORGANIZATION)["41"];
        assert_eq!((held.name.as_str(), held.event_type.as_deref()), (title, Some("WEBINAR")));
    }

    // Taken back to a draft it is not called off.
    knows(&api, event("41", "draft", start, now - 200, none.clone()));
    sent(&bridge, "event.unpublished", &url("41")).await;
    asked_and_settled(&bridge, "eventbrite").await;
    assert!(!setting.held_of(ORGANIZATION)["41"].cancelled);
    knows(&api, event("41", "canceled", start, now - 100, none.clone()));
    sent(&bridge, "event.updated", &url("41")).await;
    asked_and_settled(&bridge, "eventbrite").await;
    assert!(setting.held_of(ORGANIZATION)["41"].cancelled);

    // Over: by its status, and by the time since its end. A series is shown by its dates.
    let series = json!({ "is_series": true, "is_series_parent": true });
    knows(&api, event("42", "ended", now - 2 * HOUR, now - 9_000, none.clone()));
    knows(&api, event("43", "live", now - 3 * HOUR, now - 20_000, none));
    knows(&api, event("44", "live", start, now - 20_000, series));
    for id in ["42", "43", "44"] {
        assert_eq!(sent(&bridge, "event.updated", &url(id)).await, "accepted");
    }
    asked_and_settled(&bridge, "eventbrite").await;
    let held = setting.held_of(ORGANIZATION);
    assert_eq!(held.keys().collect::<Vec<_>>(), ["41", "42", "43"]);
    assert!(held["42"].completed && held["43"].completed && !held["41"].completed);

    let calls = api.calls();
    assert!(calls.iter().all(|call| call.status == 200), "{calls:?}");
    // What is no id of theirs is not taken, so that nobody need wait for it.
    let fetch = "POST /api/v1/sources/eventbrite/webinars/abc/fetch";
    let answer = http::request(&bridge.ops, fetch, &[], &[]).await.expect("it is answered");
    assert_eq!((answer.status, answer.json()["parameter"].clone()), (400, json!("webinar")));

    // The path token, which every webhook repeats, is kept nowhere.
    let receipts = http::request(&bridge.ops, "GET /api/v1/receipts?limit=100", &[], &[]).await;
    let receipts = receipts.expect("it is answered").json();
    let items = receipts["receipts"].as_array().expect("receipts").clone();
    assert!(items.len() > 15, "{receipts}");
    for item in items {
        let line = format!("GET /api/v1/receipts/{}", item["id"].as_str().expect("an id"));
        let answer = http::request(&bridge.ops, &line, &[], &[]).await.expect("it is answered");
        assert_eq!(answer.status, 200);
        assert!(!String::from_utf8_lossy(&answer.body).contains("path-token-of-the-tests"));
    }
    assert!(!bridge.logged().contains("path-token-of-the-tests"));
    api.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_webhook_leads_to_another_address_or_to_anothers_event() {
    let (api, setting) = setting();
    let elsewhere = super::api("authorization", "Bearer eventbrite-token-of-the-tests");
    let bridge = setting.start();
    let right = webhook("event.published", &url("51"));
    assert_eq!(refused(&bridge, "eventbrite", &[], &right).await, 404);
    assert_eq!(refused(&bridge, "eventbrite/another-path-token", &[], &right).await, 404);

    for wrong in [
        format!("{}/v3/events/51/", elsewhere.base_url()),
        format!("https://www.eventbriteapi.com@{}/v3/events/51/", elsewhere.base_url()),
        "https://www.eventbriteapi.com/v3/users/me/".to_owned(),
        "https://www.eventbriteapi.com/v3/events/51/../52/".to_owned(),
    ] {
        assert_eq!(sent(&bridge, "event.published", &wrong).await, "quarantined", "{wrong}");
    }
    let placeholder = "{api-endpoint-to-fetch-object-details}";
    assert_eq!(sent(&bridge, "test", placeholder).await, "ignored");
    assert_eq!(sent(&bridge, "order.placed", &url("51")).await, "ignored");
    asked_and_settled(&bridge, "eventbrite").await;
    assert_eq!((api.calls(), elsewhere.calls()), (vec![], vec![]));

    // Any public event can be read with our credentials.
    let others = json!({ "organization_id": "171999999999" });
    knows(&api, event("52", "live", seconds() + HOUR, seconds() - 60, others));
    assert_eq!(sent(&bridge, "event.published", &url("52")).await, "accepted");
    asked_and_settled(&bridge, "eventbrite").await;
    assert_eq!(api.calls().len(), 1);
    assert!(setting.hubspot.emulator().events().is_empty());
    elsewhere.close();
    api.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_brings_the_organizations_events_of_a_time() {
    let (api, setting) = setting();
    let at = |text: &str| Millis::parse(text, None).expect("a time").get() / 1_000;
    let event = |id: &str, status: &str, day: &str| {
        event(id, status, at(&format!("{day}T10:00:00Z")), seconds() - 60, json!({}))
    };
    let (first, second) = (event("61", "ended", "2026-03-31"), event("62", "ended", "2026-04-01"));
    let (third, draft) =
        (event("63", "canceled", "2026-04-29"), event("64", "draft", "2026-04-29"));
    for event in [&first, &second, &third, &draft] {
        knows(&api, event.clone());
    }
    let list = format!(
        "/v3/organizations/{ORGANIZATION}/events/?order_by=start_asc&status=live%2Cstarted%2Cended%2Ccanceled"
    );
    let more = json!({ "has_more_items": true, "continuation": "b2Zmc2V0" });
    api.answer(&list, json!({ "events": [first, second], "pagination": more }));
    let no_more = json!({ "has_more_items": false });
    let next = format!("{list}&continuation=b2Zmc2V0");
    api.answer(&next, json!({ "events": [third, draft], "pagination": no_more }));

    let span = ["--from", "2026-04-01", "--to", "2026-05-01"];
    let (code, said) =
        setting.run(&[&["backfill", "--source", "eventbrite"][..], &span].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 webinars found, 2 asked about"), "{said}");
    let bridge = setting.start();
    asked_and_settled(&bridge, "eventbrite").await;
    let held = setting.held_of(ORGANIZATION);
    assert_eq!(held.keys().collect::<Vec<_>>(), ["62", "63"]);
    assert!(held["62"].completed);
    assert_eq!(api.calls().len(), 2 + 2);
    api.close();
}

#[tokio::test]
async fn a_source_without_the_api_or_a_path_token_is_told_what_it_lacks() {
    let told = async |lines: &str| {
        let source = format!("[source.eventbrite]\nprovider = \"eventbrite\"\n{lines}\n");
        let (code, said) = Setting::new(&source).run(&["check"]).await;
        assert_eq!(code, Some(2), "{said}");
        said
    };
    let said = told("secret = \"x\"").await;
    for key in ["path_token: is missing", "api: is missing", "secret: proves nothing here"] {
        assert!(said.contains(&format!("source.eventbrite.{key}")), "{said}");
    }
    let said = told("path_token = \"long-enough-for-it\"\napi = { organization = \"me\" }").await;
    for key in ["api.token: is missing", "api.organization: must be an id"] {
        assert!(said.contains(&format!("source.eventbrite.{key}")), "{said}");
    }
}

/// An answered webhook says no more than which event to ask about: that outlives the process, whatever it is at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_asked_outlives_kill_after_kill() {
    let (api, setting) = setting();
    // What a killed process has called counts for the platform, and the next one does not know of it.
    api.limit(1_000, std::time::Duration::from_secs(1));
    let now = seconds();
    let mut bridge = setting.start();
    for round in 0..6 {
        let before = api.calls().len();
        for number in 0..8 {
            let id = (100 + round * 8 + number).to_string();
            knows(&api, event(&id, "live", now + 24 * HOUR, now - 500, json!({})));
            assert_eq!(sent(&bridge, "event.published", &url(&id)).await, "accepted");
        }
        eventually("it asks", async || api.calls().len() > before + round).await;
        bridge.kill();
        bridge = setting.start();
    }
    asked_and_settled(&bridge, "eventbrite").await;
    assert_eq!(setting.held_of(ORGANIZATION).len(), 48);
    let calls = api.calls().len();
    // Four are under way at a time, so a kill costs at most so many calls more.
    assert!((48..=48 + 6 * 4).contains(&calls), "{calls} calls");
    api.close();
}
