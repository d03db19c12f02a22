//! The vocabulary: webinars, the changes that platforms report, and the merging of changes.
//!
//! * [`id`]: names and identifiers; every value is valid.
//! * [`time`]: [`Millis`] and the parsing of platforms' times; [`rfc3339`]: times as text in JSON.
//! * [`text`]: cleaning of texts and links.
//! * [`change`]: the change that one webhook reports.
//! * [`register`]: one field's value with its time and provenance; the last writer wins.
//! * [`history`]: earlier writes of a field; [`registers`]: the fields of one webinar or occurrence.
//! * [`webinar`]: the state of one platform object. [`Webinar::merge`] is commutative, associative and idempotent: the
//!   same changes give the same state in any order and with any repetition.
//! * [`mod@fold`]: derives the events of a webinar. Folding happens when events are needed, never on arrival.
//! * [`freeze`]: occurrences of long ago, which nothing reported of the whole series changes any more.
//! * [`gap`]: the reasons for which an event is not sent, or not whole.
//! * [`policy`]: the source's settings that shape events; [`property`]: its custom properties.
//! * [`computed`]: expressions over an event: the filter and computed properties.
//! * [`input`]: the JSON body of one event for HubSpot.
//! * [`fetch_request`]: a webinar to ask the platform's API about.
//! * [`account_status`]: pauses and failures of a HubSpot account, and their changes as data; [`backoff`]: waits that
//!   double with each failure.
//! * [`base`]: what HubSpot held of an event before; [`hubspot_refusal`]: HubSpot's reason for refusing an event; [`event_state_counts`]: an account's events by state.
//!
//! Promises: pure values only, no I/O, no clock. Relies on nothing of ours but [`expression`](crate::expression). Holds
//! nothing that a crash could lose.

pub mod account_status;
pub mod backoff;
pub mod base;
pub mod change;
pub mod computed;
pub mod event_state_counts;
pub mod fetch_request;
pub mod fold;
pub mod freeze;
pub mod gap;
pub mod history;
pub mod hubspot_refusal;
pub mod id;
pub mod input;
pub mod policy;
pub mod property;
pub mod register;
pub mod registers;
pub mod rfc3339;
pub mod text;
pub mod time;
pub mod webinar;

pub use account_status::{
    AccountFailure, AccountStatus, BatchesIgnored, CheckFailed, CredentialsDigest, Identity, Pause,
    PauseReason, ReadsRefused, RetryWait, StatusChange, StatusUpdate,
};
pub use base::{Base, BaseFields, BasePosition, BaseState, EventBases, overlay};
pub use change::{
    Change, ChangeKind, EndTime, OccurrenceChange, OccurrenceListing, RunChange, RunPhase, Shape,
    WebinarFields,
};
pub use computed::{EventExpressionError, compile_event_expression, step_budget};
pub use event_state_counts::EventStateCounts;
pub use fetch_request::{FetchCondition, FetchRequest};
pub use fold::{
    EventFlags, FieldOrigin, FoldedEvent, HeldEvent, HeldEvents, NO_TIMERS, field_origins, fold,
    fold_lazily, fold_with_bases, is_uncertain,
};
pub use gap::Gap;
pub use hubspot_refusal::HubspotRefusal;
pub use id::{
    AccountName, EventKey, ExternalAccountId, ExternalEventId, OccurrenceId, ProviderId, ReceiptId,
    SourceName, WebinarId,
};
pub use input::EventInput;
pub use policy::{EventOwnership, MissingExternalAccount, Policy, RecurringMode};
pub use property::CustomProperty;
pub use register::{BodyHash, Origin, Precedence, Register, Stamp};
pub use time::Millis;
pub use webinar::{MergeError, Webinar};
