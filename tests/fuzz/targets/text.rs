//! Texts, links, times and identifiers, of which every platform's mapping consists.

use std::time::Duration;

use webinar_bridge::event::text::{TEXT_MAX, clean_link, clean_text};
use webinar_bridge::event::{
    AccountName, EndTime, ExternalEventId, Millis, OccurrenceId, WebinarId,
};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "2026-07-05T13:00:00\nEurope/Berlin",
        "2026-03-05T13:00:00-05:00\n",
        "2026-03-29T02:30:00\nEurope/Berlin",
        "https://zoom.us/j/1?pwd=abc.1&x=a%20b&tk=c&ZAK=d#fragment\nhttps://zoom.us/w/1?a=%2F",
        "https://user@zoom.us:8443/\u{e9}/\u{202e}?q=\u{1f680}\nhttp://[::1]/",
        "guid@tenant\n93110024817-1801647000000",
        "acme-zoom_2\n 1 234 ",
        "\u{0}\u{1b}[31m\ttext \nwith\u{85}lines\r\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

pub(super) fn check(data: &[u8]) {
    let whole = String::from_utf8_lossy(data);
    let (first, second) = whole.split_once('\n').unwrap_or((&whole, ""));
    for text in [&*whole, first, second] {
        check_text(text);
        check_link(text);
        check_identifier(text);
    }
    check_time(first, second);
    check_time(first, "UTC");
}

fn check_text(text: &str) {
    let cleaned = clean_text(text);
    assert_eq!(clean_text(&cleaned), cleaned);
    assert!(cleaned.chars().count() <= TEXT_MAX && cleaned.len() <= text.len());
    assert!(!cleaned.chars().any(|c| c < ' ' && c != '\t' && c != '\n'), "{cleaned:?}");
}

fn check_link(text: &str) {
    let Some(cleaned) = clean_link(text) else { return };
    assert_eq!(clean_link(&cleaned).as_ref(), Some(&cleaned), "a cleaned link is no link");
    assert!(cleaned.len() <= 2_048, "{} bytes", cleaned.len());
    assert!(cleaned.starts_with(|c: char| c.eq_ignore_ascii_case(&'h')), "{cleaned}");
    assert!(!cleaned.chars().any(|c| c.is_control() || c.is_whitespace()), "{cleaned:?}");
    let url = url::Url::parse(&cleaned).expect("a link is a URL");
    assert!(matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
    assert!(url.username().is_empty() && url.password().is_none(), "{cleaned}");
    let personal = |name: &str| ["pwd", "tk", "zak"].contains(&&*name.to_ascii_lowercase());
    assert!(!url.query_pairs().any(|(name, _)| personal(&name)), "{cleaned}");
}

fn check_identifier(text: &str) {
    if let (Ok(webinar), Ok(occurrence)) = (WebinarId::parse(text), OccurrenceId::parse(text)) {
        assert!((1..=200).contains(&text.len()));
        assert!(!text.chars().any(|c| c.is_control() || c.is_whitespace()), "{text:?}");
        let written = serde_json::to_string(&webinar).expect("an id is a text");
        assert_eq!(serde_json::from_str::<WebinarId>(&written).ok(), Some(webinar.clone()));
        let event = ExternalEventId::for_occurrence(&webinar, &occurrence);
        assert_eq!(event.as_str(), format!("{text}-{text}"));
        assert_eq!(ExternalEventId::from_stored(event.to_string()), event);
    }
    if AccountName::parse(text).is_ok() {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        assert!((1..=64).contains(&text.len()) && text.bytes().all(allowed), "{text:?}");
    }
    if let Ok(number) = text.trim().parse::<i64>() {
        if let Some(end) = EndTime::after_minutes(number) {
            assert_eq!(
                end,
                EndTime::After(u64::try_from(number).expect("after the start") * 60_000)
            );
        }
        let time = Millis::from_plausible_ms(number);
        assert!(time.is_none_or(|time| time.get() == number));
        let far = Millis::new(number).plus(Duration::MAX).minus(Duration::MAX);
        assert!(far.since(Millis::new(number)).is_zero() || number < 0);
        assert!(!Millis::new(number).to_string().is_empty());
    }
}

fn check_time(text: &str, zone: &str) {
    let Some(time) = Millis::parse(text, Some(zone)) else {
        assert_eq!(Millis::parse(text, None), None, "a zone makes {text:?} unreadable");
        return;
    };
    assert_eq!(Millis::from_plausible_ms(time.get()), Some(time));
    assert_eq!(
        Millis::parse(&time.to_string(), None),
        Some(time),
        "{time} is parsed as another time"
    );
    if let Some(fixed) = Millis::parse(text, None) {
        assert_eq!(fixed, time, "a zone moves a time that has an offset");
    }
}
