//! From raw bytes to a verified request, and back.
//!
//! The server appends `checksum=` to the query of the URL that was registered: a plain hash, in hexadecimal, of that URL,
//! the raw body and the server's secret, one after the other. Or it sends the secret itself (`auth2_0`). Both are in
//! <https://github.com/bigbluebutton/bbb-webhooks>, `src/out/webhooks/callback-emitter.js`.
//!
//! The URL is configured: behind a proxy it cannot be told from the request, and an attacker could choose another.

use subtle::ConstantTimeEq as _;
use url::form_urlencoded::parse;

use super::form;
use crate::event::Millis;
use crate::providers::signature::digest::{Algorithm, Method};
use crate::providers::signature::hmac;
use crate::providers::{Inbound, Keys, Refusal, Signed, Unsigned, Unverified, Verified};

/// The query's parameter with the hash.
pub(super) const CHECKSUM: &str = "checksum";
/// The body's field with the signed time, in milliseconds.
const TIMESTAMP: &str = "timestamp";
const FORM: &str = "application/x-www-form-urlencoded;charset=UTF-8";
const BEARER: &[u8] = b"Bearer ";

/// How the server proves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Auth {
    /// By a hash.
    Checksum {
        /// Which.
        checksum: Algorithm,
        /// The URL as it was registered; without it nothing can be verified.
        callback: Option<String>,
    },
    /// By the secret itself.
    Bearer,
}

impl Default for Auth {
    fn default() -> Self {
        Self::Checksum { checksum: Algorithm::Sha1, callback: None }
    }
}

/// The hashes that a server can be configured to make; the first is made if nothing is said.
pub(super) const CHECKSUMS: [(&str, Algorithm); 4] = [
    ("sha1", Algorithm::Sha1),
    ("sha256", Algorithm::Sha256),
    ("sha384", Algorithm::Sha384),
    ("sha512", Algorithm::Sha512),
];

impl Auth {
    /// Decides whether the server sent the request.
    pub(super) fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, Refusal> {
        let secret = match self {
            Self::Bearer => bearer(&request, keys.secrets)?,
            Self::Checksum { checksum, callback } => {
                let claimed = claimed(request.query, *checksum)?;
                let callback = callback.as_ref().ok_or(Refusal::Mismatch)?;
                let made = |secret| hash(*checksum, callback, request.body, secret);
                let secret = matching(keys.secrets, made, &claimed)?;
                let at = form::one(request.body, TIMESTAMP).and_then(|text| millis(&text));
                hmac::timely(at.ok_or(Refusal::Malformed)?, now, keys.tolerance)?;
                secret
            }
        };
        Ok(request.proved_by(secret))
    }

    /// The request that is authentic now: with the present time in its form.
    pub(super) fn sign(&self, request: Unsigned<'_>) -> Result<Signed, String> {
        let body = form::with(request.body, TIMESTAMP, &request.now.get().to_string());
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
                let checksum = hash(*checksum, callback, &body, request.secret);
                url.query_pairs_mut().append_pair(CHECKSUM, &checksum);
            }
        }
        Ok(Signed { url, headers, body })
    }
}

/// In lower-case hexadecimal.
fn hash(checksum: Algorithm, callback: &str, body: &[u8], secret: &[u8]) -> String {
    // The secret is part of the message, and last: what is hashed before it cannot be continued behind it.
    hex::encode(checksum.code(Method::Hash, b"", &[callback.as_bytes(), body, secret]))
}

/// The one hash that the query names.
fn claimed(query: &str, checksum: Algorithm) -> Result<String, Refusal> {
    let mut found = parse(query.as_bytes()).filter(|(name, _)| name == CHECKSUM);
    let (_, claimed) = found.next().ok_or(Refusal::Missing)?;
    // One spelling only, so that a request has one.
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if found.next().is_some()
        || claimed.len() != 2 * checksum.length()
        || !claimed.bytes().all(digit)
    {
        return Err(Refusal::Malformed);
    }
    Ok(claimed.into_owned())
}

fn bearer(request: &Inbound<'_, Unverified>, secrets: &[&[u8]]) -> Result<usize, Refusal> {
    let value = request.headers.one("authorization").once()?;
    let token = value.strip_prefix(BEARER).ok_or(Refusal::Malformed)?;
    matching(secrets, |secret| secret, token)
}

/// Which of the secrets makes what is claimed; the first of several. An empty one proves nothing.
fn matching<'a, T: AsRef<[u8]>>(
    secrets: &[&'a [u8]],
    made: impl Fn(&'a [u8]) -> T,
    claimed: impl AsRef<[u8]>,
) -> Result<usize, Refusal> {
    let is_it = |secret: &&'a [u8]| {
        !secret.is_empty() && bool::from(made(secret).as_ref().ct_eq(claimed.as_ref()))
    };
    secrets.iter().position(is_it).ok_or(Refusal::Mismatch)
}

/// A time in whole milliseconds, in digits only.
fn millis(text: &str) -> Option<Millis> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Millis::plausible(text.parse().ok().filter(|_| digits)?)
}
