//! Valid configurations and their settings; invalid configurations and every line that reports them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::probe::PROBE;
use super::*;
use crate::event::{CustomProperty, ExternalAccountId, RecurringMode, compile_event_expression};
use crate::expression::Expression;
use crate::hubspot::settings::AccountCredentials;
use crate::secret::Secret;

/// The minimal valid configuration.
const MINIMAL: &str = "\
[hubspot.main]
access_token = 'at'
[source.acme-probe]
provider = 'probe'
secret = 'sec'
";

const FULL: &str = r#"
[listen]
webhooks = "127.0.0.1:8081"
ops = "[::1]:9091"
max_body = "64KiB"
shutdown_delay = "5s"
shutdown_timeout = "0s"

[store]
url = "sqlite:/var/lib/bridge/x.db"
keep_receipts = "7d"
keep_events = "90d"
migrate = false

[ops.auth]
jwt = { algorithm = "HS256", secret = "0123456789abcdef0123456789abcdef", audience = "bridge" }

[hubspot.main]
oauth = { client_id = "cid", client_secret = "cs-hush", refresh_token = { env = "RT" }, token_url = "http://127.0.0.1:7/t" }
base_url = "http://localhost:7"
path_prefix = "/marketing/marketing-events/2026-03"
rate_limit = { requests = 190, window = "10s" }
max_batch = 7
max_linger = "0s"
max_in_flight = 3
deliver = false
request_timeout = "9s"

[hubspot.second]
access_token = "pat-hush"

[source.acme-probe]
provider = "probe"
secrets = ["new-hush", { file = "/run/secrets/old" }]
hubspot = "second"
organizer = "Acme"
external_account_id = "acct"
event_type = "CONFERENCE"
timestamp_tolerance = "9000d"
platform_accounts = ["a", "b", "a"]
path_token = "path-token-hush"
recurring = "series"
complete_after_end = "30m"
only = '!event.name.startsWith("Internal")'
custom_properties = { webinar_platform = "probe", topic_length = { cel = "size(event.name)" } }
"#;

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn parsed(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    validate_for("bridge.toml", text, &vars(variables), &[&PROBE]).map_err(|all| all.to_string())
}

fn valid(text: &str, variables: &[(&str, &str)]) -> Config {
    parsed(text, variables).unwrap_or_else(|problems| panic!("{problems}"))
}

fn lines(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    parsed(text, variables).expect_err("it is invalid").lines().map(str::to_owned).collect()
}

/// [`MINIMAL`] with further keys in its account and its source.
fn with(account: &str, source: &str) -> String {
    MINIMAL.replace("[source", &format!("{account}\n[source")) + source
}

#[test]
fn minimal_configuration_has_the_documented_defaults() {
    let config = valid(MINIMAL, &[]);
    assert_eq!(config.listen.webhooks.to_string(), "0.0.0.0:8080");
    assert_eq!(config.listen.ops.to_string(), "127.0.0.1:9090");
    assert_eq!(config.listen.max_body, 1_048_576);
    assert_eq!(config.listen.shutdown_delay, Duration::ZERO);
    assert_eq!(config.listen.shutdown_timeout, Duration::from_secs(25));
    assert_eq!(config.store.path, Path::new("data/bridge.db"));
    assert_eq!(config.store.retention.receipts, Duration::from_hours(30 * 24));
    assert_eq!(config.store.retention.events, Duration::from_hours(400 * 24));
    assert!(config.store.migrate);
    assert!(!config.ops.has_auth);

    let account = &config.accounts["main"];
    assert!(matches!(&account.api.credentials, AccountCredentials::Token(Secret::Text(_))));
    assert_eq!(account.api.base_url.as_str(), "https://api.hubapi.com/");
    assert_eq!(account.api.path_prefix, "/marketing/v3/marketing-events");
    assert_eq!(
        (account.delivery.rate_limit.requests, account.delivery.rate_limit.window.as_secs()),
        (100, 10)
    );
    assert_eq!((account.delivery.max_batch, account.delivery.max_in_flight), (100, 16));
    assert_eq!(account.delivery.max_linger, Duration::from_secs(1));
    assert!(account.deliver);
    assert_eq!(account.api.request_timeout, Duration::from_secs(30));

    let source = &config.sources["acme-probe"];
    assert_eq!(source.tolerance, Duration::from_hours(2));
    assert!(source.path_token.is_none() && source.platform_accounts.is_none());
    assert_eq!(source.policy.hubspot.as_str(), "main");
    assert_eq!(source.policy.recurring, RecurringMode::Occurrence);
    assert_eq!(source.policy.event_type, None);
    assert_eq!(config.policies()["acme-probe"], source.policy);
}

#[test]
fn full_configuration_reads_every_key() {
    let config = valid(FULL, &[]);
    assert_eq!(config.listen.ops.to_string(), "[::1]:9091");
    assert_eq!(config.listen.max_body, 65_536);
    assert_eq!(config.listen.shutdown_timeout, Duration::ZERO);
    assert_eq!(config.store.path, Path::new("/var/lib/bridge/x.db"));
    assert_eq!(config.store.retention.events, Duration::from_hours(90 * 24));
    assert!(!config.store.migrate);
    assert!(config.ops.has_auth);

    let account = &config.accounts["main"];
    let AccountCredentials::OAuth { client_id, refresh_token, token_url, .. } =
        &account.api.credentials
    else {
        panic!("{:?}", account.api.credentials)
    };
    assert_eq!((client_id.as_str(), token_url.as_str()), ("cid", "http://127.0.0.1:7/t"));
    assert!(matches!(refresh_token, Secret::Env(name) if name == "RT"));
    assert_eq!(account.api.base_url.as_str(), "http://localhost:7/");
    assert_eq!((account.delivery.max_batch, account.delivery.max_in_flight), (7, 3));
    assert_eq!(account.delivery.rate_limit.requests, 190);
    assert_eq!(account.delivery.max_linger, Duration::ZERO);
    assert!(!account.deliver);

    let source = &config.sources["acme-probe"];
    assert_eq!(source.secrets.len(), 2);
    assert_eq!(source.tolerance, Duration::from_hours(9000 * 24));
    assert_eq!(source.platform_accounts.as_ref().map(std::collections::BTreeSet::len), Some(2));
    let policy = &source.policy;
    assert_eq!(policy.hubspot.as_str(), "second");
    assert_eq!(policy.provider.as_str(), "probe");
    assert_eq!(policy.organizer.as_deref(), Some("Acme"));
    assert_eq!(policy.event_type.as_deref(), Some("CONFERENCE"));
    assert_eq!(policy.external_account_id.as_ref().map(ExternalAccountId::as_str), Some("acct"));
    assert_eq!(policy.recurring, RecurringMode::Series);
    assert_eq!(policy.complete_after_end, Some(Duration::from_mins(30)));
    let only = policy.only.first().map(Expression::text);
    assert_eq!(only, Some("!event.name.startsWith(\"Internal\")"));
    let text = |text: &str| CustomProperty::Text(text.to_owned());
    assert_eq!(policy.custom_properties["webinar_platform"], text("probe"));
    let computed =
        CustomProperty::Computed(compile_event_expression("size(event.name)").expect("valid"));
    assert_eq!(policy.custom_properties["topic_length"], computed);
}

#[test]
fn debug_output_shows_no_secret() {
    let shown = format!("{:#?}", valid(FULL, &[]));
    assert!(shown.contains("Secret(file /run/secrets/old)"), "{shown}");
    for secret in ["hush", "0123456789abcdef"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn invalid_value_gives_one_line_with_its_remedy() {
    let secret_form = "a text, { env = \"NAME\" } or { file = \"/run/secrets/x\" }";
    let cases: &[(&str, &str, String)] = &[
        ("max_batch = 0", "", "hubspot.main.max_batch: must be a whole number from 1 to 100".into()),
        ("max_batch = '9'", "", "hubspot.main.max_batch: must be a whole number from 1 to 100".into()),
        ("max_in_flight = 0", "", "hubspot.main.max_in_flight: must be a whole number, 1 or more".into()),
        ("deliver = 'no'", "", "hubspot.main.deliver: must be true or false".into()),
        ("max_bach = 5", "", "hubspot.main.max_bach: is not a key of [hubspot.main]. Did you mean max_batch?".into()),
        ("request_timeout = '0s'", "", "hubspot.main.request_timeout: must be a duration longer than zero: \"250ms\", \"10s\", \"5m\", \"2h\" or \"30d\"".into()),
        ("max_linger = 1", "", "hubspot.main.max_linger: must be a duration: \"250ms\", \"10s\", \"5m\", \"2h\" or \"30d\"".into()),
        ("rate_limit = { requests = 0 }", "", "hubspot.main.rate_limit.requests: must be a whole number, 1 or more".into()),
        ("rate_limit = 7", "", "hubspot.main.rate_limit: must be a table: [hubspot.main.rate_limit]".into()),
        ("base_url = 'http://api.hubapi.com'", "", "hubspot.main.base_url: must begin with https://. http:// is allowed for this machine only".into()),
        ("base_url = 'http://localhost.evil.example'", "", "hubspot.main.base_url: must begin with https://. http:// is allowed for this machine only".into()),
        ("base_url = 'https://me:hush@api.hubapi.com'", "", "hubspot.main.base_url: must not contain credentials. Remove the part before the @".into()),
        ("base_url = 'ftp://x.example'", "", "hubspot.main.base_url: must begin with https://".into()),
        ("base_url = 'api.hubapi.com'", "", "hubspot.main.base_url: must be a URL such as \"https://api.example.com\"".into()),
        ("base_url = 'https://api.hubapi.com/x'", "", "hubspot.main.base_url: must be scheme and host only. Set the path in path_prefix".into()),
        ("path_prefix = 'a/b'", "", "hubspot.main.path_prefix: must begin with /".into()),
        ("path_prefix = '/a/'", "", "hubspot.main.path_prefix: must not end with /".into()),
        ("path_prefix = '/a/../b'", "", "hubspot.main.path_prefix: must not have parts that are empty, \".\" or \"..\"".into()),
        ("path_prefix = '/a?b'", "", "hubspot.main.path_prefix: must be made of letters, digits and -._~ between slashes".into()),
        ("oauth = { client_id = 'a', client_secret = 'b', refresh_token = 'c' }", "", "hubspot.main.access_token: is set as well as oauth. Keep one of the two".into()),
        ("", "secrets = ['a']", "source.acme-probe.secret: is set as well as secrets. Keep one of the two".into()),
        ("", "path_token = 5", format!("source.acme-probe.path_token: must be {secret_form}")),
        ("", "path_token = { env = 'A', x = 1 }", format!("source.acme-probe.path_token: must be {secret_form}")),
        ("", "hubspot = 'other'", "source.acme-probe.hubspot: names an unknown account. Known accounts: main".into()),
        ("", "organizer = ' '", "source.acme-probe.organizer: must be a text of 1 to 1000 characters on one line".into()),
        ("", "event_type = ''", "source.acme-probe.event_type: must be a text of 1 to 1000 characters on one line".into()),
        ("", "external_account_id = 'a b'", "source.acme-probe.external_account_id: has a character that is not allowed. Use at most 200 characters, without blanks and control characters".into()),
        ("", "timestamp_tolerance = '0s'", "source.acme-probe.timestamp_tolerance: must be a duration longer than zero: \"250ms\", \"10s\", \"5m\", \"2h\" or \"30d\"".into()),
        ("", "platform_accounts = []", "source.acme-probe.platform_accounts: must be a list of texts that is not empty: [\"a\", \"b\"]".into()),
        ("", "recurring = 'weekly'", "source.acme-probe.recurring: must be \"occurrence\" or \"series\"".into()),
        ("", "only = ''", "source.acme-probe.only: must be a text that is not empty".into()),
        ("", "only = 'evnt.name'", "source.acme-probe.only: line 1, column 1: unknown variable evnt. Known variables: event. Correct the expression".into()),
        ("", "only = 'event.name =='", "source.acme-probe.only: line 1, column 14: mismatched input '<EOF>'. Correct the expression".into()),
        ("", "only = 'event.nmae == \"a\"'", "source.acme-probe.only: unknown field nmae of event. Known fields: name, organizer, description, type, url, start, end, cancelled, completed, external_event_id, external_account_id, custom. Correct the expression".into()),
        ("", "custom_properties = { a = 1 }", "source.acme-probe.custom_properties.a: must be a text that is not empty, or { cel = \"...\" }".into()),
        ("", "custom_properties = { a = {} }", "source.acme-probe.custom_properties.a.cel: is missing. Set an expression over event".into()),
        ("", "custom_properties = { a = { cel = 1 } }", "source.acme-probe.custom_properties.a.cel: must be a text that is not empty".into()),
        ("", "custom_properties = { a = { cel = 'upper(event.name)' } }", "source.acme-probe.custom_properties.a.cel: line 1, column 6: unknown function upper(). Correct the expression".into()),
        ("", "custom_properties = { a = { cel = 'event.name', text = 'b' } }", "source.acme-probe.custom_properties.a.text: is not a key of [source.acme-probe.custom_properties.a]. Did you mean cel?".into()),
        ("", "\"a\\nb\" = 1", "source.acme-probe.\"a\\nb\": is not a key of [source.acme-probe]. Did you mean only?".into()),
        ("", "[listen]\nops = 'localhost:9090'", "listen.ops: must be an address and a port such as \"127.0.0.1:9090\"".into()),
        ("", "[listen]\nops = '0.0.0.0:8080'", "listen.ops: is also the address for webhooks. Choose another port".into()),
        ("", "[listen]\nmax_body = '1MB'", "listen.max_body: must be a size larger than zero: \"1MiB\", \"64KiB\" or bytes".into()),
        ("", "[store]\nurl = 'postgres://u:hush@h/d'", "store.url: names PostgreSQL, which this version does not support. Write sqlite:PATH".into()),
        ("", "[store]\nurl = 'data/x.db'", "store.url: must be sqlite:PATH, such as \"sqlite:data/bridge.db\"".into()),
        ("", "[store]\nurl = 'sqlite::memory:'", "store.url: names no file. Write sqlite:PATH, such as \"sqlite:data/bridge.db\"".into()),
        ("", "[store]\nurl = 'sqlite://data/x.db'", "store.url: has a host. Write sqlite:PATH without //".into()),
        ("", "[stor]\nurl = 'x'", "stor: is not a key of the file. Did you mean store?".into()),
        ("", "[[listen]]", "listen: must be a table: [listen]".into()),
        ("", "[ops.auth]", "ops.auth.jwt: is missing. Set jwt = { algorithm = \"HS256\", secret = { env = \"NAME\" }, audience = \"webinar-bridge\" }, or remove [ops.auth]".into()),
        ("", "[ops.auth]\njwt = { algorithm = 'none' }", "ops.auth.jwt.algorithm: must be \"HS256\" or \"RS256\"".into()),
    ];
    for (account, source, expected) in cases {
        let found = lines(&with(account, source), &[]);
        assert_eq!(found, [format!("bridge.toml: {expected}")], "{account}{source}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = "\
[listen]
webhooks = 8080
[hubspot.Main]
max_batch = 500
[source.a]
provider = 'prob'
[source.b]
provider = 'probe'
secret = 5
colour = 'red'
";
    assert_eq!(
        lines(text, &[("BRIDGE__STORE__ULR", "x"), ("BRIDGE____X", "y")]),
        [
            "$BRIDGE____X: .x: has an empty part. Write SECTION__KEY with two underscores between the parts",
            "bridge.toml: listen.webhooks: must be a text that is not empty",
            "$BRIDGE__STORE__ULR: store.ulr: is not a key of [store]. Did you mean url?",
            "bridge.toml: hubspot.Main: has a character that is not allowed. Use at most 64 of the characters a-z, 0-9, - and _",
            "bridge.toml: hubspot.Main.access_token: is missing. Set access_token = { env = \"HUBSPOT_ACCESS_TOKEN\" }, or oauth = { ... }",
            "bridge.toml: hubspot.Main.max_batch: must be a whole number from 1 to 100",
            "bridge.toml: source.a.provider: is not a known platform. Known platforms: probe",
            "bridge.toml: source.b.secret: must be a text, { env = \"NAME\" } or { file = \"/run/secrets/x\" }",
            "bridge.toml: source.b.colour: is not a key of [source.b]. Did you mean only?",
        ]
    );
}

#[test]
fn empty_configuration_names_the_missing_sections() {
    let expected = [
        "bridge.toml: hubspot: is missing. Add [hubspot.main] with access_token = { env = \"HUBSPOT_ACCESS_TOKEN\" }",
        "bridge.toml: source: is missing. Add [source.NAME] with provider and secret",
    ];
    assert_eq!(lines("", &[]), expected);
    assert_eq!(lines("[hubspot]\n[source]", &[]), expected);
}

#[test]
fn source_must_name_one_of_several_accounts() {
    let text = format!("{MINIMAL}[hubspot.other]\naccess_token = 'x'");
    let expected = "bridge.toml: source.acme-probe.hubspot: is missing. Set one of: main, other";
    assert_eq!(lines(&text, &[]), [expected]);
}

#[test]
fn source_may_refer_to_an_invalid_account() {
    let text = with("max_batch = 0", "hubspot = 'main'");
    assert_eq!(lines(&text, &[]).len(), 1);
}

#[test]
fn invalid_toml_is_reported_without_its_text() {
    let found = lines("[hubspot.main]\naccess_token = pat-hush-1\n", &[]);
    let [line] = found.as_slice() else { panic!("{found:?}") };
    assert!(line.starts_with("bridge.toml: line 2 is not TOML: "), "{line}");
    assert!(!line.contains("hush"), "{line}");
}

#[test]
fn variables_override_the_file() {
    let config = valid(
        MINIMAL,
        &[
            ("BRIDGE__STORE__URL", "sqlite:elsewhere.db"),
            ("BRIDGE__STORE__MIGRATE", "false"),
            ("BRIDGE__LISTEN__MAX_BODY", "2048"),
            ("BRIDGE__HUBSPOT__MAIN__MAX_BATCH", "50"),
            ("BRIDGE__HUBSPOT__MAIN__RATE_LIMIT", "{ requests = 5, window = '2s' }"),
            ("BRIDGE__HUBSPOT__MAIN__RATE_LIMIT__REQUESTS", "7"),
            ("BRIDGE__SOURCE__ACME_PROBE__ORGANIZER", "2026"),
            ("BRIDGE__SOURCE__ACME_PROBE__SECRET", "{ env = 'CARGO_MANIFEST_DIR' }"),
            ("BRIDGE__SOURCE__ACME_PROBE__PLATFORM_ACCOUNTS", "['x', 'y']"),
            ("BRIDGE__SOURCE__ACME_PROBE__CUSTOM_PROPERTIES__LEVEL", "3"),
            ("BRIDGE__SOURCE__ACME_PROBE__CUSTOM_PROPERTIES__KIND", "{ cel = 'event.type' }"),
            ("BRIDGE__SOURCE__ACME_PROBE__ONLY", "!event.cancelled"),
            ("BRIDGE__SOURCE__ACME_PROBE__EVENT_TYPE", "'quoted'"),
            ("BRIDGE_LOG", "debug"),
            ("UNRELATED", "x"),
        ],
    );
    assert_eq!(config.store.path, Path::new("elsewhere.db"));
    assert!(!config.store.migrate);
    assert_eq!(config.listen.max_body, 2048);
    let account = &config.accounts["main"];
    assert_eq!(account.delivery.max_batch, 50);
    assert_eq!(
        (account.delivery.rate_limit.requests, account.delivery.rate_limit.window.as_secs()),
        (7, 2)
    );
    let source = &config.sources["acme-probe"];
    assert_eq!(source.policy.organizer.as_deref(), Some("2026"));
    assert_eq!(source.policy.event_type.as_deref(), Some("quoted"));
    assert_eq!(source.policy.custom_properties["level"], CustomProperty::Text("3".into()));
    let computed = CustomProperty::Computed(compile_event_expression("event.type").expect("valid"));
    assert_eq!(source.policy.custom_properties["kind"], computed);
    assert_eq!(source.policy.only, Vec::from_iter(compile_event_expression("!event.cancelled")));
    assert!(source.platform_accounts.as_ref().is_some_and(|accounts| accounts.contains("y")));
    assert!(
        matches!(source.secrets.as_slice(), [Secret::Env(name)] if name == "CARGO_MANIFEST_DIR")
    );
}

#[test]
fn variables_alone_make_a_configuration() {
    let config = valid(
        "",
        &[
            ("BRIDGE__HUBSPOT__MAIN__ACCESS_TOKEN__ENV", "12"),
            ("BRIDGE__SOURCE__ZOOM_ONE__PROVIDER", "probe"),
            ("BRIDGE__SOURCE__ZOOM_ONE__SECRET", "0123"),
        ],
    );
    let AccountCredentials::Token(Secret::Env(name)) = &config.accounts["main"].api.credentials
    else {
        panic!("it is a variable")
    };
    assert_eq!(name, "12");
    let secret = config.sources["zoom_one"].secrets[0].read().expect("a text");
    assert_eq!(secret.expose_secret(), "0123");
}

#[test]
fn invalid_variable_is_reported_by_name_without_its_value() {
    let found = lines(
        MINIMAL,
        &[
            ("BRIDGE__HUBSPOT__MAIN__MAX_BATCH", "hush"),
            ("BRIDGE__HUBSPOT__MAIN__ACCESS_TOKEN__TEXT", "hush"),
            ("BRIDGE__STORE__URL__X", "hush"),
        ],
    );
    assert_eq!(
        found,
        [
            "$BRIDGE__STORE__URL__X: store.url: must be a text that is not empty",
            "$BRIDGE__HUBSPOT__MAIN__ACCESS_TOKEN__TEXT: hubspot.main.access_token: must be a text, { env = \"NAME\" } or { file = \"/run/secrets/x\" }",
            "$BRIDGE__HUBSPOT__MAIN__MAX_BATCH: hubspot.main.max_batch: must be a whole number from 1 to 100",
        ]
    );
}

#[test]
fn variable_that_matches_two_sources_is_refused() {
    let text = format!("{MINIMAL}[source.acme_probe]\nprovider = 'probe'\nsecret = 'x'");
    let found = lines(&text, &[("BRIDGE__SOURCE__ACME_PROBE__ORGANIZER", "x")]);
    assert_eq!(
        found,
        [
            "$BRIDGE__SOURCE__ACME_PROBE__ORGANIZER: source.acme_probe.organizer: matches acme-probe and acme_probe. Set the key in the file, or rename one of them"
        ]
    );
}

#[test]
fn unusable_secrets_are_reported() {
    let text = "\
[ops.auth]
jwt = { algorithm = 'HS256', secret = 'short', audience = 'x' }
[hubspot.main]
oauth = { client_id = 'a', client_secret = { env = 'BRIDGE_TEST_NEVER_SET' }, refresh_token = '' }
[source.a]
provider = 'probe'
secrets = ['fine', { file = '/nowhere/at/all' }]
path_token = 'hush-hush'
";
    let problems: Vec<String> =
        valid(text, &[]).check_secrets().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "bridge.toml: ops.auth.jwt.secret: is shorter than 32 characters. Make a longer one",
            "bridge.toml: hubspot.main.oauth.client_secret: environment variable BRIDGE_TEST_NEVER_SET is not set. Set it",
            "bridge.toml: hubspot.main.oauth.refresh_token: is empty. Write the secret there",
            "bridge.toml: source.a.secrets[1]: /nowhere/at/all cannot be read: No such file or directory (os error 2). Correct the path or the file's permissions",
            "bridge.toml: source.a.path_token: is shorter than 12 characters. Make a longer one",
        ]
    );
    assert!(valid(MINIMAL, &[]).check_secrets().is_empty());
    let single = MINIMAL.replace("secret = 'sec'", "secrets = [{ file = '/nowhere/at/all' }]");
    let problems = valid(&single, &[]).check_secrets();
    assert_eq!(problems[0].key, "source.acme-probe.secret", "{problems:?}");
}

#[test]
fn quoted_empty_property_in_a_variable_is_reported() {
    let variable = ("BRIDGE__SOURCE__ACME_PROBE__CUSTOM_PROPERTIES__FOO", "\"\"");
    let found = lines(MINIMAL, &[variable]);
    assert!(found[0].contains("must be a text that is not empty"), "{found:?}");
}

#[test]
fn file_path_comes_from_the_argument_else_from_the_variable() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("a.toml"), folder.path().join("b.toml"));
    fs::write(&first, "[listen]\nops = '127.0.0.1:1'").expect("written");
    fs::write(&second, "[listen]\nops = '127.0.0.1:2'\n[broken]").expect("written");
    let variables = vars(&[("BRIDGE_CONFIG", second.to_str().expect("text"))]);
    let port = |path| load_ops_address(path, &variables).expect("valid").port();
    assert_eq!(port(Some(first.as_path())), 1);
    assert_eq!(port(None), 2);

    let missing = folder.path().join("none.toml");
    let problems = load_ops_address(Some(&missing), &variables).expect_err("no file").to_string();
    assert_eq!(
        problems,
        format!(
            "{}: cannot be read (No such file or directory (os error 2)). Set the path with --config or $BRIDGE_CONFIG",
            missing.display()
        )
    );
}
