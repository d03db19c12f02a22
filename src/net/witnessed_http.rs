//! Calls whose answers tell the time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::http::{Http, HttpRequest, HttpResponse, TransportError};
use crate::clock::{Clock, ClockWitness};
use crate::event::Millis;

/// Sends requests, and takes the `Date` of every answer as a testimony about our clock.
pub struct WitnessedHttp {
    http: Arc<dyn Http>,
    clock: Arc<dyn Clock>,
    witness: ClockWitness,
}

impl WitnessedHttp {
    /// Sends over `http`; the answers are the witness's.
    #[must_use]
    pub fn new(http: Arc<dyn Http>, clock: Arc<dyn Clock>, witness: ClockWitness) -> Self {
        Self { http, clock, witness }
    }
}

#[async_trait]
impl Http for WitnessedHttp {
    /// # Cancel safety
    /// That of the inner client.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let asked = Instant::now();
        let response = self.http.send(request).await?;
        if let (Some(date), Some(trust)) = (response.date(), self.clock.trust()) {
            trust.observe_date(self.witness, date, asked, self.clock.now());
        }
        Ok(response)
    }
}

impl HttpResponse {
    /// When the answer was made, by its `Date`: its content is that old, however long a cache kept it. None without a
    /// valid date.
    #[must_use]
    pub fn generated_at(&self) -> Option<Millis> {
        parse_http_date(self.header("date")?)
    }

    /// The time of the answer: its `Date`, and the time for which a cache kept it (`Age`); none without a valid date.
    #[must_use]
    pub fn date(&self) -> Option<Millis> {
        let date = self.generated_at()?;
        let age: u32 = self.header("age").and_then(|age| age.trim().parse().ok()).unwrap_or(0);
        Some(date.plus(Duration::from_secs(age.into())))
    }
}

/// Parses the usual form of a date (RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`); none for any other.
fn parse_http_date(text: &str) -> Option<Millis> {
    let text = text.trim();
    if !text.ends_with("GMT") {
        return None;
    }
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Millis::from_plausible_ms(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{VirtualClock, WitnessedClock};

    struct Dated(&'static str);

    #[async_trait]
    impl Http for Dated {
        async fn send(&self, _request: HttpRequest) -> Result<HttpResponse, TransportError> {
            let headers = vec![("date".to_owned(), self.0.to_owned())];
            Ok(HttpResponse { status: 503, headers, body: Vec::new() })
        }
    }

    fn date(headers: &[(&str, &str)]) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let response = HttpResponse { headers: headers.collect(), ..HttpResponse::default() };
        assert_eq!(response.generated_at(), response.header("date").and_then(parse_http_date));
        response.date().map(|date| date.to_string())
    }

    #[test]
    fn date_is_read_in_its_usual_form_only_and_an_age_is_added() {
        let usual = ("date", "Fri, 06 Nov 2026 08:49:37 GMT");
        assert_eq!(date(&[usual]).as_deref(), Some("2026-11-06T08:49:37Z"));
        assert_eq!(date(&[usual, ("age", "60")]).as_deref(), Some("2026-11-06T08:50:37Z"));
        assert_eq!(date(&[usual, ("age", "old")]).as_deref(), Some("2026-11-06T08:49:37Z"));
        for text in ["", "now", "2026-11-06T08:49:37Z", "Fri, 06 Nov 2026 08:49:37 +0200", "0"] {
            assert_eq!(date(&[("date", text)]), None, "{text}");
        }
        assert_eq!(date(&[]), None);
    }

    /// An answer of any status tells the time.
    #[tokio::test(start_paused = true)]
    async fn answer_tells_how_far_the_clock_is_off() {
        let ours = Millis::parse("2026-11-06T11:49:37Z", None).expect("a time");
        let clock: Arc<dyn Clock> =
            Arc::new(WitnessedClock::new(Arc::new(VirtualClock::starting_at(ours))));
        let http = Arc::new(Dated("Fri, 06 Nov 2026 08:49:37 GMT"));
        let http = WitnessedHttp::new(http, Arc::clone(&clock), ClockWitness::Hubspot);
        assert!(!clock.is_doubted());
        let request = HttpRequest {
            method: crate::net::HttpMethod::Get,
            url: "https://hubspot.example".parse().expect("a URL"),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Duration::from_secs(1),
            max_response_bytes: 0,
        };
        http.send(request).await.expect("it answers");
        assert!(clock.is_doubted());
        let skew = clock.trust().and_then(|trust| trust.skew_seconds(clock.now()));
        assert_eq!(skew, Some(10_799.0), "three hours, less the second that the date leaves open");
    }
}
