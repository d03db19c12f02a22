//! What the listeners have in common: threads, bounds of connections, and how they stop.

use std::io;
use std::net::TcpListener;
use std::num::NonZero;
use std::panic::AssertUnwindSafe;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::request::ServerRequest;
use super::response::ServerResponse;

/// Longer than the 60 s for which load balancers (AWS, nginx) keep idle connections: else they would send a request
/// on a connection that is just being closed, and report a failure.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long the sender of an unread body is listened to after its response, so that it reads the response and not a
/// reset.
const LINGER: Duration = Duration::from_secs(1);

/// The limits of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ListenerLimits {
    /// Open connections; more wait in the kernel's queue.
    pub max_connections: usize,
    /// How long the first head of a connection may take. The framework does not limit later heads; a listener for
    /// unproven senders closes their connections after the first response ([`ServerResponse::closing`]).
    pub head_timeout: Duration,
    /// How long requests that have begun may take to end after the stop.
    pub stop_timeout: Duration,
}

/// Answers requests with `handler` until `stop`: then no new connection is taken, and the requests that have begun
/// are finished. A panic of the handler is answered 500.
///
/// # Errors
/// When the listener cannot be used, or the threads cannot be started.
///
/// # Cancel safety
/// Dropped, it ends at once, without finishing the requests that have begun.
pub async fn serve<H, F>(
    listener: TcpListener,
    limits: ListenerLimits,
    handler: H,
    stop: CancellationToken,
) -> io::Result<()>
where
    H: Fn(ServerRequest) -> F + Clone + Send + 'static,
    F: Future<Output: Into<HttpResponse>> + 'static,
{
    let workers = available_parallelism().map_or(1, NonZero::get);
    let stop_seconds =
        limits.stop_timeout.as_secs() + u64::from(limits.stop_timeout.subsec_nanos() > 0);
    let server = HttpServer::new(move || {
        let handler = handler.clone();
        App::new().default_service(web::to(move |head, body| {
            let handler = handler.clone();
            async move {
                let responding = async { handler(ServerRequest { head, body }).await.into() };
                let response: Option<HttpResponse> = catch_panic(responding).await;
                response.unwrap_or_else(|| ServerResponse::error(500, "internal").closing().into())
            }
        }))
    })
    .workers(workers)
    .max_connections(limits.max_connections.div_ceil(workers))
    .client_request_timeout(limits.head_timeout)
    .client_disconnect_timeout(LINGER)
    .keep_alive(KEEP_ALIVE)
    .tcp_nodelay(true)
    .shutdown_timeout(stop_seconds)
    .shutdown_signal(stop.cancelled_owned())
    .listen(listener)?
    .run();
    server.await
}

/// The future's result; none if it panicked. It is unwind safe: what it shares with other requests are counters,
/// semaphores and locks, which ignore poison and are whole at any point.
pub async fn catch_panic<T>(future: impl Future<Output = T>) -> Option<T> {
    let result = AssertUnwindSafe(future).catch_unwind().await;
    if result.is_err() {
        tracing::error!("the handler of a request panicked; the answer is 500");
    }
    result.ok()
}
