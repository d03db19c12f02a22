//! Verification, and signing, of Wix webhooks: the body is a JSON Web Token, signed by RS256 with the app's key.
//!
//! Each app has its own key; Wix publishes no key set. Wix shows the key as PEM, or as base64 of the PEM.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::jwt::{self, Algorithm, TokenKeys, TokenRules};
use crate::providers::signature::SignatureScheme;
use crate::providers::{Keys, RawRequest, SignedRequest, UnsignedRequest, VerifyError};

/// The algorithm of Wix's tokens. A token that names another is refused: under `HS256` the public key would be the
/// secret.
const ALGORITHM: Algorithm = Algorithm::RS256;

fn token_rules() -> TokenRules {
    TokenRules { algorithms: vec![ALGORITHM], issuer: None, audience: None }
}

/// Wix's scheme.
pub(super) struct WixScheme;

impl SignatureScheme for WixScheme {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        let pems: Vec<Cow<'_, [u8]>> = keys.secrets.iter().map(|secret| to_pem(secret)).collect();
        let pems: Vec<&[u8]> = pems.iter().map(AsRef::as_ref).collect();
        let token = jwt::verify_within(
            request.body,
            TokenKeys::Given(&pems),
            &token_rules(),
            request.received_at.get(),
            keys.grace,
        )?;
        Ok(token.key)
    }

    /// The body's claims become a token signed with the private key.
    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let claims = jwt::parse_claims(request.body)?;
        let token = jwt::mint(claims, &to_pem(request.secret), &token_rules(), request.now.get())?;
        Ok(SignedRequest::with_token_body(request, token))
    }

    fn check_secret(&self, secret: &[u8]) -> Option<&'static str> {
        jwt::check_key(ALGORITHM, &to_pem(secret))
    }
}

/// Returns the key as PEM.
fn to_pem(secret: &[u8]) -> Cow<'_, [u8]> {
    if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Cow::Borrowed(secret);
    }
    STANDARD.decode(secret.trim_ascii()).map_or(Cow::Borrowed(secret), Cow::Owned)
}
