//! The changes that a stored receipt yields today.

use std::collections::BTreeMap;

use crate::event::{Change, FetchRequest};
use crate::intake::{Source, StoredReceipt};
use crate::ledger::WebinarKey;
use crate::providers::PayloadContent;

/// The changes of one receipt, by webinar.
pub(super) type ChangesByWebinar = BTreeMap<WebinarKey, Vec<Change>>;

/// A receipt, mapped by today's code and configuration.
pub(super) enum Mapped {
    /// The receipt yields these changes, and the platform's API should be asked for these webinars.
    Changes(ChangesByWebinar, Vec<FetchRequest>),
    /// The receipt is about no webinar.
    Ignored,
    /// The receipt cannot be mapped; the reason, for operators.
    Unmappable(String),
}

impl Mapped {
    /// Maps a stored receipt as an incoming one.
    pub(super) fn from_stored(source: &Source, stored: &StoredReceipt<'_>) -> Self {
        let payload = source.read_stored(stored);
        let changes = match payload.content {
            PayloadContent::Changes { changes, .. } => changes,
            PayloadContent::Ignored | PayloadContent::Handshake(_) => return Self::Ignored,
            PayloadContent::Unmappable(reason) => return Self::Unmappable(reason),
        };
        let mut by_webinar = ChangesByWebinar::new();
        for change in changes {
            match source.webinar_key(&change) {
                Ok(key) => by_webinar.entry(key).or_default().push(change),
                Err(missing) => return Self::Unmappable(missing.to_string()),
            }
        }
        Self::Changes(by_webinar, payload.fetch_requests)
    }

    /// The fetches that the receipt requires from the platform's API.
    pub(super) fn fetch_requests(&self) -> Vec<FetchRequest> {
        match self {
            Self::Changes(_, requests) => requests.clone(),
            Self::Ignored | Self::Unmappable(_) => Vec::new(),
        }
    }
}
