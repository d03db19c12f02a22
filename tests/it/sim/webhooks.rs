//! The platforms' webhooks: webinars of every shape, reported in parts, late, repeated and out of order.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};
use webinar_bridge::event::{
    AccountName, BodyHash, Change, ChangeKind, CustomProperty, EndTime, ExternalAccountId,
    FetchRequest, Millis, OccurrenceChange, OccurrenceId, OccurrenceListing, Policy, ProviderId,
    ReceiptId, RecurringMode, RunChange, RunPhase, Shape, SourceName, WebinarFields, WebinarId,
    compile_event_expression,
};
use webinar_bridge::ledger::{DuplicateRule, NewReceipt, Policies, ReceiptContent, ReceiptKind};

use super::thin::THIN_SOURCE;
use super::{renamed_source, strangers};
use crate::harness::build::{NOON, account, policy, source};
use crate::harness::rng::SeededRng;

/// Events with this name are refused with a batch's 400, which does not identify them.
pub(super) const POISON_UNIDENTIFIED: &str = "HEMLOCK";
/// Events with this name are refused in an answer's `errors`.
pub(super) const POISON_IDENTIFIED: &str = "NIGHTSHADE";
/// Longest body; longer ones are refused with 413.
pub(super) const LONGEST_BODY: usize = 24 * 1024;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A webhook that a platform sends until it is answered.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    pub(super) source: SourceName,
    /// Time of the first sending.
    pub(super) due: Millis,
    /// Number of repetitions after it was answered.
    pub(super) again: u64,
    /// Correct changes.
    pub(super) changes: Vec<Change>,
    /// Webinars to ask the platform about.
    pub(super) fetch_requests: Vec<FetchRequest>,
    /// Mapping at the time of receipt.
    pub(super) mapped_as: MappedAs,
    pub(super) digest: [u8; 32],
    pub(super) answered: bool,
}

/// Mapping by the receiving code; replays map correctly.
#[derive(Debug, Clone)]
pub(super) enum MappedAs {
    Right,
    Wrong(Vec<Change>),
    None,
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, due, again, changes, fetch_requests, mapped_as, .. } = self;
        let mapped = match mapped_as {
            MappedAs::Right => "",
            MappedAs::Wrong(_) => ", mapped wrongly",
            MappedAs::None => ", not mapped",
        };
        write!(f, "of {source} at {} ms{mapped}, again {again}:", due.get() - NOON.get())?;
        for change in changes {
            write!(f, " {}", serde_json::to_string(change).expect("it is written"))?;
        }
        for request in fetch_requests {
            write!(f, " asks about {}", request.webinar)?;
        }
        Ok(())
    }
}

impl Webhook {
    /// The receipt of the webhook now.
    pub(super) fn receipt(&self, now: Millis, id: [u8; 16]) -> NewReceipt {
        NewReceipt {
            id: ReceiptId::from_bytes(id),
            kind: ReceiptKind::Webhook,
            source: self.source.clone(),
            provider: ProviderId::new("zoom"),
            received_at: now,
            event_type: "webinar.simulated".into(),
            dedupe_key: self.digest,
            duplicates: DuplicateRule::Delivery,
            hash: BodyHash::from_digest(&self.digest),
            headers: Vec::new(),
            body: self.digest.to_vec(),
            content: match &self.mapped_as {
                MappedAs::Right => ReceiptContent::Changes(self.changes.clone()),
                MappedAs::Wrong(changes) => ReceiptContent::Changes(changes.clone()),
                MappedAs::None => ReceiptContent::Quarantined("not understood yet".into()),
            },
            fetch_requests: self.fetch_requests.clone(),
        }
    }
}

/// The accounts of every simulation.
pub(super) fn accounts() -> [AccountName; 2] {
    [account("main"), account("other")]
}

/// Two sources of the same webinars, one that makes one event of a series, one of the other account, one without an
/// organizer, one with thin webhooks, and custom ones.
pub(super) fn policies() -> Policies {
    let grace = Some(Duration::from_mins(5));
    // Each lacks what the other gives, as two sources of one account of a platform do.
    let first = Policy { organizer: None, complete_after_end: grace, ..policy("main") };
    let second = Policy { organizer: Some("Beta Ltd".into()), ..policy("main") };
    let series = Policy { recurring: RecurringMode::Series, ..policy("main") };
    let length = compile_event_expression("size(event.name)").expect("an expression");
    let other = Policy {
        complete_after_end: grace,
        custom_properties: BTreeMap::from([
            ("platform".to_owned(), CustomProperty::Text("zoom".into())),
            ("length".to_owned(), CustomProperty::Computed(length)),
        ]),
        ..policy("other")
    };
    let nobody = Policy { organizer: None, ..policy("other") };
    let thin = policy("main");
    let named = [
        ("a", first),
        ("b", second),
        ("s", series),
        ("c", other),
        ("n", nobody),
        (THIN_SOURCE, thin),
    ];
    let policies = named.into_iter().map(|(name, policy)| (source(name), policy)).collect();
    renamed_source::under_present_names(policies).into_iter().chain(strangers::policies()).collect()
}

/// Draws the webhooks of a simulation that begins at `start`, first sent within `within`.
pub(super) fn webhooks(rng: &mut SeededRng, start: Millis, within: Duration) -> Vec<Webhook> {
    let many = if rng.percent(4) { rng.between(20, 60) } else { rng.between(1, 8) };
    // Poison is rare: the bridge takes twenty refusals in a row for the account's failure, as it should.
    let poison = if many < 20 && rng.percent(40) { 6 } else { 0 };
    let mut all = Vec::new();
    for number in 0..many {
        let script = WebinarScript::new(rng, number, start, poison);
        let count = match many {
            20.. => rng.between(1, 3),
            _ if script.repeats => rng.between(100, 300),
            _ => rng.between(1, 10),
        };
        // Some platforms report all changes at once, so that a change is reversed while a call is in flight.
        let hasty = rng.percent(40).then(|| rng.between(0, ms(within)));
        for nth in 0..count {
            let (from, to) = match hasty {
                // One change after the other, so that each is sent before the next reverses it.
                Some(at) if script.flips => (at + nth * 1_500, at + nth * 1_500 + 1_000),
                Some(at) => (at, at + 4_000),
                None => (0, ms(within)),
            };
            let due = start.plus(Duration::from_millis(rng.between(from, to)));
            // Changes have ascending times and are sent in any order.
            let at = script.platform_time(start, i64::try_from(nth).expect("few"));
            let changes = vec![script.change(rng, nth, at)];
            let name = rng.pick(&script.sources).to_owned();
            let digest = Sha256::digest(format!("{number}.{nth}.{}", due.get())).into();
            let again = if rng.percent(15) { rng.between(1, 3) } else { 0 };
            let source = source(name);
            let mapped_as = MappedAs::Right;
            all.push(Webhook {
                source,
                due,
                again,
                changes,
                fetch_requests: Vec::new(),
                mapped_as,
                digest,
                answered: false,
            });
        }
    }
    all
}

pub(super) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("it fits")
}

/// Draws the changes of one webinar.
struct WebinarScript {
    sources: Vec<&'static str>,
    account: ExternalAccountId,
    id: WebinarId,
    shape: Shape,
    start: Millis,
    poison: u64,
    /// Whether only the name changes, back and forth.
    flips: bool,
    /// Whether nearly all webhooks say the same again.
    repeats: bool,
    /// Whether the platform tells times in seconds, several changes in each.
    seconds: bool,
    /// How far the platform's clock is ahead, in milliseconds.
    skew: i64,
}

impl WebinarScript {
    fn new(rng: &mut SeededRng, number: u64, now: Millis, poison: u64) -> Self {
        let sources: &[&[&str]] = &[&["a", "b"], &["a"], &["s"], &["c"], &["n"]];
        // Two webinars may have the same id in two accounts of the platform.
        let id = 10_000_000 + number / 2;
        let account = if number.is_multiple_of(2) { "acct-1" } else { "acct-2" };
        // Some end soon, so that their timers run out meanwhile.
        let offset = if rng.percent(40) { -HOUR + 20 * MINUTE } else { 24 * HOUR };
        let minute = i64::try_from(rng.below(30)).expect("few") * MINUTE;
        Self {
            sources: rng.pick(sources).to_vec(),
            account: ExternalAccountId::parse(account).expect("valid"),
            id: WebinarId::parse(id.to_string()).expect("valid"),
            shape: *rng.pick(&[Shape::Single, Shape::Single, Shape::Series, Shape::Timeless]),
            start: Millis::new(now.get() + offset + minute),
            poison,
            flips: rng.percent(15),
            repeats: rng.percent(1),
            seconds: rng.percent(20),
            skew: if rng.percent(15) { *rng.pick(&[-2 * HOUR, 2 * HOUR, 30 * HOUR]) } else { 0 },
        }
    }

    /// The platform's time of the change of that number.
    fn platform_time(&self, start: Millis, nth: i64) -> Millis {
        if self.seconds {
            return Millis::new((start.get() + self.skew + nth * 400) / 1_000 * 1_000);
        }
        Millis::new(start.get() + self.skew + nth * MINUTE / 2)
    }

    fn change(&self, rng: &mut SeededRng, nth: u64, at: Millis) -> Change {
        // Most begin with a body of the whole webinar; the others stay incomplete.
        let created = nth == 0 && rng.percent(92);
        let mut change = Change::new(self.id.clone(), ChangeKind::Updated);
        change.account = Some(self.account.clone());
        change.occurred_at = (!rng.percent(4)).then_some(at);
        if created {
            change.kind = ChangeKind::Created;
            change.is_creation = rng.percent(60);
            change.full_picture = true;
            change.shape = Some(self.shape);
            change.whole = WebinarFields {
                name: Some(if self.flips { "Roots".to_owned() } else { self.name(rng) }),
                start: Some(self.start),
                end: EndTime::after_minutes(60),
                cancelled: Some(false),
                ..WebinarFields::default()
            };
            if self.shape == Shape::Series {
                change.listing = OccurrenceListing::Full;
                change.occurrences = (0..rng.between(1, 4)).map(|n| self.occurrence(n)).collect();
            }
            return change;
        }
        if self.repeats && rng.percent(95) {
            change.whole.cancelled = Some(true);
        } else if self.flips {
            change.whole.name = Some(["Roots", "Leaves"][usize::from(nth % 2 == 1)].to_owned());
        } else {
            self.update(rng, &mut change);
        }
        change
    }

    fn update(&self, rng: &mut SeededRng, change: &mut Change) {
        let moved =
            Millis::new(self.start.get() + i64::try_from(rng.below(4)).expect("few") * HOUR);
        match rng.below(18) {
            0..=2 => change.whole.name = Some(self.name(rng)),
            3 => change.whole.start = Some(moved),
            4 => {
                let text = rng.pick(&["", "About roots", "About leaves"]);
                change.whole.description = Some((*text).to_owned());
                let url = format!("https://example.org/{}", rng.below(3));
                change.whole.registration_url = Some(url);
            }
            5 => {
                let off = rng.percent(60);
                change.kind = if off { ChangeKind::Cancelled } else { ChangeKind::Recovered };
                change.whole.cancelled = Some(off);
            }
            6 => {
                change.kind = ChangeKind::Completed;
                change.session = Some(self.run(rng));
            }
            7 => change.whole.organizer = Some((*rng.pick(&["Ada", "Grace", ""])).to_owned()),
            8 if self.poison > 0 => {
                // Some are too large for any call.
                let length = if rng.percent(30) { LONGEST_BODY } else { LONGEST_BODY / 4 };
                change.whole.description = Some("long ".repeat(length / 5));
            }
            9 if self.shape == Shape::Series => {
                change.listing = *rng.pick(&[
                    OccurrenceListing::Full,
                    OccurrenceListing::Partial,
                    OccurrenceListing::Partial,
                    OccurrenceListing::Unknown,
                ]);
                let n = rng.between(0, 4);
                let mut occurrence = self.occurrence(n);
                occurrence.fields.start = Some(moved.plus(Duration::from_hours(24 * n)));
                occurrence.fields.cancelled = rng.percent(40).then(|| rng.percent(50));
                change.occurrences = vec![occurrence];
            }
            10 if rng.percent(20) => {
                // A series becomes a single webinar, or the reverse.
                change.shape = Some(*rng.pick(&[Shape::Single, Shape::Series]));
            }
            11 => change.whole.completed = Some(rng.percent(70)),
            12 => change.whole.absent = Some(rng.percent(50)),
            13 => {
                // Planned anew, with the end of the new date.
                let days = rng.between(0, 3);
                let start = moved.plus(Duration::from_hours(24 * days));
                change.whole.start = Some(start);
                change.whole.end = Some(EndTime::At(start.plus(Duration::from_mins(45))));
            }
            14 if self.shape == Shape::Series => {
                // The platform answered which occurrences there are.
                change.listing = OccurrenceListing::Observed;
                change.occurrences = (0..rng.between(0, 3)).map(|n| self.occurrence(n)).collect();
            }
            _ => {
                // Whole bodies with the same fields, or with an earlier name.
                change.full_picture = true;
                change.shape = Some(self.shape);
                change.whole.name = Some(self.name(rng));
                change.whole.start = Some(self.start);
            }
        }
    }

    /// A run: the webinar itself, a rehearsal hours before, or another one half a day later.
    fn run(&self, rng: &mut SeededRng) -> RunChange {
        let phases = [RunPhase::Started, RunPhase::Ended, RunPhase::Ended, RunPhase::Practised];
        let hours = *rng.pick(&[-5, 0, 0, 13]);
        let began = Millis::new(self.start.get() + hours * HOUR);
        let ended_at = rng.percent(70).then(|| began.plus(Duration::from_mins(55)));
        RunChange { phase: *rng.pick(&phases), started_at: Some(began), ended_at }
    }

    /// Few names, so that changes are often reversed.
    fn name(&self, rng: &mut SeededRng) -> String {
        if rng.percent(self.poison) {
            return (*rng.pick(&[POISON_IDENTIFIED, POISON_UNIDENTIFIED])).to_owned();
        }
        (*rng.pick(&["Roots", "Leaves", "Bark"])).to_owned()
    }

    fn occurrence(&self, number: u64) -> OccurrenceChange {
        let id = OccurrenceId::parse(format!("o{number}")).expect("valid");
        let start = Some(self.start.plus(Duration::from_hours(24 * number)));
        OccurrenceChange { id, fields: WebinarFields { start, ..WebinarFields::default() } }
    }
}
