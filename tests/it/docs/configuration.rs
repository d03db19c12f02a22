//! Examples of configuration are valid, and the tables of keys are those of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;
use webinar_bridge::config;

use super::{Page, between, printed, root, section};

/// A secret that is long enough for every use.
const SECRET: &str = "a-secret-of-the-tests-of-more-than-32-bytes";
/// The key that verifies signatures where a platform publishes one.
const PUBLIC_KEY: &str = include_str!("../../fixtures/jwt/rsa.public.pem");
/// The folder of secret files in the examples.
const SECRETS_FOLDER: &str = "/run/secrets/";
const REFERENCE: &str = "docs/configuration.md";
/// The part of the reference that explains its keys in a row.
const JWT: &str = "## `[ops.auth]`";
/// Tables that complete a fragment of a configuration.
const ACCOUNT: &str = "\n[hubspot.main]\naccess_token = \"x\"\n";
const SOURCE: &str = "\n[source.zoom]\nprovider = \"zoom\"\nsecret = \"x\"\norganizer = \"Acme\"\n";

#[test]
fn examples_of_configuration_are_valid() {
    let mut found = 0;
    for page in Page::all() {
        for example in between(&page.text, "```toml\n", "```") {
            found += 1;
            let mut text = example.to_owned();
            for (section, rest) in [("[hubspot.", ACCOUNT), ("[source.", SOURCE)] {
                if !example.contains(section) {
                    text.push_str(rest);
                }
            }
            let output = check(&text);
            let printed = printed(&output);
            assert_eq!(output.status.code(), Some(0), "{}:\n{example}\n{printed}", page.path);
            assert!(printed.contains(": valid;"), "{}: {printed}", page.path);
        }
    }
    assert!(found >= 12, "only {found} examples were found");
}

#[test]
fn a_wrong_example_is_refused() {
    let output = check(&format!("{ACCOUNT}{SOURCE}orgaizer = \"Acme\"\n"));
    assert_eq!(output.status.code(), Some(2));
    let problem = "source.zoom.orgaizer: is not a key of";
    assert!(printed(&output).contains(problem), "{}", printed(&output));
}

/// Every key of the reference gets a value that no key may have: each must be refused for its value, none as unknown.
#[test]
fn keys_of_the_reference_are_keys_of_their_tables() {
    let mut text = String::new();
    let mut paths = Vec::new();
    for (table, rows) in reference() {
        // An account or source for each table below it, so that no key stands beside the table of its name.
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
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(!printed.contains("is not a key of"), "{printed}");
    for path in paths {
        assert!(
            printed.lines().any(|line| line.contains(&format!(" {path}: "))),
            "{path}\n{printed}"
        );
    }
}

/// The same for the keys of one platform, in the tables of its page.
#[test]
fn keys_of_a_platforms_page_are_keys_of_its_source() {
    let mut found = 0;
    for page in Page::all() {
        let name = page.path.strip_prefix("docs/platforms/").and_then(|n| n.strip_suffix(".md"));
        let Some(name) = name.filter(|name| *name != "custom") else { continue };
        let mut below = None;
        for line in page.text.lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let ["", first, ..] = cells.as_slice() else {
                below = None;
                continue;
            };
            match *first {
                "key of `api`" => below = Some("api."),
                "key of the source" => below = Some(""),
                first => {
                    let Some(prefix) = below else { continue };
                    let Some(key) = first.strip_prefix('`').and_then(|f| f.strip_suffix('`'))
                    else {
                        continue;
                    };
                    found += 1;
                    let text = format!(
                        "{ACCOUNT}[source.it]\nprovider = \"{name}\"\n{prefix}{key} = [[]]\n"
                    );
                    let problems = config::validate("bridge.toml", &text, &BTreeMap::new())
                        .expect_err("a value that no key may have")
                        .to_string();
                    let path = format!("source.it.{prefix}{key}: ");
                    let unknown = format!("{path}is not a key");
                    assert!(problems.contains(&path), "{name}, {prefix}{key}: {problems}");
                    assert!(!problems.contains(&unknown), "{name}, {prefix}{key}: {problems}");
                }
            }
        }
    }
    assert!(found > 20, "only {found} keys were found");
}

#[test]
fn keys_of_the_program_are_in_the_reference() {
    let page = Page::read(REFERENCE);
    let mut documented: BTreeSet<&str> =
        section(&page.text, JWT).split('`').skip(1).step_by(2).collect();
    let reference = reference();
    // Headings name the tables.
    documented.extend(reference.keys().flat_map(|table| table.split('.')));
    documented.extend(reference.values().flatten().map(|row| row.key.as_str()));
    let keys = keys_in_the_code();
    for known in ["webhooks", "max_in_flight", "timestamp_tolerance", "custom_properties"] {
        assert!(keys.contains(known), "{known} was not found in the code: {keys:?}");
    }
    for key in &keys {
        assert!(documented.contains(key.as_str()), "{key} is not in {REFERENCE}");
    }
}

/// A configuration with every default of the reference written out equals the one without.
#[test]
fn defaults_of_the_reference_are_those_of_the_program() {
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

/// Each expression becomes a property, and the dry run shows its value.
#[test]
fn expressions_yield_what_their_page_shows() {
    const BODY: &str = "tests/fixtures/zoom/created_single.json";
    let page = Page::read("docs/expressions.md");
    let rows: Vec<(&str, Option<&str>)> = page
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "))
        .filter_map(|(expression, value)| match value {
            "nothing" => Some((expression, None)),
            value => Some((expression, Some(value.strip_prefix('`')?.strip_suffix('`')?))),
        })
        .collect();
    assert!(rows.len() >= 10, "the page has lost its expressions: {rows:?}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let body = root().join(BODY);
    assert!(page.text.contains(&format!("`{BODY}`")));
    for (expression, value) in rows {
        // TOML quotes the expression, whatever quotes are in it.
        let cel = toml::Value::from(expression);
        let property = format!("custom_properties.computed.cel = {cel}\n");
        let path = folder.path().join("bridge.toml");
        fs::write(&path, format!("{ACCOUNT}{SOURCE}{property}")).expect("a file can be written");
        let output = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"))
            .args(["map", "--provider", "zoom", "--source", "zoom", "--config"])
            .args([&path, &body])
            .output()
            .expect("the program runs");
        let mapped: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", printed(&output)));
        let properties = &mapped["inputs"][0]["customProperties"];
        let expected = match value {
            Some(value) => serde_json::json!([{ "name": "computed", "value": value }]),
            None => serde_json::json!([]),
        };
        assert_eq!(*properties, expected, "{expression}");
        assert_eq!(mapped["remarks"], serde_json::Value::Null, "{expression}");
    }
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

/// The text with its secret files, and absolute stores, in the folder.
fn placed(text: &str, folder: &TempDir) -> String {
    for name in between(text, SECRETS_FOLDER, "\"") {
        let secret = if name.contains("public-key") { PUBLIC_KEY } else { SECRET };
        fs::write(folder.path().join(name), secret).expect("a file can be written");
    }
    let here = format!("{}/", folder.path().display());
    text.replace(SECRETS_FOLDER, &here).replace("sqlite:/", &format!("sqlite:{here}"))
}

/// A row of the configuration reference.
struct KeyRow {
    key: String,
    /// None where there is no default, or words describe it.
    default: Option<String>,
}

/// The tables of keys in the configuration reference, by the heading above each.
fn reference() -> BTreeMap<String, Vec<KeyRow>> {
    let page = Page::read(REFERENCE);
    let mut tables: BTreeMap<String, Vec<KeyRow>> = BTreeMap::new();
    let mut table = None;
    for line in page.text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
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

/// The configuration that a text is loaded as.
fn loaded(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("bridge.toml");
    fs::write(&path, text).expect("a file can be written");
    let config = config::load(Some(&path), &BTreeMap::new());
    let config = config.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    format!("{:#?}", config::Config { file: String::new(), ..config })
}

/// The keys that the configuration's code reads: the first argument of the readers of a section.
fn keys_in_the_code() -> BTreeSet<String> {
    const READERS: [&str; 18] = [
        ".text(",
        ".display_text(",
        ".texts(",
        ".parsed(",
        ".choice(",
        ".flag(",
        ".count(",
        ".positive_integer(",
        ".duration(",
        ".duration_or_zero(",
        ".size(",
        ".secret(",
        ".secret_of(",
        ".secrets(",
        ".url(",
        ".required(",
        ".section(",
        ".named_sections(",
    ];
    let mut keys = BTreeSet::new();
    for file in ["process.rs", "account.rs", "source.rs"] {
        let path = root().join("src/config").join(file);
        let code = fs::read_to_string(path).expect("the configuration's code is there");
        for reader in READERS {
            for after in code.split(reader).skip(1) {
                let argument = after.trim_start().strip_prefix('"');
                keys.extend(argument.and_then(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
    }
    keys
}
