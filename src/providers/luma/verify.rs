//! Verification of Luma's signature.
//!
//! Luma sends the headers and the `whsec_` secret of Standard Webhooks, but signs differently: `webhook-signature` is
//! `t={seconds},v1={hex}`, the HMAC-SHA256 of `{seconds}.{raw body}`, and the key is the whole text of the secret
//! including `whsec_`. Luma's documentation does not describe it
//! (<https://docs.luma.com/reference/webhook_event_created>); all public receivers but one agree on it.

use crate::event::Millis;
use crate::providers::signature::timestamped_hmac::{self, TimestampedHmac};
use crate::providers::signature::{hmac, standard_webhooks};
use crate::providers::{Header, Headers, Inbound, Keys, Unverified, Verified, VerifyError};

/// The header with the signature.
pub(super) const SIGNATURE: &str = "webhook-signature";
/// The header that repeats the time. Only Standard Webhooks signs it.
pub(super) const TIMESTAMP: &str = "webhook-timestamp";

/// A signature scheme of Luma's webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LumaScheme {
    /// The scheme observed in Luma's webhooks.
    Native,
    /// Standard Webhooks, as the header names suggest.
    StandardWebhooks,
}

impl LumaScheme {
    /// Verifies that Luma signed the request.
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
                    // Adds nothing to the signature as long as it repeats the signed time.
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

    /// The time at which a verified request was sent, within the signed second.
    pub(super) fn sent_at(self, headers: &dyn Headers, received_at: Millis) -> Option<Millis> {
        let header = headers.lookup(self.time_header());
        let second = match self {
            Self::Native => TimestampedHmac::read(header).ok()?.at,
            Self::StandardWebhooks => hmac::parse_unix_seconds(header.exactly_one().ok()?)?,
        };
        Some(Millis::from_plausible_ms(second.get())?.refine_within_second(received_at))
    }

    /// An identifier unique to a verified delivery: the signed id, or the signature of time and body.
    pub(super) fn delivery_id(self, headers: &dyn Headers) -> Option<String> {
        match self {
            Self::Native => {
                let stamped = TimestampedHmac::read(headers.lookup(SIGNATURE)).ok()?;
                std::str::from_utf8(stamped.mac).ok().map(str::to_owned)
            }
            Self::StandardWebhooks => standard_webhooks::delivery_id(headers).map(str::to_owned),
        }
    }

    /// Signs a body at `now`, and returns the headers.
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
