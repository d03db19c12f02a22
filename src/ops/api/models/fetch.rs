//! Fetches from the platforms' APIs.

use serde::{Deserialize, Serialize};

use crate::event::SourceName;
use crate::ledger::FetchStatus;

/// `POST /sources/{source}/webinars/{id}/fetch`: a fetch was requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequestModel {
    /// Source.
    pub source: SourceName,
    /// Fetches of the source that wait.
    pub fetch: PendingFetchesModel,
}

/// The number of fetches that wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingFetchesModel {
    /// Number of fetches that wait.
    pub pending: u64,
}

/// Progress of fetching from a source's platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchStatusModel {
    /// Number of fetches that wait.
    pub pending: u64,
    /// Number of fetches that were given up.
    pub given_up: u64,
    /// Last failure.
    pub last_error: Option<String>,
}

impl From<FetchStatus> for FetchStatusModel {
    fn from(status: FetchStatus) -> Self {
        let FetchStatus { pending, given_up, last_error } = status;
        Self { pending, given_up, last_error }
    }
}

impl From<FetchStatusModel> for FetchStatus {
    fn from(model: FetchStatusModel) -> Self {
        let FetchStatusModel { pending, given_up, last_error } = model;
        Self { pending, given_up, last_error }
    }
}
