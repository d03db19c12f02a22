//! Webinars rebuilt from what their receipts yield today.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use webinar_bridge::event::{
    Change, ChangeKind, ExternalAccountId, OccurrenceChange, OccurrenceId, OccurrenceListing,
    ReceiptId, RunChange, RunPhase, Shape, Webinar, WebinarFields, WebinarId,
};
use webinar_bridge::ledger::rules::rebuild::ReceiptChecksum;
use webinar_bridge::ledger::{
    EventStateCounts, EventSummary, Ledger, NewReceipt, RebuildRequest, RebuildResult,
    RebuiltWebinar, ReceiptContent, ReceiptOutcome, ReceiptRecord, Retention, WebinarKey,
    WebinarState,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::{NOW, claim, confirmed, counts, input, settle};
use crate::harness::build::{NOON, account, created, minutes, policies, receipt, renamed};
use crate::harness::events::AllEvents as _;

const KEEP: Retention =
    Retention { receipts: Duration::from_hours(1), events: Duration::from_hours(24 * 400) };

pub(super) fn key(id: &str) -> WebinarKey {
    WebinarKey {
        hubspot: account("main"),
        account: ExternalAccountId::parse("acct-1").expect("valid"),
        webinar: WebinarId::parse(id).expect("valid"),
    }
}

/// A webinar, and the changes that its retained receipts yield today.
#[derive(Clone)]
struct RereadWebinar {
    before: WebinarState,
    receipts: Vec<(ReceiptRecord, Vec<Change>)>,
}

impl RereadWebinar {
    /// The webinar as a replay of that receipt rebuilds it.
    fn rebuilt(&self, replayed: ReceiptId) -> RebuiltWebinar {
        let Self { before, receipts } = self;
        let ids = receipts.iter().map(|(receipt, _)| receipt.summary.id).collect();
        let mut rebuild = before.webinar.begin_rebuild(&ids, before.has_expired_receipts);
        for (receipt, changes) in receipts {
            for (place, change) in changes.iter().enumerate() {
                let provenance = before.provenance(receipt, change, place);
                rebuild.merge(change, &provenance).expect("it belongs together");
            }
        }
        let built = receipts
            .iter()
            .any(|(receipt, changes)| receipt.summary.id == replayed && !changes.is_empty());
        RebuiltWebinar { before: before.clone(), webinar: rebuild.finish(), contributes: built }
    }
}

/// The webinar with the changes that its receipts yielded when they came: the mapping has not changed.
async fn reread_unchanged(
    ledger: &impl Ledger,
    key: WebinarKey,
    sent: &[NewReceipt],
) -> RereadWebinar {
    let before = ledger.webinar_state(&key).await.expect("read");
    let mut receipts = Vec::new();
    for contributing in receipt_pages(ledger, &key).await.into_iter().flatten() {
        let own = changes(sent, contributing.summary.id);
        receipts.push((contributing, own));
    }
    RereadWebinar { before, receipts }
}

/// The retained receipts of a webinar, page by page.
async fn receipt_pages(ledger: &impl Ledger, key: &WebinarKey) -> Vec<Vec<ReceiptRecord>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = ledger.receipts_of(key, after).await.expect("read");
        pages.push(page.items);
        after = page.next;
        if after.is_none() {
            return pages;
        }
    }
}

fn changes(sent: &[NewReceipt], id: ReceiptId) -> Vec<Change> {
    let receipt = sent.iter().find(|receipt| receipt.id == id).expect("it was sent");
    let ReceiptContent::Changes(changes) = &receipt.content else { panic!("{receipt:?}") };
    changes.clone()
}

async fn rebuild(
    ledger: &impl Ledger,
    receipt: ReceiptId,
    reread: Vec<RereadWebinar>,
) -> RebuildResult {
    let webinars = reread.iter().map(|webinar| webinar.rebuilt(receipt)).collect();
    let rebuild =
        RebuildRequest { receipt, outcome: ReceiptOutcome::Accepted, reason: None, webinars };
    ledger.rebuild(rebuild).await.expect("answered")
}

async fn events(ledger: &impl Ledger) -> Vec<EventSummary> {
    ledger.all_events().await.expect("events")
}

pub(super) async fn rebuild_changes_only_what_is_mapped_otherwise<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let mut first = receipt("a", vec![created("1", "One", NOON)]);
    first.received_at = NOON;
    let second = receipt("b", vec![renamed("1", "Two", minutes(-1))]);
    for receipt in [&first, &second] {
        ledger.accept(receipt.clone()).await.expect("stored");
    }
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    let version = events(&ledger).await[0].version;
    let sent = [first.clone(), second.clone()];
    let same = reread_unchanged(&ledger, key("1"), &sent).await;
    assert_eq!(rebuild(&ledger, first.id, vec![same]).await, RebuildResult::Done);
    assert_eq!(events(&ledger).await[0].version, version, "mapped as before nothing changed");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
    // Today's code finds another name in the second, which is older than the first: it loses as it did.
    let mut otherwise = reread_unchanged(&ledger, key("1"), &sent).await;
    otherwise.receipts[1].1 = vec![renamed("1", "Three", minutes(-1))];
    assert_eq!(rebuild(&ledger, second.id, vec![otherwise]).await, RebuildResult::Done);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
    // In the first it finds none, so that the second's holds.
    let mut otherwise = reread_unchanged(&ledger, key("1"), &sent).await;
    let nameless = WebinarFields { name: None, ..created("1", "One", NOON).whole };
    otherwise.receipts[0].1 = vec![Change { whole: nameless, ..created("1", "One", NOON) }];
    assert_eq!(rebuild(&ledger, first.id, vec![otherwise]).await, RebuildResult::Done);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let sent = claim(&ledger, NOW).await;
    assert_eq!(input(&sent[0])["eventName"], "Two");
    assert!(sent[0].version > version);
    let detail = ledger.event_detail(&sent[0].key).await.expect("read").expect("there");
    let name = detail.fields.iter().find(|field| field.field == "name").expect("it rests on");
    assert_eq!((name.receipt, name.at), (second.id, minutes(-1)));
    assert_eq!(name.received_at, NOON, "as it came");
    assert!(detail.fields.iter().all(|field| field.field != "organizer"), "a default");
}

pub(super) async fn rebuild_keeps_the_fields_of_expired_receipts<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let first = receipt("a", vec![created("1", "One", NOON)]);
    ledger.accept(first.clone()).await.expect("stored");
    let mut second = receipt("b", vec![renamed("1", "Two", minutes(30))]);
    second.received_at = minutes(30);
    ledger.accept(second.clone()).await.expect("stored");
    back_end.clock().set(minutes(70));
    while ledger.prune(KEEP).await.expect("pruned") {}
    let left = receipt_pages(&ledger, &key("1")).await.concat();
    assert_eq!(left.iter().map(|left| left.summary.id).collect::<Vec<_>>(), [second.id]);
    // The second yields nothing any more: its name is gone, and all of the first is there.
    let mut without = reread_unchanged(&ledger, key("1"), std::slice::from_ref(&second)).await;
    without.receipts[0].1 = Vec::new();
    assert_eq!(rebuild(&ledger, second.id, vec![without]).await, RebuildResult::Done);
    let event = &events(&ledger).await[0];
    assert_eq!(event.gaps, [webinar_bridge::event::Gap::Name], "the rest is known");
    assert!(
        receipt_pages(&ledger, &key("1")).await.concat().is_empty(),
        "it builds nothing any more"
    );
}

pub(super) async fn rebuild_after_another_receipt_is_stale<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let first = receipt("a", vec![created("1", "One", NOON)]);
    ledger.accept(first.clone()).await.expect("stored");
    let mut stale = reread_unchanged(&ledger, key("1"), std::slice::from_ref(&first)).await;
    stale.receipts[0].1 = vec![created("1", "Changed", NOON)];
    let second = receipt("b", vec![renamed("1", "Two", minutes(-1))]);
    ledger.accept(second.clone()).await.expect("stored");
    let before = events(&ledger).await;
    assert_eq!(rebuild(&ledger, first.id, vec![stale.clone()]).await, RebuildResult::Stale);
    // One of its webinars left out is stale too, and one that has lost a receipt, or is otherwise by another replay.
    assert_eq!(rebuild(&ledger, first.id, Vec::new()).await, RebuildResult::Stale);
    let present = reread_unchanged(&ledger, key("1"), &[first.clone(), second.clone()]).await;
    for spoil in [
        |before: &mut WebinarState| before.receipt_checksum = ReceiptChecksum::from_receipts(&[]),
        |before: &mut WebinarState| {
            let other = ReceiptId::from_bytes([0; 16]);
            before.receipt_checksum = ReceiptChecksum::from_receipts(&[other, other]);
        },
        |before: &mut WebinarState| before.has_expired_receipts = true,
        |before: &mut WebinarState| before.webinar.full_picture = false,
    ] {
        stale = present.clone();
        spoil(&mut stale.before);
        assert_eq!(rebuild(&ledger, first.id, vec![stale]).await, RebuildResult::Stale);
    }
    assert_eq!(events(&ledger).await, before);
    assert_eq!(rebuild(&ledger, ReceiptId::generate(), Vec::new()).await, RebuildResult::Unknown);
}

pub(super) async fn rebuild_that_is_refused_leaves_no_trace<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1-x", "One", NOON)])).await.expect("stored");
    // An occurrence `x` of webinar 1 would be the same event as the webinar 1-x.
    let occurrence = OccurrenceChange {
        id: OccurrenceId::parse("x").expect("valid"),
        fields: WebinarFields { start: Some(NOON), ..WebinarFields::default() },
    };
    let series = Change {
        shape: Some(Shape::Series),
        occurrences: vec![occurrence],
        ..created("1", "Evil", NOON)
    };
    let foreign = receipt("b", vec![created("2", "Two", NOON), series]);
    assert_eq!(ledger.accept(foreign.clone()).await.expect("stored"), ReceiptOutcome::Quarantined);
    let before = events(&ledger).await;
    let record = ledger.receipt(foreign.id).await.expect("read").expect("it is there").record;
    let mut sent = Vec::new();
    for change in changes(std::slice::from_ref(&foreign), foreign.id) {
        let before = ledger.webinar_state(&key(change.webinar.as_str())).await.expect("read");
        sent.push(RereadWebinar { before, receipts: vec![(record.clone(), vec![change])] });
    }
    let refused = rebuild(&ledger, foreign.id, sent).await;
    assert!(matches!(&refused, RebuildResult::Refused(why) if why.contains("1-x")), "{refused:?}");
    assert_eq!(events(&ledger).await, before);
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, ..EventStateCounts::default() }
    );
    let detail = ledger.receipt(foreign.id).await.expect("read").expect("stored");
    assert_eq!(detail.record.summary.outcome, ReceiptOutcome::Quarantined);
    assert!(detail.events.is_empty());
}

pub(super) async fn rebuild_deletes_obsolete_events_that_hubspot_never_had<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let first = receipt("a", vec![created("1", "One", NOON)]);
    ledger.accept(first.clone()).await.expect("stored");
    let second = receipt("b", vec![created("2", "Two", NOON)]);
    ledger.accept(second.clone()).await.expect("stored");
    let one = claim(&ledger, webinar_bridge::ledger::ClaimRequest { limit: 1, ..NOW }).await;
    settle(&ledger, &one, confirmed).await;
    for (receipt, id) in [(&first, "1"), (&second, "2")] {
        let mut without =
            reread_unchanged(&ledger, key(id), &[first.clone(), second.clone()]).await;
        without.receipts[0].1 = Vec::new();
        assert_eq!(rebuild(&ledger, receipt.id, vec![without]).await, RebuildResult::Done);
    }
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { delivered: 1, ..EventStateCounts::default() }
    );
    let left = events(&ledger).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].key, one[0].key);
}

/// M31, A16: the webhook is about another webinar, as the corrected mapping reads it.
pub(super) async fn webinar_that_a_replay_moves_is_cancelled<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let sent = receipt("a", vec![created("wrong", "One", NOON)]);
    ledger.accept(sent.clone()).await.expect("stored");
    let batch = claim(&ledger, NOW).await;
    settle(&ledger, &batch, confirmed).await;
    let mut wrong = reread_unchanged(&ledger, key("wrong"), std::slice::from_ref(&sent)).await;
    let record = wrong.receipts[0].0.clone();
    wrong.receipts[0].1 = Vec::new();
    let before = ledger.webinar_state(&key("right")).await.expect("read");
    let right =
        RereadWebinar { before, receipts: vec![(record, vec![created("right", "One", NOON)])] };
    assert_eq!(rebuild(&ledger, sent.id, vec![wrong, right]).await, RebuildResult::Done);
    let batch = claim(&ledger, NOW).await;
    let mut inputs: Vec<(String, bool)> = batch
        .iter()
        .map(|event| {
            let input: serde_json::Value = serde_json::from_slice(&event.input).expect("JSON");
            let id = event.key.external_event_id.as_str().to_owned();
            (id, input["eventCancelled"] == true)
        })
        .collect();
    inputs.sort();
    assert_eq!(inputs, [("right".to_owned(), false), ("wrong".to_owned(), true)]);
    settle(&ledger, &batch, confirmed).await;
    assert_eq!(counts(&ledger).await.delivered, 2);
}

/// A16, M31: receipts that are gone built the webinar under the wrong id too.
pub(super) async fn moved_webinar_is_cancelled_although_expired_receipts_built_it<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let month = Duration::from_hours(24 * 31);
    ledger.accept(receipt("a", vec![created("wrong", "One", NOON)])).await.expect("stored");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    let later = NOON.plus(month);
    back_end.clock().set(later);
    let mut sent = receipt("b", vec![renamed("wrong", "Two", later)]);
    sent.received_at = later;
    ledger.accept(sent.clone()).await.expect("stored");
    settle(&ledger, &claim(&ledger, NOW).await, confirmed).await;
    while ledger.prune(Retention { receipts: month / 2, events: 20 * month }).await.expect("pruned")
    {
    }
    let mut wrong = reread_unchanged(&ledger, key("wrong"), std::slice::from_ref(&sent)).await;
    assert!(wrong.before.has_expired_receipts);
    let record = wrong.receipts[0].0.clone();
    wrong.receipts[0].1 = Vec::new();
    let before = ledger.webinar_state(&key("right")).await.expect("read");
    let right =
        RereadWebinar { before, receipts: vec![(record, vec![renamed("right", "Two", later)])] };
    assert_eq!(rebuild(&ledger, sent.id, vec![wrong, right]).await, RebuildResult::Done);
    let batch = claim(&ledger, NOW).await;
    let input: serde_json::Value = serde_json::from_slice(&batch[0].input).expect("JSON");
    assert_eq!(batch[0].key.external_event_id.as_str(), "wrong");
    assert_eq!((&input["eventCancelled"], &input["eventName"]), (&true.into(), &"Two".into()));
    assert_eq!(
        ledger.webinar_state(&key("wrong")).await.expect("read").webinar,
        Webinar::default()
    );
}

pub(super) async fn receipts_of_a_webinar_come_in_pages_of_some_megabytes<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let big: Vec<NewReceipt> = (0..12)
        .map(|n: u8| {
            let mut big = receipt(&n.to_string(), vec![renamed("1", "Name", minutes(n.into()))]);
            big.body = vec![n; 1_000_000];
            big
        })
        .collect();
    for receipt in &big {
        ledger.accept(receipt.clone()).await.expect("stored");
    }
    let pages = receipt_pages(&ledger, &key("1")).await;
    assert!(pages.iter().all(|page| (1..=8).contains(&page.len())), "some megabytes each");
    let read: Vec<_> = pages.concat().into_iter().map(|t| (t.summary.id, t.body)).collect();
    let sent: Vec<_> = big.iter().map(|big| (big.id, Some(big.body.clone()))).collect();
    assert_eq!(read, sent, "oldest first");
}

/// A webhook of one of two webinars, sent and received at some minute.
fn any_webhook() -> impl Strategy<Value = (bool, Change, i64)> {
    let flag = || proptest::option::of(any::<bool>());
    let text = proptest::option::of("[ab]".prop_map(String::from));
    let time = || proptest::option::of((0_i64..30).prop_map(minutes));
    let fields = (text, time(), time(), flag(), flag()).prop_map(
        |(name, start, actual_end, cancelled, completed)| WebinarFields {
            name,
            start,
            actual_end,
            cancelled,
            completed,
            ..WebinarFields::default()
        },
    );
    let shape = proptest::option::of(prop_oneof![Just(Shape::Series), Just(Shape::Single)]);
    let listing = prop_oneof![
        Just(OccurrenceListing::Partial),
        Just(OccurrenceListing::Full),
        Just(OccurrenceListing::Unknown)
    ];
    let occurrences = proptest::collection::btree_map("[xyz]", fields.clone(), 0..3);
    let run = proptest::option::of((any::<bool>(), 0_i64..60));
    let what = (any::<bool>(), fields, shape, listing, occurrences, run, any::<bool>());
    (what, proptest::option::of(0_i64..60), any::<bool>(), 0_i64..120).prop_map(
        |((full_picture, whole, shape, listing, occurrences, run, second), at, off, received)| {
            let id = if second { "2" } else { "1" };
            let kind = if off { ChangeKind::Cancelled } else { ChangeKind::Updated };
            let change = Change {
                account: Some(ExternalAccountId::parse("acct-1").expect("valid")),
                kind,
                occurred_at: at.map(minutes),
                full_picture,
                shape,
                whole,
                listing,
                occurrences: occurrences
                    .into_iter()
                    .map(|(id, fields)| OccurrenceChange {
                        id: OccurrenceId::parse(id).expect("valid"),
                        fields,
                    })
                    .collect(),
                session: run.map(|(ended, start)| RunChange {
                    phase: if ended { RunPhase::Ended } else { RunPhase::Started },
                    started_at: Some(minutes(start)),
                    ended_at: None,
                }),
                ..Change::new(WebinarId::parse(id).expect("valid"), kind)
            };
            (second, change, received)
        },
    )
}

/// The law: mapped as before, a rebuild changes nothing, at any time, also when receipts have expired.
pub(super) fn rebuild_mapped_as_before_changes_nothing<B: BackEnd>() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() };
    let steps = proptest::collection::vec((any_webhook(), any::<bool>(), any::<bool>()), 1..14);
    TestRunner::new(config)
        .run(&steps, |mut steps| {
            // Receipts arrive in the order of their times.
            steps.sort_by_key(|((_, _, received), ..)| *received);
            runtime.block_on(async {
                let back_end = B::new();
                let ledger = back_end.open(policies());
                let mut sent = Vec::new();
                for (n, ((_, change, received), expire, rebuilt)) in steps.iter().enumerate() {
                    let mut new = receipt(&n.to_string(), vec![change.clone()]);
                    new.received_at = minutes(*received);
                    back_end.clock().set(minutes(*received));
                    let outcome = ledger.accept(new.clone()).await.expect("stored");
                    prop_assert_eq!(outcome, ReceiptOutcome::Accepted);
                    sent.push(new);
                    if *expire {
                        while ledger.prune(KEEP).await.expect("pruned") {}
                    }
                    if *rebuilt {
                        unchanged(&ledger, &sent).await?;
                    }
                }
                unchanged(&ledger, &sent).await
            })
        })
        .expect("the law holds");
}

/// Rebuilds both webinars with an unchanged mapping, and checks that nothing differs.
async fn unchanged(ledger: &impl Ledger, sent: &[NewReceipt]) -> Result<(), TestCaseError> {
    let before = (events(ledger).await, counts(ledger).await, states(ledger).await);
    for id in ["1", "2"] {
        let reread = reread_unchanged(ledger, key(id), sent).await;
        let Some((first, _)) = reread.receipts.first() else { continue };
        let first = first.summary.id;
        prop_assert_eq!(rebuild(ledger, first, vec![reread]).await, RebuildResult::Done);
    }
    prop_assert_eq!((events(ledger).await, counts(ledger).await, states(ledger).await), before);
    Ok(())
}

/// Both webinars, as they are stored.
async fn states(ledger: &impl Ledger) -> Vec<WebinarState> {
    let mut states = Vec::new();
    for id in ["1", "2"] {
        states.push(ledger.webinar_state(&key(id)).await.expect("read"));
    }
    states
}
