//! Sample webhooks: what a server sends while two meetings are held.

use std::time::Duration;

use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::event::Millis;
use crate::providers::Sample;

const MINUTE: Duration = Duration::from_mins(1);
/// Interval between two samples: each is later than the one before it, and all are in the past.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);

const DOMAIN: &str = "bbb.example";
/// Internal ids, one per meeting. Both meetings share an external id.
const OVER: &str = "5f1c0a6be2d94873a0b1c2d3e4f5061728394a5b-1790000000001";
const ON: &str = "5f1c0a6be2d94873a0b1c2d3e4f5061728394a5b-1790000000002";

/// Samples of two meetings, one ended and one running, sent just before `now`.
pub(super) fn samples(now: Millis) -> Vec<Sample> {
    let at = |steps: u32| now.minus(SAMPLE_INTERVAL * steps);
    let began = now.minus(MINUTE * 50);
    let created = |id: &str, name: &str, start: Millis, limit: u32| {
        json!({
            "internal-meeting-id": id, "external-meeting-id": "weekly-demo", "name": name,
            "is-breakout": false, "parent-id": "bbb-none", "duration": limit,
            "create-time": start.get(), "moderator-pass": "sample-moderator", "viewer-pass": "sample-viewer",
            "record": false, "voice-conf": "71123", "max-users": 0, "metadata": {},
        })
    };
    let short =
        |id: &str| json!({ "internal-meeting-id": id, "external-meeting-id": "weekly-demo" });
    let joined = json!({
        "meeting": short(OVER),
        "user": { "internal-user-id": "w_sample", "name": "A guest", "role": "VIEWER" },
    });
    let meeting = |meeting: Value| json!({ "meeting": meeting });
    let scenes = [
        (
            "a meeting is created, and begins",
            "meeting-created",
            meeting(created(OVER, "Weekly demo", began, 0)),
        ),
        ("somebody joins", "user-joined", joined),
        ("it ends", "meeting-ended", meeting(short(OVER))),
        (
            "the next one begins, with a limit of 90 minutes",
            "meeting-created",
            meeting(created(ON, "Weekly demo, continued", at(1), 90)),
        ),
    ];
    let last = u32::try_from(scenes.len()).unwrap_or(u32::MAX);
    let sample = |(place, (story, name, attributes))| {
        let body = body(name, &attributes, at(last - place));
        Sample::new(story, body)
    };
    (0..).zip(scenes).map(sample).collect()
}

/// The form of one event at this time.
fn body(name: &str, attributes: &Value, at: Millis) -> Vec<u8> {
    let data = json!({ "type": "event", "id": name, "attributes": attributes, "event": { "ts": at.get() } });
    let event = json!([{ "data": data }]).to_string();
    let form = [("domain", DOMAIN), ("event", &event), ("timestamp", &at.get().to_string())];
    Serializer::new(String::new()).extend_pairs(form).finish().into_bytes()
}
