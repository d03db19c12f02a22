//! The commands, with everything around them owned by the test.

use std::fs;
use std::process::Command as Process;

use clap::CommandFactory;
use serde_json::{Value, json};

use super::*;
use crate::config::probe::{PROBE, Probe};
use crate::config::{Config, validate_for};
use crate::event::{CustomProperty, Millis, ProviderId, compile_event_expression};
use crate::providers::{Provider, UnsignedRequest};
use crate::stub_platform::StubProvider;

const NOW: Millis = Millis::new(1_800_000_000_000);

const CONFIG: &str = "\
[hubspot.main]
access_token = 'at'
[source.acme]
provider = 'probe'
secret = 'sec'
organizer = 'Acme GmbH'
external_account_id = 'theirs'
custom_properties = { level = '1' }
";

fn config() -> Config {
    validate_for("bridge.toml", CONFIG, &BTreeMap::new(), &[&PROBE]).expect("it is right")
}

/// Exit code, standard output, standard error.
fn ran(arguments: &[&str], stdin: &str) -> (ExitCode, String, String) {
    let cli = Cli::try_parse_from([&["webinar-bridge"], arguments].concat()).expect("right use");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let variables = BTreeMap::new();
    let io = Io { variables: &variables, stdin: &mut stdin.as_bytes(), stdout: &mut stdout };
    let code = run(cli, io, &mut stderr);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (code, text(stdout), text(stderr))
}

fn mapped(body: &Value, source: Option<&str>) -> (Value, Option<String>) {
    let source = match source {
        None => map::DryRunSource::unconfigured(Arc::new(StubProvider(Probe))),
        Some(name) => {
            let config = config();
            map::DryRunSource::from_config(
                super::find_source(&config, name, &PROBE).expect("it is there"),
            )
        }
    };
    mapped_by(body, &source)
}

fn mapped_by(body: &Value, source: &map::DryRunSource) -> (Value, Option<String>) {
    let report = map::map_body(source, body.to_string().as_bytes(), NOW);
    let report = report.expect("it can be folded");
    (serde_json::to_value(&report).expect("it is JSON"), report.unmappable)
}

#[test]
fn arguments_of_all_commands_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn exit_code_of_wrong_use_is_2_and_of_help_0() {
    let code = |arguments: &[&str]| {
        Cli::try_parse_from([&["webinar-bridge"], arguments].concat())
            .expect_err("nothing to run")
            .exit_code()
    };
    assert_eq!(code(&["check", "--colour"]), 2);
    assert_eq!(code(&["map"]), 2);
    assert_eq!(code(&["sign", "--provider", "x", "--secret-env", "X", "--url", "nowhere"]), 2);
    for command in ["check", "map", "sign", "health", "completions"] {
        assert_eq!(code(&[command, "--help"]), 0);
    }
}

#[test]
fn configuration_that_is_invalid_exits_2_with_a_line_for_each_problem() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bridge.toml");
    fs::write(&path, "[store]\nmigrate = 1\n[hubspot.main]\naccess_token = ''\n[source]")
        .expect("written");
    let path = path.to_str().expect("text");
    let (code, stdout, stderr) = ran(&["check", "--config", path], "");
    assert_eq!((code, stdout.as_str()), (ExitCode::from(2), ""));
    assert_eq!(
        stderr,
        format!(
            "{path}: store.migrate: must be true or false\n\
             {path}: source: is missing. Add [source.NAME] with provider and secret\n"
        )
    );
}

#[test]
fn provider_that_is_unknown_is_wrong_use() {
    let (code, _, stderr) = ran(&["map", "--provider", "nobody"], "{}");
    assert_eq!(code, ExitCode::from(2));
    assert!(stderr.starts_with("error: --provider \"nobody\" is not known. Known:"), "{stderr}");
}

#[test]
fn completions_of_bash_hold_the_commands_and_options() {
    let (code, stdout, _) = ran(&["completions", "bash"], "");
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(stdout.contains("webinar-bridge") && stdout.contains("--secret-env"));
}

#[test]
fn body_of_a_source_is_mapped_to_changes_and_inputs() {
    let body = json!({"event": "created", "id": "77", "account": "a1", "name": "Bees"});
    let (report, _) = mapped(&body, Some("acme"));
    assert_eq!(report["event_type"], "created");
    assert_eq!(report["meaning"], "changes");
    assert_eq!(report["changes"][0]["webinar"], "77");
    assert_eq!(report["bad_fields"], json!(["start_time"]));
    assert_eq!(report["incomplete"], json!([]));
    assert_eq!(
        report["inputs"],
        json!([{
            "externalAccountId": "theirs",
            "externalEventId": "77",
            "eventName": "Bees",
            "eventOrganizer": "Acme GmbH",
            "eventType": "WEBINAR",
            "startDateTime": "2030-03-17T17:46:40Z",
            "endDateTime": "2030-03-17T18:46:40Z",
            "eventCancelled": false,
            "eventCompleted": false,
            "customProperties": [{"name": "level", "value": "1"}],
        }])
    );
}

#[test]
fn body_without_a_source_shows_its_gaps() {
    let (report, _) = mapped(&json!({"event": "created", "id": "77"}), None);
    assert_eq!(report["inputs"], json!([]));
    assert_eq!(report["incomplete"], json!([{"id": "77", "gaps": ["name", "organizer"]}]));
}

/// The ledger refuses it as well.
#[test]
fn body_without_an_external_account_is_unmappable_for_a_source() {
    let config = config();
    let source = super::find_source(&config, "acme", &PROBE).expect("it is there");
    let mut source = Source::clone(source);
    source.policy.external_account_id = None;
    let body = json!({"event": "created", "id": "77", "name": "Bees"});
    let (report, why) = mapped_by(&body, &map::DryRunSource::from_config(&Arc::new(source)));
    assert_eq!((&report["meaning"], &report["inputs"]), (&json!("unmappable"), &json!([])));
    assert!(why.is_some_and(|why| why.contains("external_account_id")));
}

#[test]
fn expression_that_filters_or_fails_shows_in_the_report() {
    let config = config();
    let source = super::find_source(&config, "acme", &PROBE).expect("it is there");
    let mut source = Source::clone(source);
    let only = compile_event_expression("event.name != 'Bees'").expect("an expression");
    let failing = compile_event_expression("int(event.name)").expect("an expression");
    let custom_properties = BTreeMap::from([("n".to_owned(), CustomProperty::Computed(failing))]);
    source.policy.only = vec![only];
    source.policy.custom_properties = custom_properties;
    let source = map::DryRunSource::from_config(&Arc::new(source));
    let body = |name| json!({"event": "created", "id": "77", "account": "a1", "name": name});
    let (report, _) = mapped_by(&body("Bees"), &source);
    assert_eq!((&report["inputs"], &report["remarks"]), (&json!([]), &Value::Null));
    assert_eq!(report["incomplete"], json!([{"id": "77", "gaps": ["filtered"]}]));
    let (report, _) = mapped_by(&body("Wasps"), &source);
    assert_eq!(report["inputs"][0]["customProperties"], json!([]));
    assert_eq!(report["remarks"], json!([{"id": "77", "gaps": ["property_failed"]}]));
    let (report, _) = mapped_by(&body("7"), &source);
    let property = json!([{"name": "n", "value": "7"}]);
    assert_eq!(
        (&report["inputs"][0]["customProperties"], &report["remarks"]),
        (&property, &Value::Null)
    );
}

#[test]
fn body_without_changes_is_reported_by_its_meaning() {
    for (event, meaning) in [("handshake", "handshake"), ("something", "ignored")] {
        let (report, unmappable) = mapped(&json!({"event": event}), None);
        assert_eq!((report["meaning"].as_str(), unmappable), (Some(meaning), None));
        assert_eq!(report["changes"], json!([]));
    }
    let (report, unmappable) = mapped(&json!([]), None);
    assert_eq!(report["meaning"], "unmappable");
    assert_eq!(unmappable.as_deref(), Some("it is not an object with an event"));
}

#[test]
fn source_that_is_missing_or_of_another_provider_is_refused() {
    let mut config = config();
    let message = |config: &Config, name: &str| match super::find_source(config, name, &PROBE) {
        Err(CommandError::Usage(message)) => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(message(&config, "x"), "--source \"x\" is not in bridge.toml. There: acme");
    for source in config.sources.values_mut() {
        Arc::make_mut(source).policy.provider = ProviderId::new("other");
    }
    assert_eq!(message(&config, "acme"), "--source acme is of other, not of probe");
}

#[test]
fn body_argument_reads_a_file_or_standard_input() {
    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        body: body_arg::BodyArg,
    }
    let read = |arguments: &[&str], stdin: &mut dyn Read| {
        let only = Only::try_parse_from([&["x"], arguments].concat()).expect("right use");
        let variables = BTreeMap::new();
        let mut stdout = Vec::new();
        only.body.read(&mut Io { variables: &variables, stdin, stdout: &mut stdout })
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("body.json");
    fs::write(&path, [0xff, b'\n']).expect("written");
    let path = path.to_str().expect("text");
    assert_eq!(read(&[path], &mut std::io::empty()).expect("read"), [0xff, b'\n']);
    assert_eq!(read(&[], &mut b"{}".as_slice()).expect("read"), b"{}");
    assert_eq!(read(&["-"], &mut b"{}".as_slice()).expect("read"), b"{}");

    assert!(read(&["-"], &mut std::io::repeat(b'a')).is_err());
    assert!(read(&["/nowhere/at/all"], &mut std::io::empty()).is_err());
}

/// What a shell takes the words of a command for: a NUL after each.
fn words(command: &str) -> Vec<String> {
    let script = command.replacen("curl", "printf '%s\\0'", 1);
    let output = Process::new("sh").arg("-c").arg(script).output().expect("there is a shell");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn word_that_was_quoted_is_read_back_by_a_shell() {
    let body = "{\"a\": \"it's $HOME `id` \\\\ \\\"\"}\n\n  @\n!";
    let url = url::Url::parse("https://bridge.example/webhooks/acme?a=1&b='2'").expect("a URL");
    let unsigned = UnsignedRequest { url: &url, body: body.as_bytes(), secret: b"12345", now: NOW };
    let signed = StubProvider(Probe).sign(unsigned).expect("it signs anything");
    let command = sign::curl_command(
        &url,
        signed.headers,
        &sign::inline_body(body.as_bytes()).expect("it fits"),
    );
    assert!(command.lines().count() > 4, "{command}");
    assert_eq!(
        words(&command),
        [
            url.as_str(),
            "--header",
            "content-type: application/json",
            "--header",
            &format!("x-probe-signature: it's {} of 5", body.len()),
            "--header",
            "x-probe-time: 1800000000000",
            "--data-raw",
            body,
        ]
    );
}

#[test]
fn content_type_of_the_platform_is_kept() {
    let url = url::Url::parse("https://bridge.example/").expect("a URL");
    let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
    let command = sign::curl_command(&url, headers, "--data-binary '@x'");
    assert_eq!(
        command,
        "curl 'https://bridge.example/' \\\n  --header 'Content-Type: text/plain' \\\n  --data-binary '@x'"
    );
}

#[test]
fn body_too_long_for_a_command_line_is_refused() {
    for body in [vec![0xff], vec![0], vec![b'a'; 64 * 1024 + 1]] {
        assert!(sign::inline_body(&body).is_err());
    }
}
