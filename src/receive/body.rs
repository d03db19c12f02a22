//! Reading a body within bounds of size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The bounds of one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    /// Longest body, in bytes.
    pub(super) max_size: usize,
    /// How long all of it may take.
    pub(super) timeout: Duration,
    /// Of a longer body, how much is read and thrown away before it is answered, in bytes ...
    pub(super) max_excess_size: usize,
    /// ... and for how long: a sender that is still writing does not see the answer.
    pub(super) excess_timeout: Duration,
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("too large")]
    TooLarge,
    #[error("too slow")]
    TimedOut,
    #[error("not whole")]
    Incomplete,
    #[error("no memory left for it")]
    NoMemory,
}

/// The memory that the bodies of all connections share. What has arrived counts, not what was announced: else
/// announcing large bodies and sending nothing would shut out everybody.
#[derive(Clone)]
pub(super) struct BodyMemory(Arc<Semaphore>);

impl BodyMemory {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::NoMemory)?;
        Arc::clone(&self.0).try_acquire_many_owned(bytes).map_err(|_| BodyError::NoMemory)
    }
}

/// A body, and its share of the budget, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct RequestBody {
    pub(super) bytes: Vec<u8>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Reads a body to its end. `declared` is what `Content-Length` says.
///
/// # Errors
/// [`BodyError`]; of one that is too large the excess has been thrown away, within bounds.
pub(super) async fn read_body<E>(
    payload: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    declared: Option<u64>,
    bounds: BodyLimits,
    budget: &BodyMemory,
) -> Result<RequestBody, BodyError> {
    let fits =
        |declared| usize::try_from(declared).is_ok_and(|declared| declared <= bounds.max_size);
    let read = if declared.is_none_or(fits) {
        // What is announced is set aside at once: a body that grows by doubling costs twice its size. Pages that are
        // never written cost nothing, so announcing is free for us too.
        let announced = declared.and_then(|declared| usize::try_from(declared).ok()).unwrap_or(0);
        let bytes = Vec::with_capacity(announced);
        timeout(bounds.timeout, collect(payload, bytes, bounds.max_size, budget))
            .await
            .unwrap_or(Err(BodyError::TimedOut))
    } else {
        Err(BodyError::TooLarge)
    };
    if let Err(BodyError::TooLarge) = read
        && timeout(bounds.excess_timeout, discard(payload, bounds.max_excess_size)).await.is_err()
    {
        tracing::debug!("a body that is too large was cut off");
    }
    read
}

async fn collect<E>(
    payload: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    bytes: Vec<u8>,
    most: usize,
    budget: &BodyMemory,
) -> Result<RequestBody, BodyError> {
    let mut body = RequestBody { bytes, permit: budget.reserve(0)? };
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
        if chunk.len() > most.saturating_sub(body.bytes.len()) {
            return Err(BodyError::TooLarge);
        }
        body.permit.merge(budget.reserve(chunk.len())?);
        body.bytes.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn discard<E>(payload: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin), most: usize) {
    let mut read = 0_usize;
    while let Some(Ok(chunk)) = payload.next().await {
        read = read.saturating_add(chunk.len());
        if read > most {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::stream;

    use super::*;

    const BOUNDS: BodyLimits = BodyLimits {
        max_size: 8,
        timeout: Duration::from_secs(10),
        max_excess_size: 20,
        excess_timeout: Duration::from_secs(2),
    };

    /// A stream that counts what was taken from it.
    fn chunks(
        sizes: Vec<usize>,
        taken: &Cell<usize>,
    ) -> impl Stream<Item = Result<Bytes, ()>> + Unpin {
        stream::iter(sizes).map(|size| {
            taken.set(taken.get() + size);
            Ok(Bytes::from(vec![b'x'; size]))
        })
    }

    fn free(budget: &BodyMemory) -> usize {
        budget.0.available_permits()
    }

    #[tokio::test]
    async fn a_body_of_the_bound_is_read_and_counted_while_it_lives() {
        let (taken, budget) = (Cell::new(0), BodyMemory::new(10));
        let mut payload = chunks(vec![3, 5], &taken);
        let body =
            read_body(&mut payload, Some(8), BOUNDS, &budget).await.expect("within the bounds");
        assert_eq!(body.bytes.len(), 8);
        assert_eq!(free(&budget), 2);
        drop(body);
        assert_eq!(free(&budget), 10);
    }

    #[tokio::test]
    async fn one_byte_more_is_too_large_declared_or_not() {
        for declared in [None, Some(9), Some(u64::MAX)] {
            let (taken, budget) = (Cell::new(0), BodyMemory::new(100));
            let mut payload = chunks(vec![8, 1], &taken);
            let error =
                read_body(&mut payload, declared, BOUNDS, &budget).await.expect_err("too large");
            assert_eq!(error, BodyError::TooLarge);
            assert_eq!(taken.get(), 9, "the sender could write all of it");
            assert_eq!(free(&budget), 100);
        }
    }

    #[tokio::test]
    async fn the_excess_is_bounded_in_size_and_time() {
        let (taken, budget) = (Cell::new(0), BodyMemory::new(100));
        let mut payload = chunks(vec![5; 1_000], &taken);
        let error = read_body(&mut payload, None, BOUNDS, &budget).await.expect_err("too large");
        assert_eq!(error, BodyError::TooLarge);
        assert!(taken.get() <= 5 + 5 + 20 + 5, "{}", taken.get());
    }

    #[tokio::test]
    async fn who_does_not_send_is_cut_off() {
        let budget = BodyMemory::new(100);
        let mut silent = stream::pending::<Result<Bytes, ()>>();
        let soon = Duration::from_millis(10);

        let bounds = BodyLimits { timeout: soon, ..BOUNDS };
        let error = read_body(&mut silent, None, bounds, &budget).await.expect_err("nothing comes");
        assert_eq!(error, BodyError::TimedOut);

        let bounds = BodyLimits { excess_timeout: soon, ..BOUNDS };
        let error = read_body(&mut silent, Some(9), bounds, &budget).await.expect_err("too large");
        assert_eq!(error, BodyError::TooLarge);
    }

    #[tokio::test]
    async fn bodies_share_the_budget() {
        let (taken, budget) = (Cell::new(0), BodyMemory::new(10));
        let first =
            read_body(&mut chunks(vec![8], &taken), None, BOUNDS, &budget).await.expect("fits");
        let error = read_body(&mut chunks(vec![3], &taken), None, BOUNDS, &budget).await;
        assert_eq!(error.expect_err("no room"), BodyError::NoMemory);
        drop(first);
        read_body(&mut chunks(vec![3], &taken), None, BOUNDS, &budget).await.expect("room again");
    }

    #[tokio::test]
    async fn a_broken_body_is_none() {
        let budget = BodyMemory::new(10);
        let mut payload = stream::iter([Ok(Bytes::from_static(b"ab")), Err(())]);
        let error = read_body(&mut payload, Some(4), BOUNDS, &budget).await.expect_err("broken");
        assert_eq!(error, BodyError::Incomplete);
        assert_eq!(free(&budget), 10);
    }
}
