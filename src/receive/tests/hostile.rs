//! Hostile and broken senders: none of them keeps the service from the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{RunningListener, SECRET, endpoint, start_listener};
use crate::http::tests::client::{TIMEOUT, connect, is_closed, read_response, request};

const KB: usize = 1024;

async fn still_serves(listener: &RunningListener) {
    let answer = listener.post("open", b"ignored").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn head(path: &str, framing: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: here\r\nx-key: {SECRET}\r\n{framing}\r\n\r\n").into()
}

/// Writes chunks for as long as they are read. Returns whether writing failed at last.
async fn pour(stream: &mut TcpStream) -> bool {
    let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4 * KB], b"\r\n"].concat();
    let pouring = async { while stream.write_all(&chunk).await.is_ok() {} };
    timeout(TIMEOUT, pouring).await.is_ok()
}

#[tokio::test]
async fn sender_of_a_body_that_is_too_large_sees_the_answer() {
    let listener = start_listener(|webhooks| webhooks.limits.body.max_size = KB);
    let body = vec![b'x'; 4 * KB * KB];
    let declared = request("POST", "/webhooks/open", &[("x-key", SECRET)], &body);
    let chunked = [
        head("/webhooks/open", "Transfer-Encoding: chunked"),
        b"400000\r\n".to_vec(),
        body,
        b"\r\n0\r\n\r\n".to_vec(),
    ]
    .concat();
    for bytes in [declared, chunked] {
        let mut stream = connect(listener.address).await;
        stream.write_all(&bytes).await.expect("all of it is read");
        let answer = read_response(&mut stream).await.expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (413, r#"{"error":"too_large"}"#));
        assert!(is_closed(&mut stream).await);
    }
    assert_eq!(listener.outcomes("open", "oversized").as_deref(), Some("2"));
    assert!(listener.ledger.stored().is_empty());
}

#[tokio::test]
async fn body_of_the_limit_is_accepted_and_one_byte_more_refused() {
    let listener = start_listener(|webhooks| webhooks.limits.body.max_size = KB);
    let body = vec![b'x'; KB];
    assert_eq!(listener.post("open", &body).await.body, r#"{"status":"quarantined"}"#);
    assert_eq!(listener.post("open", &[&body[..], b"x"].concat()).await.status, 413);
}

#[tokio::test]
async fn sender_that_never_ends_is_cut_off() {
    let listener = start_listener(|webhooks| {
        webhooks.limits.body.max_size = KB;
        webhooks.limits.body.max_excess_size = 64 * KB;
    });
    // To a source and to none, without the key: a listener that answers early must not read on for ever.
    for path in ["/webhooks/open", "/webhooks/nobody"] {
        let mut stream = connect(listener.address).await;
        let head = head(path, "Transfer-Encoding: chunked");
        stream.write_all(&head).await.expect("open");
        assert!(pour(&mut stream).await, "{path}");
    }
    still_serves(&listener).await;
}

#[tokio::test]
async fn sender_that_announces_a_body_and_sends_none_is_cut_off() {
    let listener =
        start_listener(|webhooks| webhooks.limits.body.timeout = Duration::from_millis(100));
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut stream = connect(listener.address).await;
        stream.write_all(&head("/webhooks/open", framing)).await.expect("open");
        let answer = read_response(&mut stream).await.expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (408, r#"{"error":"timeout"}"#));
        assert!(is_closed(&mut stream).await);
    }
    assert_eq!(listener.outcomes("open", "incomplete").as_deref(), Some("2"));
}

#[tokio::test]
async fn sender_that_announces_too_much_and_sends_none_is_cut_off() {
    let listener =
        start_listener(|webhooks| webhooks.limits.body.excess_timeout = Duration::from_millis(100));
    let mut stream = connect(listener.address).await;
    stream.write_all(&head("/webhooks/open", "Content-Length: 99999999")).await.expect("open");
    assert_eq!(read_response(&mut stream).await.expect("an answer").status, 413);
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn sender_that_does_not_finish_a_head_is_cut_off() {
    let listener =
        start_listener(|webhooks| webhooks.limits.head_timeout = Duration::from_millis(200));
    let mut stream = connect(listener.address).await;
    stream.write_all(b"POST /webhooks/open HTTP/1.1\r\nHost: he").await.expect("open");
    assert_eq!(read_response(&mut stream).await.expect("an answer").status, 408);
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn memory_of_bodies_is_shared_and_bounded() {
    let listener = start_listener(|webhooks| webhooks.limits.body_memory = 1_000);
    let bytes = request("POST", "/webhooks/open", &[("x-key", SECRET)], &[b'x'; 990]);
    let open = async || {
        let mut greedy = connect(listener.address).await;
        greedy.write_all(&bytes[..bytes.len() - 1]).await.expect("open");
        greedy
    };
    let mut greedy = open().await;

    let full = async {
        loop {
            // There is still room until the greedy sender's bytes have arrived.
            let answer = listener.post("open", b"ignored twenty bytes").await;
            if answer.status != 200 {
                return answer;
            }
            // If they arrived while these twenty held memory, the greedy sender got the 503: it starts again.
            if greedy.try_read(&mut [0]).is_ok() {
                greedy = open().await;
            }
            // Without a pause these requests would keep those bytes waiting on a busy machine.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let full = timeout(TIMEOUT, full).await.expect("the memory is taken");
    assert_eq!((full.status, full.body.as_str()), (503, r#"{"error":"unavailable"}"#));
    assert_eq!(full.header("retry-after"), Some("1"));

    greedy.write_all(b"x").await.expect("open");
    assert_eq!(read_response(&mut greedy).await.expect("an answer").status, 200);
    still_serves(&listener).await;
}

#[tokio::test]
async fn body_that_breaks_off_is_not_accepted() {
    let listener = start_listener(|_| {});
    let bytes = request("POST", "/webhooks/open", &[("x-key", SECRET)], b"changes a");
    let mut stream = connect(listener.address).await;
    stream.write_all(&bytes[..bytes.len() - 1]).await.expect("open");
    stream.shutdown().await.expect("open");
    let answer = read_response(&mut stream).await.expect("the other half is still open");
    assert_eq!((answer.status, answer.body.as_str()), (400, r#"{"error":"bad_request"}"#));
    assert!(listener.ledger.stored().is_empty());
    assert_eq!(listener.outcomes("open", "incomplete").as_deref(), Some("1"));
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused() {
    let listener = start_listener(|_| {});
    let garbage: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00\xff\x00\xff\r\n\r\n",
        b"POST\r\n\r\n",
        b"POST /webhooks/open HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /webhooks/open HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST /webhooks/open HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"POST /webhooks/open HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
    ];
    for bytes in garbage {
        let mut stream = connect(listener.address).await;
        stream.write_all(bytes).await.expect("open");
        let status = read_response(&mut stream).await.expect("an answer").status;
        assert_eq!(status, 400, "{}", bytes.escape_ascii());
        assert!(is_closed(&mut stream).await, "{}", bytes.escape_ascii());
    }
    let long = format!("POST /webhooks/open HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1024 * KB));
    let mut stream = connect(listener.address).await;
    if stream.write_all(long.as_bytes()).await.is_ok() {
        let refused = read_response(&mut stream).await.is_none_or(|answer| answer.status == 431);
        assert!(refused);
    }
    assert!(listener.ledger.stored().is_empty());
    still_serves(&listener).await;
}

#[tokio::test]
async fn panic_of_a_provider_ends_one_request_and_nothing_else() {
    let listener = start_listener(|_| {});
    let large = [b"panic ".as_slice(), &vec![b'x'; 100 * KB]].concat();
    // More panics than there are threads.
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for _ in 0..=threads {
        for body in [b"panic".as_slice(), &large] {
            let answer = listener.post("open", body).await;
            assert_eq!((answer.status, answer.body.as_str()), (500, r#"{"error":"internal"}"#));
        }
    }
    for _ in 0..=threads {
        still_serves(&listener).await;
    }
    let panics = (2 * (threads + 1)).to_string();
    assert_eq!(listener.outcomes("open", "unavailable"), Some(panics));
}

#[tokio::test]
async fn key_of_one_source_is_refused_by_another() {
    let listener = start_listener(|webhooks| {
        let mut other = endpoint("other");
        other.secrets = vec![
            crate::secret::Secret::Text("next".to_owned().into()),
            crate::secret::Secret::Text("present".to_owned().into()),
        ];
        webhooks.sources.push(Arc::new(other));
    });
    assert_eq!(listener.post("other", b"ignored").await.status, 401);
    for key in ["next", "present"] {
        let bytes = request("POST", "/webhooks/other", &[("x-key", key)], b"ignored");
        assert_eq!(listener.send(&bytes).await.status, 200);
    }
}
