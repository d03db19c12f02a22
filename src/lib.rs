//! webinar-bridge keeps HubSpot's marketing events equal to what webinar platforms report by webhook.
//!
//! The data goes one way:
//!
//! ```text
//! platform ─► receive ─► intake: verify, scrub, read ─► ledger (commit, then 200) ─► deliver ─► hubspot
//! ```
//!
//! Start reading at [`event`], the vocabulary and the merge; then [`ledger`], the buffer.
//! Who may import whom is a table in `tests/it/architecture.rs`, which a test enforces.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod deliver;
pub mod event;
pub mod expression;
pub mod fetch;
pub mod http;
pub mod hubspot;
pub mod intake;
pub mod jwt;
pub mod ledger;
pub mod net;
pub mod ops;
pub mod providers;
pub mod receive;
pub mod replay;
pub mod sandbox;
pub mod secret;
pub mod shutdown;
pub mod telemetry;

// The stub of the integration tests serves the unit tests too.
#[cfg(test)]
extern crate self as webinar_bridge;
#[cfg(test)]
#[path = "../tests/it/harness/stub_platform.rs"]
mod stub_platform;
