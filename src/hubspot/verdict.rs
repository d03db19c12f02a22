//! What HubSpot's answer to a batch means for each event in it, and for the account.
//!
//! | answer | says | verdict |
//! |---|---|---|
//! | 2xx `COMPLETE` | no `errors`, no `numErrors`, a result for each event: as many, no `id` twice, and if one is an event's, all are | all confirmed |
//! | | a result whose `id` is the event's | confirmed, unless an error names it too |
//! | | an error of validation that names the event, or any such when it was alone | refused |
//! | | fewer results, even none, and no error | the others unclear: silent |
//! | | errors that name nobody, or are not of validation | the others unclear: open |
//! | 2xx, `status` anything else | `PENDING`, `PROCESSING`, `CANCELED`, unknown | all unclear: open |
//! | 2xx | a web page, cut off, no JSON, no body, `numErrors` that is no number | overloaded, ambiguous |
//! | 400, 422 | | split for a culprit; alone: refused |
//! | 413, 409 | | split for the whole; alone: 413 refused, 409 unclear: open |
//! | longer than we read | | split for the whole; alone: transport, ambiguous |
//! | 400 | a web page | overloaded |
//! | 401 | after one more try, if there is another token by then | unauthorized |
//! | 403 | names the missing scopes | forbidden |
//! | 404, 405, 410 | | not found: the path |
//! | 3xx | never followed with the token | redirected |
//! | 423 | `Retry-After`, at least 2 s | locked |
//! | 429 | `policyName`, else its message: ten seconds, one second, the day, unknown | rate limited |
//! | 477 | `Retry-After`, up to a day | migrating |
//! | 408, 503, 521, 523, 525, 526 | `Retry-After`, up to ten minutes | overloaded |
//! | 500, 502, 504, 520, 522, 524, other 5xx and beyond | likewise | overloaded, ambiguous |
//! | other 4xx | likewise | overloaded |
//! | no connection | the request was not sent | transport |
//! | time-out, reset, cut off | before or after it was taken: nobody knows | transport, ambiguous |
//!
//! What the lane does with a verdict: `Items` are settled one by one, what is unclear is sent again in halves; `Split`
//! is sent again in halves; the rest is the account's, no event is charged for it ([`AccountTrouble`]). `Retry-After` is
//! seconds; a number too large for that, milliseconds, clamped; zero, a negative number, a fraction or a date, nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::net::{HttpResponse, TransportError};

use super::account_error::{AccountError, is_web_page};
use super::body::{ErrorBody, UpsertResponse, UpsertResult, parse_object, sanitize};

/// An id shorter than this, or without a digit, is not looked for in HubSpot's words: it may be a word or a number
/// that means something else ("at most 250 characters"). What is not found so is found by halving the batch.
const MIN_ID_LENGTH: usize = 6;

/// One event of a batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchItem<'a> {
    /// Its `externalEventId`. No two of one batch are equal: a result carries that id only.
    pub external_event_id: &'a str,
    /// Its input, JSON.
    pub input: &'a [u8],
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One for each event that was sent, in their order.
    Items(Vec<ItemVerdict>),
    /// The batch was refused whole: send each half.
    Split(SplitReason),
    /// The account's; no event is charged for it.
    Account(AccountError),
}

/// What an answer means for one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemVerdict {
    /// HubSpot has it.
    Confirmed {
        /// HubSpot's id of the record, where the answer tells which it is.
        object_id: Option<String>,
    },
    /// HubSpot will not take it as it is.
    Refused(EventRefusal),
    /// The answer does not tell.
    Unconfirmed {
        /// In which way.
        reason: Unconfirmed,
        /// What it does say, for operators.
        detail: String,
    },
    /// HubSpot is still at it, so it says: it may be carried out at any time, also after what is sent later.
    InProgress {
        /// What it says, for operators.
        detail: String,
    },
}

/// Why a batch was refused whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitReason {
    /// At least one of its events cannot be taken as it is, whatever it is sent with.
    BadEvent,
    /// Something that smaller parts need not have: its length, or a clash.
    WholeBatch,
}

/// How an answer leaves open what became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconfirmed {
    /// HubSpot says that it has finished, names no error, and has no result for it. Seen in the field: nothing was done.
    NoResult,
    /// HubSpot has not finished, or something went wrong that is not said to be the event's: it may be done yet.
    Unfinished,
}

/// HubSpot's words on why it refused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRefusal {
    /// HTTP status.
    pub status: u16,
    /// HubSpot's `category`: `VALIDATION_ERROR`. `UNKNOWN` if it said none that can be one.
    pub category: String,
    /// HubSpot's `message`, bounded.
    pub message: String,
    /// HubSpot's `correlationId`.
    pub correlation_id: Option<String>,
}

/// Judges the answer to a batch.
///
/// Statuses by <https://developers.hubspot.com/docs/api-reference/error-handling>. For the upsert only `200` and
/// errors are documented, but its 200 may carry `errors`, so every 2xx is read alike.
#[must_use]
pub fn judge(sent: &[BatchItem<'_>], answer: Result<&HttpResponse, &TransportError>) -> Verdict {
    let alone = sent.len() <= 1;
    match answer {
        // HubSpot has acted, and says so at a length that we do not read: half the batch, half the answer.
        Err(TransportError::TooLarge(_)) if !alone => Verdict::Split(SplitReason::WholeBatch),
        Err(error) => Verdict::Account(AccountError::from_transport(error)),
        Ok(answer) => match (answer.status, alone) {
            (200..=299, _) => match parse_object(&answer.body) {
                Some(upserted) => Verdict::Items(item_verdicts(sent, answer.status, &upserted)),
                None => unreadable_response(answer),
            },
            // A web page is not the API's word on an event.
            (400, _) if is_web_page(answer) => {
                Verdict::Account(AccountError::from_response(answer))
            }
            // One malformed input can fail the whole call (per-item results are opt-in on HubSpot's object APIs).
            // 422 is not documented; by HTTP it says the same.
            // 409 is not documented either; HubSpot's own TypeScript client repeats it. It may be about one event for
            // ever, so it must not hold up the others.
            (400 | 422, false) => Verdict::Split(SplitReason::BadEvent),
            (409 | 413, false) => Verdict::Split(SplitReason::WholeBatch),
            (400 | 413 | 422, true) => {
                verdict_for_all(sent, &ItemVerdict::Refused(read_refusal(answer)))
            }
            (409, true) => verdict_for_all(
                sent,
                &unconfirmed(Unconfirmed::Unfinished, AccountError::from_response(answer).detail),
            ),
            _ => Verdict::Account(AccountError::from_response(answer)),
        },
    }
}

fn unreadable_response(answer: &HttpResponse) -> Verdict {
    let what = if is_web_page(answer) { "a web page" } else { "not the JSON of an upsert" };
    Verdict::Account(AccountError::from_unreadable(answer, what))
}

/// The same verdict for all that was sent.
fn verdict_for_all(sent: &[BatchItem<'_>], verdict: &ItemVerdict) -> Verdict {
    Verdict::Items(sent.iter().map(|_| verdict.clone()).collect())
}

fn unconfirmed(how: Unconfirmed, detail: impl Into<String>) -> ItemVerdict {
    ItemVerdict::Unconfirmed { reason: how, detail: detail.into() }
}

/// Reads a 2xx event by event.
fn item_verdicts(
    sent: &[BatchItem<'_>],
    status: u16,
    upserted: &UpsertResponse,
) -> Vec<ItemVerdict> {
    if let Some(said) = upserted.status.as_deref().filter(|said| *said != "COMPLETE") {
        let detail = sanitize(&format!("HubSpot's batch is {said}, not COMPLETE"));
        let verdict = match said {
            "CANCELED" => unconfirmed(Unconfirmed::Unfinished, detail),
            // `PENDING`, `PROCESSING`, and what is not known to be over.
            _ => ItemVerdict::InProgress { detail },
        };
        return sent.iter().map(|_| verdict.clone()).collect();
    }
    let told = results_by_event(sent, &upserted.results);
    let confirmed =
        |id: &str| told.get(id).map(|written| written.object_id.as_deref().map(sanitize));
    let no_errors = upserted.errors.is_empty() && upserted.num_errors.unwrap_or(0) == 0;
    // Nothing is read from the results' order: it is not documented.
    if no_errors && has_result_for_each(sent, &upserted.results, told.len()) {
        return sent
            .iter()
            .map(|event| ItemVerdict::Confirmed {
                object_id: confirmed(event.external_event_id).flatten(),
            })
            .collect();
    }
    let refused = refusals_by_event(sent, status, &upserted.errors);
    let how = if no_errors { Unconfirmed::NoResult } else { Unconfirmed::Unfinished };
    let why = match upserted.errors.first().and_then(|problem| problem.message.as_deref()) {
        Some(message) => sanitize(message),
        None => format!("{} results for {} inputs", upserted.results.len(), sent.len()),
    };
    sent.iter()
        .map(|event| {
            let id = event.external_event_id;
            match (confirmed(id), refused.get(id)) {
                (Some(object_id), None) => ItemVerdict::Confirmed { object_id },
                (None, Some(refusal)) => ItemVerdict::Refused(refusal.clone()),
                (Some(_), Some(_)) | (None, None) => unconfirmed(how, why.clone()),
            }
        })
        .collect()
}

/// Whether there is a result for each event. Whether a result's `id` is the event's is not certain, so where none is, their
/// number counts. But two of one `id` are one, and where some are events', the others are nobody's.
fn has_result_for_each(sent: &[BatchItem<'_>], results: &[UpsertResult], told: usize) -> bool {
    let mut ids = BTreeSet::new();
    let once = results.iter().filter_map(|written| written.id.as_deref()).all(|id| ids.insert(id));
    results.len() == sent.len() && once && (told == 0 || told == sent.len())
}

/// The results whose `id` is the external id of exactly one event.
fn results_by_event<'a>(
    sent: &[BatchItem<'a>],
    results: &'a [UpsertResult],
) -> BTreeMap<&'a str, &'a UpsertResult> {
    let mut ids = BTreeSet::new();
    let twice: BTreeSet<&str> =
        sent.iter().map(|event| event.external_event_id).filter(|id| !ids.insert(*id)).collect();
    results
        .iter()
        .filter_map(|written| Some((written.id.as_deref()?, written)))
        .filter(|(id, _)| ids.contains(id) && !twice.contains(id))
        .collect()
}

/// The events that errors of the validating kind name. What such errors hold is not documented for marketing events;
/// with one event sent they can only be about that one.
fn refusals_by_event<'a>(
    sent: &[BatchItem<'a>],
    status: u16,
    errors: &[ErrorBody],
) -> BTreeMap<&'a str, EventRefusal> {
    let mut refused = BTreeMap::new();
    for problem in errors.iter().filter(|problem| is_validation_error(problem)) {
        let guilty = match sent {
            [only] => vec![only.external_event_id],
            _ => named_events(sent, problem),
        };
        for id in guilty {
            refused.entry(id).or_insert_with(|| EventRefusal::new(status, problem));
        }
    }
    refused
}

/// Whether it is about what was sent, not about the moment: `VALIDATION_ERROR` and its kin.
fn is_validation_error(problem: &ErrorBody) -> bool {
    problem.category.as_deref().is_some_and(|category| category.contains("VALIDATION"))
}

/// The events that an error names: all that stand in its context, else the one that its messages name. Messages that
/// name two may speak of one in terms of the other.
fn named_events<'a>(sent: &[BatchItem<'a>], problem: &ErrorBody) -> Vec<&'a str> {
    let among = |words: &BTreeSet<&str>| -> Vec<&'a str> {
        let ids = sent.iter().map(|event| event.external_event_id);
        ids.filter(|id| is_distinctive(id) && words.contains(id)).collect()
    };
    let in_context = among(&problem.context_texts().into_iter().collect());
    if !in_context.is_empty() {
        return in_context;
    }
    let in_messages = among(&problem.messages().flat_map(words).collect());
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

/// A category is a constant's name; nothing else gets where categories go, metrics among them.
fn valid_category(problem: &ErrorBody) -> Option<&str> {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let fits = |text: &&str| (1..=64).contains(&text.len()) && text.chars().all(allowed);
    problem.category.as_deref().filter(fits)
}

impl EventRefusal {
    fn new(status: u16, problem: &ErrorBody) -> Self {
        Self {
            status,
            category: valid_category(problem).unwrap_or("UNKNOWN").to_owned(),
            message: problem.message.as_deref().map(sanitize).unwrap_or_default(),
            correlation_id: problem.correlation_id.as_deref().map(sanitize),
        }
    }
}

/// A whole answer's refusal. The first detail is added to its message, which often is only "Invalid input".
fn read_refusal(answer: &HttpResponse) -> EventRefusal {
    let problem = ErrorBody::parse(&answer.body).unwrap_or_default();
    let said: Vec<&str> = problem.messages().take(2).collect();
    let message = match said.as_slice() {
        [] => AccountError::from_response(answer).detail,
        said => sanitize(&said.join(": ")),
    };
    EventRefusal { message, ..EventRefusal::new(answer.status, &problem) }
}

#[cfg(test)]
mod tests;
