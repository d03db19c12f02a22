//! Verification of Luma's signature.
//!
//! Luma sends the headers and the `whsec_` secret of Standard Webhooks, but signs differently: `webhook-signature` is
//! `t={seconds},v1={hex}`, the HMAC-SHA256 of `{seconds}.{raw body}`, and the key is the whole text of the secret
//! including `whsec_`. Luma's documentation does not describe it
//! (<https://docs.luma.com/reference/webhook_event_created>); all public receivers but one agree on it.

use crate::event::Millis;
use crate::providers::signature::standard_webhooks::{self, StandardWebhooks};
use crate::providers::signature::timestamped_hmac::{TimestampLayout, TimestampedHmac};
use crate::providers::signature::{SignatureScheme, hmac};
use crate::providers::{
    Header, Headers, Inbound, Keys, RawRequest, SignedRequest, UnsignedRequest, Verified,
    VerifyError,
};

/// The header with the signature.
pub(super) const SIGNATURE: &str = "webhook-signature";
/// The header that repeats the time. Only Standard Webhooks signs it.
pub(super) const TIMESTAMP: &str = "webhook-timestamp";

/// Luma's own scheme.
const NATIVE: TimestampedHmac = TimestampedHmac {
    header: SIGNATURE,
    layout: TimestampLayout::Stripe,
    before_time: b"",
    after_time: b".",
};

/// A signature scheme of Luma's webhooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum LumaScheme {
    /// The scheme observed in Luma's webhooks.
    #[default]
    Native,
    /// Standard Webhooks, as the header names suggest.
    StandardWebhooks,
}

impl SignatureScheme for LumaScheme {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        match self {
            Self::Native => {
                let claimed = NATIVE.read(request.headers)?;
                match request.headers.lookup(TIMESTAMP) {
                    // Adds nothing to the signature as long as it repeats the signed time.
                    Header::Missing => {}
                    Header::One(time) if time == claimed.time => {}
                    Header::One(_) | Header::Repeated => return Err(VerifyError::Malformed),
                }
                NATIVE.verify(request, keys)
            }
            Self::StandardWebhooks => StandardWebhooks.verify(request, keys),
        }
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        match self {
            Self::Native => NATIVE.sign(request),
            Self::StandardWebhooks => {
                let id = format!("msg_{}", request.now.get());
                let headers = standard_webhooks::sign(&id, request)?;
                Ok(SignedRequest::with_headers(request, headers))
            }
        }
    }

    fn signed_time(&self, request: &Inbound<'_, Verified>) -> Option<Vec<u8>> {
        match self {
            Self::Native => NATIVE.signed_time(request),
            Self::StandardWebhooks => StandardWebhooks.signed_time(request),
        }
    }

    fn signed_at(
        &self,
        request: &Inbound<'_, Verified>,
        _written: Option<&[u8]>,
    ) -> Option<Millis> {
        self.sent_at(request.headers)
    }

    /// The signed id. Luma's own scheme leaves `webhook-id` unsigned.
    fn delivery_id(&self, headers: &dyn Headers) -> Option<String> {
        match self {
            Self::Native => None,
            Self::StandardWebhooks => StandardWebhooks.delivery_id(headers),
        }
    }
}

impl LumaScheme {
    /// The header with the signed time.
    pub(super) fn time_header(self) -> &'static str {
        match self {
            Self::Native => SIGNATURE,
            Self::StandardWebhooks => TIMESTAMP,
        }
    }

    /// The second in which a verified request was sent.
    pub(super) fn sent_at(self, headers: &dyn Headers) -> Option<Millis> {
        let second = match self {
            Self::Native => NATIVE.read(headers).ok()?.signed_at,
            Self::StandardWebhooks => {
                hmac::parse_unix_seconds(headers.lookup(TIMESTAMP).exactly_one().ok()?)?
            }
        };
        Millis::from_plausible_ms(second.get())
    }
}
