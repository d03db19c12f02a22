//! Requests that are malformed or not meant for the bridge.

use tokio::io::AsyncWriteExt as _;

use super::{ZOOM, assert_still_works, metric};
use crate::harness::process::{SECRET, Setting};
use crate::harness::wire::{
    self, Answer, answer, ask, closes, connect, created, framed, signature, webhook,
};

const ACCEPTED: (u16, &str) = (200, r#"{"status":"accepted"}"#);
const NOT_FOUND: (u16, &str) = (404, r#"{"error":"not_found"}"#);
/// The path token of the source `hidden`.
const TOKEN: &str = "path-token-of-the-tests";

fn hidden() -> Setting {
    Setting::new(&format!(
        "[source.hidden]\nprovider = \"zoom\"\nsecret = \"{SECRET}\"\n\
         organizer = \"Acme GmbH\"\npath_token = \"{TOKEN}\""
    ))
}

/// An answer without its date, and with sorted headers: the framework writes them in any order.
fn without_date(answer: &Answer) -> (Vec<&str>, &str) {
    let mut lines: Vec<&str> =
        answer.head.lines().filter(|line| !line.to_lowercase().starts_with("date:")).collect();
    lines.sort_unstable();
    (lines, &answer.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_path_token_is_answered_like_an_unknown_source() {
    let setting = hidden();
    let bridge = setting.start();
    let body = created(1, "Hidden", "");
    let right = format!("/webhooks/hidden/{TOKEN}");
    let escaped = right.replace('-', "%2D");
    assert_eq!(ask(&bridge.webhooks, &webhook(&right, &body)).await.status_and_body(), ACCEPTED);
    let again = ask(&bridge.webhooks, &webhook(&escaped, &body)).await;
    assert_eq!(again.status_and_body(), (200, r#"{"status":"duplicate"}"#));

    let unknown = ask(&bridge.webhooks, &webhook("/webhooks/nobody", &body)).await;
    assert_eq!(unknown.status_and_body(), NOT_FOUND);
    for target in [
        "/webhooks/hidden".to_owned(),
        "/webhooks/hidden/".to_owned(),
        format!("/webhooks/hidden/{TOKEN}/"),
        format!("/webhooks/hidden/{TOKEN}x"),
        format!("/webhooks/hidden/{}", TOKEN.to_uppercase()),
        format!("/webhooks/hidden/x/../{TOKEN}"),
        format!("/webhooks/hidden/{TOKEN}%00"),
        format!("/webhooks/nobody/{TOKEN}"),
    ] {
        let answer = ask(&bridge.webhooks, &webhook(&target, &body)).await;
        assert_eq!(without_date(&answer), without_date(&unknown), "{target}");
        // Another method does not reveal it either.
        let get = format!("GET {target} HTTP/1.1\r\nhost: bridge\r\n\r\n");
        let answer = ask(&bridge.webhooks, get.as_bytes()).await;
        assert_eq!(without_date(&answer), without_date(&unknown), "{target}");
    }
    let logged = bridge.logged();
    assert!(!logged.contains(TOKEN) && !logged.contains(SECRET), "{logged}");
    assert_still_works(&setting, &bridge, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_matched_without_normalization() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let body = created(1, "One", "");
    for target in [
        "/webhooks/../webhooks/zoom",
        "/webhooks/zoom/../zoom",
        "/webhooks/./zoom",
        "/webhooks//zoom",
        "//webhooks/zoom",
        "/webhooks/zoom/",
        "/webhooks/%7Aoom",
        "/webhooks%2Fzoom",
        "/%2e%2e/webhooks/zoom",
        "/webhooks/ZOOM",
        "/webhooks/zoom%00",
        "/webhooks/zoom;a=b",
        "/webhooks/",
        "/webhooks",
        "/",
        "/metrics",
        "/livez",
        "/etc/passwd",
        "/webhooks/../../../../etc/passwd",
    ] {
        let answer = ask(&bridge.webhooks, &webhook(target, &body)).await;
        assert_eq!(answer.status_and_body(), NOT_FOUND, "{target}");
    }
    // A query, and the absolute form that proxies use, do not change the path.
    let mut bodies = Vec::new();
    for target in ["/webhooks/zoom?a=%ff&a=..", "http://else.example/webhooks/zoom"] {
        bodies.push(ask(&bridge.webhooks, &webhook(target, &body)).await.body);
    }
    assert_eq!(bodies, [r#"{"status":"accepted"}"#, r#"{"status":"duplicate"}"#]);
    assert_still_works(&setting, &bridge, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_answered_405() {
    let setting = Setting::new("");
    let bridge = setting.start();
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let request = format!("{method} {ZOOM} HTTP/1.1\r\nhost: bridge\r\n\r\n");
        let answer = ask(&bridge.webhooks, request.as_bytes()).await;
        assert_eq!(
            answer.status_and_body(),
            (405, r#"{"error":"method_not_allowed"}"#),
            "{method}"
        );
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    let mut stream = connect(&bridge.webhooks).await;
    let head = format!("HEAD {ZOOM} HTTP/1.1\r\nhost: bridge\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the connection is open");
    let mut seen = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut seen)
        .await
        .expect("the connection closes");
    assert!(seen.starts_with("HTTP/1.1 405 ") && seen.ends_with("\r\n\r\n"), "{seen}");
    for request in ["OPTIONS * HTTP/1.1", "CONNECT else.example:443 HTTP/1.1"] {
        let request = format!("{request}\r\nhost: bridge\r\n\r\n");
        let status = ask(&bridge.webhooks, request.as_bytes()).await.status;
        assert_eq!(status, 404, "{request}");
    }
    assert_still_works(&setting, &bridge, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_http_is_refused_and_closed() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let zeros = vec![0_u8; 100_000];
    let long_line = format!("POST /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20)).into_bytes();
    let long_header = format!("POST {ZOOM} HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let flood: String = (0..20_000).fold(format!("POST {ZOOM} HTTP/1.1\r\n"), |mut head, n| {
        use std::fmt::Write as _;
        write!(head, "x-{n}: {n}\r\n").expect("text can be written");
        head
    });
    let endless = "y: z\r\n".repeat(300_000);
    for (what, bytes) in [
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xff".as_slice()),
        ("zeros", &zeros),
        ("noise", b"\xff\xfe\x00\x01 \xc3\x28\r\n\r\n"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("SSH", b"SSH-2.0-OpenSSH_9.7\r\n\r\n"),
        ("a long line", &long_line),
        ("a long header", long_header.as_bytes()),
        ("a flood of headers", [flood.as_bytes(), b"\r\n"].concat().as_slice()),
        ("headers without end", [flood.as_bytes(), endless.as_bytes()].concat().as_slice()),
        ("a header without a name", format!("POST {ZOOM} HTTP/1.1\r\n: x\r\n\r\n").as_bytes()),
        ("a folded header", format!("POST {ZOOM} HTTP/1.1\r\na: b\r\n c\r\n\r\n").as_bytes()),
        ("a NUL in a header", format!("POST {ZOOM} HTTP/1.1\r\na: \0\r\n\r\n").as_bytes()),
    ] {
        let mut stream = connect(&bridge.webhooks).await;
        wire::write(&mut stream, bytes).await;
        // A sender that still writes may miss the answer, but its connection is not kept open.
        if let Some(answer) = answer(&mut stream).await {
            let refused = [400, 431, 414].contains(&answer.status);
            assert!(refused, "{what}: {answer:?}");
        }
        assert!(closes(&mut stream).await, "{what}");
    }
    assert_still_works(&setting, &bridge, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_content_lengths_smuggle_no_request() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let body = created(1, "One", "");
    let inner = webhook(ZOOM, &created(2, "Smuggled", ""));

    // The length is too short: the rest is at best another request, which must be signed itself.
    let unsigned = String::from_utf8(inner.clone()).expect("the text is UTF-8");
    let unsigned = unsigned.replace("x-zm-signature: v0=", "x-zm-signature: v0=0").into_bytes();
    let outer = [body.clone(), unsigned].concat();
    let short = format!("content-length: {}", body.len());
    let bytes = [framed(ZOOM, &short, &outer), outer.clone()].concat();
    let mut stream = connect(&bridge.webhooks).await;
    wire::write(&mut stream, &bytes).await;
    let first = answer(&mut stream).await.expect("an answer");
    assert_eq!(first.status_and_body(), (401, r#"{"error":"unauthorized"}"#));
    let second = answer(&mut stream).await.map(|answer| answer.status);
    assert!(second.is_none_or(|status| status == 401), "{second:?}");
    assert!(closes(&mut stream).await);

    // Two lengths, or a length and chunks, are ambiguous.
    let chunks = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let length = body.len();
    for (framing, sent) in [
        (format!("content-length: {length}\r\ncontent-length: {}", length + 1), body.clone()),
        (format!("content-length: {length}, {length}"), body.clone()),
        (format!("content-length: +{length}"), body.clone()),
        ("content-length: 99999999999999999999999999".to_owned(), body.clone()),
        (format!("content-length: {length}\r\ntransfer-encoding: chunked"), chunks.clone()),
        (format!("transfer-encoding: chunked\r\ncontent-length: {length}"), chunks.clone()),
        ("transfer-encoding: gzip".to_owned(), body.clone()),
        ("transfer-encoding: xchunked".to_owned(), chunks.clone()),
        ("transfer-encoding: chunked".to_owned(), b"-1\r\n".to_vec()),
        ("transfer-encoding: chunked".to_owned(), b"fffffffffffffffff\r\nx".to_vec()),
    ] {
        let mut stream = connect(&bridge.webhooks).await;
        let bytes = [framed(ZOOM, &framing, &body), sent, inner.clone()].concat();
        wire::write(&mut stream, &bytes).await;
        let status = answer(&mut stream).await.map(|answer| answer.status);
        assert_eq!(status, Some(400), "{framing}");
        assert!(closes(&mut stream).await, "{framing}");
    }

    // The length is too long, and the sender leaves: half a body is refused.
    let mut stream = connect(&bridge.webhooks).await;
    let long = format!("content-length: {}", length + 1);
    wire::write(&mut stream, &[framed(ZOOM, &long, &body), body.clone()].concat()).await;
    stream.shutdown().await.expect("the connection is open");
    let last = answer(&mut stream).await.expect("an answer");
    assert_eq!(last.status_and_body(), (400, r#"{"error":"bad_request"}"#));

    assert_still_works(&setting, &bridge, 3).await;
    let accepted = "bridge_webhooks_total{outcome=\"accepted\",provider=\"zoom\",source=\"zoom\"}";
    let count = metric(&bridge, accepted).await;
    assert!((count - 1.0).abs() < 0.5, "{count} were accepted");
    assert_eq!(super::name_at_hubspot(&setting.hubspot, 2), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_valid_requests_are_accepted() {
    let setting = Setting::new("");
    let bridge = setting.start();

    // Several pipelined requests on one connection are answered in order.
    let [one, two] = [created(1, "One", ""), created(2, "Two", "")];
    let together = [webhook(ZOOM, &one), webhook(ZOOM, &two), webhook(ZOOM, &one)].concat();
    let mut stream = connect(&bridge.webhooks).await;
    wire::write(&mut stream, &together).await;
    for status in ["accepted", "accepted", "duplicate"] {
        let answer = answer(&mut stream).await.expect("an answer");
        assert_eq!(answer.status_and_body(), (200, format!(r#"{{"status":"{status}"}}"#).as_str()));
    }
    // A malformed request among them does not affect the earlier ones.
    wire::write(&mut stream, &[webhook(ZOOM, &two), b"garbage\r\n\r\n".to_vec()].concat()).await;
    let statuses = [answer(&mut stream).await, answer(&mut stream).await];
    assert_eq!(statuses.map(|answer| answer.map(|answer| answer.status)), [Some(200), Some(400)]);

    // The sender expects `100 Continue`.
    let body = created(3, "Three", "");
    let framing = format!("expect: 100-continue\r\ncontent-length: {}", body.len());
    let mut stream = connect(&bridge.webhooks).await;
    wire::write(&mut stream, &framed(ZOOM, &framing, &body)).await;
    assert_eq!(answer(&mut stream).await.expect("100 Continue").status, 100);
    wire::write(&mut stream, &body).await;
    assert_eq!(answer(&mut stream).await.expect("an answer").status_and_body(), ACCEPTED);

    // One byte at a time, in chunks of one byte, with trailers.
    let body = created(4, "Four", "");
    let mut bytes = framed(ZOOM, "transfer-encoding: chunked", &body);
    for byte in &body {
        bytes.extend([b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
    }
    bytes.extend(b"0\r\n\r\n");
    let mut stream = connect(&bridge.webhooks).await;
    stream.set_nodelay(true).expect("the connection is open");
    for byte in bytes {
        stream.write_all(&[byte]).await.expect("the connection is open");
    }
    assert_eq!(answer(&mut stream).await.expect("an answer").status_and_body(), ACCEPTED);

    // HTTP/1.0, without a host.
    let body = created(5, "Five", "");
    let (signature, length) = (signature(&body), body.len());
    let head = format!("POST {ZOOM} HTTP/1.0\r\n{signature}content-length: {length}\r\n\r\n");
    let answer = ask(&bridge.webhooks, &[head.as_bytes(), &body].concat()).await;
    assert_eq!(answer.status_and_body(), ACCEPTED);

    // A repeated signature header is refused, even with two right values.
    let twice = format!("{}content-length: {length}", wire::signature(&body));
    let answer = ask(&bridge.webhooks, &[framed(ZOOM, &twice, &body), body].concat()).await;
    assert_eq!(answer.status, 401);
    assert_still_works(&setting, &bridge, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_connection_is_closed_before_its_next_request() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let unsigned = format!("POST {ZOOM} HTTP/1.1\r\nhost: bridge\r\ncontent-length: 2\r\n\r\n{{}}");
    let whole = webhook(ZOOM, &created(1, "Next", ""));
    for next in [&whole[..10], &whole[..whole.len() - 10]] {
        let mut stream = connect(&bridge.webhooks).await;
        wire::write(&mut stream, &[unsigned.as_bytes(), next].concat()).await;
        assert_eq!(answer(&mut stream).await.expect("an answer").status, 401);
        assert!(closes(&mut stream).await, "{}", next.len());
    }
    assert_still_works(&setting, &bridge, 2).await;
}
