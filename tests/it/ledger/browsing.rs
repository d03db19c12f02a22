//! What operators look at: pages, one event, one receipt.

use std::collections::BTreeSet;
use std::time::Duration;

use webinar_bridge::event::{EventKey, Gap, ReceiptId, compile_event_expression};
use webinar_bridge::ledger::{
    DeliveryOutcome, EventQuery, EventState, Ledger, NewReceipt, PAGE_MAX, ReceiptContent,
    ReceiptOutcome, ReceiptQuery,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::{NOW, claim, confirmed, refused_by, release, settle};
use crate::harness::build::{NOON, account, created, minutes, policies, receipt, renamed, source};

pub(super) fn all() -> EventQuery {
    EventQuery { limit: PAGE_MAX, ..EventQuery::default() }
}

/// The external event ids of all pages, in their order.
pub(super) async fn ids(ledger: &impl Ledger, mut ask: EventQuery) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = ledger.list_events(ask.clone()).await.expect("a page");
        assert!(page.items.len() <= ask.limit);
        ids.extend(page.items.iter().map(|event| event.key.external_event_id.to_string()));
        match page.next {
            None => return ids,
            next => ask.after = next,
        }
    }
}

/// Five events: `1` dead, `2` delivered, `3` pending, `4` incomplete, `5` of another account.
pub(super) async fn five<B: BackEnd>(back_end: &B) -> B::Ledger {
    let mut both = policies();
    both.insert(source("other"), crate::harness::build::policy("other"));
    let ledger = back_end.open(both);
    for (id, name) in [("1", "Été à Paris"), ("2", "Two"), ("3", "Three")] {
        ledger.accept(receipt(id, vec![created(id, name, NOON)])).await.expect("stored");
        let batch = claim(&ledger, NOW).await;
        match id {
            "1" => settle(&ledger, &batch, || DeliveryOutcome::Refused(refused_by("no"))).await,
            "2" => settle(&ledger, &batch, confirmed).await,
            _ => release(&ledger, &batch).await,
        }
    }
    ledger.accept(receipt("4", vec![renamed("4", "Four", NOON)])).await.expect("stored");
    let mut other = receipt("5", vec![created("5", "Five", NOON)]);
    other.source = source("other");
    ledger.accept(other).await.expect("stored");
    ledger
}

pub(super) async fn pages_come_newest_first_and_hold_each_event_once<B: BackEnd>() {
    let back_end = B::new();
    let ledger = five(&back_end).await;
    for most in [1, 2, 3, PAGE_MAX] {
        let ask = EventQuery { limit: most, ..all() };
        assert_eq!(ids(&ledger, ask).await, ["5", "4", "3", "2", "1"], "{most} to a page");
    }
}

pub(super) async fn events_are_found_by_state_account_and_text<B: BackEnd>() {
    let back_end = B::new();
    let ledger = five(&back_end).await;
    let by_state = [
        (EventState::Dead, vec!["1"]),
        (EventState::Delivered, vec!["2"]),
        (EventState::Pending, vec!["5", "3"]),
        (EventState::Incomplete, vec!["4"]),
    ];
    for (state, expected) in by_state {
        for most in [1, PAGE_MAX] {
            let ask = EventQuery { state: Some(state), limit: most, ..all() };
            assert_eq!(ids(&ledger, ask).await, expected, "{state:?}");
        }
    }
    let ask = EventQuery { account: Some(account("other")), ..all() };
    assert_eq!(ids(&ledger, ask).await, ["5"]);
    let by_text =
        [("été À", vec!["1"]), ("FOUR", vec!["4"]), ("acct", vec!["5", "4", "3", "2", "1"])];
    for (text, expected) in by_text {
        let ask = EventQuery { text: Some(text.into()), ..all() };
        assert_eq!(ids(&ledger, ask).await, expected, "{text}");
    }
    let ask = EventQuery { text: Some("5".into()), state: Some(EventState::Dead), ..all() };
    assert!(ids(&ledger, ask).await.is_empty());
}

pub(super) async fn event_is_shown_in_its_present_state<B: BackEnd>() {
    let back_end = B::new();
    let ledger = five(&back_end).await;
    let shown = async |id: &str| {
        let page = ledger.list_events(all()).await.expect("a page");
        let found = page.items.into_iter().find(|e| e.key.external_event_id.as_str() == id);
        found.expect("it is there")
    };
    let dead = shown("1").await;
    assert_eq!(dead.refused, Some(refused_by("no")));
    assert_eq!((dead.attempts, dead.pending_since, dead.in_flight), (1, None, false));
    let delivered = shown("2").await;
    assert_eq!(delivered.confirmed_at, Some(NOON));
    assert_eq!(delivered.object_id.as_deref(), Some("42"));
    let incomplete = shown("4").await;
    assert_eq!(incomplete.name.as_deref(), Some("Four"), "from what is known");
    assert_eq!(incomplete.input, None);
    assert_eq!(incomplete.gaps, [Gap::BaseUnread, Gap::FullPicture, Gap::Shape]);
    let pending = shown("3").await;
    assert_eq!((pending.pending_since, pending.not_before), (Some(NOON), None));
    assert_eq!(pending.name.as_deref(), Some("Three"));
    let held = claim(&ledger, NOW).await;
    assert!(shown("3").await.in_flight);
    let again =
        || DeliveryOutcome::RetryCounted { wait: Duration::from_mins(5), reason: "timeout".into() };
    settle(&ledger, &held, again).await;
    let waiting = shown("3").await;
    assert_eq!((waiting.in_flight, waiting.not_before), (false, Some(minutes(5))));
    assert_eq!(waiting.last_error.as_deref(), Some("timeout"));
}

pub(super) async fn event_detail_shows_the_confirmed_input_and_the_receipts<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let first = receipt("a", vec![created("1", "One", NOON)]);
    ledger.accept(first.clone()).await.expect("stored");
    let sent = claim(&ledger, NOW).await;
    settle(&ledger, &sent, confirmed).await;
    let key = sent[0].key.clone();
    let detail = ledger.event_detail(&key).await.expect("read").expect("there");
    assert_eq!(detail.confirmed_input.as_deref(), Some(&*sent[0].input));
    let second = receipt("b", vec![renamed("1", "Two", minutes(-1))]);
    ledger.accept(second.clone()).await.expect("stored");
    let third = receipt("c", vec![renamed("1", "Three", NOON)]);
    ledger.accept(third.clone()).await.expect("stored");
    let detail = ledger.event_detail(&key).await.expect("read").expect("there");
    assert_eq!(detail.confirmed_input.as_deref(), Some(&*sent[0].input), "not the new one");
    assert_eq!(detail.summary.name.as_deref(), Some("Three"));
    assert_eq!(detail.receipts, [third.id, second.id, first.id]);
    let unknown = EventKey { hubspot: account("other"), ..key };
    assert_eq!(ledger.event_detail(&unknown).await.expect("read"), None);
}

fn quarantined(seed: &str) -> NewReceipt {
    let mut odd = receipt(seed, Vec::new());
    odd.content = ReceiptContent::Quarantined(format!("no id in {seed}"));
    odd
}

pub(super) async fn receipts_are_found_by_source_and_outcome_and_name_their_events<B: BackEnd>() {
    let back_end = B::new();
    let mut both = policies();
    both.insert(source("other"), crate::harness::build::policy("other"));
    let ledger = back_end.open(both);
    let first = receipt("a", vec![created("1", "One", NOON), created("2", "Two", NOON)]);
    let mut ignored = receipt("b", Vec::new());
    ignored.content = ReceiptContent::Ignored;
    let odd = quarantined("c");
    let mut other = quarantined("d");
    other.source = source("other");
    for receipt in [&first, &ignored, &odd, &other] {
        ledger.accept(receipt.clone()).await.expect("stored");
    }
    let found = async |mut ask: ReceiptQuery| {
        let mut ids: Vec<ReceiptId> = Vec::new();
        loop {
            let page = ledger.list_receipts(ask.clone()).await.expect("a page");
            ids.extend(page.items.iter().map(|receipt| receipt.id));
            match page.next {
                None => return ids,
                next => ask.after = next,
            }
        }
    };
    for most in [1, PAGE_MAX] {
        let ask = |source_name: Option<&str>, outcome| ReceiptQuery {
            source: source_name.map(source),
            outcome,
            after: None,
            limit: most,
        };
        assert_eq!(found(ask(None, None)).await, [other.id, odd.id, ignored.id, first.id]);
        assert_eq!(found(ask(Some("zoom"), None)).await, [odd.id, ignored.id, first.id]);
        assert_eq!(found(ask(None, Some(ReceiptOutcome::Quarantined))).await, [other.id, odd.id]);
        assert_eq!(found(ask(Some("other"), Some(ReceiptOutcome::Quarantined))).await, [other.id]);
        assert_eq!(found(ask(None, Some(ReceiptOutcome::Ignored))).await, [ignored.id]);
        assert_eq!(found(ask(None, Some(ReceiptOutcome::Accepted))).await, [first.id]);
    }
    let shown = ledger.receipt(first.id).await.expect("read").expect("stored");
    let events: BTreeSet<&str> =
        shown.events.iter().map(|key| key.external_event_id.as_str()).collect();
    assert_eq!(events, BTreeSet::from(["1", "2"]));
    assert_eq!(shown.record.summary.event_type, "webinar.test");
    assert_eq!(ledger.receipt(ReceiptId::generate()).await.expect("read"), None);
}

pub(super) async fn event_detail_shows_the_confirmed_input_of_an_event_filtered_since<
    B: BackEnd,
>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    let sent = claim(&ledger, NOW).await;
    settle(&ledger, &sent, confirmed).await;
    drop(ledger);
    let mut filtering = policies();
    let only = compile_event_expression("event.name != 'One'").expect("valid");
    filtering.get_mut("zoom").expect("there").only = vec![only];
    let ledger = back_end.open(filtering);
    while ledger.run_timers(100).await.expect("run").next_due.is_some() {}
    let detail = ledger.event_detail(&sent[0].key).await.expect("read").expect("there");
    assert_eq!((detail.summary.state, detail.summary.input), (EventState::Filtered, None));
    assert_eq!(detail.confirmed_input.as_deref(), Some(&*sent[0].input));
}
