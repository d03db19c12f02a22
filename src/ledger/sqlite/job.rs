//! The writer's jobs, and how each is carried out within a commit of many.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::side_effects::SideEffects;
use super::transaction::WriteTx;
use super::tx_error::TxError;
use super::{accept, fetches, prune, rebuild, redrive, settle, timers};
use crate::event::{AccountName, EventKey, SourceName};
use crate::ledger::{
    FetchOutcome, FetchRequest, FetchTask, LedgerError, NewReceipt, RebuildRequest, RebuildResult,
    ReceiptOutcome, RedriveProgress, RedriveRequest, RedriveResult, Retention, Settlement,
    TimersRun,
};

type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

/// A job for the writer, and the receiver of its result.
pub(super) enum Job {
    Accept {
        receipt: Box<NewReceipt>,
        share: OwnedSemaphorePermit,
        reply: Reply<ReceiptOutcome>,
    },
    RequestFetches {
        source: SourceName,
        requests: Vec<FetchRequest>,
        reply: Reply<usize>,
    },
    SettleFetch {
        task: FetchTask,
        outcome: FetchOutcome,
        share: OwnedSemaphorePermit,
        reply: Reply<Option<ReceiptOutcome>>,
    },
    Settle {
        account: AccountName,
        settlements: Vec<Settlement>,
        reply: Reply<()>,
    },
    /// Stores the status that the account has in memory when the job is carried out.
    StoreStatus {
        account: AccountName,
        reply: Reply<()>,
    },
    BeginAttempt {
        ids: Vec<i64>,
        reply: Reply<()>,
    },
    RunTimers {
        limit: usize,
        reply: Reply<TimersRun>,
    },
    Prune {
        keep: Retention,
        reply: Reply<bool>,
    },
    Redrive {
        key: EventKey,
        reply: Reply<RedriveResult>,
    },
    RedriveAll {
        request: RedriveRequest,
        reply: Reply<RedriveProgress>,
    },
    Rebuild {
        request: Box<RebuildRequest>,
        reply: Reply<RebuildResult>,
    },
}

impl Job {
    /// Whether the job adds data: such jobs are refused while there is no room.
    pub(super) fn adds_data(&self) -> bool {
        match self {
            Self::Accept { .. } | Self::RequestFetches { .. } => true,
            Self::SettleFetch { outcome, .. } => outcome.receipt().is_some(),
            Self::Settle { .. }
            | Self::StoreStatus { .. }
            | Self::BeginAttempt { .. }
            | Self::RunTimers { .. }
            | Self::Prune { .. }
            | Self::Redrive { .. }
            | Self::RedriveAll { .. }
            | Self::Rebuild { .. } => false,
        }
    }
}

/// Answers a job that is done but not yet durable; its argument is the result of the commit.
pub(super) type JobAnswer = Box<dyn FnOnce(Result<(), LedgerError>)>;

/// A job whose failure lost the whole transaction.
pub(super) struct TransactionLost {
    pub(super) answer: JobAnswer,
    pub(super) why: rusqlite::Error,
}

/// Carries out one job within a savepoint. A failed job is answered together with the others, as failed.
pub(super) fn run(tx: &mut WriteTx<'_>, job: Job) -> Result<JobAnswer, TransactionLost> {
    let mark = tx.segment.mark();
    if let Err(error) = tx.statement("SAVEPOINT job") {
        return Err(TransactionLost { answer: refuse(job), why: error });
    }
    let (result, answer) = perform(tx, job);
    if result.is_ok() {
        return match tx.statement("RELEASE job") {
            Ok(()) => Ok(answer),
            Err(error) => Err(TransactionLost { answer, why: error }),
        };
    }
    tx.segment.rewind(mark);
    tx.effects = SideEffects::default();
    let undo = tx.statement("ROLLBACK TO job").and_then(|()| tx.statement("RELEASE job"));
    match undo {
        Ok(()) => Ok(answer),
        // SQLite itself rolled everything back (disk full, I/O error): the other jobs are lost too.
        Err(error) => Err(TransactionLost { answer, why: error }),
    }
}

fn perform(tx: &mut WriteTx<'_>, job: Job) -> (Result<(), ()>, JobAnswer) {
    match job {
        // The caller gave up and its sender will retry: the job would only delay the others.
        Job::Accept { reply, .. } if reply.is_closed() => (Ok(()), Box::new(drop)),
        Job::Accept { receipt, reply, share } => {
            let result = finish(reply, accept::accept(tx, &receipt));
            drop(share);
            result
        }
        Job::RequestFetches { source, requests, reply } => {
            finish(reply, fetches::request(tx, &source, &requests, tx.now))
        }
        Job::SettleFetch { task, outcome, share, reply } => {
            let result = finish(reply, fetches::settle(tx, &task, outcome));
            drop(share);
            result
        }
        Job::Settle { account, settlements, reply } => {
            finish(reply, settle::settle(tx, &account, &settlements))
        }
        Job::StoreStatus { account, reply } => {
            let status = tx.live.account_status(&account);
            finish(reply, settle::store_status(tx, &account, &status))
        }
        Job::BeginAttempt { ids, reply } => finish(reply, settle::begin_attempt(tx, &ids)),
        Job::RunTimers { limit, reply } => finish(reply, timers::run_timers(tx, limit)),
        Job::Prune { keep, reply } => finish(reply, prune::prune(tx, keep)),
        Job::Redrive { key, reply } => finish(reply, redrive::redrive(tx, &key)),
        Job::RedriveAll { request, reply } => finish(reply, redrive::redrive_all(tx, &request)),
        Job::Rebuild { request, reply } => finish(reply, rebuild::rebuild(tx, &request)),
    }
}

fn finish<T: 'static>(reply: Reply<T>, result: Result<T, TxError>) -> (Result<(), ()>, JobAnswer) {
    let flag = result.as_ref().map(|_| ()).map_err(|_| ());
    let answer: JobAnswer = Box::new(move |commit| {
        let result = result.map_err(LedgerError::from).and_then(|value| commit.map(|()| value));
        // The caller may have given up; its sender will retry and is answered `duplicate`.
        drop(reply.send(result));
    });
    (flag, answer)
}

/// Refuses a job that was not begun.
pub(super) fn refuse(job: Job) -> JobAnswer {
    fn with<T: 'static>(reply: Reply<T>) -> JobAnswer {
        Box::new(move |commit| {
            let error = commit.err();
            let error = error.unwrap_or(LedgerError::unavailable("it was not begun"));
            drop(reply.send(Err(error)));
        })
    }
    match job {
        Job::Accept { reply, .. } => with(reply),
        Job::RequestFetches { reply, .. } => with(reply),
        Job::SettleFetch { reply, .. } => with(reply),
        Job::Settle { reply, .. }
        | Job::StoreStatus { reply, .. }
        | Job::BeginAttempt { reply, .. } => with(reply),
        Job::RunTimers { reply, .. } => with(reply),
        Job::Prune { reply, .. } => with(reply),
        Job::Redrive { reply, .. } => with(reply),
        Job::RedriveAll { reply, .. } => with(reply),
        Job::Rebuild { reply, .. } => with(reply),
    }
}
