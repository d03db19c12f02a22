//! Checks of a configuration that depend on the machine: readable secrets, and a store that can be trusted.

use std::error::Error;

use secrecy::{ExposeSecret, SecretString};

use super::filesystem;
use super::problem::ConfigProblem;
use super::section::RequiredSecret;
use super::settings::Config;
use crate::secret::SecretError;

impl Config {
    /// Reads every secret. Returns a problem for each that is unreadable, too short or not accepted by its platform.
    #[must_use]
    pub fn check_secrets(&self) -> Vec<ConfigProblem> {
        let problem = |key, message| ConfigProblem { origin: self.file.clone(), key, message };
        let mut problems = Vec::new();
        for RequiredSecret { key, secret, min_length } in &self.secrets {
            if let Err(message) = check_secret(secret.read(), *min_length) {
                problems.push(problem(key.clone(), message));
            }
        }
        for (name, source) in &self.sources {
            for (at, secret) in source.secrets.iter().enumerate() {
                // Unreadable secrets have been reported.
                let Ok(secret) = secret.read() else { continue };
                let scheme = source.provider.scheme();
                let message = scheme.check_secret(secret.expose_secret().as_bytes());
                let key = match source.secrets.len() {
                    1 => format!("source.{name}.secret"),
                    _ => format!("source.{name}.secrets[{at}]"),
                };
                problems.extend(message.map(|message| problem(key, message.to_owned())));
            }
        }
        problems
    }

    /// Returns a problem if the store's file system cannot keep `SQLite`'s promises.
    #[must_use]
    pub fn check_store_filesystem(&self) -> Option<ConfigProblem> {
        let kind = filesystem::network_filesystem(&self.store.path)?;
        let message = format!(
            "is on a network file system ({kind}), where SQLite can lose data. Choose a local disk"
        );
        Some(ConfigProblem { origin: self.file.clone(), key: "store.url".to_owned(), message })
    }
}

fn check_secret(secret: Result<SecretString, SecretError>, least: usize) -> Result<(), String> {
    let secret = secret.map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}. {}", remedy(&error))
    })?;
    if secret.expose_secret().len() < least {
        return Err(format!("is shorter than {least} characters. Make a longer one"));
    }
    Ok(())
}

fn remedy(error: &SecretError) -> &'static str {
    match error {
        SecretError::Empty => "Write the secret there",
        SecretError::Unset(_) => "Set it",
        SecretError::VariableNotText(_) | SecretError::FileNotText(_) => "Write it as text",
        SecretError::Unreadable { .. } => "Correct the path or the file's permissions",
        SecretError::NotAFile(_) | SecretError::TooLong(_) => "Correct the path",
    }
}
