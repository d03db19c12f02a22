//! `erase`: removes a person from the stored webhooks, also while the service runs.

use anyhow::Context as _;

use super::{CommandError, ConfigArg, Io};
use crate::config::load;
use crate::ledger::erasure::EmailAddress;
use crate::ledger::sqlite::{self, ErasureSummary};

#[derive(Debug, clap::Args)]
pub(super) struct Erase {
    #[command(flatten)]
    file: ConfigArg,
    /// The e-mail address of the person
    #[arg(long, value_name = "ADDRESS")]
    email: String,
}

impl Erase {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let address = EmailAddress::parse(&self.email)
            .map_err(|error| CommandError::Usage(format!("--email: {error}")))?;
        let config = load(self.file.config.as_deref(), io.variables)?;
        let ErasureSummary { bodies, texts, events } = sqlite::erase(&config.store.path, &address)
            .context("not everything was erased; run it again")?;
        let path = config.store.path.display();
        io.print(&format!(
            "{path}: erased from stored bodies: {bodies}, from other texts: {texts}"
        ))?;
        if events > 0 {
            io.print(&format!(
                "events whose own name, organizer or description mentions the address: {events}; change them at the \
                 platform, as HubSpot shows them too"
            ))?;
        }
        Ok(())
    }
}
