//! Notices changed credentials without keeping them.

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// Distinguishes one set of credentials, as they are read now, from the next. Two equal ones are of the same client.
///
/// It holds a digest of secrets, so it is not shown. What may be stored is [`Self::digest_of`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CredentialsFingerprint {
    digest: [u8; 32],
    is_readable: bool,
}

impl CredentialsFingerprint {
    /// Reads the secrets. Cheap while nothing changed: of a file only the metadata is read then.
    #[must_use]
    pub fn from_secrets(secrets: &[&Secret]) -> Self {
        let mut digest = Sha256::new();
        let mut is_readable = true;
        for secret in secrets {
            match secret.read() {
                Ok(value) => digest.update(Sha256::digest(value.expose_secret())),
                Err(error) => {
                    is_readable = false;
                    digest.update(Sha256::digest(error.to_string()));
                }
            }
        }
        Self { digest: digest.finalize().into(), is_readable }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> Self {
        Self::from_secrets(&[&Secret::Text(text.into())])
    }

    /// A digest of the credentials and of what they are used with, to be recognised after a restart. None while they
    /// cannot be read.
    ///
    /// A reader of it learns nothing: tokens and secrets of platforms are random, too long to be guessed, and the
    /// digest is not that of a secret alone, which other places may have.
    #[must_use]
    pub fn digest_of(&self, used_with: &[&str]) -> Option<[u8; 32]> {
        let mut digest = Sha256::new_with_prefix(b"webinar-bridge credentials");
        digest.update(self.digest);
        for text in used_with {
            digest.update(Sha256::digest(text));
        }
        self.is_readable.then(|| digest.finalize().into())
    }

    /// Whether these are other credentials. Those that cannot be read for a moment replace none.
    #[must_use]
    pub fn replaces(&self, before: &Self) -> bool {
        self.is_readable && self.digest != before.digest
    }
}

impl std::fmt::Debug for CredentialsFingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialsFingerprint(..)")
    }
}
