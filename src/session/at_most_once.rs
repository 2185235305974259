//! Sending at QoS 0: messages that wait for the transport. MQTT 5.0 §4.3.1.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::Buf;

use crate::message::Message;
use crate::outgoing::Outgoing;
use crate::packet::Publish;
use crate::packet::body::{Plan, Planned};
use crate::session::expiry::Expiries;
use crate::time::Instant;
use crate::varint;
use crate::version::Version;

/// Messages at QoS 0, in the order of the calls. Small ones are kept behind one another in one
/// buffer, as the packets that they become, so that sending one allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct AtMostOnce {
    items: VecDeque<Item>,
    /// PUBLISH packets of the small ones, without Topic Alias.
    small: Outgoing,
    bytes: usize,
    expiries: Expiries,
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
    /// Bytes of the packet, of what is before its topic, and of its parts.
    Small {
        frame: u32,
        start: u8,
        topic: u16,
        retain: bool,
        properties: u32,
        payload: u32,
        present: u64,
    },
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
    #[inline]
    fn size(&self) -> usize {
        match &self.body {
            // Lossless: targets have addresses of 32 bits at least.
            Body::Small { topic, properties, payload, .. } => usize::from(*topic)
                .saturating_add(*properties as usize)
                .saturating_add(*payload as usize),
            Body::Large(message) => message.size(),
        }
    }
}

impl AtMostOnce {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// The operations of the messages, in their order.
    pub(crate) fn handles(&self) -> impl Iterator<Item = u64> {
        self.items.iter().map(|item| item.handle)
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
        planned: &Planned<&Publish<'_>, Plan>,
        properties_len: usize,
        version: Version,
        expires: Option<Instant>,
    ) {
        if Outgoing::shares(publish.payload.len()) {
            return self.push_message(handle, Message::copy_of(publish, properties_len), expires);
        }
        let len = planned.encoded_len();
        // Room of its length was made.
        let _ = planned.encode(version, &mut self.small.room(len));
        let narrow = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let end = match version.is_v5() {
            true => properties_len.saturating_add(varint::encoded_len(narrow(properties_len))),
            false => 0,
        };
        let start = len
            .saturating_sub(publish.payload.len())
            .saturating_sub(end)
            .saturating_sub(publish.topic.len());
        let body = Body::Small {
            frame: narrow(len),
            start: u8::try_from(start).unwrap_or(u8::MAX),
            topic: u16::try_from(publish.topic.len()).unwrap_or(u16::MAX),
            retain: publish.retain,
            properties: narrow(properties_len),
            payload: narrow(publish.payload.len()),
            present: publish.properties.present(),
        };
        self.add(Item { handle, expires, body });
    }

    /// Takes a message without copying it.
    pub(crate) fn push_message(&mut self, handle: u64, message: Message, expires: Option<Instant>) {
        self.add(Item { handle, expires, body: Body::Large(Box::new(message)) });
    }

    #[inline(always)]
    fn add(&mut self, item: Item) {
        self.bytes = self.bytes.saturating_add(item.size());
        if let Some(expires) = item.expires {
            self.expiries.add(expires);
        }
        self.items.push_back(item);
    }

    /// Takes out the messages that have expired, wherever they are, and says which they were.
    ///
    /// They are looked for only when [that is due](Expiries::is_due).
    pub(crate) fn expire(&mut self, now: Instant, mut expired: impl FnMut(u64)) {
        if !self.expiries.is_due(now, self.items.len()) {
            return;
        }
        let (small, bytes) = (&mut self.small, &mut self.bytes);
        let mut kept = Outgoing::new();
        self.items.retain(|item| {
            let stays = item.expires.is_none_or(|expires| expires >= now);
            if let Body::Small { frame, .. } = item.body {
                let frame = frame as usize;
                if let Some(packet) = small.chunk().get(..frame).filter(|_| stays) {
                    kept.room(frame).copy_from_slice(packet);
                }
                small.advance(frame);
            }
            if !stays {
                *bytes = bytes.saturating_sub(item.size());
                expired(item.handle);
            }
            stays
        });
        self.small = kept;
        self.expiries.searched(now, self.items.iter().filter_map(|item| item.expires));
        if self.items.is_empty() {
            self.release_storage();
        }
    }

    /// The oldest message.
    #[inline]
    pub(crate) fn front(&self) -> Option<&Item> {
        self.items.front()
    }

    /// Takes off the oldest messages, as long as their packets can be sent as they are and come
    /// `before` another one, until `out` holds `limit` bytes. Says which they were; `false` if
    /// there were none.
    #[inline]
    pub(crate) fn pull_frames(
        &mut self,
        before: u64,
        limit: usize,
        out: &mut Outgoing,
        mut accepts: impl FnMut(usize, bool) -> bool,
        mut sent: impl FnMut(u64),
    ) -> bool {
        let room = limit.saturating_sub(out.remaining());
        let mut len = 0;
        while let Some(item) = self.items.front()
            && let Item { handle, expires: None, body: Body::Small { frame, retain, .. } } = item
            && *handle < before
            && len < room
            && accepts(*frame as usize, *retain)
        {
            len = len.saturating_add(*frame as usize);
            self.bytes = self.bytes.saturating_sub(item.size());
            sent(*handle);
            self.items.pop_front();
        }
        let Some(frames) = self.small.chunk().get(..len) else { return false };
        out.room(len).copy_from_slice(frames);
        self.small.advance(len);
        if self.items.is_empty() {
            self.release_storage();
        }
        len > 0
    }

    /// The parts of the oldest message.
    #[inline]
    pub(crate) fn front_parts(&self) -> Option<Parts<'_>> {
        Some(match &self.items.front()?.body {
            Body::Small { frame, start, topic, retain, properties, payload, present } => {
                let frame = self.small.chunk().get(..*frame as usize)?;
                let topic = frame.get(usize::from(*start)..)?.get(..usize::from(*topic))?;
                let before = frame.len().checked_sub(*payload as usize)?;
                let (head, payload) = frame.split_at_checked(before)?;
                let before = head.len().checked_sub(*properties as usize)?;
                let properties = head.get(before..)?;
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
        self.bytes = self.bytes.saturating_sub(item.size());
        if let Body::Small { frame, .. } = item.body {
            self.small.advance(frame as usize);
        }
        if self.items.is_empty() {
            self.release_storage();
        }
        Some(item.handle)
    }

    /// After a burst, so that it is not paid for in memory for ever.
    #[inline]
    fn release_storage(&mut self) {
        const KEEP: usize = 1024;
        if self.items.capacity() > KEEP {
            self.items = VecDeque::new();
        }
    }
}
