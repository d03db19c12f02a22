//! Receipts whose key is known: whether they are duplicates.

use super::state::{State, sequence_number};
use crate::ledger::rules::accept::{AcceptPlan, KnownReceipt, Repetition, judge_repetition};
use crate::ledger::{FetchState, NewReceipt};

/// A new receipt, compared with those that are there.
pub(super) enum Recognized {
    /// Its key is not known.
    New,
    /// It is a duplicate.
    Duplicate,
    /// It takes the place of that one.
    InPlaceOf(KnownReceipt),
}

/// Compares a new receipt with those that are there.
pub(super) fn recognize(state: &State, receipt: &NewReceipt, plan: &AcceptPlan<'_>) -> Recognized {
    let key = (receipt.source.clone(), receipt.dedupe_key);
    let Some((number, row)) = state.receipts.iter().find(|(_, row)| row.dedupe_key == key) else {
        let is_lasting = state.webinars.values().any(|row| row.lasting_keys.contains(&key));
        let is_known = is_lasting && !receipt.duplicates.may_repeat();
        return if is_known { Recognized::Duplicate } else { Recognized::New };
    };
    let known = KnownReceipt {
        number: *number,
        id: row.summary.id,
        outcome: row.summary.outcome,
        received_at: row.summary.received_at,
    };
    let is_duplicate = match judge_repetition(receipt, plan, &known) {
        Repetition::Duplicate => true,
        Repetition::Revival => false,
        Repetition::UnlessLast => {
            let is_of_copy =
                state.age.is_some_and(|age| age.is_of_copy(sequence_number(known.number)));
            let is_last = |key| {
                let receipts = state.webinars.get(key).map(|row| &row.receipts);
                receipts.and_then(|receipts| receipts.last_key_value()).map(|(last, _)| last)
                    == Some(number)
            };
            !is_of_copy && plan.webinars().all(is_last)
        }
        Repetition::UnlessRequested => receipt.fetch_requests.iter().all(|request| {
            state.fetches.values().any(|task| {
                let wanted = (&receipt.source, &request.account, &request.webinar);
                (&task.source, &task.account, &task.webinar) == wanted
                    && task.row.state == FetchState::Pending
            })
        }),
    };
    if is_duplicate { Recognized::Duplicate } else { Recognized::InPlaceOf(known) }
}
