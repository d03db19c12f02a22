//! Verification of Riverside's signature.
//!
//! Riverside signs `{timestamp header}:{raw body}` with HMAC-SHA256 and the subscription's secret. It signs each
//! attempt separately, and the body holds the attempt's number
//! (<https://docs.riverside.fm/webhooks/verifying-signatures>).

use crate::event::Millis;
use crate::providers::signature::hmac;
use crate::providers::{Inbound, Keys, Unverified, Verified, VerifyError};

/// The header with the signature.
const SIGNATURE: &str = "x-riverside-signature";
/// The header with the signed time, in seconds.
const TIMESTAMP: &str = "x-riverside-timestamp";

/// Verifies that Riverside signed the request.
///
/// The signature is checked before the time, because an unsigned time proves nothing.
pub(super) fn verify<'a>(
    request: Inbound<'a, Unverified>,
    keys: Keys<'_>,
    now: Millis,
) -> Result<Inbound<'a, Verified>, VerifyError> {
    let signature = request.headers.lookup(SIGNATURE).exactly_one()?;
    let timestamp = request.headers.lookup(TIMESTAMP).exactly_one()?;
    let claimed = signature
        .strip_prefix(b"v1=")
        .and_then(hmac::parse_lower_hex)
        .ok_or(VerifyError::Malformed)?;
    let signed_at = hmac::parse_unix_seconds(timestamp).ok_or(VerifyError::Malformed)?;
    let parts = [timestamp, b":", request.body];
    let secret =
        hmac::find_signing_secret(keys.secrets, &parts, &claimed).ok_or(VerifyError::Mismatch)?;
    hmac::check_timestamp(signed_at, now, keys.tolerance)?;
    Ok(request.into_verified(secret))
}

/// Signs a body at `now`, and returns the headers.
pub(super) fn sign(body: &[u8], secret: &[u8], now: Millis) -> Vec<(String, String)> {
    let timestamp = now.get().div_euclid(1_000).to_string();
    let mac = hmac::sha256(secret, &[timestamp.as_bytes(), b":", body]);
    let signature = format!("v1={}", hex::encode(mac));
    vec![(SIGNATURE.to_owned(), signature), (TIMESTAMP.to_owned(), timestamp)]
}
