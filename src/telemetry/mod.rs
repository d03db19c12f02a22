//! The program's metrics and logs.
//!
//! * [`metrics`]: [`Metrics`], one method per fact; the only place that names `prometheus`.
//! * [`logs`]: target, form and filter of log lines.
//!
//! Promises: all names and label sets of the metrics exist from the start, so that a rate over the first event is
//! right. No label takes a value from a payload. No call here fails or blocks on I/O. Relies on `event` for names only;
//! nothing is process-wide but the log subscriber. A crash loses the counts since the start, as Prometheus expects.

pub mod logs;
pub mod metrics;

mod families;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit of the build, if the build sets `BRIDGE_REVISION`.
pub const REVISION: &str = match option_env!("BRIDGE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

pub use logs::{LogSink, LogsError};
pub use metrics::{Metrics, WebhookOutcome};
