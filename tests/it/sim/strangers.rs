//! Custom sources that report the same ids: such an event belongs to the source that reported it first, and to those that share
//! it (M28).

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest, Sha256};
use webinar_bridge::event::{
    Change, ChangeKind, EndTime, EventOwnership, ExternalAccountId, Policy, Shape, SourceName,
    WebinarFields, WebinarId,
};

use super::fault_profile::FaultProfile;
use super::webhooks::{MappedAs, Webhook, ms};
use crate::harness::build::{NOON, policy, source};
use crate::harness::rng::SeededRng;

/// The sources, and the one that each shares its events with.
const SOURCES: [(&str, Option<&str>); 4] =
    [("p", None), ("q", None), ("v", Some("w")), ("w", Some("v"))];

/// Webinars of custom sources.
#[derive(Debug)]
pub(super) struct Strangers(Vec<Webhook>);

impl Strangers {
    pub(super) fn draw(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let mut webhooks = Vec::new();
        for number in 0..rng.between(2, 6) {
            let groups: &[&[&str]] = &[&["p", "q"], &["v", "w"], &["p", "v", "w"]];
            let sources = *rng.pick(groups);
            for nth in 0..rng.between(2, 8) {
                let due = Duration::from_millis(rng.between(0, ms(profile.within)));
                let name = *rng.pick(sources);
                let is_off = rng.percent(20);
                webhooks.push(webhook(name, (number, nth), due, is_off));
            }
        }
        Self(webhooks)
    }

    /// The platforms send them too.
    pub(super) fn add_to(&self, webhooks: &mut Vec<Webhook>) {
        webhooks.extend(self.0.iter().cloned());
    }
}

/// The policies of the sources.
pub(super) fn policies() -> impl Iterator<Item = (SourceName, Policy)> {
    SOURCES.iter().map(|(name, shared)| {
        let shared_with: BTreeSet<SourceName> = shared.iter().map(|name| source(name)).collect();
        let ownership = EventOwnership::Source { shared_with };
        let organizer = Some(format!("Source {name}"));
        (source(name), Policy { ownership, organizer, ..policy("main") })
    })
}

fn webhook(name: &str, (number, nth): (u64, u64), after: Duration, is_off: bool) -> Webhook {
    let id = WebinarId::parse((40_000_000 + number).to_string()).expect("valid");
    let mut change = Change::new(id, ChangeKind::Updated);
    let due = NOON.plus(after);
    change.account = Some(ExternalAccountId::parse("acct-1").expect("valid"));
    change.occurred_at = Some(due);
    change.full_picture = true;
    change.shape = Some(Shape::Single);
    change.whole = WebinarFields {
        name: Some(format!("{name} {nth}")),
        start: Some(NOON.plus(Duration::from_hours(24))),
        end: EndTime::after_minutes(60),
        cancelled: Some(is_off),
        ..WebinarFields::default()
    };
    Webhook {
        source: source(name),
        due,
        again: 0,
        changes: vec![change],
        fetch_requests: Vec::new(),
        mapped_as: MappedAs::Right,
        digest: Sha256::digest(format!("stranger {name} {number}.{nth}")).into(),
        answered: false,
    }
}
