//! `migrate`: brings the store's schema up to date and exits.

use anyhow::Context as _;

use super::{CommandError, ConfigArg, Io};
use crate::config::load;
use crate::ledger::sqlite;

#[derive(Debug, clap::Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    file: ConfigArg,
}

impl Migrate {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let config = load(self.file.config.as_deref(), io.variables)?;
        let (before, after) =
            sqlite::migrate(&config.store.path).context("the store cannot be migrated")?;
        let path = config.store.path.display();
        io.print(&match before {
            0 => format!("{path}: made, schema {after}"),
            before if before == after => format!("{path}: schema {after}, nothing to do"),
            before => format!("{path}: schema {before} is now {after}"),
        })
    }
}
