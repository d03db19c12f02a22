//! Judges HubSpot's response to a batch: for each event in it, and for the account.
//!
//! | response | content | verdict |
//! |---|---|---|
//! | 2xx `COMPLETE` | no errors, and a result for each event: as many, no `id` twice, and if one is an event's, all are | all confirmed |
//! | | a result whose `id` is the event's | confirmed, unless an error names it too |
//! | | an error of validation that names the event, or any such error if the event was sent alone | refused |
//! | | fewer results, or none, and no error | the other events unconfirmed: no result |
//! | | errors that name no event, or are not of validation | the other events unconfirmed: unfinished |
//! | 2xx, `status` anything else | `PENDING`, `PROCESSING`, unknown | all in progress |
//! | | `CANCELED` | all unconfirmed: unfinished |
//! | 2xx | a web page, a body that is cut off or no JSON, `numErrors` that is no number | overloaded, ambiguous |
//! | 400, `UNIQUE_VALUE_CONFLICT` | another call made the event meanwhile | all unconfirmed: conflict |
//! | 400, 422 | | split for a bad event; alone: refused |
//! | 413, 409 | | split for the whole batch; alone: 413 refused, 409 unconfirmed: unfinished |
//! | any status, longer than the bound | | split for the whole batch; alone: transport, ambiguous |
//! | 400 | a web page | overloaded |
//! | 401 | after one more try, if there is another token by then | unauthorized |
//! | 403 | names the missing scopes | forbidden |
//! | 404, 405, 410 | | not found: the path |
//! | 3xx | never followed with the token | redirected |
//! | 423 | `Retry-After`, at least 2 s | locked |
//! | 429 | `policyName`, else its message: ten seconds, one second, the day, unknown | rate limited |
//! | 477 | `Retry-After`, up to a day | migrating |
//! | 408, 503, 521, 523, 525, 526 | `Retry-After`, up to ten minutes | overloaded |
//! | 500, 502, 504, 520, 522, 524, other 5xx and beyond | as 503 | overloaded, ambiguous |
//! | other 4xx | as 503 | overloaded |
//! | no connection | the request was not sent | transport |
//! | time-out, reset, cut off | HubSpot may have carried out the request | transport, ambiguous |
//!
//! Delivery settles the events of [`Verdict::Items`] one by one. It sends those without a result once more, then one by
//! one, and other unconfirmed ones in halves. It sends the batch of a [`Verdict::Split`] again in halves. Any other verdict is the account's, and no event is charged for
//! it ([`AccountError`]). `Retry-After` counts seconds; a number that is too large for seconds counts milliseconds,
//! within bounds; zero, a negative number, a fraction or a date counts as absent.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::HubspotRefusal;
use crate::net::{HttpResponse, TransportError, parse_json_object};

use super::account_error::{AccountError, is_web_page};
use super::body::{ErrorBody, UpsertResponse, UpsertResult, sanitize};

/// Shortest id that is searched for in HubSpot's texts. A shorter id, or one without a digit, may be a word or a number
/// of another meaning ("at most 250 characters"); such an event is found by halving the batch.
const MIN_ID_LENGTH: usize = 6;

/// One event of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchItem<'a> {
    /// The `externalEventId`. No two of one batch are equal: a result carries that id only.
    pub external_event_id: &'a str,
    /// The input, in JSON.
    pub input: &'a [u8],
}

/// Meaning of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One verdict for each event of the batch, in its order.
    Items(Vec<ItemVerdict>),
    /// The batch was refused whole; each half is sent alone.
    Split(SplitReason),
    /// The account failed; no event is charged for it.
    Account(AccountError),
}

/// Meaning of a response for one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemVerdict {
    /// HubSpot has the event.
    Confirmed {
        /// HubSpot's id of the record, where the response shows it.
        object_id: Option<String>,
    },
    /// HubSpot refuses the event as it is.
    Refused(HubspotRefusal),
    /// The response does not show what became of the event.
    Unconfirmed {
        /// The part that the response lacks.
        reason: Unconfirmed,
        /// The content of the response, for operators.
        detail: String,
    },
    /// HubSpot still works on the batch: it may write the event at any time, even after a later one.
    InProgress {
        /// The content of the response, for operators.
        detail: String,
    },
}

impl Verdict {
    /// Whether it refuses the only event of its batch.
    #[must_use]
    pub fn is_single_refusal(&self) -> bool {
        matches!(self, Self::Items(items) if matches!(items[..], [ItemVerdict::Refused(_)]))
    }
}

/// Why a batch was refused whole and is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitReason {
    /// At least one of its events is refused as it is, in any batch.
    BadEvent,
    /// The batch as a whole is refused, for its length or for a conflict; smaller parts may pass.
    WholeBatch,
}

/// Why a response does not confirm an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconfirmed {
    /// HubSpot reports that it has finished, and gives neither an error nor a result for the event. Seen in the field:
    /// nothing was done.
    NoResult,
    /// An event of the batch is there already, by another call (`UNIQUE_VALUE_CONFLICT`): another try updates it.
    Conflict,
    /// HubSpot has not finished, or names an error that is not the event's: the event may still be written.
    Unfinished,
}

/// Judges the response to a batch.
///
/// Statuses by <https://developers.hubspot.com/docs/api-reference/error-handling>. For the upsert only `200` and
/// errors are documented, but its 200 may carry `errors`, so every 2xx is read alike.
#[must_use]
pub fn judge(batch: &[BatchItem<'_>], response: Result<&HttpResponse, &TransportError>) -> Verdict {
    let is_single = batch.len() <= 1;
    match response {
        // HubSpot has acted, and its response is too long to be read: half a batch has half the response.
        Err(TransportError::TooLarge(_)) if !is_single => Verdict::Split(SplitReason::WholeBatch),
        Err(error) => Verdict::Account(AccountError::from_transport(error)),
        Ok(response) => match (response.status, is_single) {
            (200..=299, _) => {
                if let Some(upserted) = parse_json_object(&response.body) {
                    Verdict::Items(item_verdicts(batch, response.status, &upserted))
                } else {
                    let page = is_web_page(response);
                    let problem = if page { "a web page" } else { "not the JSON of an upsert" };
                    Verdict::Account(AccountError::from_unreadable(response, problem))
                }
            }
            (400, _) if is_conflict(response) => {
                let detail = AccountError::from_response(response).detail;
                Verdict::Items(vec![unconfirmed(Unconfirmed::Conflict, detail); batch.len()])
            }
            // A web page is not the API's response about an event.
            (400, _) if is_web_page(response) => {
                Verdict::Account(AccountError::from_response(response))
            }
            // One malformed input can fail the whole call (per-item results are opt-in on HubSpot's object APIs).
            // 422 is not documented; by HTTP it means the same.
            // 409 is not documented either; HubSpot's own TypeScript client repeats it. It may concern one event for
            // ever, so it must not block the others.
            (400 | 422, false) => Verdict::Split(SplitReason::BadEvent),
            (409 | 413, false) => Verdict::Split(SplitReason::WholeBatch),
            (400 | 413 | 422, true) => {
                let refused = ItemVerdict::Refused(read_refusal(response));
                Verdict::Items(vec![refused; batch.len()])
            }
            (409, true) => {
                let detail = AccountError::from_response(response).detail;
                Verdict::Items(vec![unconfirmed(Unconfirmed::Unfinished, detail); batch.len()])
            }
            _ => Verdict::Account(AccountError::from_response(response)),
        },
    }
}

fn unconfirmed(reason: Unconfirmed, detail: impl Into<String>) -> ItemVerdict {
    ItemVerdict::Unconfirmed { reason, detail: detail.into() }
}

/// Seen live with `errorType`; other errors have a `category`.
fn is_conflict(response: &HttpResponse) -> bool {
    ErrorBody::parse(&response.body).is_some_and(|error| {
        [error.error_type, error.category]
            .iter()
            .flatten()
            .any(|text| text == "UNIQUE_VALUE_CONFLICT")
    })
}

/// Judges a 2xx event by event.
fn item_verdicts(
    batch: &[BatchItem<'_>],
    status: u16,
    upserted: &UpsertResponse,
) -> Vec<ItemVerdict> {
    if let Some(batch_status) = upserted.status.as_deref().filter(|status| *status != "COMPLETE") {
        let detail = sanitize(&format!("HubSpot's batch is {batch_status}, not COMPLETE"));
        let verdict = match batch_status {
            "CANCELED" => unconfirmed(Unconfirmed::Unfinished, detail),
            // `PENDING`, `PROCESSING`, and unknown statuses.
            _ => ItemVerdict::InProgress { detail },
        };
        return vec![verdict; batch.len()];
    }
    let results = results_by_event(batch, &upserted.results);
    let confirmed =
        |id: &str| results.get(id).map(|result| result.object_id.as_deref().map(sanitize));
    let no_errors = upserted.errors.is_empty() && upserted.num_errors.unwrap_or(0) == 0;
    // The order of the results is not documented, so nothing depends on it.
    if no_errors && has_result_for_each(batch, &upserted.results, results.len()) {
        return batch
            .iter()
            .map(|event| ItemVerdict::Confirmed {
                object_id: confirmed(event.external_event_id).flatten(),
            })
            .collect();
    }
    let refused = refusals_by_event(batch, status, &upserted.errors);
    let reason = if no_errors { Unconfirmed::NoResult } else { Unconfirmed::Unfinished };
    let detail = match upserted.errors.first().and_then(|error| error.message.as_deref()) {
        Some(message) => sanitize(message),
        None => format!("{} results for {} inputs", upserted.results.len(), batch.len()),
    };
    batch
        .iter()
        .map(|event| {
            let id = event.external_event_id;
            match (confirmed(id), refused.get(id)) {
                (Some(object_id), None) => ItemVerdict::Confirmed { object_id },
                (None, Some(refusal)) => ItemVerdict::Refused(refusal.clone()),
                (Some(_), Some(_)) | (None, None) => unconfirmed(reason, detail.clone()),
            }
        })
        .collect()
}

/// Whether there is a result for each event. A result's `id` need not be an event's; where no result's is, their number
/// counts. But two results of one `id` are one, and where some have an event's `id`, the others belong to no event.
fn has_result_for_each(batch: &[BatchItem<'_>], results: &[UpsertResult], matched: usize) -> bool {
    let mut ids = BTreeSet::new();
    let unique = results.iter().filter_map(|result| result.id.as_deref()).all(|id| ids.insert(id));
    results.len() == batch.len() && unique && (matched == 0 || matched == batch.len())
}

/// The results whose `id` is the external id of exactly one event.
fn results_by_event<'a>(
    batch: &[BatchItem<'a>],
    results: &'a [UpsertResult],
) -> BTreeMap<&'a str, &'a UpsertResult> {
    let mut ids = BTreeSet::new();
    let repeated: BTreeSet<&str> =
        batch.iter().map(|event| event.external_event_id).filter(|id| !ids.insert(*id)).collect();
    results
        .iter()
        .filter_map(|result| Some((result.id.as_deref()?, result)))
        .filter(|(id, _)| ids.contains(id) && !repeated.contains(id))
        .collect()
}

/// The events that validation errors name. The content of such errors is not documented for marketing events; in a
/// batch of one event they can only concern that event.
fn refusals_by_event<'a>(
    batch: &[BatchItem<'a>],
    status: u16,
    errors: &[ErrorBody],
) -> BTreeMap<&'a str, HubspotRefusal> {
    let mut refused = BTreeMap::new();
    for error in errors.iter().filter(|error| is_validation_error(error)) {
        let refused_ids = match batch {
            [only] => vec![only.external_event_id],
            _ => named_events(batch, error),
        };
        for id in refused_ids {
            refused.entry(id).or_insert_with(|| refusal_from_error(status, error));
        }
    }
    refused
}

/// Whether the error concerns the input rather than the moment: `VALIDATION_ERROR` and similar categories.
fn is_validation_error(error: &ErrorBody) -> bool {
    error.category.as_deref().is_some_and(|category| category.contains("VALIDATION"))
}

/// The events that an error names: all in its context, else the one that its messages name. Messages that name two
/// events may describe one by the other.
fn named_events<'a>(batch: &[BatchItem<'a>], error: &ErrorBody) -> Vec<&'a str> {
    let among = |words: &BTreeSet<&str>| -> Vec<&'a str> {
        let ids = batch.iter().map(|event| event.external_event_id);
        ids.filter(|id| is_distinctive(id) && words.contains(id)).collect()
    };
    let in_context = among(&error.context_texts().into_iter().collect());
    if !in_context.is_empty() {
        return in_context;
    }
    let in_messages = among(&error.messages().flat_map(words).collect());
    if in_messages.len() == 1 { in_messages } else { Vec::new() }
}

fn is_distinctive(id: &str) -> bool {
    id.len() >= MIN_ID_LENGTH && id.bytes().any(|byte| byte.is_ascii_digit())
}

/// The words of a message, without the punctuation around them.
fn words(message: &str) -> impl Iterator<Item = &str> {
    message
        .split(|c: char| c.is_whitespace() || "\"'`,;()[]{}<>=".contains(c))
        .map(|word| word.trim_end_matches(['.', ':', '!', '?']))
}

/// The category, if it is a constant's name: categories become metric labels.
fn valid_category(error: &ErrorBody) -> Option<&str> {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let fits = |text: &&str| (1..=64).contains(&text.len()) && text.chars().all(allowed);
    error.category.as_deref().filter(fits)
}

/// The refusal that one error of a response states.
fn refusal_from_error(status: u16, error: &ErrorBody) -> HubspotRefusal {
    HubspotRefusal {
        status,
        category: valid_category(error).unwrap_or("UNKNOWN").to_owned(),
        message: error.message.as_deref().map(sanitize).unwrap_or_default(),
        correlation_id: error.correlation_id.as_deref().map(sanitize),
    }
}

/// The refusal of a whole batch. The first detail is added to its message, which often is only "Invalid input".
fn read_refusal(response: &HttpResponse) -> HubspotRefusal {
    let error = ErrorBody::parse(&response.body).unwrap_or_default();
    let messages: Vec<&str> = error.messages().take(2).collect();
    let message = match messages.as_slice() {
        [] => AccountError::from_response(response).detail,
        messages => sanitize(&messages.join(": ")),
    };
    HubspotRefusal { message, ..refusal_from_error(response.status, &error) }
}

#[cfg(test)]
mod tests;
