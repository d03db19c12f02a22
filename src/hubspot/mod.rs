//! Client of HubSpot's API: the batch upsert, the read and the single write of one event, the account's identity, and the meaning of every
//! response.
//!
//! Promises:
//!
//! * [`judge`] gives every response, however odd, a [`Verdict`]; nothing that HubSpot sends makes it panic, and it
//!   confirms or refuses only events that the response confirms or refuses.
//! * Failures of an event and of the account are never confused: they are different variants.
//! * [`RateLimiter`], given each response's [`RateLimitHeaders`], keeps every window within the configured limit and
//!   within HubSpot's, wherever in the window HubSpot counts the calls.
//! * Credentials appear in the headers and bodies of requests and nowhere else.
//!
//! Relies on [`crate::net::Http`] to bound every call in size and time. Knows neither the ledger nor when to send.
//!
//! A crash loses nothing that matters: tokens are requested again, and the rate limiter starts with one call, whose
//! response shows how many of the window's calls the process before has used.

mod account_error;
mod account_http;
mod body;
mod client;
mod credentials;
mod rate_limit_headers;
mod remote_event;
pub mod settings;
mod single_verdict;
mod verdict;

pub use crate::net::{
    CallPermit, CredentialsFingerprint, PermitWait, RateLimit, RateLimiter, WaitingRateLimiter,
};
pub use account_error::{AccountError, AccountErrorKind, RateLimitPolicy};
pub use client::{AccountClient, ApiReport, CallTiming};
pub use rate_limit_headers::RateLimitHeaders;
pub use remote_event::{RemoteEvent, differences};
pub use settings::{AccountApiSettings, AccountCredentials};
pub use verdict::{BatchItem, ItemVerdict, SplitReason, Unconfirmed, Verdict, judge};
