//! The project's own rules, which no compiler checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, tests apart: what fits on a few screens.
const MAX_LINES: usize = 400;

/// Which room may import which. A room is a file or a folder right under `src`; it may always import itself.
pub(crate) const MAY_IMPORT: &[(&str, Imports)] = &[
    ("app", Imports::All),
    ("cli", Imports::All),
    ("clock", Imports::Only(&["event"])),
    // The settings types of these rooms: each owns its own.
    (
        "config",
        Imports::Only(&[
            "deliver",
            "event",
            "expression",
            "hubspot",
            "intake",
            "ledger",
            "providers",
            "secret",
        ]),
    ),
    ("deliver", Imports::Only(&["clock", "event", "hubspot", "ledger", "secret", "telemetry"])),
    ("event", Imports::Only(&["expression"])),
    ("expression", Imports::Only(&[])),
    (
        "fetch",
        Imports::Only(&[
            "clock",
            "event",
            "intake",
            "ledger",
            "net",
            "providers",
            "secret",
            "telemetry",
        ]),
    ),
    ("http", Imports::Only(&["clock", "telemetry"])),
    ("hubspot", Imports::Only(&["clock", "event", "net", "secret", "telemetry"])),
    ("intake", Imports::Only(&["event", "ledger", "providers", "secret"])),
    ("jwt", Imports::Only(&["secret"])),
    // It only lists the rooms.
    ("lib", Imports::Only(&[])),
    ("ledger", Imports::Only(&["clock", "event", "expression", "secret", "telemetry"])),
    ("main", Imports::All),
    ("net", Imports::Only(&["clock", "event", "secret", "telemetry"])),
    (
        "ops",
        Imports::Only(&[
            "clock",
            "event",
            "http",
            "ledger",
            "providers",
            "replay",
            "secret",
            "telemetry",
        ]),
    ),
    ("providers", Imports::Only(&["event", "expression", "jwt", "secret"])),
    (
        "receive",
        Imports::Only(&[
            "clock",
            "event",
            "http",
            "intake",
            "ledger",
            "providers",
            "secret",
            "telemetry",
        ]),
    ),
    (
        "replay",
        Imports::Only(&["clock", "event", "intake", "ledger", "providers", "secret", "telemetry"]),
    ),
    ("sandbox", Imports::All),
    ("secret", Imports::Only(&[])),
    ("shutdown", Imports::Only(&[])),
    ("telemetry", Imports::Only(&["event", "secret"])),
];

pub(crate) enum Imports {
    All,
    Only(&'static [&'static str]),
}

/// Each heavy dependency has one door, so that it can be changed in one place.
const DOORS: &[(&str, &[&str])] = &[
    ("actix_web", &["src/http/"]),
    ("cel", &["src/expression/"]),
    ("jsonwebtoken", &["src/jwt.rs", "src/jwt/"]),
    ("prometheus", &["src/telemetry/", "src/telemetry.rs"]),
    ("reqwest", &["src/net/"]),
    ("rusqlite", &["src/ledger/sqlite/", "src/ledger/sqlite.rs"]),
    // A secret that is named is read when it is used; everything else of the environment at the start.
    ("env::var", &["src/secret.rs"]),
    ("env::var_os", &["src/secret.rs"]),
    ("env::vars", &["src/config/env.rs"]),
    ("env::vars_os", &["src/config/env.rs"]),
];

/// Folders right under the repository that hold nothing of its own.
const NOT_OURS: [&str; 4] = [".git", ".cache", "data", "target"];

/// Where developers' machines keep things; written in two so that this file does not break its own rule.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

#[test]
fn files_fit_on_a_few_screens() {
    let mut long = Vec::new();
    for source in sources() {
        let lines = source.code.lines().count();
        if lines > MAX_LINES {
            long.push(format!("{} has {lines} lines of code", source.path));
        }
    }
    assert!(long.is_empty(), "more than {MAX_LINES}: {long:#?}");
}

#[test]
fn rooms_import_only_what_they_may() {
    let table: BTreeMap<&str, &Imports> =
        MAY_IMPORT.iter().map(|(room, may)| (*room, may)).collect();
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let Some(may) = table.get(source.room.as_str()) else {
            wrong.insert(format!("{}: the room {} is not in the table", source.path, source.room));
            continue;
        };
        for import in imports(&source) {
            let allowed = match may {
                Imports::All => true,
                Imports::Only(rooms) => rooms.contains(&import.as_str()),
            };
            if import != source.room && !allowed {
                wrong.insert(format!("{} imports {import}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn heavy_dependencies_have_one_door() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, doors) in DOORS {
            let at_home = doors.iter().any(|door| source.path.starts_with(door));
            if !at_home && names(&source.code, name) {
                wrong.push(format!("{} names {name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The ledger's rules decide, for every back end alike; a statement loads rows, or stores what a rule answered.
#[test]
fn no_statement_of_a_back_end_decides() {
    let mut wrong = Vec::new();
    for source in sources() {
        let is_back_end =
            source.path.starts_with("src/ledger/") && !source.path.starts_with("src/ledger/rules/");
        if is_back_end && has_deciding_statement(&source.bare()) {
            wrong.push(source.path);
        }
    }
    assert!(wrong.is_empty(), "CASE outside ORDER BY: {wrong:#?}");
}

/// So a name leads to one type. A platform's folder may use the platform's own words, and every room has settings and
/// errors.
#[test]
fn type_that_others_see_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources().into_iter().filter(|source| !is_of_platform(&source.path)) {
        for name in visible_types(&source.bare()) {
            places.entry(name).or_default().push(source.path.clone());
        }
    }
    places
        .retain(|name, places| places.len() > 1 && !["Settings", "Error"].contains(&name.as_str()));
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    let mut wrong = Vec::new();
    for path in files_under(&root()) {
        let text =
            String::from_utf8_lossy(&fs::read(&path).expect("the file is there")).into_owned();
        for (number, line) in text.lines().enumerate() {
            if MACHINE_PATHS.iter().any(|machine| line.contains(machine)) {
                wrong.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a statement has a `CASE` other than to order rows.
fn has_deciding_statement(code: &str) -> bool {
    let literals = code.split('"').skip(1).step_by(2);
    literals.into_iter().any(|text| {
        let case = text.split_whitespace().position(|word| word == "CASE" || word == "(CASE");
        let order =
            text.split_once("ORDER BY").map(|(before, _)| before.split_whitespace().count());
        case.is_some_and(|case| order.is_none_or(|order| case < order))
    })
}

/// Whether the file is in the folder of one platform.
fn is_of_platform(path: &str) -> bool {
    let inside = path.strip_prefix("src/providers/").and_then(|inside| inside.split_once('/'));
    inside.is_some_and(|(folder, _)| folder != "signature")
}

/// The names of the types that can be seen outside their module.
fn visible_types(code: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.trim_start().strip_prefix("pub")?;
        let scope = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let (keyword, rest) = scope.map_or(rest, |(_, rest)| rest).trim_start().split_once(' ')?;
        let name = rest.chars().take_while(|c| is_of_name(*c)).collect();
        ["struct", "enum", "trait", "type"].contains(&keyword).then_some(name)
    };
    code.lines().filter_map(name).collect()
}

/// The rules above pass on an empty list too, so here they are shown something to find.
#[test]
fn the_rules_can_fail() {
    let source = |path: &str, text: &str| Source::new(path, text);
    let text = "use crate::{event::{A, B}, net, ledger::C};\n\
                fn f() -> crate::clock::Clock { super::super::deliver::g(super::own::h()) }\n\
                // use crate::receive::X;\n\
                let s = 1; // crate::cli\n";
    let found = imports(&source("src/hubspot/client.rs", text));
    let expected = ["clock", "deliver", "event", "ledger", "net"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));

    let nested = source("src/net/mod.rs", "use super::hubspot::X;\n");
    assert_eq!(imports(&nested), BTreeSet::from(["hubspot".to_owned()]));
    let deep = source("src/ledger/sqlite/mod.rs", "use super::X;\nuse super::super::event::Y;\n");
    assert_eq!(imports(&deep), BTreeSet::from(["event".to_owned()]));

    let tested =
        source("src/clock.rs", "a();\n#[cfg(test)]\nmod tests {\n    use crate::net;\n}\n");
    assert_eq!(tested.code, "a();\n");

    for used in
        ["use reqwest::Client;", "use reqwest;", "let c = reqwest::get;", "use {reqwest::A};"]
    {
        assert!(names(used, "reqwest"), "{used}");
    }
    for unused in ["let my_reqwest = 1;", "\"reqwest=warn\"", "not_reqwest::x"] {
        assert!(!names(unused, "reqwest"), "{unused}");
    }
    let types = "pub struct A<T>(T);\n    pub(in crate::net) enum B {}\nstruct C;\npub fn d() {}\npub type E = A;";
    assert_eq!(visible_types(types), ["A", "B", "E"]);
    assert!(is_of_platform("src/providers/zoom/map.rs") && !is_of_platform("src/providers/api.rs"));
    let deciding = "f(\"UPDATE t SET a = CASE WHEN b THEN 1 END\")";
    assert!(has_deciding_statement(deciding));
    assert!(!has_deciding_statement("f(\"SELECT a FROM t ORDER BY CASE WHEN b THEN 1 END\")"));
    assert!(names("let v = std::env::var(\"A\");", "env::var"));
    assert!(names("let v = env::var(name);", "env::var"));
    assert!(!names("let v = std::env::vars();", "env::var"));
}

/// A file of `src` without its tests and its comments.
struct Source {
    path: String,
    room: String,
    /// How many modules deep the file is: 1 is a room.
    depth: usize,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
        let inside = inside.strip_suffix("/mod").unwrap_or(inside);
        let mut modules = inside.split('/');
        let room = modules.next().unwrap_or_default().to_owned();
        let depth = 1 + modules.count();
        let code = text.split("\n#[cfg(test)]\nmod tests {\n").next().unwrap_or_default();
        let code = if code.len() == text.len() { code.to_owned() } else { format!("{code}\n") };
        Self { path: path.to_owned(), room, depth, code }
    }

    /// The code without comments, for looking at names.
    fn bare(&self) -> String {
        let lines = self.code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let kept: Vec<_> =
            lines.map(|line| line.split(" // ").next().unwrap_or_default()).collect();
        kept.join("\n")
    }
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    for path in files_under(&root.join("src")) {
        let inside = path.strip_prefix(&root).expect("it lies under the root");
        let name = inside.to_string_lossy().replace('\\', "/");
        let of_tests = name.ends_with("/tests.rs") || name.contains("/tests/");
        if Path::new(&name).extension().is_some_and(|end| end == "rs") && !of_tests {
            sources.push(Source::new(&name, &fs::read_to_string(&path).expect("Rust is UTF-8")));
        }
    }
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "src was not found");
    sources
}

/// The rooms that a file's paths lead to.
fn imports(source: &Source) -> BTreeSet<String> {
    let bare = source.bare();
    let mut found = BTreeSet::new();
    for rest in after(&bare, "crate::") {
        found.extend(heads(rest));
    }
    let outwards = "super::".repeat(source.depth);
    for rest in after(&bare, &outwards) {
        let rooms = heads(rest).into_iter();
        found.extend(rooms.filter(|head| MAY_IMPORT.iter().any(|(room, _)| room == head)));
    }
    found
}

/// What follows each place where `mark` stands and no name goes on into it.
fn after<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let begins = |at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| is_of_name(c) || c == ':')
    };
    let places = text.match_indices(mark).filter(|(at, _)| begins(*at));
    places.filter_map(|(at, mark)| text.get(at + mark.len()..)).collect()
}

/// The first names of a path's rest: one, or those of a group.
fn heads(rest: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| is_of_name(*c)).collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let mut heads = Vec::new();
    let mut depth = 1;
    let mut at_start = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => at_start = true,
            c if at_start && is_of_name(c) => {
                heads.push(name(group.get(at..).unwrap_or_default()));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

/// Whether the code uses a crate or a path of that name.
fn names(code: &str, name: &str) -> bool {
    let bare =
        Source { path: String::new(), room: String::new(), depth: 1, code: code.to_owned() }.bare();
    let is_function = name.contains("::");
    let imported = |at: usize| bare.get(..at).is_some_and(|before| before.ends_with("use "));
    bare.match_indices(name).any(|(at, name)| {
        let before = bare.get(..at).and_then(|before| before.chars().next_back());
        let rest = bare.get(at + name.len()..).unwrap_or_default();
        let whole = !before.is_some_and(is_of_name) && !rest.starts_with(is_of_name);
        whole && (is_function || imported(at) || rest.starts_with("::"))
    })
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files under a folder, but for what is not ours and, as this is about what is written, links.
fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let kind = entry.file_type().expect("the file system knows");
            let ours = folder != root() || !NOT_OURS.iter().any(|name| entry.file_name() == *name);
            if kind.is_dir() && ours {
                folders.push(entry.path());
            } else if kind.is_file() && ours {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}
