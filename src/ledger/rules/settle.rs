//! An event's row after the beginning of an attempt, after its outcome, and after a crash amid the call.

use super::event_row::{ConfirmedInput, EventRow};
use crate::event::Millis;
use crate::ledger::{
    DeliveryOutcome, EventState, EventVersion, HubspotRefusal, LATE_EFFECT_WINDOW,
};

/// An event after its settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledEvent {
    /// The row from now on.
    pub row: EventRow,
    /// The change of the confirmed input.
    pub confirmed_input: ConfirmedInput,
}

/// The row once a call with the event has begun.
///
/// From then on it is unknown which state HubSpot holds, until HubSpot confirms one: a call that it answers with an
/// error may have been carried out before the error.
#[must_use]
pub fn begin_attempt(row: EventRow, now: Millis) -> EventRow {
    EventRow { sending_since: Some(now), held_hash: None, ..row }
}

/// The row after a crash amid a call, whose outcome is unknown.
#[must_use]
pub fn recover(row: EventRow, now: Millis) -> EventRow {
    EventRow { sending_since: None, ..ambiguous(row, now) }
}

/// The event once a claimed version of it has had this outcome.
#[must_use]
pub fn settle(
    row: EventRow,
    sent: &EventVersion,
    outcome: &DeliveryOutcome,
    now: Millis,
) -> SettledEvent {
    let mut confirmed_input = ConfirmedInput::Keep;
    let row = match outcome {
        DeliveryOutcome::Confirmed { object_id } => {
            confirmed_input = if row.input_hash == Some(sent.input_hash) {
                ConfirmedInput::Clear
            } else {
                ConfirmedInput::TakeSent
            };
            confirmed(row, sent, object_id.as_ref(), now)
        }
        DeliveryOutcome::Refused(refusal) => refused(row, sent, refusal),
        DeliveryOutcome::RefusalRevoked if row.state == EventState::Dead => {
            EventRow { state: EventState::Pending, refused: None, ..row }
        }
        // It changed since, or somebody asked for it to be sent again, and it may be on its way once more.
        DeliveryOutcome::RefusalRevoked => return SettledEvent { row, confirmed_input },
        DeliveryOutcome::RefusalUpheld(refusal) => {
            let is_waiting = row.state == EventState::Pending && row.sending_since.is_none();
            let row = if is_waiting { refused(row, sent, refusal) } else { row };
            return SettledEvent { row, confirmed_input };
        }
        DeliveryOutcome::NotApplied => row,
        DeliveryOutcome::AlreadyConfirmed => already_confirmed(row),
        DeliveryOutcome::Ambiguous => ambiguous(row, now),
        DeliveryOutcome::RetryCounted { wait, reason } => EventRow {
            held_hash: None,
            not_before: Some(now.plus(*wait)),
            attempts: row.attempts.saturating_add(1),
            last_error: Some(reason.clone()),
            ..row
        },
        DeliveryOutcome::RetryUncounted { wait, reason } => EventRow {
            not_before: Some(now.plus(*wait)),
            last_error: Some(reason.clone()),
            ..ambiguous(row, now)
        },
    };
    SettledEvent { row: EventRow { sending_since: None, ..row }, confirmed_input }
}

/// Whether the webinar is folded again after a settlement.
///
/// That HubSpot holds the event now decides what is sent of one that became incomplete, or that the filter refuses, while
/// its first call was under way.
#[must_use]
pub fn is_fold_due(before: &EventRow, after: &EventRow) -> bool {
    let is_first = before.confirmed_hash.is_none() && after.confirmed_hash.is_some();
    is_first && matches!(after.state, EventState::Incomplete | EventState::Filtered)
}

/// Whether an outcome ends the claim of its event. That of an earlier refusal does not: the event was freed when it was
/// refused, and by now another batch may hold it.
#[must_use]
pub fn ends_claim(outcome: &DeliveryOutcome) -> bool {
    !matches!(outcome, DeliveryOutcome::RefusalRevoked | DeliveryOutcome::RefusalUpheld(_))
}

fn confirmed(
    row: EventRow,
    sent: &EventVersion,
    object_id: Option<&String>,
    now: Millis,
) -> EventRow {
    let hash = sent.input_hash;
    // A call that began when the older one could no longer take effect is the last word; an earlier one is repeated.
    let is_last_word =
        row.resend_at.is_some_and(|at| row.sending_since.is_some_and(|since| since >= at));
    EventRow {
        state: if row.input_hash == Some(hash) { EventState::Delivered } else { row.state },
        held_hash: Some(hash),
        confirmed_hash: Some(hash),
        confirmed_at: Some(now),
        object_id: object_id.cloned().or(row.object_id),
        resend_at: row.resend_at.filter(|_| !is_last_word),
        // A present input that is younger than the confirmed one has been pending since it came.
        pending_since: row.changed_at,
        attempts: 0,
        not_before: None,
        last_error: None,
        ..row
    }
}

fn refused(row: EventRow, sent: &EventVersion, refusal: &HubspotRefusal) -> EventRow {
    // A refusal is about the version that was sent, not about a later one.
    if row.input_hash != Some(sent.input_hash) || row.version != sent.version {
        return row;
    }
    EventRow {
        state: EventState::Dead,
        refused: Some(refusal.clone()),
        attempts: row.attempts.saturating_add(1),
        ..row
    }
}

/// The claim was read beside the writer, so only the present row counts.
fn already_confirmed(row: EventRow) -> EventRow {
    let is_held = row.input_hash.is_some() && row.input_hash == row.held_hash;
    if is_held && row.state == EventState::Pending {
        EventRow { state: EventState::Delivered, ..row }
    } else {
        row
    }
}

/// It is unknown which state HubSpot holds, or will hold: the present one is sent now, and once more when no older call
/// can take effect any more.
fn ambiguous(row: EventRow, now: Millis) -> EventRow {
    let resend_at = now.plus(LATE_EFFECT_WINDOW);
    EventRow {
        state: if row.state == EventState::Delivered { EventState::Pending } else { row.state },
        held_hash: None,
        resend_at: Some(row.resend_at.map_or(resend_at, |at| at.max(resend_at))),
        ..row
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::event_row::tests::{hash, pending};
    use super::*;

    const NOW: Millis = Millis::new(1_000_000);

    fn sent(input: &str, version: i64) -> EventVersion {
        EventVersion { id: 1, version, input_hash: hash(input) }
    }

    fn refusal() -> HubspotRefusal {
        HubspotRefusal {
            status: 400,
            category: "VALIDATION_ERROR".into(),
            message: "no".into(),
            correlation_id: None,
        }
    }

    fn confirmation() -> DeliveryOutcome {
        DeliveryOutcome::Confirmed { object_id: Some("42".into()) }
    }

    #[test]
    fn confirmation_of_the_present_input_delivers_the_event() {
        let row = begin_attempt(pending("one"), NOW);
        let settled = settle(row, &sent("one", 1), &confirmation(), NOW);
        assert_eq!(settled.row.state, EventState::Delivered);
        assert_eq!(settled.row.held_hash, Some(hash("one")));
        assert_eq!(settled.row.object_id.as_deref(), Some("42"));
        assert_eq!(settled.confirmed_input, ConfirmedInput::Clear);
    }

    #[test]
    fn confirmation_of_an_older_input_leaves_the_event_pending() {
        let row = EventRow { version: 2, attempts: 3, ..pending("two") };
        let settled = settle(row, &sent("one", 1), &confirmation(), NOW);
        assert_eq!((settled.row.state, settled.row.attempts), (EventState::Pending, 0));
        assert_eq!(settled.row.confirmed_hash, Some(hash("one")));
        assert_eq!(settled.confirmed_input, ConfirmedInput::TakeSent);
    }

    #[test]
    fn confirmation_without_an_object_id_keeps_the_known_one() {
        let row = EventRow { object_id: Some("7".into()), ..pending("one") };
        let outcome = DeliveryOutcome::Confirmed { object_id: None };
        let settled = settle(row, &sent("one", 1), &outcome, NOW);
        assert_eq!(settled.row.object_id.as_deref(), Some("7"));
    }

    #[test]
    fn second_sending_is_dropped_only_by_a_call_begun_after_the_first_could_take_effect() {
        let resend_at = Some(Millis::new(500));
        for (since, kept) in [(499, true), (500, false)] {
            let sending_since = Some(Millis::new(since));
            let row = EventRow { sending_since, resend_at, ..pending("one") };
            let settled = settle(row, &sent("one", 1), &confirmation(), NOW);
            assert_eq!(settled.row.resend_at.is_some(), kept, "{since}");
        }
    }

    #[test]
    fn refusal_concerns_only_the_version_that_was_sent() {
        let outcome = DeliveryOutcome::Refused(refusal());
        let dead = settle(pending("one"), &sent("one", 1), &outcome, NOW).row;
        assert_eq!((dead.state, dead.attempts), (EventState::Dead, 1));
        assert_eq!(dead.refused, Some(refusal()));
        for other in [sent("other", 1), sent("one", 2)] {
            assert_eq!(settle(pending("one"), &other, &outcome, NOW).row, pending("one"));
        }
    }

    #[test]
    fn revoked_refusal_revives_only_a_dead_event() {
        let dead = EventRow { state: EventState::Dead, refused: Some(refusal()), ..pending("one") };
        let revived = settle(dead, &sent("one", 1), &DeliveryOutcome::RefusalRevoked, NOW).row;
        assert_eq!(revived, pending("one"));
        let on_its_way = begin_attempt(pending("one"), NOW);
        let outcome = DeliveryOutcome::RefusalRevoked;
        let kept = settle(on_its_way.clone(), &sent("one", 1), &outcome, NOW).row;
        assert_eq!(kept, on_its_way, "another batch may hold it");
    }

    #[test]
    fn upheld_refusal_kills_only_the_unchanged_event_that_waits() {
        let outcome = DeliveryOutcome::RefusalUpheld(refusal());
        let upheld = |row: EventRow| settle(row, &sent("one", 1), &outcome, NOW).row;
        let dead = upheld(pending("one"));
        assert_eq!((dead.state, dead.refused), (EventState::Dead, Some(refusal())));
        let redriven = EventRow { version: 2, ..pending("one") };
        let on_its_way = begin_attempt(pending("one"), NOW);
        let delivered = EventRow { state: EventState::Delivered, ..pending("one") };
        for other in [redriven, on_its_way, delivered, pending("two")] {
            assert_eq!(upheld(other.clone()), other);
        }
    }

    #[test]
    fn already_confirmed_event_is_delivered_only_while_its_input_is_held() {
        let outcome = DeliveryOutcome::AlreadyConfirmed;
        let held = EventRow { held_hash: Some(hash("one")), ..pending("one") };
        let delivered = settle(held.clone(), &sent("one", 1), &outcome, NOW).row;
        assert_eq!(delivered.state, EventState::Delivered);
        let changed = EventRow { input_hash: Some(hash("two")), ..held };
        let kept = settle(changed, &sent("one", 1), &outcome, NOW).row;
        assert_eq!(kept.state, EventState::Pending);
    }

    #[test]
    fn unknown_outcome_sends_a_delivered_event_again_and_charges_nobody() {
        let delivered = EventRow {
            state: EventState::Delivered,
            held_hash: Some(hash("one")),
            ..pending("one")
        };
        let after = settle(delivered, &sent("one", 1), &DeliveryOutcome::Ambiguous, NOW).row;
        assert_eq!((after.state, after.attempts), (EventState::Pending, 0));
        assert_eq!(after.held_hash, None);
        assert_eq!(after.resend_at, Some(NOW.plus(LATE_EFFECT_WINDOW)));
    }

    #[test]
    fn crash_amid_a_call_is_an_unknown_outcome() {
        let row = begin_attempt(pending("one"), NOW);
        let settled = settle(row.clone(), &sent("one", 1), &DeliveryOutcome::Ambiguous, NOW);
        assert_eq!(recover(row, NOW), settled.row);
    }

    fn outcome() -> impl Strategy<Value = DeliveryOutcome> {
        let wait = Duration::from_mins(1);
        let reason = String::from("no");
        prop_oneof![
            Just(confirmation()),
            Just(DeliveryOutcome::Refused(refusal())),
            Just(DeliveryOutcome::AlreadyConfirmed),
            Just(DeliveryOutcome::RefusalRevoked),
            Just(DeliveryOutcome::RefusalUpheld(refusal())),
            Just(DeliveryOutcome::NotApplied),
            Just(DeliveryOutcome::Ambiguous),
            Just(DeliveryOutcome::RetryCounted { wait, reason: reason.clone() }),
            Just(DeliveryOutcome::RetryUncounted { wait, reason }),
        ]
    }

    proptest! {
        #[test]
        fn settlement_never_changes_what_is_to_be_sent(
            outcome in outcome(),
            state in prop_oneof![
                Just(EventState::Pending),
                Just(EventState::Delivered),
                Just(EventState::Incomplete),
                Just(EventState::Filtered),
                Just(EventState::Dead),
            ],
            version in 1_i64..3,
            input in prop_oneof![Just("one"), Just("two")],
        ) {
            let before = EventRow { state, ..begin_attempt(pending("one"), NOW) };
            let after = settle(before.clone(), &sent(input, version), &outcome, NOW).row;
            prop_assert_eq!(after.version, before.version);
            prop_assert_eq!(after.input_hash, before.input_hash);
            // An event that is not to be sent stays so, unless HubSpot confirmed this very input.
            if matches!(state, EventState::Incomplete | EventState::Filtered) && input == "two" {
                prop_assert_eq!(after.state, state);
            }
            // Without a word from HubSpot on this input the event is not taken for delivered.
            if after.state == EventState::Delivered && state != EventState::Delivered {
                let is_confirmed = matches!(outcome, DeliveryOutcome::Confirmed { .. });
                prop_assert!(is_confirmed);
                prop_assert_eq!(input, "one");
            }
        }

        #[test]
        fn settlement_repeated_changes_no_state(outcome in outcome(), input in prop_oneof![Just("one"), Just("two")]) {
            let event = sent(input, 1);
            let once = settle(begin_attempt(pending("one"), NOW), &event, &outcome, NOW).row;
            let twice = settle(once.clone(), &event, &outcome, NOW).row;
            prop_assert_eq!(once.state, twice.state);
        }
    }
}
