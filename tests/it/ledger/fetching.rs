//! What is to be asked of the platforms' APIs is noted with what it is wanted for, and nothing of it is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use webinar_bridge::event::{
    Change, ChangeKind, ExternalAccountId, Millis, ProviderId, RunChange, RunPhase, WebinarFields,
    WebinarId,
};
use webinar_bridge::ledger::rules::fetch::FetchRow;
use webinar_bridge::ledger::{
    EventStateCounts, FetchBlame, FetchClaim, FetchCondition, FetchOutcome, FetchRequest,
    FetchStatus, FetchTask, LONGEST_WAIT, Ledger, NewReceipt, Policies, ReceiptContent,
    ReceiptKind, ReceiptOutcome, ReceiptQuery, Retention, WebinarKey,
};

use super::back_end::BackEnd;
use super::contract::*;
use super::counts;
use crate::harness::build::{
    NOON, account, created, minutes, policies, policy, receipt, renamed, source,
};
use crate::harness::events::AllEvents as _;

const KEEP: Retention =
    Retention { receipts: Duration::from_hours(1), events: Duration::from_hours(24 * 400) };

fn acct() -> ExternalAccountId {
    ExternalAccountId::parse("acct-1").expect("valid")
}

pub(super) fn always(id: &str) -> FetchRequest {
    let webinar = WebinarId::parse(id).expect("valid");
    FetchRequest { account: Some(acct()), webinar, condition: FetchCondition::Always }
}

fn if_uncertain(id: &str) -> FetchRequest {
    FetchRequest { condition: FetchCondition::IfUncertain, ..always(id) }
}

fn wanting(seed: &str, changes: Vec<Change>, wanted: Vec<FetchRequest>) -> NewReceipt {
    NewReceipt { fetch_requests: wanted, ..receipt(seed, changes) }
}

/// An answer of the platform's API about a webinar.
pub(super) fn fetched(seed: &str, changes: Vec<Change>) -> NewReceipt {
    NewReceipt { kind: ReceiptKind::Fetched, ..receipt(seed, changes) }
}

pub(super) fn answered(seed: &str, changes: Vec<Change>) -> FetchOutcome {
    answer_now(fetched(seed, changes))
}

/// An answer that shows everything until now.
pub(super) fn answer_now(receipt: NewReceipt) -> FetchOutcome {
    let asked_at = Millis::new(i64::MAX);
    FetchOutcome::Answered { receipt: Box::new(receipt), asked_at, lag: Duration::ZERO }
}

fn later(at: Millis) -> FetchOutcome {
    FetchOutcome::Retry {
        not_before: at,
        reason: "it asks too much".into(),
        blame: FetchBlame::Webinar,
    }
}

pub(super) fn given_up(receipt: Option<NewReceipt>) -> FetchOutcome {
    FetchOutcome::GivenUp { reason: "it is not there".into(), receipt: receipt.map(Box::new) }
}

pub(super) async fn look(ledger: &impl Ledger) -> FetchClaim {
    due_of(ledger, "zoom").await
}

/// What is due of a source; it is claimed for the look only.
async fn due_of(ledger: &impl Ledger, name: &str) -> FetchClaim {
    let claim = ledger.claim_fetches(&source(name), 100).await.expect("read");
    claim.tasks.iter().for_each(|task| ledger.release_fetch(task));
    claim
}

pub(super) async fn due(ledger: &impl Ledger) -> Vec<FetchTask> {
    look(ledger).await.tasks
}

pub(super) async fn due_ids(ledger: &impl Ledger) -> Vec<String> {
    due(ledger).await.iter().map(|task| task.webinar.as_str().to_owned()).collect()
}

/// The only one that is due.
async fn task(ledger: &impl Ledger) -> FetchTask {
    let [task] = <[FetchTask; 1]>::try_from(due(ledger).await).expect("one is due");
    task
}

pub(super) async fn want(ledger: &impl Ledger, wanted: Vec<FetchRequest>) -> usize {
    ledger.request_fetches(&source("zoom"), wanted).await.expect("noted")
}

pub(super) async fn settle(
    ledger: &impl Ledger,
    task: &FetchTask,
    outcome: FetchOutcome,
) -> Option<ReceiptOutcome> {
    ledger.settle_fetch(task, outcome).await.expect("settled")
}

pub(super) async fn status(ledger: &impl Ledger) -> FetchStatus {
    ledger.fetch_statuses().await.expect("read")[&source("zoom")].clone()
}

/// How many are pending and given up.
pub(super) async fn counted(ledger: &impl Ledger) -> (u64, u64) {
    let FetchStatus { pending, given_up, .. } = status(ledger).await;
    (pending, given_up)
}

pub(super) async fn requested_fetch_is_due_with_its_receipt_and_claimed_once<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    // A platform's webhook that names a webinar and nothing else.
    let thin = wanting("a", Vec::new(), vec![always("1")]);
    assert_eq!(ledger.accept(thin.clone()).await.expect("stored"), ReceiptOutcome::Accepted);
    let kept = ledger.receipt(thin.id).await.expect("read").expect("there").record;
    assert_eq!(kept.body, Some(thin.body.clone()), "to be mapped again one day");
    let first = task(&ledger).await;
    assert_eq!((first.row.version, first.row.attempts, first.row.requested_at), (1, 0, NOON));
    assert_eq!((&first.source, &first.account), (&source("zoom"), &Some(acct())));

    back_end.clock().set(minutes(5));
    let second =
        NewReceipt { received_at: minutes(5), ..wanting("b", vec![], thin.fetch_requests) };
    ledger.accept(second).await.expect("stored");
    let row = FetchRow { version: 2, reported_at: Some(minutes(5)), ..first.row.clone() };
    assert_eq!(task(&ledger).await, FetchTask { row, ..first.clone() }, "wanted since then");
    let nameless = FetchRequest { account: None, ..always("1") };
    assert_eq!(want(&ledger, vec![nameless, always("1"), always("2")]).await, 3);
    let tasks = due(&ledger).await;
    let claimed: Vec<_> =
        tasks.iter().map(|t| (t.webinar.as_str(), &t.account, t.row.version)).collect();
    assert_eq!(claimed, [("1", &first.account, 3), ("1", &None, 1), ("2", &first.account, 1)]);
    assert_eq!(counted(&ledger).await, (3, 0));
}

pub(super) async fn duplicate_requests_nothing_but_ignored_and_quarantined_may<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", Vec::new())).await.expect("stored");
    let again = wanting("a", Vec::new(), vec![always("1")]);
    assert_eq!(ledger.accept(again).await.expect("stored"), ReceiptOutcome::Duplicate);
    assert_eq!(due(&ledger).await, []);
    let ignored = NewReceipt {
        content: ReceiptContent::Ignored,
        body: Vec::new(),
        ..wanting("b", Vec::new(), vec![always("2")])
    };
    assert_eq!(ledger.accept(ignored).await.expect("stored"), ReceiptOutcome::Ignored);
    let odd = NewReceipt {
        content: ReceiptContent::Quarantined("odd".into()),
        ..wanting("c", Vec::new(), vec![always("3")])
    };
    assert_eq!(ledger.accept(odd).await.expect("stored"), ReceiptOutcome::Quarantined);
    // None of its changes is merged, and its fetch is requested once.
    let mut foreign = wanting("d", vec![created("9", "Nine", NOON)], vec![always("4")]);
    foreign.content =
        ReceiptContent::Changes(vec![Change { account: None, ..created("9", "Nine", NOON) }]);
    assert_eq!(ledger.accept(foreign).await.expect("stored"), ReceiptOutcome::Quarantined);
    assert_eq!(due_ids(&ledger).await, ["2", "3", "4"]);
    assert_eq!(counted(&ledger).await, (3, 0));
}

pub(super) async fn conditional_request_looks_at_the_merged_event<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let whole = wanting("a", vec![created("1", "One", NOON)], vec![if_uncertain("1")]);
    ledger.accept(whole).await.expect("stored");
    assert_eq!(due(&ledger).await, [], "the receipt itself made it complete");
    let part = wanting("b", vec![renamed("2", "Two", NOON)], vec![if_uncertain("2")]);
    ledger.accept(part).await.expect("stored");
    assert_eq!(
        counts(&ledger).await,
        EventStateCounts { pending: 1, incomplete: 1, ..EventStateCounts::default() }
    );
    assert_eq!(due_ids(&ledger).await, ["2"]);
    // What a filter refuses lacks nothing.
    let mut refusing = policies();
    let only =
        webinar_bridge::event::compile_event_expression("event.name != 'Four'").expect("valid");
    let policy_of = webinar_bridge::event::Policy { only: vec![only], ..policy("main") };
    refusing.insert(source("refusing"), policy_of);
    let filtering = B::new();
    let filtering = filtering.open(refusing);
    let four = wanting("c", vec![created("4", "Four", NOON)], vec![if_uncertain("4")]);
    filtering.accept(NewReceipt { source: source("refusing"), ..four }).await.expect("stored");
    assert_eq!(
        counts(&filtering).await,
        EventStateCounts { filtered: 1, ..EventStateCounts::default() }
    );
    let due = due_of(&filtering, "refusing").await;
    assert_eq!(due.tasks, []);
    // One is complete, one is not known at all, and one is not the account's of which it is known.
    let other = ExternalAccountId::parse("acct-2").expect("valid");
    let foreign = FetchRequest { account: Some(other), ..if_uncertain("1") };
    assert_eq!(want(&ledger, vec![if_uncertain("1"), if_uncertain("3"), foreign]).await, 2);
    assert_eq!(due_ids(&ledger).await, ["2", "3", "1"]);
    assert_eq!(want(&ledger, vec![FetchRequest { account: None, ..if_uncertain("1") }]).await, 1);

    // The source's own account goes before the platform's, as in merging.
    let mut named = policies();
    named.insert(
        source("named"),
        webinar_bridge::event::Policy { external_account_id: Some(acct()), ..policy("main") },
    );
    drop(ledger);
    let ledger = back_end.open(named);
    let nameless = FetchRequest { account: None, ..if_uncertain("1") };
    let noted = ledger.request_fetches(&source("named"), vec![nameless]).await.expect("noted");
    assert_eq!(noted, 0, "it is known, and complete");

    // M15, M13: of a run that ended before the start, and of what was absent, only the platform knows more.
    let doubtful = B::new();
    let ledger = doubtful.open(policies());
    let (held, found) = (created("5", "Five", NOON), created("6", "Six", NOON));
    let ended_at = held.whole.start.map(|start| start.minus(Duration::from_hours(1)));
    ledger.accept(receipt("d", vec![held, found])).await.expect("stored");
    let both = || vec![if_uncertain("5"), if_uncertain("6")];
    assert_eq!(want(&ledger, both()).await, 0);
    let mut early = renamed("5", "Five", NOON);
    early.session = Some(RunChange { phase: RunPhase::Ended, started_at: None, ended_at });
    let mut gone = renamed("6", "Six", NOON);
    gone.whole.absent = Some(true);
    ledger.accept(receipt("e", vec![early, gone])).await.expect("stored");
    assert_eq!(want(&ledger, both()).await, 2);
}

pub(super) async fn request_during_a_fetch_is_fetched_once_more<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    want(&ledger, vec![always("1")]).await;
    let first = task(&ledger).await;
    settle(&ledger, &first, later(NOON)).await;
    let first = task(&ledger).await;
    assert_eq!(first.row.attempts, 1);
    want(&ledger, vec![always("1")]).await;
    back_end.clock().set(minutes(1));
    let outcome = answered("a", vec![created("1", "One", NOON)]);
    assert_eq!(settle(&ledger, &first, outcome.clone()).await, Some(ReceiptOutcome::Accepted));
    let second = task(&ledger).await;
    assert_eq!((second.id, second.row.version, second.row.attempts), (first.id, 2, 0));
    assert_eq!(second.row.requested_at, minutes(1), "until then it may have been wanted");
    assert_eq!(status(&ledger).await, FetchStatus { pending: 1, ..FetchStatus::default() });
    // A worker that got no answer settles again.
    assert_eq!(settle(&ledger, &first, outcome).await, Some(ReceiptOutcome::Duplicate));
    assert_eq!(counted(&ledger).await, (1, 0));

    want(&ledger, vec![always("1")]).await;
    settle(&ledger, &second, given_up(None)).await;
    let third = task(&ledger).await;
    assert_eq!((third.row.version, third.row.attempts), (3, 0));
    assert_eq!(counted(&ledger).await, (1, 0), "it is not given up");

    // The platform asked to wait, and a further request does not shorten the wait.
    want(&ledger, vec![always("1")]).await;
    settle(&ledger, &third, later(minutes(9))).await;
    assert_eq!(look(&ledger).await, FetchClaim { tasks: Vec::new(), next_due: Some(minutes(9)) });
    want(&ledger, vec![always("1")]).await;
    assert_eq!(due(&ledger).await, []);
    back_end.clock().set(minutes(9));
    let last = task(&ledger).await;
    assert_eq!((last.row.version, last.row.attempts), (5, 1));
    let same = answered("b", vec![created("1", "One", NOON)]);
    assert_eq!(settle(&ledger, &last, same).await, Some(ReceiptOutcome::Accepted));
    assert_eq!(look(&ledger).await, FetchClaim { tasks: Vec::new(), next_due: None });
    assert_eq!(status(&ledger).await, FetchStatus::default());
}

pub(super) async fn number_of_a_settled_task_is_not_used_again<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    want(&ledger, vec![always("1")]).await;
    let first = task(&ledger).await;
    let outcome = answered("a", vec![created("1", "One", NOON)]);
    settle(&ledger, &first, outcome.clone()).await;
    want(&ledger, vec![always("2")]).await;
    let next = task(&ledger).await;
    // A worker that got no answer settles again, by which time there is another row.
    assert_eq!(settle(&ledger, &first, outcome).await, Some(ReceiptOutcome::Duplicate));
    assert_eq!(task(&ledger).await, next);
    drop(ledger);
    let ledger = back_end.open(policies());
    settle(&ledger, &next, answered("b", Vec::new())).await;
    want(&ledger, vec![always("3")]).await;
    assert!(task(&ledger).await.id > next.id);
}

pub(super) async fn answer_may_request_others_but_not_itself<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    want(&ledger, vec![always("1")]).await;
    let mut answer = fetched("a", vec![renamed("1", "One", NOON)]);
    answer.fetch_requests = vec![if_uncertain("1"), always("1"), always("2")];
    let outcome = answer_now(answer);
    settle(&ledger, &task(&ledger).await, outcome).await;
    assert_eq!(counts(&ledger).await.incomplete, 1, "it yields too little, and would again");
    assert_eq!(due_ids(&ledger).await, ["2"]);
    let mut gone = fetched("b", Vec::new());
    gone.fetch_requests = vec![always("2")];
    settle(&ledger, &task(&ledger).await, given_up(Some(gone))).await;
    assert_eq!(counted(&ledger).await, (0, 1));
}

pub(super) async fn given_up_fetch_is_shown_until_it_is_requested_again<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    want(&ledger, vec![always("1")]).await;
    let cancelled = Change {
        kind: ChangeKind::Cancelled,
        whole: WebinarFields { cancelled: Some(true), ..WebinarFields::default() },
        ..renamed("1", "", minutes(1))
    };
    settle(&ledger, &task(&ledger).await, later(NOON)).await;
    let first = task(&ledger).await;
    let receipt = Some(fetched("b", vec![cancelled]));
    assert_eq!(
        settle(&ledger, &first, given_up(receipt.clone())).await,
        Some(ReceiptOutcome::Accepted)
    );
    let batch = super::claim(&ledger, super::NOW).await;
    assert_eq!(super::input(&batch[0])["eventCancelled"], true, "it follows from the answer");
    let shown = FetchStatus {
        given_up: 1,
        last_error: Some("it is not there".into()),
        ..FetchStatus::default()
    };
    assert_eq!((status(&ledger).await, due(&ledger).await), (shown.clone(), Vec::new()));
    // A worker that got no answer settles again.
    assert_eq!(settle(&ledger, &first, given_up(receipt)).await, Some(ReceiptOutcome::Duplicate));
    drop(ledger);
    let ledger = back_end.open(policies());
    assert_eq!(status(&ledger).await, shown);

    back_end.clock().set(minutes(3));
    want(&ledger, vec![always("1")]).await;
    let again = task(&ledger).await;
    assert_eq!((again.id, again.row.version, again.row.attempts), (first.id, 2, 0));
    assert_eq!((again.row.requested_at, counted(&ledger).await), (minutes(3), (1, 0)));
    assert_eq!(settle(&ledger, &again, given_up(None)).await, None);
    assert_eq!(counted(&ledger).await, (0, 1));
    back_end.clock().set(minutes(3 + 60));
    while ledger.prune(KEEP).await.expect("pruned") {}
    assert_eq!(counted(&ledger).await, (0, 1), "it is shown as long as a receipt is kept");
    back_end.clock().set(minutes(4 + 60));
    while ledger.prune(KEEP).await.expect("pruned") {}
    assert_eq!(status(&ledger).await, FetchStatus::default());
    assert_eq!(want(&ledger, vec![always("1")]).await, 1);
    assert_eq!((task(&ledger).await.row.version, counted(&ledger).await), (1, (1, 0)));
}

/// A worker that got no answer from the store settles again.
pub(super) async fn outcome_that_is_recorded_twice_counts_once<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(wanting("thin", Vec::new(), vec![always("1")])).await.expect("stored");
    let first = task(&ledger).await;
    for _ in 0..2 {
        let outcome = FetchOutcome::Retry {
            not_before: NOON,
            reason: "it has no such webinar yet".into(),
            blame: FetchBlame::NotFound,
        };
        settle(&ledger, &first, outcome).await;
    }
    let second = task(&ledger).await;
    assert_eq!((second.row.attempts, second.row.not_found), (1, 1));
    // M11: near a webhook, it is asked about once more.
    for seed in ["answer", "answer"] {
        let receipt = Box::new(fetched(seed, vec![created("1", "One", NOON)]));
        let lag = Duration::from_mins(1);
        settle(&ledger, &second, FetchOutcome::Answered { receipt, asked_at: NOON, lag }).await;
    }
    assert_eq!(look(&ledger).await.next_due, Some(minutes(1)));
}

pub(super) async fn longest_due_fetch_comes_first_and_claimed_ones_are_left_out<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    want(&ledger, ["1", "2", "3"].map(always).into()).await;
    let tasks = due(&ledger).await;
    settle(&ledger, &tasks[0], later(minutes(3))).await;
    settle(&ledger, &tasks[1], later(minutes(7))).await;
    assert_eq!(due_ids(&ledger).await, ["3"]);
    assert_eq!(look(&ledger).await.next_due, Some(minutes(3)));
    back_end.clock().set(minutes(5));
    want(&ledger, vec![always("4")]).await;
    assert_eq!(due_ids(&ledger).await, ["3", "1", "4"]);
    assert_eq!(look(&ledger).await.next_due, Some(minutes(7)));
    back_end.clock().set(minutes(7));
    assert_eq!(due_ids(&ledger).await, ["3", "1", "4", "2"]);
    assert_eq!(look(&ledger).await.next_due, None);
    let under_way = ledger.claim_fetches(&source("zoom"), 2).await.expect("read").tasks;
    assert_eq!([under_way[0].id, under_way[1].id], [tasks[2].id, tasks[0].id]);
    let next = ledger.claim_fetches(&source("zoom"), 1).await.expect("read");
    assert_eq!(next.tasks[0].webinar.as_str(), "4");
    assert_eq!(next.tasks.len(), 1);
    let none = ledger.claim_fetches(&source("zoom"), 0).await.expect("read");
    assert_eq!(none.tasks, []);
}

pub(super) async fn wait_beyond_a_day_holds_no_fetch<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    want(&ledger, vec![always("1")]).await;
    settle(&ledger, &task(&ledger).await, later(NOON.plus(20 * LONGEST_WAIT))).await;
    assert_eq!(look(&ledger).await.next_due, Some(NOON.plus(LONGEST_WAIT)));
    // It was set back: that time came from a clock that was ahead.
    back_end.clock().set(minutes(-1));
    assert_eq!(task(&ledger).await.row.attempts, 1);
    assert_eq!(look(&ledger).await.next_due, None);
    let early = vec![always("2")];
    back_end.clock().set(minutes(1));
    want(&ledger, early).await;
    back_end.clock().set(NOON);
    assert_eq!(due_ids(&ledger).await, ["2"], "what waits for nothing does not wait for the clock");
}

pub(super) async fn crash_keeps_the_queue_and_its_counts<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger
        .accept(wanting("a", vec![renamed("1", "One", NOON)], vec![always("1")]))
        .await
        .expect("stored");
    want(&ledger, ["2", "3", "4"].map(always).into()).await;
    let tasks = due(&ledger).await;
    settle(&ledger, &tasks[1], later(minutes(5))).await;
    settle(&ledger, &tasks[2], given_up(None)).await;
    let (before, shown) = (look(&ledger).await, status(&ledger).await);
    assert_eq!((shown.pending, shown.given_up), (3, 1));
    drop(ledger);
    let ledger = back_end.open(policies());
    assert_eq!((look(&ledger).await, status(&ledger).await), (before, shown));
    settle(&ledger, &tasks[0], answered("b", vec![created("1", "One", NOON)])).await;
    assert_eq!(counted(&ledger).await, (2, 1));
    assert_eq!(counts(&ledger).await.pending, 1);
}

pub(super) async fn last_error_is_one_of_a_fetch_that_remains<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    want(&ledger, ["1", "2"].map(always).into()).await;
    let tasks = due(&ledger).await;
    let failed = |why: &str| FetchOutcome::Retry {
        not_before: NOON,
        reason: why.into(),
        blame: FetchBlame::Webinar,
    };
    settle(&ledger, &tasks[0], failed("first")).await;
    back_end.clock().set(minutes(1));
    settle(&ledger, &tasks[1], failed("second")).await;
    let shown = async |ledger| status(ledger).await.last_error;
    assert_eq!(shown(&ledger).await.as_deref(), Some("second"));
    let again = async |id: &str| {
        let tasks = due(&ledger).await;
        tasks.into_iter().find(|task| task.webinar.as_str() == id).expect("it is due")
    };
    settle(&ledger, &again("2").await, answered("a", Vec::new())).await;
    assert_eq!(
        shown(&ledger).await.as_deref(),
        Some("first"),
        "that one has not been answered yet"
    );
    settle(&ledger, &again("1").await, answered("b", Vec::new())).await;
    assert_eq!(shown(&ledger).await, None);
}

pub(super) async fn request_of_an_unconfigured_source_is_passed_over<B: BackEnd>() {
    let back_end = B::new();
    let both = || -> Policies {
        let mut both = policies();
        both.insert(source("second"), policy("main"));
        both
    };
    let ledger = back_end.open(both());
    let sources: Vec<_> = ledger.fetch_statuses().await.expect("read").into_keys().collect();
    assert_eq!(sources, [source("second"), source("zoom")], "also those that want nothing");
    ledger.request_fetches(&source("second"), vec![always("1")]).await.expect("noted");
    let nobody = source("nobody");
    assert_eq!(ledger.request_fetches(&nobody, vec![always("1")]).await.expect("no harm"), 0);
    let mut strange = wanting("a", vec![created("1", "One", NOON)], vec![always("1")]);
    strange.source = nobody.clone();
    assert_eq!(ledger.accept(strange).await.expect("stored"), ReceiptOutcome::Quarantined);
    assert_eq!(ledger.claim_fetches(&nobody, 9).await.expect("read").tasks, []);
    drop(ledger);

    let ledger = back_end.open(policies());
    assert_eq!(
        ledger.fetch_statuses().await.expect("read"),
        BTreeMap::from([(source("zoom"), FetchStatus::default())])
    );
    assert_eq!(
        ledger.request_fetches(&source("second"), vec![always("2")]).await.expect("no harm"),
        0
    );
    drop(ledger);
    let ledger = back_end.open(both());
    assert_eq!(ledger.fetch_statuses().await.expect("read")[&source("second")].pending, 1);
    assert_eq!(ledger.claim_fetches(&source("second"), 9).await.expect("read").tasks.len(), 1);
}

pub(super) async fn headers_and_bodies_come_back_for_mapping<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    let headers = vec![("x-event".to_owned(), "\"odd\", \u{fc}".to_owned())];
    let first =
        NewReceipt { headers: headers.clone(), ..receipt("a", vec![renamed("1", "One", NOON)]) };
    ledger.accept(first.clone()).await.expect("stored");
    want(&ledger, vec![always("1")]).await;
    let second = fetched("b", vec![created("1", "One", NOON)]);
    let outcome = answer_now(second.clone());
    settle(&ledger, &task(&ledger).await, outcome).await;

    let ask = ReceiptQuery { limit: 9, ..ReceiptQuery::default() };
    let page = ledger.list_receipts(ask).await.expect("read");
    let kinds: Vec<_> = page.items.iter().map(|receipt| (receipt.id, receipt.kind)).collect();
    let expected = [(second.id, ReceiptKind::Fetched), (first.id, ReceiptKind::Webhook)];
    assert_eq!(kinds, expected, "newest first");
    let detail = ledger.receipt(first.id).await.expect("read").expect("there");
    assert_eq!((detail.record.headers, detail.events.len()), (headers.clone(), 1));
    assert_eq!(ledger.receipt(second.id).await.expect("read").expect("there").record.headers, []);
    let key = WebinarKey {
        hubspot: account("main"),
        account: acct(),
        webinar: WebinarId::parse("1").expect("valid"),
    };
    let tellers = ledger.receipts_of(&key, None).await.expect("read").items;
    let claimed: Vec<_> =
        tellers.into_iter().map(|t| (t.summary.id, t.summary.kind, t.headers, t.body)).collect();
    let expected = [
        (first.id, ReceiptKind::Webhook, headers, Some(first.body)),
        (second.id, ReceiptKind::Fetched, Vec::new(), Some(second.body)),
    ];
    assert_eq!(claimed, expected);
}

pub(super) async fn answer_is_accepted_and_settled_in_one_step<B: BackEnd>() {
    let back_end = B::new();
    let ledger = back_end.open(policies());
    ledger.accept(receipt("a", vec![created("1", "One", NOON)])).await.expect("stored");
    want(&ledger, vec![always("1"), always("2"), always("3")]).await;
    let tasks = due(&ledger).await;
    // Another provider may not speak of it: it is kept for replaying, and not asked for again.
    let mut foreign = fetched("b", vec![renamed("2", "Two", NOON), renamed("1", "Evil", NOON)]);
    foreign.provider = ProviderId::new("goto");
    let outcome = answer_now(foreign.clone());
    assert_eq!(settle(&ledger, &tasks[0], outcome).await, Some(ReceiptOutcome::Quarantined));
    assert_eq!(due_ids(&ledger).await, ["2", "3"]);
    assert_eq!(
        (counted(&ledger).await, ledger.all_events().await.expect("read").len()),
        ((2, 0), 1)
    );
    let kept = ledger.receipt(foreign.id).await.expect("read").expect("stored").record;
    assert_eq!(kept.summary.kind, ReceiptKind::Fetched);
    // The same again brings nothing new.
    let outcome = answer_now(foreign);
    assert_eq!(settle(&ledger, &tasks[1], outcome).await, Some(ReceiptOutcome::Duplicate));
    assert_eq!(due_ids(&ledger).await, ["3"]);
}

pub(super) async fn worker_is_woken_for_due_fetches_only<B: BackEnd>() {
    let back_end = B::new();
    let mut both = policies();
    both.insert(source("second"), policy("main"));
    let ledger = back_end.open_inline(both);
    let accept = async |new| ledger.accept(new).await.expect("stored");
    let (notify, others) =
        (ledger.fetch_wake_up(&source("zoom")), ledger.fetch_wake_up(&source("second")));
    let other = others.notified();
    tokio::pin!(other);
    assert!(!other.as_mut().enable(), "nothing has happened yet");
    // Whether a waiting worker is notified of what is done meanwhile; a pending notification comes later.
    macro_rules! wakes {
        ($done:expr) => {{
            let woken = notify.notified();
            tokio::pin!(woken);
            assert!(!woken.as_mut().enable(), "nothing is left from before");
            $done.await;
            woken.as_mut().enable()
        }};
    }
    assert!(wakes!(want(&ledger, vec![always("1")])));
    assert!(
        !wakes!(want(&ledger, vec![always("1")])),
        "it is due already, and has woken the worker"
    );
    assert!(!wakes!(accept(receipt("a", vec![created("1", "One", NOON)]))));
    assert!(wakes!(accept(wanting("b", Vec::new(), vec![always("2")]))));
    let tasks = due(&ledger).await;
    assert!(!wakes!(settle(&ledger, &tasks[0], later(minutes(1)))));
    assert!(!wakes!(want(&ledger, vec![always("1")])), "it waits");
    assert!(wakes!(settle(&ledger, &tasks[0], answered("c", Vec::new()))), "wanted meanwhile");
    assert!(!wakes!(settle(&ledger, &tasks[1], given_up(None))));
    assert!(wakes!(want(&ledger, vec![always("2")])), "it is due again");
    assert!(!other.as_mut().enable());
}
