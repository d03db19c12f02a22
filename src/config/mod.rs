//! The configuration: from a file and the environment to settings that are known to be right.
//!
//! Promises: [`load`] is refused with everything that is wrong at once, each with its key, what is wrong and the
//! remedy; a key nobody knows is wrong, from the environment too; no message and no `Debug` output holds a secret.
//! Validation itself is pure; what must be asked of the machine is in [`load_to_serve`]. Relies on nothing that lasts:
//! a crash has nothing to lose here.
//!
//! A file and its variables become a tree (`node`, [`mod@env`]), which is read section by section (`section`; `process`,
//! `account`, `source`) into [`Config`].

mod account;
pub mod env;
mod field;
mod filesystem;
mod machine_checks;
mod node;
mod options;
#[cfg(test)]
pub(crate) mod probe;
mod problem;
mod process;
mod rules;
mod section;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod units;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use node::{ConfigNode, ConfigTree};
pub use problem::{ConfigProblem, ConfigProblems};
use section::{ProblemReport, Section};
pub use settings::{
    AccountSettings, Config, JwtSettings, ListenSettings, OpsSettings, SourceSettings,
    StoreSettings,
};

use crate::providers::{PLATFORMS, Platform};

/// The configuration file if nothing names another.
const DEFAULT_FILE: &str = "bridge.toml";

/// Reads and validates the configuration: `path`, else `$BRIDGE_CONFIG`, else `./bridge.toml`, with `variables` over it.
///
/// # Errors
/// [`Problems`]: everything that is wrong.
pub fn load(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<Config, ConfigProblems> {
    let (file, text) = read_file(path, variables)?;
    read(&file, &text, variables)
}

/// Validates a configuration's text, with `variables` over it; pure. `file` is what messages call it.
///
/// # Errors
/// [`Problems`]: everything that is wrong.
pub fn read(
    file: &str,
    text: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Config, ConfigProblems> {
    parse(file, text, variables, PLATFORMS)
}

/// As [`load`], and everything the machine can tell is right too: secrets can be read, the store's place will do.
///
/// # Errors
/// [`Problems`]: everything that is wrong.
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

/// Where the ops listener is. Looks at nothing else: a configuration that was broken since it was loaded does not make
/// the process that runs on it unhealthy.
///
/// # Errors
/// [`Problems`] of `[listen]`, or that the file cannot be read.
pub fn load_ops_address(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<SocketAddr, ConfigProblems> {
    let (file, text) = read_file(path, variables)?;
    let mut ignored = Vec::new();
    let tree = build_tree(&file, &text, variables, &mut ignored)?;
    let report = ProblemReport { file, ..ProblemReport::default() };
    let listen = process::listen(&mut Section::root(&report, tree));
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
            let what = format!(
                "cannot be read ({error}). Name the configuration with --config or ${}",
                env::CONFIG_FILE
            );
            Err(ConfigProblems::single(file, what))
        }
    }
}

/// Validates; pure.
pub(crate) fn parse(
    file: &str,
    text: &str,
    variables: &BTreeMap<String, String>,
    platforms: &[&'static dyn Platform],
) -> Result<Config, ConfigProblems> {
    let mut problems = Vec::new();
    let tree = build_tree(file, text, variables, &mut problems)?;
    let report = ProblemReport {
        file: file.to_owned(),
        problems: RefCell::new(problems),
        ..ProblemReport::default()
    };
    let mut root = Section::root(&report, tree);
    let listen = process::listen(&mut root);
    let store = process::store(&mut root);
    let ops = process::ops(&mut root);
    let (accounts, names) = account::accounts(&mut root);
    let sources =
        source::sources(&mut root, &source::SourceReferences { platforms, accounts: &names });
    root.finish();
    ConfigProblems::check_empty(report.problems.into_inner())?;
    let secrets = report.secrets.into_inner();
    Ok(Config {
        file: file.to_owned(),
        listen,
        store,
        ops,
        accounts,
        sources,
        platform_secrets: secrets,
    })
}

fn build_tree(
    file: &str,
    text: &str,
    variables: &BTreeMap<String, String>,
    problems: &mut Vec<ConfigProblem>,
) -> Result<ConfigTree, ConfigProblems> {
    // The error's own Display shows the line, in which a secret may stand.
    let table: toml::Table = toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let message = error.message().replace('\n', "; ");
        ConfigProblems::single(file, format!("line {line} is not TOML: {message}. Correct it"))
    })?;
    let mut tree = ConfigNode::entries(table, None);
    env::overlay(&mut tree, variables, problems);
    Ok(tree)
}
