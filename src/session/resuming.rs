//! What becomes of messages on their way when a connection ends, and when a session is gone on with
//! or restored. MQTT 5.0 §4.4.

use alloc::vec::Vec;

use crate::packet_id::PacketId;
use crate::session::entry::{Entry, Key, Sendable, Stage};
use crate::session::outbound::{Outbound, find};
use crate::time::Instant;

impl<M: Sendable> Outbound<M> {
    /// The connection is gone: nothing is in its window any more.
    pub(crate) fn disconnected(&mut self) {
        self.window = 0;
        self.in_window = 0;
        let (entries, ready) = (&self.entries, core::mem::take(&mut self.ready));
        let is_unsent = |key: &Key| find(entries, *key).is_some_and(|entry| !entry.sent);
        self.resend = ready.into_iter().chain(self.resend.drain(..)).filter(is_unsent).collect();
        for entry in self.entries.iter_mut().flatten() {
            entry.in_window = false;
        }
    }

    /// The session goes on: what is in flight is sent again, in its order, as the window opens.
    /// Says which are waiting for PUBCOMP, whose PUBRELs are sent again at once.
    pub(crate) fn resume(&mut self) -> Vec<PacketId> {
        let mut in_flight: Vec<(u64, Stage, Key)> = self
            .entries
            .iter()
            .zip(0..)
            .filter_map(|(entry, index)| {
                let entry = entry.as_ref()?;
                let key = Key { index, handle: entry.handle };
                (entry.stage != Stage::Queued).then_some((entry.order, entry.stage, key))
            })
            .collect();
        in_flight.sort_unstable_by_key(|(order, ..)| *order);
        let mut released = Vec::new();
        self.resend.clear();
        for (_, stage, key) in in_flight {
            if stage != Stage::AwaitPubComp {
                self.resend.push_back(key);
                continue;
            }
            self.in_window = self.in_window.saturating_add(1);
            if let Some(entry) = self.get_mut(key) {
                entry.in_window = true;
                released.extend(entry.packet_id);
            }
        }
        released
    }

    /// All entries, in their order.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry<M>> {
        let mut entries: Vec<Entry<M>> = self.entries.into_iter().flatten().collect();
        entries.sort_unstable_by_key(|entry| entry.order);
        entries.into_iter()
    }

    /// All entries, in no order.
    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry<M>> {
        self.entries.iter_mut().flatten()
    }

    /// The keys of what was never pulled, in its order.
    pub(crate) fn unsent(&self) -> Vec<Key> {
        self.keys(|entry| !entry.sent && entry.message.is_some())
    }

    /// The keys of what is in flight, in its order.
    pub(crate) fn in_flight(&self) -> Vec<Key> {
        self.keys(|entry| entry.stage != Stage::Queued)
    }

    /// The keys of what was never pulled and has expired, in its order.
    ///
    /// They are looked for only when [that is due]: a queue that overflows again
    /// and again is not searched each time.
    ///
    /// [that is due]: crate::session::expiry::Expiries::is_due
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<Key> {
        if !self.expiries.is_due(now, self.len) {
            return Vec::new();
        }
        let unsent = self.entries.iter().flatten().filter(|entry| !entry.sent);
        let left = unsent.filter(|entry| !entry.is_expired(now));
        self.expiries.searched(now, left.filter_map(|entry| entry.expires));
        self.keys(|entry| entry.is_expired(now))
    }

    /// The oldest message that was never pulled, if it has expired.
    pub(crate) fn oldest_expired(&mut self, now: Instant) -> Option<Key> {
        let oldest = self.oldest_unsent()?;
        self.get(oldest).is_some_and(|entry| entry.is_expired(now)).then_some(oldest)
    }

    fn keys(&self, wanted: impl Fn(&Entry<M>) -> bool) -> Vec<Key> {
        let mut keys: Vec<(u64, Key)> = self
            .entries
            .iter()
            .zip(0..)
            .filter_map(|(entry, index)| {
                let entry = entry.as_ref().filter(|entry| wanted(entry))?;
                Some((entry.order, Key { index, handle: entry.handle }))
            })
            .collect();
        keys.sort_unstable_by_key(|(order, _)| *order);
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// The oldest message that was never pulled.
    pub(crate) fn oldest_unsent(&mut self) -> Option<Key> {
        let entries = &self.entries;
        let is_sent = |key: &Key| find(entries, *key).is_none_or(|entry| entry.sent);
        [&mut self.ready, &mut self.resend, &mut self.queue].into_iter().find_map(|keys| {
            while keys.front().is_some_and(|key| find(entries, *key).is_none()) {
                keys.pop_front();
            }
            // What is sent again comes first.
            let first = match keys.front().is_some_and(is_sent) {
                true => keys.partition_point(is_sent),
                false => 0,
            };
            keys.get(first).copied()
        })
    }

    /// Puts a message that was in flight back into the queue, as a new one.
    pub(crate) fn requeue(&mut self, key: Key) {
        let Some(entry) = self.get_mut(key) else { return };
        entry.stage = Stage::Queued;
        entry.in_window = false;
        let sent = core::mem::take(&mut entry.sent);
        let (packet_id, size, expires) = (entry.packet_id.take(), entry.size, entry.expires);
        if let Some(packet_id) = packet_id {
            self.ids.release(packet_id);
        }
        if let Some(expires) = expires {
            self.expiries.add(expires);
        }
        if sent {
            self.unsent = self.unsent.saturating_add(1);
            self.unsent_bytes = self.unsent_bytes.saturating_add(size);
        }
    }

    /// Puts the queue into the order of the calls again.
    pub(crate) fn sort_queue(&mut self) {
        let keys = self.keys(|entry| entry.stage == Stage::Queued);
        self.queue = keys.into();
        self.resend.clear();
    }

    /// Takes in an entry that was stored, in flight under its identifier. `false` if another one
    /// has the identifier.
    pub(crate) fn restore(&mut self, entry: Entry<M>, packet_id: PacketId, stage: Stage) -> bool {
        let key = self.insert(entry);
        if !self.ids.insert(packet_id, key.index) {
            self.remove(key);
            return false;
        }
        self.no_longer_unsent(self.get(key).map_or(0, |entry| entry.size));
        if let Some(entry) = self.get_mut(key) {
            entry.packet_id = Some(packet_id);
            entry.stage = stage;
            entry.sent = true;
        }
        true
    }
}
