//! What a world has stored, and what is left when its process ends.

use std::collections::BTreeMap;

use sansio_mqtt::{Client, Instant, UnixTime};

use super::options::Setup;
use super::world::{SECOND, World};

impl World<'_> {
    /// The store has become safe up to some record.
    pub(crate) fn commit(&mut self, most: usize, tell: bool) {
        let mut last = None;
        for _ in 0..most.min(self.uncommitted.len()) {
            let Some(record) = self.uncommitted.pop_front() else { break };
            last = Some(record.sequence);
            self.has_stored = true;
            match record.value {
                Some(value) => self.store.insert(record.key.to_vec(), value.to_vec()),
                None => self.store.remove(&record.key[..]),
            };
        }
        if let Some(last) = last.filter(|_| tell) {
            self.client.committed(last);
            self.sync();
        }
    }

    /// The process ends, and another one begins with what was committed.
    pub(crate) fn crash(&mut self) {
        if !self.setup.durable {
            return;
        }
        let most = self.input.below(4);
        self.commit(most, false);
        self.uncommitted.clear();
        let client = restored(&self.setup, self.now, &self.store);
        self.client = client.expect("options and records that were good before");
        assert!(self.client.held() <= self.setup.options.maximum_held);
        (self.transport, self.handed_over, self.time) = (None, None, self.now);
        self.stale.clear();
        self.deadline = None;
        self.ledger.crash(std::mem::take(&mut self.has_stored));
        self.peer.blur();
        self.peer.connection = None;
    }
}

/// A client made of what is stored.
pub(crate) fn restored(
    setup: &Setup,
    now: u64,
    store: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Option<Client> {
    let unix_now = UnixTime::from_secs(1_700_000_000 + now / SECOND);
    Client::restore(setup.options.clone(), Instant::from_micros(now), unix_now, store).ok()
}
