//! `sandbox`: runs the whole product on loopback.

use super::{CommandError, Io};
use crate::sandbox;
use crate::shutdown;
use crate::telemetry::{LogSink, logs};

#[derive(Debug, clap::Args)]
pub(super) struct Sandbox {
    /// Ends after the scenario: exit code 0 if every event arrived, 1 if not
    #[arg(long)]
    once: bool,
}

impl Sandbox {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        // The scenario prints to standard output; the logs go to standard error, and only on request.
        if io.variables.contains_key(logs::LOG_ENV) {
            logs::init(LogSink::Stderr).map_err(|error| CommandError::Usage(error.to_string()))?;
        }
        let result = super::runtime()?.block_on(async {
            let stop = shutdown::stop_on_signal()?;
            sandbox::run(io.stdout, self.once, stop).await
        });
        Ok(result?)
    }
}
