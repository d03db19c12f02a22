//! Failures of an account, as opposed to those of an event.

use std::time::Duration;

use crate::net::{HttpResponse, TransportError};

use super::body::{ErrorBody, sanitize};

/// Longest wait that HubSpot documents: 477, "up to 24 hours".
const MAX_WAIT: Duration = Duration::from_hours(24);

/// Longest wait that does not show as a pause: a gateway's wish in an outage must not keep an account silent for a day.
const MAX_WAIT_WITHOUT_PAUSE: Duration = Duration::from_mins(10);

/// Longest believable wait for a limit whose window has ten seconds or one.
const MAX_WAIT_FOR_WINDOW: Duration = Duration::from_mins(1);

/// Duration of a 423's lock: "lasts 2 seconds" (error-handling guide).
const LOCK_DURATION: Duration = Duration::from_secs(2);

/// A failure of the account, which concerns no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct AccountError {
    /// Kind of the failure; it decides the reaction.
    pub kind: AccountErrorKind,
    /// HTTP status of the response, if there was one.
    pub status: Option<u16>,
    /// Time before the next call, where HubSpot reports or documents it.
    pub retry_after: Option<Duration>,
    /// Description for operators; bounded.
    pub detail: String,
    /// HubSpot's `correlationId`.
    pub correlation_id: Option<String>,
}

/// Kinds of account failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountErrorKind {
    /// The credentials are refused although they are fresh, or cannot be read. Needs a human.
    Unauthorized,
    /// The credentials are valid but lack a permission. Needs a human.
    Forbidden,
    /// There is no such path: the base URL or the prefix is wrong, or the version has ended. Needs a human.
    NotFound,
    /// A limit is used up.
    RateLimited {
        /// Limit that is used up.
        policy: RateLimitPolicy,
    },
    /// Too many writes reach the same record at once.
    Locked,
    /// The account is being moved between data centres.
    Migrating,
    /// HubSpot, or a gateway before it, cannot give a meaningful response now.
    Overloaded,
    /// HubSpot redirects; no redirect is followed. Needs a human.
    Redirected,
    /// No whole response came.
    Transport {
        /// Whether HubSpot may have acted on the call, or may do so later.
        ambiguous: bool,
    },
}

impl AccountErrorKind {
    /// The kind's name in logs.
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

/// The limit that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitPolicy {
    /// The app's, for ten seconds.
    TenSecondly,
    /// For one second.
    Secondly,
    /// The account's, for the day; shared by all its private apps.
    Daily,
    /// HubSpot does not name it.
    Unknown,
}

impl AccountError {
    pub(super) fn new(kind: AccountErrorKind, detail: impl AsRef<str>) -> Self {
        let detail = sanitize(detail.as_ref());
        Self { kind, status: None, retry_after: None, detail, correlation_id: None }
    }

    /// Whether HubSpot may have carried out the call, or may do so later: the call was sent, and no response refuses it.
    /// A gateway's time-out does not refuse it (502, 504, 524 by the error-handling guide; 520 and 522 are that
    /// gateway's other statuses for it), nor does an internal error or an unreadable success. An overloaded (503) or
    /// unreachable (521, 523, 525, 526) HubSpot does.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.may_be_caused_by_event()
            && !matches!(self.status, Some(400..=499 | 503 | 521 | 523 | 525 | 526))
    }

    /// Whether an event of the call may have caused it: HubSpot received the call and does not name the cause.
    #[must_use]
    pub fn may_be_caused_by_event(&self) -> bool {
        match self.kind {
            AccountErrorKind::Transport { ambiguous } => ambiguous,
            // Without a status the token endpoint failed.
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

    /// Reads a response of any status as an account failure; [`super::judge`] handles those about events before.
    ///
    /// Statuses by <https://developers.hubspot.com/docs/api-reference/error-handling>, limits by
    /// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>.
    pub(super) fn from_response(response: &HttpResponse) -> Self {
        let error_body = ErrorBody::parse(&response.body).unwrap_or_default();
        let wait = |longest| retry_after(response, longest);
        let (kind, retry_after) = match response.status {
            300..=399 => (AccountErrorKind::Redirected, None),
            401 => (AccountErrorKind::Unauthorized, None),
            403 => (AccountErrorKind::Forbidden, None),
            // GET on the upsert's path was seen to give 405, so that too means the path. 410: a version has ended.
            404 | 405 | 410 => (AccountErrorKind::NotFound, None),
            423 => (
                AccountErrorKind::Locked,
                Some(wait(MAX_WAIT_FOR_WINDOW).unwrap_or(LOCK_DURATION).max(LOCK_DURATION)),
            ),
            429 => {
                let policy = RateLimitPolicy::from_error_body(&error_body);
                (AccountErrorKind::RateLimited { policy }, policy.retry_delay(response))
            }
            // Not a status of HTTP's: HubSpot's own, with Retry-After in seconds, up to 24 hours.
            477 => (AccountErrorKind::Migrating, wait(MAX_WAIT)),
            // 408, 5xx, and undocumented statuses: worth another try, later.
            _ => (AccountErrorKind::Overloaded, wait_without_pause(response)),
        };
        Self {
            kind,
            status: Some(response.status),
            retry_after,
            detail: describe_response(response, &error_body),
            correlation_id: error_body.correlation_id.as_deref().map(sanitize),
        }
    }

    /// Reads a failure to get a response.
    pub(super) fn from_transport(error: &TransportError) -> Self {
        let ambiguous = match error {
            TransportError::Connect(_) => false,
            TransportError::Timeout | TransportError::Reset(_) | TransportError::TooLarge(_) => {
                true
            }
        };
        Self::new(AccountErrorKind::Transport { ambiguous }, error.with_causes())
    }

    /// A response of success whose body is not as documented.
    pub(super) fn from_unreadable(response: &HttpResponse, problem: &str) -> Self {
        let detail = format!("HTTP {}: {problem}", response.status);
        Self { status: Some(response.status), ..Self::new(AccountErrorKind::Overloaded, detail) }
    }

    /// The same failure at that place.
    pub(super) fn prefixed(mut self, place: &str) -> Self {
        self.detail = sanitize(&format!("{place}: {}", self.detail));
        self
    }
}

impl RateLimitPolicy {
    /// `policyName` if there is one, else the message: `TEN_SECONDLY_ROLLING` was seen with "You have reached your
    /// `ten_secondly_rolling` limit." (HubSpot/hubspot-api-python#117), `DAILY` with "... your daily limit." (usage
    /// guidelines); "... your secondly limit." comes without a name (HubSpot/hubspot-api-nodejs).
    fn from_error_body(error_body: &ErrorBody) -> Self {
        let text = error_body.policy_name.as_ref().or(error_body.message.as_ref());
        let text = text.map(|text| text.to_ascii_lowercase()).unwrap_or_default();
        if text.contains("daily") {
            Self::Daily
        } else if text.contains("ten_secondly") {
            Self::TenSecondly
        } else if text.contains("secondly") {
            Self::Secondly
        } else {
            Self::Unknown
        }
    }

    /// Time until the limit has room. Whether `Retry-After` comes with a 429 is not documented; if it does, it wins.
    /// None for the day's limit: HubSpot does not report when the account's day ends.
    fn retry_delay(self, response: &HttpResponse) -> Option<Duration> {
        let wait = |longest| retry_after(response, longest);
        match self {
            Self::TenSecondly => wait(MAX_WAIT_FOR_WINDOW).or(Some(Duration::from_secs(10))),
            Self::Secondly => wait(MAX_WAIT_FOR_WINDOW).or(Some(Duration::from_secs(1))),
            Self::Daily => wait(MAX_WAIT),
            Self::Unknown => wait_without_pause(response).or(Some(Duration::from_secs(10))),
        }
    }
}

/// `Retry-After` in seconds, as HubSpot documents it (477); its guide also mentions milliseconds (429, for calls to
/// workflows' targets), so a number that is too large as seconds is read as milliseconds. Zero counts as absent, since
/// a call at once was just refused; so does a negative number, a fraction or a date.
fn retry_after(response: &HttpResponse, longest: Duration) -> Option<Duration> {
    let number = response.retry_after().filter(|number| *number > 0)?;
    let seconds = Duration::from_secs(number);
    Some(if seconds <= longest { seconds } else { Duration::from_millis(number).min(longest) })
}

fn wait_without_pause(response: &HttpResponse) -> Option<Duration> {
    retry_after(response, MAX_WAIT).map(|wait| wait.min(MAX_WAIT_WITHOUT_PAUSE))
}

/// Whether the body is a web page: it comes from a gateway, not from HubSpot's API.
pub(super) fn is_web_page(response: &HttpResponse) -> bool {
    let labelled = response.header("content-type").is_some_and(|kind| kind.contains("text/html"));
    labelled || response.body.trim_ascii_start().starts_with(b"<")
}

/// The status, and from the body the missing scopes, else its message.
fn describe_response(response: &HttpResponse, error_body: &ErrorBody) -> String {
    let scopes: Vec<&str> = error_body
        .errors
        .iter()
        .filter_map(|error| error.context.get("requiredGranularScopes")?.as_array())
        .flatten()
        .filter_map(|scope| scope.as_str())
        .collect();
    let description = if !scopes.is_empty() {
        format!("missing scopes: {}", scopes.join(", "))
    } else if let Some(message) = &error_body.message {
        message.clone()
    } else if let Some(target) = response.header("location") {
        // The query may hold secrets; the path is enough.
        format!("points to {}", target.split(['?', '#']).next().unwrap_or_default())
    } else if is_web_page(response) {
        "a web page".to_owned()
    } else {
        "no message".to_owned()
    };
    sanitize(&format!("HTTP {}: {description}", response.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_str_any_two_kinds_differ() {
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
    fn prefixed_any_error_names_the_place() {
        let error =
            AccountError::new(AccountErrorKind::Overloaded, "HTTP 503").prefixed("OAuth token");
        assert_eq!(error.detail, "OAuth token: HTTP 503");
        assert_eq!(error.kind, AccountErrorKind::Overloaded);
    }
}
