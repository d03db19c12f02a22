//! The validated configuration: the settings from which everything is built.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::section::RequiredSecret;
use crate::deliver::DeliverySettings;
use crate::event::{AccountName, SourceName};
use crate::hubspot::settings::AccountApiSettings;
use crate::intake::Source;
use crate::ledger::{Heirs, Policies, Retention};

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the file in messages.
    pub file: String,
    /// Addresses and bounds of the listeners.
    pub listen: ListenSettings,
    /// Place and retention of the store.
    pub store: StoreSettings,
    /// Access to the ops listener.
    pub ops: OpsSettings,
    /// HubSpot accounts, at least one.
    pub accounts: BTreeMap<AccountName, AccountSettings>,
    /// Webhook sources, at least one.
    pub sources: BTreeMap<SourceName, Arc<Source>>,
    /// All secrets.
    pub secrets: Vec<RequiredSecret>,
}

impl Config {
    /// The sources and accounts that took the place of former ones.
    #[must_use]
    pub fn heirs(&self) -> Heirs {
        let sources = self.sources.iter().flat_map(|(name, source)| {
            source.formerly.iter().map(move |former| (former.clone(), name.clone()))
        });
        let accounts = self.accounts.iter().flat_map(|(name, account)| {
            account.formerly.iter().map(move |former| (former.clone(), name.clone()))
        });
        Heirs { sources: sources.collect(), accounts: accounts.collect() }
    }

    /// The policies of all sources.
    #[must_use]
    pub fn policies(&self) -> Policies {
        self.sources.iter().map(|(name, source)| (name.clone(), source.policy.clone())).collect()
    }
}

/// `[listen]`
#[derive(Debug, Clone)]
pub struct ListenSettings {
    /// Public address: webhooks and nothing else.
    pub webhooks: SocketAddr,
    /// Private address: health, metrics, API.
    pub ops: SocketAddr,
    /// Longest webhook body, in bytes.
    pub max_body: usize,
    /// Time for which webhooks are still accepted after the stop signal.
    pub shutdown_delay: Duration,
    /// Time for which begun requests may run after that.
    pub shutdown_timeout: Duration,
}

/// `[store]`
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Path of the `SQLite` file.
    pub path: PathBuf,
    /// Retention of receipts and events.
    pub retention: Retention,
    /// Whether `serve` migrates the schema.
    pub migrate: bool,
}

/// `[ops]`
#[derive(Debug, Clone)]
pub struct OpsSettings {
    /// Whether `[ops.auth]` demands tokens, which this version cannot verify: the API is closed then. Without it the
    /// API is open on loopback and closed elsewhere.
    pub has_auth: bool,
}

/// `[hubspot.NAME]`
#[derive(Debug, Clone)]
pub struct AccountSettings {
    /// Address and credentials of HubSpot's API.
    pub api: AccountApiSettings,
    /// Pace and size of deliveries.
    pub delivery: DeliverySettings,
    /// Whether anything is sent.
    pub deliver: bool,
    /// Former names of the account, whose events it inherits.
    pub formerly: BTreeSet<AccountName>,
}
