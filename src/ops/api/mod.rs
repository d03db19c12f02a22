//! The operators' API under `/api/v1`: shows the ledger, and sends, replays and fetches again.
//!
//! * [`route`]: parses paths; [`query`], [`percent`]: parse parameters; [`cursor`]: positions in a list; [`error`]: the
//!   one table of errors. None of these does I/O.
//! * [`models`]: records as JSON.
//! * [`status`], [`events`], [`receipts`], [`accounts`]: carry out the calls.
//!
//! Promises: nothing is answered to other machines, to web pages of other origins, or through a proxy. Every answer
//! comes within a bound of time, also when the store hangs. What a call changed is durable when it is answered; one
//! that is answered 503 may have been done nevertheless, and repeating it does no harm. Bodies are shown with
//! personal links and passwords masked. Relies on the ledger for its pages to be bounded. A crash during a bulk
//! call leaves some of its items done.

mod accounts;
mod cursor;
mod error;
mod events;
mod fetches;
pub mod models;
mod percent;
mod query;
mod receipts;
mod route;
mod sources;
mod status;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;

use super::access::{AccessDecision, decide_access};
use super::state::OpsState;
use crate::http::{BodyLimits, BodyMemory, ServerRequest, ServerResponse};
use crate::ledger::LedgerError;
use error::ApiError;
use query::QueryParameters;
use route::ApiRoute;
pub(super) use route::is_api_path;

/// Timeout of one call of the store.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// Duration of a bulk call; the cursor in its answer leads to the rest.
const BULK_TIME: Duration = Duration::from_secs(10);
/// No call needs a body, but clients send some: `{}`, an empty form.
const BODY_LIMITS: BodyLimits = BodyLimits {
    max_size: 64 * 1024,
    timeout: Duration::from_secs(5),
    max_excess_size: 16 * 1024 * 1024,
    excess_timeout: Duration::from_secs(2),
};
/// Bytes that the bodies of all calls may take together.
pub(super) const BODY_MEMORY: usize = 4 * 1024 * 1024;

/// Answers a request to the API. To a caller for whom there is no API it answers like any unknown path.
pub(super) async fn respond(
    ops: &OpsState,
    memory: &BodyMemory,
    mut request: ServerRequest,
) -> ServerResponse {
    let decision =
        decide_access(ops.access, request.peer(), request.authority(), &request.headers());
    match decision {
        AccessDecision::Hidden => return ServerResponse::error(404, "not_found"),
        AccessDecision::Forbidden(why) => {
            return ApiError::Forbidden(why).early_response(request);
        }
        AccessDecision::Closed => return ApiError::Closed.early_response(request),
        AccessDecision::Allowed => {}
    }
    if let Err(error) = request.read_body(BODY_LIMITS, memory).await {
        return ApiError::from(error).early_response(request);
    }
    match dispatch(ops, request.method(), request.path(), request.query()).await {
        Ok(shown) => ServerResponse::json(200, &shown),
        Err(error) => error.response(),
    }
}

async fn dispatch(
    ops: &OpsState,
    method: &str,
    path: &str,
    query: &str,
) -> Result<Value, ApiError> {
    let route = route::parse_route(path)?;
    let fits = match method {
        "GET" | "HEAD" => !route.is_write(),
        "POST" => route.is_write(),
        _ => false,
    };
    if !fits {
        return Err(ApiError::Method(route.allowed_methods()));
    }
    let query = QueryParameters::parse(query)?;
    match route {
        ApiRoute::Status => to_json(status::get(ops, query).await?),
        ApiRoute::Events => to_json(events::list(ops, query).await?),
        ApiRoute::Event(key) => to_json(events::get(ops, &key, query).await?),
        ApiRoute::RedriveEvent(key) => to_json(events::redrive(ops, &key, query).await?),
        ApiRoute::RedriveEvents => to_json(events::redrive_all(ops, query).await?),
        ApiRoute::Receipts => to_json(receipts::list(ops, query).await?),
        ApiRoute::Receipt(id) => to_json(receipts::get(ops, id, query).await?),
        ApiRoute::ReplayReceipt(id) => to_json(receipts::replay(ops, id, query).await?),
        ApiRoute::ReplayReceipts => to_json(receipts::replay_all(ops, query).await?),
        ApiRoute::Fetch(source, webinar) => {
            to_json(sources::fetch(ops, &source, webinar, query).await?)
        }
        ApiRoute::ComingWebinars(source) => to_json(sources::coming(ops, &source, query).await?),
        ApiRoute::Fetches => to_json(fetches::list(ops, query).await?),
        ApiRoute::RedriveFetches => to_json(fetches::redrive(ops, query).await?),
        ApiRoute::Pause(account) => to_json(accounts::pause(ops, &account, query).await?),
        ApiRoute::Resume(account) => to_json(accounts::resume(ops, &account, query).await?),
    }
}

/// The model as JSON, its members in alphabetical order.
fn to_json(model: impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(model).map_err(|error| ApiError::Corrupt(error.to_string()))
}

/// The store's answer, if it comes in time.
async fn await_store<T>(call: impl Future<Output = Result<T, LedgerError>>) -> Result<T, ApiError> {
    match timeout(STORE_TIMEOUT, call).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(ApiError::store_timeout()),
    }
}
