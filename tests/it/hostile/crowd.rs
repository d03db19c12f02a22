//! More connections than work: idle, slow and large ones.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{ZOOM, assert_still_works, name_at_hubspot};
use crate::harness::process::{Bridge, Setting};
use crate::harness::wire::{self, answer, ask, closes, connect, created, framed, webhook};
use crate::harness::{eventually, tell};

const CROWD: usize = 2_000;
const MIB: usize = 1 << 20;
/// Limit in MiB of the growth with 2,000 connections without bodies, at the peak and afterwards.
const QUIET: (f64, f64) = (150.0, 80.0);
/// The same for 2,000 bodies of 1 MiB: 2,000 MiB without a bound on bodies. Measured: 385 to 530 at the peak. The bound
/// of 64 MiB counts the read part of bodies, but neither the framework's read buffers (up to 128 KiB per connection)
/// nor the memory that the allocator keeps afterwards.
const LOUD: (f64, f64) = (650.0, 600.0);

/// Raises the limit of open files: both ends of a connection are files, and the usual limit is 1,024.
fn open_files() {
    let limit = rlimit::increase_nofile_limit(u64::MAX).expect("the limit can be raised");
    assert!(limit > 3_000, "{limit} open files are too few for these tests");
}

async fn crowd(bridge: &Bridge, count: usize) -> Vec<TcpStream> {
    join_all((0..count).map(|_| connect(&bridge.webhooks))).await
}

/// Asserts that signed webhooks are answered and delivered despite other connections.
async fn assert_serves(setting: &Setting, bridge: &Bridge, ids: std::ops::Range<u64>) {
    let sending = ids.clone().map(|id| async move {
        ask(&bridge.webhooks, &webhook(ZOOM, &created(id, "Amid", ""))).await.status_and_body().0
    });
    assert!(join_all(sending).await.iter().all(|status| *status == 200));
    eventually("the events are delivered", async || {
        ids.clone().all(|id| name_at_hubspot(&setting.hubspot, id).is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_slow_connections_do_not_block_others() {
    open_files();
    let setting = Setting::new("");
    let bridge = setting.start();
    assert_serves(&setting, &bridge, 1..2).await;
    let before = bridge.memory("VmRSS");

    let idle = crowd(&bridge, CROWD / 2).await;
    let mut slow = crowd(&bridge, CROWD / 2).await;
    // A quarter of the connections sends its head slowly, a quarter its body.
    let whole = webhook(ZOOM, &created(1_000, "Slow", ""));
    let head =
        whole.windows(4).position(|four| four == b"\r\n\r\n").expect("the request has a head") + 4;
    for (n, stream) in slow.iter_mut().enumerate() {
        let begun = if n % 2 == 0 { 10 } else { head + 10 };
        assert!(wire::write(stream, &whole[..begun]).await, "the connection is open");
    }
    let enough = CancellationToken::new();
    let trickling = tokio::spawn({
        let enough = enough.clone();
        async move {
            let mut at = head + 10;
            let mut beat = tokio::time::interval(Duration::from_secs(1));
            while at < whole.len() && !enough.is_cancelled() {
                beat.tick().await;
                for (n, stream) in slow.iter_mut().enumerate() {
                    let byte = if n % 2 == 0 { at - head } else { at };
                    // Some connections are closed by now.
                    wire::write(stream, &whole[byte..=byte]).await;
                }
                at += 1;
            }
            slow
        }
    });
    assert_serves(&setting, &bridge, 10..60).await;
    assert_serves(&setting, &bridge, 60..110).await;
    enough.cancel();
    let mut slow = trickling.await.expect("the slow senders finished");

    // One of each kind is awaited: both are closed, the one with a body after an answer.
    let mut bodied = slow.pop().expect("there are many");
    assert_eq!(answer(&mut bodied).await.map(|answer| answer.status), Some(408));
    for mut stream in [bodied, slow.pop().expect("there are many")] {
        assert!(closes(&mut stream).await);
    }
    drop((idle, slow));
    let (peak, after) = (bridge.memory("VmHWM"), bridge.memory("VmRSS"));
    tell(&format!("2,000 idle and slow: VmRSS {before:.0} -> {after:.0} MiB, peak {peak:.0} MiB"));
    assert!(peak < QUIET.0, "{peak} MiB");
    assert!(after - before < QUIET.1, "from {before} to {after} MiB");
    assert_still_works(&setting, &bridge, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_large_bodies_stay_within_the_memory_limit() {
    open_files();
    let setting = Setting::new("");
    let bridge = setting.start();
    assert_serves(&setting, &bridge, 1..2).await;
    let before = bridge.memory("VmRSS");
    let body = vec![b'x'; MIB];
    let framing = format!("content-length: {MIB}");
    let bytes = [framed(ZOOM, &framing, &body), body].concat();
    for round in 0..2 {
        let mut streams = crowd(&bridge, CROWD).await;
        // All bytes but one: no request is complete, so all stay in flight until they are refused or closed.
        let sending =
            streams.iter_mut().map(|stream| wire::write(stream, &bytes[..bytes.len() - 1]));
        join_all(sending).await;
        // Refused for lack of memory with a `Retry-After`, or not yet answered.
        let answers = join_all(streams.iter_mut().map(|stream| async {
            let answer = tokio::time::timeout(Duration::from_millis(100), answer(stream)).await;
            answer
                .ok()
                .flatten()
                .map(|answer| (answer.status, answer.header("retry-after").is_some()))
        }))
        .await;
        let full = answers.iter().filter(|answer| **answer == Some((503, true))).count();
        assert!(full > 0, "some requests are refused for lack of memory");
        let other: Vec<_> =
            answers.iter().flatten().filter(|answer| **answer != (503, true)).collect();
        assert!(other.iter().all(|answer| **answer == (408, false)), "{other:?}");
        let peak = bridge.memory("VmHWM");
        tell(&format!(
            "round {round}: {full} of {CROWD} answered 503 with Retry-After, peak {peak:.0} MiB"
        ));
        assert!(peak < LOUD.0, "{peak} MiB");
        // Memory is available again as soon as some of them leave.
        drop(streams);
        eventually("memory is available again", async || {
            let one = webhook(ZOOM, &created(10 + round, "Room", ""));
            ask(&bridge.webhooks, &one).await.status == 200
        })
        .await;
    }
    let after = bridge.memory("VmRSS");
    tell(&format!("2,000 bodies of 1 MiB, twice: VmRSS {before:.0} -> {after:.0} MiB"));
    assert!(after - before < LOUD.1, "from {before} to {after} MiB");
    assert_still_works(&setting, &bridge, 200).await;
}
