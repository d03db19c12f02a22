//! Every event and every receipt of a ledger.

use std::collections::BTreeSet;

use async_trait::async_trait;
use webinar_bridge::event::ReceiptId;
use webinar_bridge::ledger::{
    Browse, EventQuery, EventSummary, LedgerError, PAGE_MAX, ReceiptQuery,
};

/// Reads every event, or every receipt.
#[async_trait]
pub(crate) trait AllEvents {
    /// Every event, by key, from all pages of the list.
    async fn all_events(&self) -> Result<Vec<EventSummary>, LedgerError>;

    /// Every receipt, from all pages of the list.
    async fn all_receipts(&self) -> Result<BTreeSet<ReceiptId>, LedgerError>;
}

#[async_trait]
impl<T: Browse + ?Sized> AllEvents for T {
    async fn all_events(&self) -> Result<Vec<EventSummary>, LedgerError> {
        let mut events = Vec::new();
        let mut query = EventQuery { limit: PAGE_MAX, ..EventQuery::default() };
        loop {
            let page = self.list_events(query.clone()).await?;
            events.extend(page.items);
            query.after = page.next;
            if query.after.is_none() {
                events.sort_by(|one, other| one.key.cmp(&other.key));
                return Ok(events);
            }
        }
    }
    async fn all_receipts(&self) -> Result<BTreeSet<ReceiptId>, LedgerError> {
        let mut receipts = BTreeSet::new();
        let mut query = ReceiptQuery { limit: PAGE_MAX, ..ReceiptQuery::default() };
        loop {
            let page = self.list_receipts(query.clone()).await?;
            receipts.extend(page.items.iter().map(|receipt| receipt.id));
            query.after = page.next;
            if query.after.is_none() {
                return Ok(receipts);
            }
        }
    }
}
