//! The real ledger, with dangers around every call, and somebody who watches what it promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;
use webinar_bridge::event::{AccountName, EventKey, Millis, ReceiptId, SourceName};
use webinar_bridge::ledger::{
    Acceptance, Amend, Amended, Claim, ClaimAsk, Claimed, Counts, Dossier, Due, EventDetail,
    EventRecord, EventSummary, EventsAsk, FetchClaim, FetchOutcome, FetchStatus, FetchTask, Ledger,
    LedgerError, NewReceipt, Page, Rebuild, Rebuilt, ReceiptRecord, ReceiptSummary, ReceiptsAsk,
    RedriveAsk, RedrivePiece, Redriven, Retention, Settlement, Sizes, Standing, Teller, Wanted,
    WebinarKey,
};

use super::peril::Peril;

/// A ledger in peril.
pub(super) struct Perilous<L> {
    pub(super) inner: L,
    pub(super) peril: Arc<Peril>,
}

impl<L: Ledger> Perilous<L> {
    /// Whether the store fails now.
    fn fails(&self) -> bool {
        let now = self.peril.now();
        let mut world = self.peril.world();
        let chance = world.weather.store_trouble;
        world.is_cruel(now) && world.dice.percent(chance)
    }

    /// Before it is done: time passes, and the store may fail.
    async fn before(&self, what: &'static str) -> Result<(), LedgerError> {
        self.peril.point(what).await;
        if self.fails() { Err(LedgerError::Unavailable("simulated".into())) } else { Ok(()) }
    }

    /// After it is done: the answer may get lost. Only of what may then be unknown: the rest fails whole, or not.
    async fn or_unknown<T>(
        &self,
        what: &'static str,
        done: Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        self.peril.point(what).await;
        let done = done?;
        if self.fails() {
            Err(LedgerError::Unavailable("simulated, but done".into()))
        } else {
            Ok(done)
        }
    }

    /// What is kept is in the counts from now on.
    fn accepted(&self, receipt: &NewReceipt, acceptance: Acceptance) {
        match acceptance {
            Acceptance::Accepted | Acceptance::Quarantined => {
                let now = self.peril.now();
                {
                    let mut world = self.peril.world();
                    world.allowed += world.oracle.accept(receipt, now);
                }
                self.check_census();
            }
            Acceptance::Duplicate | Acceptance::Ignored => {}
        }
    }

    /// A replay changes what it says otherwise than before, and nothing else.
    fn replayed(&self, receipt: ReceiptId, before: &[EventRecord], after: &[EventRecord]) {
        let now = self.peril.now();
        let mut world = self.peril.world();
        let (changed, same) = world.oracle.replayed(receipt, now);
        world.allowed += changed;
        let of = |event: &EventRecord| after.iter().find(|after| after.key == event.key);
        let touched = |before: &&EventRecord| match of(before) {
            None => same,
            Some(after) if same => after != *before,
            Some(after) => {
                (&after.input, &after.gaps) == (&before.input, &before.gaps) && after != *before
            }
        };
        let touched: Vec<_> = before.iter().filter(touched).map(|event| &event.key).collect();
        if !touched.is_empty() || same && after.len() > before.len() {
            world.wrong(now, format!("a replay that says the same of them changes {touched:?}"));
        }
    }

    /// The counts are exact at any time: they count every acceptance that has returned.
    pub(super) fn check_census(&self) {
        let census = self.inner.census();
        let now = self.peril.now();
        let mut world = self.peril.world();
        for (account, counts) in census {
            let expected = world.oracle.expected(&account);
            let complete = counts.pending + counts.in_flight + counts.delivered + counts.dead;
            if (complete, counts.incomplete) != (expected.complete, expected.incomplete) {
                world.wrong(now, format!("{account} counts {counts:?}, not {expected:?}"));
            }
        }
    }
}

#[async_trait]
impl<L: Ledger> Ledger for Perilous<L> {
    async fn accept(&self, receipt: NewReceipt) -> Result<Acceptance, LedgerError> {
        self.before("accept").await?;
        let done = self.inner.accept(receipt.clone()).await;
        if let Ok(acceptance) = done {
            self.accepted(&receipt, acceptance);
        }
        self.or_unknown("accepted", done).await
    }

    async fn claim(&self, account: &AccountName, ask: ClaimAsk) -> Result<Claim, LedgerError> {
        self.before("claim").await?;
        let done = self.inner.claim(account, ask).await;
        self.peril.point("claimed").await;
        done
    }

    async fn depart(&self, account: &AccountName, claimed: &[Claimed]) -> Result<(), LedgerError> {
        self.before("depart").await?;
        let done = self.inner.depart(account, claimed).await;
        if done.is_ok() {
            let departed = claimed.iter().map(|claimed| (claimed.id, claimed.key.clone()));
            self.peril.world().departed.extend(departed);
        }
        self.peril.point("departed").await;
        done
    }

    async fn settle(
        &self,
        account: &AccountName,
        settled: Vec<Settlement>,
    ) -> Result<(), LedgerError> {
        self.before("settle").await?;
        let ids: Vec<i64> = settled.iter().map(|settlement| settlement.claimed.id).collect();
        let done = self.inner.settle(account, settled).await;
        if done.is_ok() {
            let mut world = self.peril.world();
            world.departed.retain(|id, _| !ids.contains(id));
        }
        self.peril.point("settled").await;
        done
    }

    fn release(&self, account: &AccountName, claimed: &[Claimed]) {
        self.inner.release(account, claimed);
    }

    fn standing(&self, account: &AccountName) -> Standing {
        self.inner.standing(account)
    }

    async fn amend_standing(
        &self,
        account: &AccountName,
        amend: Amend,
    ) -> Result<Amended, LedgerError> {
        self.peril.point("amend").await;
        let done = self.inner.amend_standing(account, amend).await;
        self.or_unknown("amended", done).await
    }

    fn wake_up(&self, account: &AccountName) -> Arc<Notify> {
        self.inner.wake_up(account)
    }

    fn census(&self) -> BTreeMap<AccountName, Counts> {
        self.inner.census()
    }

    async fn oldest_pending(&self, account: &AccountName) -> Result<Option<Millis>, LedgerError> {
        self.inner.oldest_pending(account).await
    }

    async fn advance(&self, most: usize) -> Result<Due, LedgerError> {
        self.before("advance").await?;
        let done = self.inner.advance(most).await;
        self.or_unknown("advanced", done).await
    }

    async fn want(&self, source: &SourceName, wanted: Vec<Wanted>) -> Result<usize, LedgerError> {
        self.before("want").await?;
        let done = self.inner.want(source, wanted).await;
        self.or_unknown("wanted", done).await
    }

    async fn due_fetches(
        &self,
        source: &SourceName,
        most: usize,
        except: &[i64],
    ) -> Result<FetchClaim, LedgerError> {
        self.before("look for fetches").await?;
        self.inner.due_fetches(source, most, except).await
    }

    async fn settle_fetch(
        &self,
        task: &FetchTask,
        outcome: FetchOutcome,
    ) -> Result<Option<Acceptance>, LedgerError> {
        self.before("settle a fetch").await?;
        let receipt = outcome.receipt().cloned();
        let done = self.inner.settle_fetch(task, outcome).await;
        if let (Some(receipt), Ok(Some(acceptance))) = (receipt, &done) {
            self.accepted(&receipt, *acceptance);
        }
        self.or_unknown("settled a fetch", done).await
    }

    fn fetch_wake_up(&self, source: &SourceName) -> Arc<Notify> {
        self.inner.fetch_wake_up(source)
    }

    fn fetches(&self) -> BTreeMap<SourceName, FetchStatus> {
        self.inner.fetches()
    }

    async fn prune(&self, keep: Retention) -> Result<bool, LedgerError> {
        self.before("prune").await?;
        let done = self.inner.prune(keep).await;
        self.or_unknown("pruned", done).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    fn sizes(&self) -> Sizes {
        self.inner.sizes()
    }

    fn health(&self) -> Result<(), String> {
        self.inner.health()
    }

    async fn events(&self, most: usize) -> Result<Vec<EventRecord>, LedgerError> {
        self.inner.events(most).await
    }

    async fn page_events(&self, ask: EventsAsk) -> Result<Page<EventSummary>, LedgerError> {
        self.inner.page_events(ask).await
    }

    async fn event(&self, key: &EventKey) -> Result<Option<EventDetail>, LedgerError> {
        self.inner.event(key).await
    }

    async fn redrive(&self, key: &EventKey) -> Result<Redriven, LedgerError> {
        self.before("redrive").await?;
        let done = self.inner.redrive(key).await;
        if let Ok(Redriven::Pending) = done {
            self.peril.world().redriven(key);
            self.check_census();
        }
        self.or_unknown("redriven", done).await
    }

    async fn redrive_all(&self, ask: RedriveAsk) -> Result<RedrivePiece, LedgerError> {
        self.before("redrive all").await?;
        let events = self.inner.events(usize::MAX).await?;
        let wanted: Vec<EventKey> = events
            .into_iter()
            .filter(|event| event.state == ask.state)
            .map(|event| event.key)
            .collect();
        let done = self.inner.redrive_all(ask).await;
        if let Ok(piece) = &done {
            {
                let now = self.peril.now();
                let mut world = self.peril.world();
                if piece.redriven != wanted.len() as u64 {
                    world.wrong(now, format!("{piece:?}, and not {}", wanted.len()));
                }
                for key in &wanted {
                    world.redriven(key);
                }
            }
            self.check_census();
        }
        self.or_unknown("redriven all", done).await
    }

    async fn page_receipts(&self, ask: ReceiptsAsk) -> Result<Page<ReceiptSummary>, LedgerError> {
        self.before("look for receipts").await?;
        self.inner.page_receipts(ask).await
    }

    async fn receipt(&self, id: ReceiptId) -> Result<Option<ReceiptRecord>, LedgerError> {
        self.before("look at a receipt").await?;
        self.inner.receipt(id).await
    }

    async fn tellers(
        &self,
        key: &WebinarKey,
        after: Option<i64>,
    ) -> Result<Page<Teller>, LedgerError> {
        self.before("look at tellers").await?;
        self.inner.tellers(key, after).await
    }

    async fn dossiers_of(&self, receipt: ReceiptId) -> Result<Vec<Dossier>, LedgerError> {
        self.before("look at dossiers").await?;
        self.inner.dossiers_of(receipt).await
    }

    async fn dossier(&self, key: &WebinarKey) -> Result<Dossier, LedgerError> {
        self.before("look at a dossier").await?;
        self.inner.dossier(key).await
    }

    async fn rebuild(&self, rebuild: Rebuild) -> Result<Rebuilt, LedgerError> {
        self.before("rebuild").await?;
        let receipt = rebuild.receipt;
        let before = self.inner.events(usize::MAX).await?;
        let done = self.inner.rebuild(rebuild).await;
        if let Ok(Rebuilt::Done) = done {
            let after = self.inner.events(usize::MAX).await?;
            self.replayed(receipt, &before, &after);
            self.check_census();
        }
        self.or_unknown("rebuilt", done).await
    }
}
