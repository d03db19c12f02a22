//! The fetch of one webinar: its requests, and the outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;

use super::platform_client::{PlatformClient, TimedAnswer};
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
/// A webinar that was found within that time shows that the credentials find what there is.
const FOUND_WITHIN: Duration = Duration::from_hours(1);
/// Other webinars that are asked about at most, to find one.
const MAX_WITNESSES: usize = 3;
/// Most bytes of all answers together.
const MAX_ANSWERS_BYTES: usize = 2 * 1024 * 1024;

/// The fetch of one webinar.
pub(super) struct WebinarFetch<'a> {
    pub(super) settings: &'a Settings,
    pub(super) client: &'a PlatformClient,
    pub(super) task: &'a FetchTask,
}

/// All answers, with the time of the first request.
#[derive(Default)]
struct CollectedAnswers {
    answers: BTreeMap<String, Box<RawValue>>,
    /// By our clock, and by the platform's.
    asked_at: Option<(Millis, Millis)>,
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
                self.record_answers(api, &collected)
            }
            Err(outcome) => outcome,
        }
    }

    /// Makes the requests. The error is the outcome of a fetch whose answers are incomplete.
    async fn collect_answers(
        &self,
        api: &dyn PlatformApi,
    ) -> Result<CollectedAnswers, FetchOutcome> {
        let mut collected = CollectedAnswers::default();
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
                Ok(TimedAnswer { body: Some(body), asked_at, platform_asked_at }) => {
                    collected.asked_at.get_or_insert((asked_at, platform_asked_at));
                    body
                }
                Ok(TimedAnswer { body: None, .. }) | Err(PlatformError::Forbidden)
                    if request.on_missing == OnMissing::Skip =>
                {
                    RawValue::NULL.to_owned()
                }
                Ok(TimedAnswer { body: None, asked_at, platform_asked_at })
                    if collected.answers.is_empty() =>
                {
                    return Err(self.handle_not_found(api, (asked_at, platform_asked_at)).await);
                }
                // The webinar itself was found, so it is not missing.
                Ok(TimedAnswer { body: None, .. }) => {
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

    /// The answers hold the state at the time of the request, but perhaps not what happened shortly before. So they count
    /// from before that lag, and lose to any webhook about it.
    fn record_answers(&self, api: &dyn PlatformApi, collected: &CollectedAnswers) -> FetchOutcome {
        let answers = collected.answers.iter().map(|(name, answer)| (name.clone(), &**answer));
        let now = self.settings.clock.dated_now();
        let (asked_at, platform_asked_at) = collected.asked_at.unwrap_or((now, now));
        let fetched = FetchedAnswers {
            webinar: self.task.webinar.clone(),
            account: self.account(),
            at: platform_asked_at.minus(api.lag()),
            asked_at: Some(platform_asked_at),
            gone: false,
            answers: answers.collect(),
        };
        let receipt = self.build_receipt(&fetched, asked_at);
        FetchOutcome::Answered { receipt: Box::new(receipt), asked_at, lag: api.lag() }
    }

    /// Decides on the outcome when the platform has no such webinar, or does not have it yet. It was asked at that time,
    /// by our clock and by the platform's: an answer that shows the webinar is ordered by the same clock.
    async fn handle_not_found(
        &self,
        api: &dyn PlatformApi,
        (asked_at, platform_asked_at): (Millis, Millis),
    ) -> FetchOutcome {
        let reason = "it has no such webinar".to_owned();
        let tries = self.task.row.not_found.saturating_add(1);
        if !verdict::is_missing_for_good(tries) {
            let wait = verdict::short_backoff(tries, (self.settings.random)());
            return self.retry_later(wait, format!("{reason} yet"), FetchBlame::NotFound);
        }
        if let Some(wait) = self.wait_after_webhook(asked_at, api.lag(), tries) {
            return self.retry_later(wait, format!("{reason} yet"), FetchBlame::NotFound);
        }
        let account = match self.known_account().await {
            Ok(account) => account,
            Err(error) => return self.retry_after_ledger_error(tries, &error),
        };
        let fetched = FetchedAnswers {
            webinar: self.task.webinar.clone(),
            account,
            at: platform_asked_at.minus(api.lag()),
            asked_at: Some(platform_asked_at),
            gone: true,
            answers: ApiAnswers::new(),
        };
        let receipt = self.build_receipt(&fetched, asked_at);
        if !self.finds_others(api).await {
            let reason = format!("{reason}, and no other is found with these credentials");
            return self.retry_later(self.long_backoff(), reason, FetchBlame::NotFound);
        }
        if !api.gone_means_cancelled() || !self.is_of_credentials(api) {
            return FetchOutcome::GivenUp { reason, receipt: None };
        }
        match self.is_known(&receipt).await {
            Ok(true) if !self.platform_lists_webinars(api).await => self.retry_later(
                self.long_backoff(),
                format!("{reason}, nor a list of webinars"),
                FetchBlame::NotFound,
            ),
            // A webinar that the ledger does not know needs no cancellation.
            Ok(known) => {
                FetchOutcome::GivenUp { reason, receipt: known.then(|| Box::new(receipt)) }
            }
            Err(error) => self.retry_after_ledger_error(tries, &error),
        }
    }

    /// The ledger could not be read: nothing is decided.
    fn retry_after_ledger_error(&self, tries: u32, error: &LedgerError) -> FetchOutcome {
        let wait = verdict::short_backoff(tries, (self.settings.random)());
        self.retry_later(wait, error.to_string(), FetchBlame::Source)
    }

    /// Whether another webinar of the source was found within the hour, or is now. Credentials of another account of the
    /// platform, or such that lost a permission, find nothing: they must neither cancel what is known nor lose what is not.
    async fn finds_others(&self, api: &dyn PlatformApi) -> bool {
        if self.client.has_seen_webinar_within(FOUND_WITHIN) {
            return true;
        }
        let Settings { source, ledger, .. } = self.settings;
        let Ok(coming) = ledger.coming_webinars(&source.name, None).await else { return false };
        let own = &self.task.webinar;
        let others: Vec<_> = coming.items.iter().filter(|webinar| *webinar != own).collect();
        // With each try the next ones have their turn: the first ones may be missing, too.
        let tried = usize::try_from(self.task.row.not_found).unwrap_or_default() * MAX_WITNESSES;
        let turn = others.iter().cycle().skip(tried.checked_rem(others.len()).unwrap_or_default());
        for webinar in turn.take(MAX_WITNESSES.min(others.len())) {
            let Ok(Some(request)) = api.next_request(webinar, &ApiAnswers::new()) else { continue };
            let answer = self.client.get(request.url).await;
            if answer.is_ok_and(|answer| answer.body.is_some()) {
                self.client.record_answer();
                return true;
            }
        }
        false
    }

    /// Whether the platform answers at that address with a list, if its API has lists. A wrong `base_url`, or a version
    /// that was removed, finds nothing, and must not cancel every webinar that is fetched.
    async fn platform_lists_webinars(&self, api: &dyn PlatformApi) -> bool {
        let now = self.settings.clock.now();
        let span = TimeRange { from: now, to: now.plus(PROBE_LIST_SPAN) };
        let query = ListQuery { span, cursor: None };
        let Some(url) = api.list_url(query) else { return true };
        let Ok(TimedAnswer { body: Some(page), .. }) = self.client.get(url).await else {
            return false;
        };
        api.parse_list(page.get().as_bytes(), query).is_ok()
    }

    /// Whether the webinar is one of the credentials' account, for all that is known. Where a source calls several accounts
    /// of the platform by one external account, the credentials do not find the webinars of the others.
    fn is_of_credentials(&self, api: &dyn PlatformApi) -> bool {
        let source = &self.settings.source;
        let is_only_account = || {
            let mut accounts = source.platform_accounts.iter().flatten();
            let is_own = |name: &String| api.account().is_some_and(|own| own.as_str() == name);
            accounts.next().is_some_and(is_own) && accounts.next().is_none()
        };
        self.task.account.is_some()
            || !api.shares_secret()
            || source.policy.external_account_id.is_none()
            || is_only_account()
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

    /// The answers as a receipt that arrived when they were asked for: what arrives from then on may be missing in them.
    fn build_receipt(&self, fetched: &FetchedAnswers<'_>, asked_at: Millis) -> NewReceipt {
        let Settings { source, metrics, .. } = self.settings;
        let IntakeReceipt { receipt, bad_fields, has_foreign_accounts } =
            source.receive_answers(fetched, asked_at, ReceiptId::generate());
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

    /// As [`Self::account`]; else, since no body names it, the only one under which the ledger knows the webinar.
    async fn known_account(&self) -> Result<Option<ExternalAccountId>, LedgerError> {
        let Settings { source, ledger, .. } = self.settings;
        let named = self.account();
        if named.is_some() || source.policy.external_account_id.is_some() {
            return Ok(named);
        }
        let known = ledger.accounts_of(&source.name, &self.task.webinar).await?;
        let mut known = known.into_iter();
        Ok(known.next().filter(|_| known.next().is_none()))
    }

    /// The wait before the next request if an answer need not show yet what the last webhook reported (M11): what is
    /// missing may have just come back, or may not be known yet.
    fn wait_after_webhook(&self, asked_at: Millis, lag: Duration, tries: u32) -> Option<Duration> {
        // A time to come was written by a clock that was ahead.
        let reported_at = self.task.row.reported_at.filter(|at| *at <= asked_at)?;
        let rest_of = |span| reported_at.plus(span).since(self.settings.clock.now());
        let since = asked_at.since(reported_at);
        if since < lag {
            return Some(rest_of(lag));
        }
        let wait = verdict::short_backoff(tries, (self.settings.random)());
        (since < verdict::NOT_KNOWN_YET).then(|| wait.min(rest_of(verdict::NOT_KNOWN_YET)))
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
