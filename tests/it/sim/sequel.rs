//! What the platforms and an operator do after the bridge lost what it knew: creations are reported again, other fields
//! change, and everything is redriven. What HubSpot holds must neither be erased nor outlast what is reported now (M19, M20,
//! M23).

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use webinar_bridge::event::{
    Change, ChangeKind, ExternalAccountId, Millis, OccurrenceChange, WebinarFields, WebinarId,
};
use webinar_bridge::ledger::EventState;

use super::operator::Action;
use super::webhooks::Webhook;
use crate::harness::rng::SeededRng;

/// All of it is reported within this time.
const WITHIN: Duration = Duration::from_secs(30);

/// What happens after a loss.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequel {
    seed: u64,
    /// Whether an operator redrives all delivered events first.
    redrives: bool,
    /// Whether some bodies show when the webinar was created.
    tells_creation: bool,
}

impl Sequel {
    pub(super) fn draw(rng: &mut SeededRng, tells_creation: bool) -> Self {
        Self { seed: rng.between(0, u64::MAX - 1), redrives: rng.percent(50), tells_creation }
    }

    /// More webhooks of the webinars that some `told` of, sent from then on.
    pub(super) fn webhooks(self, told: &[Webhook], at: Millis) -> Vec<Webhook> {
        let mut rng = SeededRng::from_seed(self.seed);
        let mut webinars: BTreeMap<(ExternalAccountId, WebinarId), Vec<&Webhook>> = BTreeMap::new();
        for webhook in told {
            let Some(change) = webhook.changes.first() else { continue };
            let account = change.account.clone().expect("every webhook here names its account");
            webinars.entry((account, change.webinar.clone())).or_default().push(webhook);
        }
        let mut more = Vec::new();
        for (number, told) in (0_u64..).zip(webinars.values()) {
            let created =
                told.iter().find(|webhook| webhook.changes[0].kind == ChangeKind::Created);
            // A creation that the platform dates ahead would be later than the loss.
            let is_right = |webhook: &&&Webhook| webhook.changes[0].occurred_at <= Some(at);
            let created = created.filter(is_right);
            let newest = told.iter().filter_map(|webhook| webhook.changes[0].occurred_at).max();
            let newest = newest.max(Some(at)).unwrap_or(at);
            if let Some(created) = created.filter(|_| rng.percent(60)) {
                more.push(sent(&mut rng, created, created.changes[0].clone(), (at, number)));
            }
            if rng.percent(70) {
                let mut change = updated(&mut rng, told);
                change.occurred_at = Some(newest.plus(Duration::from_mins(rng.between(1, 5))));
                // Some bodies show when the webinar was created.
                let created_at = created.and_then(|created| created.changes[0].occurred_at);
                change.created_at = created_at.filter(|_| rng.percent(40) && self.tells_creation);
                more.push(sent(&mut rng, told[0], change, (at, number)));
            }
        }
        more
    }

    /// What the operator does then.
    pub(super) fn actions(self, at: Millis) -> impl Iterator<Item = (Millis, Action)> {
        let redrive = (at, Action::RedriveAll(EventState::Delivered));
        self.redrives.then_some(redrive).into_iter()
    }
}

/// One field of the webinar changes, or the start of an occurrence.
fn updated(rng: &mut SeededRng, told: &[&Webhook]) -> Change {
    let text = Some(format!("Since {}", rng.below(100)));
    let like = &told[0].changes[0];
    let mut change = Change::new(like.webinar.clone(), ChangeKind::Updated);
    change.account.clone_from(&like.account);
    let occurrences: Vec<&OccurrenceChange> =
        told.iter().flat_map(|webhook| &webhook.changes[0].occurrences).collect();
    match rng.below(6) {
        0 => change.whole.name = text,
        1 => change.whole.description = text,
        2 => {
            change.whole.registration_url = Some(format!("https://example.org/{}", rng.below(100)));
        }
        3..=4 if !occurrences.is_empty() => {
            let OccurrenceChange { id, fields } = *rng.pick(&occurrences);
            let start = fields.start.map(|start| start.plus(Duration::from_hours(1)));
            let fields = WebinarFields { start, ..WebinarFields::default() };
            change.occurrences = vec![OccurrenceChange { id: id.clone(), fields }];
        }
        _ => change.whole.organizer = text,
    }
    change
}

/// A webhook like another one, with a signed time and so a key of its own.
fn sent(rng: &mut SeededRng, like: &Webhook, change: Change, nth: (Millis, u64)) -> Webhook {
    let (at, number) = nth;
    let within = u64::try_from(WITHIN.as_millis()).expect("it fits");
    let due = at.plus(Duration::from_millis(rng.between(0, within)));
    let kind = change.kind;
    let digest = Sha256::digest(format!("sequel {number} {kind:?} {}", due.get())).into();
    Webhook { due, again: 0, changes: vec![change], digest, answered: false, ..like.clone() }
}
