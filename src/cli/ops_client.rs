//! The running service, through its API, for commands that find the store in use.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use url::Url;

use crate::net::{Http, HttpMethod, HttpRequest};

/// Longer than the service takes for anything here.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer of the service: a page of the longest events has a third of it.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// The running service, which has the store.
pub(super) struct OpsClient {
    http: Arc<dyn Http>,
    root: Url,
}

impl OpsClient {
    /// The one that listens there.
    pub(super) fn new(address: SocketAddr, http: Arc<dyn Http>) -> anyhow::Result<Self> {
        Ok(Self { http, root: Url::parse(&format!("http://{address}/api/v1"))? })
    }

    /// The URL of a path of the API, whose parts may hold anything.
    pub(super) fn url(&self, parts: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.root.clone();
        url.path_segments_mut().ok().context("no path")?.extend(parts);
        Ok(url)
    }

    /// The answer's body, and whether what was asked for is there.
    pub(super) async fn send(
        &self,
        method: HttpMethod,
        url: Url,
    ) -> anyhow::Result<Option<Vec<u8>>> {
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
            return Ok(Some(answer.body));
        }
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let kind = problem["type"].as_str().unwrap_or_default();
        if kind.ends_with(":unknown_event") || kind.ends_with(":incomplete") {
            return Ok(None);
        }
        ensure!(
            answer.status != 404,
            "the running service's API is not open here: run this on its machine, or in its container"
        );
        let detail = problem["detail"].as_str().unwrap_or_default();
        bail!("the running service answered {}: {detail}", answer.status)
    }
}
