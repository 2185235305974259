//! The durable records of a client: their keys and values.
//!
//! Each value begins with the number of its format. A message is stored once, under the operation
//! that published it or the delivery that it came with; what state its exchange is in is another,
//! small record. Exchanges belong to a session, whose number they carry: those of a session that
//! is gone are orphans, which the next start collects.

use alloc::vec::Vec;

use crate::client::operations::Subscribed;
use crate::message::Message;
use crate::packet::{Publish, Subscription};
use crate::packet_id::PacketId;
use crate::packet_type::Places;
use crate::properties::{Properties, PropertyBlock};
use crate::property::Property;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::session::entry::Stage;
use crate::session::store::{Reader, Writer};
use crate::time::UnixTime;
use crate::topic::{TopicFilter, TopicName};
use crate::version::Version;

/// The low bits of a number count within a process, those above count processes.
pub(crate) const EPOCH_BITS: u32 = 32;

const FORMAT: u8 = 1;

/// In place of a DUP flag: the application is done with the message.
const DECIDED: u8 = 2;

/// What a key is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    Session,
    /// The message of an operation.
    Message(u64),
    /// How far the exchange of an operation is.
    Flight(u64),
    /// A received message, until the application acknowledges it.
    Delivery(u64),
    /// An identifier that waits for PUBREL.
    Released(PacketId),
    /// A Topic Filter that is subscribed to.
    Subscription(&'a str),
}

impl<'a> Key<'a> {
    pub(crate) fn encode(self) -> Vec<u8> {
        let writer = Writer::default();
        match self {
            Self::Session => writer.byte(b's'),
            Self::Message(handle) => writer.byte(b'm').u64(handle),
            Self::Flight(handle) => writer.byte(b'f').u64(handle),
            Self::Delivery(id) => writer.byte(b'd').u64(id),
            Self::Released(packet_id) => writer.byte(b'r').u16(packet_id.get()),
            Self::Subscription(filter) => writer.byte(b'b').bytes(filter.as_bytes()),
        }
        .0
    }

    pub(crate) fn decode(key: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(key);
        let key = match reader.byte()? {
            b's' => Self::Session,
            b'm' => Self::Message(reader.u64()?),
            b'f' => Self::Flight(reader.u64()?),
            b'd' => Self::Delivery(reader.u64()?),
            b'r' => Self::Released(PacketId::new(reader.u16()?)?),
            b'b' => Self::Subscription(TopicFilter::new(reader.text()?).ok()?.as_str()),
            _ => return None,
        };
        reader.finish().map(|()| key)
    }
}

/// What is stored of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionRecord<'a> {
    /// Whose it is.
    pub(crate) version: Version,
    pub(crate) client_id: &'a str,
    pub(crate) epoch: u32,
    pub(crate) number: u32,
    pub(crate) exists: bool,
    pub(crate) expiry_interval: u32,
    pub(crate) expires: Option<UnixTime>,
    pub(crate) assigned_client_id: &'a str,
}

impl<'a> SessionRecord<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Writer::default()
            .byte(FORMAT)
            .byte(self.version.protocol_level())
            .bytes(self.client_id.as_bytes())
            .u32(self.epoch)
            .u32(self.number)
            .byte(self.exists.into())
            .u32(self.expiry_interval)
            .optional(self.expires.map(UnixTime::as_secs))
            .bytes(self.assigned_client_id.as_bytes())
            .0
    }

    pub(crate) fn decode(value: &'a [u8]) -> Option<Self> {
        let mut reader = versioned(value)?;
        let record = Self {
            version: match reader.byte()? {
                3 => Version::V3_1,
                4 => Version::V3_1_1,
                5 => Version::V5,
                _ => return None,
            },
            client_id: reader.text()?,
            epoch: reader.u32()?,
            number: reader.u32()?,
            exists: reader.byte()? != 0,
            expiry_interval: reader.u32()?,
            expires: reader.optional()?.map(UnixTime::from_secs),
            assigned_client_id: reader.text()?,
        };
        reader.finish().map(|()| record)
    }
}

/// How far the exchange of an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlightRecord {
    pub(crate) session: u32,
    pub(crate) packet_id: PacketId,
    pub(crate) stage: Stage,
    pub(crate) order: u64,
}

impl FlightRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let stage = match self.stage {
            Stage::Queued => 0,
            Stage::AwaitPubAck => 1,
            Stage::AwaitPubRec => 2,
            Stage::AwaitPubComp => 3,
        };
        let writer = Writer::default().byte(FORMAT).u32(self.session);
        writer.u16(self.packet_id.get()).byte(stage).u64(self.order).0
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = versioned(value)?;
        let record = Self {
            session: reader.u32()?,
            packet_id: PacketId::new(reader.u16()?)?,
            stage: match reader.byte()? {
                1 => Stage::AwaitPubAck,
                2 => Stage::AwaitPubRec,
                3 => Stage::AwaitPubComp,
                _ => return None,
            },
            order: reader.u64()?,
        };
        reader.finish().map(|()| record)
    }
}

/// The value of a message that was published, and when it expires.
pub(crate) fn encode_message(message: &Message, expires: Option<UnixTime>) -> Vec<u8> {
    let writer = Writer::default().byte(FORMAT).optional(expires.map(UnixTime::as_secs));
    put_message(writer, message).0
}

pub(crate) fn decode_message(value: &[u8]) -> Option<(Message, Option<UnixTime>)> {
    let mut reader = versioned(value)?;
    let expires = reader.optional()?.map(UnixTime::from_secs);
    let message = read_message(&mut reader)?;
    reader.finish().map(|()| (message, expires))
}

/// A received message that the server has not been told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeliveryRecord {
    pub(crate) session: u32,
    pub(crate) packet_id: PacketId,
    pub(crate) stage: Received,
}

/// What the application has to do with a received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    /// It has not acknowledged it.
    Offered { dup: bool, message: Message },
    /// It has, and the message is not needed any more.
    Decided { qos: QoS, reason_code: ReasonCode },
}

impl DeliveryRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let writer = Writer::default().byte(FORMAT).u32(self.session).u16(self.packet_id.get());
        match &self.stage {
            Received::Offered { dup, message } => {
                put_message(writer.byte((*dup).into()), message).0
            }
            Received::Decided { qos, reason_code } => {
                writer.byte(DECIDED).byte(qos.get()).byte(reason_code.get()).0
            }
        }
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = versioned(value)?;
        let record = Self {
            session: reader.u32()?,
            packet_id: PacketId::new(reader.u16()?)?,
            stage: match reader.byte()? {
                DECIDED => Received::Decided {
                    qos: QoS::new(reader.byte()?)?,
                    reason_code: ReasonCode::new(reader.byte()?),
                },
                dup => Received::Offered { dup: dup != 0, message: read_message(&mut reader)? },
            },
        };
        reader.finish().map(|()| record)
    }
}

/// The value of a subscription.
pub(crate) fn encode_subscribed(Subscribed { options, identifier }: Subscribed) -> Vec<u8> {
    Writer::default().byte(FORMAT).byte(options).u32(identifier.unwrap_or_default()).0
}

pub(crate) fn decode_subscribed(value: &[u8]) -> Option<Subscribed> {
    let mut reader = versioned(value)?;
    let options = reader.byte()?;
    let identifier = Some(reader.u32()?).filter(|identifier| *identifier != 0);
    Subscription::with_options("", options)?;
    reader.finish().map(|()| Subscribed { options, identifier })
}

fn versioned(value: &[u8]) -> Option<Reader<'_>> {
    let mut reader = Reader(value);
    (reader.byte()? == FORMAT).then_some(reader)
}

fn put_message(writer: Writer, message: &Message) -> Writer {
    let mut identifiers = Vec::new();
    for identifier in message.subscription_identifiers() {
        Property::SubscriptionIdentifier(identifier).write(&mut identifiers);
    }
    writer
        .byte(message.qos().get() << 1 | u8::from(message.retain()))
        .bytes(message.topic().as_bytes())
        .bytes(message.property_bytes())
        .bytes(&identifiers)
        .bytes(message.payload())
}

fn read_message(reader: &mut Reader<'_>) -> Option<Message> {
    let flags = reader.byte()?;
    let topic = TopicName::new(reader.text()?).ok()?;
    let mut properties = reader.bytes()?.to_vec();
    properties.extend_from_slice(reader.bytes()?);
    let block = PropertyBlock::new(&properties, Places::PUBLISH).ok()?;
    let publish = Publish {
        qos: QoS::new(flags >> 1)?,
        retain: flags & 1 != 0,
        topic: topic.as_str(),
        properties: Properties::Block(block),
        payload: reader.bytes()?,
        ..Publish::default()
    };
    // At QoS 0 nothing is stored.
    (publish.qos != QoS::AtMostOnce).then(|| Message::copy_of(&publish, properties.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let properties = [
            Property::UserProperty("a", "b"),
            Property::MessageExpiryInterval(60),
            Property::SubscriptionIdentifier(7),
            Property::SubscriptionIdentifier(300),
        ];
        let publish = Publish {
            qos: QoS::ExactlyOnce,
            retain: true,
            topic: "größe/1",
            properties: (&properties).into(),
            payload: b"payload",
            ..Publish::default()
        };
        Message::copy_of(&publish, 100)
    }

    #[test]
    fn keys_are_read_back() {
        let id = PacketId::new(0x1234).unwrap();
        let filter = Key::Subscription("$share/a/+/#");
        let keys = [Key::Session, Key::Message(1), Key::Flight(2), Key::Delivery(3), filter];
        for key in keys.into_iter().chain([Key::Released(id)]) {
            let bytes = key.encode();
            assert_eq!(Key::decode(&bytes), Some(key));
            assert_eq!(Key::decode(&[&bytes[..], &[0]].concat()), None);
            assert_eq!(Key::decode(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Key::decode(b"x"), None);
    }

    #[test]
    fn values_are_read_back_and_nothing_less() {
        for stage in [
            Received::Offered { dup: true, message: message() },
            Received::Decided { qos: QoS::AtLeastOnce, reason_code: ReasonCode::QUOTA_EXCEEDED },
        ] {
            let record = DeliveryRecord { session: 3, packet_id: PacketId::MAX, stage };
            let bytes = record.encode();
            assert_eq!(DeliveryRecord::decode(&bytes[..bytes.len() - 1]), None);
            assert_eq!(DeliveryRecord::decode(&bytes), Some(record));
        }
        let flight = FlightRecord {
            session: 1,
            packet_id: PacketId::MIN,
            stage: Stage::AwaitPubComp,
            order: 9,
        };
        assert_eq!(FlightRecord::decode(&flight.encode()), Some(flight));
        let session = SessionRecord {
            version: Version::V5,
            client_id: "",
            epoch: 1,
            number: 2,
            exists: true,
            expiry_interval: 3,
            expires: Some(UnixTime::from_secs(4)),
            assigned_client_id: "auto",
        };
        let bytes = session.encode();
        assert_eq!(SessionRecord::decode(&bytes), Some(session));
        for len in 0..bytes.len() {
            assert_eq!(SessionRecord::decode(&bytes[..len]), None);
        }
        for identifier in [None, Some(7)] {
            let subscribed = Subscribed { options: 0x2d, identifier };
            let bytes = encode_subscribed(subscribed);
            assert_eq!(decode_subscribed(&bytes), Some(subscribed));
            assert_eq!(decode_subscribed(&bytes[1..]), None);
        }
        let bytes = encode_message(&message(), Some(UnixTime::from_secs(5)));
        assert_eq!(decode_message(&bytes), Some((message(), Some(UnixTime::from_secs(5)))));
        for len in 0..bytes.len() {
            assert_eq!(decode_message(&bytes[..len]), None);
        }
    }
}
