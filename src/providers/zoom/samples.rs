//! Sample webhooks: what Zoom sends while a few webinars are created, changed and ended.

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Millis;
use crate::providers::Sample;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Interval between two samples: each is later than the one before it, and all are in the past.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);

const ACCOUNT: &str = "hK3vTq0sRb6nUeXw1yZpLA";
const SINGLE: u64 = 93_110_024_817;
const SERIES: u64 = 93_110_024_818;
const WITHDRAWN: u64 = 93_110_024_819;
const CONFERENCE: &str = "q7Wc2nRtS9yHdKfVbXzLmA";

/// Event name, summary, and payload without the account.
type Scene = (&'static str, &'static str, Value);

/// Samples of the whole life of webinars that begin soon after `now`, sent just before it.
pub(super) fn samples(now: Millis) -> Vec<Sample> {
    // Zoom writes times in whole seconds.
    let now = Millis::new(now.get() / 1_000 * 1_000);
    let scenes: Vec<Scene> = single(now)
        .into_iter()
        .chain(series(now))
        .chain(conference(now))
        .chain(withdrawn(now))
        .collect();
    let mut at = now;
    for _ in &scenes {
        at = at.minus(SAMPLE_INTERVAL);
    }
    let mut samples = Vec::with_capacity(scenes.len());
    for (event, story, mut payload) in scenes {
        payload["account_id"] = ACCOUNT.into();
        let body = json!({ "event": event, "event_ts": at.get(), "payload": payload });
        samples.push(Sample::new(story, body.to_string().into_bytes()));
        at = at.plus(SAMPLE_INTERVAL);
    }
    samples
}

fn single(now: Millis) -> [Scene; 6] {
    let planned = now.plus(HOUR);
    let (moved, over) = (now.minus(MINUTE), now.minus(SAMPLE_INTERVAL * 9));
    let run = |object: Value| {
        let mut run = json!({
            "id": SINGLE.to_string(), "uuid": "Zt1Yk+Qw/3uLx0aB5cD7eg==", "type": 5,
            "topic": "Shipping software calmly, live", "start_time": moved.to_string(),
            "timezone": "Europe/Berlin", "duration": 0,
        });
        for (key, value) in object.as_object().into_iter().flatten() {
            run[key] = value.clone();
        }
        json!({ "object": run })
    };
    [
        (
            "webinar.created",
            "a webinar is scheduled in an hour",
            json!({ "operation": "all", "object": {
                "id": SINGLE, "uuid": "Zt1Yk+Qw/3uLx0aB5cD7eg==", "host_id": "mC4hTnB8R2aWqEoZyUxKvg",
                "type": 5, "topic": "Shipping software", "start_time": planned.to_string(),
                "duration": 45, "timezone": "Europe/Berlin", "password": "sample-passcode",
                "join_url": format!("https://zoom.example/j/{SINGLE}?pwd=sample.1"),
            } }),
        ),
        (
            "webinar.updated",
            "its title changes, and no other field is sent",
            json!({
                "object": { "id": SINGLE, "topic": "Shipping software calmly, live" },
                "old_object": { "id": SINGLE, "topic": "Shipping software" },
            }),
        ),
        (
            "webinar.updated",
            "its start is moved to the present minute",
            json!({
                "object": { "id": SINGLE, "start_time": moved.to_string() },
                "old_object": { "id": SINGLE, "start_time": planned.to_string() },
            }),
        ),
        ("webinar.started", "it starts", run(json!({}))),
        (
            "webinar.ended",
            "its practice session ends, which is not its end",
            run(json!({ "practice_session": true })),
        ),
        (
            "webinar.ended",
            "it ends",
            run(json!({ "end_time": over.to_string(), "practice_session": false })),
        ),
    ]
}

fn series(now: Millis) -> [Scene; 3] {
    let starts = [now.plus(DAY), now.plus(DAY * 2), now.plus(DAY * 3)];
    let occurrence = |start: Millis| json!({ "occurrence_id": start.get().to_string(), "start_time": start.to_string() });
    let listed = starts.map(|start| {
        let mut listed = occurrence(start);
        listed["duration"] = 30.into();
        listed["status"] = "available".into();
        listed
    });
    let object = json!({
        "id": SERIES, "uuid": "Hs8Rb+Lk/9mNf2oPqXv4ug==", "host_id": "mC4hTnB8R2aWqEoZyUxKvg",
        "type": 9, "topic": "Three mornings of onboarding", "start_time": starts[0].to_string(),
        "duration": 30, "timezone": "UTC",
    });
    let (mut created, mut deleted) = (object.clone(), object);
    created["occurrences"] = listed.to_vec().into();
    created["recurrence"] = json!({ "type": 1, "repeat_interval": 1, "end_times": 3 });
    created["join_url"] = format!("https://zoom.example/j/{SERIES}").into();
    deleted["occurrences"] = vec![occurrence(starts[1])].into();
    [
        (
            "webinar.created",
            "a series of three mornings is scheduled",
            json!({ "operation": "all", "object": created }),
        ),
        (
            "webinar.deleted",
            "the second morning is cancelled",
            json!({ "operation": "single", "object": deleted }),
        ),
        (
            "webinar.updated",
            "every morning now takes 50 minutes",
            json!({
                "scope": "all",
                "object": { "id": SERIES, "duration": 50 },
                "old_object": { "id": SERIES, "duration": 30 },
            }),
        ),
    ]
}

fn conference(now: Millis) -> [Scene; 3] {
    let webhook = |name: &str, start: Millis| {
        json!({ "object": {
            "event_id": CONFERENCE, "hub_id": "tB5xGzV0SLuJwQeYcN3kPA",
            "host_id": "mC4hTnB8R2aWqEoZyUxKvg", "name": name, "description": "Two tracks, one day.",
            "event_type": "CONFERENCE", "attendance_type": "virtual", "status": "DRAFT",
            "start_time": start.to_string(), "end_time": start.plus(HOUR * 8).to_string(),
            "timezone": "America/Toronto",
        } })
    };
    let (first, later) = (now.plus(DAY * 7), now.plus(DAY * 8));
    [
        ("zoom_events.event_published", "a conference is published", webhook("Makers' day", first)),
        (
            "zoom_events.event_updated",
            "the conference moves to the next day",
            webhook("Makers' day online", later),
        ),
        (
            "zoom_events.event_cancelled",
            "the conference is cancelled",
            webhook("Makers' day online", later),
        ),
    ]
}

fn withdrawn(now: Millis) -> [Scene; 2] {
    let object = json!({
        "id": WITHDRAWN, "uuid": "Wd6Ph+Tj/1cKs7vBnM0aEg==", "host_id": "mC4hTnB8R2aWqEoZyUxKvg",
        "type": 5, "topic": "Scheduled by mistake", "start_time": now.plus(DAY * 2).to_string(),
        "duration": 60, "timezone": "UTC",
    });
    [
        (
            "webinar.created",
            "a webinar is scheduled by mistake",
            json!({ "operation": "all", "object": object }),
        ),
        (
            "webinar.deleted",
            "and deleted before it takes place",
            json!({ "operation": "all", "object": object }),
        ),
    ]
}
