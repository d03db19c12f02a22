//! Plain HTTP/1.1: one request per connection, without the product's own client.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Time limit for an answer, longer than the bridge may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null if it is not JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The outcome in a webhook's answer.
    pub(crate) fn word(&self) -> String {
        self.json()["status"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends a request and reads the whole answer. An error if the answer is missing or incomplete.
pub(crate) async fn request(
    address: &str,
    line: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut bytes = Vec::new();
        write!(bytes, "{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n")?;
        for (name, value) in headers {
            write!(bytes, "{name}: {value}\r\n")?;
        }
        write!(bytes, "content-length: {}\r\n\r\n", body.len())?;
        bytes.extend_from_slice(body);
        stream.write_all(&bytes).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        parse(&answer).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// `None` for an incomplete answer: a process that is killed while answering has not answered.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length: usize = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })?;
    let body = bytes[end + 4..].to_vec();
    (body.len() == length).then_some(Answer { status, body })
}

/// The values of `/metrics`, by series as written.
#[derive(Debug)]
pub(crate) struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// The sum of the series with this name and all these labels. Fails the test if there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let expected: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
        let mut found = self.0.iter().filter(|(series, _)| {
            let (series_name, rest) = series.split_once('{').unwrap_or((series, ""));
            series_name == name && expected.iter().all(|label| rest.contains(label))
        });
        let first = found.next();
        assert!(first.is_some(), "no series {name} {labels:?}");
        first.into_iter().chain(found).map(|(_, value)| value).sum()
    }

    /// As [`Self::sum`], for whole numbers.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let sum = self.sum(name, labels);
        assert!(sum >= 0.0 && sum.fract() == 0.0, "{name} {labels:?} is {sum}");
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "just asserted")]
        let count = sum as u64;
        count
    }

    /// The number of an account's events in this state.
    pub(crate) fn events(&self, hubspot: &str, state: &str) -> u64 {
        self.count("bridge_events", &[("hubspot", hubspot), ("state", state)])
    }
}

/// Reads `/metrics`.
pub(crate) async fn scrape(ops: &str) -> Scrape {
    let answer = request(ops, "GET /metrics", &[], &[]).await.expect("metrics are answered");
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.body).expect("metrics are text");
    let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        Some((series.to_owned(), value.parse().ok()?))
    });
    Scrape(series.collect())
}
