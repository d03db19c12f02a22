//! From a path to what is asked for.

use super::percent::{Plus, decoded};
use super::problem::Problem;
use crate::event::{
    AccountName, EventKey, ExternalAccountId, ExternalEventId, ReceiptId, SourceName, WebinarId,
};

/// Where the API begins.
const ROOT: &str = "/api";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Status,
    Events,
    Event(EventKey),
    RedriveEvent(EventKey),
    RedriveEvents,
    Receipts,
    Receipt(ReceiptId),
    ReplayReceipt(ReceiptId),
    ReplayReceipts,
    Fetch(SourceName, WebinarId),
    Pause(AccountName),
    Resume(AccountName),
}

impl Route {
    /// Whether it changes something.
    pub(super) fn is_write(&self) -> bool {
        match self {
            Self::Status | Self::Events | Self::Event(_) | Self::Receipts | Self::Receipt(_) => {
                false
            }
            Self::RedriveEvent(_)
            | Self::RedriveEvents
            | Self::ReplayReceipt(_)
            | Self::ReplayReceipts
            | Self::Fetch(..)
            | Self::Pause(_)
            | Self::Resume(_) => true,
        }
    }

    /// The value of `Allow`.
    pub(super) fn methods(&self) -> &'static str {
        if self.is_write() { "POST" } else { "GET, HEAD" }
    }
}

/// Whether the path is the API's, one that exists or not.
pub(in crate::receive) fn is_api(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads a path, which is split before it is decoded: an external id may hold a slash. Our own words are not to be encoded.
///
/// # Errors
/// [`Problem`]: there is nothing at this path, or what it names cannot be.
pub(super) fn route(path: &str) -> Result<Route, Problem> {
    let rest = path.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix("/v1/"));
    let parts: Vec<&str> = rest.ok_or(Problem::NotFound)?.split('/').collect();
    match parts.as_slice() {
        ["status"] => Ok(Route::Status),
        ["events"] => Ok(Route::Events),
        ["events", "redrive"] => Ok(Route::RedriveEvents),
        ["events", hubspot, account, event] => Ok(Route::Event(key(hubspot, account, event)?)),
        ["events", hubspot, account, event, "redrive"] => {
            Ok(Route::RedriveEvent(key(hubspot, account, event)?))
        }
        ["receipts"] => Ok(Route::Receipts),
        ["receipts", "replay"] => Ok(Route::ReplayReceipts),
        ["receipts", id] => Ok(Route::Receipt(receipt(id)?)),
        ["receipts", id, "replay"] => Ok(Route::ReplayReceipt(receipt(id)?)),
        ["sources", name, "webinars", id, "fetch"] => {
            let source = SourceName::parse(text(name)?).map_err(|_| Problem::UnknownSource)?;
            let webinar = WebinarId::parse(text(id)?).map_err(|_| Problem::NotFound)?;
            Ok(Route::Fetch(source, webinar))
        }
        ["accounts", name, "pause"] => Ok(Route::Pause(account(name)?)),
        ["accounts", name, "resume"] => Ok(Route::Resume(account(name)?)),
        _ => Err(Problem::NotFound),
    }
}

fn text(part: &str) -> Result<String, Problem> {
    decoded(part, Plus::Plus).ok_or(Problem::Path)
}

fn account(part: &str) -> Result<AccountName, Problem> {
    AccountName::parse(text(part)?).map_err(|_| Problem::UnknownAccount)
}

fn receipt(part: &str) -> Result<ReceiptId, Problem> {
    ReceiptId::parse(&text(part)?).ok_or(Problem::UnknownReceipt)
}

/// An id that cannot be one is that of no event.
fn key(hubspot: &str, account: &str, event: &str) -> Result<EventKey, Problem> {
    let (hubspot, account, event) = (text(hubspot)?, text(account)?, text(event)?);
    if account.is_empty() || event.is_empty() {
        return Err(Problem::NotFound);
    }
    Ok(EventKey {
        hubspot: AccountName::parse(hubspot).map_err(|_| Problem::UnknownEvent)?,
        external_account_id: ExternalAccountId::parse(account)
            .map_err(|_| Problem::UnknownEvent)?,
        external_event_id: ExternalEventId::stored(event),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(account: &str, event: &str) -> EventKey {
        key("main", account, event).expect("a key")
    }

    #[test]
    fn every_path_has_its_meaning() {
        let id = ReceiptId::from_bytes([7; 16]);
        let main = AccountName::parse("main").expect("a name");
        for (path, expected) in [
            ("status".to_owned(), Route::Status),
            ("events".to_owned(), Route::Events),
            ("events/redrive".to_owned(), Route::RedriveEvents),
            ("events/main/acct/1-2".to_owned(), Route::Event(event("acct", "1-2"))),
            ("events/main/a/1/redrive".to_owned(), Route::RedriveEvent(event("a", "1"))),
            ("events/main/redrive/redrive".to_owned(), Route::Event(event("redrive", "redrive"))),
            ("receipts".to_owned(), Route::Receipts),
            ("receipts/replay".to_owned(), Route::ReplayReceipts),
            (format!("receipts/{id}"), Route::Receipt(id)),
            (format!("receipts/{id}/replay"), Route::ReplayReceipt(id)),
            (
                "sources/acme/webinars/a%2Fb/fetch".to_owned(),
                Route::Fetch(
                    SourceName::parse("acme").expect("a name"),
                    WebinarId::parse("a/b").expect("an id"),
                ),
            ),
            ("accounts/main/pause".to_owned(), Route::Pause(main.clone())),
            ("accounts/main/resume".to_owned(), Route::Resume(main)),
        ] {
            assert_eq!(route(&format!("/api/v1/{path}")), Ok(expected), "{path}");
        }
    }

    #[test]
    fn ids_are_decoded_after_the_path_is_split() {
        let key = |path| match route(path) {
            Ok(Route::Event(key)) => {
                (key.external_account_id.to_string(), key.external_event_id.to_string())
            }
            other => panic!("{path}: {other:?}"),
        };
        let of = |account: &str, event: &str| (account.to_owned(), event.to_owned());
        assert_eq!(key("/api/v1/events/main/a%2Fb/c%20d%C3%A9"), of("a/b", "c dé"));
        assert_eq!(key("/api/v1/events/main/%2e%2e/%2E"), of("..", "."));
        assert_eq!(key("/api/v1/events/main/../.."), of("..", ".."), "nothing is resolved");
        assert_eq!(key("/api/v1/events/main/a%3Fb/redrive"), of("a?b", "redrive"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in [
            "/api",
            "/api/",
            "/api/v1",
            "/api/v1/",
            "/api/v2/status",
            "/api/v1/status/",
            "/api/v1//status",
            "/api//v1/status",
            "/api/v1/Status",
            "/api/v1/%73tatus",
            "/api/v1/./status",
            "/api/v1/events/main",
            "/api/v1/events/main/a",
            "/api/v1/events/main/a/",
            "/api/v1/events/main//b",
            "/api/v1/events/main/a/b/c",
            "/api/v1/events/main/a/b/redrive/",
            "/api/v1/accounts",
            "/api/v1/accounts/main",
            "/api/v1/accounts/main/delete",
            "/api/v1/sources/acme/webinars/1",
            "/api/v1/sources/acme/webinars//fetch",
        ] {
            assert_eq!(route(path), Err(Problem::NotFound), "{path}");
        }
        assert_eq!(route("/api/v1/events/main/%ff/1"), Err(Problem::Path));
        assert_eq!(route("/api/v1/events/main/%/1"), Err(Problem::Path));
        assert_eq!(route("/api/v1/events/Main/a/1"), Err(Problem::UnknownEvent));
        assert_eq!(route("/api/v1/events/main/a%00/1"), Err(Problem::UnknownEvent));
        assert_eq!(route("/api/v1/accounts/Main%2F/pause"), Err(Problem::UnknownAccount));
        assert_eq!(route("/api/v1/receipts/1"), Err(Problem::UnknownReceipt));
        assert!(is_api("/api") && is_api("/api/") && is_api("/api/v1/status"));
        assert!(!is_api("/apis") && !is_api("//api/v1/status") && !is_api("/metrics"));
    }
}
