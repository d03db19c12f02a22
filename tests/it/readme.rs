//! What the README says of examples, keys, commands and metrics is what the program does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use webinar_bridge::event::{AccountName, Millis, ProviderId, SourceName};
use webinar_bridge::telemetry::{Metrics, WebhookOutcome};

/// A secret that is long enough for every use.
const SECRET: &str = "a-secret-of-the-tests-of-more-than-32-bytes";
/// What verifies the signatures of others, where a secret is that.
const PUBLIC_KEY: &str = include_str!("../fixtures/jwt/rsa.public.pem");
/// Where the examples have their secrets' files.
const SECRETS_FOLDER: &str = "/run/secrets/";
/// The part of the reference whose keys are told of in a row.
const JWT: &str = "### `[ops.auth]`";
/// What a fragment of a configuration needs to become a whole one.
const ACCOUNT: &str = "\n[hubspot.main]\naccess_token = \"x\"\n";
const SOURCE: &str = "\n[source.zoom]\nprovider = \"zoom\"\nsecret = \"x\"\norganizer = \"Acme\"\n";

#[test]
fn every_example_of_a_configuration_is_valid() {
    let readme = readme();
    let examples = between(&readme, "```toml\n", "```");
    assert!(examples.len() >= 2, "the README has lost its examples");
    for example in examples {
        let mut text = example.to_owned();
        for (section, rest) in [("[hubspot.", ACCOUNT), ("[source.", SOURCE)] {
            if !example.contains(section) {
                text.push_str(rest);
            }
        }
        let output = check(&text);
        assert_eq!(output.status.code(), Some(0), "{example}\n{}", told(&output));
        assert!(told(&output).contains(": valid;"), "{}", told(&output));
    }
}

/// An example that were wrong would be found out.
#[test]
fn a_wrong_example_is_refused() {
    let output = check(&format!("{ACCOUNT}{SOURCE}orgaizer = \"Acme\"\n"));
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("source.zoom.orgaizer"), "{}", told(&output));
}

/// Every key of the reference is given a value that no key may have: each must be told of as that, and none as unknown.
#[test]
fn every_key_of_the_reference_is_a_key_of_its_table() {
    let mut text = String::new();
    let mut paths = Vec::new();
    for (table, rows) in reference() {
        // An account or source of its own for each table below it, so that no key stands beside the table of its name.
        let table = match table.split_once(".NAME.") {
            Some((kind, below)) => {
                let own = below.replace(['_', '.'], "-").to_lowercase();
                format!("{kind}.{own}.{below}")
            }
            None => table.replace("NAME", "name"),
        };
        writeln!(text, "[{table}]").expect("text can be written");
        for row in rows {
            writeln!(text, "{} = [[]]", row.key).expect("text can be written");
            paths.push(format!("{table}.{}", row.key));
        }
    }
    assert!(paths.len() > 30, "the reference was not found: {paths:?}");
    let output = check(&text);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!said.contains("is not a key of"), "{said}");
    for path in paths {
        assert!(said.lines().any(|line| line.contains(&format!(" {path}: "))), "{path}\n{said}");
    }
}

#[test]
fn every_key_of_the_program_is_in_the_reference() {
    let readme = readme();
    let mut documented: BTreeSet<&str> =
        section(&readme, JWT).split('`').skip(1).step_by(2).collect();
    let reference = reference();
    // The tables are told of by their headings.
    documented.extend(reference.keys().flat_map(|table| table.split('.')));
    documented.extend(reference.values().flatten().map(|row| row.key.as_str()));
    let keys = keys_in_the_code();
    for known in ["webhooks", "max_in_flight", "timestamp_tolerance", "custom_properties"] {
        assert!(keys.contains(known), "{known} was not found in the code: {keys:?}");
    }
    for key in &keys {
        assert!(documented.contains(key.as_str()), "{key} is not in the README's reference");
    }
}

/// With every default of the reference written out the configuration is the same as without.
#[test]
fn the_defaults_are_these() {
    let credentials = [
        "access_token = \"x\"\n",
        "oauth.client_id = \"x\"\noauth.client_secret = \"x\"\noauth.refresh_token = \"x\"\n",
    ];
    let mut written = 0;
    for credentials in credentials {
        let start = format!("[hubspot.main]\n{credentials}{SOURCE}");
        let mut full: toml::Table = toml::from_str(&start).expect("TOML");
        for (table, rows) in reference() {
            if table == "hubspot.NAME.oauth" && !credentials.starts_with("oauth") {
                continue;
            }
            let table = table.replace("hubspot.NAME", "hubspot.main").replace("NAME", "zoom");
            let defaults = rows.iter().filter_map(|row| Some((&row.key, row.default.as_ref()?)));
            for (key, default) in defaults {
                let line = toml::from_str::<toml::Table>(&format!("value = {default}\n"));
                let value = line.expect("a default is TOML")["value"].clone();
                let below = table.split('.').fold(&mut full, |above, name| {
                    let below = above.entry(name).or_insert_with(|| toml::Table::new().into());
                    below.as_table_mut().expect("a table")
                });
                assert!(below.insert(key.clone(), value).is_none(), "{table}.{key} is required");
                written += 1;
            }
        }
        assert_eq!(loaded(&full.to_string()), loaded(&start));
    }
    assert!(written > 30, "only {written} defaults were found");
}

/// Each expression is a property's, and the dry run says what HubSpot would get.
#[test]
fn the_expressions_say_what_the_readme_says() {
    let readme = readme();
    let written = section(&readme, "### Filters and computed properties");
    let rows: Vec<(&str, Option<&str>)> = written
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "))
        .filter_map(|(expression, said)| match said {
            "nothing" => Some((expression, None)),
            said => Some((expression, Some(said.strip_prefix('`')?.strip_suffix('`')?))),
        })
        .collect();
    assert!(rows.len() >= 10, "the README has lost its expressions: {rows:?}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let body =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zoom/created_single.json");
    assert!(written.contains("`tests/fixtures/zoom/created_single.json`"));
    for (expression, said) in rows {
        // Written as TOML writes it, whatever quotes are in it.
        let cel = toml::Value::from(expression);
        let property = format!("custom_properties.computed.cel = {cel}\n");
        let path = folder.path().join("bridge.toml");
        fs::write(&path, format!("{ACCOUNT}{SOURCE}{property}")).expect("a file can be written");
        let output = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"))
            .args(["map", "--provider", "zoom", "--source", "zoom", "--config"])
            .args([&path, &body])
            .output()
            .expect("the program runs");
        let mapped: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
        let properties = &mapped["inputs"][0]["customProperties"];
        let expected = match said {
            Some(said) => serde_json::json!([{ "name": "computed", "value": said }]),
            None => serde_json::json!([]),
        };
        assert_eq!(*properties, expected, "{expression}");
        assert_eq!(mapped["remarks"], serde_json::Value::Null, "{expression}");
    }
}

#[test]
fn every_command_and_option_is_told_of() {
    let readme = readme();
    let table = section(&readme, "## Commands");
    let documented: BTreeMap<String, String> = table
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
        let told = options_of_usage(usage);
        let expected = options.iter().filter(|option| *option != "--help").cloned().collect();
        assert_eq!(told, expected, "{usage}");
    }
}

#[test]
fn the_metrics_are_these() {
    let readme = readme();
    let rows = metric_rows(&readme);
    let rendered = rendered();
    let documented: BTreeSet<&str> = rows.keys().map(String::as_str).collect();
    let exist: BTreeSet<&str> = rendered.keys().map(String::as_str).collect();
    assert_eq!(documented, exist);
    for (name, row) in &rows {
        let family = &rendered[name];
        assert_eq!(row.kind, family.kind, "{name}");
        let labels: BTreeSet<String> = family.values.keys().cloned().collect();
        assert_eq!(row.labels, labels, "{name}");
        for label in ["outcome", "reason", "state"] {
            for value in family.values.get(label).into_iter().flatten() {
                assert!(row.text.contains(&format!("`{value}`")), "{name}: {label} {value}");
            }
        }
    }
    let outcomes = &rendered["bridge_webhooks_total"].values["outcome"];
    assert_eq!(outcomes.len(), WebhookOutcome::ALL.len());
}

/// Alerts and prose name no metric that is not there.
#[test]
fn no_other_metric_is_named() {
    let readme = readme();
    let exist = rendered();
    let mut named = 0;
    for (at, _) in readme.match_indices("bridge_") {
        let rest = readme.get(at..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        assert!(exist.contains_key(name), "{name}");
        named += 1;
    }
    assert!(named > exist.len(), "alerts name metrics too");
}

/// Runs `check` on a configuration of that text, with every secret that it names.
fn check(text: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = placed(text, &folder);
    fs::write(folder.path().join("bridge.toml"), &text).expect("a file can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"));
    command.arg("check").current_dir(folder.path()).env_remove("BRIDGE_CONFIG");
    for name in between(&text, "{ env = \"", "\" }") {
        command.env(name, SECRET);
    }
    command.output().expect("the program runs")
}

/// The text with its files of secrets, and absolute stores, in the folder.
fn placed(text: &str, folder: &TempDir) -> String {
    for name in between(text, SECRETS_FOLDER, "\"") {
        let secret = if name.contains("public-key") { PUBLIC_KEY } else { SECRET };
        fs::write(folder.path().join(name), secret).expect("a file can be written");
    }
    let here = format!("{}/", folder.path().display());
    text.replace(SECRETS_FOLDER, &here).replace("sqlite:/", &format!("sqlite:{here}"))
}

fn told(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// What `--help` says.
fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"))
        .args(command)
        .arg("--help")
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{}", told(&output));
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

/// A row of the configuration reference.
struct KeyRow {
    key: String,
    /// None where there is none, or it is told in words.
    default: Option<String>,
}

/// The tables of keys in the configuration reference, by the heading above each.
fn reference() -> BTreeMap<String, Vec<KeyRow>> {
    let readme = readme();
    let mut tables: BTreeMap<String, Vec<KeyRow>> = BTreeMap::new();
    let mut table = None;
    for line in section(&readme, "## Configuration").lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            let name = heading.strip_prefix("`[").and_then(|rest| rest.strip_suffix("]`"));
            table = name.map(str::to_owned);
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let code = |cell: &str| cell.strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
        if let (Some(table), ["", key, _type, default, ..]) = (&table, cells.as_slice())
            && let Some(key) = code(key)
        {
            let row = KeyRow { key, default: code(default) };
            tables.entry(table.clone()).or_default().push(row);
        }
    }
    tables
}

/// What a configuration comes to.
fn loaded(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("bridge.toml");
    fs::write(&path, text).expect("a file can be written");
    let config = webinar_bridge::config::load(Some(&path), &BTreeMap::new());
    let config = config.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    format!("{:#?}", webinar_bridge::config::Config { file: String::new(), ..config })
}

/// The keys that the configuration's code asks for: the first argument of the readers of a section.
fn keys_in_the_code() -> BTreeSet<String> {
    const READERS: [&str; 12] = [
        ".text(",
        ".shown_text(",
        ".texts(",
        ".parsed(",
        ".word(",
        ".flag(",
        ".count(",
        ".duration(",
        ".size(",
        ".secret(",
        ".secrets(",
        ".url(",
    ];
    let mut keys = BTreeSet::new();
    for file in ["process.rs", "account.rs", "source.rs"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config").join(file);
        let code = fs::read_to_string(path).expect("the configuration's code is there");
        for reader in READERS.into_iter().chain([".section("]) {
            for after in code.split(reader).skip(1) {
                let argument = after.trim_start().strip_prefix('"');
                keys.extend(argument.and_then(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
    }
    keys
}

/// A family as it is.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    values: BTreeMap<String, BTreeSet<String>>,
}

/// A row of the README's table.
struct Row {
    kind: String,
    labels: BTreeSet<String>,
    text: String,
}

fn metric_rows(readme: &str) -> BTreeMap<String, Row> {
    let lines = section(readme, "## Metrics").lines();
    let rows = lines.filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `bridge_")?.split('|').map(str::trim).collect();
        let [name, kind, labels, text, ..] = cells.as_slice() else { return None };
        let name = format!("bridge_{}", name.trim_end_matches('`'));
        let labels = labels.split(", ").filter(|label| !label.is_empty()).map(str::to_owned);
        let row = Row { kind: (*kind).into(), labels: labels.collect(), text: (*text).into() };
        Some((name, row))
    });
    rows.collect()
}

/// All families, with the values of their labels, of a program to which everything has happened that makes one appear.
fn rendered() -> BTreeMap<String, Family> {
    let account = AccountName::parse("main").expect("a name");
    let source = SourceName::parse("zoom").expect("a name");
    let zoom = ProviderId::new("zoom");
    let metrics = Metrics::new(std::slice::from_ref(&account), &[(source.clone(), zoom.clone())]);
    metrics.webhook_bad_field(&zoom, "duration");
    metrics.hubspot_request(&account, "upsert", "200", Duration::ZERO);
    metrics.platform_request(&source, "200");
    metrics.set_daily_remaining(&account, Some(1));
    metrics.set_token_expires(&account, Some(Millis::new(1)));
    let text = metrics.render();
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            if name.starts_with("bridge_") {
                families.insert(name.into(), Family { kind: kind.into(), ..Family::default() });
            }
        } else if let Some((name, rest)) = line.split_once('{')
            && let Some(family) = families.get_mut(bare(name))
        {
            for label in rest.split('}').next().unwrap_or_default().split(',') {
                let Some((label, value)) = label.split_once('=') else { continue };
                if label != "le" {
                    let values = family.values.entry(label.to_owned()).or_default();
                    values.insert(value.trim_matches('"').to_owned());
                }
            }
        }
    }
    families
}

/// A family's name without what a histogram's lines add.
fn bare(name: &str) -> &str {
    let endings = ["_bucket", "_sum", "_count"];
    endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    fs::read_to_string(path).expect("there is a README")
}

/// What stands under a heading, up to the next of its rank.
fn section<'a>(readme: &'a str, heading: &str) -> &'a str {
    let heading = format!("\n{heading}\n");
    let (_, under) = readme.split_once(&heading).expect("the heading is in the README");
    let rank = heading.trim_start().split(' ').next().unwrap_or_default();
    under.split(&format!("\n{rank} ")).next().unwrap_or_default()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}
