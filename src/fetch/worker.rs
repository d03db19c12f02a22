//! Processes one source's queue of fetches.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lister::WebinarLister;
use super::settings::Settings;
use super::webinar_fetch::WebinarFetch;
use crate::event::SourceName;
use crate::ledger::{FetchLedger, FetchOutcome, FetchTask, LedgerError};

/// Webinars of one source that are fetched at the same time. More would only wait for the rate limiter.
const MAX_CONCURRENT: usize = 4;
/// Longest time between two reads of the queue.
const POLL_INTERVAL: Duration = Duration::from_secs(15);
/// Shortest time between two reads of the queue, when a fetch is due again at once.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Attempts to record an outcome while the store fails: some four minutes.
const SETTLE_TRIES: u32 = 20;

/// Makes one source's fetches.
pub struct FetchWorker {
    settings: Settings,
    /// Its client is the worker's, too.
    lister: WebinarLister,
}

impl FetchWorker {
    /// Creates a worker; none if the source's platform has no API or no credentials for it.
    #[must_use]
    pub fn new(settings: Settings) -> Option<Arc<Self>> {
        let Settings { source, http, clock, metrics, random, .. } = &settings;
        let (name, provider) = (source.name.clone(), Arc::clone(&source.provider));
        let lister = WebinarLister::new(
            name,
            provider,
            Arc::clone(http),
            Arc::clone(clock),
            metrics.clone(),
            *random,
        )?;
        Some(Arc::new(Self { settings, lister }))
    }

    /// A lister that shares the worker's rate limit: to the platform both are one client.
    #[must_use]
    pub fn lister(&self) -> WebinarLister {
        self.lister.clone()
    }

    /// Makes fetches as they become due, until `stop` is cancelled. Fetches under way are dropped then, and made again
    /// after the next start.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let wake_up = self.settings.ledger.fetch_wake_up(self.source());
        self.note_config().await;
        let mut under_way: JoinSet<()> = JoinSet::new();
        loop {
            // Armed before the queue is read, so that no request in between is missed.
            let woken = wake_up.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let wait = self.start_due(&mut under_way).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(ended) = under_way.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a fetch broke off");
                    // Its row is still due: without a hold the fetch would fail again and again.
                    self.lister.client.hold_calls(POLL_INTERVAL, "a fetch broke off");
                },
                () = woken => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The source for which the worker fetches.
    #[must_use]
    pub fn source(&self) -> &SourceName {
        &self.settings.source.name
    }

    /// Makes fetches until none is due, for a tool that has the store to itself. It calls `on_fetched` after each and
    /// returns their number.
    ///
    /// # Errors
    /// [`LedgerError`] when the queue cannot be read.
    pub async fn drain(self: Arc<Self>, mut on_fetched: impl FnMut()) -> Result<u64, LedgerError> {
        let mut count = 0;
        self.note_config().await;
        loop {
            let due = self.settings.ledger.claim_fetches(self.source(), MAX_CONCURRENT).await?;
            if due.tasks.is_empty() {
                return Ok(count);
            }
            let fetches = due.tasks.into_iter().map(|task| Arc::clone(&self).fetch(task));
            let mut fetches: FuturesUnordered<_> = fetches.collect();
            while fetches.next().await.is_some() {
                count += 1;
                on_fetched();
            }
        }
    }

    /// Has the ledger try dead fetches once more if the platform is asked in another way than at the last start.
    async fn note_config(&self) {
        let Some(digest) = self.lister.config_digest() else { return };
        match self.settings.ledger.note_fetch_config(self.source(), digest).await {
            Ok(0) => {}
            Ok(revived) => {
                tracing::info!(source.name = %self.source(), fetches = revived, "the source changed: dead fetches are tried once more");
            }
            Err(error) => {
                tracing::warn!(source.name = %self.source(), %error, "it is not known whether the source changed");
            }
        }
    }

    /// Starts the fetches that are due and not claimed. Returns the time until the next read of the queue.
    async fn start_due(self: &Arc<Self>, under_way: &mut JoinSet<()>) -> Duration {
        // While every request fails, one at a time shows whether that is over.
        let limit = if self.lister.client.is_failing() { 1 } else { MAX_CONCURRENT };
        let free = limit.saturating_sub(under_way.len());
        let held = self.lister.client.hold_time();
        if free == 0 || !held.is_zero() {
            return held.clamp(MIN_POLL_INTERVAL, POLL_INTERVAL);
        }
        match self.settings.ledger.claim_fetches(self.source(), free).await {
            Ok(due) => {
                for task in due.tasks {
                    under_way.spawn(Arc::clone(self).fetch(task));
                }
                let next =
                    due.next_due.map_or(POLL_INTERVAL, |at| at.since(self.settings.clock.now()));
                next.clamp(MIN_POLL_INTERVAL, POLL_INTERVAL)
            }
            Err(error) => {
                tracing::warn!(source.name = %self.source(), %error, "the queue of fetches cannot be read");
                POLL_INTERVAL
            }
        }
    }

    /// Fetches one webinar and records the outcome.
    async fn fetch(self: Arc<Self>, task: FetchTask) {
        let source = self.source();
        let mut claim = ClaimGuard { ledger: &*self.settings.ledger, task: &task, settled: false };
        let fetch =
            WebinarFetch { settings: &self.settings, client: &self.lister.client, task: &task };
        let outcome = fetch.run().await;
        match &outcome {
            FetchOutcome::Answered { .. } => {}
            FetchOutcome::Retry { reason, .. } => {
                tracing::info!(source.name = %source, webinar = %task.webinar, reason, "the fetch is repeated later");
            }
            FetchOutcome::GivenUp { reason, .. } => {
                tracing::warn!(source.name = %source, webinar = %task.webinar, reason, "the webinar is not asked about until it is requested again");
            }
            FetchOutcome::Held { reason } => {
                tracing::warn!(source.name = %source, webinar = %task.webinar, reason, "the fetch is dead: a person has to confirm that the webinar is gone");
            }
        }
        claim.settled = self.settle(&task, outcome).await;
    }

    /// Records the outcome of a fetch, repeatedly while the store fails: fetching again would cost calls. Returns
    /// whether it is recorded.
    async fn settle(&self, task: &FetchTask, mut outcome: FetchOutcome) -> bool {
        let (source, ledger) = (self.source(), &self.settings.ledger);
        let mut wait = MIN_POLL_INTERVAL;
        for _ in 0..SETTLE_TRIES {
            match ledger.settle_fetch(task, outcome.clone()).await {
                Ok(_) => return true,
                Err(error @ LedgerError::Unavailable { .. }) => {
                    tracing::warn!(source.name = %source, %error, "the outcome of a fetch is not stored yet");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(POLL_INTERVAL);
                }
                Err(error @ LedgerError::Corrupt { .. }) => {
                    tracing::error!(source.name = %source, webinar = %task.webinar, %error, "a fetched answer cannot be merged");
                    let reason = error.to_string();
                    outcome = FetchOutcome::GivenUp { reason, receipt: None };
                }
            }
        }
        // The row is as before, so the fetch is made again.
        self.lister.client.hold_calls(POLL_INTERVAL, "the store fails");
        false
    }
}

/// A claimed fetch. Dropped unsettled, also by a panic or a stop, it ends the claim.
struct ClaimGuard<'a> {
    ledger: &'a dyn FetchLedger,
    task: &'a FetchTask,
    settled: bool,
}

impl Drop for ClaimGuard<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.ledger.release_fetch(self.task);
        }
    }
}
