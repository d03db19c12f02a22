//! Every event of a ledger.

use async_trait::async_trait;
use webinar_bridge::ledger::{Browse, EventQuery, EventSummary, LedgerError, PAGE_MAX};

/// Reads every event.
#[async_trait]
pub(crate) trait AllEvents {
    /// Every event, by key, from all pages of the list.
    async fn all_events(&self) -> Result<Vec<EventSummary>, LedgerError>;
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
}
