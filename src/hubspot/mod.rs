//! HubSpot as the bridge sees it: the batch upsert, whose the account is, reading an event back, and everything an
//! answer can mean.
//!
//! Promises:
//!
//! * [`judge`] gives every answer, however odd, a [`Verdict`]; nothing that HubSpot sends makes it panic, and no event
//!   is called confirmed or refused that the answer does not call so.
//! * What is an event's fault and what is the account's are never mixed up: they are different variants.
//! * [`Pace`] never lets more calls into any window than is configured, nor than HubSpot says, wherever in the window
//!   HubSpot counts them.
//! * Credentials appear in the requests' headers and bodies and nowhere else.
//!
//! Relies on [`crate::net::Http`] to bound every call in size and time. Knows neither the ledger nor when to send.
//!
//! A crash loses nothing that matters: tokens are fetched again, and the pace starts with one call whose answer tells
//! how many of the window's calls the process before has used.

mod account_error;
pub mod backoff;
mod body;
mod client;
mod credentials;
mod fingerprint;
mod rate_limit_headers;
mod rate_limiter;
mod remote_event;
pub mod settings;
mod verdict;

pub use account_error::{AccountError, AccountErrorKind, RateLimitPolicy};
pub use client::{AccountClient, ApiCall, ApiOperation, ApiReport, CallStatus};
pub use credentials::AccountTokens;
pub use fingerprint::CredentialsFingerprint;
pub use rate_limit_headers::RateLimitHeaders;
pub use rate_limiter::{Permit, PermitWait, RateLimiter};
pub use remote_event::{RemoteEvent, differences};
pub use settings::{AccountApiSettings, AccountCredentials, RateLimit};
pub use verdict::{BatchItem, EventRefusal, ItemVerdict, SplitReason, Unconfirmed, Verdict, judge};
