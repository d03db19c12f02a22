//! What repetition, rehearsals, new dates and late reports make of an event, over more than one webhook.

use std::time::Duration;

use serde_json::{Value, json};
use webinar_bridge::clock::{Clock as _, SystemClock};
use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::emulator::StoredEvent;

use super::{FAST, generous};
use crate::harness::http::request;
use crate::harness::process::{Bridge, SECRET, Setting};
use crate::harness::wall_clock::WallClock;
use crate::harness::zoom::{
    Zoom, ago, at, payload, planned, series, signature, updated, webhook, webinar,
};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const MINUTES_OF_A_DAY: i64 = 24 * 60;

/// A bridge with a source `stage` whose bodies say what they mean in plain words.
struct Stage {
    setting: Setting,
    bridge: Bridge,
}

fn setting() -> Setting {
    Setting::with(
        generous(),
        FAST,
        &format!(
            "[source.stage]\nprovider = \"custom\"\nsecret = \"{SECRET}\"\norganizer = \"Acme\"\n\
             external_account_id = \"acme\"\nverify = {{ scheme = \"bearer\" }}\n\
             map = {{ event_id = \"payload.id\", name = \"payload.title\", start = \"payload.start\", \
             end = \"payload.end\", occurred_at = \"payload.at\", cancelled = \"payload.cancelled\", \
             completed = \"payload.over\", full_picture = \"payload.whole\" }}\n"
        ),
    )
}

impl Stage {
    fn new() -> Self {
        let setting = setting();
        let bridge = setting.start();
        Self { setting, bridge }
    }

    async fn report(&self, body: Value) {
        report(&self.bridge, body).await;
    }

    async fn event(&self, id: &str) -> StoredEvent {
        self.bridge.settled().await;
        self.setting.held_of("acme").remove(id).expect("HubSpot has the event")
    }
}

fn start_zoom() -> (Setting, Bridge, Zoom) {
    let setting = Setting::with(generous(), FAST, "");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    (setting, bridge, zoom)
}

async fn report(bridge: &Bridge, body: Value) {
    let headers = [("authorization".to_owned(), format!("Bearer {SECRET}"))];
    let bytes = body.to_string().into_bytes();
    let answer = request(&bridge.webhooks, "POST /webhooks/stage", &headers, &bytes).await;
    let answer = answer.expect("it is answered");
    assert_eq!((answer.status, answer.word().as_str()), (200, "accepted"), "{body}");
}

fn now() -> Millis {
    SystemClock.now()
}

fn text(at: Millis) -> String {
    at.to_string()
}

/// A1, M9: it is repeated once a day, long after the planned end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellation_that_is_repeated_after_the_planned_end_holds() {
    let setting = setting();
    let clock = WallClock::new(setting.folder.path());
    clock.set_behind(31 * DAY);
    let bridge = setting.start_with(&clock.variables());
    let begun = now().minus(31 * DAY);
    let start = begun.plus(2 * DAY);
    let body = |at: Millis, cancelled: bool| {
        json!({
            "id": "1", "title": "Bees", "start": text(start), "end": text(start.plus(HOUR)), "at": text(at),
            "cancelled": cancelled,
        })
    };
    report(&bridge, body(begun.minus(2 * HOUR), false)).await;
    report(&bridge, body(begun.minus(HOUR), true)).await;
    bridge.settled().await;
    assert!(setting.held_of("acme")["1"].input.event_cancelled);
    clock.set_right();
    for day in 1..=30 {
        report(&bridge, body(begun.plus(day * DAY), true)).await;
    }
    bridge.settled().await;
    assert!(setting.held_of("acme")["1"].input.event_cancelled);
}

/// A1: an occurrence that a list dropped, and then many more changes of the series.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn occurrence_that_was_dropped_stays_cancelled_through_later_lists() {
    let setting = Setting::with(generous(), FAST, "");
    let clock = WallClock::new(setting.folder.path());
    clock.set_behind(31 * DAY);
    let bridge = setting.start_with(&clock.variables());
    let zoom = Zoom::to(&bridge);
    let begun = now().minus(31 * DAY);
    let entry = |id: &str, days: u32| {
        json!({
            "occurrence_id": id, "start_time": text(begun.plus(days * DAY)), "duration": 30, "status": "available",
        })
    };
    let (first, later) = (entry("o1", 1), [entry("o2", 40), entry("o3", 50)]);
    let signed = async |body: Value, at: Millis| {
        let bytes = body.to_string().into_bytes();
        let headers = signature(SECRET, &bytes, at.get() / 1_000);
        let answer = zoom.raw(&headers, &bytes).await.expect("it is answered");
        assert_eq!((answer.status, answer.word().as_str()), (200, "accepted"), "{body}");
    };
    let mut created = series(9, "Onboarding");
    created["occurrences"] = json!([first, later[0], later[1]]);
    let at = begun.minus(2 * HOUR);
    signed(webhook("webinar.created", at.get(), created), begun).await;
    let listed = |nth: u32, at: Millis| {
        let changed = json!({
            "topic": format!("Onboarding {nth}"), "type": 9, "recurrence": { "type": 1 }, "occurrences": later,
        });
        payload(updated(9, changed, at.get()), json!({ "scope": "all" }))
    };
    signed(listed(0, begun.minus(HOUR)), begun).await;
    bridge.settled().await;
    assert!(setting.event("9-o1").input.event_cancelled);
    clock.set_right();
    for nth in 1..=20 {
        signed(listed(nth, begun.plus(nth * DAY)), now()).await;
    }
    bridge.settled().await;
    let held = setting.held().into_iter();
    let states: Vec<_> = held.map(|(id, event)| (id, event.input.event_cancelled)).collect();
    let expected = [("9-o1", true), ("9-o2", false), ("9-o3", false)];
    assert_eq!(states, expected.map(|(id, cancelled)| (id.to_owned(), cancelled)));
    assert_eq!(setting.event("9-o2").input.event_name, "Onboarding 20");
}

/// A3, M17.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_was_held_and_is_planned_again_can_be_called_off() {
    let stage = Stage::new();
    let (held, next) = (ago(120), now().plus(30 * DAY));
    let body = |start: Millis, at: Millis, more: Value| {
        let mut body = json!({
            "id": "1", "title": "Bees", "start": text(start), "end": text(start.plus(HOUR)), "at": text(at),
        });
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().expect("an object"));
        body
    };
    stage.report(body(held, ago(300), json!({}))).await;
    stage.report(body(held, ago(50), json!({ "over": true }))).await;
    assert!(stage.event("1").await.input.event_completed);
    stage.report(body(next, ago(40), json!({}))).await;
    let event = stage.event("1").await.input;
    assert_eq!((event.start_date_time.map(text), event.event_completed), (Some(text(next)), false));
    stage.report(body(next, ago(30), json!({ "cancelled": true }))).await;
    let event = stage.event("1").await.input;
    assert_eq!((event.event_completed, event.event_cancelled), (false, true));
}

/// A3b, M15.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rehearsal_hours_before_completes_nothing_and_the_deletion_counts() {
    let (setting, bridge, zoom) = start_zoom();
    let mut planned_today = webinar(1, "Roots");
    planned_today["start_time"] = json!(text(ago(-180)));
    let run = |event: &str, minutes: i64, more: Value| {
        let mut object = webinar(1, "Roots");
        object["start_time"] = json!(text(ago(120)));
        object.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("one"));
        webhook(event, ago(minutes).get(), object)
    };
    zoom.story([
        webhook("webinar.created", at(-600), planned_today.clone()),
        run("webinar.started", 120, json!({})),
        run("webinar.ended", 110, json!({ "end_time": text(ago(110)) })),
        webhook("webinar.deleted", ago(60).get(), planned_today),
    ])
    .await;
    bridge.settled().await;
    let event = setting.event("1").input;
    assert_eq!((event.event_completed, event.event_cancelled), (false, true));
}

/// A5, M24.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_whose_recurrence_changed_without_a_list_can_be_called_off() {
    let (setting, bridge, zoom) = start_zoom();
    zoom.story([webhook("webinar.created", at(0), series(9, "Onboarding"))]).await;
    bridge.settled().await;
    let recurrence = json!({ "type": 9, "recurrence": { "type": 2, "end_times": 3 } });
    let mut object = series(9, "Onboarding");
    object.as_object_mut().expect("an object").remove("occurrences");
    let deletion = webhook("webinar.deleted", at(20), object);
    zoom.story([
        payload(updated(9, recurrence, at(10)), json!({ "scope": "all" })),
        payload(deletion, json!({ "operation": "all" })),
    ])
    .await;
    bridge.settled().await;
    let cancelled: Vec<_> = setting.held().into_values().map(|e| e.input.event_cancelled).collect();
    assert_eq!(cancelled, [true; 3]);
}

/// A6, M27.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_of_fifty_that_is_replanned_ten_times_has_the_last_times_and_can_be_called_off() {
    let (setting, bridge, zoom) = start_zoom();
    let plan = |round: i64| {
        let entry = |day: i64| {
            json!({
                "occurrence_id": format!("{round}x{day}"), "duration": 30, "status": "available",
                "start_time": text(planned(day * MINUTES_OF_A_DAY + round)),
            })
        };
        let list: Vec<Value> = (0..50).map(entry).collect();
        let mut object = series(9, "Onboarding");
        object["occurrences"] = json!(list);
        object
    };
    zoom.story([webhook("webinar.created", at(0), plan(0))]).await;
    for round in 1..=10 {
        let body = webhook("webinar.updated", at(10 * round), plan(round));
        let old = json!({ "scope": "all", "old_object": plan(round - 1) });
        zoom.story([payload(body, old)]).await;
    }
    bridge.settled().await;
    let live = || {
        let events = setting.held().into_iter().filter(|(_, event)| !event.input.event_cancelled);
        events.map(|(id, event)| (id, event.input.start_date_time)).collect::<Vec<_>>()
    };
    let of_the_last = live();
    assert_eq!(of_the_last.len(), 50);
    for (id, start) in of_the_last {
        let day = id.strip_prefix("9-10x").and_then(|day| day.parse::<i64>().ok());
        let day = day.unwrap_or_else(|| panic!("{id} is of an earlier plan"));
        assert_eq!(start, Some(planned(day * MINUTES_OF_A_DAY + 10)));
    }
    let deletion = webhook("webinar.deleted", at(200), plan(10));
    zoom.story([payload(deletion, json!({ "operation": "all" }))]).await;
    bridge.settled().await;
    assert_eq!(live(), []);
}

/// A9, M5: the platform's clock is ahead of ours, and the older of two reports comes last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_report_wins_although_both_are_ahead_of_our_clock() {
    let (setting, bridge, zoom) = start_zoom();
    zoom.story([webhook("webinar.created", at(0), webinar(1, "Roots"))]).await;
    let ahead = now().get() + 2_000;
    zoom.story([
        updated(1, json!({ "topic": "Newer" }), ahead - 150),
        updated(1, json!({ "topic": "Older" }), ahead - 300),
    ])
    .await;
    bridge.settled().await;
    assert_eq!(setting.event("1").input.event_name, "Newer");
}

/// A9b, M6: a platform that reports times in seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_arrival_wins_between_reports_of_one_second() {
    let stage = Stage::new();
    for id in 0..12 {
        for (nth, cancelled) in [false, true, false].into_iter().enumerate() {
            let body = json!({
                "id": id.to_string(), "title": "Bees", "start": text(planned(0)), "end": text(planned(60)),
                "at": "2026-11-30T10:00:00Z", "cancelled": cancelled, "nth": nth,
            });
            stage.report(body).await;
        }
    }
    for id in 0..12 {
        let event = stage.event(&id.to_string()).await.input;
        assert!(!event.event_cancelled, "{id}");
    }
}

/// A9c, M6: no report has a time, and our clock was an hour ahead for the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_without_a_time_count_in_the_order_of_their_arrival_whatever_our_clock_said() {
    let setting = setting();
    let clock = WallClock::new(setting.folder.path());
    clock.set_ahead(HOUR);
    let bridge = setting.start_with(&clock.variables());
    let body = |title: &str| json!({ "id": "1", "title": title, "start": text(planned(0)), "end": text(planned(60)) });
    report(&bridge, body("First")).await;
    clock.set_right();
    for title in ["Second", "Third"] {
        report(&bridge, body(title)).await;
    }
    bridge.settled().await;
    assert_eq!(setting.held_of("acme")["1"].input.event_name, "Third");
}

/// A15.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn occurrences_that_only_the_old_list_names_are_cancelled() {
    let (setting, bridge, zoom) = start_zoom();
    zoom.story([webhook("webinar.created", at(0), series(9, "Onboarding"))]).await;
    let entry = |id: &str, minutes: i64| json!({ "occurrence_id": id, "start_time": text(planned(minutes)), "duration": 30, "status": "available" });
    let changed = json!({ "type": 9, "occurrences": [entry("n1", 60), entry("n2", 120)] });
    let old = json!({ "old_object": { "id": 9, "occurrences": series(9, "")["occurrences"] } });
    zoom.story([payload(updated(9, changed, at(10)), old)]).await;
    bridge.settled().await;
    let live = setting.held().into_iter().filter(|(_, event)| !event.input.event_cancelled);
    assert_eq!(live.map(|(id, _)| id).collect::<Vec<_>>(), ["9-n1", "9-n2"]);
}

/// A17, M2: what has no known end is over a day after its start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_a_month_after_an_event_without_an_end_cancels_nothing() {
    let setting = setting();
    let clock = WallClock::new(setting.folder.path());
    clock.set_behind(31 * DAY);
    let bridge = setting.start_with(&clock.variables());
    let start = now().minus(30 * DAY);
    let body = json!({ "id": "1", "title": "Bees", "start": text(start), "whole": true });
    report(&bridge, body).await;
    bridge.settled().await;
    clock.set_right();
    let body = json!({ "id": "1", "title": "Bees", "start": text(start), "cancelled": true });
    report(&bridge, body).await;
    bridge.settled().await;
    assert!(!setting.held_of("acme")["1"].input.event_cancelled);
}

/// A18, M1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_keeps_its_distance_where_only_the_start_is_moved() {
    let stage = Stage::new();
    let (first, moved) = (now().plus(20 * DAY), now().plus(10 * DAY));
    let body = json!({
        "id": "1", "title": "Bees", "start": text(first), "end": text(first.plus(HOUR)), "at": text(ago(20)),
    });
    stage.report(body).await;
    stage.report(json!({ "id": "1", "start": text(moved), "at": text(ago(10)) })).await;
    let event = stage.event("1").await.input;
    let times = (event.start_date_time.map(text), event.end_date_time.map(text));
    assert_eq!(times, (Some(text(moved)), Some(text(moved.plus(HOUR)))));
}
