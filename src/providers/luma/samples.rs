//! Sample webhooks: what Luma sends, and its API answers, while a few events are created, changed and cancelled.

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Millis;
use crate::providers::Sample;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const CALENDAR: &str = "cal-7tQ2mVx9LbKd";

/// Samples of a few events around `now`.
pub(super) fn samples(now: Millis) -> Vec<Sample> {
    // Shortly before `now`, so that it is in the past.
    let created_at = now.minus(Duration::from_secs(30));
    let event = |id: &str, name: &str, start: Millis, place: &str| {
        json!({
            "platform": "luma", "id": id, "user_id": "usr-3Wc8nRtS", "calendar_id": CALENDAR,
            "start_at": start.to_string(), "duration_interval": "PT1H",
            "end_at": start.plus(HOUR).to_string(), "created_at": created_at.to_string(),
            "timezone": "Europe/Berlin", "name": name, "description": "Bring a question.",
            "description_md": "Bring a question.", "geo_address_json": null, "coordinate": null,
            "meeting_url": "https://rooms.example/sample", "location_type": place,
            "location_visibility": "public", "cover_url": "https://images.example/cover.png",
            "url": format!("https://luma.example/{}", id.replace("evt-", "")), "visibility": "public",
            "tags": [],
        })
    };
    let talk = |name, start| event("evt-4Hk9PzQa2Lm", name, start, "zoom");
    let dinner = event("evt-8Rb1XcVn5Ty", "Dinner for maintainers", now.plus(DAY * 2), "offline");
    let held = event("evt-6Jd3WsKe7Uo", "Morning coffee", now.minus(MINUTE * 105), "meet");
    let (first, moved) = (now.plus(DAY * 3), now.plus(DAY * 4));
    vec![
        webhook("event.created", "an online talk is announced", talk("Reading old code", first)),
        webhook("event.updated", "it moves by a day", talk("Reading old code", moved)),
        webhook("event.updated", "no, it moves back", talk("Reading old code", first)),
        webhook("event.created", "a dinner is announced", dinner.clone()),
        webhook("event.canceled", "and cancelled", dinner),
        webhook(
            "event.updated",
            "a detail is changed in a coffee that was held earlier: it is over",
            held,
        ),
    ]
}

/// A webhook about this event. The API's answer shows the hosts as well.
fn webhook(name: &str, story: &'static str, event: Value) -> Sample {
    let body = json!({ "type": name, "data": event }).to_string();
    let path = format!("/v1/events/get?event_id={}", event["id"].as_str().unwrap_or_default());
    let mut answer = event;
    answer["hosts"] =
        json!([{ "id": "usr-3Wc8nRtS", "email": "host@mail.example", "name": "Jorun Vik" }]);
    Sample { answers: vec![(path, answer)], ..Sample::new(story, body.into_bytes()) }
}
