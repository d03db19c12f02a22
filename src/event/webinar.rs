//! Everything known of one platform object, and how one more saying joins it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::change::{Change, OccurrenceListing, RunChange, RunPhase, Shape};
use super::history::History;
use super::id::{OccurrenceId, ProviderId, ReceiptId, SourceName};
use super::register::{BodyHash, Origin, Register, Stamp, forget, write};
pub use super::registers::Registers;
use super::time::Millis;

/// Most occurrences kept of one series, those that were called off included. Zoom allows 60 at a time; a fabricated list
/// must fill neither the ledger nor the memory.
pub const OCCURRENCES_MAX: usize = 500;
/// Most runs remembered of one webinar, the latest by the platform's clock: a daily webinar for more than a year.
const RUNS_MAX: usize = 512;

/// The state of one webinar or series: registers, and facts that are resolved when folding ([`super::fold()`]).
///
/// Merging any changes in any order, any number of times, ends in the same state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Webinar {
    /// Its platform; the first change decides.
    pub provider: Option<ProviderId>,
    /// The sources that spoke of it; the first by name gives the defaults.
    pub sources: BTreeSet<SourceName>,
    /// What it is.
    pub shape: Option<Register<Shape>>,
    /// Earlier sayings on its shape. Since when it is a series, or none, decides whether what that called off was still to
    /// come.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub earlier_shapes: History<Shape>,
    /// It was one event at some time (so its event may be in HubSpot).
    #[serde(default)]
    pub was_whole: bool,
    /// All of it was seen at some time.
    #[serde(default)]
    pub full_picture: bool,
    /// What was said of the webinar, or of the whole series.
    pub whole: Registers,
    /// The newest full list of occurrences: those that are to take place.
    pub full_list: Option<Register<BTreeSet<OccurrenceId>>>,
    /// Earlier full lists: an occurrence is called off since the first of those in a row that lack it.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub earlier_lists: History<BTreeSet<OccurrenceId>>,
    /// The newest change of the recurrence that came without a list.
    pub times_unknown: Option<Register<()>>,
    /// What was said of single occurrences.
    #[serde(default)]
    pub occurrences: BTreeMap<OccurrenceId, Registers>,
    /// Runs that named no occurrence.
    #[serde(default)]
    pub sessions: BTreeSet<WebinarRun>,
    /// The provenance of every register above.
    #[serde(default)]
    pub origins: BTreeMap<ReceiptId, Origin>,
}

/// A remembered [`Session`], ordered by its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a stamp, a receipt, and the fields of `Session`")]
pub struct WebinarRun {
    pub stamp: Stamp,
    pub phase: RunPhase,
    pub started_at: Option<Millis>,
    pub ended_at: Option<Millis>,
    pub receipt: ReceiptId,
}

/// Who said a change, and when it came.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The receipt it came with.
    pub receipt: ReceiptId,
    /// The start of the SHA-256 of the raw body.
    pub hash: BodyHash,
    /// Where it came from.
    pub origin: Origin,
}

/// Why a change cannot join a webinar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Another platform spoke of this webinar first; two platforms cannot share one HubSpot event.
    #[error("the webinar belongs to provider {0}")]
    OtherProvider(ProviderId),
    /// More occurrences than a series can have.
    #[error("more than {OCCURRENCES_MAX} occurrences")]
    TooManyOccurrences,
}

impl Webinar {
    /// Joins one change to what is known.
    ///
    /// # Errors
    /// The change is refused whole, and the webinar is as it was, if it cannot belong to it.
    pub fn merge(&mut self, change: &Change, said: &Provenance) -> Result<(), MergeError> {
        self.apply_change(change, said)?;
        self.prune_origins();
        Ok(())
    }

    /// Begins to tell it anew: forgets what these receipts said. What others said stays, if it is `based` on any; else
    /// nothing does.
    ///
    /// If they then say what they said before, everything is as it was: what they had won they win again, and what they
    /// had lost against stays. So it does not matter which receipts can still be asked.
    #[must_use]
    pub fn begin_rebuild(&self, receipts: &BTreeSet<ReceiptId>, based: bool) -> WebinarRebuild {
        let mut webinar = if based { self.clone() } else { Self::default() };
        webinar.forget(receipts);
        WebinarRebuild { origins_after_prune: webinar.origins.len(), webinar }
    }

    /// Forgets what these receipts said. That something was once seen (its platform, its sources, all of it) stays: who
    /// saw it is not known.
    fn forget(&mut self, receipts: &BTreeSet<ReceiptId>) {
        self.earlier_shapes.forget(&mut self.shape, receipts);
        self.whole.forget(receipts);
        self.earlier_lists.forget(&mut self.full_list, receipts);
        forget(&mut self.times_unknown, receipts);
        self.occurrences.retain(|_, own| {
            let was_only_named = own.is_empty();
            own.forget(receipts);
            was_only_named || !own.is_empty()
        });
        self.sessions.retain(|run| !receipts.contains(&run.receipt));
    }

    fn apply_change(&mut self, change: &Change, said: &Provenance) -> Result<(), MergeError> {
        if let Some(provider) = &self.provider
            && *provider != said.origin.provider
        {
            return Err(MergeError::OtherProvider(provider.clone()));
        }
        let unknown = change
            .occurrences
            .iter()
            .filter(|said| !self.occurrences.contains_key(&said.id))
            .count();
        if self.occurrences.len() + unknown > OCCURRENCES_MAX {
            return Err(MergeError::TooManyOccurrences);
        }
        self.provider.get_or_insert_with(|| said.origin.provider.clone());
        self.sources.insert(said.origin.source.clone());
        // A platform's clock that runs ahead must not own a field for ever, hence the earlier of the two times.
        let reported = said.origin.reported_at.unwrap_or(said.origin.received_at);
        let stamp = Stamp {
            at: reported.min(said.origin.received_at),
            rank: change.kind.rank(),
            hash: said.hash,
        };
        self.write_change(change, stamp, said.receipt);
        self.origins.insert(said.receipt, said.origin.clone());
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
        for said in &change.occurrences {
            self.occurrences.entry(said.id.clone()).or_default().write(
                &said.fields,
                stamp,
                receipt,
            );
        }
        match change.listing {
            OccurrenceListing::Partial => {}
            OccurrenceListing::Full => {
                let value = change.occurrences.iter().map(|said| said.id.clone()).collect();
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

    fn prune_origins(&mut self) {
        let mut used = BTreeSet::new();
        self.whole.collect_receipts(&mut used);
        for registers in self.occurrences.values() {
            registers.collect_receipts(&mut used);
        }
        used.extend(self.shape.as_ref().map(|r| r.receipt));
        used.extend(self.full_list.as_ref().map(|r| r.receipt));
        used.extend(self.times_unknown.as_ref().map(|r| r.receipt));
        used.extend(self.earlier_shapes.iter().map(|r| r.receipt));
        used.extend(self.earlier_lists.iter().map(|r| r.receipt));
        used.extend(self.sessions.iter().map(|run| run.receipt));
        self.origins.retain(|receipt, _| used.contains(receipt));
    }
}

/// A webinar that is being told anew ([`Webinar::retelling`]). It takes no more memory than a webinar, however many tell
/// of it.
#[derive(Debug)]
pub struct WebinarRebuild {
    webinar: Webinar,
    /// Origins when the unused ones were last forgotten.
    origins_after_prune: usize,
}

/// Unused origins that a retelling keeps at most: going through all registers for each saying would take longer.
const UNUSED_ORIGINS_MAX: usize = 1_024;

impl WebinarRebuild {
    /// Joins what is said now.
    ///
    /// # Errors
    /// It cannot belong to the webinar; what was told so far is of no use.
    pub fn merge(&mut self, change: &Change, said: &Provenance) -> Result<(), MergeError> {
        self.webinar.apply_change(change, said)?;
        if self.webinar.origins.len() > self.origins_after_prune + UNUSED_ORIGINS_MAX {
            self.webinar.prune_origins();
            self.origins_after_prune = self.webinar.origins.len();
        }
        Ok(())
    }

    /// The webinar as it was told.
    #[must_use]
    pub fn finish(mut self) -> Webinar {
        self.webinar.prune_origins();
        self.webinar
    }
}

#[cfg(test)]
mod tests;
