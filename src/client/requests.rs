//! Requests that wait for a response: MQTT 5.0 §4.10.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;

/// The requests without a response, found by their Correlation Data.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    waiting: BTreeMap<u64, Request>,
    by_deadline: BTreeSet<(Instant, u64)>,
    /// Those that are complete, but for their message, of which nothing is told any more.
    complete: BTreeSet<u64>,
    /// Whether the Response Topic is subscribed to, or about to be.
    pub(crate) subscribed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    deadline: Instant,
    /// Whether the message was published.
    published: bool,
}

/// What the end of a publication is to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The message was not published for a request.
    None,
    /// The request goes on waiting, or was complete before.
    Silent,
    /// The request came to nothing.
    Failed,
}

impl Requests {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn insert(&mut self, handle: u64, deadline: Instant) {
        self.waiting.insert(handle, Request { deadline, published: false });
        self.by_deadline.insert((deadline, handle));
    }

    /// Whether a request waits for its response.
    fn contains(&self, handle: u64) -> bool {
        self.waiting.contains_key(&handle)
    }

    /// Completes a request; `false` if it was complete before.
    pub(crate) fn remove(&mut self, handle: u64) -> bool {
        let Some(request) = self.waiting.remove(&handle) else { return false };
        if !request.published {
            self.complete.insert(handle);
        }
        self.by_deadline.remove(&(request.deadline, handle))
    }

    /// A message was published, or came to nothing.
    #[inline]
    pub(crate) fn on_published(&mut self, handle: u64, failed: bool) -> Role {
        if self.waiting.is_empty() && self.complete.is_empty() {
            return Role::None;
        }
        self.role(handle, failed)
    }

    #[inline(never)]
    fn role(&mut self, handle: u64, failed: bool) -> Role {
        if self.complete.remove(&handle) {
            return Role::Silent;
        }
        match self.waiting.get_mut(&handle) {
            None => Role::None,
            Some(request) => {
                request.published = true;
                if failed && self.remove(handle) { Role::Failed } else { Role::Silent }
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out a request whose time is over.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<u64> {
        let (_, handle) = self.by_deadline.first().copied().filter(|(at, _)| *at <= now)?;
        self.remove(handle).then_some(handle)
    }

    /// Takes out the request that has the least time left.
    pub(crate) fn pop(&mut self) -> Option<u64> {
        self.pop_due(Instant::MAX)
    }

    /// The request that Correlation Data belongs to.
    pub(crate) fn find(&self, seed: u64, data: &[u8]) -> Option<u64> {
        let handle = u64::from_be_bytes(*data.last_chunk()?);
        let is_own = self.contains(handle) && correlation_data(seed, handle) == data;
        is_own.then_some(handle)
    }
}

/// What the response to a request is known by.
pub(crate) fn correlation_data(seed: u64, handle: u64) -> [u8; 16] {
    let mut data = [0; 16];
    let (first, last) = data.split_at_mut(8);
    first.copy_from_slice(&seed.to_be_bytes());
    last.copy_from_slice(&handle.to_be_bytes());
    data
}
