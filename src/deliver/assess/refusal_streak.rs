//! Distinguishes an account that refuses everything from single bad events.

use super::probes::RefusedEvent;
use crate::event::HubspotRefusal;
use crate::ledger::ClaimedEvent;

/// The number of single events in a row that are refused for the same reason, with none accepted between, before the
/// account is blamed.
const MAX_STREAK: usize = 20;

/// The latest refusals of single events, all for the same reason, with no event accepted between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusalStreak {
    reason: Option<(u16, String, String)>,
    events: Vec<RefusedEvent>,
}

/// The cause of a refusal.
#[derive(Debug, PartialEq, Eq)]
pub enum Blame {
    /// The event.
    Event,
    /// The account. The earlier refusals of these events are revoked.
    Account(Vec<RefusedEvent>),
}

impl RefusalStreak {
    /// Forgets the refusals: the account accepts events.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Records the refusal of a single event and decides on its cause. `paused`: the account is already
    /// paused because it refuses everything.
    pub fn record_refusal(
        &mut self,
        claimed: &ClaimedEvent,
        refusal: &HubspotRefusal,
        paused: bool,
    ) -> Blame {
        let reason = (refusal.status, refusal.category.clone(), refusal.message.clone());
        if self.reason.as_ref() != Some(&reason) {
            *self = Self { reason: Some(reason), events: Vec::new() };
        }
        if paused {
            return Blame::Account(Vec::new());
        }
        if self.events.len() + 1 < MAX_STREAK {
            self.events.push((claimed.event_version(), refusal.clone()));
            return Blame::Event;
        }
        Blame::Account(std::mem::take(&mut self.events))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{claimed, refusal};
    use super::*;

    fn refuse(streak: &mut RefusalStreak, ids: std::ops::Range<i64>, message: &str) -> Vec<Blame> {
        ids.map(|id| streak.record_refusal(&claimed(id), &refusal(message), false)).collect()
    }

    #[test]
    fn twentieth_equal_refusal_in_a_row_blames_the_account() {
        let mut streak = RefusalStreak::default();
        assert!(refuse(&mut streak, 0..19, "no").iter().all(|blame| *blame == Blame::Event));
        let last = streak.record_refusal(&claimed(19), &refusal("no"), false);
        let earlier = (0..19).map(|id| (claimed(id).event_version(), refusal("no"))).collect();
        assert_eq!(last, Blame::Account(earlier));
    }

    #[test]
    fn accepted_event_or_other_refusal_begins_a_new_streak() {
        let mut streak = RefusalStreak::default();
        refuse(&mut streak, 0..19, "no");
        streak.clear();
        assert_eq!(refuse(&mut streak, 19..20, "no"), [Blame::Event]);
        refuse(&mut streak, 20..38, "no");
        assert_eq!(refuse(&mut streak, 38..39, "other"), [Blame::Event]);
        assert_eq!(refuse(&mut streak, 39..40, "no"), [Blame::Event]);
    }

    #[test]
    fn paused_account_is_blamed_for_every_refusal() {
        let mut streak = RefusalStreak::default();
        let blame = streak.record_refusal(&claimed(1), &refusal("no"), true);
        assert_eq!(blame, Blame::Account(Vec::new()));
    }
}
