//! A stored message on its way out: PUBLISH as it is written for one connection.

use bytes::{BufMut, Bytes};

use crate::outgoing::Outgoing;
use crate::packet_id::PacketId;
use crate::packet_type::PacketType;
use crate::properties::{Properties, PropertyBlock};
use crate::property::Property;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::varint;
use crate::version::Version;
use crate::wire;

/// A PUBLISH made of parts that were checked when the message was taken in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WirePublish<'a> {
    pub(crate) dup: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) topic: &'a [u8],
    pub(crate) packet_id: Option<PacketId>,
    /// The properties of the message, which are those of 5.0, and which of them there are.
    pub(crate) properties: &'a [u8],
    pub(crate) present: u64,
    /// What is left of the Message Expiry Interval, in place of the one in the properties.
    pub(crate) expiry: Option<u32>,
    /// Subscription Identifiers.
    pub(crate) identifiers: &'a [u32],
    pub(crate) payload: &'a [u8],
}

/// The Topic Alias that goes with a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alias {
    /// None.
    None,
    /// One that the other end learns with this PUBLISH.
    Set(u16),
    /// One that stands for the topic.
    Use(u16),
}

/// Bytes of a Topic Alias among the properties.
pub(crate) const ALIAS_LEN: usize = 3;

/// How long a PUBLISH and its parts are, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lengths {
    /// The properties, without their length.
    properties: u32,
    /// What is behind the fixed header.
    remaining: u32,
    pub(crate) packet: usize,
}

impl WirePublish<'_> {
    /// How long the packet and its parts are.
    #[inline]
    pub(crate) fn lengths(&self, version: Version, alias: Alias) -> Lengths {
        let (topic, alias) = match alias {
            Alias::None => (self.topic.len(), 0),
            Alias::Set(_) => (self.topic.len(), ALIAS_LEN),
            Alias::Use(_) => (0, ALIAS_LEN),
        };
        let id = if self.packet_id.is_some() { 2 } else { 0 };
        let mut lengths = Lengths::default();
        let mut remaining =
            topic.saturating_add(id).saturating_add(self.payload.len()).saturating_add(2);
        if version.is_v5() {
            let len = self.properties_len(alias);
            lengths.properties = u32::try_from(len).unwrap_or(u32::MAX);
            let prefix = varint::encoded_len(lengths.properties);
            remaining = remaining.saturating_add(len).saturating_add(prefix);
        }
        lengths.remaining = u32::try_from(remaining).unwrap_or(u32::MAX);
        let header = varint::encoded_len(lengths.remaining);
        lengths.packet = remaining.saturating_add(header).saturating_add(1);
        lengths
    }

    /// Bytes of the properties, with so many of a Topic Alias.
    #[inline]
    fn properties_len(&self, alias: usize) -> usize {
        let len = self.properties.len().saturating_add(alias);
        if self.identifiers.is_empty() {
            return len;
        }
        let identifiers = self.identifiers.iter().map(|id| varint::encoded_len(*id));
        identifiers.fold(len, |len, id| len.saturating_add(id).saturating_add(1))
    }

    /// Bytes of the whole packet.
    #[inline]
    pub(crate) fn encoded_len(&self, version: Version, alias: Alias) -> usize {
        self.lengths(version, alias).packet
    }

    /// Appends the packet, which has these lengths; `shared` is the payload, to be shared in place
    /// of being copied.
    #[inline]
    pub(crate) fn write(
        &self,
        version: Version,
        alias: Alias,
        lengths: Lengths,
        shared: Option<Bytes>,
        out: &mut Outgoing,
    ) {
        let len = lengths.packet;
        match shared {
            None => self.write_to(version, alias, lengths, out.room(len)),
            Some(payload) => {
                let mut room = out.room(len.saturating_sub(payload.len()));
                self.write_head(version, alias, lengths, &mut room);
                out.push_shared(payload);
            }
        }
    }

    /// Writes the packet where there is room for it.
    #[inline]
    pub(crate) fn write_to(
        &self,
        version: Version,
        alias: Alias,
        lengths: Lengths,
        mut room: &mut [u8],
    ) {
        self.write_head(version, alias, lengths, &mut room);
        room.put_slice(self.payload);
    }

    /// Writes what comes before the payload.
    #[inline]
    fn write_head(&self, version: Version, alias: Alias, lengths: Lengths, room: &mut &mut [u8]) {
        let dup = if self.dup { 0x08 } else { 0 };
        let flags = dup | self.qos.get() << 1 | u8::from(self.retain);
        room.put_u8((PacketType::Publish as u8) << 4 | flags);
        varint::put(lengths.remaining, room);
        wire::put_binary(if matches!(alias, Alias::Use(_)) { &[] } else { self.topic }, room);
        if let Some(packet_id) = self.packet_id {
            room.put_u16(packet_id.get());
        }
        if version.is_v5() {
            varint::put(lengths.properties, room);
            self.write_properties(alias, room);
        }
    }

    #[inline]
    fn write_properties(&self, alias: Alias, room: &mut &mut [u8]) {
        self.write_own_properties(room);
        for identifier in self.identifiers {
            Property::SubscriptionIdentifier(*identifier).write(room);
        }
        if let Alias::Set(number) | Alias::Use(number) = alias {
            Property::TopicAlias(number).write(room);
        }
    }

    #[inline]
    fn write_own_properties(&self, room: &mut &mut [u8]) {
        match self.expiry {
            None => room.put_slice(self.properties),
            Some(expiry) => self.write_with_expiry(expiry, room),
        }
    }

    #[inline(never)]
    fn write_with_expiry(&self, expiry: u32, room: &mut &mut [u8]) {
        let block = PropertyBlock::of_publish(self.properties, self.present);
        for property in Properties::Block(block) {
            match property.id() {
                PropertyId::MessageExpiryInterval => {
                    Property::MessageExpiryInterval(expiry).write(room);
                }
                _ => property.write(room),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, Publish};
    use crate::packet_type::{Places, Sender};
    use alloc::vec::Vec;
    use bytes::Buf;

    fn bytes(mut out: Outgoing) -> Vec<u8> {
        out.copy_to_bytes(out.remaining()).to_vec()
    }

    #[test]
    fn what_is_written_is_what_the_codec_writes() {
        let list = [Property::MessageExpiryInterval(60), Property::UserProperty("a", "b")];
        let mut block = Vec::new();
        list.iter().for_each(|property| property.write(&mut block));
        let present = PropertyBlock::new(&block, Places::PUBLISH).unwrap().present();
        for (payload, version, alias, expiry) in [
            (5, Version::V3_1_1, Alias::None, None),
            (5, Version::V5, Alias::None, None),
            (115, Version::V5, Alias::None, Some(7)),
            (20_000, Version::V5, Alias::Set(3), None),
            (3_000_000, Version::V5, Alias::Use(0x1234), Some(0)),
        ] {
            let payload = Bytes::from(alloc::vec![7; payload]);
            let is_v5 = version.is_v5();
            let wire = WirePublish {
                dup: true,
                qos: QoS::AtLeastOnce,
                retain: true,
                topic: b"topic",
                packet_id: PacketId::new(0x0102),
                properties: if is_v5 { &block } else { &[] },
                present: if is_v5 { present } else { 0 },
                expiry,
                identifiers: &[],
                payload: &payload,
            };
            let mut expected = Vec::new();
            if is_v5 {
                expected.push(Property::MessageExpiryInterval(expiry.unwrap_or(60)));
                expected.push(list[1]);
            }
            if let Alias::Set(alias) | Alias::Use(alias) = alias {
                expected.push(Property::TopicAlias(alias));
            }
            let packet = Packet::Publish(Publish {
                dup: true,
                qos: QoS::AtLeastOnce,
                retain: true,
                topic: if matches!(alias, Alias::Use(_)) { "" } else { "topic" },
                packet_id: PacketId::new(0x0102),
                properties: (&expected[..]).into(),
                payload: &payload,
            });
            let mut encoded = Vec::new();
            packet.encode(version, &mut encoded).unwrap();
            assert!(Packet::decode(&encoded, version, Sender::Client).is_ok());
            for shared in [None, Some(payload.clone())] {
                let mut out = Outgoing::new();
                wire.write(version, alias, wire.lengths(version, alias), shared, &mut out);
                assert_eq!(wire.encoded_len(version, alias), encoded.len());
                assert!(bytes(out) == encoded, "{alias:?} {expiry:?}");
            }
        }
    }
}
