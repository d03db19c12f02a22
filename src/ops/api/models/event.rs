//! Events, and sending them again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::time::ApiTime;
use crate::event::{AccountName, ExternalAccountId, ExternalEventId, Gap, ReceiptId, SourceName};
use crate::ledger::{EventDetail, EventState, EventSummary, FieldOrigin, HubspotRefusal};

/// A page of `GET /events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventListModel {
    /// The events, newest first.
    pub events: Vec<EventModel>,
    /// The cursor of the next page; none at the end.
    pub next: Option<String>,
}

/// An event in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventModel {
    /// HubSpot account.
    pub hubspot: AccountName,
    /// Customer's account on the platform.
    pub external_account_id: ExternalAccountId,
    /// Id of the event on the platform.
    pub external_event_id: ExternalEventId,
    /// State; an event in flight is pending.
    pub state: EventState,
    /// Whether a call with the event is under way.
    pub in_flight: bool,
    /// Number that rises with every change of `input`, and with every redrive.
    pub version: i64,
    /// Name as far as known, also while the event is incomplete.
    pub name: Option<String>,
    /// Body that HubSpot is to get; none while the event is incomplete or filtered.
    pub input: Option<Value>,
    /// Reasons for which the event is not sent, or not whole.
    pub gaps: Vec<Gap>,
    /// Time of the last change of `input`.
    pub changed_at: ApiTime,
    /// Time since which the event is pending.
    pub pending_since: Option<ApiTime>,
    /// Time before which the event is not sent.
    pub not_before: Option<ApiTime>,
    /// Failed attempts in a row that count against the event.
    pub attempts: u32,
    /// Time of HubSpot's last confirmation.
    pub confirmed_at: Option<ApiTime>,
    /// HubSpot's id of the record.
    pub object_id: Option<String>,
    /// HubSpot's reason for refusing the event, while it is dead.
    pub refused: Option<RefusalModel>,
    /// Last error since the last confirmation.
    pub last_error: Option<String>,
}

/// HubSpot's reason for refusing an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalModel {
    /// HTTP status.
    pub status: u16,
    /// HubSpot's `category`.
    pub category: String,
    /// HubSpot's `message`.
    pub message: String,
    /// HubSpot's `correlationId`.
    pub correlation_id: Option<String>,
}

/// `GET /events/{hubspot}/{external_account_id}/{external_event_id}`: an event with everything known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventDetailModel {
    /// The event as lists show it.
    #[serde(flatten)]
    pub event: EventModel,
    /// Body that HubSpot confirmed last.
    pub confirmed_input: Option<Value>,
    /// Time at which the event's completion timer runs out.
    pub due_at: Option<ApiTime>,
    /// Time of the second send after an ambiguous one.
    pub resend_at: Option<ApiTime>,
    /// Origin of each field's present value.
    pub fields: Vec<FieldModel>,
    /// Latest retained receipts of the event, newest first.
    pub receipts: Vec<ReceiptId>,
}

/// The origin of a field's present value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldModel {
    /// Name of the field.
    pub field: String,
    /// Value of the field.
    pub value: Value,
    /// Whether the value was reported for this occurrence, not for the whole series.
    pub of_occurrence: bool,
    /// Time that orders writes of the field.
    pub at: ApiTime,
    /// Receipt that set the value; it may be expired.
    pub receipt: ReceiptId,
    /// Source of the receipt.
    pub source: SourceName,
    /// Platform's name of the webhook.
    pub event_type: String,
    /// Platform's own time of the change.
    pub reported_at: Option<ApiTime>,
    /// Time of receipt.
    pub received_at: ApiTime,
}

/// `POST .../redrive` of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveModel {
    /// New state of the event.
    pub state: EventState,
}

/// `POST /events/redrive`: sending many events again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkRedriveModel {
    /// Number of events that are sent again.
    pub redriven: u64,
    /// Cursor at which to go on; none when all are done.
    pub next: Option<String>,
}

impl From<EventSummary> for EventModel {
    fn from(event: EventSummary) -> Self {
        Self {
            hubspot: event.key.hubspot,
            external_account_id: event.key.external_account_id,
            external_event_id: event.key.external_event_id,
            state: event.state,
            in_flight: event.in_flight,
            version: event.version,
            name: event.name,
            input: input(event.input.as_deref()),
            gaps: event.gaps,
            changed_at: event.changed_at.into(),
            pending_since: event.pending_since.map(ApiTime),
            not_before: event.not_before.map(ApiTime),
            attempts: event.attempts,
            confirmed_at: event.confirmed_at.map(ApiTime),
            object_id: event.object_id,
            refused: event.refused.map(RefusalModel::from),
            last_error: event.last_error,
        }
    }
}

impl From<EventDetail> for EventDetailModel {
    fn from(detail: EventDetail) -> Self {
        Self {
            event: detail.summary.into(),
            confirmed_input: input(detail.confirmed_input.as_deref()),
            due_at: detail.due_at.map(ApiTime),
            resend_at: detail.resend_at.map(ApiTime),
            fields: detail.fields.into_iter().map(FieldModel::from).collect(),
            receipts: detail.receipts,
        }
    }
}

impl From<FieldOrigin> for FieldModel {
    fn from(origin: FieldOrigin) -> Self {
        Self {
            field: origin.field,
            value: origin.value,
            of_occurrence: origin.of_occurrence,
            at: origin.at.into(),
            receipt: origin.receipt,
            source: origin.source,
            event_type: origin.event_type,
            reported_at: origin.reported_at.map(ApiTime),
            received_at: origin.received_at.into(),
        }
    }
}

impl From<HubspotRefusal> for RefusalModel {
    fn from(refusal: HubspotRefusal) -> Self {
        let HubspotRefusal { status, category, message, correlation_id } = refusal;
        Self { status, category, message, correlation_id }
    }
}

/// A stored body, which is JSON.
fn input(bytes: Option<&[u8]>) -> Option<Value> {
    bytes.and_then(|bytes| serde_json::from_slice(bytes).ok())
}
