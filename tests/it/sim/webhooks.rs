//! What the platforms send: webinars of every shape, told of in pieces, late, twice and out of order.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use webinar_bridge::event::{
    AccountName, BodyHash, Change, ChangeKind, CustomProperty, EndTime, ExternalAccountId, Millis,
    OccurrenceChange, OccurrenceId, OccurrenceListing, Policy, ProviderId, ReceiptId,
    RecurringMode, RunChange, RunPhase, Shape, SourceName, WebinarFields, WebinarId,
    compile_event_expression,
};
use webinar_bridge::ledger::{NewReceipt, Policies, ReceiptContent, ReceiptKind};

use crate::harness::build::{account, policy, source};
use crate::harness::dice::Dice;

/// Events with this in their name are refused with a batch's 400, which does not say which of them it is.
pub(super) const POISON_UNTOLD: &str = "HEMLOCK";
/// Events with this in their name are refused by an answer's `errors`.
pub(super) const POISON_TOLD: &str = "NIGHTSHADE";
/// Bodies longer than this are refused with 413.
pub(super) const LONGEST_BODY: usize = 24 * 1024;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A webhook that a platform sends until it is answered.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    pub(super) source: SourceName,
    /// When it is sent first.
    pub(super) due: Millis,
    /// How often it is sent again although it was answered.
    pub(super) again: u64,
    /// What it says.
    pub(super) changes: Vec<Change>,
    /// What is made of it when it comes.
    pub(super) reading: Reading,
    pub(super) digest: [u8; 32],
    pub(super) answered: bool,
}

/// What the code that takes a webhook makes of it; replaying it is done by better code.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    Right,
    Wrong(Vec<Change>),
    None,
}

impl Webhook {
    /// The webhook as it comes in now.
    pub(super) fn receipt(&self, now: Millis, id: [u8; 16]) -> NewReceipt {
        NewReceipt {
            id: ReceiptId::from_bytes(id),
            kind: ReceiptKind::Webhook,
            source: self.source.clone(),
            provider: ProviderId::new("zoom"),
            received_at: now,
            event_type: "webinar.simulated".into(),
            dedupe_key: self.digest,
            lasting_key: false,
            hash: BodyHash::from_digest(&self.digest),
            headers: Vec::new(),
            body: self.digest.to_vec(),
            content: match &self.reading {
                Reading::Right => ReceiptContent::Changes(self.changes.clone()),
                Reading::Wrong(changes) => ReceiptContent::Changes(changes.clone()),
                Reading::None => ReceiptContent::Quarantined("not understood yet".into()),
            },
            fetch_requests: Vec::new(),
        }
    }
}

/// The accounts of every simulation.
pub(super) fn accounts() -> [AccountName; 2] {
    [account("main"), account("other")]
}

/// Two sources that speak of the same webinars, one that makes one event of a series, one of the other account, and one
/// without an organizer.
pub(super) fn policies() -> Policies {
    let grace = Some(Duration::from_mins(5));
    let first = Policy { complete_after_end: grace, ..policy("main") };
    let second = Policy { organizer: Some("Beta Ltd".into()), ..first.clone() };
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
    let named = [("a", first), ("b", second), ("s", series), ("c", other), ("n", nobody)];
    named.into_iter().map(|(name, policy)| (source(name), policy)).collect()
}

/// The webhooks of a run that begins then, and are first sent within that time.
pub(super) fn webhooks(dice: &mut Dice, start: Millis, within: Duration) -> Vec<Webhook> {
    let many = if dice.percent(4) { dice.between(20, 60) } else { dice.between(1, 8) };
    // Poison is rare: twenty refusals in a row are taken for the account's trouble, as they should be.
    let poison = if many < 20 && dice.percent(40) { 6 } else { 0 };
    let mut all = Vec::new();
    for number in 0..many {
        let teller = Teller::new(dice, number, start, poison);
        let told = if many < 20 { dice.between(1, 10) } else { dice.between(1, 3) };
        // Some platforms tell of all at once, so that what changed changes back while it is under way.
        let hasty = dice.percent(40).then(|| dice.between(0, ms(within)));
        for nth in 0..told {
            let (from, to) = match hasty {
                // One change after the other, so that each is sent before the next takes it back.
                Some(at) if teller.flips => (at + nth * 1_500, at + nth * 1_500 + 1_000),
                Some(at) => (at, at + 4_000),
                None => (0, ms(within)),
            };
            let due = start.plus(Duration::from_millis(dice.between(from, to)));
            // Told of in the order of their times, and sent in any.
            let at = Millis::new(start.get() + i64::try_from(nth).expect("few") * MINUTE / 2);
            let changes = vec![teller.change(dice, nth, at)];
            let name = dice.pick(&teller.sources).to_owned();
            let digest = Sha256::digest(format!("{number}.{nth}.{}", due.get())).into();
            let again = if dice.percent(15) { dice.between(1, 3) } else { 0 };
            let source = source(name);
            let reading = Reading::Right;
            all.push(Webhook { source, due, again, changes, reading, digest, answered: false });
        }
    }
    all
}

pub(super) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("it fits")
}

/// What is told of one webinar.
struct Teller {
    sources: Vec<&'static str>,
    account: ExternalAccountId,
    id: WebinarId,
    shape: Shape,
    start: Millis,
    poison: u64,
    /// Its name changes and changes back, and nothing else does.
    flips: bool,
}

impl Teller {
    fn new(dice: &mut Dice, number: u64, now: Millis, poison: u64) -> Self {
        let sources: &[&[&str]] = &[&["a", "b"], &["a"], &["s"], &["c"], &["n"]];
        // Two webinars may have one id in two accounts of the platform.
        let id = 10_000_000 + number / 2;
        let account = if number.is_multiple_of(2) { "acct-1" } else { "acct-2" };
        // Some are over soon, so that their timers run out meanwhile.
        let offset = if dice.percent(40) { -HOUR + 20 * MINUTE } else { 24 * HOUR };
        let minute = i64::try_from(dice.below(30)).expect("few") * MINUTE;
        Self {
            sources: dice.pick(sources).to_vec(),
            account: ExternalAccountId::parse(account).expect("valid"),
            id: WebinarId::parse(id.to_string()).expect("valid"),
            shape: *dice.pick(&[Shape::Single, Shape::Single, Shape::Series, Shape::Timeless]),
            start: Millis::new(now.get() + offset + minute),
            poison,
            flips: dice.percent(15),
        }
    }

    fn change(&self, dice: &mut Dice, nth: u64, at: Millis) -> Change {
        // Mostly it begins with a body that shows all; without one it stays incomplete.
        let created = nth == 0 && dice.percent(92);
        let mut change = Change::new(self.id.clone(), ChangeKind::Updated);
        change.account = Some(self.account.clone());
        change.occurred_at = (!dice.percent(4)).then_some(at);
        if created {
            change.kind = ChangeKind::Created;
            change.full_picture = true;
            change.shape = Some(self.shape);
            change.whole = WebinarFields {
                name: Some(if self.flips { "Roots".to_owned() } else { self.name(dice) }),
                start: Some(self.start),
                end: EndTime::after_minutes(60),
                cancelled: Some(false),
                ..WebinarFields::default()
            };
            if self.shape == Shape::Series {
                change.listing = OccurrenceListing::Full;
                change.occurrences = (0..dice.between(1, 4)).map(|n| self.occurrence(n)).collect();
            }
            return change;
        }
        if self.flips {
            change.whole.name = Some(["Roots", "Leaves"][usize::from(nth % 2 == 1)].to_owned());
        } else {
            self.update(dice, &mut change);
        }
        change
    }

    fn update(&self, dice: &mut Dice, change: &mut Change) {
        let moved =
            Millis::new(self.start.get() + i64::try_from(dice.below(4)).expect("few") * HOUR);
        match dice.below(12) {
            0..=2 => change.whole.name = Some(self.name(dice)),
            3 => change.whole.start = Some(moved),
            4 => {
                let text = dice.pick(&["", "About roots", "About leaves"]);
                change.whole.description = Some((*text).to_owned());
                let url = format!("https://example.org/{}", dice.below(3));
                change.whole.registration_url = Some(url);
            }
            5 => {
                let off = dice.percent(60);
                change.kind = if off { ChangeKind::Cancelled } else { ChangeKind::Recovered };
                change.whole.cancelled = Some(off);
            }
            6 => {
                change.kind = ChangeKind::Completed;
                let ended_at = Some(self.start.plus(Duration::from_mins(55)));
                let phase = RunPhase::Ended;
                change.session = Some(RunChange { phase, started_at: Some(self.start), ended_at });
            }
            7 => change.whole.organizer = Some((*dice.pick(&["Ada", "Grace", ""])).to_owned()),
            8 if self.poison > 0 => {
                // One that is too big for any call.
                let length = if dice.percent(30) { LONGEST_BODY } else { LONGEST_BODY / 4 };
                change.whole.description = Some("long ".repeat(length / 5));
            }
            9 if self.shape == Shape::Series => {
                change.listing = *dice.pick(&[
                    OccurrenceListing::Full,
                    OccurrenceListing::Partial,
                    OccurrenceListing::Partial,
                    OccurrenceListing::Unknown,
                ]);
                let n = dice.between(0, 4);
                let mut said = self.occurrence(n);
                said.fields.start = Some(moved.plus(Duration::from_hours(24 * n)));
                said.fields.cancelled = dice.percent(40).then(|| dice.percent(50));
                change.occurrences = vec![said];
            }
            10 if dice.percent(20) => {
                // A series becomes a single webinar, or the other way round.
                change.shape = Some(*dice.pick(&[Shape::Single, Shape::Series]));
            }
            _ => {
                // Whole bodies that say the same, or the name of before.
                change.full_picture = true;
                change.shape = Some(self.shape);
                change.whole.name = Some(self.name(dice));
                change.whole.start = Some(self.start);
            }
        }
    }

    /// Few names, so that what changed changes back.
    fn name(&self, dice: &mut Dice) -> String {
        if dice.percent(self.poison) {
            return (*dice.pick(&[POISON_TOLD, POISON_UNTOLD])).to_owned();
        }
        (*dice.pick(&["Roots", "Leaves", "Bark"])).to_owned()
    }

    fn occurrence(&self, number: u64) -> OccurrenceChange {
        let id = OccurrenceId::parse(format!("o{number}")).expect("valid");
        let start = Some(self.start.plus(Duration::from_hours(24 * number)));
        OccurrenceChange { id, fields: WebinarFields { start, ..WebinarFields::default() } }
    }
}
