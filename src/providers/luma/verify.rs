//! From raw bytes to a verified request.
//!
//! Luma sends the headers and the `whsec_` secret of Standard Webhooks, but signs in a way of its own: `webhook-signature` is
//! `t={seconds},v1={hex}`, the HMAC-SHA256 of `{seconds}.{raw body}`, and the key is the whole text of the secret, `whsec_`
//! included. Luma's documents are silent about it (<https://docs.luma.com/reference/webhook_event_created>); the receivers that
//! others have published agree on it, but for one.

use crate::event::Millis;
use crate::providers::signature::timestamped_hmac::{self, TimestampedHmac};
use crate::providers::signature::{hmac, standard_webhooks};
use crate::providers::{Header, Headers, Inbound, Keys, Unverified, Verified, VerifyError};

/// The header with the signature.
pub(super) const SIGNATURE: &str = "webhook-signature";
/// The header with the time, once more; signed by itself in Standard Webhooks only.
pub(super) const TIMESTAMP: &str = "webhook-timestamp";

/// How Luma signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LumaScheme {
    /// In its own way.
    Native,
    /// As the headers' names say.
    StandardWebhooks,
}

impl LumaScheme {
    /// Decides whether Luma sent the request.
    pub(super) fn verify<'a>(
        self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, VerifyError> {
        let Inbound { headers, body, .. } = request;
        let secret = match self {
            Self::Native => {
                let stamped = TimestampedHmac::read(headers.lookup(SIGNATURE))?;
                match headers.lookup(TIMESTAMP) {
                    // It says nothing that the signature does not, if it says the same.
                    Header::Missing => {}
                    Header::One(time) if time == stamped.time => {}
                    Header::One(_) | Header::Repeated => return Err(VerifyError::Malformed),
                }
                stamped.verify(b".", body, keys, now)?
            }
            Self::StandardWebhooks => {
                standard_webhooks::verify(headers, body, keys.secrets, now, keys.tolerance)?
            }
        };
        Ok(request.into_verified(secret))
    }

    /// The header with the signed time.
    pub(super) fn time_header(self) -> &'static str {
        match self {
            Self::Native => SIGNATURE,
            Self::StandardWebhooks => TIMESTAMP,
        }
    }

    /// When a verified request was sent: in the second that is signed.
    pub(super) fn sent_at(self, headers: &dyn Headers, received_at: Millis) -> Option<Millis> {
        let header = headers.lookup(self.time_header());
        let second = match self {
            Self::Native => TimestampedHmac::read(header).ok()?.at,
            Self::StandardWebhooks => hmac::parse_unix_seconds(header.exactly_one().ok()?)?,
        };
        Some(Millis::from_plausible_ms(second.get())?.refine_within_second(received_at))
    }

    /// What of a verified request no other has: the signed id, or the signature of its time and body.
    pub(super) fn delivery_id(self, headers: &dyn Headers) -> Option<String> {
        match self {
            Self::Native => {
                let stamped = TimestampedHmac::read(headers.lookup(SIGNATURE)).ok()?;
                std::str::from_utf8(stamped.mac).ok().map(str::to_owned)
            }
            Self::StandardWebhooks => standard_webhooks::delivery_id(headers).map(str::to_owned),
        }
    }

    /// The headers that make the body authentic at `now`.
    pub(super) fn sign(
        self,
        body: &[u8],
        secret: &[u8],
        now: Millis,
    ) -> Result<Vec<(String, String)>, String> {
        match self {
            Self::Native => {
                Ok(vec![(SIGNATURE.to_owned(), timestamped_hmac::sign(b".", body, secret, now))])
            }
            Self::StandardWebhooks => {
                standard_webhooks::sign(&format!("msg_{}", now.get()), body, secret, now)
            }
        }
    }
}
