//! `check` of configurations that are wrong: exit codes, named keys, messages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::cli::{Ran, run};
use super::configuration_cases::{BASE, CASES, Case};
use super::{Snapshot, exit};

/// Runs `check` in a folder that holds the case's configuration and nothing else.
fn checked(case: &Case) -> Ran {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut text = BASE.to_owned();
    for (from, to) in case.edits {
        assert!(text.contains(from), "{}: {from} is not in the base", case.name);
        text = text.replacen(from, to, 1);
    }
    fs::write(folder.path().join("bridge.toml"), text).expect("a file can be written");
    let mut ran = run(folder.path(), &["check"], case.variables, b"");
    let path = folder.path().display().to_string();
    for output in [&mut ran.out, &mut ran.err] {
        *output = output.replace(&path, "[folder]");
    }
    ran
}

/// The origins and keys that the messages name: `bridge.toml: hubspot.main.max_batch`.
fn named(ran: &Ran) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in ran.err.lines() {
        let mut parts = line.splitn(3, ": ");
        let (Some(origin), Some(key)) = (parts.next(), parts.next()) else { continue };
        if origin != "bridge.toml" && !origin.starts_with('$') {
            continue;
        }
        let is_key = parts.next().is_some()
            && !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-\"/ ".contains(&b));
        found.insert(if is_key { format!("{origin}: {key}") } else { origin.to_owned() });
    }
    found
}

#[test]
fn wrong_configurations_are_refused_as_in_the_snapshot() {
    let mut keys = Snapshot::new("configuration.txt");
    let mut messages = Snapshot::new("configuration.messages.txt");
    for case in CASES {
        let ran = checked(case);
        let named: Vec<String> = named(&ran).into_iter().collect();
        keys.add(case.name, &format!("{}\n{}", exit(ran.code), named.join("\n")));
        messages.add(case.name, &format!("{}{}", ran.out, ran.err));
    }
    keys.check();
    messages.check();
}

#[test]
fn absent_and_broken_files_are_refused_as_in_the_snapshot() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).expect("a file can be written");
    };
    file("bytes.toml", b"\xff\xfe");
    file("empty.toml", b"");
    file("broken.toml", b"[listen\n");
    let mut keys = Snapshot::new("configuration_files.txt");
    let mut messages = Snapshot::new("configuration_files.messages.txt");
    for name in ["absent.toml", "bytes.toml", "empty.toml", "broken.toml"] {
        assert!(Path::new(name).is_relative());
        for command in ["check", "serve", "migrate"] {
            let ran = run(folder.path(), &[command, "--config", name], &[], b"");
            let heading = format!("{command} --config {name}");
            keys.add(&heading, &exit(ran.code));
            messages.add(&heading, &format!("{}{}", ran.out, ran.err));
        }
    }
    keys.check();
    messages.check();
}
