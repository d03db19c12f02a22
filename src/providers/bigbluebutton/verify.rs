//! Verification, and signing, of `BigBlueButton` webhooks.
//!
//! The server appends `checksum=` to the query of the registered URL: a plain hash, in hexadecimal, of that URL, the
//! raw body and the server's secret, concatenated. Alternatively it sends the secret itself (`auth2_0`). Both are in
//! <https://github.com/bigbluebutton/bbb-webhooks>, `src/out/webhooks/callback-emitter.js`.
//!
//! The URL comes from the configuration: behind a proxy the request does not show it, and an attacker could choose
//! another.

use std::borrow::Cow;

use subtle::ConstantTimeEq as _;

use super::form;
use crate::event::Millis;
use crate::providers::signature::digest::{HashAlgorithm, MacMethod};
use crate::providers::signature::{SignatureScheme, find_secret, hmac};
use crate::providers::{Keys, RawRequest, SignedRequest, UnsignedRequest, VerifyError};

/// The query parameter with the hash.
pub(super) const CHECKSUM: &str = "checksum";
/// The form field with the signed time, in milliseconds.
const TIMESTAMP: &str = "timestamp";
const FORM: &str = "application/x-www-form-urlencoded;charset=UTF-8";
const BEARER: &[u8] = b"Bearer ";

/// Authentication method of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerAuth {
    /// A hash in the query.
    Checksum {
        /// Hash algorithm.
        checksum: HashAlgorithm,
        /// The URL as registered; without it nothing verifies.
        callback: Option<String>,
    },
    /// The secret in a header.
    Bearer,
}

impl Default for ServerAuth {
    fn default() -> Self {
        Self::Checksum { checksum: HashAlgorithm::Sha1, callback: None }
    }
}

impl SignatureScheme for ServerAuth {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        match self {
            Self::Bearer => {
                let value = request.headers.lookup("authorization").exactly_one()?;
                let token = value.strip_prefix(BEARER).ok_or(VerifyError::Malformed)?;
                find_secret(keys.secrets, |secret| secret.ct_eq(token).into())
            }
            Self::Checksum { checksum, callback } => {
                let claimed = read_checksum(request, *checksum)?;
                let callback = callback.as_ref().ok_or(VerifyError::Mismatch)?;
                let secret = find_secret(keys.secrets, |secret| {
                    let made = checksum_hex(*checksum, callback, request.body, secret);
                    made.as_bytes().ct_eq(claimed.as_bytes()).into()
                })?;
                let at = form::single_value(request.body, TIMESTAMP)
                    .and_then(|text| parse_millis(&text));
                hmac::check_timestamp(
                    at.ok_or(VerifyError::Malformed)?,
                    request.received_at,
                    keys.tolerance,
                )?;
                Ok(secret)
            }
        }
    }

    /// Signs the request with the present time in its form.
    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let body = form::with_value(request.body, TIMESTAMP, &request.now.get().to_string());
        let mut url = request.url.clone();
        let mut headers = vec![("content-type".to_owned(), FORM.to_owned())];
        match self {
            Self::Bearer => {
                let secret =
                    std::str::from_utf8(request.secret).map_err(|_| "the secret is not UTF-8")?;
                headers.push(("authorization".to_owned(), format!("Bearer {secret}")));
            }
            Self::Checksum { checksum, callback } => {
                let callback = callback.as_deref().unwrap_or(url.as_str());
                let checksum = checksum_hex(*checksum, callback, &body, request.secret);
                url.query_pairs_mut().append_pair(CHECKSUM, &checksum);
            }
        }
        Ok(SignedRequest { url, headers, body })
    }

    fn signs_time(&self) -> bool {
        *self != Self::Bearer
    }
}

/// Computes the checksum in lower-case hexadecimal.
fn checksum_hex(checksum: HashAlgorithm, callback: &str, body: &[u8], secret: &[u8]) -> String {
    // The secret comes last in the message, so a known hash cannot be extended.
    hex::encode(checksum.compute(MacMethod::Hash, b"", &[callback.as_bytes(), body, secret]))
}

/// Reads the one checksum in the query.
fn read_checksum<'a>(
    request: &RawRequest<'a>,
    checksum: HashAlgorithm,
) -> Result<Cow<'a, str>, VerifyError> {
    let claimed = request.parameter(CHECKSUM)?;
    // Lower case only, so that each request has a single valid form.
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if claimed.len() != 2 * checksum.length() || !claimed.bytes().all(digit) {
        return Err(VerifyError::Malformed);
    }
    Ok(claimed)
}

/// Parses a time in whole milliseconds, written in digits only.
fn parse_millis(text: &str) -> Option<Millis> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Millis::from_plausible_ms(text.parse().ok().filter(|_| digits)?)
}
