//! Unsigned webhooks, which the token in the endpoint's path admits.

use super::SignatureScheme;
use crate::providers::{
    Keys, RawRequest, Requirement, SignedRequest, UnsignedRequest, VerifyError,
};

/// The token in the endpoint's path, and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct PathToken;

impl SignatureScheme for PathToken {
    /// Accepts every request: the path token was compared before.
    fn verify(&self, _request: &RawRequest<'_>, _keys: Keys<'_>) -> Result<usize, VerifyError> {
        Ok(0)
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        Ok(SignedRequest::with_headers(request, Vec::new()))
    }

    fn secret(&self) -> Requirement {
        Requirement::Unused
    }

    fn path_token(&self) -> Requirement {
        Requirement::Required
    }

    fn signs_time(&self) -> bool {
        false
    }
}
