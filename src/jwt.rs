//! Signed JSON Web Tokens (RFC 7519, RFC 7515): verified with configured or published keys (RFC 7517), and minted.
//!
//! Promises: the receiver pins the algorithms. A token's own `alg` is only compared with them, and its keys (`jwk`, `jku`,
//! `x5u`) are ignored. The claims are judged by the time that the caller gives. Only this module uses the crate
//! `jsonwebtoken`, and only for keys and signatures. It holds nothing, so a crash loses nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, EncodingKey, Header, crypto};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Tolerated difference between two clocks, in milliseconds.
const LEEWAY_MS: i64 = 60 * 1_000;
/// Lifetime of a minted token, in milliseconds.
const LIFETIME_MS: i64 = 5 * 60 * 1_000;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// It is no token, or lacks a claim that it must have.
    #[error("the token is malformed")]
    Malformed,
    /// No key verifies it, or its issuer or audience is another.
    #[error("the token does not match")]
    Mismatch,
    /// It is signed with a key that is not in the published set, but may be in the next.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// It has expired.
    #[error("the token has expired")]
    Stale,
    /// It is not valid yet.
    #[error("the token is not valid yet")]
    Future,
}

/// Requirements for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// Accepted algorithms, all of one family.
    pub algorithms: Vec<Algorithm>,
    /// Required issuer (`iss`).
    pub issuer: Option<String>,
    /// Required audience (`aud`), perhaps one of several.
    pub audience: Option<String>,
}

/// Keys that verify a token.
#[derive(Clone, Copy)]
pub enum TokenKeys<'a> {
    /// Shared secrets, or public keys as PEM.
    Given(&'a [&'a [u8]]),
    /// A JSON Web Key Set, as published.
    Published(&'a [u8]),
}

/// A token that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Claims, a JSON object.
    pub claims: String,
    /// Index of the given key that verified it; 0 for published keys.
    pub key: usize,
}

#[derive(Deserialize)]
struct TokenHeader {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    exp: Option<&'a RawValue>,
    #[serde(borrow)]
    nbf: Option<&'a RawValue>,
    #[serde(borrow)]
    iat: Option<&'a RawValue>,
    iss: Option<Value>,
    aud: Option<Value>,
}

/// Most published keys that are tried: identity providers have two or three.
const MAX_PUBLISHED_KEYS: usize = 16;

#[derive(Deserialize)]
struct KeySet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// Verifies that a token is signed with one of the keys, valid at `now_ms` (since 1970), and as the rules require.
///
/// # Errors
/// [`JwtError`]; after [`JwtError::UnknownKey`] the key may have been published meanwhile.
pub fn verify(
    token: &[u8],
    keys: TokenKeys<'_>,
    rules: &TokenRules,
    now_ms: i64,
) -> Result<VerifiedToken, JwtError> {
    verify_within(token, keys, rules, now_ms, Duration::ZERO)
}

/// As [`verify()`], but the token's times may lie this much further outside: to tell a right token that is out of time
/// from a wrong one.
///
/// # Errors
/// Those of [`verify()`].
pub fn verify_within(
    token: &[u8],
    keys: TokenKeys<'_>,
    rules: &TokenRules,
    now_ms: i64,
    grace: Duration,
) -> Result<VerifiedToken, JwtError> {
    let text = std::str::from_utf8(token).map_err(|_| JwtError::Malformed)?;
    let (signed, signature) = text.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (head, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
    let head: TokenHeader =
        serde_json::from_slice(&decode_part(head)?).map_err(|_| JwtError::Malformed)?;
    let claims = String::from_utf8(decode_part(claims)?).map_err(|_| JwtError::Malformed)?;
    // A token with extensions that the receiver does not know is invalid (RFC 7515, 4.1.11).
    if head.crit.is_some() {
        return Err(JwtError::Malformed);
    }
    let algorithm = rules.algorithms.iter().copied().find(|known| is_named(*known, &head.alg));
    let algorithm = algorithm.ok_or(JwtError::Mismatch)?;
    let signs = |key: &DecodingKey| {
        crypto::verify(signature, signed.as_bytes(), key, algorithm).unwrap_or(false)
    };
    let key = match keys {
        TokenKeys::Given(secrets) => secrets
            .iter()
            .position(|secret| decoding_key(algorithm, secret).is_some_and(|key| signs(&key)))
            .ok_or(JwtError::Mismatch)?,
        TokenKeys::Published(set) => {
            let keys = published_keys(set, algorithm, head.kid.as_deref());
            if !keys.iter().any(signs) {
                // A token without a key id may be signed by a key that is not published yet, too.
                let is_known = head.kid.is_some() && !keys.is_empty();
                return Err(if is_known { JwtError::Mismatch } else { JwtError::UnknownKey });
            }
            0
        }
    };
    let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    check_claims(&claims, rules, now_ms, LEEWAY_MS.saturating_add(grace))?;
    Ok(VerifiedToken { claims, key })
}

/// Decodes the claims of a token that was verified before, as JSON; none if it is no token.
#[must_use]
pub fn decode_claims(token: &[u8]) -> Option<Vec<u8>> {
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(head), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let is_object = |json: &[u8]| serde_json::from_slice::<Map<String, Value>>(json).is_ok();
    let (head, claims) = (URL_SAFE_NO_PAD.decode(head).ok()?, URL_SAFE_NO_PAD.decode(claims).ok()?);
    (is_object(&head) && is_object(&claims)).then_some(claims)
}

/// Parses the claims of a token that is to be minted.
///
/// # Errors
/// The body is no JSON object; a sentence for operators.
pub fn parse_claims(body: &[u8]) -> Result<Map<String, Value>, String> {
    serde_json::from_slice(body).map_err(|_| {
        "the body is not a JSON object, so it cannot be the claims of a token".to_owned()
    })
}

/// Mints a token with these claims, valid from `now_ms` for some minutes, as the rules require.
///
/// # Errors
/// Why that key cannot sign, for operators.
pub fn mint(
    mut claims: Map<String, Value>,
    key: &[u8],
    rules: &TokenRules,
    now_ms: i64,
) -> Result<String, String> {
    let algorithm = *rules.algorithms.first().ok_or("no algorithm is named")?;
    let seconds = |time_ms: i64| Value::from(time_ms.div_euclid(1_000));
    claims.insert("iat".to_owned(), seconds(now_ms));
    claims.insert("exp".to_owned(), seconds(now_ms.saturating_add(LIFETIME_MS)));
    let text = |text: &String| Value::from(text.as_str());
    claims.extend(rules.issuer.as_ref().map(|issuer| ("iss".to_owned(), text(issuer))));
    claims.extend(rules.audience.as_ref().map(|audience| ("aud".to_owned(), text(audience))));
    let key = match algorithm.family() {
        AlgorithmFamily::Hmac => Ok(EncodingKey::from_secret(key)),
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(key),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(key),
        AlgorithmFamily::Ed => EncodingKey::from_ed_pem(key),
    };
    let unusable = |_| format!("the key is no private key of {algorithm:?} in PEM");
    jsonwebtoken::encode(&Header::new(algorithm), &claims, &key.map_err(unusable)?)
        .map_err(|_| format!("the key cannot sign by {algorithm:?}"))
}

/// Checks a key for verification. Returns what is wrong with it, as the rest of a sentence that begins with its name.
#[must_use]
pub fn check_key(algorithm: Algorithm, key: &[u8]) -> Option<&'static str> {
    if decoding_key(algorithm, key).is_some() {
        return None;
    }
    Some(match algorithm.family() {
        AlgorithmFamily::Hmac if key.is_empty() => "is empty. Put the secret there",
        AlgorithmFamily::Hmac => "is a key in PEM, not a shared secret. Correct algorithms, or it",
        AlgorithmFamily::Rsa | AlgorithmFamily::Ec | AlgorithmFamily::Ed => {
            "is no public key of the algorithm. Give it as PEM: -----BEGIN PUBLIC KEY-----"
        }
    })
}

/// The algorithm of that name.
#[must_use]
pub fn parse_algorithm(name: &str) -> Option<Algorithm> {
    name.parse().ok()
}

/// Whether the algorithm's keys are shared secrets, which cannot be published.
#[must_use]
pub fn is_shared(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

/// Whether the algorithms use keys of one family.
#[must_use]
pub fn same_family(algorithms: &[Algorithm]) -> bool {
    algorithms.windows(2).all(|two| matches!(two, [a, b] if a.family() == b.family()))
}

fn is_named(algorithm: Algorithm, name: &str) -> bool {
    name.parse() == Ok(algorithm)
}

fn decode_part(part: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)
}

fn decoding_key(algorithm: Algorithm, key: &[u8]) -> Option<DecodingKey> {
    match algorithm.family() {
        // Anyone has the empty secret, and a public key.
        AlgorithmFamily::Hmac => {
            let is_shared = !key.is_empty() && !key.trim_ascii_start().starts_with(b"-----BEGIN ");
            is_shared.then(|| DecodingKey::from_secret(key))
        }
        // The crate accepts a private key too, which then verifies nothing. Base64 has no spaces.
        AlgorithmFamily::Rsa if key.windows(12).any(|part| part == b" PRIVATE KEY") => None,
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(key).ok(),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(key).ok(),
        AlgorithmFamily::Ed => DecodingKey::from_ed_pem(key).ok(),
    }
}

/// The keys of that id for the algorithm, more than one if they are of several curves; without an id, all keys for the
/// algorithm.
fn published_keys(set: &[u8], algorithm: Algorithm, kid: Option<&str>) -> Vec<DecodingKey> {
    let Ok(set) = serde_json::from_slice::<KeySet<'_>>(set) else { return Vec::new() };
    // Real sets contain keys of unknown kinds; those are skipped.
    let known = set.keys.iter().filter_map(|key| serde_json::from_str::<Jwk>(key.get()).ok());
    let is_meant = |key: &Jwk| {
        let key = &key.common;
        (kid.is_none() || kid == key.key_id.as_deref())
            && key.key_algorithm.is_none_or(|named| is_named(algorithm, &named.to_string()))
            && key.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
    };
    let keys = known.filter(is_meant).filter_map(|key| DecodingKey::from_jwk(&key).ok());
    // Anyone can read a shared key in a published set.
    let fitting = keys.filter(|key| key.family() == algorithm.family() && !is_shared(algorithm));
    fitting.take(MAX_PUBLISHED_KEYS).collect()
}

fn check_claims(
    claims: &str,
    rules: &TokenRules,
    now_ms: i64,
    leeway_ms: i64,
) -> Result<(), JwtError> {
    let claims: Claims<'_> = serde_json::from_str(claims).map_err(|_| JwtError::Malformed)?;
    let time = |claim: Option<&RawValue>| match claim {
        Some(raw) => numeric_date(raw).map(Some).ok_or(JwtError::Malformed),
        None => Ok(None),
    };
    let expires_ms = time(claims.exp)?.ok_or(JwtError::Malformed)?;
    if now_ms.saturating_sub(expires_ms) > leeway_ms {
        return Err(JwtError::Stale);
    }
    for begins_ms in [time(claims.nbf)?, time(claims.iat)?].into_iter().flatten() {
        if begins_ms.saturating_sub(now_ms) > leeway_ms {
            return Err(JwtError::Future);
        }
    }
    let equals =
        |claim: &Option<Value>, required: &str| claim.as_ref().is_some_and(|c| c == required);
    let contains = |claim: &Option<Value>, required: &str| {
        let list = claim.as_ref().and_then(Value::as_array);
        list.map_or_else(|| equals(claim, required), |list| list.iter().any(|one| one == required))
    };
    let is_from_issuer = rules.issuer.as_ref().is_none_or(|issuer| equals(&claims.iss, issuer));
    let is_for_us = rules.audience.as_ref().is_none_or(|audience| contains(&claims.aud, audience));
    if is_from_issuer && is_for_us { Ok(()) } else { Err(JwtError::Mismatch) }
}

/// Milliseconds since 1970 of a `NumericDate` (RFC 7519, 2): seconds, perhaps with a fraction, which is dropped. None for
/// a number with an exponent, which no issuer writes and whose digits alone are another number.
fn numeric_date(raw: &RawValue) -> Option<i64> {
    let (whole, fraction) = raw.get().split_once('.').unwrap_or((raw.get(), ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    whole.parse::<i64>().ok()?.checked_mul(1_000)
}

#[cfg(test)]
mod tests;
