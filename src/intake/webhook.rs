//! A webhook request: refused, answered as a handshake, or a receipt.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::receipt::{IntakeReceipt, ReceiptParts, build};
use super::{Replays, Source};
use crate::event::{Millis, ReceiptId};
use crate::ledger::{DuplicateRule, ReceiptKind};
use crate::providers::{
    HandshakeReply, Header, Inbound, Keys, ParsedPayload, PayloadContent, Provider, Scrubbed,
    Unverified, Verified, VerifyError,
};

/// The present keys that webhooks of a source are verified with.
pub struct VerificationKeys {
    /// The source's secrets.
    pub secrets: Vec<SecretString>,
    /// The key set that the platform publishes.
    pub published: Option<Arc<[u8]>>,
}

/// How far outside the tolerance a signed time may lie for a clock to be the likely cause.
const OUT_OF_TIME: Duration = Duration::from_hours(24);

/// The result of taking in a webhook request.
#[derive(Debug)]
pub enum IntakeResult {
    /// The request is not authentic.
    Refused(VerifyError),
    /// The signature is right, and its time lies outside the tolerance by less than a day: the platform is
    /// late, or a clock is wrong.
    OutOfTime {
        /// Whether the time lies too far behind or ahead.
        error: VerifyError,
        /// The signed time, where it is known.
        signed_at: Option<Millis>,
    },
    /// The platform asks for this reply; nothing is stored.
    Handshake(HandshakeReply),
    /// The request is authentic; the caller stores its receipt.
    Receipt {
        /// The receipt.
        receipt: Box<IntakeReceipt>,
        /// The signed time, where a time is signed.
        signed_at: Option<Millis>,
    },
}

impl Source {
    /// Verifies and reads a webhook request. Its receipt, if there is one, gets the id.
    #[must_use]
    pub fn receive_webhook(
        &self,
        keys: &VerificationKeys,
        request: Inbound<'_, Unverified>,
        id: ReceiptId,
    ) -> IntakeResult {
        let provider = self.provider.as_ref();
        let secrets = keys.secrets.iter().map(|secret| secret.expose_secret().as_bytes());
        let secrets: Vec<&[u8]> = secrets.chain(keys.published.as_deref()).collect();
        let keys = Keys { secrets: &secrets, tolerance: self.tolerance, grace: Duration::ZERO };
        let Inbound { headers, query, body, received_at, .. } = request;
        let verified = match provider.verify(request, keys) {
            Ok(verified) => verified,
            Err(error @ (VerifyError::Stale | VerifyError::Future)) => {
                let tolerance = self.tolerance.saturating_add(OUT_OF_TIME);
                let keys = Keys { tolerance, grace: OUT_OF_TIME, ..keys };
                let again = Inbound::new(headers, query, body, received_at);
                return match provider.verify(again, keys) {
                    Ok(verified) => {
                        let (_, signed_at) = signed_time(provider, &verified);
                        IntakeResult::OutOfTime { error, signed_at }
                    }
                    Err(_) => IntakeResult::Refused(error),
                };
            }
            Err(error) => return IntakeResult::Refused(error),
        };
        let digest: [u8; 32] = Sha256::digest(verified.body).into();
        let (signed_time, signed_at) = signed_time(provider, &verified);
        let request = verified.scrub(provider);
        let (payload, has_foreign_accounts) = self.restrict(provider.read(&request, &secrets));
        if let PayloadContent::Handshake(reply) = payload.content {
            return IntakeResult::Handshake(reply);
        }
        let (dedupe_key, duplicates) = self.recognize(&payload, &digest, signed_time.as_deref());
        let parts = ReceiptParts {
            id,
            kind: ReceiptKind::Webhook,
            received_at,
            digest,
            dedupe_key,
            duplicates,
            headers: headers_for_reading(&provider.read_headers(), &request),
            body: request.body,
        };
        let receipt = Box::new(build(self, parts, (payload, has_foreign_accounts)));
        IntakeResult::Receipt { receipt, signed_at }
    }

    /// The key by which a repetition of the webhook is recognized, and when it is a duplicate: the delivery's signed id,
    /// else what is signed of body and time.
    fn recognize(
        &self,
        payload: &ParsedPayload,
        digest: &[u8; 32],
        signed_time: Option<&[u8]>,
    ) -> ([u8; 32], DuplicateRule) {
        let signs_time = self.provider.scheme().signs_time();
        match (payload.delivery_id.as_deref(), signed_time) {
            (Some(id), _) if signs_time => (delivery_key(id), DuplicateRule::Delivery),
            // Without a signed time, an old delivery can be sent again.
            (Some(id), _) => (delivery_key(id), DuplicateRule::Lasting),
            (None, Some(time)) if signs_time => {
                (timed_key(digest, time), DuplicateRule::SignedTime)
            }
            (None, Some(time)) => (timed_key(digest, time), DuplicateRule::Lasting),
            // The body holds the signed time.
            (None, None) if signs_time => (*digest, DuplicateRule::Delivery),
            (None, None) if payload.only_requests_fetches() => {
                (*digest, DuplicateRule::OpenRequests)
            }
            (None, None) if self.replays == Replays::Refuse => (*digest, DuplicateRule::Lasting),
            (None, None) => (*digest, DuplicateRule::LastOfWebinar),
        }
    }
}

/// The signed time of a request, as it is written and as it is read.
fn signed_time(
    provider: &dyn Provider,
    request: &Inbound<'_, Verified>,
) -> (Option<Vec<u8>>, Option<Millis>) {
    let written = provider.scheme().signed_time(request);
    let signed_at = provider.scheme().signed_at(request, written.as_deref());
    (written, signed_at)
}

/// The dedupe key of a delivery that has an id. The prefix keeps it apart from every body's.
fn delivery_key(id: &str) -> [u8; 32] {
    Sha256::new().chain_update(b"delivery ").chain_update(id).finalize().into()
}

/// The dedupe key of a body that was signed with that time. The prefix keeps it apart from every body's.
fn timed_key(digest: &[u8; 32], time: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"signed at ")
        .chain_update(time)
        .chain_update(digest)
        .finalize()
        .into()
}

/// The headers that reading the stored request needs again.
fn headers_for_reading(names: &[String], request: &Inbound<'_, Scrubbed>) -> Vec<(String, String)> {
    let names = names.iter();
    names
        .filter_map(|name| match request.headers.lookup(name) {
            Header::One(value) => Some((name.clone(), String::from_utf8(value.to_vec()).ok()?)),
            Header::Missing | Header::Repeated => None,
        })
        .collect()
}
