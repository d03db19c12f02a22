//! A client of the running service's operators' API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::de::DeserializeOwned;
use url::Url;

use crate::net::{Http, HttpMethod, HttpRequest};
use crate::ops::models::ProblemModel;

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

    /// Sends a request to a path of the API, whose parts may hold any character. The answer is none if the event is
    /// unknown or incomplete.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: HttpMethod,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Option<T>> {
        let mut url = self.root.clone();
        url.path_segments_mut().ok().context("no path")?.extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
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
