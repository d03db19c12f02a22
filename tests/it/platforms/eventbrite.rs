//! Eventbrite: unsigned webhooks without content, each of which causes a fetch from the API.

use serde_json::{Value, json};
use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::platform_server::PlatformServer;

use super::{assert_not_stored, check_errors, fetched_and_settled, open_api, send, status_of};
use crate::harness::eventually;
use crate::harness::http::{self, scrape};
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{seconds, with};

const PATH: &str = "eventbrite/path-token-of-the-tests";
const ORGANIZATION: &str = "171000000009";
const HOUR: i64 = 3_600;

fn setting() -> (PlatformServer, Setting) {
    let api = open_api("authorization", "Bearer eventbrite-token-of-the-tests");
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

async fn send_webhook(bridge: &Bridge, action: &str, api_url: &str) -> String {
    // The delivery header holds the webhook's id, so it is the same in every delivery.
    let headers = [("X-Eventbrite-Delivery".to_owned(), "12000008".to_owned())];
    send(bridge, PATH, &headers, webhook(action, api_url).to_string().as_bytes()).await
}

fn event_url(id: &str) -> String {
    format!("https://www.eventbriteapi.com/v3/events/{id}/")
}

/// An event of one hour.
fn event(id: &str, status: &str, start: i64, changed: i64, more: Value) -> Value {
    let at = |seconds: i64| Millis::new(seconds * 1_000).to_string();
    let event = json!({
        "id": id, "organization_id": ORGANIZATION, "status": status, "online_event": false,
        "name": { "text": "Open day" }, "description": { "text": "Come in." },
        "url": format!("https://www.eventbrite.example/e/{id}"), "changed": at(changed),
        "created": at(changed.min(seconds() - 600)),
        "start": { "utc": at(start) }, "end": { "utc": at(start + HOUR) },
        "is_series": false, "is_series_parent": false, "organizer": { "name": "The Museum" },
    });
    with(event, more)
}

fn answer_event(api: &PlatformServer, event: Value) {
    let id = event["id"].as_str().expect("an id").to_owned();
    api.answer(&format!("/v3/events/{id}/?expand=organizer"), event);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_lifecycle_is_fetched_and_delivered() {
    let (api, setting) = setting();
    let bridge = setting.start();
    let (now, none) = (seconds(), json!({}));
    let start = now + 24 * HOUR;

    answer_event(&api, event("41", "draft", start, now - 600, none.clone()));
    assert_eq!(send_webhook(&bridge, "event.created", &event_url("41")).await, "accepted");
    fetched_and_settled(&bridge, "eventbrite").await;
    assert_eq!(scrape(&bridge.ops).await.events("main", "incomplete"), 1);
    assert!(setting.held_of(ORGANIZATION).is_empty(), "a draft is not shown");

    answer_event(&api, event("41", "live", start, now - 500, none.clone()));
    assert_eq!(send_webhook(&bridge, "event.published", &event_url("41")).await, "accepted");
    fetched_and_settled(&bridge, "eventbrite").await;
    let held = &setting.held_of(ORGANIZATION)["41"];
    assert_eq!(
        (held.input.event_name.as_str(), held.input.event_organizer.as_str()),
        ("Open day", "The Museum")
    );
    assert_eq!(held.input.event_description.as_deref(), Some("Come in."));
    assert_eq!(held.input.event_url.as_deref(), Some("https://www.eventbrite.example/e/41"));
    assert_eq!(held.input.event_type.as_deref(), Some("CONFERENCE"));
    let at = |seconds: i64| Some(Millis::new(seconds * 1_000));
    assert_eq!(
        (held.input.start_date_time, held.input.end_date_time),
        (at(start), at(start + HOUR))
    );
    assert_eq!((held.input.event_cancelled, held.input.event_completed), (false, false));

    // Both updates count, although their bodies are equal.
    for (number, title) in [(4, "Open days"), (3, "Open weekend")] {
        let renamed = json!({ "name": { "text": title }, "online_event": true });
        answer_event(&api, event("41", "live", start, now - number * 100, renamed));
        assert_eq!(send_webhook(&bridge, "event.updated", &event_url("41")).await, "accepted");
        fetched_and_settled(&bridge, "eventbrite").await;
        let held = &setting.held_of(ORGANIZATION)["41"];
        assert_eq!(
            (held.input.event_name.as_str(), held.input.event_type.as_deref()),
            (title, Some("WEBINAR"))
        );
    }

    // An unpublished event is not cancelled.
    answer_event(&api, event("41", "draft", start, now - 200, none.clone()));
    send_webhook(&bridge, "event.unpublished", &event_url("41")).await;
    fetched_and_settled(&bridge, "eventbrite").await;
    assert!(!setting.held_of(ORGANIZATION)["41"].input.event_cancelled);
    answer_event(&api, event("41", "canceled", start, now - 100, none.clone()));
    send_webhook(&bridge, "event.updated", &event_url("41")).await;
    fetched_and_settled(&bridge, "eventbrite").await;
    assert!(setting.held_of(ORGANIZATION)["41"].input.event_cancelled);
    assert_eq!(setting.reads(), 0, "M19: it was created under the bridge's eyes");

    // Events are completed by their status or by the time since their end. A series itself is not delivered.
    let series = json!({ "is_series": true, "is_series_parent": true });
    answer_event(&api, event("42", "ended", now - 2 * HOUR, now - 9_000, none.clone()));
    answer_event(&api, event("43", "live", now - 3 * HOUR, now - 20_000, none));
    answer_event(&api, event("44", "live", start, now - 20_000, series));
    for id in ["42", "43", "44"] {
        assert_eq!(send_webhook(&bridge, "event.updated", &event_url(id)).await, "accepted");
    }
    fetched_and_settled(&bridge, "eventbrite").await;
    let held = setting.held_of(ORGANIZATION);
    assert_eq!(held.keys().collect::<Vec<_>>(), ["41", "42", "43"]);
    assert!(
        held["42"].input.event_completed
            && held["43"].input.event_completed
            && !held["41"].input.event_completed
    );

    let calls = api.calls();
    assert!(calls.iter().all(|call| call.status == 200), "{calls:?}");
    // A fetch of an invalid id is refused.
    let fetch = "POST /api/v1/sources/eventbrite/webinars/abc/fetch";
    let answer =
        http::request(&bridge.ops, fetch, &[], &[]).await.expect("the request is answered");
    assert_eq!((answer.status, answer.json()["parameter"].clone()), (400, json!("webinar")));

    // Every webhook repeats the path token, and it is neither stored nor logged.
    let count = assert_not_stored(&bridge, "eventbrite", &["path-token-of-the-tests"]).await;
    assert!(count > 15, "{count}");
    assert!(!bridge.logged().contains("path-token-of-the-tests"));
    api.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_urls_and_events_are_neither_fetched_nor_delivered() {
    let (api, setting) = setting();
    let other_server = open_api("authorization", "Bearer eventbrite-token-of-the-tests");
    let bridge = setting.start();
    let right = webhook("event.published", &event_url("51")).to_string().into_bytes();
    for path in ["eventbrite", "eventbrite/another-path-token"] {
        assert_eq!(status_of(&bridge, path, &[], &right).await, 404, "{path}");
    }

    for wrong in [
        format!("{}/v3/events/51/", other_server.base_url()),
        format!("https://www.eventbriteapi.com@{}/v3/events/51/", other_server.base_url()),
        "https://www.eventbriteapi.com/v3/users/me/".to_owned(),
        "https://www.eventbriteapi.com/v3/events/51/../52/".to_owned(),
    ] {
        assert_eq!(
            send_webhook(&bridge, "event.published", &wrong).await,
            "quarantined",
            "{wrong}"
        );
    }
    let placeholder = "{api-endpoint-to-fetch-object-details}";
    assert_eq!(send_webhook(&bridge, "test", placeholder).await, "ignored");
    assert_eq!(send_webhook(&bridge, "order.placed", &event_url("51")).await, "ignored");
    fetched_and_settled(&bridge, "eventbrite").await;
    assert_eq!((api.calls(), other_server.calls()), (vec![], vec![]));

    // Our credentials can read any public event, also of another organization.
    let foreign = json!({ "organization_id": "171999999999" });
    answer_event(&api, event("52", "live", seconds() + HOUR, seconds() - 60, foreign));
    assert_eq!(send_webhook(&bridge, "event.published", &event_url("52")).await, "accepted");
    fetched_and_settled(&bridge, "eventbrite").await;
    assert_eq!(api.calls().len(), 1);
    assert!(setting.hubspot.emulator().events().is_empty());
    other_server.close();
    api.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_delivers_events_in_range() {
    let (api, setting) = setting();
    let at = |text: &str| Millis::parse(text, None).expect("a time").get() / 1_000;
    let event = |id: &str, status: &str, day: &str| {
        event(id, status, at(&format!("{day}T10:00:00Z")), seconds() - 60, json!({}))
    };
    let (first, second) = (event("61", "ended", "2026-03-31"), event("62", "ended", "2026-04-01"));
    let (third, draft) =
        (event("63", "canceled", "2026-04-29"), event("64", "draft", "2026-04-29"));
    for event in [&first, &second, &third, &draft] {
        answer_event(&api, event.clone());
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
    let (code, output) =
        setting.run(&[&["backfill", "--source", "eventbrite"][..], &span].concat()).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("2 webinars found, 2 asked about"), "{output}");
    let bridge = setting.start();
    fetched_and_settled(&bridge, "eventbrite").await;
    let held = setting.held_of(ORGANIZATION);
    assert_eq!(held.keys().collect::<Vec<_>>(), ["62", "63"]);
    assert!(held["62"].input.event_completed);
    assert_eq!(api.calls().len(), 2 + 2);
    api.close();
}

/// A13: an event that was deleted at Eventbrite is not in its list, and no webhook tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_asks_about_known_coming_events_that_the_list_does_not_name() {
    let (api, setting) = setting();
    let bridge = setting.start();
    let (now, start) = (seconds(), seconds() + 24 * HOUR);
    for id in ["71", "72"] {
        answer_event(&api, event(id, "live", start, now - 500, json!({})));
        assert_eq!(send_webhook(&bridge, "event.published", &event_url(id)).await, "accepted");
    }
    fetched_and_settled(&bridge, "eventbrite").await;
    assert_eq!(setting.held_of(ORGANIZATION).len(), 2);
    let list = format!(
        "/v3/organizations/{ORGANIZATION}/events/?order_by=start_asc&status=live%2Cstarted%2Cended%2Ccanceled"
    );
    let listed = event("72", "live", start, now - 500, json!({}));
    let no_more = json!({ "has_more_items": false });
    api.answer(&list, json!({ "events": [listed], "pagination": no_more }));
    let deleted = "/v3/events/71/?expand=organizer";
    api.fail(deleted, 404);
    let asked =
        || api.calls().iter().filter(|c| (c.path.as_str(), c.status) == (deleted, 404)).count();
    bridge.kill();
    let (_, output) = setting.run(&["backfill", "--source", "eventbrite"]).await;
    let expected = "1 webinars found, 1 known ones to come not among them";
    assert!(output.contains(expected), "{output}");
    assert_eq!(asked(), 1);
    api.close();
}

#[tokio::test]
async fn source_without_api_or_path_token_fails_check() {
    let errors_of = async |lines: &str| {
        check_errors(&format!("[source.eventbrite]\nprovider = \"eventbrite\"\n{lines}\n")).await
    };
    let errors = errors_of("secret = \"x\"").await;
    for key in ["path_token: is missing", "api: is missing", "secret: is not used"] {
        assert!(errors.contains(&format!("source.eventbrite.{key}")), "{errors}");
    }
    let errors =
        errors_of("path_token = \"long-enough-for-it\"\napi = { organization = \"me\" }").await;
    for key in ["api.token: is missing", "api.organization: must be an id"] {
        assert!(errors.contains(&format!("source.eventbrite.{key}")), "{errors}");
    }
}

/// An answered webhook causes a fetch. The pending fetch survives a kill of the process at any point.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_fetches_survive_repeated_kills() {
    let (api, setting) = setting();
    // The platform counts the calls of a killed process, which the next process does not know.
    api.limit(1_000, std::time::Duration::from_secs(1));
    let now = seconds();
    let mut bridge = setting.start();
    for round in 0..6 {
        let before = api.calls().len();
        for number in 0..8 {
            let id = (100 + round * 8 + number).to_string();
            answer_event(&api, event(&id, "live", now + 24 * HOUR, now - 500, json!({})));
            assert_eq!(send_webhook(&bridge, "event.published", &event_url(&id)).await, "accepted");
        }
        eventually("a fetch is made", async || api.calls().len() > before + round).await;
        bridge.kill();
        bridge = setting.start();
    }
    fetched_and_settled(&bridge, "eventbrite").await;
    assert_eq!(setting.held_of(ORGANIZATION).len(), 48);
    let calls = api.calls().len();
    // Four fetches run at a time, so each kill repeats at most four calls.
    assert!((48..=48 + 6 * 4).contains(&calls), "{calls} calls");
    api.close();
}
