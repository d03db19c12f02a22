//! Having a source's platform asked.

use serde_json::{Value, json};

use super::problem::Problem;
use super::query::Query;
use super::told;
use crate::event::{SourceName, Wanted, WantedWhen, WebinarId};
use crate::receive::ops::Ops;

/// The platform is asked about a webinar; what it answers is merged like a webhook.
pub(super) async fn fetch(
    ops: &Ops,
    source: &SourceName,
    webinar: WebinarId,
    query: Query,
) -> Result<Value, Problem> {
    query.finish()?;
    if !ops.sources.iter().any(|(name, _)| name == source) {
        return Err(Problem::UnknownSource);
    }
    if !ops.askable.contains(source) {
        return Err(Problem::NotAskable);
    }
    let wanted = Wanted { account: None, webinar, when: WantedWhen::Always };
    told(ops.ledger.want(source, vec![wanted])).await?;
    let pending = ops.ledger.fetches().get(source).map_or(0, |status| status.pending);
    Ok(json!({ "source": source, "fetch": { "pending": pending } }))
}
