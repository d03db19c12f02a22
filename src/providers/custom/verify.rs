//! Verification of a source's webhooks by its `verify` table.

mod settings;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::jwt::{self, TokenKeys, TokenRules};
use crate::providers::signature::find_secret;
use crate::providers::{
    Inbound, Keys, RawRequest, Requirement, SignatureScheme, SignedRequest, UnsignedRequest,
    Verified, VerifyError,
};

pub(super) use settings::scheme_from_options;

/// A user name, with the secret as password (RFC 7617).
struct BasicScheme {
    username: String,
}

/// The secret in a header.
struct BearerScheme(PrefixedHeader);

/// JSON Web Tokens. They may expire years ahead, so they do not count as timed. Their time of issue tells deliveries
/// apart where the token covers the body.
struct JwtScheme {
    location: TokenLocation,
    /// Accepted algorithms and claims.
    rules: TokenRules,
    /// URL of the published keys. `None`: the keys are the source's secrets.
    jwks_url: Option<Url>,
    /// Claim with the body's SHA-256 in hexadecimal, for a token in a header.
    body_claim: Option<String>,
}

/// The location of a token.
enum TokenLocation {
    Header(PrefixedHeader),
    /// The whole body is the token, and its claims are the payload.
    Body,
}

/// A header that holds a secret or token.
struct PrefixedHeader {
    /// Name in lower case.
    name: String,
    /// Text before the secret or token.
    prefix: String,
}

impl SignatureScheme for BasicScheme {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        let header = request.headers.lookup("authorization").exactly_one()?;
        let claimed = STANDARD.decode(strip_auth_prefix("Basic ", header)?);
        let claimed = claimed.map_err(|_| VerifyError::Malformed)?;
        let right = |secret: &[u8]| [self.username.as_bytes(), b":", secret].concat();
        find_secret(keys.secrets, |secret| claimed.ct_eq(&right(secret)).into())
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let both = STANDARD.encode(format!("{}:{}", self.username, secret_text(request)?));
        let headers = vec![("authorization".to_owned(), format!("Basic {both}"))];
        Ok(SignedRequest::with_headers(request, headers))
    }

    fn signs_time(&self) -> bool {
        false
    }
}

impl SignatureScheme for BearerScheme {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        let claimed = self.0.read(request)?;
        find_secret(keys.secrets, |secret| claimed.ct_eq(secret).into())
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let headers = vec![self.0.write(secret_text(request)?)];
        Ok(SignedRequest::with_headers(request, headers))
    }

    fn signs_time(&self) -> bool {
        false
    }
}

impl SignatureScheme for JwtScheme {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        let token = match &self.location {
            TokenLocation::Header(header) => header.read(request)?,
            TokenLocation::Body => request.body,
        };
        let verification_keys = match (&self.jwks_url, keys.secrets) {
            (None, secrets) => TokenKeys::Given(secrets),
            (Some(_), [set, ..]) => TokenKeys::Published(set),
            (Some(_), []) => return Err(VerifyError::UnknownKey),
        };
        let token = jwt::verify_within(
            token,
            verification_keys,
            &self.rules,
            request.received_at.get(),
            keys.grace,
        )?;
        if let Some(claim) = &self.body_claim {
            let claims: Value = serde_json::from_str(&token.claims).unwrap_or_default();
            let claimed =
                claims.get(claim).and_then(Value::as_str).ok_or(VerifyError::Malformed)?;
            let claimed = hex::decode(claimed).map_err(|_| VerifyError::Malformed)?;
            if !bool::from(Sha256::digest(request.body).as_slice().ct_eq(&claimed)) {
                return Err(VerifyError::Mismatch);
            }
        }
        Ok(token.key)
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let mut claims = Map::new();
        if self.body_is_token() {
            claims = jwt::parse_claims(request.body)?;
        }
        if let Some(claim) = &self.body_claim {
            claims.insert(claim.clone(), hex::encode(Sha256::digest(request.body)).into());
        }
        let token = jwt::mint(claims, request.secret, &self.rules, request.now.get())?;
        Ok(match &self.location {
            TokenLocation::Header(header) => {
                SignedRequest::with_headers(request, vec![header.write(&token)])
            }
            TokenLocation::Body => SignedRequest::with_token_body(request, token),
        })
    }

    fn secret(&self) -> Requirement {
        if self.jwks_url.is_some() { Requirement::Unused } else { Requirement::Required }
    }

    fn signs_time(&self) -> bool {
        false
    }

    fn signed_time(&self, request: &Inbound<'_, Verified>) -> Option<Vec<u8>> {
        let token = match (&self.location, &self.body_claim) {
            (TokenLocation::Header(header), Some(_)) => header.read_verified(request)?,
            // It proves the sender, and says nothing of the body.
            (TokenLocation::Header(_), None) => return None,
            (TokenLocation::Body, _) => request.body,
        };
        let claims: Value = serde_json::from_slice(&jwt::decode_claims(token)?).ok()?;
        let claim = claims.get("jti").or_else(|| claims.get("iat"))?;
        Some(claim.to_string().into_bytes())
    }

    fn check_secret(&self, secret: &[u8]) -> Option<&'static str> {
        self.rules.algorithms.iter().find_map(|one| jwt::check_key(*one, secret))
    }

    fn published_keys(&self) -> Option<&Url> {
        self.jwks_url.as_ref()
    }

    fn body_is_token(&self) -> bool {
        matches!(self.location, TokenLocation::Body)
    }
}

impl PrefixedHeader {
    fn read<'a>(&self, request: &RawRequest<'a>) -> Result<&'a [u8], VerifyError> {
        strip_auth_prefix(&self.prefix, request.headers.lookup(&self.name).exactly_one()?)
    }

    fn read_verified<'a>(&self, request: &Inbound<'a, Verified>) -> Option<&'a [u8]> {
        strip_auth_prefix(&self.prefix, request.headers.lookup(&self.name).exactly_one().ok()?).ok()
    }

    fn write(&self, text: &str) -> (String, String) {
        (self.name.clone(), format!("{}{text}", self.prefix))
    }
}

/// The secret, which is sent as text.
fn secret_text(request: UnsignedRequest<'_>) -> Result<&str, String> {
    std::str::from_utf8(request.secret).map_err(|_| "the secret is not UTF-8".to_owned())
}

/// Strips a prefix, which is compared without case, like the `Bearer` of `Bearer TOKEN` (RFC 9110, 11.1).
fn strip_auth_prefix<'a>(prefix: &str, value: &'a [u8]) -> Result<&'a [u8], VerifyError> {
    let (start, rest) = value.split_at_checked(prefix.len()).ok_or(VerifyError::Malformed)?;
    let is_prefix = start.eq_ignore_ascii_case(prefix.as_bytes());
    if is_prefix { Ok(rest) } else { Err(VerifyError::Malformed) }
}

#[cfg(test)]
mod tests;
