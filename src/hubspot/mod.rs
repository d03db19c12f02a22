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

pub mod backoff;
mod body;
mod client;
mod compare;
mod credentials;
mod fingerprint;
mod limiter;
mod rates;
pub mod settings;
mod trouble;
mod verdict;

pub use client::{Account, Call, CallStatus, Operation, Report};
pub use compare::{Shown, differences};
pub use credentials::Tokens;
pub use fingerprint::Fingerprint;
pub use limiter::{Pace, Slot, Wait};
pub use rates::Rates;
pub use settings::{Api, Credentials, RateLimit};
pub use trouble::{AccountTrouble, RatePolicy, TroubleKind};
pub use verdict::{Cause, ItemVerdict, Refusal, Sent, Unclear, Verdict, judge};
