//! What outlives the bridge: HubSpot's accounts, the platforms, chance, and the record of what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use webinar_bridge::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId, Millis};
use webinar_bridge::hubspot::RateLimit;
use webinar_bridge::sandbox::emulator::{
    Emulator, EmulatorReply, EmulatorRequest, EmulatorSettings, Fault, OAuthApp,
};

use super::fates::{Fate, WayBack};
use super::oracle::Oracle;
use super::webhooks::{self, LONGEST_BODY, POISON_TOLD, POISON_UNTOLD, Webhook, accounts};
use crate::harness::build::NOON;
use crate::harness::dice::Dice;

/// What the private app's token is.
pub(super) const TOKEN: &str = "pat-simulated";

/// What HubSpot says to be still at is not sent again before that.
const LEFT_ALONE: Duration = Duration::from_secs(20);

/// How a run is to be: drawn once, at its beginning.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    /// Of a hundred calls so many fail.
    pub(super) trouble: u64,
    /// Of a hundred writes to the store so many fail.
    pub(super) store_trouble: u64,
    /// How many lives end by a crash or a stop.
    pub(super) deaths: u64,
    /// From when on nothing fails any more.
    pub(super) heals_at: Millis,
    /// How long webhooks are first sent.
    pub(super) within: Duration,
    /// The accounts' limit.
    pub(super) rate: RateLimit,
    /// Largest batch.
    pub(super) max_batch: usize,
    /// How long an event waits for company.
    pub(super) max_linger: Duration,
    /// Most calls at a time.
    pub(super) max_in_flight: usize,
    /// One account fails all the time, and nothing else does: the other must not feel it.
    pub(super) lopsided: bool,
    /// The calls that the day has left for the first account.
    pub(super) daily: Option<u32>,
    /// How long the other account's access tokens last.
    pub(super) token_life: Duration,
}

impl Weather {
    fn draw(dice: &mut Dice) -> Self {
        let lopsided = dice.percent(5);
        let within = Duration::from_secs(*dice.pick(&[5, 30, 120, 240]));
        let after = Duration::from_secs(dice.between(0, 180));
        Self {
            trouble: if lopsided { 0 } else { *dice.pick(&[0, 10, 30, 60]) },
            store_trouble: if lopsided { 0 } else { *dice.pick(&[0, 0, 3, 15]) },
            deaths: if lopsided { 0 } else { *dice.pick(&[0, 0, 1, 2, 4, 6]) },
            heals_at: NOON.plus(within + after),
            within,
            rate: RateLimit {
                requests: u32::try_from(*dice.pick(&[3, 10, 100])).expect("small"),
                window: Duration::from_secs(*dice.pick(&[1, 2, 10])),
            },
            max_batch: *dice.pick(&[1, 3, 10, 100]),
            max_linger: Duration::from_millis(*dice.pick(&[0, 100, 1_000])),
            max_in_flight: *dice.pick(&[1, 2, 16]),
            lopsided,
            daily: dice.percent(8).then_some(12),
            token_life: Duration::from_secs(*dice.pick(&[30, 120, 1_800])),
        }
    }
}

/// One HubSpot account and what is known of its calls.
pub(super) struct Portal {
    pub(super) name: AccountName,
    pub(super) emulator: Emulator,
    /// When it last refused a token.
    refused_at: Option<Millis>,
    /// What it always refuses.
    poison: [Fault; 2],
    /// The events in requests that have not been answered or given up.
    flying: BTreeSet<EventKey>,
}

/// Everything but the bridge.
pub(super) struct World {
    pub(super) weather: Weather,
    pub(super) dice: Dice,
    pub(super) portals: BTreeMap<String, Portal>,
    pub(super) webhooks: Vec<Webhook>,
    pub(super) oracle: Oracle,
    /// The time at which the last life ended.
    pub(super) now: Millis,
    /// When the present life began.
    pub(super) born: Millis,
    /// The latest call or crash after which it is unclear what HubSpot holds.
    pub(super) unclear_at: Option<Millis>,
    /// Events of which a call was noted and no outcome: a crash may repeat them.
    pub(super) departed: BTreeSet<i64>,
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

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    inputs: Vec<&'a RawValue>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::seeded(seed);
        let weather = Weather::draw(&mut dice);
        let rate = (weather.rate.requests, weather.rate.window);
        let mut portals = BTreeMap::new();
        for name in accounts() {
            let oauth = (name.as_str() == "other").then(|| OAuthApp {
                client_id: "app".into(),
                client_secret: "app-secret".into(),
                refresh_token: "refresh".into(),
                token_lifetime: weather.token_life,
                rotate: false,
            });
            let settings = EmulatorSettings { rate, oauth, ..EmulatorSettings::new(TOKEN) };
            let mut emulator = Emulator::new(settings);
            let told = dice.percent(50);
            let poison = [
                Fault::RejectNames(POISON_UNTOLD.into()),
                Fault::PartialErrors { name: POISON_TOLD.into(), told },
            ];
            if name.as_str() == "main" {
                emulator.limit_daily(weather.daily);
            }
            let host = format!("{name}.example");
            portals.insert(
                host,
                Portal { name, emulator, refused_at: None, poison, flying: BTreeSet::new() },
            );
        }
        let webhooks = webhooks::webhooks(&mut dice, NOON, weather.within);
        Self {
            weather,
            dice: dice.fork(),
            portals,
            webhooks,
            oracle: Oracle::new(webhooks::policies()),
            now: NOON,
            born: NOON,
            unclear_at: None,
            departed: BTreeSet::new(),
            at_it: BTreeMap::new(),
            calls: 0,
            allowed: 0,
            wrongs: Vec::new(),
            story: Vec::new(),
            trace: DefaultHasher::new(),
        }
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

    /// A request leaves for HubSpot: it must say what is true, and of no event that is under way already.
    pub(super) fn departs(&mut self, now: Millis, host: &str, body: &[u8]) -> Vec<EventKey> {
        let Some(portal) = self.portals.get_mut(host) else { return Vec::new() };
        let hubspot = portal.name.clone();
        let mut keys = Vec::new();
        for (key, raw) in parse(&hubspot, body) {
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
        if poisoned && fate.fault == Some(Fault::FewerResults) {
            // Those that are shown would be confirmed, poison among them.
            fate.fault = Some(Fault::EmptyResults);
        }
        // A single event's refusal is its end, so what dooms single events is told from what they are.
        if request.body.len() > LONGEST_BODY {
            fate = Fate {
                fault: Some(Fault::Status { status: 413, retry_after: None }),
                ..Fate::kind()
            };
        }
        let told = format!("{fate:?}");
        let at_it = fate.is_at_it() && fate.way_back == WayBack::Whole;
        let portal = self.portals.get_mut(host).expect("only accounts that exist are called");
        // A fault that the last call did not come to meet, being turned away before, is not the next one's.
        portal.emulator.heal();
        portal.poison.iter().for_each(|fault| portal.emulator.keep_failing(fault.clone()));
        let injected = fate.fault.is_some();
        let limited = match &fate.fault {
            Some(Fault::Limited { .. }) => true,
            Some(Fault::Status { status, .. }) => *status == 429,
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
        portal.emulator.heal();
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
        let mut reply = portal.emulator.handle(now, request);
        if let Some(status) = failed {
            reply = EmulatorReply { status, headers: Vec::new(), body: Vec::new(), fault: None };
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
        self.portals.values_mut().for_each(|portal| portal.emulator.limit_daily(None));
    }

    /// Whether something that was sent is still to land.
    pub(super) fn lands_later(&mut self, now: Millis) -> bool {
        self.portals.values_mut().any(|portal| portal.emulator.land(now).is_some())
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
            external_event_id: ExternalEventId::stored(named.external_event_id),
        };
        (key, raw)
    })
}
