//! Access to the API, and answers to malformed and malicious requests.

use super::api_json;
use crate::harness::process::{Bridge, Setting};
use crate::harness::wire::{Answer, ask, closes, connect, write};

/// A request with these lines after the request line.
fn request(line: &str, headers: &[&str]) -> Vec<u8> {
    let line = format!("{line} HTTP/1.1");
    let lines: Vec<&str> = std::iter::once(line.as_str()).chain(headers.iter().copied()).collect();
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// The last part of a problem's type.
fn kind(answer: &Answer) -> String {
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if let Some(kind) = problem["type"].as_str() {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem["status"], answer.status);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        return kind.rsplit(':').next().unwrap_or_default().to_owned();
    }
    problem["error"].as_str().unwrap_or_default().to_owned()
}

/// Why the account is paused, if it is.
async fn paused(bridge: &Bridge) -> Option<String> {
    let status = api_json(bridge, "GET status").await;
    status["accounts"][0]["paused"]["reason"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_hosts_and_origins_are_refused() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let port = bridge.ops.rsplit(':').next().expect("a port");
    let localhost = format!("Host: localhost:{port}");
    let origin = format!("Origin: http://localhost:{port}");
    for headers in [
        vec!["Host: localhost"],
        vec!["Host: [::1]:1"],
        vec![&localhost, &origin, "Sec-Fetch-Site: same-origin"],
        vec![&localhost, "Sec-Fetch-Site: none"],
    ] {
        let answer = ask(&bridge.ops, &request("GET /api/v1/status", &headers)).await;
        assert_eq!(answer.status, 200, "{headers:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    for headers in [
        vec!["Host: rebound.example"],
        vec![
            "Host: rebound.example",
            "Sec-Fetch-Site: same-origin",
            "Origin: http://rebound.example",
        ],
        vec!["Host: 127.0.0.1.nip.example"],
        vec!["Host: localhost", "Host: localhost"],
        vec![&localhost, "Origin: http://evil.example"],
        vec![&localhost, "Origin: null"],
        vec![&localhost, "Sec-Fetch-Site: cross-site"],
    ] {
        for line in
            ["GET /api/v1/status", "POST /api/v1/accounts/main/pause", "OPTIONS /api/v1/status"]
        {
            let answer = ask(&bridge.ops, &request(line, &headers)).await;
            // Two `Host` headers may be refused unread.
            assert!([400, 403].contains(&answer.status), "{line} {headers:?}: {answer:?}");
            assert!(answer.header("access-control-allow-origin").is_none());
        }
    }
    for header in ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: ::1"] {
        let answer =
            ask(&bridge.ops, &request("GET /api/v1/status", &["Host: localhost", header])).await;
        assert_eq!(answer.status_and_body(), (404, r#"{"error":"not_found"}"#), "{header}");
    }
    // The host in the request line counts as well.
    let answer = ask(
        &bridge.ops,
        &request("GET http://rebound.example/api/v1/status", &["Host: localhost"]),
    )
    .await;
    assert_eq!((answer.status, kind(&answer).as_str()), (403, "foreign_request"));
    // Probes and metrics are open to everybody.
    for path in ["/livez", "/readyz", "/metrics"] {
        let headers = ["Host: rebound.example", "X-Forwarded-For: 10.0.0.1"];
        let answer = ask(&bridge.ops, &request(&format!("GET {path}"), &headers)).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    assert_eq!(paused(&bridge).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_with_tokens_configured_is_closed_and_logs_it() {
    let setting = Setting::new(
        "[ops.auth]\njwt = { algorithm = \"HS256\", secret = \"0123456789abcdef0123456789abcdef\", audience = \"webinar-bridge\" }",
    );
    let bridge = setting.start();
    let answer = ask(&bridge.ops, &request("GET /api/v1/status", &["Host: localhost"])).await;
    assert_eq!((answer.status, kind(&answer).as_str()), (403, "closed"));
    let answer = ask(&bridge.ops, &request("GET /livez", &["Host: localhost"])).await;
    assert_eq!(answer.status, 200);
    assert!(bridge.logged().contains("ops.auth is configured"), "{}", bridge.logged());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_are_answered_with_the_right_problem() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let long = format!("GET /api/v1/events?q={}", "x".repeat(20_000));
    let many = format!("GET /api/v1/events?{}", "&".repeat(4_000));
    for (line, status, expected) in [
        ("GET //api/v1/status", 404, "not_found"),
        ("GET /api//v1/status", 404, "not_found"),
        ("GET /api/v1/status/", 404, "not_found"),
        ("GET /api/v1/../v1/status", 404, "not_found"),
        ("GET /api/v1/%2e%2e/status", 404, "not_found"),
        ("GET /%61pi/v1/status", 404, "not_found"),
        ("GET /api/v2/status", 404, "not_found"),
        ("GET /api", 404, "not_found"),
        ("GET /", 404, "not_found"),
        ("GET /api/v1/events/main/%2e%2e/%2e%2e", 404, "unknown_event"),
        ("GET /api/v1/events/main/%ff/1", 400, "bad_path"),
        ("GET /api/v1/events/main/%zz/1", 400, "bad_path"),
        ("GET /api/v1/events?q=%ff", 400, "bad_parameter"),
        ("GET /api/v1/events?q=%", 400, "bad_parameter"),
        ("GET /api/v1/events?limit=0", 400, "bad_parameter"),
        ("GET /api/v1/events?limit=201", 400, "bad_parameter"),
        ("GET /api/v1/events?state=DEAD", 400, "bad_parameter"),
        ("GET /api/v1/events?stat=dead", 400, "bad_parameter"),
        ("GET /api/v1/events?state=dead&state=dead", 400, "bad_parameter"),
        ("GET /api/v1/status?verbose=1", 400, "bad_parameter"),
        ("GET /api/v1/events?hubspot=nobody", 404, "unknown_account"),
        (&long, 400, "bad_parameter"),
        (&many, 200, ""),
        ("POST /api/v1/status", 405, "method_not_allowed"),
        ("DELETE /api/v1/events", 405, "method_not_allowed"),
        ("OPTIONS /api/v1/events", 405, "method_not_allowed"),
        ("GET /api/v1/accounts/main/pause", 405, "method_not_allowed"),
        ("HEAD /api/v1/events/redrive", 405, ""),
    ] {
        let request = request(line, &["Host: localhost", "Connection: close"]);
        let mut stream = connect(&bridge.ops).await;
        write(&mut stream, &request).await;
        let answer = answer_to(line, &mut stream).await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        assert_eq!(kind(&answer), expected, "{line}: {answer:?}");
        if status == 405 {
            let allowed = if line.contains("pause") || line.contains("redrive") {
                "POST"
            } else {
                "GET, HEAD"
            };
            assert_eq!(answer.header("allow"), Some(allowed), "{line}");
        }
    }
    // Bytes that are not UTF-8.
    let mut bytes =
        b"GET /api/v1/events/main/\xff\xfe/1 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    let answer = ask(&bridge.ops, &bytes).await;
    assert!([400, 404].contains(&answer.status), "{answer:?}");
    bytes = b"GET /api/v1/events?q=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    assert_eq!(ask(&bridge.ops, &bytes).await.status, 400);
    assert!(!bridge.logged().contains("panicked"), "{}", bridge.logged());
}

/// Reads an answer. The answer to HEAD has a length and no body.
async fn answer_to(line: &str, stream: &mut tokio::net::TcpStream) -> Answer {
    use tokio::io::AsyncReadExt as _;
    if !line.starts_with("HEAD") {
        return crate::harness::wire::answer(stream).await.expect("an answer");
    }
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("it exits");
    let head = String::from_utf8(bytes).expect("text");
    let (head, body) = head.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, "");
    let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: String::new() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_body_is_optional_and_bounded() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let pause = "POST /api/v1/accounts/main/pause";
    for (kind, body) in [
        ("application/json", "{}"),
        ("application/x-www-form-urlencoded", "a=b"),
        ("text/plain", ""),
        ("image/png", "not one"),
    ] {
        let length = format!("Content-Length: {}", body.len());
        let kind = format!("Content-Type: {kind}");
        let mut bytes = request(pause, &["Host: localhost", &kind, &length]);
        bytes.extend_from_slice(body.as_bytes());
        assert_eq!(ask(&bridge.ops, &bytes).await.status, 200, "{kind}");
    }
    // Ten million bytes, with a length and in chunks, on a write and on a read.
    let large = vec![b' '; 10_000_000];
    for line in ["POST /api/v1/accounts/main/resume", "GET /api/v1/status"] {
        let announced = format!("Content-Length: {}", large.len());
        let mut bytes = request(line, &["Host: localhost", &announced]);
        bytes.extend_from_slice(&large);
        let answer = ask(&bridge.ops, &bytes).await;
        assert_eq!((answer.status, kind(&answer).as_str()), (413, "too_large"), "{line}");
        let mut bytes = request(line, &["Host: localhost", "Transfer-Encoding: chunked"]);
        bytes.extend_from_slice(format!("{:x}\r\n", large.len()).as_bytes());
        bytes.extend_from_slice(&large);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        let mut stream = connect(&bridge.ops).await;
        write(&mut stream, &bytes).await;
        let answer = crate::harness::wire::answer(&mut stream).await.expect("an answer");
        assert_eq!((answer.status, kind(&answer).as_str()), (413, "too_large"), "{line}");
        assert!(closes(&mut stream).await);
    }
    assert_eq!(
        paused(&bridge).await.as_deref(),
        Some("operator"),
        "no oversized request took effect"
    );
}
