//! What the configuration says of a HubSpot account.

use std::time::Duration;

use url::Url;

use crate::secret::Secret;

/// How an account's calls are authorised.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A token that does not expire: a private app's or a service key.
    Token(Secret),
    /// A public app's refresh token, which buys access tokens.
    OAuth {
        /// The app's id.
        client_id: String,
        /// The app's secret.
        client_secret: Secret,
        /// The grant of the account.
        refresh_token: Secret,
        /// Where access tokens are bought.
        token_url: Url,
    },
}

/// The calls HubSpot allows an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// So many.
    pub requests: u32,
    /// In any span of this length.
    pub window: Duration,
}
