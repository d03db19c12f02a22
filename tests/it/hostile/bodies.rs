//! Bodies that are too large, too deeply nested, too long or misleading.

use std::fmt::Write as _;

use webinar_bridge::event::webinar::OCCURRENCES_MAX;

use super::{ZOOM, assert_still_works, name_at_hubspot};
use crate::harness::eventually;
use crate::harness::process::Setting;
use crate::harness::wire::{self, answer, ask, closes, connect, created, framed, webhook};

const MIB: usize = 1 << 20;

fn status(status: &str) -> String {
    format!(r#"{{"status":"{status}"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_body_is_answered_and_takes_no_memory() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let body = vec![b'x'; 10 * MIB];
    let chunked = [
        framed(ZOOM, "transfer-encoding: chunked", &body[..1]),
        format!("{:x}\r\n", body.len()).into_bytes(),
        body.clone(),
        b"\r\n0\r\n\r\n".to_vec(),
    ]
    .concat();
    let declared = format!("content-length: {}", body.len());
    let declared = [framed(ZOOM, &declared, &body[..1]), body].concat();
    for bytes in [&declared, &chunked] {
        let mut stream = connect(&bridge.webhooks).await;
        assert!(wire::write(&mut stream, bytes).await, "the bridge reads the whole request");
        let answer = answer(&mut stream).await.expect("an answer");
        assert_eq!(answer.status_and_body(), (413, r#"{"error":"too_large"}"#));
        assert!(closes(&mut stream).await);
    }
    // Many at once cost no memory: excess bytes are discarded as they arrive.
    let before = bridge.memory("VmRSS");
    let senders = (0..16).map(|_| async {
        let mut stream = connect(&bridge.webhooks).await;
        assert!(wire::write(&mut stream, &declared).await, "the bridge reads the whole request");
        answer(&mut stream).await.expect("an answer").status
    });
    assert_eq!(futures_util::future::join_all(senders).await, [413; 16]);
    let grown = bridge.memory("VmHWM") - before;
    assert!(grown < 40.0, "it took {grown} MiB for 160 MiB of refused bodies");
    assert_still_works(&setting, &bridge, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authentic_body_is_answered_200_whatever_its_content() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let head = r#"{"event":"webinar.created","event_ts":1789207200123"#;
    let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
    let object =
        |object: &str| format!(r#"{head},"payload":{{"account_id":"acct","object":{object}}}}}"#);
    let plain = r#""topic":"T","type":5,"start_time":"2040-10-01T15:00:00Z","duration":60"#;
    let big = "9".repeat(60);
    for (what, body, outcome) in [
        ("brackets", "[".repeat(100_000), "quarantined"),
        ("lists", deep("[", "]"), "quarantined"),
        (
            "objects",
            format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000)),
            "quarantined",
        ),
        (
            "deep inside",
            object(&format!(r#"{{"id":1,{plain},"x":{}}}"#, deep("[", "]"))),
            "quarantined",
        ),
        ("nothing", String::new(), "quarantined"),
        ("a NUL", "\0".to_owned(), "quarantined"),
        ("null", "null".to_owned(), "quarantined"),
        ("a number", "-0e99999".to_owned(), "quarantined"),
        ("no object", format!(r#"{head},"payload":{{"object":null}}}}"#), "quarantined"),
        ("two bodies", format!("{0}{0}", object(&format!(r#"{{"id":1,{plain}}}"#))), "quarantined"),
        ("an event that is a list", r#"{"event":["webinar.created"]}"#.to_owned(), "quarantined"),
        ("an event twice", format!(r#"{head},"event":"webinar.ended"}}"#), "quarantined"),
        ("an id twice", object(&format!(r#"{{"id":1,"id":2,{plain}}}"#)), "quarantined"),
        ("a topic twice", object(&format!(r#"{{"id":1,"topic":"S",{plain}}}"#)), "quarantined"),
        (
            "an id without end",
            object(&format!(r#"{{"id":{},{plain}}}"#, "9".repeat(100_000))),
            "quarantined",
        ),
        ("a negative id", object(&format!(r#"{{"id":-1,{plain}}}"#)), "quarantined"),
        ("an id of a fraction", object(&format!(r#"{{"id":1.5,{plain}}}"#)), "quarantined"),
        ("an id of nothing", object(&format!(r#"{{"id":"",{plain}}}"#)), "quarantined"),
        (
            "half a surrogate in the id",
            object(&format!(r#"{{"id":"\ud800",{plain}}}"#)),
            "quarantined",
        ),
        (
            "a duration beyond all",
            object(&format!(r#"{{"id":11,{plain},"x":1}}"#).replace("60", &big)),
            "accepted",
        ),
        (
            "a start beyond all",
            object(&format!(r#"{{"id":12,{plain}}}"#).replace("2040-10", "99999-99")),
            "accepted",
        ),
        // An unreadable field sets nothing, and the others still count.
        (
            "half a surrogate",
            object(&format!(r#"{{"id":13,{plain}}}"#).replace("\"T\"", r#""\ud83d""#)),
            "accepted",
        ),
        ("an unknown event", r#"{"event":"webinar.exploded"}"#.to_owned(), "ignored"),
    ] {
        let answer = ask(&bridge.webhooks, &webhook(ZOOM, body.as_bytes())).await;
        assert_eq!(answer.status_and_body(), (200, status(outcome).as_str()), "{what}");
    }
    let mut latin = created(1, "Caf_", "");
    let at = latin.iter().position(|byte| *byte == b'_').expect("the file exists");
    latin[at] = 0xe9;
    let answer = ask(&bridge.webhooks, &webhook(ZOOM, &latin)).await;
    assert_eq!(answer.status_and_body(), (200, status("quarantined").as_str()));
    assert_still_works(&setting, &bridge, 99).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_but_readable_bodies_are_delivered() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let many: String = (0..50_000).fold(String::new(), |mut members, n| {
        let comma = if n > 0 { "," } else { "" };
        write!(members, "{comma}\"k{n}\":\"{n:07}\"").expect("text can be written");
        members
    });
    let agenda = format!("\"agenda\":\"{}\"", "\\u0041".repeat(150_000));
    let huge = format!("\"some_number\":{},\"other\":1e400", "7".repeat(100));
    for (id, name, more, expected) in [
        (1, "Keys", many.as_str(), "Keys"),
        (2, "Agenda", &agenda, "Agenda"),
        (3, "Numbers", &huge, "Numbers"),
        (4, r"A\u0000B\u0007\u001b[31mC\nD", "", "AB[31mC\nD"),
        (
            6,
            "<script>alert('x')</script>\u{202e} ' OR 1=1; --",
            "",
            "<script>alert('x')</script>\u{202e} ' OR 1=1; --",
        ),
        (u64::MAX, "The last", "", "The last"),
    ] {
        let body = created(id, name, more);
        assert!(body.len() < MIB, "{name} is {} bytes", body.len());
        let answer = ask(&bridge.webhooks, &webhook(ZOOM, &body)).await;
        assert_eq!(answer.status_and_body(), (200, status("accepted").as_str()), "{name}");
        eventually(name, async || name_at_hubspot(&setting.hubspot, id).is_some()).await;
        assert_eq!(name_at_hubspot(&setting.hubspot, id).as_deref(), Some(expected));
    }
    assert_still_works(&setting, &bridge, 7).await;
}

/// A series with this many occurrences.
fn series(id: u64, count: usize) -> Vec<u8> {
    let listed: Vec<String> = (0..count)
        .map(|n| {
            let (day, month, year) = (1 + n % 28, 1 + n / 28 % 12, 2040 + n / 336);
            format!(
                r#"{{"occurrence_id":"{n}","start_time":"{year}-{month:02}-{day:02}T15:00:00Z","duration":60,"status":"available"}}"#
            )
        })
        .collect();
    let body = created(id, "Daily", &format!("\"occurrences\":[{}]", listed.join(",")));
    let body = String::from_utf8(body).expect("the text is UTF-8");
    body.replace(r#""type":5"#, r#""type":9"#).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn series_at_the_limit_is_delivered_and_above_it_quarantined() {
    let setting = Setting::new("");
    let bridge = setting.start();
    let answer = ask(&bridge.webhooks, &webhook(ZOOM, &series(5, OCCURRENCES_MAX))).await;
    assert_eq!(answer.status_and_body(), (200, status("accepted").as_str()));
    // One occurrence above the limit: the receipt is stored and quarantined.
    let answer = ask(&bridge.webhooks, &webhook(ZOOM, &series(6, OCCURRENCES_MAX + 1))).await;
    assert_eq!(answer.status_and_body(), (200, status("quarantined").as_str()));
    eventually("every occurrence is in HubSpot", async || {
        setting.hubspot.emulator().events().len() == OCCURRENCES_MAX
    })
    .await;
    assert_still_works(&setting, &bridge, 7).await;
    assert_eq!(setting.hubspot.emulator().events().len(), OCCURRENCES_MAX + 1);
}
