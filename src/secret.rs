//! Secrets as the configuration names them.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

/// Where a secret is.
#[derive(Clone)]
pub enum Secret {
    /// In the configuration itself.
    Text(SecretString),
    /// In a file.
    File(PathBuf),
}

/// Why there is no secret. Names the place, never the value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Secret {
    /// A secret in that file.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    /// The secret as it is now.
    ///
    /// # Errors
    /// [`SecretError`] says what is wrong with its place.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.trim_end().to_owned().into()),
                Err(source) => Err(SecretError::Unreadable { path: path.clone(), source }),
            },
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
