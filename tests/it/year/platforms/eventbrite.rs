//! Eventbrite: webhooks hold nothing but an event's id. Each date of a series is an event of its own.

use serde_json::{Value, json};
use webinar_bridge::event::Millis;

use super::{ApiCall, Aspect, SimulatedPlatform, Webhook, page};
use crate::year::truth::{Action, HeldDate, Truth};

const ORGANIZATION: &str = "1234500001";
const PAGE: usize = 15;

pub(super) struct SimulatedEventbrite;

impl SimulatedPlatform for SimulatedEventbrite {
    fn host(&self) -> &'static str {
        "api.eventbrite.example"
    }

    fn id(&self) -> &'static str {
        "eventbrite"
    }

    fn account(&self) -> &'static str {
        ORGANIZATION
    }

    fn secret(&self) -> &'static str {
        "path-token-of-the-year"
    }

    fn settings(&self) -> &'static str {
        "path_token = \"path-token-of-the-year\"\n\
         api = { token = \"eventbrite-token-of-the-year\", organization = \"1234500001\", \
         base_url = \"https://api.eventbrite.example\" }"
    }

    fn reports_end(&self) -> bool {
        false
    }

    fn shows_runs(&self) -> bool {
        false
    }

    fn shows_status(&self) -> bool {
        true
    }

    fn has_drafts(&self) -> bool {
        true
    }

    fn new_id(&self, number: u64) -> String {
        (770_000_000 + number).to_string()
    }

    fn event_id(&self, truth: &Truth, date: usize) -> String {
        truth.dates[date].id.clone()
    }

    fn link(&self, truth: &Truth) -> String {
        format!("https://www.eventbrite.example/o/{}", truth.id)
    }

    fn allows(&self, truth: &Truth, action: &Action) -> bool {
        let is_unknown = matches!(action, Action::Recover | Action::Rehearse | Action::Replan(_));
        !is_unknown && truth.deleted_at.is_none()
    }

    fn webhooks(
        &self,
        _before: &Truth,
        truth: &Truth,
        action: &Action,
        _now: Millis,
    ) -> Vec<Webhook> {
        // A deleted event sends no webhook.
        if matches!(action, Action::Start(_) | Action::End(_) | Action::Delete) {
            return Vec::new();
        }
        let is_created = matches!(action, Action::Create);
        let is_published = is_created || matches!(action, Action::Publish);
        let name = match truth.published_at {
            None if is_created => "event.created",
            Some(_) | None if is_published => "event.published",
            Some(_) | None => "event.updated",
        };
        let mut dates: Vec<&HeldDate> = truth.dates.iter().collect();
        if let Action::Move { date, .. } | Action::Resize { date, .. } | Action::CancelDate(date) =
            action
        {
            dates = vec![&truth.dates[*date]];
        }
        let told = |date: &HeldDate| {
            let body = json!({
                "api_url": format!("https://www.eventbriteapi.com/v3/events/{}/", date.id),
                "config": { "action": name, "endpoint_url": "https://bridge.example", "user_id": "1" },
            });
            Webhook { body, aspect: Aspect::Shown }
        };
        dates.into_iter().map(told).collect()
    }

    fn answer(&self, call: &ApiCall<'_>) -> Option<Value> {
        let all = || call.present().flat_map(Truth::all_dates);
        match call.path.as_slice() {
            ["v3", "events", id] => {
                let (truth, date) = all().find(|(_, date)| date.id == *id)?;
                Some(self.shown(truth, date, call.shows))
            }
            ["v3", "organizations", ORGANIZATION, "events"] => {
                let all = all().map(|(truth, date)| self.shown(truth, date, call.shows));
                let wanted = |event: &Value| {
                    let status = event["status"].as_str().expect("a text");
                    call.query["status"].split(',').any(|wanted| wanted == status)
                };
                let (events, next) = page(
                    all.filter(wanted).collect(),
                    call.query.get("continuation").map(String::as_str),
                    PAGE,
                );
                let mut pagination = json!({ "has_more_items": next.is_some() });
                if let Some(next) = next {
                    pagination["continuation"] = json!(next);
                }
                Some(json!({ "events": events, "pagination": pagination }))
            }
            _ => None,
        }
    }
}

impl SimulatedEventbrite {
    /// The event at that moment. Its status follows the time, and `changed` does not.
    fn shown(&self, truth: &Truth, date: &HeldDate, now: Millis) -> Value {
        let status = match date.cancelled_at {
            _ if truth.published_at.is_none() => "draft",
            Some(_) => "canceled",
            None if now < date.start => "live",
            None if now < date.end() => "started",
            None => "ended",
        };
        // The API's times have seconds.
        let second = |at: Millis| Millis::new(at.get() / 1_000 * 1_000).to_string();
        json!({
            "id": date.id, "organization_id": ORGANIZATION, "status": status, "online_event": true,
            "name": { "text": truth.name }, "description": { "text": truth.description },
            "url": self.link(truth), "created": second(truth.created_at),
            "changed": second(truth.changed_at.max(date.edited_at)),
            "start": { "utc": second(date.start) }, "end": { "utc": second(date.end()) },
            "is_series": truth.is_series, "is_series_parent": false, "organizer": { "name": truth.host },
        })
    }
}
