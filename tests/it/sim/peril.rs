//! Where a life may end: before and after every call of the ledger and of HubSpot.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use webinar_bridge::clock::{Clock as _, VirtualClock};
use webinar_bridge::event::Millis;

use super::world::World;

/// One life's dangers.
pub(super) struct Peril {
    world: Arc<Mutex<World>>,
    clock: VirtualClock,
    /// So many points are passed before the end; none: they are not counted.
    left: Mutex<Option<u64>>,
    /// Cancelled when the life is over: nothing that is done after counts.
    pub(super) dead: CancellationToken,
}

impl Peril {
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

    /// The life does not end by itself any more.
    pub(super) fn disarm(&self) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A point that may take time, or be the last.
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
            let cruel = world.is_cruel(now);
            match world.dice.below(400) {
                0 if cruel => world.dice.between(100, 3_000),
                1..60 => world.dice.between(0, 20),
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
