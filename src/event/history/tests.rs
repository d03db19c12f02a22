use super::*;
use crate::event::registers::Registers;
use crate::event::{Precedence, ProviderId, SourceName};

const DAY: i64 = 24 * 3_600_000;

/// Writes before that time are old, whenever they came.
fn by_time(at: i64) -> Horizon<'static> {
    Horizon { at: Millis::new(at), origins: None }
}

/// A write at that time, of that receipt.
fn write<T>(value: T, at: i64, receipt: u8) -> Register<T> {
    let stamp = Stamp {
        precedence: Precedence::Report,
        at: Millis::new(at),
        seq: u64::try_from(at).expect("not negative"),
        place: 0,
    };
    Register { value, stamp, receipt: ReceiptId::from_bytes([receipt; 16]) }
}

/// A field with these values, written at these times.
fn written<T: PartialEq>(
    writes: impl IntoIterator<Item = (i64, T)>,
) -> (History<T>, Option<Register<T>>) {
    let (mut earlier, mut field) = (History::default(), None);
    for (at, value) in writes {
        earlier.write(&mut field, write(value, at, 1), by_time(at - 7 * DAY));
    }
    (earlier, field)
}

#[test]
fn removing_the_last_write_restores_the_one_before() {
    let (mut earlier, mut field) = (History::default(), None);
    for (n, value) in [(2, true), (3, false), (1, false)] {
        let receipt = u8::try_from(n).expect("small");
        earlier.write(&mut field, write(value, n, receipt), by_time(0));
    }
    earlier.retain(&mut field, &mut |receipt| receipt != ReceiptId::from_bytes([3; 16]));
    assert_eq!(field, Some(write(true, 2, 2)));
    assert_eq!(earlier.iter().collect::<Vec<_>>(), [&write(false, 1, 1)]);
}

#[test]
fn earlier_write_that_arrives_twice_names_the_first_receipt() {
    for order in [[4, 5], [5, 4]] {
        let (mut earlier, mut field) = (History::default(), Some(write(true, 9, 9)));
        for receipt in order {
            earlier.write(&mut field, write(false, 1, receipt), by_time(0));
        }
        assert_eq!(earlier.iter().collect::<Vec<_>>(), [&write(false, 1, 4)], "{order:?}");
    }
    // If one body holds both values, the first counts.
    let (mut earlier, mut field) = (History::default(), Some(write(true, 9, 9)));
    for value in [true, false] {
        earlier.write(&mut field, write(value, 1, 4), by_time(0));
    }
    assert_eq!(earlier.iter().collect::<Vec<_>>(), [&write(true, 1, 4)]);
}

/// M9, A1: cancelled once a day for five years.
#[test]
fn first_of_a_run_stays_however_often_it_is_repeated() {
    let (earlier, field) = written((0..1_900).map(|day| (day * DAY, true)));
    assert_eq!(earlier.iter().next().map(|first| first.stamp.at), Some(Millis::new(0)));
    assert_eq!(field.map(|last| last.stamp.at), Some(Millis::new(1_899 * DAY)));
    assert_eq!(earlier.iter().count(), 8, "the first, and a week");
}

/// M9: what may still be divided by a late write stays.
#[test]
fn young_repetitions_stay_within_the_bound() {
    let (earlier, _) = written((0..2_000).map(|n| (n * 1_000, true)));
    assert_eq!(earlier.iter().count(), 1_999, "all are younger than 7 days");
    let (earlier, _) = written((0..9_000).map(|n| (n * 1_000, true)));
    assert_eq!(earlier.iter().count(), HISTORY_LIMIT - 1, "but not without any bound");
    assert_eq!(earlier.iter().next().map(|first| first.stamp.at), Some(Millis::new(0)));
}

/// M9: a time of long ago that came lately may still be divided.
#[test]
fn repetition_is_dropped_only_once_its_receipt_is_old_too() {
    let origin = |received_at| Origin {
        source: SourceName::parse("zoom").expect("valid"),
        provider: ProviderId::new("zoom"),
        event_type: "test".into(),
        reported_at: None,
        received_at: Millis::new(received_at),
    };
    for (received, kept) in [(90 * DAY, 1), (92 * DAY, 2)] {
        let origins = BTreeMap::from([(ReceiptId::from_bytes([1; 16]), origin(received))]);
        let horizon = Horizon::new(Millis::new(91 * DAY), &origins);
        let (mut earlier, mut field) = (History::default(), None);
        for day in 1..=3 {
            earlier.write(&mut field, write(true, day * DAY, 1), horizon);
        }
        assert_eq!(earlier.iter().count(), kept);
    }
}

#[test]
fn changes_of_the_value_stay() {
    let (earlier, _) = written((0..1_500).map(|day| (day * DAY, day % 2 == 0)));
    assert_eq!(earlier.iter().count(), 1_499, "none stands between equal ones");
}

#[test]
fn old_repetitions_of_one_time_are_stored_twice_at_most() {
    let (mut earlier, mut field) = (History::default(), None);
    for seq in 0..20 {
        let mut new = write(true, 5, 1);
        new.stamp.seq = seq;
        earlier.write(&mut field, new, by_time(6));
    }
    let seqs: Vec<u64> = earlier.iter().chain(&field).map(|write| write.stamp.seq).collect();
    assert_eq!(seqs, [0, 19]);
}

#[test]
fn earlier_writes_survive_serialization() {
    let mut registers = Registers::default();
    for (n, value) in [(1, false), (2, true)] {
        let new = write(value, n, 1);
        registers.earlier_cancelled.write(&mut registers.cancelled, new, by_time(0));
    }
    let stored = serde_json::to_string(&registers).expect("it is written");
    assert_eq!(serde_json::from_str::<Registers>(&stored).expect("it is read"), registers);
}

#[test]
fn form_of_the_first_version_is_read() {
    let stamp = format!(r#"{{"t":5,"k":"u","h":{}}}"#, u128::MAX - 1);
    let read = |text: String| serde_json::from_str::<History<Shape>>(&text).expect("it is read");
    let first = read(format!("[[{stamp},true],[{stamp},false]]"));
    let shapes: Vec<Shape> = first.iter().map(|write| write.value).collect();
    assert_eq!(shapes, [Shape::Series, Shape::Single]);
    let again = serde_json::to_string(&first).expect("it is written");
    assert_eq!(read(again), first);
    let list = format!(r#"[[{stamp},["a"]]]"#);
    let lists: History<BTreeSet<OccurrenceId>> = serde_json::from_str(&list).expect("read");
    let occurrence = OccurrenceId::parse("a").expect("valid");
    let lists: Vec<_> = lists.iter().map(|write| write.value.clone()).collect();
    assert_eq!(lists, [BTreeSet::from([occurrence])]);
    let off = format!("[[{stamp},true],[{stamp},false]]");
    let off: History<bool> = serde_json::from_str(&off).expect("read");
    assert_eq!(off.iter().map(|write| write.value).collect::<Vec<_>>(), [true, false]);
    let neither = serde_json::from_str::<History<bool>>("[1]").expect_err("it is neither");
    assert!(neither.to_string().contains("expected struct Register"), "{neither}");
}
