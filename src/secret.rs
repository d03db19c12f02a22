//! Where a secret comes from.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

/// A secret of the configuration.
#[derive(Debug, Clone)]
pub enum Secret {
    /// Said in the configuration.
    Text(SecretString),
    /// Held by a file, which is read again each time.
    File(PathBuf),
}

impl Secret {
    /// The secret as it is now.
    ///
    /// # Errors
    /// [`SecretError`] when the file cannot be read.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.trim_end().to_owned().into()),
                Err(error) => Err(SecretError::Unreadable(Arc::new(error))),
            },
        }
    }
}

/// Why a secret cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SecretError {
    /// Its file cannot be read.
    #[error("the secret's file cannot be read")]
    Unreadable(#[source] Arc<std::io::Error>),
}
