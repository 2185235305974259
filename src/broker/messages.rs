//! Messages that wait in queues, each kept once however many wait for it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::broker::authorizer::Client;
use crate::broker::hash::Seed;
use crate::broker::slab::Slab;
use crate::broker::topics::{TopicNumber, Topics};
use crate::outgoing::Outgoing;
use crate::packet::Publish;
use crate::qos::QoS;
use crate::session::publish::{Alias, WirePublish};
use crate::time::Instant;
use crate::version::Version;

/// Stands for a message that is kept, for as long as somebody uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageKey(u32);

/// A message that is kept.
#[derive(Debug, Default)]
pub(super) struct Stored {
    uses: u32,
    pub(super) topic: String,
    /// The properties that go from end to end, and the payload if it is small.
    bytes: Vec<u8>,
    properties_len: usize,
    /// Which properties there are.
    pub(super) present: u64,
    /// The payload, if it is large enough to be shared with what is sent.
    pub(super) large: Option<Bytes>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) expires: Option<Instant>,
    pub(super) publisher: Option<Arc<Client>>,
    /// The number of its topic, once somebody has asked for it.
    number: Option<TopicNumber>,
    /// What it becomes as it is, once several have needed it.
    frames: Option<Box<Frames>>,
}

/// A packet that a message becomes as it is, at QoS 0 without RETAIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// In 3.1 and 3.1.1.
    V3,
    /// In 5.0.
    V5,
    /// In 5.0 with an alias in place of its topic.
    Aliased,
}

/// A packet for each [`Frame`], or nothing.
#[derive(Debug, Default)]
struct Frames {
    v3: Vec<u8>,
    v5: Vec<u8>,
    aliased: Vec<u8>,
}

impl Frames {
    #[inline]
    fn get(&self, which: Frame) -> &[u8] {
        match which {
            Frame::V3 => &self.v3,
            Frame::V5 => &self.v5,
            Frame::Aliased => &self.aliased,
        }
    }

    fn clear(&mut self) {
        [&mut self.v3, &mut self.v5, &mut self.aliased].into_iter().for_each(Vec::clear);
    }

    fn capacity(&self) -> usize {
        let all = [&self.v3, &self.v5, &self.aliased].into_iter().map(Vec::capacity);
        all.fold(0, usize::saturating_add)
    }
}

impl Stored {
    /// Takes the place of what was there, with one user.
    #[inline]
    fn fill(&mut self, publish: &Publish<'_>, origin: Origin<'_>) {
        let Origin { expires, publisher, shared } = origin;
        self.uses = 1;
        if let Some(frames) = &mut self.frames {
            frames.clear();
        }
        self.number = None;
        self.topic.clear();
        self.topic.push_str(publish.topic);
        self.bytes.clear();
        let is_large = Outgoing::shares(publish.payload.len());
        let payload = if is_large { 0 } else { publish.payload.len() };
        // Not twice as much, as it would be by and by.
        self.bytes.reserve_exact(publish.properties_len().saturating_add(payload));
        self.present = publish.properties.write_end_to_end(&mut self.bytes);
        self.properties_len = self.bytes.len();
        self.large = None;
        if is_large {
            let copy = || Bytes::copy_from_slice(publish.payload);
            self.large = Some(shared.cloned().unwrap_or_else(copy));
        } else {
            self.bytes.extend_from_slice(publish.payload);
        }
        (self.qos, self.retain) = (publish.qos, publish.retain);
        self.expires = expires;
        // Most often it is the one of the message before, which need not be counted once more.
        let is_same = |before: &Arc<Client>| publisher.is_some_and(|one| Arc::ptr_eq(before, one));
        if !self.publisher.as_ref().is_some_and(is_same) {
            self.publisher = publisher.cloned();
        }
    }

    /// One uses it no more; says whether it was the last one.
    #[inline]
    pub(super) fn leave(&mut self) -> bool {
        self.uses = self.uses.saturating_sub(1);
        self.uses == 0
    }

    pub(super) fn properties(&self) -> &[u8] {
        self.bytes.get(..self.properties_len).unwrap_or_default()
    }

    pub(super) fn payload(&self) -> &[u8] {
        match &self.large {
            Some(payload) => payload,
            None => self.bytes.get(self.properties_len..).unwrap_or_default(),
        }
    }

    /// The number of its topic.
    #[inline]
    pub(super) fn topic_number(&mut self, topics: &mut Topics, seed: &Seed) -> Option<TopicNumber> {
        if self.number.is_none() {
            self.number = topics.number(self.topic.as_bytes(), seed);
        }
        self.number
    }

    /// Has a packet made of it as it is, if it is worth while to keep one: it is small, always the
    /// same, and several want it. `false` if there is none.
    #[inline]
    pub(super) fn prepare(&mut self, which: Frame) -> bool {
        !self.frame(which).is_empty() || self.make_frame(which)
    }

    /// The packet that was [prepared](Self::prepare).
    #[inline]
    pub(super) fn frame(&self, which: Frame) -> &[u8] {
        self.frames.as_ref().map_or(&[], |frames| frames.get(which))
    }

    /// Where the alias is in the packet that has one: it is the last property.
    #[inline]
    pub(super) fn alias_at(&self) -> usize {
        let payload_len = self.bytes.len().saturating_sub(self.properties_len);
        self.frame(Frame::Aliased).len().saturating_sub(payload_len).saturating_sub(2)
    }

    #[cold]
    fn make_frame(&mut self, which: Frame) -> bool {
        if self.uses <= 2 || Outgoing::shares(self.size()) || self.expires.is_some() {
            return false;
        }
        let mut frames = self.frames.take().unwrap_or_default();
        let (frame, version, alias) = match which {
            Frame::V3 => (&mut frames.v3, Version::V3_1_1, Alias::None),
            Frame::V5 => (&mut frames.v5, Version::V5, Alias::None),
            Frame::Aliased => (&mut frames.aliased, Version::V5, Alias::Use(0)),
        };
        let wire = WirePublish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: self.topic.as_bytes(),
            packet_id: None,
            properties: self.properties(),
            present: self.present,
            expiry: None,
            identifiers: &[],
            payload: self.payload(),
        };
        let lengths = wire.lengths(version, alias);
        frame.resize(lengths.packet, 0);
        wire.write_to(version, alias, lengths, frame);
        self.frames = Some(frames);
        true
    }

    /// How many bytes it holds: topic, properties and payload.
    pub(super) fn size(&self) -> usize {
        let large = self.large.as_ref().map_or(0, Bytes::len);
        self.topic.len().saturating_add(self.bytes.len()).saturating_add(large)
    }
}

/// The messages of all queues.
///
/// Places of small ones are used again, with their storage and what is known of their publisher, so
/// that in a steady flow none is allocated.
#[derive(Debug)]
pub(super) struct Messages {
    slots: Slab<Stored>,
    /// Places that nobody uses.
    spare: Vec<u32>,
    bytes: usize,
}

/// So many spare places are kept at most.
const SPARE: usize = 64;
/// Of storage that is not larger.
const SPARE_BYTES: usize = 4096;

/// What is known of a message beside its PUBLISH.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin<'a> {
    pub(super) expires: Option<Instant>,
    pub(super) publisher: Option<&'a Arc<Client>>,
    /// The payload, if it is in storage of its own already.
    pub(super) shared: Option<&'a Bytes>,
}

impl Messages {
    pub(super) const fn new() -> Self {
        Self { slots: Slab::new(), spare: Vec::new(), bytes: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.spare.len())
    }

    /// Bytes of all.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies a message that was checked, with the caller as its only user; `None` if there are
    /// as many as there can be.
    #[inline]
    pub(super) fn insert(
        &mut self,
        publish: &Publish<'_>,
        origin: Origin<'_>,
    ) -> Option<MessageKey> {
        let number = match self.spare.pop() {
            Some(number) => number,
            None => self.slots.insert(Stored::default())?,
        };
        let stored = self.slots.get_mut(number)?;
        stored.fill(publish, origin);
        self.bytes = self.bytes.saturating_add(stored.size());
        Some(MessageKey(number))
    }

    #[inline]
    pub(super) fn get(&self, key: MessageKey) -> Option<&Stored> {
        self.slots.get(key.0)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: MessageKey) -> Option<&mut Stored> {
        self.slots.get_mut(key.0)
    }

    /// One more uses it.
    #[inline]
    pub(super) fn acquire(&mut self, key: MessageKey) {
        self.acquire_all(key, 1);
    }

    /// So many more use it.
    #[inline]
    pub(super) fn acquire_all(&mut self, key: MessageKey, more: u32) {
        if let Some(stored) = self.slots.get_mut(key.0) {
            stored.uses = stored.uses.saturating_add(more);
        }
    }

    /// One uses it no more: with the last one it is gone.
    #[inline]
    pub(super) fn release(&mut self, key: MessageKey) {
        let Some(stored) = self.slots.get_mut(key.0) else { return };
        if stored.leave() {
            self.remove(key);
        }
    }

    /// A message is gone that nobody uses.
    #[inline]
    pub(super) fn remove(&mut self, key: MessageKey) {
        let Some(stored) = self.slots.get_mut(key.0) else { return };
        self.bytes = self.bytes.saturating_sub(stored.size());
        let frames = stored.frames.as_ref().map_or(0, |frames| frames.capacity());
        let capacity = stored.topic.capacity().saturating_add(stored.bytes.capacity());
        let capacity = capacity.saturating_add(frames);
        if self.spare.len() < SPARE && capacity <= SPARE_BYTES {
            stored.large = None;
            self.spare.push(key.0);
        } else {
            self.slots.remove(key.0);
        }
        // After a burst, so that it is not paid for in memory for ever.
        if self.len() == 0 && self.slots.end() as usize > SPARE * 4 {
            (self.slots, self.spare) = (Slab::new(), Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::Property;

    #[test]
    fn a_message_lives_as_long_as_it_is_used() {
        let mut messages = Messages::new();
        let properties = [Property::TopicAlias(3), Property::ContentType("x")];
        let publish = Publish {
            topic: "a/b",
            payload: b"21.5",
            properties: (&properties).into(),
            ..Publish::default()
        };
        let key = messages.insert(&publish, Origin::default()).unwrap();
        let stored = messages.get(key).unwrap();
        assert_eq!((&*stored.topic, stored.payload()), ("a/b", &b"21.5"[..]));
        assert_eq!(stored.properties(), [3, 0, 1, b'x']);
        assert_eq!(messages.bytes(), 3 + 4 + 4);
        messages.acquire(key);
        messages.release(key);
        assert_eq!(messages.len(), 1);
        messages.release(key);
        assert_eq!((messages.len(), messages.bytes()), (0, 0));
    }

    #[test]
    fn a_large_payload_is_shared_and_a_small_one_is_not() {
        let mut messages = Messages::new();
        let large = Bytes::from(alloc::vec![7; 4096]);
        let publish = Publish { topic: "a", payload: &large, ..Publish::default() };
        let origin = Origin { shared: Some(&large), ..Origin::default() };
        let key = messages.insert(&publish, origin).unwrap();
        let stored = messages.get(key).unwrap();
        assert_eq!(stored.payload().as_ptr(), large.as_ptr());
        assert_eq!(messages.bytes(), 4097);
    }
}
