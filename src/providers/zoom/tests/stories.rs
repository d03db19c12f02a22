//! Bodies that are read, merged in any order and folded to the events sent to HubSpot.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::event::{
    AccountName, EventInput, EventOwnership, ExternalAccountId, FoldedEvent, Gap, HeldEvents,
    Policy, RecurringMode, WebinarId, fold,
};
use crate::providers::conformance;

const NOW: Millis = Millis::new(1_789_207_200_000);

fn policy() -> Policy {
    Policy {
        hubspot: AccountName::parse("main").expect("valid"),
        provider: ZOOM.id(),
        organizer: Some("Acme".to_owned()),
        event_type: None,
        external_account_id: None,
        recurring: RecurringMode::Occurrence,
        complete_after_end: None,
        only: Vec::new(),
        ownership: EventOwnership::Platform,
        custom_properties: BTreeMap::new(),
    }
}

/// Folds these bodies, merged in this order, to events.
fn events(bodies: &[Vec<u8>]) -> Vec<FoldedEvent> {
    let webinars = conformance::merge_bodies(&ZOOM, bodies, NOW);
    let account = ExternalAccountId::parse(ACCOUNT).expect("valid");
    webinars
        .iter()
        .flat_map(|(id, webinar)| fold(webinar, &account, id, &policy(), &HeldEvents::new(), NOW))
        .collect()
}

fn inputs(bodies: &[Vec<u8>]) -> Vec<EventInput> {
    events(bodies).into_iter().map(|event| event.content.expect("complete")).collect()
}

fn samples() -> Vec<Vec<u8>> {
    (PLATFORM.demos)().iter().flat_map(|demo| demo.samples(NOW)).map(|sample| sample.body).collect()
}

fn body(event: &str, at: i64, payload: &Value) -> Vec<u8> {
    let body = json!({ "event": event, "event_ts": NOW.get() - 100_000 + at, "payload": payload });
    body.to_string().into_bytes()
}

#[test]
fn samples_are_dated_in_order_just_before_now() {
    let mut last = NOW.minus(std::time::Duration::from_mins(1)).get();
    for body in samples() {
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let at = body["event_ts"].as_i64().expect("a number");
        assert!(at > last && at < NOW.get(), "{at}");
        last = at;
    }
}

#[test]
fn samples_fold_to_the_documented_events() {
    let folded: Vec<String> = inputs(&samples())
        .into_iter()
        .map(|event| {
            let time = |time: Option<Millis>| time.map_or("-".to_owned(), |time| time.to_string());
            format!(
                "{} {}: {} from {} to {}{}{} {}",
                event.event_type,
                event.external_event_id,
                event.event_name,
                time(event.start_date_time),
                time(event.end_date_time),
                if event.event_cancelled { ", cancelled" } else { "" },
                if event.event_completed { ", completed" } else { "" },
                event.event_url.unwrap_or_default(),
            )
        })
        .collect();
    let expected = [
        "WEBINAR 93110024817: Shipping software calmly, live \
         from 2026-09-12T09:59:00Z to 2026-09-12T09:59:42Z, completed \
         https://zoom.example/j/93110024817",
        "WEBINAR 93110024818-1789293600000: Three mornings of onboarding \
         from 2026-09-13T10:00:00Z to 2026-09-13T10:50:00Z https://zoom.example/j/93110024818",
        "WEBINAR 93110024818-1789380000000: Three mornings of onboarding \
         from 2026-09-14T10:00:00Z to 2026-09-14T10:50:00Z, cancelled \
         https://zoom.example/j/93110024818",
        "WEBINAR 93110024818-1789466400000: Three mornings of onboarding \
         from 2026-09-15T10:00:00Z to 2026-09-15T10:50:00Z https://zoom.example/j/93110024818",
        "WEBINAR 93110024819: Scheduled by mistake \
         from 2026-09-14T10:00:00Z to 2026-09-14T11:00:00Z, cancelled ",
        "CONFERENCE q7Wc2nRtS9yHdKfVbXzLmA: Makers' day online \
         from 2026-09-20T10:00:00Z to 2026-09-20T18:00:00Z, cancelled ",
    ];
    assert_eq!(folded, expected);
}

proptest! {
    #[test]
    fn webhooks_in_any_order_with_repetitions_fold_to_the_same_events(
        shuffled in Just(samples().into_iter().cycle().take(28).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        prop_assert_eq!(events(&shuffled), events(&samples()));
    }
}

/// A15, M24: what the old list names and the new one does not is cancelled, also without a scope.
#[test]
fn occurrences_that_an_update_replaced_are_cancelled() {
    let occurrence = |id: &str, day: u32| json!({ "occurrence_id": id, "start_time": format!("2026-10-{day:02}T10:00:00Z"), "duration": 30 });
    let list = |ids: &[(&str, u32)]| -> Value {
        ids.iter().map(|(id, day)| occurrence(id, *day)).collect()
    };
    let series = json!({ "id": 1, "topic": "Onboarding", "type": 9, "duration": 30,
        "occurrences": list(&[("o1", 1), ("o2", 2), ("o3", 3)]) });
    let created = body("webinar.created", 0, &json!({ "account_id": ACCOUNT, "object": series }));
    let updated = |old: &[(&str, u32)], new: &[(&str, u32)], more: &Value| {
        let mut payload = json!({ "account_id": ACCOUNT,
            "object": { "id": 1, "occurrences": list(new) }, "old_object": { "occurrences": list(old) } });
        for (key, value) in more.as_object().expect("members") {
            payload[key] = value.clone();
        }
        body("webinar.updated", 10, &payload)
    };
    let cancelled = |update: Vec<u8>| -> Vec<String> {
        let inputs = inputs(&[created.clone(), update]).into_iter();
        inputs.filter(|input| input.event_cancelled).map(|input| input.external_event_id).collect()
    };
    let old = [("o1", 1), ("o2", 2), ("o3", 3)];
    let new = [("n1", 5), ("o2", 6), ("n3", 7)];
    assert_eq!(cancelled(updated(&old, &new, &json!({}))), ["1-o1", "1-o3"]);
    assert_eq!(cancelled(updated(&old, &new, &json!({ "scope": "all" }))), ["1-o1", "1-o3"]);
    let single = json!({ "scope": "single" });
    assert_eq!(cancelled(updated(&[("o1", 1)], &[("n1", 5)], &single)), ["1-o1"]);
    assert_eq!(cancelled(updated(&[("o1", 1)], &[("o1", 5)], &single)), [""; 0]);
    // Nobody is left out of a list that is not there.
    assert_eq!(cancelled(updated(&old, &[], &json!({ "scope": "single" }))), [""; 0]);
}

/// M25: a deletion that lists occurrences and names no operation cancels only those.
#[test]
fn deletion_with_a_list_and_no_operation_cancels_only_what_it_lists() {
    let occurrence = |id: &str| json!({ "occurrence_id": id, "start_time": "2026-10-01T10:00:00Z", "duration": 30 });
    let series = json!({ "id": 1, "topic": "Onboarding", "type": 9, "duration": 30,
        "occurrences": [occurrence("o1"), occurrence("o2"), occurrence("o3")] });
    let created = body("webinar.created", 0, &json!({ "account_id": ACCOUNT, "object": series }));
    for (object, expected) in
        [(json!({ "id": 1, "occurrences": [occurrence("o2")] }), 1), (json!({ "id": 1 }), 3)]
    {
        let payload = json!({ "account_id": ACCOUNT, "object": object });
        let inputs = inputs(&[created.clone(), body("webinar.deleted", 10, &payload)]);
        assert_eq!(inputs.iter().filter(|input| input.event_cancelled).count(), expected);
    }
}

/// A13, M13: the webhook of the deletion was lost. That Zoom does not have the webinar cancels it, and that it has it again
/// takes back just that.
#[test]
fn webinar_that_zoom_does_not_have_is_cancelled_until_it_has_it_again() {
    let object = json!({ "id": 1, "host_id": "h", "type": 5, "topic": "a", "start_time": "2026-10-01T15:00:00Z" });
    let payload = json!({ "account_id": ACCOUNT, "object": object });
    let created = body("webinar.created", 0, &payload);
    let gone = |at: i64| {
        let answers = FetchedAnswers {
            gone: true,
            answers: BTreeMap::new(),
            ..FetchedAnswers::parse(&fetched(at, &json!({}), &json!({}))).expect("answers")
        };
        (PLATFORM.scrub)(&answers.to_json())
    };
    let found = |at: i64| fetched(at, &object, &json!({ "id": "h", "display_name": "Ada" }));
    let is_off = |bodies: &[Vec<u8>]| inputs(bodies)[0].event_cancelled;
    let mut bodies = vec![created, gone(10)];
    assert!(is_off(&bodies));
    bodies.push(found(20));
    assert!(!is_off(&bodies));
    bodies.extend([body("webinar.deleted", 30, &payload), found(40)]);
    assert!(is_off(&bodies), "what a webhook cancelled, no answer brings back");
}

/// Stored answers about webinar 1, fetched at this time.
fn fetched(at: i64, webinar: &Value, host: &Value) -> Vec<u8> {
    let raw = |value: &Value| serde_json::value::to_raw_value(value).expect("JSON");
    let (webinar, host) = (raw(webinar), raw(host));
    let fetched = FetchedAnswers {
        asked_at: None,
        webinar: WebinarId::parse("1").expect("an id"),
        account: Some(ExternalAccountId::parse(ACCOUNT).expect("an id")),
        at: Millis::new(NOW.get() - 100_000 + at),
        gone: false,
        answers: [("webinar".to_owned(), &*webinar), ("host".to_owned(), &*host)].into(),
    };
    (PLATFORM.scrub)(&fetched.to_json())
}

#[test]
fn update_of_unknown_webinar_is_incomplete() {
    let topic = json!({ "object": { "id": 1, "topic": "x" } });
    let events = events(&[body("webinar.updated", 1, &topic)]);
    assert_eq!(events[0].content, Err(vec![Gap::FullPicture, Gap::Shape]));
}

#[test]
fn update_of_one_field_leaves_other_fields() {
    let created = json!({ "object": {
        "id": 1, "type": 5, "topic": "a", "start_time": "2026-10-01T15:00:00Z", "duration": 60,
        "join_url": "https://e.test/j?pwd=x",
    } });
    let longer = json!({ "object": { "id": "1", "duration": 90 } });
    let inputs =
        inputs(&[body("webinar.updated", 2, &longer), body("webinar.created", 1, &created)]);
    assert_eq!(inputs.len(), 1);
    assert_eq!(inputs[0].event_name, "a");
    assert_eq!(inputs[0].end_date_time, Millis::parse("2026-10-01T16:30:00Z", None));
    assert_eq!(inputs[0].event_url.as_deref(), Some("https://e.test/j"));
    assert_eq!(inputs[0].event_organizer, "Acme");
}

#[test]
fn recurrence_change_without_list_leaves_times_unknown() {
    let created = json!({ "object": {
        "id": 1, "type": 9, "topic": "a",
        "occurrences": [{ "occurrence_id": "1", "start_time": "2026-10-01T15:00:00Z" }],
    } });
    let changed = json!({ "scope": "all", "object": { "id": 1, "recurrence": { "type": 2 } } });
    let events =
        events(&[body("webinar.created", 1, &created), body("webinar.updated", 2, &changed)]);
    assert_eq!(events[0].content, Err(vec![Gap::Times]));
}

#[test]
fn series_changed_to_single_webinar_cancels_its_occurrences() {
    let created = json!({ "object": {
        "id": 1, "type": 9, "topic": "a",
        "occurrences": [{ "occurrence_id": "7", "start_time": "2026-10-01T15:00:00Z" }],
    } });
    let single = json!({
        "object": { "id": 1, "type": 5, "start_time": "2026-10-02T15:00:00Z" },
        "old_object": { "id": 1, "type": 9, "occurrences": [{ "occurrence_id": "7" }] },
    });
    let inputs =
        inputs(&[body("webinar.created", 1, &created), body("webinar.updated", 2, &single)]);
    let folded: Vec<(&str, bool)> = inputs
        .iter()
        .map(|event| (event.external_event_id.as_str(), event.event_cancelled))
        .collect();
    assert_eq!(folded, [("1", false), ("1-7", true)]);
}

#[test]
fn conversion_to_meeting_cancels_and_conversion_back_restores() {
    let webinar = |kind: u8| json!({ "object": { "id": 1, "type": kind, "topic": "a", "start_time": "2026-10-01T15:00:00Z" } });
    let mut bodies = vec![
        body("webinar.created", 1, &webinar(5)),
        body("webinar.converted_to_meeting", 2, &webinar(2)),
    ];
    assert!(inputs(&bodies)[0].event_cancelled);
    bodies.push(body("meeting.converted_to_webinar", 3, &webinar(5)));
    assert!(!inputs(&bodies)[0].event_cancelled);
}

#[test]
fn ended_session_of_a_series_completes_the_nearest_occurrence() {
    let created = json!({ "object": {
        "id": 1, "type": 9, "topic": "a", "duration": 60,
        "occurrences": [
            { "occurrence_id": "1", "start_time": "2026-09-11T15:00:00Z" },
            { "occurrence_id": "2", "start_time": "2026-09-12T09:00:00Z" },
        ],
    } });
    let ended = json!({ "object": { "id": "1", "type": 9, "start_time": "2026-09-12T08:58:00Z",
        "end_time": "2026-09-12T09:40:00Z" } });
    let inputs = inputs(&[body("webinar.created", 1, &created), body("webinar.ended", 2, &ended)]);
    let completed: Vec<bool> = inputs.iter().map(|event| event.event_completed).collect();
    assert_eq!(completed, [false, true]);
    assert_eq!(inputs[1].end_date_time, Millis::parse("2026-09-12T09:40:00Z", None));
}

#[test]
fn zoom_event_is_completed_with_its_last_session() {
    let event = json!({ "object": {
        "event_id": "e", "name": "a", "event_type": "MULTI_SESSION",
        "start_time": "2026-09-12T08:00:00Z", "end_time": "2026-09-12T12:00:00Z",
    } });
    let session = |id: &str| {
        json!({ "object": { "event_id": "e", "session_id": id, "name": id,
            "start_time": "2026-09-12T08:00:00Z", "end_time": "2026-09-12T09:00:00Z" } })
    };
    let mut bodies = vec![
        body("zoom_events.event_published", 1, &event),
        body("zoom_events.session_created", 2, &session("s1")),
        body("zoom_events.session_created", 3, &session("s2")),
        body("zoom_events.session_ended", 4, &session("s1")),
    ];
    assert!(!inputs(&bodies)[0].event_completed);
    bodies.push(body("zoom_events.session_ended", 5, &session("s2")));
    let done = inputs(&bodies);
    assert_eq!(done.len(), 1);
    assert!(done[0].event_completed);
    assert_eq!(done[0].end_date_time, Millis::parse("2026-09-12T12:00:00Z", None));
}

#[test]
fn update_of_unknown_webinar_is_completed_by_the_api() {
    let topic = json!({ "object": { "id": 1, "topic": "new" } });
    let answer = json!({
        "id": 1, "type": 5, "topic": "new", "start_time": "2026-10-01T15:00:00Z", "duration": 60,
        "agenda": "All of it.", "registration_url": "https://e.test/register",
    });
    let host = json!({ "display_name": "Lena Brandt", "first_name": "L.", "last_name": "B." });
    let bodies = [body("webinar.updated", 1, &topic), fetched(2, &answer, &host)];
    let inputs = inputs(&bodies);
    assert_eq!(inputs.len(), 1);
    assert_eq!(inputs[0].event_organizer, "Lena Brandt");
    assert_eq!(inputs[0].event_description.as_deref(), Some("All of it."));
    assert_eq!(inputs[0].event_url.as_deref(), Some("https://e.test/register"));
    assert_eq!(inputs[0].end_date_time, Millis::parse("2026-10-01T16:00:00Z", None));
}

#[test]
fn organizer_is_the_host_name_and_never_the_email_address() {
    let answer = json!({ "id": 1, "type": 5, "topic": "a", "start_time": "2026-10-01T15:00:00Z" });
    let organizer = |host: Value| inputs(&[fetched(1, &answer, &host)]).remove(0).event_organizer;
    let full = json!({ "display_name": "", "first_name": "Lena", "last_name": " Brandt " });
    assert_eq!(organizer(full), "Lena Brandt");
    assert_eq!(organizer(json!({ "display_name": 5, "last_name": "Brandt" })), "Brandt");
    for none in [json!(null), json!({ "email": "lena@example.org" }), json!([]), json!(5)] {
        assert_eq!(organizer(none.clone()), "Acme", "{none}");
    }
}

/// Whether the occurrences 1 (past), 2, 3 and 4 are cancelled after the API answered this list.
fn off_after(list: &[(&str, &str)]) -> Vec<(String, bool)> {
    let starts = [
        ("1", "2026-09-11T15:00:00Z"),
        ("2", "2026-09-18T15:00:00Z"),
        ("3", "2026-09-25T15:00:00Z"),
        ("4", "2026-10-02T15:00:00Z"),
    ];
    let entry = |(id, start): (&str, &str)| json!({ "occurrence_id": id, "start_time": start });
    let all: Vec<Value> = starts.into_iter().map(entry).collect();
    let created = json!({ "object": {
        "id": 1, "type": 9, "topic": "a", "duration": 60, "occurrences": all } });
    let listed: Vec<Value> = list
        .iter()
        .map(|(id, status)| {
            let start = starts.iter().find(|(known, _)| known == id).expect("known").1;
            let mut entry = entry((id, start));
            entry["status"] = (*status).into();
            entry
        })
        .collect();
    let answer = json!({ "id": 1, "type": 9, "topic": "a", "duration": 60, "occurrences": listed });
    let bodies = [body("webinar.created", 1, &created), fetched(2, &answer, &json!(null))];
    let inputs = inputs(&bodies);
    inputs.into_iter().map(|event| (event.external_event_id, event.event_cancelled)).collect()
}

#[test]
fn answer_cancels_missing_occurrences_only_if_its_list_is_complete() {
    let off = |ids: &[&str]| -> Vec<(String, bool)> {
        ["1", "2", "3", "4"].map(|id| (format!("1-{id}"), ids.contains(&id))).to_vec()
    };
    let there = "available";
    assert_eq!(off_after(&[("1", there), ("2", there), ("4", there)]), off(&["3"]));
    assert_eq!(
        off_after(&[("1", there), ("2", "deleted"), ("3", there), ("4", there)]),
        off(&["2"])
    );
    // Past occurrences that an answer omits were held.
    assert_eq!(off_after(&[("2", there), ("3", there), ("4", there)]), off(&[]));
    // A list of past occurrences only, and an empty one, are no list of future occurrences.
    assert_eq!(off_after(&[("1", there)]), off(&[]));
    assert_eq!(off_after(&[]), off(&[]));
}

/// M24: an entry with a start that cannot be read may be any occurrence.
#[test]
fn answer_with_an_unreadable_start_leaves_nobody_out() {
    let listing = |start: &str| {
        let entry = |id: &str, start: &str| json!({ "occurrence_id": id, "start_time": start });
        let list = [entry("1", "2026-10-02T15:00:00Z"), entry("2", start)];
        let answer = json!({ "id": 1, "type": 9, "topic": "a", "occurrences": list });
        let body = fetched(2, &answer, &json!(null));
        let fetched = FetchedAnswers::parse(&body).expect("answers");
        let PayloadContent::Changes { changes, .. } = ZOOM.read_fetched(&fetched).content else {
            panic!("the answer is unmappable");
        };
        changes[0].listing
    };
    assert_eq!(listing("2026-10-09T15:00:00Z"), OccurrenceListing::Observed);
    assert_eq!(listing("soon"), OccurrenceListing::Partial);
}
