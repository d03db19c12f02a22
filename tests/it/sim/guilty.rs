//! More events than twenty that HubSpot refuses for themselves, redriven before their cause is mended (B1). They must not hold
//! back the others, and are dead again in the end.

use std::time::Duration;

use sha2::{Digest, Sha256};
use webinar_bridge::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, Millis, Shape, WebinarFields, WebinarId,
};
use webinar_bridge::ledger::EventState;

use super::fault_profile::FaultProfile;
use super::operator::Action;
use super::webhooks::{MappedAs, POISON_IDENTIFIED, POISON_UNIDENTIFIED, Webhook, ms};
use crate::harness::build::{NOON, source};
use crate::harness::rng::SeededRng;

const DAY: Duration = Duration::from_hours(24);

/// The refused events, and others among them.
#[derive(Debug)]
pub(super) struct Guilty {
    webhooks: Vec<Webhook>,
    redriven_at: Vec<Millis>,
}

impl Guilty {
    pub(super) fn draw(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let span = ms(profile.within);
        let name = *rng.pick(&[POISON_IDENTIFIED, POISON_UNIDENTIFIED]);
        let (good, bad) = (rng.between(10, 40), rng.between(21, 30));
        let mut webhooks = Vec::new();
        for nth in 0..good + bad + 3 {
            // The good first, and the last after all of the bad.
            let is_bad = (good..good + bad).contains(&nth);
            let due = if nth < good + bad { rng.between(0, span / 2) } else { span };
            let name = if is_bad { name } else { "Roots" };
            webhooks.push(created(nth, name, NOON.plus(Duration::from_millis(due))));
        }
        let times = rng.between(1, 3);
        let redriven_at = (0..times)
            .map(|_| NOON.plus(Duration::from_millis(rng.between(span / 2, span))))
            .collect();
        Self { webhooks, redriven_at }
    }

    /// The platforms send them too.
    pub(super) fn add_to(&self, webhooks: &mut Vec<Webhook>) {
        webhooks.extend(self.webhooks.iter().cloned());
    }

    /// The operator redrives all dead events.
    pub(super) fn actions(&self) -> impl Iterator<Item = (Millis, Action)> {
        self.redriven_at.iter().map(|at| (*at, Action::RedriveAll(EventState::Dead)))
    }
}

fn created(nth: u64, name: &str, due: Millis) -> Webhook {
    let id = WebinarId::parse((20_000_000 + nth).to_string()).expect("valid");
    let mut change = Change::new(id, ChangeKind::Created);
    change.account = Some(ExternalAccountId::parse("acct-1").expect("valid"));
    change.occurred_at = Some(due);
    change.is_creation = true;
    change.full_picture = true;
    change.shape = Some(Shape::Single);
    change.whole = WebinarFields {
        name: Some(name.to_owned()),
        start: Some(NOON.plus(DAY)),
        end: EndTime::after_minutes(60),
        ..WebinarFields::default()
    };
    Webhook {
        source: source("b"),
        due,
        again: 0,
        changes: vec![change],
        fetch_requests: Vec::new(),
        mapped_as: MappedAs::Right,
        digest: Sha256::digest(format!("guilty {nth}")).into(),
        answered: false,
    }
}
