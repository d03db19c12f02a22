//! Replaying: what was received is mapped again with today's code and configuration.
//!
//! * [`mapping`]: what a stored receipt says today, decided without I/O.
//! * [`retold`]: the webinars concerned, told anew.
//! * this file: which receipts, and handing the ledger what follows.
//!
//! Promises: the sayings keep their original times, so a replay loses against what was said later; a replay that maps
//! as before changes nothing; nothing that was accepted is lost, so a receipt that was and cannot be mapped any more
//! stays as it is, and of its neighbours one that cannot be keeps what it said. However many receipts a webinar has, they
//! are read a page at a time, and the ledger's writer is held no longer than by a webhook. Relies on the ledger to rebuild
//! in one step, or to say that something came meanwhile. A crash leaves the receipt as it was, or replayed.

mod mapping;
mod rebuild;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::event::{EventKey, ProviderId, ReceiptId, SourceName};
use crate::intake::{Source, StoredReceipt};
use crate::ledger::{
    Ledger, LedgerError, RebuildRequest, RebuildResult, ReceiptOutcome, ReceiptQuery,
    ReceiptRecord, ReceiptSummary,
};
use mapping::{ChangesByWebinar, Mapped};
use rebuild::RebuildAttempt;

/// How often a replay is done over because something came for its webinars meanwhile. Each takes milliseconds (some
/// hundreds for thousands of receipts), so only a webinar that is told of without pause is given up.
const MAX_ATTEMPTS: usize = 5;

/// Replays receipts.
#[derive(Clone)]
pub struct Replayer {
    ledger: Arc<dyn Ledger>,
    sources: Arc<BTreeMap<SourceName, Arc<Source>>>,
}

/// What came of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// What the receipt is now: accepted, ignored or quarantined.
    pub outcome: ReceiptOutcome,
    /// Why it is quarantined, if it is.
    pub reason: Option<String>,
    /// The events of the webinars that it builds, by key; at most [`crate::ledger::PAGE_MAX`].
    pub events: Vec<EventKey>,
}

/// Why a receipt was not replayed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such receipt.
    #[error("there is no such receipt; it may have been kept long enough")]
    Unknown,
    /// There is nothing to map.
    #[error("its body is not kept: what is ignored when it comes is not, and a body may be erased")]
    NoBody,
    /// Nothing says how to map it.
    #[error("its source {0} is not in the configuration any more")]
    NoSource(SourceName),
    /// The source has been given to another platform since.
    #[error("its source {source_name} was of {was} and is of {is} now")]
    OtherProvider {
        /// Which source.
        source_name: SourceName,
        /// Of that platform when it came.
        was: ProviderId,
        /// And now.
        is: ProviderId,
    },
    /// It was accepted before and would not be now; what it said stays.
    #[error("it was accepted and would not be today, so it stays as it is: {0}")]
    NoLongerAccepted(String),
    /// Something came for its webinars again and again meanwhile; trying later is right.
    #[error("other webhooks came for the same webinars meanwhile; try again")]
    Busy,
    /// The ledger could not.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Which receipts to replay, all of them, a bounded piece at a time.
#[derive(Debug, Clone, Default)]
pub struct ReplayRequest {
    /// Of that source only.
    pub source: Option<SourceName>,
    /// With that outcome only.
    pub outcome: Option<ReceiptOutcome>,
    /// Where a piece before said to go on.
    pub after: Option<i64>,
}

/// A piece of replaying.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Receipts that are accepted now.
    pub accepted: u64,
    /// Receipts that are ignored now.
    pub ignored: u64,
    /// Receipts that are quarantined still.
    pub quarantined: u64,
    /// Receipts that could not be replayed and are what they were.
    pub failed: u64,
    /// Where to go on; none when all are done.
    pub next: Option<i64>,
}

impl Replayer {
    /// Replays into that ledger with the sources of the present configuration.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, sources: BTreeMap<SourceName, Arc<Source>>) -> Self {
        Self { ledger, sources: Arc::new(sources) }
    }

    /// Maps a receipt again and rebuilds the webinars that it built or builds now; durable when it returns.
    ///
    /// # Errors
    /// [`ReplayError`] says why it was not replayed; nothing was changed.
    ///
    /// # Cancel safety
    /// A cancelled call may still be carried out.
    pub async fn replay(&self, id: ReceiptId) -> Result<Replayed, ReplayError> {
        for _ in 0..MAX_ATTEMPTS {
            let receipt = self.ledger.receipt(id).await?.ok_or(ReplayError::Unknown)?;
            let told = self.map_receipt(&receipt)?;
            let wanted = told.fetch_requests();
            if let Some((outcome, reason)) = self.apply(&receipt.summary, told).await? {
                // Asking changes nothing that asking again would not, so it need not be one step with the rest.
                self.ledger.request_fetches(&receipt.summary.source, wanted).await?;
                let events = self.ledger.receipt(id).await?.map(|now| now.events);
                return Ok(Replayed { outcome, reason, events: events.unwrap_or_default() });
            }
        }
        Err(ReplayError::Busy)
    }

    /// Replays receipts, newest first, as many as there is time for, and says where to go on. It always gets on: one that
    /// by itself takes longer than there is time for in all counts as failed, though it may still be carried out.
    ///
    /// # Errors
    /// [`ReplayError::Ledger`] when the ledger could not be used for the first. For a later one the piece ends before it.
    pub async fn replay_all(
        &self,
        ask: ReplayRequest,
        until: Instant,
    ) -> Result<ReplayProgress, ReplayError> {
        let ReplayRequest { source, outcome, after } = ask;
        let mut piece = ReplayProgress { next: after, ..ReplayProgress::default() };
        loop {
            // One at a time, so that the piece can end after each.
            let one = ReceiptQuery { source: source.clone(), outcome, after: piece.next, limit: 1 };
            let first = piece.next == after;
            match self.replay_next(one, &mut piece, until, first).await {
                Ok(()) => {}
                Err(error) if first => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "not all receipts could be replayed");
                    return Ok(piece);
                }
            }
            if piece.next.is_none() || Instant::now() >= until {
                return Ok(piece);
            }
        }
    }

    /// Replays the next of a list, if there is any.
    async fn replay_next(
        &self,
        ask: ReceiptQuery,
        piece: &mut ReplayProgress,
        until: Instant,
        first: bool,
    ) -> Result<(), ReplayError> {
        let late = |_| LedgerError::unavailable("it did not answer in time");
        let page = timeout_at(until, self.ledger.list_receipts(ask)).await.map_err(late)??;
        for receipt in page.items {
            match timeout_at(until, self.replay(receipt.id)).await {
                Ok(Ok(replayed)) => match replayed.outcome {
                    ReceiptOutcome::Accepted | ReceiptOutcome::Duplicate => piece.accepted += 1,
                    ReceiptOutcome::Ignored => piece.ignored += 1,
                    ReceiptOutcome::Quarantined => piece.quarantined += 1,
                },
                Ok(Err(error @ ReplayError::Ledger(LedgerError::Unavailable { .. }))) => {
                    return Err(error);
                }
                Ok(Err(error)) => {
                    tracing::debug!(receipt.id = %receipt.id, %error, "not replayed");
                    piece.failed += 1;
                }
                // It had all the time there is, and would have no more if it were asked for again.
                Err(_) if first => {
                    tracing::warn!(receipt.id = %receipt.id, "not replayed in time");
                    piece.failed += 1;
                }
                Err(elapsed) => return Err(late(elapsed).into()),
            }
        }
        piece.next = page.next;
        Ok(())
    }

    /// What the replayed receipt says today.
    fn map_receipt(&self, receipt: &ReceiptRecord) -> Result<Mapped, ReplayError> {
        let ReceiptSummary { source, provider, .. } = &receipt.summary;
        let ours = self.sources.get(source).ok_or_else(|| ReplayError::NoSource(source.clone()))?;
        if ours.provider.id() != *provider {
            return Err(ReplayError::OtherProvider {
                source_name: source.clone(),
                was: provider.clone(),
                is: ours.provider.id(),
            });
        }
        let body = receipt.body.as_deref().ok_or(ReplayError::NoBody)?;
        let (receipt, headers) = (&receipt.summary, &receipt.headers);
        Ok(Mapped::from_stored(ours, &StoredReceipt { receipt, headers, body }))
    }

    /// Has the ledger rebuild what is concerned; none if that has to be done over.
    async fn apply(
        &self,
        receipt: &ReceiptSummary,
        told: Mapped,
    ) -> Result<Option<(ReceiptOutcome, Option<String>)>, ReplayError> {
        let was_accepted = receipt.outcome == ReceiptOutcome::Accepted;
        let (outcome, sayings) = match told {
            Mapped::Changes(sayings, _) => (ReceiptOutcome::Accepted, sayings),
            Mapped::Ignored => (ReceiptOutcome::Ignored, ChangesByWebinar::new()),
            Mapped::Unmappable(why) if was_accepted => {
                return Err(ReplayError::NoLongerAccepted(why));
            }
            Mapped::Unmappable(why) => return self.quarantine(receipt.id, why).await,
        };
        let refused = match self.rebuild_webinars(receipt, &sayings).await? {
            RebuildAttempt::Done(webinars) => {
                let rebuild =
                    RebuildRequest { receipt: receipt.id, outcome, reason: None, webinars };
                match self.ledger.rebuild(rebuild).await? {
                    RebuildResult::Done => return Ok(Some((outcome, None))),
                    RebuildResult::Stale => return Ok(None),
                    RebuildResult::Unknown => return Err(ReplayError::Unknown),
                    RebuildResult::Refused(why) => why,
                }
            }
            RebuildAttempt::Stale => return Ok(None),
            RebuildAttempt::Refused(why) => why.to_string(),
        };
        if was_accepted {
            return Err(ReplayError::NoLongerAccepted(refused));
        }
        self.quarantine(receipt.id, refused).await
    }

    /// It is quarantined still, and today's reason is told.
    async fn quarantine(
        &self,
        receipt: ReceiptId,
        reason: String,
    ) -> Result<Option<(ReceiptOutcome, Option<String>)>, ReplayError> {
        let outcome = ReceiptOutcome::Quarantined;
        let told = Some(reason.clone());
        let rebuild = RebuildRequest { receipt, outcome, reason: told, webinars: Vec::new() };
        match self.ledger.rebuild(rebuild).await? {
            RebuildResult::Done => Ok(Some((outcome, Some(reason)))),
            RebuildResult::Stale => Ok(None),
            RebuildResult::Unknown => Err(ReplayError::Unknown),
            RebuildResult::Refused(why) => Err(ReplayError::NoLongerAccepted(why)),
        }
    }
}
