//! Checks of a configuration that depend on the machine: readable secrets, and a store that can be trusted.

use std::error::Error;

use secrecy::{ExposeSecret, SecretString};

use super::filesystem;
use super::problem::ConfigProblem;
use super::settings::{Config, JwtSettings};
use crate::event::SourceName;
use crate::hubspot::settings::AccountCredentials;
use crate::intake::Source;
use crate::secret::{Secret, SecretError};

/// Shortest path token that cannot be guessed by trying.
const PATH_TOKEN_MIN: usize = 12;
/// Shortest key of HS256: as long as its digest (RFC 7518, 3.2).
const HS256_MIN: usize = 32;

impl Config {
    /// Reads every secret. Returns a problem for each that is unreadable, too short or not accepted by its platform.
    #[must_use]
    pub fn check_secrets(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut read = |key: String, secret: &Secret, least: usize| {
            if let Err(message) = check_secret(secret.read(), least) {
                problems.push(ConfigProblem { origin: self.file.clone(), key, message });
            }
        };
        match &self.ops.auth {
            Some(JwtSettings::Hs256 { secret, .. }) => {
                read("ops.auth.jwt.secret".to_owned(), secret, HS256_MIN);
            }
            Some(JwtSettings::Rs256 { .. }) | None => {}
        }
        for (name, account) in &self.accounts {
            match &account.api.credentials {
                AccountCredentials::Token(token) => {
                    read(format!("hubspot.{name}.access_token"), token, 1);
                }
                AccountCredentials::OAuth { client_secret, refresh_token, .. } => {
                    read(format!("hubspot.{name}.oauth.client_secret"), client_secret, 1);
                    read(format!("hubspot.{name}.oauth.refresh_token"), refresh_token, 1);
                }
            }
        }
        for (name, source) in &self.sources {
            for (key, secret) in source_secrets(name, source) {
                read(key, secret, 1);
            }
            if let Some(token) = &source.path_token {
                read(format!("source.{name}.path_token"), token, PATH_TOKEN_MIN);
            }
        }
        for (key, secret) in &self.platform_secrets {
            read(key.clone(), secret, 1);
        }
        problems.extend(self.check_platform_secrets());
        problems
    }

    /// Returns a problem for each readable secret that its platform does not accept.
    fn check_platform_secrets(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        for (name, source) in &self.sources {
            for (key, secret) in source_secrets(name, source) {
                // Unreadable secrets have been reported.
                let Ok(secret) = secret.read() else { continue };
                let provider = &source.provider;
                if let Some(message) =
                    provider.scheme().check_secret(secret.expose_secret().as_bytes())
                {
                    let origin = self.file.clone();
                    problems.push(ConfigProblem { origin, key, message: message.to_owned() });
                }
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

/// The secrets that verify a source's webhooks, by key.
fn source_secrets<'a>(name: &SourceName, source: &'a Source) -> Vec<(String, &'a Secret)> {
    let secrets = source.secrets.iter();
    match source.secrets.len() {
        1 => secrets.map(|secret| (format!("source.{name}.secret"), secret)).collect(),
        _ => secrets
            .enumerate()
            .map(|(at, secret)| (format!("source.{name}.secrets[{at}]"), secret))
            .collect(),
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
