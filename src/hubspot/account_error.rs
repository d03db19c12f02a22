//! What is wrong between us and an account, as opposed to with an event.

use std::time::Duration;

use crate::net::{HttpResponse, TransportError};

use super::body::{ErrorBody, sanitize};

/// The longest that HubSpot documents to keep anyone waiting: 477, "up to 24 hours".
const MAX_WAIT: Duration = Duration::from_hours(24);

/// The longest wait that is not shown as a pause: what a gateway asks for in an outage must not keep an account silent
/// for a day.
const MAX_WAIT_WITHOUT_PAUSE: Duration = Duration::from_mins(10);

/// The longest believable wait for a limit whose window has ten seconds or one.
const MAX_WAIT_FOR_WINDOW: Duration = Duration::from_mins(1);

/// A 423's lock "lasts 2 seconds" (error-handling guide).
const LOCK_DURATION: Duration = Duration::from_secs(2);

/// A trouble of the account: nothing is said against any event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct AccountError {
    /// What kind, which decides what to do.
    pub kind: AccountErrorKind,
    /// The answer's HTTP status, if there was one.
    pub status: Option<u16>,
    /// How long to leave the account alone, where HubSpot says or documents it.
    pub retry_after: Option<Duration>,
    /// For operators; bounded.
    pub detail: String,
    /// HubSpot's `correlationId`.
    pub correlation_id: Option<String>,
}

/// The kinds of an account's troubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountErrorKind {
    /// The credentials are refused, fresh as they are, or cannot be had. Needs a human.
    Unauthorized,
    /// The credentials are good but may not do this. Needs a human.
    Forbidden,
    /// There is no such path: base URL or prefix is wrong, or the version has ended. Needs a human.
    NotFound,
    /// A limit is used up.
    RateLimited {
        /// Which.
        policy: RateLimitPolicy,
    },
    /// Too much is written to the same place at once.
    Locked,
    /// The account is being moved between data centres.
    Migrating,
    /// HubSpot, or what stands before it, cannot answer sensibly now.
    Overloaded,
    /// HubSpot points elsewhere; nothing is followed there. Needs a human.
    Redirected,
    /// No whole answer came.
    Transport {
        /// HubSpot may have acted on the call, or may yet.
        ambiguous: bool,
    },
}

impl AccountErrorKind {
    /// For logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::RateLimited { .. } => "rate_limited",
            Self::Locked => "locked",
            Self::Migrating => "migrating",
            Self::Overloaded => "overloaded",
            Self::Redirected => "redirected",
            Self::Transport { ambiguous: true } => "no_answer",
            Self::Transport { ambiguous: false } => "no_connection",
        }
    }
}

/// Which limit is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitPolicy {
    /// The app's, for ten seconds.
    TenSecondly,
    /// For one second.
    Secondly,
    /// The account's, for the day; shared by all its private apps.
    Daily,
    /// HubSpot does not say.
    Unknown,
}

impl AccountError {
    pub(super) fn new(kind: AccountErrorKind, detail: impl AsRef<str>) -> Self {
        let detail = sanitize(detail.as_ref());
        Self { kind, status: None, retry_after: None, detail, correlation_id: None }
    }

    /// Whether the call may have been carried out, or may be yet: it was sent, and nobody says that it was refused. A
    /// gateway that had waited in vain does not (502, 504, 524 by the error-handling guide; 520 and 522 are the same
    /// gateway's further words for it), nor does an internal error, nor a success that cannot be read. That HubSpot is
    /// overloaded (503) or cannot be reached (521, 523, 525, 526) does.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        match self.kind {
            AccountErrorKind::Transport { ambiguous } => ambiguous,
            AccountErrorKind::Overloaded => self
                .status
                .is_some_and(|status| !matches!(status, 400..=499 | 503 | 521 | 523 | 525 | 526)),
            AccountErrorKind::Unauthorized
            | AccountErrorKind::Forbidden
            | AccountErrorKind::NotFound
            | AccountErrorKind::RateLimited { .. }
            | AccountErrorKind::Locked
            | AccountErrorKind::Migrating
            | AccountErrorKind::Redirected => false,
        }
    }

    /// Whether an event may be what it failed over: HubSpot had the call, and does not say what was wrong.
    #[must_use]
    pub fn may_be_caused_by_event(&self) -> bool {
        match self.kind {
            AccountErrorKind::Transport { ambiguous } => ambiguous,
            // Without a status it is the token's endpoint that cannot answer.
            AccountErrorKind::Overloaded => self.status.is_some(),
            AccountErrorKind::Unauthorized
            | AccountErrorKind::Forbidden
            | AccountErrorKind::NotFound
            | AccountErrorKind::RateLimited { .. }
            | AccountErrorKind::Locked
            | AccountErrorKind::Migrating
            | AccountErrorKind::Redirected => false,
        }
    }

    /// Reads an answer as a trouble, whatever its status; [`super::judge`] keeps those that speak of events from it.
    ///
    /// Statuses by <https://developers.hubspot.com/docs/api-reference/error-handling>, limits by
    /// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>.
    pub(super) fn from_response(answer: &HttpResponse) -> Self {
        let problem = ErrorBody::parse(&answer.body).unwrap_or_default();
        let told = |longest| retry_after(answer, longest);
        let (kind, retry_after) = match answer.status {
            300..=399 => (AccountErrorKind::Redirected, None),
            401 => (AccountErrorKind::Unauthorized, None),
            403 => (AccountErrorKind::Forbidden, None),
            // GET on the upsert's path was seen to give 405, so that too means the path. 410: a version has ended.
            404 | 405 | 410 => (AccountErrorKind::NotFound, None),
            423 => (
                AccountErrorKind::Locked,
                Some(told(MAX_WAIT_FOR_WINDOW).unwrap_or(LOCK_DURATION).max(LOCK_DURATION)),
            ),
            429 => {
                let policy = RateLimitPolicy::from_error_body(&problem);
                (AccountErrorKind::RateLimited { policy }, policy.retry_delay(answer))
            }
            // Not a status of HTTP's: HubSpot's own, with Retry-After in seconds, up to 24 hours.
            477 => (AccountErrorKind::Migrating, told(MAX_WAIT)),
            // 408, 5xx, and what is not documented: worth another try, later.
            _ => (
                AccountErrorKind::Overloaded,
                told(MAX_WAIT).map(|t| t.min(MAX_WAIT_WITHOUT_PAUSE)),
            ),
        };
        Self {
            kind,
            status: Some(answer.status),
            retry_after,
            detail: describe_response(answer, &problem),
            correlation_id: problem.correlation_id.as_deref().map(sanitize),
        }
    }

    /// Reads a failure to get an answer.
    pub(super) fn from_transport(error: &TransportError) -> Self {
        let ambiguous = match error {
            TransportError::Connect(_) => false,
            TransportError::Timeout | TransportError::Reset(_) | TransportError::TooLarge(_) => {
                true
            }
        };
        Self::new(AccountErrorKind::Transport { ambiguous }, error.with_causes())
    }

    /// An answer of success whose body is not what it should be.
    pub(super) fn from_unreadable(answer: &HttpResponse, what: &str) -> Self {
        let detail = format!("HTTP {}: {what}", answer.status);
        Self { status: Some(answer.status), ..Self::new(AccountErrorKind::Overloaded, detail) }
    }

    /// The same trouble, at another place.
    pub(super) fn prefixed(mut self, place: &str) -> Self {
        self.detail = sanitize(&format!("{place}: {}", self.detail));
        self
    }
}

impl RateLimitPolicy {
    /// `policyName` if there is one, else the message: `TEN_SECONDLY_ROLLING` was seen with "You have reached your
    /// `ten_secondly_rolling` limit." (HubSpot/hubspot-api-python#117), `DAILY` with "... your daily limit." (usage
    /// guidelines); "... your secondly limit." comes without a name (HubSpot/hubspot-api-nodejs).
    fn from_error_body(problem: &ErrorBody) -> Self {
        let said = problem.policy_name.as_ref().or(problem.message.as_ref());
        let said = said.map(|text| text.to_ascii_lowercase()).unwrap_or_default();
        if said.contains("daily") {
            Self::Daily
        } else if said.contains("ten_secondly") {
            Self::TenSecondly
        } else if said.contains("secondly") {
            Self::Secondly
        } else {
            Self::Unknown
        }
    }

    /// How long until the limit has room. Whether Retry-After comes with these is not documented; when it does, it
    /// wins. None for the day's: HubSpot does not say when the account's day ends.
    fn retry_delay(self, answer: &HttpResponse) -> Option<Duration> {
        let (longest, window) = match self {
            Self::TenSecondly => (MAX_WAIT_FOR_WINDOW, Some(Duration::from_secs(10))),
            Self::Secondly => (MAX_WAIT_FOR_WINDOW, Some(Duration::from_secs(1))),
            Self::Daily => (MAX_WAIT, None),
            Self::Unknown => (MAX_WAIT, Some(Duration::from_secs(10))),
        };
        let told = retry_after(answer, longest);
        let told =
            if self == Self::Unknown { told.map(|t| t.min(MAX_WAIT_WITHOUT_PAUSE)) } else { told };
        told.or(window)
    }
}

/// `Retry-After`: seconds, where HubSpot documents it (477); its guide also speaks of milliseconds (429, for calls to
/// workflows' targets). So a number that makes no sense as seconds is read as milliseconds. Zero, a negative number, a fraction or a date says
/// nothing: to come back at once is what was just refused.
fn retry_after(answer: &HttpResponse, longest: Duration) -> Option<Duration> {
    let number = answer.header("retry-after")?.trim().parse::<u64>().ok().filter(|n| *n > 0)?;
    let seconds = Duration::from_secs(number);
    Some(if seconds <= longest { seconds } else { Duration::from_millis(number).min(longest) })
}

/// Whether the body is a web page, so not HubSpot's API's but of something before it.
pub(super) fn is_web_page(answer: &HttpResponse) -> bool {
    let labelled = answer.header("content-type").is_some_and(|kind| kind.contains("text/html"));
    labelled || answer.body.trim_ascii_start().starts_with(b"<")
}

/// The status and what the body tells: the scopes that are missing, else its message.
fn describe_response(answer: &HttpResponse, problem: &ErrorBody) -> String {
    let scopes: Vec<&str> = problem
        .errors
        .iter()
        .filter_map(|error| error.context.get("requiredGranularScopes")?.as_array())
        .flatten()
        .filter_map(|scope| scope.as_str())
        .collect();
    let told = if !scopes.is_empty() {
        format!("missing scopes: {}", scopes.join(", "))
    } else if let Some(message) = &problem.message {
        message.clone()
    } else if let Some(target) = answer.header("location") {
        // Its query may hold anything; where it points is enough.
        format!("points to {}", target.split(['?', '#']).next().unwrap_or_default())
    } else if is_web_page(answer) {
        "a web page".to_owned()
    } else {
        "no message".to_owned()
    };
    sanitize(&format!("HTTP {}: {told}", answer.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_name_of_its_own() {
        let policy = RateLimitPolicy::Unknown;
        let kinds = [
            AccountErrorKind::Unauthorized,
            AccountErrorKind::Forbidden,
            AccountErrorKind::NotFound,
            AccountErrorKind::RateLimited { policy },
            AccountErrorKind::Locked,
            AccountErrorKind::Migrating,
            AccountErrorKind::Overloaded,
            AccountErrorKind::Redirected,
            AccountErrorKind::Transport { ambiguous: true },
            AccountErrorKind::Transport { ambiguous: false },
        ];
        let names: std::collections::BTreeSet<&str> =
            kinds.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), kinds.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }

    #[test]
    fn a_trouble_elsewhere_says_where() {
        let trouble =
            AccountError::new(AccountErrorKind::Overloaded, "HTTP 503").prefixed("OAuth token");
        assert_eq!(trouble.detail, "OAuth token: HTTP 503");
        assert_eq!(trouble.kind, AccountErrorKind::Overloaded);
    }
}
