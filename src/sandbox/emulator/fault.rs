//! What goes wrong on demand.

use std::time::Duration;

use super::batch::UpsertInput;

/// What befalls an upsert that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmulatorFault {
    /// This status, and nothing is stored: an HTML page from 502 on, as the edge sends it, else JSON.
    Status {
        /// The status.
        status: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// 207: the events whose name holds the text are refused, the others stored.
    PartialErrors {
        /// What the names hold.
        name: String,
        /// Whether the errors say which event they mean; HubSpot promises nothing of that.
        told: bool,
    },
    /// 200 and `COMPLETE` without results, and nothing is stored.
    EmptyResults,
    /// 400 for every batch with an event whose name holds the text; the answer does not say which it is.
    RejectNames(String),
    /// 200 and `COMPLETE`; of the events only the first half, rounded down, is stored and shown.
    FewerResults,
    /// 200 with a batch's status that is not `COMPLETE` (`PENDING`, `PROCESSING`, `CANCELED`), and nothing is stored.
    Unfinished(&'static str),
    /// This status with a web page, as what stands before the API sends it, and nothing is stored.
    HtmlPage(u16),
    /// 429 for the limit of this name, or for one that is not named.
    Limited {
        /// `policyName`.
        policy: Option<&'static str>,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// 403: the app may not write marketing events.
    MissingScopes,
    /// It is answered as by this other fault, and what was sent is stored all the same, so long afterwards.
    StoredLater {
        /// How long: nothing for at once. Requests that come meanwhile are stored before.
        after: Duration,
        /// The answer.
        told: Box<EmulatorFault>,
    },
    /// The answer gets lost.
    Transport {
        /// How.
        fault: TransportFault,
        /// Whether what was sent is stored all the same.
        stored: bool,
    },
}

/// How an answer gets lost. Whoever carries the emulator's answers carries this out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportFault {
    /// Nothing ever comes, and the connection stays open.
    Hang,
    /// The connection is reset before the answer.
    Reset,
    /// The connection ends in the midst of the body.
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

    /// Whether it befalls a request before anybody reads its body.
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
