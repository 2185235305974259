//! Sending at QoS 0: messages that wait for the transport. MQTT 5.0 §4.3.1.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::{Buf, BytesMut};

use crate::message::Message;
use crate::outgoing::Outgoing;
use crate::packet::Publish;
use crate::properties::Properties;
use crate::time::Instant;

/// Messages at QoS 0, in the order of the calls. Small ones are kept behind one another in one
/// buffer, so that sending one allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct AtMostOnce {
    items: VecDeque<Item>,
    /// Topic, properties and payload of the small ones.
    small: BytesMut,
    bytes: usize,
}

/// A message that waits.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) handle: u64,
    pub(crate) expires: Option<Instant>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Small { retain: bool, topic: usize, properties: usize, payload: usize, present: u64 },
    Large(Box<Message>),
}

/// The parts of a message that waits.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) retain: bool,
    pub(crate) topic: &'a [u8],
    pub(crate) properties: &'a [u8],
    pub(crate) present: u64,
    pub(crate) payload: &'a [u8],
    /// The message, if its payload is large enough to be shared.
    pub(crate) shared: Option<&'a Message>,
}

impl Item {
    fn size(&self) -> usize {
        match &self.body {
            Body::Small { topic, properties, payload, .. } => {
                topic.saturating_add(*properties).saturating_add(*payload)
            }
            Body::Large(message) => message.size(),
        }
    }
}

impl AtMostOnce {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes of the messages.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies a message that was checked, whose properties take `properties_len` bytes.
    #[inline]
    pub(crate) fn push(
        &mut self,
        handle: u64,
        publish: &Publish<'_>,
        properties_len: usize,
        expires: Option<Instant>,
    ) {
        if Outgoing::shares(publish.payload.len()) {
            return self.push_message(handle, Message::copy_of(publish, properties_len), expires);
        }
        self.small.extend_from_slice(publish.topic.as_bytes());
        match &publish.properties {
            properties if properties.is_empty() => {}
            Properties::Block(block) => self.small.extend_from_slice(block.bytes()),
            Properties::List(list) => {
                list.iter().for_each(|property| property.write(&mut self.small));
            }
        }
        self.small.extend_from_slice(publish.payload);
        let body = Body::Small {
            retain: publish.retain,
            topic: publish.topic.len(),
            properties: properties_len,
            payload: publish.payload.len(),
            present: publish.properties.present(),
        };
        self.add(Item { handle, expires, body });
    }

    /// Takes a message without copying it.
    pub(crate) fn push_message(&mut self, handle: u64, message: Message, expires: Option<Instant>) {
        self.add(Item { handle, expires, body: Body::Large(Box::new(message)) });
    }

    #[inline]
    fn add(&mut self, item: Item) {
        self.bytes = self.bytes.saturating_add(item.size());
        self.items.push_back(item);
    }

    /// The oldest message.
    #[inline]
    pub(crate) fn front(&self) -> Option<&Item> {
        self.items.front()
    }

    /// The parts of the oldest message.
    #[inline]
    pub(crate) fn front_parts(&self) -> Option<Parts<'_>> {
        Some(match &self.items.front()?.body {
            Body::Small { retain, topic, properties, payload, present } => {
                let (topic, rest) = self.small.split_at_checked(*topic)?;
                let (properties, rest) = rest.split_at_checked(*properties)?;
                let payload = rest.get(..*payload)?;
                Parts {
                    retain: *retain,
                    topic,
                    properties,
                    present: *present,
                    payload,
                    shared: None,
                }
            }
            Body::Large(message) => Parts {
                retain: message.retain(),
                topic: message.topic_bytes(),
                properties: message.property_bytes(),
                present: message.present(),
                payload: message.payload(),
                shared: Some(message)
                    .filter(|message| Outgoing::shares(message.payload().len()))
                    .map(|m| &**m),
            },
        })
    }

    /// Takes the oldest message off, and says which it was.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u64> {
        let item = self.items.pop_front()?;
        let size = item.size();
        self.bytes = self.bytes.saturating_sub(size);
        if let Body::Small { .. } = item.body {
            self.small.advance(size.min(self.small.len()));
        }
        if self.items.is_empty() {
            self.release_storage();
        }
        Some(item.handle)
    }

    /// After a burst, so that it is not paid for in memory for ever.
    #[inline]
    fn release_storage(&mut self) {
        const KEEP: usize = 64 * 1024;
        if self.small.capacity() > KEEP {
            self.small = BytesMut::new();
        }
        if self.items.capacity() > KEEP / 64 {
            self.items = VecDeque::new();
        }
    }
}
