//! PUBLISH, MQTT 5.0 §3.3.

use core::fmt;

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault, Feature};
use crate::packet::body::{Body, Plan};
use crate::packet::header::{DUP, FixedHeader, RETAIN};
use crate::packet::tail::block_len;
use crate::packet_id::PacketId;
use crate::packet_type::{PacketType, Places, Sender};
use crate::properties::Properties;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::scan;
use crate::text::Bytes;
use crate::topic::{self, NameError};
use crate::version::Version;
use crate::wire::{self, Reader};

/// Publish message: an application message on its way, from either end. §3.3
///
/// ```
/// use sansio_mqtt::{Packet, Publish, Version};
///
/// let publish = Publish { topic: "a/b", payload: b"21.5", ..Default::default() };
/// let mut out = Vec::new();
/// Packet::from(publish).encode(Version::V3_1_1, &mut out)?;
/// assert_eq!(out, b"\x30\x09\x00\x03a/b21.5");
/// # Ok::<(), sansio_mqtt::EncodeError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Publish<'a> {
    /// Whether this may be sent again; never at QoS 0. v5 [MQTT-3.3.1-2]
    pub dup: bool,
    /// How the message is delivered.
    pub qos: QoS,
    /// Whether the server keeps the message for later subscribers, or took it from what it kept.
    pub retain: bool,
    /// The Topic Name; empty in 5.0 if a Topic Alias stands for it.
    pub topic: &'a str,
    /// There at QoS 1 and 2, and only there. v5 [MQTT-2.2.1-2]
    pub packet_id: Option<PacketId>,
    /// In 5.0.
    pub properties: Properties<'a>,
    /// What the application sends, without a form of its own.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    pub(crate) fn for_version(self, version: Version) -> Result<Self, EncodeError> {
        if version.is_v5() {
            return Ok(self);
        }
        if self.topic.is_empty() {
            return Err(EncodeError::NotInVersion(version, Feature::EmptyTopicName));
        }
        Ok(Self { properties: Properties::NONE, ..self })
    }

    #[inline(always)]
    pub(crate) fn decode(
        header: FixedHeader,
        reader: &mut Reader<'a>,
        version: Version,
        sender: Sender,
    ) -> Result<Self, Fault> {
        let before = *reader;
        let topic = reader.utf8()?;
        let needs_name = !version.is_v5();
        if scan::has_null_or_wildcard(topic.as_bytes()) || needs_name && topic.is_empty() {
            return Err(before.fault(Cause::of_topic_name(topic::name_error(topic))));
        }
        let qos = header.qos();
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_id()?),
        };
        let properties =
            Properties::decode_in(version, reader, Places::of(PacketType::Publish, sender))?;
        if topic.is_empty() && !properties.contains(PropertyId::TopicAlias) {
            return Err(before.fault(Cause::InvalidTopicName(NameError::Empty)));
        }
        Ok(Self {
            dup: header.dup(),
            qos,
            retain: header.retain(),
            topic,
            packet_id,
            properties,
            payload: reader.take_rest(),
        })
    }

    /// v5 3.3.2.1: a Topic Alias may stand for the name.
    /// How many bytes the properties of a PUBLISH that was checked take, their length not included.
    #[inline]
    pub(crate) fn properties_len(&self) -> usize {
        // Lossless: targets have addresses of 32 bits at least.
        self.properties.check(Version::V5, Places::PUBLISH).map_or(0, |len| len as usize)
    }

    #[cold]
    fn check_empty_topic(&self, version: Version) -> Result<(), EncodeError> {
        if version.is_v5() && self.properties.contains(PropertyId::TopicAlias) {
            return Ok(());
        }
        Err(Cause::InvalidTopicName(NameError::Empty).into())
    }
}

impl<'a> Body<'a> for Publish<'a> {
    type Plan = Plan;

    #[inline(always)]
    fn check(&self, version: Version) -> Result<Plan, EncodeError> {
        let packet_id_len = match (self.qos, self.packet_id) {
            (QoS::AtMostOnce, None) => 0,
            (QoS::AtMostOnce, Some(_)) => return Err(EncodeError::PacketIdAtQoS0),
            (_, Some(_)) => 2usize,
            (_, None) => return Err(EncodeError::MissingPacketId),
        };
        if self.dup && self.qos == QoS::AtMostOnce {
            return Err(Cause::DupAtQoS0.into());
        }
        let topic_len = wire::checked_binary_len(self.topic.as_bytes())?;
        let properties = self.properties.check(version, Places::PUBLISH)?;
        if self.topic.is_empty() {
            self.check_empty_topic(version)?;
        } else {
            topic::check_name(self.topic).map_err(Cause::of_topic_name)?;
        }
        let properties_len = block_len(version, properties);
        let remaining = topic_len
            .saturating_add(packet_id_len)
            .saturating_add(properties_len)
            .saturating_add(self.payload.len());
        Ok(Plan { remaining, properties })
    }

    #[inline(always)]
    fn remaining_length(&self, plan: &Plan) -> usize {
        plan.remaining
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        let dup = if self.dup { DUP } else { 0 };
        let retain = if self.retain { RETAIN } else { 0 };
        (PacketType::Publish as u8) << 4 | dup | self.qos.get() << 1 | retain
    }

    #[inline(always)]
    fn write(&self, version: Version, plan: &Plan, out: &mut impl BufMut) {
        wire::put_binary(self.topic.as_bytes(), out);
        if let Some(packet_id) = self.packet_id {
            out.put_u16(packet_id.get());
        }
        if version.is_v5() {
            self.properties.write(plan.properties, out);
        }
    }

    #[inline(always)]
    fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// All fields, the payload abbreviated.
impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("dup", &self.dup)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("topic", &self.topic)
            .field("packet_id", &self.packet_id)
            .field("properties", &self.properties)
            .field("payload", &format_args!("{}", Bytes(self.payload)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::property::Property;
    use alloc::vec::Vec;

    fn encode(publish: Publish<'_>, version: Version) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        Packet::from(publish).encode(version, &mut out).map(|()| out)
    }

    #[test]
    fn qos_0_has_no_identifier_and_no_dup() {
        // v5 [MQTT-2.2.1-2] [MQTT-3.3.1-2], v3.1.1 [MQTT-2.3.1-5] [MQTT-3.3.1-2]
        let publish = Publish { topic: "a", payload: b"x", retain: true, ..Default::default() };
        assert_eq!(encode(publish, Version::V5).unwrap(), [0x31, 5, 0, 1, b'a', 0, b'x']);
        assert_eq!(encode(publish, Version::V3_1).unwrap(), [0x31, 4, 0, 1, b'a', b'x']);
        let numbered = Publish { packet_id: PacketId::new(1), ..publish };
        assert_eq!(encode(numbered, Version::V5), Err(EncodeError::PacketIdAtQoS0));
        let again = Publish { dup: true, ..publish };
        assert_eq!(encode(again, Version::V5), Err(Cause::DupAtQoS0.into()));
    }

    #[test]
    fn qos_1_and_2_have_an_identifier() {
        // v5 [MQTT-2.2.1-3], v3.1.1 [MQTT-2.3.1-1]
        let publish =
            Publish { topic: "a", qos: QoS::ExactlyOnce, dup: true, ..Default::default() };
        assert_eq!(encode(publish, Version::V5), Err(EncodeError::MissingPacketId));
        let numbered = Publish { packet_id: PacketId::new(0x8001), ..publish };
        let bytes = [0x3c, 5, 0, 1, b'a', 0x80, 1];
        assert_eq!(encode(numbered, Version::V3_1_1).unwrap(), bytes);
    }

    #[test]
    fn an_empty_topic_needs_an_alias() {
        // v5 3.3.2.1, v3.1.1 [MQTT-4.7.3-1]
        let alias = [Property::TopicAlias(3)];
        let publish = Publish { properties: Properties::List(&alias), ..Default::default() };
        assert_eq!(encode(publish, Version::V5).unwrap(), [0x30, 6, 0, 0, 3, 0x23, 0, 3]);
        let error = EncodeError::Invalid(Cause::InvalidTopicName(NameError::Empty));
        assert_eq!(encode(Publish::default(), Version::V5), Err(error));
        assert_eq!(encode(Publish::default(), Version::V3_1_1), Err(error));
        let error = EncodeError::NotInVersion(Version::V3_1_1, Feature::EmptyTopicName);
        assert_eq!(publish.for_version(Version::V3_1_1), Err(error));
    }

    #[test]
    fn in_3_x_an_empty_topic_is_at_fault_before_what_comes_behind_it() {
        // v3.1.1 [MQTT-4.7.3-1]; 5.0 has to read on, for a Topic Alias.
        let empty = (Cause::InvalidTopicName(NameError::Empty), 2);
        let rows: [(&[u8], Version, (Cause, usize)); 5] = [
            (&[0x32, 4, 0, 0, 0, 0], Version::V3_1_1, empty),
            (&[0x32, 3, 0, 0, 1], Version::V3_1, empty),
            (&[0x30, 2, 0, 0], Version::V3_1_1, empty),
            (&[0x32, 4, 0, 0, 0, 0], Version::V5, (Cause::PacketIdentifierZero, 4)),
            (&[0x32, 5, 0, 0, 0, 1, 0], Version::V5, empty),
        ];
        for (bytes, version, expected) in rows {
            let error = Packet::decode(bytes, version, Sender::Client).unwrap_err();
            assert_eq!((error.cause, error.offset), expected, "{bytes:02x?} in {version}");
        }
    }

    #[test]
    fn names_are_checked_and_fields_are_short_enough() {
        // v5 [MQTT-3.3.2-2] [MQTT-4.7.3-3], v3.1.1 [MQTT-3.3.2-2] [MQTT-4.7.3-3]
        let long = "a".repeat(65_536);
        let rows = [
            ("a/#", EncodeError::Invalid(Cause::InvalidTopicName(NameError::Wildcard))),
            ("a\0", EncodeError::Invalid(Cause::NullCharacter)),
            (&long, EncodeError::FieldTooLong),
        ];
        for (topic, error) in rows {
            let publish = Publish { topic, ..Default::default() };
            for version in Version::ALL {
                assert_eq!(encode(publish, version), Err(error));
            }
        }
    }

    #[test]
    fn properties_are_refused_in_3_x_unless_left_out_on_purpose() {
        let list = [Property::MessageExpiryInterval(1)];
        let publish =
            Publish { topic: "a", properties: Properties::List(&list), ..Default::default() };
        let error = EncodeError::NotInVersion(Version::V3_1, Feature::Properties);
        assert_eq!(encode(publish, Version::V3_1), Err(error));
        let plain = publish.for_version(Version::V3_1).unwrap();
        assert_eq!(encode(plain, Version::V3_1).unwrap(), [0x30, 3, 0, 1, b'a']);
    }
}
