//! An event's row after a timer or a wait has ended.

use std::time::Duration;

use super::event_row::EventRow;
use crate::event::{AccountStatus, Millis, PauseReason};
use crate::ledger::EventState;

/// After which a timer that has run out is looked at again, if its source is not in the configuration.
pub const TIMER_RETRY: Duration = Duration::from_hours(1);

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
