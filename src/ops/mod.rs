//! The private listener: probes, metrics and the operators' API.
//!
//! * [`listener`]: routes requests; [`state`]: what they share.
//! * [`access`]: who may use the API.
//! * [`readiness`]: `/readyz`; [`gauges`]: gauges that are set at every scrape of `/metrics`; [`figure`]: reads one.
//! * [`api`]: the operators' API under `/api/v1`.
//!
//! Promises: probes are answered while the store fails or hangs; an account that is down at HubSpot does not make the
//! process unready. Nothing of a body, a header, a query or a path is logged. Relies on the ledger for the counts, on
//! the caller to bind the listener to a private address. A crash loses nothing: the ledger holds all that was changed.

mod access;
mod api;
mod figure;
mod gauges;
mod listener;
mod readiness;
mod state;
#[cfg(test)]
mod tests;

pub use access::ApiAccess;
pub use api::models;
pub use listener::run_ops;
pub use readiness::Readiness;
pub use state::OpsState;
