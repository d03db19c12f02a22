//! HTTP calls to outside services: bounded in size and time, paced, authenticated. Only this room uses `reqwest`.
//!
//! * [`Http`] sends one request; [`HttpClient`] does so over real sockets. [`WitnessedHttp`] learns the time from the
//!   answers.
//! * [`RateLimiter`] keeps calls within a limit; [`WaitingRateLimiter`] lets tasks wait for it.
//! * [`oauth`] holds the messages of a token endpoint; [`TokenCache`] keeps the token; [`CredentialsFingerprint`]
//!   notices changed credentials.
//! * [`JwksCache`] keeps a published key set fresh.
//!
//! Promises: no redirect is followed, so that credentials reach only the configured address; no request is repeated
//! here; no window holds more calls than its limit. Relies on the caller to bound every request. A crash loses tokens,
//! key sets and the log of calls, all of which are gained again by calling.

mod client;
mod fingerprint;
mod http;
mod jwks;
pub mod oauth;
mod rate_limiter;
mod token_cache;
mod waiting_rate_limiter;
mod witnessed_http;

pub use client::{HttpClient, HttpClientError};
pub use fingerprint::CredentialsFingerprint;
pub use http::{
    Http, HttpMethod, HttpRequest, HttpResponse, TransportError, call_status, parse_json_object,
};
pub use jwks::JwksCache;
pub use rate_limiter::{Permit, PermitWait, RateLimit, RateLimiter};
pub use token_cache::{TokenCache, TokenIssuer, TokenIssuerError};
pub use waiting_rate_limiter::{CallPermit, WaitingRateLimiter};
pub use witnessed_http::WitnessedHttp;
