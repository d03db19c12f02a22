//! Promises that hold for every input of every parser of outside bytes, however hostile: one target for each parser.
//!
//! A target is a function of bytes that panics when a promise is broken. Two drivers run them:
//! `tests/it/fuzz.rs`, on any toolchain and with each test run, and cargo-fuzz, which searches for new paths (`main.rs`).

mod batch_response;
mod config;
mod custom;
mod expression;
mod path;
mod remote_event;
mod signature;
mod text;
mod token_response;
mod webhook;
mod webinar_state;

use std::path::{Path, PathBuf};

/// The promises of one parser.
pub(crate) struct Target {
    /// Name, also of its folder under `tests/fixtures/fuzz`.
    pub(crate) name: &'static str,
    /// Check, which panics if the input breaks a promise.
    pub(crate) check: fn(&[u8]),
    /// Real inputs, with which the search begins.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "batch_response", check: batch_response::check, seeds: batch_response::seeds },
    Target { name: "config", check: config::check, seeds: config::seeds },
    Target { name: "custom", check: custom::check, seeds: custom::seeds },
    Target { name: "expression", check: expression::check, seeds: expression::seeds },
    Target { name: "path", check: path::check, seeds: path::seeds },
    Target { name: "remote_event", check: remote_event::check, seeds: remote_event::seeds },
    Target { name: "signature", check: signature::check, seeds: signature::seeds },
    Target { name: "webinar_state", check: webinar_state::check, seeds: webinar_state::seeds },
    Target { name: "text", check: text::check, seeds: text::seeds },
    Target { name: "token_response", check: token_response::check, seeds: token_response::seeds },
    Target { name: "webhook", check: webhook::check, seeds: webhook::seeds },
];

impl Target {
    /// The target of that name.
    pub(crate) fn named(name: &str) -> &'static Self {
        TARGETS.iter().find(|target| target.name == name).expect("there is a target of that name")
    }

    /// Inputs with which the search begins: the seeds, and inputs that once broke a promise.
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

/// An HTTP message as a parser gets it: name-value lines, an empty line, a body.
struct Message<'a> {
    lines: Vec<(&'a [u8], &'a [u8])>,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    fn from_bytes(data: &'a [u8]) -> Self {
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
        let (_, value) = self.lines.iter().find(|(present, _)| *present == name.as_bytes())?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// The response as [`webinar_bridge::net::HttpClient`] would return it.
    fn response(&self) -> webinar_bridge::net::HttpResponse {
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

/// Whether a text is fit for logs: short, and without characters that move a terminal's cursor.
fn is_fit_for_logs(text: &str) -> bool {
    text.chars().count() <= 500 && !text.chars().any(char::is_control)
}
