//! What the program tells about itself: metrics and logs.
//!
//! * [`metrics`]: [`Metrics`], one method per fact; the only place that names `prometheus`.
//! * [`logs`]: the one place that says where log lines go and how they look.
//!
//! Promises: every name and label set of the metrics exists from the start, so that a rate over the first event is
//! right. No label takes a value from a payload. No call here fails or blocks on I/O. Relies on `event` for names only;
//! nothing is process-wide but the log subscriber. A crash loses the counts since the start, as Prometheus expects.

pub mod logs;
pub mod metrics;

mod families;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, where the build says so (`BRIDGE_REVISION`).
pub const REVISION: &str = match option_env!("BRIDGE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

pub use logs::{LogSink, LogsError};
pub use metrics::{EventCounts, Metrics, WebhookOutcome};
