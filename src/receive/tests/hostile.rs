//! Senders that mean no good, or cannot do better: none of them takes the service from the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{RunningListener, SECRET, endpoint, start_listener};
use crate::http::tests::client::{TIMEOUT, connect, is_closed, read_response, request};

const KB: usize = 1024;

async fn still_serves(stage: &RunningListener) {
    let answer = stage.post("open", b"ignored").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn head(path: &str, framing: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: here\r\nx-key: {SECRET}\r\n{framing}\r\n\r\n").into()
}

/// Writes chunks for as long as somebody reads them; says that writing failed at last.
async fn pour(stream: &mut TcpStream) -> bool {
    let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4 * KB], b"\r\n"].concat();
    let pouring = async { while stream.write_all(&chunk).await.is_ok() {} };
    timeout(TIMEOUT, pouring).await.is_ok()
}

#[tokio::test]
async fn the_sender_of_too_much_sees_the_answer() {
    let stage = start_listener(|webhooks| webhooks.max_body = KB);
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
        let mut stream = connect(stage.address).await;
        stream.write_all(&bytes).await.expect("all of it is read");
        let answer = read_response(&mut stream).await.expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (413, r#"{"error":"too_large"}"#));
        assert!(is_closed(&mut stream).await);
    }
    assert_eq!(stage.outcomes("open", "oversized").as_deref(), Some("2"));
    assert!(stage.ledger.kept().is_empty());
}

#[tokio::test]
async fn a_body_of_the_bound_is_not_too_much() {
    let stage = start_listener(|webhooks| webhooks.max_body = KB);
    let body = vec![b'x'; KB];
    assert_eq!(stage.post("open", &body).await.body, r#"{"status":"quarantined"}"#);
    assert_eq!(stage.post("open", &[&body[..], b"x"].concat()).await.status, 413);
}

#[tokio::test]
async fn who_never_ends_is_cut_off() {
    let stage = start_listener(|webhooks| {
        webhooks.max_body = KB;
        webhooks.limits.max_excess_bytes = 64 * KB;
    });
    // To a source, to none, and without the key: what answers early must not read on for ever.
    for path in ["/webhooks/open", "/webhooks/nobody"] {
        let mut stream = connect(stage.address).await;
        let head = head(path, "Transfer-Encoding: chunked");
        stream.write_all(&head).await.expect("open");
        assert!(pour(&mut stream).await, "{path}");
    }
    still_serves(&stage).await;
}

#[tokio::test]
async fn who_announces_and_does_not_send_is_cut_off() {
    let stage =
        start_listener(|webhooks| webhooks.limits.body_timeout = Duration::from_millis(100));
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut stream = connect(stage.address).await;
        stream.write_all(&head("/webhooks/open", framing)).await.expect("open");
        let answer = read_response(&mut stream).await.expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (408, r#"{"error":"timeout"}"#));
        assert!(is_closed(&mut stream).await);
    }
    assert_eq!(stage.outcomes("open", "incomplete").as_deref(), Some("2"));
}

#[tokio::test]
async fn who_announces_too_much_and_does_not_send_is_cut_off() {
    let stage =
        start_listener(|webhooks| webhooks.limits.excess_timeout = Duration::from_millis(100));
    let mut stream = connect(stage.address).await;
    stream.write_all(&head("/webhooks/open", "Content-Length: 99999999")).await.expect("open");
    assert_eq!(read_response(&mut stream).await.expect("an answer").status, 413);
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn who_does_not_finish_a_head_is_cut_off() {
    let stage =
        start_listener(|webhooks| webhooks.limits.head_timeout = Duration::from_millis(200));
    let mut stream = connect(stage.address).await;
    stream.write_all(b"POST /webhooks/open HTTP/1.1\r\nHost: he").await.expect("open");
    assert_eq!(read_response(&mut stream).await.expect("an answer").status, 408);
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn memory_is_shared_and_bounded() {
    let stage = start_listener(|webhooks| webhooks.limits.body_memory = 1_000);
    let bytes = request("POST", "/webhooks/open", &[("x-key", SECRET)], &[b'x'; 990]);
    let open = async || {
        let mut greedy = connect(stage.address).await;
        greedy.write_all(&bytes[..bytes.len() - 1]).await.expect("open");
        greedy
    };
    let mut greedy = open().await;

    let full = async {
        loop {
            // Until the greedy one's bytes have arrived there is still room.
            let answer = stage.post("open", b"ignored twenty bytes").await;
            if answer.status != 200 {
                return answer;
            }
            // They may have arrived while these twenty were in the way: then that one was told to come again.
            if greedy.try_read(&mut [0]).is_ok() {
                greedy = open().await;
            }
            // So many requests at once would keep those bytes waiting on a busy machine.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let full = timeout(TIMEOUT, full).await.expect("the memory is taken");
    assert_eq!((full.status, full.body.as_str()), (503, r#"{"error":"unavailable"}"#));
    assert_eq!(full.header("retry-after"), Some("1"));

    greedy.write_all(b"x").await.expect("open");
    assert_eq!(read_response(&mut greedy).await.expect("an answer").status, 200);
    still_serves(&stage).await;
}

#[tokio::test]
async fn half_a_body_is_no_body() {
    let stage = start_listener(|_| {});
    let bytes = request("POST", "/webhooks/open", &[("x-key", SECRET)], b"changes a");
    let mut stream = connect(stage.address).await;
    stream.write_all(&bytes[..bytes.len() - 1]).await.expect("open");
    stream.shutdown().await.expect("open");
    let answer = read_response(&mut stream).await.expect("the other half is still open");
    assert_eq!((answer.status, answer.body.as_str()), (400, r#"{"error":"bad_request"}"#));
    assert!(stage.ledger.kept().is_empty());
    assert_eq!(stage.outcomes("open", "incomplete").as_deref(), Some("1"));
}

#[tokio::test]
async fn garbage_is_no_request() {
    let stage = start_listener(|_| {});
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
        let mut stream = connect(stage.address).await;
        stream.write_all(bytes).await.expect("open");
        let status = read_response(&mut stream).await.expect("an answer").status;
        assert_eq!(status, 400, "{}", bytes.escape_ascii());
        assert!(is_closed(&mut stream).await, "{}", bytes.escape_ascii());
    }
    let long = format!("POST /webhooks/open HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1024 * KB));
    let mut stream = connect(stage.address).await;
    if stream.write_all(long.as_bytes()).await.is_ok() {
        let refused = read_response(&mut stream).await.is_none_or(|answer| answer.status == 431);
        assert!(refused);
    }
    assert!(stage.ledger.kept().is_empty());
    still_serves(&stage).await;
}

#[tokio::test]
async fn a_panic_ends_one_request_and_nothing_else() {
    let stage = start_listener(|_| {});
    let large = [b"panic ".as_slice(), &vec![b'x'; 100 * KB]].concat();
    // More often than there are threads.
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for _ in 0..=threads {
        for body in [b"panic".as_slice(), &large] {
            let answer = stage.post("open", body).await;
            assert_eq!((answer.status, answer.body.as_str()), (500, r#"{"error":"internal"}"#));
        }
    }
    for _ in 0..=threads {
        still_serves(&stage).await;
    }
    let panics = (2 * (threads + 1)).to_string();
    assert_eq!(stage.outcomes("open", "unavailable"), Some(panics));
}

#[tokio::test]
async fn sources_do_not_share_keys() {
    let stage = start_listener(|webhooks| {
        let mut other = endpoint("other");
        other.secrets = vec![
            crate::secret::Secret::Text("next".to_owned().into()),
            crate::secret::Secret::Text("present".to_owned().into()),
        ];
        webhooks.sources.push(Arc::new(other));
    });
    assert_eq!(stage.post("other", b"ignored").await.status, 401);
    for key in ["next", "present"] {
        let bytes = request("POST", "/webhooks/other", &[("x-key", key)], b"ignored");
        assert_eq!(stage.send(&bytes).await.status, 200);
    }
}
