//! Sample webhooks: what Livestorm sends while an event with two sessions is created, changed and ended, and what its
//! API then answers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Millis;
use crate::providers::Sample;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Interval between two samples: each is later than the one before it, and all are in the past.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);

const WORKSPACE: &str = "0b7a6f52-93c1-4e0d-8f7e-61d2c3a90b15";
const EVENT: &str = "5c0e9d1b-7a44-4c6e-9f02-2b8d6a1e3f70";
const TODAY: &str = "a3f1c8e2-5d90-47b6-8e1a-9c4b7d20f6e5";
const TOMORROW: &str = "d94b2a67-1e3c-4f85-b0a7-3e6c5f81d2b9";

/// Samples of the whole life of an event's sessions that begin soon after `now`, sent just before it.
pub(super) fn samples(now: Millis) -> Vec<Sample> {
    let seconds = |at: Millis| at.get() / 1_000;
    let step = |number: u32| seconds(now.minus(SAMPLE_INTERVAL * (6 - number)));
    let (created, published, moved) = (step(0), step(1), step(2));
    let (started, cancelled, ended) = (step(3), step(4), step(5));

    let (planned, sooner) = (seconds(now.plus(HOUR)), seconds(now.minus(SAMPLE_INTERVAL * 10)));
    let draft = session(
        TODAY,
        json!({ "status": "draft", "estimated_started_at": planned, "updated_at": created }),
    );
    let upcoming =
        session(TODAY, json!({ "estimated_started_at": planned, "updated_at": published }));
    let live = session(
        TODAY,
        json!({
            "status": "live", "estimated_started_at": sooner, "started_at": started, "updated_at": started,
        }),
    );
    let past = session(
        TODAY,
        json!({
            "status": "past", "estimated_started_at": sooner, "started_at": started, "ended_at": ended,
            "updated_at": ended,
        }),
    );
    let next_day = seconds(now.plus(DAY));
    let tomorrow =
        session(TOMORROW, json!({ "estimated_started_at": next_day, "updated_at": published }));
    let called_off = session(
        TOMORROW,
        json!({
            "status": "canceled", "estimated_started_at": next_day, "canceled_at": cancelled,
            "updated_at": cancelled,
        }),
    );

    vec![
        Sample {
            answers: vec![event_answer("A draft", created), session_answer(&draft)],
            ..webhook(
                "an event is being prepared; its session is a draft",
                "session.created",
                draft.clone(),
            )
        },
        Sample {
            answers: vec![
                event_answer("Roadmap in the open", published),
                sessions_answer(&[&upcoming, &tomorrow]),
            ],
            ..webhook(
                "it is published under its final title, with a second session tomorrow",
                "event.published",
                event("Roadmap in the open", published),
            )
        },
        Sample {
            answers: vec![event_answer("Roadmap in the open, live", moved), session_answer(&live)],
            ..webhook(
                "the first session starts, an hour earlier than planned and under a title that no webhook reported",
                "session.started",
                live.clone(),
            )
        },
        Sample {
            answers: vec![
                event_answer("Roadmap in the open, live", cancelled),
                sessions_answer(&[&live, &called_off]),
            ],
            ..webhook(
                "the second is cancelled, which is found when the event is published again",
                "event.published",
                event("Roadmap in the open, live", cancelled),
            )
        },
        Sample {
            answers: vec![session_answer(&past)],
            ..webhook("the first session ends", "session.ended", past)
        },
        webhook(
            "somebody registers, which is ignored",
            "people.registered",
            json!({
                "id": "7e2d90a4-6c1f-4b3e-a58d-0f9b8c7a6d51", "type": "people",
                "attributes": { "role": "participant", "email": "guest@mail.example", "first_name": "Guest" },
            }),
        ),
    ]
}

fn webhook(story: &'static str, trigger: &str, mut resource: Value) -> Sample {
    resource["meta"] = json!({ "webhook": { "event": trigger, "organization_id": WORKSPACE } });
    Sample::new(story, json!({ "data": resource }).to_string().into_bytes())
}

fn session(id: &str, changed: Value) -> Value {
    let mut attributes = json!({
        "event_id": EVENT, "status": "upcoming", "timezone": "Europe/Paris", "name": null,
        "room_link": format!("https://app.livestorm.example/p/{EVENT}/live?s={id}"),
        "started_at": 0, "ended_at": 0, "canceled_at": 0, "duration": null,
        "attendees_count": 0, "registrants_count": 0, "breakout_room_parent_session_id": null,
    });
    if let Value::Object(changed) = changed {
        for (name, value) in changed {
            attributes[name] = value;
        }
    }
    json!({ "id": id, "type": "sessions", "attributes": attributes })
}

fn event(title: &str, updated_at: i64) -> Value {
    json!({ "id": EVENT, "type": "events", "attributes": {
        "title": title, "slug": "roadmap-in-the-open", "description": "What we build next, and why.",
        "registration_link": format!("https://app.livestorm.example/p/{EVENT}"),
        "estimated_duration": 45, "language": "en", "sessions_count": 2, "updated_at": updated_at,
        "owner": { "id": "1f6b3d84-0a2e-4c97-b5d1-8e7f9a0c2b36", "type": "people", "attributes": {
            "first_name": "Robin", "last_name": "Sample", "email": "robin@mail.example",
        } },
    } })
}

fn event_answer(title: &str, updated_at: i64) -> (String, Value) {
    (format!("/v1/events/{EVENT}"), json!({ "data": event(title, updated_at) }))
}

fn session_answer(session: &Value) -> (String, Value) {
    let id = session["id"].as_str().unwrap_or_default();
    (format!("/v1/sessions/{id}"), json!({ "data": session }))
}

fn sessions_answer(sessions: &[&Value]) -> (String, Value) {
    let path = format!("/v1/events/{EVENT}/sessions?page%5Bnumber%5D=0&page%5Bsize%5D=50");
    let meta =
        json!({ "current_page": 0, "previous_page": null, "next_page": null, "page_count": 1 });
    (path, json!({ "data": sessions, "meta": meta }))
}
