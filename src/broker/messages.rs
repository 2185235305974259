//! Messages that wait in queues, each kept once however many wait for it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::broker::authorizer::Client;
use crate::broker::slab::Slab;
use crate::outgoing::Outgoing;
use crate::packet::{Packet, Publish};
use crate::properties::{Properties, PropertyBlock};
use crate::qos::QoS;
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
    /// The PUBLISH that it becomes as it is, at QoS 0 without RETAIN, in 3.x and in 5.0; empty
    /// until several have needed it.
    frames: [Vec<u8>; 2],
}

impl Stored {
    /// Takes the place of what was there, with one user.
    #[inline]
    fn fill(&mut self, publish: &Publish<'_>, origin: Origin) {
        let Origin { expires, publisher, shared } = origin;
        self.uses = 1;
        self.frames.iter_mut().for_each(Vec::clear);
        self.topic.clear();
        self.topic.push_str(publish.topic);
        self.bytes.clear();
        self.present = publish.properties.write_end_to_end(&mut self.bytes);
        self.properties_len = self.bytes.len();
        self.large = None;
        if Outgoing::shares(publish.payload.len()) {
            let copy = || Bytes::copy_from_slice(publish.payload);
            self.large = Some(shared.unwrap_or_else(copy));
        } else {
            self.bytes.extend_from_slice(publish.payload);
        }
        (self.qos, self.retain) = (publish.qos, publish.retain);
        (self.expires, self.publisher) = (expires, publisher);
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

    /// Whether it is worth while to keep it as a packet: it is small, always the same, and several
    /// want it.
    #[inline]
    pub(super) fn is_framed(&self, version: Version) -> bool {
        let [of_v3, of_v5] = &self.frames;
        let frame = if version.is_v5() { of_v5 } else { of_v3 };
        !frame.is_empty() || self.uses > 2 && self.large.is_none() && self.expires.is_none()
    }

    /// The packet that it becomes as it is.
    #[inline]
    pub(super) fn frame(&mut self, version: Version) -> &[u8] {
        let which = usize::from(version.is_v5());
        if self.frames.get(which).is_none_or(Vec::is_empty) {
            self.make_frame(version, which);
        }
        self.frames.get(which).map(Vec::as_slice).unwrap_or_default()
    }

    #[cold]
    fn make_frame(&mut self, version: Version, which: usize) {
        let mut frame = self.frames.get_mut(which).map(core::mem::take).unwrap_or_default();
        let properties = match version.is_v5() {
            true => Properties::Block(PropertyBlock::of_publish(self.properties(), self.present)),
            false => Properties::NONE,
        };
        let (topic, payload) = (&*self.topic, self.payload());
        let publish = Publish { topic, payload, properties, ..Publish::default() };
        // It was checked when it came in, and a vector has room.
        let _ = Packet::Publish(publish).encode(version, &mut frame);
        if let Some(place) = self.frames.get_mut(which) {
            *place = frame;
        }
    }

    /// How many bytes it holds: topic, properties and payload.
    pub(super) fn size(&self) -> usize {
        let large = self.large.as_ref().map_or(0, Bytes::len);
        self.topic.len().saturating_add(self.bytes.len()).saturating_add(large)
    }
}

/// The messages of all queues.
///
/// Places of small ones are used again, with their storage, so that in a steady flow none is
/// allocated.
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
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) expires: Option<Instant>,
    pub(super) publisher: Option<Arc<Client>>,
    /// The payload, if it is in storage of its own already.
    pub(super) shared: Option<Bytes>,
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
    pub(super) fn insert(&mut self, publish: &Publish<'_>, origin: Origin) -> Option<MessageKey> {
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
        if let Some(stored) = self.slots.get_mut(key.0) {
            stored.uses = stored.uses.saturating_add(1);
        }
    }

    /// One uses it no more: with the last one it is gone.
    #[inline]
    pub(super) fn release(&mut self, key: MessageKey) {
        let Some(stored) = self.slots.get_mut(key.0) else { return };
        stored.uses = stored.uses.saturating_sub(1);
        if stored.uses == 0 {
            self.remove(key);
        }
    }

    #[inline]
    fn remove(&mut self, key: MessageKey) {
        let Some(stored) = self.slots.get_mut(key.0) else { return };
        self.bytes = self.bytes.saturating_sub(stored.size());
        let frames = stored.frames.iter().map(Vec::capacity);
        let capacity = frames
            .fold(stored.topic.capacity(), usize::saturating_add)
            .saturating_add(stored.bytes.capacity());
        if self.spare.len() < SPARE && capacity <= SPARE_BYTES {
            stored.publisher = None;
            stored.large = None;
            self.spare.push(key.0);
        } else {
            self.slots.remove(key.0);
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
        let origin = Origin { shared: Some(large.clone()), ..Origin::default() };
        let key = messages.insert(&publish, origin).unwrap();
        let stored = messages.get(key).unwrap();
        assert_eq!(stored.payload().as_ptr(), large.as_ptr());
        assert_eq!(messages.bytes(), 4097);
    }
}
