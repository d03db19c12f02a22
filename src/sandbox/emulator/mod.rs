//! HubSpot's marketing events as far as we use them: a state machine over requests, without sockets or a clock.
//!
//! Promises: the same requests at the same times get the same answers. It is stricter than HubSpot is known to be, so
//! that what passes here does not rest on HubSpot's leniency; what it holds against a client is in
//! [`Emulator::violations`]. It enforces what is known of HubSpot: the published schema (with `customProperties`
//! optional and of name and value only, as HubSpot's guide sends them), the full replacement of an event by each upsert,
//! the rolling window, expiring tokens. Relies on its caller for the time and for carrying out [`TransportFault`]s.
//! It holds everything in memory: a crash is an empty account.
//!
//! * [`batch`]: reading the body of an upsert;
//! * [`store`]: the events, and how they are shown;
//! * [`access`]: who may call, and how often;
//! * [`answer`]: the bodies of refusals;
//! * [`fault`]: what goes wrong on demand.

pub mod access;
mod answer;
mod batch;
pub mod fault;
pub mod store;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::json;
use url::form_urlencoded;

use crate::event::Millis;
use access::Access;
pub use access::OAuthApp;
use batch::Input;
pub use fault::{Fault, TransportFault};
use store::Store;
pub use store::StoredEvent;

/// Where marketing events live. The dated version has v3's operations and schemas (published OpenAPI of both).
const PREFIXES: [&str; 2] =
    ["/marketing/v3/marketing-events/", "/marketing/marketing-events/2026-03/"];

/// What the emulated HubSpot account is like.
#[derive(Clone)]
pub struct EmulatorSettings {
    /// The access token of a private app, which does not expire.
    pub token: String,
    /// So many calls in any window of that length.
    pub rate: (u32, Duration),
    /// The account's number, as the details show it.
    pub portal_id: u64,
    /// An OAuth app of the same account, if there is one. Its calls share the window.
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

/// A request as it came.
#[derive(Clone, Default)]
pub struct EmulatorRequest {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// What follows the `?`, or nothing.
    pub query: String,
    /// Headers; the case of names does not matter.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl EmulatorRequest {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(present, _)| present.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn has_type(&self, wanted: &str) -> bool {
        let essence = self.header("content-type").and_then(|value| value.split(';').next());
        essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(wanted))
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatorReply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How the answer gets lost on its way, if it does.
    pub fault: Option<TransportFault>,
}

/// What a call asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// The batch upsert.
    Upsert,
    /// Reading one event.
    Read,
    /// The account's details.
    Details,
    /// Refreshing an access token.
    Token,
    /// Nothing that exists.
    Unknown,
}

/// A call that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When.
    pub at: Millis,
    /// What for.
    pub operation: Operation,
    /// The answer's status, even if the answer got lost.
    pub status: u16,
    /// How many events an upsert carried, as far as it could be read.
    pub inputs: usize,
}

/// One emulated HubSpot account.
pub struct Emulator {
    portal_id: u64,
    access: Access,
    store: Store,
    queued: VecDeque<Fault>,
    standing: Vec<Fault>,
    calls: Vec<Call>,
    violations: Vec<String>,
}

/// What a request turns out to be.
enum Route<'a> {
    Upsert,
    Read(Cow<'a, str>),
    Details,
    Token,
    WrongMethod,
    Nowhere,
}

impl Emulator {
    /// An account without events.
    #[must_use]
    pub fn new(settings: EmulatorSettings) -> Self {
        Self {
            portal_id: settings.portal_id,
            access: Access::new(settings.token, settings.rate, settings.oauth),
            store: Store::default(),
            queued: VecDeque::new(),
            standing: Vec::new(),
            calls: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// Answers a request that arrives `now`.
    pub fn handle(&mut self, now: Millis, request: &EmulatorRequest) -> EmulatorReply {
        let correlation = answer::Correlation::of_call(self.calls.len());
        let (operation, inputs, mut reply) = match route(request) {
            Route::Upsert => {
                let (inputs, reply) = self.upsert(now, request, correlation);
                (Operation::Upsert, inputs, reply)
            }
            Route::Read(event) => {
                (Operation::Read, 0, self.read(now, request, &event, correlation))
            }
            Route::Details => (Operation::Details, 0, self.details(now, request, correlation)),
            Route::Token => {
                if !request.has_type("application/x-www-form-urlencoded") {
                    self.violations.push("the token endpoint takes a form".to_owned());
                }
                (Operation::Token, 0, self.access.refresh(now, &request.body, self.portal_id))
            }
            Route::WrongMethod => {
                self.violations.push(format!("{} {}: wrong method", request.method, request.path));
                (Operation::Unknown, 0, answer::wrong_method(correlation))
            }
            Route::Nowhere => {
                self.violations.push(format!("{} {}: no such path", request.method, request.path));
                (Operation::Unknown, 0, answer::no_such_path(correlation))
            }
        };
        if operation != Operation::Token {
            reply.headers.extend(self.access.headers(now, request.header("authorization")));
        }
        self.calls.push(Call { at: now, operation, status: reply.status, inputs });
        reply
    }

    /// Lets the next upsert that is let in meet this fault, after those already waiting.
    pub fn inject(&mut self, fault: Fault) {
        self.queued.push_back(fault);
    }

    /// Lets every upsert that the fault concerns meet it, until [`Self::heal`]. Of several the first that concerns it.
    pub fn keep_failing(&mut self, fault: Fault) {
        self.standing.push(fault);
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.queued.clear();
        self.standing.clear();
    }

    /// Leaves so many calls of the day to the account; none lifts the limit. No day ever ends here.
    pub fn limit_daily(&mut self, calls: Option<u32>) {
        self.access.limit_daily(calls);
    }

    /// The events, by external account and external event.
    #[must_use]
    pub fn events(&self) -> &BTreeMap<(String, String), StoredEvent> {
        self.store.events()
    }

    /// All calls so far, in the order of their arrival.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// What a client did that it must never do.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    fn upsert(
        &mut self,
        now: Millis,
        request: &EmulatorRequest,
        correlation: answer::Correlation,
    ) -> (usize, EmulatorReply) {
        // Read before anything may refuse it, so that no violation hides behind a 429.
        let batch = batch::parse(&request.body);
        match &batch {
            Ok(inputs) => self.violations.extend(batch::shared_event_id(inputs)),
            Err(problem) => self.violations.push(problem.to_string()),
        }
        if !request.has_type("application/json") {
            self.violations.push("an upsert takes application/json".to_owned());
        }
        let count = match &batch {
            Ok(inputs) => inputs.len(),
            Err(problem) => problem.inputs(),
        };
        if let Err(refused) = self.access.admit(now, request.header("authorization")) {
            return (count, answer::refused(refused, correlation));
        }
        let fault = self.fault_for(batch.as_deref().unwrap_or_default());
        let reply = match (fault, batch) {
            (Some(Fault::Status { status, retry_after }), _) => {
                answer::status(status, retry_after, correlation)
            }
            (Some(Fault::MissingScopes), _) => answer::missing_scopes(correlation),
            (Some(Fault::Transport { fault, stored: false }), _) => {
                EmulatorReply { fault: Some(fault), ..answer::status(502, None, correlation) }
            }
            (Some(Fault::RejectNames(_)), Ok(_)) => answer::invalid("Invalid input", correlation),
            (Some(Fault::EmptyResults), Ok(_)) => answer::complete(200, now, &[], &[]),
            (Some(Fault::PartialErrors { name, told }), Ok(batch)) => {
                self.write_in_part(now, batch, &name, told)
            }
            (Some(Fault::Transport { fault, stored: true }), Ok(batch)) => {
                EmulatorReply { fault: Some(fault), ..self.write_all(now, batch) }
            }
            (None, Ok(batch)) => self.write_all(now, batch),
            (_, Err(problem)) => answer::invalid(&problem.to_string(), correlation),
        };
        (count, reply)
    }

    fn fault_for(&mut self, batch: &[Input]) -> Option<Fault> {
        let standing = || self.standing.iter().find(|fault| fault.concerns(batch)).cloned();
        match self.queued.pop_front() {
            Some(fault) => fault.concerns(batch).then_some(fault).or_else(standing),
            None => standing(),
        }
    }

    fn write_all(&mut self, now: Millis, batch: Vec<Input>) -> EmulatorReply {
        let mut results: Vec<_> =
            batch.into_iter().map(|input| self.store.replace(now, input)).collect();
        // The order of results is documented nowhere, so it is not that of the inputs.
        results.reverse();
        answer::complete(200, now, &results, &[])
    }

    /// 207 is what HubSpot's other batch calls say to mixed results; `COMPLETE` all the same
    /// (<https://developers.hubspot.com/docs/api-reference/error-handling>).
    fn write_in_part(
        &mut self,
        now: Millis,
        batch: Vec<Input>,
        name: &str,
        told: bool,
    ) -> EmulatorReply {
        let (refused, accepted): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|input| input.event_name.contains(name));
        let mut results: Vec<_> =
            accepted.into_iter().map(|input| self.store.replace(now, input)).collect();
        results.reverse();
        let errors: Vec<_> = refused.iter().map(|input| answer::item_error(input, told)).collect();
        answer::complete(207, now, &results, &errors)
    }

    fn read(
        &mut self,
        now: Millis,
        request: &EmulatorRequest,
        event: &str,
        correlation: answer::Correlation,
    ) -> EmulatorReply {
        if let Err(refused) = self.access.admit(now, request.header("authorization")) {
            return answer::refused(refused, correlation);
        }
        let account = form_urlencoded::parse(request.query.as_bytes())
            .find(|(name, _)| name == "externalAccountId")
            .map(|(_, value)| value);
        let Some(account) = account else {
            self.violations.push("an event is read without externalAccountId".to_owned());
            return answer::invalid("externalAccountId is required", correlation);
        };
        match self.store.show(&account, event) {
            Some(shown) => answer::json(200, &shown),
            None => answer::no_such_event(correlation),
        }
    }

    fn details(
        &mut self,
        now: Millis,
        request: &EmulatorRequest,
        correlation: answer::Correlation,
    ) -> EmulatorReply {
        if let Err(refused) = self.access.admit(now, request.header("authorization")) {
            return answer::refused(refused, correlation);
        }
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

fn route(request: &EmulatorRequest) -> Route<'_> {
    let path = request.path.as_str();
    let (wanted, route) = match path {
        "/account-info/v3/details" => ("GET", Route::Details),
        "/oauth/2026-03/token" => ("POST", Route::Token),
        _ => {
            let within = PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix));
            match within.and_then(|rest| rest.strip_prefix("events/")) {
                Some("upsert") => ("POST", Route::Upsert),
                Some(event) if !event.is_empty() && !event.contains('/') => {
                    ("GET", Route::Read(decoded(event)))
                }
                Some(_) | None => return Route::Nowhere,
            }
        }
    };
    if request.method == wanted { route } else { Route::WrongMethod }
}

/// A path's segment without its percent-encoding. A form's value is encoded likewise but for these two characters.
fn decoded(segment: &str) -> Cow<'_, str> {
    let form = format!("={}", segment.replace('+', "%2B").replace('&', "%26"));
    let value = form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned());
    value.map_or(Cow::Borrowed(segment), Cow::Owned)
}
