//! The bridge's HTTP client, without sockets: HubSpot and the platforms answer from one world.

use std::time::Duration;

use async_trait::async_trait;
use webinar_bridge::event::Millis;
use webinar_bridge::net::{Http, HttpRequest, HttpResponse, TransportError};
use webinar_bridge::sandbox::emulator::EmulatorOperation;

use super::platforms::{ApiCall, PlatformName};
use super::settings::HUBSPOT;
use super::world::{SharedWorld, TrueTime, World, lock};
use crate::harness::wire::arriving;

pub(super) struct YearWire {
    pub(super) world: SharedWorld,
    pub(super) time: TrueTime,
}

/// How a call fails.
enum Failure {
    Status(u16),
    Timeout,
    Reset,
}

#[async_trait]
impl Http for YearWire {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let latency = {
            let mut world = lock(&self.world);
            Duration::from_millis(world.rng.between(20, 400))
        };
        tokio::time::sleep(latency).await;
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let (answer, is_lost) = {
            let now = self.time.now();
            let mut world = lock(&self.world);
            let failure = world.draw_failure();
            // A lost answer of HubSpot's is that of a call which had its effect.
            match failure {
                Some(Failure::Status(status)) => (plain(status, now), None),
                Some(Failure::Reset) => (
                    world.answer(&host, &request, now),
                    Some(TransportError::Reset("reset".into())),
                ),
                Some(Failure::Timeout) => {
                    (world.answer(&host, &request, now), Some(TransportError::Timeout))
                }
                None => (world.answer(&host, &request, now), None),
            }
        };
        match is_lost {
            None => Ok(answer),
            Some(error) => {
                if matches!(error, TransportError::Timeout) {
                    tokio::time::sleep(request.timeout.saturating_sub(latency)).await;
                }
                Err(error)
            }
        }
    }
}

impl World {
    fn draw_failure(&mut self) -> Option<Failure> {
        if !self.is_rough {
            return None;
        }
        match self.rng.below(100) {
            0 => Some(Failure::Status(503)),
            1 => Some(Failure::Status(500)),
            2 => Some(Failure::Status(429)),
            3 => Some(Failure::Timeout),
            4 => Some(Failure::Reset),
            _ => None,
        }
    }

    fn answer(&mut self, host: &str, request: &HttpRequest, now: Millis) -> HttpResponse {
        if host == HUBSPOT {
            return self.answer_of_hubspot(request, now);
        }
        let Some(platform) = PlatformName::of_host(host) else {
            panic!("nobody is at {host}");
        };
        self.figures.api_calls += 1;
        // The API may be up to a minute late.
        let lag =
            Duration::from_secs(if self.rng.percent(30) { self.rng.between(0, 59) } else { 0 });
        let webinars = self.webinars.iter().filter(|tracked| tracked.platform == platform);
        let call = ApiCall::new(&request.url, now.minus(lag), webinars.collect());
        match platform.simulated().answer(&call) {
            Some(body) => HttpResponse { body: body.to_string().into_bytes(), ..plain(200, now) },
            None => plain(404, now),
        }
    }

    fn answer_of_hubspot(&mut self, request: &HttpRequest, now: Millis) -> HttpResponse {
        let reply = self.hubspot.handle(now, &arriving(request));
        let call = self.hubspot.calls().last().expect("it was a call");
        match call.operation {
            Some(EmulatorOperation::Read) => self.figures.reads += 1,
            Some(EmulatorOperation::Upsert) => {
                self.figures.upserts += 1;
                self.figures.inputs += u64::try_from(call.inputs).expect("few");
            }
            Some(
                EmulatorOperation::Put | EmulatorOperation::Details | EmulatorOperation::Token,
            )
            | None => {}
        }
        let headers = reply.headers.into_iter();
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        HttpResponse { status: reply.status, headers, body: reply.body }
    }
}

/// An answer without a body.
fn plain(status: u16, now: Millis) -> HttpResponse {
    let at = jiff::Timestamp::from_millisecond(now.get()).expect("a time");
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at);
    let headers = vec![("date".to_owned(), date.expect("it can be written"))];
    HttpResponse { status, headers, body: Vec::new() }
}
