//! The ledger as `verify` needs it: in this process if the store is free, else through the API of the service that has
//! it.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::cli::ops_client::OpsClient;
use crate::event::{AccountName, EventKey, ExternalAccountId, ExternalEventId};
use crate::ledger::{EventQuery, EventState, EventSummary, Ledger, RedriveResult};
use crate::net::HttpMethod;

/// Events of a page. A page is held in memory whole, and an event may have 65,000 characters of description.
const PAGE: usize = 50;

/// A delivered event as the ledger has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeliveredEvent {
    pub(super) key: EventKey,
    /// What HubSpot confirmed.
    pub(super) input: Value,
}

/// The ledger, wherever it is.
#[async_trait]
pub(super) trait LedgerAccess: Send + Sync {
    /// A page of the account's delivered events, and where to go on.
    async fn delivered_page(
        &self,
        account: &AccountName,
        after: Option<String>,
    ) -> anyhow::Result<(Vec<DeliveredEvent>, Option<String>)>;

    /// The event as it is now, if it is delivered.
    async fn delivered_event(&self, key: &EventKey) -> anyhow::Result<Option<DeliveredEvent>>;

    /// Has it sent again.
    async fn redrive(&self, key: &EventKey) -> anyhow::Result<()>;

    /// When what is to be sent again is sent.
    fn redrive_moment(&self) -> &'static str;
}

/// The store, opened by this process.
pub(super) struct LocalLedger(pub(super) Arc<dyn Ledger>);

#[async_trait]
impl LedgerAccess for LocalLedger {
    async fn delivered_page(
        &self,
        account: &AccountName,
        after: Option<String>,
    ) -> anyhow::Result<(Vec<DeliveredEvent>, Option<String>)> {
        let ask = EventQuery {
            account: Some(account.clone()),
            state: Some(EventState::Delivered),
            after: after.map(|after| after.parse()).transpose()?,
            limit: PAGE,
            ..EventQuery::default()
        };
        let page = self.0.list_events(ask).await?;
        let entries = page.items.into_iter().map(entry).collect::<anyhow::Result<_>>()?;
        Ok((entries, page.next.map(|next| next.to_string())))
    }

    async fn delivered_event(&self, key: &EventKey) -> anyhow::Result<Option<DeliveredEvent>> {
        let event = self.0.event_detail(key).await?.map(|detail| detail.summary);
        event.filter(|event| event.state == EventState::Delivered).map(entry).transpose()
    }

    async fn redrive(&self, key: &EventKey) -> anyhow::Result<()> {
        match self.0.redrive(key).await? {
            // Deleted or incomplete by now: it is not to be sent.
            RedriveResult::Pending
            | RedriveResult::Incomplete
            | RedriveResult::Filtered
            | RedriveResult::Unknown => Ok(()),
        }
    }

    fn redrive_moment(&self) -> &'static str {
        "when the service runs"
    }
}

fn entry(event: EventSummary) -> anyhow::Result<DeliveredEvent> {
    let input = event.input.context("a delivered event without an input")?;
    Ok(DeliveredEvent { key: event.key, input: serde_json::from_slice(&input)? })
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

fn event_url(service: &OpsClient, key: &EventKey, more: &[&str]) -> anyhow::Result<Url> {
    let EventKey { hubspot, external_account_id, external_event_id } = key;
    let ids =
        ["events", hubspot.as_str(), external_account_id.as_str(), external_event_id.as_str()];
    service.url(&[ids.as_slice(), more].concat())
}

#[async_trait]
impl LedgerAccess for OpsClient {
    async fn delivered_page(
        &self,
        account: &AccountName,
        after: Option<String>,
    ) -> anyhow::Result<(Vec<DeliveredEvent>, Option<String>)> {
        let mut url = self.url(&["events"])?;
        url.query_pairs_mut()
            .append_pair("hubspot", account.as_str())
            .append_pair("state", "delivered")
            .append_pair("limit", &PAGE.to_string())
            .append_pair("cursor", after.as_deref().unwrap_or_default());
        let body =
            self.send(HttpMethod::Get, url).await?.context("the service has no list of events")?;
        let listed: Listed = serde_json::from_slice(&body)?;
        Ok((listed.events.into_iter().map(Shown::entry).collect(), listed.next))
    }

    async fn delivered_event(&self, key: &EventKey) -> anyhow::Result<Option<DeliveredEvent>> {
        let body = self.send(HttpMethod::Get, event_url(self, key, &[])?).await?;
        let shown: Option<Shown> = body.map(|body| serde_json::from_slice(&body)).transpose()?;
        Ok(shown.filter(|shown| shown.state == "delivered").map(Shown::entry))
    }

    async fn redrive(&self, key: &EventKey) -> anyhow::Result<()> {
        self.send(HttpMethod::Post, event_url(self, key, &["redrive"])?).await.map(drop)
    }

    fn redrive_moment(&self) -> &'static str {
        "now"
    }
}

impl Shown {
    fn entry(self) -> DeliveredEvent {
        let Self { hubspot, external_account_id, external_event_id, state: _, input } = self;
        DeliveredEvent { key: EventKey { hubspot, external_account_id, external_event_id }, input }
    }
}
