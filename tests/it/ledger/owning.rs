//! Whose an event is, and where its defaults come from (M28, M29).

use std::collections::BTreeSet;

use webinar_bridge::event::webinar::ReceiptOrder;
use webinar_bridge::event::{
    Change, ChangeKind, EventOwnership, Policy, ProviderId, SourceName, WebinarFields,
    compile_event_expression,
};
use webinar_bridge::ledger::{
    EventState, Ledger, NewReceipt, Policies, RebuildRequest, RebuildResult, RebuiltWebinar,
    ReceiptOutcome, WebinarKey,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::{NOW, claim, input};
use crate::harness::build::{NOON, created, minutes, policy, receipt, renamed, source};
use crate::harness::events::AllEvents as _;

fn zoom(organizer: Option<&str>) -> Policy {
    Policy { organizer: organizer.map(str::to_owned), ..policy("main") }
}

fn custom(shared_with: &[&str]) -> Policy {
    let shared_with: BTreeSet<SourceName> = shared_with.iter().map(|name| source(name)).collect();
    Policy {
        provider: ProviderId::new("custom"),
        ownership: EventOwnership::Source { shared_with },
        ..policy("main")
    }
}

fn by(name: &str, provider: &'static str, seed: &str, change: Change) -> NewReceipt {
    let provider = ProviderId::new(provider);
    NewReceipt { source: source(name), provider, ..receipt(seed, vec![change]) }
}

fn called_off(id: &str) -> Change {
    Change {
        full_picture: false,
        shape: None,
        kind: ChangeKind::Cancelled,
        whole: WebinarFields { cancelled: Some(true), ..WebinarFields::default() },
        ..created(id, "", minutes(5))
    }
}

async fn accept(ledger: &impl Ledger, new: NewReceipt) -> ReceiptOutcome {
    ledger.accept(new).await.expect("stored")
}

/// A11: the first source by name has no organizer, and hears of the cancellation, too.
pub(super) async fn default_comes_from_the_first_source_that_has_it<B: BackEnd>() {
    let back_end = B::new();
    let sources = [("a", zoom(None)), ("b", zoom(Some("B"))), ("c", zoom(Some("C")))];
    let policies: Policies =
        sources.into_iter().map(|(name, policy)| (source(name), policy)).collect();
    let ledger = back_end.open(policies);
    accept(&ledger, by("c", "zoom", "1", created("1", "One", NOON))).await;
    accept(&ledger, by("b", "zoom", "2", renamed("1", "Two", minutes(1)))).await;
    accept(&ledger, by("a", "zoom", "3", called_off("1"))).await;
    let batch = claim(&ledger, NOW).await;
    assert_eq!(input(&batch[0])["eventOrganizer"], "B");
    assert_eq!(input(&batch[0])["eventCancelled"], true);
}

pub(super) async fn event_must_pass_the_filters_of_all_its_sources<B: BackEnd>() {
    let back_end = B::new();
    let only = |text: &str| Policy {
        only: vec![compile_event_expression(text).expect("valid")],
        ..policy("main")
    };
    let ledger = back_end.open(Policies::from([
        (source("a"), only("event.name != \"One\"")),
        (source("b"), only("event.name != \"Two\"")),
    ]));
    for (n, name) in ["One", "Two", "Three"].into_iter().enumerate() {
        for source in ["a", "b"] {
            let seed = format!("{source}{n}");
            accept(&ledger, by(source, "zoom", &seed, created(&n.to_string(), name, NOON))).await;
        }
    }
    let events = ledger.all_events().await.expect("events");
    let states: Vec<EventState> = events.iter().map(|event| event.state).collect();
    assert_eq!(states, [EventState::Filtered, EventState::Filtered, EventState::Pending]);
}

/// A12.
pub(super) async fn custom_webinar_is_changed_by_its_first_source_alone<B: BackEnd>() {
    let back_end = B::new();
    let policies = Policies::from([(source("a"), custom(&[])), (source("b"), custom(&[]))]);
    let ledger = back_end.open(policies.clone());
    let told = |name, seed, change| by(name, "custom", seed, change);
    accept(&ledger, told("a", "1", created("4711", "Bees", NOON))).await;
    let foreign = told("b", "2", created("4711", "Wasps", minutes(1)));
    assert_eq!(accept(&ledger, foreign.clone()).await, ReceiptOutcome::Quarantined);
    let off = told("b", "3", called_off("4711"));
    assert_eq!(accept(&ledger, off).await, ReceiptOutcome::Quarantined);
    let own = told("b", "4", created("4712", "Wasps", NOON));
    assert_eq!(accept(&ledger, own).await, ReceiptOutcome::Accepted);
    let shown = ledger.receipt(foreign.id).await.expect("read").expect("it is there");
    let reason = shown.record.summary.reason.expect("a reason");
    assert!(reason.contains("belongs to source.a"), "{reason}");
    drop(ledger);
    // Also after a restart, and while the owner is not configured.
    let alone = Policies::from([(source("b"), policies[&source("b")].clone())]);
    let ledger = back_end.open(alone);
    let again = told("b", "5", renamed("4711", "Wasps", minutes(2)));
    assert_eq!(accept(&ledger, again).await, ReceiptOutcome::Quarantined);
    let events = ledger.all_events().await.expect("events");
    let names: Vec<_> = events.iter().filter_map(|event| event.name.as_deref()).collect();
    assert_eq!(names, ["Bees", "Wasps"]);
}

pub(super) async fn custom_webinar_of_sources_that_share_is_changed_by_both<B: BackEnd>() {
    let back_end = B::new();
    let policies = Policies::from([(source("a"), custom(&["b"])), (source("b"), custom(&["a"]))]);
    let ledger = back_end.open(policies);
    accept(&ledger, by("a", "custom", "1", created("4711", "Bees", NOON))).await;
    let shared = by("b", "custom", "2", renamed("4711", "Wasps", minutes(1)));
    assert_eq!(accept(&ledger, shared).await, ReceiptOutcome::Accepted);
    let events = ledger.all_events().await.expect("events");
    assert_eq!(events[0].name.as_deref(), Some("Wasps"));
}

/// A12: an `event_id` that is put right must not lead into another source's webinar.
pub(super) async fn replayed_receipt_leaves_the_webinar_of_another_source_alone<B: BackEnd>() {
    let back_end = B::new();
    let policies = Policies::from([(source("a"), custom(&[])), (source("b"), custom(&[]))]);
    let ledger = back_end.open(policies);
    let owned = created("4711", "Bees", NOON);
    accept(&ledger, by("a", "custom", "1", owned.clone())).await;
    let wrong = by("b", "custom", "2", created("8", "Wasps", NOON));
    assert_eq!(accept(&ledger, wrong.clone()).await, ReceiptOutcome::Accepted);
    let key =
        |change: &Change| WebinarKey::new(&custom(&[]), change.account.as_ref(), &change.webinar);
    let target = ledger.webinar_state(&key(&owned).expect("named")).await.expect("read");
    let left = ledger.webinars_of(wrong.id).await.expect("read").remove(0);
    let mut webinar = target.webinar.clone();
    let change = created("4711", "Wasps", minutes(1));
    let summary = wrong.summary(ReceiptOutcome::Accepted, None);
    webinar
        .merge(&change, &summary.provenance(&change, 0, ReceiptOrder { seq: 9, at: NOON }))
        .expect("it merges");
    let request = RebuildRequest {
        receipt: wrong.id,
        outcome: ReceiptOutcome::Accepted,
        reason: None,
        webinars: vec![
            RebuiltWebinar { before: target, webinar, contributes: true },
            RebuiltWebinar { webinar: left.webinar.clone(), before: left, contributes: false },
        ],
    };
    let result = ledger.rebuild(request).await.expect("answered");
    assert!(matches!(result, RebuildResult::Refused(reason) if reason.contains("source.a")));
    let events = ledger.all_events().await.expect("events");
    assert_eq!(events[0].name.as_deref(), Some("Bees"));
}
