//! What outlives the bridge: HubSpot's accounts, the platforms, chance, and the record of what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use webinar_bridge::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId, Millis};
use webinar_bridge::sandbox::emulator::{
    Emulator, EmulatorFault, EmulatorReply, EmulatorRequest, EmulatorSettings, OAuthApp,
};

use super::fates::{Fate, WayBack};
use super::life::Doom;
use super::operator::Operator;
use super::oracle::Oracle;
use super::platform;
use super::weather::Weather;
use super::webhooks::{self, LONGEST_BODY, POISON_TOLD, POISON_UNTOLD, Webhook, accounts};
use crate::harness::build::NOON;
use crate::harness::dice::Dice;

/// What the private app's token is.
pub(super) const TOKEN: &str = "pat-simulated";

/// What HubSpot says to be still at is not sent again before that.
const LEFT_ALONE: Duration = Duration::from_secs(20);

/// One HubSpot account and what is known of its calls.
pub(super) struct Portal {
    pub(super) name: AccountName,
    pub(super) emulator: Emulator,
    /// When it last refused a token.
    refused_at: Option<Millis>,
    /// What it always refuses.
    poison: [EmulatorFault; 2],
    /// The events in requests that have not been answered or given up.
    flying: BTreeSet<EventKey>,
    /// When a call to it last ended.
    ended_at: Option<Millis>,
}

/// Everything but the bridge.
pub(super) struct World {
    pub(super) weather: Weather,
    pub(super) dice: Dice,
    pub(super) portals: BTreeMap<String, Portal>,
    pub(super) webhooks: Vec<Webhook>,
    pub(super) operator: Operator,
    /// The refresh token that is good now: whoever starts the bridge configures it.
    pub(super) refresh_token: String,
    pub(super) oracle: Oracle,
    /// The time at which the last life ended.
    pub(super) now: Millis,
    /// When the present life began.
    pub(super) born: Millis,
    /// The latest call or crash after which it is unclear what HubSpot holds.
    pub(super) unclear_at: Option<Millis>,
    /// Events of which a call was noted and no outcome: a crash may repeat them.
    pub(super) departed: BTreeMap<i64, EventKey>,
    /// Every event that was ever claimed, by its row.
    pub(super) claimed: BTreeMap<i64, EventKey>,
    /// Events that HubSpot said to be still at, in the how-manieth of their states, and when it said so.
    at_it: BTreeMap<EventKey, (usize, Millis)>,
    /// Upserts so far, and how many there may be by what has happened.
    pub(super) calls: u64,
    pub(super) allowed: u64,
    pub(super) wrongs: Vec<String>,
    story: Vec<String>,
    trace: DefaultHasher,
}

/// An event of a request, as far as its name goes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    external_account_id: String,
    external_event_id: String,
}

/// What the token endpoint grants, as far as it is to be remembered.
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
        let mut dice = Dice::seeded(seed);
        let weather = Weather::draw(&mut dice);
        let mut operator = Operator::draw(seed, &weather);
        let refresh_token = "refresh".to_owned();
        let rate = (weather.rate.requests, weather.rate.window);
        let mut portals = BTreeMap::new();
        for name in accounts() {
            let oauth = (name.as_str() == "other").then(|| OAuthApp {
                client_id: "app".into(),
                client_secret: "app-secret".into(),
                refresh_token: refresh_token.clone(),
                token_lifetime: weather.token_life,
                rotate: operator.rotates,
            });
            let settings = EmulatorSettings { rate, oauth, ..EmulatorSettings::new(TOKEN) };
            let mut emulator = Emulator::new(settings);
            let told = dice.percent(50);
            let poison = [
                EmulatorFault::RejectNames(POISON_UNTOLD.into()),
                EmulatorFault::PartialErrors { name: POISON_TOLD.into(), identified: told },
            ];
            if name.as_str() == "main" {
                emulator.set_daily_limit(weather.daily);
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
                },
            );
        }
        let mut webhooks = webhooks::webhooks(&mut dice, NOON, weather.within);
        operator.misread(&mut webhooks);
        platform::sends(&webhooks);
        Self {
            weather,
            dice: dice.fork(),
            portals,
            oracle: Oracle::new(webhooks::policies(), &webhooks),
            webhooks,
            operator,
            refresh_token,
            now: NOON,
            born: NOON,
            unclear_at: None,
            departed: BTreeMap::new(),
            claimed: BTreeMap::new(),
            at_it: BTreeMap::new(),
            calls: 0,
            allowed: 0,
            wrongs: Vec::new(),
            story: Vec::new(),
            trace: DefaultHasher::new(),
        }
    }

    /// How the next life is to end, if so many are left to end before their time.
    pub(super) fn doom(&mut self, deaths: &mut u64) -> Doom {
        if let Some(doom) = self.operator.shadow(*deaths == 0) {
            return doom;
        }
        let doom = if *deaths > 0 { Doom::draw(&mut self.dice) } else { Doom::None };
        *deaths = deaths.saturating_sub(1);
        doom
    }

    /// Something happened.
    pub(super) fn note(&mut self, now: Millis, what: impl AsRef<str>) {
        let line = format!("{:>9} ms  {}", now.get() - NOON.get(), what.as_ref());
        line.hash(&mut self.trace);
        self.story.push(line);
    }

    /// Something happened that must not.
    pub(super) fn wrong(&mut self, now: Millis, what: impl AsRef<str>) {
        self.note(now, format!("WRONG: {}", what.as_ref()));
        self.wrongs.push(what.as_ref().to_owned());
    }

    /// All that happened so far, as one number.
    pub(super) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    pub(super) fn story(&self) -> &[String] {
        &self.story
    }

    /// Whether things still fail.
    pub(super) fn is_cruel(&self, now: Millis) -> bool {
        now < self.weather.heals_at
    }

    /// A call begins: none may while nothing is to be sent, but one that follows at once upon another's answer.
    pub(super) fn calls_out(&mut self, now: Millis, host: &str) {
        let Some(portal) = self.portals.get(host) else { return };
        let Some(why) = self.operator.forbids(&portal.name, now) else { return };
        if portal.ended_at != Some(now) {
            self.wrong(now, format!("a call leaves for {host}, though {why}"));
        }
    }

    /// A call ended, well or not.
    pub(super) fn ended(&mut self, now: Millis, host: &str) {
        if let Some(portal) = self.portals.get_mut(host) {
            portal.ended_at = Some(now);
        }
    }

    /// This event is to be sent again: somebody asked for it.
    pub(super) fn redriven(&mut self, key: &EventKey) {
        let flying = self.departed.values().any(|departed| departed == key);
        self.allowed += 1;
        // Whoever asks does not leave it alone.
        self.at_it.remove(key);
        self.operator.owed.insert(key.clone(), flying);
    }

    /// A request leaves for HubSpot: it must say what is true, and of no event that is under way already.
    pub(super) fn departs(&mut self, now: Millis, host: &str, body: &[u8]) -> Vec<EventKey> {
        let Some(portal) = self.portals.get_mut(host) else { return Vec::new() };
        let hubspot = portal.name.clone();
        let mut keys = Vec::new();
        for (key, raw) in parse(&hubspot, body) {
            self.operator.owed.remove(&key);
            let nth = self.oracle.states(&key);
            let at_it = self.at_it.get(&key).filter(|(told, _)| *told == nth);
            if at_it.is_some_and(|(_, since)| now.since(*since) < LEFT_ALONE) {
                self.wrong(now, format!("{} is not left alone", key.external_event_id));
            }
            match self.oracle.sent(&key, raw, now) {
                Ok(timers) => self.allowed += timers,
                Err(what) => self.wrong(now, what),
            }
            let portal = self.portals.get_mut(host).expect("it is there");
            if portal.flying.insert(key.clone()) {
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
    pub(super) fn returns(&mut self, host: &str, keys: &[EventKey]) {
        if let Some(portal) = self.portals.get_mut(host) {
            portal.flying.retain(|key| !keys.contains(key));
        }
    }

    /// An upsert arrives.
    pub(super) fn upsert(
        &mut self,
        now: Millis,
        host: &str,
        request: &EmulatorRequest,
        events: usize,
    ) -> (EmulatorReply, WayBack) {
        let cruel = self.is_cruel(now);
        let trouble = if self.weather.lopsided && host.starts_with("other") {
            100
        } else {
            self.weather.trouble
        };
        let mut fate = if cruel && self.dice.percent(trouble) {
            Fate::cruel(&mut self.dice, events)
        } else {
            Fate::kind()
        };
        let body = String::from_utf8_lossy(&request.body);
        let poisoned = [POISON_TOLD, POISON_UNTOLD].iter().any(|poison| body.contains(poison));
        if poisoned && fate.fault == Some(EmulatorFault::FewerResults) {
            // Those that are shown would be confirmed, poison among them.
            fate.fault = Some(EmulatorFault::EmptyResults);
        }
        // A single event's refusal is its end, so what dooms single events is told from what they are.
        if request.body.len() > LONGEST_BODY {
            fate = Fate {
                fault: Some(EmulatorFault::Status { status: 413, retry_after: None }),
                ..Fate::kind()
            };
        }
        let told = format!("{fate:?}");
        let at_it = fate.is_at_it() && fate.way_back == WayBack::Whole;
        let portal = self.portals.get_mut(host).expect("only accounts that exist are called");
        // A fault that the last call did not come to meet, being turned away before, is not the next one's.
        portal.emulator.clear_faults();
        portal.poison.iter().for_each(|fault| portal.emulator.inject_standing(fault.clone()));
        let injected = fate.fault.is_some();
        let limited = match &fate.fault {
            Some(EmulatorFault::Limited { .. }) => true,
            Some(EmulatorFault::Status { status, .. }) => *status == 429,
            _ => false,
        };
        fate.fault.into_iter().for_each(|fault| portal.emulator.inject(fault));
        let reply = portal.emulator.handle(now, request);
        let status = reply.status;
        if status == 401 {
            portal.refused_at = Some(now);
        }
        if at_it && status == 200 {
            for (key, _) in parse(&portal.name, &request.body) {
                let nth = self.oracle.states(&key);
                self.at_it.insert(key, (nth, now));
            }
        }
        let repeated =
            portal.refused_at.is_some_and(|at| now.since(at) <= self.weather.rate.window);
        let splits = (200..300).contains(&status) || matches!(status, 400 | 409 | 413);
        let clean = reply.status == 200 && !injected && fate.way_back == WayBack::Whole;
        self.note(now, format!("{host}: {events} events, {told}: {status}, {:?}", reply.fault));
        if !clean {
            // It is sent again, at worst in halves down to single events; and where it is unclear, later once more.
            let parts = if splits { 2 * u64::try_from(events).expect("few") } else { 1 };
            self.allowed += 2 + parts;
            self.unclear_at = Some(now);
        }
        if status == 429 && !limited && self.weather.daily.is_none() {
            // What a life before used of the window is unknown until the first answer tells; and a call that is repeated
            // at once with another token does not wait for a slot.
            if now.since(self.born) > self.weather.rate.window && !repeated {
                self.wrong(now, "the window was exceeded");
            }
        }
        (reply, fate.way_back)
    }

    /// An upsert that nobody waits for arrives.
    pub(super) fn strays(&mut self, at: Millis, host: &str, request: &EmulatorRequest) {
        let fault = Fate::stray(&mut self.dice);
        self.note(at, format!("{host}: nobody waits for it any more: {fault:?}"));
        let portal = self.portals.get_mut(host).expect("only accounts that exist are called");
        portal.emulator.clear_faults();
        portal.emulator.inject(fault);
        portal.emulator.handle(at, request);
    }

    /// Any other call arrives.
    pub(super) fn other_call(
        &mut self,
        now: Millis,
        host: &str,
        request: &EmulatorRequest,
    ) -> EmulatorReply {
        let failed = if self.is_cruel(now) && !self.weather.lopsided {
            Fate::of_token(&mut self.dice)
        } else {
            None
        };
        let portal = self.portals.get_mut(host).expect("only accounts that exist are called");
        let refused = |status| EmulatorReply { status, headers: vec![], body: vec![], fault: None };
        let is_token = request.path.ends_with("/token");
        let reply = match failed.map(refused) {
            // A refresh token that nobody heard of would be lost to all.
            Some(refused) if is_token && self.operator.rotates => refused,
            failed => {
                let reply = portal.emulator.handle(now, request);
                failed.unwrap_or(reply)
            }
        };
        if is_token && let Ok(Granted { refresh_token }) = serde_json::from_slice(&reply.body) {
            self.refresh_token = refresh_token;
        }
        self.note(now, format!("{host}: {}: {}", request.path, reply.status));
        reply
    }

    /// The bridge died: what it had noted as leaving may be sent again, twice.
    pub(super) fn died(&mut self, now: Millis) {
        let departed = u64::try_from(std::mem::take(&mut self.departed).len()).expect("few");
        self.allowed += 2 * departed;
        // What was heard may not have been kept.
        self.at_it.clear();
        self.portals.values_mut().for_each(|portal| portal.flying.clear());
        self.unclear_at = Some(now);
        self.now = now;
    }

    /// The calls of the day are there again.
    pub(super) fn lift_limits(&mut self) {
        self.portals.values_mut().for_each(|portal| portal.emulator.set_daily_limit(None));
    }

    /// Whether something that was sent is still to land.
    pub(super) fn lands_later(&mut self, now: Millis) -> bool {
        self.portals.values_mut().any(|portal| portal.emulator.store_landed(now).is_some())
    }
}

/// The events of a body and their states, as sent.
fn parse<'a>(
    hubspot: &AccountName,
    body: &'a [u8],
) -> impl Iterator<Item = (EventKey, &'a [u8])> + use<'a> {
    let Body { inputs } = serde_json::from_slice(body).expect("the bridge sends an upsert");
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
