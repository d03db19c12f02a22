//! A full disk: no acknowledged webhook is lost, and the bridge recovers by itself once there is space.

use std::fs;

use super::{ZOOM, assert_still_works, name_at_hubspot};
use crate::harness::disk::SmallDisk;
use crate::harness::process::Setting;
use crate::harness::wire::{self, ask, created, webhook};
use crate::harness::{eventually, tell};

/// A webhook of some kilobytes that do not compress.
fn body(id: u64) -> Vec<u8> {
    let noise = hex::encode(rand::random::<[[u8; 64]; 50]>().concat());
    created(id, "Kept", &format!("\"agenda\":\"{noise}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_loses_no_acknowledged_webhook() {
    let setting = Setting::new("");
    let Some(disk) = SmallDisk::mount(&setting.folder.path().join("data"), "4m") else {
        tell("SKIPPED full_disk_loses_no_acknowledged_webhook: mounting a tmpfs is not permitted");
        return;
    };
    let bridge = setting.start();
    let mut acknowledged = Vec::new();
    for id in 1..=20 {
        let body = body(id);
        assert_eq!(ask(&bridge.webhooks, &webhook(ZOOM, &body)).await.status, 200);
        acknowledged.push(body);
    }

    let filler = disk.fill();
    // The write-ahead log may have space left.
    let mut refused = None;
    for id in 100..1_000 {
        let body = body(id);
        let answer = ask(&bridge.webhooks, &webhook(ZOOM, &body)).await;
        if answer.status != 200 {
            refused = Some((id, body, answer));
            break;
        }
        acknowledged.push(body);
    }
    let (id, refused, answer) = refused.expect("a full disk is noticed");
    assert_eq!(answer.status_and_body(), (503, r#"{"error":"unavailable"}"#));
    assert_eq!(answer.header("retry-after"), Some("5"));
    let unready = wire::get(&bridge.ops, "/readyz").await;
    assert_eq!(unready.status, 503, "{unready:?}");
    assert!(unready.body.contains("full"), "{unready:?}");
    assert_eq!(wire::get(&bridge.ops, "/livez").await.status, 200);
    assert_eq!(wire::get(&bridge.ops, "/metrics").await.status, 200);
    // The bridge stays unready.
    assert_eq!(ask(&bridge.webhooks, &webhook(ZOOM, &refused)).await.status, 503);

    // A crash now loses nothing, and work goes on once there is space.
    fs::remove_file(&filler).expect("the file exists");
    eventually("the bridge is ready again", async || {
        wire::get(&bridge.ops, "/readyz").await.status == 200
    })
    .await;
    let again = ask(&bridge.webhooks, &webhook(ZOOM, &refused)).await;
    assert_eq!(again.status_and_body(), (200, r#"{"status":"accepted"}"#));
    acknowledged.push(refused);
    eventually("the event is delivered", async || name_at_hubspot(&setting.hubspot, id).is_some())
        .await;
    tell(&format!("disk full after {} webhooks", acknowledged.len() - 1));

    // The disk is full again, and the process is killed.
    disk.fill();
    for id in 1_000..2_000 {
        let body = body(id);
        if ask(&bridge.webhooks, &webhook(ZOOM, &body)).await.status != 200 {
            break;
        }
        acknowledged.push(body);
    }
    bridge.kill();
    fs::remove_file(&filler).expect("the file exists");
    let bridge = setting.start();
    for body in &acknowledged {
        let answer = ask(&bridge.webhooks, &webhook(ZOOM, body)).await;
        assert_eq!(
            answer.status_and_body(),
            (200, r#"{"status":"duplicate"}"#),
            "the webhook was stored"
        );
    }
    eventually("every acknowledged webhook is in HubSpot", async || {
        setting.hubspot.emulator().events().len() == acknowledged.len()
    })
    .await;
    assert_still_works(&setting, &bridge, 5_000).await;
    bridge.kill();
}

/// The store itself fills the disk: the bridge stops accepting while there is space to deliver what it accepted.
#[tokio::test(flavor = "multi_thread")]
async fn store_filling_its_disk_keeps_space_to_deliver() {
    let setting = Setting::new("");
    let Some(disk) = SmallDisk::mount(&setting.folder.path().join("data"), "8m") else {
        tell(
            "SKIPPED store_filling_its_disk_keeps_space_to_deliver: mounting a tmpfs is not permitted",
        );
        return;
    };
    let bridge = setting.start();
    let (mut accepted, mut refused) = (0, 0);
    for id in 0..5_000 {
        let answer = ask(&bridge.webhooks, &webhook(ZOOM, &body(id))).await;
        if answer.status == 200 {
            accepted += 1;
        } else {
            assert_eq!(answer.status_and_body(), (503, r#"{"error":"unavailable"}"#));
            refused += 1;
            if refused == 50 {
                break;
            }
        }
    }
    assert_eq!(refused, 50, "8 MiB hold less than 5,000 webhooks of 6 KB");
    // Each takes some 26 KB: its body, the webinar's state, the event, and the state confirmed by HubSpot.
    assert!(accepted >= 100, "{accepted} webhooks are all that 8 MiB hold");
    let unready = wire::get(&bridge.ops, "/readyz").await;
    assert!(unready.status == 503 && unready.body.contains("no space left"), "{unready:?}");
    eventually("every accepted webhook is delivered", async || {
        setting.hubspot.emulator().events().len() == accepted
    })
    .await;
    let status = wire::get(&bridge.ops, "/metrics").await;
    assert!(status.body.contains("bridge_events{hubspot=\"main\",state=\"pending\"} 0"));

    disk.enlarge("16m");
    eventually("the bridge is ready again", async || {
        wire::get(&bridge.ops, "/readyz").await.status == 200
    })
    .await;
    assert_still_works(&setting, &bridge, 6_000).await;
    tell(&format!("8 MiB are full after {accepted} webhooks"));
    bridge.kill();
}
