//! Filters (`only`) and computed properties (`custom_properties`).

use serde_json::json;

use super::state_and_gaps;
use crate::harness::eventually;
use crate::harness::http::{request, scrape};
use crate::harness::process::Setting;
use crate::harness::zoom::{
    ACCOUNT, Zoom, ago, at, created, renamed, updated, webhook, webinar, with,
};

const NOT_INTERNAL: &str = "only = '!event.name.startsWith(\"Internal\")'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filtered_webinar_is_sent_once_the_filter_accepts_it() {
    let setting = Setting::new(NOT_INTERNAL);
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([created(1, "Internal: dry run", at(0)), created(2, "Calm releases", at(0))]).await;
    bridge.settled().await;
    assert_eq!(setting.held().into_keys().collect::<Vec<_>>(), ["2"]);
    assert_eq!(state_and_gaps(&bridge, "1").await, (json!("filtered"), json!(["filtered"])));
    let seen = scrape(&bridge.ops).await;
    assert_eq!((seen.events("main", "filtered"), seen.events("main", "incomplete")), (1, 0));
    let redrive = format!("POST /api/v1/events/main/{ACCOUNT}/1/redrive");
    let answer = request(&bridge.ops, &redrive, &[], b"").await.expect("an answer");
    let kind = answer.json()["type"].as_str().map(|kind| kind.ends_with(":filtered"));
    assert_eq!((answer.status, kind), (409, Some(true)));
    let list = "GET /api/v1/events?state=filtered";
    let answer = request(&bridge.ops, list, &[], b"").await.expect("an answer").json();
    assert_eq!(answer["events"].as_array().map(Vec::len), Some(1));

    zoom.story([renamed(1, "Calm rehearsals", at(10))]).await;
    bridge.settled().await;
    let event = setting.event("1");
    assert_eq!((event.input.event_name.as_str(), event.writes), ("Calm rehearsals", 1));
    assert_eq!(state_and_gaps(&bridge, "1").await, (json!("delivered"), json!([])));

    // An event in HubSpot stays unchanged when the filter refuses it later.
    zoom.story([renamed(2, "Internal: calm releases", at(20))]).await;
    bridge.settled().await;
    assert_eq!(setting.event("2").input.event_name, "Calm releases");
    assert_eq!(state_and_gaps(&bridge, "2").await, (json!("filtered"), json!(["filtered"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn computed_properties_follow_the_event() {
    let setting = Setting::new(
        "custom_properties = { webinar_platform = \"zoom\", topic_length = { cel = \"size(event.name)\" }, \
         hour = { cel = \"event.start.getHours('UTC')\" }, about = { cel = \"event.description\" }, \
         word = { cel = \"event.name.split(' ')[1]\" }, number = { cel = \"int(event.name)\" } }",
    );
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([created(1, "Calm releases", at(0))]).await;
    bridge.settled().await;
    let held = |name: &str| {
        let properties = setting.event("1").input.custom_properties.into_iter();
        properties.filter(|held| held.name == name).map(|held| held.value).next()
    };
    assert_eq!(held("webinar_platform").as_deref(), Some("zoom"));
    assert_eq!(held("topic_length").as_deref(), Some("13"));
    assert_eq!(held("word").as_deref(), Some("releases"));
    assert!(held("hour").is_some_and(|hour| hour.parse::<u8>().is_ok_and(|hour| hour < 24)));
    assert_eq!((held("about"), held("number")), (None, None));
    let failed = (json!("delivered"), json!(["property_failed"]));
    assert_eq!(
        state_and_gaps(&bridge, "1").await,
        failed,
        "the event is sent despite the failed property, and the API shows the failure"
    );

    zoom.story([updated(1, json!({ "topic": "2027", "agenda": "Next year." }), at(10))]).await;
    bridge.settled().await;
    assert_eq!(held("topic_length").as_deref(), Some("4"));
    assert_eq!(held("about").as_deref(), Some("Next year."));
    assert_eq!((held("word"), held("number").as_deref()), (None, Some("2027")));
    assert_eq!(state_and_gaps(&bridge, "1").await, (json!("delivered"), json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_filter_applies_to_existing_events() {
    let setting = Setting::new(NOT_INTERNAL);
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(1, "Internal: dry run", at(0))]).await;
    bridge.settled().await;
    assert_eq!(bridge.terminate(), Some(0));

    let bridge = setting.start_with(&[("BRIDGE__SOURCE__ZOOM__ONLY", "event.custom.public")]);
    eventually("the filter is evaluated again", async || {
        state_and_gaps(&bridge, "1").await == (json!("incomplete"), json!(["filter_failed"]))
    })
    .await;
    assert_eq!(bridge.terminate(), Some(0));
    assert!(setting.held().is_empty());

    let bridge = setting.start_with(&[("BRIDGE__SOURCE__ZOOM__ONLY", "!event.cancelled")]);
    eventually("the event is sent", async || setting.held().contains_key("1")).await;
    bridge.settled().await;
    assert_eq!(setting.event("1").input.event_name, "Internal: dry run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_expression_fails_check_and_serve() {
    let setting =
        Setting::new("only = 'event.nmae != \"\"'\ncustom_properties = { a = { cel = '1 +' } }");
    for command in ["check", "serve"] {
        let (code, errors) = setting.run(&[command]).await;
        assert_eq!(code, Some(2), "{errors}");
        for key in [
            "source.zoom.only: unknown field nmae of event",
            "source.zoom.custom_properties.a.cel: line 1",
        ] {
            assert!(errors.contains(key), "{key}: {errors}");
        }
    }
}

/// A14: what HubSpot holds is cancelled and completed there, with the texts that it confirmed last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_the_filter_refuses_later_is_still_cancelled_and_completed() {
    let setting = Setting::new(NOT_INTERNAL);
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let past = json!({ "start_time": ago(60).to_string() });
    let held = with(webinar(2, "Calm releases"), past);
    let made = [created(1, "Calm releases", at(0)), webhook("webinar.created", at(0), held)];
    zoom.story(made).await;
    bridge.settled().await;
    let internal = |id| renamed(id, "Internal: calm releases", at(10));
    zoom.story([internal(1), internal(2)]).await;
    bridge.settled().await;
    zoom.story([webhook("webinar.deleted", at(20), json!({ "id": 1, "type": 5 }))]).await;
    let run = json!({
        "id": 2, "type": 5, "start_time": ago(60).to_string(), "end_time": ago(10).to_string(),
    });
    zoom.story([webhook("webinar.ended", ago(10).get(), run)]).await;
    bridge.settled().await;
    let (cancelled, completed) = (setting.event("1").input, setting.event("2").input);
    assert!(cancelled.event_cancelled && !cancelled.event_completed);
    assert!(completed.event_completed && !completed.event_cancelled);
    for input in [cancelled, completed] {
        assert_eq!(input.event_name, "Calm releases");
        assert!(input.start_date_time.is_some() && input.end_date_time.is_some());
    }
    // Another text alone is nothing to HubSpot.
    zoom.story([renamed(1, "Internal: other", at(40))]).await;
    bridge.settled().await;
    assert_eq!(setting.event("1").writes, 2);
    assert_eq!(state_and_gaps(&bridge, "1").await, (json!("filtered"), json!(["filtered"])));
}
