//! Faults that are injected on demand.

use std::time::Duration;

use super::batch::UpsertInput;

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
    /// 200 and `COMPLETE` without results, and nothing is stored.
    EmptyResults,
    /// 400 for every batch with an event whose name contains the text, without naming the event.
    RejectNames(String),
    /// 200 and `COMPLETE`, but only the first half of the events, rounded down, is stored and returned.
    FewerResults,
    /// 200 with a batch status other than `COMPLETE` (`PENDING`, `PROCESSING`, `CANCELED`), and nothing is stored.
    Unfinished(&'static str),
    /// This status with a web page, as sent by a proxy before the API, and nothing is stored.
    HtmlPage(u16),
    /// 429 for a named or an unnamed limit.
    Limited {
        /// `policyName` of the limit.
        policy: Option<&'static str>,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// 403: the app lacks the scope to write marketing events.
    MissingScopes,
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
        fault: TransportFault,
        /// Whether the batch is stored all the same.
        stored: bool,
    },
}

/// A way in which a reply is lost. The caller of the emulator carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportFault {
    /// No reply comes, and the connection stays open.
    Hang,
    /// The connection is reset before the reply.
    Reset,
    /// The connection ends within the body.
    Truncate,
}

impl EmulatorFault {
    pub(super) fn applies_to(&self, batch: &[UpsertInput]) -> bool {
        match self {
            Self::PartialErrors { name, .. } | Self::RejectNames(name) => {
                batch.iter().any(|input| input.event_name.contains(name))
            }
            Self::Status { .. }
            | Self::EmptyResults
            | Self::FewerResults
            | Self::Unfinished(_)
            | Self::HtmlPage(_)
            | Self::Limited { .. }
            | Self::MissingScopes
            | Self::StoredLater { .. }
            | Self::Transport { .. } => true,
        }
    }

    /// Whether the fault occurs before the body is read.
    pub(super) fn precedes_body(&self) -> bool {
        match self {
            Self::Status { .. }
            | Self::HtmlPage(_)
            | Self::Limited { .. }
            | Self::MissingScopes
            | Self::Transport { stored: false, .. } => true,
            Self::PartialErrors { .. }
            | Self::EmptyResults
            | Self::FewerResults
            | Self::Unfinished(_)
            | Self::RejectNames(_)
            | Self::StoredLater { .. }
            | Self::Transport { stored: true, .. } => false,
        }
    }
}
