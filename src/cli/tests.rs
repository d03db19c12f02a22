//! The commands, with everything around them owned by the test.

use std::fs;
use std::process::Command as Process;

use clap::CommandFactory;
use serde_json::{Value, json};

use super::*;
use crate::config::probe::{PROBE, Probe};
use crate::config::{Config, parse};
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
    parse("bridge.toml", CONFIG, &BTreeMap::new(), &[&PROBE]).expect("it is right")
}

/// Exit code, standard output, standard error.
fn ran(arguments: &[&str], stdin: &str) -> (ExitCode, String, String) {
    let cli = Cli::try_parse_from([&["webinar-bridge"], arguments].concat()).expect("right use");
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let variables = BTreeMap::new();
    let world = Io { variables: &variables, stdin: &mut stdin.as_bytes(), stdout: &mut stdout };
    let code = run(cli, world, &mut stderr);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (code, text(stdout), text(stderr))
}

fn mapped(body: &Value, source: Option<&str>) -> (Value, Option<String>) {
    let speaker = match source {
        None => map::DryRunSource::unconfigured(Arc::new(StubProvider(Probe))),
        Some(name) => {
            let config = config();
            map::DryRunSource::from_config(
                super::find_source(&config, name, &PROBE).expect("it is there"),
            )
        }
    };
    mapped_by(body, &speaker)
}

fn mapped_by(body: &Value, speaker: &map::DryRunSource) -> (Value, Option<String>) {
    let told = map::map_body(speaker, body.to_string().as_bytes(), NOW);
    let told = told.expect("it can be folded");
    (serde_json::to_value(&told).expect("it is JSON"), told.unmappable)
}

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn wrong_use_is_2_and_help_is_0() {
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
fn invalid_configuration_is_2_and_every_problem_a_line() {
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
fn an_unknown_provider_is_wrong_use() {
    let (code, _, stderr) = ran(&["map", "--provider", "nobody"], "{}");
    assert_eq!(code, ExitCode::from(2));
    assert!(stderr.starts_with("error: --provider \"nobody\" is not known. Known:"), "{stderr}");
}

#[test]
fn completions_know_the_commands() {
    let (code, stdout, _) = ran(&["completions", "bash"], "");
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(stdout.contains("webinar-bridge") && stdout.contains("--secret-env"));
}

#[test]
fn a_body_becomes_changes_and_inputs() {
    let body = json!({"event": "created", "id": "77", "account": "a1", "name": "Bees"});
    let (told, _) = mapped(&body, Some("acme"));
    assert_eq!(told["event_type"], "created");
    assert_eq!(told["meaning"], "changes");
    assert_eq!(told["changes"][0]["webinar"], "77");
    assert_eq!(told["bad_fields"], json!(["start_time"]));
    assert_eq!(told["incomplete"], json!([]));
    assert_eq!(
        told["inputs"],
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
fn without_a_source_the_gaps_show() {
    let (told, _) = mapped(&json!({"event": "created", "id": "77"}), None);
    assert_eq!(told["inputs"], json!([]));
    assert_eq!(told["incomplete"], json!([{"id": "77", "gaps": ["name", "organizer"]}]));
}

/// As the ledger would do with it.
#[test]
fn what_is_nobodys_is_not_mapped_for_a_source() {
    let config = config();
    let source = super::find_source(&config, "acme", &PROBE).expect("it is there");
    let mut source = Source::clone(source);
    source.policy.external_account_id = None;
    let body = json!({"event": "created", "id": "77", "name": "Bees"});
    let (told, why) = mapped_by(&body, &map::DryRunSource::from_config(&Arc::new(source)));
    assert_eq!((&told["meaning"], &told["inputs"]), (&json!("unmappable"), &json!([])));
    assert!(why.is_some_and(|why| why.contains("external_account_id")));
}

#[test]
fn what_is_filtered_and_what_fails_shows() {
    let config = config();
    let source = super::find_source(&config, "acme", &PROBE).expect("it is there");
    let mut source = Source::clone(source);
    let only = compile_event_expression("event.name != 'Bees'").expect("an expression");
    let failing = compile_event_expression("int(event.name)").expect("an expression");
    let custom_properties = BTreeMap::from([("n".to_owned(), CustomProperty::Computed(failing))]);
    source.policy.only = Some(only);
    source.policy.custom_properties = custom_properties;
    let speaker = map::DryRunSource::from_config(&Arc::new(source));
    let body = |name| json!({"event": "created", "id": "77", "account": "a1", "name": name});
    let (told, _) = mapped_by(&body("Bees"), &speaker);
    assert_eq!((&told["inputs"], &told["remarks"]), (&json!([]), &Value::Null));
    assert_eq!(told["incomplete"], json!([{"id": "77", "gaps": ["filtered"]}]));
    let (told, _) = mapped_by(&body("Wasps"), &speaker);
    assert_eq!(told["inputs"][0]["customProperties"], json!([]));
    assert_eq!(told["remarks"], json!([{"id": "77", "gaps": ["property_failed"]}]));
    let (told, _) = mapped_by(&body("7"), &speaker);
    let property = json!([{"name": "n", "value": "7"}]);
    assert_eq!(
        (&told["inputs"][0]["customProperties"], &told["remarks"]),
        (&property, &Value::Null)
    );
}

#[test]
fn every_other_meaning_is_named() {
    for (event, meaning) in [("handshake", "handshake"), ("something", "ignored")] {
        let (told, unmappable) = mapped(&json!({"event": event}), None);
        assert_eq!((told["meaning"].as_str(), unmappable), (Some(meaning), None));
        assert_eq!(told["changes"], json!([]));
    }
    let (told, unmappable) = mapped(&json!([]), None);
    assert_eq!(told["meaning"], "unmappable");
    assert_eq!(unmappable.as_deref(), Some("it is not an object with an event"));
}

#[test]
fn a_source_must_be_there_and_of_the_provider() {
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
fn a_body_comes_from_a_file_or_from_standard_input() {
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
fn a_shell_reads_back_what_was_quoted() {
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
fn the_platforms_own_content_type_stays() {
    let url = url::Url::parse("https://bridge.example/").expect("a URL");
    let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
    let command = sign::curl_command(&url, headers, "--data-binary '@x'");
    assert_eq!(
        command,
        "curl 'https://bridge.example/' \\\n  --header 'Content-Type: text/plain' \\\n  --data-binary '@x'"
    );
}

#[test]
fn a_body_that_fits_no_command_line_is_refused() {
    for body in [vec![0xff], vec![0], vec![b'a'; 64 * 1024 + 1]] {
        assert!(sign::inline_body(&body).is_err());
    }
}
