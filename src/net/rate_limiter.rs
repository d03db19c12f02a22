//! The pace of an account's calls: a sliding log, pure in time.
//!
//! HubSpot counts a call at some moment between our sending it and our seeing its answer; which, we cannot know. So a
//! call counts as used from its start, and until one window after its answer or failure was *seen*. Then no window holds
//! more calls than its limit, wherever HubSpot counts them. (A token bucket would let nearly two bursts into one
//! window.) The whole window is used all the same; only the calls' latency is lost.
//!
//! Two limits hold at once: the configured one, and the one HubSpot tells in its headers, which may be lower, and may
//! be used by others of the same app: what they use is known by what HubSpot says is left, and counted as phantoms.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::rate_limit_headers::RateLimitHeaders;
use super::settings::RateLimit;

/// A use is over this long after its window: HubSpot's windows are counted in milliseconds, and a call that comes at
/// the very millisecond at which another leaves the window may still be counted with it.
const GRAIN: Duration = Duration::from_millis(1);

/// What an account has used of its limits.
#[derive(Debug)]
pub struct RateLimiter {
    configured: RateLimit,
    /// As HubSpot tells it; none until it does.
    reported: Option<RateLimit>,
    /// Calls that have started and not ended, with their start.
    in_flight: BTreeMap<u64, Instant>,
    /// Uses that have ended, oldest first. Kept a little longer than they count: see [`Pace::observe`].
    finished: VecDeque<FinishedCalls>,
    /// After a start or a take-over nobody here knows what was used just before: one call goes first and brings
    /// HubSpot's word on it.
    has_seen_headers: bool,
    next: u64,
}

/// Uses that no longer go on but still count.
#[derive(Debug, Clone, Copy)]
struct FinishedCalls {
    finished_at: Instant,
    /// A number, not an entry each: what others use is told in one number, of any size.
    calls: usize,
    /// Others' calls, which only the told limit is shared with.
    is_foreign: bool,
}

/// The right to make one call now; goes back by [`Pace::finish`] or [`Pace::cancel`].
///
/// One that is dropped instead counts for ever.
#[derive(Debug)]
#[must_use = "a slot that is not given back counts as used for ever"]
pub struct Permit(u64);

/// There is no slot now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermitWait {
    /// Not before then; others may be first.
    Until(Instant),
    /// Not before a call in flight has ended.
    ForResponse,
}

impl RateLimiter {
    /// Nothing is used, and one call goes first.
    #[must_use]
    pub fn new(configured: RateLimit) -> Self {
        Self {
            configured,
            reported: None,
            in_flight: BTreeMap::new(),
            finished: VecDeque::new(),
            has_seen_headers: false,
            next: 0,
        }
    }

    /// Takes a slot.
    ///
    /// # Errors
    /// [`Wait`] says when to ask again.
    pub fn try_acquire(&mut self, now: Instant) -> Result<Permit, PermitWait> {
        self.drop_expired(now);
        if !self.has_seen_headers && !self.in_flight.is_empty() {
            return Err(PermitWait::ForResponse);
        }
        // Of two that say no, the one that says no for longer: "for an answer" has no known end, so it goes first.
        let mut until = None;
        for (limit, shared) in self.limits() {
            match self.free_at(limit, shared, now) {
                Ok(None) => {}
                Ok(Some(instant)) => until = until.max(Some(instant)),
                Err(wait) => return Err(wait),
            }
        }
        if let Some(instant) = until {
            return Err(PermitWait::Until(instant));
        }
        let id = self.next;
        self.next += 1;
        self.in_flight.insert(id, now);
        Ok(Permit(id))
    }

    /// The call's answer or failure was seen.
    pub fn complete(&mut self, Permit(id): Permit, now: Instant) {
        self.in_flight.remove(&id);
        self.has_seen_headers = true;
        self.record_call(now);
    }

    /// The call was never made.
    pub fn cancel(&mut self, Permit(id): Permit) {
        self.in_flight.remove(&id);
    }

    /// A call was made, and its answer seen, without a slot: a repetition that could not wait for one.
    pub fn record_call(&mut self, now: Instant) {
        self.insert_finished(FinishedCalls { finished_at: now, calls: 1, is_foreign: false });
    }

    /// Learns from the headers of that call's answer; to be said before [`Pace::finish`].
    pub fn observe_headers(&mut self, slot: &Permit, rates: &RateLimitHeaders, now: Instant) {
        self.drop_expired(now);
        self.has_seen_headers = true;
        let Some(limit) = rates.limit() else { return };
        self.reported = Some(limit);
        let (Some(remaining), Some(&since)) = (rates.remaining, self.in_flight.get(&slot.0)) else {
            return;
        };
        // HubSpot wrote the headers at some time since the call began. What it may have counted of ours by then is
        // whatever counted at any moment since: only what it misses beyond that is another's. Counting what counts
        // *now* would take our own calls, just expired, for another's, and waste the window.
        let counting = self.counted_at(limit.window, true, since).map(|ended| ended.calls);
        let known = self.in_flight.len() + counting.sum::<usize>();
        let used = usize::try_from(limit.requests.saturating_sub(remaining)).unwrap_or(usize::MAX);
        if let Some(others) = used.checked_sub(known).filter(|others| *others > 0) {
            self.insert_finished(FinishedCalls {
                finished_at: now,
                calls: others,
                is_foreign: true,
            });
        }
    }

    /// The limits that hold, and whether others use them too.
    fn limits(&self) -> impl Iterator<Item = (RateLimit, bool)> + use<> {
        [(self.configured, false)].into_iter().chain(self.reported.map(|limit| (limit, true)))
    }

    /// When the limit has room: now, if none is said.
    fn free_at(
        &self,
        limit: RateLimit,
        shared: bool,
        now: Instant,
    ) -> Result<Option<Instant>, PermitWait> {
        let most = usize::try_from(limit.requests).unwrap_or(usize::MAX);
        let Some(room) = most.checked_sub(self.in_flight.len()).filter(|room| *room > 0) else {
            return Err(PermitWait::ForResponse);
        };
        // Beside those in flight there is room for so many; the latest uses that fill it are in the way until the
        // oldest of them is over.
        let mut room = room;
        for ended in self.counted_at(limit.window, shared, now).rev() {
            match room.checked_sub(ended.calls).filter(|room| *room > 0) {
                Some(left) => room = left,
                None => return Ok(Some(expires_at(ended.finished_at, limit.window))),
            }
        }
        Ok(None)
    }

    /// The ended uses that count in the window at that time, oldest first.
    fn counted_at(
        &self,
        window: Duration,
        shared: bool,
        at: Instant,
    ) -> impl DoubleEndedIterator<Item = &FinishedCalls> {
        self.finished.iter().filter(move |ended| {
            (shared || !ended.is_foreign) && expires_at(ended.finished_at, window) > at
        })
    }

    /// Keeps the log in order even if two tasks tell of their ends the wrong way round.
    fn insert_finished(&mut self, ended: FinishedCalls) {
        let place = self.finished.partition_point(|other| other.finished_at <= ended.finished_at);
        self.finished.insert(place, ended);
    }

    /// Drops what counts neither now nor at any moment since the oldest call in flight began.
    fn drop_expired(&mut self, now: Instant) {
        let since = self.in_flight.values().copied().fold(now, Instant::min);
        let longest =
            self.limits().map(|(limit, _)| limit.window).fold(Duration::ZERO, Duration::max);
        let gone =
            self.finished.partition_point(|ended| expires_at(ended.finished_at, longest) <= since);
        self.finished.drain(..gone);
    }
}

/// When a use that ended then leaves the window. There is no bound on a configured window: beyond what the clock can
/// say, far away is as good as never.
fn expires_at(ended: Instant, window: Duration) -> Instant {
    const NEVER: Duration = Duration::from_hours(24 * 365);
    ended + window.saturating_add(GRAIN).min(NEVER)
}

#[cfg(test)]
mod tests;
