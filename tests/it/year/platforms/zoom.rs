//! Zoom: webinars and series. Webhooks tell the changed fields, the API the whole.

use serde_json::{Value, json};
use webinar_bridge::event::Millis;

use super::{ApiCall, Aspect, SimulatedPlatform, Webhook, page};
use crate::year::truth::{Action, HeldDate, Truth};

const ACCOUNT: &str = "zoom-account";
/// Zoom's largest page has 300; a smaller one makes pages.
const PAGE: usize = 20;

pub(super) struct SimulatedZoom;

impl SimulatedPlatform for SimulatedZoom {
    fn host(&self) -> &'static str {
        "api.zoom.example"
    }

    fn id(&self) -> &'static str {
        "zoom"
    }

    fn account(&self) -> &'static str {
        ACCOUNT
    }

    fn secret(&self) -> &'static str {
        "zoom-secret-of-the-year"
    }

    fn settings(&self) -> &'static str {
        "secret = \"zoom-secret-of-the-year\"\n\
         api = { account_id = \"zoom-account\", client_id = \"app\", client_secret = \"app-secret-of-the-year\", \
         users = [\"me\"], base_url = \"https://api.zoom.example\", token_url = \"https://api.zoom.example/oauth/token\" }"
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
        if truth.is_series {
            format!("{}-{}", truth.id, truth.dates[date].id)
        } else {
            truth.id.clone()
        }
    }

    fn link(&self, truth: &Truth) -> String {
        format!("https://acme.zoom.example/webinar/register/{}", truth.id)
    }

    fn link_of_deletion(&self, truth: &Truth) -> Option<String> {
        Some(format!("https://acme.zoom.example/j/{}", truth.id))
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
            Action::Rehearse => return rehearsal(truth, now),
            Action::Start(date) => {
                let object = with(shown(truth), json!({ "start_time": now.to_string() }));
                return vec![webhook(
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
                return vec![webhook(
                    "webinar.ended",
                    json!({ "object": object }),
                    now,
                    Aspect::Ended(*date),
                )];
            }
        };
        let is_deletion = matches!(action, Action::Delete | Action::Recover);
        let aspect = if is_deletion { Aspect::Deletion } else { Aspect::Shown };
        vec![webhook(event, payload, now, aspect)]
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

fn webhook(event: &str, payload: Value, now: Millis, aspect: Aspect) -> Webhook {
    let payload =
        with(payload, json!({ "account_id": ACCOUNT, "operator": "somebody@mail.example" }));
    Webhook { body: json!({ "event": event, "event_ts": now.get(), "payload": payload }), aspect }
}

/// A practice session of ten minutes: it ended before its webhooks come.
fn rehearsal(truth: &Truth, now: Millis) -> Vec<Webhook> {
    let began = Millis::new(now.get() - 600_000);
    let told = |event: &str, at: Millis, more: Value| {
        let more = with(more, json!({ "start_time": began.to_string(), "practice_session": true }));
        webhook(event, json!({ "object": with(shown(truth), more) }), at, Aspect::Shown)
    };
    vec![
        told("webinar.started", began, json!({})),
        told("webinar.ended", now, json!({ "end_time": now.to_string() })),
    ]
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

/// The object without its occurrences.
fn shown(truth: &Truth) -> Value {
    let first = truth.dates.first().expect("there is one");
    json!({
        "uuid": format!("uuid-{}==", truth.id), "id": truth.id.parse::<u64>().expect("a number"),
        "host_id": host_id(truth), "topic": truth.name, "type": if truth.is_series { 9 } else { 5 },
        "start_time": second(first.start), "duration": first.minutes, "timezone": "UTC",
        "join_url": format!("https://acme.zoom.example/j/{}?pwd=hush", truth.id),
    })
}

/// The object with its occurrences: past and to come, without those that others replaced.
fn listed(truth: &Truth) -> Value {
    if !truth.is_series {
        return shown(truth);
    }
    let dates = truth.dates.iter().filter(|date| !date.is_replaced);
    let occurrences: Vec<Value> = dates.map(occurrence).collect();
    let recurrence = json!({ "type": 2, "repeat_interval": 1, "end_times": occurrences.len() });
    with(shown(truth), json!({ "occurrences": occurrences, "recurrence": recurrence }))
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
