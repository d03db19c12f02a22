//! Nothing runs and nothing is sent for days: then what is over is pruned, as the service's retention says, and the platforms
//! go on with the same webinars.

use std::collections::BTreeSet;
use std::time::Duration;

use webinar_bridge::event::{Change, Millis};

use super::fault_profile::FaultProfile;
use super::sequel::Sequel;
use super::webhooks::{Webhook, ms};
use super::world::World;
use crate::harness::build::NOON;
use crate::harness::rng::SeededRng;

const DAY: Duration = Duration::from_hours(24);
/// The longest pause between two process runs, and a while in which what is old is pruned: housekeeping comes every ten
/// minutes, and deletes nothing while nobody has confirmed the clock.
const PAUSE: Duration = Duration::from_mins(12);

/// A span without anything.
#[derive(Debug)]
pub(super) struct Gap {
    /// When it begins; none once it is over.
    pub(super) begins_at: Option<Millis>,
    length: Duration,
    /// What is reported after it, with what went on before.
    sequel: Option<(Sequel, Millis)>,
}

impl Gap {
    /// A gap after which the platforms speak of the same webinars once more.
    pub(super) fn with_sequel(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let sequel = Sequel::draw(rng, false);
        let gap = Self::draw(rng, profile);
        let end = gap.ends_at().map(|at| at.plus(PAUSE));
        Self { sequel: end.map(|end| (sequel, end)), ..gap }
    }

    /// What follows, and when.
    pub(super) fn sequel(&self) -> Option<(Sequel, Millis)> {
        self.sequel
    }

    pub(super) fn draw(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let begins_at = NOON.plus(Duration::from_millis(rng.between(0, ms(profile.within))));
        let days = u32::try_from(*rng.pick(&[2, 8, 25])).expect("few");
        Self { begins_at: Some(begins_at), length: days * DAY, sequel: None }
    }

    /// That gap, with nothing special after it.
    pub(super) fn of(begins_at: Millis, length: Duration) -> Self {
        Self { begins_at: Some(begins_at), length, sequel: None }
    }

    /// When it ends; none once it is over.
    pub(super) fn ends_at(&self) -> Option<Millis> {
        self.begins_at.map(|at| at.plus(self.length))
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
