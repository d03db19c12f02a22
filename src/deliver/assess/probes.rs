//! The probes of an account that refuses everything, and the refusals for which it was paused.

use std::collections::BTreeSet;

use crate::event::{ExternalAccountId, HubspotRefusal};
use crate::ledger::{ClaimedEvent, EventVersion, Probe, ProbeKind};

/// The order of the probes. The first two decide most: a witness that HubSpot takes shows that the account works.
const TURNS: [ProbeKind; 3] = [ProbeKind::Witness, ProbeKind::NeverRefused, ProbeKind::Refused];

/// An event that was refused, and HubSpot's refusal.
pub type RefusedEvent = (EventVersion, HubspotRefusal);

/// The probes of an account since it was paused because it refuses everything.
///
/// The refusals that led to the pause are revoked, and remembered here: if the first probe is accepted, the account
/// works, so the events are bad after all. If it is refused, they are as good as any other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Probes {
    /// The refusals, until a probe shows whose fault they are.
    accused: Vec<RefusedEvent>,
    /// The events that were refused.
    refused: BTreeSet<i64>,
    /// The number of probes that were refused.
    failed_in_a_row: usize,
    /// The probe that was sent last.
    current: Option<i64>,
    last_account: Option<ExternalAccountId>,
}

impl Probes {
    /// The next probe.
    #[must_use]
    pub fn next(&self) -> Probe {
        Probe {
            kind: TURNS[self.failed_in_a_row % TURNS.len()],
            refused: self.refused.clone(),
            last_account: self.last_account.clone(),
        }
    }

    /// This event is sent as a probe.
    pub fn record_sent(&mut self, event: &ClaimedEvent) {
        self.current = Some(event.id);
        if !event.is_witness {
            self.last_account = Some(event.key.external_account_id.clone());
        }
    }

    /// Records the refusal of a single event while the account is, or is about to be, paused, with earlier refusals for
    /// the same reason.
    pub fn record_refusal(
        &mut self,
        event: &ClaimedEvent,
        refusal: &HubspotRefusal,
        earlier: &[RefusedEvent],
    ) {
        self.refused.insert(event.id);
        self.refused.extend(earlier.iter().map(|(event, _)| event.id));
        if self.current == Some(event.id) {
            self.current = None;
            self.failed_in_a_row += 1;
            self.accused.clear();
        } else if self.failed_in_a_row == 0 {
            self.accused.extend_from_slice(earlier);
            self.accused.push((event.event_version(), refusal.clone()));
        }
    }

    /// Whether the next probe is the first one: it leaves at once.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.failed_in_a_row == 0
    }

    /// Whether refusals wait for the answer to a probe.
    #[must_use]
    pub fn has_accused(&self) -> bool {
        !self.accused.is_empty()
    }

    /// HubSpot accepted an event. Returns the refusals that are upheld.
    pub fn record_accepted(&mut self) -> Vec<RefusedEvent> {
        std::mem::take(self).accused
    }

    /// Events are sent as usual: an operator ended the pause.
    pub fn record_resumed(&mut self) {
        // Before the first probe the pause may not show yet.
        if self.current.is_some() || self.failed_in_a_row > 0 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{claimed, refusal};
    use super::*;

    fn refuse(probes: &mut Probes, id: i64) {
        probes.record_refusal(&claimed(id), &refusal("no"), &[]);
    }

    fn paused_for(ids: std::ops::Range<i64>) -> Probes {
        let mut probes = Probes::default();
        ids.for_each(|id| refuse(&mut probes, id));
        probes
    }

    #[test]
    fn accepted_first_probe_upholds_the_refusals() {
        let mut probes = paused_for(1..3);
        let witness = ClaimedEvent { is_witness: true, ..claimed(9) };
        assert_eq!(probes.next().kind, ProbeKind::Witness);
        probes.record_sent(&witness);
        let upheld: Vec<i64> = probes.record_accepted().iter().map(|(event, _)| event.id).collect();
        assert_eq!(upheld, [1, 2]);
        assert_eq!(probes, Probes::default());
    }

    #[test]
    fn refused_probe_acquits_the_events_and_the_kinds_take_turns() {
        let mut probes = paused_for(1..3);
        let mut kinds = Vec::new();
        for id in 3..7 {
            kinds.push(probes.next().kind);
            probes.record_sent(&claimed(id));
            refuse(&mut probes, id);
        }
        let [witness, never, refused] = TURNS;
        assert_eq!(kinds, [witness, never, refused, witness]);
        assert_eq!(probes.next().refused, (1..7).collect());
        assert_eq!(probes.record_accepted(), []);
    }

    #[test]
    fn resumed_account_forgets_its_probes_but_not_before_the_pause_shows() {
        let mut probes = paused_for(1..3);
        probes.record_resumed();
        assert!(probes.has_accused());
        probes.record_sent(&claimed(1));
        probes.record_resumed();
        assert_eq!(probes, Probes::default());
    }
}
