//! The fetch of one webinar: its requests, and the outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use super::platform_client::PlatformClient;
use super::settings::Settings;
use super::verdict::{self, PlatformError, RequestFailure, SourceFailure};
use crate::event::{ExternalAccountId, Millis, ReceiptId, Webinar};
use crate::intake::IntakeReceipt;
use crate::ledger::{FetchBlame, FetchOutcome, FetchTask, LedgerError, NewReceipt, ReceiptContent};
use crate::providers::{ApiAnswers, FetchedAnswers, ListQuery, OnMissing, PlatformApi, TimeRange};

/// Most requests for one webinar; platforms have up to three.
const MAX_REQUESTS: usize = 8;
/// Time range of the list that is requested to see whether the platform has lists at all.
const PROBE_LIST_SPAN: Duration = Duration::from_hours(24);
/// Most bytes of all answers together.
const MAX_ANSWERS_BYTES: usize = 2 * 1024 * 1024;

/// The fetch of one webinar.
pub(super) struct WebinarFetch<'a> {
    pub(super) settings: &'a Settings,
    pub(super) client: &'a PlatformClient,
    pub(super) task: &'a FetchTask,
}

/// All answers, with the time of the first request by our clock, and of its response by the platform's.
struct CollectedAnswers {
    answers: BTreeMap<String, Box<RawValue>>,
    requested_at: Millis,
    platform_date: Option<Millis>,
}

impl CollectedAnswers {
    /// The time at which the answers were true.
    ///
    /// The platform's `Date` has seconds only (RFC 9110, 5.6.7). If its second counted from its beginning, an answer
    /// would lose to the very webhook that caused the fetch, and two answers of one second would be equally old. The
    /// answer holds the state at the time of the request; so that time counts if it is within the second, and also
    /// without a date. The time at which all answers are complete would be later than changes that they do not hold,
    /// and than the next request.
    fn valid_at(&self, now: Millis) -> Millis {
        const SECOND: Duration = Duration::from_secs(1);
        let Self { requested_at, platform_date: date, .. } = *self;
        let is_within = |date: Millis| date <= requested_at && requested_at < date.plus(SECOND);
        date.map_or(requested_at, |date| if is_within(date) { requested_at } else { date }).min(now)
    }
}

impl WebinarFetch<'_> {
    /// Makes the requests and decides on the outcome.
    pub(super) async fn run(self) -> FetchOutcome {
        let Some(api) = self.settings.source.provider.api() else {
            // Without credentials there is no worker.
            let reason = "the platform cannot be asked".to_owned();
            return FetchOutcome::GivenUp { reason, receipt: None };
        };
        match self.collect_answers(api).await {
            Ok(collected) => {
                self.client.record_answer();
                self.record_answers(&collected)
            }
            Err(outcome) => outcome,
        }
    }

    /// Makes the requests. The error is the outcome of a fetch whose answers are incomplete.
    async fn collect_answers(
        &self,
        api: &dyn PlatformApi,
    ) -> Result<CollectedAnswers, FetchOutcome> {
        let requested_at = self.settings.clock.now();
        let mut collected =
            CollectedAnswers { answers: BTreeMap::new(), requested_at, platform_date: None };
        for _ in 0..MAX_REQUESTS {
            let answers: ApiAnswers<'_> =
                collected.answers.iter().map(|(name, answer)| (name.clone(), &**answer)).collect();
            let request = match api.next_request(&self.task.webinar, &answers) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(collected),
                // No answer can help: the platform has no such ids.
                Err(reason) if answers.is_empty() => {
                    return Err(FetchOutcome::GivenUp { reason, receipt: None });
                }
                Err(reason) => return Err(self.handle_failure(RequestFailure::lasting(reason))),
            };
            let answer = match self.client.get(request.url).await {
                Ok(answer) => {
                    collected.platform_date = collected.platform_date.or(answer.date);
                    answer.body
                }
                Err(PlatformError::NotFound | PlatformError::Forbidden)
                    if request.on_missing == OnMissing::Skip =>
                {
                    RawValue::NULL.to_owned()
                }
                Err(PlatformError::NotFound) if collected.answers.is_empty() => {
                    return Err(self.handle_not_found(api).await);
                }
                // The webinar itself was found, so it is not missing.
                Err(PlatformError::NotFound) => {
                    let reason = format!("it has no {}", request.name);
                    return Err(self.handle_failure(RequestFailure::lasting(reason)));
                }
                Err(PlatformError::Forbidden) => {
                    let reason = format!("we may not ask for the {}", request.name);
                    return Err(self.handle_failure(RequestFailure::lasting(reason)));
                }
                Err(PlatformError::Failed(failure)) => return Err(self.handle_failure(failure)),
                Err(PlatformError::Held(SourceFailure { reason, wait })) => {
                    let wait = wait.unwrap_or(verdict::REFUSAL_WAIT);
                    return Err(self.retry_later(wait, reason, FetchBlame::Source));
                }
            };
            let size: usize = collected.answers.values().map(|answer| answer.get().len()).sum();
            if size + answer.get().len() > MAX_ANSWERS_BYTES {
                let reason = "the answers are too long".to_owned();
                return Err(self.handle_failure(RequestFailure::lasting(reason)));
            }
            collected.answers.insert(request.name.to_owned(), answer);
        }
        let reason = "there is no end of requests".to_owned();
        Err(self.handle_failure(RequestFailure::lasting(reason)))
    }

    /// Decides on the outcome when a request failed: the webinar waits alone, or with all others of the source.
    fn handle_failure(&self, mut failure: RequestFailure) -> FetchOutcome {
        let FetchTask { webinar, row, .. } = self.task;
        let blame = self.client.record_failure(webinar, row.failing_since, &mut failure);
        let failures = row.attempts.saturating_add(1);
        let wait = failure.backoff(failures, self.failing_for(), (self.settings.random)());
        self.retry_later(wait, failure.reason, blame)
    }

    fn record_answers(&self, collected: &CollectedAnswers) -> FetchOutcome {
        let answers = collected.answers.iter().map(|(name, answer)| (name.clone(), &**answer));
        let now = self.settings.clock.now();
        FetchOutcome::Answered(Box::new(self.build_receipt(&FetchedAnswers {
            webinar: self.task.webinar.clone(),
            account: self.account(),
            at: collected.valid_at(now),
            gone: false,
            answers: answers.collect(),
        })))
    }

    /// Decides on the outcome when the platform has no such webinar, or does not have it yet.
    async fn handle_not_found(&self, api: &dyn PlatformApi) -> FetchOutcome {
        let reason = "it has no such webinar".to_owned();
        let tries = self.task.row.not_found.saturating_add(1);
        if !verdict::is_missing_for_good(tries) {
            let wait = verdict::short_backoff(tries, (self.settings.random)());
            return self.retry_later(wait, format!("{reason} yet"), FetchBlame::NotFound);
        }
        let receipt = self.build_receipt(&FetchedAnswers {
            webinar: self.task.webinar.clone(),
            account: self.account(),
            at: self.settings.clock.now(),
            gone: true,
            answers: ApiAnswers::new(),
        });
        if !api.gone_means_cancelled() {
            return FetchOutcome::GivenUp { reason, receipt: None };
        }
        match self.is_known(&receipt).await {
            Ok(true) if !self.client.has_seen_webinar() => {
                let reason = format!("{reason}, and no other was found yet with these credentials");
                self.retry_later(self.long_backoff(), reason, FetchBlame::NotFound)
            }
            Ok(true) if !self.platform_lists_webinars(api).await => self.retry_later(
                self.long_backoff(),
                format!("{reason}, nor a list of webinars"),
                FetchBlame::NotFound,
            ),
            // A webinar that the ledger does not know needs no cancellation.
            Ok(known) => {
                FetchOutcome::GivenUp { reason, receipt: known.then(|| Box::new(receipt)) }
            }
            Err(error) => {
                let wait = verdict::short_backoff(tries, (self.settings.random)());
                self.retry_later(wait, error.to_string(), FetchBlame::Source)
            }
        }
    }

    /// Whether the platform answers at that address with a list, if its API has lists. A wrong `base_url`, or a version
    /// that was removed, finds nothing, and must not cancel every webinar that is fetched.
    async fn platform_lists_webinars(&self, api: &dyn PlatformApi) -> bool {
        let now = self.settings.clock.now();
        let span = TimeRange { from: now, to: now.plus(PROBE_LIST_SPAN) };
        let query = ListQuery { span, cursor: None };
        let Some(url) = api.list_url(query) else { return true };
        self.client
            .get(url)
            .await
            .is_ok_and(|answer| api.parse_list(answer.body.get().as_bytes(), query).is_ok())
    }

    /// Whether the receipt changes any webinar, and the ledger knows all that it changes.
    async fn is_known(&self, receipt: &NewReceipt) -> Result<bool, LedgerError> {
        let ReceiptContent::Changes(changes) = &receipt.content else { return Ok(false) };
        for change in changes {
            let Ok(key) = self.settings.source.webinar_key(change) else { return Ok(false) };
            if self.settings.ledger.webinar_state(&key).await?.webinar == Webinar::default() {
                return Ok(false);
            }
        }
        Ok(!changes.is_empty())
    }

    /// The answers as a receipt.
    fn build_receipt(&self, fetched: &FetchedAnswers<'_>) -> NewReceipt {
        let Settings { source, clock, metrics, .. } = self.settings;
        let IntakeReceipt { receipt, bad_fields, has_foreign_accounts } =
            source.receive_answers(fetched, clock.now(), ReceiptId::generate());
        if has_foreign_accounts {
            metrics.webhook_foreign_account(&source.name);
        }
        for field in bad_fields {
            metrics.webhook_bad_field(&receipt.provider, field);
        }
        receipt
    }

    /// The platform's account: the one that the fetch names, else the one of the credentials.
    fn account(&self) -> Option<ExternalAccountId> {
        let configured = || self.settings.source.provider.api()?.account().cloned();
        self.task.account.clone().or_else(configured)
    }

    /// The wait before the next request while an operator is needed: as long as the fetch has failed.
    fn long_backoff(&self) -> Duration {
        verdict::long_backoff(self.failing_for())
    }

    /// How long the webinar has failed; nothing if it has not.
    fn failing_for(&self) -> Duration {
        let now = self.settings.clock.now();
        self.task.row.failing_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    fn retry_later(&self, wait: Duration, reason: String, blame: FetchBlame) -> FetchOutcome {
        FetchOutcome::Retry { not_before: self.settings.clock.now().plus(wait), reason, blame }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_at_request_within_the_dates_second_is_the_requests_time() {
        let ms = Millis::new;
        let at = |asked: i64, date: Option<i64>, now: i64| {
            let (requested_at, date) = (ms(asked), date.map(ms));
            CollectedAnswers { answers: BTreeMap::new(), requested_at, platform_date: date }
                .valid_at(ms(now))
                .get()
        };
        assert_eq!(at(5_300, Some(5_000), 5_400), 5_300);
        assert_eq!(at(5_000, Some(5_000), 5_001), 5_000);
        assert_eq!(at(5_999, Some(5_000), 6_100), 5_999);
        // The request waited for the rate limiter, or the clocks differ.
        assert_eq!(at(4_900, Some(5_000), 5_100), 5_000);
        assert_eq!(at(4_900, Some(9_000), 5_100), 5_100);
        assert_eq!(at(6_000, Some(5_000), 6_100), 5_000);
        assert_eq!(at(5_300, None, 5_400), 5_300);
    }
}
