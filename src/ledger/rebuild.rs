//! Replaying: a receipt is mapped again with today's code and configuration, and the webinars that it built, or builds
//! now, are rebuilt from their retained receipts at their original times.
//!
//! Mapping is not the ledger's: whoever replays reads a [`Dossier`] and the bodies, maps, and hands a [`Rebuild`] back.
//! If a receipt came for one of these webinars meanwhile the ledger says [`Rebuilt::Stale`], and it is to be done over.

use super::{Acceptance, ReceiptSummary};
use crate::event::{AccountName, Change, ExternalAccountId, ReceiptId, WebinarId};

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

/// A webinar and the receipts that are to be mapped again to rebuild it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dossier {
    /// Which webinar.
    pub key: WebinarKey,
    /// The retained receipts that built it, oldest first. Their bodies are read apart ([`super::Ledger::bodies`]): of
    /// thousands of receipts they would fill the memory.
    pub receipts: Vec<ReceiptSummary>,
}

/// What the replayed receipt is from now on, and the webinars as today's code builds them.
#[derive(Debug, Clone)]
pub struct Rebuild {
    /// The replayed receipt.
    pub receipt: ReceiptId,
    /// What became of it this time.
    pub outcome: Acceptance,
    /// Why it is quarantined, if it still is.
    pub reason: Option<String>,
    /// Every webinar that the receipt built until now or builds today.
    pub webinars: Vec<Rewritten>,
}

/// A webinar as its retained receipts tell it today.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// Which webinar.
    pub key: WebinarKey,
    /// The retained receipts of its dossier, the replayed one among them only if it built it before.
    pub read: Vec<ReceiptId>,
    /// What those, and the replayed one, say of it today. Of a receipt that is read and not in here (its source is gone,
    /// or its body, or it speaks of something else now) stays what it said.
    pub said: Vec<Retold>,
}

/// What one receipt says of one webinar today.
#[derive(Debug, Clone)]
pub struct Retold {
    /// Which receipt.
    pub receipt: ReceiptId,
    /// What it says; nothing where it once built the webinar and today's code thinks otherwise.
    pub changes: Vec<Change>,
}

/// What came of a rebuild.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebuilt {
    /// Done, and durable.
    Done,
    /// Another receipt came for one of the webinars since they were read: nothing was changed, do it over.
    Stale,
    /// What the receipts say today cannot be merged: nothing was changed. Why, for operators.
    Refused(String),
    /// The receipt is not there (any more).
    Unknown,
}
