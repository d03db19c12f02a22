//! Where a change comes from, and its place among others.

use crate::event::id::ReceiptId;
use crate::event::register::Origin;
use crate::event::time::Millis;

/// Where a change comes from, and its place among others.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// Receipt that holds the change.
    pub receipt: ReceiptId,
    /// Place of the receipt among those of the webinar.
    pub order: ReceiptOrder,
    /// Place of the change among those of the receipt.
    pub place: u32,
    /// Source and times of the receipt.
    pub origin: Origin,
}

/// Place of a receipt among those of a webinar, as it was when the receipt was merged. A replay uses it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptOrder {
    /// Sequence number of the first receipt of the webinar with the same body. Orders equal times.
    pub seq: u64,
    /// Time of changes that have none of their own: when the receipt arrived, or the newest receipt before it, if that
    /// was dated later.
    pub at: Millis,
}
