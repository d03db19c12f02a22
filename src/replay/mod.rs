//! Replaying: what was received is mapped again with today's code and configuration.
//!
//! * [`mapping`]: what a stored receipt says today, decided without I/O.
//! * this file: reading what is concerned, and handing the ledger what is to be rebuilt.
//!
//! Promises: the sayings keep their original times, so a replay loses against what was said later; a replay that maps
//! as before changes nothing; nothing that was accepted is lost, so a receipt that was and cannot be mapped any more
//! stays as it is, and of its neighbours one that cannot be keeps what it said. Relies on the ledger to rebuild in one
//! step, or to say that something came meanwhile. A crash leaves the receipt as it was, or replayed.

mod mapping;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::{EventKey, ProviderId, ReceiptId, SourceName};
use crate::ledger::{
    Acceptance, Dossier, Ledger, LedgerError, Rebuild, Rebuilt, ReceiptRecord, ReceiptSummary,
    ReceiptsAsk, Retold, Rewritten, WebinarKey,
};
pub use mapping::Source;
use mapping::{Sayings, Told};

/// How often a replay is done over because something came for its webinars meanwhile. Each takes milliseconds, so only
/// a webinar that is told of without pause is given up.
const TRIES: usize = 5;

/// Replays receipts.
#[derive(Clone)]
pub struct Replayer {
    ledger: Arc<dyn Ledger>,
    sources: Arc<BTreeMap<SourceName, Source>>,
}

/// What came of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// What the receipt is now: accepted, ignored or quarantined.
    pub outcome: Acceptance,
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
    NotToday(String),
    /// Something came for its webinars again and again meanwhile; trying later is right.
    #[error("other webhooks came for the same webinars meanwhile; try again")]
    Busy,
    /// The ledger could not.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Which receipts to replay, all of them, a bounded piece at a time.
#[derive(Debug, Clone, Default)]
pub struct ReplayAsk {
    /// Of that source only.
    pub source: Option<SourceName>,
    /// With that outcome only.
    pub outcome: Option<Acceptance>,
    /// Where a piece before said to go on.
    pub after: Option<i64>,
}

/// A piece of replaying.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayPiece {
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
    pub fn new(ledger: Arc<dyn Ledger>, sources: BTreeMap<SourceName, Source>) -> Self {
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
        for _ in 0..TRIES {
            let receipt = self.ledger.receipt(id).await?.ok_or(ReplayError::Unknown)?;
            let told = self.tell(&receipt)?;
            if let Some((outcome, reason)) = self.rebuild(&receipt.summary, told).await? {
                let events = self.ledger.receipt(id).await?.map(|now| now.events);
                return Ok(Replayed { outcome, reason, events: events.unwrap_or_default() });
            }
        }
        Err(ReplayError::Busy)
    }

    /// Replays the next receipt, newest first, and says where to go on. One only: it takes the longer the more was said of
    /// its webinar, and whoever has many replayed is to say after each whether there is time for another.
    ///
    /// # Errors
    /// [`ReplayError::Ledger`] when the ledger cannot be used.
    pub async fn replay_all(&self, ask: ReplayAsk) -> Result<ReplayPiece, ReplayError> {
        let ReplayAsk { source, outcome, after } = ask;
        let ask = ReceiptsAsk { source, outcome, after, most: 1 };
        let page = self.ledger.page_receipts(ask).await?;
        let mut piece = ReplayPiece { next: page.next, ..ReplayPiece::default() };
        for receipt in page.items {
            match self.replay(receipt.id).await {
                Ok(replayed) => match replayed.outcome {
                    Acceptance::Accepted | Acceptance::Duplicate => piece.accepted += 1,
                    Acceptance::Ignored => piece.ignored += 1,
                    Acceptance::Quarantined => piece.quarantined += 1,
                },
                Err(error @ ReplayError::Ledger(_)) => return Err(error),
                Err(error) => {
                    tracing::debug!(receipt.id = %receipt.id, %error, "not replayed");
                    piece.failed += 1;
                }
            }
        }
        Ok(piece)
    }

    /// What the replayed receipt says today.
    fn tell(&self, receipt: &ReceiptRecord) -> Result<Told, ReplayError> {
        let ReceiptSummary { source, provider, .. } = &receipt.summary;
        let ours = self.sources.get(source).ok_or_else(|| ReplayError::NoSource(source.clone()))?;
        if ours.provider.id() != *provider {
            return Err(ReplayError::OtherProvider {
                source_name: source.clone(),
                was: provider.clone(),
                is: ours.provider.id(),
            });
        }
        Ok(ours.tell(receipt.body.as_deref().ok_or(ReplayError::NoBody)?))
    }

    /// Has the ledger rebuild what is concerned; none if that has to be done over.
    async fn rebuild(
        &self,
        receipt: &ReceiptSummary,
        told: Told,
    ) -> Result<Option<(Acceptance, Option<String>)>, ReplayError> {
        let was_accepted = receipt.outcome == Acceptance::Accepted;
        let (outcome, sayings) = match told {
            Told::Sayings(sayings) => (Acceptance::Accepted, sayings),
            Told::Nothing => (Acceptance::Ignored, Sayings::new()),
            Told::Unmappable(why) if was_accepted => return Err(ReplayError::NotToday(why)),
            Told::Unmappable(why) => return self.quarantine(receipt.id, why).await,
        };
        let webinars = self.rewritten(receipt, &sayings).await?;
        let rebuild = Rebuild { receipt: receipt.id, outcome, reason: None, webinars };
        match self.ledger.rebuild(rebuild).await? {
            Rebuilt::Done => Ok(Some((outcome, None))),
            Rebuilt::Stale => Ok(None),
            Rebuilt::Unknown => Err(ReplayError::Unknown),
            Rebuilt::Refused(why) if was_accepted => Err(ReplayError::NotToday(why)),
            Rebuilt::Refused(why) => self.quarantine(receipt.id, why).await,
        }
    }

    /// It is quarantined still, and today's reason is told.
    async fn quarantine(
        &self,
        receipt: ReceiptId,
        reason: String,
    ) -> Result<Option<(Acceptance, Option<String>)>, ReplayError> {
        let outcome = Acceptance::Quarantined;
        let told = Some(reason.clone());
        let rebuild = Rebuild { receipt, outcome, reason: told, webinars: Vec::new() };
        match self.ledger.rebuild(rebuild).await? {
            Rebuilt::Done => Ok(Some((outcome, Some(reason)))),
            Rebuilt::Stale => Ok(None),
            Rebuilt::Unknown => Err(ReplayError::Unknown),
            Rebuilt::Refused(why) => Err(ReplayError::NotToday(why)),
        }
    }

    /// The webinars that the receipt built, or builds now, as all their receipts tell them today.
    async fn rewritten(
        &self,
        receipt: &ReceiptSummary,
        sayings: &Sayings,
    ) -> Result<Vec<Rewritten>, ReplayError> {
        let mut dossiers = self.ledger.dossiers_of(receipt.id).await?;
        let known: BTreeSet<WebinarKey> = dossiers.iter().map(|d| d.key.clone()).collect();
        for key in sayings.keys().filter(|key| !known.contains(*key)) {
            dossiers.push(self.ledger.dossier(key).await?);
        }
        let mut webinars = Vec::with_capacity(dossiers.len());
        for dossier in dossiers {
            let mut said = self.retold(&dossier, receipt.id).await?;
            let changes = sayings.get(&dossier.key).cloned().unwrap_or_default();
            said.push(Retold { receipt: receipt.id, changes });
            let read = dossier.receipts.iter().map(|receipt| receipt.id).collect();
            webinars.push(Rewritten { key: dossier.key, read, said });
        }
        Ok(webinars)
    }

    /// What the receipts of a dossier, but for the replayed one, say of its webinar today.
    async fn retold(
        &self,
        dossier: &Dossier,
        replayed: ReceiptId,
    ) -> Result<Vec<Retold>, ReplayError> {
        let others: Vec<(ReceiptId, &Source)> = dossier
            .receipts
            .iter()
            .filter(|other| other.id != replayed)
            .filter_map(|other| {
                let source = self.sources.get(&other.source)?;
                (source.provider.id() == other.provider).then_some((other.id, source))
            })
            .collect();
        let ids: Vec<ReceiptId> = others.iter().map(|(id, _)| *id).collect();
        let mut said = Vec::with_capacity(others.len());
        let mut read = 0;
        while let Some(rest) = ids.get(read..).filter(|rest| !rest.is_empty()) {
            let bodies = self.ledger.bodies(rest).await?;
            if bodies.is_empty() {
                return Err(LedgerError::Corrupt("it reads no bodies".to_owned()).into());
            }
            let from = read;
            read += bodies.len();
            for ((id, source), body) in others.iter().skip(from).zip(bodies) {
                let Some(body) = body else { continue };
                // One that cannot be mapped any more, or speaks of other webinars now, keeps what it said here: nothing
                // accepted is lost by replaying another.
                if let Told::Sayings(mut sayings) = source.tell(&body)
                    && let Some(changes) = sayings.remove(&dossier.key)
                {
                    said.push(Retold { receipt: *id, changes });
                }
            }
        }
        Ok(said)
    }
}
