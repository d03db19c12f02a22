//! The real ledger with faults around every call, and checks of its promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use webinar_bridge::event::{
    AccountName, AccountStatus, EventKey, ExternalAccountId, Gap, Millis, PauseReason, ReceiptId,
    SourceName, StatusChange, StatusUpdate, WebinarId,
};
use webinar_bridge::ledger::{
    AccountStatuses, BaseRead, BaseReadOutcome, BaseReads, Browse, ClaimRequest, ClaimResult,
    DeliveryOutcome, EventDetail, EventQuery, EventState, EventStateCounts, EventSummary,
    EventVersion, FetchClaim, FetchOutcome, FetchQuery, FetchQueue, FetchRedrive, FetchRequest,
    FetchStatus, FetchSummary, FetchTask, Intake, Lease, Ledger, LedgerError, NewReceipt, Outbox,
    Page, RebuildRequest, RebuildResult, Rebuilds, ReceiptContent, ReceiptDetail, ReceiptOutcome,
    ReceiptQuery, ReceiptRecord, ReceiptSummary, RecordResult, Redrive, RedriveProgress,
    RedriveRequest, RedriveResult, Retention, Settlement, Store, StoreSizes, Timers, TimersRun,
    WebinarKey, WebinarState,
};

use super::fault_injector::FaultInjector;
use super::leases::KnownLeases;
use crate::harness::events::AllEvents as _;

/// A ledger with injected faults.
pub(super) struct FaultyLedger<L> {
    pub(super) inner: L,
    pub(super) leases: KnownLeases,
    pub(super) injector: Arc<FaultInjector>,
}

impl<L: Ledger> FaultyLedger<L> {
    /// Whether the store fails now.
    fn fails(&self) -> bool {
        let now = self.injector.now();
        let mut world = self.injector.world();
        let chance = world.profile.store_fault_percent;
        world.has_faults(now) && world.rng.percent(chance)
    }

    /// Before the call: time passes, and the store may fail.
    async fn before(&self, what: &'static str) -> Result<(), LedgerError> {
        self.injector.point(what).await;
        let now = self.injector.now();
        self.injector.world().note_clock(now);
        if self.fails() { Err(LedgerError::unavailable("simulated")) } else { Ok(()) }
    }

    /// After the call: the answer may be lost. Only for calls with a possibly unknown outcome: others fail whole or not
    /// at all.
    async fn or_unknown<T>(
        &self,
        what: &'static str,
        done: Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        self.injector.point(what).await;
        let done = done?;
        if self.fails() { Err(LedgerError::unavailable("simulated, but done")) } else { Ok(done) }
    }

    /// Checks that a call under a lost lease is refused, and no other.
    fn check_refusal(&self, is_lost: bool, is_refused: bool, call: &str) {
        if is_lost != is_refused {
            let what = format!("{call} under a lease, lost: {is_lost}, refused: {is_refused}");
            self.injector.world().wrong(self.injector.now(), what);
        }
    }

    /// Checks that the counts include an accepted receipt.
    async fn accepted(&self, receipt: &NewReceipt, acceptance: ReceiptOutcome) {
        match acceptance {
            ReceiptOutcome::Accepted | ReceiptOutcome::Quarantined => {
                let now = self.injector.now();
                let stored = self.inner.receipt(receipt.id).await.expect("it is read");
                let seq = stored.expect("it was just accepted").record.seq;
                {
                    let mut world = self.injector.world();
                    if world.belief.may_be_doubted(world.clock_errors.ahead(now)) {
                        world.oracle.doubt(receipt.id);
                    }
                    let is_foreign = world.oracle.is_foreign(receipt);
                    if is_foreign != (acceptance == ReceiptOutcome::Quarantined)
                        && matches!(receipt.content, ReceiptContent::Changes(_))
                    {
                        let what = format!("{} of {}: {acceptance:?}", receipt.id, receipt.source);
                        world.wrong(now, format!("{what}, is another's: {is_foreign}"));
                    }
                    if is_foreign {
                        world.oracle.refuse(receipt, seq, now);
                    } else {
                        world.allowed += world.oracle.accept(receipt, seq, now);
                    }
                }
                self.check_counts().await;
            }
            ReceiptOutcome::Duplicate | ReceiptOutcome::Ignored => {}
        }
    }

    /// Checks that a replay changes exactly the events whose mapping changed, and those whose timers ran out while none
    /// ran by a doubted clock.
    fn replayed(&self, receipt: ReceiptId, before: &[EventSummary], after: &[EventSummary]) {
        let now = self.injector.now();
        let mut world = self.injector.world();
        let (changed, same) = world.oracle.replayed(receipt, now);
        world.allowed += changed;
        let of = |event: &EventSummary| after.iter().find(|after| after.key == event.key);
        let content = |event: &EventSummary| (event.input.clone(), event.gaps.clone());
        let sent = |event: &EventSummary| {
            (event.state, event.version, event.object_id.clone(), event.refused.clone())
        };
        let is_late_timer = |after: &EventSummary| {
            !world.belief.is_settled()
                && world.oracle.is_expected(&after.key, after.input.as_deref())
        };
        let touched = |before: &&EventSummary| match of(before) {
            Some(after) if content(after) == content(before) => sent(after) != sent(before),
            Some(after) => same && !is_late_timer(after),
            None => same,
        };
        // A creation that is known now makes a read needless.
        let was_read = |before: &&EventSummary| !before.gaps.contains(&Gap::BaseUnread);
        let touched: Vec<_> = before
            .iter()
            .filter(touched)
            .filter(was_read)
            .map(|event| (&event.key, sent(event), of(event).map(sent)))
            .collect();
        if !world.oracle.kept.is_empty() {
            return;
        }
        if !touched.is_empty() || same && after.len() > before.len() {
            world.wrong(now, format!("a replay that maps as before changes {touched:?}"));
        }
    }

    /// The events that wait until HubSpot was asked what it holds, and those of whole series that wait for occurrences.
    async fn unread(&self, account: &AccountName) -> Vec<EventSummary> {
        if !self.inner.has_base_reads(account).await.expect("it is read") {
            return Vec::new();
        }
        let mut events = self.inner.all_events().await.expect("they are read");
        events.retain(|event| {
            let waits = |gap: &Gap| matches!(gap, Gap::BaseUnread | Gap::Occurrences);
            event.key.hubspot == *account
                && event.state == EventState::Incomplete
                && event.gaps.iter().any(waits)
        });
        events
    }

    /// Checks that the counts are exact: they include every acceptance that has returned.
    pub(super) async fn check_counts(&self) {
        if !self.injector.world().oracle.kept.is_empty() {
            return;
        }
        let counts = self.inner.event_counts().await.expect("it is read");
        for (account, counts) in counts {
            // The oracle knows nothing of what HubSpot may hold: neither that it is asked, nor the single event of a series
            // that it may hold from before (M27).
            let unread = self.unread(&account).await;
            let now = self.injector.now();
            let mut world = self.injector.world();
            let expected = world.oracle.expected(&account);
            let known = world.oracle.events(&account);
            let (known, unknown): (Vec<_>, Vec<_>) =
                unread.iter().partition(|event| known.contains_key(&event.key));
            // The event of a whole series also waits until those that take its place are read.
            let waits_only_for_bases = |event: &&&EventSummary| match *event.gaps {
                [Gap::BaseUnread] => true,
                [Gap::Occurrences] | [Gap::BaseUnread, Gap::Occurrences] => {
                    world.oracle.events(&account)[&event.key].content.is_ok()
                }
                _ => false,
            };
            let ready = known.iter().filter(waits_only_for_bases).count() as u64;
            let complete = counts.pending + counts.in_flight + counts.delivered + counts.dead;
            let incomplete = counts.incomplete - ready - unknown.len() as u64;
            let complete = complete + ready;
            if (complete, incomplete) != (expected.complete, expected.incomplete) {
                world.wrong(now, format!("{account} counts {counts:?}, not {expected:?}"));
            }
        }
    }
}

#[async_trait]
impl<L: Ledger> Intake for FaultyLedger<L> {
    async fn accept(&self, receipt: NewReceipt) -> Result<ReceiptOutcome, LedgerError> {
        self.before("accept").await?;
        let done = self.inner.accept(receipt.clone()).await;
        if let Ok(acceptance) = done {
            self.accepted(&receipt, acceptance).await;
        }
        self.or_unknown("accepted", done).await
    }
}

#[async_trait]
impl<L: Ledger> Outbox for FaultyLedger<L> {
    async fn claim(&self, lease: &Lease, ask: ClaimRequest) -> Result<ClaimResult, LedgerError> {
        self.before("claim").await?;
        let is_lost = self.leases.is_lost(lease);
        let done = self.inner.claim(lease, ask).await;
        if let Ok(result) = &done {
            self.check_refusal(is_lost, matches!(result, ClaimResult::LeaseLost), "a claim");
        }
        if let Ok(ClaimResult::Batch(batch)) = &done {
            let keys = batch.iter().map(|claimed| (claimed.id, claimed.key.clone()));
            let inputs = batch.iter().map(|claimed| (claimed.key.clone(), claimed.input.to_vec()));
            let mut world = self.injector.world();
            world.claimed.extend(keys);
            world.oracle.claimed(inputs);
        }
        self.injector.point("claimed").await;
        done
    }

    async fn begin_attempt(
        &self,
        lease: &Lease,
        events: &[EventVersion],
    ) -> Result<RecordResult, LedgerError> {
        self.before("depart").await?;
        let is_lost = self.leases.is_lost(lease);
        let done = self.inner.begin_attempt(lease, events).await;
        if let Ok(start) = &done {
            self.check_refusal(is_lost, *start == RecordResult::LeaseLost, "an attempt");
        }
        if let Ok(RecordResult::Recorded) = done {
            let mut world = self.injector.world();
            for event in events {
                let key = world.claimed[&event.id].clone();
                world.departed.insert(event.id, key);
            }
        }
        self.injector.point("departed").await;
        done
    }

    async fn settle(
        &self,
        lease: &Lease,
        settled: Vec<Settlement>,
    ) -> Result<RecordResult, LedgerError> {
        self.before("settle").await?;
        let ids: Vec<i64> = settled.iter().map(|settlement| settlement.event.id).collect();
        let is_confirmed =
            |settled: &&Settlement| matches!(settled.outcome, DeliveryOutcome::Confirmed { .. });
        let confirmed = settled.iter().filter(is_confirmed).map(|settled| settled.event.id);
        let confirmed: Vec<i64> = confirmed.collect();
        let is_lost = self.leases.is_lost(lease);
        let before = if is_lost { Some(self.inner.all_events().await?) } else { None };
        let done = self.inner.settle(lease, settled).await;
        if let Ok(result) = &done {
            self.check_refusal(is_lost, *result == RecordResult::LeaseLost, "a settlement");
        }
        if let Some(before) = before
            && before != self.inner.all_events().await?
        {
            let now = self.injector.now();
            self.injector.world().wrong(now, "a settlement under a lost lease changes events");
        }
        if let Ok(RecordResult::Recorded) = done {
            let mut world = self.injector.world();
            world.departed.retain(|id, _| !ids.contains(id));
            let now = self.injector.now();
            for id in confirmed {
                let key = world.claimed[&id].clone();
                world.allowed += world.oracle.confirmed(&key, now);
            }
        }
        self.injector.point("settled").await;
        done
    }

    fn release(&self, lease: &Lease, events: &[EventVersion]) {
        self.inner.release(lease, events);
    }

    fn wake_up(&self, account: &AccountName) -> Arc<Notify> {
        self.inner.wake_up(account)
    }

    async fn acquire_lease(&self, account: &AccountName) -> Result<Option<Lease>, LedgerError> {
        let lease = self.inner.acquire_lease(account).await?;
        if let Err(what) = self.leases.acquire(account, lease.as_ref()) {
            self.injector.world().wrong(self.injector.now(), what);
        }
        Ok(lease)
    }

    async fn has_pending(&self, account: &AccountName) -> Result<bool, LedgerError> {
        self.inner.has_pending(account).await
    }
}

#[async_trait]
impl<L: Ledger> BaseReads for FaultyLedger<L> {
    async fn claim_base_read(&self, lease: &Lease) -> Result<Option<BaseRead>, LedgerError> {
        self.before("claim base read").await?;
        self.inner.claim_base_read(lease).await
    }

    async fn settle_base_read(
        &self,
        lease: &Lease,
        read: &BaseRead,
        outcome: BaseReadOutcome,
    ) -> Result<RecordResult, LedgerError> {
        self.before("settle base read").await?;
        let done = self.inner.settle_base_read(lease, read, outcome).await;
        self.or_unknown("settled base read", done).await
    }

    async fn has_base_reads(&self, account: &AccountName) -> Result<bool, LedgerError> {
        self.before("has base reads").await?;
        self.inner.has_base_reads(account).await
    }

    fn release_base_read(&self, lease: &Lease, read: &BaseRead) {
        self.inner.release_base_read(lease, read);
    }
}

#[async_trait]
impl<L: Ledger> AccountStatuses for FaultyLedger<L> {
    fn watch_status(&self, account: &AccountName) -> watch::Receiver<AccountStatus> {
        self.inner.watch_status(account)
    }

    async fn account_status(&self, account: &AccountName) -> Result<AccountStatus, LedgerError> {
        self.inner.account_status(account).await
    }

    async fn update_status(
        &self,
        account: &AccountName,
        change: StatusChange,
    ) -> Result<StatusUpdate, LedgerError> {
        self.injector.point("amend").await;
        let done = self.inner.update_status(account, change).await;
        if let Ok(StatusUpdate { before, after }) = &done
            && before.is_paused_for(PauseReason::Refused)
            && !after.is_paused_for(PauseReason::Refused)
        {
            self.injector.world().end_waits(account);
        }
        self.or_unknown("amended", done).await
    }
}

#[async_trait]
impl<L: Ledger> FetchQueue for FaultyLedger<L> {
    async fn request_fetches(
        &self,
        source: &SourceName,
        wanted: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError> {
        self.before("want").await?;
        let done = self.inner.request_fetches(source, wanted).await;
        self.or_unknown("wanted", done).await
    }

    async fn claim_fetches(
        &self,
        source: &SourceName,
        limit: usize,
    ) -> Result<FetchClaim, LedgerError> {
        self.before("look for fetches").await?;
        self.inner.claim_fetches(source, limit).await
    }

    async fn settle_fetch(
        &self,
        task: &FetchTask,
        outcome: FetchOutcome,
    ) -> Result<Option<ReceiptOutcome>, LedgerError> {
        self.before("settle a fetch").await?;
        let receipt = outcome.receipt().cloned();
        let done = self.inner.settle_fetch(task, outcome).await;
        if let (Some(receipt), Ok(Some(acceptance))) = (receipt, &done) {
            self.accepted(&receipt, *acceptance).await;
        }
        self.or_unknown("settled a fetch", done).await
    }

    fn fetch_wake_up(&self, source: &SourceName) -> Arc<Notify> {
        self.inner.fetch_wake_up(source)
    }

    async fn fetch_statuses(&self) -> Result<BTreeMap<SourceName, FetchStatus>, LedgerError> {
        self.inner.fetch_statuses().await
    }

    async fn list_fetches(&self, query: FetchQuery) -> Result<Page<FetchSummary>, LedgerError> {
        self.inner.list_fetches(query).await
    }

    async fn redrive_fetches(&self, request: FetchRedrive) -> Result<RedriveProgress, LedgerError> {
        self.before("redrive fetches").await?;
        let done = self.inner.redrive_fetches(request).await;
        self.or_unknown("redrove fetches", done).await
    }

    async fn coming_webinars(
        &self,
        source: &SourceName,
        after: Option<i64>,
    ) -> Result<Page<WebinarId>, LedgerError> {
        self.inner.coming_webinars(source, after).await
    }

    async fn accounts_of(
        &self,
        source: &SourceName,
        webinar: &WebinarId,
    ) -> Result<Vec<ExternalAccountId>, LedgerError> {
        self.inner.accounts_of(source, webinar).await
    }

    async fn note_fetch_config(
        &self,
        source: &SourceName,
        digest: [u8; 32],
    ) -> Result<u64, LedgerError> {
        self.before("note how a platform is asked").await?;
        let done = self.inner.note_fetch_config(source, digest).await;
        self.or_unknown("noted how a platform is asked", done).await
    }

    fn release_fetch(&self, task: &FetchTask) {
        self.inner.release_fetch(task);
    }
}

#[async_trait]
impl<L: Ledger> Timers for FaultyLedger<L> {
    async fn run_timers(&self, most: usize) -> Result<TimersRun, LedgerError> {
        self.before("advance").await?;
        let done = self.inner.run_timers(most).await;
        self.or_unknown("advanced", done).await
    }

    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError> {
        self.before("prune").await?;
        let before = self.inner.all_events().await?;
        let done = self.inner.prune(keep).await;
        if let Ok(has_more) = done {
            let left = self.inner.all_receipts().await?;
            let now = self.injector.now();
            let after = self.inner.all_events().await?;
            let mut world = self.injector.world();
            world.pruned(now, keep, &left, has_more);
            world.forgotten(now, keep, &before, &after);
        }
        self.or_unknown("pruned", done).await
    }
}

#[async_trait]
impl<L: Ledger> Browse for FaultyLedger<L> {
    async fn event_counts(&self) -> Result<BTreeMap<AccountName, EventStateCounts>, LedgerError> {
        self.inner.event_counts().await
    }

    async fn oldest_pending(&self, account: &AccountName) -> Result<Option<Millis>, LedgerError> {
        self.inner.oldest_pending(account).await
    }

    async fn list_events(&self, ask: EventQuery) -> Result<Page<EventSummary>, LedgerError> {
        self.inner.list_events(ask).await
    }

    async fn event_detail(&self, key: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        self.inner.event_detail(key).await
    }

    async fn list_receipts(&self, ask: ReceiptQuery) -> Result<Page<ReceiptSummary>, LedgerError> {
        self.before("look for receipts").await?;
        self.inner.list_receipts(ask).await
    }

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptDetail>, LedgerError> {
        self.before("look at a receipt").await?;
        self.inner.receipt(id).await
    }
}

#[async_trait]
impl<L: Ledger> Redrive for FaultyLedger<L> {
    async fn redrive(&self, key: &EventKey) -> Result<RedriveResult, LedgerError> {
        self.before("redrive").await?;
        let done = self.inner.redrive(key).await;
        if let Ok(RedriveResult::Pending) = done {
            self.injector.world().redriven(key);
            self.check_counts().await;
        }
        self.or_unknown("redriven", done).await
    }

    async fn redrive_all(&self, ask: RedriveRequest) -> Result<RedriveProgress, LedgerError> {
        self.before("redrive all").await?;
        let events = self.inner.all_events().await?;
        let wanted: Vec<EventKey> = events
            .into_iter()
            .filter(|event| event.state == ask.state)
            .map(|event| event.key)
            .collect();
        let done = self.inner.redrive_all(ask).await;
        if let Ok(piece) = &done {
            {
                let now = self.injector.now();
                let mut world = self.injector.world();
                if piece.redriven != wanted.len() as u64 {
                    world.wrong(now, format!("{piece:?}, and not {}", wanted.len()));
                }
                for key in &wanted {
                    world.redriven(key);
                }
            }
            self.check_counts().await;
        }
        self.or_unknown("redriven all", done).await
    }
}

#[async_trait]
impl<L: Ledger> Rebuilds for FaultyLedger<L> {
    async fn webinars_of(&self, receipt: ReceiptId) -> Result<Vec<WebinarState>, LedgerError> {
        self.before("look at dossiers").await?;
        self.inner.webinars_of(receipt).await
    }

    async fn webinar_state(&self, key: &WebinarKey) -> Result<WebinarState, LedgerError> {
        self.before("read the state of a webinar").await?;
        self.inner.webinar_state(key).await
    }

    async fn receipts_of(
        &self,
        key: &WebinarKey,
        after: Option<i64>,
    ) -> Result<Page<ReceiptRecord>, LedgerError> {
        self.before("look at contributors").await?;
        self.inner.receipts_of(key, after).await
    }

    async fn rebuild(&self, rebuild: RebuildRequest) -> Result<RebuildResult, LedgerError> {
        self.before("rebuild").await?;
        let receipt = rebuild.receipt;
        let before = self.inner.all_events().await?;
        let done = self.inner.rebuild(rebuild).await;
        if let Ok(RebuildResult::Done) = done {
            let after = self.inner.all_events().await?;
            self.replayed(receipt, &before, &after);
            self.check_counts().await;
        }
        self.or_unknown("rebuilt", done).await
    }
}

#[async_trait]
impl<L: Ledger> Store for FaultyLedger<L> {
    fn health(&self) -> Result<(), String> {
        self.inner.health()
    }

    async fn store_sizes(&self) -> Result<StoreSizes, LedgerError> {
        self.inner.store_sizes().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
