//! A client of the running service's operators' API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::de::DeserializeOwned;
use url::Url;

use crate::event::{AccountName, EventKey, SourceName, WebinarId};
use crate::ledger::EventSummary;
use crate::net::{Http, HttpMethod, HttpRequest};
use crate::ops::models::{
    EventListModel, FetchRequestModel, ProblemModel, RedriveModel, StatusModel,
};

/// Longer than the service takes for any of these calls.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer of the service, in bytes: three times a page of the longest events.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// The running service, which has the store.
pub(super) struct OpsClient {
    http: Arc<dyn Http>,
    root: Url,
}

impl OpsClient {
    /// A client of the service that listens at this address.
    pub(super) fn new(address: SocketAddr, http: Arc<dyn Http>) -> anyhow::Result<Self> {
        Ok(Self { http, root: Url::parse(&format!("http://{address}/api/v1"))? })
    }

    /// `GET /status`.
    pub(super) async fn status(&self) -> anyhow::Result<StatusModel> {
        let status = self.send(HttpMethod::Get, self.url(&["status"])?).await?;
        status.context("the service has no status")
    }

    /// `GET /events`: a page of the account's delivered events.
    pub(super) async fn list_delivered(
        &self,
        account: &AccountName,
        limit: usize,
        cursor: Option<&str>,
    ) -> anyhow::Result<EventListModel> {
        let mut url = self.url(&["events"])?;
        url.query_pairs_mut()
            .append_pair("hubspot", account.as_str())
            .append_pair("state", "delivered")
            .append_pair("limit", &limit.to_string())
            .append_pair("cursor", cursor.unwrap_or_default());
        let page = self.send(HttpMethod::Get, url).await?;
        page.context("the service has no list of events")
    }

    /// `GET /events/...`: the event, if there is one.
    pub(super) async fn event(&self, key: &EventKey) -> anyhow::Result<Option<EventSummary>> {
        self.send(HttpMethod::Get, self.event_url(key, &[])?).await
    }

    /// `POST /events/.../redrive`.
    pub(super) async fn redrive(&self, key: &EventKey) -> anyhow::Result<()> {
        let url = self.event_url(key, &["redrive"])?;
        let _redriven: Option<RedriveModel> = self.send(HttpMethod::Post, url).await?;
        Ok(())
    }

    /// `POST /sources/{source}/webinars/{id}/fetch`.
    pub(super) async fn request_fetch(
        &self,
        source: &SourceName,
        webinar: &WebinarId,
    ) -> anyhow::Result<()> {
        let parts = ["sources", source.as_str(), "webinars", webinar.as_str(), "fetch"];
        let url = self.url(&parts)?;
        let _requested: Option<FetchRequestModel> = self.send(HttpMethod::Post, url).await?;
        Ok(())
    }

    fn event_url(&self, key: &EventKey, more: &[&str]) -> anyhow::Result<Url> {
        let EventKey { hubspot, external_account_id, external_event_id } = key;
        let ids =
            ["events", hubspot.as_str(), external_account_id.as_str(), external_event_id.as_str()];
        self.url(&[ids.as_slice(), more].concat())
    }

    /// The URL of a path of the API, whose parts may hold any character.
    fn url(&self, parts: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.root.clone();
        url.path_segments_mut().ok().context("no path")?.extend(parts);
        Ok(url)
    }

    /// The answer; none if the event is unknown or incomplete.
    async fn send<T: DeserializeOwned>(
        &self,
        method: HttpMethod,
        url: Url,
    ) -> anyhow::Result<Option<T>> {
        let request = HttpRequest {
            method,
            url,
            headers: Vec::new(),
            body: Vec::new(),
            timeout: TIMEOUT,
            max_response_bytes: MAX_ANSWER,
        };
        let answer =
            self.http.send(request).await.context("the running service does not answer")?;
        if answer.status == 200 {
            let model = serde_json::from_slice(&answer.body);
            return model.map(Some).context("the running service's answer cannot be read");
        }
        let problem: Option<ProblemModel> = serde_json::from_slice(&answer.body).ok();
        let code = problem.as_ref().map_or("", ProblemModel::code);
        if ["unknown_event", "incomplete"].contains(&code) {
            return Ok(None);
        }
        ensure!(
            answer.status != 404,
            "the running service's API is not open here: run this on its machine, or in its container"
        );
        let detail = problem.map(|problem| problem.detail).unwrap_or_default();
        bail!("the running service answered {}: {detail}", answer.status)
    }
}
