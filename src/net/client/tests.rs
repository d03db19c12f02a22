use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

/// Length of the compressed fixture when decompressed: 1 MiB of zeros.
const DECOMPRESSED: usize = 1024 * 1024;

/// Action of the server once it has read a request.
enum Action {
    /// Writes these bytes and closes.
    Respond(Vec<u8>),
    /// Keeps the connection open and silent.
    Wait,
    /// Drops the connection with unread data, so that it is reset.
    Break,
}

/// A server for one request; its task returns the request.
async fn server(action: Action) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        match action {
            Action::Respond(bytes) => {
                // The client may hang up before it has read everything.
                drop(stream.write_all(&bytes).await);
                drop(stream.shutdown().await);
            }
            Action::Wait => {
                let mut rest = Vec::new();
                drop(stream.read_to_end(&mut rest).await);
            }
            Action::Break => {}
        }
        request
    });
    (address, task)
}

/// Reads until the body has as many bytes as its header says.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "the client hung up within its request");
        bytes.extend_from_slice(&piece[..count]);
    }
}

fn request(address: SocketAddr) -> HttpRequest {
    HttpRequest {
        method: HttpMethod::Post,
        url: format!("http://{address}/upsert?key=in-the-url").parse().unwrap(),
        headers: vec![("authorization".into(), "Bearer in-a-header".into())],
        body: b"hello".to_vec(),
        timeout: Duration::from_secs(20),
        max_response_bytes: 1_000,
    }
}

fn answers(text: &str) -> Action {
    Action::Respond(text.as_bytes().to_vec())
}

async fn sent(action: Action) -> Result<HttpResponse, TransportError> {
    let (address, _task) = server(action).await;
    HttpClient::new().unwrap().send(request(address)).await
}

#[tokio::test]
async fn send_whole_response_is_returned() {
    let (address, task) = server(answers(
        "HTTP/1.1 207 Multi-Status\r\nX-Some: Thing\r\ncontent-length: 2\r\n\r\n{}",
    ))
    .await;
    let answer = HttpClient::new().unwrap().send(request(address)).await.unwrap();
    assert_eq!((answer.status, answer.header("x-some")), (207, Some("Thing")));
    assert_eq!(answer.body, b"{}");
    let seen = task.await.unwrap();
    assert!(seen.starts_with("post /upsert?key=in-the-url http/1.1\r\n"), "{seen}");
    assert!(seen.contains("authorization: bearer in-a-header\r\n"), "{seen}");
    assert!(seen.contains(&format!("user-agent: {USER_AGENT}\r\n")), "{seen}");
    assert!(seen.ends_with("\r\n\r\nhello"), "{seen}");
}

#[tokio::test]
async fn send_redirect_is_a_response_and_not_followed() {
    // The standard library's listener, since its `accept` asks the system at once.
    let target = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let location = target.local_addr().unwrap();
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} Moved\r\nlocation: http://{location}/\r\n");
        let answer = sent(answers(&format!("{head}content-length: 0\r\n\r\n"))).await.unwrap();
        assert_eq!(answer.status, status);
    }
    let connected = target.accept().map_err(|error| error.kind());
    assert_eq!(connected.unwrap_err(), std::io::ErrorKind::WouldBlock, "the redirect was followed");
}

#[tokio::test]
async fn send_truncated_response_is_a_reset() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"status\"";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"sta\r\n";
    for text in [short, chunked, "HTTP/1.1 200", "HTTP/1.1 2", ""] {
        let result = sent(answers(text)).await;
        assert!(matches!(result, Err(TransportError::Reset(_))), "{text}: {result:?}");
    }
}

#[tokio::test]
async fn send_response_other_than_http_is_a_reset() {
    let result = sent(answers("SSH-2.0-OpenSSH_9.6\r\n")).await;
    assert!(matches!(result, Err(TransportError::Reset(_))), "{result:?}");
}

#[tokio::test]
async fn send_response_over_the_bound_is_too_large() {
    let response = |length: usize| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        Action::Respond([head.into_bytes(), vec![b'x'; length]].concat())
    };
    assert_eq!(sent(response(1_000)).await.unwrap().body.len(), 1_000);
    let result = sent(response(1_001)).await;
    assert!(matches!(result, Err(TransportError::TooLarge(1_000))), "{result:?}");
}

#[tokio::test]
async fn send_compressed_response_is_bounded_decompressed() {
    let compressed = include_bytes!("../../../tests/fixtures/net/zeros.gz");
    assert!(compressed.len() < DECOMPRESSED / 100);
    let length = compressed.len();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n");
    let (address, _task) = server(Action::Respond([head.as_bytes(), compressed].concat())).await;
    let max = 2 * compressed.len();
    let request = HttpRequest { max_response_bytes: max, ..request(address) };
    let result = HttpClient::new().unwrap().send(request).await;
    assert!(matches!(result, Err(TransportError::TooLarge(bound)) if bound == max), "{result:?}");
}

#[tokio::test]
async fn send_silent_server_is_a_timeout() {
    let (address, _task) = server(Action::Wait).await;
    let request = HttpRequest { timeout: Duration::from_millis(200), ..request(address) };
    let result = HttpClient::new().unwrap().send(request).await;
    assert!(matches!(result, Err(TransportError::Timeout)), "{result:?}");
}

#[tokio::test]
async fn send_slow_body_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await.unwrap();
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
    });
    let request = HttpRequest { timeout: Duration::from_millis(200), ..request(address) };
    let result = HttpClient::new().unwrap().send(request).await;
    assert!(matches!(result, Err(TransportError::Timeout)), "{result:?}");
}

#[tokio::test]
async fn send_broken_connection_differs_from_none() {
    let result = sent(Action::Break).await;
    assert!(matches!(result, Err(TransportError::Reset(_))), "{result:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unused = listener.local_addr().unwrap();
    drop(listener);
    let result = HttpClient::new().unwrap().send(request(unused)).await;
    assert!(matches!(result, Err(TransportError::Connect(_))), "{result:?}");
}

#[tokio::test]
async fn send_any_error_hides_url_and_headers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unused = listener.local_addr().unwrap();
    drop(listener);
    let client = HttpClient::new().unwrap();
    for error in [client.send(request(unused)).await, sent(Action::Break).await] {
        let shown = format!("{:?}", error.unwrap_err());
        assert!(!shown.contains("in-the-url") && !shown.contains("in-a-header"), "{shown}");
    }
}

#[tokio::test]
async fn send_plain_http_or_invalid_header_sends_nothing() {
    let client = HttpClient::new().unwrap();
    let loopback = SocketAddr::from(([127, 0, 0, 1], 9));
    let plain = HttpRequest { url: "http://192.0.2.1/".parse().unwrap(), ..request(loopback) };
    let broken =
        HttpRequest { headers: vec![("authorization".into(), "a\nb".into())], ..request(loopback) };
    for (request, reason) in
        [(plain, UnsendableRequest::PlainHttp), (broken, UnsendableRequest::BadHeaderValue)]
    {
        let Err(TransportError::Connect(source)) = client.send(request).await else {
            panic!("{reason}")
        };
        assert_eq!(source.downcast_ref::<UnsendableRequest>(), Some(&reason));
    }
}

#[test]
fn is_loopback_any_url_depends_on_the_host_alone() {
    let loopback = |url: &str| is_loopback(&url.parse().unwrap());
    assert!(
        loopback("http://127.9.9.9/")
            && loopback("http://[::1]:8/")
            && loopback("http://localhost/")
    );
    assert!(!loopback("http://127.0.0.1.example/") && !loopback("http://localhost@example.com/"));
    assert!(!loopback("http://0.0.0.0/") && !loopback("http://localhost.example/"));
}
