//! Waits across steps of the clock.
//!
//! A retry is due as soon as the wall clock says so, or once the wait as it was decided has passed by the monotonic clock.
//! So no step of the wall clock silences anything (B10).
//! While the process runs, a step back moves the stored times with the clock. A step ahead makes waits end early, apart from
//! that for a second sending, which must not come before the call that it corrects can have landed. What is
//! read at the start is cut to the longest wait of its kind, since the clock may have been set back meanwhile.

use std::time::Duration;

use super::event_row::EventRow;
use crate::event::{AccountStatus, Millis};
use crate::ledger::{LATE_EFFECT_WINDOW, LONGEST_WAIT};

/// The longest wait of an event for its next attempt.
pub const LONGEST_EVENT_WAIT: Duration = Duration::from_mins(10);
/// The longest wait of a fetch.
pub const LONGEST_FETCH_WAIT: Duration = Duration::from_hours(6);
/// The longest wait of an account that is not paused.
const LONGEST_ACCOUNT_WAIT: Duration = Duration::from_mins(10);

/// The end of a wait after the clock was set back by that much, and reads `now`.
#[must_use]
pub fn moved(at: Option<Millis>, now: Millis, by: Duration) -> Option<Millis> {
    at.map(|at| if at > now { at.minus(by) } else { at })
}

/// The end of a wait as it is read at the start.
#[must_use]
pub fn cut(at: Option<Millis>, now: Millis, longest: Duration) -> Option<Millis> {
    at.map(|at| at.min(now.plus(longest)))
}

/// The event's row after the clock was set back by that much, and reads `now`.
#[must_use]
pub fn move_event(row: EventRow, now: Millis, by: Duration) -> EventRow {
    EventRow {
        not_before: moved(row.not_before, now, by),
        sending_since: moved(row.sending_since, now, by),
        resend_at: moved(row.resend_at, now, by),
        ..row
    }
}

/// The event's row after the clock was set ahead by that much, and reads `now`.
#[must_use]
pub fn move_event_ahead(row: EventRow, now: Millis, by: Duration) -> EventRow {
    let was_to_come = |at: &Millis| *at > now.minus(by);
    let resend_at = row.resend_at.map(|at| if was_to_come(&at) { at.plus(by) } else { at });
    EventRow { resend_at, ..row }
}

/// The event's row at the start. The wait for a second sending begins again: the clock may have been set ahead meanwhile,
/// and the call may still land.
#[must_use]
pub fn cut_event(row: EventRow, now: Millis) -> EventRow {
    EventRow {
        not_before: cut(row.not_before, now, LONGEST_EVENT_WAIT),
        resend_at: row.resend_at.map(|_| now.plus(LATE_EFFECT_WINDOW)),
        ..row
    }
}

/// The account's status after the clock was set back by that much, and reads `now`.
#[must_use]
pub fn move_status(status: AccountStatus, now: Millis, by: Duration) -> AccountStatus {
    AccountStatus {
        retry_at: moved(status.retry_at, now, by),
        failing_since: moved(status.failing_since, now, by),
        failed_at: moved(status.failed_at, now, by),
        ..status
    }
}

/// The account's status at the start. A failure that is to come shows by how much the clock was ahead that wrote it.
#[must_use]
pub fn cut_status(status: AccountStatus, now: Millis) -> AccountStatus {
    let failed_at = status.failed_at.max(status.failing_since);
    let ahead = failed_at.map_or(Duration::ZERO, |at| at.since(now));
    let status = move_status(status, now, ahead);
    let longest = if status.paused.is_some() { LONGEST_WAIT } else { LONGEST_ACCOUNT_WAIT };
    AccountStatus { retry_at: cut(status.retry_at, now, longest), ..status }
}

#[cfg(test)]
mod tests {
    use super::super::event_row::tests::pending;
    use super::*;
    use crate::event::{Pause, PauseReason};

    const NOW: Millis = Millis::new(1_764_590_400_000);
    const HOUR: Duration = Duration::from_hours(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn wait_goes_on_as_decided_after_the_clock_was_set_back() {
        // Decided a moment before, an hour ahead on the clock of then.
        let at = |wait: Duration| Some(NOW.plus(HOUR).plus(wait));
        let row = EventRow {
            not_before: at(30 * SECOND),
            sending_since: at(Duration::ZERO),
            resend_at: at(LATE_EFFECT_WINDOW),
            ..pending("one")
        };
        let row = move_event(row, NOW, HOUR);
        assert_eq!(row.not_before, Some(NOW.plus(30 * SECOND)));
        assert_eq!(row.sending_since, Some(NOW));
        assert_eq!(row.resend_at, Some(NOW.plus(LATE_EFFECT_WINDOW)));
        let status = AccountStatus { retry_at: at(SECOND), ..AccountStatus::default() };
        assert_eq!(move_status(status, NOW, HOUR).retry_at, Some(NOW.plus(SECOND)));
        let past = EventRow { not_before: Some(NOW.minus(SECOND)), ..pending("one") };
        assert_eq!(move_event(past.clone(), NOW, HOUR), past, "it is due in any case");
    }

    #[test]
    fn second_sending_waits_its_time_after_the_clock_was_set_ahead() {
        let before = NOW.minus(HOUR);
        let to_come = EventRow {
            not_before: Some(before.plus(SECOND)),
            resend_at: Some(before.plus(LATE_EFFECT_WINDOW)),
            ..pending("one")
        };
        let row = move_event_ahead(to_come.clone(), NOW, HOUR);
        assert_eq!(row.resend_at, Some(NOW.plus(LATE_EFFECT_WINDOW)));
        assert_eq!(row.not_before, to_come.not_before, "an attempt may be early");
        let due = EventRow { resend_at: Some(before), ..pending("one") };
        assert_eq!(move_event_ahead(due.clone(), NOW, HOUR), due);
    }

    #[test]
    fn wait_that_is_read_at_the_start_is_cut_to_the_longest_of_its_kind() {
        let ahead = Some(NOW.plus(9 * HOUR));
        let row = EventRow { not_before: ahead, resend_at: ahead, ..pending("one") };
        let row = cut_event(row, NOW);
        assert_eq!(row.not_before, Some(NOW.plus(LONGEST_EVENT_WAIT)));
        assert_eq!(row.resend_at, Some(NOW.plus(LATE_EFFECT_WINDOW)));
        let overdue = EventRow { resend_at: Some(NOW.minus(HOUR)), ..pending("one") };
        assert_eq!(cut_event(overdue, NOW).resend_at, Some(NOW.plus(LATE_EFFECT_WINDOW)));
        let status = AccountStatus { retry_at: ahead, ..AccountStatus::default() };
        assert_eq!(cut_status(status.clone(), NOW).retry_at, Some(NOW.plus(LONGEST_ACCOUNT_WAIT)));
        let reason = PauseReason::DailyLimit;
        let paused = Some(Pause { reason, since: NOW, detail: String::new() });
        assert_eq!(cut_status(AccountStatus { paused, ..status }, NOW).retry_at, ahead);
    }

    /// B10: written by a clock that was an hour ahead, and read by the right one.
    #[test]
    fn wait_of_a_paused_account_begins_again_at_the_start_if_its_failure_is_to_come() {
        let failed_at = NOW.plus(HOUR);
        let reason = PauseReason::DailyLimit;
        let status = AccountStatus {
            paused: Some(Pause { reason, since: failed_at, detail: String::new() }),
            retry_at: Some(failed_at.plus(45 * SECOND)),
            failing_since: Some(failed_at),
            ..AccountStatus::default()
        };
        let status = cut_status(status, NOW);
        assert_eq!(status.retry_at, Some(NOW.plus(45 * SECOND)));
        assert_eq!(status.failing_since, Some(NOW));
        // It failed before the clock was ahead, too.
        let status = AccountStatus {
            retry_at: Some(failed_at.plus(45 * SECOND)),
            failing_since: Some(NOW.minus(HOUR)),
            failed_at: Some(failed_at),
            ..status
        };
        let status = cut_status(status, NOW);
        assert_eq!(status.retry_at, Some(NOW.plus(45 * SECOND)));
        assert_eq!(status.failing_since, Some(NOW.minus(HOUR)));
    }
}
