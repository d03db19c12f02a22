//! Sample webhooks: what Eventbrite sends while a few events are created, changed and cancelled, and what its API then
//! answers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Millis;
use crate::providers::Sample;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Interval between two samples: each is later than the one before it, and all are in the past.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);

const ORGANIZATION: &str = "171000000001";
const ONLINE: &str = "910000000011";
const ON_SITE: &str = "910000000012";
const SERIES: &str = "910000000013";

/// Samples of the whole life of a few events around `now`, sent just before it.
pub(super) fn samples(now: Millis) -> Vec<Sample> {
    // Eventbrite writes times in whole seconds.
    let now = Millis::new(now.get() / 1_000 * 1_000);
    let step = |number: u32| now.minus(SAMPLE_INTERVAL * (6 - number));
    let soon = now.plus(HOUR);
    let hour_of = |start: Millis| (start, start.plus(HOUR));
    let online = |title, status, (start, end), changed| {
        let mut event = event(ONLINE, title, status, changed);
        event["online_event"] = true.into();
        dated(event, start, end)
    };
    let on_site = |status, changed| {
        let start = now.plus(DAY * 20);
        dated(event(ON_SITE, "Meet the makers", status, changed), start, start.plus(HOUR * 7))
    };
    let mut series =
        dated(event(SERIES, "Every Monday", "live", step(4)), soon, now.plus(DAY * 300));
    series["is_series"] = true.into();
    series["is_series_parent"] = true.into();
    vec![
        webhook(
            "an event is being prepared: a draft",
            "event.created",
            ONLINE,
            online("Untitled", "draft", hour_of(soon), step(0)),
        ),
        webhook(
            "it is published under its title",
            "event.published",
            ONLINE,
            online("Soldering, the first hour", "live", hour_of(soon), step(1)),
        ),
        webhook("a conference is published", "event.published", ON_SITE, on_site("live", step(2))),
        webhook(
            "the conference is cancelled",
            "event.updated",
            ON_SITE,
            on_site("canceled", step(3)),
        ),
        webhook(
            "a series is published; each of its dates is an event of its own",
            "event.published",
            SERIES,
            series,
        ),
        webhook(
            "the first event was moved to the past hour, and is over",
            "event.updated",
            ONLINE,
            online(
                "Soldering, the first hour",
                "ended",
                (now.minus(HOUR), now.minus(SAMPLE_INTERVAL * 10)),
                step(5),
            ),
        ),
    ]
}

fn webhook(story: &'static str, action: &str, id: &str, event: Value) -> Sample {
    let body = json!({
        "config": {
            "action": action, "user_id": "170000000007", "webhook_id": "12000007",
            "endpoint_url": "https://bridge.example/webhooks/eventbrite/sandbox-path-token",
        },
        "api_url": format!("https://www.eventbriteapi.com/v3/events/{id}/"),
    });
    Sample {
        answers: vec![(format!("/v3/events/{id}/?expand=organizer"), event)],
        ..Sample::new(story, body.to_string().into_bytes())
    }
}

fn event(id: &str, title: &str, status: &str, changed: Millis) -> Value {
    json!({
        "id": id, "organization_id": ORGANIZATION, "status": status, "online_event": false,
        "name": { "text": title, "html": title },
        "description": { "text": "Bring your own project.", "html": "Bring your own project." },
        "url": format!("https://www.eventbrite.example/e/sample-tickets-{id}"),
        "changed": changed.to_string(), "is_series": false, "is_series_parent": false,
        "organizer": { "id": "180000000003", "name": "The Sample Workshop" },
    })
}

fn dated(mut event: Value, start: Millis, end: Millis) -> Value {
    for (name, at) in [("start", start), ("end", end)] {
        event[name] = json!({ "timezone": "UTC", "utc": at.to_string() });
    }
    event
}
