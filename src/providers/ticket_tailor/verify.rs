//! Verification of Ticket Tailor's signature.
//!
//! Ticket Tailor signs `{seconds}{raw body}`, without a separator, with HMAC-SHA256 and the webhook's shared secret
//! (<https://developers.tickettailor.com/docs/webhook/security>). So the same signature fits a request with digits
//! moved from the end of the time to the start of the body, or back. That gains an attacker nothing: a body that begins
//! with digits is no JSON object, and a time with more or fewer digits is decades off.

use crate::event::Millis;
use crate::providers::signature::timestamped_hmac::{self, TimestampedHmac};
use crate::providers::{Inbound, Keys, Unverified, Verified, VerifyError};

/// The header with the time and the signature.
const SIGNATURE: &str = "tickettailor-webhook-signature";

/// Verifies that Ticket Tailor signed the request.
pub(super) fn verify<'a>(
    request: Inbound<'a, Unverified>,
    keys: Keys<'_>,
    now: Millis,
) -> Result<Inbound<'a, Verified>, VerifyError> {
    let stamped = TimestampedHmac::read(request.headers.lookup(SIGNATURE))?;
    let secret = stamped.verify(b"", request.body, keys, now)?;
    Ok(request.into_verified(secret))
}

/// Signs a body at `now`, and returns the headers.
pub(super) fn sign(body: &[u8], secret: &[u8], now: Millis) -> Vec<(String, String)> {
    vec![(SIGNATURE.to_owned(), timestamped_hmac::sign(b"", body, secret, now))]
}
