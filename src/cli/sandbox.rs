//! `sandbox`: the whole product on loopback.

use super::{CommandError, Io};
use crate::sandbox;
use crate::shutdown;
use crate::telemetry::{LogSink, logs};

#[derive(Debug, clap::Args)]
pub(super) struct Sandbox {
    /// Ends when everything has arrived: exit code 0 if it did, 1 if not
    #[arg(long)]
    once: bool,
}

impl Sandbox {
    pub(super) fn run(self, world: &mut Io<'_>) -> Result<(), CommandError> {
        // The story is on standard output; what the service itself has to say goes beside it, if it is asked for.
        if world.variables.contains_key(logs::LOG_ENV) {
            logs::init(LogSink::Stderr).map_err(|error| CommandError::Usage(error.to_string()))?;
        }
        let told = super::runtime()?.block_on(async {
            let stop = shutdown::stop_on_signal()?;
            sandbox::run(world.stdout, self.once, stop).await
        });
        Ok(told?)
    }
}
