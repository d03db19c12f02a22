//! `completions`: prints the script by which a shell completes the arguments.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, CommandError, Io};

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let mut command = Cli::command();
        let name = command.get_name().to_owned();
        // Into memory first: the generator panics if it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        io.print(&String::from_utf8_lossy(&script))
    }
}
