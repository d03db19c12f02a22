//! The machine's clock, which is wrong for a while in some simulations: at a start, or set in the middle of a life, and
//! corrected before the end. HubSpot's clock is right.
//!
//! The oracle knows by M10 when the bridge may believe its clock, and allows what timers do by a believed clock.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use webinar_bridge::clock::{Clock, VirtualClock};
use webinar_bridge::event::{Millis, ReceiptId};
use webinar_bridge::ledger::Retention;

use super::fault_profile::FaultProfile;
use super::oracle::{Arrival, DATING_ERROR};
use super::webhooks::ms;
use super::world::World;
use crate::harness::build::NOON;
use crate::harness::rng::SeededRng;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

/// A witness, or the last write, shows a clock that is as wrong as that.
const DOUBTED: i64 = 60 * MINUTE;

/// By how much the clock is wrong. An hour is a little more than one, so that the time of a call does not matter.
const ERRORS: [i64; 7] =
    [-730 * DAY, -10 * DAY, -62 * MINUTE, -MINUTE, MINUTE, 62 * MINUTE, 10 * DAY];
/// How long what a wrong clock did may last after it is right: "at least once a minute" (M10), and delays.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(90);

/// A span in which the clock is wrong.
#[derive(Clone, Copy)]
struct Episode {
    from: Millis,
    to: Millis,
    ahead: i64,
}

/// The errors of the machine's clock over the whole simulation.
#[derive(Debug, Clone, Default)]
pub(super) struct ClockErrors(Arc<[Episode]>);

impl fmt::Debug for Episode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = |at: Millis| at.get() - NOON.get();
        write!(f, "{} ms..{} ms: {} min", offset(self.from), offset(self.to), self.ahead / MINUTE)
    }
}

impl ClockErrors {
    /// Draws errors that end before the faults do.
    pub(super) fn draw(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let span = ms(profile.faults_end_at.since(NOON));
        let mut bounds: Vec<u64> =
            (0..2 * rng.between(1, 3)).map(|_| rng.between(0, span)).collect();
        bounds.sort_unstable();
        if rng.percent(30) {
            bounds[0] = 0;
        }
        let at = |offset: u64| NOON.plus(Duration::from_millis(offset));
        let episode = |bounds: &[u64]| {
            let ahead = if rng.percent(10) { 730 * DAY } else { *rng.pick(&ERRORS) };
            // A new store has no last write that would contradict a clock two years ahead: series would be frozen.
            let ahead = if bounds[0] == 0 { ahead.min(10 * DAY) } else { ahead };
            Episode { from: at(bounds[0]), to: at(bounds[1]), ahead }
        };
        Self(bounds.chunks_exact(2).map(episode).collect())
    }

    /// Errors from one offset to another, in milliseconds, by that much.
    pub(super) fn of_steps(steps: impl Iterator<Item = (u64, u64, i64)>) -> Self {
        let at = |offset: u64| NOON.plus(Duration::from_millis(offset));
        Self(steps.map(|(from, to, ahead)| Episode { from: at(from), to: at(to), ahead }).collect())
    }

    /// By how much the clock is ahead, in milliseconds.
    pub(super) fn ahead(&self, now: Millis) -> i64 {
        let present = self.0.iter().find(|episode| episode.from <= now && now < episode.to);
        present.map_or(0, |episode| episode.ahead)
    }

    /// Whether the clock is ever wrong.
    pub(super) fn has_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether everything is taken back that a wrong clock did.
    pub(super) fn is_over(&self, now: Millis) -> bool {
        self.0.iter().all(|episode| episode.to.plus(TAKEN_BACK_WITHIN) < now)
    }
}

/// The machine's clock. Its monotonic clock is right.
pub(super) struct MachineClock {
    pub(super) time: VirtualClock,
    pub(super) errors: ClockErrors,
}

impl Clock for MachineClock {
    fn now(&self) -> Millis {
        let now = self.time.now();
        Millis::new(now.get() + self.errors.ahead(now))
    }
}

/// What the bridge may believe of its clock. Where it depends on a moment, both is possible.
#[derive(Debug, Default)]
pub(super) struct Belief {
    /// HubSpot told its time in this process run.
    pub(super) has_witness: bool,
    /// Since when HubSpot told it.
    witnessed_at: Option<Millis>,
    /// Since when nothing was written, for days, until the present process run.
    pub(super) off_since: Option<Millis>,
    /// Nothing was written for days once. A run that heard HubSpot since may have recorded no write: then the next one
    /// doubts its clock again until HubSpot tells the time.
    was_off: bool,
    /// By how much the clock was ahead when the store was last written by a believed clock, and since when: the last of
    /// them, and those that may not have replaced the one before.
    written_ahead: Vec<(i64, Millis)>,
    /// Since when the clock may be doubted.
    doubted_since: Option<Millis>,
    /// By how much its clock was ahead while it was believed in the last minutes, with the last true time of each.
    lately: Vec<(i64, Millis)>,
    /// Since when no timer ran out, and the last true time of that.
    stopped: Option<(Millis, Millis)>,
}

/// The last write is recorded once in so many milliseconds, and a little more.
const RECORDED_WITHIN: Duration = Duration::from_secs(8);

impl Belief {
    /// A process begins: nobody has told it the time.
    pub(super) fn begin_run(&mut self) {
        self.has_witness = false;
        self.witnessed_at = None;
        self.doubted_since = self.off_since;
    }

    /// Whether the clock may be believed while it is `ahead` by that much (M10).
    pub(super) fn may_be_believed(&self, ahead: i64) -> bool {
        self.judgements(ahead).contains(&true)
    }

    /// Whether the clock may be doubted.
    pub(super) fn may_be_doubted(&self, ahead: i64) -> bool {
        self.judgements(ahead).contains(&false)
    }

    fn judgements(&self, ahead: i64) -> Vec<bool> {
        if self.has_witness {
            return vec![ahead.abs() < DOUBTED];
        }
        if self.off_since.is_some() {
            return vec![true, false];
        }
        if self.written_ahead.is_empty() {
            return vec![true];
        }
        let is_near = |(written, _): &(i64, Millis)| (-DOUBTED..DAY).contains(&(ahead - written));
        self.written_ahead.iter().map(is_near).collect()
    }

    /// The bridge works now.
    pub(super) fn note(&mut self, ahead: i64, now: Millis) {
        if self.has_witness && self.witnessed_at.get_or_insert(now).plus(RECORDED_WITHIN) < now {
            self.was_off |= self.off_since.take().is_some();
        }
        let is_recent = |at: Millis| at.plus(TAKEN_BACK_WITHIN) >= now;
        self.lately.retain(|(_, at)| is_recent(*at));
        self.stopped = self.stopped.filter(|(_, at)| is_recent(*at));
        if self.may_be_doubted(ahead) {
            // Doubt changes nothing: what timers did is taken back once it is over.
            self.lately.iter_mut().for_each(|(_, at)| *at = now);
            self.stopped = Some((*self.doubted_since.get_or_insert(now), now));
        } else {
            self.doubted_since = None;
        }
        let recorded = if self.may_be_believed(ahead) {
            self.lately.retain(|(other, _)| *other != ahead);
            self.lately.push((ahead, now));
            Some(ahead)
        } else {
            self.has_witness.then_some(0)
        };
        // While the clock may be doubted as well, nobody knows whether it was recorded.
        let is_certain =
            self.has_witness || self.off_since.is_none() && !self.may_be_doubted(ahead);
        if let Some(ahead) = recorded {
            match self.written_ahead.last_mut() {
                Some((last, since)) if *last == ahead => {
                    if !is_certain {
                        *since = now;
                    } else if since.plus(RECORDED_WITHIN) < now {
                        self.written_ahead.drain(..self.written_ahead.len() - 1);
                    }
                }
                _ => self.written_ahead.push((ahead, now)),
            }
        }
    }

    /// Whether timers have run since a time without any writes, which makes the clock doubted until HubSpot tells its own.
    pub(super) fn is_settled(&self) -> bool {
        self.off_since.is_none() && self.stopped.is_none()
    }

    /// The times by which timers may have run out, apart from the present one.
    pub(super) fn other_times(&self, now: Millis) -> Vec<Millis> {
        let lately = self.lately.iter().map(|(ahead, _)| Millis::new(now.get() + ahead));
        let mut others: Vec<Millis> = lately.chain(self.stopped.map(|(since, _)| since)).collect();
        others.retain(|at| *at != now);
        others.sort();
        others
    }
}

impl World {
    /// Checks the date of what arrives now: HubSpot's answers tell it while they contradict the clock (M10).
    pub(super) fn check_dating(&mut self, now: Millis, dated: Millis) {
        let is_contradicted =
            self.belief.has_witness && self.clock_errors.ahead(now).abs() >= DOUBTED;
        if is_contradicted && dated.distance(now) > DATING_ERROR {
            self.wrong(
                now,
                format!("what arrives is dated {dated}, although HubSpot knows better"),
            );
        }
    }

    /// Checks a pruning: it deletes what is old, and by a doubted clock nothing (M10, B4). Receipts that a wrong clock dated
    /// stop nothing (B11).
    pub(super) fn pruned(
        &mut self,
        now: Millis,
        keep: Retention,
        left: &BTreeSet<ReceiptId>,
        has_more: bool,
    ) {
        let gone = self.oracle.pruned(left);
        let ahead = self.clock_errors.ahead(now);
        let is_believed = self.belief.may_be_believed(ahead);
        if ahead != 0 && is_believed {
            return;
        }
        let is_old = |arrival: &Arrival| now.since(arrival.truly) > keep.receipts;
        let is_nearly_old =
            |arrival: &Arrival| now.since(arrival.truly) + DATING_ERROR > keep.receipts;
        let is_wrong = |gone: &&Arrival| {
            let is_dated_right = gone.is_dated_right && !gone.may_be_doubted;
            !is_believed || is_dated_right && !is_nearly_old(gone)
        };
        if let Some(gone) = gone.iter().find(is_wrong) {
            self.wrong(
                now,
                format!("a receipt is deleted too early: {gone:?}, believed: {is_believed}"),
            );
        }
        let arrivals = left.iter().map(|id| self.oracle.arrival(id));
        let is_due = |left: &Arrival| left.is_dated_right && !left.may_be_doubted && is_old(left);
        let stays = arrivals.into_iter().find(is_due);
        let is_certain = !self.belief.was_off || self.belief.has_witness;
        let must_delete = is_certain && !self.belief.may_be_doubted(ahead) && !has_more;
        if let Some(stays) = stays.filter(|_| must_delete) {
            self.wrong(now, format!("an old receipt is not deleted: {stays:?}"));
        }
    }
}
