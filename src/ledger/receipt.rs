//! What comes in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ReceiptSummary;
use crate::event::webinar::Provenance;
use crate::event::{
    BodyHash, Change, EventKey, FetchRequest, Millis, Origin, Policy, ProviderId, ReceiptId,
    SourceName,
};

/// The events' configuration by source, which merging needs.
pub type Policies = BTreeMap<SourceName, Policy>;

/// A verified webhook or an answer of a platform's API, on its way in.
#[derive(Debug, Clone)]
pub struct NewReceipt {
    /// Its id.
    pub id: ReceiptId,
    /// How it came, and so how its body is to be read.
    pub kind: ReceiptKind,
    /// Its source.
    pub source: SourceName,
    /// The source's provider.
    pub provider: ProviderId,
    /// When it arrived.
    pub received_at: Millis,
    /// The platform's name of it.
    pub event_type: String,
    /// SHA-256 of what makes it the same as another: the platform's documented delivery id, else the raw body. Of what
    /// was fetched its time is a part: the same answer may be true again after another was.
    pub dedupe_key: [u8; 32],
    /// The key is known for as long as any webinar that it built, and not only as long as receipts are kept: nothing
    /// that is signed says when it was sent, so that an old one can be sent again by whoever has seen it.
    pub lasting_key: bool,
    /// The start of the SHA-256 of the raw body.
    pub hash: BodyHash,
    /// The few headers, by lower-case name, that mapping needs again when it is replayed; mostly none.
    pub headers: Vec<(String, String)>,
    /// What came in, scrubbed. Not kept for what is ignored.
    pub body: Vec<u8>,
    /// What to do with it.
    pub content: ReceiptContent,
    /// What is to be asked of the platform's API because of it, whatever its content is; a duplicate wants nothing.
    pub fetch_requests: Vec<FetchRequest>,
}

/// How a receipt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptKind {
    /// The platform sent it.
    Webhook,
    /// The platform's API answered it.
    Fetched,
}

impl NewReceipt {
    /// Who says a change that it brings.
    #[must_use]
    pub fn provenance(&self, change: &Change) -> Provenance {
        let origin = Origin {
            source: self.source.clone(),
            provider: self.provider.clone(),
            event_type: self.event_type.clone(),
            reported_at: change.occurred_at,
            received_at: self.received_at,
        };
        Provenance { receipt: self.id, hash: self.hash, origin }
    }
}

/// What a receipt holds for the ledger.
#[derive(Debug, Clone)]
pub enum ReceiptContent {
    /// Merge these.
    Changes(Vec<Change>),
    /// Nothing for us; only its key is kept.
    Ignored,
    /// Authentic but not understood; kept for replaying. The text is for operators.
    Quarantined(String),
}

impl ReceiptContent {
    /// Why it is not understood, if so.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Quarantined(reason) => Some(reason.clone()),
            Self::Changes(_) | Self::Ignored => None,
        }
    }
}

/// What became of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptOutcome {
    /// Merged.
    Accepted,
    /// Seen before.
    Duplicate,
    /// Kept as seen; nothing for us.
    Ignored,
    /// Kept; not understood.
    Quarantined,
}

/// A receipt as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRecord {
    /// Everything but the body.
    pub summary: ReceiptSummary,
    /// The headers that mapping needs again, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// The scrubbed body; none for what was ignored or erased.
    pub body: Option<Vec<u8>>,
    /// The events of the webinars that it built, by key; at most [`super::PAGE_MAX`].
    pub events: Vec<EventKey>,
}
