//! Earlier sayings on one field, for what must know since when the last one holds.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::change::Shape;
use super::id::{OccurrenceId, ReceiptId};
use super::register::Register;

/// Earlier sayings kept beside the last one, the latest by the platform's clock.
pub(super) const HISTORY_MAX: usize = 16;

/// What lost against the field's last saying: oldest first, one for each stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct History<T>(VecDeque<Register<T>>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T> History<T> {
    /// No earlier saying.
    #[must_use]
    pub const fn empty() -> Self {
        Self(VecDeque::new())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The earlier sayings, oldest first.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Register<T>> {
        self.0.iter()
    }

    /// Merges one write into the field that this is the history of.
    pub(super) fn write(&mut self, field: &mut Option<Register<T>>, new: Register<T>) {
        let (last, loser) = match field.take() {
            None => (new, None),
            Some(present) if new.wins_over(&present) => (new, Some(present)),
            Some(present) => (present, Some(new)),
        };
        // Of equal stamps one saying arrived twice.
        if let Some(loser) = loser.filter(|loser| loser.stamp != last.stamp) {
            self.insert(loser);
        }
        *field = Some(last);
    }

    fn insert(&mut self, saying: Register<T>) {
        match self.0.binary_search_by_key(&saying.stamp, |register| register.stamp) {
            // One body that says both of one occurrence is taken at its first word, as the field takes it.
            Ok(at) if self.0[at].receipt <= saying.receipt => {}
            Ok(at) => self.0[at] = saying,
            Err(at) => self.0.insert(at, saying),
        }
        while self.0.len() > HISTORY_MAX {
            self.0.pop_front();
        }
    }

    /// Forgets what these receipts said; the last saying that is left becomes the field's.
    pub(super) fn forget(
        &mut self,
        field: &mut Option<Register<T>>,
        receipts: &BTreeSet<ReceiptId>,
    ) {
        self.0.retain(|saying| !receipts.contains(&saying.receipt));
        if field.as_ref().is_some_and(|last| receipts.contains(&last.receipt)) {
            *field = self.0.pop_back();
        }
    }
}

/// What the first version kept of an earlier saying: no receipt, and of a shape only whether it was a series.
trait LegacyForm: Sized {
    type Value: DeserializeOwned;
    fn read(value: Self::Value) -> Self;
}

impl LegacyForm for bool {
    type Value = Self;
    fn read(value: Self) -> Self {
        value
    }
}

impl LegacyForm for BTreeSet<OccurrenceId> {
    type Value = Self;
    fn read(value: Self) -> Self {
        value
    }
}

impl LegacyForm for Shape {
    type Value = bool;
    fn read(was_series: bool) -> Self {
        if was_series { Self::Series } else { Self::Single }
    }
}

#[allow(private_bounds, reason = "only the types that have a history can be read")]
impl<'de, T: Deserialize<'de> + LegacyForm> Deserialize<'de> for History<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kept: VecDeque<StoredRegister<T>> = VecDeque::deserialize(deserializer)?;
        Ok(Self(kept.into_iter().map(|StoredRegister(register)| register).collect()))
    }
}

/// A saying as it is written now, a map, or as the first version did, a list. By hand, since what serde derives for
/// either of two forms reads numbers of 128 bits, as in a stamp, wrong.
struct StoredRegister<T>(Register<T>);

impl<'de, T: Deserialize<'de> + LegacyForm> Deserialize<'de> for StoredRegister<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + LegacyForm> Visitor<'de> for Either<T> {
            type Value = StoredRegister<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a register, or a stamp and a value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StoredRegister<T>, A::Error> {
                Register::deserialize(MapAccessDeserializer::new(map)).map(StoredRegister)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<StoredRegister<T>, A::Error> {
                let (stamp, value) = Deserialize::deserialize(SeqAccessDeserializer::new(list))?;
                // No receipt has this id, so it is never forgotten; said again it is the same.
                let receipt = ReceiptId::from_bytes([0; 16]);
                Ok(StoredRegister(Register { value: T::read(value), stamp, receipt }))
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::registers::Registers;
    use crate::event::{BodyHash, Millis, Rank, Stamp};

    /// Said at that time, by that receipt.
    fn said<T>(value: T, at: u8, receipt: u8) -> Register<T> {
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
    fn forgotten_the_last_saying_gives_way_to_the_one_before() {
        let (mut earlier, mut field) = (History::empty(), None);
        for (n, value) in [(2, true), (3, false), (1, false)] {
            earlier.write(&mut field, said(value, n, n));
        }
        earlier.forget(&mut field, &[ReceiptId::from_bytes([3; 16])].into());
        assert_eq!(field, Some(said(true, 2, 2)));
        assert_eq!(earlier.iter().collect::<Vec<_>>(), [&said(false, 1, 1)]);
    }

    #[test]
    fn of_an_earlier_saying_that_came_twice_the_first_receipt_is_named() {
        for order in [[4, 5], [5, 4]] {
            let (mut earlier, mut field) = (History::empty(), Some(said(true, 9, 9)));
            for receipt in order {
                earlier.write(&mut field, said(false, 1, receipt));
            }
            assert_eq!(earlier.iter().collect::<Vec<_>>(), [&said(false, 1, 4)], "{order:?}");
        }
        // One body that says both is taken at its first word.
        let (mut earlier, mut field) = (History::empty(), Some(said(true, 9, 9)));
        for value in [true, false] {
            earlier.write(&mut field, said(value, 1, 4));
        }
        assert_eq!(earlier.iter().collect::<Vec<_>>(), [&said(true, 1, 4)]);
    }

    #[test]
    fn earlier_sayings_are_kept_with_the_state() {
        let mut registers = Registers::default();
        for (n, value) in [(1, false), (2, true)] {
            registers.earlier_cancelled.write(&mut registers.cancelled, said(value, n, n));
        }
        let kept = serde_json::to_string(&registers).expect("it is written");
        assert_eq!(serde_json::from_str::<Registers>(&kept).expect("it is read"), registers);
    }

    #[test]
    fn what_the_first_version_kept_is_read() {
        let stamp = format!(r#"{{"t":5,"k":"u","h":{}}}"#, u128::MAX - 1);
        let read =
            |text: String| serde_json::from_str::<History<Shape>>(&text).expect("it is read");
        let first = read(format!("[[{stamp},true],[{stamp},false]]"));
        let shapes: Vec<Shape> = first.iter().map(|saying| saying.value).collect();
        assert_eq!(shapes, [Shape::Series, Shape::Single]);
        let again = serde_json::to_string(&first).expect("it is written");
        assert_eq!(read(again), first);
        let list = format!(r#"[[{stamp},["a"]]]"#);
        let lists: History<BTreeSet<OccurrenceId>> = serde_json::from_str(&list).expect("read");
        let occurrence = OccurrenceId::parse("a").expect("valid");
        let lists: Vec<_> = lists.iter().map(|saying| saying.value.clone()).collect();
        assert_eq!(lists, [BTreeSet::from([occurrence])]);
        let off = format!("[[{stamp},true],[{stamp},false]]");
        let off: History<bool> = serde_json::from_str(&off).expect("read");
        assert_eq!(off.iter().map(|saying| saying.value).collect::<Vec<_>>(), [true, false]);
        let neither = serde_json::from_str::<History<bool>>("[1]").expect_err("it is neither");
        assert!(neither.to_string().contains("expected a register, or a stamp and a value"));
    }
}
