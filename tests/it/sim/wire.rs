//! The connection to HubSpot, without sockets: it takes time, and may break at either end.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use webinar_bridge::event::{EventKey, Millis};
use webinar_bridge::http::simple_server::{SimpleRequest, SimpleResponse};
use webinar_bridge::net::{Http, HttpMethod, HttpRequest, HttpResponse, TransportError};
use webinar_bridge::sandbox::emulator::HANG;

use super::fault_injector::FaultInjector;
use super::hubspot_faults::ReplyFault;
use crate::harness::wire::arriving;

/// The bridge's HTTP client.
pub(super) struct Wire {
    pub(super) injector: Arc<FaultInjector>,
}

/// A request in flight; dropping it ends the request.
struct UnderWay<'a> {
    wire: &'a Wire,
    host: String,
    keys: Vec<EventKey>,
    /// An upsert that has not arrived; if the request is dropped, it arrives abandoned.
    on_its_way: Option<(Millis, SimpleRequest)>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut world = self.wire.injector.world();
        world.end_request(&self.host, &self.keys);
        if let Some((at, request)) = self.on_its_way.take() {
            world.abandon(at, &self.host, &request);
        }
    }
}

#[async_trait]
impl Http for Wire {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        self.injector.world().begin_call(self.injector.now(), &host);
        let answer = self.carry(&host, request).await;
        if answer.as_ref().is_ok_and(|answer| answer.date().is_some()) {
            self.injector.world().belief.has_witness = true;
        }
        self.injector.world().end_call(self.injector.now(), &host);
        answer
    }
}

impl Wire {
    /// Carries a request to HubSpot and its answer back.
    async fn carry(
        &self,
        host: &str,
        request: HttpRequest,
    ) -> Result<HttpResponse, TransportError> {
        self.injector.point("a call").await;
        let deadline = Instant::now() + request.timeout;
        let is_put = matches!(request.method, HttpMethod::Put);
        let is_upsert = is_put || request.url.path().ends_with("/upsert");
        let (there, back, unreachable, now) = {
            let now = self.injector.now();
            let mut world = self.injector.world();
            let faulty = world.has_faults(now);
            let unlucky = world.profile.call_fault_percent / 10;
            let unreachable = faulty && world.rng.percent(unlucky);
            // Some answers are slow.
            let mut slow = if faulty && world.rng.percent(5) { 8_000 } else { 300 };
            // A refresh token that arrives too late would be lost for good.
            if request.url.path().ends_with("/token") && world.operator.rotates {
                slow = 300;
            }
            let there = Duration::from_millis(world.rng.between(0, 40));
            (there, Duration::from_millis(world.rng.between(1, slow)), unreachable, now)
        };
        if unreachable {
            tokio::time::sleep(there).await;
            let mut world = self.injector.world();
            world.note(now, format!("{host}: no connection"));
            return Err(TransportError::Connect("refused".into()));
        }
        let arriving = arriving(&request);
        let keys = if is_upsert {
            self.injector.world().begin_request(now, host, &request.body)
        } else {
            Vec::new()
        };
        let events = keys.len();
        let on_its_way = is_upsert.then(|| (now.plus(there), arriving.clone()));
        let mut under_way = UnderWay { wire: self, host: host.to_owned(), keys, on_its_way };
        self.injector.point("a call under way").await;
        tokio::time::sleep(there).await;
        under_way.on_its_way = None;
        let (reply, reply_fault) = {
            let now = self.injector.now();
            let mut world = self.injector.world();
            if is_put {
                world.put(now, host, &arriving)
            } else if is_upsert {
                world.upsert(now, host, &arriving, events)
            } else {
                (world.other_call(now, host, &arriving), ReplyFault::Whole)
            }
        };
        let answer = carry_back(reply, reply_fault, deadline, Instant::now() + back).await;
        self.injector.point("an answer").await;
        answer
    }
}

async fn carry_back(
    reply: SimpleResponse,
    reply_fault: ReplyFault,
    deadline: Instant,
    back: Instant,
) -> Result<HttpResponse, TransportError> {
    let lost = reply.fault == Some(HANG) || reply_fault == ReplyFault::Slow;
    if lost || back > deadline {
        tokio::time::sleep_until(deadline).await;
        return Err(TransportError::Timeout);
    }
    tokio::time::sleep_until(back).await;
    if reply.fault.is_some() {
        return Err(TransportError::Reset("reset".into()));
    }
    let mut body = reply.body;
    match reply_fault {
        ReplyFault::Whole | ReplyFault::Slow => {}
        ReplyFault::Half => body.truncate(body.len() / 2),
        ReplyFault::TooLong => return Err(TransportError::TooLarge(body.len())),
    }
    let headers = reply.headers.into_iter();
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    Ok(HttpResponse { status: reply.status, headers, body })
}
