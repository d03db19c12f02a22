//! Zoom: webinars and series. Webhooks tell the changed fields, the API the whole. Of two accounts, the series of one are
//! an event for each date, those of the other one event in all.

use serde_json::{Value, json};
use webinar_bridge::event::Millis;

use super::{ApiCall, Aspect, SimulatedPlatform, Webhook, page};
use crate::year::truth::{Action, HeldDate, Truth};

/// Zoom's largest page has 300; a smaller one makes pages.
const PAGE: usize = 20;

/// The account whose series are an event for each date.
pub(super) static BY_DATE: SimulatedZoom = SimulatedZoom {
    source: "zoom",
    account: "zoom-account",
    host: "api.zoom.example",
    is_one_event: false,
    settings: "secret = \"zoom-secret-of-the-year\"\n\
         api = { account_id = \"zoom-account\", client_id = \"app\", client_secret = \"app-secret-of-the-year\", \
         users = [\"me\"], base_url = \"https://api.zoom.example\", token_url = \"https://api.zoom.example/oauth/token\" }",
};

/// The account whose series are one event.
pub(super) static IN_ONE: SimulatedZoom = SimulatedZoom {
    source: "zoom-series",
    account: "zoom-account-of-series",
    host: "series.zoom.example",
    is_one_event: true,
    settings: "secret = \"zoom-secret-of-the-year\"\nrecurring = \"series\"\n\
         api = { account_id = \"zoom-account-of-series\", client_id = \"app\", client_secret = \"app-secret-of-the-year\", \
         users = [\"me\"], base_url = \"https://series.zoom.example\", token_url = \"https://series.zoom.example/oauth/token\" }",
};

/// One account of Zoom's.
pub(super) struct SimulatedZoom {
    source: &'static str,
    account: &'static str,
    host: &'static str,
    is_one_event: bool,
    settings: &'static str,
}

impl SimulatedPlatform for SimulatedZoom {
    fn host(&self) -> &'static str {
        self.host
    }

    fn id(&self) -> &'static str {
        "zoom"
    }

    fn source(&self) -> &'static str {
        self.source
    }

    fn account(&self) -> &'static str {
        self.account
    }

    fn secret(&self) -> &'static str {
        "zoom-secret-of-the-year"
    }

    fn settings(&self) -> &'static str {
        self.settings
    }

    fn is_one_event(&self, truth: &Truth) -> bool {
        self.is_one_event || !truth.is_series
    }

    fn reports_end(&self) -> bool {
        true
    }

    fn shows_runs(&self) -> bool {
        false
    }

    fn new_id(&self, number: u64) -> String {
        (81_000_000_000 + number).to_string()
    }

    fn event_id(&self, truth: &Truth, date: usize) -> String {
        if self.is_one_event(truth) {
            truth.id.clone()
        } else {
            format!("{}-{}", truth.id, truth.dates[date].id)
        }
    }

    fn link(&self, truth: &Truth) -> String {
        format!("https://acme.zoom.example/webinar/register/{}", truth.id)
    }

    fn allows(&self, truth: &Truth, action: &Action) -> bool {
        truth.deleted_at.is_some() == matches!(action, Action::Recover)
    }

    fn webhooks(
        &self,
        before: &Truth,
        truth: &Truth,
        action: &Action,
        now: Millis,
    ) -> Vec<Webhook> {
        let id: u64 = truth.id.parse().expect("a number");
        let scope = |payload: Value| {
            if truth.is_series { with(payload, json!({ "scope": "all" })) } else { payload }
        };
        let whole = |operation: Value| json!({ "operation": operation, "object": shown(truth) });
        let (event, payload) = match action {
            Action::Create => ("webinar.created", json!({ "object": listed(truth) })),
            Action::Rename(name) => {
                let old = json!({ "id": id, "topic": before.name });
                let object = json!({ "id": id, "topic": name });
                ("webinar.updated", scope(json!({ "old_object": old, "object": object })))
            }
            Action::Describe(text) => {
                let old = json!({ "id": id, "agenda": before.description });
                let object = json!({ "id": id, "agenda": text });
                ("webinar.updated", scope(json!({ "old_object": old, "object": object })))
            }
            Action::Move { date, .. } | Action::Resize { date, .. } => {
                ("webinar.updated", moved(before, truth, *date))
            }
            Action::Replan(_) => {
                let old: Vec<Value> = to_come(before, now).map(occurrence).collect();
                let new: Vec<Value> = to_come(truth, now).map(occurrence).collect();
                let recurrence = json!({ "type": 2, "repeat_interval": 1, "end_times": new.len() });
                let object = json!({ "id": id, "recurrence": recurrence, "occurrences": new });
                let old = json!({ "id": id, "recurrence": recurrence, "occurrences": old });
                ("webinar.updated", scope(json!({ "old_object": old, "object": object })))
            }
            Action::CancelDate(date) => {
                let gone = with(occurrence(&truth.dates[*date]), json!({ "status": "deleted" }));
                let object = with(shown(truth), json!({ "occurrences": [gone] }));
                ("webinar.deleted", json!({ "operation": "single", "object": object }))
            }
            Action::Delete => ("webinar.deleted", whole(operation(truth))),
            Action::Recover => ("webinar.recovered", whole(operation(truth))),
            // Zoom has no drafts.
            Action::Publish => return Vec::new(),
            Action::Rehearse => return self.rehearsal(truth, now),
            Action::Start(date) => {
                let object = with(shown(truth), json!({ "start_time": now.to_string() }));
                return vec![self.webhook(
                    "webinar.started",
                    json!({ "object": object }),
                    now,
                    Aspect::Started(*date),
                )];
            }
            Action::End(date) => {
                let started = truth.dates[*date].run.map_or(now, |run| run.started_at);
                let times =
                    json!({ "start_time": started.to_string(), "end_time": now.to_string() });
                let object = with(shown(truth), times);
                return vec![self.webhook(
                    "webinar.ended",
                    json!({ "object": object }),
                    now,
                    Aspect::Ended(*date),
                )];
            }
        };
        let aspect = if matches!(action, Action::Delete) {
            Aspect::Deleted
        } else if matches!(action, Action::Recover) {
            Aspect::Recovered
        } else {
            Aspect::Shown
        };
        vec![self.webhook(event, payload, now, aspect)]
    }

    fn answer(&self, call: &ApiCall<'_>) -> Option<Value> {
        match call.path.as_slice() {
            ["oauth", "token"] => Some(super::token()),
            ["v2", "webinars", id] => {
                let truth = call.find(id)?;
                let more = json!({
                    "agenda": truth.description, "registration_url": self.link(truth),
                    "created_at": second(truth.created_at),
                });
                Some(with(listed(truth), more))
            }
            ["v2", "users", "me", "webinars"] => {
                let all = call.present().map(shown).collect();
                let token = call.query.get("next_page_token").map(String::as_str);
                let (webinars, next) = page(all, token, PAGE);
                Some(json!({ "webinars": webinars, "next_page_token": next.unwrap_or_default() }))
            }
            ["v2", "users", host] => {
                let truth = call.present().find(|truth| host_id(truth) == *host)?;
                Some(
                    json!({ "id": host, "display_name": truth.host, "email": "host@mail.example" }),
                )
            }
            _ => None,
        }
    }
}

impl SimulatedZoom {
    fn webhook(&self, event: &str, payload: Value, now: Millis, aspect: Aspect) -> Webhook {
        let payload = with(
            payload,
            json!({ "account_id": self.account, "operator": "somebody@mail.example" }),
        );
        let body = json!({ "event": event, "event_ts": now.get(), "payload": payload });
        Webhook { body, aspect }
    }

    /// A practice session of ten minutes: it ended before its webhooks come.
    fn rehearsal(&self, truth: &Truth, now: Millis) -> Vec<Webhook> {
        let began = Millis::new(now.get() - 600_000);
        let told = |event: &str, at: Millis, more: Value| {
            let practice = json!({ "start_time": began.to_string(), "practice_session": true });
            let object = with(shown(truth), with(more, practice));
            self.webhook(event, json!({ "object": object }), at, Aspect::Shown)
        };
        vec![
            told("webinar.started", began, json!({})),
            told("webinar.ended", now, json!({ "end_time": now.to_string() })),
        ]
    }
}

fn moved(before: &Truth, truth: &Truth, date: usize) -> Value {
    let (old, new) = (&before.dates[date], &truth.dates[date]);
    let id: u64 = truth.id.parse().expect("a number");
    if truth.is_series {
        let object = json!({ "id": id, "occurrences": [occurrence(new)] });
        let old = json!({ "id": id, "occurrences": [occurrence(old)] });
        return json!({ "scope": "single", "old_object": old, "object": object });
    }
    let times = |date: &HeldDate| json!({ "id": id, "start_time": second(date.start), "duration": date.minutes, "timezone": "UTC" });
    json!({ "old_object": times(old), "object": times(new) })
}

fn operation(truth: &Truth) -> Value {
    if truth.is_series { json!("all") } else { json!("single") }
}

/// The dates that are to come and take place.
fn to_come(truth: &Truth, now: Millis) -> impl Iterator<Item = &HeldDate> {
    truth.dates.iter().filter(move |date| date.start > now && date.cancelled_at.is_none())
}

fn host_id(truth: &Truth) -> String {
    format!("host-{}", truth.host.replace(' ', "-"))
}

/// The object without its occurrences and its link.
fn shown(truth: &Truth) -> Value {
    let first = truth.dates.first().expect("there is one");
    json!({
        "uuid": format!("uuid-{}==", truth.id), "id": truth.id.parse::<u64>().expect("a number"),
        "host_id": host_id(truth), "topic": truth.name, "type": if truth.is_series { 9 } else { 5 },
        "start_time": second(first.start), "duration": first.minutes, "timezone": "UTC",
    })
}

/// The object with its occurrences: past and to come, without those that others replaced.
fn listed(truth: &Truth) -> Value {
    let link = format!("https://acme.zoom.example/j/{}?pwd=hush", truth.id);
    let object = with(shown(truth), json!({ "join_url": link }));
    if !truth.is_series {
        return object;
    }
    let dates = truth.dates.iter().filter(|date| !date.is_replaced);
    let occurrences: Vec<Value> = dates.map(occurrence).collect();
    let recurrence = json!({ "type": 2, "repeat_interval": 1, "end_times": occurrences.len() });
    with(object, json!({ "occurrences": occurrences, "recurrence": recurrence }))
}

fn occurrence(date: &HeldDate) -> Value {
    let status = if date.cancelled_at.is_some() { "deleted" } else { "available" };
    json!({
        "occurrence_id": date.id, "start_time": second(date.start), "duration": date.minutes, "status": status,
    })
}

/// Zoom's times have seconds.
fn second(at: Millis) -> String {
    Millis::new(at.get() / 1_000 * 1_000).to_string()
}

fn with(mut object: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is not an object") };
    for (key, new) in more {
        object[key] = new;
    }
    object
}
