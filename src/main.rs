//! The `webinar-bridge` program: parses the arguments and returns the exit code.

use std::io::{stderr, stdin, stdout};
use std::process::ExitCode;

use clap::Parser;
use webinar_bridge::cli::{Cli, Io, run};
use webinar_bridge::config::env;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let variables = env::variables();
    let world = Io { variables: &variables, stdin: &mut stdin(), stdout: &mut stdout() };
    run(cli, world, &mut stderr())
}
