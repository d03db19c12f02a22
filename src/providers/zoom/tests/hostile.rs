//! Bodies that nobody sends by mistake, as the fuzz targets found them.

use super::*;

/// A description, and that many occurrences that it is said of one by one.
fn repeated(description: usize, occurrences: usize) -> ParsedPayload {
    let listed: Vec<Value> =
        (0..occurrences).map(|n| json!({ "occurrence_id": n.to_string() })).collect();
    let object = json!({ "id": 1, "agenda": "a".repeat(description), "occurrences": listed });
    webhook("webinar.updated", json!({ "scope": "single", "object": object }))
}

#[test]
fn a_small_body_does_not_become_a_large_state() {
    let why = unmappable(repeated(60_000, 500));
    assert_eq!(why, "says too much of too many single occurrences");
    for (description, occurrences) in [(60_000, 1), (2_000, 500)] {
        let reading = repeated(description, occurrences);
        assert!(matches!(reading.content, PayloadContent::Changes { .. }), "{reading:?}");
    }
}
