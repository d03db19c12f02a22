//! The webinars to ask the platforms' APIs about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::rules::fetch::FetchRow;
use super::{LedgerError, NewReceipt, ReceiptOutcome};
use crate::event::{ExternalAccountId, FetchRequest, Millis, SourceName, WebinarId};

/// The queue of webinars to ask the platforms' APIs about, with a row for each source, webinar and account.
///
/// A webinar that is requested again while it waits is fetched once. A webinar that is requested again while a worker
/// fetches it is fetched once more, since the answer under way may be older.
#[async_trait]
pub trait FetchQueue: Send + Sync + 'static {
    /// Requests fetches of the source without any receipt; durable when it returns. Answers how many of the webinars are to
    /// be fetched from now on: none of a source that is not in the configuration.
    ///
    /// # Errors
    /// [`LedgerError`] when not all were stored. Trying again is right: a webinar requested twice is fetched once.
    ///
    /// # Cancel safety
    /// A cancelled call may still be carried out, or a part of it.
    async fn request_fetches(
        &self,
        source: &SourceName,
        requests: Vec<FetchRequest>,
    ) -> Result<usize, LedgerError>;

    /// Claims up to `limit` webinars of the source that are due now, for [`FETCH_CLAIM`]. Until it is settled or released,
    /// or that time is over, no other claim gets any of them.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn claim_fetches(
        &self,
        source: &SourceName,
        limit: usize,
    ) -> Result<FetchClaim, LedgerError>;

    /// Records the outcome of a task, accepts the receipt that it brings, and ends the claim, in one step; durable when it
    /// returns. Answers the outcome of that receipt.
    ///
    /// A webinar that was requested again since the task was claimed stays due: at once, or, after
    /// [`FetchOutcome::Retry`], at the time of the retry. A request that the receipt brings for the very webinar and
    /// account of the task is passed over, since it would be repeated for ever.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was recorded, or it is unknown whether it was, which a repetition heals.
    ///
    /// # Cancel safety
    /// A cancelled call may still be carried out.
    async fn settle_fetch(
        &self,
        task: &FetchTask,
        outcome: FetchOutcome,
    ) -> Result<Option<ReceiptOutcome>, LedgerError>;

    /// Ends the claim of a task that is not settled: it is due as before. Wakes no worker, since the caller looks again.
    fn release_fetch(&self, task: &FetchTask);

    /// Notified after each commit that made a fetch of the source due. Carries no data; arm it before looking.
    fn fetch_wake_up(&self, source: &SourceName) -> Arc<Notify>;

    /// The state of the queue of every source in the configuration, now.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn fetch_statuses(&self) -> Result<BTreeMap<SourceName, FetchStatus>, LedgerError>;
}

/// How long a claimed task is not claimed again.
///
/// Longer than a webinar's questions take, also where they wait for the platform's limit: Eventbrite's is one of calls in
/// an hour. A task that is claimed twice all the same is asked about twice.
pub const FETCH_CLAIM: Duration = Duration::from_hours(2);

/// A webinar to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchTask {
    /// The ledger's number of the row; never used again for another.
    pub id: i64,
    /// The source whose API is asked.
    pub source: SourceName,
    /// The platform's account, if the request names one.
    pub account: Option<ExternalAccountId>,
    /// The platform's id of the webinar.
    pub webinar: WebinarId,
    /// Its row in the queue.
    pub row: FetchRow,
}

/// The answer to a claim of fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchClaim {
    /// The claimed tasks; the one that has been due for longest comes first.
    pub tasks: Vec<FetchTask>,
    /// When the next row becomes due; it may be a claimed one.
    pub next_due: Option<Millis>,
}

/// The outcome of a task.
#[derive(Debug, Clone)]
pub enum FetchOutcome {
    /// The platform answered.
    Answered(Box<NewReceipt>),
    /// Retry after `not_before`.
    Retry {
        /// The earliest next attempt; [`super::LONGEST_WAIT`] from now at the latest.
        not_before: Millis,
        /// The reason, for showing.
        reason: String,
        /// Whether the attempt counts: the platform does not have the webinar, or refuses the request. A failure that
        /// passes by itself, or that an operator has to correct, is not about the webinar and does not count.
        counted: bool,
    },
    /// Asking again is of no use until the webinar is requested again.
    GivenUp {
        /// The reason, for showing.
        reason: String,
        /// The receipt that follows: a webinar that is gone is cancelled.
        receipt: Option<Box<NewReceipt>>,
    },
}

impl FetchOutcome {
    /// The receipt that the outcome brings.
    #[must_use]
    pub fn receipt(&self) -> Option<&NewReceipt> {
        match self {
            Self::Answered(receipt) => Some(receipt),
            Self::GivenUp { receipt, .. } => receipt.as_deref(),
            Self::Retry { .. } => None,
        }
    }
}

/// The state of a source's queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchStatus {
    /// Webinars to fetch, due or not, claimed or not.
    pub pending: u64,
    /// Webinars that were given up and not requested again.
    pub given_up: u64,
    /// The last failure of any of these.
    pub last_error: Option<String>,
}
