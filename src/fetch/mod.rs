//! Asking the platforms' APIs for what their webhooks leave out.
//!
//! A webhook is committed and answered first; what it leaves out is a row of the ledger's, which an [`Asker`] for each
//! source works off. What it learns becomes a receipt like any other, merged as one more change, so that it can be mapped
//! again.
//!
//! * this file: the worker; [`question`]: one webinar's questions and what became of them;
//! * [`listing`]: which webinars there are; [`client`]: one call, with credentials; [`token`]: tokens that end;
//! * [`pace`]: when a call may be made; [`verdict`]: what an answer means, decided without I/O.
//!
//! Promises: what is wanted is asked until it is answered or the platform says for good that there is no such webinar;
//! URLs are the platform code's own, and credentials follow no redirect; no more calls than the platform lets through.
//! Relies on the ledger's queue. On a crash what was under way is asked again: asking changes nothing, and merging the
//! same answer twice neither.

mod lister;
mod metered_http;
mod platform_client;
mod platform_tokens;
mod verdict;
mod webinar_fetch;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::event::SourceName;
use crate::intake::Source;
use crate::ledger::{FetchLedger, FetchOutcome, FetchTask, LedgerError};
use crate::net::Http;
use crate::providers::Provider;
use crate::telemetry::Metrics;
pub use lister::{ListError, WebinarLister};
use platform_client::PlatformClient;
use webinar_fetch::WebinarFetch;

/// Webinars of one source that are asked about at the same time. More would only wait for the pace.
const MAX_CONCURRENT: usize = 4;
/// The longest time between two looks at the queue.
const POLL_INTERVAL: Duration = Duration::from_secs(15);
/// The shortest, when something is due at once again.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How often what became of a question is recorded anew while the store fails: some four minutes.
const SETTLE_TRIES: u32 = 20;

/// What an asker works for and with.
pub struct Settings {
    /// The source.
    pub source: Arc<Source>,
    /// Where what is wanted is kept, and what is learnt goes.
    pub ledger: Arc<dyn FetchLedger>,
    /// The way out.
    pub http: Arc<dyn Http>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it is counted.
    pub metrics: Metrics,
    /// Any number, for waits that are not all alike.
    pub random: fn() -> u32,
}

/// Asks one source's platform for what is wanted.
pub struct FetchWorker {
    settings: Settings,
    client: Arc<PlatformClient>,
}

impl FetchWorker {
    /// An asker; none if the source's platform cannot be asked.
    #[must_use]
    pub fn new(settings: Settings) -> Option<Arc<Self>> {
        let access = settings.source.provider.api()?.access().clone();
        let Settings { source, http, metrics, random, .. } = &settings;
        let client = PlatformClient::new(
            source.name.clone(),
            access,
            Arc::clone(http),
            metrics.clone(),
            *random,
        );
        Some(Arc::new(Self { settings, client: Arc::new(client) }))
    }

    /// A lister that keeps to the same pace: to the platform the calls of both are one caller's.
    #[must_use]
    pub fn lister(&self) -> WebinarLister {
        let Settings { source, random, .. } = &self.settings;
        WebinarLister::with_client(Arc::clone(&source.provider), Arc::clone(&self.client), *random)
    }

    /// Asks for what is wanted, and will be, until told to stop. What is under way then is given up: it is asked again.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let wake_up = self.settings.ledger.fetch_wake_up(self.source());
        let mut under_way: JoinSet<()> = JoinSet::new();
        loop {
            // Armed before looking, so that nothing that comes between is missed.
            let woken = wake_up.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let wait = self.start_due(&mut under_way).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(ended) = under_way.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "asking a platform broke off");
                    // Its row is due as before: without a wait it would break off again and again.
                    self.client.hold_calls(POLL_INTERVAL, "asking broke off");
                },
                () = woken => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The code of the platform that it asks.
    #[must_use]
    pub fn provider(&self) -> &Arc<dyn Provider> {
        &self.settings.source.provider
    }

    /// Whose platform it asks.
    #[must_use]
    pub fn source(&self) -> &SourceName {
        &self.settings.source.name
    }

    /// Asks until nothing is due now; for a tool that has the store to itself. Calls `asked` after each webinar, and says how
    /// many they were.
    ///
    /// # Errors
    /// [`LedgerError`] when what is due cannot be read.
    pub async fn drain(self: Arc<Self>, mut asked: impl FnMut()) -> Result<u64, LedgerError> {
        let mut count = 0;
        loop {
            let due = self.settings.ledger.claim_fetches(self.source(), MAX_CONCURRENT).await?;
            if due.tasks.is_empty() {
                return Ok(count);
            }
            let asking = due.tasks.into_iter().map(|task| Arc::clone(&self).fetch(task));
            let mut asking: FuturesUnordered<_> = asking.collect();
            while asking.next().await.is_some() {
                count += 1;
                asked();
            }
        }
    }

    /// Begins what is due and not claimed, and says for how long there is nothing more to begin.
    async fn start_due(self: &Arc<Self>, under_way: &mut JoinSet<()>) -> Duration {
        let free = MAX_CONCURRENT.saturating_sub(under_way.len());
        let held = self.client.hold_time();
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
                tracing::warn!(source.name = %self.source(), %error, "what is to be asked for cannot be read");
                POLL_INTERVAL
            }
        }
    }

    /// Asks about one webinar and records what became of it.
    async fn fetch(self: Arc<Self>, task: FetchTask) {
        let source = self.source();
        let mut claim = ClaimGuard { ledger: &*self.settings.ledger, task: &task, settled: false };
        let outcome = WebinarFetch::new(&self.settings, &self.client, &task).run().await;
        match &outcome {
            FetchOutcome::Answered(_) => {}
            FetchOutcome::Retry { reason: why, .. } => {
                tracing::info!(source.name = %source, webinar = %task.webinar, why, "the platform is asked again later");
            }
            FetchOutcome::GivenUp { reason: why, .. } => {
                tracing::warn!(source.name = %source, webinar = %task.webinar, why, "the platform is not asked again");
            }
        }
        claim.settled = self.settle(&task, outcome).await;
    }

    /// Records what became of a task, and again while the store fails: asking the platform instead would cost calls. Answers
    /// whether it is recorded.
    async fn settle(&self, task: &FetchTask, mut outcome: FetchOutcome) -> bool {
        let (source, ledger) = (self.source(), &self.settings.ledger);
        let mut wait = MIN_POLL_INTERVAL;
        for _ in 0..SETTLE_TRIES {
            match ledger.settle_fetch(task, outcome.clone()).await {
                Ok(_) => return true,
                Err(error @ LedgerError::Unavailable { .. }) => {
                    tracing::warn!(source.name = %source, %error, "what a platform said is not kept yet");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(POLL_INTERVAL);
                }
                Err(error @ LedgerError::Corrupt { .. }) => {
                    tracing::error!(source.name = %source, webinar = %task.webinar, %error, "what a platform said cannot be merged");
                    let reason = error.to_string();
                    outcome = FetchOutcome::GivenUp { reason, receipt: None };
                }
            }
        }
        // The row is as it was: it is asked about again.
        self.client.hold_calls(POLL_INTERVAL, "the store fails");
        false
    }
}

/// A claimed task. Dropped unsettled, also by a panic or a stop, it ends the claim.
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
