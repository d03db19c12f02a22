//! Signals: the first begins a graceful end, the second ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first SIGTERM or SIGINT cancels; the second ends the process.
///
/// Ending at once loses nothing: answered webhooks are durable, and pending events are sent after the next start.
///
/// # Errors
/// When the process may not listen for signals.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let signalled = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if signalled.is_cancelled() {
                tracing::warn!("stopping at once: a second signal came");
                std::process::exit(1);
            }
            signalled.cancel();
        }
    });
    Ok(stop)
}
