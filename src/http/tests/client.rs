//! A client that sends the given bytes unchanged.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than anything takes; reaching it is a failure.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// A request with `Content-Length`.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = headers.collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: here\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A response as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    /// Names in lower case; without `date`.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl TestResponse {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

pub(crate) async fn send(address: SocketAddr, bytes: &[u8]) -> TestResponse {
    let mut stream = connect(address).await;
    stream.write_all(bytes).await.expect("the listener reads");
    read_response(&mut stream).await.expect("a response")
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("the listener takes connections")
}

/// Reads one response; none if the connection is closed before it is whole.
pub(crate) async fn read_response(stream: &mut TcpStream) -> Option<TestResponse> {
    tokio::time::timeout(TIMEOUT, read_whole_response(stream)).await.expect("a response in time")
}

async fn read_whole_response(stream: &mut TcpStream) -> Option<TestResponse> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("a head is text");
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
    let mut headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    headers.remove("date");
    let length = headers.get("content-length").map_or(0, |text| text.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(TestResponse { status, headers, body: String::from_utf8(body).expect("bodies are text") })
}

/// Whether the other side closes the connection, and sends nothing more before.
pub(crate) async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(TIMEOUT, stream.read(&mut [0; 64])).await;
    !matches!(read.expect("closed in time"), Ok(1..))
}
