//! What the listeners have in common: threads, bounds of connections, and how they stop.

use std::io;
use std::net::TcpListener;
use std::num::NonZero;
use std::panic::AssertUnwindSafe;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::error::WebhookError;
use super::reply;

/// Longer than the 60 s for which load balancers (AWS, nginx) keep idle connections: else they would send a request
/// on a connection that is just being closed, and report a failure.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long the sender of an unread body is listened to after its answer, so that it reads the answer and not a reset.
const LINGER: Duration = Duration::from_secs(1);

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListenerLimits {
    /// Open connections; more wait in the kernel's queue.
    pub(super) max_connections: usize,
    /// How long the first head of a connection may take. Later heads have no bound in the framework, which is why
    /// only proven senders may have a later one ([`Problem`]).
    pub(super) head_timeout: Duration,
    /// How long requests that have begun may take to end after the stop.
    pub(super) stop_timeout: Duration,
}

/// Answers requests with `handler` until `stop`: then no new connection is taken, and the requests that have begun
/// are finished. A panic of the handler is answered 500.
///
/// # Errors
/// When the listener cannot be used, or the threads cannot be started.
pub(super) async fn serve<H, F>(
    listener: TcpListener,
    bounds: ListenerLimits,
    handler: H,
    stop: CancellationToken,
) -> io::Result<()>
where
    H: Fn(HttpRequest, web::Payload) -> F + Clone + Send + 'static,
    F: Future<Output = HttpResponse> + 'static,
{
    start_server(listener, bounds, handler, stop)?.await
}

/// Apart from [`serve`] because the builder, unlike the server, cannot be sent between threads.
fn start_server<H, F>(
    listener: TcpListener,
    bounds: ListenerLimits,
    handler: H,
    stop: CancellationToken,
) -> io::Result<Server>
where
    H: Fn(HttpRequest, web::Payload) -> F + Clone + Send + 'static,
    F: Future<Output = HttpResponse> + 'static,
{
    let workers = available_parallelism().map_or(1, NonZero::get);
    let stopping =
        bounds.stop_timeout.as_secs() + u64::from(bounds.stop_timeout.subsec_nanos() > 0);
    let server = HttpServer::new(move || {
        let handler = handler.clone();
        App::new().default_service(web::to(move |request, payload| {
            let handler = handler.clone();
            async move {
                let answer = catch_panic(async { handler(request, payload).await }).await;
                answer.unwrap_or_else(|| reply::error_response(WebhookError::Panicked, None))
            }
        }))
    })
    .workers(workers)
    .max_connections(bounds.max_connections.div_ceil(workers))
    .client_request_timeout(bounds.head_timeout)
    .client_disconnect_timeout(LINGER)
    .keep_alive(KEEP_ALIVE)
    .tcp_nodelay(true)
    .shutdown_timeout(stopping)
    .shutdown_signal(stop.cancelled_owned())
    .listen(listener)?;
    Ok(server.run())
}

/// The future's result; none if it panicked. It is unwind safe: what it shares with other requests are counters,
/// semaphores and locks whose poison is ignored, all whole at any point.
pub(super) async fn catch_panic<T>(future: impl Future<Output = T>) -> Option<T> {
    let result = AssertUnwindSafe(future).catch_unwind().await;
    if result.is_err() {
        tracing::error!("a request's handler panicked; it was answered 500");
    }
    result.ok()
}
