//! Renamed sources and accounts (M30).

use std::time::Duration;

use webinar_bridge::event::{EventOwnership, ExternalAccountId, Policy, ProviderId, StatusChange};
use webinar_bridge::ledger::rules::orphans::ConfigRefused;
use webinar_bridge::ledger::sqlite::Rekey;
use webinar_bridge::ledger::{
    DuplicateRule, EventState, Heirs, NewReceipt, Policies, ReceiptOutcome, ReceiptQuery,
};

use super::back_end::{BackEnd, Opening};
use super::contract::*;
use super::fetching::{always, due};
use super::lasting::prune;
use super::{NOW, claim, confirmed, input, settle};
use crate::harness::build::{
    NOON, account, created, minutes, policies, policy, receipt, renamed, source,
};
use crate::harness::events::AllEvents as _;

fn timed() -> Policy {
    Policy { complete_after_end: Some(Duration::from_mins(30)), ..policy("main") }
}

fn named(name: &str, policy: Policy) -> Policies {
    Policies::from([(source(name), policy)])
}

fn sources(from: &str, to: &str) -> Heirs {
    Heirs { sources: [(source(from), source(to))].into(), ..Heirs::default() }
}

fn by(name: &str, new: NewReceipt) -> NewReceipt {
    NewReceipt { source: source(name), ..new }
}

/// A10.
pub(super) async fn heir_of_a_source_inherits_events_timers_and_keys<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(named("zoom", timed()));
    let lasting = NewReceipt {
        duplicates: DuplicateRule::Lasting,
        ..receipt("a", vec![created("1", "One", NOON)])
    };
    ledger.accept(lasting.clone()).await.expect("stored");
    let asks = NewReceipt { fetch_requests: vec![always("9")], ..receipt("b", Vec::new()) };
    ledger.accept(asks.clone()).await.expect("stored");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    drop(ledger);

    let renewed = Policy { organizer: Some("Successor".into()), ..timed() };
    let opening = |heirs| Opening { heirs, ..Opening::new(named("acme", renewed.clone())) };
    let ledger = back_end.try_open_with(opening(sources("zoom", "acme"))).expect("it is an heir");
    while ledger.run_timers(100).await.expect("looked").next_due == Some(NOON) {}
    // The changed default reaches what is there.
    let batch = claim(&ledger, NOW).await;
    assert_eq!(input(&batch[0])["eventOrganizer"], "Successor");
    settle(&ledger, &batch, confirmed).await;
    for known in [&lasting, &asks] {
        let again = by("acme", known.clone());
        assert_eq!(ledger.accept(again).await.expect("stored"), ReceiptOutcome::Duplicate);
    }
    let asked = due(&ledger).await;
    assert_eq!(asked.len(), 0, "nothing is asked by the former name");
    let tasks = ledger.claim_fetches(&source("acme"), 10).await.expect("read").tasks;
    assert_eq!(tasks.len(), 1);
    let query = ReceiptQuery { source: Some(source("acme")), limit: 9, ..ReceiptQuery::default() };
    assert_eq!(ledger.list_receipts(query).await.expect("read").items.len(), 2);
    // A lasting key goes on with its webinar.
    back_end.clock().set(minutes(31 * 24 * 60));
    while ledger.run_timers(100).await.expect("looked").done > 0 {}
    let batch = claim(&ledger, NOW).await;
    assert_eq!(input(&batch[0])["eventCompleted"], true, "the timer runs on");
    settle(&ledger, &batch, confirmed).await;
    prune(&ledger).await;
    assert_eq!(back_end.row_counts().lasting_keys, 1);
    drop(ledger);

    // Renamed back.
    let back = Opening { heirs: sources("acme", "zoom"), ..Opening::new(named("zoom", renewed)) };
    let ledger = back_end.try_open_with(back).expect("it is an heir");
    let again = NewReceipt { received_at: minutes(31 * 24 * 60), ..lasting };
    assert_eq!(ledger.accept(again).await.expect("stored"), ReceiptOutcome::Duplicate);
}

pub(super) async fn heir_of_another_platform_may_change_what_it_inherits<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    drop(ledger);
    let account = ExternalAccountId::parse("acct-1").expect("valid");
    let custom = Policy {
        provider: ProviderId::new("custom"),
        external_account_id: Some(account),
        ownership: EventOwnership::Source { shared_with: [].into() },
        ..policy("main")
    };
    let opening =
        Opening { heirs: sources("zoom", "lectern"), ..Opening::new(named("lectern", custom)) };
    let ledger = back_end.try_open_with(opening).expect("no event gets another id");
    let mut change = by("lectern", receipt("b", vec![renamed("1", "Two", minutes(1))]));
    change.provider = ProviderId::new("custom");
    assert_eq!(ledger.accept(change).await.expect("stored"), ReceiptOutcome::Accepted);
    let events = ledger.all_events().await.expect("events");
    assert_eq!(events[0].name.as_deref(), Some("Two"));
}

/// B6.
pub(super) async fn heir_of_an_account_inherits_its_events_and_status<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    for (seed, change) in [("a", created("1", "One", NOON)), ("b", created("2", "Two", NOON))] {
        ledger.accept(receipt(seed, vec![change])).await.expect("stored");
    }
    settle(&ledger, &claim(&ledger, super::ClaimRequest { limit: 1, ..NOW }).await, confirmed)
        .await;
    ledger.update_status(&account("main"), StatusChange::Paused).await.expect("stored");
    drop(ledger);
    let heirs =
        Heirs { accounts: [(account("main"), account("portal"))].into(), ..Heirs::default() };
    let opening = || Opening {
        heirs: heirs.clone(),
        accounts: vec![account("portal"), account("other")],
        ..Opening::new(named("zoom", policy("portal")))
    };
    let ledger = back_end.try_open_with(opening()).expect("no event gets another id");
    let counts = ledger.event_counts().await.expect("read")[&account("portal")];
    assert_eq!((counts.pending, counts.delivered), (1, 1));
    let paused = ledger.account_status(&account("portal")).await.expect("read");
    assert!(paused.paused.is_some());
    // A change of what is there is complete.
    ledger.accept(receipt("c", vec![renamed("1", "New", minutes(1))])).await.expect("stored");
    let events = ledger.all_events().await.expect("events");
    let states: Vec<_> = events.iter().map(|event| (&event.key.hubspot, event.state)).collect();
    let portal = account("portal");
    assert_eq!(states, [(&portal, EventState::Pending), (&portal, EventState::Pending)]);
    drop((events, ledger));
    assert!(back_end.try_open_with(opening()).is_ok(), "nothing is left to rename");
}

/// A10: renamed without `formerly`.
pub(super) async fn renamed_source_without_an_heir_is_refused_or_waits<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(named("zoom", timed()));
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    drop(ledger);
    let refused = back_end.try_open(named("acme", timed()), Rekey::Refuse).err().expect("refused");
    assert_eq!(refused, ConfigRefused::Source { gone: source("zoom"), new: source("acme") });
    // Accepted once, and meanwhile the webinar is held: its timer waits.
    let ledger = back_end.try_open(named("acme", timed()), Rekey::Accept).expect("accepted");
    back_end.clock().set(minutes(24 * 60 + 95));
    let mut next_due = Some(minutes(24 * 60 + 95));
    while next_due == Some(minutes(24 * 60 + 95)) {
        next_due = ledger.run_timers(100).await.expect("looked").next_due;
    }
    assert!(next_due.is_some(), "it looks again");
    assert_eq!(claim(&ledger, NOW).await.len(), 0);
    drop(ledger);
    assert!(back_end.try_open(named("acme", timed()), Rekey::Refuse).is_ok(), "it is not new");
    // Renamed back.
    let ledger = back_end.open(named("zoom", timed()));
    while ledger.run_timers(100).await.expect("looked").done > 0 {}
    let batch = claim(&ledger, NOW).await;
    assert_eq!(input(&batch[0])["eventCompleted"], true);
}

/// B6: renamed without `formerly`.
pub(super) async fn renamed_account_without_an_heir_is_refused_once<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    drop(ledger);
    let both = Policies::from([(source("zoom"), policy("main")), (source("b"), policy("portal"))]);
    let opening = |accounts: &[&str], rekey| Opening {
        accounts: accounts.iter().map(|name| account(name)).collect(),
        rekey,
        ..Opening::new(both.clone())
    };
    let accounts = ["portal", "other"];
    let refused = back_end.try_open_with(opening(&accounts, Rekey::Refuse)).err().expect("refused");
    let gone = ConfigRefused::Account { gone: account("main"), new: account("portal") };
    assert_eq!(refused, gone);
    assert!(back_end.try_open_with(opening(&["other"], Rekey::Refuse)).is_ok(), "a warning");
    assert!(back_end.try_open_with(opening(&accounts, Rekey::Accept)).is_ok());
    assert!(back_end.try_open_with(opening(&accounts, Rekey::Refuse)).is_ok(), "accepted once");
}

/// The guard passes to the heir.
pub(super) async fn heir_that_would_rekey_its_events_is_refused<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    drop(ledger);
    let renamed = |external: &str| Policy {
        external_account_id: ExternalAccountId::parse(external).ok(),
        ..policy("main")
    };
    let opening = |external| Opening {
        heirs: sources("zoom", "acme"),
        ..Opening::new(named("acme", renamed(external)))
    };
    let refused = back_end.try_open_with(opening("acct-2")).err().expect("refused");
    assert!(
        matches!(&refused, ConfigRefused::Rekey { source_name, .. } if *source_name == source("acme")),
        "{refused}"
    );
    assert!(back_end.try_open_with(opening("acct-1")).is_ok(), "it is what the platform names");
}
