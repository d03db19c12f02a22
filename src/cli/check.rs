//! `check`: would this configuration serve?

use super::{ConfigFile, Failure, World};
use crate::config::{Config, load_to_serve};

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
    /// Also asks HubSpot whether the credentials work
    #[arg(long)]
    online: bool,
}

impl Check {
    pub(super) fn run(self, world: &mut World<'_>) -> Result<(), Failure> {
        let config = load_to_serve(self.file.config.as_deref(), world.variables)?;
        open_store(&config)?;
        if self.online {
            ask_hubspot(&config)?;
        }
        let (accounts, sources) = (config.accounts.len(), config.sources.len());
        world.print(&format!(
            "{}: valid; HubSpot accounts: {accounts}, sources: {sources}",
            config.file
        ))
    }
}

/// Opens the store as serving would. Nothing is opened yet: there is no store to link to.
#[allow(clippy::unnecessary_wraps, reason = "opening can fail once there is something to open")]
fn open_store(_config: &Config) -> anyhow::Result<()> {
    Ok(())
}

/// Asks HubSpot whether each account's credentials work.
fn ask_hubspot(_config: &Config) -> anyhow::Result<()> {
    anyhow::bail!("--online is not in this version")
}
