//! HubSpot's marketing events, as far as we use them: a state machine over requests, without sockets or a clock.
//!
//! Promises: the same requests at the same times get the same answers. It is stricter than HubSpot is known to be, so
//! that clients that pass do not depend on HubSpot's leniency; [`Emulator::violations`] lists a client's errors. It
//! enforces known rules of HubSpot: the published schema (with `customProperties` optional and of name and value only,
//! as in HubSpot's guide), the full replacement of an event by each upsert, the rolling window, expiring tokens. Relies
//! on its caller for the time and for carrying out [`TransportFault`]s. It holds everything in memory: a crash empties
//! the account.
//!
//! * `wire`: requests, replies and routes;
//! * `access`: credentials and limits;
//! * `batch`: the body of an upsert;
//! * `store`: the events and their JSON;
//! * `answer`: the bodies of replies;
//! * `fault`: injected faults.

mod access;
mod answer;
mod batch;
mod fault;
mod refusal;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use url::form_urlencoded;

use crate::event::Millis;
use access::AccessControl;
pub use access::OAuthApp;
use answer::CorrelationId;
use batch::UpsertInput;
pub use fault::{EmulatorFault, TransportFault};
use store::EventStore;
pub use store::StoredEvent;
use wire::EmulatorRoute;
pub use wire::{EmulatorCall, EmulatorOperation, EmulatorReply, EmulatorRequest};

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
pub struct Emulator {
    portal_id: u64,
    access: AccessControl,
    store: EventStore,
    queued: VecDeque<EmulatorFault>,
    standing: Vec<EmulatorFault>,
    /// Batches that will be stored later, with the time.
    delayed: Vec<(Millis, Vec<UpsertInput>)>,
    calls: Vec<EmulatorCall>,
    violations: Vec<String>,
}

impl Emulator {
    /// An account without events.
    #[must_use]
    pub fn new(settings: EmulatorSettings) -> Self {
        Self {
            portal_id: settings.portal_id,
            access: AccessControl::new(settings.token, settings.rate, settings.oauth),
            store: EventStore::default(),
            queued: VecDeque::new(),
            standing: Vec::new(),
            delayed: Vec::new(),
            calls: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// Answers a request that arrives at `now`.
    pub fn handle(&mut self, now: Millis, request: &EmulatorRequest) -> EmulatorReply {
        self.store_landed(now);
        let (operation, inputs, mut reply) = match wire::route(request) {
            EmulatorRoute::Upsert => {
                let (inputs, reply) = self.upsert(now, request);
                (EmulatorOperation::Upsert, inputs, reply)
            }
            EmulatorRoute::Read(event) => {
                let refusal = self.refusal(now, request);
                let reply = refusal.unwrap_or_else(|| self.read(&request.query, &event));
                (EmulatorOperation::Read, 0, reply)
            }
            EmulatorRoute::Details => {
                let refusal = self.refusal(now, request);
                (EmulatorOperation::Details, 0, refusal.unwrap_or_else(|| self.details()))
            }
            EmulatorRoute::Token => {
                if !request.has_content_type("application/x-www-form-urlencoded") {
                    self.violations.push("the token endpoint takes a form".to_owned());
                }
                (
                    EmulatorOperation::Token,
                    0,
                    self.access.refresh(now, &request.body, self.portal_id),
                )
            }
            EmulatorRoute::WrongMethod => {
                self.violations.push(format!("{} {}: wrong method", request.method, request.path));
                (EmulatorOperation::Unknown, 0, answer::wrong_method(self.correlation_id()))
            }
            EmulatorRoute::NotFound => {
                self.violations.push(format!("{} {}: no such path", request.method, request.path));
                (EmulatorOperation::Unknown, 0, answer::no_such_path(self.correlation_id()))
            }
        };
        // HubSpot's headers of limits at the token endpoint are unknown.
        if operation != EmulatorOperation::Token {
            reply.headers.extend(self.access.headers(now, request.header("authorization")));
        }
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

    /// Sets the account's remaining calls of the day; `None` removes the limit. A day never ends here.
    pub fn set_daily_limit(&mut self, calls: Option<u32>) {
        self.access.set_daily_limit(calls);
    }

    /// The events, by external account and event id.
    #[must_use]
    pub fn events(&self) -> &BTreeMap<(String, String), StoredEvent> {
        self.store.events()
    }

    /// Changes an event, or deletes it (`None`), as another client would.
    pub fn tamper(
        &mut self,
        account: &str,
        event: &str,
        with: impl FnOnce(StoredEvent) -> Option<StoredEvent>,
    ) {
        self.store.tamper(account, event, with);
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

    /// The correlation id of the current call.
    fn correlation_id(&self) -> CorrelationId {
        CorrelationId::for_call(self.calls.len())
    }

    /// Admits the call, or returns the refusal.
    fn refusal(&mut self, now: Millis, request: &EmulatorRequest) -> Option<EmulatorReply> {
        let refused = self.access.admit(now, request.header("authorization")).err()?;
        Some(answer::refused(refused, self.correlation_id()))
    }

    fn upsert(&mut self, now: Millis, request: &EmulatorRequest) -> (usize, EmulatorReply) {
        let correlation = self.correlation_id();
        // Parsed before any refusal, so that no violation hides behind a 429.
        let batch = batch::parse(&request.body);
        match &batch {
            Ok(inputs) => self.violations.extend(batch::shared_event_id(inputs)),
            Err(problem) => self.violations.push(problem.to_string()),
        }
        if !request.has_content_type("application/json") {
            self.violations.push("an upsert takes application/json".to_owned());
        }
        let count = match &batch {
            Ok(inputs) => inputs.len(),
            Err(problem) => problem.inputs(),
        };
        if let Some(refusal) = self.refusal(now, request) {
            return (count, refusal);
        }
        let fault = self.take_fault(batch.as_deref().unwrap_or_default());
        let reply = match (fault, batch) {
            (None, Ok(batch)) => self.store_and_confirm(now, batch),
            (Some(fault), Ok(batch)) => self.apply_fault(now, fault, batch, correlation),
            (Some(fault), Err(_)) if fault.precedes_body() => {
                self.apply_fault(now, fault, Vec::new(), correlation)
            }
            (_, Err(problem)) => answer::invalid(&problem.to_string(), correlation),
        };
        (count, reply)
    }

    fn apply_fault(
        &mut self,
        now: Millis,
        fault: EmulatorFault,
        batch: Vec<UpsertInput>,
        correlation: CorrelationId,
    ) -> EmulatorReply {
        match fault {
            EmulatorFault::Status { status, retry_after } => {
                answer::status(status, retry_after, correlation)
            }
            EmulatorFault::PartialErrors { name, identified } => {
                self.store_partially(now, batch, &name, identified)
            }
            EmulatorFault::EmptyResults => answer::complete(200, now, &[], &[]),
            EmulatorFault::FewerResults => {
                let half = batch.len() / 2;
                self.store_and_confirm(now, batch.into_iter().take(half).collect())
            }
            EmulatorFault::Unfinished(state) => answer::batch(200, state, now, &[], &[]),
            EmulatorFault::HtmlPage(status) => answer::html_page(status),
            EmulatorFault::Limited { policy, retry_after } => {
                answer::limited(policy, retry_after, correlation)
            }
            EmulatorFault::RejectNames(_) => answer::invalid("Invalid input", correlation),
            EmulatorFault::MissingScopes => answer::missing_scopes(correlation),
            EmulatorFault::Transport { fault, stored: false } => {
                EmulatorReply { fault: Some(fault), ..answer::status(502, None, correlation) }
            }
            EmulatorFault::Transport { fault, stored: true } => {
                EmulatorReply { fault: Some(fault), ..self.store_and_confirm(now, batch) }
            }
            EmulatorFault::StoredLater { after, reply } => {
                let reply = self.apply_fault(now, *reply, Vec::new(), correlation);
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
        let shown = batch.into_iter().map(|input| self.store.replace(now, input));
        let mut results: Vec<_> = shown.collect();
        results.reverse();
        results
    }

    fn store_and_confirm(&mut self, now: Millis, batch: Vec<UpsertInput>) -> EmulatorReply {
        answer::complete(200, now, &self.store_batch(now, batch), &[])
    }

    /// 207 is the status of mixed results in HubSpot's other batch calls, with `COMPLETE` all the same
    /// (<https://developers.hubspot.com/docs/api-reference/error-handling>).
    fn store_partially(
        &mut self,
        now: Millis,
        batch: Vec<UpsertInput>,
        name: &str,
        identified: bool,
    ) -> EmulatorReply {
        let (refused, accepted): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|input| input.event_name.contains(name));
        let results = self.store_batch(now, accepted);
        let errors: Vec<_> =
            refused.iter().map(|input| answer::item_error(input, identified)).collect();
        answer::complete(207, now, &results, &errors)
    }

    fn read(&mut self, query: &str, event: &str) -> EmulatorReply {
        let account = form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "externalAccountId")
            .map(|(_, value)| value);
        let Some(account) = account else {
            self.violations.push("an event is read without externalAccountId".to_owned());
            return answer::invalid("externalAccountId is required", self.correlation_id());
        };
        match self.store.show(&account, event) {
            Some(shown) => answer::json(200, &shown),
            None => answer::no_such_event(self.correlation_id()),
        }
    }

    fn details(&self) -> EmulatorReply {
        let details = json!({
            "portalId": self.portal_id,
            "accountType": "DEVELOPER_TEST",
            "timeZone": "UTC",
            "companyCurrency": "EUR",
            "additionalCurrencies": [],
            "utcOffset": "+00:00",
            "utcOffsetMilliseconds": 0,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "eu1",
        });
        answer::json(200, &details)
    }
}
