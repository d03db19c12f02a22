//! The configuration that is known to be right: what the rooms are built from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::event::{AccountName, Policy, SourceName};
use crate::hubspot::settings::{Credentials, RateLimit};
use crate::ledger::{Policies, Retention};
use crate::providers::Provider;
use crate::secret::Secret;

/// All of it.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the file is called, for messages.
    pub file: String,
    /// Where to listen.
    pub listen: Listen,
    /// Where to keep what is received.
    pub store: Store,
    /// Who may ask about it.
    pub ops: Ops,
    /// The HubSpot accounts, at least one.
    pub accounts: BTreeMap<AccountName, Account>,
    /// The webhook endpoints, at least one.
    pub sources: BTreeMap<SourceName, Source>,
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
pub struct Listen {
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
pub struct Store {
    /// The `SQLite` file.
    pub path: PathBuf,
    /// How long things are kept.
    pub keep: Retention,
    /// Whether serving brings the schema up to date.
    pub migrate: bool,
}

/// `[ops]`
#[derive(Debug, Clone)]
pub struct Ops {
    /// Whose tokens the API takes; none: it is open on loopback and closed elsewhere.
    pub auth: Option<Jwt>,
}

/// `[ops.auth]`: how the API's bearer tokens are verified.
#[derive(Debug, Clone)]
pub enum Jwt {
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
pub struct Account {
    /// How its calls are authorised.
    pub credentials: Credentials,
    /// Scheme and host of HubSpot.
    pub base_url: Url,
    /// What goes before `/events/upsert`: begins with `/`, does not end with one.
    pub path_prefix: String,
    /// The calls it may make.
    pub rate_limit: RateLimit,
    /// The most events of one call: 1 to 100.
    pub max_batch: usize,
    /// How long a pending event waits for company.
    pub max_linger: Duration,
    /// The most calls at a time.
    pub max_in_flight: usize,
    /// Whether anything is sent at all.
    pub deliver: bool,
    /// How long one call may take.
    pub request_timeout: Duration,
}

/// `[source.NAME]`
#[derive(Clone)]
pub struct Source {
    /// Its name: the endpoint is `/webhooks/NAME`.
    pub name: SourceName,
    /// Its platform.
    pub provider: &'static dyn Provider,
    /// What its webhooks are verified with; at least one, the first is the newest.
    pub secrets: Vec<Secret>,
    /// The last part of its endpoint's path, where it has one.
    pub path_token: Option<Secret>,
    /// How far a signed time may be from now.
    pub tolerance: Duration,
    /// The platform's accounts it may speak for; none: all.
    pub platform_accounts: Option<BTreeSet<String>>,
    /// What shapes its events.
    pub policy: Policy,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, provider, secrets, path_token, tolerance, platform_accounts, policy } =
            self;
        f.debug_struct("Source")
            .field("name", name)
            .field("provider", &provider.id())
            .field("secrets", secrets)
            .field("path_token", path_token)
            .field("tolerance", tolerance)
            .field("platform_accounts", platform_accounts)
            .field("policy", policy)
            .finish()
    }
}
