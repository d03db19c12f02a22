//! Redrives: an operator has events sent again.

use super::base::wait_for_base;
use super::event_row::EventRow;
use crate::event::Millis;
use crate::ledger::{EventState, RedriveRequest, RedriveResult};

/// Makes an event pending, and clears the fields that would delay or skip the sending.
///
/// The version rises, so that a refusal of an earlier call does not kill the event again: the operator may have
/// corrected its cause. A confirmation of that call counts, since it is of the present state.
///
/// # Errors
/// The reason why the event cannot be sent.
pub fn redrive(row: EventRow, now: Millis) -> Result<EventRow, RedriveResult> {
    match row.state {
        EventState::Incomplete => return Err(RedriveResult::Incomplete),
        EventState::Filtered => return Err(RedriveResult::Filtered),
        // Nothing is known of it but what HubSpot holds.
        _ if row.is_frozen && row.base.is_unread() => return Err(RedriveResult::Incomplete),
        EventState::Pending | EventState::Delivered | EventState::Dead => {}
    }
    let pending_since = if row.state == EventState::Pending { row.pending_since } else { now };
    let redriven = EventRow {
        state: EventState::Pending,
        version: row.version + 1,
        held_hash: None,
        refused: None,
        attempts: 0,
        not_before: None,
        pending_since,
        ..row
    };
    // Of a restored copy nothing is sent before it is known what HubSpot holds (M23).
    Ok(if redriven.base.is_unread() { wait_for_base(redriven) } else { redriven })
}

/// Whether events in that state can be sent again.
#[must_use]
pub fn can_redrive(state: EventState) -> bool {
    match state {
        EventState::Pending | EventState::Delivered | EventState::Dead => true,
        EventState::Incomplete | EventState::Filtered => false,
    }
}

/// Whether a request is about an event of that account, state and end.
#[must_use]
pub fn is_selected(
    request: &RedriveRequest,
    account: &str,
    state: EventState,
    ends_at: Option<Millis>,
    now: Millis,
) -> bool {
    let of_account = request.account.as_ref().is_none_or(|wanted| wanted.as_str() == account);
    let is_over = ends_at.is_some_and(|end| end < now);
    of_account && state == request.state && !(request.not_over && is_over)
}

#[cfg(test)]
mod tests {
    use super::super::base::waits_for_base;
    use super::super::event_row::tests::{hash, pending};
    use super::*;
    use crate::event::{BasePosition, BaseState};

    const NOW: Millis = Millis::new(1_000_000);

    #[test]
    fn redriven_event_of_a_restored_copy_is_read_first() {
        let base = BaseState::unread(BasePosition::AboveReceipt(9));
        let restored = EventRow { state: EventState::Delivered, base, ..pending("one") };
        let redriven = redrive(restored, NOW).expect("it can be sent");
        assert!(waits_for_base(&redriven), "M23");
        assert_eq!((redriven.input_hash, redriven.version), (None, 2));
    }

    /// M23, M26: it is folded no more, so it would wait for ever.
    #[test]
    fn frozen_event_of_a_restored_copy_is_not_redriven() {
        let base = BaseState::unread(BasePosition::AboveReceipt(9));
        let delivered = EventRow { state: EventState::Delivered, base, ..pending("one") };
        let frozen = EventRow { is_frozen: true, ..delivered };
        assert_eq!(redrive(frozen, NOW), Err(RedriveResult::Incomplete));
    }

    #[test]
    fn redriven_event_is_pending_and_forgets_what_would_hold_it() {
        let dead = EventRow {
            state: EventState::Dead,
            attempts: 3,
            not_before: Some(NOW),
            held_hash: Some(hash("one")),
            ..pending("one")
        };
        let redriven = redrive(dead, NOW).expect("it can be sent");
        let expected = EventRow { version: 2, pending_since: NOW, ..pending("one") };
        assert_eq!(redriven, expected);
        let waiting = EventRow { not_before: Some(NOW), ..pending("one") };
        let freed = redrive(waiting, NOW).expect("it can be sent");
        assert_eq!(freed.pending_since, pending("one").pending_since, "it was pending before");
    }

    #[test]
    fn event_without_input_is_never_redriven() {
        for (state, refused) in [
            (EventState::Incomplete, RedriveResult::Incomplete),
            (EventState::Filtered, RedriveResult::Filtered),
        ] {
            assert!(!can_redrive(state));
            let row = EventRow { state, ..pending("one") };
            assert_eq!(redrive(row, NOW), Err(refused));
        }
    }

    #[test]
    fn request_selects_by_account_state_and_end() {
        let request = RedriveRequest {
            account: Some(crate::event::AccountName::parse("main").expect("valid")),
            state: EventState::Dead,
            not_over: true,
            after: None,
        };
        let selected = |account, state, end| is_selected(&request, account, state, end, NOW);
        assert!(selected("main", EventState::Dead, None));
        assert!(selected("main", EventState::Dead, Some(NOW)));
        assert!(!selected("main", EventState::Dead, Some(Millis::new(1))), "it is over");
        assert!(!selected("other", EventState::Dead, None));
        assert!(!selected("main", EventState::Pending, None));
    }
}
