//! A receipt, from a payload and the way it came in.

use super::Source;
use crate::event::{BodyHash, Millis, ReceiptId};
use crate::ledger::{DuplicateRule, NewReceipt, ReceiptContent, ReceiptKind};
use crate::providers::{ParsedPayload, PayloadContent};

/// A receipt for the ledger, and the figures to count for it.
#[derive(Debug, Clone)]
pub struct IntakeReceipt {
    /// The receipt.
    pub receipt: NewReceipt,
    /// Optional fields that could not be read.
    pub bad_fields: Vec<&'static str>,
    /// Whether the payload held content of a platform account that the source is not configured for.
    pub has_foreign_accounts: bool,
}

/// The parts of a receipt beside its payload.
pub(super) struct ReceiptParts {
    pub(super) id: ReceiptId,
    pub(super) kind: ReceiptKind,
    pub(super) received_at: Millis,
    /// SHA-256 of the raw body.
    pub(super) digest: [u8; 32],
    pub(super) dedupe_key: [u8; 32],
    pub(super) duplicates: DuplicateRule,
    pub(super) headers: Vec<(String, String)>,
    /// The scrubbed body.
    pub(super) body: Vec<u8>,
}

/// Builds the receipt of a payload that [`Source::restrict`] let through.
pub(super) fn build(
    source: &Source,
    parts: ReceiptParts,
    (payload, has_foreign_accounts): (ParsedPayload, bool),
) -> IntakeReceipt {
    let mut bad_fields = Vec::new();
    let keeps_body = match payload.content {
        PayloadContent::Changes { .. }
        | PayloadContent::Excluded
        | PayloadContent::Unmappable(_) => true,
        PayloadContent::Ignored | PayloadContent::Handshake(_) => false,
    };
    let content = match payload.content {
        PayloadContent::Changes { changes, bad_fields: bad } => {
            bad_fields = bad;
            ReceiptContent::Changes(changes)
        }
        // A handshake is answered, never stored.
        PayloadContent::Ignored | PayloadContent::Excluded | PayloadContent::Handshake(_) => {
            ReceiptContent::Ignored
        }
        PayloadContent::Unmappable(why) => ReceiptContent::Quarantined(why),
    };
    let body = if keeps_body { parts.body } else { Vec::new() };
    let receipt = NewReceipt {
        id: parts.id,
        kind: parts.kind,
        source: source.name.clone(),
        provider: source.provider.id(),
        received_at: parts.received_at,
        event_type: payload.event_type,
        dedupe_key: parts.dedupe_key,
        duplicates: parts.duplicates,
        hash: BodyHash::from_digest(&parts.digest),
        headers: parts.headers,
        body,
        content,
        fetch_requests: payload.fetch_requests,
    };
    IntakeReceipt { receipt, bad_fields, has_foreign_accounts }
}
