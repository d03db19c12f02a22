//! Sends one source's requests to its platform, and counts them.

use std::sync::Arc;

use crate::event::SourceName;
use crate::net::{Http, HttpRequest, HttpResponse, TransportError, call_status};
use crate::telemetry::Metrics;

/// Sends one source's requests and counts them.
#[derive(Clone)]
pub(super) struct MeteredHttp {
    pub(super) source: SourceName,
    pub(super) http: Arc<dyn Http>,
    pub(super) metrics: Metrics,
}

impl MeteredHttp {
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let result = self.http.send(request).await;
        self.metrics.platform_request(&self.source, &call_status(&result));
        result
    }
}
