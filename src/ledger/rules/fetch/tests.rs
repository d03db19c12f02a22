//! The rules of the queue of fetches.

use super::*;
use crate::ledger::{NewReceipt, ReceiptContent};

const NOW: Millis = Millis::new(1_000_000);
const FACTS: SourceFacts =
    SourceFacts { answered_at: None, turned_absent: 0, coming: 0, webhook_at: None };

fn requested() -> FetchRow {
    request_fetch(None, FetchRequester::Other, Millis::new(10))
}

fn given_up() -> FetchOutcome {
    FetchOutcome::GivenUp { reason: "gone".into(), receipt: None }
}

fn retry(not_before: Millis, blame: FetchBlame) -> FetchOutcome {
    FetchOutcome::Retry { not_before, reason: "busy".into(), blame }
}

#[test]
fn condition_looks_at_the_events_of_the_webinar() {
    let needed = |events: &[EventState], is_uncertain| {
        is_fetch_needed(FetchCondition::IfUncertain, events, is_uncertain)
    };
    assert!(needed(&[], false));
    assert!(needed(&[EventState::Delivered, EventState::Incomplete], false));
    assert!(!needed(&[EventState::Delivered, EventState::Filtered], false));
    assert!(needed(&[EventState::Delivered], true));
    assert!(is_fetch_needed(FetchCondition::Always, &[EventState::Delivered], false));
}

#[test]
fn repeated_request_keeps_the_wait_and_revives_what_was_given_up() {
    let waiting = FetchRow { not_before: Some(NOW), attempts: 2, ..requested() };
    let again = request_fetch(Some(waiting.clone()), FetchRequester::Other, NOW);
    assert_eq!(again, FetchRow { version: 2, ..waiting.clone() });
    let revived = request_fetch(
        Some(FetchRow { state: FetchState::GivenUp, ..waiting }),
        FetchRequester::Other,
        NOW,
    );
    assert_eq!((revived.version, revived.requested_at), (2, NOW));
    assert_eq!(
        (revived.not_before, revived.attempts, revived.state),
        (None, 0, FetchState::Pending)
    );
}

#[test]
fn row_is_due_unless_it_waits_for_a_believable_time() {
    let at = |not_before| FetchRow { not_before, ..requested() };
    assert_eq!(due_since(&at(None), NOW), Some(Millis::new(10)));
    assert_eq!(due_since(&at(Some(Millis::new(20))), NOW), Some(Millis::new(20)));
    let soon = NOW.plus(LONGEST_WAIT);
    assert_eq!(
        (due_since(&at(Some(soon)), NOW), due_later(&at(Some(soon)), NOW)),
        (None, Some(soon))
    );
    let never = soon.plus(Duration::from_millis(1));
    assert_eq!(due_since(&at(Some(never)), NOW), Some(Millis::new(10)));
    assert_eq!(due_later(&at(Some(never)), NOW), None);
    assert_eq!(due_since(&FetchRow { state: FetchState::GivenUp, ..requested() }, NOW), None);
}

#[test]
fn failure_is_counted_only_if_it_is_the_webinars_own_and_waits_a_day_at_most() {
    let far = NOW.plus(2 * LONGEST_WAIT);
    for (blame, attempts) in [(FetchBlame::Webinar, 1), (FetchBlame::Source, 0)] {
        let row = settle_fetch(&requested(), &requested(), &retry(far, blame), &FACTS, NOW)
            .expect("it is kept");
        assert_eq!((row.attempts, row.not_before), (attempts, Some(NOW.plus(LONGEST_WAIT))));
        assert_eq!(due_since(&row, NOW), None);
    }
    let row =
        settle_fetch(&requested(), &requested(), &retry(NOW, FetchBlame::Webinar), &FACTS, NOW)
            .expect("it is kept");
    assert_eq!(due_since(&row, NOW), Some(NOW));
}

#[test]
fn row_ends_unless_it_was_requested_again() {
    let ended =
        settle_fetch(&requested(), &requested(), &given_up(), &FACTS, NOW).expect("it is shown");
    assert!(ended.state == FetchState::GivenUp && ended.failure.is_some());
    let again = settle_fetch(
        &FetchRow { version: 2, ..requested() },
        &requested(),
        &given_up(),
        &FACTS,
        NOW,
    );
    let row = again.expect("it is due");
    assert!(due_since(&row, NOW).is_some() && row.state == FetchState::Pending);
    assert_eq!((row.requested_at, row.attempts), (NOW, 0));
}

#[test]
fn claim_holds_until_its_end_and_not_when_it_is_too_far_ahead() {
    let claim = crate::ledger::FETCH_CLAIM;
    assert!(is_claim_valid(NOW.plus(claim), NOW));
    assert!(!is_claim_valid(NOW, NOW));
    assert!(is_claim_valid(NOW.plus(claim + Duration::from_mins(1)), NOW), "set back");
    assert!(!is_claim_valid(NOW.plus(claim * 3), NOW));
}

/// B2: a week, in which others were answered.
#[test]
fn fetch_that_fails_for_a_week_is_dead_if_others_were_answered() {
    let fail = |row: &FetchRow, at: Millis, answered_at: Option<Millis>| {
        let facts = SourceFacts { answered_at, ..FACTS };
        let row = settle_fetch(row, row, &retry(at, FetchBlame::Webinar), &facts, at);
        row.expect("it is kept")
    };
    let first = fail(&requested(), NOW, None);
    assert_eq!((first.failing_since, first.state), (Some(NOW), FetchState::Pending));
    let week = NOW.plus(FETCH_PATIENCE);
    let early = fail(&first, week.minus(Duration::from_millis(1)), Some(week));
    assert_eq!(early.state, FetchState::Pending);
    for answered_at in [None, Some(NOW)] {
        let alone = fail(&first, week, answered_at);
        assert_eq!(alone.state, FetchState::Pending, "nobody else was answered since");
    }
    let dead = fail(&first, week, Some(NOW.plus(Duration::from_millis(1))));
    assert_eq!((dead.state, dead.attempts), (FetchState::Dead, 2));
    assert_eq!((due_since(&dead, week), due_later(&dead, week)), (None, None));

    // Requested again, it is tried once more; redriven, it has another week.
    let again = request_fetch(Some(dead.clone()), FetchRequester::Other, week);
    assert!(due_since(&again, week).is_some());
    assert_eq!(fail(&again, week, Some(week)).state, FetchState::Dead);
    let redriven = redrive_fetch(dead, week);
    assert!(due_since(&redriven, week).is_some());
    assert_eq!(fail(&redriven, week, Some(week)).failing_since, Some(week));
    // Failures of the whole source are nobody's.
    let row = settle_fetch(&first, &first, &retry(week, FetchBlame::Source), &FACTS, week);
    let row = row.expect("it is kept");
    assert_eq!((row.attempts, row.state), (1, FetchState::Pending));
}

/// M14.
#[test]
fn absence_is_believed_within_limits_or_on_a_persons_word() {
    let row = requested();
    let facts = |turned_absent, coming| SourceFacts { turned_absent, coming, ..FACTS };
    assert!(is_absence_believed(&row, &facts(2, 0)));
    assert!(!is_absence_believed(&row, &facts(3, 39)));
    assert!(is_absence_believed(&row, &facts(3, 40)));
    assert!(!is_absence_believed(&row, &facts(4, 40)));
    let held = FetchOutcome::Held { reason: "too many".into() };
    let held = settle_fetch(&row, &row, &held, &FACTS, NOW).expect("it is kept");
    assert_eq!(held.state, FetchState::Dead);
    let again = request_fetch(Some(held.clone()), FetchRequester::Webhook, NOW);
    assert!(!is_absence_believed(&again, &FACTS), "no webhook or list stands for a person");
    assert!(is_absence_believed(&redrive_fetch(held, NOW), &facts(9, 9)));
}

fn answered(asked_at: Millis) -> FetchOutcome {
    let ignored = NewReceipt::empty(ReceiptContent::Ignored);
    let receipt = NewReceipt { kind: ReceiptKind::Fetched, received_at: NOW, ..ignored };
    FetchOutcome::Answered { receipt: Box::new(receipt), asked_at, lag: LAG }
}

const LAG: Duration = Duration::from_mins(1);

/// M11: the API may not show yet what a webhook has just reported.
#[test]
fn answer_near_a_webhook_is_asked_for_once_more_after_the_lag() {
    let after = |at: Millis, seconds: u64| at.plus(Duration::from_secs(seconds));
    // A thin webhook requests the fetch, which is made at once.
    let row = request_fetch(None, FetchRequester::Webhook, NOW);
    let asked_at = after(NOW, 1);
    let again = settle_fetch(&row, &row, &answered(asked_at), &FACTS, asked_at).expect("once more");
    assert_eq!((again.state, again.not_before), (FetchState::Answered, Some(NOW.plus(LAG))));
    assert_eq!(due_later(&again, asked_at), Some(NOW.plus(LAG)));
    assert_eq!(due_since(&again, NOW.plus(LAG)), Some(NOW.plus(LAG)));
    let late = NOW.plus(LAG);
    assert_eq!(settle_fetch(&again, &again, &answered(late), &FACTS, late), None);
    // A clock that was set back does not make it ask again and again.
    assert_eq!(settle_fetch(&again, &again, &answered(NOW), &FACTS, NOW), None);
    // Nothing was reported: a person asked.
    assert_eq!(
        settle_fetch(&requested(), &requested(), &answered(asked_at), &FACTS, asked_at),
        None
    );
    // A webhook that requests nothing arrived meanwhile (A2).
    let facts = SourceFacts { webhook_at: Some(after(NOW, 2)), ..FACTS };
    let again =
        settle_fetch(&requested(), &requested(), &answered(asked_at), &facts, after(NOW, 3));
    let again = again.expect("once more");
    assert_eq!(again.not_before, Some(after(NOW, 62)));
    // Another thin webhook is answered at once, and then once more.
    let row = request_fetch(Some(again), FetchRequester::Webhook, after(NOW, 30));
    assert_eq!(due_since(&row, after(NOW, 30)), Some(after(NOW, 30)));
    let outcome = answered(after(NOW, 30));
    let again = settle_fetch(&row, &row, &outcome, &facts, after(NOW, 31));
    assert_eq!(again.expect("once more").not_before, Some(after(NOW, 90)));
}

/// M11: a request in between, such as a backfill's, takes the place of the second question, and is answered as early.
#[test]
fn second_question_is_asked_whatever_is_requested_in_between() {
    let after = |seconds: u64| NOW.plus(Duration::from_secs(seconds));
    let row = request_fetch(None, FetchRequester::Webhook, NOW);
    let again = settle_fetch(&row, &row, &answered(after(1)), &FACTS, after(1));
    let row = request_fetch(again, FetchRequester::Other, after(20));
    assert_eq!(due_since(&row, after(20)), Some(after(20)));
    let again = settle_fetch(&row, &row, &answered(after(20)), &FACTS, after(21));
    let again = again.expect("once more");
    assert_eq!(again.not_before, Some(NOW.plus(LAG)));
    let late = NOW.plus(LAG);
    assert_eq!(settle_fetch(&again, &again, &answered(late), &FACTS, late), None);
}
