//! HubSpot's marketing events, as far as we use them: a state machine over requests, without sockets or a clock.
//!
//! Promises: the same requests at the same times get the same answers. It is stricter than HubSpot is known to be, so
//! that clients that pass do not depend on HubSpot's leniency; [`HubspotEmulator::violations`] lists a client's errors.
//! It enforces known rules of HubSpot: the published schema (with `customProperties` optional and of name and value
//! only, as in HubSpot's guide), the full replacement of an event by each upsert, the rolling window, expiring tokens.
//! Relies on its caller for the time and for carrying out the faults of replies
//! ([`ResponseFault`](crate::http::simple_server::ResponseFault)). It holds everything in memory: a crash empties the
//! account.
//!
//! * `wire`: operations and routes;
//! * `access`: credentials and limits;
//! * `batch`: the body of an upsert;
//! * `single`: the read and the single write of one event;
//! * `stored_event`: an event as stored and shown;
//! * `answer`: replies;
//! * `fault`: injected faults.

mod access;
mod answer;
mod batch;
mod fault;
mod single;
mod stored_event;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Millis;
use crate::http::simple_server::{SimpleRequest, SimpleResponse};
use access::AccessControl;
pub use access::OAuthApp;
pub use batch::{InputProperty, UpsertInput};
pub use fault::{EmulatorFault, HANG};
pub use stored_event::StoredEvent;
pub use wire::{EmulatorCall, EmulatorOperation};

/// First number of CRM objects; any number would do.
const FIRST_OBJECT: usize = 730_000_000_001;

/// Settings of the emulated HubSpot account.
#[derive(Clone)]
pub struct EmulatorSettings {
    /// Access token of a private app, which does not expire.
    pub token: String,
    /// Calls allowed within any window of this length.
    pub rate: (u32, Duration),
    /// Number of the account in its details.
    pub portal_id: u64,
    /// OAuth app of the same account, if any. Its calls share the window.
    pub oauth: Option<OAuthApp>,
}

impl EmulatorSettings {
    /// An account with one private app and the limits of HubSpot's free tier (100 calls in 10 s:
    /// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>).
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            rate: (100, Duration::from_secs(10)),
            portal_id: 48_201_377,
            oauth: None,
        }
    }
}

/// One emulated HubSpot account.
pub struct HubspotEmulator {
    access: AccessControl,
    /// The events, by external account and event id.
    events: BTreeMap<(String, String), StoredEvent>,
    queued: VecDeque<EmulatorFault>,
    standing: Vec<EmulatorFault>,
    /// Batches that will be stored later, with the time.
    delayed: Vec<(Millis, Vec<UpsertInput>)>,
    calls: Vec<EmulatorCall>,
    violations: Vec<String>,
    /// Status of every read of an event, instead of its reply.
    read_status: Option<u16>,
    /// Status of every answer about the account, instead of its reply.
    details_status: Option<u16>,
}

impl HubspotEmulator {
    /// An account without events.
    #[must_use]
    pub fn new(settings: EmulatorSettings) -> Self {
        Self {
            access: AccessControl::new(settings),
            events: BTreeMap::new(),
            queued: VecDeque::new(),
            standing: Vec::new(),
            delayed: Vec::new(),
            calls: Vec::new(),
            violations: Vec::new(),
            read_status: None,
            details_status: None,
        }
    }

    /// Answers a request that arrives at `now`.
    pub fn handle(&mut self, now: Millis, request: &SimpleRequest) -> SimpleResponse {
        self.store_landed(now);
        let authorization = request.header("authorization");
        let routed = wire::route(request);
        let (inputs, reply) = match routed {
            Ok(EmulatorOperation::Upsert) => self.upsert(now, request),
            Ok(EmulatorOperation::Read) => {
                let admitted = self.access.admit(now, authorization);
                (0, admitted.and_then(|()| self.read(request)))
            }
            Ok(EmulatorOperation::Put) => (1, self.put(now, request)),
            Ok(EmulatorOperation::Details) => {
                let failed = self.details_status.map(|status| Err(answer::status(status)));
                let answered = failed.unwrap_or_else(|| {
                    self.access.admit(now, authorization).map(|()| self.details())
                });
                (0, answered)
            }
            Ok(EmulatorOperation::Token) => {
                if !wire::has_content_type(request, "application/x-www-form-urlencoded") {
                    self.violations.push("the token endpoint takes a form".to_owned());
                }
                (0, Ok(self.access.refresh(now, &request.body)))
            }
            Err(status) => {
                self.violations.push(format!("{} {}: {status}", request.method, request.path));
                (0, Err(answer::status(status)))
            }
        };
        let mut reply = reply.unwrap_or_else(|refusal| refusal);
        // HubSpot's headers of limits at the token endpoint are unknown.
        if routed != Ok(EmulatorOperation::Token) {
            reply.headers.extend(self.access.headers(now, authorization));
        }
        reply.headers.push(("date".to_owned(), answer::http_date(now)));
        let operation = routed.ok();
        self.calls.push(EmulatorCall { at: now, operation, status: reply.status, inputs });
        reply
    }

    /// Stores the delayed batches that are due ([`EmulatorFault::StoredLater`]), in the order of their times. Returns
    /// the time of the next.
    pub fn store_landed(&mut self, now: Millis) -> Option<Millis> {
        self.delayed.sort_by_key(|(at, _)| *at);
        let landed = self.delayed.partition_point(|(at, _)| *at <= now);
        let landed: Vec<_> = self.delayed.drain(..landed).collect();
        for (at, batch) in landed {
            self.store_batch(at, batch);
        }
        self.delayed.first().map(|(at, _)| *at)
    }

    /// Injects a fault into the next admitted upsert, after faults that already wait.
    pub fn inject(&mut self, fault: EmulatorFault) {
        self.queued.push_back(fault);
    }

    /// Injects a fault into every upsert that it applies to, until [`Self::clear_faults`]. Of several faults the first
    /// that applies counts.
    pub fn inject_standing(&mut self, fault: EmulatorFault) {
        self.standing.push(fault);
    }

    /// Ends all faults; delayed batches are still stored.
    pub fn clear_faults(&mut self) {
        self.queued.clear();
        self.standing.clear();
    }

    /// Answers every read of an event with this status, until it is set to none: 403 is a credential without the scope for
    /// reading.
    pub fn set_read_status(&mut self, status: Option<u16>) {
        self.read_status = status;
    }

    /// Answers every question about the account (`GET /account-info/v3/details`) with this status, whatever the token,
    /// until it is set to none.
    pub fn set_details_status(&mut self, status: Option<u16>) {
        self.details_status = status;
    }

    /// Sets the account's remaining calls of the day; `None` removes the limit. A day never ends here.
    pub fn set_daily_limit(&mut self, calls: Option<u32>) {
        self.access.set_daily_limit(calls);
    }

    /// The events, by external account and event id.
    #[must_use]
    pub fn events(&self) -> &BTreeMap<(String, String), StoredEvent> {
        &self.events
    }

    /// Stores an event, as an earlier client did.
    pub fn hold(&mut self, now: Millis, input: UpsertInput) {
        self.replace(now, input);
    }

    /// Changes an event, or deletes it (`None`), as another client would.
    pub fn tamper(
        &mut self,
        account: &str,
        event: &str,
        with: impl FnOnce(StoredEvent) -> Option<StoredEvent>,
    ) {
        let key = (account.to_owned(), event.to_owned());
        if let Some(event) = self.events.remove(&key).and_then(with) {
            self.events.insert(key, event);
        }
    }

    /// All calls so far, in the order of arrival.
    #[must_use]
    pub fn calls(&self) -> &[EmulatorCall] {
        &self.calls
    }

    /// The client's violations of HubSpot's rules.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Number of the batch's events, zero for an invalid batch, and the reply or the refusal.
    fn upsert(
        &mut self,
        now: Millis,
        request: &SimpleRequest,
    ) -> (usize, Result<SimpleResponse, SimpleResponse>) {
        // Parsed before any refusal, so that no violation hides behind a 429.
        let batch = batch::parse(&request.body);
        let count = match &batch {
            Ok(inputs) => {
                self.violations.extend(batch::shared_event_id(inputs));
                inputs.len()
            }
            Err(problem) => {
                self.violations.push(problem.to_string());
                0
            }
        };
        if !wire::has_content_type(request, "application/json") {
            self.violations.push("an upsert takes application/json".to_owned());
        }
        if let Err(refusal) = self.access.admit(now, request.header("authorization")) {
            return (count, Err(refusal));
        }
        let fault = self.take_fault(batch.as_deref().unwrap_or_default());
        let reply = match (fault, batch) {
            (None, Ok(batch)) => self.store_and_confirm(now, batch),
            (Some(fault), Ok(batch)) => self.apply_fault(now, fault, batch),
            (Some(fault), Err(_)) if fault.precedes_body() => {
                self.apply_fault(now, fault, Vec::new())
            }
            (_, Err(problem)) => answer::invalid(&problem.to_string()),
        };
        (count, Ok(reply))
    }

    fn apply_fault(
        &mut self,
        now: Millis,
        fault: EmulatorFault,
        batch: Vec<UpsertInput>,
    ) -> SimpleResponse {
        match fault {
            EmulatorFault::Status { status, retry_after } => {
                answer::retry_after(answer::status(status), retry_after)
            }
            EmulatorFault::PartialErrors { name, identified } => {
                self.store_partially(now, batch, &name, identified)
            }
            EmulatorFault::FewerResults => {
                let half = batch.len() / 2;
                self.store_and_confirm(now, batch.into_iter().take(half).collect())
            }
            EmulatorFault::NoResults(state) => {
                SimpleResponse::json(200, &answer::batch(state, now, &[]))
            }
            EmulatorFault::Conflict => answer::conflict(),
            EmulatorFault::HtmlPage(status) => answer::html_page(status),
            EmulatorFault::Limited { policy, retry_after } => {
                answer::retry_after(answer::limited(policy), retry_after)
            }
            EmulatorFault::RejectNames(_) => answer::status(400),
            EmulatorFault::Transport { fault, stored: false } => {
                SimpleResponse { fault: Some(fault), ..answer::status(502) }
            }
            EmulatorFault::Transport { fault, stored: true } => {
                SimpleResponse { fault: Some(fault), ..self.store_and_confirm(now, batch) }
            }
            EmulatorFault::StoredLater { after, reply } => {
                let reply = self.apply_fault(now, *reply, Vec::new());
                self.delayed.push((now.plus(after), batch));
                self.store_landed(now);
                reply
            }
        }
    }

    fn take_fault(&mut self, batch: &[UpsertInput]) -> Option<EmulatorFault> {
        let standing = || self.standing.iter().find(|fault| fault.applies_to(batch)).cloned();
        match self.queued.pop_front() {
            Some(fault) => fault.applies_to(batch).then_some(fault).or_else(standing),
            None => standing(),
        }
    }

    /// Stores the events and returns their JSON. No documentation states the order of results, so it differs from the
    /// inputs'.
    fn store_batch(&mut self, now: Millis, batch: Vec<UpsertInput>) -> Vec<Value> {
        let shown = batch.into_iter().map(|input| self.replace(now, input));
        let mut results: Vec<_> = shown.collect();
        results.reverse();
        results
    }

    /// Replaces the event with the input and returns its JSON.
    fn replace(&mut self, now: Millis, input: UpsertInput) -> Value {
        let number = FIRST_OBJECT + self.events.len();
        let key = (input.external_account_id.clone(), input.external_event_id.clone());
        let event = match self.events.remove(&key) {
            Some(event) => {
                StoredEvent { input, updated_at: now, writes: event.writes + 1, ..event }
            }
            None => StoredEvent {
                object_id: number.to_string(),
                input,
                created_at: now,
                updated_at: now,
                writes: 1,
            },
        };
        let shown = event.default_response();
        self.events.insert(key, event);
        shown
    }

    fn store_and_confirm(&mut self, now: Millis, batch: Vec<UpsertInput>) -> SimpleResponse {
        let results = self.store_batch(now, batch);
        SimpleResponse::json(200, &answer::batch("COMPLETE", now, &results))
    }

    /// 207 is the status of mixed results in HubSpot's other batch calls, with `COMPLETE` all the same
    /// (<https://developers.hubspot.com/docs/api-reference/error-handling>).
    fn store_partially(
        &mut self,
        now: Millis,
        batch: Vec<UpsertInput>,
        name: &str,
        identified: bool,
    ) -> SimpleResponse {
        let (refused, accepted): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|input| input.event_name.contains(name));
        let mut body = answer::batch("COMPLETE", now, &self.store_batch(now, accepted));
        body["numErrors"] = json!(refused.len());
        body["errors"] =
            refused.iter().map(|input| answer::item_error(input, identified)).collect();
        SimpleResponse::json(207, &body)
    }

    fn details(&self) -> SimpleResponse {
        let details = json!({
            "portalId": self.access.settings.portal_id,
            "accountType": "DEVELOPER_TEST",
            "timeZone": "UTC",
            "companyCurrency": "EUR",
            "additionalCurrencies": [],
            "utcOffset": "+00:00",
            "utcOffsetMilliseconds": 0,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "eu1",
        });
        SimpleResponse::json(200, &details)
    }
}
