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
use crate::providers::Refusal;

/// How far two clocks may be apart.
const LEEWAY: Duration = Duration::from_mins(1);
/// For how long a token of ours is good.
const LIFE: Duration = Duration::from_mins(5);
/// What a token must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// By which algorithms it may be signed; of one family.
    pub algorithms: Vec<Algorithm>,
    /// Who must have made it (`iss`).
    pub issuer: Option<String>,
    /// For whom it must be made, perhaps among others (`aud`).
    pub audience: Option<String>,
}

/// What a token may be signed with.
#[derive(Clone, Copy)]
pub enum KeyRing<'a> {
    /// Shared secrets, or public keys as PEM.
    Given(&'a [&'a [u8]]),
    /// A JSON Web Key Set, as it is published.
    Published(&'a [u8]),
}

/// A token that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its claims, a JSON object.
    pub claims: String,
    /// Which of the keys given signed it; 0 of those that are published.
    pub key: usize,
}

#[derive(Deserialize)]
struct Head {
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
    keys: KeyRing<'_>,
    rules: &Rules,
    now: Millis,
) -> Result<Token, Refusal> {
    let text = std::str::from_utf8(token).map_err(|_| Refusal::Malformed)?;
    let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let (head, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
    let head: Head = serde_json::from_slice(&decoded(head)?).map_err(|_| Refusal::Malformed)?;
    let claims = String::from_utf8(decoded(claims)?).map_err(|_| Refusal::Malformed)?;
    // What must be understood, and is not (RFC 7515, 4.1.11).
    if head.crit.is_some() {
        return Err(Refusal::Malformed);
    }
    let algorithm = rules.algorithms.iter().copied().find(|known| is_named(*known, &head.alg));
    let algorithm = algorithm.ok_or(Refusal::Mismatch)?;
    let signs = |key: &DecodingKey| {
        crypto::verify(signature, signed.as_bytes(), key, algorithm).unwrap_or(false)
    };
    let key = match keys {
        KeyRing::Given(secrets) => secrets
            .iter()
            .position(|secret| given(algorithm, secret).is_some_and(|key| signs(&key)))
            .ok_or(Refusal::Mismatch)?,
        KeyRing::Published(set) => {
            let keys = published(set, algorithm, head.kid.as_deref());
            if !keys.iter().any(signs) {
                // Without an id it may be by a key that is not there yet, too.
                let is_known = head.kid.is_some() && !keys.is_empty();
                return Err(if is_known { Refusal::Mismatch } else { Refusal::UnknownKey });
            }
            0
        }
    };
    judged(&claims, rules, now)?;
    Ok(Token { claims, key })
}

/// The claims of a token that was verified before, as JSON; none if it is no token.
#[must_use]
pub fn claims(token: &[u8]) -> Option<Vec<u8>> {
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
    rules: &Rules,
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
pub fn unusable(algorithm: Algorithm, key: &[u8]) -> Option<&'static str> {
    if given(algorithm, key).is_some() {
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
pub fn algorithm(name: &str) -> Option<Algorithm> {
    name.parse().ok()
}

/// Whether its keys are shared, so that they cannot be published.
#[must_use]
pub fn is_shared(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

/// Whether the algorithms have keys of one kind.
#[must_use]
pub fn are_kin(algorithms: &[Algorithm]) -> bool {
    algorithms.windows(2).all(|two| matches!(two, [a, b] if a.family() == b.family()))
}

fn is_named(algorithm: Algorithm, name: &str) -> bool {
    name.parse() == Ok(algorithm)
}

fn decoded(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)
}

fn given(algorithm: Algorithm, key: &[u8]) -> Option<DecodingKey> {
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
fn published(set: &[u8], algorithm: Algorithm, kid: Option<&str>) -> Vec<DecodingKey> {
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

fn judged(claims: &str, rules: &Rules, now: Millis) -> Result<(), Refusal> {
    let claims: Claims<'_> = serde_json::from_str(claims).map_err(|_| Refusal::Malformed)?;
    let time = |claim: Option<&RawValue>| match claim {
        Some(raw) => seconds(raw).map(Some).ok_or(Refusal::Malformed),
        None => Ok(None),
    };
    let ends = time(claims.exp)?.ok_or(Refusal::Malformed)?;
    if now.since(ends) > LEEWAY {
        return Err(Refusal::Stale);
    }
    for begins in [time(claims.nbf)?, time(claims.iat)?].into_iter().flatten() {
        if begins.since(now) > LEEWAY {
            return Err(Refusal::Future);
        }
    }
    let is = |claim: &Option<Value>, wanted: &str| claim.as_ref().is_some_and(|c| c == wanted);
    let holds = |claim: &Option<Value>, wanted: &str| {
        let list = claim.as_ref().and_then(Value::as_array);
        list.map_or_else(|| is(claim, wanted), |list| list.iter().any(|one| one == wanted))
    };
    let by = rules.issuer.as_ref().is_none_or(|issuer| is(&claims.iss, issuer));
    let to = rules.audience.as_ref().is_none_or(|audience| holds(&claims.aud, audience));
    if by && to { Ok(()) } else { Err(Refusal::Mismatch) }
}

/// Seconds since 1970, perhaps with a fraction, which is left out (RFC 7519, 2: `NumericDate`). None of what has an exponent,
/// which nobody writes and which would make another number of it.
fn seconds(raw: &RawValue) -> Option<Millis> {
    let (whole, fraction) = raw.get().split_once('.').unwrap_or((raw.get(), ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    whole.parse::<i64>().ok()?.checked_mul(1_000).map(Millis::new)
}

#[cfg(test)]
mod tests;
