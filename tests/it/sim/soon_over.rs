//! Webinars that end while the bridge works, so that their timers run out at moments that are checked (M18).

use std::collections::BTreeMap;
use std::time::Duration;

use webinar_bridge::event::{
    Change, EndTime, ExternalAccountId, Millis, RunChange, WebinarFields, WebinarId,
};

use super::fault_profile::FaultProfile;
use super::webhooks::{Webhook, ms};
use crate::harness::build::NOON;
use crate::harness::rng::SeededRng;

/// The length of the webinars, and the longest time from their end to their completion.
const LENGTH: Duration = Duration::from_mins(65);
/// So long after the last webhook some webinars are completed.
const LATER: Duration = Duration::from_mins(4);

/// Other dates for the webinars of a simulation.
#[derive(Debug)]
pub(super) struct SoonOver {
    seed: u64,
    span: Duration,
}

impl SoonOver {
    pub(super) fn draw(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let span = profile.faults_end_at.since(NOON) + LATER;
        Self { seed: rng.between(0, u64::MAX - 1), span }
    }

    /// Moves the dates of all webinars.
    pub(super) fn move_dates(&self, webhooks: &mut [Webhook]) {
        let mut rng = SeededRng::from_seed(self.seed);
        let mut moves: BTreeMap<(ExternalAccountId, WebinarId), i64> = BTreeMap::new();
        let changes = || webhooks.iter().flat_map(|webhook| &webhook.changes);
        for change in changes() {
            let Some(start) = change.whole.start else { continue };
            let completed_at = NOON.plus(Duration::from_millis(rng.between(0, ms(self.span))));
            let by = completed_at.minus(LENGTH).get() - start.get();
            moves.entry(webinar_of(change)).or_insert(by);
        }
        for change in webhooks.iter_mut().flat_map(|webhook| &mut webhook.changes) {
            if let Some(by) = moves.get(&webinar_of(change)) {
                move_change(change, *by);
            }
        }
    }
}

fn webinar_of(change: &Change) -> (ExternalAccountId, WebinarId) {
    let account = change.account.clone().expect("every webhook here names its account");
    (account, change.webinar.clone())
}

fn move_change(change: &mut Change, by: i64) {
    let moved = |at: Millis| Millis::new(at.get() + by);
    let move_fields = |fields: &mut WebinarFields| {
        fields.start = fields.start.map(moved);
        if let Some(EndTime::At(at)) = fields.end {
            fields.end = Some(EndTime::At(moved(at)));
        }
    };
    move_fields(&mut change.whole);
    change.occurrences.iter_mut().for_each(|occurrence| move_fields(&mut occurrence.fields));
    change.session = change.session.map(|run| RunChange {
        started_at: run.started_at.map(moved),
        ended_at: run.ended_at.map(moved),
        ..run
    });
}
