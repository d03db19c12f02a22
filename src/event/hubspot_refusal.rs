//! HubSpot's reason for refusing an event.

use serde::{Deserialize, Serialize};

/// HubSpot's reason for refusing an event. The ledger stores it as JSON with these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubspotRefusal {
    /// HTTP status.
    pub status: u16,
    /// HubSpot's `category`: `VALIDATION_ERROR`. `UNKNOWN` if there is none, or none that can be one.
    pub category: String,
    /// HubSpot's `message`, bounded.
    pub message: String,
    /// HubSpot's `correlationId`.
    pub correlation_id: Option<String>,
}
