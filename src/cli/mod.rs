//! The command line: a file for each command.
//!
//! Promises the exit codes 0 (done), 1 (failed) and 2 (wrong use or invalid configuration), and that results go to
//! standard output and messages to standard error. Commands take their surroundings from [`Io`], so that tests can
//! supply them. Nothing here outlives the process.

mod backfill;
mod backup;
mod body_arg;
mod check;
mod completions;
mod erase;
mod health;
mod ledger_access;
mod map;
mod migrate;
mod ops_client;
mod renamed_accounts;
mod sandbox;
mod serve;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigProblems};
use crate::event::SourceName;
use crate::intake::Source;
use crate::ledger::sqlite::OpenError;
use crate::net::{Http, HttpClient};
use crate::providers::{PLATFORMS, Platform, Provider, by_id};

/// Keeps HubSpot's marketing events equal to what webinar platforms report by webhook.
#[derive(Debug, Parser)]
#[command(name = "webinar-bridge", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service
    Serve(serve::Serve),
    /// Shows the whole product on loopback, with an emulated HubSpot and authentic sample webhooks
    Sandbox(sandbox::Sandbox),
    /// Validates configuration and secrets, looks at the store without changing it
    Check(check::Check),
    /// Shows what a webhook's body means and what HubSpot would get; asks nobody, stores nothing
    Map(map::Map),
    /// Prints a curl command with a correct proof (signature, token or password), to try an endpoint
    Sign(sign::Sign),
    /// Asks the running process whether it lives: for a container's health check
    Health(health::Health),
    /// Compares the delivered events with HubSpot by reading, and sends again what differs
    Verify(verify::Verify),
    /// Brings in webinars from before, from the platform's list of them
    Backfill(backfill::Backfill),
    /// Brings the store's schema up to date and exits
    Migrate(migrate::Migrate),
    /// Copies the store, also while the service runs
    Backup(backup::Backup),
    /// Removes a person from the stored webhooks, also while the service runs
    Erase(erase::Erase),
    /// Prints the completions of a shell
    Completions(completions::Completions),
}

/// The path of the configuration.
#[derive(Debug, Default, Args)]
struct ConfigArg {
    #[arg(
        long,
        value_name = "FILE",
        help = "The configuration [else $BRIDGE_CONFIG, else ./bridge.toml]"
    )]
    config: Option<PathBuf>,
}

/// The streams and the environment of a command.
pub struct Io<'a> {
    /// The environment.
    pub variables: &'a BTreeMap<String, String>,
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// Standard output.
    pub stdout: &'a mut dyn Write,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// The configuration is invalid. Exit code 2.
    #[error(transparent)]
    InvalidConfig(#[from] ConfigProblems),
    /// The arguments are wrong. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The command failed. Exit code 1.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Why the service cannot start.
fn classify_open_error(error: anyhow::Error) -> CommandError {
    match error.downcast_ref::<OpenError>() {
        // The configuration is invalid.
        Some(OpenError::Config(refused)) => CommandError::Usage(refused.to_string()),
        Some(_) | None => CommandError::Failed(error),
    }
}

/// Runs the command and prints a failure to `stderr`.
#[must_use]
pub fn run(cli: Cli, mut io: Io<'_>, stderr: &mut dyn Write) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(serve) => serve.run(&mut io),
        Command::Sandbox(sandbox) => sandbox.run(&mut io),
        Command::Check(check) => check.run(&mut io),
        Command::Map(map) => map.run(&mut io),
        Command::Sign(sign) => sign.run(&mut io),
        Command::Health(health) => health.run(&mut io),
        Command::Verify(verify) => verify.run(&mut io),
        Command::Backfill(backfill) => backfill.run(&mut io),
        Command::Migrate(migrate) => migrate.run(&mut io),
        Command::Backup(backup) => backup.run(&mut io),
        Command::Erase(erase) => erase.run(&mut io),
        Command::Completions(completions) => completions.run(&mut io),
    };
    let (message, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CommandError::InvalidConfig(problems)) => (problems.to_string(), 2),
        Err(CommandError::Usage(message)) => (format!("error: {message}"), 2),
        Err(CommandError::Failed(error)) => (format!("error: {error:#}"), 1),
    };
    // If the message cannot be written, the exit code stays.
    drop(writeln!(stderr, "{message}"));
    ExitCode::from(code)
}

impl Io<'_> {
    fn print(&mut self, text: &str) -> Result<(), CommandError> {
        let written = writeln!(self.stdout, "{text}").and_then(|()| self.stdout.flush());
        Ok(written.context("cannot write")?)
    }
}

/// The runtime for the asynchronous work of a command.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

fn http_client() -> anyhow::Result<Arc<dyn Http>> {
    Ok(Arc::new(HttpClient::new().context("cannot make an HTTP client")?))
}

fn find_platform(name: &str) -> Result<&'static Platform, CommandError> {
    by_id(name).ok_or_else(|| {
        let known: Vec<String> = PLATFORMS.iter().map(|known| known.id.to_string()).collect();
        CommandError::Usage(format!(
            "--provider {name:?} is not known. Known: {}",
            known.join(", ")
        ))
    })
}

/// The provider of the platform without the options of a source.
fn unconfigured_provider(platform: &Platform) -> Result<Arc<dyn Provider>, CommandError> {
    (platform.unconfigured)().ok_or_else(|| {
        let id = &platform.id;
        CommandError::Usage(format!(
            "--provider {id} works only with a configured source. Add --config and --source"
        ))
    })
}

/// Finds a configured source of that platform.
fn find_source<'a>(
    config: &'a Config,
    name: &str,
    platform: &Platform,
) -> Result<&'a Arc<Source>, CommandError> {
    let Some(source) = config.sources.get(name) else {
        let names: Vec<&str> = config.sources.keys().map(SourceName::as_str).collect();
        let names = names.join(", ");
        return Err(CommandError::Usage(format!(
            "--source {name:?} is not in {}. There: {names}",
            config.file
        )));
    };
    if source.policy.provider != platform.id {
        let (asked, is) = (&platform.id, &source.policy.provider);
        return Err(CommandError::Usage(format!("--source {name} is of {is}, not of {asked}")));
    }
    Ok(source)
}
