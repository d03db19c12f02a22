//! The ledger's contract: one list of laws, which every back end passes.
//!
//! A law is a function over a [`BackEnd`]. [`file`], [`schema`] hold what only a store in a file can show.

mod accepting;
mod aging;
mod back_end;
mod base;
mod browsing;
mod dead_fetches;
mod delivery;
mod fetch_model;
mod fetching;
mod file;
mod inheriting;
mod lasting;
mod over_time;
mod owning;
mod rebuilding;
mod redriving;
mod repeating;
mod schema;

/// The traits of the contract, for calling their methods.
mod contract {
    pub(super) use webinar_bridge::ledger::{
        AccountStatuses as _, Browse as _, FetchQueue as _, Intake as _, Outbox as _,
        Rebuilds as _, Redrive as _, Store as _, Timers as _,
    };
}

use std::time::Duration;

use webinar_bridge::ledger::{
    ClaimRequest, ClaimResult, ClaimedEvent, DeliveryOutcome, EventStateCounts, HubspotRefusal,
    Lease, Ledger, RecordResult, Settlement,
};

use crate::harness::build::account;

/// Runs every law over a back end.
macro_rules! suite {
    ($name:ident: $back_end:ty) => {
        mod $name {
            suite!(@laws $back_end;
                accepting:
                    receipt_repeated_is_merged_once_and_counted_before_the_answer,
                    body_of_any_bytes_comes_back_unchanged,
                    incomplete_event_is_held_until_it_is_complete,
                    crash_frees_claims_and_keeps_everything_else,
                    changed_status_wakes_its_account_and_no_other,
                    receipt_that_cannot_be_merged_is_stored_whole,
                    receipts_accepted_at_once_are_all_stored,
                    accounts_do_not_see_each_others_events,
                    pruning_deletes_old_rows_and_keeps_pending_events,
                    timer_completes_an_event_once_and_moves_with_its_end,
                    changed_defaults_reach_coming_events_but_not_past_ones,
                    changed_identity_is_refused_unless_it_is_accepted;
                delivery:
                    claimed_event_is_not_claimed_again_until_it_is_settled,
                    old_version_confirmed_leaves_the_new_one_pending,
                    change_back_to_the_confirmed_state_is_sent_again,
                    batch_that_is_not_full_waits_for_its_linger,
                    claim_takes_the_oldest_and_no_external_id_twice,
                    refused_event_is_dead_until_it_changes,
                    refusal_of_an_old_version_leaves_the_new_one_pending,
                    wait_of_a_retry_counts_from_its_recording,
                    counted_retry_waits_for_its_time,
                    ambiguous_call_sends_the_present_state_twice,
                    uncounted_retry_waits_and_is_sent_twice,
                    second_sending_waits_its_time_after_the_clock_was_set_ahead,
                    counted_attempts_survive_a_restart_and_end_with_a_confirmation,
                    change_undone_before_it_was_sent_needs_no_call,
                    change_undone_during_an_ambiguous_call_is_sent,
                    change_undone_after_a_failed_call_is_sent,
                    unfinished_call_waits_and_is_sent_twice,
                    crash_during_a_call_makes_it_ambiguous,
                    call_that_was_not_applied_is_not_ambiguous,
                    event_that_becomes_incomplete_in_flight_is_counted_once,
                    single_events_go_last_however_long_they_are,
                    lost_lease_records_nothing,
                    call_under_way_when_its_lease_is_lost_is_sent_twice;
                redriving:
                    redriven_dead_event_is_sent_at_once,
                    redriven_delivered_event_is_sent,
                    redriven_event_waits_no_longer,
                    redrive_of_an_incomplete_or_unknown_event_sends_nothing,
                    redriven_event_survives_a_refusal_of_an_earlier_call,
                    late_revocation_leaves_the_new_claim,
                    redrive_of_all_dead_events_sends_nothing_else,
                    redrive_can_leave_out_past_events,
                    witness_is_sent_as_it_was_and_counted_as_delivered,
                    upheld_refusal_is_a_dead_letter_unless_it_is_on_its_way;
                dead_fetches:
                    fetch_that_fails_for_a_week_is_dead_and_shown,
                    dead_fetch_redriven_has_another_week,
                    dead_fetch_is_tried_once_more_when_its_source_changes,
                    fourth_webinar_that_turns_absent_within_a_day_waits_for_a_person,
                    coming_webinars_of_a_source_are_listed,
                    first_page_of_coming_webinars_passes_old_ones_by,
                    fetches_are_listed_by_pages_source_and_state;
                fetching:
                    requested_fetch_is_due_with_its_receipt_and_claimed_once,
                    duplicate_requests_nothing_but_ignored_and_quarantined_may,
                    conditional_request_looks_at_the_merged_event,
                    request_during_a_fetch_is_fetched_once_more,
                    number_of_a_settled_task_is_not_used_again,
                    answer_may_request_others_but_not_itself,
                    given_up_fetch_is_shown_until_it_is_requested_again,
                    outcome_that_is_recorded_twice_counts_once,
                    longest_due_fetch_comes_first_and_claimed_ones_are_left_out,
                    wait_beyond_a_day_holds_no_fetch,
                    crash_keeps_the_queue_and_its_counts,
                    last_error_is_one_of_a_fetch_that_remains,
                    request_of_an_unconfigured_source_is_passed_over,
                    headers_and_bodies_come_back_for_mapping,
                    answer_is_accepted_and_settled_in_one_step,
                    worker_is_woken_for_due_fetches_only;
                lasting:
                    lasting_key_is_known_as_long_as_its_webinar,
                    lasting_key_goes_with_the_last_webinar_it_built,
                    lasting_key_that_built_nothing_goes_with_its_receipt;
                over_time:
                    series_of_ever_new_occurrences_is_cancelled_whole,
                    occurrence_of_long_ago_stays_as_it_was,
                    event_of_long_ago_has_no_timer_and_goes_when_it_is_old,
                    occurrence_of_long_ago_is_completed_before_it_leaves_its_series,
                    occurrence_of_long_ago_that_is_named_again_keeps_what_hubspot_has,
                    event_that_is_confirmed_after_its_times_became_unknown_is_complete,
                    equal_times_are_ordered_by_the_first_arrival_of_each_body,
                    untimed_changes_are_ordered_as_they_were_stored;
                inheriting:
                    heir_of_a_source_inherits_events_timers_and_keys,
                    heir_of_another_platform_may_change_what_it_inherits,
                    heir_of_an_account_inherits_its_events_and_status,
                    renamed_source_without_an_heir_is_refused_or_waits,
                    renamed_account_without_an_heir_is_refused_once,
                    heir_that_would_rekey_its_events_is_refused;
                owning:
                    default_comes_from_the_first_source_that_has_it,
                    event_must_pass_the_filters_of_all_its_sources,
                    custom_webinar_is_changed_by_its_first_source_alone,
                    custom_webinar_of_sources_that_share_is_changed_by_both,
                    replayed_receipt_leaves_the_webinar_of_another_source_alone;
                repeating:
                    body_of_a_restored_copy_is_no_duplicate_once,
                    body_is_no_duplicate_once_another_one_came,
                    body_about_several_webinars_is_a_duplicate_if_it_is_the_last_of_each,
                    body_of_one_signed_time_is_a_duplicate_after_its_second,
                    signed_delivery_is_never_accepted_again,
                    old_lasting_key_does_not_hold_up_a_body_that_may_repeat,
                    receipt_that_said_nothing_is_brought_up_to_date,
                    revived_delivery_shows_the_body_that_counts,
                    receipt_that_is_refused_again_is_a_duplicate,
                    question_that_is_still_open_takes_up_its_repetition;
                aging:
                    waits_go_on_as_decided_after_the_clock_was_set_back,
                    waits_that_are_read_at_the_start_are_cut,
                    receipts_from_the_future_do_not_stop_pruning,
                    receipts_of_a_doubted_clock_are_as_old_as_their_neighbours,
                    event_is_kept_until_a_day_after_its_start_without_an_end,
                    event_without_any_time_is_kept_for_400_days,
                    changed_defaults_do_not_keep_past_events_for_longer,
                    completion_by_a_clock_that_was_ahead_is_taken_back,
                    unsent_completion_is_derived_again_before_it_is_sent,
                    unsent_completion_is_taken_back_while_the_clock_is_doubted,
                    event_is_kept_until_its_timer_has_run,
                    completion_that_was_confirmed_stays_without_its_timer,
                    webinar_that_began_is_completed_a_day_after_its_end;
                base:
                    event_of_an_older_webinar_waits_until_hubspot_was_asked,
                    event_of_a_watched_creation_is_never_read,
                    creation_that_is_heard_of_late_makes_the_read_needless,
                    fields_that_hubspot_held_are_kept,
                    event_that_hubspot_holds_as_it_is_is_not_sent,
                    cancelled_events_are_read_first,
                    cancellation_of_an_unknown_webinar_makes_no_event,
                    past_webinar_is_made_only_of_an_answer,
                    coming_webinar_is_made_although_a_clock_ahead_dated_its_first_webhook,
                    read_under_a_lost_lease_records_nothing,
                    event_of_a_creation_before_the_ledger_is_read,
                    cancelled_before_its_first_delivery_is_delivered_cancelled,
                    filtered_event_that_hubspot_holds_is_called_off_as_it_is,
                    reads_of_a_long_series_share_a_fold,
                    read_is_recorded_only_for_its_own_event,
                    restored_copy_reads_what_hubspot_holds_before_it_sends,
                    restored_copy_sends_what_it_had_accepted,
                    redriven_event_of_a_restored_copy_takes_what_the_copy_hears,
                    restored_copy_without_receipts_keeps_what_hubspot_holds,
                    occurrence_that_a_restored_copy_did_not_know_is_as_hubspot_holds_it,
                    event_that_was_pruned_is_read_before_it_is_sent_again,
                    property_that_is_no_longer_configured_goes_although_hubspot_held_it;
                browsing:
                    pages_come_newest_first_and_hold_each_event_once,
                    events_are_found_by_state_account_and_text,
                    event_is_shown_in_its_present_state,
                    event_detail_shows_the_confirmed_input_and_the_receipts,
                    receipts_are_found_by_source_and_outcome_and_name_their_events,
                    event_detail_shows_the_confirmed_input_of_an_event_filtered_since;
                rebuilding:
                    rebuild_changes_only_what_is_mapped_otherwise,
                    rebuild_keeps_the_fields_of_expired_receipts,
                    rebuild_after_another_receipt_is_stale,
                    rebuild_that_is_refused_leaves_no_trace,
                    rebuild_deletes_obsolete_events_that_hubspot_never_had,
                    webinar_that_a_replay_moves_is_cancelled,
                    moved_webinar_is_cancelled_although_expired_receipts_built_it,
                    receipts_of_a_webinar_come_in_pages_of_some_megabytes;
            );

            #[test]
            fn queue_holds_what_was_requested_and_not_answered_since() {
                super::fetch_model::queue_holds_what_was_requested_and_not_answered_since::<$back_end>();
            }

            #[test]
            fn rebuild_mapped_as_before_changes_nothing() {
                super::rebuilding::rebuild_mapped_as_before_changes_nothing::<$back_end>();
            }
        }
    };
    (@laws $back_end:ty; $($module:ident: $($law:ident),*;)*) => {
        $($(
            #[tokio::test]
            async fn $law() {
                super::$module::$law::<$back_end>().await;
            }
        )*)*
    };
}

suite!(sqlite: crate::harness::store::StoreFolder);
suite!(memory: super::back_end::MemoryPlace);

pub(super) const NOW: ClaimRequest = ClaimRequest {
    limit: 100,
    linger: Duration::ZERO,
    first: Vec::new(),
    last: Vec::new(),
    probe: None,
};

pub(super) async fn counts(ledger: &impl Ledger) -> EventStateCounts {
    ledger.event_counts().await.expect("read")[&account("main")]
}

/// The lease of the account `main`.
pub(super) async fn lease(ledger: &impl Ledger) -> Lease {
    ledger.acquire_lease(&account("main")).await.expect("known").expect("nobody else has it")
}

pub(super) async fn begin_attempt(ledger: &impl Ledger, batch: &[ClaimedEvent]) {
    let events: Vec<_> = batch.iter().map(ClaimedEvent::event_version).collect();
    let started = ledger.begin_attempt(&lease(ledger).await, &events).await.expect("noted");
    assert_eq!(started, RecordResult::Recorded);
}

pub(super) async fn release(ledger: &impl Ledger, batch: &[ClaimedEvent]) {
    let events: Vec<_> = batch.iter().map(ClaimedEvent::event_version).collect();
    ledger.release(&lease(ledger).await, &events);
}

pub(super) async fn claim(ledger: &impl Ledger, ask: ClaimRequest) -> Vec<ClaimedEvent> {
    match ledger.claim(&lease(ledger).await, ask).await.expect("a claim") {
        ClaimResult::Batch(batch) => batch,
        ClaimResult::Wait(_) => Vec::new(),
        ClaimResult::LeaseLost => panic!("nobody else has the lease"),
    }
}

pub(super) async fn settle(
    ledger: &impl Ledger,
    batch: &[ClaimedEvent],
    outcome: impl Fn() -> DeliveryOutcome,
) {
    let settled = batch
        .iter()
        .map(|claimed| Settlement { event: claimed.event_version(), outcome: outcome() })
        .collect();
    let result = ledger.settle(&lease(ledger).await, settled).await.expect("settled");
    assert_eq!(result, RecordResult::Recorded);
}

pub(super) fn confirmed() -> DeliveryOutcome {
    DeliveryOutcome::Confirmed { object_id: Some("42".into()) }
}

pub(super) fn refused_by(message: &str) -> HubspotRefusal {
    HubspotRefusal {
        status: 400,
        category: "VALIDATION_ERROR".into(),
        message: message.into(),
        correlation_id: Some("c-1".into()),
    }
}

pub(super) fn input(claimed: &ClaimedEvent) -> serde_json::Value {
    serde_json::from_slice(&claimed.input).expect("an input is JSON")
}
