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
use crate::providers::scrub::BYTE_ORDER_MARK;
use crate::providers::signature::{SignatureScheme, find_secret, hmac};
use crate::providers::{
    Inbound, Keys, RawRequest, SignedRequest, UnsignedRequest, Verified, VerifyError,
};

/// The header with the signed time and the signature.
pub(super) const SIGNATURE: &str = "x-livestorm-signature";
/// Numbers of this many digits or more are milliseconds: as seconds they would lie after the year 5138.
const MILLISECONDS_DIGITS: usize = 12;
/// Longest time that is read. A number of sixteen digits cannot overflow.
const DIGITS_MAX: usize = 16;

/// Livestorm's scheme.
pub(super) struct LivestormScheme;

impl SignatureScheme for LivestormScheme {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        let header = request.headers.lookup(SIGNATURE).exactly_one()?;
        let comma = header.iter().position(|byte| *byte == b',').ok_or(VerifyError::Malformed)?;
        let (time, hash) = (&header[..comma], &header[comma + 1..]);
        let claimed = hmac::parse_lower_hex(hash).ok_or(VerifyError::Malformed)?;
        let signed_at = parse_signed_time(time).ok_or(VerifyError::Malformed)?;
        let secret = find_secret(keys.secrets, |secret| {
            signed_hash(time, secret, request.body).ct_eq(&claimed).into()
        })?;
        let json = request.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(request.body);
        serde_json::from_slice::<IgnoredAny>(json).map_err(|_| VerifyError::Mismatch)?;
        hmac::check_timestamp(signed_at, request.received_at, keys.tolerance)?;
        Ok(secret)
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let time = request.now.get().div_euclid(1_000).to_string();
        let hash = hex::encode(signed_hash(time.as_bytes(), request.secret, request.body));
        let headers = vec![(SIGNATURE.to_owned(), format!("{time},{hash}"))];
        Ok(SignedRequest::with_headers(request, headers))
    }

    fn signed_time(&self, request: &Inbound<'_, Verified>) -> Option<Vec<u8>> {
        let header = request.headers.lookup(SIGNATURE).exactly_one().ok()?;
        header.split(|byte| *byte == b',').next().map(<[u8]>::to_vec)
    }

    fn signed_at(
        &self,
        _request: &Inbound<'_, Verified>,
        written: Option<&[u8]>,
    ) -> Option<Millis> {
        parse_signed_time(written?)
    }
}

fn signed_hash(time: &[u8], secret: &[u8], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(time).chain_update(secret).chain_update(body).finalize().into()
}

/// Parses the signed time. The documentation has seconds; a public receiver's test has milliseconds.
fn parse_signed_time(digits: &[u8]) -> Option<Millis> {
    if digits.len() < MILLISECONDS_DIGITS {
        return hmac::parse_unix_seconds(digits);
    }
    hmac::parse_digits(digits, DIGITS_MAX).map(Millis::new)
}
