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
mod given;
mod node;
mod options;
mod place;
#[cfg(test)]
pub(crate) mod probe;
mod problem;
mod process;
mod ready;
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

use node::{Node, Nodes};
pub use problem::{Problem, Problems};
use section::{Report, Section};
pub use settings::{Account, Config, Jwt, Listen, Ops, Source, Store};

use crate::providers::{PLATFORMS, Platform};

/// The configuration file if nothing names another.
const DEFAULT_FILE: &str = "bridge.toml";

/// Reads and validates the configuration: `path`, else `$BRIDGE_CONFIG`, else `./bridge.toml`, with `variables` over it.
///
/// # Errors
/// [`Problems`]: everything that is wrong.
pub fn load(path: Option<&Path>, variables: &BTreeMap<String, String>) -> Result<Config, Problems> {
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
) -> Result<Config, Problems> {
    parse(file, text, variables, PLATFORMS)
}

/// As [`load`], and everything the machine can tell is right too: secrets can be read, the store's place will do.
///
/// # Errors
/// [`Problems`]: everything that is wrong.
pub fn load_to_serve(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<Config, Problems> {
    let config = load(path, variables)?;
    let mut problems = config.unreadable_secrets();
    problems.extend(config.unfit_store());
    Problems::none_of(problems)?;
    Ok(config)
}

/// Where the ops listener is. Looks at nothing else: a configuration that was broken since it was loaded does not make
/// the process that runs on it unhealthy.
///
/// # Errors
/// [`Problems`] of `[listen]`, or that the file cannot be read.
pub fn ops_address(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<SocketAddr, Problems> {
    let (file, text) = read_file(path, variables)?;
    let mut ignored = Vec::new();
    let tree = tree(&file, &text, variables, &mut ignored)?;
    let report = Report { file, ..Report::default() };
    let listen = process::listen(&mut Section::root(&report, tree));
    Problems::none_of(report.problems.into_inner())?;
    Ok(listen.ops)
}

fn read_file(
    path: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> Result<(String, String), Problems> {
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
            Err(Problems::one(file, what))
        }
    }
}

/// Validates; pure.
pub(crate) fn parse(
    file: &str,
    text: &str,
    variables: &BTreeMap<String, String>,
    platforms: &[&'static dyn Platform],
) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let tree = tree(file, text, variables, &mut problems)?;
    let report =
        Report { file: file.to_owned(), problems: RefCell::new(problems), ..Report::default() };
    let mut root = Section::root(&report, tree);
    let listen = process::listen(&mut root);
    let store = process::store(&mut root);
    let ops = process::ops(&mut root);
    let (accounts, names) = account::accounts(&mut root);
    let sources = source::sources(&mut root, &source::Known { platforms, accounts: &names });
    root.finish();
    Problems::none_of(report.problems.into_inner())?;
    let secrets = report.secrets.into_inner();
    Ok(Config { file: file.to_owned(), listen, store, ops, accounts, sources, secrets })
}

fn tree(
    file: &str,
    text: &str,
    variables: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Result<Nodes, Problems> {
    // The error's own Display shows the line, in which a secret may stand.
    let table: toml::Table = toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let message = error.message().replace('\n', "; ");
        Problems::one(file, format!("line {line} is not TOML: {message}. Correct it"))
    })?;
    let mut tree = Node::entries(table, None);
    env::overlay(&mut tree, variables, problems);
    Ok(tree)
}
