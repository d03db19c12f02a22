//! What a request turns out to be. Decides, and does nothing: no I/O, no clock, no counting.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::settings::Endpoint;
use crate::event::{BodyHash, Millis, ReceiptId};
use crate::http::RequestHeaders;
use crate::ledger::{NewReceipt, ReceiptContent, ReceiptKind};
use crate::providers::{
    HandshakeReply, Header, Inbound, Keys, PayloadContent, Scrubbed, VerifyError,
};

/// A request with its whole body, not yet believed.
pub(super) struct WebhookRequest<'a> {
    pub(super) headers: &'a RequestHeaders<'a>,
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
    pub(super) received_at: Millis,
}

/// What a request is verified with.
pub(super) struct VerificationKeys {
    /// The source's secrets.
    pub(super) secrets: Vec<SecretString>,
    /// What somebody else publishes for it.
    pub(super) published: Option<Arc<[u8]>>,
}

/// What a request turns out to be.
pub(super) enum IntakeResult {
    /// Not to be believed.
    Refused(VerifyError),
    /// To be answered thus, and nothing to be kept.
    Handshake(HandshakeReply),
    /// To be kept.
    Receipt(Box<AcceptedWebhook>),
}

/// What is to be kept of an authentic request, and what is worth counting.
pub(super) struct AcceptedWebhook {
    pub(super) receipt: NewReceipt,
    /// Optional fields that could not be read.
    pub(super) bad_fields: Vec<&'static str>,
    /// Whether some of it was of a platform account that the source may not speak for.
    pub(super) has_foreign_accounts: bool,
}

/// Decides what the request is. `id` becomes the receipt's, if there is one.
pub(super) fn receive_webhook(
    endpoint: &Endpoint,
    given: &VerificationKeys,
    request: &WebhookRequest<'_>,
    id: ReceiptId,
) -> IntakeResult {
    let secrets = given.secrets.iter().map(|secret| secret.expose_secret().as_bytes());
    let secrets: Vec<&[u8]> = secrets.chain(given.published.as_deref()).collect();
    let keys = Keys { secrets: &secrets, tolerance: endpoint.tolerance };
    let inbound = Inbound::new(request.headers, request.query, request.body, request.received_at);
    let verified = match endpoint.provider.verify(inbound, keys, request.received_at) {
        Ok(verified) => verified,
        Err(refusal) => return IntakeResult::Refused(refusal),
    };
    let scrubbed = verified.scrub(endpoint.provider.as_ref());
    let reading = endpoint.provider.read(&scrubbed, &secrets);
    let (reading, foreign) = reading.restrict_to_accounts(endpoint.platform_accounts.as_ref());
    let mut bad_fields = Vec::new();
    let content = match reading.content {
        PayloadContent::Handshake(reply) => return IntakeResult::Handshake(reply),
        PayloadContent::Ignored => ReceiptContent::Ignored,
        PayloadContent::Unmappable(why) => ReceiptContent::Quarantined(why),
        PayloadContent::Changes { changes, bad_fields: bad } => {
            bad_fields = bad;
            ReceiptContent::Changes(changes)
        }
    };
    let digest: [u8; 32] = Sha256::digest(request.body).into();
    let provider = endpoint.provider.as_ref();
    let receipt = NewReceipt {
        id,
        kind: ReceiptKind::Webhook,
        source: endpoint.name.clone(),
        provider: provider.id(),
        received_at: request.received_at,
        event_type: reading.event_type,
        dedupe_key: reading.delivery_id.as_deref().map_or(digest, delivery_key),
        // Nothing says of these when they were sent, so that an old one can be sent again.
        lasting_key: !provider.capabilities().signs_time,
        hash: BodyHash::from_digest(&digest),
        headers: kept_headers(endpoint, &scrubbed),
        body: match content {
            ReceiptContent::Changes(_) | ReceiptContent::Quarantined(_) => scrubbed.body,
            ReceiptContent::Ignored => Vec::new(),
        },
        content,
        // Without credentials nobody would ask.
        fetch_requests: if provider.api().is_some() { reading.fetch_requests } else { Vec::new() },
    };
    IntakeResult::Receipt(Box::new(AcceptedWebhook {
        receipt,
        bad_fields,
        has_foreign_accounts: foreign,
    }))
}

/// The key of a delivery that has an id: of another kind than a body's, so that no body can be made that has it.
fn delivery_key(id: &str) -> [u8; 32] {
    Sha256::new().chain_update(b"delivery ").chain_update(id).finalize().into()
}

/// The headers that are needed to read the request again.
fn kept_headers(endpoint: &Endpoint, request: &Inbound<'_, Scrubbed>) -> Vec<(String, String)> {
    let names = endpoint.provider.read_headers().iter();
    names
        .filter_map(|name| match request.headers.lookup(name) {
            Header::One(value) => Some((name.clone(), String::from_utf8(value.to_vec()).ok()?)),
            Header::Missing | Header::Repeated => None,
        })
        .collect()
}
