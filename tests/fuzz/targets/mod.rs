//! What holds for every input of every parser of outside bytes, however hostile: a target for each parser.
//!
//! A target is a function of bytes that panics when a promise is broken. Two drivers call the same ones:
//! `tests/it/fuzz.rs`, on any toolchain and with each test run, and cargo-fuzz, which looks for new paths (`main.rs`).

mod answer;
mod config;
mod custom;
mod expression;
mod path;
mod shown;
mod signature;
mod stored;
mod text;
mod token;
mod webhook;

use std::path::{Path, PathBuf};

/// One parser's promises.
pub(crate) struct Target {
    /// Its name, and its folder's under `tests/fixtures/fuzz`.
    pub(crate) name: &'static str,
    /// Panics if the input breaks a promise.
    pub(crate) check: fn(&[u8]),
    /// Inputs to begin with: what the outside really sends.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "answer", check: answer::check, seeds: answer::seeds },
    Target { name: "config", check: config::check, seeds: config::seeds },
    Target { name: "custom", check: custom::check, seeds: custom::seeds },
    Target { name: "expression", check: expression::check, seeds: expression::seeds },
    Target { name: "path", check: path::check, seeds: path::seeds },
    Target { name: "shown", check: shown::check, seeds: shown::seeds },
    Target { name: "signature", check: signature::check, seeds: signature::seeds },
    Target { name: "stored", check: stored::check, seeds: stored::seeds },
    Target { name: "text", check: text::check, seeds: text::seeds },
    Target { name: "token", check: token::check, seeds: token::seeds },
    Target { name: "webhook", check: webhook::check, seeds: webhook::seeds },
];

impl Target {
    /// The target of that name.
    pub(crate) fn named(name: &str) -> &'static Self {
        TARGETS.iter().find(|target| target.name == name).expect("there is a target of that name")
    }

    /// Inputs to begin with, those that once broke a promise among them.
    pub(crate) fn corpus(&self) -> Vec<Vec<u8>> {
        let mut corpus = (self.seeds)();
        let found = fixtures(&format!("fuzz/{}", self.name));
        corpus.extend(found.into_iter().map(|(_, bytes)| bytes));
        corpus
    }
}

/// The files of a folder of `tests/fixtures`, by name; none if there is no such folder.
fn fixtures(folder: &str) -> Vec<(String, Vec<u8>)> {
    // This file belongs to two packages, one inside the other.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|folder| folder.join("tests/fixtures").is_dir());
    let root = root.expect("the repository has fixtures");
    let Ok(entries) = std::fs::read_dir(root.join("tests/fixtures").join(folder)) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        (name, std::fs::read(path).expect("a fixture can be read"))
    };
    paths.iter().map(read).collect()
}

/// Name-value lines, an empty line, a body: what an HTTP message is to a parser.
struct Message<'a> {
    lines: Vec<(&'a [u8], &'a [u8])>,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    fn of(data: &'a [u8]) -> Self {
        let end = data.windows(2).position(|two| two == b"\n\n");
        let (head, body) =
            end.map_or((data, &data[data.len()..]), |end| (&data[..end], &data[end + 2..]));
        let lines = head.split(|byte| *byte == b'\n').map(|line| {
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.unwrap_or(line.len()));
            (name.trim_ascii(), value.strip_prefix(b":").unwrap_or(value).trim_ascii())
        });
        Self { lines: lines.filter(|(name, _)| !name.is_empty()).collect(), body }
    }

    /// The first line of that name, as a number.
    fn number(&self, name: &str) -> Option<u16> {
        let (_, value) = self.lines.iter().find(|(said, _)| *said == name.as_bytes())?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// The answer that it is, as [`webinar_bridge::net::Client`] would give it.
    fn answer(&self) -> webinar_bridge::net::HttpResponse {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers =
            self.lines.iter().map(|(name, value)| (text(name).to_ascii_lowercase(), text(value)));
        webinar_bridge::net::HttpResponse {
            status: self.number("status").unwrap_or(200),
            headers: headers.collect(),
            body: self.body.to_vec(),
        }
    }
}

/// Whether HubSpot's words were made fit for logs: short, and without what moves a terminal's cursor.
fn is_fit_for_logs(text: &str) -> bool {
    text.chars().count() <= 500 && !text.chars().any(char::is_control)
}
