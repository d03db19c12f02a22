//! Verification of Livestorm's signature.
//!
//! Livestorm sends `x-livestorm-signature: {seconds},{hex}`. `hex` is the plain SHA-256 of `{seconds}{secret}{raw
//! body}` without separators (<https://developers.livestorm.co/docs/webhook-signatures>). This is no HMAC: a person who
//! has seen one request can append to its body and compute the new hash (length extension). The appended part begins
//! with the hash's padding, the byte 0x80, which JSON does not allow after its end. So only a complete JSON body
//! verifies. Digits cannot move between the time and the secret or the body either: the body would begin with a digit.

use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::event::Millis;
use crate::providers::signature::hmac;
use crate::providers::{Inbound, Keys, Unverified, Verified, VerifyError};

/// The header with the signed time and the signature.
pub(super) const SIGNATURE: &str = "x-livestorm-signature";
/// Numbers of this many digits or more are milliseconds: as seconds they would lie after the year 5138.
const MILLISECONDS_DIGITS: usize = 12;
/// Longest time that is read. A number of sixteen digits cannot overflow.
const DIGITS_MAX: usize = 16;

/// Verifies that Livestorm signed the request.
///
/// The signature is checked before the time, because an unsigned time proves nothing.
pub(super) fn verify<'a>(
    request: Inbound<'a, Unverified>,
    keys: Keys<'_>,
    now: Millis,
) -> Result<Inbound<'a, Verified>, VerifyError> {
    let header = request.headers.lookup(SIGNATURE).exactly_one()?;
    let comma = header.iter().position(|byte| *byte == b',').ok_or(VerifyError::Malformed)?;
    let (time, hash) = (&header[..comma], &header[comma + 1..]);
    let claimed = hmac::parse_lower_hex(hash).ok_or(VerifyError::Malformed)?;
    let signed_at = parse_signed_time(time).ok_or(VerifyError::Malformed)?;
    let matches = |secret: &&[u8]| {
        !secret.is_empty() && bool::from(signed_hash(time, secret, request.body).ct_eq(&claimed))
    };
    let secret = keys.secrets.iter().position(matches).ok_or(VerifyError::Mismatch)?;
    serde_json::from_slice::<IgnoredAny>(request.body).map_err(|_| VerifyError::Mismatch)?;
    hmac::check_timestamp(signed_at, now, keys.tolerance)?;
    Ok(request.into_verified(secret))
}

/// Signs a body at `now`, and returns the headers.
pub(super) fn sign(body: &[u8], secret: &[u8], now: Millis) -> Vec<(String, String)> {
    let time = now.get().div_euclid(1_000).to_string();
    let hash = hex::encode(signed_hash(time.as_bytes(), secret, body));
    vec![(SIGNATURE.to_owned(), format!("{time},{hash}"))]
}

fn signed_hash(time: &[u8], secret: &[u8], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(time).chain_update(secret).chain_update(body).finalize().into()
}

/// Parses the signed time. The documentation has seconds; a public receiver's test has milliseconds.
fn parse_signed_time(digits: &[u8]) -> Option<Millis> {
    if digits.len() < MILLISECONDS_DIGITS {
        return hmac::parse_unix_seconds(digits);
    }
    if digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(Millis::new(std::str::from_utf8(digits).ok()?.parse().ok()?))
}
