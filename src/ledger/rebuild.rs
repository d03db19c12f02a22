//! Replaying: a receipt is mapped again with today's code and configuration, and the webinars that it built, or builds
//! now, are rebuilt from their retained receipts at their original times.
//!
//! Mapping is not the ledger's: whoever replays reads a [`Dossier`] and its [`Teller`]s, maps and merges, and hands a
//! [`Rebuild`] back. If the webinar is another by then the ledger says [`Rebuilt::Stale`], and it is to be done over. So
//! however many receipts a webinar has, writing it takes no longer than a webhook does, and nobody holds all of them.

use std::collections::BTreeSet;

use super::{ReceiptOutcome, ReceiptSummary};
use crate::event::{AccountName, ExternalAccountId, ReceiptId, Webinar, WebinarId};

/// Names one webinar (or series) of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WebinarKey {
    /// The HubSpot account its events go to.
    pub hubspot: AccountName,
    /// The platform's account, as HubSpot gets it.
    pub account: ExternalAccountId,
    /// The platform's id.
    pub webinar: WebinarId,
}

/// A webinar as it is before it is rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebinarState {
    /// Which webinar.
    pub key: WebinarKey,
    /// What is known of it; nothing if it is not there.
    pub webinar: Webinar,
    /// Whether receipts that built it are gone, so that what they said stays.
    pub has_expired_receipts: bool,
    /// Those of the receipts that it rests on that are retained.
    pub retained: BTreeSet<ReceiptId>,
    /// How many retained receipts built it, and the sum of their numbers: if both are the same, so are the receipts.
    pub receipt_checksum: (i64, i64),
}

/// A retained receipt that built a webinar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContributingReceipt {
    /// The receipt.
    pub receipt: ReceiptSummary,
    /// The headers that mapping needs again, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// Its body; none if it was erased.
    pub body: Option<Vec<u8>>,
}

/// What the replayed receipt is from now on, and the webinars as today's code builds them.
#[derive(Debug, Clone)]
pub struct RebuildRequest {
    /// The replayed receipt.
    pub receipt: ReceiptId,
    /// What became of it this time.
    pub outcome: ReceiptOutcome,
    /// Why it is quarantined, if it still is.
    pub reason: Option<String>,
    /// Every webinar that the receipt built until now or builds today.
    pub webinars: Vec<RebuiltWebinar>,
}

/// A webinar as its retained receipts tell it today.
#[derive(Debug, Clone)]
pub struct RebuiltWebinar {
    /// What it was told from.
    pub before: WebinarState,
    /// What is known of it from now on.
    pub webinar: Webinar,
    /// Whether the replayed receipt says anything of it today.
    pub contributes: bool,
}

/// What came of a rebuild.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebuildResult {
    /// Done, and durable.
    Done,
    /// One of the webinars is another since it was read: nothing was changed, do it over.
    Stale,
    /// What follows cannot be kept: nothing was changed. Why, for operators.
    Refused(String),
    /// The receipt is not there (any more).
    Unknown,
}
