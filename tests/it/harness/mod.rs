//! What the tests share: builders of changes and receipts, stores in temporary folders, waiting for conditions.

pub(crate) mod build;
pub(crate) mod process;
pub(crate) mod store;
pub(crate) mod wire;

use std::future::Future;
use std::time::Duration;

/// Waits until the condition holds, looking again and again; fails the test after half a minute.
pub(crate) async fn eventually<F, Fut>(what: &str, mut holds: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Says it past the capture of passing tests' output: what was skipped or measured is to be seen.
pub(crate) fn tell(text: &str) {
    use std::io::Write as _;
    drop(writeln!(std::io::stderr(), "{text}"));
}
