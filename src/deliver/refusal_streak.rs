//! Telling an account that refuses everything from events that are bad.

use crate::hubspot::EventRefusal;
use crate::ledger::ClaimedEvent;

/// So many single events in a row, refused for the same reason with none accepted between, are the account's trouble.
const MOST: usize = 20;

/// The latest refusals of single events, since the last that was accepted.
#[derive(Debug, Default)]
pub struct RefusalStreak {
    reason: Option<(u16, String, String)>,
    events: Vec<ClaimedEvent>,
}

/// What a refusal means.
#[derive(Debug, PartialEq, Eq)]
pub enum Blame {
    /// The event's own fault.
    Event,
    /// The account's: these were taken for bad before, and are to be given back.
    Account(Vec<ClaimedEvent>),
}

impl RefusalStreak {
    /// Something was accepted, so the account takes events.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// A single event was refused; `paused` while the account is known to refuse everything.
    pub fn record_refusal(
        &mut self,
        claimed: &ClaimedEvent,
        refusal: &EventRefusal,
        paused: bool,
    ) -> Blame {
        let reason = (refusal.status, refusal.category.clone(), refusal.message.clone());
        if self.reason.as_ref() != Some(&reason) {
            *self = Self { reason: Some(reason), events: Vec::new() };
        }
        if paused {
            return Blame::Account(Vec::new());
        }
        if self.events.len() + 1 < MOST {
            self.events.push(claimed.clone());
            return Blame::Event;
        }
        Blame::Account(std::mem::take(&mut self.events))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::claimed;
    use super::*;

    fn refusal(message: &str) -> EventRefusal {
        EventRefusal {
            status: 400,
            category: "VALIDATION_ERROR".into(),
            message: message.into(),
            correlation_id: None,
        }
    }

    fn refuse(streak: &mut RefusalStreak, ids: std::ops::Range<i64>, message: &str) -> Vec<Blame> {
        ids.map(|id| streak.record_refusal(&claimed(id), &refusal(message), false)).collect()
    }

    #[test]
    fn twenty_in_a_row_are_the_accounts_and_are_given_back() {
        let mut streak = RefusalStreak::default();
        assert!(refuse(&mut streak, 0..19, "no").iter().all(|blame| *blame == Blame::Event));
        let last = streak.record_refusal(&claimed(19), &refusal("no"), false);
        assert_eq!(last, Blame::Account((0..19).map(claimed).collect()));
    }

    #[test]
    fn one_that_is_accepted_or_refused_otherwise_ends_the_row() {
        let mut streak = RefusalStreak::default();
        refuse(&mut streak, 0..19, "no");
        streak.clear();
        assert_eq!(refuse(&mut streak, 19..20, "no"), [Blame::Event]);
        refuse(&mut streak, 20..38, "no");
        assert_eq!(refuse(&mut streak, 38..39, "other"), [Blame::Event]);
        assert_eq!(refuse(&mut streak, 39..40, "no"), [Blame::Event]);
    }

    #[test]
    fn while_the_account_refuses_everything_no_event_is_blamed() {
        let mut streak = RefusalStreak::default();
        let blame = streak.record_refusal(&claimed(1), &refusal("no"), true);
        assert_eq!(blame, Blame::Account(Vec::new()));
    }
}
