//! What outlives the buffer it arrived in: an application message, or any packet, that shares
//! the storage of its frame.

use alloc::vec::Vec;
use core::fmt;

use bytes::{Bytes, BytesMut};

use crate::decoder::Decoder;
use crate::error::{Cause, DecodeError, EncodeError};
use crate::packet::{Packet, Publish};
use crate::packet_type::{Places, Sender};
use crate::properties::{Properties, PropertyBlock};
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::text;
use crate::topic::{NameError, TopicName};
use crate::version::Version;

/// An application message that owns its bytes: what a PUBLISH carries from end to end, without
/// what belongs to the connection that it came over.
///
/// Made from a received PUBLISH it shares the storage of the frame: nothing is copied but
/// properties among which there was a Topic Alias or a Subscription Identifier, and the whole
/// frame lives as long as the message. [`compact`](Self::compact) gives it storage of its
/// own size.
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
/// assert_eq!(message.payload(), "21.5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    topic: Bytes,
    payload: Bytes,
    properties: OwnedProperties,
    subscription_identifiers: OwnedProperties,
    qos: QoS,
    retain: bool,
}

/// Properties of a PUBLISH: their bytes, and what is known of them.
#[derive(Clone)]
struct OwnedProperties {
    bytes: Bytes,
    known: PropertyBlock<'static>,
}

impl OwnedProperties {
    const NONE: Self = Self { bytes: Bytes::new(), known: PropertyBlock::NONE };

    /// Those of `properties` that `wanted` holds for, shared with `frame` if that is all.
    fn new(
        properties: &Properties<'_>,
        frame: &Bytes,
        wanted: impl Fn(PropertyId) -> bool,
    ) -> Result<Self, EncodeError> {
        if let Properties::Block(block) = properties
            && PropertyId::ALL.into_iter().all(|id| wanted(id) || !properties.contains(id))
        {
            let bytes = share(frame, block.bytes());
            return Ok(Self { bytes, known: block.moved_to(&[]) });
        }
        let wanted = || properties.iter().filter(|property| wanted(property.id()));
        let mut len: usize = 0;
        for property in wanted() {
            len = len.saturating_add(property.check(property.id().rule())?);
        }
        let mut bytes = Vec::with_capacity(len);
        wanted().for_each(|property| property.write(&mut bytes));
        let bytes = Bytes::from(bytes);
        let known = PropertyBlock::new(&bytes, Places::PUBLISH)?.moved_to(&[]);
        Ok(Self { bytes, known })
    }

    fn get(&self) -> Properties<'_> {
        Properties::Block(self.known.moved_to(&self.bytes))
    }
}

impl PartialEq for OwnedProperties {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for OwnedProperties {}

impl Message {
    /// A message at QoS 0, not retained, without properties.
    pub fn new(topic: TopicName<'_>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: Bytes::copy_from_slice(topic.as_str().as_bytes()),
            payload: payload.into(),
            properties: OwnedProperties::NONE,
            subscription_identifiers: OwnedProperties::NONE,
            qos: QoS::AtMostOnce,
            retain: false,
        }
    }

    /// The message that a PUBLISH of `version` carries.
    ///
    /// What lies within `frame`, the bytes that the PUBLISH was decoded from, is shared with it;
    /// anything else, such as a Topic Name that an alias stood for, is copied.
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
        let properties = &publish.properties;
        let identifiers = if properties.contains(PropertyId::SubscriptionIdentifier) {
            OwnedProperties::new(properties, frame, |id| id == PropertyId::SubscriptionIdentifier)?
        } else {
            OwnedProperties::NONE
        };
        Ok(Self {
            topic: share(frame, publish.topic.as_bytes()),
            payload: share(frame, publish.payload),
            properties: OwnedProperties::new(properties, frame, is_end_to_end)?,
            subscription_identifiers: identifiers,
            qos: publish.qos,
            retain: publish.retain,
        })
    }

    /// The Topic Name.
    pub fn topic(&self) -> &str {
        // Always text: it was checked when the message was made.
        core::str::from_utf8(&self.topic).unwrap_or_default()
    }

    /// The payload.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The properties that go from end to end, in their order: all of the PUBLISH but Topic Alias
    /// and Subscription Identifiers.
    pub fn properties(&self) -> Properties<'_> {
        self.properties.get()
    }

    /// The Subscription Identifiers of the PUBLISH that the message was received with.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> + Clone {
        self.subscription_identifiers.get().subscription_identifiers()
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
        let properties = OwnedProperties::new(properties, &Bytes::new(), is_end_to_end)?;
        Ok(Self { properties, ..self })
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
            payload: &self.payload,
            ..Publish::default()
        }
    }

    fn parts(&self) -> [&Bytes; 4] {
        let identifiers = &self.subscription_identifiers.bytes;
        [&self.topic, &self.properties.bytes, &self.payload, identifiers]
    }

    /// How many bytes it holds: topic, properties, payload and Subscription Identifiers.
    pub fn size(&self) -> usize {
        self.parts().into_iter().fold(0, |sum, part| sum.saturating_add(part.len()))
    }

    /// Copies the message once into storage of its own size, so that it no longer keeps alive
    /// the frame, and the buffer, that it arrived in.
    #[must_use]
    pub fn compact(&self) -> Self {
        let mut storage = BytesMut::with_capacity(self.size());
        for part in self.parts() {
            storage.extend_from_slice(part);
        }
        let topic = storage.split_to(self.topic.len()).freeze();
        let bytes = storage.split_to(self.properties.bytes.len()).freeze();
        let properties = OwnedProperties { bytes, known: self.properties.known };
        let payload = storage.split_to(self.payload.len()).freeze();
        let subscription_identifiers =
            OwnedProperties { bytes: storage.freeze(), ..self.subscription_identifiers.clone() };
        Self { topic, properties, payload, subscription_identifiers, ..*self }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties())
            .field("subscription_identifiers", &self.subscription_identifiers.get())
            .field("payload", &format_args!("{}", text::Bytes(&self.payload)))
            .finish()
    }
}

/// Whether a property of a PUBLISH is of the message, and not of the connection it came over.
fn is_end_to_end(id: PropertyId) -> bool {
    !matches!(id, PropertyId::TopicAlias | PropertyId::SubscriptionIdentifier)
}

/// A part of `frame` that shares its storage; what is no part of it is copied.
fn share(frame: &Bytes, part: &[u8]) -> Bytes {
    let (frame_range, part_range) = (frame.as_ptr_range(), part.as_ptr_range());
    if frame_range.start <= part_range.start && part_range.end <= frame_range.end {
        frame.slice_ref(part)
    } else {
        Bytes::copy_from_slice(part)
    }
}

/// Any packet that owns its bytes: the frame it came in or was encoded to.
///
/// Cheap to clone, to keep and to send to another thread; [`packet`](Self::packet) reads it.
///
/// ```
/// use bytes::BytesMut;
/// use sansio_mqtt::{Decoder, OwnedPacket, Packet, Version};
///
/// let mut received = BytesMut::from(&b"\xd0\x00\x30\x05\x00\x01a21"[..]);
/// let mut decoder = Decoder::from_server(Version::V3_1_1);
/// let (sender, receiver) = std::sync::mpsc::channel();
/// while let Some(packet) = OwnedPacket::decode(&mut decoder, &mut received)? {
///     sender.send(packet)?;
/// }
/// assert_eq!(receiver.recv()?.packet(), Packet::PingResp);
/// assert_eq!(receiver.recv()?.to_string(), r#"PUBLISH "a" QoS 0 "21""#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedPacket {
    frame: Bytes,
    version: Version,
    sender: Sender,
}

impl OwnedPacket {
    /// Takes a frame that is one whole packet.
    ///
    /// # Errors
    ///
    /// As [`Packet::decode`].
    pub fn from_frame(frame: Bytes, version: Version, sender: Sender) -> Result<Self, DecodeError> {
        Packet::decode(&frame, version, sender)?;
        Ok(Self { frame, version, sender })
    }

    /// Takes the packet at the front of `bytes` off them, without copying it; `None` if more
    /// bytes are needed.
    ///
    /// # Errors
    ///
    /// As [`Decoder::decode`]; `bytes` are as they were.
    pub fn decode(
        decoder: &mut Decoder,
        bytes: &mut BytesMut,
    ) -> Result<Option<Self>, DecodeError> {
        let Some((_, len)) = decoder.decode(bytes)? else { return Ok(None) };
        // Known since a packet was decoded.
        let Some(version) = decoder.version() else { return Ok(None) };
        let frame = bytes.split_to(len).freeze();
        Ok(Some(Self { frame, version, sender: decoder.sender() }))
    }

    /// Copies a packet that `sender` may send into a frame of its own.
    ///
    /// # Errors
    ///
    /// As [`Packet::encode`]; [`EncodeError::Invalid`] also if `sender` may not send it.
    pub fn from_packet(
        packet: &Packet<'_>,
        version: Version,
        sender: Sender,
    ) -> Result<Self, EncodeError> {
        let checked = packet.check(version)?;
        let mut frame = BytesMut::with_capacity(checked.encoded_len());
        checked.encode(&mut frame)?;
        let frame = frame.freeze();
        Self::from_frame(frame, version, sender).map_err(|error| error.cause.into())
    }

    /// The packet; it is decoded at each call, so keep what this returns.
    pub fn packet(&self) -> Packet<'_> {
        // The frame was decoded when this was made, and it cannot change: it decodes again.
        Packet::decode(&self.frame, self.version, self.sender).unwrap_or(Packet::PingReq)
    }

    /// The bytes of the packet, for a connection of the same version.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Of the connection that the packet is for.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Who sends it.
    pub const fn sender(&self) -> Sender {
        self.sender
    }

    /// The message of a PUBLISH, which shares the storage of the frame; `None` of any other
    /// packet, and of a PUBLISH with a Topic Alias in place of the Topic Name:
    /// [`Message::from_publish`].
    pub fn message(&self) -> Option<Message> {
        match self.packet() {
            Packet::Publish(publish) => {
                Message::from_publish(&publish, self.version, &self.frame).ok()
            }
            _ => None,
        }
    }
}

impl fmt::Debug for OwnedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPacket")
            .field("version", &self.version)
            .field("sender", &self.sender)
            .field("packet", &self.packet())
            .finish()
    }
}

impl fmt::Display for OwnedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.packet(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Connect, Subscribe, Subscription};
    use crate::packet_id::PacketId;
    use crate::property::Property;
    use alloc::format;

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
        assert_eq!((message.topic(), &message.payload()[..]), ("elsewhere", &b"p"[..]));
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

    #[test]
    fn any_packet_can_be_owned() {
        let list = [Subscription::new("a", QoS::AtMostOnce)];
        let subscribe = Packet::from(Subscribe::new(PacketId::MIN, &list));
        let owned = OwnedPacket::from_packet(&subscribe, Version::V5, Sender::Client).unwrap();
        assert_eq!(owned.packet(), subscribe);
        let error = OwnedPacket::from_packet(&subscribe, Version::V5, Sender::Server).unwrap_err();
        assert_eq!(error, Cause::PacketFromWrongSender(Sender::Server).into());
    }

    #[test]
    fn secrets_are_not_shown() {
        let connect = Packet::from(Connect { password: Some(b"hunter2"), ..Default::default() });
        let owned = OwnedPacket::from_packet(&connect, Version::V5, Sender::Client).unwrap();
        let shown = format!("{owned:?} {owned}");
        assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
    }
}
