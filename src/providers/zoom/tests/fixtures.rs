//! The fixtures: webhook bodies of Zoom, each with its expected reading in a file beside it.

use super::*;
use crate::providers::conformance::{self, Fixture, load_fixtures};

#[test]
fn each_fixture_reads_as_expected() {
    assert!(load_fixtures("zoom").len() > 40, "fixtures are missing");
    conformance::assert_fixtures_parse_as_expected("zoom", &ZOOM);
}

#[test]
fn scrubbed_fixtures_are_json_without_personal_data_and_read_the_same() {
    let personal = ["example.org", "kettle", "Qm9vaw", "tk=a", "tk=p", "Ada"];
    conformance::assert_scrubbed_bodies_parse_the_same("zoom", &ZOOM, &personal);
    for fixture in load_fixtures("zoom") {
        let stored = (PLATFORM.scrub)(&fixture.body);
        serde_json::from_slice::<Value>(&stored).expect("JSON stays JSON");
    }
}

#[test]
fn truncated_fixtures_are_unmappable_and_hold_no_personal_data() {
    for Fixture { path, body } in load_fixtures("zoom") {
        let whole = body.trim_ascii_end();
        for end in 0..whole.len() {
            let cut = &whole[..end];
            assert!(
                matches!(read(cut).content, PayloadContent::Unmappable(_)),
                "{} cut at {end}",
                path.display()
            );
            let stored = String::from_utf8_lossy(&(PLATFORM.scrub)(cut)).into_owned();
            assert!(!stored.contains("kettle-"), "{} cut at {end}", path.display());
        }
    }
}
