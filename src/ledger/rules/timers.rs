//! What the passing of time makes of events.

use super::event_row::EventRow;
use crate::event::{AccountStatus, Millis, PauseReason};
use crate::ledger::{EventState, Retention};

/// The event once the time of its second sending has come. A pending event is sent anyway, and one that is incomplete,
/// filtered or dead is not sent at all.
#[must_use]
pub fn resend(row: EventRow, now: Millis) -> EventRow {
    let forgotten = EventRow { resend_at: None, held_hash: None, ..row };
    match forgotten.state {
        EventState::Delivered => {
            EventRow { state: EventState::Pending, pending_since: now, ..forgotten }
        }
        EventState::Pending | EventState::Incomplete | EventState::Filtered | EventState::Dead => {
            forgotten
        }
    }
}

/// Whether the pending events of an account stop waiting for their next attempts: it refused everything, and does not any
/// more.
#[must_use]
pub fn ends_waits(before: &AccountStatus, after: &AccountStatus) -> bool {
    before.is_paused_for(PauseReason::Refused) && !after.is_paused_for(PauseReason::Refused)
}

/// The times before which things are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutoffs {
    /// For receipts by their arrival, and for fetches by when they were given up.
    pub receipts: Millis,
    /// For webinars without a pending event, by their last end or change.
    pub webinars: Millis,
}

impl Cutoffs {
    /// The cutoffs of now.
    #[must_use]
    pub fn new(keep: Retention, now: Millis) -> Self {
        Self { receipts: now.minus(keep.receipts), webinars: now.minus(keep.events) }
    }
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
