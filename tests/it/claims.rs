//! Claims under concurrency: what is settled is not claimed again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use webinar_bridge::ledger::{
    Browse as _, ClaimRequest, ClaimResult, DeliveryOutcome, EventStateCounts, Intake as _,
    Outbox as _, RecordResult, Settlement,
};

use crate::harness::build::{NOON, account, created, policies, receipt};
use crate::harness::store::StoreFolder;

const EVENTS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_settled_while_somebody_looks_is_not_claimed_again() {
    let store_folder = StoreFolder::new();
    let ledger = Arc::new(store_folder.open(policies()));
    let mut accepting = JoinSet::new();
    for id in 0..EVENTS {
        let ledger = Arc::clone(&ledger);
        accepting.spawn(async move {
            let change = created(&id.to_string(), "A webinar", NOON);
            ledger.accept(receipt(&id.to_string(), vec![change])).await
        });
    }
    while let Some(accepted) = accepting.join_next().await {
        accepted.expect("no panic").expect("stored");
    }
    let lease = ledger.acquire_lease(&account("main")).await.expect("known").expect("free");
    let ask = ClaimRequest {
        limit: 1,
        linger: Duration::ZERO,
        first: Vec::new(),
        last: Vec::new(),
        probe: None,
    };
    let mut claims: BTreeMap<String, u32> = BTreeMap::new();
    let mut settling = JoinSet::new();
    loop {
        match ledger.claim(&lease, ask.clone()).await.expect("a claim") {
            ClaimResult::Batch(batch) => {
                for claimed in &batch {
                    *claims.entry(claimed.key.external_event_id.to_string()).or_default() += 1;
                }
                let (ledger, lease) = (Arc::clone(&ledger), lease.clone());
                settling.spawn(async move {
                    let settled = batch.into_iter().map(|claimed| Settlement {
                        event: claimed.event_version(),
                        outcome: DeliveryOutcome::Confirmed { object_id: None },
                    });
                    ledger.settle(&lease, settled.collect()).await
                });
            }
            ClaimResult::Wait(_) if settling.is_empty() => break,
            ClaimResult::Wait(_) => {}
            ClaimResult::LeaseLost => panic!("nobody else has the lease"),
        }
        // Some go on while the next is claimed.
        while settling.len() >= 8 {
            let settled = settling.join_next().await.expect("one").expect("no panic");
            assert_eq!(settled.expect("settled"), RecordResult::Recorded);
        }
        while let Some(settled) = settling.try_join_next() {
            assert_eq!(settled.expect("no panic").expect("settled"), RecordResult::Recorded);
        }
    }
    let twice: Vec<_> = claims.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "claimed again though nothing had changed: {twice:?}");
    assert_eq!(claims.len(), EVENTS);
    let delivered = EventStateCounts { delivered: EVENTS as u64, ..EventStateCounts::default() };
    assert_eq!(ledger.event_counts().await.expect("read")[&account("main")], delivered);
}
