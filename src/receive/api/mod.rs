//! The operators' API under `/api/v1`: looking at the ledger, and asking for things to be done again.
//!
//! * [`guard`]: who may ask; [`route`]: what a path asks for; [`query`], [`percent`]: its parameters; [`cursor`]: where a
//!   list goes on; [`problem`]: the one table of refusals. All of these only decide.
//! * [`show`]: records as JSON.
//! * [`status`], [`events`], [`receipts`], [`accounts`]: what is done.
//!
//! Promises: nothing is answered to other machines, to web pages of other origins, or through a proxy. Every answer
//! comes within a bound of time, also when the store hangs. What a call changed is durable when it is answered; one
//! that is answered 503 may have been done all the same, and doing it again does no harm. Bodies are shown with
//! personal links and passwords masked. Relies on the ledger for its pages to be bounded. A crash in the midst of a
//! call for many leaves some of them done.

mod accounts;
mod cursor;
mod error;
mod events;
pub(super) mod guard;
mod models;
mod percent;
mod query;
mod receipts;
mod route;
mod sources;
mod status;

use std::time::Duration;

use actix_web::http::uri::Authority;
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;
use tokio::time::timeout;

use super::body::{self, BodyLimits, BodyMemory};
use super::ops::OpsState;
use super::reply;
use crate::ledger::LedgerError;
use error::ApiError;
use guard::AccessDecision;
use query::QueryParameters;
use route::ApiRoute;
pub(super) use route::is_api_path;

/// How long the store may take for one thing.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call that is about many goes on; what is left then is told by a cursor.
const BULK_TIME: Duration = Duration::from_secs(10);
/// Bodies are not needed, but clients send some: `{}`, an empty form.
const BODY_LIMITS: BodyLimits = BodyLimits {
    max_size: 64 * 1024,
    timeout: Duration::from_secs(5),
    max_excess_size: 16 * 1024 * 1024,
    excess_timeout: Duration::from_secs(2),
};
/// What the bodies of all calls may take together.
const BODY_MEMORY: usize = 4 * 1024 * 1024;

/// What is shared between calls.
#[derive(Clone)]
pub(super) struct ApiBodyMemory(BodyMemory);

impl Default for ApiBodyMemory {
    fn default() -> Self {
        Self(BodyMemory::new(BODY_MEMORY))
    }
}

/// Answers a request to the API; none where, for this caller, there is no API.
pub(super) async fn handle_request(
    ops: &OpsState,
    bodies: &ApiBodyMemory,
    request: &HttpRequest,
    mut payload: Payload,
) -> Option<HttpResponse> {
    let peer = request.peer_addr().map(|address| address.ip());
    let authority = request.uri().authority().map(Authority::as_str);
    let refusal = match guard::decide_access(ops.access, peer, authority, request.headers()) {
        AccessDecision::Hidden => return None,
        AccessDecision::Forbidden(why) => Some(ApiError::Forbidden(why)),
        AccessDecision::Closed => Some(ApiError::Closed),
        AccessDecision::Allowed => None,
    };
    if let Some(refusal) = refusal {
        return Some(refusal.response(Some(payload)));
    }
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    if let Err(error) = body::read_body(&mut payload, declared, BODY_LIMITS, &bodies.0).await {
        return Some(ApiError::from(error).response(Some(payload)));
    }
    let done = dispatch(ops, request.method(), request.path(), request.query_string()).await;
    Some(match done {
        Ok(shown) => reply::json_response(StatusCode::OK, &shown),
        Err(problem) => problem.response(None),
    })
}

async fn dispatch(
    ops: &OpsState,
    method: &Method,
    path: &str,
    query: &str,
) -> Result<Value, ApiError> {
    let route = route::parse_route(path)?;
    let fits = match *method {
        Method::GET | Method::HEAD => !route.is_write(),
        Method::POST => route.is_write(),
        _ => false,
    };
    if !fits {
        return Err(ApiError::Method(route.allowed_methods()));
    }
    let query = QueryParameters::parse(query)?;
    match route {
        ApiRoute::Status => status::get(ops, query).await,
        ApiRoute::Events => events::list(ops, query).await,
        ApiRoute::Event(key) => events::get(ops, &key, query).await,
        ApiRoute::RedriveEvent(key) => events::redrive(ops, &key, query).await,
        ApiRoute::RedriveEvents => events::redrive_all(ops, query).await,
        ApiRoute::Receipts => receipts::list(ops, query).await,
        ApiRoute::Receipt(id) => receipts::get(ops, id, query).await,
        ApiRoute::ReplayReceipt(id) => receipts::replay(ops, id, query).await,
        ApiRoute::ReplayReceipts => receipts::replay_all(ops, query).await,
        ApiRoute::Fetch(source, webinar) => sources::fetch(ops, &source, webinar, query).await,
        ApiRoute::Pause(account) => accounts::pause(ops, &account, query).await,
        ApiRoute::Resume(account) => accounts::resume(ops, &account, query).await,
    }
}

/// What the store says, if it says so in time.
async fn await_store<T>(
    asked: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, ApiError> {
    match timeout(STORE_TIMEOUT, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(ApiError::store_timeout()),
    }
}
