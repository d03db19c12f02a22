//! A sliding log of calls that keeps them within a rate limit. It decides only: the caller gives the time.
//!
//! A service counts a call at some moment between our sending it and our seeing its response; which, we cannot know. So
//! a call counts as used from its start until one window after its response or failure was *seen*. Then no window holds
//! more calls than its limit, wherever the service counts them. (A token bucket would let nearly two bursts into one
//! window.) The whole window is used all the same; only the calls' latency is lost.
//!
//! A shared limit holds beside the one that the service reports in its responses. That one may be lower, and other
//! clients may use it too: their calls are known only by how many the service reports as left, and count as foreign.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// A call of a shared limit counts this long beyond its window: windows are counted in milliseconds, and a call that
/// comes at the very millisecond at which another leaves the window may still be counted with it.
const GRAIN: Duration = Duration::from_millis(1);

/// How many calls any window of that length may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls.
    pub requests: u32,
    /// Length of the window.
    pub window: Duration,
}

/// Counts the calls of one client against its limits.
#[derive(Debug)]
pub struct RateLimiter {
    configured: RateLimit,
    /// Limit that the service reports; none until it does.
    reported: Option<RateLimit>,
    /// Time for which a finished call counts beyond its window.
    grain: Duration,
    /// Starts of the calls that have not finished.
    in_flight: BTreeMap<u64, Instant>,
    /// Finished calls, oldest first. They are kept a little longer than they count: see [`RateLimiter::observe`].
    finished: VecDeque<FinishedCalls>,
    /// Whether calls may run beside each other. After a start nobody here knows how much of a shared limit was used
    /// just before, so one call goes first and brings the service's numbers.
    knows_usage: bool,
    next_id: u64,
}

/// Calls that have finished but still count.
#[derive(Debug, Clone, Copy)]
struct FinishedCalls {
    finished_at: Instant,
    /// Number of calls: the service reports foreign calls as one number, of any size.
    calls: usize,
    /// Whether other clients made them. Such calls count against the reported limit alone.
    is_foreign: bool,
}

/// The right to make one call now; [`RateLimiter::complete`] or [`RateLimiter::cancel`] takes it back.
///
/// A dropped permit counts as used for ever.
#[derive(Debug)]
#[must_use = "a permit that is not given back counts as used for ever"]
pub struct Permit(u64);

/// Why there is no permit now, shorter waits first. The end of a call has no known time, so it is the longest wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PermitWait {
    /// There is none before this time; another caller may take the next one.
    Until(Instant),
    /// There is none before a call in flight has finished.
    ForResponse,
}

impl RateLimiter {
    /// Creates a limiter for a limit that this client alone uses: the whole window is free.
    #[must_use]
    pub fn for_own_limit(limit: RateLimit) -> Self {
        Self {
            // A limit of nothing would make every caller wait for ever.
            configured: RateLimit { requests: limit.requests.max(1), ..limit },
            reported: None,
            grain: Duration::ZERO,
            in_flight: BTreeMap::new(),
            finished: VecDeque::new(),
            knows_usage: true,
            next_id: 0,
        }
    }

    /// Creates a limiter for a limit that other clients may use too, the process before this one among them: one call
    /// goes first.
    #[must_use]
    pub fn for_shared_limit(limit: RateLimit) -> Self {
        Self { grain: GRAIN, knows_usage: false, ..Self::for_own_limit(limit) }
    }

    /// Takes a permit.
    ///
    /// # Errors
    /// [`PermitWait`] carries the time to try again.
    pub fn try_acquire(&mut self, now: Instant) -> Result<Permit, PermitWait> {
        self.drop_expired(now);
        if !self.knows_usage && !self.in_flight.is_empty() {
            return Err(PermitWait::ForResponse);
        }
        // If two limits have no room, the longer wait counts.
        let waits = self.limits().filter_map(|(limit, is_shared)| self.wait(limit, is_shared, now));
        if let Some(wait) = waits.max() {
            return Err(wait);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.in_flight.insert(id, now);
        Ok(Permit(id))
    }

    /// Records that the call's response or failure was seen.
    pub fn complete(&mut self, Permit(id): Permit, now: Instant) {
        self.in_flight.remove(&id);
        self.knows_usage = true;
        self.record_call(now);
    }

    /// Takes back the permit of a call that was never made.
    pub fn cancel(&mut self, Permit(id): Permit) {
        self.in_flight.remove(&id);
    }

    /// Records a finished call that had no permit: a repetition that could not wait for one.
    pub fn record_call(&mut self, now: Instant) {
        self.insert_finished(FinishedCalls { finished_at: now, calls: 1, is_foreign: false });
    }

    /// Takes over what the response to that call reports: the limit, and how many calls are left of it. It must come
    /// before [`RateLimiter::complete`].
    pub fn observe(
        &mut self,
        permit: &Permit,
        limit: Option<RateLimit>,
        remaining: Option<u32>,
        now: Instant,
    ) {
        self.drop_expired(now);
        self.knows_usage = true;
        let Some(limit) = limit else { return };
        self.reported = Some(limit);
        let (Some(remaining), Some(&since)) = (remaining, self.in_flight.get(&permit.0)) else {
            return;
        };
        // The service wrote the numbers at some time since the call began. It may have counted each of our calls that
        // counted at any moment since: only what it reports beyond those is foreign. Comparing with the calls that
        // count *now* would take our own calls, just expired, for foreign ones, and waste the window.
        let counted = self.counted_at(limit.window, true, since).map(|finished| finished.calls);
        let known = self.in_flight.len() + counted.sum::<usize>();
        let used = usize::try_from(limit.requests.saturating_sub(remaining)).unwrap_or(usize::MAX);
        if let Some(calls) = used.checked_sub(known).filter(|calls| *calls > 0) {
            self.insert_finished(FinishedCalls { finished_at: now, calls, is_foreign: true });
        }
    }

    /// The limits that hold, each with whether foreign calls count against it.
    fn limits(&self) -> impl Iterator<Item = (RateLimit, bool)> + use<> {
        [(self.configured, false)].into_iter().chain(self.reported.map(|limit| (limit, true)))
    }

    /// The wait until the limit has room; none if it has room now.
    fn wait(&self, limit: RateLimit, is_shared: bool, now: Instant) -> Option<PermitWait> {
        let max = usize::try_from(limit.requests).unwrap_or(usize::MAX);
        let Some(mut room) = max.checked_sub(self.in_flight.len()).filter(|room| *room > 0) else {
            return Some(PermitWait::ForResponse);
        };
        // The latest finished calls that fill the room beside those in flight are in the way until the oldest of them
        // has expired.
        for finished in self.counted_at(limit.window, is_shared, now).rev() {
            let Some(left) = room.checked_sub(finished.calls).filter(|room| *room > 0) else {
                return Some(PermitWait::Until(
                    self.expires_at(finished.finished_at, limit.window),
                ));
            };
            room = left;
        }
        None
    }

    /// The finished calls that the window counts at that time, oldest first.
    fn counted_at(
        &self,
        window: Duration,
        is_shared: bool,
        at: Instant,
    ) -> impl DoubleEndedIterator<Item = &FinishedCalls> {
        self.finished.iter().filter(move |finished| {
            (is_shared || !finished.is_foreign)
                && self.expires_at(finished.finished_at, window) > at
        })
    }

    /// Keeps the log in order even if two tasks report their ends in the wrong order.
    fn insert_finished(&mut self, finished: FinishedCalls) {
        let place =
            self.finished.partition_point(|other| other.finished_at <= finished.finished_at);
        self.finished.insert(place, finished);
    }

    /// Drops the calls that count neither now nor at any moment since the oldest call in flight began.
    fn drop_expired(&mut self, now: Instant) {
        let since = self.in_flight.values().copied().fold(now, Instant::min);
        let longest =
            self.limits().map(|(limit, _)| limit.window).fold(Duration::ZERO, Duration::max);
        let expired = self
            .finished
            .partition_point(|finished| self.expires_at(finished.finished_at, longest) <= since);
        self.finished.drain(..expired);
    }

    /// When a call that finished then leaves the window. A configured window has no bound: beyond what the clock can
    /// represent, far away is as good as never.
    fn expires_at(&self, finished_at: Instant, window: Duration) -> Instant {
        const NEVER: Duration = Duration::from_hours(24 * 365);
        finished_at + window.saturating_add(self.grain).min(NEVER)
    }
}

#[cfg(test)]
mod tests;
