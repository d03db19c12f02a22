//! The README, the pages under `docs/` and the program agree: examples, keys, commands, metrics, links.

mod architecture;
mod commands;
mod configuration;
mod links;
mod metrics;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

const README: &str = "README.md";
/// Pages at the top of the repository.
const TOP_PAGES: [&str; 3] = [README, "CONTRIBUTING.md", "CHANGELOG.md"];

/// A Markdown page.
struct Page {
    /// Path from the root of the repository, such as `docs/cli.md`.
    path: String,
    text: String,
}

impl Page {
    fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|_| panic!("{path}"));
        Self { path: path.to_owned(), text }
    }

    /// The page at the top, and every page under `docs/`.
    fn all() -> Vec<Self> {
        let mut paths: Vec<String> = TOP_PAGES.map(str::to_owned).to_vec();
        let mut folders = vec!["docs".to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root().join(&folder)).expect("the folder is readable") {
                let entry = entry.expect("the entry is readable");
                let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
                let is_folder = entry.file_type().expect("the entry has a type").is_dir();
                if is_folder { &mut folders } else { &mut paths }.push(path);
            }
        }
        let pages: Vec<Self> = paths.iter().map(|path| Self::read(path)).collect();
        assert!(pages.len() > 30, "pages are missing: {paths:?}");
        pages
    }

    /// Lines outside code blocks, with their numbers from 1.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut in_code = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            in_code ^= is_fence;
            !in_code && !is_fence
        })
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The text under a heading, up to the next heading of its rank.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let heading = format!("\n{heading}\n");
    let (_, under) = page.split_once(&heading).expect("the page has the heading");
    let rank = heading.trim_start().split(' ').next().unwrap_or_default();
    under.split(&format!("\n{rank} ")).next().unwrap_or_default()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

/// Standard output and standard error of a program.
fn printed(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
