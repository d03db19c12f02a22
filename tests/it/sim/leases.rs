//! Leases that are lost: another process takes an account's lease, settles nothing, and gives the lease back later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use webinar_bridge::event::{AccountName, Millis};
use webinar_bridge::ledger::Lease;

use super::fault_injector::FaultInjector;
use super::fault_profile::FaultProfile;
use super::ledger::FaultyLedger;
use super::stores::SimulatedStore;
use crate::harness::rng::SeededRng;

/// Time after the loss of a lease in which calls that began under it may still reach HubSpot: delays, the request of a
/// token, and the call, which is repeated with another token.
pub(super) const LAST_CALLS: Duration = Duration::from_secs(45);

/// How often leases are lost.
pub(super) struct LeaseLosses {
    /// Random numbers of its own, so that a simulation without losses is the same.
    rng: SeededRng,
    /// Longest time between two losses of an account's lease; none: no lease is lost.
    longest_hold: Option<Duration>,
}

impl LeaseLosses {
    /// Draws how often a seed loses leases; some never do.
    pub(super) fn draw(seed: u64, profile: &FaultProfile) -> Self {
        let mut rng = SeededRng::from_seed(seed.rotate_left(32));
        let longest_hold = *rng.pick(&[None, Some(5), Some(30), Some(120)]);
        // No loss where one account shows that the other does not affect it.
        let longest_hold = longest_hold.filter(|_| !profile.lopsided).map(Duration::from_secs);
        Self { rng, longest_hold }
    }

    /// How long a lease is held until it is lost, and how long another process has it then.
    fn next_loss(&mut self) -> Option<(Duration, Duration)> {
        let longest_hold = u64::try_from(self.longest_hold?.as_millis()).expect("small");
        let held = Duration::from_millis(self.rng.between(0, longest_hold));
        let longest_away = *self.rng.pick(&[50, 2_000, 20_000]);
        Some((held, Duration::from_millis(self.rng.between(0, longest_away))))
    }
}

/// Takes the account's lease away now and then, and gives it back, until nothing fails any more.
pub(super) async fn lose_leases<S: SimulatedStore>(
    ledger: Arc<FaultyLedger<S::Ledger>>,
    injector: Arc<FaultInjector>,
    account: AccountName,
) {
    let left = || {
        let end = injector.world().profile.faults_end_at;
        end.since(injector.now())
    };
    loop {
        let next = injector.world().lease_losses.next_loss();
        let Some((held, away)) = next.filter(|(held, _)| *held < left()) else { return };
        tokio::time::sleep(held).await;
        S::take_lease_away(&ledger.inner, &account);
        ledger.leases.lose(&account);
        injector.world().lose_lease(injector.now(), &account);
        tokio::time::sleep(away.min(left())).await;
        S::give_lease_back(&ledger.inner, &account);
        ledger.leases.give_back(&account);
        injector.world().note(injector.now(), format!("{account} gets its lease back"));
    }
}

/// The leases of a process run, as the simulation knows them.
#[derive(Default)]
pub(super) struct KnownLeases(Mutex<BTreeMap<AccountName, KnownLease>>);

#[derive(Default)]
struct KnownLease {
    /// The highest fencing number that was acquired.
    acquired: u64,
    /// The highest fencing number that was lost.
    lost: u64,
    /// Another process has the lease.
    is_away: bool,
}

impl KnownLeases {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountName, KnownLease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, account: &AccountName) {
        let mut leases = self.lock();
        let known = leases.entry(account.clone()).or_default();
        (known.lost, known.is_away) = (known.acquired, true);
    }

    fn give_back(&self, account: &AccountName) {
        self.lock().entry(account.clone()).or_default().is_away = false;
    }

    /// Records an answer; an error if it is wrong.
    pub(super) fn acquire(
        &self,
        account: &AccountName,
        lease: Option<&Lease>,
    ) -> Result<(), String> {
        let mut leases = self.lock();
        let known = leases.entry(account.clone()).or_default();
        if known.is_away == lease.is_some() {
            return Err(format!("{account} acquires {lease:?}; away: {}", known.is_away));
        }
        let Some(lease) = lease else { return Ok(()) };
        known.acquired = known.acquired.max(lease.fence());
        if lease.fence() <= known.lost {
            return Err(format!("{account} acquires a lease again that it lost"));
        }
        Ok(())
    }

    /// Whether another process has or had the account's lease since this one was acquired.
    pub(super) fn is_lost(&self, lease: &Lease) -> bool {
        self.lock().get(lease.account()).is_some_and(|known| lease.fence() <= known.lost)
    }
}

/// Whether calls that began under a lost lease may still reach HubSpot.
pub(super) fn may_have_last_calls(lost_at: Option<Millis>, now: Millis) -> bool {
    lost_at.is_some_and(|at| now.since(at) <= LAST_CALLS)
}
