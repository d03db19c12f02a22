//! A rate limiter whose callers wait for their permit.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::rate_limiter::{Permit, PermitWait, RateLimit, RateLimiter};

/// Lets the calls of several tasks through as the limit allows.
pub struct WaitingRateLimiter {
    limiter: Mutex<RateLimiter>,
    completed: Notify,
}

/// A permit for one call; dropping it says that the call has finished.
pub struct PermitGuard<'a> {
    limiter: &'a WaitingRateLimiter,
    permit: Option<Permit>,
}

impl WaitingRateLimiter {
    /// Creates a limiter with the whole window free.
    #[must_use]
    pub fn new(limit: RateLimit) -> Self {
        // A limit of nothing would make every caller wait for ever.
        let limit = RateLimit { requests: limit.requests.max(1), ..limit };
        Self { limiter: Mutex::new(RateLimiter::for_own_limit(limit)), completed: Notify::new() }
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    /// A caller that stops waiting has taken nothing.
    pub async fn acquire(&self) -> PermitGuard<'_> {
        loop {
            // Armed before looking, so that no completed call between is missed.
            let completed = self.completed.notified();
            tokio::pin!(completed);
            completed.as_mut().enable();
            let acquired = self.limiter().try_acquire(Instant::now());
            match acquired {
                Ok(permit) => return PermitGuard { limiter: self, permit: Some(permit) },
                Err(PermitWait::Until(free_at)) => sleep_until(free_at).await,
                Err(PermitWait::ForResponse) => completed.await,
            }
        }
    }

    fn limiter(&self) -> MutexGuard<'_, RateLimiter> {
        // No holder can panic half-way.
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PermitGuard<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.limiter.limiter().complete(permit, Instant::now());
        }
        self.limiter.completed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn limiter(requests: u32) -> WaitingRateLimiter {
        WaitingRateLimiter::new(RateLimit { requests, window: WINDOW })
    }

    #[tokio::test(start_paused = true)]
    async fn permit_finished_call_is_free_one_window_after_its_response() {
        let (limiter, start) = (limiter(2), Instant::now());
        let slow = limiter.acquire().await;
        drop(limiter.acquire().await);
        tokio::time::advance(Duration::from_secs(4)).await;
        drop(slow);
        let third = limiter.acquire().await;
        assert_eq!(start.elapsed(), WINDOW, "the quick call's permit");
        let fourth = limiter.acquire().await;
        assert_eq!(start.elapsed(), WINDOW + Duration::from_secs(4), "the slow call's permit");
        drop((third, fourth));
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_all_permits_in_flight_waits_for_a_response() {
        let limiter = limiter(1);
        let only = limiter.acquire().await;
        let start = Instant::now();
        let ((), next) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                drop(only);
            },
            limiter.acquire(),
        );
        assert_eq!(start.elapsed(), WINDOW + Duration::from_secs(3));
        drop(next);
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_cancelled_takes_nothing() {
        let limiter = limiter(1);
        drop(limiter.acquire().await);
        let (patience, rest) = (Duration::from_secs(1), Duration::from_secs(9));
        assert!(tokio::time::timeout(patience, limiter.acquire()).await.is_err());
        let start = Instant::now();
        drop(limiter.acquire().await);
        assert_eq!(start.elapsed(), rest);
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_any_stretch_of_a_window_stays_within_the_limit() {
        let (limiter, mut made) = (limiter(3), Vec::new());
        for number in 0..20 {
            let permit = limiter.acquire().await;
            made.push(Instant::now());
            tokio::time::sleep(Duration::from_millis(number * 137 % 900)).await;
            drop(permit);
        }
        for calls in made.windows(4) {
            assert!(calls[3] - calls[0] >= WINDOW, "{made:?}");
        }
    }
}
