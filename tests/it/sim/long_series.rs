//! Nothing runs for more than a month, in the middle of a long series, and the platform goes on with it: an occurrence that was
//! over for thirty days by then stays as it is, unless something names it (M26).

use std::time::Duration;

use sha2::{Digest, Sha256};
use webinar_bridge::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, Millis, OccurrenceChange, OccurrenceId,
    OccurrenceListing, Shape, WebinarFields, WebinarId,
};

use super::fault_profile::FaultProfile;
use super::gap::Gap;
use super::webhooks::{MappedAs, Webhook};
use crate::harness::build::{NOON, source};
use crate::harness::rng::SeededRng;

const DAY: Duration = Duration::from_hours(24);
/// The days of the occurrences, after [`NOON`]: two are over for long after the gap, one is over, two are to come.
const DAYS: [u32; 5] = [1, 3, 20, 50, 70];
/// After the gap all changes are sent within so many seconds.
const WITHIN: u64 = 120;

/// The series, and the gap.
#[derive(Debug)]
pub(super) struct LongSeries {
    pub(super) gap: Gap,
    seed: u64,
}

impl LongSeries {
    pub(super) fn draw(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let length = u32::try_from(rng.between(36, 45)).expect("few") * DAY;
        // What is sent before is delivered by then.
        let begins_at = profile.faults_end_at.plus(Duration::from_mins(5));
        Self { gap: Gap::of(begins_at, length), seed: rng.between(0, u64::MAX - 1) }
    }

    /// The webhooks of all series.
    pub(super) fn webhooks(&self) -> Vec<Webhook> {
        let mut rng = SeededRng::from_seed(self.seed);
        let mut webhooks = Vec::new();
        let after = self.gap.ends_at().unwrap_or(NOON);
        for number in 0..rng.between(1, 4) {
            webhooks.push(webhook(created(number), NOON, (number, 0)));
            let mut changes = Vec::new();
            let mut times = Vec::new();
            for nth in 1..rng.between(2, 7) {
                times.push(after.plus(Duration::from_secs(rng.between(1, WITHIN))));
                changes.push((changed(&mut rng, number, nth), nth));
            }
            // What arrives first decides what is frozen, and what wakes it, which no time takes back (M8).
            times.sort_unstable();
            let in_order = changes.into_iter().zip(times);
            webhooks
                .extend(in_order.map(|((change, nth), due)| webhook(change, due, (number, nth))));
        }
        webhooks
    }
}

fn created(number: u64) -> Change {
    let mut change = change(number);
    change.kind = ChangeKind::Created;
    change.is_creation = true;
    change.full_picture = true;
    change.shape = Some(Shape::Series);
    change.listing = OccurrenceListing::Full;
    change.occurrences = (0..DAYS.len()).map(|nth| occurrence(nth, 0)).collect();
    change.whole = WebinarFields {
        name: Some("Roots".to_owned()),
        // A base has no value for a text that it lacks.
        description: Some("About roots".to_owned()),
        end: EndTime::after_minutes(60),
        ..WebinarFields::default()
    };
    change
}

/// A change after the gap: of the whole, of all occurrences, or of one.
fn changed(rng: &mut SeededRng, number: u64, nth: u64) -> Change {
    let mut change = change(number);
    match rng.below(6) {
        0 | 1 => change.whole.name = Some(format!("Name {nth}")),
        2 => change.whole.description = Some(format!("About {nth}")),
        3 => {
            change.listing = OccurrenceListing::Full;
            let first = rng.below(3);
            change.occurrences =
                (first..DAYS.len()).map(|which| occurrence(which, rng.between(0, 2))).collect();
        }
        _ => {
            let which = rng.below(DAYS.len());
            let mut occurrence = occurrence(which, rng.between(0, 2));
            if rng.percent(30) {
                occurrence.fields.name = Some(format!("Own {nth}"));
            }
            change.occurrences = vec![occurrence];
        }
    }
    change
}

fn change(number: u64) -> Change {
    let id = WebinarId::parse((50_000_000 + number).to_string()).expect("valid");
    let account = ExternalAccountId::parse("acct-1").expect("valid");
    Change { account: Some(account), ..Change::new(id, ChangeKind::Updated) }
}

/// An occurrence that many hours later than planned.
fn occurrence(which: usize, hours: u64) -> OccurrenceChange {
    let start = NOON.plus(DAYS[which] * DAY).plus(Duration::from_hours(hours));
    let id = OccurrenceId::parse(format!("o{which}")).expect("valid");
    OccurrenceChange {
        id,
        fields: WebinarFields { start: Some(start), ..WebinarFields::default() },
    }
}

/// A webhook that is sent when what it reports happens.
fn webhook(change: Change, due: Millis, (number, nth): (u64, u64)) -> Webhook {
    Webhook {
        source: source("b"),
        due,
        again: 0,
        changes: vec![Change { occurred_at: Some(due), ..change }],
        fetch_requests: Vec::new(),
        mapped_as: MappedAs::Right,
        digest: Sha256::digest(format!("series {number}.{nth}")).into(),
        answered: false,
    }
}
