//! More connections than there is work: idle, slow, greedy.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{ZOOM, name_at_hubspot, still_works};
use crate::harness::process::{Bridge, Setting};
use crate::harness::wire::{self, answer, ask, closes, connect, created, framed, webhook};
use crate::harness::{eventually, tell};

const CROWD: usize = 2_000;
const MIB: usize = 1 << 20;
/// What 2,000 connections without bodies may take, in MiB, and by how much they may leave the process grown.
const QUIET: (f64, f64) = (150.0, 80.0);
/// The same of 2,000 bodies of 1 MiB: 2,000 without any bound on bodies. Measured: 385 to 530 at the peak. The bound of
/// 64 MiB counts what has been read of bodies, not the framework's read buffers (up to 128 KiB a connection) nor what the
/// allocator keeps afterwards.
const LOUD: (f64, f64) = (650.0, 600.0);

/// Both ends of a connection are open files, and the usual limit is 1,024.
fn open_files() {
    let limit = rlimit::increase_nofile_limit(u64::MAX).expect("the limit can be raised");
    assert!(limit > 3_000, "{limit} open files are too few for these tests");
}

async fn crowd(bridge: &Bridge, count: usize) -> Vec<TcpStream> {
    join_all((0..count).map(|_| connect(&bridge.webhooks))).await
}

/// Signed webhooks are answered and delivered, whatever else is connected.
async fn serves(setting: &Setting, bridge: &Bridge, ids: std::ops::Range<u64>) {
    let sending = ids.clone().map(|id| async move {
        ask(&bridge.webhooks, &webhook(ZOOM, &created(id, "Amid", ""))).await.told().0
    });
    assert!(join_all(sending).await.iter().all(|status| *status == 200));
    eventually("they are delivered", async || {
        ids.clone().all(|id| name_at_hubspot(&setting.hubspot, id).is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_who_do_nothing_or_little_keep_nobody_out() {
    open_files();
    let setting = Setting::new("");
    let bridge = setting.start();
    serves(&setting, &bridge, 1..2).await;
    let before = bridge.memory("VmRSS");

    let idle = crowd(&bridge, CROWD / 2).await;
    let mut slow = crowd(&bridge, CROWD / 2).await;
    // A quarter of all is slow with its head, a quarter with its body.
    let whole = webhook(ZOOM, &created(1_000, "Slow", ""));
    let head = whole.windows(4).position(|four| four == b"\r\n\r\n").expect("it has a head") + 4;
    for (n, stream) in slow.iter_mut().enumerate() {
        let begun = if n % 2 == 0 { 10 } else { head + 10 };
        assert!(wire::write(stream, &whole[..begun]).await, "it is open");
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
                    // Some have been cut off by now.
                    wire::write(stream, &whole[byte..=byte]).await;
                }
                at += 1;
            }
            slow
        }
    });
    serves(&setting, &bridge, 10..60).await;
    serves(&setting, &bridge, 60..110).await;
    enough.cancel();
    let mut slow = trickling.await.expect("it trickled");

    // One of each is waited for: they are cut off, the one with a body by an answer.
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
    still_works(&setting, &bridge, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_large_bodies_at_once_take_no_more_memory_than_they_may() {
    open_files();
    let setting = Setting::new("");
    let bridge = setting.start();
    serves(&setting, &bridge, 1..2).await;
    let before = bridge.memory("VmRSS");
    let body = vec![b'x'; MIB];
    let framing = format!("content-length: {MIB}");
    let bytes = [framed(ZOOM, &framing, &body), body].concat();
    for round in 0..2 {
        let mut streams = crowd(&bridge, CROWD).await;
        // All but a byte: nobody is done, so what is in flight stays until it is refused or cut off.
        let sending =
            streams.iter_mut().map(|stream| wire::write(stream, &bytes[..bytes.len() - 1]));
        join_all(sending).await;
        // Refused for want of memory, with the advice to come again; or nothing yet.
        let told = join_all(streams.iter_mut().map(|stream| async {
            let told = tokio::time::timeout(Duration::from_millis(100), answer(stream)).await;
            told.ok()
                .flatten()
                .map(|answer| (answer.status, answer.header("retry-after").is_some()))
        }))
        .await;
        let full = told.iter().filter(|told| **told == Some((503, true))).count();
        assert!(full > 0, "not everybody can have had room");
        let other: Vec<_> = told.iter().flatten().filter(|told| **told != (503, true)).collect();
        assert!(other.iter().all(|told| **told == (408, false)), "{other:?}");
        let peak = bridge.memory("VmHWM");
        tell(&format!("round {round}: {full} of {CROWD} told to come again, peak {peak:.0} MiB"));
        assert!(peak < LOUD.0, "{peak} MiB");
        // As soon as some of them go there is room again.
        drop(streams);
        eventually("there is room again", async || {
            let one = webhook(ZOOM, &created(10 + round, "Room", ""));
            ask(&bridge.webhooks, &one).await.status == 200
        })
        .await;
    }
    let after = bridge.memory("VmRSS");
    tell(&format!("2,000 bodies of 1 MiB, twice: VmRSS {before:.0} -> {after:.0} MiB"));
    assert!(after - before < LOUD.1, "from {before} to {after} MiB");
    still_works(&setting, &bridge, 200).await;
}
