//! Replay: stored receipts are mapped again with today's code and configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use webinar_bridge::event::{
    BodyHash, ExternalAccountId, Millis, Policy, ProviderId, ReceiptId, SourceName, WebinarFields,
};
use webinar_bridge::intake::Source;
use webinar_bridge::ledger::sqlite::{Rekey, Settings, SqliteLedger};
use webinar_bridge::ledger::{
    Browse as _, DuplicateRule, EventState, EventStateCounts, Intake as _, Ledger, NewReceipt,
    Policies, ReceiptContent, ReceiptKind, ReceiptOutcome,
};
use webinar_bridge::providers::{Inbound, PayloadContent, Provider, by_id};
use webinar_bridge::replay::{ReplayError, ReplayProgress, ReplayRequest, Replayer};

use crate::harness::build::{NOON, account, created, minutes, policies, policy, renamed, source};
use crate::harness::events::AllEvents as _;
use crate::harness::store::StoreFolder;

fn zoom() -> Arc<dyn Provider> {
    let zoom = by_id("zoom").expect("it is built in");
    (zoom.unconfigured)().expect("Zoom needs no keys of its own")
}

/// A Zoom webhook, with or without an account.
fn body(event: &str, account: Option<&str>, at: Millis, object: &Value) -> Vec<u8> {
    let mut body = json!({ "event": event, "event_ts": at.get(), "payload": { "object": object } });
    if let Some(account) = account {
        body["payload"]["account_id"] = account.into();
    }
    body.to_string().into_bytes()
}

fn created_body(id: u64, topic: &str, account: Option<&str>, at: Millis) -> Vec<u8> {
    let object = json!({
        "id": id, "topic": topic, "type": 5, "start_time": minutes(24 * 60).to_string(),
        "duration": 60, "join_url": "https://example.zoom.us/j/1?pwd=secret",
    });
    body("webinar.created", account, at, &object)
}

fn renamed_body(id: u64, topic: &str, account: Option<&str>, at: Millis) -> Vec<u8> {
    body("webinar.updated", account, at, &json!({ "id": id, "topic": topic }))
}

/// A receipt as the intake builds it: read by Zoom's code, scrubbed, with its hash.
fn incoming(bytes: &[u8], received_at: Millis) -> NewReceipt {
    let reading = zoom().read(&Inbound::from_body(bytes).scrub(zoom().as_ref()), &[]);
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    NewReceipt {
        id: ReceiptId::generate(),
        kind: ReceiptKind::Webhook,
        source: source("zoom"),
        provider: zoom().id(),
        received_at,
        event_type: reading.event_type,
        dedupe_key: digest,
        duplicates: DuplicateRule::Delivery,
        hash: BodyHash::from_digest(&digest),
        headers: Vec::new(),
        body: (zoom().platform().scrub)(bytes),
        content: match reading.content {
            PayloadContent::Changes { changes, .. } => ReceiptContent::Changes(changes),
            PayloadContent::Unmappable(why) => ReceiptContent::Quarantined(why),
            PayloadContent::Ignored | PayloadContent::Excluded | PayloadContent::Handshake(_) => {
                ReceiptContent::Ignored
            }
        },
        fetch_requests: Vec::new(),
    }
}

async fn accept(ledger: &SqliteLedger, receipt: &NewReceipt) -> ReceiptOutcome {
    ledger.accept(receipt.clone()).await.expect("stored")
}

fn open(store_folder: &StoreFolder, policies: &Policies) -> Arc<SqliteLedger> {
    let settings = Settings { rekey: Rekey::Accept, ..store_folder.settings(policies.clone()) };
    Arc::new(SqliteLedger::open(settings).expect("it opens"))
}

fn replayer(ledger: &Arc<SqliteLedger>, policies: &Policies) -> Replayer {
    let source = |(name, policy): (&SourceName, &Policy)| {
        (name.clone(), Arc::new(Source::new(name.clone(), zoom(), policy.clone())))
    };
    let sources: BTreeMap<SourceName, Arc<Source>> = policies.iter().map(source).collect();
    Replayer::new(Arc::clone(ledger) as Arc<dyn Ledger>, sources)
}

/// Name in the next HubSpot input of the only event.
async fn only_input(ledger: &SqliteLedger) -> Value {
    let events = ledger.all_events().await.expect("events");
    assert_eq!(events.len(), 1, "{events:?}");
    let input = events[0].input.as_ref().expect("it is complete");
    serde_json::from_slice(input).expect("an input is JSON")
}

#[tokio::test]
async fn quarantined_receipt_is_accepted_at_its_original_time_once_its_setting_exists() {
    let store_folder = StoreFolder::new();
    let ledger = open(&store_folder, &policies());
    let early = incoming(&created_body(1, "Early", None, NOON), minutes(0));
    assert_eq!(accept(&ledger, &early).await, ReceiptOutcome::Quarantined);
    store_folder.clock.set(minutes(10));
    let late = incoming(&renamed_body(1, "Late", Some("acct"), minutes(10)), minutes(10));
    assert_eq!(accept(&ledger, &late).await, ReceiptOutcome::Accepted);
    assert_eq!(ledger.all_events().await.expect("events")[0].state, EventState::Incomplete);
    // Without the setting, a replay changes nothing and reports the reason.
    let as_before = replayer(&ledger, &policies()).replay(early.id).await.expect("replayed");
    assert_eq!(as_before.outcome, ReceiptOutcome::Quarantined);
    assert!(as_before.reason.expect("a reason").contains("external_account_id"));
    drop(ledger);

    let mut configured = policies();
    configured.get_mut("zoom").expect("there").external_account_id =
        Some(ExternalAccountId::parse("acct").expect("valid"));
    store_folder.clock.set(minutes(20));
    let ledger = open(&store_folder, &configured);
    let replayed = replayer(&ledger, &configured).replay(early.id).await.expect("replayed");
    assert_eq!((replayed.outcome, replayed.reason), (ReceiptOutcome::Accepted, None));
    assert_eq!(replayed.events.len(), 1);
    assert_eq!(replayed.events[0].external_event_id.as_str(), "1");
    let input = only_input(&ledger).await;
    assert_eq!(input["eventName"], "Late", "it was said later");
    assert_eq!(input["startDateTime"], minutes(24 * 60).to_string(), "only the early one told");
    let event = ledger.event_detail(&replayed.events[0]).await.expect("read").expect("there");
    let start = event.fields.iter().find(|field| field.field == "start").expect("it rests on");
    assert_eq!((start.receipt, start.at, start.received_at), (early.id, NOON, NOON));
    let kept = ledger.receipt(early.id).await.expect("read").expect("stored").record.summary;
    assert_eq!((kept.outcome, kept.reason), (ReceiptOutcome::Accepted, None));
    // A second replay changes nothing.
    let before = ledger.all_events().await.expect("events");
    replayer(&ledger, &configured).replay(early.id).await.expect("replayed");
    assert_eq!(ledger.all_events().await.expect("events"), before);
    // The webinar has its changes from now on: a replay of the late one keeps them.
    replayer(&ledger, &configured).replay(late.id).await.expect("replayed");
    assert_eq!(ledger.all_events().await.expect("events"), before);
}

#[tokio::test]
async fn wrongly_mapped_receipt_is_corrected_and_other_changes_stay() {
    let store_folder = StoreFolder::new();
    let ledger = open(&store_folder, &policies());
    let mut first = incoming(&created_body(1, "Right", Some("acct-1"), NOON), NOON);
    let mut wrong = created("1", "Wrong", NOON);
    wrong.whole = WebinarFields { description: Some("never said".into()), ..wrong.whole };
    first.content = ReceiptContent::Changes(vec![wrong]);
    accept(&ledger, &first).await;
    // Today's code cannot read this receipt, so its old changes stay.
    let mut odd = incoming(b"{\"no\": \"webhook\"}", NOON);
    let mut hosted = renamed("1", "Older", minutes(-5));
    hosted.whole = WebinarFields { organizer: Some("The host".into()), ..WebinarFields::default() };
    odd.content = ReceiptContent::Changes(vec![hosted]);
    accept(&ledger, &odd).await;
    assert_eq!(only_input(&ledger).await["eventName"], "Wrong");
    let replayed = replayer(&ledger, &policies()).replay(first.id).await.expect("replayed");
    assert_eq!(replayed.outcome, ReceiptOutcome::Accepted);
    let input = only_input(&ledger).await;
    assert_eq!(input["eventName"], "Right");
    assert_eq!(input["eventDescription"], Value::Null);
    assert_eq!(input["eventOrganizer"], "The host");
    // It cannot be replayed itself, because its changes would be lost.
    let before = ledger.all_events().await.expect("events");
    let refused = replayer(&ledger, &policies()).replay(odd.id).await;
    assert!(matches!(refused, Err(ReplayError::NoLongerAccepted(_))), "{refused:?}");
    assert_eq!(ledger.all_events().await.expect("events"), before);
}

#[tokio::test]
async fn unmappable_receipt_gets_todays_reason() {
    let store_folder = StoreFolder::new();
    let ledger = open(&store_folder, &policies());
    let mut odd = incoming(b"{}", NOON);
    odd.content = ReceiptContent::Quarantined("yesterday's reason".into());
    assert_eq!(accept(&ledger, &odd).await, ReceiptOutcome::Quarantined);
    let replayed = replayer(&ledger, &policies()).replay(odd.id).await.expect("replayed");
    assert_eq!(replayed.outcome, ReceiptOutcome::Quarantined);
    let kept = ledger.receipt(odd.id).await.expect("read").expect("stored").record.summary;
    assert_eq!(kept.reason, replayed.reason);
    assert_ne!(kept.reason.as_deref(), Some("yesterday's reason"));
    // Today's code ignores this receipt.
    let mut nothing = incoming(&body("webinar.alert", Some("a"), NOON, &json!({ "id": 1 })), NOON);
    nothing.content = ReceiptContent::Quarantined("unknown".into());
    nothing.body = body("webinar.alert", Some("a"), NOON, &json!({ "id": 1 }));
    accept(&ledger, &nothing).await;
    let replayed = replayer(&ledger, &policies()).replay(nothing.id).await.expect("replayed");
    assert_eq!((replayed.outcome, replayed.reason), (ReceiptOutcome::Ignored, None));
    assert_eq!(
        ledger.event_counts().await.expect("read")[&account("main")],
        EventStateCounts::default()
    );
}

#[tokio::test]
async fn receipt_that_cannot_be_replayed_reports_the_reason() {
    let store_folder = StoreFolder::new();
    let mut both = policies();
    both.insert(source("gone"), policy("main"));
    let ledger = open(&store_folder, &both);
    let replayer = replayer(&ledger, &policies());
    let mut ignored = incoming(&body("webinar.alert", None, NOON, &json!({})), NOON);
    ignored.body = Vec::new();
    accept(&ledger, &ignored).await;
    assert!(matches!(replayer.replay(ignored.id).await, Err(ReplayError::NoBody)));
    let mut gone = incoming(&created_body(1, "One", Some("acct"), NOON), NOON);
    gone.source = source("gone");
    accept(&ledger, &gone).await;
    let refused = replayer.replay(gone.id).await.expect_err("its source is gone");
    assert_eq!(refused.to_string(), "the source gone of the receipt is no longer configured");
    let mut other = incoming(&created_body(2, "Two", Some("acct"), NOON), NOON);
    other.provider = ProviderId::new("goto");
    accept(&ledger, &other).await;
    let refused = replayer.replay(other.id).await.expect_err("of another provider");
    assert_eq!(
        refused.to_string(),
        "the source zoom of the receipt had the provider goto and has zoom now"
    );
    let unknown = replayer.replay(ReceiptId::generate()).await;
    assert!(matches!(unknown, Err(ReplayError::Unknown)));
}

#[tokio::test]
async fn receipt_of_a_foreign_platform_account_is_ignored() {
    let store_folder = StoreFolder::new();
    let ledger = open(&store_folder, &policies());
    let receipt = incoming(&created_body(1, "One", Some("acct-1"), NOON), NOON);
    accept(&ledger, &receipt).await;
    let only = Source {
        platform_accounts: Some(["acct-2".to_owned()].into()),
        ..Source::new(source("zoom"), zoom(), policy("main"))
    };
    let sources = BTreeMap::from([(source("zoom"), Arc::new(only))]);
    let narrowed = Replayer::new(Arc::clone(&ledger) as Arc<dyn Ledger>, sources);
    let replayed = narrowed.replay(receipt.id).await.expect("replayed");
    assert_eq!(replayed.outcome, ReceiptOutcome::Ignored);
    assert_eq!(
        ledger.event_counts().await.expect("read")[&account("main")],
        EventStateCounts::default(),
        "it was never sent"
    );
}

/// More time than these tests take.
fn an_hour() -> Instant {
    Instant::now() + Duration::from_hours(1)
}

#[tokio::test]
async fn many_receipts_are_replayed_in_pieces() {
    let store_folder = StoreFolder::new();
    let ledger = open(&store_folder, &policies());
    let all = 220;
    for n in 0..all {
        let mut lost = incoming(&created_body(n, "Name", Some("acct"), NOON), NOON);
        lost.content = ReceiptContent::Quarantined("mapped by code that was wrong".into());
        accept(&ledger, &lost).await;
    }
    accept(&ledger, &incoming(b"{}", NOON)).await;
    let replayer = replayer(&ledger, &policies());
    let ask =
        ReplayRequest { outcome: Some(ReceiptOutcome::Quarantined), ..ReplayRequest::default() };
    let piece = replayer.replay_all(ask, an_hour()).await.expect("replayed");
    assert_eq!(
        piece,
        ReplayProgress { accepted: all, quarantined: 1, ..ReplayProgress::default() }
    );
    assert_eq!(ledger.event_counts().await.expect("read")[&account("main")].pending, all);
}

#[tokio::test]
async fn outcomes_are_counted() {
    let store_folder = StoreFolder::new();
    let mut both = policies();
    both.insert(source("gone"), policy("main"));
    let ledger = open(&store_folder, &both);
    let lost = || ReceiptContent::Quarantined("mapped by code that was wrong".into());
    let bodies = [
        created_body(1, "One", Some("acct"), NOON),
        body("webinar.alert", Some("acct"), NOON, &json!({ "id": 1 })),
        body("webinar.alert", Some("acct"), minutes(1), &json!({ "id": 1 })),
        b"{}".to_vec(),
        created_body(2, "Two", Some("acct"), NOON),
        created_body(3, "Three", Some("acct"), NOON),
        created_body(4, "Four", Some("acct"), NOON),
    ];
    for (n, bytes) in bodies.iter().enumerate() {
        let receipt = NewReceipt { content: lost(), body: bytes.clone(), ..incoming(bytes, NOON) };
        let source = if n < 4 { source("zoom") } else { source("gone") };
        accept(&ledger, &NewReceipt { source, ..receipt }).await;
    }
    let piece =
        replayer(&ledger, &policies()).replay_all(ReplayRequest::default(), an_hour()).await;
    let expected =
        ReplayProgress { accepted: 1, ignored: 2, quarantined: 1, failed: 3, next: None };
    assert_eq!(piece.expect("replayed"), expected);
}

#[tokio::test]
async fn wrongly_mapped_neighbour_is_corrected_too() {
    let store_folder = StoreFolder::new();
    let ledger = open(&store_folder, &policies());
    let first = incoming(&created_body(1, "First", Some("acct-1"), NOON), minutes(0));
    accept(&ledger, &first).await;
    store_folder.clock.set(minutes(10));
    let mut wrong = incoming(&renamed_body(1, "Right", Some("acct-1"), minutes(5)), minutes(10));
    wrong.content = ReceiptContent::Changes(vec![renamed("1", "Wrong", minutes(5))]);
    accept(&ledger, &wrong).await;
    assert_eq!(only_input(&ledger).await["eventName"], "Wrong");
    replayer(&ledger, &policies()).replay(first.id).await.expect("replayed");
    assert_eq!(only_input(&ledger).await["eventName"], "Right");
}

#[tokio::test]
async fn changes_that_do_not_merge_are_refused_and_accepted_ones_stay() {
    let store_folder = StoreFolder::new();
    let ledger = open(&store_folder, &policies());
    let mut foreign = incoming(b"{\"another\": \"platform's\"}", NOON);
    foreign.provider = ProviderId::new("goto");
    foreign.content = ReceiptContent::Changes(vec![created("1", "Theirs", NOON)]);
    assert_eq!(accept(&ledger, &foreign).await, ReceiptOutcome::Accepted);
    // A quarantined receipt stays quarantined, with today's reason.
    let mut lost = incoming(&created_body(1, "Ours", Some("acct-1"), NOON), NOON);
    lost.content = ReceiptContent::Quarantined("yesterday's reason".into());
    accept(&ledger, &lost).await;
    let replayed = replayer(&ledger, &policies()).replay(lost.id).await.expect("replayed");
    assert_eq!(replayed.outcome, ReceiptOutcome::Quarantined);
    assert!(replayed.reason.expect("a reason").contains("goto"));
    // A receipt that another webinar accepted stays accepted.
    let mut wrong = incoming(&renamed_body(1, "Ours", Some("acct-1"), NOON), NOON);
    wrong.content = ReceiptContent::Changes(vec![created("2", "Ours", NOON)]);
    assert_eq!(accept(&ledger, &wrong).await, ReceiptOutcome::Accepted);
    let before = ledger.all_events().await.expect("events");
    assert_eq!(before.len(), 2);
    let refused = replayer(&ledger, &policies()).replay(wrong.id).await;
    assert!(matches!(&refused, Err(ReplayError::NoLongerAccepted(why)) if why.contains("goto")));
    assert_eq!(ledger.all_events().await.expect("events"), before);
}

#[tokio::test]
async fn receipt_beyond_the_webinars_limits_stays_quarantined_with_the_reason() {
    let store_folder = StoreFolder::new();
    let ledger = open(&store_folder, &policies());
    let series = |from: u64, count: u64| {
        let occurrences: Vec<Value> = (from..from + count)
            .map(|n| json!({ "occurrence_id": n.to_string(), "start_time": minutes(n.cast_signed()).to_string() }))
            .collect();
        let object = json!({ "id": 1, "topic": "All", "type": 9, "occurrences": occurrences });
        body("webinar.created", Some("acct"), NOON, &object)
    };
    assert_eq!(accept(&ledger, &incoming(&series(1, 500), NOON)).await, ReceiptOutcome::Accepted);
    let more = incoming(&series(501, 1), NOON);
    assert_eq!(accept(&ledger, &more).await, ReceiptOutcome::Quarantined);
    let before = ledger.all_events().await.expect("events");
    let replayed = replayer(&ledger, &policies()).replay(more.id).await.expect("replayed");
    assert_eq!(replayed.outcome, ReceiptOutcome::Quarantined);
    assert_eq!(replayed.reason.as_deref(), Some("more than 500 occurrences"));
    assert_eq!(ledger.all_events().await.expect("events"), before);
}

#[tokio::test]
async fn webhooks_during_a_replay_are_not_lost() {
    let store_folder = StoreFolder::new();
    let ledger = open(&store_folder, &policies());
    let first = incoming(&created_body(1, "Name 0", Some("acct"), NOON), minutes(0));
    accept(&ledger, &first).await;
    store_folder.clock.set(minutes(100));
    let replayer = replayer(&ledger, &policies());
    let coming_in = async {
        for n in 1..60 {
            let bytes = renamed_body(1, &format!("Name {n}"), Some("acct"), minutes(n));
            accept(&ledger, &incoming(&bytes, minutes(n))).await;
        }
    };
    let replaying = async {
        let mut done = 0;
        for _ in 0..30 {
            match replayer.replay(first.id).await {
                Ok(_) => done += 1,
                Err(ReplayError::Busy) => {}
                Err(error) => panic!("{error}"),
            }
        }
        done
    };
    let ((), _) = tokio::join!(coming_in, replaying);
    assert_eq!(only_input(&ledger).await["eventName"], "Name 59");
    replayer.replay(first.id).await.expect("nobody comes any more");
    assert_eq!(only_input(&ledger).await["eventName"], "Name 59");
}
