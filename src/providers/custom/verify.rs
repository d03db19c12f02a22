//! Verification of a source's webhooks by its `verify` table.

mod settings;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::event::Millis;
use crate::jwt::{self, TokenKeys, TokenRules};
use crate::providers::signature::digest;
use crate::providers::signature::mac::MacScheme;
use crate::providers::signature::standard_webhooks;
use crate::providers::{
    Header, Headers, Inbound, Keys, Requirement, SignedRequest, UnsignedRequest, Unverified,
    Verified, VerifyError,
};

pub(super) use settings::scheme_from_options;

/// A verification scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum VerifyScheme {
    /// A MAC, or a hash, of the request.
    Mac(Box<MacScheme>),
    /// Standard Webhooks.
    StandardWebhooks,
    /// A JSON Web Token.
    Jwt(JwtScheme),
    /// A user name, with the secret as password (RFC 7617).
    Basic {
        /// The user name.
        username: String,
    },
    /// The secret in a header.
    Bearer {
        /// Header name in lower case.
        header: String,
        /// Text before the secret in the header.
        prefix: String,
    },
    /// The token in the endpoint's path, and nothing else.
    PathToken,
}

/// A scheme that verifies JSON Web Tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JwtScheme {
    /// Location of the token.
    location: TokenLocation,
    /// Accepted algorithms and claims.
    rules: TokenRules,
    /// URL of the published keys. `None`: the keys are the source's secrets.
    jwks_url: Option<Url>,
    /// Claim with the body's SHA-256 in hexadecimal, for a token in a header.
    body_claim: Option<String>,
}

/// The location of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TokenLocation {
    /// In a header, after a prefix.
    Header(String, String),
    /// The whole body is the token, and its claims are the payload.
    Body,
}

impl VerifyScheme {
    /// Whether the source must configure secrets.
    pub(super) fn secret_requirement(&self) -> Requirement {
        match self {
            Self::PathToken | Self::Jwt(JwtScheme { jwks_url: Some(_), .. }) => Requirement::Unused,
            Self::Mac(_)
            | Self::StandardWebhooks
            | Self::Jwt(_)
            | Self::Basic { .. }
            | Self::Bearer { .. } => Requirement::Required,
        }
    }

    /// Whether the source must configure a token in its path.
    pub(super) fn path_token_requirement(&self) -> Requirement {
        if *self == Self::PathToken { Requirement::Required } else { Requirement::Optional }
    }

    /// Whether old webhooks are refused. Tokens may expire years ahead, so they do not count as timed.
    pub(super) fn signs_time(&self) -> bool {
        match self {
            Self::Mac(scheme) => scheme.signs_time(),
            Self::StandardWebhooks => true,
            Self::Jwt(_) | Self::Basic { .. } | Self::Bearer { .. } | Self::PathToken => false,
        }
    }

    /// Whether the body is a token.
    pub(super) fn body_is_token(&self) -> bool {
        matches!(self, Self::Jwt(JwtScheme { location: TokenLocation::Body, .. }))
    }

    /// URL of the published keys.
    pub(super) fn published_keys(&self) -> Option<&Url> {
        match self {
            Self::Jwt(scheme) => scheme.jwks_url.as_ref(),
            Self::Mac(_)
            | Self::StandardWebhooks
            | Self::Basic { .. }
            | Self::Bearer { .. }
            | Self::PathToken => None,
        }
    }

    /// Checks a secret. Returns what is wrong with it.
    pub(super) fn check_secret(&self, secret: &[u8]) -> Option<&'static str> {
        match self {
            Self::StandardWebhooks => {
                (!standard_webhooks::is_key(secret)).then_some(standard_webhooks::NOT_A_KEY)
            }
            Self::Jwt(scheme) => {
                scheme.rules.algorithms.iter().find_map(|one| jwt::check_key(*one, secret))
            }
            Self::Mac(_) | Self::Basic { .. } | Self::Bearer { .. } | Self::PathToken => None,
        }
    }

    /// Headers that may hold the signed id of a delivery.
    pub(super) fn delivery_id_headers(&self) -> Vec<String> {
        match self {
            Self::Mac(scheme) => Vec::from_iter(scheme.id_header.clone()),
            Self::StandardWebhooks => standard_webhooks::id_headers().map(str::to_owned).to_vec(),
            Self::Jwt(_) | Self::Basic { .. } | Self::Bearer { .. } | Self::PathToken => Vec::new(),
        }
    }

    /// The signed id of a verified delivery.
    pub(super) fn delivery_id(&self, headers: &dyn Headers) -> Option<String> {
        let id = match self {
            Self::StandardWebhooks => standard_webhooks::delivery_id(headers)?.to_owned(),
            Self::Mac(scheme) => match headers.lookup(scheme.id_header.as_ref()?) {
                Header::One(id) => std::str::from_utf8(id).ok()?.to_owned(),
                Header::Missing | Header::Repeated => return None,
            },
            Self::Jwt(_) | Self::Basic { .. } | Self::Bearer { .. } | Self::PathToken => {
                return None;
            }
        };
        Some(id)
    }

    /// Verifies that the request comes from the platform.
    pub(super) fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, VerifyError> {
        let secret = match self {
            Self::Mac(scheme) => return scheme.verify(request, keys, now),
            Self::StandardWebhooks => {
                let Inbound { headers, body, .. } = request;
                standard_webhooks::verify(headers, body, keys.secrets, now, keys.tolerance)?
            }
            Self::Jwt(scheme) => scheme.verify(&request, keys, now)?,
            Self::Basic { username } => {
                let claimed = strip_auth_prefix(
                    "Basic ",
                    request.headers.lookup("authorization").exactly_one()?,
                )?;
                let claimed = STANDARD.decode(claimed).map_err(|_| VerifyError::Malformed)?;
                let right = |secret: &[u8]| [username.as_bytes(), b":", secret].concat();
                find_secret(keys.secrets, |secret| claimed.ct_eq(&right(secret)).into())?
            }
            Self::Bearer { header, prefix } => {
                let claimed =
                    strip_auth_prefix(prefix, request.headers.lookup(header).exactly_one()?)?;
                find_secret(keys.secrets, |secret| claimed.ct_eq(secret).into())?
            }
            // The path token was compared before the request got here.
            Self::PathToken => 0,
        };
        Ok(request.into_verified(secret))
    }

    /// Signs a request at `now`.
    pub(super) fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let secret = || std::str::from_utf8(request.secret).map_err(|_| "the secret is not UTF-8");
        let headers = match self {
            Self::Mac(scheme) => return Ok(scheme.sign(request)),
            Self::Jwt(scheme) => return scheme.sign(request),
            Self::StandardWebhooks => {
                let id = format!("msg_{}", digest::short_hash(request.body));
                standard_webhooks::sign(&id, request.body, request.secret, request.now)?
            }
            Self::Basic { username } => {
                let both = STANDARD.encode(format!("{username}:{}", secret()?));
                vec![("authorization".to_owned(), format!("Basic {both}"))]
            }
            Self::Bearer { header, prefix } => {
                vec![(header.clone(), format!("{prefix}{}", secret()?))]
            }
            Self::PathToken => Vec::new(),
        };
        Ok(SignedRequest::with_headers(request, headers))
    }
}

impl JwtScheme {
    fn verify(
        &self,
        request: &Inbound<'_, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<usize, VerifyError> {
        let token = match &self.location {
            TokenLocation::Header(header, prefix) => {
                strip_auth_prefix(prefix, request.headers.lookup(header).exactly_one()?)?
            }
            TokenLocation::Body => request.body,
        };
        let verification_keys = match (&self.jwks_url, keys.secrets) {
            (None, secrets) => TokenKeys::Given(secrets),
            (Some(_), [set, ..]) => TokenKeys::Published(set),
            (Some(_), []) => return Err(VerifyError::UnknownKey),
        };
        let token = jwt::verify(token, verification_keys, &self.rules, now.get())?;
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
        if self.location == TokenLocation::Body {
            claims = serde_json::from_slice(request.body).map_err(
                |_| "the body is not a JSON object, so it cannot be the claims of a token",
            )?;
        }
        if let Some(claim) = &self.body_claim {
            claims.insert(claim.clone(), hex::encode(Sha256::digest(request.body)).into());
        }
        let token = jwt::mint(claims, request.secret, &self.rules, request.now.get())?;
        Ok(match &self.location {
            TokenLocation::Header(header, prefix) => {
                let headers = vec![(header.clone(), format!("{prefix}{token}"))];
                SignedRequest::with_headers(request, headers)
            }
            TokenLocation::Body => {
                let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
                SignedRequest {
                    body: token.into_bytes(),
                    ..SignedRequest::with_headers(request, headers)
                }
            }
        })
    }
}

/// Strips a prefix, which is compared without case, like the `Bearer` of `Bearer TOKEN` (RFC 9110, 11.1).
fn strip_auth_prefix<'a>(prefix: &str, value: &'a [u8]) -> Result<&'a [u8], VerifyError> {
    let (start, rest) = value.split_at_checked(prefix.len()).ok_or(VerifyError::Malformed)?;
    let is_prefix = start.eq_ignore_ascii_case(prefix.as_bytes());
    if is_prefix { Ok(rest) } else { Err(VerifyError::Malformed) }
}

/// Finds the first secret that matches. An empty secret never does.
fn find_secret(secrets: &[&[u8]], is: impl Fn(&[u8]) -> bool) -> Result<usize, VerifyError> {
    let right = |secret: &&[u8]| !secret.is_empty() && is(secret);
    secrets.iter().position(right).ok_or(VerifyError::Mismatch)
}

#[cfg(test)]
mod tests;
