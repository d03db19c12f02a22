//! No query scans a whole table: with a million pending events a scan takes seconds and megabytes.

use std::path::Path;

use rusqlite::Connection;

use super::open;

/// Statements that may scan: tools run them once, or they read a bounded number of rows.
const WHOLE: [&str; 13] = [
    // The backup's counts.
    "SELECT count(*) FROM receipts",
    "SELECT count(*) FROM events",
    // Every segment and every event are searched for a person's address.
    "SELECT e.input, w.state FROM events e JOIN webinars w ON w.id = e.webinar ORDER BY e.id",
    // At a start, and only after a change of what decides ids, or of a name.
    "SELECT id, state FROM webinars ORDER BY id",
    "INSERT INTO fetch_counts (source, state, count) SELECT source, state, count(*) FROM fetches WHERE source = \
     ?1 GROUP BY state",
    "INSERT INTO event_counts (hubspot, state, count) SELECT hubspot, state, count(*) FROM events WHERE hubspot IN \
     (?1, ?2) GROUP BY hubspot, state",
    // The receipts of one segment.
    "SELECT seq, body_offset, body_length FROM receipts WHERE body_id = ?1 ORDER BY body_offset",
    // The events of one receipt: a few.
    "SELECT hubspot, external_account_id, external_event_id FROM webinar_receipts AS link JOIN events ON \
     events.webinar = link.webinar WHERE link.receipt = ?1 ORDER BY 1, 2, 3 LIMIT ?2",
    // At the start, and after the clock was set back.
    "UPDATE fetches SET not_before = ?1 WHERE not_before > ?1",
    "UPDATE fetches SET not_before = not_before - ?2 WHERE not_before > ?1",
    // Once, where a copy is put into service.
    "SELECT id FROM events ORDER BY id",
    "UPDATE events SET input = NULL WHERE input_hash IS NULL AND input IS NOT NULL",
    // The events whose timers one piece runs, in the order of their time.
    "SELECT DISTINCT webinar, hubspot FROM events WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2",
];

/// Collects the statements in this folder's code.
fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ledger/sqlite");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|end| end != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let code = std::fs::read_to_string(&path).expect("Rust is text");
        let bare: Vec<&str> =
            code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let bare = bare.join("\n");
        let literals = bare.split('"').skip(1).step_by(2);
        let sql = literals.map(|text| text.replace("\\\n", " "));
        let sql = sql.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        found.extend(sql.filter(|text| {
            ["SELECT ", "UPDATE ", "DELETE ", "INSERT "].iter().any(|verb| text.starts_with(verb))
        }));
    }
    found
}

/// Collects the lines of a statement's plan that scan a growing table or sort it in memory.
fn dear(connection: &Connection, sql: &str) -> Vec<String> {
    let mut explain =
        connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("it is right SQL");
    let rows = explain.raw_query().mapped(|row| row.get::<_, String>(3));
    let lines: Vec<String> = rows.collect::<Result<_, _>>().expect("a plan");
    let grows =
        ["events", "receipts", "webinars", "webinar_receipts", "bodies", "lasting_keys", "fetches"];
    let whole = |line: &String| {
        let scans = |table: &&str| {
            let rest = line.strip_prefix("SCAN ").and_then(|rest| rest.strip_prefix(*table));
            // A partial index holds only a few rows.
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
                && !line.contains("USING INDEX events_")
                && !line.contains("USING COVERING INDEX events_")
        };
        grows.iter().any(scans) || line.contains("TEMP B-TREE")
    };
    lines.into_iter().filter(whole).collect()
}

#[test]
fn queries_never_scan_a_growing_table() {
    let mut connection = Connection::open_in_memory().expect("memory");
    open::ensure_schema(&mut connection, true).expect("the schema");
    let statements = statements();
    assert!(statements.len() > 50, "{} statements were found", statements.len());
    let mut wrong = Vec::new();
    for sql in statements.iter().filter(|sql| !sql.contains('{') && !WHOLE.contains(&sql.as_str()))
    {
        let dear = dear(&connection, sql);
        if !dear.is_empty() {
            wrong.push(format!("{sql}\n  {dear:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for whole in WHOLE {
        assert!(statements.iter().any(|sql| sql == whole), "no longer there: {whole}");
    }
}

#[test]
fn scan_check_detects_a_scan() {
    let mut connection = Connection::open_in_memory().expect("memory");
    open::ensure_schema(&mut connection, true).expect("the schema");
    for sql in [
        "SELECT id FROM events WHERE attempts = 1",
        "SELECT id FROM events WHERE hubspot = ?1 AND state = 0 ORDER BY changed_at",
        "UPDATE receipts SET outcome = 0 WHERE event_type = ?1",
    ] {
        assert!(!dear(&connection, sql).is_empty(), "{sql}");
    }
}
