//! One field: its value, the time at which the platform set it, and its receipt. The last writer by the platform's
//! clock wins.

use serde::{Deserialize, Serialize};

use super::id::{ProviderId, ReceiptId, SourceName};
use super::time::Millis;

/// First 16 bytes of the SHA-256 of a webhook's raw body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BodyHash(u128);

impl BodyHash {
    /// The start of a SHA-256 digest.
    #[must_use]
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(u128::from_be_bytes(first))
    }

    /// The hash with these bytes; the inverse of [`Self::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The hash's 16 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// Whether a write is the webinar's creation. Nothing comes before a creation, whatever its own time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Precedence {
    /// The body that the platform sends once in the life of an id.
    Creation,
    /// Every other body.
    #[default]
    Report,
}

/// Place of a write in the total order of writes: creations first, then by time, then by the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "StoredStamp", into = "StoredStamp")]
pub struct Stamp {
    /// Whether the write is the creation.
    pub precedence: Precedence,
    /// Time of the change by the platform's clock. A change without one has the time at which it was received, or that
    /// of the newest receipt of the webinar, if that is later.
    pub at: Millis,
    /// Sequence number of the first receipt with the same body; 0 in stores of the first versions.
    pub seq: u64,
    /// Place of the change among the receipt's changes.
    pub place: u32,
}

/// A [`Stamp`] as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredStamp {
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    is_creation: bool,
    #[serde(rename = "t")]
    at: Millis,
    #[serde(rename = "n", default)]
    seq: u64,
    #[serde(rename = "p", default, skip_serializing_if = "is_zero")]
    place: u32,
    /// The kind of write and the hash of the body, by which the first versions ordered equal times.
    #[serde(rename = "k", default, skip_serializing)]
    rank: Option<StoredRank>,
    #[serde(rename = "h", default, skip_serializing)]
    hash: Option<u128>,
}

/// Kind of a write in stores of the first versions, in its order.
#[derive(Clone, Copy, Deserialize)]
enum StoredRank {
    #[serde(rename = "c")]
    Created,
    #[serde(rename = "u")]
    Updated,
    #[serde(rename = "x")]
    Cancelled,
    #[serde(rename = "z")]
    Completed,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(place: &u32) -> bool {
    *place == 0
}

impl From<StoredStamp> for Stamp {
    /// Writes of the first versions keep their order among each other, and come before later receipts of equal times.
    fn from(stored: StoredStamp) -> Self {
        let StoredStamp { is_creation, at, seq, place, rank, hash } = stored;
        let precedence = if is_creation { Precedence::Creation } else { Precedence::Report };
        let legacy = rank.zip(hash).map(|(rank, hash)| {
            let start = u32::try_from(hash >> 98).unwrap_or(u32::MAX);
            (rank as u32) << 30 | start
        });
        Self { precedence, at, seq, place: legacy.unwrap_or(place) }
    }
}

impl From<Stamp> for StoredStamp {
    fn from(stamp: Stamp) -> Self {
        let Stamp { precedence, at, seq, place } = stamp;
        let is_creation = precedence == Precedence::Creation;
        Self { is_creation, at, seq, place, rank: None, hash: None }
    }
}

/// Origin of a value. It outlives the receipt that it describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Source that received the webhook.
    pub source: SourceName,
    /// Platform of the source.
    pub provider: ProviderId,
    /// Type of the webhook in the platform's words: `webinar.updated`.
    pub event_type: String,
    /// Time in the body, if it has one.
    pub reported_at: Option<Millis>,
    /// Time of arrival.
    pub received_at: Millis,
}

/// A value with its stamp and its receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register<T> {
    /// Value of the newest write.
    #[serde(rename = "v")]
    pub value: T,
    /// Stamp of that write.
    #[serde(rename = "s")]
    pub stamp: Stamp,
    /// Receipt of that write; the webinar holds the receipt's [`Origin`].
    #[serde(rename = "r")]
    pub receipt: ReceiptId,
}

impl<T> Register<T> {
    /// Whether this write replaces the other. Equal stamps are the same write arrived twice: the first receipt is
    /// named.
    pub(super) fn wins_over(&self, other: &Self) -> bool {
        (self.stamp, std::cmp::Reverse(self.receipt))
            > (other.stamp, std::cmp::Reverse(other.receipt))
    }
}

/// Merges one write into a field.
pub fn write<T>(field: &mut Option<Register<T>>, new: Register<T>) {
    if field.as_ref().is_none_or(|present| new.wins_over(present)) {
        *field = Some(new);
    }
}

/// Removes the field's value unless its receipt is to be kept.
pub(super) fn retain<T>(field: &mut Option<Register<T>>, keep: &mut impl FnMut(ReceiptId) -> bool) {
    field.take_if(|register| !keep(register.receipt));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_hash_is_the_start_of_the_digest_and_round_trips() {
        let mut digest = [0; 32];
        for (byte, value) in digest.iter_mut().zip(1..) {
            *byte = value;
        }
        let hash = BodyHash::from_digest(&digest);
        assert_eq!(hash.to_bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(BodyHash::from_bytes(hash.to_bytes()), hash);
    }

    fn stored(json: &str) -> Stamp {
        serde_json::from_str(json).expect("a stamp")
    }

    #[test]
    fn stamps_of_the_first_versions_keep_their_order_before_those_of_today() {
        let stamps = [
            r#"{"t":4,"k":"z","h":340282366920938463463374607431768211455}"#,
            r#"{"t":5,"k":"c","h":340282366920938463463374607431768211455}"#,
            r#"{"t":5,"k":"u","h":5}"#,
            r#"{"t":5,"k":"u","h":340282366920938463463374607431768211455}"#,
            r#"{"t":5,"k":"x","h":5}"#,
            r#"{"t":5,"k":"z","h":5}"#,
            r#"{"t":5,"n":1}"#,
            r#"{"t":5,"n":1,"p":1}"#,
            r#"{"t":5,"n":2}"#,
        ];
        assert!(stamps.map(stored).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn creation_comes_before_every_report_and_is_stored() {
        let report = stored(r#"{"t":4,"n":1}"#);
        let creation = Stamp { precedence: Precedence::Creation, at: Millis::new(9), ..report };
        assert!(creation < report);
        for stamp in [creation, report, Stamp { place: 3, ..report }] {
            let json = serde_json::to_string(&stamp).expect("it can be written");
            assert_eq!(stored(&json), stamp, "{json}");
        }
    }
}
