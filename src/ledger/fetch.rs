//! What is to be asked of the platforms' APIs, and what became of it.
//!
//! A queue with a row for each source, webinar and account: what is wanted again while it waits is asked for once, and
//! what is wanted again while it is being asked for is asked for once more, since the answer under way may be older. One
//! worker for each source takes what is due; it knows itself what it has under way, so a crash leaves everything due.

use super::NewReceipt;
use crate::event::{ExternalAccountId, Millis, SourceName, WebinarId};

/// A webinar to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchTask {
    /// The ledger's own number of the row; never used again for another.
    pub id: i64,
    /// The source whose API is to be asked.
    pub source: SourceName,
    /// The platform's account, if whoever wanted it named one.
    pub account: Option<ExternalAccountId>,
    /// The platform's id of the webinar.
    pub webinar: WebinarId,
    /// Rises each time that it is wanted.
    pub version: i64,
    /// Since when it has been wanted.
    pub requested_at: Millis,
    /// How often in a row it came back as [`FetchOutcome::Later`] for a failure of its own.
    pub attempts: u32,
}

/// The answer to asking for what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchClaim {
    /// These, now; what has been due for longest comes first.
    pub tasks: Vec<FetchTask>,
    /// When the next is due that is not yet; it may be one that is under way.
    pub next_due: Option<Millis>,
}

/// What became of a task.
#[derive(Debug, Clone)]
pub enum FetchOutcome {
    /// The platform answered.
    Answered(Box<NewReceipt>),
    /// Try again, not before then.
    Retry {
        /// The earliest next attempt; [`super::LONGEST_WAIT`] from now at the latest.
        not_before: Millis,
        /// Why, for showing.
        reason: String,
        /// Whether it counts as an attempt: the platform does not have the webinar, or calls the question wrong. What passes by
        /// itself, or when somebody puts it right, says nothing of the webinar.
        counted: bool,
    },
    /// Asking again is of no use until it is wanted again.
    GivenUp {
        /// Why, for showing.
        why: String,
        /// What follows from that, if anything: what is not there any more is cancelled.
        says: Option<Box<NewReceipt>>,
    },
}

impl FetchOutcome {
    /// The receipt that it brings.
    #[must_use]
    pub fn receipt(&self) -> Option<&NewReceipt> {
        match self {
            Self::Answered(receipt) => Some(receipt),
            Self::GivenUp { says, .. } => says.as_deref(),
            Self::Retry { .. } => None,
        }
    }
}

/// How asking a source's API stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchStatus {
    /// What is to be asked for, due or not, under way or not.
    pub pending: u64,
    /// What was given up and has not been wanted again.
    pub given_up: u64,
    /// What went wrong last with any of these.
    pub last_error: Option<String>,
}
