//! `erase`: afterwards the person is nowhere in the store's files, and everything else still works.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;
use webinar_bridge::ledger::erasure::{EmailAddress, erase};
use webinar_bridge::sandbox::emulator::EmulatorSettings;

use crate::harness::eventually;
use crate::harness::process::{Setting, TOKEN};
use crate::harness::senders::Senders;
use crate::harness::wire::{ask, created, webhook};

const PERSON: &str = "Qv7.Xkw@private.example";
const NAME: &str = "Zyxw Vutsr";
/// What must stay, as proof that the search would find the rest.
const HARMLESS: &str = "dU8pC2xEb6";

/// A long text that no compression shortens: what it takes is free once it is erased.
fn noise() -> String {
    let mut noise = vec![0; 200_000];
    rand::fill(&mut noise[..]);
    noise.iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

/// Webhooks that name the person in several spellings, each of another event.
fn bodies() -> Vec<Vec<u8>> {
    let spellings = [
        PERSON.to_owned(),
        PERSON.to_uppercase(),
        PERSON.replace('@', r"\u0040"),
        format!("https://x.example/?who={}", PERSON.replace('@', "%40")),
    ];
    let sent = |(id, spelling): (u64, &String)| {
        let contact = format!(
            r#""note":"{HARMLESS}","contact":{{"id":"c-{id}","name":"{NAME}","mail":"{spelling}"}}"#
        );
        created(id, &format!("Event {id}"), &contact)
    };
    let mut bodies: Vec<Vec<u8>> = (1..).zip(&spellings).map(sent).collect();
    // One that is not understood, as it has no id.
    let odd = format!(
        r#"{{"event":"webinar.created","event_ts":1,"payload":{{"account_id":"acct","object":{{"name":"{NAME}","mail":"{PERSON}"}}}}}}"#
    );
    bodies.push(odd.into_bytes());
    bodies
}

/// Every body that the store holds, by receipt.
fn stored(connection: &Connection) -> BTreeMap<i64, Vec<u8>> {
    let mut statement = connection
        .prepare(
            "SELECT seq, body_offset, body_length, data FROM receipts JOIN bodies ON bodies.id = body_id",
        )
        .expect("the tables are there");
    let rows = statement.query_map((), |row| {
        let (offset, length): (u32, u32) = (row.get(1)?, row.get(2)?);
        let (offset, length) = (offset as usize, length as usize);
        let packed: Vec<u8> = row.get(3)?;
        let data = lz4_flex::decompress_size_prepended(&packed).expect("it is whole");
        Ok((row.get(0)?, data[offset..offset + length].to_vec()))
    });
    rows.expect("it can be read").collect::<Result<_, _>>().expect("it can be read")
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// Fails if the person is anywhere in the store's files or in what they hold packed.
fn nowhere(store: &Path, noise: &str) {
    let address = EmailAddress::parse(PERSON).expect("valid");
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let path = format!("{}{suffix}", store.display());
        let bytes = fs::read(&path).unwrap_or_default();
        for text in ["Qv7.Xkw", "private.example", NAME] {
            assert!(!holds(&bytes, text), "{path} holds {text}");
        }
        let pieces = noise.as_bytes().chunks_exact(12).step_by(400);
        let left = pieces.filter(|piece| bytes.windows(12).any(|window| window == *piece)).count();
        assert_eq!(left, 0, "{path} holds pieces of what was erased");
    }
    let connection = Connection::open(store).expect("it opens");
    let mut segments = connection.prepare("SELECT data FROM bodies").expect("it is there");
    let mut rows = segments.query(()).expect("it can be read");
    let mut harmless = 0;
    while let Some(row) = rows.next().expect("it can be read") {
        let packed: Vec<u8> = row.get(0).expect("bytes");
        let data = lz4_flex::decompress_size_prepended(&packed).expect("it is whole");
        assert!(address.find(&data).is_empty() && !holds(&data, NAME));
        harmless += usize::from(holds(&data, HARMLESS));
    }
    assert!(harmless > 0, "the rest stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_erased_beside_the_running_service() {
    let setting = Setting::with(EmulatorSettings::new(TOKEN), "deliver = false", "");
    let bridge = setting.start();
    let (noise, mut sent) = (noise(), bodies());
    sent.push(created(
        9,
        "Large",
        &format!(r#""contact":{{"mail":"{PERSON}","address":"{noise}"}}"#),
    ));
    for body in &sent {
        assert_eq!(ask(&bridge.webhooks, &webhook("/webhooks/zoom", body)).await.status, 200);
    }
    let looks = Connection::open(setting.store()).expect("it opens");
    let before = stored(&looks);
    assert!(before.values().any(|body| holds(body, NAME)), "there is something to erase");
    drop(looks);
    let load = Senders::new().send_to(&bridge);
    eventually("there is load", async || load.answered() >= 20).await;
    let (code, output) = setting.run(&["erase", "--email", &PERSON.to_lowercase()]).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains(&format!("stored bodies: {}", sent.len())), "{output}");
    assert!(!output.to_lowercase().contains("qv7"), "{output}");
    let answered = load.answered();
    eventually("webhooks are taken all the while", async || load.answered() > answered).await;
    drop(load.stop().await);
    nowhere(&setting.store(), &noise);

    // Everything else is as it was, and where it was.
    let looks = Connection::open(setting.store()).expect("it opens");
    for (seq, body) in stored(&looks) {
        let value: Value = serde_json::from_slice(&body).expect("still JSON");
        assert!(value["event"].as_str().is_some_and(|event| event.starts_with("webinar.")));
        let old: Option<Value> =
            before.get(&seq).map(|old| serde_json::from_slice(old).expect("JSON"));
        if let Some(old) = old.filter(|old| old["payload"]["object"]["topic"].is_string()) {
            let object = |value: &Value, key: &str| value["payload"]["object"][key].clone();
            for key in ["id", "topic", "start_time", "duration", "note"] {
                assert_eq!(object(&value, key), object(&old, key));
            }
        }
    }
    drop(looks);
    // Sent again, they are duplicates and do not bring the person back; erased again, there is nothing.
    for body in &sent {
        let answer = ask(&bridge.webhooks, &webhook("/webhooks/zoom", body)).await;
        assert_eq!(answer.status_and_body(), (200, r#"{"status":"duplicate"}"#));
    }
    let (code, output) = setting.run(&["erase", "--email", PERSON]).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("stored bodies: 0, from other texts: 0"), "{output}");
    nowhere(&setting.store(), &noise);
    let logged = bridge.logged();
    assert!(!holds(logged.as_bytes(), "Qv7"), "{logged}");
    bridge.kill();
}

/// Retention leaves free pages behind, all of which are overwritten: that is much to write beside the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_taken_while_much_free_room_is_overwritten() {
    const FREE: usize = 200_000_000;
    let setting = Setting::with(EmulatorSettings::new(TOKEN), "deliver = false", "");
    assert_eq!(setting.start().terminate(), Some(0));
    let store = Connection::open(setting.store()).expect("it opens");
    store.execute_batch("CREATE TABLE old (data BLOB)").expect("it can be written");
    let data = vec![b'o'; FREE / 40];
    for _ in 0..40 {
        store.execute("INSERT INTO old VALUES (?1)", [&data]).expect("it can be written");
    }
    store.execute_batch("DROP TABLE old; PRAGMA wal_checkpoint(TRUNCATE)").expect("it is free");
    drop(store);
    let bridge = setting.start();
    let erasing = setting.run(&["erase", "--email", PERSON]);
    tokio::pin!(erasing);
    let wal = format!("{}-wal", setting.store().display());
    let (mut longest, mut taken) = (0, 0);
    let (code, output) = loop {
        let body = webhook("/webhooks/zoom", &created(taken, "Webinar", ""));
        tokio::select! {
            biased;
            erased = &mut erasing => break erased,
            answer = ask(&bridge.webhooks, &body) => {
                assert_eq!(answer.status_and_body(), (200, r#"{"status":"accepted"}"#), "after {taken}");
                taken += 1;
            }
        }
        longest = longest.max(fs::metadata(&wal).map_or(0, |file| file.len()));
    };
    assert_eq!(code, Some(0), "{output}");
    assert!(taken >= 20, "{taken} webhooks were taken");
    let bound = u64::try_from(FREE * 3 / 4).expect("some megabytes");
    assert!(longest < bound, "the log grew to {longest} bytes");
    let bytes = fs::read(setting.store()).expect("it can be read");
    assert!(!holds(&bytes, "oooooooo"), "what was free is overwritten");
    bridge.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_erased_from_a_closed_store() {
    let setting = Setting::with(EmulatorSettings::new(TOKEN), "deliver = false", "");
    let bridge = setting.start();
    let noise = noise();
    let large = format!(r#""contact":{{"mail":"{PERSON}","address":"{noise}"}}"#);
    for body in bodies().into_iter().chain([created(9, "Large", &large)]) {
        assert_eq!(ask(&bridge.webhooks, &webhook("/webhooks/zoom", &body)).await.status, 200);
    }
    // The event's own words are HubSpot's to show: they stay, and are reported.
    let named = created(77, "Ask someone@else.example", "");
    assert_eq!(ask(&bridge.webhooks, &webhook("/webhooks/zoom", &named)).await.status, 200);
    // Killed: the WAL is left behind, and is the store's as well.
    bridge.kill();
    let (code, output) = setting.run(&["erase", "--email", PERSON]).await;
    assert_eq!((code, output.contains("stored bodies: 6")), (Some(0), true), "{output}");
    nowhere(&setting.store(), &noise);
    let (code, output) = setting.run(&["erase", "--email", "someone@else.example"]).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("mentions the address: 1"), "{output}");
    let bridge = setting.start();
    assert_eq!(bridge.terminate(), Some(0));
    for wrong in ["nobody", "a@b@c", ""] {
        let (code, output) = setting.run(&["erase", "--email", wrong]).await;
        assert_eq!(code, Some(2), "{output}");
    }
    fs::remove_dir_all(setting.store().parent().expect("a folder")).expect("removed");
    let (code, output) = setting.run(&["erase", "--email", PERSON]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(!setting.store().exists(), "none is made");
}

/// What a platform's body means does not change with whoever is erased from it, so that it can be replayed.
#[test]
fn an_erased_body_means_what_it_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let mapped = |body: &[u8]| {
        let path = folder.path().join("body.json");
        fs::write(&path, body).expect("written");
        let mut map = Command::new(env!("CARGO_BIN_EXE_webinar-bridge"));
        map.args(["map", "--provider", "zoom"]).arg(&path);
        let output = map.output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zoom");
    let mut erased = 0;
    for entry in fs::read_dir(fixtures).expect("fixtures") {
        let path = entry.expect("an entry").path();
        let body = fs::read_to_string(&path).expect("text");
        let mut without = body.clone().into_bytes();
        for word in body.split(|c: char| c.is_whitespace() || "\",;".contains(c)) {
            if let Ok(address) = EmailAddress::parse(word) {
                without = erase(&without, &address).unwrap_or(without);
            }
        }
        if path.extension().is_some_and(|end| end == "json") && without != body.as_bytes() {
            erased += 1;
            assert_eq!(mapped(&without), mapped(body.as_bytes()), "{}", path.display());
        }
    }
    assert!(erased > 10, "{erased} fixtures name a person");
}
