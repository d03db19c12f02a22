//! HubSpot takes nothing for a long while: the events that wait cost disk, not memory, and leave at the window's speed.

use std::time::Duration;

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use webinar_bridge::sandbox::emulator::{EmulatorFault, EmulatorSettings, HANG};

use crate::harness::http::scrape;
use crate::harness::process::{Bridge, Setting, TOKEN};
use crate::harness::senders::Senders;
use crate::harness::wire::{ask, created, webhook};
use crate::harness::zoom::at;
use crate::harness::{eventually, eventually_within, tell};

/// Calls in a window, and the window.
const RATE: (u32, Duration) = (1_000, Duration::from_secs(10));
/// In one call.
const BATCH: u32 = 100;
/// MiB that the process may ever take (README: limits).
const MEMORY: f64 = 150.0;

/// Makes the one pending event of a closed store into so many, each with a webinar and a receipt, by SQL: receiving them
/// would take as long as it takes.
fn multiply(setting: &Setting, count: u32) {
    let mut connection = Connection::open(setting.store()).expect("it opens");
    let store = connection.transaction().expect("nobody else has it");
    let (key, input): (String, Vec<u8>) = store
        .query_row("SELECT external_event_id, input FROM events", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("there is one");
    let input = String::from_utf8(input).expect("JSON");
    let mut webinar = store
        .prepare(
            "INSERT INTO webinars (id, hubspot, account, webinar, state, last_at)
             SELECT ?1, hubspot, account, ?2, state, last_at FROM webinars WHERE id = 1",
        )
        .expect("it is right");
    let mut event = store
        .prepare(
            "INSERT INTO events (webinar, hubspot, external_account_id, external_event_id, version, state, input,
                 input_hash, changed_at, pending_since)
             SELECT ?1, hubspot, external_account_id, ?2, 1, 0, ?3, ?4, changed_at, pending_since + ?1
             FROM events WHERE id = 1",
        )
        .expect("it is right");
    let mut receipt = store
        .prepare(
            "INSERT INTO receipts (seq, id, source, dedupe_key, provider, event_type, outcome, received_at, hash)
             SELECT ?1, ?2, source, ?2, provider, event_type, outcome, received_at, hash FROM receipts WHERE seq = 1",
        )
        .expect("it is right");
    let mut built = store
        .prepare("INSERT INTO webinar_receipts (webinar, receipt) VALUES (?1, ?1)")
        .expect("it is right");
    for number in 2..=count {
        let id = (10_000_000 + number).to_string();
        let input = input.replace(&format!("\"{key}\""), &format!("\"{id}\""));
        let hash = Sha256::digest(input.as_bytes());
        webinar.execute((number, &id)).expect("inserted");
        event.execute((number, &id, input.as_bytes(), &hash[..16])).expect("inserted");
        receipt.execute((number, Sha256::digest(id.as_bytes()).as_slice())).expect("inserted");
        built.execute([number]).expect("inserted");
    }
    drop((webinar, event, receipt, built));
    store.execute("UPDATE event_counts SET count = ?1 WHERE state = 0", [count]).expect("counted");
    store.commit().expect("committed");
}

async fn backlog(count: u32) {
    let hubspot = EmulatorSettings { rate: RATE, ..EmulatorSettings::new(TOKEN) };
    let setting = Setting::with(hubspot, "rate_limit = { requests = 1000, window = \"10s\" }", "");
    let away = EmulatorFault::Status { status: 503, retry_after: None };
    setting.hubspot.emulator().inject_standing(away);
    let bridge = setting.start();
    let first = created(1, "One of many", "");
    assert_eq!(ask(&bridge.webhooks, &webhook("/webhooks/zoom", &first)).await.status, 200);
    assert_eq!(bridge.terminate(), Some(0));
    multiply(&setting, count);

    let began = Instant::now();
    let bridge = setting.start();
    let started = began.elapsed();
    let load = Senders::new().send_to(&bridge);
    eventually("webhooks come in", async || load.answered() >= 500).await;
    let calls = setting.hubspot.emulator().calls().len();
    eventually("HubSpot is asked again and again", async || {
        let seen = scrape(&bridge.ops).await;
        assert!(seen.events("main", "pending") + seen.events("main", "in_flight") >= count.into());
        setting.hubspot.emulator().calls().len() >= calls + 3
    })
    .await;
    let senders = load.stop().await;
    let away = bridge.memory("VmHWM");

    setting.hubspot.emulator().clear_faults();
    let began = Instant::now();
    let own = RATE.1.as_secs_f64() * f64::from(count) / f64::from(RATE.0 * BATCH);
    let patience = Duration::from_secs_f64(60.0 + 20.0 * own);
    eventually_within(patience, "the backlog is delivered", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let seen = scrape(&bridge.ops).await;
        seen.events("main", "pending") + seen.events("main", "in_flight") == 0
    })
    .await;
    let took = began.elapsed().as_secs_f64();
    let peak = bridge.memory("VmHWM");
    let megabytes = std::fs::metadata(setting.store()).expect("it is there").len() / 1_000_000;
    tell(&format!(
        "{count} pending: started in {:.1} s, VmHWM {away:.0} MiB while HubSpot was away, {peak:.0} MiB in all; drained \
         in {took:.0} s, the window's own time is {own:.0} s; the store is {megabytes} MB",
        started.as_secs_f64()
    ));
    assert!(peak < MEMORY, "{peak} MiB");
    assert_eq!(setting.held_of("acct").len(), count as usize);
    // With those that came meanwhile.
    senders.check(&setting);
    let refused =
        setting.hubspot.emulator().calls().iter().filter(|call| call.status == 429).count();
    assert_eq!(refused, 0, "the window was exceeded");
    assert_eq!(bridge.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pending_events_take_no_memory() {
    backlog(20_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; make soak"]
async fn a_million_pending_events_take_no_memory() {
    backlog(1_000_000).await;
}

/// Sends a webhook until it is taken: much at once may take longer than a sender waits.
async fn take(bridge: &Bridge, body: &str) {
    eventually("it is taken", async || {
        ask(&bridge.webhooks, &webhook("/webhooks/zoom", body.as_bytes())).await.status == 200
    })
    .await;
}

/// Several series of as many occurrences as are kept, each with as long a text as is kept: every occurrence is an event
/// with all of it. HubSpot does not answer at first, so that calls wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_texts_of_long_series_take_no_memory() {
    const SERIES: u64 = 3;
    let hubspot = EmulatorSettings { rate: RATE, ..EmulatorSettings::new(TOKEN) };
    let account = "rate_limit = { requests = 1000, window = \"10s\" }\nrequest_timeout = \"2s\"";
    let setting = Setting::with(hubspot, account, "");
    let silence = EmulatorFault::Transport { fault: HANG, stored: false };
    setting.hubspot.emulator().inject_standing(silence);
    let bridge = setting.start();
    let occurrences: Vec<String> = (1..=500)
        .map(|n| {
            format!(
                r#"{{"occurrence_id":"o{n}","start_time":"2040-10-01T15:00:00Z","duration":30}}"#
            )
        })
        .collect();
    let more =
        format!(r#""agenda":"{}","occurrences":[{}]"#, "a".repeat(65_000), occurrences.join(","));
    let began = Instant::now();
    for id in 1..=SERIES {
        let body = String::from_utf8(created(id, "Long", &more)).expect("text");
        take(&bridge, &body.replace("\"type\":5", "\"type\":9")).await;
    }
    // And all of it changes once more.
    let at = at(1);
    for id in 1..=SERIES {
        take(&bridge, &format!(
            r#"{{"event":"webinar.updated","event_ts":{at},"payload":{{"account_id":"acct","object":{{"id":{id},"topic":"Longer"}}}}}}"#
        ))
        .await;
    }
    let took = began.elapsed().as_secs_f64();
    let calls = || setting.hubspot.emulator().calls().len();
    eventually("calls wait", async || calls() >= 6).await;
    let taken = bridge.memory("VmHWM");
    setting.hubspot.emulator().clear_faults();
    bridge.settled_within(Duration::from_mins(5)).await;
    let peak = bridge.memory("VmHWM");
    let seen = scrape(&bridge.ops).await;
    tell(&format!(
        "{SERIES} series of 500 events of 65,000 characters: taken in {took:.1} s, in commits of {:.0} ms on average; \
         VmHWM {taken:.0} MiB, {peak:.0} MiB in all",
        1e3 * seen.sum("bridge_store_commit_duration_seconds_sum", &[])
            / seen.sum("bridge_store_commit_duration_seconds_count", &[]),
    ));
    assert_eq!(setting.held_of("acct").len(), usize::try_from(500 * SERIES).expect("few"));
    assert!(peak < MEMORY, "{peak} MiB");
    assert_eq!(bridge.terminate(), Some(0));
}
