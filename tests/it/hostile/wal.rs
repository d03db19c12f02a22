//! The write-ahead log stays bounded under continuous load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use webinar_bridge::sandbox::emulator::EmulatorSettings;

use super::{ZOOM, assert_still_works, metric};
use crate::harness::process::{Bridge, Setting, TOKEN};
use crate::harness::tell;
use crate::harness::wire::{self, answer, connect, created, webhook};

const CONNECTIONS: u64 = 32;
/// Limit of the write-ahead log in bytes.
const BOUND: f64 = 200e6;

/// Webhooks with agendas that do not compress, also not together: each takes another part of the same noise.
struct Noise(String);

impl Noise {
    fn new() -> Self {
        let mut bytes = vec![0; 1 << 19];
        rand::fill(&mut bytes[..]);
        Self(hex::encode(bytes))
    }

    fn body(&self, id: u64, bytes: usize) -> Vec<u8> {
        // A prime number, so that the parts begin at all offsets.
        let at = usize::try_from(id).expect("a small number") * 70_001 % (self.0.len() - bytes);
        let part = self.0.get(at..at + bytes).expect("the range is valid");
        created(id, "Load", &format!("\"agenda\":\"{part}\""))
    }
}

/// Sends this many webhooks of this size over persistent connections. Returns the largest size of the log.
async fn load(bridge: &Bridge, count: u64, bytes: usize) -> f64 {
    let (noise, next, over) = (Noise::new(), AtomicU64::new(1), AtomicBool::new(false));
    let sending = (0..CONNECTIONS).map(|_| async {
        let mut stream = connect(&bridge.webhooks).await;
        loop {
            let id = next.fetch_add(1, Ordering::Relaxed);
            if id > count {
                break;
            }
            wire::write(&mut stream, &webhook(ZOOM, &noise.body(id, bytes))).await;
            let answer = answer(&mut stream).await.expect("the connection is kept");
            assert_eq!(answer.status_and_body(), (200, r#"{"status":"accepted"}"#));
        }
    });
    let watching = async {
        let mut most = 0.0_f64;
        while !over.load(Ordering::Relaxed) {
            most = most.max(metric(bridge, "bridge_wal_bytes").await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        most
    };
    let sending = async {
        join_all(sending).await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(sending, watching).1
}

/// The bytes that the process has written to files.
fn written(bridge: &Bridge) -> f64 {
    let io =
        std::fs::read_to_string(format!("/proc/{}/io", bridge.pid())).expect("the process runs");
    let value = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    value.and_then(|value| value.parse().ok()).expect("the kernel reports it")
}

async fn under_load(count: u64, bytes: usize) {
    // HubSpot accepts any rate, because the test finally waits for all deliveries.
    let hubspot =
        EmulatorSettings { rate: (1_000, Duration::from_secs(10)), ..EmulatorSettings::new(TOKEN) };
    let account = "rate_limit = { requests = 1000, window = \"10s\" }";
    let setting = Setting::with(hubspot, account, "");
    let bridge = setting.start();
    let began = Instant::now();
    let most = load(&bridge, count, bytes).await;
    #[expect(clippy::cast_precision_loss, reason = "it is a count to be shown")]
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let (written, peak) = (written(&bridge), bridge.memory("VmHWM"));
    tell(&format!(
        "{count} webhooks of {bytes} bytes: {rate:.0} accepted/s, WAL at most {:.0} MB of {:.0} MB written, \
         VmHWM {peak:.0} MiB",
        most / 1e6,
        written / 1e6
    ));
    assert!(most > 0.0 && most < BOUND, "the WAL was {most} bytes");
    // At least half is the log, and the rest is checkpoints: a log that is never reset would exceed this.
    assert!(written > 2.0 * BOUND, "{written} bytes show nothing");
    assert!(peak < 300.0, "{peak} MiB");
    assert_still_works(&setting, &bridge, count + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wal_stays_bounded_under_load() {
    under_load(3_000, 16_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes of load; make soak"]
async fn wal_stays_bounded_under_sustained_load() {
    under_load(30_000, 16_000).await;
}
