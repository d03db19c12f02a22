//! The queue of what is to be asked of the platforms' APIs.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row};

use super::accept;
use super::job::{TxError, WriteTx};
use super::list_events::conversion;
use super::live_state::LiveState;
use crate::event::{ExternalAccountId, Millis, Policy, SourceName, WebinarId};
use crate::ledger::{
    FetchClaim, FetchCondition, FetchOutcome, FetchRequest, FetchStatus, FetchTask, LONGEST_WAIT,
    ReceiptOutcome,
};

/// Webinars that are wanted by hand in one piece, so that webhooks get their turn between.
pub(super) const PIECE: usize = 500;

/// How a source's queue stands, or what a job or a commit changes of that.
#[derive(Debug, Clone, Default)]
pub(super) struct FetchCounts {
    pending: i64,
    given_up: i64,
    /// What went wrong last with what is there; of a change it is known once that is written.
    last_error: Option<String>,
    /// The change made something due.
    pub(super) due: bool,
}

impl FetchCounts {
    pub(super) fn count(&mut self, given_up: bool, by: i64) {
        *if given_up { &mut self.given_up } else { &mut self.pending } += by;
    }

    pub(super) fn absorb(&mut self, change: &Self) {
        self.pending += change.pending;
        self.given_up += change.given_up;
        self.last_error.clone_from(&change.last_error);
        self.due |= change.due;
    }

    /// Writes the change, after the rows that it is of.
    pub(super) fn write(
        &mut self,
        connection: &Connection,
        source: &SourceName,
    ) -> rusqlite::Result<()> {
        for (given_up, by) in [(false, self.pending), (true, self.given_up)] {
            if by != 0 {
                connection
                    .prepare_cached(
                        "INSERT INTO fetch_counts (source, given_up, count) VALUES (?1, ?2, ?3)
                         ON CONFLICT (source, given_up) DO UPDATE SET count = count + excluded.count",
                    )?
                    .execute((source.as_str(), given_up, by))?;
            }
        }
        self.last_error = last_error(connection, source)?;
        Ok(())
    }

    pub(super) fn status(&self) -> FetchStatus {
        let positive = |n: i64| u64::try_from(n).unwrap_or(0);
        FetchStatus {
            pending: positive(self.pending),
            given_up: positive(self.given_up),
            last_error: self.last_error.clone(),
        }
    }
}

fn last_error(connection: &Connection, source: &SourceName) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(
            "SELECT last_error FROM fetches WHERE source = ?1 AND failed_at IS NOT NULL
             ORDER BY failed_at DESC LIMIT 1",
        )?
        .query_row([source.as_str()], |row| row.get(0))
        .optional()
}

/// The queues of these sources as the file knows them.
pub(super) fn load(
    connection: &Connection,
    sources: &[SourceName],
) -> rusqlite::Result<BTreeMap<SourceName, FetchCounts>> {
    let mut counts =
        connection.prepare("SELECT given_up, count FROM fetch_counts WHERE source = ?1")?;
    let mut queues = BTreeMap::new();
    for source in sources {
        let mut queue =
            FetchCounts { last_error: last_error(connection, source)?, ..FetchCounts::default() };
        let mut rows = counts.query([source.as_str()])?;
        while let Some(row) = rows.next()? {
            queue.count(row.get(0)?, row.get(1)?);
        }
        queues.insert(source.clone(), queue);
    }
    Ok(queues)
}

/// Puts webinars into the queue; says of how many that is true. They count as wanted since `at`.
pub(super) fn request(
    desk: &mut WriteTx<'_>,
    source: &SourceName,
    wanted: &[FetchRequest],
    at: Millis,
) -> Result<usize, TxError> {
    // Nobody would ever ask for it.
    let Some(policy) = desk.policies.get(source) else { return Ok(0) };
    let mut asked = 0;
    for wanted in wanted {
        let asks = match wanted.condition {
            FetchCondition::Always => true,
            FetchCondition::IfIncomplete => is_incomplete(desk.connection, policy, wanted)?,
        };
        if asks {
            enqueue(desk, source, wanted, at)?;
            asked += 1;
        }
    }
    Ok(asked)
}

/// Whether an event of the webinar is incomplete, or there is none.
fn is_incomplete(
    connection: &Connection,
    policy: &Policy,
    wanted: &FetchRequest,
) -> rusqlite::Result<bool> {
    let account = policy.external_account_id.as_ref().or(wanted.account.as_ref());
    let Some(account) = account else { return Ok(true) };
    connection
        .prepare_cached(
            "SELECT coalesce(max(events.state = 2), 1)
             FROM webinars JOIN events ON events.webinar = webinars.id
             WHERE webinars.hubspot = ?1 AND webinars.account = ?2 AND webinars.webinar = ?3",
        )?
        .query_row((policy.hubspot.as_str(), account.as_str(), wanted.webinar.as_str()), |row| {
            row.get(0)
        })
}

fn enqueue(
    desk: &mut WriteTx<'_>,
    source: &SourceName,
    wanted: &FetchRequest,
    at: Millis,
) -> rusqlite::Result<()> {
    let account = wanted.account.as_ref().map_or("", ExternalAccountId::as_str);
    let key = (source.as_str(), wanted.webinar.as_str(), account);
    let given_up: Option<bool> = desk
        .connection
        .prepare_cached(
            "SELECT given_up FROM fetches WHERE source = ?1 AND webinar = ?2 AND account = ?3",
        )?
        .query_row(key, |row| row.get(0))
        .optional()?;
    // What waits because the platform said so goes on waiting.
    desk.connection
        .prepare_cached(
            "INSERT INTO fetches (source, webinar, account, wanted_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (source, webinar, account) DO UPDATE SET version = version + 1,
                 wanted_at = CASE WHEN given_up THEN excluded.wanted_at ELSE wanted_at END,
                 not_before = CASE WHEN given_up THEN 0 ELSE not_before END,
                 attempts = CASE WHEN given_up THEN 0 ELSE attempts END,
                 given_up = 0",
        )?
        .execute((key.0, key.1, key.2, at.get()))?;
    if given_up == Some(false) {
        return Ok(());
    }
    let queue = desk.effects.fetch_counts(source);
    queue.count(false, 1);
    queue.due = true;
    if given_up.is_some() {
        queue.count(true, -1);
    }
    Ok(())
}

/// Claims what is due; what has been due for longest comes first.
pub(super) fn claim(
    connection: &Connection,
    live: &LiveState,
    source: &SourceName,
    limit: usize,
    now: Millis,
) -> Result<FetchClaim, TxError> {
    // Remembered before the look: a task that is settled during it may still look due. Nobody else claims meanwhile, since
    // that takes the one reading connection.
    let claimed = live.fetch_claims(now);
    // One state of the file for all of it.
    let connection = &*connection.unchecked_transaction()?;
    let never = now.plus(LONGEST_WAIT).get();
    let rows = i64::try_from(limit.saturating_add(claimed.len())).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "SELECT id, account, webinar, version, wanted_at, attempts, not_before FROM fetches
         WHERE source = ?1 AND given_up = 0 AND not_before BETWEEN ?2 AND ?3
         ORDER BY not_before, wanted_at LIMIT ?4",
    )?;
    let mut found: Vec<(i64, FetchTask)> = Vec::new();
    // Those that wait for nothing; those that have waited; and those that a clock that was ahead told to wait.
    for (from, to) in [(0, 0), (1, now.get()), (never.saturating_add(1), i64::MAX)] {
        let tasks = statement.query_map((source.as_str(), from, to, rows), |row| {
            let task = task(row, source)?;
            let not_before: i64 = row.get(6)?;
            Ok((if from == 1 { not_before } else { task.requested_at.get() }, task))
        })?;
        for task in tasks {
            found.push(task?);
        }
    }
    found.retain(|(_, task)| !claimed.contains(&task.id));
    found.sort_by_key(|(since, task)| (*since, task.id));
    let tasks: Vec<FetchTask> = found.into_iter().take(limit).map(|(_, task)| task).collect();
    let next_due: Option<i64> = connection
        .prepare_cached(
            "SELECT min(not_before) FROM fetches
             WHERE source = ?1 AND given_up = 0 AND not_before > ?2 AND not_before <= ?3",
        )?
        .query_row((source.as_str(), now.get(), never), |row| row.get(0))?;
    live.claim_fetches(&tasks, now);
    Ok(FetchClaim { tasks, next_due: next_due.map(Millis::new) })
}

fn task(row: &Row<'_>, source: &SourceName) -> rusqlite::Result<FetchTask> {
    let account: String = row.get(1)?;
    let account = (!account.is_empty()).then(|| ExternalAccountId::parse(account)).transpose();
    Ok(FetchTask {
        id: row.get(0)?,
        source: source.clone(),
        account: account.map_err(|error| conversion(1, error))?,
        webinar: WebinarId::parse(row.get::<_, String>(2)?).map_err(|e| conversion(2, e))?,
        version: row.get(3)?,
        requested_at: Millis::new(row.get(4)?),
        attempts: row.get(5)?,
    })
}

/// Records what became of a task, with the receipt that it brings.
pub(super) fn settle(
    desk: &mut WriteTx<'_>,
    task: &FetchTask,
    mut outcome: FetchOutcome,
) -> Result<Option<ReceiptOutcome>, TxError> {
    desk.effects.settled_fetches.push(task.id);
    let acceptance = match &mut outcome {
        FetchOutcome::Answered(receipt) | FetchOutcome::GivenUp { receipt: Some(receipt), .. } => {
            let asked = (&task.account, &task.webinar);
            receipt.fetch_requests.retain(|wanted| (&wanted.account, &wanted.webinar) != asked);
            Some(accept::accept(desk, receipt)?)
        }
        FetchOutcome::GivenUp { receipt: None, .. } | FetchOutcome::Retry { .. } => None,
    };
    let found: Option<(i64, bool)> = desk
        .connection
        .prepare_cached("SELECT version, given_up FROM fetches WHERE id = ?1")?
        .query_row([task.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // Settled before, without whoever settled it being told.
    let Some((version, was_given_up)) = found else { return Ok(acceptance) };
    let wanted_again = version != task.version;
    let now = desk.now;
    // What it is from now on.
    let (given_up, due) = match outcome {
        FetchOutcome::Answered(_) if wanted_again => {
            requeue(desk, task, None)?;
            (Some(false), true)
        }
        FetchOutcome::Answered(_) => {
            desk.connection
                .prepare_cached("DELETE FROM fetches WHERE id = ?1")?
                .execute([task.id])?;
            (None, false)
        }
        FetchOutcome::Retry { not_before: at, reason: why, counted: own } => {
            let at = at.min(now.plus(LONGEST_WAIT));
            desk.connection
                .prepare_cached(
                    "UPDATE fetches SET not_before = ?2, attempts = attempts + ?5, failed_at = ?3,
                         last_error = ?4
                     WHERE id = ?1",
                )?
                .execute((task.id, at.get(), now.get(), why, own))?;
            (Some(was_given_up), at <= now)
        }
        FetchOutcome::GivenUp { reason, .. } if wanted_again => {
            requeue(desk, task, Some(&reason))?;
            (Some(false), true)
        }
        FetchOutcome::GivenUp { reason, .. } => {
            desk.connection
                .prepare_cached(
                    "UPDATE fetches SET given_up = 1, failed_at = ?2, last_error = ?3 WHERE id = ?1",
                )?
                .execute((task.id, now.get(), reason))?;
            (Some(true), false)
        }
    };
    let queue = desk.effects.fetch_counts(&task.source);
    queue.count(was_given_up, -1);
    if let Some(given_up) = given_up {
        queue.count(given_up, 1);
    }
    queue.due |= due;
    Ok(acceptance)
}

/// It was wanted again while it was asked for, and is due again.
fn requeue(desk: &WriteTx<'_>, task: &FetchTask, why: Option<&str>) -> rusqlite::Result<()> {
    desk.connection
        .prepare_cached(
            "UPDATE fetches SET given_up = 0, attempts = 0, not_before = 0, wanted_at = ?2,
                 last_error = ?3, failed_at = CASE WHEN ?3 IS NOT NULL THEN ?2 END
             WHERE id = ?1",
        )?
        .execute((task.id, desk.now.get(), why))?;
    Ok(())
}
