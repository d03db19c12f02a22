//! Parses the paths of the API.

use super::error::ApiError;
use super::percent::decode_percent;
use crate::event::{
    AccountName, EventKey, ExternalAccountId, ExternalEventId, ReceiptId, SourceName, WebinarId,
};

/// The beginning of every path of the API.
const ROOT: &str = "/api";

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiRoute {
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
    ComingWebinars(SourceName),
    Fetches,
    RedriveFetches,
    Pause(AccountName),
    Resume(AccountName),
}

impl ApiRoute {
    /// Whether the call changes something.
    pub(super) fn is_write(&self) -> bool {
        !matches!(
            self,
            Self::Status
                | Self::Events
                | Self::Event(_)
                | Self::Receipts
                | Self::Receipt(_)
                | Self::ComingWebinars(_)
                | Self::Fetches
        )
    }

    /// The value of `Allow`.
    pub(super) fn allowed_methods(&self) -> &'static str {
        if self.is_write() { "POST" } else { "GET, HEAD" }
    }
}

/// Whether the path belongs to the API, even if it has no route.
pub(in crate::ops) fn is_api_path(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Parses a path. It is split before it is decoded: an external id may hold a slash. Our own words must not be encoded.
///
/// # Errors
/// [`ApiError`]: nothing is at this path, or it names an impossible id.
pub(super) fn parse_route(path: &str) -> Result<ApiRoute, ApiError> {
    let rest = path.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix("/v1/"));
    let parts: Vec<&str> = rest.ok_or(ApiError::NotFound)?.split('/').collect();
    match parts.as_slice() {
        ["status"] => Ok(ApiRoute::Status),
        ["events"] => Ok(ApiRoute::Events),
        ["events", "redrive"] => Ok(ApiRoute::RedriveEvents),
        ["events", hubspot, account, event] => {
            Ok(ApiRoute::Event(parse_event_key(hubspot, account, event)?))
        }
        ["events", hubspot, account, event, "redrive"] => {
            Ok(ApiRoute::RedriveEvent(parse_event_key(hubspot, account, event)?))
        }
        ["receipts"] => Ok(ApiRoute::Receipts),
        ["receipts", "replay"] => Ok(ApiRoute::ReplayReceipts),
        ["receipts", id] => Ok(ApiRoute::Receipt(parse_receipt(id)?)),
        ["receipts", id, "replay"] => Ok(ApiRoute::ReplayReceipt(parse_receipt(id)?)),
        ["sources", name, "webinars"] => Ok(ApiRoute::ComingWebinars(parse_source(name)?)),
        ["sources", name, "webinars", id, "fetch"] => {
            let source = parse_source(name)?;
            let webinar = WebinarId::parse(decode_part(id)?).map_err(|_| ApiError::NotFound)?;
            Ok(ApiRoute::Fetch(source, webinar))
        }
        ["fetches"] => Ok(ApiRoute::Fetches),
        ["fetches", "redrive"] => Ok(ApiRoute::RedriveFetches),
        ["accounts", name, "pause"] => Ok(ApiRoute::Pause(parse_account(name)?)),
        ["accounts", name, "resume"] => Ok(ApiRoute::Resume(parse_account(name)?)),
        _ => Err(ApiError::NotFound),
    }
}

fn decode_part(part: &str) -> Result<String, ApiError> {
    decode_percent(part).ok_or(ApiError::Path)
}

fn parse_source(part: &str) -> Result<SourceName, ApiError> {
    SourceName::parse(decode_part(part)?).map_err(|_| ApiError::UnknownSource)
}

fn parse_account(part: &str) -> Result<AccountName, ApiError> {
    AccountName::parse(decode_part(part)?).map_err(|_| ApiError::UnknownAccount)
}

fn parse_receipt(part: &str) -> Result<ReceiptId, ApiError> {
    ReceiptId::parse(&decode_part(part)?).ok_or(ApiError::UnknownReceipt)
}

/// The key of an event; an impossible id is that of no event.
fn parse_event_key(hubspot: &str, account: &str, event: &str) -> Result<EventKey, ApiError> {
    let (hubspot, account, event) =
        (decode_part(hubspot)?, decode_part(account)?, decode_part(event)?);
    if account.is_empty() || event.is_empty() {
        return Err(ApiError::NotFound);
    }
    Ok(EventKey {
        hubspot: AccountName::parse(hubspot).map_err(|_| ApiError::UnknownEvent)?,
        external_account_id: ExternalAccountId::parse(account)
            .map_err(|_| ApiError::UnknownEvent)?,
        external_event_id: ExternalEventId::from_stored(event),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(account: &str, event: &str) -> EventKey {
        parse_event_key("main", account, event).expect("a key")
    }

    #[test]
    fn path_of_the_api_is_parsed_into_its_call() {
        let id = ReceiptId::from_bytes([7; 16]);
        let main = AccountName::parse("main").expect("a name");
        for (path, expected) in [
            ("status".to_owned(), ApiRoute::Status),
            ("events".to_owned(), ApiRoute::Events),
            ("events/redrive".to_owned(), ApiRoute::RedriveEvents),
            ("events/main/acct/1-2".to_owned(), ApiRoute::Event(event("acct", "1-2"))),
            ("events/main/a/1/redrive".to_owned(), ApiRoute::RedriveEvent(event("a", "1"))),
            (
                "events/main/redrive/redrive".to_owned(),
                ApiRoute::Event(event("redrive", "redrive")),
            ),
            ("receipts".to_owned(), ApiRoute::Receipts),
            ("receipts/replay".to_owned(), ApiRoute::ReplayReceipts),
            (format!("receipts/{id}"), ApiRoute::Receipt(id)),
            (format!("receipts/{id}/replay"), ApiRoute::ReplayReceipt(id)),
            (
                "sources/acme/webinars/a%2Fb/fetch".to_owned(),
                ApiRoute::Fetch(
                    SourceName::parse("acme").expect("a name"),
                    WebinarId::parse("a/b").expect("an id"),
                ),
            ),
            (
                "sources/acme/webinars".to_owned(),
                ApiRoute::ComingWebinars(SourceName::parse("acme").expect("a name")),
            ),
            ("fetches".to_owned(), ApiRoute::Fetches),
            ("fetches/redrive".to_owned(), ApiRoute::RedriveFetches),
            ("accounts/main/pause".to_owned(), ApiRoute::Pause(main.clone())),
            ("accounts/main/resume".to_owned(), ApiRoute::Resume(main)),
        ] {
            assert_eq!(parse_route(&format!("/api/v1/{path}")), Ok(expected), "{path}");
        }
    }

    #[test]
    fn path_with_encoded_ids_is_decoded_after_it_is_split() {
        let key = |path| match parse_route(path) {
            Ok(ApiRoute::Event(key)) => {
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
    fn path_of_nothing_is_not_found() {
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
            "/api/v1/fetches/",
            "/api/v1/fetches/1",
            "/api/v1/accounts",
            "/api/v1/accounts/main",
            "/api/v1/accounts/main/delete",
            "/api/v1/sources/acme/webinars/1",
            "/api/v1/sources/acme/webinars//fetch",
        ] {
            assert_eq!(parse_route(path), Err(ApiError::NotFound), "{path}");
        }
        assert_eq!(parse_route("/api/v1/events/main/%ff/1"), Err(ApiError::Path));
        assert_eq!(parse_route("/api/v1/events/main/%/1"), Err(ApiError::Path));
        assert_eq!(parse_route("/api/v1/events/Main/a/1"), Err(ApiError::UnknownEvent));
        assert_eq!(parse_route("/api/v1/events/main/a%00/1"), Err(ApiError::UnknownEvent));
        assert_eq!(parse_route("/api/v1/accounts/Main%2F/pause"), Err(ApiError::UnknownAccount));
        assert_eq!(parse_route("/api/v1/receipts/1"), Err(ApiError::UnknownReceipt));
        assert!(is_api_path("/api") && is_api_path("/api/") && is_api_path("/api/v1/status"));
        assert!(
            !is_api_path("/apis") && !is_api_path("//api/v1/status") && !is_api_path("/metrics")
        );
    }
}
