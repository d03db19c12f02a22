//! The state in memory beside the file: counts, claims, statuses of accounts, and the waiting workers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::base_queue::BaseQueue;
use super::base_reads;
use super::fetch_counts::{self, FetchCounts};
use super::side_effects::SideEffects;
use super::statements::Statements as _;
use super::values::Json;
use crate::event::{AccountName, AccountStatus, Millis, SourceName, StatusChange, StatusUpdate};
use crate::ledger::rules::base::StoreAge;
use crate::ledger::rules::fetch::is_claim_valid;
use crate::ledger::rules::waits::move_status;
use crate::ledger::{
    ClaimedEvent, EventState, EventStateCounts, FETCH_CLAIM, FetchStatus, FetchTask,
};

/// The state in memory. Counts and claims change together under one lock, so that a scrape never sees half a change.
pub(super) struct LiveState {
    inner: Mutex<Inner>,
    notify: BTreeMap<AccountName, Arc<Notify>>,
    notify_fetch: BTreeMap<SourceName, Arc<Notify>>,
    age: Mutex<StoreAge>,
}

/// The duration of a commit from which the disk counts as not answering. Webhooks wait half as long.
const COMMIT_HANGS: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Inner {
    /// The number of events of each account in each state; events in flight count as pending.
    counts: BTreeMap<(AccountName, EventState), i64>,
    accounts: BTreeMap<AccountName, AccountState>,
    /// The fetches of each source in the configuration.
    fetches: BTreeMap<SourceName, FetchCounts>,
    /// The ends of the claims of fetches, by row.
    fetch_claims: HashMap<i64, Millis>,
    /// The message of the last failed write, while the store fails.
    failure: Option<String>,
    /// The message about a lack of room for receipts, while it lasts.
    no_room: Option<String>,
    /// The start of the commit under way.
    committing: Option<Instant>,
}

/// The state of an account.
#[derive(Default)]
struct AccountState {
    /// The claimed events, by row.
    claims: HashMap<i64, EventClaim>,
    bases: BaseQueue,
    status: watch::Sender<AccountStatus>,
    /// Whether the file does not hold the status yet.
    is_unstored: bool,
}

/// The claim of an event by a batch.
struct EventClaim {
    /// Whether the event is still pending: it may become incomplete or filtered meanwhile.
    is_pending: bool,
    /// The input that is being sent.
    input: Arc<[u8]>,
}

impl Inner {
    fn account(&mut self, account: &AccountName) -> &mut AccountState {
        self.accounts.entry(account.clone()).or_default()
    }

    fn release(&mut self, account: &AccountName, ids: impl Iterator<Item = i64>) {
        let claims = &mut self.account(account).claims;
        for id in ids {
            claims.remove(&id);
        }
    }
}

impl LiveState {
    /// Reads what the file knows.
    pub(super) fn load(
        connection: &Connection,
        accounts: &[AccountName],
        sources: &[SourceName],
    ) -> rusqlite::Result<Self> {
        let fetches = fetch_counts::load(connection, sources)?;
        let mut inner = Inner { fetches, ..Inner::default() };
        // Rows of accounts whose names are not valid, or with a status that cannot be read, are passed over.
        let counts =
            connection.all("SELECT hubspot, state, count FROM event_counts", (), |row| {
                let account: Option<AccountName> = row.get(0).ok();
                let count = (row.get(1)?, row.get(2)?);
                Ok(account.map(|account| ((account, count.0), count.1)))
            })?;
        inner.counts.extend(counts.into_iter().flatten());
        let statuses = connection
            .all("SELECT hubspot, standing FROM standings", (), |row| Ok(row.try_into().ok()))?;
        for (account, Json(status)) in statuses.into_iter().flatten() {
            inner.account(&account).status = watch::Sender::new(status);
        }
        let notify = accounts.iter().map(|a| (a.clone(), Arc::default())).collect();
        let notify_fetch = sources.iter().map(|s| (s.clone(), Arc::default())).collect();
        let age = base_reads::store_age(connection)?;
        Ok(Self { inner: Mutex::new(inner), notify, notify_fetch, age: Mutex::new(age) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The guarded state is consistent after every statement, so a panic elsewhere leaves no half change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ages of the store.
    pub(super) fn age(&self) -> StoreAge {
        *self.age.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was pruned that was over or last changed before then. If that is not committed, more is read at HubSpot
    /// than needs to be.
    pub(super) fn pruned(&self, to: Millis) {
        let mut age = self.age.lock().unwrap_or_else(PoisonError::into_inner);
        *age = age.pruned(to);
    }

    /// Applies a commit's counts and ended claims, in one step.
    pub(super) fn apply(&self, effects: &SideEffects) {
        let mut inner = self.lock();
        for (id, is_pending) in &effects.pending_changes {
            let accounts = inner.accounts.values_mut();
            for claim in accounts.filter_map(|account| account.claims.get_mut(id)) {
                claim.is_pending = *is_pending;
            }
        }
        for (key, by) in &effects.counts {
            *inner.counts.entry(key.clone()).or_default() += by;
        }
        for (account, ids) in &effects.released {
            inner.release(account, ids.iter().copied());
        }
        for (account, id) in &effects.released_bases {
            inner.account(account).bases.release(*id);
        }
        for account in &effects.unread {
            inner.account(account).bases.record_commit();
        }
        for id in &effects.settled_fetches {
            inner.fetch_claims.remove(id);
        }
        for (source, queue) in &effects.fetches {
            if let Some(known) = inner.fetches.get_mut(source) {
                known.absorb(queue);
            }
        }
    }

    /// Records that the last write succeeded.
    pub(super) fn report_writable(&self) {
        let mut inner = self.lock();
        inner.committing = None;
        if inner.failure.take().is_some() {
            tracing::info!("the store works again");
        }
    }

    /// Records that a write begins.
    pub(super) fn commit_started(&self) {
        self.lock().committing = Some(Instant::now());
    }

    /// Records that the last write failed.
    pub(super) fn report_failure(&self, why: String) {
        let mut inner = self.lock();
        inner.committing = None;
        if inner.failure.as_ref() != Some(&why) {
            tracing::error!(why, "the store cannot be written; senders are asked to retry");
        }
        inner.failure = Some(why);
    }

    /// Records whether there is room for receipts, or why not.
    pub(super) fn report_space(&self, no_room: Option<String>) {
        let mut inner = self.lock();
        match (&inner.no_room, &no_room) {
            (None, Some(why)) => {
                tracing::error!(
                    why,
                    "the store has no room for webhooks; senders are asked to retry"
                );
            }
            (Some(_), None) => tracing::info!("the store has room for webhooks again"),
            _ => {}
        }
        inner.no_room = no_room;
    }

    /// Whether the last write failed.
    pub(super) fn is_failing(&self) -> bool {
        self.lock().failure.is_some()
    }

    pub(super) fn health(&self) -> Result<(), String> {
        let inner = self.lock();
        if inner.committing.is_some_and(|since| since.elapsed() > COMMIT_HANGS) {
            let seconds = COMMIT_HANGS.as_secs();
            return Err(format!(
                "the disk does not answer: a commit has been under way for more than {seconds} s"
            ));
        }
        inner.failure.as_ref().or(inner.no_room.as_ref()).map_or(Ok(()), |why| Err(why.clone()))
    }

    pub(super) fn event_counts(&self) -> BTreeMap<AccountName, EventStateCounts> {
        let inner = self.lock();
        let mut all: BTreeMap<AccountName, EventStateCounts> = self
            .notify
            .keys()
            .map(|account| (account.clone(), EventStateCounts::default()))
            .collect();
        for ((account, state), count) in &inner.counts {
            let counts = all.entry(account.clone()).or_default();
            *state.count_in(counts) = u64::try_from(*count).unwrap_or(0);
        }
        for (account, counts) in &mut all {
            let claims = inner.accounts.get(account).into_iter().flat_map(|a| a.claims.values());
            counts.in_flight = claims.filter(|claim| claim.is_pending).count() as u64;
            counts.pending = counts.pending.saturating_sub(counts.in_flight);
        }
        all
    }

    pub(super) fn claim(&self, account: &AccountName, batch: &[ClaimedEvent]) {
        let claim = |event: &ClaimedEvent| {
            (
                event.id,
                EventClaim { is_pending: !event.is_witness, input: Arc::clone(&event.input) },
            )
        };
        self.lock().account(account).claims.extend(batch.iter().map(claim));
    }

    /// The input that is being sent for a claimed event.
    pub(super) fn claimed_input(&self, account: &AccountName, id: i64) -> Option<Arc<[u8]>> {
        self.lock().account(account).claims.get(&id).map(|claim| Arc::clone(&claim.input))
    }

    pub(super) fn release(&self, account: &AccountName, ids: impl Iterator<Item = i64>) {
        self.lock().release(account, ids);
    }

    /// The claimed events of an account, by row.
    pub(super) fn claims(&self, account: &AccountName) -> HashSet<i64> {
        self.lock().account(account).claims.keys().copied().collect()
    }

    /// Works on the queue of an account's events that wait for their bases.
    pub(super) fn bases<T>(
        &self,
        account: &AccountName,
        work: impl FnOnce(&mut BaseQueue) -> T,
    ) -> T {
        work(&mut self.lock().account(account).bases)
    }

    /// Whether a batch has claimed this event.
    pub(super) fn is_claimed(&self, account: &AccountName, id: i64) -> bool {
        self.lock().account(account).claims.contains_key(&id)
    }

    /// The number of pending events, in flight or not.
    pub(super) fn pending_count(&self) -> usize {
        let inner = self.lock();
        let pending = inner.counts.iter().filter(|((_, state), _)| *state == EventState::Pending);
        usize::try_from(pending.map(|(_, count)| count).sum::<i64>()).unwrap_or(0)
    }

    pub(super) fn account_status(&self, account: &AccountName) -> AccountStatus {
        self.lock().account(account).status.borrow().clone()
    }

    pub(super) fn watch_status(&self, account: &AccountName) -> watch::Receiver<AccountStatus> {
        self.lock().account(account).status.subscribe()
    }

    pub(super) fn update_status(
        &self,
        account: &AccountName,
        change: &StatusChange,
        now: Millis,
    ) -> StatusUpdate {
        let mut inner = self.lock();
        let account = inner.account(account);
        let before = account.status.borrow().clone();
        let after = before.apply(change, now);
        if before != after {
            account.status.send_replace(after.clone());
            account.is_unstored = true;
        }
        StatusUpdate { before, after }
    }

    /// Changes the statuses of all accounts. The file gets them with their next change.
    pub(super) fn change_statuses(&self, change: impl Fn(AccountStatus) -> AccountStatus) {
        for account in self.lock().accounts.values_mut() {
            let before = account.status.borrow().clone();
            let after = change(before.clone());
            if before != after {
                account.status.send_replace(after);
                account.is_unstored = true;
            }
        }
    }

    /// Moves the waits in memory after the clock was set back by that much, and reads `now`.
    pub(super) fn move_waits_back(&self, now: Millis, by: Duration) {
        self.change_statuses(|status| move_status(status, now, by));
        for ends_at in self.lock().fetch_claims.values_mut() {
            *ends_at = ends_at.minus(by);
        }
    }

    /// Wakes all workers.
    pub(super) fn wake_everybody(&self) {
        let notify = self.notify.values().chain(self.notify_fetch.values());
        notify.for_each(|notify| notify.notify_one());
    }

    /// Whether the file holds the account's present status.
    pub(super) fn is_status_stored(&self, account: &AccountName) -> bool {
        !self.lock().account(account).is_unstored
    }

    /// Records that the file holds this status, unless it has changed since.
    pub(super) fn mark_status_stored(&self, account: &AccountName, stored: &AccountStatus) {
        let mut inner = self.lock();
        let account = inner.account(account);
        if *account.status.borrow() == *stored {
            account.is_unstored = false;
        }
    }

    pub(super) fn wake_up(&self, account: &AccountName) -> Arc<Notify> {
        self.notify.get(account).cloned().unwrap_or_default()
    }

    pub(super) fn wake(&self, account: &AccountName) {
        if let Some(notify) = self.notify.get(account) {
            notify.notify_one();
        }
    }

    /// Wakes the workers that have something to do after a commit.
    pub(super) fn wake_all(&self, effects: &SideEffects) {
        for account in &effects.woken {
            self.wake(account);
        }
        let due = effects.fetches.iter().filter(|(_, queue)| queue.due);
        for notify in due.filter_map(|(source, _)| self.notify_fetch.get(source)) {
            notify.notify_one();
        }
    }

    /// The rows of the claimed fetches.
    pub(super) fn fetch_claims(&self, now: Millis) -> HashSet<i64> {
        let mut inner = self.lock();
        inner.fetch_claims.retain(|_, ends_at| is_claim_valid(*ends_at, now));
        inner.fetch_claims.keys().copied().collect()
    }

    pub(super) fn claim_fetches(&self, tasks: &[FetchTask], now: Millis) {
        let ends_at = now.plus(FETCH_CLAIM);
        self.lock().fetch_claims.extend(tasks.iter().map(|task| (task.id, ends_at)));
    }

    pub(super) fn release_fetch(&self, task: &FetchTask) {
        self.lock().fetch_claims.remove(&task.id);
    }

    pub(super) fn fetch_wake_up(&self, source: &SourceName) -> Arc<Notify> {
        self.notify_fetch.get(source).cloned().unwrap_or_default()
    }

    pub(super) fn fetch_statuses(&self) -> BTreeMap<SourceName, FetchStatus> {
        let inner = self.lock();
        inner.fetches.iter().map(|(source, queue)| (source.clone(), queue.status())).collect()
    }
}
