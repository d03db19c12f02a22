//! The plan for a rebuilt webinar: whether it may replace the stored one, and what becomes of its events.

use sha2::{Digest, Sha256};

use super::accept::MergeRefused;
use super::event_row::{ConfirmedInput, EventRow};
use super::ownership::check_ownership;
use super::stored_input::{CANCELLED, replace_flags};
use crate::event::{Millis, ReceiptId, SourceName, Webinar};
use crate::ledger::{
    EventState, InputHash, Policies, RebuildRequest, RebuiltWebinar, WebinarKey, WebinarState,
};

/// A checksum of the receipts that built a webinar, in their order: if it is the same, so are the receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptChecksum([u8; 32]);

impl ReceiptChecksum {
    /// The checksum of these receipts.
    #[must_use]
    pub fn from_receipts(receipts: &[ReceiptId]) -> Self {
        let mut hash = Sha256::new();
        for receipt in receipts {
            hash.update(receipt.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

/// Whether every webinar that the replayed receipt built is among those to rebuild.
#[must_use]
pub fn covers_all_webinars(request: &RebuildRequest, built: &[WebinarKey]) -> bool {
    built.iter().all(|key| request.webinars.iter().any(|webinar| webinar.before.key == *key))
}

/// Checks that the replayed receipt's source may contribute to a webinar of a rebuild.
///
/// # Errors
/// [`MergeRefused::ForeignWebinar`] if the webinar is another source's.
pub fn check_rebuild(
    policies: &Policies,
    source: &SourceName,
    rebuilt: &RebuiltWebinar,
) -> Result<(), MergeRefused> {
    if rebuilt.contributes {
        check_ownership(policies, source, &rebuilt.before.webinar)
    } else {
        Ok(())
    }
}

/// The plan for one webinar of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebinarPlan {
    /// Another change came since it was read: nothing of the rebuild may be kept.
    Stale,
    /// It was not there and still is not.
    Nothing,
    /// It stays as it is, but for whether the receipt contributes to it.
    Link,
    /// The rebuilt state is stored, and its events are reconciled with it.
    Replace,
    /// The rebuilt, empty state is stored, and its events are deleted where they may be.
    Empty,
    /// The receipt is about another webinar today: an empty state is stored, and its events are cancelled where HubSpot may
    /// hold them, else deleted.
    Moved,
}

/// Whether the webinar was moved: the replayed receipt contributes to another webinar of the rebuild instead, and no receipt
/// that can still be read speaks of this one.
///
/// The reports of receipts that are gone are no reason to keep it: they were mapped as this one was.
#[must_use]
pub fn is_moved(request: &RebuildRequest, from: &RebuiltWebinar) -> bool {
    let others = request.webinars.iter().filter(|other| other.before.key != from.before.key);
    let before = &from.before;
    let is_gone =
        |id: &ReceiptId| before.webinar.origins.contains_key(id) && !before.retained.contains(id);
    let is_last = from.webinar.origins.keys().all(is_gone);
    !from.contributes && is_last && others.into_iter().any(|other| other.contributes)
}

/// An event of a webinar that was moved to another id, cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledEvent {
    /// The event from now on.
    pub row: EventRow,
    /// The input for HubSpot from now on.
    pub input: Vec<u8>,
    /// The change of the confirmed input.
    pub confirmed_input: ConfirmedInput,
}

/// Cancels an event that no longer follows. `input` is what HubSpot confirmed last, else what was to be sent. None if
/// HubSpot cannot know the event, or the input cancels it already.
#[must_use]
pub fn cancel_moved(before: &EventRow, input: &[u8], at: Millis) -> Option<CancelledEvent> {
    if !before.may_be_known_to_hubspot() {
        return None;
    }
    let input = replace_flags(input, &[(CANCELLED, true)])?;
    let hash = InputHash::from_input(&input);
    let is_present_confirmed =
        before.confirmed_hash.is_some() && before.input_hash == before.confirmed_hash;
    let confirmed_input =
        if is_present_confirmed { ConfirmedInput::TakePresent } else { ConfirmedInput::Keep };
    Some(CancelledEvent {
        row: before.clone().with_content(EventState::Pending, Some(hash), Vec::new(), at),
        input,
        confirmed_input,
    })
}

/// Plans a webinar of a rebuild. `now` is its stored state; it has a row if `exists`.
#[must_use]
pub fn plan_webinar(
    rebuilt: &RebuiltWebinar,
    now: &WebinarState,
    exists: bool,
    is_moved: bool,
) -> WebinarPlan {
    let RebuiltWebinar { before, webinar, .. } = rebuilt;
    let is_changed = *webinar != before.webinar;
    match (is_changed, exists) {
        _ if now != before => WebinarPlan::Stale,
        (false, false) => WebinarPlan::Nothing,
        (false, true) => WebinarPlan::Link,
        (true, _) if is_moved => WebinarPlan::Moved,
        (true, _) if *webinar == Webinar::default() => WebinarPlan::Empty,
        (true, _) => WebinarPlan::Replace,
    }
}

#[cfg(test)]
mod tests;
