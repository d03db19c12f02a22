//! Faults that are injected on demand.

use std::time::Duration;

use super::batch::UpsertInput;
use crate::http::simple_server::ResponseFault;

/// A fault of an admitted upsert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmulatorFault {
    /// The reply has this status and nothing is stored: from 502 on an HTML page, as the edge sends it, else JSON.
    Status {
        /// HTTP status.
        status: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// 207: events whose name contains a text are refused, the others stored.
    PartialErrors {
        /// Text in the names.
        name: String,
        /// Whether the errors name their event, which HubSpot does not promise.
        identified: bool,
    },
    /// 400 for every batch with an event whose name contains the text, without naming the event.
    RejectNames(String),
    /// 200 and `COMPLETE`, but only the first half of the events, rounded down, is stored and returned.
    FewerResults,
    /// 200 with this batch status (`COMPLETE`, `PENDING`, `PROCESSING`, `CANCELED`) and without results, and nothing is
    /// stored.
    NoResults(&'static str),
    /// 400 `UNIQUE_VALUE_CONFLICT`, as seen live when two calls make an event at once, and nothing is stored.
    Conflict,
    /// This status with a web page, as sent by a proxy before the API, and nothing is stored.
    HtmlPage(u16),
    /// 429 for a named or an unnamed limit.
    Limited {
        /// `policyName` of the limit.
        policy: Option<&'static str>,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// The reply is that of another fault, and the batch is stored after a delay all the same.
    StoredLater {
        /// Delay; zero stores it at once. Requests that arrive meanwhile are stored first.
        after: Duration,
        /// Fault that makes the reply.
        reply: Box<EmulatorFault>,
    },
    /// The reply is lost.
    Transport {
        /// Kind of loss.
        fault: ResponseFault,
        /// Whether the batch is stored all the same.
        stored: bool,
    },
}

/// No reply comes: the server holds it for longer than any client waits.
pub const HANG: ResponseFault = ResponseFault::Hang(Duration::from_mins(10));

impl EmulatorFault {
    pub(super) fn applies_to(&self, batch: &[UpsertInput]) -> bool {
        let (Self::PartialErrors { name, .. } | Self::RejectNames(name)) = self else {
            return true;
        };
        batch.iter().any(|input| input.event_name.contains(name))
    }

    /// Whether the fault may occur in a single write too.
    pub(super) fn concerns_single(&self) -> bool {
        !matches!(self, Self::FewerResults | Self::NoResults(_))
    }

    /// Whether the fault occurs before the body is read.
    pub(super) fn precedes_body(&self) -> bool {
        matches!(
            self,
            Self::Status { .. }
                | Self::HtmlPage(_)
                | Self::Limited { .. }
                | Self::Transport { stored: false, .. }
        )
    }
}
