//! Whether the machine's clock can be trusted.
//!
//! Witnesses are the `Date` of HubSpot's answers, that of platforms' answers, a verified signed time that is ahead of
//! ours (an older one proves nothing, since platforms repeat), the monotonic clock, and the last time that the ledger
//! was written. The clock is doubted while it is an hour off the newest of the first three, or a day ahead of the
//! ledger's last write, or an hour behind it, while none of them has spoken. Doubt suspends pruning and timers and nothing else (M10).
//!
//! HubSpot is asked for the time when a doubt begins. After a sleep a signed time that agrees with the clock, and is
//! later than the one that the monotonic clock carried on, ends it too.
//!
//! Without a witness the doubt ends after a day: a service that was off for a week, or a machine that slept, has a right
//! clock and nobody who says so. What a witness contradicted when it spoke stays doubted until a witness agrees.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::seconds_between;
use crate::event::Millis;

/// From here on the clock is off: shown, logged once.
const OFF: Duration = Duration::from_mins(5);
/// From here on the clock is doubted.
const DOUBTED: Duration = Duration::from_hours(1);
/// How far a believed clock may be ahead of the ledger's last write; and how long an unproven doubt lasts.
const DAY: Duration = Duration::from_hours(24);
/// How long HubSpot's agreement proves that the clock is right.
const PROVEN_FOR: Duration = Duration::from_hours(1);

/// Who tells the time, besides the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
pub enum ClockWitness {
    /// The `Date` of HubSpot's answers.
    #[strum(serialize = "HubSpot")]
    Hubspot,
    /// The `Date` of a platform's answers.
    #[strum(serialize = "a platform")]
    Platform,
    /// The time of a verified signature that is ahead of ours.
    #[strum(serialize = "a signed webhook")]
    SignedTime,
}

/// Why the clock is doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockDoubt {
    /// The newest witness contradicts it.
    #[error("{witness} says that it is {time}")]
    Contradicted {
        /// The witness.
        witness: ClockWitness,
        /// The present time by that witness.
        time: Millis,
    },
    /// It is far ahead of the ledger's last write, and nobody has confirmed it.
    #[error(
        "the store was written last at about {0}, and nobody has confirmed the time since the start"
    )]
    FarAhead(Millis),
    /// It is behind the ledger's last write, and nobody has confirmed it.
    #[error(
        "the store was written last at about {0}, and nobody has confirmed the time since the start"
    )]
    Behind(Millis),
}

/// What is known of a clock's correctness.
#[derive(Debug)]
pub struct ClockTrust {
    state: Mutex<TrustState>,
}

#[derive(Debug, Default)]
struct TrustState {
    /// What the newest witness reported.
    newest: Option<Testimony>,
    /// What HubSpot reported last.
    hubspot: Option<Testimony>,
    /// The ledger's last write, by a clock that was believed.
    written: Option<Anchor>,
    /// Since when the clock has been doubted.
    doubted_since: Option<Instant>,
    /// The witnesses that were logged as contradicting.
    logged: [bool; 3],
    /// Whether HubSpot is to be asked for the time.
    is_wanted: bool,
}

/// A time, and when it was that time.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    at: Instant,
    time: Millis,
}

#[derive(Debug, Clone, Copy)]
struct Testimony {
    witness: ClockWitness,
    anchor: Anchor,
    /// Whether it agreed with the clock when it was given.
    agreed: bool,
}

impl Anchor {
    /// The present time by the monotonic clock.
    fn time_at(self, instant: Instant) -> Millis {
        self.time.plus(instant.saturating_duration_since(self.at))
    }
}

impl Default for ClockTrust {
    fn default() -> Self {
        Self::new()
    }
}

impl ClockTrust {
    /// Nothing is known yet: the clock is believed.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, TrustState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At the start: when the ledger was written last.
    pub fn recall_last_write(&self, written_at: Millis) {
        self.state().written = Some(Anchor { at: Instant::now(), time: written_at });
    }

    /// The ledger is written now. While the clock is believed, this is the new reference.
    pub fn record_write(&self, now: Millis) {
        let instant = Instant::now();
        let mut state = self.state();
        if state.doubt(now, instant).is_none() {
            state.written = Some(Anchor { at: instant, time: now });
        }
    }

    /// A response's `Date`, in whole seconds. The response was asked for at `asked` and its head came now: the witness
    /// read its clock in between.
    pub fn observe_date(&self, witness: ClockWitness, date: Millis, asked: Instant, now: Millis) {
        let instant = Instant::now();
        let asked_at = now.minus(instant.saturating_duration_since(asked));
        // The witness's time when the head came lies between these.
        let earliest = date;
        let latest = date.plus(Duration::from_secs(1)).plus(now.since(asked_at));
        let time = Millis::new(now.get().clamp(earliest.get(), latest.get()));
        self.observe(witness, time, now, instant);
    }

    /// The time of a verified signature: it is that late at least, since platforms repeat what they signed before. So it
    /// proves something if it is ahead of ours; and after a jump ahead, or a sleep in which the monotonic clock stood
    /// still, if it is nearer to ours than to the time that the monotonic clock carried on. It does not overrule an answer
    /// that contradicted this very clock.
    pub fn observe_signed_time(&self, signed: Millis, now: Millis) {
        let instant = Instant::now();
        let doubt = self.state().contradiction(now, instant);
        let is_proof = match doubt {
            Some((ClockDoubt::Contradicted { witness, .. }, true))
                if witness != ClockWitness::SignedTime =>
            {
                false
            }
            Some((ClockDoubt::Contradicted { time, .. }, false)) => {
                signed > now || now.since(signed) < DOUBTED.min(signed.since(time))
            }
            Some(_) | None => signed > now,
        };
        if is_proof {
            self.observe(ClockWitness::SignedTime, signed.max(now), now, instant);
        }
    }

    fn observe(&self, witness: ClockWitness, time: Millis, now: Millis, instant: Instant) {
        let off_by = time.distance(now);
        let testimony =
            Testimony { witness, anchor: Anchor { at: instant, time }, agreed: off_by < DOUBTED };
        let is_off = off_by >= OFF;
        let was_off = {
            let mut state = self.state();
            state.newest = Some(testimony);
            if witness == ClockWitness::Hubspot {
                state.hubspot = Some(testimony);
                state.is_wanted = false;
            }
            std::mem::replace(&mut state.logged[witness as usize], is_off)
        };
        let skew = seconds_between(now, time);
        if is_off && !was_off {
            tracing::warn!(
                clock.skew_seconds = skew,
                witness = %witness,
                "the machine's clock is wrong: set it by NTP"
            );
        } else if was_off && !is_off {
            tracing::info!(clock.skew_seconds = skew, witness = %witness, "the machine's clock is right again");
        }
    }

    /// Why the clock, which reads `now`, is doubted, if it is. The beginning and the end of a doubt are logged.
    #[must_use]
    pub fn doubt(&self, now: Millis) -> Option<ClockDoubt> {
        let (before, doubt) = {
            let mut state = self.state();
            (state.doubted_since.is_some(), state.doubt(now, Instant::now()))
        };
        if let Some(reason) = doubt.filter(|_| !before) {
            tracing::warn!(
                clock.now = %now,
                %reason,
                "the machine's clock is doubted: until it is confirmed nothing is deleted for its age, and no event is \
                 completed by time alone"
            );
        } else if before && doubt.is_none() {
            tracing::info!(clock.now = %now, "the machine's clock is believed again");
        }
        doubt
    }

    /// Whether the clock is known to be right: HubSpot's `Date` agreed within the last hour.
    #[must_use]
    pub fn is_proven(&self, now: Millis) -> bool {
        let instant = Instant::now();
        let hubspot = self.state().hubspot;
        hubspot.is_some_and(|Testimony { anchor, .. }| {
            instant.saturating_duration_since(anchor.at) <= PROVEN_FOR
                && anchor.time_at(instant).distance(now) < OFF
        })
    }

    /// How far the clock, which reads `now`, is ahead of HubSpot's, in tenths of a second; none until HubSpot has sent
    /// it.
    #[must_use]
    pub fn skew_seconds(&self, now: Millis) -> Option<f64> {
        let hubspot = self.state().hubspot?;
        let skew = seconds_between(now, hubspot.anchor.time_at(Instant::now()));
        // The sum has no negative zero.
        Some((skew * 10.0).round() / 10.0 + 0.0)
    }

    /// The most likely time: that of the witness or of the ledger's last write while the clock is doubted.
    #[must_use]
    pub fn likely_time(&self, now: Millis) -> Millis {
        match self.doubt(now) {
            Some(
                ClockDoubt::Contradicted { time, .. }
                | ClockDoubt::FarAhead(time)
                | ClockDoubt::Behind(time),
            ) => time,
            None => now,
        }
    }

    /// The time by HubSpot's or a platform's answers while they contradict the clock, which reads `now`, or by the ledger's
    /// last write while the clock is behind it; else `now`. A clock that is ahead of the last write counts, since the
    /// service may have been off for a week; a signed time does not, since the platform may be ahead.
    #[must_use]
    pub fn dating_time(&self, now: Millis) -> Millis {
        match self.doubt(now) {
            Some(
                ClockDoubt::Contradicted {
                    witness: ClockWitness::Hubspot | ClockWitness::Platform,
                    time,
                }
                | ClockDoubt::Behind(time),
            ) => time,
            Some(
                ClockDoubt::Contradicted { witness: ClockWitness::SignedTime, .. }
                | ClockDoubt::FarAhead(_),
            )
            | None => now,
        }
    }

    /// Asks for HubSpot's word: nothing speaks against the clock, and a webhook is refused that would be right by another.
    /// The beginning of a doubt asks for it too.
    pub fn want_hubspot(&self) {
        self.state().is_wanted = true;
    }

    /// Whether HubSpot's word is wanted.
    #[must_use]
    pub fn wants_hubspot(&self) -> bool {
        self.state().is_wanted
    }

    /// HubSpot is asked now: once for each wish, since its answers may lack a `Date`.
    pub fn hubspot_is_asked(&self) {
        self.state().is_wanted = false;
    }

    /// Whether only a witness can end the present doubt soon.
    #[must_use]
    pub fn needs_witness(&self, now: Millis) -> bool {
        matches!(self.doubt(now), Some(ClockDoubt::FarAhead(_) | ClockDoubt::Behind(_)))
    }
}

impl TrustState {
    fn doubt(&mut self, now: Millis, instant: Instant) -> Option<ClockDoubt> {
        let (doubt, is_proven) = self.contradiction(now, instant)?;
        if self.doubted_since.is_none() {
            let by_hubspot =
                matches!(doubt, ClockDoubt::Contradicted { witness: ClockWitness::Hubspot, .. });
            self.is_wanted |= !(is_proven && by_hubspot);
        }
        let since = *self.doubted_since.get_or_insert(instant);
        if !is_proven && instant.saturating_duration_since(since) >= DAY {
            // The clock has gone on for a day, and nobody contradicted it.
            self.newest = None;
            self.written = Some(Anchor { at: instant, time: now });
            self.doubted_since = None;
            return None;
        }
        Some(doubt)
    }

    /// What speaks against the clock, and whether a witness outside contradicted this very clock.
    fn contradiction(&mut self, now: Millis, instant: Instant) -> Option<(ClockDoubt, bool)> {
        let found = match (self.newest, self.written) {
            (Some(Testimony { witness, anchor, agreed }), _) => {
                let time = anchor.time_at(instant);
                let doubt = ClockDoubt::Contradicted { witness, time };
                (time.distance(now) >= DOUBTED).then_some((doubt, !agreed))
            }
            (None, Some(written)) => {
                let time = written.time_at(instant);
                let is_ahead = now.since(time) >= DAY;
                let is_behind = time.since(now) >= DOUBTED;
                let doubt = if is_ahead { ClockDoubt::FarAhead } else { ClockDoubt::Behind };
                (is_ahead || is_behind).then_some((doubt(time), false))
            }
            (None, None) => None,
        };
        if found.is_none() {
            self.doubted_since = None;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = Millis::new(1_764_590_400_000);
    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);

    fn hubspot_says(trust: &ClockTrust, time: Millis, now: Millis) {
        trust.observe_date(ClockWitness::Hubspot, time, Instant::now(), now);
    }

    #[tokio::test(start_paused = true)]
    async fn clock_is_believed_while_nothing_speaks_against_it() {
        let trust = ClockTrust::new();
        assert_eq!(trust.doubt(NOON), None);
        assert_eq!((trust.skew_seconds(NOON), trust.is_proven(NOON)), (None, false));
        trust.recall_last_write(NOON.minus(23 * HOUR));
        assert_eq!(trust.doubt(NOON), None);
        assert_eq!(trust.likely_time(NOON), NOON);
    }

    /// B4: two years ahead at a start.
    #[tokio::test(start_paused = true)]
    async fn clock_a_day_ahead_of_the_last_write_is_doubted_until_a_witness_agrees_or_a_day_has_passed()
     {
        let trust = ClockTrust::new();
        let written = NOON.minus(2 * DAY);
        trust.recall_last_write(written);
        assert_eq!(trust.doubt(NOON), Some(ClockDoubt::FarAhead(written)));
        assert!(trust.needs_witness(NOON));
        tokio::time::advance(MINUTE).await;
        let now = NOON.plus(MINUTE);
        assert_eq!(trust.likely_time(now), written.plus(MINUTE));
        trust.record_write(now);
        assert!(trust.doubt(now).is_some(), "what a doubted clock wrote proves nothing");
        hubspot_says(&trust, now, now);
        assert_eq!(trust.doubt(now), None);

        let unheard = ClockTrust::new();
        unheard.recall_last_write(written);
        assert!(unheard.doubt(NOON).is_some());
        tokio::time::advance(23 * HOUR).await;
        assert!(unheard.doubt(NOON.plus(23 * HOUR)).is_some());
        tokio::time::advance(HOUR).await;
        assert_eq!(unheard.doubt(NOON.plus(DAY)), None, "after a day of running it is believed");
        assert_eq!(unheard.doubt(NOON.plus(DAY)), None, "and stays so");
    }

    #[tokio::test(start_paused = true)]
    async fn clock_an_hour_off_the_newest_witness_is_doubted_however_long_it_runs() {
        for (time, doubted) in [
            (NOON.plus(59 * MINUTE), false),
            (NOON.plus(62 * MINUTE), true),
            (NOON.minus(62 * MINUTE), true),
            (NOON.minus(730 * DAY), true),
        ] {
            let trust = ClockTrust::new();
            hubspot_says(&trust, time, NOON);
            assert_eq!(trust.doubt(NOON).is_some(), doubted, "{time}");
            tokio::time::advance(3 * DAY).await;
            assert_eq!(trust.doubt(NOON.plus(3 * DAY)).is_some(), doubted, "{time}");
            assert!(!trust.needs_witness(NOON));
        }
    }

    /// The monotonic clock carries a witness on.
    #[tokio::test(start_paused = true)]
    async fn jump_after_a_witness_agreed_is_doubted_at_once_and_for_a_day_at_most() {
        let trust = ClockTrust::new();
        hubspot_says(&trust, NOON, NOON);
        tokio::time::advance(HOUR).await;
        assert_eq!(trust.doubt(NOON.plus(HOUR)), None);
        for jumped in [NOON.plus(10 * DAY), NOON.minus(HOUR)] {
            let doubt = trust.doubt(jumped);
            assert!(matches!(doubt, Some(ClockDoubt::Contradicted { .. })), "{doubt:?}");
            assert_eq!(trust.likely_time(jumped), NOON.plus(HOUR));
        }
        assert_eq!(trust.doubt(NOON.plus(HOUR)), None, "it jumped back");
        // A machine that slept for two days.
        let awake = NOON.plus(HOUR).plus(2 * DAY);
        assert!(trust.doubt(awake).is_some());
        tokio::time::advance(DAY).await;
        assert_eq!(trust.doubt(awake.plus(DAY)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn ledgers_last_write_is_carried_on_by_the_monotonic_clock() {
        let trust = ClockTrust::new();
        trust.recall_last_write(NOON.minus(HOUR));
        trust.record_write(NOON);
        tokio::time::advance(12 * HOUR).await;
        assert_eq!(trust.doubt(NOON.plus(35 * HOUR)), None);
        assert!(trust.doubt(NOON.plus(36 * HOUR)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_is_dated_by_answers_that_contradict_the_clock_and_by_nothing_else() {
        let trust = ClockTrust::new();
        let behind = NOON.minus(365 * DAY);
        trust.recall_last_write(behind.minus(7 * DAY));
        assert!(trust.doubt(behind).is_some());
        assert_eq!(trust.dating_time(behind), behind, "the service was off for a week");
        trust.recall_last_write(NOON);
        assert!(trust.doubt(behind).is_some() && trust.needs_witness(behind));
        trust.record_write(behind);
        assert_eq!(trust.dating_time(behind), NOON, "it was later when the store was written");
        trust.observe_signed_time(behind.plus(2 * HOUR), behind);
        assert_eq!(trust.dating_time(behind), behind, "the platform may be ahead");
        hubspot_says(&trust, NOON, behind);
        tokio::time::advance(MINUTE).await;
        assert_eq!(trust.dating_time(behind.plus(MINUTE)), NOON.plus(MINUTE));
        assert_eq!(trust.dating_time(NOON.plus(2 * MINUTE)), NOON.plus(2 * MINUTE), "corrected");
    }

    #[tokio::test(start_paused = true)]
    async fn hubspot_is_wanted_until_it_answers_or_was_asked() {
        let trust = ClockTrust::new();
        assert!(!trust.wants_hubspot());
        trust.want_hubspot();
        trust.observe_signed_time(NOON.plus(HOUR), NOON);
        assert!(trust.wants_hubspot(), "another witness does not prove the clock");
        hubspot_says(&trust, NOON, NOON);
        assert!(!trust.wants_hubspot());
        trust.want_hubspot();
        trust.hubspot_is_asked();
        assert!(!trust.wants_hubspot());
    }

    #[tokio::test(start_paused = true)]
    async fn signed_time_counts_only_if_it_is_ahead() {
        let trust = ClockTrust::new();
        trust.observe_signed_time(NOON.minus(5 * HOUR), NOON);
        assert_eq!(trust.doubt(NOON), None, "platforms repeat");
        trust.observe_signed_time(NOON.plus(2 * HOUR), NOON);
        assert!(trust.doubt(NOON).is_some());
        trust.observe_signed_time(NOON.plus(MINUTE), NOON);
        assert_eq!(trust.doubt(NOON), None);
        assert!(!trust.is_proven(NOON), "only HubSpot proves it");
    }

    /// A machine slept, and its monotonic clock stood still.
    #[tokio::test(start_paused = true)]
    async fn signed_time_that_agrees_ends_the_doubt_of_a_jump_ahead_and_of_nothing_else() {
        let slept = |trust: &ClockTrust| {
            hubspot_says(trust, NOON, NOON);
            let now = NOON.plus(3 * DAY);
            assert!(trust.doubt(now).is_some());
            now
        };
        for (signed_ago, is_doubted) in
            [(Duration::ZERO, false), (59 * MINUTE, false), (60 * MINUTE, true), (3 * DAY, true)]
        {
            let trust = ClockTrust::new();
            let now = slept(&trust);
            trust.observe_signed_time(now.minus(signed_ago), now);
            assert_eq!(trust.doubt(now).is_some(), is_doubted, "{signed_ago:?}");
            assert!(!trust.is_proven(now), "only HubSpot proves it");
            if !is_doubted {
                assert_eq!(trust.dating_time(now), now);
            }
        }
        // It was set ahead by an hour, and the platform's clock is a little ahead.
        let trust = ClockTrust::new();
        hubspot_says(&trust, NOON, NOON);
        let ahead = NOON.plus(HOUR);
        trust.observe_signed_time(NOON.plus(MINUTE), ahead);
        assert!(trust.doubt(ahead).is_some());
        // It was set back: a platform repeats what it signed then.
        let trust = ClockTrust::new();
        hubspot_says(&trust, NOON, NOON);
        let behind = NOON.minus(3 * DAY);
        trust.observe_signed_time(behind, behind);
        assert!(trust.doubt(behind).is_some());
        // HubSpot contradicted this very clock, and another one may be as wrong.
        let trust = ClockTrust::new();
        let ahead = NOON.plus(3 * DAY);
        hubspot_says(&trust, NOON, ahead);
        for signed in [ahead.minus(MINUTE), ahead.plus(MINUTE)] {
            trust.observe_signed_time(signed, ahead);
            assert!(trust.doubt(ahead).is_some(), "{signed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn hubspot_is_wanted_when_a_doubt_begins_unless_hubspot_began_it() {
        let trust = ClockTrust::new();
        hubspot_says(&trust, NOON, NOON);
        let now = NOON.plus(3 * DAY);
        assert!(trust.doubt(now).is_some() && trust.wants_hubspot());
        trust.hubspot_is_asked();
        assert!(trust.doubt(now).is_some() && !trust.wants_hubspot(), "once for each doubt");
        let contradicted = ClockTrust::new();
        hubspot_says(&contradicted, NOON, now);
        assert!(contradicted.doubt(now).is_some() && !contradicted.wants_hubspot());
    }

    #[tokio::test(start_paused = true)]
    async fn clock_is_proven_for_an_hour_after_hubspot_agreed_and_not_across_a_jump() {
        let trust = ClockTrust::new();
        hubspot_says(&trust, NOON, NOON);
        assert!(trust.is_proven(NOON));
        assert!(!trust.is_proven(NOON.plus(OFF)));
        tokio::time::advance(HOUR).await;
        assert!(trust.is_proven(NOON.plus(HOUR)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!trust.is_proven(NOON.plus(HOUR)));
    }

    /// A slow answer proves little: the witness read its clock at some moment of the call.
    #[tokio::test(start_paused = true)]
    async fn skew_is_the_least_that_the_answer_proves() {
        let trust = ClockTrust::new();
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(20)).await;
        for (date, skew) in [
            (NOON.minus(Duration::from_secs(20)), 0.0),
            (NOON, 0.0),
            (NOON.plus(Duration::from_secs(5)), -5.0),
            (NOON.minus(Duration::from_secs(51)), 30.0),
        ] {
            trust.observe_date(ClockWitness::Hubspot, date, asked, NOON);
            let found = trust.skew_seconds(NOON).expect("it is known");
            assert!((found - skew).abs() < 0.001, "{date}: {found}");
        }
    }
}
