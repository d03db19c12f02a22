//! The ledger for commands that also work while the service runs: opened by this process if it is free, otherwise
//! reached through the API of the service that has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::Value;

use super::health::connect_address;
use super::ops_client::OpsClient;
use super::{CommandError, classify_open_error};
use crate::app;
use crate::clock::{Clock, SystemClock, WitnessedClock};
use crate::config::Config;
use crate::event::{AccountName, EventKey, FetchCondition, FetchRequest, SourceName, WebinarId};
use crate::ledger::sqlite::{OpenError, Rekey};
use crate::ledger::{EventQuery, EventState, EventSummary, FetchStatus, Ledger};
use crate::net::{Http, HttpMethod};
use crate::ops::models::{
    ComingWebinarsModel, EventListModel, FetchRequestModel, RedriveModel, StatusModel,
};
use crate::telemetry::Metrics;

/// Most events of a page. A whole page is held in memory, and an event may have 65,000 characters of description.
const PAGE: usize = 50;

/// Access to the ledger.
pub(super) enum LedgerAccess {
    /// This process has opened the ledger.
    Local(Arc<dyn Ledger>),
    /// A running service has opened the ledger.
    Service(OpsClient),
}

/// A delivered event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeliveredEvent {
    pub(super) key: EventKey,
    /// Body that HubSpot confirmed.
    pub(super) input: Value,
}

impl LedgerAccess {
    /// Opens the ledger, or reaches the service that has it.
    pub(super) fn open(config: &Config, http: &Arc<dyn Http>) -> Result<Self, CommandError> {
        // What a command writes must not make a wrong clock credible to the service.
        let clock: Arc<dyn Clock> = Arc::new(WitnessedClock::new(Arc::new(SystemClock)));
        // The metrics of a command are not shown.
        let metrics = Metrics::new(&[], &[]);
        match app::open_ledger(config, &clock, &metrics, Rekey::Refuse) {
            Ok(ledger) => Ok(Self::Local(Arc::new(ledger))),
            Err(OpenError::InUse(_)) => {
                let address = connect_address(config.listen.ops);
                Ok(Self::Service(OpsClient::new(address, Arc::clone(http))?))
            }
            Err(error) => {
                let error = anyhow::Error::new(error).context("the store cannot be opened");
                Err(classify_open_error(error))
            }
        }
    }

    /// A page of the account's delivered events, and the cursor of the next one.
    pub(super) async fn list_delivered(
        &self,
        account: &AccountName,
        cursor: Option<String>,
    ) -> anyhow::Result<(Vec<DeliveredEvent>, Option<String>)> {
        let (events, next) = match self {
            Self::Local(ledger) => {
                let query = EventQuery {
                    account: Some(account.clone()),
                    state: Some(EventState::Delivered),
                    after: cursor.map(|cursor| cursor.parse()).transpose()?,
                    limit: PAGE,
                    ..EventQuery::default()
                };
                let page = ledger.list_events(query).await?;
                (page.items, page.next.map(|next| next.to_string()))
            }
            Self::Service(service) => {
                let query = [
                    ("hubspot", account.as_str()),
                    ("state", "delivered"),
                    ("limit", &PAGE.to_string()),
                    ("cursor", cursor.as_deref().unwrap_or_default()),
                ];
                let page: Option<EventListModel> =
                    service.send(HttpMethod::Get, &["events"], &query).await?;
                let page = page.context("the service has no list of events")?;
                (page.events, page.next)
            }
        };
        let events = events.into_iter().map(DeliveredEvent::try_from);
        Ok((events.collect::<anyhow::Result<_>>()?, next))
    }

    /// The event as it is now, if it is delivered.
    pub(super) async fn find_delivered(
        &self,
        key: &EventKey,
    ) -> anyhow::Result<Option<DeliveredEvent>> {
        let event = match self {
            Self::Local(ledger) => ledger.event_detail(key).await?.map(|detail| detail.summary),
            Self::Service(service) => service.send(HttpMethod::Get, &event_path(key), &[]).await?,
        };
        let event = event.filter(|event| event.state == EventState::Delivered);
        event.map(DeliveredEvent::try_from).transpose()
    }

    /// Sends the event again. An event that was deleted, or became incomplete or filtered, is not sent.
    pub(super) async fn redrive(&self, key: &EventKey) -> anyhow::Result<()> {
        match self {
            Self::Local(ledger) => {
                ledger.redrive(key).await?;
                Ok(())
            }
            Self::Service(service) => {
                let path = [event_path(key).as_slice(), &["redrive"]].concat();
                let _redriven: Option<RedriveModel> =
                    service.send(HttpMethod::Post, &path, &[]).await?;
                Ok(())
            }
        }
    }

    /// The time at which redriven events are sent, in words.
    pub(super) fn redrive_moment(&self) -> &'static str {
        match self {
            Self::Local(_) => "when the service runs",
            Self::Service(_) => "now",
        }
    }

    /// Puts the webinar into the queue of fetches.
    pub(super) async fn request_fetch(
        &self,
        source: &SourceName,
        webinar: WebinarId,
    ) -> anyhow::Result<()> {
        match self {
            Self::Local(ledger) => {
                let request =
                    FetchRequest { account: None, webinar, condition: FetchCondition::Always };
                ledger.request_fetches(source, vec![request]).await?;
                Ok(())
            }
            Self::Service(service) => {
                let path = ["sources", source.as_str(), "webinars", webinar.as_str(), "fetch"];
                let _requested: Option<FetchRequestModel> =
                    service.send(HttpMethod::Post, &path, &[]).await?;
                Ok(())
            }
        }
    }

    /// The platform's ids of the source's webinars that are to come.
    pub(super) async fn coming_webinars(
        &self,
        source: &SourceName,
    ) -> anyhow::Result<BTreeSet<WebinarId>> {
        let mut coming = BTreeSet::new();
        match self {
            Self::Local(ledger) => {
                let mut after = None;
                loop {
                    let page = ledger.coming_webinars(source, after).await?;
                    coming.extend(page.items);
                    after = page.next;
                    if after.is_none() {
                        return Ok(coming);
                    }
                }
            }
            Self::Service(service) => {
                let mut cursor = String::new();
                loop {
                    let path = ["sources", source.as_str(), "webinars"];
                    let query = [("cursor", cursor.as_str())];
                    let page: Option<ComingWebinarsModel> =
                        service.send(HttpMethod::Get, &path, &query).await?;
                    let page = page.context("the service has no list of webinars")?;
                    coming.extend(page.webinars);
                    let Some(next) = page.next else { return Ok(coming) };
                    cursor = next;
                }
            }
        }
    }

    /// The progress of fetching from the source's platform.
    pub(super) async fn fetch_status(&self, source: &SourceName) -> anyhow::Result<FetchStatus> {
        match self {
            Self::Local(ledger) => {
                Ok(ledger.fetch_statuses().await?.remove(source).unwrap_or_default())
            }
            Self::Service(service) => {
                let status: Option<StatusModel> =
                    service.send(HttpMethod::Get, &["status"], &[]).await?;
                let status = status.context("the service has no status")?;
                let mut sources = status.sources.into_iter();
                let source = sources.find(|shown| shown.source == *source);
                let source =
                    source.context("the running service does not know the source: restart it")?;
                Ok(source.fetch)
            }
        }
    }

    /// Closes the ledger if this process has it.
    pub(super) async fn close(&self) {
        match self {
            Self::Local(ledger) => ledger.close().await,
            Self::Service(_) => {}
        }
    }
}

/// The path of the event in the service's API.
fn event_path(key: &EventKey) -> [&str; 4] {
    let EventKey { hubspot, external_account_id, external_event_id } = key;
    ["events", hubspot.as_str(), external_account_id.as_str(), external_event_id.as_str()]
}

impl TryFrom<EventSummary> for DeliveredEvent {
    type Error = anyhow::Error;

    fn try_from(event: EventSummary) -> anyhow::Result<Self> {
        let input = event.input.context("a delivered event without an input")?;
        Ok(Self { key: event.key, input: serde_json::from_slice(&input)? })
    }
}
