//! One webinar's questions, and what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use super::Settings;
use super::platform_client::{PlatformClient, PlatformReply};
use super::verdict::{self, TemporaryFailure};
use crate::event::{ExternalAccountId, Millis, ReceiptId, Webinar};
use crate::intake::IntakeReceipt;
use crate::ledger::{FetchOutcome, FetchTask, LedgerError, NewReceipt, ReceiptContent};
use crate::providers::{ApiAnswers, FetchedAnswers, OnMissing, PlatformApi, TimeRange};

/// Most questions about one webinar; platforms have up to three.
const MAX_REQUESTS: usize = 8;
/// Of which time a list is asked for, to see whether there is any.
const PROBE_LIST_SPAN: Duration = Duration::from_hours(24);
/// Longest body that is kept of all answers, in bytes.
const MAX_ANSWERS_BYTES: usize = 2 * 1024 * 1024;

/// The questions about one webinar.
pub(super) struct WebinarFetch<'a> {
    settings: &'a Settings,
    client: &'a PlatformClient,
    task: &'a FetchTask,
}

/// Why there is no whole answer.
enum FetchFailure {
    /// It passes. It counts for nothing: neither is the webinar missing for it, nor the question wrong.
    RetryLater {
        wait: Duration,
        why: String,
    },
    NotFound,
    Rejected(String),
}

/// All answers; when the first was asked for by our clock, and given by the platform's.
struct CollectedAnswers {
    answers: BTreeMap<String, Box<RawValue>>,
    asked_at: Millis,
    platform_date: Option<Millis>,
}

impl CollectedAnswers {
    /// When what was told was so.
    ///
    /// The platform's `Date` tells it to the second only (RFC 9110, 5.6.7): taken for its beginning, an answer would lose
    /// to the very webhook for which it was asked, and two answers of a second would be as old as each other. What was
    /// so when it was asked for is in the answer; so if that was in this second, it is the time, and so it is where no date
    /// is told: the time at which all answers are there would be after changes of which they do not tell, and that of the
    /// next question.
    fn valid_at(&self, now: Millis) -> Millis {
        const SECOND: Duration = Duration::from_secs(1);
        let Self { asked_at, platform_date: date, .. } = *self;
        let is_of = |date: Millis| date <= asked_at && asked_at < date.plus(SECOND);
        date.map_or(asked_at, |date| if is_of(date) { asked_at } else { date }).min(now)
    }
}

impl<'a> WebinarFetch<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        client: &'a PlatformClient,
        task: &'a FetchTask,
    ) -> Self {
        Self { settings, client, task }
    }

    /// Asks, and decides what is to be recorded.
    pub(super) async fn run(self) -> FetchOutcome {
        let Some(api) = self.settings.source.provider.api() else {
            // Without credentials no asker is made.
            let why = "the platform cannot be asked".to_owned();
            return FetchOutcome::GivenUp { reason: why, receipt: None };
        };
        let asked_at = self.settings.clock.now();
        let mut told = CollectedAnswers { answers: BTreeMap::new(), asked_at, platform_date: None };
        match self.collect_answers(api, &mut told).await {
            Ok(()) => {
                self.client.record_webinar_seen();
                self.record_answers(&told)
            }
            Err(FetchFailure::RetryLater { wait, why }) => self.retry_later(wait, why, false),
            Err(FetchFailure::NotFound) => self.handle_not_found(api).await,
            Err(FetchFailure::Rejected(why))
                if verdict::is_rejected_for_good(self.task.attempts + 1) =>
            {
                FetchOutcome::GivenUp { reason: why, receipt: None }
            }
            Err(FetchFailure::Rejected(why)) => self.retry_later(self.short_backoff(), why, true),
        }
    }

    async fn collect_answers(
        &self,
        api: &dyn PlatformApi,
        told: &mut CollectedAnswers,
    ) -> Result<(), FetchFailure> {
        for _ in 0..MAX_REQUESTS {
            let answers: ApiAnswers<'_> =
                told.answers.iter().map(|(name, answer)| (name.clone(), &**answer)).collect();
            let ask =
                api.next_request(&self.task.webinar, &answers).map_err(FetchFailure::Rejected)?;
            let Some(ask) = ask else { return Ok(()) };
            let answer = match self.client.get(ask.url).await {
                PlatformReply::Answered { body, date } => {
                    told.platform_date = told.platform_date.or(date);
                    body
                }
                PlatformReply::NotFound | PlatformReply::Forbidden
                    if ask.on_missing == OnMissing::Skip =>
                {
                    json_null()
                }
                PlatformReply::NotFound if told.answers.is_empty() => {
                    return Err(FetchFailure::NotFound);
                }
                // The webinar itself is there, so it is not gone.
                PlatformReply::NotFound => {
                    return Err(FetchFailure::Rejected(format!("it has no {}", ask.name)));
                }
                PlatformReply::Forbidden => {
                    let why = format!("we may not ask for the {}", ask.name);
                    return Err(FetchFailure::RetryLater { wait: self.long_backoff(), why });
                }
                PlatformReply::RetryLater(TemporaryFailure { reason: why, wait, .. }) => {
                    let wait = wait.unwrap_or_else(|| self.long_backoff());
                    return Err(FetchFailure::RetryLater { wait, why });
                }
                PlatformReply::Rejected(why) => return Err(FetchFailure::Rejected(why)),
            };
            let size: usize = told.answers.values().map(|answer| answer.get().len()).sum();
            if size + answer.get().len() > MAX_ANSWERS_BYTES {
                return Err(FetchFailure::Rejected("the answers are too long".to_owned()));
            }
            told.answers.insert(ask.name.to_owned(), answer);
        }
        Err(FetchFailure::Rejected("there is no end of questions".to_owned()))
    }

    fn record_answers(&self, told: &CollectedAnswers) -> FetchOutcome {
        let answers = told.answers.iter().map(|(name, answer)| (name.clone(), &**answer));
        let now = self.settings.clock.now();
        FetchOutcome::Answered(Box::new(self.build_receipt(&FetchedAnswers {
            webinar: self.task.webinar.clone(),
            account: self.account(),
            at: told.valid_at(now),
            gone: false,
            answers: answers.collect(),
        })))
    }

    /// There is no such webinar, or not yet.
    async fn handle_not_found(&self, api: &dyn PlatformApi) -> FetchOutcome {
        let why = "it has no such webinar".to_owned();
        if !verdict::is_missing_for_good(self.task.attempts + 1) {
            return self.retry_later(self.short_backoff(), format!("{why} yet"), true);
        }
        let receipt = self.build_receipt(&FetchedAnswers {
            webinar: self.task.webinar.clone(),
            account: self.account(),
            at: self.settings.clock.now(),
            gone: true,
            answers: ApiAnswers::new(),
        });
        if !api.gone_means_cancelled() {
            return FetchOutcome::GivenUp { reason: why, receipt: None };
        }
        match self.is_known(&receipt).await {
            Ok(true) if !self.client.has_seen_webinar() => {
                let why = format!("{why}, and no other was found yet with these credentials");
                self.retry_later(self.long_backoff(), why, false)
            }
            Ok(true) if !self.platform_lists_webinars(api).await => self.retry_later(
                self.long_backoff(),
                format!("{why}, nor a list of webinars"),
                false,
            ),
            // Of what was never heard of there is nothing to take back.
            Ok(known) => {
                FetchOutcome::GivenUp { reason: why, receipt: known.then(|| Box::new(receipt)) }
            }
            Err(error) => self.retry_later(self.short_backoff(), error.to_string(), false),
        }
    }

    /// Whether the platform answers at all at that address, where it has a list to ask for: one that knows nothing (a wrong
    /// `base_url`, a version that was taken away) must not call off whatever is asked about.
    async fn platform_lists_webinars(&self, api: &dyn PlatformApi) -> bool {
        let now = self.settings.clock.now();
        let span = TimeRange { from: now, to: now.plus(PROBE_LIST_SPAN) };
        let Some(url) = api.list_url(span, None) else { return true };
        match self.client.get(url).await {
            PlatformReply::Answered { body, .. } => {
                api.parse_list(body.get().as_bytes(), span, None).is_ok()
            }
            PlatformReply::NotFound
            | PlatformReply::Forbidden
            | PlatformReply::RetryLater(_)
            | PlatformReply::Rejected(_) => false,
        }
    }

    /// Whether all webinars that the receipt speaks of are known, and it speaks of any.
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

    /// The platform's account, as whoever wanted it named it, or as the credentials are for.
    fn account(&self) -> Option<ExternalAccountId> {
        let configured = || self.settings.source.provider.api()?.account().cloned();
        self.task.account.clone().or_else(configured)
    }

    fn short_backoff(&self) -> Duration {
        verdict::short_backoff(self.task.attempts.saturating_add(1), (self.settings.random)())
    }

    /// How long what somebody must put right is left alone: as long again as it has been wanted.
    fn long_backoff(&self) -> Duration {
        verdict::long_backoff(self.settings.clock.now().since(self.task.requested_at))
    }

    fn retry_later(&self, wait: Duration, why: String, own: bool) -> FetchOutcome {
        FetchOutcome::Retry {
            not_before: self.settings.clock.now().plus(wait),
            reason: why,
            counted: own,
        }
    }
}

fn json_null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_old_as_its_question_if_that_was_in_the_second_of_its_date() {
        let ms = Millis::new;
        let at = |asked: i64, date: Option<i64>, now: i64| {
            let (asked_at, date) = (ms(asked), date.map(ms));
            CollectedAnswers { answers: BTreeMap::new(), asked_at, platform_date: date }
                .valid_at(ms(now))
                .get()
        };
        assert_eq!(at(5_300, Some(5_000), 5_400), 5_300);
        assert_eq!(at(5_000, Some(5_000), 5_001), 5_000);
        assert_eq!(at(5_999, Some(5_000), 6_100), 5_999);
        // It waited for its turn, or their clock is ahead of ours or behind.
        assert_eq!(at(4_900, Some(5_000), 5_100), 5_000);
        assert_eq!(at(4_900, Some(9_000), 5_100), 5_100);
        assert_eq!(at(6_000, Some(5_000), 6_100), 5_000);
        assert_eq!(at(5_300, None, 5_400), 5_300);
    }
}
