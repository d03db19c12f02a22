//! The documented tables of `verify` and `map` name the keys of the program, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use webinar_bridge::config;

use super::page;

const VERIFICATION: &str = "Verification";
const MAPPING: &str = "Mapping";

const SCHEMES: [&str; 7] =
    ["hmac", "hash", "standard_webhooks", "jwt", "basic", "bearer", "path_token"];

/// The rows of the tables under a heading: the key, and the next column.
fn rows(heading: &str) -> Vec<(String, String)> {
    let page = page();
    let (_, under) = page.split_once(&format!("\n## {heading}\n")).expect("the heading is there");
    let table = under.split("\n## ").next().unwrap_or_default();
    let lines = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = lines.filter_map(|line| {
        let (key, rest) = line.split_once("` |")?;
        Some((key.to_owned(), rest.split('|').next().unwrap_or_default().trim().to_owned()))
    });
    rows.collect()
}

/// The problems of a custom source with these tables.
fn problems(tables: &str) -> String {
    let text = format!(
        "[hubspot.main]\naccess_token = \"x\"\n[source.it]\nprovider = \"custom\"\n{tables}\n"
    );
    let read = config::validate("bridge.toml", &text, &BTreeMap::new());
    read.expect_err("no key accepts this value").to_string()
}

#[test]
fn keys_of_verify_belong_to_the_named_schemes_alone() {
    let rows = rows(VERIFICATION);
    assert!(rows.len() > 15, "{rows:?}");
    for (key, schemes) in rows.iter().filter(|(key, _)| key != "scheme") {
        let named: BTreeSet<&str> = schemes.split(", ").collect();
        assert!(named.iter().all(|named| SCHEMES.contains(named)), "{key}: {schemes}");
        for scheme in SCHEMES {
            let problems =
                problems(&format!("[source.it.verify]\nscheme = \"{scheme}\"\n{key} = [[]]"));
            let known = problems.contains(&format!("source.it.verify.{key}: must be"));
            let unknown = problems.contains(&format!("source.it.verify.{key}: is not a key"));
            assert_eq!(
                (known, unknown),
                (named.contains(scheme), !known),
                "{scheme} {key}: {problems}"
            );
        }
    }
}

#[test]
fn keys_of_map_are_known() {
    let rows = rows(MAPPING);
    let (map, own): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|(key, _)| !["recipe", "mask", "format"].contains(&key.as_str()));
    assert!(map.len() > 15 && own.len() == 3, "{map:?} {own:?}");
    let mut tables = String::new();
    for (key, _) in &own {
        writeln!(tables, "{key} = [[]]").expect("text can be written");
    }
    tables.push_str("[source.it.map]\n");
    for (key, _) in &map {
        writeln!(tables, "{key} = [[]]").expect("text can be written");
    }
    let problems = problems(&tables);
    for (table, key) in
        own.iter().map(|(key, _)| ("", key)).chain(map.iter().map(|(key, _)| ("map.", key)))
    {
        let is_known = problems.contains(&format!("source.it.{table}{key}: must be"));
        assert!(is_known, "{table}{key}: {problems}");
    }
}

/// The code names a key as the first argument of a reader.
#[test]
fn keys_of_the_code_are_documented() {
    let mut documented: BTreeSet<String> = BTreeSet::from(["verify".to_owned(), "map".to_owned()]);
    for heading in [VERIFICATION, MAPPING] {
        documented.extend(rows(heading).into_iter().map(|(key, _)| key));
    }
    let code = |file: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/providers/custom").join(file);
        std::fs::read_to_string(path).expect("the file can be read")
    };
    let first_text =
        |after: &str| after.trim_start().strip_prefix('"')?.split('"').next().map(str::to_owned);
    let mut keys = BTreeSet::new();
    for file in ["mod.rs", "mapping.rs", "verify/settings.rs"] {
        let code = code(file);
        for reader in
            ["options.text(", "options.texts(", "options.choice(", "options.url(", "(options, "]
        {
            keys.extend(code.split(reader).skip(1).filter_map(first_text));
        }
    }
    keys.extend(code("mapping/keys.txt").lines().map(str::to_owned));
    assert!(
        keys.contains("jwks_url") && keys.contains("full_picture") && keys.len() > 35,
        "{keys:?}"
    );
    let missing: Vec<_> = keys.difference(&documented).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
}
