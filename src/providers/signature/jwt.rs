//! JSON Web Tokens (RFC 7519), signed (RFC 7515), with keys given or published (RFC 7517).
//!
//! The only door to the crate `jsonwebtoken`, of which keys and their mathematics are used; what a token must say is decided
//! here, by the time that is given.
//!
//! The algorithms are the receiver's choice: what a token calls its own (`alg`) is only compared with them, and what it says
//! of keys (`jwk`, `jku`, `x5u`) is not looked at.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, EncodingKey, Header, crypto};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::event::Millis;
use crate::providers::VerifyError;

/// How far two clocks may be apart.
const LEEWAY: Duration = Duration::from_mins(1);
/// For how long a token of ours is good.
const LIFE: Duration = Duration::from_mins(5);
/// What a token must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// By which algorithms it may be signed; of one family.
    pub algorithms: Vec<Algorithm>,
    /// Who must have made it (`iss`).
    pub issuer: Option<String>,
    /// For whom it must be made, perhaps among others (`aud`).
    pub audience: Option<String>,
}

/// What a token may be signed with.
#[derive(Clone, Copy)]
pub enum TokenKeys<'a> {
    /// Shared secrets, or public keys as PEM.
    Given(&'a [&'a [u8]]),
    /// A JSON Web Key Set, as it is published.
    Published(&'a [u8]),
}

/// A token that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Its claims, a JSON object.
    pub claims: String,
    /// Which of the keys given signed it; 0 of those that are published.
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
const PUBLISHED_MAX: usize = 16;

#[derive(Deserialize)]
struct KeySet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// Decides whether a token is signed with one of the keys, in its time, and as the rules say.
///
/// # Errors
/// [`Refusal`] says why not; [`Refusal::UnknownKey`] that its key may be published by now.
pub fn verify(
    token: &[u8],
    keys: TokenKeys<'_>,
    rules: &TokenRules,
    now: Millis,
) -> Result<VerifiedToken, VerifyError> {
    let text = std::str::from_utf8(token).map_err(|_| VerifyError::Malformed)?;
    let (signed, signature) = text.rsplit_once('.').ok_or(VerifyError::Malformed)?;
    let (head, claims) = signed.split_once('.').ok_or(VerifyError::Malformed)?;
    let head: TokenHeader =
        serde_json::from_slice(&decode_part(head)?).map_err(|_| VerifyError::Malformed)?;
    let claims = String::from_utf8(decode_part(claims)?).map_err(|_| VerifyError::Malformed)?;
    // What must be understood, and is not (RFC 7515, 4.1.11).
    if head.crit.is_some() {
        return Err(VerifyError::Malformed);
    }
    let algorithm = rules.algorithms.iter().copied().find(|known| is_named(*known, &head.alg));
    let algorithm = algorithm.ok_or(VerifyError::Mismatch)?;
    let signs = |key: &DecodingKey| {
        crypto::verify(signature, signed.as_bytes(), key, algorithm).unwrap_or(false)
    };
    let key = match keys {
        TokenKeys::Given(secrets) => secrets
            .iter()
            .position(|secret| decoding_key(algorithm, secret).is_some_and(|key| signs(&key)))
            .ok_or(VerifyError::Mismatch)?,
        TokenKeys::Published(set) => {
            let keys = published_keys(set, algorithm, head.kid.as_deref());
            if !keys.iter().any(signs) {
                // Without an id it may be by a key that is not there yet, too.
                let is_known = head.kid.is_some() && !keys.is_empty();
                return Err(if is_known { VerifyError::Mismatch } else { VerifyError::UnknownKey });
            }
            0
        }
    };
    check_claims(&claims, rules, now)?;
    Ok(VerifiedToken { claims, key })
}

/// The claims of a token that was verified before, as JSON; none if it is no token.
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

/// A token with these claims, good from now on for some minutes, as the rules want it.
///
/// # Errors
/// Why it cannot be signed with that key, for operators.
pub fn sign(
    mut claims: Map<String, Value>,
    key: &[u8],
    rules: &TokenRules,
    now: Millis,
) -> Result<String, String> {
    let algorithm = *rules.algorithms.first().ok_or("no algorithm is named")?;
    let seconds = |time: Millis| Value::from(time.get().div_euclid(1_000));
    claims.insert("iat".to_owned(), seconds(now));
    claims.insert("exp".to_owned(), seconds(now.plus(LIFE)));
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

/// What is wrong with a key that is given, as the rest of a sentence that begins with its name.
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

/// Whether its keys are shared, so that they cannot be published.
#[must_use]
pub fn is_shared(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

/// Whether the algorithms have keys of one kind.
#[must_use]
pub fn same_family(algorithms: &[Algorithm]) -> bool {
    algorithms.windows(2).all(|two| matches!(two, [a, b] if a.family() == b.family()))
}

fn is_named(algorithm: Algorithm, name: &str) -> bool {
    name.parse() == Ok(algorithm)
}

fn decode_part(part: &str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| VerifyError::Malformed)
}

fn decoding_key(algorithm: Algorithm, key: &[u8]) -> Option<DecodingKey> {
    match algorithm.family() {
        // Anyone has an empty one, and a public key.
        AlgorithmFamily::Hmac => {
            let is_shared = !key.is_empty() && !key.trim_ascii_start().starts_with(b"-----BEGIN ");
            is_shared.then(|| DecodingKey::from_secret(key))
        }
        // The crate takes a private one too, which then verifies nothing. Base64 has no spaces.
        AlgorithmFamily::Rsa if key.windows(12).any(|part| part == b" PRIVATE KEY") => None,
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(key).ok(),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(key).ok(),
        AlgorithmFamily::Ed => DecodingKey::from_ed_pem(key).ok(),
    }
}

/// The keys of that id which are meant for the algorithm, more than one of them if they are of several curves; without an id,
/// all that are meant for it.
fn published_keys(set: &[u8], algorithm: Algorithm, kid: Option<&str>) -> Vec<DecodingKey> {
    let Ok(set) = serde_json::from_slice::<KeySet<'_>>(set) else { return Vec::new() };
    // Keys of kinds that are unknown here stand in real sets and fail nobody.
    let known = set.keys.iter().filter_map(|key| serde_json::from_str::<Jwk>(key.get()).ok());
    let meant = |key: &Jwk| {
        let key = &key.common;
        (kid.is_none() || kid == key.key_id.as_deref())
            && key.key_algorithm.is_none_or(|named| is_named(algorithm, &named.to_string()))
            && key.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
    };
    let keys = known.filter(meant).filter_map(|key| DecodingKey::from_jwk(&key).ok());
    // A shared key in a published set is everybody's.
    let fitting = keys.filter(|key| key.family() == algorithm.family() && !is_shared(algorithm));
    fitting.take(PUBLISHED_MAX).collect()
}

fn check_claims(claims: &str, rules: &TokenRules, now: Millis) -> Result<(), VerifyError> {
    let claims: Claims<'_> = serde_json::from_str(claims).map_err(|_| VerifyError::Malformed)?;
    let time = |claim: Option<&RawValue>| match claim {
        Some(raw) => numeric_date(raw).map(Some).ok_or(VerifyError::Malformed),
        None => Ok(None),
    };
    let ends = time(claims.exp)?.ok_or(VerifyError::Malformed)?;
    if now.since(ends) > LEEWAY {
        return Err(VerifyError::Stale);
    }
    for begins in [time(claims.nbf)?, time(claims.iat)?].into_iter().flatten() {
        if begins.since(now) > LEEWAY {
            return Err(VerifyError::Future);
        }
    }
    let is = |claim: &Option<Value>, wanted: &str| claim.as_ref().is_some_and(|c| c == wanted);
    let holds = |claim: &Option<Value>, wanted: &str| {
        let list = claim.as_ref().and_then(Value::as_array);
        list.map_or_else(|| is(claim, wanted), |list| list.iter().any(|one| one == wanted))
    };
    let by = rules.issuer.as_ref().is_none_or(|issuer| is(&claims.iss, issuer));
    let to = rules.audience.as_ref().is_none_or(|audience| holds(&claims.aud, audience));
    if by && to { Ok(()) } else { Err(VerifyError::Mismatch) }
}

/// Seconds since 1970, perhaps with a fraction, which is left out (RFC 7519, 2: `NumericDate`). None of what has an exponent,
/// which nobody writes and which would make another number of it.
fn numeric_date(raw: &RawValue) -> Option<Millis> {
    let (whole, fraction) = raw.get().split_once('.').unwrap_or((raw.get(), ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    whole.parse::<i64>().ok()?.checked_mul(1_000).map(Millis::new)
}

#[cfg(test)]
mod tests;
