//! Replay: stored receipts are mapped again with today's code and configuration.
//!
//! * [`mapping`]: the changes that a stored receipt yields today, decided without I/O.
//! * [`rebuild`]: the webinars of a receipt, built again from all their receipts.
//! * this file: selects the receipts, and requests their changes from the ledger.
//!
//! Promises: changes keep their original times, so a replay loses against later changes; a replay that maps as before
//! changes nothing; nothing accepted is lost: an accepted receipt that no longer maps stays as it is, and a neighbour
//! that no longer maps keeps its changes. Receipts are read a page at a time, however many a webinar has, and the
//! ledger's writer is held no longer than by a webhook. Relies on the ledger to rebuild in one step, or to report that
//! something changed meanwhile. A crash leaves the receipt as it was, or replayed.

mod mapping;
mod rebuild;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::event::{EventKey, ProviderId, ReceiptId, SourceName};
use crate::intake::Source;
use crate::ledger::{
    LedgerError, RebuildRequest, RebuildResult, RebuiltWebinar, ReceiptOutcome, ReceiptQuery,
    ReceiptRecord, ReceiptSummary, ReplayLedger,
};
use mapping::{ChangesByWebinar, Mapped};

/// Limit of attempts when other receipts of the same webinars arrive meanwhile. An attempt takes milliseconds (hundreds
/// of them for thousands of receipts), so only a webinar with webhooks without pause is given up.
const MAX_ATTEMPTS: usize = 5;

/// Replays receipts.
#[derive(Clone)]
pub struct Replayer {
    ledger: Arc<dyn ReplayLedger>,
    sources: Arc<BTreeMap<SourceName, Arc<Source>>>,
}

/// The result of a replay. Serializes as the operators' API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The receipt's new outcome: accepted, ignored or quarantined.
    pub outcome: ReceiptOutcome,
    /// The reason, if the receipt is quarantined.
    pub reason: Option<String>,
    /// Keys of the events that the receipt contributes to; at most [`crate::ledger::PAGE_MAX`].
    pub events: Vec<EventKey>,
}

/// Why a receipt was not replayed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such receipt.
    #[error("there is no such receipt; it may have expired")]
    Unknown,
    /// The receipt has no body.
    #[error(
        "the receipt has no body: none is stored of unknown events and foreign accounts, and bodies can be erased"
    )]
    NoBody,
    /// The receipt's source is not configured.
    #[error("the source {0} of the receipt is no longer configured")]
    NoSource(SourceName),
    /// The source belongs to another platform now.
    #[error("the source {source_name} of the receipt had the provider {was} and has {is} now")]
    OtherProvider {
        /// The source.
        source_name: SourceName,
        /// The platform when the receipt arrived.
        was: ProviderId,
        /// The platform now.
        is: ProviderId,
    },
    /// The accepted receipt would not be accepted today. Its changes stay.
    #[error("the accepted receipt would not be accepted today and stays as it is: {0}")]
    NoLongerAccepted(String),
    /// Other receipts of the same webinars arrived during each attempt. Retry later.
    #[error("other webhooks for the same webinars arrived meanwhile; try again")]
    Busy,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A request to replay many receipts, a piece at a time.
#[derive(Debug, Clone, Default)]
pub struct ReplayRequest {
    /// Only receipts of this source.
    pub source: Option<SourceName>,
    /// Only receipts with this outcome.
    pub outcome: Option<ReceiptOutcome>,
    /// Where the previous piece ended ([`ReplayProgress::next`]).
    pub after: Option<i64>,
}

/// The result of one piece. Serializes as the operators' API shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReplayProgress {
    /// Number of receipts that are accepted now.
    pub accepted: u64,
    /// Number of receipts that are ignored now.
    pub ignored: u64,
    /// Number of receipts that are still quarantined.
    pub quarantined: u64,
    /// Number of receipts that could not be replayed and are unchanged.
    pub failed: u64,
    /// Where the next piece begins; none when all receipts are done. Operators get a cursor instead.
    #[serde(skip)]
    pub next: Option<i64>,
}

impl Replayer {
    /// A replayer for a ledger, with the configured sources.
    #[must_use]
    pub fn new(ledger: Arc<dyn ReplayLedger>, sources: BTreeMap<SourceName, Arc<Source>>) -> Self {
        Self { ledger, sources: Arc::new(sources) }
    }

    /// Maps a receipt again and rebuilds its webinars, those of before and those of today. Durable when it returns.
    ///
    /// # Errors
    /// [`ReplayError`] when the receipt was not replayed. Nothing was changed.
    ///
    /// # Cancel safety
    /// A cancelled call may still be carried out.
    pub async fn replay(&self, id: ReceiptId) -> Result<Replayed, ReplayError> {
        for _ in 0..MAX_ATTEMPTS {
            let receipt = self.ledger.receipt(id).await?.ok_or(ReplayError::Unknown)?;
            match self.attempt(&receipt.record).await {
                Err(ReplayError::Busy) => {}
                done => return done,
            }
        }
        Err(ReplayError::Busy)
    }

    /// Replays a receipt, unless something changes meanwhile: then it is [`ReplayError::Busy`].
    async fn attempt(&self, receipt: &ReceiptRecord) -> Result<Replayed, ReplayError> {
        let summary = &receipt.summary;
        let Mapped { content, fetch_requests } = self.map_receipt(receipt)?;
        let replayed = match content {
            Ok((outcome, changes)) => self.apply(receipt, outcome, &changes).await,
            Err(reason) => Err(ReplayError::NoLongerAccepted(reason)),
        };
        let (outcome, reason) = match replayed {
            Ok(outcome) => (outcome, None),
            // It was not accepted before: it is quarantined again, with today's reason.
            Err(ReplayError::NoLongerAccepted(reason))
                if summary.outcome != ReceiptOutcome::Accepted =>
            {
                let outcome = ReceiptOutcome::Quarantined;
                self.store(summary.id, outcome, Some(reason.clone()), Vec::new()).await?;
                (outcome, Some(reason))
            }
            Err(error) => return Err(error),
        };
        // A repeated request changes nothing, so it need not be in one transaction with the rebuild.
        self.ledger.request_fetches(&summary.source, fetch_requests).await?;
        let events = self.ledger.receipt(summary.id).await?.map(|now| now.events);
        Ok(Replayed { outcome, reason, events: events.unwrap_or_default() })
    }

    /// Replays receipts, newest first, until a deadline, and returns where to continue. Each call makes progress: a
    /// receipt that alone takes longer than the whole time counts as failed, though its replay may still be carried
    /// out.
    ///
    /// # Errors
    /// [`ReplayError::Ledger`] when the ledger failed for the first receipt. If it fails for a later one, the piece
    /// ends before that.
    pub async fn replay_all(
        &self,
        request: ReplayRequest,
        until: Instant,
    ) -> Result<ReplayProgress, ReplayError> {
        let ReplayRequest { source, outcome, after } = request;
        let mut progress = ReplayProgress { next: after, ..ReplayProgress::default() };
        loop {
            // One receipt at a time, so that the piece can end after each.
            let query =
                ReceiptQuery { source: source.clone(), outcome, after: progress.next, limit: 1 };
            let is_first = progress.next == after;
            match self.replay_next(query, &mut progress, until, is_first).await {
                Ok(()) => {}
                Err(error) if is_first => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "not all receipts could be replayed");
                    return Ok(progress);
                }
            }
            if progress.next.is_none() || Instant::now() >= until {
                return Ok(progress);
            }
        }
    }

    /// Replays the next receipt of a list, if there is one.
    async fn replay_next(
        &self,
        query: ReceiptQuery,
        progress: &mut ReplayProgress,
        until: Instant,
        is_first: bool,
    ) -> Result<(), ReplayError> {
        let late = |_| LedgerError::unavailable("the ledger did not answer in time");
        let page = timeout_at(until, self.ledger.list_receipts(query)).await.map_err(late)??;
        for receipt in page.items {
            match timeout_at(until, self.replay(receipt.id)).await {
                Ok(Ok(replayed)) => match replayed.outcome {
                    ReceiptOutcome::Accepted | ReceiptOutcome::Duplicate => progress.accepted += 1,
                    ReceiptOutcome::Ignored => progress.ignored += 1,
                    ReceiptOutcome::Quarantined => progress.quarantined += 1,
                },
                Ok(Err(error @ ReplayError::Ledger(LedgerError::Unavailable { .. }))) => {
                    return Err(error);
                }
                // What is ignored whatever the settings are keeps no body; there is nothing to replay.
                Ok(Err(ReplayError::NoBody)) if receipt.outcome == ReceiptOutcome::Ignored => {}
                Ok(Err(error)) => {
                    tracing::debug!(receipt.id = %receipt.id, %error, "not replayed");
                    progress.failed += 1;
                }
                // The receipt had all the time there is; another call would give it no more.
                Err(_) if is_first => {
                    tracing::warn!(receipt.id = %receipt.id, "not replayed in time");
                    progress.failed += 1;
                }
                Err(elapsed) => return Err(late(elapsed).into()),
            }
        }
        progress.next = page.next;
        Ok(())
    }

    /// Maps the replayed receipt.
    fn map_receipt(&self, receipt: &ReceiptRecord) -> Result<Mapped, ReplayError> {
        let ReceiptSummary { source, provider, .. } = &receipt.summary;
        let configured =
            self.sources.get(source).ok_or_else(|| ReplayError::NoSource(source.clone()))?;
        if configured.provider.id() != *provider {
            return Err(ReplayError::OtherProvider {
                source_name: source.clone(),
                was: provider.clone(),
                is: configured.provider.id(),
            });
        }
        let body = receipt.body.as_deref().ok_or(ReplayError::NoBody)?;
        Ok(Mapped::from_stored(configured, receipt, body))
    }

    /// Rebuilds the webinars of the receipt with its changes of today.
    async fn apply(
        &self,
        receipt: &ReceiptRecord,
        outcome: ReceiptOutcome,
        changes: &ChangesByWebinar,
    ) -> Result<ReceiptOutcome, ReplayError> {
        let webinars = self.rebuild_webinars(receipt, changes).await?;
        self.store(receipt.summary.id, outcome, None, webinars).await?;
        Ok(outcome)
    }

    /// Stores the new outcome and the rebuilt webinars.
    async fn store(
        &self,
        receipt: ReceiptId,
        outcome: ReceiptOutcome,
        reason: Option<String>,
        webinars: Vec<RebuiltWebinar>,
    ) -> Result<(), ReplayError> {
        let request = RebuildRequest { receipt, outcome, reason, webinars };
        match self.ledger.rebuild(request).await? {
            RebuildResult::Done => Ok(()),
            RebuildResult::Stale => Err(ReplayError::Busy),
            RebuildResult::Unknown => Err(ReplayError::Unknown),
            RebuildResult::Refused(reason) => Err(ReplayError::NoLongerAccepted(reason)),
        }
    }
}
