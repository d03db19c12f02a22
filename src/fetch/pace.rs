//! No more calls in any stretch of time than the platform lets through.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::providers::ApiRateLimit;

/// Turns to call a platform: a sliding log, as a bucket would let nearly two windows' calls into one.
///
/// A platform counts a call when that arrives, which is some time between its sending and its answer. So its place is free
/// again one window after the answer, not after the sending, or calls that were quicker on their way would be too many.
pub(super) struct Turns {
    pace: ApiRateLimit,
    taken: Mutex<Taken>,
    given_back: Notify,
}

#[derive(Default)]
struct Taken {
    under_way: usize,
    /// When the calls ended that the platform may still count.
    ended: VecDeque<Instant>,
}

/// A call may be made, until this is dropped.
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    pub(super) fn new(pace: ApiRateLimit) -> Self {
        Self { pace, taken: Mutex::default(), given_back: Notify::new() }
    }

    /// Waits for a turn.
    ///
    /// # Cancel safety
    /// Who waits no longer has taken nothing.
    pub(super) async fn turn(&self) -> Turn<'_> {
        loop {
            // Armed before looking, so that nothing that comes between is missed.
            let given_back = self.given_back.notified();
            tokio::pin!(given_back);
            given_back.as_mut().enable();
            match self.take() {
                Ok(turn) => return turn,
                Err(Some(free_at)) => tokio::time::sleep_until(free_at).await,
                Err(None) => given_back.await,
            }
        }
    }

    /// A turn, or when there is one; none while all are under way.
    fn take(&self) -> Result<Turn<'_>, Option<Instant>> {
        let most = usize::try_from(self.pace.requests).unwrap_or(usize::MAX).max(1);
        let now = Instant::now();
        let mut taken = self.taken();
        while taken.ended.front().is_some_and(|end| *end + self.pace.window <= now) {
            taken.ended.pop_front();
        }
        if taken.under_way + taken.ended.len() >= most {
            return Err(taken.ended.front().map(|end| *end + self.pace.window));
        }
        taken.under_way += 1;
        Ok(Turn(self))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing that holds it can panic half-way.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.0.taken();
        taken.under_way -= 1;
        taken.ended.push_back(Instant::now());
        drop(taken);
        self.0.given_back.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn turns(requests: u32) -> Turns {
        Turns::new(ApiRateLimit { requests, window: WINDOW })
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_one_window_after_the_answer() {
        let (turns, start) = (turns(2), Instant::now());
        let slow = turns.turn().await;
        drop(turns.turn().await);
        tokio::time::advance(Duration::from_secs(4)).await;
        drop(slow);
        let third = turns.turn().await;
        assert_eq!(start.elapsed(), WINDOW, "the quick one's place");
        let fourth = turns.turn().await;
        assert_eq!(start.elapsed(), WINDOW + Duration::from_secs(4), "the slow one's place");
        drop((third, fourth));
    }

    #[tokio::test(start_paused = true)]
    async fn while_all_are_under_way_an_end_is_waited_for() {
        let turns = turns(1);
        let only = turns.turn().await;
        let start = Instant::now();
        let ((), next) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                drop(only);
            },
            turns.turn(),
        );
        assert_eq!(start.elapsed(), WINDOW + Duration::from_secs(3));
        drop(next);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_has_taken_nothing() {
        let turns = turns(1);
        drop(turns.turn().await);
        let (patience, rest) = (Duration::from_secs(1), Duration::from_secs(9));
        assert!(tokio::time::timeout(patience, turns.turn()).await.is_err());
        let start = Instant::now();
        drop(turns.turn().await);
        assert_eq!(start.elapsed(), rest);
    }

    #[tokio::test(start_paused = true)]
    async fn no_stretch_of_a_window_holds_more() {
        let (turns, mut made) = (turns(3), Vec::new());
        for number in 0..20 {
            let turn = turns.turn().await;
            made.push(Instant::now());
            tokio::time::sleep(Duration::from_millis(number * 137 % 900)).await;
            drop(turn);
        }
        for calls in made.windows(4) {
            assert!(calls[3] - calls[0] >= WINDOW, "{made:?}");
        }
    }
}
