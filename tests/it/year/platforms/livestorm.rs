//! Livestorm: an event with its sessions. Webhooks report that an event is published, and that sessions begin and end;
//! edits and cancellations show only in the API.

use serde_json::{Value, json};
use webinar_bridge::event::Millis;

use super::{ApiCall, Aspect, SimulatedPlatform, Webhook, page};
use crate::year::truth::{Action, HeldDate, Truth};

const WORKSPACE: &str = "livestorm-of-the-year";
/// Livestorm's largest page has 50; a smaller one makes pages.
const PAGE: usize = 8;

pub(super) struct SimulatedLivestorm;

impl SimulatedPlatform for SimulatedLivestorm {
    fn host(&self) -> &'static str {
        "api.livestorm.example"
    }

    fn id(&self) -> &'static str {
        "livestorm"
    }

    fn account(&self) -> &'static str {
        WORKSPACE
    }

    fn secret(&self) -> &'static str {
        "livestorm-secret-of-the-year"
    }

    fn settings(&self) -> &'static str {
        "secret = \"livestorm-secret-of-the-year\"\nexternal_account_id = \"livestorm-of-the-year\"\n\
         api = { token = \"livestorm-token-of-the-year\", base_url = \"https://api.livestorm.example\" }"
    }

    fn reports_end(&self) -> bool {
        true
    }

    fn shows_runs(&self) -> bool {
        true
    }

    fn has_drafts(&self) -> bool {
        true
    }

    fn new_id(&self, number: u64) -> String {
        format!("e-{number}")
    }

    fn event_id(&self, truth: &Truth, date: usize) -> String {
        format!("s-{}", truth.dates[date].id)
    }

    fn link(&self, truth: &Truth) -> String {
        format!("https://livestorm.example/p/{}", truth.id)
    }

    fn allows(&self, truth: &Truth, action: &Action) -> bool {
        let is_unknown = matches!(action, Action::Recover | Action::Rehearse | Action::Replan(_));
        // The length is that of all sessions.
        let is_of_all = truth.is_series && matches!(action, Action::Resize { .. });
        !is_unknown && !is_of_all && truth.deleted_at.is_none()
    }

    fn webhooks(
        &self,
        _before: &Truth,
        truth: &Truth,
        action: &Action,
        now: Millis,
    ) -> Vec<Webhook> {
        let (trigger, mut resource, aspect) = match action {
            Action::Create if truth.published_at.is_none() => {
                ("event.created", event(truth, &self.link(truth)), Aspect::Shown)
            }
            Action::Create | Action::Publish => {
                ("event.published", event(truth, &self.link(truth)), Aspect::Shown)
            }
            Action::Start(date) => (
                "session.started",
                session(truth, &truth.dates[*date], now),
                Aspect::Started(*date),
            ),
            Action::End(date) => {
                ("session.ended", session(truth, &truth.dates[*date], now), Aspect::Ended(*date))
            }
            Action::Rename(_)
            | Action::Describe(_)
            | Action::Move { .. }
            | Action::Resize { .. }
            | Action::Replan(_)
            | Action::CancelDate(_)
            | Action::Delete
            | Action::Recover
            | Action::Rehearse => return Vec::new(),
        };
        resource["meta"] = json!({ "webhook": { "event": trigger } });
        vec![Webhook { body: json!({ "data": resource }), aspect }]
    }

    fn answer(&self, call: &ApiCall<'_>) -> Option<Value> {
        let number =
            || call.query.get("page[number]").and_then(|number| number.parse::<usize>().ok());
        let pages = |all: Vec<Value>| {
            let number = number().unwrap_or(0);
            let (data, next) = page(all, Some(&(number * PAGE).to_string()), PAGE);
            let next = next.map(|_| number + 1);
            Some(json!({ "data": data, "meta": { "current_page": number, "next_page": next } }))
        };
        match call.path.as_slice() {
            ["v1", "events", id] => {
                let truth = call.find(id)?;
                Some(json!({ "data": event(truth, &self.link(truth)) }))
            }
            ["v1", "events", id, "sessions"] => {
                let all = call.find(id)?.all_dates();
                pages(all.map(|(truth, date)| session(truth, date, call.shows)).collect())
            }
            ["v1", "sessions", id] => {
                let mut all = call.present().flat_map(Truth::all_dates);
                let (truth, date) = all.find(|(_, date)| format!("s-{}", date.id) == *id)?;
                Some(json!({ "data": session(truth, date, call.shows) }))
            }
            ["v1", "sessions"] => {
                let seconds = |name: &str| call.query.get(name)?.parse::<i64>().ok();
                let (from, to) = (seconds("filter[date_from]")?, seconds("filter[date_to]")?);
                let within = |date: &HeldDate| (from..to).contains(&second(date.start));
                let all =
                    call.present().flat_map(Truth::all_dates).filter(|(_, date)| within(date));
                pages(all.map(|(truth, date)| session(truth, date, call.shows)).collect())
            }
            _ => None,
        }
    }
}

/// Livestorm's times are seconds.
fn second(at: Millis) -> i64 {
    at.get() / 1_000
}

fn event(truth: &Truth, link: &str) -> Value {
    let names = truth.host.split_once(' ');
    let (first, last) = names.unwrap_or((truth.host.as_str(), ""));
    json!({ "id": truth.id, "type": "events", "attributes": {
        "title": truth.name, "description": truth.description,
        "estimated_duration": truth.dates[0].minutes, "registration_link": link,
        "updated_at": second(truth.changed_at.max(truth.dates[0].edited_at)),
        "owner": { "id": "u-1", "type": "people", "attributes": {
            "first_name": first, "last_name": last, "email": "host@mail.example",
        } },
    } })
}

fn session(truth: &Truth, date: &HeldDate, now: Millis) -> Value {
    let run = date.run.filter(|run| run.started_at <= now);
    let ended_at = run.and_then(|run| run.ended_at).filter(|at| *at <= now);
    let status = match (date.cancelled_at, run, ended_at) {
        _ if truth.published_at.is_none() => "draft",
        (Some(_), ..) => "canceled",
        (None, _, Some(_)) => "past",
        (None, Some(_), None) => "live",
        (None, None, None) if now > date.end() => "past_not_started",
        (None, None, None) => "upcoming",
    };
    let set = |at: Option<Millis>| at.map_or(0, second);
    json!({ "id": format!("s-{}", date.id), "type": "sessions", "attributes": {
        "event_id": truth.id, "status": status, "estimated_started_at": second(date.start),
        "started_at": set(run.map(|run| run.started_at)), "ended_at": set(ended_at),
        "canceled_at": set(date.cancelled_at), "created_at": second(truth.created_at),
        "updated_at": second(date.changed_at), "breakout_room_parent_session_id": null,
    } })
}
