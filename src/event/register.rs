//! One field: its value, when the platform set it, and who said so. The last writer by the platform's clock wins.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::id::{ProviderId, ReceiptId, SourceName};
use super::time::Millis;

/// The first 16 bytes of the SHA-256 of a webhook's raw body. Orders writes that nothing else orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BodyHash(u128);

impl BodyHash {
    /// Takes the start of a SHA-256 digest.
    #[must_use]
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(u128::from_be_bytes(first))
    }

    /// Of what [`Self::to_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Its 16 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// What kind of thing was said; breaks ties between writes of the same time.
///
/// Platforms stamp several webhooks of one action alike; what ends a webinar must then win over what shaped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rank {
    /// The webinar came to be.
    #[serde(rename = "c")]
    Created,
    /// Something of it changed; it started.
    #[serde(rename = "u")]
    Updated,
    /// It was called off, or the calling off was taken back.
    #[serde(rename = "x")]
    Cancelled,
    /// It is over.
    #[serde(rename = "z")]
    Completed,
}

/// The place of a write in the one order that all writes have. Never the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The platform's time of the change, at most the time of its receipt.
    #[serde(rename = "t")]
    pub at: Millis,
    /// Ties: what kind of change.
    #[serde(rename = "k")]
    pub rank: Rank,
    /// Ties of ties: any fixed order does.
    #[serde(rename = "h")]
    pub hash: BodyHash,
}

/// Where a value came from. Outlives the receipt it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The source whose webhook said it.
    pub source: SourceName,
    /// The provider of that source.
    pub provider: ProviderId,
    /// The platform's name of the webhook: `webinar.updated`.
    pub event_type: String,
    /// The time the platform gave, if it gave one.
    pub reported_at: Option<Millis>,
    /// When the webhook arrived.
    pub received_at: Millis,
}

/// A value with its place in the order and its provenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register<T> {
    /// What was said last.
    #[serde(rename = "v")]
    pub value: T,
    /// When.
    #[serde(rename = "s")]
    pub stamp: Stamp,
    /// By which receipt; its [`Origin`] is kept beside.
    #[serde(rename = "r")]
    pub receipt: ReceiptId,
}

impl<T> Register<T> {
    /// Whether this write goes before the other. Equal stamps are the same saying arrived twice: the first receipt is named.
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

/// Takes a field back if one of these receipts said it.
pub(super) fn forget<T>(field: &mut Option<Register<T>>, receipts: &BTreeSet<ReceiptId>) {
    field.take_if(|register| receipts.contains(&register.receipt));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_start_of_its_digest_and_comes_back_from_its_bytes() {
        let mut digest = [0; 32];
        for (byte, value) in digest.iter_mut().zip(1..) {
            *byte = value;
        }
        let hash = BodyHash::from_digest(&digest);
        assert_eq!(hash.to_bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(BodyHash::from_bytes(hash.to_bytes()), hash);
    }
}
