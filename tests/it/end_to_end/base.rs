//! Webinars from before the bridge: HubSpot is read before an event's first send (M19 to M22).

use std::time::Duration;

use serde_json::{Value, json};
use webinar_bridge::clock::{Clock as _, SystemClock};
use webinar_bridge::sandbox::emulator::{EmulatorOperation, UpsertInput};

use super::{FAST, cancelled, generous, states};
use crate::harness::eventually_within;
use crate::harness::http::{request, scrape};
use crate::harness::process::Setting;
use crate::harness::zoom::{
    ACCOUNT, Zoom, ago, created, occurrence, payload, planned, updated, webhook, webinar, with,
};

fn now() -> i64 {
    SystemClock.now().get()
}

/// An event of a bridge before this one, in full.
fn held(id: &str, more: Value) -> UpsertInput {
    let input = with(
        json!({
            "externalAccountId": ACCOUNT, "externalEventId": id,
            "eventName": "Calm releases", "eventOrganizer": "Acme GmbH", "eventType": "WEBINAR",
            "eventDescription": "How we release.", "eventUrl": "https://example.com/register",
            "startDateTime": planned(0).to_string(), "endDateTime": planned(90).to_string(),
            "customProperties": [{ "name": "seats", "value": "7" }],
        }),
        more,
    );
    serde_json::from_value(input).expect("valid")
}

fn calls(setting: &Setting, operation: EmulatorOperation) -> usize {
    let emulator = setting.hubspot.emulator();
    emulator.calls().iter().filter(|call| call.operation == Some(operation)).count()
}

fn deleted(id: u64, object: Value) -> Value {
    let object = with(webinar(id, "Calm releases"), object);
    payload(webhook("webinar.deleted", now(), object), json!({ "operation": "all" }))
}

/// A20: an empty ledger, and an update with topic, type and start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_of_an_older_webinar_keeps_what_hubspot_holds() {
    let setting = Setting::with(generous(), FAST, "");
    setting.hubspot.emulator().hold(SystemClock.now(), held("1", json!({})));
    let bridge = setting.start();
    let changed =
        json!({ "topic": "Calmer releases", "type": 5, "start_time": planned(10).to_string() });
    Zoom::to(&bridge).story([updated(1, changed, now())]).await;
    bridge.settled().await;
    let expected = held(
        "1",
        json!({
            "eventName": "Calmer releases",
            "startDateTime": planned(10).to_string(), "endDateTime": planned(100).to_string(),
        }),
    );
    assert_eq!(setting.event("1").input, expected);
    assert_eq!((setting.event("1").writes, calls(&setting, EmulatorOperation::Read)), (2, 1));
}

/// A4b: the ledger has forgotten an event that was held; then the webinar is tidied up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_of_a_forgotten_webinar_changes_nothing() {
    let setting = Setting::with(generous(), FAST, "");
    let times = json!({
        "startDateTime": ago(90 * 24 * 60).to_string(), "endDateTime": ago(90 * 24 * 60 - 90).to_string(),
        "eventCompleted": true,
    });
    setting.hubspot.emulator().hold(SystemClock.now(), held("1", times));
    let before = setting.event("1").input;
    let bridge = setting.start();
    let object = json!({ "start_time": ago(90 * 24 * 60).to_string() });
    Zoom::to(&bridge).story([deleted(1, object)]).await;
    bridge.settled().await;
    assert_eq!(calls(&setting, EmulatorOperation::Read), 1);
    // The link and the duration are Zoom's own, which the deletion tells.
    let mut after = setting.event("1").input;
    after.event_url.clone_from(&before.event_url);
    after.end_date_time = before.end_date_time;
    assert_eq!(after, before);
}

/// A4: a webinar that nobody ever heard of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_of_an_unknown_webinar_creates_nothing() {
    let setting = Setting::with(generous(), FAST, "");
    let bridge = setting.start();
    let object = json!({ "start_time": ago(300 * 24 * 60).to_string() });
    Zoom::to(&bridge).story([deleted(1, object)]).await;
    bridge.settled().await;
    assert_eq!(calls(&setting, EmulatorOperation::Read), 1);
    assert!(setting.held().is_empty(), "{:?}", setting.held());
}

/// What was created under the bridge's eyes costs no read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webinars_created_under_the_bridges_eyes_are_never_read() {
    let setting = Setting::with(generous(), FAST, "");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let times = now();
    zoom.story((1..=20).map(|id| created(id, "Calm releases", times))).await;
    bridge.settled().await;
    let agenda = json!({ "agenda": "How we release." });
    zoom.story((1..=20).map(|id| updated(id, agenda.clone(), times + 1_000))).await;
    bridge.settled().await;
    assert_eq!(setting.held().len(), 20);
    assert_eq!(calls(&setting, EmulatorOperation::Read), 0);
}

/// M19: a custom source says when a webinar was created.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_source_tells_the_creation_in_each_webhook() {
    let setting = Setting::with(
        generous(),
        FAST,
        "[source.stage]\nprovider = \"custom\"\norganizer = \"Acme\"\nexternal_account_id = \"acme\"\n\
         path_token = \"a-path-token-of-the-tests\"\nverify = { scheme = \"path_token\" }\n\
         map = { event_id = \"payload.id\", name = \"payload.title\", start = \"payload.start\", \
         created_at = \"payload.made\" }\n",
    );
    let bridge = setting.start();
    let line = "POST /webhooks/stage/a-path-token-of-the-tests";
    for (id, made) in [("new", ago(50)), ("old", ago(70))] {
        let body = json!({
            "id": id, "title": "On stage", "start": planned(0).to_string(), "made": made.to_string(),
        });
        let answer = request(&bridge.webhooks, line, &[], body.to_string().as_bytes()).await;
        assert_eq!(answer.expect("an answer").word(), "accepted");
    }
    bridge.settled().await;
    assert_eq!(setting.held_of("acme").keys().collect::<Vec<_>>(), ["new", "old"]);
    assert_eq!(setting.reads(), 1, "of the one from before");
}

/// M22: any other failure of a read is the account's: it is tried again, and nothing is sent without its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_read_is_repeated_and_nothing_is_sent_before_its_answer() {
    let setting = Setting::with(generous(), FAST, "");
    setting.hubspot.emulator().hold(SystemClock.now(), held("1", json!({})));
    setting.hubspot.emulator().set_read_status(Some(500));
    let bridge = setting.start();
    Zoom::to(&bridge).story([updated(1, json!({ "topic": "Calmer releases" }), now())]).await;
    let failed = async || {
        let status = request(&bridge.ops, "GET /api/v1/status", &[], &[]).await.expect("an answer");
        status.json()["accounts"][0]["failures"].as_u64() > Some(1)
    };
    eventually_within(Duration::from_secs(20), "the account shows the failures", failed).await;
    assert_eq!(setting.event("1").writes, 1);
    setting.hubspot.emulator().set_read_status(None);
    bridge.settled().await;
    let expected = held("1", json!({ "eventName": "Calmer releases" }));
    assert_eq!(setting.event("1").input, expected);
}

/// M22: a credential without the scope for reading pauses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_read_holds_only_the_events_that_need_it() {
    let setting = Setting::with(generous(), FAST, "");
    setting.hubspot.emulator().set_read_status(Some(403));
    setting.hubspot.emulator().hold(SystemClock.now(), held("1", json!({})));
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([
        updated(1, json!({ "topic": "Calmer releases" }), now()),
        created(2, "Watched", now()),
    ])
    .await;
    let waits = async || {
        let status = request(&bridge.ops, "GET /api/v1/status", &[], &[]).await.expect("an answer");
        let refused = &status.json()["accounts"][0]["reads_refused"];
        refused.as_str().is_some_and(|text| text.contains("crm.objects.marketing_events.read"))
    };
    eventually_within(Duration::from_secs(20), "the status names the scope", waits).await;
    let delivered = async || scrape(&bridge.ops).await.events("main", "delivered") == 1;
    eventually_within(Duration::from_secs(20), "the other event is delivered", delivered).await;
    let list = request(&bridge.ops, "GET /api/v1/events?state=incomplete", &[], &[]).await;
    let gaps = list.expect("an answer").json()["events"][0]["gaps"].clone();
    assert!(gaps.as_array().expect("gaps").contains(&json!("base_unread")), "{gaps}");
    let paused = scrape(&bridge.ops).await.count("bridge_account_paused", &[("hubspot", "main")]);
    assert_eq!((paused, setting.event("1").writes), (0, 1));
    // Once it has the scope, the event follows.
    setting.hubspot.emulator().set_read_status(None);
    drop(bridge);
    let bridge = setting.start();
    bridge.settled().await;
    let expected = held("1", json!({ "eventName": "Calmer releases" }));
    assert_eq!(setting.event("1").input, expected);
}

/// M24: HubSpot holds dates that this ledger does not know, and the platform says that others replace them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_that_an_update_replaced_are_cancelled_although_nobody_knew_them() {
    for scope in [json!({}), json!({ "scope": "all" })] {
        let setting = Setting::with(generous(), FAST, "");
        for id in ["1-500", "1-501"] {
            setting.hubspot.emulator().hold(SystemClock.now(), held(id, json!({})));
        }
        let bridge = setting.start();
        let occurrence = |id: u32, minutes: i64| json!({ "occurrence_id": id.to_string(), "start_time": planned(minutes).to_string(), "duration": 90 });
        let changed = json!({
            "topic": "Calm releases", "type": 9, "start_time": planned(10).to_string(), "duration": 90,
            "recurrence": { "type": 1 }, "occurrences": [occurrence(800, 10), occurrence(501, 20)],
        });
        let old = json!({ "occurrences": [occurrence(500, 0), occurrence(501, 0)], "recurrence": { "type": 1 } });
        let update = payload(updated(1, changed, now()), json!({ "old_object": old }));
        Zoom::to(&bridge).story([payload(update, scope)]).await;
        bridge.settled().await;
        let cancelled = |id: &str| setting.event(id).input.event_cancelled;
        assert_eq!(
            (cancelled("1-500"), cancelled("1-501"), cancelled("1-800")),
            (true, false, false)
        );
        assert_eq!(setting.held().len(), 3);
    }
}

/// M24, M27: HubSpot holds dates that this ledger does not know, and the series becomes one event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_of_a_series_that_becomes_one_event_are_cancelled_although_nobody_knew_them() {
    for kind in [5, 6] {
        let setting = Setting::with(generous(), FAST, "");
        for id in ["1-500", "1-501"] {
            setting.hubspot.emulator().hold(SystemClock.now(), held(id, json!({})));
        }
        let bridge = setting.start();
        let old = ["500", "501"].map(|id| json!({ "occurrence_id": id }));
        let old = json!({ "old_object": { "id": 1, "type": 9, "occurrences": old } });
        let changed = json!({
            "topic": "Calm releases", "type": kind, "start_time": planned(10).to_string(), "duration": 90,
        });
        Zoom::to(&bridge).story([payload(updated(1, changed, now()), old)]).await;
        bridge.settled().await;
        assert_eq!(
            cancelled(&setting),
            states(&[("1", false), ("1-500", true), ("1-501", true)]),
            "type {kind}"
        );
    }
}

/// The list of a webinar that is a series of two dates now.
fn became_series(at: i64) -> Value {
    let list: Vec<Value> = (1..=2).map(|nth| occurrence(nth, nth * 24 * 60)).collect();
    let changed = json!({
        "topic": "Calm releases", "type": 9, "start_time": planned(24 * 60).to_string(), "duration": 30,
        "recurrence": { "type": 1, "end_times": 2 }, "occurrences": list,
    });
    payload(updated(1, changed, at), json!({ "scope": "all" }))
}

/// M20, M27: the ledger knows the single event only from HubSpot. Whether it was read before the list came or after, the
/// dates take its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_only_hubspot_knew_is_cancelled_once_the_webinar_is_a_series() {
    for is_read_before in [true, false] {
        let setting = Setting::with(generous(), FAST, "");
        setting.hubspot.emulator().hold(SystemClock.now(), held("1", json!({})));
        let bridge = setting.start();
        let zoom = Zoom::to(&bridge);
        zoom.story([updated(1, json!({ "agenda": "How we release now." }), now())]).await;
        if is_read_before {
            bridge.settled().await;
            assert_eq!(cancelled(&setting), states(&[("1", false)]));
        }
        zoom.story([became_series(now() + 1_000)]).await;
        bridge.settled().await;
        assert_eq!(
            cancelled(&setting),
            states(&[("1", true), ("1-o1", false), ("1-o2", false)]),
            "{is_read_before}"
        );
    }
}

/// M27: as above, where the first that this ledger hears is a change of the recurrence without a list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_only_hubspot_knew_stays_until_a_date_is_known() {
    let setting = Setting::with(generous(), FAST, "");
    setting.hubspot.emulator().hold(SystemClock.now(), held("1", json!({})));
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let changed = json!({ "topic": "Calmer releases", "type": 9, "recurrence": { "type": 1 } });
    zoom.story([updated(1, changed, now())]).await;
    bridge.settled().await;
    assert_eq!(setting.event("1").input, held("1", json!({ "eventName": "Calmer releases" })));
    zoom.story([became_series(now() + 1_000)]).await;
    bridge.settled().await;
    assert_eq!(cancelled(&setting), states(&[("1", true), ("1-o1", false), ("1-o2", false)]));
}

/// M21, M27: dates of which no body shows the whole picture cannot be sent, and so take nothing's place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_only_hubspot_knew_stays_until_a_date_can_be_sent() {
    let setting = Setting::with(generous(), FAST, "");
    setting.hubspot.emulator().hold(SystemClock.now(), held("1", json!({})));
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let list: Vec<Value> = (1..=2).map(|nth| occurrence(nth, nth * 24 * 60)).collect();
    let dates = json!({ "type": 9, "occurrences": list, "recurrence": { "type": 1 } });
    let renamed = updated(1, json!({ "topic": "Calmer releases" }), now());
    let listed = payload(updated(1, dates, now() + 1_000), json!({ "scope": "all" }));
    zoom.story([renamed, listed]).await;
    bridge.settled().await;
    assert_eq!(setting.event("1").input, held("1", json!({ "eventName": "Calmer releases" })));
    zoom.story([became_series(now() + 2_000)]).await;
    bridge.settled().await;
    assert_eq!(cancelled(&setting), states(&[("1", true), ("1-o1", false), ("1-o2", false)]));
}

/// M21, M27: HubSpot never held a single event, so none is made to be cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_of_which_hubspot_held_no_single_event_gets_none() {
    let setting = Setting::with(generous(), FAST, "");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let changed = json!({ "topic": "Calmer releases", "type": 9, "recurrence": { "type": 1 } });
    zoom.story([updated(1, changed, now()), became_series(now() + 1_000)]).await;
    bridge.settled().await;
    assert_eq!(cancelled(&setting), states(&[("1-o1", false), ("1-o2", false)]));
}

/// M25: with `recurring = "series"` the event of a series is known by its id, whatever its dates are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_series_that_is_one_event_is_cancelled_although_its_dates_are_unknown() {
    let setting = Setting::with(generous(), FAST, "recurring = \"series\"");
    setting.hubspot.emulator().hold(SystemClock.now(), held("1", json!({})));
    let bridge = setting.start();
    Zoom::to(&bridge).story([deleted(1, json!({ "type": 9, "duration": 5 }))]).await;
    bridge.settled().await;
    // The link of the body is known (M20), and no date is.
    let off = json!({ "eventCancelled": true, "eventUrl": "https://example.zoom.us/j/1" });
    assert_eq!(setting.event("1").input, held("1", off));
}
