//! Earlier writes of one field. They show since when the present value holds.

use std::collections::{BTreeSet, VecDeque};

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::change::Shape;
use super::id::{OccurrenceId, ReceiptId};
use super::register::{Register, Stamp};

/// Upper bound of earlier writes per field; the oldest by the platform's clock are dropped.
pub(super) const HISTORY_MAX: usize = 16;

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

    /// Merges one write into the field of this history.
    pub(super) fn write(&mut self, field: &mut Option<Register<T>>, new: Register<T>) {
        let (last, loser) = match field.take() {
            None => (new, None),
            Some(present) if new.wins_over(&present) => (new, Some(present)),
            Some(present) => (present, Some(new)),
        };
        // Equal stamps are one write that arrived twice.
        if let Some(loser) = loser.filter(|loser| loser.stamp != last.stamp) {
            self.insert(loser);
        }
        *field = Some(last);
    }

    fn insert(&mut self, write: Register<T>) {
        match self.0.binary_search_by_key(&write.stamp, |register| register.stamp) {
            // If one body names an occurrence twice, its first values count, as in the field itself.
            Ok(at) if self.0[at].receipt <= write.receipt => {}
            Ok(at) => self.0[at] = write,
            Err(at) => self.0.insert(at, write),
        }
        while self.0.len() > HISTORY_MAX {
            self.0.pop_front();
        }
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

/// A value that the first version stored as a list of a stamp and the value, without a receipt.
trait LegacyForm: DeserializeOwned {
    /// Reads such a list.
    fn read_legacy(json: &str) -> serde_json::Result<(Stamp, Self)> {
        serde_json::from_str(json)
    }
}

impl LegacyForm for bool {}

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
mod tests {
    use super::*;
    use crate::event::registers::Registers;
    use crate::event::{BodyHash, Millis, Rank, Stamp};

    /// A write at that time, of that receipt.
    fn write<T>(value: T, at: u8, receipt: u8) -> Register<T> {
        Register {
            value,
            stamp: Stamp {
                at: Millis::new(at.into()),
                rank: Rank::Updated,
                hash: BodyHash::from_bytes([at; 16]),
            },
            receipt: ReceiptId::from_bytes([receipt; 16]),
        }
    }

    #[test]
    fn removing_the_last_write_restores_the_one_before() {
        let (mut earlier, mut field) = (History::default(), None);
        for (n, value) in [(2, true), (3, false), (1, false)] {
            earlier.write(&mut field, write(value, n, n));
        }
        earlier.retain(&mut field, &mut |receipt| receipt != ReceiptId::from_bytes([3; 16]));
        assert_eq!(field, Some(write(true, 2, 2)));
        assert_eq!(earlier.iter().collect::<Vec<_>>(), [&write(false, 1, 1)]);
    }

    #[test]
    fn earlier_write_that_arrives_twice_names_the_first_receipt() {
        for order in [[4, 5], [5, 4]] {
            let (mut earlier, mut field) = (History::default(), Some(write(true, 9, 9)));
            for receipt in order {
                earlier.write(&mut field, write(false, 1, receipt));
            }
            assert_eq!(earlier.iter().collect::<Vec<_>>(), [&write(false, 1, 4)], "{order:?}");
        }
        // If one body holds both values, the first counts.
        let (mut earlier, mut field) = (History::default(), Some(write(true, 9, 9)));
        for value in [true, false] {
            earlier.write(&mut field, write(value, 1, 4));
        }
        assert_eq!(earlier.iter().collect::<Vec<_>>(), [&write(true, 1, 4)]);
    }

    #[test]
    fn earlier_writes_survive_serialization() {
        let mut registers = Registers::default();
        for (n, value) in [(1, false), (2, true)] {
            registers.earlier_cancelled.write(&mut registers.cancelled, write(value, n, n));
        }
        let kept = serde_json::to_string(&registers).expect("it is written");
        assert_eq!(serde_json::from_str::<Registers>(&kept).expect("it is read"), registers);
    }

    #[test]
    fn form_of_the_first_version_is_read() {
        let stamp = format!(r#"{{"t":5,"k":"u","h":{}}}"#, u128::MAX - 1);
        let read =
            |text: String| serde_json::from_str::<History<Shape>>(&text).expect("it is read");
        let first = read(format!("[[{stamp},true],[{stamp},false]]"));
        let shapes: Vec<Shape> = first.iter().map(|write| write.value).collect();
        assert_eq!(shapes, [Shape::Series, Shape::Single]);
        let again = serde_json::to_string(&first).expect("it is written");
        assert_eq!(read(again), first);
        let list = format!(r#"[[{stamp},["a"]]]"#);
        let lists: History<BTreeSet<OccurrenceId>> = serde_json::from_str(&list).expect("read");
        let occurrence = OccurrenceId::parse("a").expect("valid");
        let lists: Vec<_> = lists.iter().map(|write| write.value.clone()).collect();
        assert_eq!(lists, [BTreeSet::from([occurrence])]);
        let off = format!("[[{stamp},true],[{stamp},false]]");
        let off: History<bool> = serde_json::from_str(&off).expect("read");
        assert_eq!(off.iter().map(|write| write.value).collect::<Vec<_>>(), [true, false]);
        let neither = serde_json::from_str::<History<bool>>("[1]").expect_err("it is neither");
        assert!(neither.to_string().contains("expected struct Register"), "{neither}");
    }
}
