//! Messages that wait in queues, each kept once however many wait for it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::broker::authorizer::Client;
use crate::broker::slab::Slab;
use crate::message;
use crate::outgoing::Outgoing;
use crate::packet::Publish;
use crate::qos::QoS;
use crate::time::Instant;

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
}

impl Stored {
    pub(super) fn properties(&self) -> &[u8] {
        self.bytes.get(..self.properties_len).unwrap_or_default()
    }

    pub(super) fn payload(&self) -> &[u8] {
        match &self.large {
            Some(payload) => payload,
            None => self.bytes.get(self.properties_len..).unwrap_or_default(),
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
/// Storage of small ones is used again, so that in a steady flow none is allocated.
#[derive(Debug)]
pub(super) struct Messages {
    slots: Slab<Stored>,
    spare: Vec<(String, Vec<u8>)>,
    bytes: usize,
}

/// So much spare storage is kept at most.
const SPARE: usize = 64;
/// Storage that is larger is not kept.
const SPARE_BYTES: usize = 2048;

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
        self.slots.len()
    }

    /// Bytes of all.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies a message that was checked, with the caller as its only user; `None` if there are
    /// as many as there can be.
    pub(super) fn insert(&mut self, publish: &Publish<'_>, origin: Origin) -> Option<MessageKey> {
        let Origin { expires, publisher, shared } = origin;
        let (mut topic, mut bytes) = self.spare.pop().unwrap_or_default();
        topic.clear();
        bytes.clear();
        topic.push_str(publish.topic);
        let present = message::write_end_to_end(&publish.properties, &mut bytes);
        let properties_len = bytes.len();
        let large = match shared {
            Some(payload) if Outgoing::shares(payload.len()) => Some(payload),
            _ if Outgoing::shares(publish.payload.len()) => {
                Some(Bytes::copy_from_slice(publish.payload))
            }
            _ => {
                bytes.extend_from_slice(publish.payload);
                None
            }
        };
        let (qos, retain) = (publish.qos, publish.retain);
        let stored = Stored {
            uses: 1,
            topic,
            bytes,
            properties_len,
            present,
            large,
            qos,
            retain,
            expires,
            publisher,
        };
        let size = stored.size();
        let key = self.slots.insert(stored)?;
        self.bytes = self.bytes.saturating_add(size);
        Some(MessageKey(key))
    }

    #[inline]
    pub(super) fn get(&self, key: MessageKey) -> Option<&Stored> {
        self.slots.get(key.0)
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

    fn remove(&mut self, key: MessageKey) {
        let stored = self.slots.remove(key.0);
        self.bytes = self.bytes.saturating_sub(stored.size());
        let Stored { topic, bytes, .. } = stored;
        let capacity = topic.capacity().saturating_add(bytes.capacity());
        if self.spare.len() < SPARE && capacity <= SPARE_BYTES {
            self.spare.push((topic, bytes));
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
