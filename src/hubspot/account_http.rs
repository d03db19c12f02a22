//! Sends an account's requests, and counts and measures them.

use std::sync::Arc;

use tokio::time::Instant;

use crate::event::AccountName;
use crate::net::{Http, HttpRequest, HttpResponse, TransportError, call_status};
use crate::telemetry::Metrics;

/// Sends an account's requests, and counts and measures them.
#[derive(Clone)]
pub(super) struct AccountHttp {
    pub(super) account: AccountName,
    pub(super) http: Arc<dyn Http>,
    pub(super) metrics: Metrics,
}

/// An operation of HubSpot's API: label values of `bridge_hubspot_requests_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiOperation {
    /// The batch upsert.
    Upsert,
    /// The read of one event.
    Read,
    /// The account's details.
    Details,
    /// The OAuth token endpoint.
    Token,
}

impl AccountHttp {
    pub(super) async fn send(
        &self,
        operation: ApiOperation,
        request: HttpRequest,
    ) -> Result<HttpResponse, TransportError> {
        let started_at = Instant::now();
        let result = self.http.send(request).await;
        let (status, took) = (call_status(&result), started_at.elapsed());
        self.metrics.hubspot_request(&self.account, operation.as_str(), &status, took);
        result
    }
}

impl ApiOperation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Read => "read",
            Self::Details => "details",
            Self::Token => "token",
        }
    }
}
