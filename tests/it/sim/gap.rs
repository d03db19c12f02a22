//! Nothing runs and nothing is sent for days: then what is over is pruned, as the service's retention says, and the platforms
//! go on with the same webinars.

use std::collections::BTreeSet;
use std::time::Duration;

use webinar_bridge::event::{Change, Millis};

use super::fault_profile::FaultProfile;
use super::webhooks::{Webhook, ms};
use super::world::World;
use crate::harness::build::NOON;
use crate::harness::rng::SeededRng;

const DAY: Duration = Duration::from_hours(24);

/// A span without anything.
#[derive(Debug)]
pub(super) struct Gap {
    /// When it begins; none once it is over.
    pub(super) begins_at: Option<Millis>,
    length: Duration,
}

impl Gap {
    pub(super) fn draw(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let begins_at = NOON.plus(Duration::from_millis(rng.between(0, ms(profile.within))));
        let days = u32::try_from(*rng.pick(&[2, 8, 25])).expect("few");
        Self { begins_at: Some(begins_at), length: days * DAY }
    }

    /// What the platforms send after its beginning is said and sent after its end. The creation of a webinar of which they
    /// spoke before is merely sent late.
    pub(super) fn postpone(&self, webhooks: &mut [Webhook]) {
        let name = |change: &Change| (change.account.clone(), change.webinar.clone());
        let (earlier, later): (Vec<_>, Vec<_>) =
            webhooks.iter_mut().partition(|webhook| Some(webhook.due) <= self.begins_at);
        let known: BTreeSet<_> =
            earlier.iter().flat_map(|webhook| &webhook.changes).map(name).collect();
        for webhook in later {
            webhook.due = webhook.due.plus(self.length);
            for change in &mut webhook.changes {
                if !change.is_creation || !known.contains(&name(change)) {
                    change.occurred_at = change.occurred_at.map(|at| at.plus(self.length));
                }
            }
        }
    }

    /// The time passes.
    pub(super) fn pass(self, world: &mut World) {
        world.belief.off_since = Some(world.now);
        world.now = world.now.plus(self.length);
        let now = world.now;
        world.has_delayed_batches(now);
        world.note(now, "a long time has passed");
    }

    /// The end of the faults, with the gap before it.
    pub(super) fn faults_end_at(&self, planned: Millis) -> Millis {
        planned.plus(self.length)
    }
}
