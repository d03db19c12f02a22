//! One HTTP request on a connection of its own, and the whole answer as text.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any answer takes; reaching it fails the test.
const PATIENCE: Duration = Duration::from_secs(30);
/// The one header whose value differs between runs and means nothing.
const LEFT_OUT: &str = "date";

/// A request. Without a `host` header, `localhost` is sent.
pub(super) struct Request<'a> {
    /// Method and target.
    pub(super) line: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) body: &'a [u8],
}

pub(super) struct Answer {
    pub(super) status: u16,
    /// Status line and headers, sorted, without what differs between runs.
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    /// As the snapshots show it.
    pub(super) fn shown(&self) -> String {
        format!("{}\n\n{}", self.head, self.body)
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

/// Sends the request and reads until the connection ends.
pub(super) async fn exchange(address: &str, request: &Request<'_>) -> Answer {
    let mut bytes = format!("{} HTTP/1.1\r\n", request.line);
    if !request.headers.iter().any(|(name, _)| name == "host") {
        bytes.push_str("host: localhost\r\n");
    }
    for (name, value) in request.headers {
        write!(bytes, "{name}: {value}\r\n").expect("text can be written");
    }
    let length = request.body.len();
    write!(bytes, "content-length: {length}\r\nconnection: close\r\n\r\n")
        .expect("text can be written");
    let exchanging = async {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(bytes.as_bytes()).await.expect("it reads the head");
        // An answer may come before the whole body is sent.
        drop(stream.write_all(request.body).await);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("the answer comes whole");
        String::from_utf8(answer).expect("our answers are text")
    };
    let text = tokio::time::timeout(PATIENCE, exchanging).await.expect("an answer in time");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let first = lines.next().expect("a status line");
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        let name = name.to_ascii_lowercase();
        if name == "content-length" {
            let length: usize = value.parse().expect("a length");
            assert!(request.line.starts_with("HEAD ") || length == body.len(), "{text}");
        } else if name != LEFT_OUT {
            headers.push(format!("{name}: {value}"));
        }
    }
    headers.sort();
    headers.insert(0, first.to_owned());
    Answer { status: status.expect("a status"), head: headers.join("\n"), body: body.to_owned() }
}
