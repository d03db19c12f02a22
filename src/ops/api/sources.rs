//! Lists a source's webinars, and requests fetches from its platform.

use super::await_store;
use super::cursor::CursorScope;
use super::error::ApiError;
use super::models::{ComingWebinarsModel, FetchRequestModel, PendingFetchesModel};
use super::query::QueryParameters;
use crate::event::{FetchCondition, FetchRequest, SourceName, WebinarId};
use crate::ops::state::OpsState;
use crate::providers::ApiAnswers;

/// Lists the source's webinars that are to come.
pub(super) async fn coming(
    ops: &OpsState,
    source: &SourceName,
    mut query: QueryParameters,
) -> Result<ComingWebinarsModel, ApiError> {
    if !ops.sources.contains_key(source) {
        return Err(ApiError::UnknownSource);
    }
    let scope = CursorScope::new("coming webinars", &[Some(source.as_str())]);
    let after = query.cursor(scope)?;
    query.finish()?;
    let page = await_store(ops.ledger.coming_webinars(source, after)).await?;
    Ok(ComingWebinarsModel { webinars: page.items, next: page.next.map(|next| scope.encode(next)) })
}

/// Requests a fetch of a webinar; the answer is merged like a webhook.
pub(super) async fn fetch(
    ops: &OpsState,
    source: &SourceName,
    webinar: WebinarId,
    query: QueryParameters,
) -> Result<FetchRequestModel, ApiError> {
    query.finish()?;
    let provider = ops.sources.get(source).ok_or(ApiError::UnknownSource)?;
    let api = provider.api().ok_or(ApiError::NotFetchable)?;
    // An id that the platform cannot have is refused now: its fetch would be given up later, unseen.
    if let Err(why) = api.next_request(&webinar, &ApiAnswers::new()) {
        return Err(ApiError::parameter("webinar", why));
    }
    let request = FetchRequest { account: None, webinar, condition: FetchCondition::Always };
    await_store(ops.ledger.request_fetches(source, vec![request])).await?;
    let statuses = await_store(ops.ledger.fetch_statuses()).await?;
    let pending = statuses.get(source).map_or(0, |status| status.pending);
    Ok(FetchRequestModel { source: source.clone(), fetch: PendingFetchesModel { pending } })
}
