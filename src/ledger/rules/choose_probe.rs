//! Which event probes an account that refuses everything.

use crate::event::{ExternalAccountId, Millis};
use crate::ledger::{Probe, ProbeKind};

/// The most pending events to choose from, newest first.
pub const MAX_PENDING: usize = 5_000;
/// The most confirmed events to choose from, newest first.
pub const MAX_WITNESSES: usize = 50;

/// A pending event that nobody holds and that waits for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeCandidate {
    /// The ledger's number of the event.
    pub id: i64,
    /// The external account, which events of one source share.
    pub account: ExternalAccountId,
    /// Since when the event has been pending.
    pub pending_since: Millis,
}

/// The event that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeChoice {
    /// This confirmed event.
    Witness(i64),
    /// This pending event.
    Pending(i64),
}

/// Chooses the event that is sent, out of confirmed events (the newest first) and pending ones.
///
/// A refused witness gives way to another: HubSpot may refuse that one event by now. Pending events take turns between
/// external accounts, since what HubSpot refuses often concerns one source; of an account the newest goes first, since
/// the oldest are those that were refused.
#[must_use]
pub fn choose_probe(
    witnesses: &[i64],
    pending: &[ProbeCandidate],
    probe: &Probe,
) -> Option<ProbeChoice> {
    let is_new = |id: &&i64| !probe.refused.contains(id);
    let witness = witnesses.iter().find(is_new).or(witnesses.first());
    if let (ProbeKind::Witness, Some(id)) = (probe.kind, witness) {
        return Some(ProbeChoice::Witness(*id));
    }
    let wants_refused = probe.kind == ProbeKind::Refused;
    let is_wanted = |event: &&ProbeCandidate| probe.refused.contains(&event.id) == wants_refused;
    let wanted: Vec<_> = pending.iter().filter(is_wanted).collect();
    let of = if wanted.is_empty() { pending.iter().collect() } else { wanted };
    let accounts = || of.iter().map(|event| &event.account);
    let later = accounts().filter(|account| probe.last_account.as_ref() < Some(account)).min();
    let account = later.or(accounts().min())?;
    let newest = of
        .iter()
        .filter(|event| event.account == *account)
        .max_by_key(|event| (event.pending_since, event.id))?;
    Some(ProbeChoice::Pending(newest.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(kind: ProbeKind, refused: &[i64], last: Option<&str>) -> Probe {
        let account = |name| ExternalAccountId::parse(name).expect("valid");
        Probe { kind, refused: refused.iter().copied().collect(), last_account: last.map(account) }
    }

    /// Events of the accounts `a` (1 to 3) and `b` (4 to 6), each newer than the one before.
    fn pending() -> Vec<ProbeCandidate> {
        let candidate = |id: i64| ProbeCandidate {
            id,
            account: ExternalAccountId::parse(if id < 4 { "a" } else { "b" }).expect("valid"),
            pending_since: Millis::new(id),
        };
        (1..7).map(candidate).collect()
    }

    fn chosen(witnesses: &[i64], probe: &Probe) -> Option<ProbeChoice> {
        choose_probe(witnesses, &pending(), probe)
    }

    #[test]
    fn witness_goes_first_and_another_one_after_it_was_refused() {
        let first = probe(ProbeKind::Witness, &[], None);
        assert_eq!(chosen(&[9, 8], &first), Some(ProbeChoice::Witness(9)));
        let second = probe(ProbeKind::Witness, &[9], None);
        assert_eq!(chosen(&[9, 8], &second), Some(ProbeChoice::Witness(8)));
        assert_eq!(chosen(&[9], &second), Some(ProbeChoice::Witness(9)), "there is no other");
        assert_eq!(chosen(&[], &first), Some(ProbeChoice::Pending(3)));
        assert_eq!(choose_probe(&[], &[], &first), None);
    }

    #[test]
    fn pending_events_take_turns_between_accounts_and_by_refusal() {
        let refused = [1, 3, 6];
        let turn = |kind, last| chosen(&[9], &probe(kind, &refused, last));
        let never = ProbeKind::NeverRefused;
        assert_eq!(turn(never, None), Some(ProbeChoice::Pending(2)));
        assert_eq!(turn(never, Some("a")), Some(ProbeChoice::Pending(5)));
        assert_eq!(turn(never, Some("b")), Some(ProbeChoice::Pending(2)));
        assert_eq!(turn(ProbeKind::Refused, Some("b")), Some(ProbeChoice::Pending(3)));
        assert_eq!(turn(ProbeKind::Refused, Some("a")), Some(ProbeChoice::Pending(6)));
        let all = probe(never, &[1, 2, 3, 4, 5, 6], Some("a"));
        assert_eq!(chosen(&[9], &all), Some(ProbeChoice::Pending(6)), "there is no other");
    }
}
