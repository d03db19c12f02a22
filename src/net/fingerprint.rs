//! Telling whether credentials changed, without keeping them.

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// What tells one set of credentials from the next, as they are read now. Two that are alike are of the same app.
///
/// Holds a digest of secrets, so it is neither shown nor kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CredentialsFingerprint {
    digest: [u8; 32],
    is_readable: bool,
}

impl CredentialsFingerprint {
    pub(super) fn from_secrets(secrets: &[&Secret]) -> Self {
        let mut digest = Sha256::new();
        let mut readable = true;
        for secret in secrets {
            match secret.read() {
                Ok(value) => digest.update(Sha256::digest(value.expose_secret())),
                Err(error) => {
                    readable = false;
                    digest.update(Sha256::digest(error.to_string()));
                }
            }
        }
        Self { digest: digest.finalize().into(), is_readable: readable }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> Self {
        Self::from_secrets(&[&Secret::Text(text.into())])
    }

    /// Whether these are other credentials; one that cannot be read for a moment is none.
    pub(super) fn replaces(&self, before: &Self) -> bool {
        self.is_readable && self.digest != before.digest
    }
}

impl std::fmt::Debug for CredentialsFingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}
