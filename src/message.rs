//! An application message that outlives the buffer it arrived in: it shares the storage of its
//! frame, or has storage of its own.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use bytes::Bytes;

use crate::error::{Cause, EncodeError};
use crate::packet::body::{Plan, Planned};
use crate::packet::{Packet, Publish};
use crate::packet_id::PacketId;
use crate::packet_type::Places;
use crate::properties::{Properties, PropertyBlock};
use crate::property::Property;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::text;
use crate::topic::{NameError, TopicName};
use crate::varint;
use crate::version::Version;

/// An application message that owns its bytes: what a PUBLISH carries from end to end, without
/// what belongs to the connection that it came over.
///
/// Made from a received PUBLISH it shares the storage of the frame: nothing is copied but
/// topic and properties if there was a Topic Alias or a Subscription Identifier among them, and
/// the whole frame lives as long as the message. [`compact`](Self::compact) gives it storage of
/// its own size.
///
/// ```
/// use bytes::Bytes;
/// use sansio_mqtt::{Message, Packet, Sender, Version};
///
/// let frame = Bytes::from_static(b"\x30\x09\x00\x03a/b21.5");
/// let Packet::Publish(publish) = Packet::decode(&frame, Version::V3_1_1, Sender::Client)? else {
///     panic!("no PUBLISH")
/// };
/// let message = Message::from_publish(&publish, Version::V3_1_1, &frame)?;
/// assert_eq!(message.topic(), "a/b");
/// assert_eq!(message.payload(), b"21.5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Message {
    /// What the parts are parts of.
    storage: Bytes,
    /// The payload, if it is not in the storage.
    apart: Option<Bytes>,
    parts: Parts,
    qos: QoS,
    retain: bool,
    /// Whether the storage may be part of something larger, such as the buffer it was read into.
    is_shared: bool,
}

/// Where in its storage the parts of a message are.
#[derive(Debug, Clone, Copy, Default)]
struct Parts {
    topic: Part,
    properties: Part,
    /// Subscription Identifiers, as properties.
    identifiers: Part,
    payload: Part,
    /// Which properties there are, as a [`PropertyBlock`] knows them.
    present: u64,
}

/// A range of a storage, which is never larger than a packet can be.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    start: u32,
    end: u32,
}

impl Part {
    fn range(self) -> Range<usize> {
        // Lossless: targets have addresses of 32 bits at least.
        self.start as usize..self.end as usize
    }

    fn of(self, storage: &[u8]) -> &[u8] {
        storage.get(self.range()).unwrap_or_default()
    }

    const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Where in `frame` a part of it is; `None` of anything else.
    fn locate(frame: &[u8], part: &[u8]) -> Option<Self> {
        let (frame, part) = (frame.as_ptr_range(), part.as_ptr_range());
        if part.start < frame.start || frame.end < part.end {
            return None;
        }
        let offset = |at: *const u8| u32::try_from(at.addr().checked_sub(frame.start.addr())?).ok();
        Some(Self { start: offset(part.start)?, end: offset(part.end)? })
    }
}

/// A received PUBLISH, by where its parts are in its frame: what a message is made of when the
/// frame has been taken off the buffer that it was decoded in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located {
    parts: Parts,
    qos: QoS,
    retain: bool,
}

impl Located {
    /// `None` if a part of the message is not in the frame, or one in it is not of the message:
    /// [`Message::from_publish`] copies then.
    #[inline]
    pub(crate) fn new(publish: &Publish<'_>, frame: &[u8]) -> Option<Self> {
        let (block, present) = match &publish.properties {
            Properties::Block(block) => (block.bytes(), block.present()),
            Properties::List([]) => (&[][..], 0),
            Properties::List(_) => return None,
        };
        if publish.topic.is_empty()
            || publish.properties.contains(PropertyId::TopicAlias)
            || publish.properties.contains(PropertyId::SubscriptionIdentifier)
        {
            return None;
        }
        let parts = Parts {
            topic: Part::locate(frame, publish.topic.as_bytes())?,
            properties: if block.is_empty() {
                Part::default()
            } else {
                Part::locate(frame, block)?
            },
            identifiers: Part::default(),
            payload: Part::locate(frame, publish.payload)?,
            present,
        };
        Some(Self { parts, qos: publish.qos, retain: publish.retain })
    }

    /// The message, of the frame that it was located in.
    #[inline]
    pub(crate) fn message(self, frame: Bytes) -> Message {
        let Self { parts, qos, retain } = self;
        Message { storage: frame, apart: None, parts, qos, retain, is_shared: true }
    }
}

/// Puts the parts of a message behind one another.
struct Builder {
    storage: Vec<u8>,
    parts: Parts,
}

impl Builder {
    fn with_capacity(bytes: usize) -> Self {
        Self { storage: Vec::with_capacity(bytes), parts: Parts::default() }
    }

    fn end(&self) -> u32 {
        // Checked before: no packet is that large.
        u32::try_from(self.storage.len()).unwrap_or(u32::MAX)
    }

    fn add(&mut self, bytes: &[u8]) -> Part {
        let start = self.end();
        self.storage.extend_from_slice(bytes);
        Part { start, end: self.end() }
    }

    /// Adds Subscription Identifiers, as properties.
    fn add_identifiers(&mut self, properties: &Properties<'_>) -> Part {
        let start = self.end();
        properties
            .subscription_identifiers()
            .for_each(|id| Property::SubscriptionIdentifier(id).write(&mut self.storage));
        Part { start, end: self.end() }
    }
}

impl Message {
    /// A message at QoS 0, not retained, without properties.
    pub fn new(topic: TopicName<'_>, payload: impl Into<Bytes>) -> Self {
        let mut builder = Builder::with_capacity(topic.as_str().len());
        builder.parts.topic = builder.add(topic.as_str().as_bytes());
        builder.message(Some(payload.into()), &Publish::default())
    }

    /// The message that a PUBLISH of `version` carries.
    ///
    /// What lies within `frame`, the bytes that the PUBLISH was decoded from, is shared with it;
    /// of a PUBLISH with a Topic Alias or Subscription Identifiers, and of any other, all but the
    /// payload is copied.
    ///
    /// # Errors
    ///
    /// [`Cause::InvalidTopicName`] if a Topic Alias stands for the Topic Name: the caller, who
    /// knows the alias, puts the name in its place first. As [`Packet::check`], for a PUBLISH that
    /// was not decoded.
    pub fn from_publish(
        publish: &Publish<'_>,
        version: Version,
        frame: &Bytes,
    ) -> Result<Self, EncodeError> {
        Packet::Publish(*publish).check(version)?;
        if publish.topic.is_empty() {
            return Err(Cause::InvalidTopicName(NameError::Empty).into());
        }
        if let Some(located) = Located::new(publish, frame) {
            return Ok(located.message(frame.clone()));
        }
        let payload = match Part::locate(frame, publish.payload) {
            Some(part) => frame.slice(part.range()),
            None => Bytes::copy_from_slice(publish.payload),
        };
        Ok(Self { is_shared: true, ..Self::with_payload(publish, payload) })
    }

    /// A PUBLISH that was checked, with all but the payload copied.
    fn with_payload(publish: &Publish<'_>, payload: Bytes) -> Self {
        let capacity = publish.topic.len().saturating_add(publish.properties_len());
        let mut builder = Builder::with_capacity(capacity);
        builder.add_head(publish);
        builder.message(Some(payload), publish)
    }

    /// Copies a PUBLISH that was checked, whose properties take `properties_len` bytes, into
    /// storage of its own: one allocation.
    pub(crate) fn copy_of(publish: &Publish<'_>, properties_len: usize) -> Self {
        let capacity = publish
            .topic
            .len()
            .saturating_add(properties_len)
            .saturating_add(publish.payload.len());
        let mut builder = Builder::with_capacity(capacity);
        builder.add_head(publish);
        builder.parts.payload = builder.add(publish.payload);
        builder.message(None, publish)
    }

    /// Copies a PUBLISH that was checked, as the packet that it is, whose properties take
    /// `properties_len` bytes, into storage of its own: one allocation.
    #[inline(always)]
    pub(crate) fn framed(
        publish: &Publish<'_>,
        planned: &Planned<&Publish<'_>, Plan>,
        properties_len: usize,
        version: Version,
    ) -> Self {
        let mut frame = Vec::with_capacity(planned.encoded_len());
        // A vector has room.
        let _ = planned.encode(version, &mut frame);
        // No packet is larger than a u32 counts.
        let narrow = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let part = |end: u32, len| Part { start: end.saturating_sub(narrow(len)), end };
        let payload = part(narrow(frame.len()), publish.payload.len());
        let properties = part(payload.start, properties_len);
        let before = match version.is_v5() {
            true => varint::encoded_len(narrow(properties_len)).saturating_add(2),
            false => 2,
        };
        let topic = part(part(properties.start, before).start, publish.topic.len());
        let present = publish.properties.present();
        let parts = Parts { topic, properties, identifiers: Part::default(), payload, present };
        let (qos, retain) = (publish.qos, publish.retain);
        Self { storage: frame.into(), apart: None, parts, qos, retain, is_shared: false }
    }

    /// Of a [framed](Self::framed) message: bytes of the packet.
    #[inline]
    pub(crate) fn frame_len(&self) -> usize {
        self.storage.len()
    }

    /// Of a [framed](Self::framed) message: writes the packet under this identifier into room of
    /// its length.
    #[inline]
    pub(crate) fn write_frame(&self, packet_id: PacketId, dup: bool, room: &mut [u8]) {
        room.copy_from_slice(&self.storage);
        if let Some(first) = room.first_mut()
            && dup
        {
            *first |= 0x08;
        }
        let behind = room.get_mut(self.parts.topic.end as usize..);
        if let Some((id, _)) = behind.and_then(|bytes| bytes.split_first_chunk_mut()) {
            *id = packet_id.get().to_be_bytes();
        }
    }

    /// The Topic Name.
    pub fn topic(&self) -> &str {
        // Always text: it was checked when the message was made.
        core::str::from_utf8(self.topic_bytes()).unwrap_or_default()
    }

    /// The bytes of the Topic Name.
    pub(crate) fn topic_bytes(&self) -> &[u8] {
        self.parts.topic.of(&self.storage)
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        match &self.apart {
            Some(payload) => payload,
            None => self.parts.payload.of(&self.storage),
        }
    }

    /// The payload, which shares the storage of the message.
    pub fn payload_bytes(&self) -> Bytes {
        match &self.apart {
            Some(payload) => payload.clone(),
            None if self.payload().is_empty() => Bytes::new(),
            None => self.storage.slice_ref(self.payload()),
        }
    }

    /// The properties that go from end to end, in their order: all of the PUBLISH but Topic Alias
    /// and Subscription Identifiers.
    pub fn properties(&self) -> Properties<'_> {
        Properties::Block(PropertyBlock::of_publish(self.property_bytes(), self.parts.present))
    }

    /// The bytes of the properties, without their length.
    pub(crate) fn property_bytes(&self) -> &[u8] {
        self.parts.properties.of(&self.storage)
    }

    /// Which properties there are, as a [`PropertyBlock`] knows them.
    pub(crate) const fn present(&self) -> u64 {
        self.parts.present
    }

    /// The Subscription Identifiers of the PUBLISH that the message was received with.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> + Clone {
        let present = if self.parts.identifiers.len() == 0 { 0 } else { u64::MAX };
        let bytes = self.parts.identifiers.of(&self.storage);
        Properties::Block(PropertyBlock::of_publish(bytes, present)).subscription_identifiers()
    }

    /// The QoS that the message was published at.
    pub const fn qos(&self) -> QoS {
        self.qos
    }

    /// The RETAIN flag that the message was published with.
    pub const fn retain(&self) -> bool {
        self.retain
    }

    /// The same message at another QoS.
    #[must_use]
    pub fn with_qos(self, qos: QoS) -> Self {
        Self { qos, ..self }
    }

    /// The same message with another RETAIN flag.
    #[must_use]
    pub fn with_retain(self, retain: bool) -> Self {
        Self { retain, ..self }
    }

    /// The same message with other properties, of which Topic Alias and Subscription Identifiers
    /// are left out.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the properties for a PUBLISH.
    pub fn with_properties(self, properties: &Properties<'_>) -> Result<Self, EncodeError> {
        properties.check(Version::V5, Places::PUBLISH)?;
        let publish = Publish { properties: *properties, ..self.to_publish() };
        let message = Self::with_payload(&publish, self.payload_bytes());
        Ok(Self { is_shared: self.is_shared, ..message })
    }

    /// A PUBLISH of the message, which still needs a Packet Identifier at QoS 1 and 2.
    ///
    /// It has the properties of the message, which [`Packet::for_version`] leaves out for 3.x.
    pub fn to_publish(&self) -> Publish<'_> {
        Publish {
            qos: self.qos,
            retain: self.retain,
            topic: self.topic(),
            properties: self.properties(),
            payload: self.payload(),
            ..Publish::default()
        }
    }

    /// How many bytes it holds: topic, properties, payload and Subscription Identifiers.
    pub fn size(&self) -> usize {
        let Parts { topic, properties, identifiers, .. } = self.parts;
        [topic.len(), properties.len(), identifiers.len()]
            .into_iter()
            .fold(self.payload().len(), usize::saturating_add)
    }

    /// Copies the message once into storage of its own size, so that it no longer keeps alive
    /// the frame, and the buffer, that it arrived in.
    #[must_use]
    pub fn compact(&self) -> Self {
        let mut builder = Builder::with_capacity(self.size());
        let Parts { topic, properties, identifiers, present, .. } = self.parts;
        let parts = Parts {
            topic: builder.add(topic.of(&self.storage)),
            properties: builder.add(properties.of(&self.storage)),
            identifiers: builder.add(identifiers.of(&self.storage)),
            payload: builder.add(self.payload()),
            present,
        };
        Self { storage: builder.storage.into(), apart: None, parts, is_shared: false, ..*self }
    }

    /// The message in storage of its own: [compact](Self::compact) if it may not be.
    pub(crate) fn into_own(self) -> Self {
        if self.is_shared { self.compact() } else { self }
    }

    /// Checks the message as the PUBLISH that it becomes in `version`, and says how many bytes
    /// that takes.
    pub(crate) fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        let packet_id = (self.qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        Packet::Publish(Publish { packet_id, ..self.to_publish() }).encoded_len(version)
    }
}

impl Builder {
    /// The message, as a PUBLISH with these flags.
    #[inline(always)]
    fn message(self, apart: Option<Bytes>, flags: &Publish<'_>) -> Message {
        let Publish { qos, retain, .. } = *flags;
        let (storage, parts) = (self.storage.into(), self.parts);
        Message { storage, apart, parts, qos, retain, is_shared: false }
    }

    /// Adds all but the payload.
    fn add_head(&mut self, publish: &Publish<'_>) {
        self.parts.topic = self.add(publish.topic.as_bytes());
        let start = self.end();
        self.parts.present = publish.properties.write_end_to_end(&mut self.storage);
        self.parts.properties = Part { start, end: self.end() };
        if publish.properties.contains(PropertyId::SubscriptionIdentifier) {
            self.parts.identifiers = self.add_identifiers(&publish.properties);
        }
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        let parts = |message: &Self| (message.qos, message.retain, message.payload().len());
        parts(self) == parts(other)
            && self.topic_bytes() == other.topic_bytes()
            && self.property_bytes() == other.property_bytes()
            && self.subscription_identifiers().eq(other.subscription_identifiers())
            && self.payload() == other.payload()
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Identifiers<I>(I);
        impl<I: Iterator<Item = u32> + Clone> fmt::Debug for Identifiers<I> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.0.clone()).finish()
            }
        }
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties())
            .field("subscription_identifiers", &Identifiers(self.subscription_identifiers()))
            .field("payload", &format_args!("{}", text::Bytes(self.payload())))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owned_packet::OwnedPacket;
    use crate::packet_type::Sender;
    use crate::property::Property;

    fn frame() -> Bytes {
        Bytes::from_static(b"\x3b\x11\x00\x03a/b\x00\x07\x04\x26\x00\x00\x00payload")
    }

    fn owned() -> OwnedPacket {
        let frame = Bytes::from(
            [&b"\x3b\x14\x00\x03a/b\x00\x07\x05\x26\x00\x00\x00\x00"[..], b"payload"].concat(),
        );
        OwnedPacket::from_frame(frame, Version::V5, Sender::Server).unwrap()
    }

    #[test]
    fn a_message_shares_the_storage_of_its_frame() {
        let owned = owned();
        let message = owned.message().unwrap();
        let within = |bytes: &[u8]| owned.frame().as_ptr_range().contains(&bytes.as_ptr());
        assert!(within(message.topic().as_bytes()));
        assert!(within(message.payload()));
        assert_eq!(message.properties(), Properties::List(&[Property::UserProperty("", "")]));
        assert_eq!((message.qos(), message.retain()), (QoS::AtLeastOnce, true));

        let compact = message.compact();
        assert_eq!(compact, message);
        assert!(!within(compact.payload()) && !within(compact.topic().as_bytes()));
        assert_eq!(compact.size(), 3 + 5 + 7);
    }

    #[test]
    fn a_message_of_3_x_shares_its_frame_too() {
        let frame = Bytes::from_static(b"\x30\x09\x00\x03a/b21.5");
        for version in [Version::V3_1, Version::V3_1_1] {
            let packet = OwnedPacket::from_frame(frame.clone(), version, Sender::Server).unwrap();
            let message = packet.message().unwrap();
            assert!(frame.as_ptr_range().contains(&message.payload().as_ptr()));
            assert!(frame.as_ptr_range().contains(&message.topic().as_ptr()));
        }
    }

    #[test]
    fn a_message_is_published_again() {
        let message = owned().message().unwrap();
        let publish = Publish { packet_id: PacketId::new(9), ..message.to_publish() };
        assert_eq!((publish.dup, publish.topic, publish.payload), (false, "a/b", &b"payload"[..]));
        let plain = Packet::from(publish).for_version(Version::V3_1_1).unwrap();
        assert_eq!(plain.encoded_len(Version::V3_1_1), Ok(16));
    }

    #[test]
    fn what_is_not_in_the_frame_is_copied() {
        let publish = Publish { topic: "elsewhere", payload: b"p", ..Default::default() };
        let message = Message::from_publish(&publish, Version::V5, &frame()).unwrap();
        assert_eq!((message.topic(), message.payload()), ("elsewhere", &b"p"[..]));
        let bad = Publish { topic: "a/#", ..publish };
        assert!(Message::from_publish(&bad, Version::V5, &frame()).is_err());
    }

    #[test]
    fn what_belongs_to_the_connection_is_left_behind() {
        let frame =
            Bytes::from_static(b"\x30\x0f\x00\x01a\x0a\x0b\x07\x01\x01\x23\x00\x05\x0b\x80\x01x");
        let packet = Packet::decode(&frame, Version::V5, Sender::Server).unwrap();
        let Packet::Publish(publish) = packet else { panic!("{packet}") };
        let message = Message::from_publish(&publish, Version::V5, &frame).unwrap();
        let kept = [Property::PayloadFormatIndicator(true)];
        assert_eq!(message.properties(), Properties::List(&kept));
        assert_eq!(message.to_publish().properties, Properties::List(&kept));
        for message in [message.compact(), message] {
            assert!(message.subscription_identifiers().eq([7, 128]));
        }
        let alias_only = Publish { topic: "", ..publish };
        let error = Message::from_publish(&alias_only, Version::V5, &frame).unwrap_err();
        assert_eq!(error, Cause::InvalidTopicName(NameError::Empty).into());
    }

    #[test]
    fn a_message_is_made_to_be_sent() {
        let topic = TopicName::new("a").unwrap();
        let expiry = [Property::MessageExpiryInterval(5)];
        let message = Message::new(topic, "x").with_qos(QoS::ExactlyOnce).with_retain(true);
        let message = message.with_properties(&(&expiry).into()).unwrap();
        assert_eq!(message.to_publish().properties.message_expiry_interval(), Some(5));
        let wrong = [Property::SessionExpiryInterval(5)];
        assert!(message.with_properties(&(&wrong).into()).is_err());
    }
}
