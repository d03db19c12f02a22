//! The state of one platform object, and the merging of changes into it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::change::{Change, OccurrenceChange, OccurrenceListing, RunChange, RunPhase, Shape};
use super::history::History;
use super::id::{OccurrenceId, ProviderId, ReceiptId, SourceName};
use super::register::{BodyHash, Origin, Register, Stamp, retain, write};
pub use super::registers::Registers;
use super::time::Millis;

/// Upper bound of occurrences per series, cancelled ones included. Zoom allows 60 at a time; a fabricated list must
/// fill neither the ledger nor the memory.
pub const OCCURRENCES_MAX: usize = 500;
/// Upper bound of runs per webinar; the oldest by the platform's clock are dropped. A daily webinar reaches it after
/// more than a year.
const RUNS_MAX: usize = 512;

/// The state of one webinar or series: registers, and facts that [`super::fold()`] resolves.
///
/// Merging the same changes gives the same state, in any order and with any repetition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Webinar {
    /// Platform; the first change sets it.
    pub provider: Option<ProviderId>,
    /// Sources that reported the webinar; the first by name gives the defaults.
    pub sources: BTreeSet<SourceName>,
    /// Shape of the platform object.
    pub shape: Option<Register<Shape>>,
    /// Earlier writes of the shape. A change of shape cancels the events of the old shape; the time of that
    /// cancellation decides whether it came before their end.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub earlier_shapes: History<Shape>,
    /// Whether the webinar was ever one event, so that HubSpot may hold that event.
    #[serde(default)]
    pub was_whole: bool,
    /// Whether any change showed the whole webinar.
    #[serde(default)]
    pub full_picture: bool,
    /// Fields of the webinar, or of the whole series.
    pub whole: Registers,
    /// Newest full list of occurrences: those that take place.
    pub full_list: Option<Register<BTreeSet<OccurrenceId>>>,
    /// Earlier full lists. An occurrence is cancelled as of the first list of an unbroken row of lists without it.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub earlier_lists: History<BTreeSet<OccurrenceId>>,
    /// Newest change of the recurrence that came without a list.
    pub times_unknown: Option<Register<()>>,
    /// Fields of single occurrences.
    #[serde(default)]
    pub occurrences: BTreeMap<OccurrenceId, Registers>,
    /// Runs whose webhooks name no occurrence.
    #[serde(default)]
    pub sessions: BTreeSet<WebinarRun>,
    /// Origin of every register above, by receipt.
    #[serde(default)]
    pub origins: BTreeMap<ReceiptId, Origin>,
}

/// A stored [`RunChange`], ordered by its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a stamp, a receipt and the fields of `RunChange`")]
pub struct WebinarRun {
    pub stamp: Stamp,
    pub phase: RunPhase,
    pub started_at: Option<Millis>,
    pub ended_at: Option<Millis>,
    pub receipt: ReceiptId,
}

/// Where a change comes from, and when it arrived.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// Receipt that holds the change.
    pub receipt: ReceiptId,
    /// Start of the SHA-256 of the raw body.
    pub hash: BodyHash,
    /// Source and times of the receipt.
    pub origin: Origin,
}

/// Reason why a change cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Another platform reported this webinar first; two platforms cannot share one HubSpot event.
    #[error("the webinar belongs to provider {0}")]
    OtherProvider(ProviderId),
    /// The series would have too many occurrences.
    #[error("more than {OCCURRENCES_MAX} occurrences")]
    TooManyOccurrences,
}

impl Webinar {
    /// Merges one change.
    ///
    /// # Errors
    /// The change does not belong to this webinar. The webinar is unchanged.
    pub fn merge(&mut self, change: &Change, provenance: &Provenance) -> Result<(), MergeError> {
        self.apply_change(change, provenance)?;
        self.prune_origins();
        Ok(())
    }

    /// Starts a rebuild without the writes of `receipts`. The writes of other receipts stay if `keep_others`; otherwise
    /// the rebuild starts empty.
    ///
    /// Merging the unchanged changes of `receipts` again restores the same state: they win and lose as before. So it
    /// does not matter which receipts are still readable.
    #[must_use]
    pub fn begin_rebuild(
        &self,
        receipts: &BTreeSet<ReceiptId>,
        keep_others: bool,
    ) -> WebinarRebuild {
        let mut webinar = if keep_others { self.clone() } else { Self::default() };
        webinar.retain_writes(|receipt| !receipts.contains(&receipt));
        WebinarRebuild { origins_after_prune: webinar.origins.len(), webinar }
    }

    /// Keeps only the writes of some receipts. `keep` sees the receipt of every write. `provider`, `sources`,
    /// `was_whole` and `full_picture` stay: the state does not record which receipt set them.
    fn retain_writes(&mut self, mut keep: impl FnMut(ReceiptId) -> bool) {
        let keep = &mut keep;
        self.earlier_shapes.retain(&mut self.shape, keep);
        self.whole.retain(keep);
        self.earlier_lists.retain(&mut self.full_list, keep);
        retain(&mut self.times_unknown, keep);
        self.occurrences.retain(|_, own| {
            let was_only_named = own.is_empty();
            own.retain(keep);
            was_only_named || !own.is_empty()
        });
        self.sessions.retain(|run| keep(run.receipt));
    }

    /// Removes the origins of receipts of which no write is left.
    fn prune_origins(&mut self) {
        let mut used = BTreeSet::new();
        self.retain_writes(|receipt| {
            used.insert(receipt);
            true
        });
        self.origins.retain(|receipt, _| used.contains(receipt));
    }

    fn apply_change(&mut self, change: &Change, provenance: &Provenance) -> Result<(), MergeError> {
        if let Some(provider) = &self.provider
            && *provider != provenance.origin.provider
        {
            return Err(MergeError::OtherProvider(provider.clone()));
        }
        let unknown = change
            .occurrences
            .iter()
            .filter(|occurrence| !self.occurrences.contains_key(&occurrence.id))
            .count();
        if self.occurrences.len() + unknown > OCCURRENCES_MAX {
            return Err(MergeError::TooManyOccurrences);
        }
        self.provider.get_or_insert_with(|| provenance.origin.provider.clone());
        self.sources.insert(provenance.origin.source.clone());
        // A platform's clock that runs ahead must not own a field for ever, hence the earlier of the two times.
        let reported = provenance.origin.reported_at.unwrap_or(provenance.origin.received_at);
        let stamp = Stamp {
            at: reported.min(provenance.origin.received_at),
            rank: change.kind.rank(),
            hash: provenance.hash,
        };
        self.write_change(change, stamp, provenance.receipt);
        self.origins.insert(provenance.receipt, provenance.origin.clone());
        Ok(())
    }

    fn write_change(&mut self, change: &Change, stamp: Stamp, receipt: ReceiptId) {
        if let Some(shape) = change.shape {
            let new = Register { value: shape, stamp, receipt };
            self.earlier_shapes.write(&mut self.shape, new);
            self.was_whole |= shape != Shape::Series;
        }
        self.full_picture |= change.full_picture;
        self.whole.write(&change.whole, stamp, receipt);
        for OccurrenceChange { id, fields } in &change.occurrences {
            self.occurrences.entry(id.clone()).or_default().write(fields, stamp, receipt);
        }
        match change.listing {
            OccurrenceListing::Partial => {}
            OccurrenceListing::Full => {
                let value =
                    change.occurrences.iter().map(|occurrence| occurrence.id.clone()).collect();
                let new = Register { value, stamp, receipt };
                self.earlier_lists.write(&mut self.full_list, new);
            }
            OccurrenceListing::Unknown => {
                write(&mut self.times_unknown, Register { value: (), stamp, receipt });
            }
        }
        if let Some(session) = change.session {
            self.record_run(session, stamp, receipt);
        }
    }

    fn record_run(&mut self, session: RunChange, stamp: Stamp, receipt: ReceiptId) {
        let RunChange { phase, started_at, ended_at } = session;
        let known = self.sessions.iter().find(|run| run.stamp == stamp).copied();
        if let Some(known) = known {
            if known.receipt <= receipt {
                return;
            }
            self.sessions.remove(&known);
        }
        self.sessions.insert(WebinarRun { stamp, phase, started_at, ended_at, receipt });
        if self.sessions.len() > RUNS_MAX {
            self.sessions.pop_first();
        }
    }
}

/// A rebuild of a webinar's state ([`Webinar::begin_rebuild`]). It takes no more memory than a webinar, however many
/// changes are merged.
#[derive(Debug)]
pub struct WebinarRebuild {
    webinar: Webinar,
    /// Number of origins after unused ones were last removed.
    origins_after_prune: usize,
}

/// Upper bound of unused origins during a rebuild: to prune them after each change would read all registers each time.
const UNUSED_ORIGINS_MAX: usize = 1_024;

impl WebinarRebuild {
    /// Merges one change.
    ///
    /// # Errors
    /// The change does not belong to the webinar; the rebuild is of no use any more.
    pub fn merge(&mut self, change: &Change, provenance: &Provenance) -> Result<(), MergeError> {
        self.webinar.apply_change(change, provenance)?;
        if self.webinar.origins.len() > self.origins_after_prune + UNUSED_ORIGINS_MAX {
            self.webinar.prune_origins();
            self.origins_after_prune = self.webinar.origins.len();
        }
        Ok(())
    }

    /// Returns the rebuilt webinar.
    #[must_use]
    pub fn finish(mut self) -> Webinar {
        self.webinar.prune_origins();
        self.webinar
    }
}

#[cfg(test)]
mod tests;
