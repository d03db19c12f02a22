//! `sandbox`: the whole product on loopback.

use super::{Failure, World};
use crate::sandbox;
use crate::shutdown;
use crate::telemetry::{Sink, logs};

#[derive(Debug, clap::Args)]
pub(super) struct Sandbox {
    /// Ends when everything has arrived: exit code 0 if it did, 1 if not
    #[arg(long)]
    once: bool,
}

impl Sandbox {
    pub(super) fn run(self, world: &mut World<'_>) -> Result<(), Failure> {
        // The story is on standard output; what the service itself has to say goes beside it, if it is asked for.
        if world.variables.contains_key(logs::LOG_ENV) {
            logs::init(Sink::Stderr).map_err(|error| Failure::Usage(error.to_string()))?;
        }
        let told = super::runtime()?.block_on(async {
            let stop = shutdown::on_signal()?;
            sandbox::tell(world.stdout, self.once, stop).await
        });
        Ok(told?)
    }
}
