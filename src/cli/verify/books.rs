//! The ledger as `verify` needs it: in this process if the store is free, else through the API of the service that has
//! it.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::cli::service::Service;
use crate::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId};
use crate::ledger::{EventState, EventSummary, EventsAsk, Ledger, Redriven};
use crate::net::Method;

/// Events of a page. A page is held in memory whole, and an event may have 65,000 characters of description.
const PAGE: usize = 50;

/// A delivered event as the ledger has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: EventKey,
    /// What HubSpot confirmed.
    pub(super) input: Value,
}

/// The ledger, wherever it is.
#[async_trait]
pub(super) trait Books: Send + Sync {
    /// A page of the account's delivered events, and where to go on.
    async fn page(
        &self,
        account: &AccountName,
        after: Option<String>,
    ) -> anyhow::Result<(Vec<Entry>, Option<String>)>;

    /// The event as it is now, if it is delivered.
    async fn look(&self, key: &EventKey) -> anyhow::Result<Option<Entry>>;

    /// Has it sent again.
    async fn redrive(&self, key: &EventKey) -> anyhow::Result<()>;

    /// When what is to be sent again is sent.
    fn sent(&self) -> &'static str;
}

/// The store, opened by this process.
pub(super) struct Own(pub(super) Arc<dyn Ledger>);

#[async_trait]
impl Books for Own {
    async fn page(
        &self,
        account: &AccountName,
        after: Option<String>,
    ) -> anyhow::Result<(Vec<Entry>, Option<String>)> {
        let ask = EventsAsk {
            account: Some(account.clone()),
            state: Some(EventState::Delivered),
            after: after.map(|after| after.parse()).transpose()?,
            most: PAGE,
            ..EventsAsk::default()
        };
        let page = self.0.page_events(ask).await?;
        let entries = page.items.into_iter().map(entry).collect::<anyhow::Result<_>>()?;
        Ok((entries, page.next.map(|next| next.to_string())))
    }

    async fn look(&self, key: &EventKey) -> anyhow::Result<Option<Entry>> {
        let event = self.0.event(key).await?.map(|detail| detail.summary);
        event.filter(|event| event.state == EventState::Delivered).map(entry).transpose()
    }

    async fn redrive(&self, key: &EventKey) -> anyhow::Result<()> {
        match self.0.redrive(key).await? {
            // Deleted or incomplete by now: it is not to be sent.
            Redriven::Pending | Redriven::Incomplete | Redriven::Filtered | Redriven::Unknown => {
                Ok(())
            }
        }
    }

    fn sent(&self) -> &'static str {
        "when the service runs"
    }
}

fn entry(event: EventSummary) -> anyhow::Result<Entry> {
    let input = event.input.context("a delivered event without an input")?;
    Ok(Entry { key: event.key, input: serde_json::from_slice(&input)? })
}

/// An event as the API shows it, as far as it is of use.
#[derive(Deserialize)]
struct Shown {
    hubspot: AccountName,
    external_account_id: ExternalAccountId,
    external_event_id: ExternalEventId,
    state: String,
    input: Value,
}

#[derive(Deserialize)]
struct Listed {
    events: Vec<Shown>,
    next: Option<String>,
}

fn event_url(service: &Service, key: &EventKey, more: &[&str]) -> anyhow::Result<Url> {
    let EventKey { hubspot, external_account_id, external_event_id } = key;
    let ids =
        ["events", hubspot.as_str(), external_account_id.as_str(), external_event_id.as_str()];
    service.url(&[ids.as_slice(), more].concat())
}

#[async_trait]
impl Books for Service {
    async fn page(
        &self,
        account: &AccountName,
        after: Option<String>,
    ) -> anyhow::Result<(Vec<Entry>, Option<String>)> {
        let mut url = self.url(&["events"])?;
        url.query_pairs_mut()
            .append_pair("hubspot", account.as_str())
            .append_pair("state", "delivered")
            .append_pair("limit", &PAGE.to_string())
            .append_pair("cursor", after.as_deref().unwrap_or_default());
        let body =
            self.ask(Method::Get, url).await?.context("the service has no list of events")?;
        let listed: Listed = serde_json::from_slice(&body)?;
        Ok((listed.events.into_iter().map(Shown::entry).collect(), listed.next))
    }

    async fn look(&self, key: &EventKey) -> anyhow::Result<Option<Entry>> {
        let body = self.ask(Method::Get, event_url(self, key, &[])?).await?;
        let shown: Option<Shown> = body.map(|body| serde_json::from_slice(&body)).transpose()?;
        Ok(shown.filter(|shown| shown.state == "delivered").map(Shown::entry))
    }

    async fn redrive(&self, key: &EventKey) -> anyhow::Result<()> {
        self.ask(Method::Post, event_url(self, key, &["redrive"])?).await.map(drop)
    }

    fn sent(&self) -> &'static str {
        "now"
    }
}

impl Shown {
    fn entry(self) -> Entry {
        let Self { hubspot, external_account_id, external_event_id, state: _, input } = self;
        Entry { key: EventKey { hubspot, external_account_id, external_event_id }, input }
    }
}
