//! The queue of fetches against a model of it: whatever happens in whatever order, it holds what was wanted and has not been
//! answered since.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use webinar_bridge::event::Millis;
use webinar_bridge::ledger::{FETCH_CLAIM, FetchBlame, FetchOutcome, FetchTask, ReceiptKind};

use super::back_end::BackEnd;
use super::contract::*;
use super::fetching::{always, answer_now, counted};
use crate::harness::build::{NOON, policies, receipt, source};

const NAMES: [&str; 3] = ["1", "2", "3"];

#[derive(Debug, Clone)]
enum Step {
    /// It is wanted, by hand or with a receipt.
    Want { which: usize, with_receipt: bool },
    /// The worker takes what is due.
    Take,
    /// One that is under way comes back, if there is any.
    Settle { which: usize, end: End },
    /// Minutes pass.
    Pass(i64),
    /// The process ends and starts.
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Answered,
    /// After so many minutes.
    Later(i64),
    GivenUp,
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![Just(End::Answered), (0_i64..4).prop_map(End::Later), Just(End::GivenUp)];
    prop_oneof![
        3 => (0..NAMES.len(), any::<bool>())
            .prop_map(|(which, with_receipt)| Step::Want { which, with_receipt }),
        2 => Just(Step::Take),
        3 => (0..NAMES.len(), end).prop_map(|(which, end)| Step::Settle { which, end }),
        2 => (1_i64..4).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// What the model knows of one webinar that is in the queue.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    wanted_at: Millis,
    /// It was wanted again since the worker took it.
    again: bool,
    not_before: Option<Millis>,
    attempts: u32,
    given_up: bool,
}

struct World<B: BackEnd> {
    back_end: B,
    ledger: Option<B::Ledger>,
    now: Millis,
    rows: BTreeMap<&'static str, Row>,
    /// With the time of their claims.
    under_way: Vec<(FetchTask, Millis)>,
    receipts: u32,
}

impl<B: BackEnd> World<B> {
    fn new() -> Self {
        let back_end = B::new();
        let mut world = Self {
            back_end,
            ledger: None,
            now: NOON,
            rows: BTreeMap::new(),
            under_way: Vec::new(),
            receipts: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        self.ledger = None;
        self.ledger = Some(self.back_end.open_inline(policies()));
    }

    fn ledger(&self) -> &B::Ledger {
        self.ledger.as_ref().expect("it was started")
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Want { which, with_receipt } => self.want(NAMES[which], with_receipt).await,
            Step::Take => {
                let due = self.ledger().claim_fetches(&source("zoom"), 1).await;
                let due = due.expect("read").tasks;
                for task in &due {
                    self.rows.get_mut(task.webinar.as_str()).expect("it is wanted").again = false;
                }
                let now = self.now;
                self.under_way.extend(due.into_iter().map(|task| (task, now)));
            }
            Step::Settle { which, end } if which < self.under_way.len() => {
                let (task, _) = self.under_way.remove(which);
                self.settle(&task, end).await;
            }
            Step::Settle { .. } => {}
            Step::Pass(count) => {
                self.now = self.now.plus(Duration::from_mins(count.unsigned_abs()));
                self.back_end.clock().set(self.now);
                let now = self.now;
                self.under_way.retain(|(_, claimed_at)| claimed_at.plus(FETCH_CLAIM) > now);
            }
            Step::Restart => {
                self.under_way.clear();
                self.start();
            }
        }
    }

    async fn want(&mut self, name: &'static str, with_receipt: bool) {
        let wanted = vec![always(name)];
        if with_receipt {
            self.receipts += 1;
            let mut new = receipt(&format!("webhook {}", self.receipts), Vec::new());
            (new.fetch_requests, new.received_at) = (wanted, self.now);
            self.ledger().accept(new).await.expect("stored");
        } else {
            let noted =
                self.ledger().request_fetches(&source("zoom"), wanted).await.expect("noted");
            assert_eq!(noted, 1);
        }
        let fresh = Row {
            wanted_at: self.now,
            again: true,
            not_before: None,
            attempts: 0,
            given_up: false,
        };
        let row = self.rows.entry(name).or_insert_with(|| fresh.clone());
        row.again = true;
        if row.given_up {
            *row = fresh;
        }
    }

    async fn settle(&mut self, task: &FetchTask, end: End) {
        self.receipts += 1;
        let mut answer = receipt(&format!("answer {}", self.receipts), Vec::new());
        answer.kind = ReceiptKind::Fetched;
        let outcome = match end {
            End::Answered => answer_now(answer),
            End::Later(count) => FetchOutcome::Retry {
                not_before: self.now.plus(Duration::from_mins(count.unsigned_abs())),
                reason: "later".into(),
                blame: if is_own(count) { FetchBlame::Webinar } else { FetchBlame::Source },
            },
            End::GivenUp => FetchOutcome::GivenUp { reason: "never".into(), receipt: None },
        };
        self.ledger().settle_fetch(task, outcome).await.expect("settled");
        let row = self.rows.get_mut(task.webinar.as_str()).expect("it was wanted");
        match end {
            End::Later(count) => {
                row.not_before = Some(self.now.plus(Duration::from_mins(count.unsigned_abs())));
                row.attempts += u32::from(is_own(count));
            }
            End::Answered | End::GivenUp if row.again => {
                (row.wanted_at, row.not_before, row.attempts) = (self.now, None, 0);
            }
            End::Answered => drop(self.rows.remove(task.webinar.as_str())),
            End::GivenUp => row.given_up = true,
        }
    }

    async fn check(&self) -> Result<(), TestCaseError> {
        let pending: Vec<_> = self.rows.iter().filter(|(_, row)| !row.given_up).collect();
        let given_up = self.rows.len() - pending.len();
        prop_assert_eq!(counted(self.ledger()).await, (pending.len() as u64, given_up as u64));
        let claim = self.ledger().claim_fetches(&source("zoom"), 9).await.expect("read");
        claim.tasks.iter().for_each(|task| self.ledger().release_fetch(task));
        let mut due: Vec<_> = claim
            .tasks
            .iter()
            .map(|task| (task.webinar.as_str(), task.row.requested_at, task.row.attempts))
            .collect();
        let since = |name: &str| self.rows[name].not_before.unwrap_or(self.rows[name].wanted_at);
        prop_assert!(due.is_sorted_by_key(|(name, ..)| since(name)), "{:?}", due);
        due.sort_unstable();
        let is_due = |row: &Row| row.not_before.is_none_or(|at| at <= self.now);
        let expected: Vec<_> = pending
            .iter()
            .filter(|(name, row)| {
                let claims = |(task, _): &(FetchTask, Millis)| task.webinar.as_str() == **name;
                is_due(row) && !self.under_way.iter().any(claims)
            })
            .map(|(name, row)| (**name, row.wanted_at, row.attempts))
            .collect();
        prop_assert_eq!(due, expected);
        let waits = pending.iter().filter(|(_, row)| !is_due(row));
        prop_assert_eq!(claim.next_due, waits.filter_map(|(_, row)| row.not_before).min());
        Ok(())
    }
}

pub(super) fn queue_holds_what_was_requested_and_not_answered_since<B: BackEnd>() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() };
    TestRunner::new(config)
        .run(&proptest::collection::vec(step(), 1..40), |steps| {
            runtime.block_on(async {
                let mut world = World::<B>::new();
                for step in steps {
                    world.take(step).await;
                    world.check().await?;
                }
                Ok(())
            })
        })
        .expect("the law holds");
}

/// Half of the failures are the webinar's own.
fn is_own(count: i64) -> bool {
    count % 2 == 0
}
