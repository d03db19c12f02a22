//! Earlier writes of one field. They show since when the present value holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::change::Shape;
use super::id::{OccurrenceId, ReceiptId};
use super::register::{Origin, Register, Stamp};
use super::time::Millis;

/// Upper bound of writes of a field, however young they are.
const HISTORY_LIMIT: usize = 4_000;

/// Which writes are too old to be divided by a late one: those with a time before the horizon that also came before it.
///
/// Both count, since bodies that come within a week may tell times of long ago.
#[derive(Debug, Clone, Copy)]
pub(super) struct Horizon<'a> {
    at: Millis,
    /// The origins of the writes; none if the times alone decide.
    origins: Option<&'a BTreeMap<ReceiptId, Origin>>,
}

impl<'a> Horizon<'a> {
    /// The horizon of a receipt. Writes of receipts without an origin are old.
    pub(super) fn new(at: Millis, origins: &'a BTreeMap<ReceiptId, Origin>) -> Self {
        Self { at, origins: Some(origins) }
    }

    /// No write is too old.
    pub(super) const NONE_OLD: Self = Self { at: Millis::new(i64::MIN), origins: None };

    /// Every write is too old.
    pub(super) const ALL_OLD: Self = Self { at: Millis::new(i64::MAX), origins: None };

    fn is_old<T>(&self, write: &Register<T>) -> bool {
        let received = || self.origins.and_then(|origins| origins.get(&write.receipt));
        write.stamp.at < self.at && received().is_none_or(|origin| origin.received_at < self.at)
    }
}

/// Writes that lost to the field's present one: oldest first, one per stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct History<T>(VecDeque<Register<T>>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> History<T> {
    /// Whether the history has no writes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The earlier writes, oldest first.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Register<T>> {
        self.0.iter()
    }

    /// Removes the oldest write if there are more than `most` of them.
    pub(super) fn pop_oldest(&mut self, most: usize) -> Option<Register<T>> {
        if self.0.len() > most { self.0.pop_front() } else { None }
    }

    /// Keeps only the writes of some receipts. The newest write that is left becomes the field's value.
    pub(super) fn retain(
        &mut self,
        field: &mut Option<Register<T>>,
        keep: &mut impl FnMut(ReceiptId) -> bool,
    ) {
        self.0.retain(|write| keep(write.receipt));
        if field.as_ref().is_some_and(|last| !keep(last.receipt)) {
            *field = self.0.pop_back();
        }
    }
}

impl<T: PartialEq> History<T> {
    /// Merges one write into the field of this history.
    ///
    /// Of a run of equal values the first and the last stay for ever: they show since when and until when the value held.
    /// Writes between them are dropped once they are older than the horizon: no late write can come between such ones any
    /// more.
    pub(super) fn write(
        &mut self,
        field: &mut Option<Register<T>>,
        new: Register<T>,
        horizon: Horizon<'_>,
    ) {
        self.0.extend(field.take());
        let at = match self.0.binary_search_by_key(&new.stamp, |register| register.stamp) {
            // Equal stamps are one write that arrived twice: the first receipt is named. If one body names an
            // occurrence twice, its first values count.
            Ok(at) if self.0[at].receipt <= new.receipt => at,
            Ok(at) => {
                self.0[at] = new;
                at
            }
            Err(at) => {
                self.0.insert(at, new);
                at
            }
        };
        // A platform that is asked every day repeats its report with the time of the first one.
        for middle in [at + 1, at, at.saturating_sub(1)] {
            if self.is_middle(middle)
                && self.0[middle + 1].stamp.at < horizon.at
                && self.0[middle - 1].stamp.at == self.0[middle + 1].stamp.at
            {
                self.0.remove(middle);
            }
        }
        self.drop_middles(horizon);
        *field = self.0.pop_back();
    }

    /// Whether the write stands between two of the same value.
    fn is_middle(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1).and_then(|before| self.0.get(before)) else {
            return false;
        };
        let (Some(own), Some(after)) = (self.0.get(index), self.0.get(index + 1)) else {
            return false;
        };
        before.value == own.value && own.value == after.value
    }

    /// Drops the old writes between two of the same value; beyond the upper bound the young ones too, oldest first.
    fn drop_middles(&mut self, horizon: Horizon<'_>) {
        let mut index = 1;
        while index + 1 < self.0.len() {
            let is_beyond = self.0.len() > HISTORY_LIMIT;
            if self.0[index].stamp.at >= horizon.at && !is_beyond {
                break;
            }
            if self.is_middle(index) && (is_beyond || horizon.is_old(&self.0[index])) {
                self.0.remove(index);
            } else {
                index += 1;
            }
        }
        while self.0.len() > HISTORY_LIMIT {
            self.0.pop_front();
        }
    }
}

/// A value that the first version stored as a list of a stamp and the value, without a receipt.
trait LegacyForm: DeserializeOwned {
    /// Reads such a list.
    fn read_legacy(json: &str) -> serde_json::Result<(Stamp, Self)> {
        serde_json::from_str(json)
    }
}

impl LegacyForm for bool {}

impl LegacyForm for Millis {}

impl LegacyForm for BTreeSet<OccurrenceId> {}

/// The first version stored of a shape whether it was a series.
impl LegacyForm for Shape {
    fn read_legacy(json: &str) -> serde_json::Result<(Stamp, Self)> {
        let (stamp, was_series) = serde_json::from_str(json)?;
        Ok((stamp, if was_series { Self::Series } else { Self::Single }))
    }
}

/// Reads an earlier write in its present form, a map, or in that of the first version, a list. Read by hand: serde's
/// derive for untagged forms misreads numbers of 128 bits, which stamps hold.
fn read_write<T: LegacyForm>(json: &str) -> serde_json::Result<Register<T>> {
    if !json.starts_with('[') {
        return serde_json::from_str(json);
    }
    let (stamp, value) = T::read_legacy(json)?;
    // No receipt has this id, so the write is never removed; arriving again it is the same.
    Ok(Register { value, stamp, receipt: ReceiptId::from_bytes([0; 16]) })
}

#[allow(private_bounds, reason = "only the types that have a history can be read")]
impl<'de, T: LegacyForm> Deserialize<'de> for History<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let writes: Vec<Box<RawValue>> = Vec::deserialize(deserializer)?;
        let writes: serde_json::Result<_> =
            writes.iter().map(|json| read_write(json.get())).collect();
        writes.map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
