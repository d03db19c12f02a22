//! What an account of the configuration holds for this module; checked by then.

use std::time::Duration;

use url::Url;

use crate::secret::Secret;

/// How to reach an account's API.
#[derive(Debug, Clone)]
pub struct AccountApiSettings {
    /// `https://api.hubapi.com`; plain HTTP to loopback only.
    pub base_url: Url,
    /// `/marketing/v3/marketing-events`, or the same API's dated form `/marketing/marketing-events/2026-03`.
    pub path_prefix: String,
    /// For one call, from connecting to the last byte of the answer.
    pub request_timeout: Duration,
    /// What the account accepts us by.
    pub credentials: AccountCredentials,
}

/// What an account accepts us by.
#[derive(Debug, Clone)]
pub enum AccountCredentials {
    /// A token that does not expire: a private app's, a service key, a project app's.
    Token(Secret),
    /// An OAuth app's installation; short-lived tokens are fetched.
    OAuth {
        /// The app.
        client_id: String,
        /// The app's secret.
        client_secret: Secret,
        /// The installation's refresh token.
        refresh_token: Secret,
        /// `https://api.hubapi.com/oauth/2026-03/token`.
        token_url: Url,
    },
}

/// How many calls an account may make in any window of that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls.
    pub requests: u32,
    /// The window.
    pub window: Duration,
}
