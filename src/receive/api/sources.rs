//! Having a source's platform asked.

use serde_json::{Value, json};

use super::problem::Problem;
use super::query::Query;
use super::told;
use crate::event::{SourceName, Wanted, WantedWhen, WebinarId};
use crate::providers::Answers;
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
    let api = ops.askable.get(source).and_then(|provider| provider.api());
    let api = api.ok_or(Problem::NotAskable)?;
    // Taken now, what is no id of the platform's would be given up later, where nobody looks.
    if let Err(why) = api.ask(&webinar, &Answers::new()) {
        return Err(Problem::parameter("webinar", why));
    }
    let wanted = Wanted { account: None, webinar, when: WantedWhen::Always };
    told(ops.ledger.want(source, vec![wanted])).await?;
    let pending = ops.ledger.fetches().get(source).map_or(0, |status| status.pending);
    Ok(json!({ "source": source, "fetch": { "pending": pending } }))
}
