//! Verification of Zoom's signature.
//!
//! Zoom signs `v0:{timestamp header}:{raw body}` with HMAC-SHA256 and the app's secret token
//! (<https://developers.zoom.us/docs/api/webhooks>). Zoom's own samples re-serialize the parsed body, which fails on
//! real deliveries: they mix `\u` escapes and raw UTF-8. Only the raw bytes verify.

use crate::event::Millis;
use crate::providers::signature::hmac;
use crate::providers::{Inbound, Keys, Unverified, Verified, VerifyError};

/// The header with the signature.
pub(super) const SIGNATURE: &str = "x-zm-signature";
/// The header with the signed time, in seconds.
pub(super) const TIMESTAMP: &str = "x-zm-request-timestamp";
/// The scheme's version; there is no other.
const VERSION: &[u8] = b"v0";

/// Verifies that Zoom signed the request.
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
        .strip_prefix(VERSION)
        .and_then(|rest| rest.strip_prefix(b"="))
        .and_then(hmac::parse_lower_hex)
        .ok_or(VerifyError::Malformed)?;
    let signed_at = hmac::parse_unix_seconds(timestamp).ok_or(VerifyError::Malformed)?;
    let secret =
        hmac::find_signing_secret(keys.secrets, &message(timestamp, request.body), &claimed)
            .ok_or(VerifyError::Mismatch)?;
    hmac::check_timestamp(signed_at, now, keys.tolerance)?;
    Ok(request.into_verified(secret))
}

/// Signs a body at `now`, and returns the headers.
pub(super) fn sign(body: &[u8], secret: &[u8], now: Millis) -> Vec<(String, String)> {
    let timestamp = now.get().div_euclid(1_000).to_string();
    let mac = hmac::sha256(secret, &message(timestamp.as_bytes(), body));
    let signature = format!("v0={}", hex::encode(mac));
    vec![(SIGNATURE.to_owned(), signature), (TIMESTAMP.to_owned(), timestamp)]
}

fn message<'a>(timestamp: &'a [u8], body: &'a [u8]) -> [&'a [u8]; 5] {
    [VERSION, b":", timestamp, b":", body]
}
