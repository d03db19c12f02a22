//! The outside of the real program, compared with snapshots: answers, metrics, exit codes, messages, JSON.
//!
//! The snapshots are the files in `tests/fixtures/black_box`. `BRIDGE_UPDATE_SNAPSHOTS=1 cargo test --test it black_box`
//! writes them again; review the difference before you commit it. Two kinds:
//!
//! * `*.messages.txt` holds sentences for people. They may change.
//! * All other files hold promises to machines. A difference there may break somebody's program.
//!
//! What differs between two runs is replaced by a word in brackets ([`redact`]), and only if it has the right shape.

mod api;
mod cli;
mod configuration;
mod configuration_cases;
mod exchange;
mod metrics;
mod operating;
mod redact;
mod scenario;
mod store;
mod webhooks;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use redact::Redactor;

/// The variable that makes the tests write the snapshots instead of comparing with them.
const UPDATE: &str = "BRIDGE_UPDATE_SNAPSHOTS";
/// Lines shown before and after the first difference.
const CONTEXT: usize = 3;

/// A text that grows during a test and is compared with its file at the end.
struct Snapshot {
    file: String,
    text: String,
    /// The sentences that were redacted, for the file of messages.
    messages: String,
}

impl Snapshot {
    fn new(file: &str) -> Self {
        Self { file: file.to_owned(), text: String::new(), messages: String::new() }
    }

    /// Adds a part under a heading.
    fn add(&mut self, heading: &str, part: &str) {
        push(&mut self.text, heading, part);
    }

    /// Adds a text for machines, and its sentences for people to the file of messages.
    fn add_redacted(&mut self, heading: &str, text: &str, redactor: &mut Redactor) {
        let heading = redactor.redact(heading);
        let redacted = redactor.redact(text);
        push(&mut self.text, &heading, &redacted);
        let sentences = redactor.take_sentences();
        if !sentences.is_empty() {
            push(&mut self.messages, &heading, &sentences.join("\n"));
        }
    }

    /// Fails the test unless the files hold the same; or writes the files.
    fn check(self) {
        let Self { file, text, messages } = self;
        check(&file, &text);
        if !messages.is_empty() {
            check(&file.replace(".txt", ".messages.txt"), &messages);
        }
    }
}

fn push(text: &mut String, heading: &str, part: &str) {
    writeln!(text, "### {heading}\n{}\n", part.trim_end_matches('\n'))
        .expect("text can be written");
}

fn check(file: &str, text: &str) {
    let path = fixtures().join("black_box").join(file);
    if std::env::var_os(UPDATE).is_some_and(|value| !value.is_empty()) {
        fs::write(&path, text).expect("a snapshot can be written");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let (new, old): (Vec<&str>, Vec<&str>) = (text.lines().collect(), expected.lines().collect());
    let same = new.iter().zip(&old).take_while(|(new, old)| new == old).count();
    let part = |lines: &[&str]| {
        let end = lines.len().min(same + CONTEXT);
        lines[same.saturating_sub(CONTEXT).min(end)..end].join("\n")
    };
    assert!(
        text == expected,
        "{file} differs at line {}.\n--- snapshot\n{}\n--- now\n{}\n({UPDATE}=1 writes it again)",
        same + 1,
        part(&old),
        part(&new),
    );
}

/// An exit code as the snapshots show it.
fn exit(code: Option<i32>) -> String {
    code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit {code}"))
}

/// The folder of the shared fixtures.
fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}
