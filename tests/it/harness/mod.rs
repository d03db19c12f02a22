//! Shared by the tests: builders of changes and receipts, stores in temporary folders, waiting for conditions.

pub(crate) mod build;
pub(crate) mod delivery;
pub(crate) mod disk;
pub(crate) mod events;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod rng;
pub(crate) mod senders;
pub(crate) mod store;
pub(crate) mod stub_platform;
pub(crate) mod wall_clock;
pub(crate) mod wire;
pub(crate) mod zoom;

use std::future::Future;
use std::time::Duration;

/// Waits until the condition holds; fails the test after half a minute.
pub(crate) async fn eventually<F, Fut>(what: &str, holds: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    eventually_within(Duration::from_secs(30), what, holds).await;
}

/// As [`eventually`], with another time limit.
pub(crate) async fn eventually_within<F, Fut>(limit: Duration, what: &str, mut holds: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = tokio::time::Instant::now() + limit;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Writes to standard error directly, so that a passing test shows it, too: skipped tests and measurements.
pub(crate) fn tell(text: &str) {
    use std::io::Write as _;
    drop(writeln!(std::io::stderr(), "{text}"));
}
