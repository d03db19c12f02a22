//! How webhooks are signed: the [`SignatureScheme`], and the schemes that platforms share.
//!
//! Promises: pure functions of the raw bytes, the secrets and the given time; secrets are compared in constant time and
//! appear in no error. Relies on the caller for the exact bytes as sent: a parsed and re-serialized body is another
//! message. Holds nothing, so a crash loses nothing.

pub mod digest;
pub mod hmac;
pub mod mac;
pub mod message;
pub mod path_token;
pub mod standard_webhooks;
pub mod timestamped_hmac;

use url::Url;

use super::{
    Headers, Inbound, Keys, RawRequest, Requirement, SignedRequest, UnsignedRequest, Verified,
    VerifyError,
};
use crate::event::Millis;

/// How a platform signs its webhooks. The defaults are those of a signature of a time and the body by the secret.
pub trait SignatureScheme: Send + Sync {
    /// Verifies that one of the secrets signed the request, and returns its index; 0 where none is needed.
    ///
    /// A signature is checked before its time, because an unsigned time proves nothing. The time is compared with the
    /// request's arrival.
    ///
    /// # Errors
    /// [`VerifyError`] is the reason for the refusal.
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError>;

    /// Signs a request, for trying an endpoint and for the sandbox.
    ///
    /// # Errors
    /// Why the secret cannot sign, for operators.
    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String>;

    /// Whether the source must configure `secret` or `secrets`, which verify the webhooks.
    fn secret(&self) -> Requirement {
        Requirement::Required
    }

    /// Whether the source must configure `path_token`, as for platforms that do not sign.
    fn path_token(&self) -> Requirement {
        Requirement::Optional
    }

    /// Whether the signature covers a time, so that an old webhook is refused.
    fn signs_time(&self) -> bool {
        true
    }

    /// The time that is signed beside the body of a verified request, as it is written there: it tells deliveries of
    /// equal bodies apart. None where there is no such time, and where the body holds it.
    fn signed_time(&self, _request: &Inbound<'_, Verified>) -> Option<Vec<u8>> {
        None
    }

    /// The signed time of a verified request, whose [`signed_time`](Self::signed_time) is `written`; none where no time is
    /// signed. It may differ from our clock's.
    fn signed_at(
        &self,
        _request: &Inbound<'_, Verified>,
        written: Option<&[u8]>,
    ) -> Option<Millis> {
        hmac::parse_unix_seconds(written.filter(|_| self.signs_time())?)
    }

    /// The error in a secret of the source, as the rest of a sentence that begins with its key.
    fn check_secret(&self, _secret: &[u8]) -> Option<&'static str> {
        None
    }

    /// Address of the JSON Web Key Set that verifies the webhooks. The set is then the one secret in [`Keys`].
    fn published_keys(&self) -> Option<&Url> {
        None
    }

    /// Whether the whole body is a token, whose claims are the payload.
    fn body_is_token(&self) -> bool {
        false
    }

    /// Names of the headers, in lower case, that may hold the delivery's signed id.
    fn id_headers(&self) -> Vec<String> {
        Vec::new()
    }

    /// The signed id of a verified delivery, which is unique to it.
    fn delivery_id(&self, _headers: &dyn Headers) -> Option<String> {
        None
    }
}

/// Returns the index of the first secret that signed. An empty secret never did: everybody knows it.
///
/// # Errors
/// [`VerifyError::Mismatch`] if none did.
pub fn find_secret(
    secrets: &[&[u8]],
    signed: impl Fn(&[u8]) -> bool,
) -> Result<usize, VerifyError> {
    let found = secrets.iter().position(|secret| !secret.is_empty() && signed(secret));
    found.ok_or(VerifyError::Mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_secret_returns_the_first_that_signed() {
        let find = |secrets: &[&[u8]]| find_secret(secrets, |secret| secret != b"old");
        assert_eq!(find(&[b"old", b"new"]), Ok(1));
        assert_eq!(find(&[b"new", b"newer"]), Ok(0));
        assert_eq!(find(&[b"old"]), Err(VerifyError::Mismatch));
        assert_eq!(find(&[]), Err(VerifyError::Mismatch));
    }

    #[test]
    fn empty_secret_never_signed() {
        assert_eq!(find_secret(&[b""], |_| true), Err(VerifyError::Mismatch));
    }
}
