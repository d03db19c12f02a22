//! The webinars to ask the platforms' APIs about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::rules::fetch::FetchRow;
use super::{LedgerError, NewReceipt, Page, ReceiptOutcome, RedriveProgress};
use crate::event::{ExternalAccountId, FetchRequest, Millis, SourceName, WebinarId, rfc3339};

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

    /// A page of the queue, the newest rows first.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn list_fetches(&self, query: FetchQuery) -> Result<Page<FetchSummary>, LedgerError>;

    /// Makes dead fetches pending, a bounded piece at a time, with another week each; durable when it returns. What the
    /// platform does not have then is believed, however many there are.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing of this piece was changed.
    async fn redrive_fetches(&self, request: FetchRedrive) -> Result<RedriveProgress, LedgerError>;

    /// A page of the source's webinars that are to come, by their ids on the platform: those that end, or start, after now
    /// and are not cancelled.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn coming_webinars(
        &self,
        source: &SourceName,
        after: Option<i64>,
    ) -> Result<Page<WebinarId>, LedgerError>;

    /// The external accounts under which the source has reported a webinar. It looks at all webinars.
    ///
    /// # Errors
    /// [`LedgerError`] when the store cannot be read.
    async fn accounts_of(
        &self,
        source: &SourceName,
        webinar: &WebinarId,
    ) -> Result<Vec<ExternalAccountId>, LedgerError>;

    /// Notes how the source is configured to ask its platform, as a digest. If that changed, the source's dead fetches
    /// are tried once more; answers how many.
    ///
    /// # Errors
    /// [`LedgerError`] when nothing was changed.
    async fn note_fetch_config(
        &self,
        source: &SourceName,
        digest: [u8; 32],
    ) -> Result<u64, LedgerError>;
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
    Answered {
        /// The answer.
        receipt: Box<NewReceipt>,
        /// When it was asked, by our clock.
        asked_at: Millis,
        /// How late the platform's API may be: the answer may not show what happened within that time before it was asked.
        /// A webinar of which a webhook arrived within it, or since, is asked about once more when it is over.
        lag: Duration,
    },
    /// Retry after `not_before`.
    Retry {
        /// The earliest next attempt; [`super::LONGEST_WAIT`] from now at the latest.
        not_before: Millis,
        /// The reason, for showing.
        reason: String,
        /// Whose failure it is.
        blame: FetchBlame,
    },
    /// The platform has no such webinar, but a person must confirm it.
    Held {
        /// The reason, for showing.
        reason: String,
    },
    /// Asking again is of no use until the webinar is requested again: the platform has no such webinar, or its API cannot
    /// be asked about it.
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
            Self::Answered { receipt, .. } => Some(receipt),
            Self::GivenUp { receipt, .. } => receipt.as_deref(),
            Self::Retry { .. } | Self::Held { .. } => None,
        }
    }

    pub(super) fn receipt_mut(&mut self) -> Option<&mut NewReceipt> {
        match self {
            Self::Answered { receipt, .. } => Some(receipt),
            Self::GivenUp { receipt, .. } => receipt.as_deref_mut(),
            Self::Retry { .. } | Self::Held { .. } => None,
        }
    }
}

/// Whose failure it is that an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchBlame {
    /// The source's: any webinar would fail.
    Source,
    /// The webinar's own.
    Webinar,
    /// The webinar's own: the platform has no such webinar, or not yet.
    NotFound,
}

/// Whether a webinar in the queue is to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchState {
    /// Yes, now or later.
    Pending,
    /// It was answered, and is asked about once more, since a webhook came near the question.
    Answered,
    /// Not until it is requested again: the platform has no such webinar, or its API cannot be asked about it.
    GivenUp,
    /// Not until it is requested again or redriven: it failed for a week, or a person must confirm that the platform has
    /// no such webinar.
    Dead,
}

impl FetchState {
    /// Whether the webinar is asked about, now or later.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::Answered => true,
            Self::GivenUp | Self::Dead => false,
        }
    }
}

/// A query for webinars in the queue.
#[derive(Debug, Clone, Default)]
pub struct FetchQuery {
    /// Only those of that source.
    pub source: Option<SourceName>,
    /// Only those in that state.
    pub state: Option<FetchState>,
    /// Where to go on: the `next` of the page before.
    pub after: Option<i64>,
    /// The most items, up to [`super::PAGE_MAX`].
    pub limit: usize,
}

/// A webinar in the queue, as the operators' API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchSummary {
    /// The source whose platform is asked.
    pub source: SourceName,
    /// The platform's account, if the request names one.
    pub account: Option<ExternalAccountId>,
    /// The platform's id of the webinar.
    pub webinar: WebinarId,
    /// Whether it is to be fetched.
    pub state: FetchState,
    /// Since when it has been requested.
    #[serde(with = "rfc3339")]
    pub requested_at: Millis,
    /// Failures of the webinar's own, in a row.
    pub attempts: u32,
    /// When the first of them was.
    #[serde(default, with = "rfc3339::option")]
    pub failing_since: Option<Millis>,
    /// The earliest next attempt, while it waits for one.
    #[serde(default, with = "rfc3339::option")]
    pub not_before: Option<Millis>,
    /// When an attempt failed last.
    #[serde(default, with = "rfc3339::option")]
    pub failed_at: Option<Millis>,
    /// Why.
    pub last_error: Option<String>,
}

impl From<FetchTask> for FetchSummary {
    fn from(task: FetchTask) -> Self {
        let FetchTask { id: _, source, account, webinar, row } = task;
        let (failed_at, last_error) =
            row.failure.map(|failure| (failure.at, failure.reason)).unzip();
        Self {
            source,
            account,
            webinar,
            state: row.state,
            requested_at: row.requested_at,
            attempts: row.attempts,
            failing_since: row.failing_since,
            not_before: row.not_before.filter(|_| row.state.is_open()),
            failed_at,
            last_error,
        }
    }
}

/// A request to make dead fetches pending, a bounded piece at a time.
#[derive(Debug, Clone, Default)]
pub struct FetchRedrive {
    /// Only those of that source.
    pub source: Option<SourceName>,
    /// Where to go on: the `next` of the piece before.
    pub after: Option<i64>,
}

/// The state of a source's queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchStatus {
    /// Webinars to fetch, due or not, claimed or not; without those that were answered and are asked about once more.
    pub pending: u64,
    /// Webinars that were given up and not requested again.
    pub given_up: u64,
    /// Dead fetches.
    #[serde(default)]
    pub dead: u64,
    /// The last failure of any of these.
    pub last_error: Option<String>,
}
