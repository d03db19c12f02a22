//! An event's row after a timer or a wait has ended.

use std::time::Duration;

use super::event_row::EventRow;
use super::reconcile::TimerCompletion;
use crate::event::{AccountStatus, Millis, NO_TIMERS, PauseReason};
use crate::ledger::EventState;

/// After which a timer that has run out is looked at again, if its source is not in the configuration.
pub const TIMER_RETRY: Duration = Duration::from_hours(1);

/// When a timer is due whose event [`is_derived_again`]: by any clock, also by one that is doubted.
pub const DERIVED_AGAIN: Millis = NO_TIMERS;

/// Whether the event is derived again before it is sent: a timer completed it, and HubSpot did not confirm that.
///
/// This is asked after a start, after the clock was set back, and when a doubt of it begins: the clock may have been ahead
/// when the timer ran (M10).
#[must_use]
pub fn is_derived_again(row: &EventRow, timer: Option<TimerCompletion>) -> bool {
    row.state == EventState::Pending
        && !row.is_frozen
        && row.confirmed_hash != row.input_hash
        && timer.is_some_and(|timer| !timer.is_confirmed)
}

/// Whether a timer has run out by a clock that reads `now`, and was not run yet. Until then its event is neither deleted
/// nor frozen: the service may have been off.
#[must_use]
pub fn is_overdue(due_at: Option<Millis>, now: Millis) -> bool {
    due_at.is_some_and(|at| at <= now)
}

/// The event once the time of its second sending has come. A pending event is sent anyway, and one that is incomplete,
/// filtered or dead is not sent at all.
#[must_use]
pub fn resend(row: EventRow, now: Millis) -> EventRow {
    let forgotten = EventRow { resend_at: None, held_hash: None, ..row };
    if forgotten.state == EventState::Delivered {
        EventRow { state: EventState::Pending, pending_since: now, ..forgotten }
    } else {
        forgotten
    }
}

/// Whether the pending events of an account stop waiting for their next attempts: it refused everything, and does not
/// any more.
#[must_use]
pub fn ends_waits(before: &AccountStatus, after: &AccountStatus) -> bool {
    before.is_paused_for(PauseReason::Refused) && !after.is_paused_for(PauseReason::Refused)
}

#[cfg(test)]
mod tests {
    use super::super::event_row::tests::{hash, pending};
    use super::*;

    const NOW: Millis = Millis::new(1_000_000);

    #[test]
    fn pending_completion_that_hubspot_did_not_confirm_is_derived_again() {
        let timer = |is_confirmed| Some(TimerCompletion { end: NOW, is_confirmed });
        let row = pending("completed");
        let known = |other| EventRow { confirmed_hash: Some(hash(other)), ..pending("completed") };
        for (row, timer, expected) in [
            (row.clone(), timer(false), true),
            (known("before"), timer(false), true),
            (known("completed"), timer(false), false),
            (row.clone(), timer(true), false),
            (row.clone(), None, false),
            (EventRow { is_frozen: true, ..row.clone() }, timer(false), false),
            (EventRow { state: EventState::Dead, ..row }, timer(false), false),
        ] {
            assert_eq!(is_derived_again(&row, timer), expected, "{row:?} {timer:?}");
        }
    }

    #[test]
    fn second_sending_makes_only_a_delivered_event_pending() {
        for (state, after, since) in [
            (EventState::Delivered, EventState::Pending, NOW),
            (EventState::Pending, EventState::Pending, Millis::new(10)),
            (EventState::Dead, EventState::Dead, Millis::new(10)),
        ] {
            let row = EventRow {
                state,
                resend_at: Some(NOW),
                held_hash: Some(hash("one")),
                ..pending("one")
            };
            let resent = resend(row, NOW);
            assert_eq!((resent.state, resent.pending_since), (after, since));
            assert_eq!((resent.resend_at, resent.held_hash), (None, None));
        }
    }
}
