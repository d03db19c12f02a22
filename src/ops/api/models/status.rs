//! The status of the whole service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::AccountStatusModel;
use crate::event::{AccountName, EventStateCounts, Millis, ProviderId, SourceName, rfc3339};
use crate::ledger::FetchStatus;

/// `GET /status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusModel {
    /// Version of the program.
    pub version: String,
    /// Revision that the program was built from.
    pub revision: String,
    /// Present time.
    #[serde(with = "rfc3339")]
    pub now: Millis,
    /// Time since the start, in seconds.
    pub uptime_seconds: u64,
    /// The machine's clock.
    #[serde(default)]
    pub clock: ClockModel,
    /// The store.
    pub store: StoreModel,
    /// The HubSpot accounts.
    pub accounts: Vec<AccountModel>,
    /// The sources.
    pub sources: Vec<SourceModel>,
}

/// The machine's clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockModel {
    /// How far it is ahead of HubSpot's, in seconds; none until HubSpot has answered.
    pub skew_seconds: Option<f64>,
    /// Why it is doubted, so that nothing is deleted or completed by time alone.
    pub doubt: Option<String>,
}

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreModel {
    /// Whether the store can be written.
    pub ok: bool,
    /// Reason for which it cannot.
    pub problem: Option<String>,
    /// Size of the store, in bytes; none while the file system does not answer.
    pub bytes: Option<u64>,
    /// Free space beside it, in bytes.
    pub free_bytes: Option<u64>,
    /// Size of its log, in bytes.
    pub wal_bytes: Option<u64>,
}

/// A HubSpot account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountModel {
    /// Name of the account.
    pub hubspot: AccountName,
    /// Number of its events by state.
    pub events: EventStateCounts,
    /// Time since which its oldest pending event is pending.
    #[serde(default, with = "rfc3339::option")]
    pub oldest_pending_since: Option<Millis>,
    /// Age of its oldest pending event, in seconds.
    pub oldest_pending_age_seconds: Option<u64>,
    /// Status of the account.
    #[serde(flatten)]
    pub status: AccountStatusModel,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceModel {
    /// Name of the source.
    pub source: SourceName,
    /// Provider of the source.
    pub provider: ProviderId,
    /// Time of its last authentic webhook.
    #[serde(default, with = "rfc3339::option")]
    pub last_webhook_at: Option<Millis>,
    /// Number of its webhooks since the start, by outcome.
    pub webhooks_since_start: BTreeMap<String, u64>,
    /// Fetches from its platform.
    pub fetch: FetchStatus,
}
