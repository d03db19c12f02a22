//! The origin of a field of an event.

use serde_json::Value;

use crate::event::id::{ReceiptId, SourceName};
use crate::event::time::Millis;

/// The origin of a field's present value.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldOrigin {
    /// The field: `name`, `start`, `custom.webinar_platform`.
    pub field: String,
    /// The value.
    pub value: Value,
    /// The value was reported for this occurrence, not for the whole webinar or series.
    pub of_occurrence: bool,
    /// The time that decides between writes.
    pub at: Millis,
    /// The receipt, which may be deleted by now.
    pub receipt: ReceiptId,
    /// The receipt's source.
    pub source: SourceName,
    /// The platform's name of the webhook.
    pub event_type: String,
    /// The platform's own time of the webhook.
    pub reported_at: Option<Millis>,
    /// When it arrived.
    pub received_at: Millis,
}
