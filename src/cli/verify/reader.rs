//! Reading events from HubSpot at an account's pace, patiently within bounds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::SystemClock;
use crate::config::Account as Settings;
use crate::event::EventKey;
use crate::hubspot::{
    Account, AccountTrouble, Operation, Pace, RateLimit, RatePolicy, Report, Shown, Slot,
    TroubleKind, Wait, backoff,
};
use crate::net::Http;

/// How often one event is asked for.
const TRIES: u32 = 6;
/// Longest wait between two tries; who is told to wait longer may come again later.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// HubSpot's rolling window, when it does not say when to come back (usage guidelines).
const WINDOW: Duration = Duration::from_secs(10);
/// A slot that waits for an answer is asked for again so often.
const SLOT_AGAIN: Duration = Duration::from_millis(20);

/// Reads events of one account.
pub(super) struct Reader {
    hubspot: Account,
    pace: Mutex<Pace>,
}

impl Reader {
    pub(super) fn new(account: &Settings, http: Arc<dyn Http>) -> Self {
        let RateLimit { requests, window } = account.lane.rate_limit;
        // The service may be delivering meanwhile, out of the same budget: half of it is left to it.
        let half = RateLimit { requests: (requests / 2).max(1), window };
        Self {
            hubspot: Account::new(account.api.clone(), http, Arc::new(SystemClock)),
            pace: Mutex::new(Pace::new(half)),
        }
    }

    /// The event as HubSpot shows it, if it is there.
    ///
    /// # Errors
    /// [`AccountTrouble`] that needs a human, or lasts.
    pub(super) async fn read(&self, key: &EventKey) -> Result<Option<Shown>, AccountTrouble> {
        let mut tries = 1;
        loop {
            let trouble = match self.ask(key).await {
                Ok(shown) => return Ok(shown),
                Err(trouble) => trouble,
            };
            let Some(wait) = wait(&trouble, tries).filter(|_| tries < TRIES) else {
                return Err(trouble);
            };
            sleep(wait).await;
            tries += 1;
        }
    }

    async fn ask(&self, key: &EventKey) -> Result<Option<Shown>, AccountTrouble> {
        let slot = self.slot().await;
        let Report { outcome, rates, calls } = self.hubspot.read_event(key).await;
        let reads = calls.iter().filter(|call| call.operation == Operation::Read).count();
        let now = Instant::now();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if reads == 0 {
            pace.cancel(slot);
        } else {
            (1..reads).for_each(|_| pace.count(now));
            pace.observe(&slot, &rates, now);
            pace.finish(slot, now);
        }
        outcome
    }

    async fn slot(&self) -> Slot {
        loop {
            let reserved = {
                let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
                pace.reserve(Instant::now())
            };
            match reserved {
                Ok(slot) => return slot,
                Err(Wait::Until(at)) => sleep_until(at).await,
                Err(Wait::ForAnAnswer) => sleep(SLOT_AGAIN).await,
            }
        }
    }
}

/// How long to wait after that many tries; none if waiting is of no use, or too long.
fn wait(trouble: &AccountTrouble, tries: u32) -> Option<Duration> {
    let wait = match trouble.kind {
        TroubleKind::RateLimited { policy: RatePolicy::Daily }
        | TroubleKind::Unauthorized
        | TroubleKind::Forbidden
        | TroubleKind::NotFound
        | TroubleKind::Migrating
        | TroubleKind::Redirected => return None,
        TroubleKind::RateLimited { .. } => trouble.retry_after.unwrap_or(WINDOW),
        TroubleKind::Locked | TroubleKind::Overloaded | TroubleKind::Transport { .. } => trouble
            .retry_after
            .unwrap_or_else(|| backoff::delay(tries, Duration::ZERO, rand::random())),
    };
    (wait <= LONGEST_WAIT).then_some(wait)
}
