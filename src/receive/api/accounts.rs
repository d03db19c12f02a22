//! Holding an account's deliveries, and letting them go on.

use serde_json::{Value, json};

use super::problem::Problem;
use super::query::Query;
use super::{show, told};
use crate::event::AccountName;
use crate::ledger::{Amend, Standing};
use crate::receive::ops::Ops;

/// Nothing is sent to the account until it is resumed, also after a restart.
pub(super) async fn pause(
    ops: &Ops,
    account: &AccountName,
    query: Query,
) -> Result<Value, Problem> {
    query.finish()?;
    let now = ops.clock.now();
    let shown = amend(ops, account, Box::new(move |before: &Standing| before.held(now))).await?;
    tracing::info!(hubspot.account = %account, "an operator paused the account");
    Ok(shown)
}

/// Whatever the account was paused for, or waiting for, is tried again now.
pub(super) async fn resume(
    ops: &Ops,
    account: &AccountName,
    query: Query,
) -> Result<Value, Problem> {
    query.finish()?;
    let shown = amend(ops, account, Box::new(Standing::resumed)).await?;
    tracing::info!(hubspot.account = %account, "an operator resumed the account");
    Ok(shown)
}

async fn amend(ops: &Ops, account: &AccountName, amend: Amend) -> Result<Value, Problem> {
    if !ops.accounts.contains(account) {
        return Err(Problem::UnknownAccount);
    }
    let amended = told(ops.ledger.amend_standing(account, amend)).await;
    let amended = match amended {
        // It holds in memory, and whoever asked should know.
        Err(Problem::Unavailable(why)) => {
            let why = format!("{why}; it may hold, but only until a restart");
            return Err(Problem::Unavailable(why));
        }
        amended => amended?,
    };
    let mut shown = json!({ "hubspot": account });
    show::add(&mut shown, show::standing(&amended.after));
    Ok(shown)
}
