//! Recurring webinars: one event for each occurrence, or one for the series.

use serde_json::{Value, json};
use webinar_bridge::event::Millis;

use super::{cancelled, state_and_gaps, states};
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{
    Zoom, ago, at, created, occurrence, payload, planned, renamed, series, updated, webhook,
    webinar, with,
};

const DAY: i64 = 24 * 60;

async fn start_with_series(more: &str) -> (Setting, Bridge, Zoom) {
    let setting = Setting::new(more);
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([webhook("webinar.created", at(0), series(9, "Onboarding"))]).await;
    bridge.settled().await;
    (setting, bridge, zoom)
}

fn times(setting: &Setting, id: &str) -> (Option<Millis>, Option<Millis>) {
    let event = setting.event(id);
    (event.input.start_date_time, event.input.end_date_time)
}

fn half_hour(minutes: i64) -> (Option<Millis>, Option<Millis>) {
    (Some(planned(minutes)), Some(planned(minutes + 30)))
}

fn with_scope_all(body: Value) -> Value {
    payload(body, json!({ "scope": "all" }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_occurrence_is_cancelled_and_the_others_stay() {
    let (setting, bridge, zoom) = start_with_series("").await;
    assert_eq!(cancelled(&setting), states(&[("9-o1", false), ("9-o2", false), ("9-o3", false)]));
    for (id, day) in [("9-o1", 0), ("9-o2", 1), ("9-o3", 2)] {
        assert_eq!(times(&setting, id), half_hour(day * DAY), "{id}");
        assert_eq!(setting.event(id).input.event_name, "Onboarding");
    }
    let object = json!({
        "id": 9, "type": 9, "topic": "Onboarding",
        "occurrences": [{ "occurrence_id": "o2", "start_time": planned(DAY).to_string() }],
    });
    let body =
        payload(webhook("webinar.deleted", at(10), object), json!({ "operation": "single" }));
    zoom.story([body]).await;
    bridge.settled().await;
    assert_eq!(cancelled(&setting), states(&[("9-o1", false), ("9-o2", true), ("9-o3", false)]));
    assert_eq!(setting.event("9-o1").writes, 1, "an unchanged event is not sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_of_the_series_applies_to_present_and_later_occurrences() {
    let (setting, bridge, zoom) = start_with_series("").await;
    let changed = json!({ "topic": "Onboarding, again", "duration": 50 });
    zoom.story([with_scope_all(updated(9, changed, at(10)))]).await;
    bridge.settled().await;
    for (id, day) in [("9-o1", 0), ("9-o2", 1), ("9-o3", 2)] {
        assert_eq!(setting.event(id).input.event_name, "Onboarding, again", "{id}");
        assert_eq!(times(&setting, id).1, Some(planned(day * DAY + 50)), "{id}");
    }
    let list: Vec<Value> = (0..4).map(|day| occurrence(day + 1, day * DAY)).collect();
    let changed = json!({ "occurrences": list, "recurrence": { "type": 1, "end_times": 4 } });
    zoom.story([with_scope_all(updated(9, changed, at(20)))]).await;
    bridge.settled().await;
    assert_eq!(setting.event("9-o4").input.event_name, "Onboarding, again");
    assert_eq!(times(&setting, "9-o4"), half_hour(3 * DAY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_list_cancels_missing_occurrences() {
    let (setting, bridge, zoom) = start_with_series("").await;
    let changed = json!({
        "occurrences": [occurrence(1, 0), occurrence(3, 2 * DAY)],
        "recurrence": { "type": 1, "end_times": 2 },
    });
    zoom.story([with_scope_all(updated(9, changed, at(10)))]).await;
    bridge.settled().await;
    assert_eq!(cancelled(&setting), states(&[("9-o1", false), ("9-o2", true), ("9-o3", false)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_occurrence_leaves_the_others() {
    let (setting, bridge, zoom) = start_with_series("").await;
    let changed = json!({ "occurrences": [occurrence(2, DAY + 90)] });
    let body = payload(updated(9, changed, at(10)), json!({ "scope": "single" }));
    zoom.story([body]).await;
    bridge.settled().await;
    assert_eq!(times(&setting, "9-o1"), half_hour(0));
    assert_eq!(times(&setting, "9-o2"), half_hour(DAY + 90));
    assert_eq!(times(&setting, "9-o3"), half_hour(2 * DAY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_mode_delivers_one_event() {
    let (setting, bridge, zoom) = start_with_series("recurring = \"series\"").await;
    assert_eq!(cancelled(&setting), states(&[("9", false)]));
    assert_eq!(times(&setting, "9"), (Some(planned(0)), Some(planned(2 * DAY + 30))));
    let object = json!({ "id": 9, "type": 9, "occurrences": [{ "occurrence_id": "o3" }] });
    let body =
        payload(webhook("webinar.deleted", at(10), object), json!({ "operation": "single" }));
    zoom.story([body]).await;
    bridge.settled().await;
    assert_eq!(cancelled(&setting), states(&[("9", false)]));
    assert_eq!(times(&setting, "9"), (Some(planned(0)), Some(planned(DAY + 30))));
    let all = payload(
        webhook("webinar.deleted", at(20), json!({ "id": 9, "type": 9 })),
        json!({ "operation": "all" }),
    );
    zoom.story([all]).await;
    bridge.settled().await;
    assert_eq!(cancelled(&setting), states(&[("9", true)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_changed_to_single_webinar_keeps_one_upcoming_event() {
    let (setting, bridge, zoom) = start_with_series("").await;
    let mut single = webinar(9, "Onboarding, once");
    single["start_time"] = planned(DAY).to_string().into();
    zoom.story([webhook("webinar.updated", at(10), single)]).await;
    bridge.settled().await;
    assert_eq!(
        cancelled(&setting),
        states(&[("9", false), ("9-o1", true), ("9-o2", true), ("9-o3", true)])
    );
    assert_eq!(times(&setting, "9"), (Some(planned(DAY)), Some(planned(DAY + 60))));
    assert_eq!(setting.event("9").input.event_name, "Onboarding, once");
    // The webinar becomes a series again.
    zoom.story([webhook("webinar.updated", at(20), series(9, "Onboarding"))]).await;
    bridge.settled().await;
    assert_eq!(
        cancelled(&setting),
        states(&[("9", true), ("9-o1", false), ("9-o2", false), ("9-o3", false)])
    );
}

/// A webinar that became a series, of which no date is known: a change of the recurrence without a list.
async fn start_with_series_without_dates(more: &str) -> (Setting, Bridge, Zoom) {
    let setting = Setting::new(more);
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([created(9, "Onboarding", at(0))]).await;
    bridge.settled().await;
    let changed = json!({ "type": 9, "recurrence": { "type": 1, "end_times": 3 } });
    zoom.story([with_scope_all(updated(9, changed, at(10)))]).await;
    bridge.settled().await;
    (setting, bridge, zoom)
}

/// M27: the single event stays, and follows the webinar, until a date takes its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webinar_that_became_a_series_stays_one_event_until_a_date_is_known() {
    let (setting, bridge, zoom) = start_with_series_without_dates("").await;
    let gap = (json!("delivered"), json!(["occurrences"]));
    assert_eq!(cancelled(&setting), states(&[("9", false)]));
    assert_eq!(times(&setting, "9"), (Some(planned(0)), Some(planned(60))));
    assert_eq!(state_and_gaps(&bridge, "9").await, gap);
    zoom.story([renamed(9, "Onboarding, again", at(20))]).await;
    bridge.settled().await;
    assert_eq!(setting.event("9").input.event_name, "Onboarding, again");
    assert_eq!(state_and_gaps(&bridge, "9").await, gap);
    zoom.story([with_scope_all(webhook("webinar.updated", at(30), series(9, "Onboarding")))]).await;
    bridge.settled().await;
    assert_eq!(
        cancelled(&setting),
        states(&[("9", true), ("9-o1", false), ("9-o2", false), ("9-o3", false)])
    );
    assert_eq!(state_and_gaps(&bridge, "9").await, (json!("delivered"), json!([])));
}

/// M15, M17: a webinar that was held before it became a series was held, at its actual times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webinar_that_was_held_stays_so_when_it_becomes_a_series() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    let planned_for = |minutes: u64| json!({ "start_time": ago(180).to_string(), "duration": minutes, "type": 5 });
    let run = json!({ "start_time": ago(180).to_string(), "end_time": ago(130).to_string() });
    // The second one becomes a series before its planned end.
    for (id, minutes) in [(3, 40), (4, 360)] {
        let single = with(webinar(id, "Held"), planned_for(minutes));
        let ended = with(single.clone(), run.clone());
        let mut dates = series(id, "Held");
        dates["start_time"] = planned(0).to_string().into();
        zoom.story([
            webhook("webinar.created", ago(200).get(), single),
            webhook("webinar.ended", ago(130).get(), ended),
            with_scope_all(webhook("webinar.updated", ago(60).get(), dates)),
        ])
        .await;
        bridge.settled().await;
        let held = setting.event(&id.to_string()).input;
        assert!(held.event_completed && !held.event_cancelled, "{held:?}");
        let times = (held.start_date_time, held.end_date_time);
        assert_eq!(times, (Some(ago(180)), Some(ago(130))));
        assert!(!setting.event(&format!("{id}-o1")).input.event_cancelled);
    }
}

/// M12, M27: a recurrence without a list brings back none of the dates that an earlier series had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_of_an_earlier_series_stay_cancelled_until_they_are_named() {
    let (setting, bridge, zoom) = start_with_series("").await;
    let mut single = webinar(9, "Onboarding, once");
    single["start_time"] = planned(DAY).to_string().into();
    let changed = json!({ "type": 9, "recurrence": { "type": 1, "end_times": 3 } });
    zoom.story([webhook("webinar.updated", at(10), single)]).await;
    bridge.settled().await;
    zoom.story([with_scope_all(updated(9, changed, at(20)))]).await;
    bridge.settled().await;
    let off = [("9", false), ("9-o1", true), ("9-o2", true), ("9-o3", true)];
    assert_eq!(cancelled(&setting), states(&off));
    assert_eq!(state_and_gaps(&bridge, "9").await, (json!("delivered"), json!(["occurrences"])));
    zoom.story([with_scope_all(webhook("webinar.updated", at(30), series(9, "Onboarding")))]).await;
    bridge.settled().await;
    let on = [("9", true), ("9-o1", false), ("9-o2", false), ("9-o3", false)];
    assert_eq!(cancelled(&setting), states(&on));
}

/// M25, M27: what is reported of the whole reaches the one event that HubSpot holds of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webinar_that_became_a_series_without_dates_can_be_called_off() {
    for more in ["", "recurring = \"series\""] {
        let (setting, bridge, zoom) = start_with_series_without_dates(more).await;
        let object = json!({ "id": 9, "type": 9 });
        let off =
            payload(webhook("webinar.deleted", at(20), object), json!({ "operation": "all" }));
        zoom.story([off]).await;
        bridge.settled().await;
        assert_eq!(cancelled(&setting), states(&[("9", true)]), "{more}");
    }
}

/// M25, M27: a date of which the start is unknown, or that was only called off, takes nothing's place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn date_that_is_only_named_or_called_off_takes_no_place() {
    for more in ["", "recurring = \"series\""] {
        let (setting, bridge, zoom) = start_with_series_without_dates(more).await;
        let named =
            json!({ "topic": "Onboarding, once", "occurrences": [{ "occurrence_id": "o1" }] });
        let off = json!({ "id": 9, "type": 9, "topic": "Onboarding",
            "occurrences": [{ "occurrence_id": "o2", "start_time": planned(DAY).to_string() }] });
        let off =
            payload(webhook("webinar.deleted", at(21), off), json!({ "operation": "single" }));
        zoom.story([payload(updated(9, named, at(20)), json!({ "scope": "single" })), off]).await;
        bridge.settled().await;
        assert!(!setting.event("9").input.event_cancelled, "{more}");
        assert_eq!(times(&setting, "9"), (Some(planned(0)), Some(planned(60))), "{more}");
        let gap = (json!("delivered"), json!(["occurrences"]));
        assert_eq!(state_and_gaps(&bridge, "9").await, gap, "{more}");
        let all = json!({ "id": 9, "type": 9 });
        let all = payload(webhook("webinar.deleted", at(30), all), json!({ "operation": "all" }));
        zoom.story([all]).await;
        bridge.settled().await;
        assert!(setting.event("9").input.event_cancelled, "{more}");
    }
}

/// M27: dates that are known take the place of the single event, also where all of them are cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_dates_are_known_dates() {
    let (setting, bridge, zoom) = start_with_series_without_dates("").await;
    let mut all = series(9, "Onboarding");
    for own in all["occurrences"].as_array_mut().expect("a list") {
        own["status"] = "deleted".into();
    }
    zoom.story([with_scope_all(webhook("webinar.updated", at(20), all))]).await;
    bridge.settled().await;
    let off = ["9", "9-o1", "9-o2", "9-o3"].map(|id| (id, true));
    assert_eq!(cancelled(&setting), states(&off));
}

/// M24: an entry that cannot be read may be any of the dates that the list does not name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_with_an_unreadable_entry_cancels_nothing() {
    let (setting, bridge, zoom) = start_with_series("").await;
    let changed = json!({
        "occurrences": [occurrence(1, 0), { "occurrence_id": "o4", "start_time": "soon" }],
        "recurrence": { "type": 1, "end_times": 2 },
    });
    let old: Vec<Value> = (0..3).map(|day| occurrence(day + 1, day * DAY)).collect();
    let update =
        payload(updated(9, changed, at(10)), json!({ "old_object": { "occurrences": old } }));
    zoom.story([with_scope_all(update)]).await;
    bridge.settled().await;
    assert_eq!(cancelled(&setting), states(&[("9-o1", false), ("9-o2", false), ("9-o3", false)]));
}
