//! `backup`: a consistent copy of the store, also while the service runs.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{CommandError, ConfigArg, Io};
use crate::clock::{Clock as _, SystemClock};
use crate::config::load;
use crate::ledger::sqlite::{self, BackupSummary};

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    #[command(flatten)]
    file: ConfigArg,
    /// The file of the copy; must not exist yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

impl Backup {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let config = load(self.file.config.as_deref(), io.variables)?;
        let BackupSummary { bytes, schema, receipts, events, pending } =
            sqlite::backup(&config.store.path, &self.to, SystemClock.now())
                .context("no backup was made")?;
        let to = self.to.display();
        io.print(&format!(
            "{to}: {bytes} bytes, schema {schema}, checked; receipts: {receipts}, events: {events}, \
             of these pending: {pending}"
        ))
    }
}
