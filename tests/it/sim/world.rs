//! Everything that outlives the bridge: HubSpot's accounts, the platforms, random numbers and the log.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use webinar_bridge::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId, Millis};
use webinar_bridge::http::simple_server::{SimpleRequest, SimpleResponse};
use webinar_bridge::ledger::{EventState, EventSummary, Retention};
use webinar_bridge::sandbox::emulator::{
    EmulatorFault, EmulatorSettings, HubspotEmulator, OAuthApp, StoredEvent,
};

use super::fault_profile::FaultProfile;
use super::hubspot_faults::{CallFault, ReplyFault};
use super::kept::Before;
use super::leases::{LeaseLosses, may_have_last_calls};
use super::mishap::Mishap;
use super::operator::Operator;
use super::oracle::{Name, Oracle};
use super::platform;
use super::process_run::PlannedEnd;
use super::renamed_source;
use super::thin::ThinWebinars;
use super::webhooks::{
    self, LONGEST_BODY, POISON_IDENTIFIED, POISON_UNIDENTIFIED, Webhook, accounts,
};
use super::wrong_clock::{Belief, ClockErrors};
use crate::expectation::ExpectedEvent;
use crate::harness::build::NOON;
use crate::harness::rng::SeededRng;

/// Access token of the private app.
pub(super) const TOKEN: &str = "pat-simulated";

/// Time for which a batch that HubSpot still processes is not sent again.
const LEFT_ALONE: Duration = Duration::from_secs(20);

/// One HubSpot account and its calls.
pub(super) struct Portal {
    pub(super) name: AccountName,
    pub(super) emulator: HubspotEmulator,
    /// Time of the last refused token.
    refused_at: Option<Millis>,
    /// Faults of events that it always refuses.
    poison: [EmulatorFault; 2],
    /// Events of open requests.
    flying: BTreeSet<EventKey>,
    /// End of the last call.
    ended_at: Option<Millis>,
    /// Time when the account's lease was lost last.
    lease_lost_at: Option<Millis>,
}

/// Everything except the bridge.
pub(super) struct World {
    pub(super) profile: FaultProfile,
    pub(super) rng: SeededRng,
    pub(super) portals: BTreeMap<String, Portal>,
    pub(super) webhooks: Vec<Webhook>,
    pub(super) operator: Operator,
    pub(super) lease_losses: LeaseLosses,
    pub(super) mishap: Mishap,
    /// How long receipts and events are kept.
    pub(super) keep: Retention,
    pub(super) clock_errors: ClockErrors,
    pub(super) belief: Belief,
    /// Accounts that HubSpot told to wait for longer than ten minutes.
    pub(super) long_waits: BTreeSet<AccountName>,
    /// Webinars of a platform with thin webhooks.
    pub(super) thin: Option<ThinWebinars>,
    /// Present refresh token, which each process run is configured with.
    pub(super) refresh_token: String,
    pub(super) oracle: Oracle,
    /// Present time between process runs: the end of the last one.
    pub(super) now: Millis,
    /// Start of the present process run.
    pub(super) run_began: Millis,
    /// Time of the latest call or crash with an unknown effect at HubSpot.
    pub(super) unknown_since: Option<Millis>,
    /// Events of calls that began without a known outcome: after a crash they may be sent again.
    pub(super) departed: BTreeMap<i64, EventKey>,
    /// Every event ever claimed, by its row.
    pub(super) claimed: BTreeMap<i64, EventKey>,
    /// Events that HubSpot still processes: the number of their state, the time of that answer, and what was sent.
    at_it: BTreeMap<EventKey, (usize, Millis, Vec<u8>)>,
    /// Number of upserts so far, and the number allowed by the events so far.
    pub(super) calls: u64,
    pub(super) allowed: u64,
    pub(super) violations_found: Vec<String>,
    log: Vec<String>,
    trace: DefaultHasher,
}

/// An event of a request, by its name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    external_account_id: String,
    external_event_id: String,
}

/// A grant of the token endpoint.
#[derive(Deserialize)]
struct Granted {
    refresh_token: String,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    inputs: Vec<&'a RawValue>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        renamed_source::begin();
        let mut rng = SeededRng::from_seed(seed);
        let profile = FaultProfile::draw(&mut rng);
        let mut operator = Operator::draw(seed, &profile);
        let lease_losses = LeaseLosses::draw(seed, &profile);
        let mut thin = ThinWebinars::draw(seed, profile.lopsided);
        // One misfortune at a time: otherwise none could say what is right.
        let mishap = if thin.is_some() { Mishap::None } else { Mishap::draw(seed, &profile) };
        let refresh_token = "refresh".to_owned();
        let rate = (profile.rate.requests, profile.rate.window);
        let mut portals = BTreeMap::new();
        for name in accounts() {
            let oauth = (name.as_str() == "other").then(|| OAuthApp {
                client_id: "app".into(),
                client_secret: "app-secret".into(),
                refresh_token: refresh_token.clone(),
                token_lifetime: profile.token_life,
                rotate: operator.rotates,
            });
            let settings = EmulatorSettings { rate, oauth, ..EmulatorSettings::new(TOKEN) };
            let mut emulator = HubspotEmulator::new(settings);
            let told = rng.percent(50);
            let poison = [
                EmulatorFault::RejectNames(POISON_UNIDENTIFIED.into()),
                EmulatorFault::PartialErrors { name: POISON_IDENTIFIED.into(), identified: told },
            ];
            if name.as_str() == "main" {
                emulator.set_daily_limit(profile.daily);
            }
            let host = format!("{name}.example");
            portals.insert(
                host,
                Portal {
                    name,
                    emulator,
                    refused_at: None,
                    poison,
                    flying: BTreeSet::new(),
                    ended_at: None,
                    lease_lost_at: None,
                },
            );
        }
        let mut webhooks = webhooks::webhooks(&mut rng, NOON, profile.within);
        mishap.prepare(&mut webhooks, &mut operator);
        operator.mismap(&mut webhooks);
        if let Some(thin) = &mut thin {
            if thin.is_alone {
                webhooks.clear();
                operator.rest();
            }
            webhooks.extend(thin.webhooks());
        }
        platform::sends(&webhooks);
        let faults_end_at = mishap.faults_end_at(profile.faults_end_at);
        Self {
            profile: mishap.profile(FaultProfile { faults_end_at, ..profile }),
            rng: rng.fork(),
            portals,
            oracle: Oracle::new(webhooks::policies(), &webhooks),
            webhooks,
            operator,
            lease_losses,
            clock_errors: mishap.clock_errors(),
            keep: mishap.keep(),
            mishap,
            belief: Belief::default(),
            long_waits: BTreeSet::new(),
            thin,
            refresh_token,
            now: NOON,
            run_began: NOON,
            unknown_since: None,
            departed: BTreeMap::new(),
            claimed: BTreeMap::new(),
            at_it: BTreeMap::new(),
            calls: 0,
            allowed: 0,
            violations_found: Vec::new(),
            log: Vec::new(),
            trace: DefaultHasher::new(),
        }
    }

    /// Plans the end of the next process run, while early ends are left.
    pub(super) fn planned_end(&mut self, early_ends: &mut u64) -> PlannedEnd {
        if let Some(planned_end) = self.thin.as_mut().and_then(ThinWebinars::plan_week) {
            return planned_end;
        }
        if let Some(planned_end) = self.operator.plan_without_delivery(*early_ends == 0) {
            return planned_end;
        }
        let planned_end =
            if *early_ends > 0 { PlannedEnd::draw(&mut self.rng) } else { PlannedEnd::None };
        *early_ends = early_ends.saturating_sub(1);
        planned_end
    }

    /// Logs an incident.
    pub(super) fn note(&mut self, now: Millis, what: impl AsRef<str>) {
        let line = format!("{:>9} ms  {}", now.get() - NOON.get(), what.as_ref());
        line.hash(&mut self.trace);
        self.log.push(line);
    }

    /// The bridge works now: notes what it may believe of its clock.
    pub(super) fn note_clock(&mut self, now: Millis) {
        let ahead = self.clock_errors.ahead(now);
        self.belief.note(ahead, now);
        self.oracle.other_times = self.belief.other_times(now);
    }

    /// What HubSpot holds of an event.
    pub(super) fn held(&self, key: &EventKey) -> Option<StoredEvent> {
        let portal = self.portals.values().find(|portal| portal.name == key.hubspot)?;
        let name = (
            key.external_account_id.as_str().to_owned(),
            key.external_event_id.as_str().to_owned(),
        );
        portal.emulator.events().get(&name).cloned()
    }

    /// Checks which webinars a pruning deleted: those that were over long ago, and by a doubted clock none (M10, B4, B5).
    /// What HubSpot holds of them is kept from then on.
    pub(super) fn forgotten(
        &mut self,
        now: Millis,
        keep: Retention,
        before: &[EventSummary],
        after: &[EventSummary],
    ) {
        let left: BTreeSet<&EventKey> = after.iter().map(|event| &event.key).collect();
        let gone: Vec<&EventSummary> =
            before.iter().filter(|event| !left.contains(&event.key)).collect();
        let ahead = self.clock_errors.ahead(now);
        let is_believed = self.belief.may_be_believed(ahead);
        let webinars: BTreeSet<Name> =
            gone.iter().filter_map(|event| self.oracle.webinar_of(&event.key).cloned()).collect();
        for webinar in &webinars {
            let (events, arrivals) = self.oracle.known_of(webinar);
            let is_old = |event: &ExpectedEvent| {
                let day_later = event.start.map(|start| start.plus(Duration::from_hours(24)));
                let over_at = event.end.or(day_later);
                over_at.is_some_and(|over_at| over_at < now.minus(keep.events))
            };
            let is_judged = ahead == 0 && arrivals.iter().all(|arrival| arrival.is_dated_right);
            let wrong = !is_believed || is_judged && !events.iter().all(is_old);
            if wrong {
                let what = format!("{webinar:?} is forgotten too early; believed: {is_believed}");
                self.wrong(now, what);
            }
        }
        for event in gone {
            if event.state == EventState::Pending && is_believed {
                self.wrong(now, format!("{:?} is forgotten before it is sent", event.key));
            }
            let webinar = self.oracle.webinar_of(&event.key).cloned();
            if let (Some(webinar), Some(held)) = (webinar, self.held(&event.key)) {
                let is_series = self.oracle.is_whole_series(&webinar);
                let reports = self.oracle.last_reports(&webinar);
                let since = now.minus(keep.events);
                let before = Before { reports, since, lost_at: now, is_copy: false };
                self.oracle.kept.lose(event.key.clone(), (webinar, is_series), before, &held);
            }
        }
        for webinar in webinars {
            self.note(now, format!("{webinar:?} is forgotten"));
            self.oracle.forget(&webinar);
        }
    }

    /// Logs a violation.
    pub(super) fn wrong(&mut self, now: Millis, what: impl AsRef<str>) {
        self.note(now, format!("WRONG: {}", what.as_ref()));
        self.violations_found.push(what.as_ref().to_owned());
    }

    /// Hash of the log so far.
    pub(super) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    pub(super) fn log(&self) -> &[String] {
        &self.log
    }

    /// Whether faults are still injected.
    pub(super) fn has_faults(&self, now: Millis) -> bool {
        now < self.profile.faults_end_at
    }

    /// A call begins: none may during a pause, except one that follows at once on another's answer.
    pub(super) fn begin_call(&mut self, now: Millis, host: &str) {
        let Some(portal) = self.portals.get(host) else { return };
        let Some(why) = self.operator.forbids(&portal.name, now) else { return };
        if portal.ended_at != Some(now) {
            self.wrong(now, format!("a call leaves for {host}, though {why}"));
        }
    }

    /// A call ended, successful or not.
    pub(super) fn end_call(&mut self, now: Millis, host: &str) {
        if let Some(portal) = self.portals.get_mut(host) {
            portal.ended_at = Some(now);
        }
    }

    /// A redrive of this event was requested.
    pub(super) fn redriven(&mut self, key: &EventKey) {
        let flying = self.departed.values().any(|departed| departed == key);
        self.allowed += 1;
        // A redrive overrides the wait.
        self.at_it.remove(key);
        self.operator.owed.insert(key.clone(), flying);
    }

    /// Another process takes the account's lease. What was in flight is sent again, now and once more later.
    pub(super) fn lose_lease(&mut self, now: Millis, account: &AccountName) {
        let departed = self.departed.len();
        self.departed.retain(|_, key| key.hubspot != *account);
        let departed = u64::try_from(departed - self.departed.len()).expect("few");
        self.note(now, format!("{account} loses its lease, with {departed} events in flight"));
        self.allowed += 2 * departed;
        // An answer may not have been stored.
        self.at_it.retain(|key, _| key.hubspot != *account);
        for portal in self.portals.values_mut().filter(|portal| portal.name == *account) {
            portal.flying.clear();
            portal.lease_lost_at = Some(now);
        }
        self.unknown_since = Some(now);
    }

    /// The account works again: what waits is sent at once.
    pub(super) fn end_waits(&mut self, account: &AccountName) {
        self.at_it.retain(|key, _| key.hubspot != *account);
    }

    /// A request to HubSpot begins: its states must be expected, and none of its events may be in flight already. The
    /// last calls under a lost lease may carry older states, and events that are in flight.
    pub(super) fn begin_request(&mut self, now: Millis, host: &str, body: &[u8]) -> Vec<EventKey> {
        let Some(portal) = self.portals.get_mut(host) else { return Vec::new() };
        let hubspot = portal.name.clone();
        let last_calls = may_have_last_calls(portal.lease_lost_at, now);
        let mut keys = Vec::new();
        for (key, raw) in parse(&hubspot, body) {
            self.operator.owed.remove(&key);
            let nth = self.oracle.states(&key);
            let at_it = self.at_it.get(&key).filter(|(told, ..)| *told == nth);
            // A step of the clock may end the wait.
            let is_steady = self.mishap.keeps_clock();
            let is_same = |sent: &Vec<u8>| is_steady && sent == raw;
            if at_it.is_some_and(|(_, at, sent)| now.since(*at) < LEFT_ALONE && is_same(sent)) {
                self.wrong(now, format!("{} is not left alone", key.external_event_id));
            }
            self.note_clock(now);
            match self.oracle.sent(&key, raw, now, last_calls) {
                Ok(timers) => self.allowed += timers,
                Err(what) => self.wrong(now, what),
            }
            let portal = self.portals.get_mut(host).expect("it is there");
            if last_calls || portal.flying.insert(key.clone()) {
                keys.push(key);
            } else {
                let what = format!("two requests with {} at a time", key.external_event_id);
                self.wrong(now, what);
            }
        }
        self.calls += 1;
        keys
    }

    /// A request was answered or given up.
    pub(super) fn end_request(&mut self, host: &str, keys: &[EventKey]) {
        if let Some(portal) = self.portals.get_mut(host) {
            portal.flying.retain(|key| !keys.contains(key));
        }
    }

    /// An upsert arrives.
    pub(super) fn upsert(
        &mut self,
        now: Millis,
        host: &str,
        request: &SimpleRequest,
        events: usize,
    ) -> (SimpleResponse, ReplyFault) {
        let faulty = self.has_faults(now);
        let trouble = if self.profile.lopsided && host.starts_with("other") {
            100
        } else {
            self.profile.call_fault_percent
        };
        let mut call_fault = if faulty && self.rng.percent(trouble) {
            CallFault::random(&mut self.rng, events)
        } else {
            CallFault::none()
        };
        if is_poisoned(&request.body) && call_fault.fault == Some(EmulatorFault::FewerResults) {
            // The returned events would be confirmed, poison among them.
            call_fault.fault = Some(EmulatorFault::NoResults("COMPLETE"));
        }
        call_fault.fault = call_fault.fault.map(|fault| unless_poisoned(fault, &request.body));
        if self.mishap.silences(host, now) && call_fault.fault.is_none() {
            call_fault.fault = Some(EmulatorFault::NoResults("COMPLETE"));
        }
        // A refused single event is dead, so refusals of single events come from poison alone.
        if request.body.len() > LONGEST_BODY {
            call_fault = CallFault {
                fault: Some(EmulatorFault::Status { status: 413, retry_after: None }),
                ..CallFault::none()
            };
        }
        let told = format!("{call_fault:?}");
        let at_it = call_fault.is_processing() && call_fault.reply_fault == ReplyFault::Whole;
        let portal = self.portals.get_mut(host).expect("only accounts that exist are called");
        // A fault left over from the last call, which was refused before, must not affect this one.
        portal.emulator.clear_faults();
        portal.poison.iter().for_each(|fault| portal.emulator.inject_standing(fault.clone()));
        let injected = call_fault.fault.is_some();
        if call_fault.is_long_wait() || self.profile.daily.is_some() {
            self.long_waits.insert(portal.name.clone());
        }
        let limited = match &call_fault.fault {
            Some(EmulatorFault::Limited { .. }) => true,
            Some(EmulatorFault::Status { status, .. }) => *status == 429,
            _ => false,
        };
        call_fault.fault.into_iter().for_each(|fault| portal.emulator.inject(fault));
        let reply = portal.emulator.handle(now, request);
        let status = reply.status;
        if status == 401 {
            portal.refused_at = Some(now);
        }
        if at_it && status == 200 && !may_have_last_calls(portal.lease_lost_at, now) {
            for (key, raw) in parse(&portal.name, &request.body) {
                let nth = self.oracle.states(&key);
                self.at_it.insert(key, (nth, now, raw.to_vec()));
            }
        }
        let repeated =
            portal.refused_at.is_some_and(|at| now.since(at) <= self.profile.rate.window);
        let splits = (200..300).contains(&status) || matches!(status, 400 | 409 | 413);
        let clean = reply.status == 200 && !injected && call_fault.reply_fault == ReplyFault::Whole;
        let sent: Vec<String> = parse(&portal.name, &request.body)
            .map(|(key, _)| {
                format!("{}/{}", key.external_account_id.as_str(), key.external_event_id)
            })
            .collect();
        self.note(now, format!("{host}: {sent:?}, {told}: {status}, {:?}", reply.fault));
        if !clean {
            // The batch is sent again, at worst in halves down to single events; after an unknown outcome once more
            // later.
            let parts = if splits { 3 * u64::try_from(events).expect("few") } else { 1 };
            self.allowed += 2 + parts;
            self.unknown_since = Some(now);
        }
        if status == 429 && !limited && self.profile.daily.is_none() {
            // The former process run's use of the window is unknown until the first answer; and a call repeated at once
            // with a new token does not wait for a slot.
            if now.since(self.run_began) > self.profile.rate.window && !repeated {
                self.wrong(now, "the window was exceeded");
            }
        }
        (reply, call_fault.reply_fault)
    }

    /// An abandoned upsert arrives.
    pub(super) fn abandon(&mut self, at: Millis, host: &str, request: &SimpleRequest) {
        let fault = CallFault::of_abandoned_call(&mut self.rng);
        let fault = unless_poisoned(fault, &request.body);
        self.note(at, format!("{host}: nobody waits for it any more: {fault:?}"));
        let portal = self.portals.get_mut(host).expect("only accounts that exist are called");
        portal.emulator.clear_faults();
        portal.emulator.inject(fault);
        portal.emulator.handle(at, request);
    }

    /// A single write arrives.
    pub(super) fn put(
        &mut self,
        now: Millis,
        host: &str,
        request: &SimpleRequest,
    ) -> (SimpleResponse, ReplyFault) {
        let faulty = self.has_faults(now) && !self.profile.lopsided;
        let call_fault = if faulty && self.rng.percent(self.profile.call_fault_percent / 2) {
            CallFault::of_single(&mut self.rng)
        } else {
            CallFault::none()
        };
        let reply_fault = call_fault.reply_fault;
        let portal = self.portals.get_mut(host).expect("only accounts that exist are called");
        portal.emulator.clear_faults();
        portal.poison.iter().for_each(|fault| portal.emulator.inject_standing(fault.clone()));
        let told = format!("{call_fault:?}");
        let is_clean = call_fault.fault.is_none() && reply_fault == ReplyFault::Whole;
        if call_fault.is_long_wait() || self.profile.daily.is_some() {
            self.long_waits.insert(portal.name.clone());
        }
        let fault = if request.body.len() > LONGEST_BODY {
            Some(EmulatorFault::Status { status: 413, retry_after: None })
        } else {
            call_fault.fault.map(|fault| unless_poisoned(fault, &request.body))
        };
        if let Some(fault) = fault {
            portal.emulator.inject(fault);
        }
        let reply = portal.emulator.handle(now, request);
        if reply.status == 401 {
            portal.refused_at = Some(now);
        }
        self.note(now, format!("{host}: PUT {}, {told}: {}", request.path, reply.status));
        self.allowed += if is_clean && reply.status == 200 { 0 } else { 4 };
        if !is_clean || reply.status != 200 {
            self.unknown_since = Some(now);
        }
        (reply, reply_fault)
    }

    /// Any other call arrives.
    pub(super) fn other_call(
        &mut self,
        now: Millis,
        host: &str,
        request: &SimpleRequest,
    ) -> SimpleResponse {
        let failed = if self.has_faults(now) && !self.profile.lopsided {
            CallFault::token_error(&mut self.rng)
        } else {
            None
        };
        let portal = self.portals.get_mut(host).expect("only accounts that exist are called");
        let refused =
            |status| SimpleResponse { status, headers: vec![], body: vec![], fault: None };
        let is_token = request.path.ends_with("/token");
        let reply = match failed.map(refused) {
            // A refresh token that does not arrive would be lost for good.
            Some(refused) if is_token && self.operator.rotates => refused,
            failed => {
                let reply = portal.emulator.handle(now, request);
                failed.unwrap_or(reply)
            }
        };
        if is_token && let Ok(Granted { refresh_token }) = serde_json::from_slice(&reply.body) {
            self.refresh_token = refresh_token;
        }
        self.note(now, format!("{host}: {} {}: {}", request.path, request.query, reply.status));
        reply
    }

    /// The process run ended: calls that had begun may be repeated, twice.
    pub(super) fn end_run(&mut self, now: Millis) {
        let departed = u64::try_from(std::mem::take(&mut self.departed).len()).expect("few");
        self.allowed += 2 * departed;
        // An answer may not have been stored.
        self.at_it.clear();
        self.portals.values_mut().for_each(|portal| portal.flying.clear());
        self.unknown_since = Some(now);
        self.now = now;
    }

    /// Restores the calls of the day.
    pub(super) fn lift_limits(&mut self) {
        self.portals.values_mut().for_each(|portal| portal.emulator.set_daily_limit(None));
    }

    /// Whether a delayed batch is still to be stored.
    pub(super) fn has_delayed_batches(&mut self, now: Millis) -> bool {
        self.portals.values_mut().any(|portal| portal.emulator.store_landed(now).is_some())
    }
}

/// Whether HubSpot refuses a body for one of its events.
fn is_poisoned(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    [POISON_IDENTIFIED, POISON_UNIDENTIFIED].iter().any(|poison| body.contains(poison))
}

/// A fault of a call with that body: what HubSpot refuses it does not store, however it answers.
fn unless_poisoned(fault: EmulatorFault, body: &[u8]) -> EmulatorFault {
    if let EmulatorFault::StoredLater { reply, .. } = &fault
        && is_poisoned(body)
    {
        return EmulatorFault::clone(reply);
    }
    fault
}

/// The events of a body and their states.
fn parse<'a>(
    hubspot: &AccountName,
    body: &'a [u8],
) -> impl Iterator<Item = (EventKey, &'a [u8])> + use<'a> {
    // A single write is an input by itself.
    let inputs = match serde_json::from_slice(body) {
        Ok(Body { inputs }) => inputs,
        Err(_) => vec![serde_json::from_slice(body).expect("the bridge sends an event")],
    };
    let hubspot = hubspot.clone();
    inputs.into_iter().map(move |input| {
        let raw = input.get().as_bytes();
        let named: Named = serde_json::from_slice(raw).expect("an input names its event");
        let key = EventKey {
            hubspot: hubspot.clone(),
            external_account_id: ExternalAccountId::parse(named.external_account_id)
                .expect("the bridge made it"),
            external_event_id: ExternalEventId::from_stored(named.external_event_id),
        };
        (key, raw)
    })
}
