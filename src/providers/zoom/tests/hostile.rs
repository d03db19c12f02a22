//! Malicious bodies, found by the fuzz targets.

use super::*;

/// Reads an update that copies one description to this many occurrences.
fn repeated(description: usize, occurrences: usize) -> ParsedPayload {
    let listed: Vec<Value> =
        (0..occurrences).map(|n| json!({ "occurrence_id": n.to_string() })).collect();
    let object = json!({ "id": 1, "agenda": "a".repeat(description), "occurrences": listed });
    webhook("webinar.updated", json!({ "scope": "single", "object": object }))
}

#[test]
fn repeated_member_that_is_not_read_is_ignored() {
    let parsed =
        read(br#"{"event":"webinar.updated","id":1,"id":2,"payload":{"object":{"id":7}}}"#);
    assert!(matches!(parsed.content, PayloadContent::Changes { .. }), "{parsed:?}");
}

#[test]
fn small_body_with_repeated_text_is_unmappable() {
    let reason = unmappable(repeated(60_000, 500));
    assert_eq!(reason, "the update copies too much text to too many single occurrences");
    for (description, occurrences) in [(60_000, 1), (2_000, 500)] {
        let parsed = repeated(description, occurrences);
        assert!(matches!(parsed.content, PayloadContent::Changes { .. }), "{parsed:?}");
    }
}
