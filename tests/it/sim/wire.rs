//! The way to HubSpot, without sockets: it takes time, and may be cut at either end.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use webinar_bridge::event::{EventKey, Millis};
use webinar_bridge::net::{Http, HttpMethod, HttpRequest, HttpResponse, TransportError};
use webinar_bridge::sandbox::emulator::{EmulatorReply, EmulatorRequest, TransportFault};

use super::fates::WayBack;
use super::peril::Peril;

/// The outside as the bridge calls it.
pub(super) struct Wire {
    pub(super) peril: Arc<Peril>,
}

/// A request under way: it ends when this does.
struct UnderWay<'a> {
    wire: &'a Wire,
    host: String,
    keys: Vec<EventKey>,
    /// An upsert that has not arrived: nobody may wait for it any more when it does.
    on_its_way: Option<(Millis, EmulatorRequest)>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut world = self.wire.peril.world();
        world.returns(&self.host, &self.keys);
        if let Some((at, request)) = self.on_its_way.take() {
            world.strays(at, &self.host, &request);
        }
    }
}

#[async_trait]
impl Http for Wire {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        self.peril.world().calls_out(self.peril.now(), &host);
        let answer = self.carry(&host, request).await;
        self.peril.world().ended(self.peril.now(), &host);
        answer
    }
}

impl Wire {
    /// Carries a request there and its answer back.
    async fn carry(
        &self,
        host: &str,
        request: HttpRequest,
    ) -> Result<HttpResponse, TransportError> {
        self.peril.point("a call").await;
        let deadline = Instant::now() + request.timeout;
        let is_upsert = request.url.path().ends_with("/upsert");
        let (there, back, unreachable, now) = {
            let now = self.peril.now();
            let mut world = self.peril.world();
            let cruel = world.is_cruel(now);
            let unlucky = world.weather.trouble / 10;
            let unreachable = cruel && world.dice.percent(unlucky);
            // Now and then an answer takes its time.
            let mut slow = if cruel && world.dice.percent(5) { 8_000 } else { 300 };
            // A refresh token that came too late would be lost to all.
            if request.url.path().ends_with("/token") && world.operator.rotates {
                slow = 300;
            }
            let there = Duration::from_millis(world.dice.between(0, 40));
            (there, Duration::from_millis(world.dice.between(1, slow)), unreachable, now)
        };
        if unreachable {
            tokio::time::sleep(there).await;
            let mut world = self.peril.world();
            world.note(now, format!("{host}: no connection"));
            return Err(TransportError::Connect("refused".into()));
        }
        let arriving = arriving(&request);
        let keys = if is_upsert {
            self.peril.world().departs(now, host, &request.body)
        } else {
            Vec::new()
        };
        let events = keys.len();
        let on_its_way = is_upsert.then(|| (now.plus(there), arriving.clone()));
        let mut under_way = UnderWay { wire: self, host: host.to_owned(), keys, on_its_way };
        self.peril.point("a call under way").await;
        tokio::time::sleep(there).await;
        under_way.on_its_way = None;
        let (reply, way_back) = {
            let now = self.peril.now();
            let mut world = self.peril.world();
            if is_upsert {
                world.upsert(now, host, &arriving, events)
            } else {
                (world.other_call(now, host, &arriving), WayBack::Whole)
            }
        };
        let answer = carry_back(reply, way_back, deadline, Instant::now() + back).await;
        self.peril.point("an answer").await;
        answer
    }
}

fn arriving(request: &HttpRequest) -> EmulatorRequest {
    let method = match request.method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
    };
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.expose_secret().to_owned()));
    EmulatorRequest {
        method: method.to_owned(),
        path: request.url.path().to_owned(),
        query: request.url.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: request.body.clone(),
    }
}

async fn carry_back(
    reply: EmulatorReply,
    way_back: WayBack,
    deadline: Instant,
    back: Instant,
) -> Result<HttpResponse, TransportError> {
    let lost = reply.fault == Some(TransportFault::Hang) || way_back == WayBack::Slow;
    if lost || back > deadline {
        tokio::time::sleep_until(deadline).await;
        return Err(TransportError::Timeout);
    }
    tokio::time::sleep_until(back).await;
    if reply.fault.is_some() {
        return Err(TransportError::Reset("reset".into()));
    }
    let mut body = reply.body;
    match way_back {
        WayBack::Whole | WayBack::Slow => {}
        WayBack::Half => body.truncate(body.len() / 2),
        WayBack::TooLong => return Err(TransportError::TooLarge(body.len())),
    }
    let headers = reply.headers.into_iter();
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    Ok(HttpResponse { status: reply.status, headers, body })
}
