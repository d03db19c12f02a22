//! The origin of a field of an event.

use serde::Serialize;
use serde_json::Value;

use crate::event::id::{ReceiptId, SourceName};
use crate::event::rfc3339;
use crate::event::time::Millis;

/// The origin of a field's present value. Serializes as the operators' API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldOrigin {
    /// The field: `name`, `start`, `custom.webinar_platform`.
    pub field: String,
    /// The value.
    pub value: Value,
    /// The value was reported for this occurrence, not for the whole webinar or series.
    pub of_occurrence: bool,
    /// The time that decides between writes.
    #[serde(with = "rfc3339")]
    pub at: Millis,
    /// The receipt, which may be deleted by now.
    pub receipt: ReceiptId,
    /// The receipt's source.
    pub source: SourceName,
    /// The platform's name of the webhook.
    pub event_type: String,
    /// The platform's own time of the webhook.
    #[serde(default, with = "rfc3339::option")]
    pub reported_at: Option<Millis>,
    /// When it arrived.
    #[serde(with = "rfc3339")]
    pub received_at: Millis,
}
