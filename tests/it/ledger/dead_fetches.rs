//! What could not be fetched for a week is dead: shown, counted, and tried again on request.

use std::time::Duration;

use webinar_bridge::event::{Change, ChangeKind, Millis, WebinarFields};
use webinar_bridge::ledger::rules::fetch::FETCH_PATIENCE;
use webinar_bridge::ledger::{
    FetchBlame, FetchOutcome, FetchQuery, FetchRedrive, FetchState, FetchSummary, Ledger,
    NewReceipt, ReceiptOutcome, Retention,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::fetching::{always, answered, due, due_ids, fetched, given_up, settle, status, want};
use crate::harness::build::{NOON, created, minutes, policies, policy, receipt, renamed, source};
use crate::harness::events::AllEvents as _;

const SECOND: Duration = Duration::from_secs(1);
const KEEP: Retention =
    Retention { receipts: Duration::from_hours(1), events: Duration::from_hours(24 * 400) };

fn refused(at: Millis) -> FetchOutcome {
    let reason = "it answered 402".into();
    FetchOutcome::Retry { not_before: at, reason, blame: FetchBlame::Webinar }
}

/// Webinar 1 fails for a week, in which webinar 2 is answered.
async fn kill(back_end: &impl BackEnd, ledger: &impl Ledger) {
    want(ledger, ["1", "2"].map(always).into()).await;
    let tasks = due(ledger).await;
    settle(ledger, &tasks[0], refused(NOON)).await;
    back_end.clock().set(minutes(1));
    settle(ledger, &tasks[1], answered("two", Vec::new())).await;
    back_end.clock().set(NOON.plus(FETCH_PATIENCE));
    settle(ledger, &due(ledger).await[0], refused(NOON.plus(FETCH_PATIENCE))).await;
}

async fn list(ledger: &impl Ledger, state: Option<FetchState>) -> Vec<FetchSummary> {
    let query = FetchQuery { state, limit: 9, ..FetchQuery::default() };
    ledger.list_fetches(query).await.expect("read").items
}

/// B2.
pub(super) async fn fetch_that_fails_for_a_week_is_dead_and_shown<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    kill(&back_end, &ledger).await;
    let dead = status(&ledger).await;
    assert_eq!((dead.pending, dead.given_up, dead.dead), (0, 0, 1));
    assert_eq!(dead.last_error.as_deref(), Some("it answered 402"));
    assert_eq!(due_ids(&ledger).await, [""; 0]);
    drop(ledger);
    let ledger = back_end.open(policies());
    assert_eq!(status(&ledger).await, dead, "also after a restart");
    let [shown] = <[FetchSummary; 1]>::try_from(list(&ledger, Some(FetchState::Dead)).await)
        .expect("one is dead");
    assert_eq!((shown.webinar.as_str(), &shown.source), ("1", &source("zoom")));
    assert_eq!((shown.attempts, shown.failing_since, shown.not_before), (2, Some(NOON), None));
    assert_eq!((shown.requested_at, shown.failed_at), (NOON, Some(NOON.plus(FETCH_PATIENCE))));

    // It stays as long as events are kept, since nobody has asked about it.
    back_end.clock().set(NOON.plus(FETCH_PATIENCE + KEEP.events));
    while ledger.prune(KEEP).await.expect("pruned") {}
    assert_eq!(status(&ledger).await.dead, 1);
    back_end.clock().set(NOON.plus(FETCH_PATIENCE + KEEP.events + SECOND));
    while ledger.prune(KEEP).await.expect("pruned") {}
    assert_eq!((status(&ledger).await.dead, list(&ledger, None).await), (0, Vec::new()));
}

pub(super) async fn dead_fetch_redriven_has_another_week<B: BackEnd>() {
    let back_end = B::new();
    let mut both = policies();
    both.insert(source("second"), policy("main"));
    let ledger = back_end.open(both);
    kill(&back_end, &ledger).await;
    let redrive = async |name: Option<&str>| {
        let request = FetchRedrive { source: name.map(source), after: None };
        ledger.redrive_fetches(request).await.expect("redriven").redriven
    };
    assert_eq!(redrive(Some("second")).await, 0);
    assert_eq!(redrive(None).await, 1);
    assert_eq!((status(&ledger).await.pending, status(&ledger).await.dead), (1, 0));
    let task = due(&ledger).await.remove(0);
    settle(&ledger, &task, refused(NOON)).await;
    assert_eq!(status(&ledger).await.dead, 0, "it has another week");
    let task = due(&ledger).await.remove(0);
    settle(&ledger, &task, answered("one", vec![created("1", "One", NOON)])).await;
    assert_eq!(list(&ledger, None).await, []);
    assert_eq!(redrive(Some("zoom")).await, 0);
}

pub(super) async fn dead_fetch_is_tried_once_more_when_its_source_changes<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let note = async |digest: u8| {
        ledger.note_fetch_config(&source("zoom"), [digest; 32]).await.expect("noted")
    };
    assert_eq!(note(1).await, 0);
    kill(&back_end, &ledger).await;
    assert_eq!(note(1).await, 0, "nothing changed");
    assert_eq!(note(2).await, 1);
    assert_eq!(note(2).await, 0);
    let task = due(&ledger).await.remove(0);
    settle(&ledger, &task, refused(NOON)).await;
    assert_eq!(status(&ledger).await.dead, 1, "it still fails");
    // So it is if a webhook requests it again.
    want(&ledger, vec![always("1")]).await;
    let task = due(&ledger).await.remove(0);
    settle(&ledger, &task, refused(NOON)).await;
    assert_eq!((status(&ledger).await.pending, status(&ledger).await.dead), (0, 1));
}

/// M14.
pub(super) async fn fourth_webinar_that_turns_absent_within_a_day_waits_for_a_person<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let ids = ["1", "2", "3", "4", "5"];
    let known = ids.map(|id| created(id, "Known", NOON));
    ledger.accept(receipt("known", known.to_vec())).await.expect("stored");
    want(&ledger, ids.map(always).into()).await;
    let gone = |id: &str, at: i64| {
        let cancelled = Change {
            kind: ChangeKind::Cancelled,
            whole: WebinarFields { cancelled: Some(true), ..WebinarFields::default() },
            ..renamed(id, "", minutes(at))
        };
        given_up(Some(fetched(&format!("{id} at {at}"), vec![cancelled])))
    };
    let tasks = due(&ledger).await;
    for (task, id) in tasks.iter().zip(ids) {
        let accepted = settle(&ledger, task, gone(id, 1)).await;
        let is_believed = ["1", "2", "3"].contains(&id);
        assert_eq!(accepted, is_believed.then_some(ReceiptOutcome::Accepted), "{id}");
    }
    let cancelled = async || {
        let events = ledger.all_events().await.expect("read").into_iter();
        let input = |input: Option<Vec<u8>>| {
            String::from_utf8_lossy(&input.expect("it has one")).into_owned()
        };
        let cancelled =
            events.filter(|event| input(event.input.clone()).contains("\"eventCancelled\":true"));
        cancelled.map(|event| event.key.external_event_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(cancelled().await, ["1", "2", "3"]);
    let shown = status(&ledger).await;
    assert_eq!((shown.pending, shown.given_up, shown.dead), (0, 3, 2));
    let error = shown.last_error.expect("it is shown");
    assert!(error.contains("a person must confirm"), "{error}");

    // Days later neither a list nor a webhook confirms it, but a person does.
    back_end.clock().set(minutes(3 * 24 * 60));
    want(&ledger, vec![always("4")]).await;
    let task = due(&ledger).await.remove(0);
    assert_eq!(settle(&ledger, &task, gone("4", 2)).await, None);
    assert_eq!(status(&ledger).await.dead, 2);
    ledger.redrive_fetches(FetchRedrive::default()).await.expect("redriven");
    let tasks = due(&ledger).await;
    for task in &tasks {
        let outcome = gone(task.webinar.as_str(), 3);
        assert_eq!(settle(&ledger, task, outcome).await, Some(ReceiptOutcome::Accepted));
    }
    assert_eq!((cancelled().await.len(), status(&ledger).await.dead), (5, 0));
}

/// A13.
pub(super) async fn coming_webinars_of_a_source_are_listed<B: BackEnd>() {
    let back_end = B::new();
    let mut both = policies();
    both.insert(source("second"), policy("main"));
    let ledger = back_end.open(both);
    let off = Change {
        kind: ChangeKind::Cancelled,
        whole: WebinarFields { cancelled: Some(true), ..WebinarFields::default() },
        ..renamed("3", "", minutes(1))
    };
    let changes = vec![
        created("1", "Tomorrow", NOON),
        renamed("2", "Nothing known of its time", NOON),
        created("3", "Cancelled", NOON),
        off,
    ];
    ledger.accept(receipt("a", changes)).await.expect("stored");
    let coming = async |name: &str| {
        let page = ledger.coming_webinars(&source(name), None).await.expect("read");
        page.items.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!((coming("zoom").await, coming("second").await), (vec!["1".into()], Vec::new()));
    assert_eq!(coming("nobody").await, [""; 0]);
    back_end.clock().set(minutes(25 * 60));
    assert_eq!(coming("zoom").await, [""; 0], "it is over");
}

/// M13, M14: a 404 needs another webinar as a witness, however many old ones the store holds.
pub(super) async fn first_page_of_coming_webinars_passes_old_ones_by<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let old = (0..2_100).map(|id| created(&id.to_string(), "Old", NOON));
    ledger.accept(receipt("old", old.collect())).await.expect("stored");
    back_end.clock().set(minutes(3 * 24 * 60));
    let mut coming = created("9999", "Coming", minutes(3 * 24 * 60));
    coming.whole.start = Some(minutes(5 * 24 * 60));
    let coming =
        NewReceipt { received_at: minutes(3 * 24 * 60), ..receipt("coming", vec![coming]) };
    ledger.accept(coming).await.expect("stored");
    let page = ledger.coming_webinars(&source("zoom"), None).await.expect("read");
    let ids: Vec<_> = page.items.iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["9999"]);
}

pub(super) async fn fetches_are_listed_by_pages_source_and_state<B: BackEnd>() {
    let back_end = B::new();
    let mut both = policies();
    both.insert(source("second"), policy("main"));
    let ledger = back_end.open(both);
    want(&ledger, ["1", "2", "3"].map(always).into()).await;
    ledger.request_fetches(&source("second"), vec![always("4")]).await.expect("noted");
    settle(&ledger, &due(&ledger).await[1], given_up(None)).await;
    let ids = async |query: FetchQuery| {
        let page = ledger.list_fetches(query).await.expect("read");
        let ids: Vec<_> = page.items.iter().map(|item| item.webinar.to_string()).collect();
        (ids, page.next)
    };
    let all = FetchQuery { limit: 3, ..FetchQuery::default() };
    let (first, next) = ids(all.clone()).await;
    assert_eq!(first, ["4", "3", "2"]);
    assert_eq!(ids(FetchQuery { after: next, ..all.clone() }).await, (vec!["1".into()], None));
    let of = |state| FetchQuery { source: Some(source("zoom")), state: Some(state), ..all.clone() };
    assert_eq!(ids(of(FetchState::Pending)).await.0, ["3", "1"]);
    assert_eq!(ids(of(FetchState::GivenUp)).await.0, ["2"]);
    assert_eq!(ids(of(FetchState::Dead)).await.0, [""; 0]);
}
