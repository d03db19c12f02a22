//! The sandbox's server, and its ways to fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::client::{TIMEOUT, bind, connect, read_response, request, send};
use crate::http::simple_server::{
    ResponseFault, SimpleHandler, SimpleRequest, SimpleResponse, serve,
};

/// Fails as the path requests; otherwise answers with the request.
struct Echo;

const HANG: Duration = Duration::from_millis(80);

#[async_trait]
impl SimpleHandler for Echo {
    async fn handle(&self, exchange: SimpleRequest) -> SimpleResponse {
        let fault = match exchange.path.as_str() {
            "/hang" => Some(ResponseFault::Hang(HANG)),
            "/reset" => Some(ResponseFault::Reset),
            "/truncate" => Some(ResponseFault::Truncate),
            _ => None,
        };
        let SimpleRequest { method, path, query, headers, body } = exchange;
        let named = headers.iter().find(|(name, _)| name == "x-named");
        let named = named.map_or("", |(_, value)| value.as_str());
        let body = format!("{method} {path} {query} {named} {}", String::from_utf8_lossy(&body));
        let headers = [("X-Echo", "yes"), ("Retry-After", "3")];
        SimpleResponse {
            status: 207,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: body.into_bytes(),
            fault,
        }
    }
}

fn echo() -> SocketAddr {
    let (listener, address) = bind();
    tokio::spawn(serve(listener, Arc::new(Echo), CancellationToken::new()));
    address
}

#[tokio::test]
async fn request_and_response_pass_unchanged() {
    let bytes = request("PUT", "/a%20b?c=d", &[("X-Named", "n")], b"body");
    let answer = send(echo(), &bytes).await;
    assert_eq!((answer.status, answer.body.as_str()), (207, "PUT /a%20b c=d n body"));
    assert_eq!(answer.header("x-echo"), Some("yes"));
    assert_eq!(answer.header("retry-after"), Some("3"));
}

#[tokio::test]
async fn response_that_hangs_comes_late() {
    let address = echo();
    let began = Instant::now();
    assert_eq!(send(address, &request("GET", "/hang", &[], b"")).await.status, 207);
    assert!(began.elapsed() >= HANG);
}

/// All that comes before the connection is closed.
async fn everything(address: SocketAddr, path: &str) -> String {
    let mut stream = connect(address).await;
    stream.write_all(&request("POST", path, &[], b"body")).await.expect("open");
    let mut all = Vec::new();
    let read = timeout(TIMEOUT, stream.read_to_end(&mut all)).await.expect("closed in time");
    assert!(read.is_ok() || all.is_empty(), "a reset comes before anything else");
    String::from_utf8(all).expect("text")
}

#[tokio::test]
async fn connection_that_is_reset_sends_no_response() {
    assert_eq!(everything(echo(), "/reset").await, "");
}

#[tokio::test]
async fn response_that_is_truncated_has_half_of_its_body() {
    let all = everything(echo(), "/truncate").await;
    let (head, body) = all.split_once("\r\n\r\n").expect("a head");
    let whole = "POST /truncate   body";
    assert!(head.to_ascii_lowercase().contains(&format!("content-length: {}", whole.len())));
    assert_eq!(Some(body), whole.get(..whole.len() / 2));
}

#[tokio::test]
async fn body_beyond_the_limit_is_refused() {
    let address = echo();
    let head = "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 8388609\r\n\r\n";
    let mut stream = connect(address).await;
    stream.write_all(head.as_bytes()).await.expect("open");
    let sent = stream.write_all(&vec![b'x'; 8_388_609]).await;
    if sent.is_ok() {
        let answer = read_response(&mut stream).await.expect("an answer");
        assert_eq!(answer.status, 413);
    }
    let bytes = request("POST", "/", &[], &vec![b'x'; 8_388_608]);
    assert_eq!(send(address, &bytes).await.status, 207);
}

#[tokio::test]
async fn server_stops_when_its_token_is_cancelled() {
    let (listener, _) = bind();
    let stop = CancellationToken::new();
    let running = tokio::spawn(serve(listener, Arc::new(Echo), stop.clone()));
    stop.cancel();
    let ended = timeout(TIMEOUT, running).await.expect("in time").expect("no panic");
    ended.expect("an orderly end");
}
