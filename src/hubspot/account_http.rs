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
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub(super) enum ApiOperation {
    /// The batch upsert.
    Upsert,
    /// The single write of one event.
    Put,
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
        self.metrics.hubspot_request(&self.account, operation.into_str(), &status, took);
        result
    }
}
