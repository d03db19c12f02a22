//! Everything known of one platform object, and how one more saying joins it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::change::{Change, End, Fields, Listing, Phase, Session, Shape};
use super::id::{OccurrenceId, ProviderId, ReceiptId, SourceName};
use super::register::{BodyHash, Origin, Register, Stamp, write};
use super::time::Millis;

/// Most occurrences kept of one series, those that were called off included. Zoom allows 60 at a time; a fabricated list
/// must fill neither the ledger nor the memory.
pub const OCCURRENCES_MAX: usize = 500;
/// Most runs remembered of one webinar, the latest by the platform's clock: a daily webinar for more than a year.
const SESSIONS_MAX: usize = 512;

/// Earlier sayings kept beside the last one, the latest by the platform's clock.
const EARLIER_MAX: usize = 16;

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
    /// Earlier sayings on its shape: whether it was a series. Since when it is one, or none, decides whether what that
    /// called off was still to come.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub earlier_shapes: BTreeSet<(Stamp, bool)>,
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
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub earlier_lists: BTreeSet<(Stamp, BTreeSet<OccurrenceId>)>,
    /// The newest change of the recurrence that came without a list.
    pub times_unknown: Option<Register<()>>,
    /// What was said of single occurrences.
    #[serde(default)]
    pub occurrences: BTreeMap<OccurrenceId, Registers>,
    /// Runs that named no occurrence.
    #[serde(default)]
    pub sessions: BTreeSet<Run>,
    /// The provenance of every register above.
    #[serde(default)]
    pub origins: BTreeMap<ReceiptId, Origin>,
}

/// The registers of a webinar, a series or an occurrence. The fields are those of [`Fields`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each is the field of the same name in `Fields`")]
pub struct Registers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organizer: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_url: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_url: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Register<Millis>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Register<End>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_end: Option<Register<Millis>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Register<bool>>,
    /// Earlier sayings on the same: a calling off that is said again is as old as the first of those in a row.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub earlier_cancelled: BTreeSet<(Stamp, bool)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Register<bool>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, Register<String>>,
}

/// A remembered [`Session`], ordered by its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a stamp, a receipt, and the fields of `Session`")]
pub struct Run {
    pub stamp: Stamp,
    pub phase: Phase,
    pub started_at: Option<Millis>,
    pub ended_at: Option<Millis>,
    pub receipt: ReceiptId,
}

/// Who said a change, and when it came.
#[derive(Debug, Clone)]
pub struct Said {
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
    pub fn merge(&mut self, change: &Change, said: &Said) -> Result<(), MergeError> {
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
        self.apply(change, stamp, said.receipt);
        self.origins.insert(said.receipt, said.origin.clone());
        self.forget_unused_origins();
        Ok(())
    }

    fn apply(&mut self, change: &Change, stamp: Stamp, receipt: ReceiptId) {
        if let Some(shape) = change.shape {
            let new = Register { value: shape, stamp, receipt };
            let is_series = |shape: Shape| shape == Shape::Series;
            write_beside(&mut self.shape, &mut self.earlier_shapes, new, is_series);
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
            Listing::Partial => {}
            Listing::Full => {
                let value = change.occurrences.iter().map(|said| said.id.clone()).collect();
                let new = Register { value, stamp, receipt };
                write_beside(&mut self.full_list, &mut self.earlier_lists, new, |list| list);
            }
            Listing::Unknown => {
                write(&mut self.times_unknown, Register { value: (), stamp, receipt });
            }
        }
        if let Some(session) = change.session {
            self.remember(session, stamp, receipt);
        }
    }

    fn remember(&mut self, session: Session, stamp: Stamp, receipt: ReceiptId) {
        let Session { phase, started_at, ended_at } = session;
        let known = self.sessions.iter().find(|run| run.stamp == stamp).copied();
        if let Some(known) = known {
            if known.receipt <= receipt {
                return;
            }
            self.sessions.remove(&known);
        }
        self.sessions.insert(Run { stamp, phase, started_at, ended_at, receipt });
        if self.sessions.len() > SESSIONS_MAX {
            self.sessions.pop_first();
        }
    }

    fn forget_unused_origins(&mut self) {
        let mut used = BTreeSet::new();
        self.whole.receipts(&mut used);
        for registers in self.occurrences.values() {
            registers.receipts(&mut used);
        }
        used.extend(self.shape.as_ref().map(|r| r.receipt));
        used.extend(self.full_list.as_ref().map(|r| r.receipt));
        used.extend(self.times_unknown.as_ref().map(|r| r.receipt));
        used.extend(self.sessions.iter().map(|run| run.receipt));
        self.origins.retain(|receipt, _| used.contains(receipt));
    }
}

/// Merges one write into a field, and keeps what loses among the earlier ones.
fn write_beside<T: Clone, U: Ord>(
    field: &mut Option<Register<T>>,
    earlier: &mut BTreeSet<(Stamp, U)>,
    new: Register<T>,
    keep: impl Fn(T) -> U,
) {
    let both = [field.clone(), Some(new.clone())];
    write(field, new);
    let last = field.as_ref().map(|register| register.stamp);
    let losers = both.into_iter().flatten().filter(|register| Some(register.stamp) != last);
    for register in losers {
        // One body that says both of one occurrence is taken at its first word, as the field takes it.
        if !earlier.iter().any(|(stamp, _)| *stamp == register.stamp) {
            earlier.insert((register.stamp, keep(register.value)));
        }
    }
    while earlier.len() > EARLIER_MAX {
        earlier.pop_first();
    }
}

impl Registers {
    fn write(&mut self, said: &Fields, stamp: Stamp, receipt: ReceiptId) {
        fn put<T: Clone>(
            field: &mut Option<Register<T>>,
            said: Option<&T>,
            stamp: Stamp,
            receipt: ReceiptId,
        ) {
            if let Some(value) = said {
                write(field, Register { value: value.clone(), stamp, receipt });
            }
        }
        put(&mut self.name, said.name.as_ref(), stamp, receipt);
        put(&mut self.organizer, said.organizer.as_ref(), stamp, receipt);
        put(&mut self.description, said.description.as_ref(), stamp, receipt);
        put(&mut self.event_type, said.event_type.as_ref(), stamp, receipt);
        put(&mut self.registration_url, said.registration_url.as_ref(), stamp, receipt);
        put(&mut self.join_url, said.join_url.as_ref(), stamp, receipt);
        put(&mut self.start, said.start.as_ref(), stamp, receipt);
        put(&mut self.end, said.end.as_ref(), stamp, receipt);
        put(&mut self.actual_end, said.actual_end.as_ref(), stamp, receipt);
        if let Some(value) = said.cancelled {
            let new = Register { value, stamp, receipt };
            write_beside(&mut self.cancelled, &mut self.earlier_cancelled, new, |off| off);
        }
        put(&mut self.completed, said.completed.as_ref(), stamp, receipt);
        for (name, value) in &said.custom {
            let mut field = self.custom.remove(name);
            put(&mut field, Some(value), stamp, receipt);
            self.custom.extend(field.map(|field| (name.clone(), field)));
        }
    }

    fn receipts(&self, used: &mut BTreeSet<ReceiptId>) {
        let texts = [
            &self.name,
            &self.organizer,
            &self.description,
            &self.event_type,
            &self.registration_url,
            &self.join_url,
        ];
        used.extend(texts.into_iter().flatten().map(|r| r.receipt));
        used.extend([&self.start, &self.actual_end].into_iter().flatten().map(|r| r.receipt));
        used.extend([&self.cancelled, &self.completed].into_iter().flatten().map(|r| r.receipt));
        used.extend(self.end.as_ref().map(|r| r.receipt));
        used.extend(self.custom.values().map(|r| r.receipt));
    }
}

#[cfg(test)]
mod tests;
