//! The one writer: it takes the queued jobs, commits them together, and then answers all. [`super::write_queue`] decides
//! on which thread it works.
//!
//! Group commit: a sync costs the same for one receipt as for a hundred. The writer never waits for further jobs; those
//! that queue during a commit are in the next one. Each job has a savepoint ([`super::job`]), so a failed job fails alone.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::bodies::Segment;
use super::checkpoint::{self, Checkpointer};
use super::disk_space::DiskSpace;
use super::job::{Job, JobAnswer, JobKind};
use super::live_state::LiveState;
use super::open::OpenError;
use super::receipt_numbers::ReceiptNumbers;
use super::side_effects::SideEffects;
use super::statements::Statements as _;
use super::store_lock::StoreLock;
use super::store_row::LastWrite;
use super::transaction::WriteTx;
use super::{Settings, Threading, disk_errors, timers, waits};
use crate::clock::{ClockStep, ClockSteps};
use crate::ledger::LedgerError;

/// The most jobs in one commit: bounds how long the first caller waits for the last job.
const MAX_JOBS: usize = 512;
/// The most bytes of bodies in one commit: bounds the memory, and the bytes to unpack for reading one body.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Steps of the users' expressions from which on a commit takes no further job; the rest wait for the next commit.
///
/// Senders wait for the commit. The number keeps a commit of many receipts under 250 ms; the test `commit_of_many_expressions_is_bounded`
/// measures it. A single webinar may use more, up to its own limit.
const MAX_STEPS: usize = 500_000;
/// The interval at which an idle writer checks whether a failed store works again.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// Pages of WAL after which an inline writer copies them back within the commit: SQLite's default.
const AUTOCHECKPOINT: i64 = 1_000;

/// The writer of the store: it owns the writing connection.
pub(super) struct Writer {
    connection: Connection,
    /// The thread that copies the WAL back; none for an inline writer, which copies it back within commits.
    checkpointer: Option<Checkpointer>,
    /// The check of the disk's space; none for an inline writer.
    space: Option<DiskSpace>,
    settings: Settings,
    live: Arc<LiveState>,
    segment: Segment,
    numbers: ReceiptNumbers,
    last_write: LastWrite,
    steps: ClockSteps,
    /// The steps of the clock that the stored waits have not followed yet.
    steps_to_follow: Vec<ClockStep>,
    /// Whether the last commit's clock was doubted.
    was_doubted: bool,
    /// Outlives the connection.
    lock: Arc<StoreLock>,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        settings: Settings,
        live: Arc<LiveState>,
        lock: Arc<StoreLock>,
    ) -> Result<Self, OpenError> {
        let (checkpointer, space) = match settings.threading {
            Threading::Dedicated => {
                let checkpointer = Checkpointer::start(&settings.path, Arc::clone(&lock))?;
                (Some(checkpointer), Some(DiskSpace::open(&settings.path)?))
            }
            Threading::Inline => {
                connection.pragma_update(None, "wal_autocheckpoint", AUTOCHECKPOINT)?;
                (None, None)
            }
        };
        Ok(Self {
            segment: Segment::after(&connection)?,
            numbers: ReceiptNumbers::after(&connection)?,
            connection,
            checkpointer,
            space,
            settings,
            live,
            last_write: LastWrite::default(),
            steps: ClockSteps::default(),
            steps_to_follow: Vec::new(),
            was_doubted: false,
            lock,
        })
    }

    /// Carries out jobs until the queue is closed.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(PROBE_INTERVAL) {
                Ok(first) => self.commit(first, || jobs.try_recv().ok()),
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(checkpointer) = self.checkpointer.as_ref().filter(|c| c.is_writers_turn()) {
                checkpointer.restart_wal(&self.connection);
            }
        }
        self.finish();
    }

    /// Copies the whole WAL into the database's file.
    pub(super) fn finish(self) {
        if let Some(checkpointer) = self.checkpointer {
            checkpointer.stop();
        }
        if let Err(error) = checkpoint::run(&self.connection, "TRUNCATE") {
            tracing::warn!(%error, "the WAL could not be emptied; the next start reads it");
        }
    }

    /// Commits this job together with the queued ones.
    pub(super) fn commit(&mut self, first: Job, queued: impl FnMut() -> Option<Job>) {
        if let Some(why) = self.check_files() {
            for job in std::iter::once(first).chain(std::iter::from_fn(queued)) {
                job.refuse()(Err(LedgerError::unavailable(&why)));
            }
            return;
        }
        let no_room = self.check_space();
        let mut jobs = std::iter::once(first).chain(std::iter::from_fn(queued));
        let mut admitted = || jobs.find_map(|job| admit(job, no_room.as_deref()));
        let mut next = admitted();
        if next.is_none() {
            return;
        }
        self.check_steps();
        let began = Instant::now();
        let mut answers: Vec<JobAnswer> = Vec::new();
        self.segment.clear();
        self.live.commit_started();
        let is_clock_doubted = self.settings.clock.is_doubted();
        let mut outcome = begin(&self.connection).and_then(|()| {
            let now = self.settings.clock.now();
            let steps = self.steps_to_follow.iter();
            steps.copied().try_for_each(|step| waits::follow_step(&self.connection, now, step))?;
            let doubt_begins = is_clock_doubted && !self.was_doubted;
            if doubt_begins { timers::derive_again(&self.connection) } else { Ok(()) }
        });
        let mut tx = WriteTx {
            connection: &self.connection,
            policies: &self.settings.policies,
            live: &self.live,
            now: self.settings.clock.now(),
            dated_now: self.settings.clock.dated_now(),
            is_clock_doubted,
            segment: &mut self.segment,
            numbers: &mut self.numbers,
            effects: SideEffects::default(),
            steps: 0,
        };
        while let Some(job) = next {
            tx.now = self.settings.clock.now();
            // A lost transaction takes all its jobs with it: none may be answered as done.
            let answer = if outcome.is_ok() {
                let (answer, kept) = job.run(&mut tx);
                outcome = kept;
                answer
            } else {
                job.refuse()
            };
            answers.push(answer);
            let has_room = answers.len() < MAX_JOBS
                && tx.segment.len() < MAX_BODY_BYTES
                && tx.steps < MAX_STEPS;
            next = if has_room { admitted() } else { None };
        }
        let mut effects = tx.effects;
        let outcome = outcome
            .and_then(|()| self.segment.write(&self.connection))
            .and_then(|()| effects.write(&self.connection))
            .and_then(|()| self.last_write.record(&self.connection, self.settings.clock.as_ref()))
            .and_then(|()| self.connection.execute_batch("COMMIT"));
        match outcome {
            Ok(()) => {
                self.segment.advance();
                self.was_doubted = is_clock_doubted;
                let kept = self.check_still_writes();
                // A caller that gets a failure keeps its claims and retries.
                if kept.is_err() {
                    effects.released.clear();
                    effects.released_bases.clear();
                    effects.settled_fetches.clear();
                }
                self.live.apply(&effects);
                self.report_health(&kept);
                self.settings.observer.committed(answers.len(), began.elapsed());
                self.settings.observer.passed_by(effects.passed_by);
                for answer in answers {
                    answer(kept.clone());
                }
                self.live.wake_all(&effects);
                if !std::mem::take(&mut self.steps_to_follow).is_empty() {
                    self.live.wake_everybody();
                }
            }
            Err(error) => {
                self.roll_back();
                let reason = self.report_failure(&error);
                let failed = LedgerError::Unavailable { reason, source: Some(Arc::new(error)) };
                for answer in answers {
                    answer(Err(failed.clone()));
                }
            }
        }
    }

    /// Checks that the commit is on disk. If not, it may still exist after the next start; a retry is then answered
    /// `duplicate`.
    fn check_still_writes(&mut self) -> Result<(), LedgerError> {
        let writes = self.space.as_mut().map_or(Ok(()), DiskSpace::still_writes);
        writes.map_err(|error| LedgerError::Unavailable {
            reason: disk_errors::describe_lost_write(&error, &self.settings.path),
            source: Some(Arc::new(error)),
        })
    }

    /// Reports whether the store works.
    fn report_health(&self, kept: &Result<(), LedgerError>) {
        match kept {
            Ok(()) => self.live.report_writable(),
            Err(error) => self.live.report_failure(error.reason().to_owned()),
        }
    }

    /// Notices that the clock was set: waits go on as they were decided (B10).
    fn check_steps(&mut self) {
        let now = self.settings.clock.now();
        let Some(step) = self.steps.observe(now) else { return };
        match step {
            ClockStep::Back(by) => {
                tracing::warn!(clock.now = %now, clock.set_back_seconds = by.as_secs_f64(), "the machine's clock was set back");
                self.live.move_waits_back(now, by);
            }
            ClockStep::Ahead(by) => {
                tracing::info!(clock.now = %now, clock.set_ahead_seconds = by.as_secs_f64(), "the machine's clock was set ahead");
            }
        }
        self.steps_to_follow.push(step);
    }

    /// Checks that the files are the ones that were opened; returns the reason if they are not.
    fn check_files(&self) -> Option<String> {
        let lost = self.lock.lost_file()?;
        let why = disk_errors::describe_lost_file(&lost, &self.settings.path);
        self.live.report_failure(why.clone());
        Some(why)
    }

    /// Checks the disk's space; returns the reason if there is no room for receipts.
    fn check_space(&mut self) -> Option<String> {
        let no_room = match self.space.as_mut()?.shortage(&self.connection) {
            Ok(shortage) => shortage
                .map(|shortage| disk_errors::describe_shortage(shortage, &self.settings.path)),
            // The commit meets the same error and reports it.
            Err(_) => None,
        };
        self.live.report_space(no_room.clone());
        no_room
    }

    /// Tries a write while the store fails, since no job may come that would show whether it works again.
    fn probe(&mut self) {
        if self.check_files().is_some() {
            return;
        }
        self.check_steps();
        if !self.steps_to_follow.is_empty() {
            let (job, _answer) = Job::new(JobKind::Upkeep, |_| Ok(()));
            return self.commit(job, || None);
        }
        self.check_space();
        if !self.live.is_failing() {
            return;
        }
        self.live.commit_started();
        let write = begin(&self.connection)
            .and_then(|()| {
                let probe = "INSERT OR REPLACE INTO probe (id, at) VALUES (0, ?1)";
                self.connection.run(probe, [self.settings.clock.now()])
            })
            .and_then(|()| self.connection.execute_batch("COMMIT"));
        match write {
            Ok(()) => {
                let kept = self.check_still_writes();
                self.report_health(&kept);
            }
            Err(error) => {
                self.roll_back();
                self.report_failure(&error);
            }
        }
    }

    /// Reports a failed write; returns the message.
    fn report_failure(&self, error: &rusqlite::Error) -> String {
        let why = disk_errors::describe(
            error,
            &disk_errors::probe_write(&self.settings.path),
            &self.settings.path,
        );
        self.live.report_failure(why.clone());
        why
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the store could not roll back a failed commit");
        }
    }
}

/// Admits a job, or refuses it if it adds data while there is no room.
fn admit(job: Job, no_room: Option<&str>) -> Option<Job> {
    match no_room {
        Some(why) if job.adds_data() => {
            job.refuse()(Err(LedgerError::unavailable(why)));
            None
        }
        _ => Some(job),
    }
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{Rekey, accept, open, settle};
    use super::*;
    use crate::clock::SystemClock;
    use crate::event::{
        AccountName, Change, ChangeKind, EventKey, EventOwnership, ExternalAccountId,
        ExternalEventId, Millis, Policy, RecurringMode, compile_event_expression,
    };
    use crate::ledger::{
        ClaimedEvent, CommitObserver, DeliveryOutcome, FetchBlame, FetchOutcome, Heirs, InputHash,
        NewReceipt, Policies, ReceiptContent, Settlement,
    };

    struct Unwatched;

    impl CommitObserver for Unwatched {
        fn committed(&self, _jobs: usize, _took: Duration) {}
    }

    fn open_writer(path: PathBuf, account: &AccountName) -> Writer {
        let lock = Arc::new(StoreLock::take(&path).expect("it is free"));
        let mut connection = open::connect(&path).expect("it opens");
        open::ensure_schema(&mut connection, true).expect("the schema");
        let accounts = vec![account.clone()];
        let live = Arc::new(LiveState::load(&connection, &accounts, &[]).expect("it is read"));
        let settings = Settings {
            path,
            accounts,
            policies: Policies::new(),
            heirs: Heirs::default(),
            migrate: true,
            rekey: Rekey::Refuse,
            clock: Arc::new(SystemClock),
            observer: Arc::new(Unwatched),
            threading: Threading::Dedicated,
        };
        Writer::new(connection, settings, live, lock).expect("a writer")
    }

    #[test]
    fn claim_survives_a_lost_settlement_until_the_next_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let account = AccountName::parse("main").expect("a name");
        let mut writer = open_writer(folder.path().join("store.db"), &account);
        let claimed = ClaimedEvent {
            id: 7,
            key: EventKey {
                hubspot: account.clone(),
                external_account_id: ExternalAccountId::parse("acct-1").expect("valid"),
                external_event_id: ExternalEventId::from_stored("7".into()),
            },
            version: 1,
            pending_since: Millis::new(0),
            attempts: 0,
            input: [].into(),
            input_hash: InputHash::from_input(b""),
            already_confirmed: false,
            is_witness: false,
        };
        writer.live.claim(&account, std::slice::from_ref(&claimed));
        let settle = |writer: &mut Writer| {
            let (event, account) = (claimed.event_version(), account.clone());
            let settlements = vec![Settlement { event, outcome: DeliveryOutcome::NotApplied }];
            let work = move |tx: &mut WriteTx<'_>| settle::settle(tx, &account, &settlements);
            let (job, mut answer) = Job::new(JobKind::Upkeep, work);
            writer.commit(job, || None);
            answer.try_recv().expect("it is answered")
        };
        let sound = writer.space.as_mut().expect("it checks the disk").break_writes();
        assert!(settle(&mut writer).is_err());
        assert!(writer.live.is_claimed(&account, 7), "no other batch may take it");
        assert!(writer.live.health().is_err());
        writer.probe();
        assert!(writer.live.health().is_err(), "it does not write yet");
        writer.space.as_mut().expect("it checks the disk").mend_writes(sound);
        assert!(settle(&mut writer).is_ok());
        assert!(!writer.live.is_claimed(&account, 7));
        assert_eq!(writer.live.health(), Ok(()));
    }

    #[test]
    fn jobs_that_add_data_are_refused_without_room() {
        let why = || "full".to_owned();
        let answer = Box::new(NewReceipt::empty(ReceiptContent::Ignored));
        let receipt = answer.clone();
        let answered =
            FetchOutcome::Answered { receipt, asked_at: Millis::new(0), lag: Duration::ZERO };
        let given_up = |receipt| FetchOutcome::GivenUp { reason: why(), receipt };
        let later = FetchOutcome::Retry {
            not_before: Millis::new(0),
            reason: why(),
            blame: FetchBlame::Webinar,
        };
        for (kind, is_admitted) in [
            (JobKind::Receipt, false),
            (JobKind::NewData, false),
            (JobKind::of_fetch(&answered), false),
            (JobKind::of_fetch(&given_up(Some(answer))), false),
            (JobKind::of_fetch(&given_up(None)), true),
            (JobKind::of_fetch(&later), true),
        ] {
            let (job, mut answer) = Job::new(kind, |_| Ok(()));
            assert_eq!(admit(job, Some("full")).is_some(), is_admitted, "{kind:?}");
            if !is_admitted {
                let answer = answer.try_recv().expect("it is answered");
                assert!(matches!(answer, Err(error) if error.reason() == "full"));
            }
        }
    }

    /// Accepted receipts of one webinar each, with a description of this number of parts.
    fn receipts(count: usize, parts: usize) -> Vec<Job> {
        let receipt = |number: usize| {
            let mut change = Change::new(
                crate::event::WebinarId::parse(number.to_string()).expect("valid"),
                ChangeKind::Created,
            );
            change.account = Some(ExternalAccountId::parse("acct-1").expect("valid"));
            change.full_picture = true;
            change.created_at = Some(Millis::new(1_800_000_000_000));
            change.shape = Some(crate::event::Shape::Single);
            change.whole.name = Some("A webinar".into());
            change.whole.organizer = Some("Acme".into());
            change.whole.description = Some(vec!["a"; parts].join(","));
            change.whole.start = Some(Millis::new(1_800_000_000_000));
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            NewReceipt {
                id: crate::event::ReceiptId::generate(),
                dedupe_key: key,
                received_at: Millis::new(1_800_000_000_000),
                ..NewReceipt::empty(ReceiptContent::Changes(vec![change]))
            }
        };
        let job = |number| {
            let receipt = receipt(number);
            let work = move |tx: &mut WriteTx<'_>| accept::accept(tx, &receipt);
            let (job, answer) = Job::new(JobKind::Receipt, work);
            // The receiver is leaked: the writer skips a job whose receiver is dropped.
            std::mem::forget(answer);
            job
        };
        (0..count).map(job).collect()
    }

    /// A writer whose source filters by an expression.
    fn filtering(folder: &tempfile::TempDir, expression: &str) -> Writer {
        let account = AccountName::parse("main").expect("a name");
        let mut writer = open_writer(folder.path().join("store.db"), &account);
        let policy = Policy {
            hubspot: account,
            provider: crate::event::ProviderId::new("zoom"),
            organizer: None,
            event_type: None,
            external_account_id: None,
            recurring: RecurringMode::Occurrence,
            complete_after_end: None,
            only: vec![compile_event_expression(expression).expect("it compiles")],
            ownership: EventOwnership::Platform,
            custom_properties: std::collections::BTreeMap::new(),
        };
        let source = crate::event::SourceName::parse("zoom").expect("a name");
        writer.settings.policies = Policies::from([(source, policy)]);
        writer
    }

    const ALL_PAIRS: &str =
        r#"event.description.split(",").all(a, event.description.split(",").all(b, a == b))"#;

    #[test]
    fn commit_takes_no_further_job_once_its_expressions_used_their_steps() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = filtering(&folder, ALL_PAIRS);
        let mut jobs = receipts(6, 300).into_iter();
        let first = jobs.next().expect("there are some");
        writer.commit(first, || jobs.next());
        let left = jobs.len();
        assert!((1..6).contains(&left), "{left} of 6 wait for the next commit");
        let mut light = receipts(40, 1).into_iter().skip(6);
        let first = light.next().expect("there are some");
        writer.commit(first, || light.next());
        assert_eq!(light.len(), 0, "jobs of few steps share a commit");
    }

    #[test]
    #[ignore = "measures the longest commit of many receipts with expressions"]
    #[allow(clippy::print_stderr, reason = "the figure is what the test is for")]
    fn commit_of_many_expressions_is_bounded() {
        for (count, parts, expression) in [
            (8, 350, ALL_PAIRS),
            (512, 30, ALL_PAIRS),
            (64, 30_000, r#"event.description.matches("(\\w+@\\w+,)+x")"#),
            (512, 3_000, r#"event.description.contains("no such text")"#),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut writer = filtering(&folder, expression);
            let mut jobs = receipts(count, parts).into_iter();
            let mut longest = (Duration::ZERO, 0);
            while let Some(first) = jobs.next() {
                let (before, began) = (jobs.len(), Instant::now());
                writer.commit(first, || jobs.next());
                longest = longest.max((began.elapsed(), before - jobs.len() + 1));
            }
            eprintln!("{expression} over {parts} parts: at most {longest:?}");
        }
    }
}
