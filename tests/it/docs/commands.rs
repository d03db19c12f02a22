//! The table of commands and the program's own help name the same commands and options.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::{Page, printed};

#[test]
fn commands_and_options_are_those_of_the_help() {
    let page = Page::read("docs/cli.md");
    let documented: BTreeMap<String, String> = page
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split('`').next())
        .map(|usage| (usage.split(' ').next().unwrap_or_default().to_owned(), usage.to_owned()))
        .collect();
    let commands = listed(&help(&[]), "Commands:");
    assert!(commands.contains("serve"), "{commands:?}");
    assert_eq!(commands, documented.keys().cloned().collect());
    for command in commands.iter().filter(|command| *command != "help") {
        let options = options(&help(&[command]));
        assert!(options.contains("--help"), "{command}: {options:?}");
        let usage = &documented[command];
        let expected = options.iter().filter(|option| *option != "--help").cloned().collect();
        assert_eq!(options_of_usage(usage), expected, "{usage}");
    }
}

/// The text that `--help` prints.
fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"))
        .args(command)
        .arg("--help")
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{}", printed(&output));
    String::from_utf8(output.stdout).expect("help is text")
}

/// The first words of the lines under a heading of `--help`.
fn listed(help: &str, heading: &str) -> BTreeSet<String> {
    let under = help.split(heading).nth(1).unwrap_or_default();
    let lines = under.lines().skip(1).take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// The long options of `--help`.
fn options(help: &str) -> BTreeSet<String> {
    let under = help.split("Options:").nth(1).unwrap_or_default();
    let first = |line: &str| {
        line.split_whitespace().take(2).find(|word| word.starts_with("--")).map(str::to_owned)
    };
    under.lines().filter_map(first).collect()
}

fn options_of_usage(usage: &str) -> BTreeSet<String> {
    let words = usage.split([' ', '[', ']']).filter(|word| word.starts_with("--"));
    words.map(str::to_owned).collect()
}
