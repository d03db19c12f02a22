//! The same webhooks in any order and with any repetition give the same events in HubSpot.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::emulator::StoredEvent;

use super::{FAST, generous};
use crate::harness::process::Setting;
use crate::harness::rng::SeededRng;
use crate::harness::zoom::{
    Zoom, ago, at, created, occurrence, payload, planned, renamed, series, updated, webhook,
    webinar, with,
};

/// Number of sources, each with its own external account. The first receives all webhooks in order.
const SOURCES: usize = 8;
const SEED: u64 = 2_027;

/// The webhooks of a few webinars. No two have the same time.
fn webhooks() -> Vec<Value> {
    let all = |body| payload(body, json!({ "scope": "all" }));
    let deleted = |body| payload(body, json!({ "operation": "all" }));
    let one_off = json!({ "id": 9, "type": 9, "occurrences": [{ "occurrence_id": "o2" }] });
    let list = json!([occurrence(1, 30), occurrence(2, 24 * 60), occurrence(4, 72 * 60)]);
    let plan = with(webinar(3, "Long over"), json!({ "start_time": ago(90).to_string() }));
    let run = json!({ "id": 3, "type": 5, "start_time": ago(89).to_string() });
    let ended = with(run.clone(), json!({ "end_time": ago(40).to_string(), "duration": 49 }));
    vec![
        created(1, "First", at(0)),
        updated(1, json!({ "agenda": "What it is about" }), at(10)),
        renamed(1, "Second", at(20)),
        updated(1, json!({ "start_time": planned(90).to_string() }), at(30)),
        updated(1, json!({ "agenda": "", "duration": 45 }), at(40)),
        deleted(webhook("webinar.deleted", at(50), webinar(1, "Second"))),
        deleted(webhook("webinar.recovered", at(60), webinar(1, "Second"))),
        renamed(1, "Third", at(70)),
        created(2, "Withdrawn", at(5)),
        deleted(webhook("webinar.deleted", at(15), webinar(2, "Withdrawn"))),
        renamed(2, "Withdrawn, renamed", at(25)),
        webhook("webinar.created", ago(110).get() + 1, plan.clone()),
        webhook("webinar.started", ago(89).get() + 1, run),
        webhook("webinar.ended", ago(40).get() + 1, ended),
        deleted(webhook("webinar.deleted", ago(20).get() + 1, json!({ "id": 3, "type": 5 }))),
        webhook("webinar.created", at(3), series(9, "Series")),
        all(updated(9, json!({ "duration": 50 }), at(13))),
        payload(webhook("webinar.deleted", at(23), one_off), json!({ "operation": "single" })),
        all(updated(9, json!({ "occurrences": list, "recurrence": { "type": 1 } }), at(33))),
        all(updated(9, json!({ "topic": "Series, renamed" }), at(43))),
    ]
}

/// All webhooks in a random order, some of them two or three times.
fn repeated(rng: &mut SeededRng) -> Vec<Value> {
    let mut results = webhooks();
    for _ in 0..2 {
        let again: Vec<Value> = webhooks().into_iter().filter(|_| rng.below(3) == 0).collect();
        results.extend(again);
    }
    rng.shuffle(&mut results);
    results
}

/// Name, description, start, end, cancelled, completed.
type EventFields = (String, Option<String>, Option<Millis>, Option<Millis>, bool, bool);

/// The fields that webhooks set, without those that HubSpot adds.
fn event_fields(events: BTreeMap<String, StoredEvent>) -> BTreeMap<String, EventFields> {
    let fields = |event: StoredEvent| {
        (
            event.input.event_name,
            event.input.event_description,
            event.input.start_date_time,
            event.input.end_date_time,
            event.input.event_cancelled,
            event.input.event_completed,
        )
    };
    events.into_iter().map(|(id, event)| (id, fields(event))).collect()
}

fn account(source: usize) -> String {
    format!("account-{source}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_in_any_order_with_repetitions_give_equal_events() {
    let mut sources = String::new();
    for source in 0..SOURCES {
        let account = account(source);
        writeln!(
            sources,
            "[source.s{source}]\nprovider = \"zoom\"\nsecret = {{ env = \"TEST_SECRET\" }}\n\
             organizer = \"Acme GmbH\"\nexternal_account_id = \"{account}\""
        )
        .expect("text can be written");
    }
    let setting = Setting::with(generous(), FAST, &sources);
    let bridge = setting.start();
    let mut rng = SeededRng::from_seed(SEED);
    let orders: Vec<Vec<Value>> =
        (0..SOURCES).map(|s| if s == 0 { webhooks() } else { repeated(&mut rng) }).collect();
    let mut telling = tokio::task::JoinSet::new();
    for (source, order) in orders.into_iter().enumerate() {
        let zoom = Zoom::to_source(&bridge, &format!("s{source}"));
        telling.spawn(async move {
            for body in order {
                let word = zoom.tell(body.clone()).await;
                assert!(word == "accepted" || word == "duplicate", "{word}: {body}");
            }
        });
    }
    while let Some(results) = telling.join_next().await {
        results.expect("everything is answered");
    }
    bridge.settled().await;
    let in_order = event_fields(setting.held_of(&account(0)));
    let event = |name: &str, start: Millis, end: Millis, cancelled: bool, completed: bool| {
        (name.to_owned(), None, Some(start), Some(end), cancelled, completed)
    };
    let day = 24 * 60;
    let expected = [
        ("1", event("Third", planned(0), planned(60), false, false)),
        ("2", event("Withdrawn, renamed", planned(0), planned(60), true, false)),
        ("3", event("Long over", ago(90), ago(40), false, true)),
        ("9-o1", event("Series, renamed", planned(30), planned(60), false, false)),
        // Cancelled, and later listed as available.
        ("9-o2", event("Series, renamed", planned(day), planned(day + 30), false, false)),
        ("9-o3", event("Series, renamed", planned(2 * day), planned(2 * day + 50), true, false)),
        ("9-o4", event("Series, renamed", planned(3 * day), planned(3 * day + 30), false, false)),
    ];
    assert_eq!(in_order, expected.map(|(id, event)| (id.to_owned(), event)).into());
    for source in 1..SOURCES {
        assert_eq!(
            event_fields(setting.held_of(&account(source))),
            in_order,
            "seed {SEED}, s{source}"
        );
    }
}
