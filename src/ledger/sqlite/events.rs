//! Reconciling the events' rows with the webinar that they follow from.

use super::event_rows;
use super::frozen;
use super::statements::Statements as _;
use super::transaction::{AttemptError, WriteTx};
use super::webinars;
use crate::event::{EventKey, Millis, Webinar, fold_lazily, overlay, step_budget};
use crate::ledger::rules::accept::MergeRefused;
use crate::ledger::rules::base::base_of_new_event;
use crate::ledger::rules::ownership::policy_for;
use crate::ledger::rules::reconcile::{
    EventChange, Leftover, ReconcileScope, Reconciliation, bases,
};
use crate::ledger::rules::timers::TIMER_RETRY;
use crate::ledger::{LedgerError, WebinarKey};

/// Folds the webinar and reconciles its events' rows, whose changes are dated `at`. With news, that is the webinar's
/// last change too.
pub(super) fn reconcile(
    tx: &mut WriteTx<'_>,
    id: i64,
    key: &WebinarKey,
    webinar: &Webinar,
    (at, has_news): (Millis, bool),
    scope: ReconcileScope,
) -> Result<(), AttemptError> {
    // Without any source left in the configuration there are no defaults: the events stay as they are.
    let Some(policy) = policy_for(tx.policies, webinar) else { return Ok(()) };
    // Without news the dates of frozen events count too.
    let known = if has_news {
        frozen::load_live(tx, key, id, webinar)?
    } else {
        event_rows::load_webinar(tx, &key.hubspot, id)?
    };
    let of_new = base_of_new_event(webinar, tx.live.age());
    let bases = bases(&known, of_new, tx.now, tx.is_clock_doubted);
    let overlaid = overlay(webinar, &key.webinar, policy.recurring, &bases);
    let mut reconciliation = Reconciliation::new(known, &bases, at, tx.now, scope);
    if !has_news {
        reconciliation = reconciliation.without_news();
    }
    let time = tx.timer_time();
    let mut steps = step_budget();
    let done =
        fold_lazily(&overlaid, &bases, &key.account, &key.webinar, &policy, time, &mut steps)
            .try_for_each(|event| {
                let confirmed = match reconciliation.held_but_filtered(&event) {
                    Some(event) => event_rows::last_confirmed_input(tx.connection, event)?,
                    None => None,
                };
                let change = reconciliation.next_change(event, confirmed.as_deref());
                carry_out(tx, id, key, change)
            });
    tx.steps += step_budget().0 - steps.0;
    done?;
    let Leftover { deleted, last_at, is_timeless } = reconciliation.finish();
    event_rows::delete(tx, &key.hubspot, deleted)?;
    tx.connection.run(
        "UPDATE webinars SET last_at = ?2, timeless = ?3
         WHERE id = ?1 AND (last_at <> ?2 OR timeless <> ?3)",
        (id, last_at, is_timeless),
    )?;
    Ok(())
}

/// Carries out one change; refuses an event whose id another webinar's event has.
fn carry_out(
    tx: &mut WriteTx<'_>,
    webinar: i64,
    key: &WebinarKey,
    change: EventChange,
) -> Result<(), AttemptError> {
    match change {
        EventChange::Keep => {}
        EventChange::Touch { id, facts } => event_rows::store_facts(tx, id, &facts)?,
        EventChange::Insert { id, row, input, facts } => {
            let key = EventKey {
                hubspot: key.hubspot.clone(),
                external_account_id: key.account.clone(),
                external_event_id: id,
            };
            if !event_rows::insert(tx, webinar, &key, &row, input.as_deref(), &facts)? {
                let id = key.external_event_id.as_str().to_owned();
                return Err(MergeRefused::ForeignEvent(id).into());
            }
        }
        EventChange::Update { id, before, row, input, confirmed_input, facts } => {
            event_rows::store_confirmed_input(tx.connection, id, confirmed_input, None)?;
            tx.connection.run("UPDATE events SET input = ?2 WHERE id = ?1", (id, input))?;
            event_rows::store_facts(tx, id, &facts)?;
            event_rows::replace(tx, &key.hubspot, id, &before, &row)?;
        }
    }
    Ok(())
}

/// Folds a webinar again with what is known now. One that cannot be folded is passed by, so that it stops neither the others
/// nor the pruning: it is logged and counted once, and tried again at the next start.
pub(super) fn refold(
    tx: &mut WriteTx<'_>,
    id: i64,
    scope: ReconcileScope,
) -> Result<(), LedgerError> {
    let error = match tx.attempt(|tx| Ok(try_refold(tx, id, scope)?)) {
        Ok(()) => return Ok(()),
        Err(AttemptError::Store(error @ LedgerError::Unavailable { .. })) => return Err(error),
        Err(error) => error,
    };
    let is_new = tx.connection.change(
        "INSERT INTO unfolded (webinar, tried) VALUES (?1, 1)
         ON CONFLICT DO UPDATE SET tried = 1 WHERE tried = 0",
        [id],
    )? > 0;
    tx.connection.run(
        "UPDATE events SET due_at = ?3 WHERE webinar = ?1 AND due_at <= ?2",
        (id, tx.timer_time(), tx.now.plus(TIMER_RETRY)),
    )?;
    if is_new {
        tx.effects.passed_by += 1;
        tracing::error!(
            webinar = id,
            %error,
            "a webinar cannot be folded; its events stay as they are until the next start tries it again"
        );
    }
    Ok(())
}

fn try_refold(tx: &mut WriteTx<'_>, id: i64, scope: ReconcileScope) -> Result<(), LedgerError> {
    let found = tx.connection.first(
        "SELECT hubspot, account, webinar, state FROM webinars WHERE id = ?1",
        [id],
        |row| Ok((webinars::webinar_key(row)?, row.get::<_, Vec<u8>>("state")?)),
    )?;
    let Some((key, state)) = found else { return Ok(()) };
    let webinar = webinars::parse_state(id, &state)?;
    let at = tx.dated_now;
    match reconcile(tx, id, &key, &webinar, (at, false), scope) {
        Ok(()) => {}
        Err(AttemptError::Store(error)) => return Err(error),
        // The events are the webinar's own already, so none can turn out to be another's.
        Err(refused) => return Err(LedgerError::corrupt(format_args!("webinar {id}"), refused)),
    }
    // Without a policy nothing was reconciled: the timers wait until there is one.
    tx.connection.run(
        "UPDATE events SET due_at = ?3 WHERE webinar = ?1 AND due_at <= ?2",
        (id, tx.timer_time(), at.plus(TIMER_RETRY)),
    )?;
    Ok(())
}
