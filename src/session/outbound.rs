//! Sending at QoS 1 and 2: the queue, the window, identifiers, and what is sent again when a
//! session is resumed. MQTT 5.0 §4.3, §4.4, §4.6, §4.9.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::message::Message;
use crate::packet_id::PacketId;
use crate::qos::QoS;
use crate::session::entry::{Entry, Key, PubRecWords, Removed, Sendable, Stage};
use crate::session::expiry::Expiries;
use crate::session::ids::PacketIds;

/// An acknowledgement that fits no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// The identifier is not in use: ignored.
    Unknown,
    /// The exchange waits for another packet: a violation.
    Wrong,
}

/// The messages of one direction of a session that are not fully acknowledged.
#[derive(Debug)]
pub(crate) struct Outbound<M = Message> {
    pub(super) entries: Vec<Option<Entry<M>>>,
    pub(super) free: Vec<u32>,
    pub(super) ids: PacketIds,
    /// Without an identifier, in the order of the calls.
    pub(super) queue: VecDeque<Key>,
    /// In flight when the session was resumed, to be sent again as the window opens; after a
    /// connection, what was in its window and never sent.
    pub(super) resend: VecDeque<Key>,
    /// In the window, and not pulled on this connection.
    pub(super) ready: VecDeque<Key>,
    pub(super) window: usize,
    pub(super) in_window: usize,
    pub(super) len: usize,
    pub(super) bytes: usize,
    /// Never pulled, with an identifier or without.
    pub(super) unsent: usize,
    pub(super) unsent_bytes: usize,
    /// Of what was never pulled.
    pub(super) expiries: Expiries,
}

/// Numbers of identifiers from here on are not those of entries.
const FOREIGN: u32 = 1 << 31;

impl<M> Default for Outbound<M> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            ids: PacketIds::default(),
            queue: VecDeque::new(),
            resend: VecDeque::new(),
            ready: VecDeque::new(),
            window: 0,
            in_window: 0,
            len: 0,
            bytes: 0,
            unsent: 0,
            unsent_bytes: 0,
            expiries: Expiries::default(),
        }
    }
}

impl<M: Sendable> Outbound<M> {
    /// How many messages are held.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the messages held.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many messages the other end may have seen.
    pub(crate) const fn sent_len(&self) -> usize {
        self.len.saturating_sub(self.unsent)
    }

    /// Bytes of the messages that the other end may have seen.
    pub(crate) const fn sent_bytes(&self) -> usize {
        self.bytes.saturating_sub(self.unsent_bytes)
    }

    /// The operations of the messages held, in no order.
    pub(crate) fn handles(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().flatten().map(|entry| entry.handle)
    }

    /// Whether an identifier is in use.
    pub(crate) fn is_used(&self, packet_id: PacketId) -> bool {
        self.ids.get(packet_id).is_some()
    }

    /// Takes an entry in, at the end of the queue.
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry<M>) -> Key {
        let key = self.insert(entry);
        self.enqueue(key);
        key
    }

    /// Takes an entry in that is about to be queued, or to enter the window.
    #[inline(always)]
    pub(crate) fn insert(&mut self, entry: Entry<M>) -> Key {
        let handle = entry.handle;
        self.len = self.len.saturating_add(1);
        self.unsent = self.unsent.saturating_add(1);
        self.unsent_bytes = self.unsent_bytes.saturating_add(entry.size);
        if let Some(expires) = entry.expires {
            self.expiries.add(expires);
        }
        self.bytes = self.bytes.saturating_add(entry.size);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.entries.push(None);
                // There are fewer entries than a u32 counts: each takes a hundred bytes.
                u32::try_from(self.entries.len()).unwrap_or(u32::MAX).saturating_sub(1)
            }
        };
        if let Some(slot) = self.entries.get_mut(index as usize) {
            *slot = Some(entry);
        }
        Key { index, handle }
    }

    /// Puts an entry at the end of the queue.
    #[inline]
    pub(crate) fn enqueue(&mut self, key: Key) {
        self.queue.push_back(key);
    }

    /// The entry, if it is still there.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Entry<M>> {
        let entry = self.entries.get_mut(key.index as usize)?.as_mut()?;
        (entry.handle == key.handle).then_some(entry)
    }

    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<&Entry<M>> {
        find(&self.entries, key)
    }

    /// Takes the entry out, and says what it was.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Removed<M>> {
        let slot = self.entries.get_mut(key.index as usize)?;
        let entry = slot.as_mut().filter(|entry| entry.handle == key.handle)?;
        let (size, packet_id, sent) = (entry.size, entry.packet_id, entry.sent);
        self.bytes = self.bytes.saturating_sub(size);
        if entry.in_window {
            self.in_window = self.in_window.saturating_sub(1);
        }
        let message = entry.message.take();
        *slot = None;
        self.free.push(key.index);
        self.len = self.len.saturating_sub(1);
        if let Some(packet_id) = packet_id {
            self.ids.release(packet_id);
        }
        if !sent {
            self.no_longer_unsent(size);
            self.tidy();
        }
        if self.len == 0 {
            self.release_storage();
        }
        Some(Removed { handle: key.handle, message, was_in_flight: packet_id.is_some() })
    }

    /// A message is sent for the first time, or gone before.
    #[inline]
    pub(super) fn no_longer_unsent(&mut self, size: usize) {
        self.unsent = self.unsent.saturating_sub(1);
        self.unsent_bytes = self.unsent_bytes.saturating_sub(size);
    }

    /// Drops the keys of what left from the middle of a queue, once they are the most of it.
    fn tidy(&mut self) {
        for (keys, most) in [(&mut self.queue, self.unsent), (&mut self.ready, self.in_window)] {
            const FEW: usize = 64;
            if keys.len() > most.saturating_mul(2).saturating_add(FEW) {
                keys.retain(|key| find(&self.entries, *key).is_some());
            }
        }
    }

    /// Drops the keys of all that is gone. Amid what was never pulled there may be none, since the
    /// oldest of that is looked for by halves.
    pub(crate) fn sweep(&mut self) {
        for keys in [&mut self.queue, &mut self.resend, &mut self.ready] {
            keys.retain(|key| find(&self.entries, *key).is_some());
        }
    }

    /// After a burst, so that it is not paid for in memory for ever.
    fn release_storage(&mut self) {
        const KEEP: usize = 32;
        if self.entries.len() > KEEP {
            (self.entries, self.free) = (Vec::new(), Vec::new());
        }
        for queue in [&mut self.queue, &mut self.resend, &mut self.ready] {
            if queue.capacity() > KEEP {
                *queue = VecDeque::new();
            } else {
                queue.clear();
            }
        }
    }

    /// How many identifiers are not in use.
    #[inline]
    pub(crate) const fn free_ids(&self) -> usize {
        self.ids.free()
    }

    /// Takes an identifier for something that is no message: SUBSCRIBE, UNSUBSCRIBE.
    pub(crate) fn take_foreign_id(&mut self, number: u32) -> Option<PacketId> {
        self.ids.take(number | FOREIGN)
    }

    /// What no message uses the identifier for.
    pub(crate) fn foreign(&self, packet_id: PacketId) -> Option<u32> {
        let number = self.ids.get(packet_id)?;
        (number & FOREIGN != 0).then_some(number & !FOREIGN)
    }

    /// Gives back an identifier of something that is no message.
    pub(crate) fn release_foreign_id(&mut self, packet_id: PacketId) {
        if self.foreign(packet_id).is_some() {
            self.ids.release(packet_id);
        }
    }

    /// Whether anything waits for room in the window.
    #[inline(always)]
    pub(crate) fn has_waiting(&self) -> bool {
        !self.queue.is_empty() || !self.resend.is_empty()
    }

    /// Whether the window has room for one more, without anything that waits before it.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.in_window < self.window && !self.has_waiting() && self.free_ids() > 1
    }

    /// The message that the window has room for next, with whether it has an identifier already.
    #[inline]
    pub(crate) fn next_for_window(&mut self) -> Option<(Key, bool)> {
        if self.in_window >= self.window {
            return None;
        }
        while let Some(key) = self.resend.front().copied() {
            if self.get(key).is_some() {
                return Some((key, true));
            }
            self.resend.pop_front();
        }
        while let Some(key) = self.queue.front().copied() {
            if self.get(key).is_some() {
                return Some((key, false));
            }
            self.queue.pop_front();
        }
        None
    }

    /// The message that [`next_for_window`](Self::next_for_window) named has entered the window.
    #[inline]
    pub(crate) fn leave_queue(&mut self, in_flight: bool) {
        let queue = if in_flight { &mut self.resend } else { &mut self.queue };
        queue.pop_front();
    }

    /// Lets a message into the window, under an identifier of its own; says whether that is a new
    /// one. `None` if there is no identifier left.
    #[inline(always)]
    pub(crate) fn enter_window(&mut self, key: Key) -> Option<(&mut Entry<M>, bool)> {
        let slot = self.entries.get_mut(key.index as usize)?.as_mut();
        let entry = slot.filter(|entry| entry.handle == key.handle)?;
        let packet_id = match entry.packet_id {
            Some(packet_id) => packet_id,
            None => self.ids.take(key.index)?,
        };
        self.in_window = self.in_window.saturating_add(1);
        self.ready.push_back(key);
        entry.in_window = true;
        let is_new = entry.packet_id.replace(packet_id).is_none();
        if is_new {
            entry.stage = match entry.message.as_ref().map(M::qos) {
                Some(QoS::ExactlyOnce) => Stage::AwaitPubRec,
                _ => Stage::AwaitPubAck,
            };
        }
        Some((entry, is_new))
    }

    /// The message that is to be pulled next.
    #[inline]
    pub(crate) fn next_ready(&mut self) -> Option<(Key, &mut Entry<M>)> {
        loop {
            let key = *self.ready.front()?;
            match self.get(key).map(|entry| entry.stage) {
                Some(Stage::AwaitPubAck | Stage::AwaitPubRec) => {
                    return self.get_mut(key).map(|entry| (key, entry));
                }
                // It was acknowledged before it was sent again.
                _ => self.ready.pop_front(),
            };
        }
    }

    /// The message that [`next_ready`](Self::next_ready) named is pulled, of so many bytes, for
    /// the first time or again.
    #[inline]
    pub(crate) fn pulled(&mut self, again: bool, size: usize) {
        self.ready.pop_front();
        if !again {
            self.no_longer_unsent(size);
        }
    }

    /// The message that an acknowledgement is of which comes at this stage.
    pub(crate) fn on_ack(&mut self, packet_id: PacketId, stage: Stage) -> Result<Key, Misfit> {
        let index = self.ids.get(packet_id).ok_or(Misfit::Unknown)?;
        let entry = self.entries.get(index as usize).and_then(Option::as_ref);
        let entry = entry.ok_or(Misfit::Wrong)?;
        if !entry.sent {
            // The other end cannot know of it.
            return Err(Misfit::Unknown);
        }
        if entry.stage != stage {
            return Err(Misfit::Wrong);
        }
        Ok(Key { index, handle: entry.handle })
    }

    /// A PUBREC without an error: the message is with the other end, PUBREL is to be sent.
    /// The order is that of the PUBRECs. Says which message it was, which is not needed any more.
    #[inline]
    pub(crate) fn received(&mut self, key: Key, order: u64) -> Option<M> {
        let entry = self.get_mut(key)?;
        entry.stage = Stage::AwaitPubComp;
        entry.order = order;
        let message = entry.message.take();
        let size = core::mem::take(&mut entry.size);
        self.bytes = self.bytes.saturating_sub(size);
        message
    }

    /// Keeps what the PUBREC of a message that was [received](Self::received) says, which takes the
    /// place of the message.
    pub(crate) fn keep(&mut self, key: Key, words: PubRecWords) {
        let size = words.packet.as_ref().map_or(0, |packet| packet.frame().len());
        let Some(entry) = self.get_mut(key) else { return };
        entry.size = size;
        entry.pub_rec = Some(Box::new(words));
        self.bytes = self.bytes.saturating_add(size);
    }

    /// How many messages the other end takes unacknowledged on this connection.
    pub(crate) fn set_window(&mut self, window: u16) {
        self.window = usize::from(window);
    }
}

#[inline]
pub(super) fn find<M>(entries: &[Option<Entry<M>>], key: Key) -> Option<&Entry<M>> {
    let entry = entries.get(key.index as usize)?.as_ref()?;
    (entry.handle == key.handle).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;
    use crate::topic::TopicName;
    use alloc::vec;

    fn outbound(window: u16, messages: u64) -> Outbound {
        let mut outbound = Outbound::default();
        outbound.set_window(window);
        for handle in 1..=messages {
            let message = Message::new(TopicName::new("a").unwrap(), "x");
            outbound.push(Entry::new(handle, message.with_qos(QoS::ExactlyOnce), None));
        }
        open(&mut outbound);
        outbound
    }

    fn open(outbound: &mut Outbound) {
        while let Some((key, in_flight)) = outbound.next_for_window() {
            outbound.enter_window(key).unwrap();
            outbound.leave_queue(in_flight);
        }
    }

    /// Pulls what is ready, and says which.
    fn pull(outbound: &mut Outbound) -> Vec<u16> {
        let mut pulled = Vec::new();
        while let Some((_, entry)) = outbound.next_ready() {
            pulled.extend(entry.packet_id.map(PacketId::get));
            let (again, size) = (core::mem::replace(&mut entry.sent, true), entry.size);
            outbound.pulled(again, size);
        }
        pulled
    }

    fn id(value: u16) -> PacketId {
        PacketId::new(value).unwrap()
    }

    #[test]
    fn the_window_opens_with_pubcomp_and_not_with_pubrec() {
        // v5 [MQTT-4.9.0-1] [MQTT-4.9.0-2]
        let mut outbound = outbound(2, 3);
        assert_eq!(pull(&mut outbound), [1, 2]);
        let key = outbound.on_ack(id(1), Stage::AwaitPubRec).unwrap();
        outbound.received(key, 10);
        open(&mut outbound);
        assert_eq!(pull(&mut outbound), [0; 0]);
        let key = outbound.on_ack(id(1), Stage::AwaitPubComp).unwrap();
        outbound.remove(key);
        open(&mut outbound);
        assert_eq!(pull(&mut outbound), [3]);
    }

    #[test]
    fn a_resume_sends_again_in_order_as_the_window_allows() {
        // v5 [U5-4.4-1] [MQTT-4.6.0-1]
        let mut outbound = outbound(10, 4);
        assert_eq!(pull(&mut outbound), [1, 2, 3, 4]);
        let key = outbound.on_ack(id(2), Stage::AwaitPubRec).unwrap();
        outbound.received(key, 10);
        outbound.disconnected();
        outbound.set_window(2);
        assert_eq!(outbound.resume(), [id(2)]);
        open(&mut outbound);
        assert_eq!(pull(&mut outbound), [1], "PUBREL takes room too");
        let key = outbound.on_ack(id(2), Stage::AwaitPubComp).unwrap();
        outbound.remove(key);
        open(&mut outbound);
        assert_eq!(pull(&mut outbound), [3]);
    }

    #[test]
    fn what_was_not_sent_is_not_acknowledged() {
        let mut outbound = outbound(1, 1);
        assert_eq!(outbound.on_ack(id(1), Stage::AwaitPubRec), Err(Misfit::Unknown));
        assert_eq!(pull(&mut outbound), [1]);
        assert_eq!(outbound.on_ack(id(2), Stage::AwaitPubRec), Err(Misfit::Unknown));
        assert_eq!(outbound.on_ack(id(1), Stage::AwaitPubAck), Err(Misfit::Wrong));
        let foreign = outbound.take_foreign_id(7).unwrap();
        assert_eq!(outbound.on_ack(foreign, Stage::AwaitPubRec), Err(Misfit::Wrong));
        assert_eq!(outbound.foreign(foreign), Some(7));
    }

    #[test]
    fn an_acknowledgement_before_the_repetition_makes_that_needless() {
        let mut outbound = outbound(2, 2);
        pull(&mut outbound);
        outbound.disconnected();
        outbound.set_window(1);
        assert_eq!(outbound.resume(), []);
        let key = outbound.on_ack(id(1), Stage::AwaitPubRec).unwrap();
        outbound.remove(key);
        open(&mut outbound);
        assert_eq!(pull(&mut outbound), [2]);
        assert_eq!((outbound.len(), outbound.bytes(), outbound.sent_bytes()), (1, 2, 2));
    }

    #[test]
    fn the_queue_is_searched_for_what_has_expired_only_when_there_may_be_some() {
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        let mut outbound = outbound(1, 1);
        for (handle, expires) in [(2, Some(at(20))), (3, None), (4, Some(at(10))), (5, None)] {
            let message = Message::new(TopicName::new("a").unwrap(), "x");
            outbound.push(Entry::new(handle, message.with_qos(QoS::AtLeastOnce), expires));
        }
        let mut expired = |seconds| {
            let keys = outbound.expired(at(seconds));
            keys.iter().for_each(|key| assert!(outbound.remove(*key).is_some()));
            (keys.into_iter().map(Key::handle).collect::<Vec<_>>(), outbound.expiries.earliest)
        };
        assert_eq!(expired(10), (vec![], Some(at(10))));
        assert_eq!(expired(11), (vec![4], Some(at(20))));
        assert_eq!(expired(21), (vec![2], None));
        assert_eq!(expired(1_000), (vec![], None));
    }
}
