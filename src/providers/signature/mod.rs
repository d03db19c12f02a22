//! Signature schemes that platforms share.
//!
//! Promises: pure functions of the raw bytes, the secrets and the given time; secrets are compared in constant time and
//! appear in no error. Relies on the caller for the exact bytes as sent: a parsed and re-serialized body is another
//! message. Holds nothing, so a crash loses nothing.

pub mod digest;
pub mod hmac;
pub mod mac;
pub mod message;
pub mod standard_webhooks;
pub mod timestamped_hmac;
