//! The fixtures: bodies as Zoom sends them, each with what is read of it beside it. `UPDATE_FIXTURES=1` writes the
//! latter anew, to be read before it is committed.

use std::path::PathBuf;

use super::*;

struct Fixture {
    path: PathBuf,
    body: Vec<u8>,
}

fn fixtures() -> Vec<Fixture> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zoom");
    let mut fixtures: Vec<Fixture> = std::fs::read_dir(folder)
        .expect("the folder of fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| Fixture { body: std::fs::read(&path).expect("a fixture"), path })
        .collect();
    fixtures.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(fixtures.len() > 40, "fixtures are missing");
    fixtures
}

/// A reading for people: times as dates.
fn told(reading: &Reading) -> String {
    fn dated(value: Value) -> Value {
        match value {
            Value::Number(number) => match number.as_i64().and_then(Millis::plausible) {
                Some(time) => time.to_string().into(),
                None => Value::Number(number),
            },
            Value::Array(list) => list.into_iter().map(dated).collect(),
            Value::Object(map) => {
                let map = map.into_iter().filter(|(_, value)| !value.is_null());
                Value::Object(map.map(|(key, value)| (key, dated(value))).collect())
            }
            Value::Null | Value::Bool(_) | Value::String(_) => value,
        }
    }
    let meaning = match &reading.meaning {
        Meaning::Changes { changes, bad_fields } => {
            let changes = dated(serde_json::to_value(changes).expect("changes can be written"));
            json!({ "changes": changes, "bad_fields": bad_fields })
        }
        Meaning::Ignored => json!("ignored"),
        Meaning::Unmappable(why) => json!({ "unmappable": why }),
        Meaning::Handshake(reply) => {
            let body: Value = serde_json::from_slice(&reply.body).expect("an answer is JSON");
            json!({ "handshake": { "status": reply.status, "body": body } })
        }
    };
    let told = json!({ "event_type": reading.event_type, "meaning": meaning });
    format!("{told:#}\n")
}

#[test]
fn each_fixture_reads_as_expected() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    for Fixture { path, body } in fixtures() {
        let told = told(&read(&body));
        let expected = path.with_extension("expected");
        if update {
            std::fs::write(&expected, &told).expect("an expectation can be written");
        }
        let expected = std::fs::read_to_string(expected).expect("each fixture has its expectation");
        assert_eq!(told, expected, "{}", path.display());
    }
}

#[test]
fn what_is_stored_is_valid_holds_nothing_personal_and_says_the_same() {
    for Fixture { path, body } in fixtures() {
        let stored = ZoomPlatform.scrub(&body);
        let text = String::from_utf8(stored.clone()).expect("text stays text");
        serde_json::from_str::<Value>(&text).expect("JSON stays JSON");
        for personal in ["example.org", "kettle", "Qm9vaw", "tk=a", "tk=p", "Ada"] {
            assert!(!text.contains(personal), "{}: {personal}", path.display());
        }
        assert_eq!(read(&stored), read(&body), "{}", path.display());
        assert_eq!(ZoomPlatform.scrub(&stored), stored, "{}", path.display());
    }
}

#[test]
fn cut_off_anywhere_a_body_is_unmappable_and_holds_nothing_personal() {
    for Fixture { path, body } in fixtures() {
        let whole = body.trim_ascii_end();
        for end in 0..whole.len() {
            let cut = &whole[..end];
            assert!(
                matches!(read(cut).meaning, Meaning::Unmappable(_)),
                "{} cut at {end}",
                path.display()
            );
            let stored = String::from_utf8_lossy(&ZoomPlatform.scrub(cut)).into_owned();
            assert!(!stored.contains("kettle-"), "{} cut at {end}", path.display());
        }
    }
}
