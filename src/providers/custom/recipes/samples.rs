//! Sample webhooks of the recipes' platforms. Ids, names and texts are made up.

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Millis;
use crate::providers::Sample;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn sample(story: &'static str, body: &Value) -> Sample {
    Sample::new(story, body.to_string().into_bytes())
}

pub(super) fn zuddl(now: Millis) -> Vec<Sample> {
    let event = |name: &str, start: Millis| {
        json!({
            "id": "0f0c7c5e-5a52-4f0d-9d0c-6b1f2b7d7f01", "organizationId": "org-4711", "name": name,
            "description": "What the harbour sounds like before the ferries start.",
            "startDate": start.to_string(), "endDate": start.plus(HOUR).to_string(),
            "status": "UPCOMING", "type": "WEBINAR", "websiteUrl": "https://zuddl.example/harbour",
        })
    };
    let body = |action: &str, at: Millis, event: Value| json!({ "action": action, "actionId": format!("{action}-1"), "actionCreatedAt": at.to_string(), "event": event });
    let mut created = event("Harbour at dawn", now.plus(DAY));
    created["landingPageDetails"] = json!([
        { "name": "Draft", "url": "https://zuddl.example/draft", "status": "Draft" },
        { "name": "Sign-up", "url": "https://zuddl.example/harbour/sign-up", "status": "Published" },
    ]);
    let moved = event("Harbour at dawn, an hour later", now.plus(DAY + HOUR));
    vec![
        sample("a webinar is planned", &body("EVENT_CREATED", now.minus(HOUR), created)),
        sample("it is renamed and moved by an hour", &body("EVENT_UPDATED", now, moved)),
    ]
}

pub(super) fn webinargeek(now: Millis) -> Vec<Sample> {
    let start = now.minus(HOUR);
    let body = |event: &str, person: u32, ended: bool| {
        json!({
            "event": event, "entity_type": "Subscription", "timestamp": now.get() + i64::from(person),
            "entity": {
                "id": person, "email": format!("person-{person}@example.com"), "firstname": "Somebody", "surname": "Else",
                "watch_link": "https://webinargeek.example/watch/secret", "unsubscribed": false,
                "broadcast": { "id": 90_210, "date": start.get() / 1_000, "has_ended": ended },
                "webinar": { "id": 77, "title": "Bread without kneading" },
                "episode": { "id": 78, "title": "Bread, part one" },
            },
        })
    };
    vec![
        sample("the first person subscribes to a broadcast", &body("webinar_subscribed", 1, false)),
        sample("after it, a person's attendance is reported", &body("webinar_viewed", 2, true)),
    ]
}

pub(super) fn sequel(now: Millis) -> Vec<Sample> {
    let body = |event: &str, at: Millis, page: Option<u32>| {
        let mut details = json!({
            "companyId": "company-31", "companyName": "Sandbox Ltd",
            "eventId": "stage-8", "eventName": "Launch of the small telescope",
        });
        if let Some(page) = page {
            details["page"] = page.into();
            details["users"] = json!([{ "userId": "somebody" }]);
        }
        json!({
            "eventType": event, "webHookInvocationId": format!("{event}-{}", page.unwrap_or_default()),
            "correlationId": event, "timestamp": at.to_string(), "details": details,
        })
    };
    let ended = "virtual-stage-event-ended";
    vec![
        sample("a stage is set up", &body("virtual-stage-created", now.minus(DAY), None)),
        sample("the event on it ends", &body(ended, now, Some(1))),
        sample("further pages of its attendees report the same", &body(ended, now, Some(2))),
    ]
}

pub(super) fn sessions_us(now: Millis) -> Vec<Sample> {
    let body = |trigger: &str, ended: Option<Millis>| {
        json!({
            "trigger": trigger,
            "data": { "session": {
                "id": "ses-5d1c", "name": "Maps for people who get lost", "description": null,
                "startAt": now.minus(HOUR).to_string(), "endedAt": ended.map(|at| at.to_string()),
                "event": { "id": "evt-77aa", "slug": "maps" },
                "participants": [{ "isOwner": true, "user": { "email": "owner@example.com", "firstName": "Somebody" } }],
            } },
        })
    };
    vec![
        sample("an event is set up", &body("EVENT_CREATED", None)),
        sample("it ends", &body("EVENT_ENDED", Some(now))),
    ]
}

pub(super) fn airmeet(now: Millis) -> Vec<Sample> {
    let body = |name: &str, start: Millis| {
        json!({
            "airmeet_id": "8a1b2c3d-airmeet", "community_id": "community-9", "airmeetName": name,
            "short_desc": "Beekeeping on roofs.", "organiser_name": "Sandbox Ltd", "timezone": "Europe/Paris",
            "start_time": start.get().to_string(), "end_time": start.plus(HOUR).get().to_string(),
        })
    };
    vec![
        sample("an Airmeet is set up", &body("Roofs full of bees", now.plus(DAY))),
        sample(
            "the reminder shows a new name",
            &body("Roofs full of bees, and how", now.plus(DAY)),
        ),
    ]
}
