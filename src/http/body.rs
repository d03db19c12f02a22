//! Reads a request's body within limits of size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The limits of one body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Longest body, in bytes.
    pub max_size: usize,
    /// How long reading it may take.
    pub timeout: Duration,
    /// Bytes of a longer body that are read and thrown away before the response: a sender that is still writing does
    /// not see the response.
    pub max_excess_size: usize,
    /// How long reading this excess may take.
    pub excess_timeout: Duration,
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than [`BodyLimits::max_size`].
    #[error("the body is larger than is accepted")]
    TooLarge,
    /// It took longer than [`BodyLimits::timeout`].
    #[error("the body did not come in time")]
    TimedOut,
    /// The connection ended, or broke the protocol, before the body's end.
    #[error("the body did not come whole")]
    Incomplete,
    /// [`BodyMemory`] is used up.
    #[error("too many bodies are being read")]
    NoMemory,
}

/// The memory that the bodies of all connections share. Clones share it.
///
/// Bytes that have arrived count, not announced ones: else senders that announce large bodies and send nothing would
/// shut out all others.
#[derive(Clone)]
pub struct BodyMemory(Arc<Semaphore>);

impl BodyMemory {
    /// Memory for that many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::NoMemory)?;
        Arc::clone(&self.0).try_acquire_many_owned(bytes).map_err(|_| BodyError::NoMemory)
    }
}

/// A whole body, with its share of the [`BodyMemory`].
#[derive(Debug)]
pub struct RequestBody {
    /// The body.
    pub bytes: Vec<u8>,
    /// The share; it is free again once this is dropped.
    pub permit: OwnedSemaphorePermit,
}

/// Reads a body to its end. `declared` is its `Content-Length`.
///
/// # Errors
/// [`BodyError`]. The excess of a body that is too large has been thrown away, within the limits.
pub(super) async fn read_body<E>(
    payload: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    declared: Option<u64>,
    limits: BodyLimits,
    memory: &BodyMemory,
) -> Result<RequestBody, BodyError> {
    let fits =
        |declared| usize::try_from(declared).is_ok_and(|declared| declared <= limits.max_size);
    let read = if declared.is_none_or(fits) {
        // Allocated at once: a vector that grows by doubling costs twice its size. Pages that are never written cost
        // nothing, so a sender that only announces a body costs no memory.
        let declared = declared.and_then(|declared| usize::try_from(declared).ok()).unwrap_or(0);
        let bytes = Vec::with_capacity(declared);
        timeout(limits.timeout, collect(payload, bytes, limits.max_size, memory))
            .await
            .unwrap_or(Err(BodyError::TimedOut))
    } else {
        Err(BodyError::TooLarge)
    };
    if let Err(BodyError::TooLarge) = read
        && timeout(limits.excess_timeout, discard(payload, limits.max_excess_size)).await.is_err()
    {
        tracing::debug!("a body that is too large was cut off");
    }
    read
}

async fn collect<E>(
    payload: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    bytes: Vec<u8>,
    max_size: usize,
    memory: &BodyMemory,
) -> Result<RequestBody, BodyError> {
    let mut body = RequestBody { bytes, permit: memory.reserve(0)? };
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
        if chunk.len() > max_size.saturating_sub(body.bytes.len()) {
            return Err(BodyError::TooLarge);
        }
        body.permit.merge(memory.reserve(chunk.len())?);
        body.bytes.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn discard<E>(payload: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin), max_size: usize) {
    let mut read = 0_usize;
    while let Some(Ok(chunk)) = payload.next().await {
        read = read.saturating_add(chunk.len());
        if read > max_size {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::stream;

    use super::*;

    const LIMITS: BodyLimits = BodyLimits {
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

    fn free(memory: &BodyMemory) -> usize {
        memory.0.available_permits()
    }

    #[tokio::test]
    async fn body_of_the_limit_is_read_and_counted_while_it_lives() {
        let (taken, memory) = (Cell::new(0), BodyMemory::new(10));
        let mut payload = chunks(vec![3, 5], &taken);
        let body =
            read_body(&mut payload, Some(8), LIMITS, &memory).await.expect("within the limits");
        assert_eq!(body.bytes.len(), 8);
        assert_eq!(free(&memory), 2);
        drop(body);
        assert_eq!(free(&memory), 10);
    }

    #[tokio::test]
    async fn body_one_byte_longer_than_the_limit_is_too_large_declared_or_not() {
        for declared in [None, Some(9), Some(u64::MAX)] {
            let (taken, memory) = (Cell::new(0), BodyMemory::new(100));
            let mut payload = chunks(vec![8, 1], &taken);
            let error =
                read_body(&mut payload, declared, LIMITS, &memory).await.expect_err("too large");
            assert_eq!(error, BodyError::TooLarge);
            assert_eq!(taken.get(), 9, "the sender could write all of it");
            assert_eq!(free(&memory), 100);
        }
    }

    #[tokio::test]
    async fn excess_beyond_its_limit_is_not_read() {
        let (taken, memory) = (Cell::new(0), BodyMemory::new(100));
        let mut payload = chunks(vec![5; 1_000], &taken);
        let error = read_body(&mut payload, None, LIMITS, &memory).await.expect_err("too large");
        assert_eq!(error, BodyError::TooLarge);
        assert!(taken.get() <= 5 + 5 + 20 + 5, "{}", taken.get());
    }

    #[tokio::test]
    async fn sender_that_sends_nothing_is_cut_off() {
        let memory = BodyMemory::new(100);
        let mut silent = stream::pending::<Result<Bytes, ()>>();
        let soon = Duration::from_millis(10);

        let limits = BodyLimits { timeout: soon, ..LIMITS };
        let error = read_body(&mut silent, None, limits, &memory).await.expect_err("nothing comes");
        assert_eq!(error, BodyError::TimedOut);

        let limits = BodyLimits { excess_timeout: soon, ..LIMITS };
        let error = read_body(&mut silent, Some(9), limits, &memory).await.expect_err("too large");
        assert_eq!(error, BodyError::TooLarge);
    }

    #[tokio::test]
    async fn bodies_read_together_share_the_memory() {
        let (taken, memory) = (Cell::new(0), BodyMemory::new(10));
        let first =
            read_body(&mut chunks(vec![8], &taken), None, LIMITS, &memory).await.expect("fits");
        let error = read_body(&mut chunks(vec![3], &taken), None, LIMITS, &memory).await;
        assert_eq!(error.expect_err("no room"), BodyError::NoMemory);
        drop(first);
        read_body(&mut chunks(vec![3], &taken), None, LIMITS, &memory).await.expect("room again");
    }

    #[tokio::test]
    async fn body_that_breaks_off_is_incomplete() {
        let memory = BodyMemory::new(10);
        let mut payload = stream::iter([Ok(Bytes::from_static(b"ab")), Err(())]);
        let error = read_body(&mut payload, Some(4), LIMITS, &memory).await.expect_err("broken");
        assert_eq!(error, BodyError::Incomplete);
        assert_eq!(free(&memory), 10);
    }
}
