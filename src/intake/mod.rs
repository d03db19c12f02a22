//! The one way from bytes to a receipt: webhooks, answers of platforms' APIs, stored receipts and dry runs.
//!
//! * [`source`]: a configured [`Source`];
//! * [`webhook`]: a webhook request, from verifying it to its receipt;
//! * [`answers`]: the answers of a platform's API as a receipt;
//! * [`stored`]: a stored receipt, read again by today's code and configuration;
//! * [`receipt`]: the parts common to all receipts.
//!
//! Promises: only a verified request becomes a receipt; the body is scrubbed once, and the scrubbed body is both read
//! and stored; a source reads nothing of platform accounts that it may not speak for. Relies on the caller for the raw
//! bytes, the time and the receipt's id. Pure functions: no I/O, no clock, no counting. Holds nothing, so a crash loses
//! nothing.

mod answers;
mod receipt;
mod source;
mod stored;
mod webhook;

pub use receipt::IntakeReceipt;
pub use source::{DEFAULT_TOLERANCE, Replays, Source};
pub use webhook::{IntakeResult, VerificationKeys};
