//! The queue of fetches: what a request, a claim and an outcome make of a row.

use crate::event::{FetchCondition, Millis};
use crate::ledger::{EventState, FetchOutcome, FetchTask, LONGEST_WAIT, NewReceipt};

/// A webinar in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRow {
    /// Rises each time that the webinar is requested.
    pub version: i64,
    /// Since when it has been requested.
    pub requested_at: Millis,
    /// The earliest next attempt, while it waits for one.
    pub not_before: Option<Millis>,
    /// Counted failures in a row.
    pub attempts: u32,
    /// Not attempted until it is requested again.
    pub given_up: bool,
    /// When an attempt failed last, and why.
    pub failure: Option<FetchFailure>,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchFailure {
    /// When.
    pub at: Millis,
    /// Why, for showing.
    pub reason: String,
}

impl FetchRow {
    /// A row that was requested at that time and not attempted since.
    fn requested(version: i64, at: Millis) -> Self {
        Self {
            version,
            requested_at: at,
            not_before: None,
            attempts: 0,
            given_up: false,
            failure: None,
        }
    }
}

/// Whether a request of that condition is to be fulfilled, for a webinar with events in these states.
#[must_use]
pub fn is_fetch_needed(condition: FetchCondition, events: &[EventState]) -> bool {
    match condition {
        FetchCondition::Always => true,
        FetchCondition::IfIncomplete => {
            events.is_empty() || events.contains(&EventState::Incomplete)
        }
    }
}

/// The row once the webinar is requested at that time. A wait that the platform asked for goes on.
#[must_use]
pub fn request_fetch(row: Option<FetchRow>, at: Millis) -> FetchRow {
    match row {
        None => FetchRow::requested(1, at),
        Some(row) if row.given_up => {
            FetchRow { failure: row.failure, ..FetchRow::requested(row.version + 1, at) }
        }
        Some(row) => FetchRow { version: row.version + 1, ..row },
    }
}

/// Since when the row has been due; none if it is not due now.
///
/// A time that is further ahead than [`LONGEST_WAIT`] was written by a clock that was ahead.
#[must_use]
pub fn due_since(row: &FetchRow, now: Millis) -> Option<Millis> {
    match row.not_before {
        _ if row.given_up => None,
        Some(at) if at <= now => Some(at),
        Some(at) if at <= now.plus(LONGEST_WAIT) => None,
        Some(_) | None => Some(row.requested_at),
    }
}

/// When the row becomes due, if it waits for that.
#[must_use]
pub fn due_later(row: &FetchRow, now: Millis) -> Option<Millis> {
    let waits = |at: &Millis| *at > now && *at <= now.plus(LONGEST_WAIT);
    row.not_before.filter(|_| !row.given_up).filter(waits)
}

/// The receipt that a task's outcome brings. A request for the task's own webinar is taken out: this is its answer.
pub fn answer_of<'a>(task: &FetchTask, outcome: &'a mut FetchOutcome) -> Option<&'a NewReceipt> {
    let receipt = match outcome {
        FetchOutcome::Answered(receipt) | FetchOutcome::GivenUp { receipt: Some(receipt), .. } => {
            receipt
        }
        FetchOutcome::GivenUp { receipt: None, .. } | FetchOutcome::Retry { .. } => return None,
    };
    let own = (&task.account, &task.webinar);
    receipt.fetch_requests.retain(|request| (&request.account, &request.webinar) != own);
    Some(receipt)
}

/// The row once a task of it, claimed at `claimed_version`, had this outcome; none if it is deleted.
#[must_use]
pub fn settle_fetch(
    row: &FetchRow,
    claimed_version: i64,
    outcome: &FetchOutcome,
    now: Millis,
) -> Option<FetchRow> {
    let requested_again = row.version != claimed_version;
    let failure = |reason: &str| Some(FetchFailure { at: now, reason: reason.to_owned() });
    match outcome {
        FetchOutcome::Answered(_) => requested_again.then(|| FetchRow::requested(row.version, now)),
        FetchOutcome::Retry { not_before, reason, counted } => Some(FetchRow {
            not_before: Some((*not_before).min(now.plus(LONGEST_WAIT))),
            attempts: row.attempts.saturating_add(u32::from(*counted)),
            failure: failure(reason),
            ..row.clone()
        }),
        FetchOutcome::GivenUp { reason, .. } if requested_again => {
            Some(FetchRow { failure: failure(reason), ..FetchRow::requested(row.version, now) })
        }
        FetchOutcome::GivenUp { reason, .. } => {
            Some(FetchRow { given_up: true, failure: failure(reason), ..row.clone() })
        }
    }
}

/// Whether a claim that ends then still holds. One that ends twice as late as a claim of now would was made by a clock
/// that was far ahead; a clock that was set back by less ends no claim.
#[must_use]
pub fn is_claim_valid(ends_at: Millis, now: Millis) -> bool {
    ends_at > now && ends_at <= now.plus(2 * crate::ledger::FETCH_CLAIM)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Millis = Millis::new(1_000_000);

    fn requested() -> FetchRow {
        request_fetch(None, Millis::new(10))
    }

    fn given_up() -> FetchOutcome {
        FetchOutcome::GivenUp { reason: "gone".into(), receipt: None }
    }

    fn retry(not_before: Millis, counted: bool) -> FetchOutcome {
        FetchOutcome::Retry { not_before, reason: "busy".into(), counted }
    }

    #[test]
    fn condition_looks_at_the_events_of_the_webinar() {
        let needed = |events: &[EventState]| is_fetch_needed(FetchCondition::IfIncomplete, events);
        assert!(needed(&[]));
        assert!(needed(&[EventState::Delivered, EventState::Incomplete]));
        assert!(!needed(&[EventState::Delivered, EventState::Filtered]));
        assert!(is_fetch_needed(FetchCondition::Always, &[EventState::Delivered]));
    }

    #[test]
    fn repeated_request_keeps_the_wait_and_revives_what_was_given_up() {
        let waiting = FetchRow { not_before: Some(NOW), attempts: 2, ..requested() };
        let again = request_fetch(Some(waiting.clone()), NOW);
        assert_eq!(again, FetchRow { version: 2, ..waiting.clone() });
        let revived = request_fetch(Some(FetchRow { given_up: true, ..waiting }), NOW);
        assert_eq!((revived.version, revived.requested_at), (2, NOW));
        assert_eq!((revived.not_before, revived.attempts, revived.given_up), (None, 0, false));
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
        assert_eq!(due_since(&FetchRow { given_up: true, ..requested() }, NOW), None);
    }

    #[test]
    fn failure_is_counted_only_if_it_is_the_webinars_own_and_waits_a_day_at_most() {
        let far = NOW.plus(2 * LONGEST_WAIT);
        for (counted, attempts) in [(true, 1), (false, 0)] {
            let row = settle_fetch(&requested(), 1, &retry(far, counted), NOW).expect("it is kept");
            assert_eq!((row.attempts, row.not_before), (attempts, Some(NOW.plus(LONGEST_WAIT))));
            assert_eq!(due_since(&row, NOW), None);
        }
        let row = settle_fetch(&requested(), 1, &retry(NOW, true), NOW).expect("it is kept");
        assert_eq!(due_since(&row, NOW), Some(NOW));
    }

    #[test]
    fn row_ends_unless_it_was_requested_again() {
        let ended = settle_fetch(&requested(), 1, &given_up(), NOW).expect("it is shown");
        assert!(ended.given_up && ended.failure.is_some());
        let again = settle_fetch(&FetchRow { version: 2, ..requested() }, 1, &given_up(), NOW);
        let row = again.expect("it is due");
        assert!(due_since(&row, NOW).is_some() && !row.given_up);
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
}
