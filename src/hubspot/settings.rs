//! Settings of an account, checked by the configuration.

use std::time::Duration;

use url::Url;

pub use crate::net::RateLimit;
use crate::secret::Secret;

/// Address and credentials of an account's API.
#[derive(Debug, Clone)]
pub struct AccountApiSettings {
    /// Base address: `https://api.hubapi.com`; plain HTTP to loopback only.
    pub base_url: Url,
    /// Path of the API: `/marketing/v3/marketing-events`, or its dated form `/marketing/marketing-events/2026-03`.
    pub path_prefix: String,
    /// Time for one call, from connecting to the last byte of the answer.
    pub request_timeout: Duration,
    /// Credentials of every call.
    pub credentials: AccountCredentials,
}

/// Credentials that an account accepts.
#[derive(Debug, Clone)]
pub enum AccountCredentials {
    /// A token that does not expire: a private app's, a service key, a project app's.
    Token(Secret),
    /// An OAuth app's installation, for which short-lived tokens are requested.
    OAuth {
        /// The app's id.
        client_id: String,
        /// The app's secret.
        client_secret: Secret,
        /// The installation's refresh token.
        refresh_token: Secret,
        /// Token endpoint: `https://api.hubapi.com/oauth/2026-03/token`.
        token_url: Url,
    },
}
