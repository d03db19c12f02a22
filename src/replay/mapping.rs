//! The changes that a stored receipt yields today.

use std::collections::BTreeMap;

use crate::event::{Change, FetchRequest, MissingExternalAccount};
use crate::intake::Source;
use crate::ledger::{ReceiptOutcome, ReceiptRecord, WebinarKey};
use crate::providers::PayloadContent;

/// The changes of one receipt, by webinar, each with its place among all.
pub(super) type ChangesByWebinar = BTreeMap<WebinarKey, Vec<(usize, Change)>>;

/// A receipt, mapped by today's code and configuration.
pub(super) struct Mapped {
    /// The outcome and the changes; or the reason, for operators, for which the receipt cannot be mapped.
    pub(super) content: Result<(ReceiptOutcome, ChangesByWebinar), String>,
    /// The webinars that the platform's API should be asked for.
    pub(super) fetch_requests: Vec<FetchRequest>,
}

impl Mapped {
    /// Maps a stored receipt, which has that body, as an incoming one.
    pub(super) fn from_stored(source: &Source, receipt: &ReceiptRecord, body: &[u8]) -> Self {
        let payload = source.reread_receipt(&receipt.summary, &receipt.headers, body);
        let content = match payload.content {
            PayloadContent::Changes { changes, .. } => by_webinar(source, changes)
                .map(|changes| (ReceiptOutcome::Accepted, changes))
                .map_err(|missing| missing.to_string()),
            PayloadContent::Ignored | PayloadContent::Excluded | PayloadContent::Handshake(_) => {
                Ok((ReceiptOutcome::Ignored, ChangesByWebinar::new()))
            }
            PayloadContent::Unmappable(reason) => Err(reason),
        };
        let is_accepted = matches!(content, Ok((ReceiptOutcome::Accepted, _)));
        let fetch_requests = if is_accepted { payload.fetch_requests } else { Vec::new() };
        Self { content, fetch_requests }
    }
}

fn by_webinar(
    source: &Source,
    changes: Vec<Change>,
) -> Result<ChangesByWebinar, MissingExternalAccount> {
    let mut by_webinar = ChangesByWebinar::new();
    for (place, change) in changes.into_iter().enumerate() {
        by_webinar.entry(source.webinar_key(&change)?).or_default().push((place, change));
    }
    Ok(by_webinar)
}
