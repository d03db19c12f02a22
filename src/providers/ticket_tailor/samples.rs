//! Sample webhooks: what Ticket Tailor sends while a few events are created, changed and deleted.

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Millis;
use crate::providers::Sample;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Interval between two samples: each is later than the one before it, and all are in the past.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);

/// Samples of a few events around `now`, sent just before it.
pub(super) fn samples(now: Millis) -> Vec<Sample> {
    // Ticket Tailor writes times in whole seconds.
    let now = Millis::new(now.get() / 1_000 * 1_000);
    let talk = |start: Millis, more: Value| event("ev_710042", "Type on screens", start, more);
    let walk =
        |more: Value| event("ev_710043", "A walk through the print shop", now.plus(DAY), more);
    let held = event("ev_710044", "Breakfast with an editor", now.minus(MINUTE * 105), json!({}));
    let scenes = [
        (
            "EVENT.CREATED",
            "a talk is drafted",
            talk(now.plus(DAY * 5), json!({ "status": "draft" })),
        ),
        (
            "EVENT.UPDATED",
            "it is published, a day later than planned",
            talk(now.plus(DAY * 6), json!({})),
        ),
        (
            "EVENT.CREATED",
            "a walk is announced",
            walk(json!({ "online_event": "false", "venue": { "name": "Print shop" } })),
        ),
        ("EVENT.DELETED", "and deleted", walk(json!({ "online_event": "false" }))),
        (
            "EVENT.CREATED",
            "a breakfast is entered after it was held: half an hour after its end it is over",
            held,
        ),
    ];
    let mut at = now;
    for _ in &scenes {
        at = at.minus(SAMPLE_INTERVAL);
    }
    let mut samples = Vec::new();
    for (number, (name, story, payload)) in scenes.into_iter().enumerate() {
        let body = json!({
            "id": format!("wh_{}{number}", now.get() / 1_000), "created_at": without_zone(at), "event": name,
            "resource_url": "https://api.tickettailor.example/v1/events", "payload": payload,
        });
        samples.push(Sample::new(story, body.to_string().into_bytes()));
        at = at.plus(SAMPLE_INTERVAL);
    }
    samples
}

/// An event of one hour.
fn event(id: &str, name: &str, start: Millis, more: Value) -> Value {
    let moment = |at: Millis| json!({ "iso": at.to_string(), "timezone": "+00:00", "unix": at.get() / 1_000 });
    let mut event = json!({
        "object": "event", "id": id, "event_series_id": "es_5512", "name": name,
        "description": "Doors open ten minutes before.", "status": "published",
        "online_event": "true", "online_link": "https://rooms.example/sample", "hidden": "false",
        "private": "false", "access_code": null, "start": moment(start), "end": moment(start.plus(HOUR)),
        "timezone": "Europe/London", "url": "https://www.tickettailor.example/events/press/5512",
    });
    if let Value::Object(more) = more {
        for (key, value) in more {
            event[key] = value;
        }
    }
    event
}

/// Formats a time in UTC without its zone: `2026-01-01 12:00:00`.
fn without_zone(at: Millis) -> String {
    at.to_string().replace('T', " ").replace('Z', "")
}
