//! The machine's clock is set by an hour or more, back and ahead, while HubSpot fails often: an account that waits for its next
//! call goes on by the monotonic clock (B10), and what may still land late is corrected by a second sending that is not
//! early.
//!
//! The events change shortly before each step, and not after the last.

use std::time::Duration;

use sha2::{Digest, Sha256};
use webinar_bridge::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, Millis, Shape, WebinarFields, WebinarId,
};

use super::fault_profile::FaultProfile;
use super::webhooks::{MappedAs, Webhook};
use super::wrong_clock::ClockErrors;
use crate::harness::build::{NOON, source};
use crate::harness::rng::SeededRng;

const SECOND: u64 = 1_000;
const HOUR: i64 = 3_600_000;
/// By how much the clock is set, in hours. Nothing contradicts a clock of a new store that is ahead, and one that is an hour
/// behind is doubted.
const HOURS: [i64; 6] = [-12, -3, -2, 2, 3, 12];
/// In this time before a step the events change.
const SHORTLY: u64 = 8 * SECOND;
/// The webinars of each account.
const WEBINARS: u64 = 3;

/// The steps, and the changes before them.
#[derive(Debug)]
pub(super) struct SteppedClock {
    pub(super) errors: ClockErrors,
    steps: Vec<u64>,
    seed: u64,
}

impl SteppedClock {
    pub(super) fn draw(rng: &mut SeededRng) -> Self {
        let mut steps: Vec<u64> = (0..2 * rng.between(1, 2))
            .map(|nth| (nth * 60 + rng.between(20, 60)) * SECOND)
            .collect();
        let errors = ClockErrors::of_steps(
            steps.chunks_exact(2).map(|step| (step[0], step[1], rng.pick(&HOURS) * HOUR)),
        );
        // Some of the last ones have no change before them, so that nothing is sent any more by itself.
        steps.truncate(usize::try_from(rng.between(1, 4)).expect("few"));
        Self { errors, steps, seed: rng.between(0, u64::MAX - 1) }
    }

    /// The end of the faults: after the last step.
    pub(super) fn faults_end_at(planned: Millis) -> Millis {
        planned.max(NOON.plus(Duration::from_secs(250)))
    }

    /// Most calls fail.
    pub(super) fn profile(profile: &FaultProfile) -> FaultProfile {
        FaultProfile { call_fault_percent: 60, ..profile.clone() }
    }

    /// The platforms send them too.
    pub(super) fn add_to(&self, webhooks: &mut Vec<Webhook>) {
        let mut rng = SeededRng::from_seed(self.seed);
        for number in 0..2 * WEBINARS {
            webhooks.push(webhook(number, 0, 0));
            for (nth, step) in (1..).zip(&self.steps) {
                let due = step - rng.between(0, SHORTLY);
                webhooks.push(webhook(number, nth, due));
            }
        }
    }
}

fn webhook(number: u64, nth: u64, due: u64) -> Webhook {
    let id = WebinarId::parse((30_000_000 + number).to_string()).expect("valid");
    let kind = if nth == 0 { ChangeKind::Created } else { ChangeKind::Updated };
    let mut change = Change::new(id, kind);
    let due = NOON.plus(Duration::from_millis(due));
    change.account = Some(ExternalAccountId::parse("acct-1").expect("valid"));
    change.occurred_at = Some(due);
    change.whole.name = Some(format!("Name {nth}"));
    if nth == 0 {
        change.is_creation = true;
        change.full_picture = true;
        change.shape = Some(Shape::Single);
        change.whole = WebinarFields {
            start: Some(NOON.plus(Duration::from_hours(24 * 40))),
            end: EndTime::after_minutes(60),
            ..change.whole
        };
    }
    Webhook {
        source: source(if number < WEBINARS { "b" } else { "c" }),
        due,
        again: 0,
        changes: vec![change],
        fetch_requests: Vec::new(),
        mapped_as: MappedAs::Right,
        digest: Sha256::digest(format!("stepped {number}.{nth}")).into(),
        answered: false,
    }
}
