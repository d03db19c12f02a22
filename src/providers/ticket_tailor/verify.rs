//! From raw bytes to a verified request.
//!
//! Ticket Tailor signs `{seconds}{raw body}`, with nothing between the two, with HMAC-SHA256 and the webhook's shared secret
//! (<https://developers.tickettailor.com/docs/webhook/security>). So the same signature fits a request whose first digits
//! of the body were moved from the end of the time, or back. Nobody gains by that: a body that begins with digits is no
//! JSON object, and a time with digits more or less is decades off.

use crate::event::Millis;
use crate::providers::signature::timestamped_hmac::{self, TimestampedHmac};
use crate::providers::{Inbound, Keys, Unverified, Verified, VerifyError};

/// The header with the time and the signature.
const SIGNATURE: &str = "tickettailor-webhook-signature";

/// Decides whether Ticket Tailor sent the request.
pub(super) fn verify<'a>(
    request: Inbound<'a, Unverified>,
    keys: Keys<'_>,
    now: Millis,
) -> Result<Inbound<'a, Verified>, VerifyError> {
    let stamped = TimestampedHmac::read(request.headers.lookup(SIGNATURE))?;
    let secret = stamped.verify(b"", request.body, keys, now)?;
    Ok(request.into_verified(secret))
}

/// The headers that make the body authentic at `now`.
pub(super) fn sign(body: &[u8], secret: &[u8], now: Millis) -> Vec<(String, String)> {
    vec![(SIGNATURE.to_owned(), timestamped_hmac::sign(b"", body, secret, now))]
}
