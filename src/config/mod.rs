//! The configuration: reads and validates the file and the environment.
//!
//! Promises: [`load`] reports all problems at once, each with its key, the fault and the remedy; an unknown key is a
//! problem, in the environment, too; no message and no `Debug` output holds a secret. Validation itself is pure; checks
//! that need the machine are in [`load_and_check`]. Relies on nothing that lasts: a crash has nothing to lose here.
//!
//! The environment's variables override the file's table ([`mod@env`]), which is read section by section (`section`,
//! `options`; `process`, `account`, `source`) into [`Config`].

mod account;
pub mod env;
mod filesystem;
mod machine_checks;
mod options;
#[cfg(test)]
#[path = "tests/probe.rs"]
pub(crate) mod probe;
mod problem;
mod process;
mod relations;
mod rules;
mod section;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

pub use problem::{ConfigProblem, ConfigProblems};
pub use section::RequiredSecret;
use section::{ProblemReport, Section};
pub use settings::{AccountSettings, Config, ListenSettings, OpsSettings, StoreSettings};

use crate::providers::{PLATFORMS, Platform};

/// Default path of the configuration file.
const DEFAULT_FILE: &str = "bridge.toml";

/// Reads and validates the configuration: `path`, else `$BRIDGE_CONFIG`, else `./bridge.toml`, overridden by
/// `variables`.
///
/// # Errors
/// [`ConfigProblems`]: all problems.
pub fn load(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<Config, ConfigProblems> {
    let (file, text) = read_file(path, variables)?;
    validate(&file, &text, variables)
}

/// Validates a configuration's text, overridden by `variables`; pure. Messages call it `file`.
///
/// # Errors
/// [`ConfigProblems`]: all problems.
pub fn validate(
    file: &str,
    text: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Config, ConfigProblems> {
    validate_for(file, text, variables, PLATFORMS)
}

/// As [`load`], and checks the machine: that secrets are readable and that the store's file system will
/// do.
///
/// # Errors
/// [`ConfigProblems`]: all problems.
pub fn load_and_check(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<Config, ConfigProblems> {
    let config = load(path, variables)?;
    let mut problems = config.check_secrets();
    problems.extend(config.check_store_filesystem());
    ConfigProblems::check_empty(problems)?;
    Ok(config)
}

/// The address of the ops listener. Reads nothing else of the configuration: a fault in the file since the process was
/// started does not make the running process unhealthy.
///
/// # Errors
/// [`ConfigProblems`] of `[listen]`, or an unreadable file.
pub fn load_ops_address(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<SocketAddr, ConfigProblems> {
    let (file, text) = read_file(path, variables)?;
    let (table, report) = overridden_table(&file, &text, variables)?;
    // Problems of the environment's names are not of `[listen]`.
    report.problems.take();
    let listen = process::listen(&mut Section::root(&report, table));
    ConfigProblems::check_empty(report.problems.into_inner())?;
    Ok(listen.ops)
}

fn read_file(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<(String, String), ConfigProblems> {
    let named = variables.get(env::CONFIG_FILE).filter(|name| !name.is_empty()).map(Path::new);
    let path = path.or(named).unwrap_or(Path::new(DEFAULT_FILE));
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((file, text)),
        Err(error) => {
            let message = format!(
                "cannot be read ({error}). Set the path with --config or ${}",
                env::CONFIG_FILE
            );
            Err(ConfigProblems::single(file, message))
        }
    }
}

/// As [`validate`], for these platforms.
pub(crate) fn validate_for(
    file: &str,
    text: &str,
    variables: &BTreeMap<String, String>,
    platforms: &[&'static Platform],
) -> Result<Config, ConfigProblems> {
    let (table, report) = overridden_table(file, text, variables)?;
    let mut root = Section::root(&report, table);
    let listen = process::listen(&mut root);
    let store = process::store(&mut root);
    let ops = process::ops(&mut root);
    let (accounts, names) = account::accounts(&mut root);
    let sources =
        source::sources(&mut root, &source::SourceReferences { platforms, accounts: &names });
    root.finish();
    let ProblemReport { file, problems, secrets, .. } = report;
    ConfigProblems::check_empty(problems.into_inner())?;
    Ok(Config { file, listen, store, ops, accounts, sources, secrets: secrets.into_inner() })
}

/// The file's table, overridden by the variables, and the report for reading it.
fn overridden_table(
    file: &str,
    text: &str,
    variables: &BTreeMap<String, String>,
) -> Result<(toml::Table, ProblemReport), ConfigProblems> {
    // The error's `Display` repeats the line, which may hold a secret.
    let mut table: toml::Table = toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let message = error.message().replace('\n', "; ");
        ConfigProblems::single(file, format!("line {line} is not TOML: {message}. Correct it"))
    })?;
    let mut report = ProblemReport { file: file.to_owned(), ..ProblemReport::default() };
    env::overlay(&mut table, variables, &mut report);
    Ok((table, report))
}
