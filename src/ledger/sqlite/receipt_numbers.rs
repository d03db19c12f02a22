//! The numbers of receipts.

use rusqlite::Connection;

use super::statements::Statements as _;

/// The last number that a receipt had, in the file or in a commit that failed. A number is never given again, not even that
/// of a deleted receipt: what was read at HubSpot lies above a number.
pub(super) struct ReceiptNumbers {
    last: i64,
}

impl ReceiptNumbers {
    /// Goes on after the last number in the file.
    pub(super) fn after(connection: &Connection) -> rusqlite::Result<Self> {
        let last = connection.value(
            "SELECT max(coalesce((SELECT max(seq) FROM receipts), 0),
                 coalesce((SELECT last_receipt FROM store WHERE id = 0), 0))",
            (),
        )?;
        Ok(Self { last })
    }

    /// The last number.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// A new number.
    pub(super) fn next(&mut self) -> i64 {
        self.last += 1;
        self.last
    }
}
