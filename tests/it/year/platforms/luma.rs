//! Luma: single events. Webhooks show the whole event, the API its hosts too; a cancelled event is gone.

use serde_json::{Value, json};
use webinar_bridge::event::Millis;

use super::{ApiCall, Aspect, SimulatedPlatform, Webhook, page};
use crate::year::truth::{Action, Truth};

const CALENDAR: &str = "cal-of-the-year";
const PAGE: usize = 10;

pub(super) struct SimulatedLuma;

impl SimulatedPlatform for SimulatedLuma {
    fn host(&self) -> &'static str {
        "api.luma.example"
    }

    fn id(&self) -> &'static str {
        "luma"
    }

    fn account(&self) -> &'static str {
        CALENDAR
    }

    fn secret(&self) -> &'static str {
        "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    }

    fn settings(&self) -> &'static str {
        "secret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n\
         api = { key = \"luma-key-of-the-year\", base_url = \"https://api.luma.example\" }"
    }

    fn reports_end(&self) -> bool {
        false
    }

    fn shows_runs(&self) -> bool {
        false
    }

    fn new_id(&self, number: u64) -> String {
        format!("evt-{number}")
    }

    fn event_id(&self, truth: &Truth, _date: usize) -> String {
        truth.id.clone()
    }

    fn link(&self, truth: &Truth) -> String {
        format!("https://luma.example/{}", truth.id)
    }

    fn allows(&self, truth: &Truth, action: &Action) -> bool {
        let is_unknown = matches!(
            action,
            Action::Recover | Action::Rehearse | Action::Replan(_) | Action::CancelDate(_)
        );
        !is_unknown && truth.deleted_at.is_none()
    }

    fn webhooks(
        &self,
        _before: &Truth,
        truth: &Truth,
        action: &Action,
        _now: Millis,
    ) -> Vec<Webhook> {
        let (name, aspect) = match action {
            Action::Create => ("event.created", Aspect::Shown),
            Action::Delete => ("event.canceled", Aspect::Deleted),
            // Nobody reports that it begins or ends.
            Action::Start(_) | Action::End(_) => return Vec::new(),
            Action::Rename(_)
            | Action::Describe(_)
            | Action::Move { .. }
            | Action::Resize { .. }
            | Action::Replan(_)
            | Action::CancelDate(_)
            | Action::Recover
            | Action::Publish
            | Action::Rehearse => ("event.updated", Aspect::Shown),
        };
        vec![Webhook { body: json!({ "type": name, "data": self.shown(truth) }), aspect }]
    }

    fn answer(&self, call: &ApiCall<'_>) -> Option<Value> {
        match call.path.as_slice() {
            ["v1", "events", "get"] => {
                let truth = call.find(call.query.get("event_id")?)?;
                let mut shown = self.shown(truth);
                shown["hosts"] =
                    json!([{ "name": null }, { "name": truth.host, "email": "h@mail.example" }]);
                Some(shown)
            }
            ["v1", "calendars", "events", "list"] => {
                let time = |name: &str| Millis::parse(call.query.get(name)?, None);
                let (after, before) = (time("after")?, time("before")?);
                let within = |truth: &&Truth| {
                    let start = truth.dates[0].start;
                    after < start && start < before
                };
                let all = call.present().filter(within).map(|truth| self.shown(truth)).collect();
                let (entries, next) =
                    page(all, call.query.get("pagination_cursor").map(String::as_str), PAGE);
                Some(json!({ "entries": entries, "has_more": next.is_some(), "next_cursor": next }))
            }
            _ => None,
        }
    }
}

impl SimulatedLuma {
    fn shown(&self, truth: &Truth) -> Value {
        let date = &truth.dates[0];
        json!({
            "platform": "luma", "id": truth.id, "calendar_id": CALENDAR, "name": truth.name,
            "description": truth.description, "start_at": date.start.to_string(),
            "end_at": date.end().to_string(), "created_at": truth.created_at.to_string(),
            "timezone": "Europe/Vienna", "location_type": "zoom", "url": self.link(truth),
            "meeting_url": "https://rooms.example/secret-room",
        })
    }
}
