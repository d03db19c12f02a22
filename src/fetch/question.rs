//! One webinar's questions, and what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::Settings;
use super::client::{Client, Reply};
use super::verdict::{self, Trouble};
use crate::event::{BodyHash, ExternalAccountId, Millis, ReceiptId, Webinar};
use crate::ledger::{
    Content, FetchOutcome, FetchTask, LedgerError, NewReceipt, ReceiptKind, WebinarKey,
};
use crate::providers::{Answers, Fetched, Meaning, PlatformApi, Span, Spared, read_answers};

/// Most questions about one webinar; platforms have up to three.
const QUESTIONS_MAX: usize = 8;
/// Of which time a list is asked for, to see whether there is any.
const LIST_SPAN: Duration = Duration::from_hours(24);
/// Longest body that is kept of all answers, in bytes.
const ANSWERS_MAX: usize = 2 * 1024 * 1024;

/// The questions about one webinar.
pub(super) struct Question<'a> {
    settings: &'a Settings,
    client: &'a Client,
    task: &'a FetchTask,
}

/// Why there is no whole answer.
enum Failed {
    /// It passes. It counts for nothing: neither is the webinar missing for it, nor the question wrong.
    Later {
        wait: Duration,
        why: String,
    },
    NotThere,
    Wrong(String),
}

/// All answers; when the first was asked for by our clock, and given by the platform's.
struct Told {
    answers: BTreeMap<String, Box<RawValue>>,
    asked_at: Millis,
    date: Option<Millis>,
}

impl Told {
    /// When what was told was so.
    ///
    /// The platform's `Date` tells it to the second only (RFC 9110, 5.6.7): taken for its beginning, an answer would lose
    /// to the very webhook for which it was asked, and two answers of a second would be as old as each other. What was
    /// so when it was asked for is in the answer; so if that was in this second, it is the time, and so it is where no date
    /// is told: the time at which all answers are there would be after changes of which they do not tell, and that of the
    /// next question.
    fn at(&self, now: Millis) -> Millis {
        const SECOND: Duration = Duration::from_secs(1);
        let Self { asked_at, date, .. } = *self;
        let is_of = |date: Millis| date <= asked_at && asked_at < date.plus(SECOND);
        date.map_or(asked_at, |date| if is_of(date) { asked_at } else { date }).min(now)
    }
}

impl<'a> Question<'a> {
    pub(super) fn new(settings: &'a Settings, client: &'a Client, task: &'a FetchTask) -> Self {
        Self { settings, client, task }
    }

    /// Asks, and decides what is to be recorded.
    pub(super) async fn ask(self) -> FetchOutcome {
        let Some(api) = self.settings.provider.api() else {
            // Without credentials no asker is made.
            let why = "the platform cannot be asked".to_owned();
            return FetchOutcome::GivenUp { why, says: None };
        };
        let asked_at = self.settings.clock.now();
        let mut told = Told { answers: BTreeMap::new(), asked_at, date: None };
        match self.tell(api, &mut told).await {
            Ok(()) => {
                self.client.found();
                self.answered(&told)
            }
            Err(Failed::Later { wait, why }) => self.later(wait, why, false),
            Err(Failed::NotThere) => self.not_there(api).await,
            Err(Failed::Wrong(why)) if verdict::is_hopeless(self.task.attempts + 1) => {
                FetchOutcome::GivenUp { why, says: None }
            }
            Err(Failed::Wrong(why)) => self.later(self.delay(), why, true),
        }
    }

    async fn tell(&self, api: &dyn PlatformApi, told: &mut Told) -> Result<(), Failed> {
        for _ in 0..QUESTIONS_MAX {
            let answers: Answers<'_> =
                told.answers.iter().map(|(name, answer)| (name.clone(), &**answer)).collect();
            let ask = api.ask(&self.task.webinar, &answers).map_err(Failed::Wrong)?;
            let Some(ask) = ask else { return Ok(()) };
            let answer = match self.client.get(ask.url).await {
                Reply::Answered { body, date } => {
                    told.date = told.date.or(date);
                    body
                }
                Reply::NotThere | Reply::Forbidden if ask.spared == Spared::IfRefused => null(),
                Reply::NotThere if told.answers.is_empty() => return Err(Failed::NotThere),
                // The webinar itself is there, so it is not gone.
                Reply::NotThere => return Err(Failed::Wrong(format!("it has no {}", ask.name))),
                Reply::Forbidden => {
                    let why = format!("we may not ask for the {}", ask.name);
                    return Err(Failed::Later { wait: self.patience(), why });
                }
                Reply::Later(Trouble { why, wait, .. }) => {
                    let wait = wait.unwrap_or_else(|| self.patience());
                    return Err(Failed::Later { wait, why });
                }
                Reply::Wrong(why) => return Err(Failed::Wrong(why)),
            };
            let size: usize = told.answers.values().map(|answer| answer.get().len()).sum();
            if size + answer.get().len() > ANSWERS_MAX {
                return Err(Failed::Wrong("the answers are too long".to_owned()));
            }
            told.answers.insert(ask.name.to_owned(), answer);
        }
        Err(Failed::Wrong("there is no end of questions".to_owned()))
    }

    fn answered(&self, told: &Told) -> FetchOutcome {
        let answers = told.answers.iter().map(|(name, answer)| (name.clone(), &**answer));
        let now = self.settings.clock.now();
        FetchOutcome::Answered(Box::new(self.receipt(&Fetched {
            webinar: self.task.webinar.clone(),
            account: self.account(),
            at: told.at(now),
            gone: false,
            answers: answers.collect(),
        })))
    }

    /// There is no such webinar, or not yet.
    async fn not_there(&self, api: &dyn PlatformApi) -> FetchOutcome {
        let why = "it has no such webinar".to_owned();
        if !verdict::is_gone(self.task.attempts + 1) {
            return self.later(self.delay(), format!("{why} yet"), true);
        }
        let receipt = self.receipt(&Fetched {
            webinar: self.task.webinar.clone(),
            account: self.account(),
            at: self.settings.clock.now(),
            gone: true,
            answers: Answers::new(),
        });
        if !api.believes_gone() {
            return FetchOutcome::GivenUp { why, says: None };
        }
        match self.is_known(&receipt).await {
            Ok(true) if !self.client.knows_any() => {
                let why = format!("{why}, and no other was found yet with these credentials");
                self.later(self.patience(), why, false)
            }
            Ok(true) if !self.has_a_list(api).await => {
                self.later(self.patience(), format!("{why}, nor a list of webinars"), false)
            }
            // Of what was never heard of there is nothing to take back.
            Ok(known) => FetchOutcome::GivenUp { why, says: known.then(|| Box::new(receipt)) },
            Err(error) => self.later(self.delay(), error.to_string(), false),
        }
    }

    /// Whether the platform answers at all at that address, where it has a list to ask for: one that knows nothing (a wrong
    /// `base_url`, a version that was taken away) must not call off whatever is asked about.
    async fn has_a_list(&self, api: &dyn PlatformApi) -> bool {
        let now = self.settings.clock.now();
        let span = Span { from: now, to: now.plus(LIST_SPAN) };
        let Some(url) = api.list(span, None) else { return true };
        match self.client.get(url).await {
            Reply::Answered { body, .. } => api.listed(body.get().as_bytes(), span, None).is_ok(),
            Reply::NotThere | Reply::Forbidden | Reply::Later(_) | Reply::Wrong(_) => false,
        }
    }

    /// Whether all webinars that the receipt speaks of are known, and it speaks of any.
    async fn is_known(&self, receipt: &NewReceipt) -> Result<bool, LedgerError> {
        let Content::Changes(changes) = &receipt.content else { return Ok(false) };
        let policy = &self.settings.policy;
        for change in changes {
            let Ok(account) = policy.account_of(change) else { return Ok(false) };
            let (hubspot, webinar) = (policy.hubspot.clone(), change.webinar.clone());
            let key = WebinarKey { hubspot, account: account.clone(), webinar };
            if self.settings.ledger.dossier(&key).await?.webinar == Webinar::default() {
                return Ok(false);
            }
        }
        Ok(!changes.is_empty())
    }

    /// What was learnt, as it comes in.
    fn receipt(&self, fetched: &Fetched<'_>) -> NewReceipt {
        let Settings { source, provider, clock, platform_accounts, .. } = self.settings;
        let body = provider.scrub(&fetched.to_json());
        // Read from what is kept, so that it says the same when it is read again.
        let reading = read_answers(provider.as_ref(), &body);
        let (reading, foreign) = reading.admitted(platform_accounts.as_ref());
        if foreign {
            self.settings.metrics.foreign_account(source);
        }
        let content = match reading.meaning {
            Meaning::Changes { changes, bad_fields } => {
                for field in bad_fields {
                    self.settings.metrics.bad_field(&provider.id(), field);
                }
                Content::Changes(changes)
            }
            Meaning::Ignored | Meaning::Handshake(_) => Content::Ignored,
            Meaning::Unmappable(why) => Content::Quarantined(why),
        };
        let digest: [u8; 32] =
            Sha256::new().chain_update(b"fetched ").chain_update(&body).finalize().into();
        NewReceipt {
            id: ReceiptId::generate(),
            source: source.clone(),
            provider: provider.id(),
            kind: ReceiptKind::Fetched,
            received_at: clock.now(),
            event_type: reading.event_type,
            dedupe_key: digest,
            lasting_key: false,
            hash: BodyHash::of_digest(&digest),
            headers: Vec::new(),
            body: match content {
                Content::Changes(_) | Content::Quarantined(_) => body,
                Content::Ignored => Vec::new(),
            },
            content,
            // What is asked for once is not asked for by its own answer.
            wanted: Vec::new(),
        }
    }

    /// The platform's account, as whoever wanted it named it, or as the credentials are for.
    fn account(&self) -> Option<ExternalAccountId> {
        let configured = || self.settings.provider.api()?.account().cloned();
        self.task.account.clone().or_else(configured)
    }

    fn delay(&self) -> Duration {
        verdict::delay(self.task.attempts, (self.settings.random)())
    }

    /// How long what somebody must put right is left alone: as long again as it has been wanted.
    fn patience(&self) -> Duration {
        verdict::patience(self.settings.clock.now().since(self.task.wanted_at))
    }

    fn later(&self, wait: Duration, why: String, own: bool) -> FetchOutcome {
        FetchOutcome::Later { at: self.settings.clock.now().plus(wait), why, own }
    }
}

fn null() -> Box<RawValue> {
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
            Told { answers: BTreeMap::new(), asked_at, date }.at(ms(now)).get()
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
