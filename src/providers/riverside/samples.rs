//! Sample webhooks: what Riverside sends while two webinars are created and one of them is held.

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Millis;
use crate::providers::Sample;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// Interval between two samples: each is later than the one before it, and all are in the past.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);

/// Samples of two webinars around `now`, sent just before it.
pub(super) fn samples(now: Millis) -> Vec<Sample> {
    // Riverside writes the time of an event in seconds.
    let now = Millis::new(now.get() / 1_000 * 1_000);
    let held = |more: Value| webinar("7f0c5d1e-held", "Sound that carries", now, more);
    let began = now.minus(MINUTE * 44).to_string();
    let scenes = [
        ("webinar.created", "a webinar is scheduled", held(json!({}))),
        (
            "webinar.created",
            "another one is, for next week",
            webinar(
                "2b9e64aa-next",
                "Remote, not distant",
                now.plus(HOUR * 24 * 7),
                json!({ "hosted_by": null }),
            ),
        ),
        (
            "webinar.created",
            "someone tests the endpoint, which reports no webinar",
            webinar("test-event", "Test", now, json!({ "test": true })),
        ),
        (
            "webinar.started",
            "the first one starts, under a changed title",
            held(json!({ "title": "Sound that carries, live", "actual_start_time": began })),
        ),
        (
            "webinar.ended",
            "it ends",
            held(json!({
                "title": "Sound that carries, live", "actual_start_time": began,
                "actual_end_time": now.minus(MINUTE).to_string(), "attendee_count": 57,
            })),
        ),
    ];
    let mut at = now;
    for _ in &scenes {
        at = at.minus(SAMPLE_INTERVAL);
    }
    let mut samples = Vec::new();
    for (number, (event, story, data)) in scenes.into_iter().enumerate() {
        let body = json!({
            "id": format!("evt_{:x}{number}", now.get()), "event": event, "event_ts": at.get() / 1_000,
            "account_id": "acc_studio41", "data": data, "delivery_attempt": 1,
        });
        samples.push(Sample::new(story, body.to_string().into_bytes()));
        at = at.plus(SAMPLE_INTERVAL);
    }
    samples
}

/// A webinar of one hour with a planned start 45 minutes before `around`.
fn webinar(id: &str, title: &str, around: Millis, more: Value) -> Value {
    let start = around.minus(MINUTE * 45);
    let mut webinar = json!({
        "event_id": id, "id": id, "title": title, "description": "Forty minutes, and questions.",
        "scheduled_start_time": start.to_string(), "scheduled_end_time": start.plus(HOUR).to_string(),
        "timezone": "Europe/Lisbon", "type": "live", "studio_id": "studio-41", "studio_slug": "studio-41",
        "project_id": "project-7", "production_id": null, "hosted_by": "Inês Prado",
        "created_by_user_id": null,
    });
    if let Value::Object(more) = more {
        for (key, value) in more {
            webinar[key] = value;
        }
    }
    webinar
}
