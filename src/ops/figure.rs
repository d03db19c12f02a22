//! Reads figures of the ledger, for gauges and for the status: those that are there in time.

use std::time::Duration;

use tokio::time::timeout;

use crate::ledger::LedgerError;

/// Reads one figure of the ledger; none if the ledger fails or takes longer than `limit`.
pub(super) async fn read_figure<T>(
    figure: &str,
    limit: Duration,
    reading: impl Future<Output = Result<T, LedgerError>>,
) -> Option<T> {
    match timeout(limit, reading).await {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::debug!(figure, %error, "a figure of the ledger could not be read");
            None
        }
        Err(_) => {
            tracing::debug!(figure, "a figure of the ledger took too long to read");
            None
        }
    }
}
