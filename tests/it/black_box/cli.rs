//! The command line: commands, flags, exit codes, and the JSON of `map`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use regex::Regex;

use super::{Snapshot, exit, fixtures};
use crate::harness::process::{SECRET, TOKEN};

/// How a command ended.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

/// Runs the program to its end in that folder, with the secrets of the tests and nothing else around it.
pub(super) fn run(
    folder: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
    stdin: &[u8],
) -> Ran {
    let input = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(input.path(), stdin).expect("a file can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"));
    command.args(arguments).current_dir(folder).env_clear();
    command.env("TEST_TOKEN", TOKEN).env("TEST_SECRET", SECRET);
    command.envs(variables.iter().copied());
    command.stdin(Stdio::from(input.reopen().expect("it is there")));
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("its output is text");
    Ran { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// What a help text lists under that heading: the first word of each entry.
fn listed(help: &str, heading: &str) -> Vec<String> {
    let (_, rest) = help.split_once(&format!("\n{heading}:\n")).unwrap_or_default();
    let entry =
        Regex::new(r"^ {2,6}((?:-\w, )?--[\w-]+(?: <[^>]+>)?|-\w|[<\[]\w+[>\]]|[a-z][\w-]*)")
            .expect("the pattern is valid");
    let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with(' '));
    lines.filter_map(|line| Some(entry.captures(line)?[1].to_owned())).collect()
}

#[test]
fn commands_and_flags_are_those_of_the_snapshot() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut snapshot = Snapshot::new("commands.txt");
    let mut messages = Snapshot::new("commands.messages.txt");
    let main = run(folder.path(), &["--help"], &[], b"");
    let mut commands = listed(&main.out, "Commands");
    assert!(commands.contains(&"serve".to_owned()), "{}", main.out);
    snapshot.add("commands", &commands.join("\n"));
    commands.retain(|command| command != "help");
    commands.insert(0, String::new());
    for command in commands {
        let arguments: Vec<&str> =
            [command.as_str(), "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let ran = run(folder.path(), &arguments, &[], b"");
        let parts = [listed(&ran.out, "Arguments"), listed(&ran.out, "Options")].concat();
        let heading = arguments.join(" ");
        snapshot.add(&heading, &format!("{}\n{}", exit(ran.code), parts.join("\n")));
        messages.add(&heading, &format!("{}{}", ran.out, ran.err));
    }
    snapshot.check();
    messages.check();
}

#[test]
fn wrong_use_ends_as_in_the_snapshot() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut snapshot = Snapshot::new("wrong_use.txt");
    let mut messages = Snapshot::new("wrong_use.messages.txt");
    for line in [
        "",
        "fly",
        "check --colour",
        "check --config missing.toml",
        "serve --config missing.toml",
        "serve extra",
        "migrate --config missing.toml",
        "health --config missing.toml",
        "backup",
        "backup --to copy.db --config missing.toml",
        "erase",
        "erase --email nobody --config missing.toml",
        "verify --config missing.toml",
        "backfill",
        "backfill --source a --from yesterday",
        "map",
        "map --provider nobody",
        "map --provider custom",
        "map --provider zoom --config bridge.toml",
        "map --provider zoom --source nobody",
        "map --provider zoom not-there.json",
        "map --provider zoom -",
        "sign",
        "sign --provider zoom --secret-env TEST_SECRET --url nowhere",
        "sign --provider zoom --secret-env UNSET --url http://x/",
        "completions",
        "completions tcl",
        "move --from a --to b",
        "token",
        "openapi",
        "events",
    ] {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let ran = run(folder.path(), &arguments, &[], b"");
        let silent = ran.out.is_empty();
        snapshot.add(line, &format!("{}, standard output empty: {silent}", exit(ran.code)));
        messages.add(line, &format!("{}{}", ran.out, ran.err));
    }
    snapshot.check();
    messages.check();
}

/// Sources of all platforms, so that what they add is mapped too.
/// None counts an event as completed by the clock.
const SOURCES: &str = r#"
[hubspot.main]
access_token = { env = "TEST_TOKEN" }
[source.zoom]
provider = "zoom"
secret = { env = "TEST_SECRET" }
organizer = "Acme GmbH"
event_type = "WEBINAR"
only = 'event.name != ""'
custom_properties = { a = "b", c = { cel = "event.name" } }
[source.livestorm]
provider = "livestorm"
secret = "livestorm-secret-of-the-tests"
organizer = "Acme GmbH"
external_account_id = "acme"
api = { token = "livestorm-token" }
[source.luma]
complete_after_end = "36500d"
provider = "luma"
secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
organizer = "Acme GmbH"
[source.riverside]
provider = "riverside"
secret = "riverside-secret-of-the-tests"
organizer = "Acme GmbH"
[source.ticket_tailor]
complete_after_end = "36500d"
provider = "ticket_tailor"
secret = "tickets-secret-of-the-tests"
organizer = "Acme GmbH"
external_account_id = "box-office"
[source.eventbrite]
complete_after_end = "36500d"
provider = "eventbrite"
path_token = "path-token-of-the-tests"
api = { token = "eventbrite-token", organization = "171000000009" }
organizer = "Acme GmbH"
[source.bigbluebutton]
complete_after_end = "36500d"
provider = "bigbluebutton"
secret = "bbb-secret-of-the-tests"
organizer = "Acme GmbH"
callback_url = "https://bridge.example/webhooks/bigbluebutton"
[source.zuddl]
complete_after_end = "36500d"
provider = "custom"
recipe = "zuddl"
secret = "zuddl-secret-of-the-tests"
organizer = "Acme GmbH"
external_account_id = "z"
"#;

/// Sources with the fixtures that are mapped; the first word is the folder of the fixtures.
const MAPPED: &[(&str, &str, &[&str])] = &[
    (
        "zoom",
        "zoom",
        &[
            "created_single.json",
            "created_series.json",
            "updated_start_moved.json",
            "deleted_single.json",
            "ended.json",
            "participant_joined.json",
            "no_id.json",
            "zoom_events.event_published.json",
        ],
    ),
    (
        "livestorm",
        "livestorm",
        &[
            "event_published.json",
            "session_started.json",
            "session_canceled.json",
            "session_no_id.json",
        ],
    ),
    (
        "luma",
        "luma",
        &["event_created.json", "event_canceled.json", "guest_registered.json", "no_id.json"],
    ),
    ("riverside", "riverside", &["created.json", "ended.json", "no_id.json"]),
    ("ticket_tailor", "ticket_tailor", &["created.json", "deleted.json", "no_id.json"]),
    ("eventbrite", "eventbrite", &["event_created.json", "event_updated.json", "no_action.json"]),
    (
        "bigbluebutton",
        "bigbluebutton",
        &["meeting_created.form", "meeting_ended.form", "several_events.form", "no_list.form"],
    ),
    ("wix", "wix", &["created.json", "canceled.json", "ended.json", "no_claims.json"]),
];

#[test]
fn map_prints_the_same_bytes_for_every_platform() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("bridge.toml"), SOURCES).expect("a file can be written");
    let mut snapshot = Snapshot::new("map.json.txt");
    let mut messages = Snapshot::new("map.messages.txt");
    let mut map = |provider: &str, source: Option<&str>, path: &str| {
        let file = fixtures().join(path).display().to_string();
        let mut arguments = vec!["map", "--provider", provider];
        arguments.extend(source.iter().flat_map(|source| ["--source", source]));
        arguments.push(&file);
        let ran = run(folder.path(), &arguments, &[], b"");
        let from = source.map_or(provider.to_owned(), |source| format!("source {source}"));
        let heading = format!("{from}: {path}");
        snapshot.add(&heading, &format!("{}\n{}", exit(ran.code), ran.out));
        if !ran.err.is_empty() {
            messages.add(&heading, &ran.err);
        }
    };
    for (provider, folder, files) in MAPPED {
        for file in *files {
            let path = format!("{folder}/{file}");
            map(provider, None, &path);
            if *provider != "wix" {
                map(provider, Some(provider), &path);
            }
        }
    }
    let custom = fs::read_dir(fixtures().join("custom/zuddl")).expect("the folder is there");
    let mut names: Vec<String> = custom
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "json"))
        .collect();
    names.sort();
    for name in names {
        map("custom", Some("zuddl"), &format!("custom/zuddl/{name}"));
    }
    snapshot.check();
    messages.check();
}
