//! The operator backs up the store, and later puts the copy in its place (M23).
//!
//! What was accepted after the copy and is not sent again is lost to the bridge. HubSpot's newer values are kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use webinar_bridge::event::{EventKey, ExternalAccountId, ExternalEventId, Millis};

use super::fault_injector::FaultInjector;
use super::fault_profile::FaultProfile;
use super::kept::Before;
use super::mishap::Mishap;
use super::oracle::Oracle;
use super::sequel::Sequel;
use super::stores::SimulatedStore;
use super::webhooks::ms;
use super::world::World;
use crate::harness::build::NOON;
use crate::harness::rng::SeededRng;

/// How long after the end of the last process run nothing of it lands any more.
const ALL_LANDED: Duration = Duration::from_mins(2);

/// The longest pause between two process runs.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A copy of the store.
pub(super) struct RestoredCopy {
    copied_at: Millis,
    /// When it is put into service; none before there is a copy.
    pub(super) restored_at: Option<Millis>,
    planned_at: Millis,
    /// What the copy holds.
    knowledge: Option<Box<Oracle>>,
    /// What follows.
    sequel: Option<Sequel>,
}

impl fmt::Debug for RestoredCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = |at: Millis| at.get() - NOON.get();
        write!(
            f,
            "copied at {} ms, put back at {} ms",
            offset(self.copied_at),
            offset(self.planned_at)
        )
    }
}

impl RestoredCopy {
    pub(super) fn draw(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let copied_at = NOON.plus(Duration::from_millis(rng.between(0, ms(profile.within))));
        let planned_at = copied_at.plus(Duration::from_millis(rng.between(1_000, 150_000)));
        Self { copied_at, restored_at: None, planned_at, knowledge: None, sequel: None }
    }

    /// A copy of an early time that is put back late, and after which the platforms speak of the same webinars once more.
    pub(super) fn with_sequel(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let copied_at = NOON.plus(Duration::from_millis(rng.between(0, ms(profile.within) / 2)));
        let planned_at = NOON.plus(profile.within).plus(Duration::from_secs(rng.between(5, 60)));
        let sequel = Some(Sequel::draw(rng, true));
        Self { copied_at, restored_at: None, planned_at, knowledge: None, sequel }
    }

    /// What follows, and when: the copy is in service by then.
    pub(super) fn sequel(&self) -> Option<(Sequel, Millis)> {
        let at = self.planned_at.plus(LONGEST_PAUSE).plus(ALL_LANDED);
        self.sequel.map(|sequel| (sequel, at))
    }

    /// After this it is in service.
    pub(super) fn latest(&self) -> Millis {
        self.planned_at.plus(Duration::from_secs(1))
    }

    /// When the store is copied; none once it is.
    pub(super) fn backs_up_at(&self) -> Option<Millis> {
        self.knowledge.is_none().then_some(self.copied_at)
    }

    /// The copy takes the place of the store.
    pub(super) fn restore<S: SimulatedStore>(self, world: &mut World, store: &mut S) {
        let knowledge = *self.knowledge.expect("it is restored once there is a copy");
        store.restore();
        world.now = world.now.plus(ALL_LANDED);
        let now = world.now;
        world.has_delayed_batches(now);
        let reported = std::mem::replace(&mut world.oracle, knowledge);
        world.oracle.lose_since(&reported);
        let mut held = Vec::new();
        for portal in world.portals.values() {
            for ((account, event), stored) in portal.emulator.events() {
                let account = ExternalAccountId::parse(account).expect("the bridge made it");
                let key = EventKey {
                    hubspot: portal.name.clone(),
                    external_account_id: account,
                    external_event_id: ExternalEventId::from_stored(event.clone()),
                };
                held.push((key, stored.clone()));
            }
        }
        for (key, stored) in held {
            let webinar = reported.webinar_of(&key).cloned();
            // Of an event that an earlier mishap concerned nothing more is known. Where nothing was sent since the copy was
            // made, nothing is newer than what that holds.
            if let Some(webinar) = webinar
                && !world.oracle.is_as_confirmed(&key, &stored)
            {
                world.oracle.lose_confirmed(&webinar);
                let is_series = reported.is_whole_series(&webinar);
                let reports = reported.last_reports(&webinar);
                let before = Before { reports, since: now, lost_at: now, is_copy: true };
                world.oracle.kept.lose(key, (webinar, is_series), before, &stored);
            }
        }
        world.operator.begin_anew(now);
        world.long_waits.extend(super::webhooks::accounts());
        world.note(now, "the copy is put into service");
    }
}

/// Copies the store when it is time, and ends when the process run has to end for the copy.
pub(super) async fn back_up_and_wait<S: SimulatedStore>(store: &S, injector: &Arc<FaultInjector>) {
    let Some(at) = injector.world().mishap.backs_up_at() else {
        return std::future::pending().await;
    };
    tokio::time::sleep(at.since(injector.now())).await;
    let now = injector.now();
    store.back_up(now);
    let until = injector.world().know_copy(now);
    tokio::time::sleep(until.since(injector.now())).await;
}

impl World {
    /// The store is backed up. Returns when the copy is put into service.
    fn know_copy(&mut self, now: Millis) -> Millis {
        self.note(now, "the store is backed up");
        let knowledge = Box::new(self.oracle.clone());
        let Mishap::RestoredCopy(copy) = &mut self.mishap else { return now };
        copy.knowledge = Some(knowledge);
        copy.restored_at = Some(copy.planned_at);
        copy.planned_at
    }
}
