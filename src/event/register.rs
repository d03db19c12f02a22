//! One field: its value, the time at which the platform set it, and its receipt. The last writer by the platform's
//! clock wins.

use serde::{Deserialize, Serialize};

use super::id::{ProviderId, ReceiptId, SourceName};
use super::time::Millis;

/// First 16 bytes of the SHA-256 of a webhook's raw body. Orders writes with equal time and rank.
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

/// Kind of a write; breaks ties between writes of the same time.
///
/// Platforms stamp several webhooks of one action alike. A write that ends a webinar must then win over one that shaped
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rank {
    /// The webinar was created.
    #[serde(rename = "c")]
    Created,
    /// A field changed, or a run began.
    #[serde(rename = "u")]
    Updated,
    /// The webinar was cancelled, or a cancellation was reversed.
    #[serde(rename = "x")]
    Cancelled,
    /// The webinar is completed.
    #[serde(rename = "z")]
    Completed,
}

/// Place of a write in the total order of writes. The order of arrival has no influence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Time of the change by the platform's clock, at most the time of its receipt.
    #[serde(rename = "t")]
    pub at: Millis,
    /// Kind of change; breaks ties of time.
    #[serde(rename = "k")]
    pub rank: Rank,
    /// Hash of the body; breaks the remaining ties, for which any fixed order will do.
    #[serde(rename = "h")]
    pub hash: BodyHash,
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
}
