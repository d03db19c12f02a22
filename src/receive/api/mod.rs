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
mod events;
pub(super) mod guard;
mod percent;
mod problem;
mod query;
mod receipts;
mod route;
mod show;
mod sources;
mod status;

use std::time::Duration;

use actix_web::http::uri::Authority;
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;
use tokio::time::timeout;

use super::body::{self, BodyBounds, Budget};
use super::ops::Ops;
use super::reply;
use crate::ledger::LedgerError;
use guard::Entry;
use problem::Problem;
use query::Query;
use route::Route;
pub(super) use route::is_api;

/// How long the store may take for one thing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a call that is about many goes on; what is left then is told by a cursor.
const LONG: Duration = Duration::from_secs(10);
/// Bodies are not needed, but clients send some: `{}`, an empty form.
const BODY: BodyBounds = BodyBounds {
    size: 64 * 1024,
    time: Duration::from_secs(5),
    excess_size: 16 * 1024 * 1024,
    excess_time: Duration::from_secs(2),
};
/// What the bodies of all calls may take together.
const BODIES: usize = 4 * 1024 * 1024;

/// What is shared between calls.
#[derive(Clone)]
pub(super) struct Bodies(Budget);

impl Default for Bodies {
    fn default() -> Self {
        Self(Budget::new(BODIES))
    }
}

/// Answers a request to the API; none where, for this caller, there is no API.
pub(super) async fn answer(
    ops: &Ops,
    bodies: &Bodies,
    request: &HttpRequest,
    mut payload: Payload,
) -> Option<HttpResponse> {
    let peer = request.peer_addr().map(|address| address.ip());
    let authority = request.uri().authority().map(Authority::as_str);
    let refusal = match guard::entry(ops.access, peer, authority, request.headers()) {
        Entry::Hidden => return None,
        Entry::Foreign(why) => Some(Problem::Foreign(why)),
        Entry::Closed => Some(Problem::Closed),
        Entry::Allowed => None,
    };
    if let Some(refusal) = refusal {
        return Some(refusal.answer(Some(payload)));
    }
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    if let Err(error) = body::read(&mut payload, declared, BODY, &bodies.0).await {
        return Some(Problem::from(error).answer(Some(payload)));
    }
    let done = done(ops, request.method(), request.path(), request.query_string()).await;
    Some(match done {
        Ok(shown) => reply::json(StatusCode::OK, &shown),
        Err(problem) => problem.answer(None),
    })
}

async fn done(ops: &Ops, method: &Method, path: &str, query: &str) -> Result<Value, Problem> {
    let route = route::route(path)?;
    let fits = match *method {
        Method::GET | Method::HEAD => !route.is_write(),
        Method::POST => route.is_write(),
        _ => false,
    };
    if !fits {
        return Err(Problem::Method(route.methods()));
    }
    let query = Query::parse(query)?;
    match route {
        Route::Status => status::status(ops, query).await,
        Route::Events => events::list(ops, query).await,
        Route::Event(key) => events::one(ops, &key, query).await,
        Route::RedriveEvent(key) => events::redrive(ops, &key, query).await,
        Route::RedriveEvents => events::redrive_all(ops, query).await,
        Route::Receipts => receipts::list(ops, query).await,
        Route::Receipt(id) => receipts::one(ops, id, query).await,
        Route::ReplayReceipt(id) => receipts::replay(ops, id, query).await,
        Route::ReplayReceipts => receipts::replay_all(ops, query).await,
        Route::Fetch(source, webinar) => sources::fetch(ops, &source, webinar, query).await,
        Route::Pause(account) => accounts::pause(ops, &account, query).await,
        Route::Resume(account) => accounts::resume(ops, &account, query).await,
    }
}

/// What the store says, if it says so in time.
async fn told<T>(asked: impl Future<Output = Result<T, LedgerError>>) -> Result<T, Problem> {
    match timeout(PATIENCE, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(Problem::too_slow()),
    }
}
