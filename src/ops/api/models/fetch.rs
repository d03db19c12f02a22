//! Fetches from the platforms' APIs.

use serde::{Deserialize, Serialize};

use crate::event::{SourceName, WebinarId};
use crate::ledger::FetchSummary;

/// A page of `GET /fetches`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchListModel {
    /// What platforms are to be asked, newest first.
    pub fetches: Vec<FetchSummary>,
    /// The cursor of the next page; none at the end.
    pub next: Option<String>,
}

/// A page of `GET /sources/{source}/webinars`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComingWebinarsModel {
    /// The platform's ids of the source's webinars that are to come.
    pub webinars: Vec<WebinarId>,
    /// The cursor of the next page; none at the end.
    pub next: Option<String>,
}

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
