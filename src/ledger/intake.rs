//! Accepting receipts.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{LedgerError, ReceiptSummary, WebinarKey};
use crate::event::{
    BodyHash, Change, FetchRequest, Millis, Policy, ProviderId, ReceiptId, SourceName,
};

/// The way into the ledger, for webhooks and for answers of the platforms' APIs.
#[async_trait]
pub trait Intake: Send + Sync + 'static {
    /// Stores a receipt and merges its changes; durable when it returns.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when nothing was stored: the sender should send it again. Also when it is unknown
    /// whether it was stored, which a repetition heals.
    ///
    /// # Cancel safety
    /// A cancelled call may still be carried out.
    async fn accept(&self, receipt: NewReceipt) -> Result<ReceiptOutcome, LedgerError>;
}

/// The configuration of events by source, which merging needs.
pub type Policies = BTreeMap<SourceName, Policy>;

/// A verified webhook or an answer of a platform's API, on its way in.
#[derive(Debug, Clone)]
pub struct NewReceipt {
    /// The receipt's id.
    pub id: ReceiptId,
    /// How it came, and so how its body is read.
    pub kind: ReceiptKind,
    /// The source.
    pub source: SourceName,
    /// The source's provider.
    pub provider: ProviderId,
    /// When it arrived.
    pub received_at: Millis,
    /// The platform's name of the event.
    pub event_type: String,
    /// SHA-256 of what identifies the delivery: the platform's documented delivery id, else the raw body and the time
    /// signed with it. For a fetched answer it includes the time of the answer, since the same answer may be true again
    /// after another was.
    pub dedupe_key: [u8; 32],
    /// When a receipt with a known key is a duplicate.
    pub duplicates: DuplicateRule,
    /// The start of the SHA-256 of the raw body.
    pub hash: BodyHash,
    /// The few headers, by lower-case name, that mapping needs again in a replay; mostly none.
    pub headers: Vec<(String, String)>,
    /// The scrubbed body; empty if it is not to be stored.
    pub body: Vec<u8>,
    /// The receipt's content for the ledger.
    pub content: ReceiptContent,
    /// Webinars to fetch from the platform's API because of the receipt, whatever its content is. A duplicate requests
    /// none, unless it is merged into requests that are there.
    pub fetch_requests: Vec<FetchRequest>,
}

/// When a receipt is a duplicate of an accepted one with its key.
///
/// A missed duplicate is harmless, a false one loses data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateRule {
    /// While that one is kept: the key names one delivery.
    Delivery,
    /// While that one is kept. The key holds a signed time of whole seconds, within which a body may be sent again to
    /// undo another.
    SignedTime,
    /// As long as any webinar that it built is kept, and not only as long as receipts are: nothing dates the delivery,
    /// so somebody who has seen an old one could send it again.
    Lasting,
    /// If it is the last accepted one of every webinar that they speak of: the same may be true again after another
    /// was.
    LastOfWebinar,
    /// While all fetches that it requests are still requested: it has no content itself. A fetch that is under way may have
    /// been answered before what it reports, so that a duplicate requests its fetches too.
    OpenRequests,
}

impl DuplicateRule {
    /// Whether the same key may rightly come again after its receipt is deleted.
    #[must_use]
    pub fn may_repeat(self) -> bool {
        match self {
            Self::LastOfWebinar | Self::OpenRequests => true,
            Self::Delivery | Self::SignedTime | Self::Lasting => false,
        }
    }
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
    /// The receipt as lists show it once it had that outcome.
    #[must_use]
    pub fn summary(&self, outcome: ReceiptOutcome, reason: Option<String>) -> ReceiptSummary {
        ReceiptSummary {
            id: self.id,
            kind: self.kind,
            source: self.source.clone(),
            provider: self.provider.clone(),
            event_type: self.event_type.clone(),
            received_at: self.received_at,
            outcome,
            reason,
            hash: self.hash,
        }
    }
}

/// The content of a receipt.
#[derive(Debug, Clone)]
pub enum ReceiptContent {
    /// Changes to merge.
    Changes(Vec<Change>),
    /// Nothing for us. Its key is stored, and its body if one of our settings leaves it out.
    Ignored,
    /// Authentic but not understood; stored for replaying. The text is for operators.
    Quarantined(String),
}

#[cfg(test)]
impl NewReceipt {
    /// A webhook of the source `zoom` with that content and otherwise nothing in it.
    pub(crate) fn empty(content: ReceiptContent) -> Self {
        Self {
            id: ReceiptId::from_bytes([0; 16]),
            kind: ReceiptKind::Webhook,
            source: SourceName::parse("zoom").expect("a name"),
            provider: ProviderId::new("zoom"),
            received_at: Millis::new(0),
            event_type: "webinar".into(),
            dedupe_key: [0; 32],
            duplicates: DuplicateRule::Delivery,
            hash: BodyHash::from_bytes([0; 16]),
            headers: Vec::new(),
            body: Vec::new(),
            content,
            fetch_requests: Vec::new(),
        }
    }
}

impl NewReceipt {
    /// The webinars that the receipt's changes are about, under today's policy of its source.
    pub(super) fn webinar_keys(&self, policies: &Policies) -> BTreeSet<WebinarKey> {
        let (ReceiptContent::Changes(changes), Some(policy)) =
            (&self.content, policies.get(&self.source))
        else {
            return BTreeSet::new();
        };
        let key = |change: &Change| {
            WebinarKey::new(policy, change.account.as_ref(), &change.webinar).ok()
        };
        changes.iter().filter_map(key).collect()
    }
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

/// The outcome of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptOutcome {
    /// Merged.
    Accepted,
    /// Seen before.
    Duplicate,
    /// Stored as seen; nothing for us.
    Ignored,
    /// Stored; not understood.
    Quarantined,
}
