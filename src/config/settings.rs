//! The configuration that is known to be right: what the rooms are built from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::deliver::DeliverySettings;
use crate::event::{AccountName, Policy, SourceName};
use crate::hubspot::settings::AccountApiSettings;
use crate::ledger::{Policies, Retention};
use crate::receive::Endpoint;
use crate::secret::Secret;

/// All of it.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the file is called, for messages.
    pub file: String,
    /// Where to listen.
    pub listen: ListenSettings,
    /// Where to keep what is received.
    pub store: StoreSettings,
    /// Who may ask about it.
    pub ops: OpsSettings,
    /// The HubSpot accounts, at least one.
    pub accounts: BTreeMap<AccountName, AccountSettings>,
    /// The webhook endpoints, at least one.
    pub sources: BTreeMap<SourceName, SourceSettings>,
    /// Further secrets of the sources, by key: of a platform's API, of an own way of verifying.
    pub platform_secrets: Vec<(String, Secret)>,
}

impl Config {
    /// What merging needs to know of the sources.
    #[must_use]
    pub fn policies(&self) -> Policies {
        self.sources.iter().map(|(name, source)| (name.clone(), source.policy.clone())).collect()
    }
}

/// `[listen]`
#[derive(Debug, Clone)]
pub struct ListenSettings {
    /// Public: webhooks and nothing else.
    pub webhooks: SocketAddr,
    /// Private: health, metrics, API.
    pub ops: SocketAddr,
    /// Longest webhook body, in bytes.
    pub max_body: usize,
    /// How long webhooks are accepted after being told to stop.
    pub shutdown_delay: Duration,
    /// How long requests begun may take after that.
    pub shutdown_timeout: Duration,
}

/// `[store]`
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The `SQLite` file.
    pub path: PathBuf,
    /// How long things are kept.
    pub retention: Retention,
    /// Whether serving brings the schema up to date.
    pub migrate: bool,
}

/// `[ops]`
#[derive(Debug, Clone)]
pub struct OpsSettings {
    /// Whose tokens the API takes; none: it is open on loopback and closed elsewhere.
    pub auth: Option<JwtSettings>,
}

/// `[ops.auth]`: how the API's bearer tokens are verified.
#[derive(Debug, Clone)]
pub enum JwtSettings {
    /// With a secret that both sides know.
    Hs256 {
        /// It; 32 bytes or more.
        secret: Secret,
        /// The `aud` a token must have.
        audience: String,
    },
    /// With the public keys of an identity provider.
    Rs256 {
        /// Where they are.
        jwks_url: Url,
        /// The `iss` a token must have.
        issuer: String,
        /// The `aud` a token must have.
        audience: String,
    },
}

/// `[hubspot.NAME]`
#[derive(Debug, Clone)]
pub struct AccountSettings {
    /// How its API is reached.
    pub api: AccountApiSettings,
    /// How its events are sent.
    pub delivery: DeliverySettings,
    /// Whether anything is sent at all.
    pub deliver: bool,
}

/// `[source.NAME]`
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Where and how its webhooks come in.
    pub endpoint: Endpoint,
    /// What shapes its events.
    pub policy: Policy,
}
