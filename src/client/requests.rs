//! Requests that wait for a response: MQTT 5.0 §4.10.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;

/// The requests without a response, found by their Correlation Data.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    deadlines: BTreeMap<u64, Instant>,
    by_deadline: BTreeSet<(Instant, u64)>,
    /// Whether the Response Topic is subscribed to, or about to be.
    pub(crate) subscribed: bool,
}

impl Requests {
    pub(crate) fn len(&self) -> usize {
        self.deadlines.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.deadlines.is_empty()
    }

    pub(crate) fn insert(&mut self, handle: u64, deadline: Instant) {
        self.deadlines.insert(handle, deadline);
        self.by_deadline.insert((deadline, handle));
    }

    #[inline]
    pub(crate) fn contains(&self, handle: u64) -> bool {
        self.deadlines.contains_key(&handle)
    }

    /// Whether the request was there.
    pub(crate) fn remove(&mut self, handle: u64) -> bool {
        let Some(deadline) = self.deadlines.remove(&handle) else { return false };
        self.by_deadline.remove(&(deadline, handle))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out a request whose time is over.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<u64> {
        let (_, handle) = self.by_deadline.first().copied().filter(|(at, _)| *at <= now)?;
        self.remove(handle).then_some(handle)
    }

    /// The request that Correlation Data belongs to.
    pub(crate) fn find(&self, correlation_data: &[u8]) -> Option<u64> {
        let handle = u64::from_be_bytes(correlation_data.try_into().ok()?);
        self.contains(handle).then_some(handle)
    }
}
