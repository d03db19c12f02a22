//! Crash points and delays: before and after every call of the ledger and of HubSpot.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use webinar_bridge::clock::{Clock as _, VirtualClock};
use webinar_bridge::event::Millis;

use super::world::World;

/// Crash points and delays of one process run.
pub(super) struct FaultInjector {
    world: Arc<Mutex<World>>,
    clock: VirtualClock,
    /// Points left before the crash; `None`: no crash by count.
    left: Mutex<Option<u64>>,
    /// Cancelled when the run is over: later effects do not count.
    pub(super) dead: CancellationToken,
}

impl FaultInjector {
    pub(super) fn new(
        world: Arc<Mutex<World>>,
        clock: VirtualClock,
        left: Option<u64>,
    ) -> Arc<Self> {
        Arc::new(Self { world, clock, left: Mutex::new(left), dead: CancellationToken::new() })
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Ends crashes by count.
    pub(super) fn stop_crashes(&self) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A point that may delay, or be the last.
    pub(super) async fn point(&self, what: &'static str) {
        if self.is_last() {
            if !self.dead.is_cancelled() {
                let now = self.now();
                self.world().note(now, format!("death at {what}"));
                self.dead.cancel();
            }
            std::future::pending::<()>().await;
        }
        let wait = {
            let now = self.now();
            let mut world = self.world();
            let faulty = world.has_faults(now);
            match world.rng.below(400) {
                0 if faulty => world.rng.between(100, 3_000),
                1..60 => world.rng.between(0, 20),
                _ => 0,
            }
        };
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    fn is_last(&self) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if self.dead.is_cancelled() {
            return true;
        }
        match &mut *left {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }
}
