use super::*;
use crate::event::RecurringMode;
use crate::event::policy::tests::policy;

#[test]
fn rekeyed_source_is_one_whose_webinars_would_get_other_ids() {
    let stored = StoredSource::from_policy(&policy());
    let same = StoredSource::from_policy(&policy());
    let series = Policy { recurring: RecurringMode::Series, ..policy() };
    let rekeyed = StoredSource::from_policy(&series);
    assert!(is_rekeyed(Some(&stored), &rekeyed, true));
    assert!(!is_rekeyed(Some(&stored), &rekeyed, false), "there are no ids yet");
    assert!(!is_rekeyed(Some(&stored), &same, true));
    assert!(!is_rekeyed(None, &rekeyed, true), "the source is new");
}

#[test]
fn source_is_reshaped_by_any_other_setting_of_its_events() {
    let stored = StoredSource::from_policy(&policy());
    let reshaped = StoredSource::from_policy(&Policy { organizer: None, ..policy() });
    assert!(is_reshaped(Some(&stored), &reshaped));
    assert!(!is_reshaped(Some(&stored), &stored));
    assert!(!is_reshaped(None, &reshaped), "the source is new");
}
