//! Being told to stop: the first signal begins a graceful end, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT; the second ends the process.
///
/// What was answered is durable, and what is pending is sent after the next start: nothing is lost by not waiting.
///
/// # Errors
/// When the process may not listen for signals.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if told.is_cancelled() {
                tracing::warn!("told again to stop: stopping at once");
                std::process::exit(1);
            }
            told.cancel();
        }
    });
    Ok(stop)
}
