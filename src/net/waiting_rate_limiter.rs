//! A rate limiter whose callers wait for their permit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::rate_limiter::{Permit, PermitWait, RateLimit, RateLimiter};

/// Lets the calls of several tasks through as the limits allow.
pub struct WaitingRateLimiter {
    shared: Arc<SharedLimiter>,
}

struct SharedLimiter {
    limiter: Mutex<RateLimiter>,
    freed: Notify,
}

/// The right to make one call. Dropped before the call begins, it leaves no trace; dropped afterwards, it ends the call.
pub struct CallPermit {
    shared: Arc<SharedLimiter>,
    permit: Option<Permit>,
    has_begun: bool,
}

impl WaitingRateLimiter {
    /// Lets tasks wait for this limiter.
    #[must_use]
    pub fn new(limiter: RateLimiter) -> Self {
        let limiter = Mutex::new(limiter);
        Self { shared: Arc::new(SharedLimiter { limiter, freed: Notify::new() }) }
    }

    /// Takes a permit, if there is one now.
    ///
    /// # Errors
    /// [`PermitWait`] carries the time to try again.
    pub fn try_acquire(&self) -> Result<CallPermit, PermitWait> {
        let permit = self.shared.limiter().try_acquire(Instant::now())?;
        let shared = Arc::clone(&self.shared);
        Ok(CallPermit { shared, permit: Some(permit), has_begun: false })
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    /// A caller that stops waiting has taken nothing.
    pub async fn acquire(&self) -> CallPermit {
        loop {
            // Armed before looking, so that no permit that is freed between is missed.
            let freed = self.shared.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.try_acquire() {
                Ok(permit) => return permit,
                Err(PermitWait::Until(free_at)) => sleep_until(free_at).await,
                Err(PermitWait::ForResponse) => freed.await,
            }
        }
    }
}

impl CallPermit {
    /// The call begins. If it has begun before, that call has ended, and this one repeats it.
    pub fn begin(&mut self) {
        if std::mem::replace(&mut self.has_begun, true) {
            self.shared.limiter().record_call(Instant::now());
        }
    }

    /// Takes over what the call's response reports: see [`RateLimiter::observe`].
    pub fn observe(&self, limit: Option<RateLimit>, remaining: Option<u32>) {
        if let Some(permit) = &self.permit {
            self.shared.limiter().observe(permit, limit, remaining, Instant::now());
        }
    }
}

impl SharedLimiter {
    fn limiter(&self) -> MutexGuard<'_, RateLimiter> {
        // No holder can panic half-way.
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            let mut limiter = self.shared.limiter();
            if self.has_begun {
                limiter.complete(permit, Instant::now());
            } else {
                limiter.cancel(permit);
            }
        }
        self.shared.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn limiter(requests: u32) -> WaitingRateLimiter {
        let limit = RateLimit { requests, window: WINDOW };
        WaitingRateLimiter::new(RateLimiter::for_own_limit(limit))
    }

    /// Waits for a permit and begins a call with it.
    async fn begin_call(limiter: &WaitingRateLimiter) -> CallPermit {
        let mut permit = limiter.acquire().await;
        permit.begin();
        permit
    }

    #[tokio::test(start_paused = true)]
    async fn permit_finished_call_is_free_one_window_after_its_response() {
        let (limiter, start) = (limiter(2), Instant::now());
        let slow = begin_call(&limiter).await;
        drop(begin_call(&limiter).await);
        tokio::time::advance(Duration::from_secs(4)).await;
        drop(slow);
        let third = begin_call(&limiter).await;
        assert_eq!(start.elapsed(), WINDOW, "the quick call's permit");
        let fourth = begin_call(&limiter).await;
        assert_eq!(start.elapsed(), WINDOW + Duration::from_secs(4), "the slow call's permit");
        drop((third, fourth));
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_all_permits_in_flight_waits_for_a_response() {
        let limiter = limiter(1);
        let only = begin_call(&limiter).await;
        let start = Instant::now();
        let ((), next) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                drop(only);
            },
            begin_call(&limiter),
        );
        assert_eq!(start.elapsed(), WINDOW + Duration::from_secs(3));
        drop(next);
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_cancelled_takes_nothing() {
        let limiter = limiter(1);
        drop(begin_call(&limiter).await);
        let (patience, rest) = (Duration::from_secs(1), Duration::from_secs(9));
        assert!(tokio::time::timeout(patience, limiter.acquire()).await.is_err());
        let start = Instant::now();
        drop(begin_call(&limiter).await);
        assert_eq!(start.elapsed(), rest);
    }

    #[tokio::test(start_paused = true)]
    async fn permit_is_free_again_without_a_call_and_counts_each_repetition() {
        let limiter = limiter(2);
        drop(limiter.acquire().await);
        let mut permit = limiter.acquire().await;
        permit.begin();
        permit.begin();
        assert!(matches!(limiter.try_acquire(), Err(PermitWait::Until(_))));
        drop(permit);
        assert!(matches!(limiter.try_acquire(), Err(PermitWait::Until(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_any_stretch_of_a_window_stays_within_the_limit() {
        let (limiter, mut made) = (limiter(3), Vec::new());
        for number in 0..20 {
            let permit = begin_call(&limiter).await;
            made.push(Instant::now());
            tokio::time::sleep(Duration::from_millis(number * 137 % 900)).await;
            drop(permit);
        }
        for calls in made.windows(4) {
            assert!(calls[3] - calls[0] >= WINDOW, "{made:?}");
        }
    }
}
