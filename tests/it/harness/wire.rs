//! Requests as bytes on a socket, and Zoom's signature computed without the product's code.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use webinar_bridge::http::simple_server::SimpleRequest;
use webinar_bridge::net::{HttpMethod, HttpRequest};

use super::process::SECRET;

/// Time limit for an answer; reaching it is a failure.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A server's answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers, as sent.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Status and body, for a single assertion.
    pub(crate) fn status_and_body(&self) -> (u16, &str) {
        (self.status, &self.body)
    }
}

pub(crate) async fn connect(address: &str) -> TcpStream {
    let connecting = timeout(TIMEOUT, TcpStream::connect(address)).await;
    connecting.expect("a connection in time").expect("a listener")
}

/// Writes all bytes, unless the server refuses them: a request that is refused early need not be read to its end.
pub(crate) async fn write(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    timeout(TIMEOUT, stream.write_all(bytes)).await.is_ok_and(|written| written.is_ok())
}

/// The next answer; `None` if the connection ends without one.
pub(crate) async fn answer(stream: &mut TcpStream) -> Option<Answer> {
    timeout(TIMEOUT, read(stream)).await.expect("an answer or an end in time")
}

async fn read(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).expect("our answers are text");
    let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status line");
    let mut answer = Answer { status, head, body: String::new() };
    let length =
        answer.header("content-length").map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    answer.body = String::from_utf8(body).expect("our answers are text");
    Some(answer)
}

/// Whether the server closes the connection; discards the bytes until then.
pub(crate) async fn closes(stream: &mut TcpStream) -> bool {
    let mut rest = [0; 4096];
    let ending = async { while !matches!(stream.read(&mut rest).await, Ok(0) | Err(_)) {} };
    timeout(TIMEOUT, ending).await.is_ok()
}

/// One request on a connection of its own.
pub(crate) async fn ask(address: &str, request: &[u8]) -> Answer {
    let mut stream = connect(address).await;
    write(&mut stream, request).await;
    answer(&mut stream).await.expect("an answer")
}

/// The headers with which Zoom signs this body, always in the same second: an equal body is an equal delivery.
pub(crate) fn signature(body: &[u8]) -> String {
    let at = super::zoom::seconds();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length will do");
    mac.update(format!("v0:{at}:").as_bytes());
    mac.update(body);
    let code = hex::encode(mac.finalize().into_bytes());
    format!("x-zm-request-timestamp: {at}\r\nx-zm-signature: v0={code}\r\n")
}

/// A signed webhook; `target` may have any form, and `framing` states the body's length.
pub(crate) fn framed(target: &str, framing: &str, body: &[u8]) -> Vec<u8> {
    let signature = signature(body);
    let head = format!("POST {target} HTTP/1.1\r\nhost: bridge\r\n{signature}{framing}\r\n\r\n");
    head.into_bytes()
}

/// A signed, valid webhook.
pub(crate) fn webhook(target: &str, body: &[u8]) -> Vec<u8> {
    let framing = format!("content-type: application/json\r\ncontent-length: {}", body.len());
    [framed(target, &framing, body), body.to_vec()].concat()
}

/// Sends a `GET` request.
pub(crate) async fn get(address: &str, path: &str) -> Answer {
    ask(address, format!("GET {path} HTTP/1.1\r\nhost: bridge\r\n\r\n").as_bytes()).await
}

/// Zoom's webhook of a new webinar of one hour; `object` holds further JSON members.
pub(crate) fn created(id: u64, name: &str, object: &str) -> Vec<u8> {
    let more = if object.is_empty() { String::new() } else { format!(",{object}") };
    // Under the bridge's eyes.
    let at = super::zoom::at(0);
    format!(
        r#"{{"event":"webinar.created","event_ts":{at},"payload":{{"account_id":"acct","object":{{"id":{id},"topic":"{name}","type":5,"start_time":"2040-10-01T15:00:00Z","duration":60{more}}}}}}}"#
    )
    .into_bytes()
}

/// A request as it arrives at a server.
pub(crate) fn arriving(request: &HttpRequest) -> SimpleRequest {
    let method = match request.method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
    };
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.expose_secret().to_owned()));
    SimpleRequest {
        method: method.to_owned(),
        path: request.url.path().to_owned(),
        query: request.url.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: request.body.clone(),
    }
}
