//! The vocabulary: what a webinar is, what can be said of one, and how sayings merge.
//!
//! * [`id`]: names and identifiers; one that exists is valid.
//! * [`time`]: [`Millis`] and the parsing of platforms' times.
//! * [`text`]: what text and links may be kept.
//! * [`change`]: what one webhook says.
//! * [`register`]: one field's value with its time and provenance; last writer wins.
//! * [`history`]: what lost, where that matters; [`registers`]: the fields of one webinar or occurrence.
//! * [`webinar`]: everything known of one platform object; [`Webinar::merge`] is commutative, associative and
//!   idempotent, so any order and any repetition of the same changes ends in the same state.
//! * [`mod@fold`]: the events that follow from a webinar, resolved afresh each time, never on arrival.
//! * [`computed`]: expressions over an event: a filter, and properties that follow from it.
//! * [`input`]: the body HubSpot gets for one event.
//! * [`wanted`]: what a webhook leaves out.
//!
//! Promises: pure values only, no I/O, no clock. Relies on nothing of ours but [`expression`](crate::expression).

pub mod change;
pub mod computed;
pub mod fetch_request;
pub mod fold;
pub mod gap;
pub mod history;
pub mod id;
pub mod input;
pub mod policy;
pub mod property;
pub mod register;
pub mod registers;
pub mod text;
pub mod time;
pub mod webinar;

pub use change::{
    Change, ChangeKind, EndTime, OccurrenceChange, OccurrenceListing, RunChange, RunPhase, Shape,
    WebinarFields,
};
pub use computed::{EventExpressionError, compile_event_expression};
pub use fetch_request::{FetchCondition, FetchRequest};
pub use fold::{FoldedEvent, ValueOrigin, fold, fold_lazily, value_origins};
pub use gap::Gap;
pub use id::{
    AccountName, EventKey, ExternalAccountId, ExternalEventId, OccurrenceId, ProviderId, ReceiptId,
    SourceName, WebinarId,
};
pub use input::EventInput;
pub use policy::{MissingExternalAccount, Policy, RecurringMode};
pub use property::CustomProperty;
pub use register::{BodyHash, Origin, Rank, Register, Stamp};
pub use time::Millis;
pub use webinar::{MergeError, Webinar};
