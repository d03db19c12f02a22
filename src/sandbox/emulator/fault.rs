//! What goes wrong on demand.

use super::batch::Input;

/// What befalls an upsert that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
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
    /// 403: the app may not write marketing events.
    MissingScopes,
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

impl Fault {
    pub(super) fn concerns(&self, batch: &[Input]) -> bool {
        match self {
            Self::PartialErrors { name, .. } | Self::RejectNames(name) => {
                batch.iter().any(|input| input.event_name.contains(name))
            }
            Self::Status { .. }
            | Self::EmptyResults
            | Self::MissingScopes
            | Self::Transport { .. } => true,
        }
    }
}
