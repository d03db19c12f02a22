//! One call of a platform's API: credentials, pace, bounds.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{info, warn};
use url::Url;

use super::pace::Turns;
use super::token::{Denied, Proof, Tokens};
use super::verdict::{self, Trouble, Verdict, judge};
use crate::event::{Millis, SourceName};
use crate::net::{Http, Method, Request, Response, TransportError};
use crate::providers::Access;
use crate::telemetry::Metrics;

/// For everything of one call.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer, in bytes: a webinar with hundreds of occurrences has tens of kilobytes.
const ANSWER_MAX: usize = 1024 * 1024;

/// Calls one source's platform.
pub(super) struct Client {
    line: Line,
    tokens: Tokens,
    headers: Vec<(&'static str, String)>,
    turns: Turns,
    hold: Mutex<Option<Hold>>,
    /// What is in the way of all, as it was told to operators; none while nothing is.
    trouble: Mutex<Option<String>>,
    /// Calls in a row that something in the way of all has failed.
    failures: AtomicU32,
    /// A webinar was found.
    knows_any: AtomicBool,
    random: fn() -> u32,
}

/// The way to a source's platform, on which every call is counted.
#[derive(Clone)]
pub(super) struct Line {
    source: SourceName,
    http: Arc<dyn Http>,
    metrics: Metrics,
}

impl Line {
    pub(super) async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let answer = self.http.send(request).await;
        self.metrics.platform_request(&self.source, &status(&answer));
        answer
    }
}

/// Something that is in the way of all calls.
#[derive(Clone)]
struct Hold {
    until: Instant,
    why: String,
}

/// What came of a call.
pub(super) enum Reply {
    /// An answer in JSON, and when it was given by the platform's clock.
    Answered { body: Box<RawValue>, date: Option<Millis> },
    /// The platform does not have it, or not yet.
    NotThere,
    /// We may not see it.
    Forbidden,
    /// It passes.
    Later(Trouble),
    /// The question is wrong.
    Wrong(String),
}

/// What came of a call, before credentials that end are thought of.
enum Once {
    Reply(Reply),
    /// This value of the credentials' header was refused.
    Unauthorized(SecretString),
}

impl Client {
    pub(super) fn new(
        source: SourceName,
        access: Access,
        http: Arc<dyn Http>,
        metrics: Metrics,
        random: fn() -> u32,
    ) -> Self {
        let Access { credentials, headers, pace } = access;
        let line = Line { source, http, metrics };
        Self {
            tokens: Tokens::new(credentials, line.clone()),
            line,
            headers,
            turns: Turns::new(pace),
            hold: Mutex::default(),
            trouble: Mutex::default(),
            failures: AtomicU32::default(),
            knows_any: AtomicBool::default(),
            random,
        }
    }

    /// The platform told of a webinar that was asked about.
    pub(super) fn found(&self) {
        self.knows_any.store(true, Ordering::Relaxed);
    }

    /// Whether the platform, asked as we ask, has told of any webinar since the start. Credentials of another account of the
    /// platform find nothing, and that it knows nothing of ours must not call off whatever is asked about.
    pub(super) fn knows_any(&self) -> bool {
        self.knows_any.load(Ordering::Relaxed)
    }

    /// For how long no call is of use, because something is in the way of all.
    pub(super) fn held(&self) -> Duration {
        self.hold()
            .map_or(Duration::ZERO, |hold| hold.until.saturating_duration_since(Instant::now()))
    }

    fn hold(&self) -> Option<Hold> {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        hold.clone().filter(|hold| Instant::now() < hold.until)
    }

    /// Asks one question.
    ///
    /// # Cancel safety
    /// A cancelled call may have been answered; it may be made again.
    pub(super) async fn get(&self, url: Url) -> Reply {
        let mut once = self.call(&url).await;
        if let Once::Unauthorized(refused) = &once
            && self.tokens.may_be_better_than(refused).await
        {
            once = self.call(&url).await;
        }
        match once {
            Once::Reply(reply) => reply,
            Once::Unauthorized(_) => {
                self.all_later("it refuses the credentials".to_owned(), verdict::refused())
            }
        }
    }

    async fn call(&self, url: &Url) -> Once {
        if let Some(Hold { until, why }) = self.hold() {
            let wait = Some(until.saturating_duration_since(Instant::now()));
            return Once::Reply(Reply::Later(Trouble { why, wait, of_all: true }));
        }
        let Proof { header, value } = match self.tokens.proof().await {
            Ok(proof) => proof,
            Err(Denied { why, wait }) => return Once::Reply(self.fails(why, wait)),
        };
        let mut headers: Vec<(Cow<'static, str>, SecretString)> =
            vec![(header.into(), value.clone())];
        let more = self.headers.iter();
        headers.extend(more.map(|(name, value)| ((*name).into(), value.clone().into())));
        let request = Request {
            method: Method::Get,
            url: url.clone(),
            headers,
            body: Vec::new(),
            timeout: TIMEOUT,
            max_answer: ANSWER_MAX,
        };
        let turn = self.turns.turn().await;
        let answer = self.line.send(request).await;
        drop(turn);
        let reply = match (judge(&answer), answer) {
            (Verdict::Unauthorized, _) => return Once::Unauthorized(value),
            (Verdict::Answered, Ok(response)) => Self::answered(response),
            (Verdict::Answered, Err(error)) => Reply::Wrong(error.to_string()),
            (Verdict::NotThere, _) => Reply::NotThere,
            (Verdict::Forbidden, _) => Reply::Forbidden,
            (Verdict::Later(Trouble { why, wait, of_all: true }), _) => {
                return Once::Reply(self.fails(why, wait));
            }
            (Verdict::Later(trouble), _) => Reply::Later(trouble),
            (Verdict::Wrong(why), _) => Reply::Wrong(why),
        };
        self.failures.store(0, Ordering::Relaxed);
        if self.trouble().take().is_some() {
            info!(source.name = %self.line.source, "the platform answers again");
        }
        Once::Reply(reply)
    }

    /// It fails in a way that passes: after that wait, or after one that doubles with each failure.
    fn fails(&self, why: String, wait: Option<Duration>) -> Reply {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let wait = wait.unwrap_or_else(|| verdict::delay(failures, (self.random)()));
        self.all_later(why, wait)
    }

    fn answered(response: Response) -> Reply {
        let date = response.header("date").and_then(http_date);
        let text = String::from_utf8(response.body).ok();
        match text.and_then(|text| RawValue::from_string(text).ok()) {
            Some(body) => Reply::Answered { body, date },
            // It was found to be JSON, which is UTF-8.
            None => Reply::Wrong("the answer is not JSON".to_owned()),
        }
    }

    fn all_later(&self, why: String, wait: Duration) -> Reply {
        self.leave_alone(wait, &why);
        if self.trouble().replace(why.clone()).as_ref() != Some(&why) {
            warn!(source.name = %self.line.source, why, "the platform cannot be asked; it is tried again, and nothing is lost");
        }
        Reply::Later(Trouble { why, wait: Some(wait), of_all: true })
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No call is made for so long.
    pub(super) fn leave_alone(&self, wait: Duration, why: &str) {
        let hold = Hold { until: Instant::now() + wait, why: why.to_owned() };
        let mut present = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if present.as_ref().is_none_or(|present| present.until < hold.until) {
            *present = Some(hold);
        }
    }
}

/// As a metric's label: the status, or how no answer came.
fn status(answer: &Result<Response, TransportError>) -> String {
    match answer {
        Ok(response) => response.status.to_string(),
        Err(TransportError::Connect(_)) => "connect".to_owned(),
        Err(TransportError::Timeout) => "timeout".to_owned(),
        Err(TransportError::Reset(_) | TransportError::TooLarge(_)) => "reset".to_owned(),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<Millis> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Millis::plausible(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::event::ProviderId;
    use crate::providers::{Credentials, Pace};
    use crate::secret::Secret;

    /// An overloaded platform.
    struct Overloaded;

    #[async_trait]
    impl Http for Overloaded {
        async fn send(&self, _request: Request) -> Result<Response, TransportError> {
            Ok(Response { status: 503, ..Response::default() })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_platform_that_sells_no_token_is_left_alone_for_longer_and_longer() {
        let url: Url = "https://platform.example/token".parse().expect("a URL");
        let secret = Secret::Text("hush".into());
        let credentials = Credentials::Client {
            token_url: url.clone(),
            client_id: "app".into(),
            client_secret: secret,
            form: vec![("grant_type", "client_credentials".to_owned())],
        };
        let pace = Pace { requests: 100, window: Duration::from_secs(1) };
        let access = Access { credentials, headers: Vec::new(), pace };
        let source = SourceName::parse("acme").expect("valid");
        let metrics = Metrics::new(&[], &[(source.clone(), ProviderId::new("zoom"))]);
        let http = Arc::new(Overloaded);
        let client = Client::new(source, access, http, metrics.clone(), || u32::MAX);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let reply = client.get(url.clone()).await;
            assert!(matches!(reply, Reply::Later(Trouble { of_all: true, .. })));
            waits.push(client.held().as_secs());
            tokio::time::sleep(client.held()).await;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300]);
        let counted = r#"bridge_platform_requests_total{source="acme",status="503"} 7"#;
        assert!(metrics.render().contains(counted), "every call is counted");
    }

    #[test]
    fn the_date_of_an_answer_is_the_platforms() {
        assert_eq!(
            http_date("Thu, 01 Oct 2026 10:00:00 GMT"),
            Some(Millis::new(1_790_848_800_000))
        );
        assert_eq!(http_date("now"), None);
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), None);
    }
}
