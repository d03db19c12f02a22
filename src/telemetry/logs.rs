//! Target, form and filter of log lines.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Environment variable with the log filter: `info`, `webinar_bridge=debug`.
pub const LOG_ENV: &str = "BRIDGE_LOG";

/// Filters for dependencies. The web server logs each of its threads at `info`. The certificate verifier's lines hold
/// paths of the build machine, and our own errors include their content.
const DEPENDENCY_FILTERS: [&str; 2] = ["actix_server=warn", "rustls_platform_verifier=off"];

/// Target of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSink {
    /// Standard output: for the service, which writes nothing else there.
    Stdout,
    /// Standard error: for commands, whose output goes to standard output.
    Stderr,
}

/// Reason why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The variable's value is not a filter.
    #[error("{LOG_ENV} is not a log filter such as `info` or `webinar_bridge=debug`")]
    Filter(#[source] tracing_subscriber::filter::FromEnvError),
    /// Logging has already started.
    #[error("logging is already set up")]
    AlreadySet(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts logging: plain text on a terminal, JSON lines elsewhere.
///
/// # Errors
/// [`LogsError`]: [`LOG_ENV`] is not a filter, or logging has already started.
pub fn init(sink: LogSink) -> Result<(), LogsError> {
    let (terminal, writer) = match sink {
        LogSink::Stdout => (std::io::stdout().is_terminal(), BoxMakeWriter::new(std::io::stdout)),
        LogSink::Stderr => (std::io::stderr().is_terminal(), BoxMakeWriter::new(std::io::stderr)),
    };
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var(LOG_ENV)
        .from_env()
        .map_err(LogsError::Filter)?;
    let filter = DEPENDENCY_FILTERS.iter().fold(filter, |filter, quiet| {
        filter.add_directive(quiet.parse().expect("our own directive is one"))
    });
    subscriber(filter, terminal, writer).try_init().map_err(LogsError::AlreadySet)
}

fn subscriber<W>(filter: EnvFilter, terminal: bool, writer: W) -> impl tracing::Subscriber + Send
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // Dependencies log header values and whole frames below `info` (actix-http: "illegal Content-Length: ..."). We
    // promise never to log these, so no filter can enable them. actix-http also logs every malformed request as an
    // error, which would let anybody fill the disk.
    let discreet = filter_fn(|line| {
        let target = line.target();
        target.starts_with(env!("CARGO_CRATE_NAME"))
            || (*line.level() <= Level::INFO && !target.starts_with("actix_http"))
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = if terminal {
        lines.boxed()
    } else {
        lines.json().flatten_event(true).with_span_list(false).boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(filter.and(discreet)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no writer panics").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(filter: &str, terminal: bool, log: impl FnOnce()) -> String {
        let output = Output::default();
        let writer = output.clone();
        let filter = EnvFilter::try_new(filter).expect("a filter");
        let subscriber = subscriber(filter, terminal, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = output.0.lock().expect("no writer panics").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn log_lines_are_json_with_dotted_fields_and_their_span() {
        let text = written("info", false, || {
            let span = tracing::info_span!("webhook", source.name = "acme");
            let _in_span = span.enter();
            tracing::info!(receipt.id = "r1", "stored");
        });
        let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON line");
        assert_eq!(line["message"], "stored");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["receipt.id"], "r1");
        assert_eq!(line["span"]["source.name"], "acme");
    }

    #[test]
    fn log_lines_on_a_terminal_are_text() {
        let text = written("info", true, || tracing::info!("stored"));
        assert!(text.contains("stored") && !text.contains('{'), "{text}");
    }

    #[test]
    fn details_of_dependencies_are_never_logged() {
        let text = written("trace", false, || {
            tracing::debug!(target: "hyper::proto", "a header's value");
            tracing::error!(target: "actix_http::h1", "a header's value");
            tracing::info!(target: "actix_server", "workers started");
            tracing::trace!("ours");
        });
        assert!(!text.contains("a header's value"), "{text}");
        assert!(text.contains("workers started") && text.contains("ours"), "{text}");
    }
}
