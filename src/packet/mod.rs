//! The Control Packets, MQTT 5.0 §3: one type for all, and one for each.

pub(crate) mod ack;
mod auth;
pub(crate) mod body;
mod connack;
mod connect;
mod disconnect;
mod header;
mod publish;
mod suback;
mod subscribe;
mod tail;
mod unsubscribe;

pub use self::ack::{PubAck, PubComp, PubRec, PubRel};
pub use self::auth::Auth;
pub use self::connack::ConnAck;
pub use self::connect::{Connect, Will};
pub use self::disconnect::Disconnect;
pub use self::header::FixedHeader;
pub(crate) use self::header::refusal;
pub use self::publish::Publish;
pub use self::suback::{ReasonCodeBlock, ReasonCodes, ReasonCodesIter, SubAck, UnsubAck};
pub use self::subscribe::{
    RetainHandling, Subscribe, Subscription, SubscriptionBlock, Subscriptions, SubscriptionsIter,
};
pub use self::unsubscribe::{TopicFilterBlock, TopicFilters, TopicFiltersIter, Unsubscribe};

use crate::error::{Cause, DecodeError, EncodeError, Fault, Feature};
use crate::packet_id::PacketId;
use crate::packet_type::{PacketType, Sender};
use crate::version::Version;
use crate::wire::Reader;

/// A Control Packet of any version.
///
/// It borrows what it holds: from the bytes it was decoded from, or from what it was made of to
/// be sent. One model serves all versions; what a version does not have is refused when it is
/// encoded for it ([`EncodeError::NotInVersion`]), and left out by [`for_version`] on purpose.
///
/// [`for_version`]: Self::for_version
///
/// ```
/// use sansio_mqtt::{Packet, Sender, Version};
///
/// let frame = b"\x32\x0a\x00\x03a/b\x00\x0721\xc2";
/// let packet = Packet::decode(frame, Version::V3_1_1, Sender::Client)?;
/// let Packet::Publish(publish) = packet else { panic!("no PUBLISH") };
/// assert_eq!(publish.topic, "a/b");
/// assert_eq!(publish.packet_id.map(|id| id.get()), Some(7));
/// assert_eq!(publish.payload, b"21\xc2");
///
/// let mut out = Vec::new();
/// packet.encode(Version::V3_1_1, &mut out)?;
/// assert_eq!(out, frame);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Packet<'a> {
    /// Connection request, from the client.
    Connect(Connect<'a>),
    /// Connect acknowledgement, from the server.
    ConnAck(ConnAck<'a>),
    /// Publish message.
    Publish(Publish<'a>),
    /// Publish acknowledgement (QoS 1).
    PubAck(PubAck<'a>),
    /// Publish received (QoS 2 delivery part 1).
    PubRec(PubRec<'a>),
    /// Publish release (QoS 2 delivery part 2).
    PubRel(PubRel<'a>),
    /// Publish complete (QoS 2 delivery part 3).
    PubComp(PubComp<'a>),
    /// Subscribe request, from the client.
    Subscribe(Subscribe<'a>),
    /// Subscribe acknowledgement, from the server.
    SubAck(SubAck<'a>),
    /// Unsubscribe request, from the client.
    Unsubscribe(Unsubscribe<'a>),
    /// Unsubscribe acknowledgement, from the server.
    UnsubAck(UnsubAck<'a>),
    /// PING request, from the client.
    PingReq,
    /// PING response, from the server.
    PingResp,
    /// Disconnect notification.
    Disconnect(Disconnect<'a>),
    /// Authentication exchange, in 5.0.
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// The type.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// The Packet Identifier of the packets that have one. v5 2.2.1
    pub const fn packet_id(&self) -> Option<PacketId> {
        Some(match self {
            Self::Publish(packet) => return packet.packet_id,
            Self::PubAck(packet) => packet.packet_id,
            Self::PubRec(packet) => packet.packet_id,
            Self::PubRel(packet) => packet.packet_id,
            Self::PubComp(packet) => packet.packet_id,
            Self::Subscribe(packet) => packet.packet_id,
            Self::SubAck(packet) => packet.packet_id,
            Self::Unsubscribe(packet) => packet.packet_id,
            Self::UnsubAck(packet) => packet.packet_id,
            Self::Connect(_)
            | Self::ConnAck(_)
            | Self::PingReq
            | Self::PingResp
            | Self::Disconnect(_)
            | Self::Auth(_) => return None,
        })
    }

    /// Decodes `frame`, which is one whole packet that `sender` sent; [`Decoder`] finds packets
    /// in a stream.
    ///
    /// # Errors
    ///
    /// Says which rule of `version` the packet breaks, and where.
    ///
    /// [`Decoder`]: crate::Decoder
    #[inline]
    pub fn decode(frame: &'a [u8], version: Version, sender: Sender) -> Result<Self, DecodeError> {
        split(frame, Some(version), sender)
            .and_then(|(header, body)| {
                Self::decode_body(header, body, version, sender, |packet| packet)
            })
            .map_err(|error| error.in_version(version))
    }

    /// Decodes a packet behind its fixed header, which has told how long it is, and wraps it in
    /// what the caller returns.
    ///
    /// The wrapping is done where each packet is made, so that none is moved on its way out.
    #[inline(always)]
    pub(crate) fn decode_body<T>(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
        sender: Sender,
        wrap: impl Fn(Self) -> T,
    ) -> Result<T, DecodeError> {
        let packet_type = header.check(version, sender)?;
        let reader = &mut Reader::new(body);
        let dup = header.dup();
        macro_rules! decoded {
            ($packet:ident, $result:expr) => {
                match $result {
                    Ok(packet) => Ok(wrap(Self::$packet(packet))),
                    Err(fault) => Err(located(header, fault)),
                }
            };
        }
        match packet_type {
            PacketType::Publish => {
                decoded!(Publish, Publish::decode(header, reader, version, sender))
            }
            PacketType::PubAck => decoded!(PubAck, PubAck::decode(reader, version, sender, dup)),
            PacketType::PubRec => decoded!(PubRec, PubRec::decode(reader, version, sender, dup)),
            PacketType::PubRel => decoded!(PubRel, PubRel::decode(reader, version, sender, dup)),
            PacketType::PubComp => {
                decoded!(PubComp, PubComp::decode(reader, version, sender, dup))
            }
            PacketType::Connect => {
                decoded!(Connect, Connect::decode(header, reader, Some(version)))
            }
            PacketType::ConnAck => decoded!(ConnAck, ConnAck::decode(reader, version)),
            PacketType::Subscribe => {
                decoded!(Subscribe, Subscribe::decode(reader, version, dup))
            }
            PacketType::SubAck => decoded!(SubAck, SubAck::decode(reader, version)),
            PacketType::Unsubscribe => {
                decoded!(Unsubscribe, Unsubscribe::decode(reader, version, dup))
            }
            PacketType::UnsubAck => decoded!(UnsubAck, UnsubAck::decode(reader, version)),
            PacketType::Disconnect => {
                decoded!(Disconnect, Disconnect::decode(reader, version, sender))
            }
            PacketType::Auth => decoded!(Auth, Auth::decode(reader, sender)),
            PacketType::PingReq => match reader.finish() {
                Ok(()) => Ok(wrap(Self::PingReq)),
                Err(fault) => Err(located(header, fault)),
            },
            PacketType::PingResp => match reader.finish() {
                Ok(()) => Ok(wrap(Self::PingResp)),
                Err(fault) => Err(located(header, fault)),
            },
        }
    }

    /// The same packet without what `version` does not have: properties, Reason Codes of
    /// acknowledgements, Subscription Options but the QoS, and the DUP flag of 3.1. CONNACK and
    /// SUBACK get the nearest code that there is.
    ///
    /// In 3.x an acknowledgement that reports a failure becomes a plain one: whoever does not want
    /// that closes the connection in its place. Clean Start and Clean Session are the same flag,
    /// and how long the session outlives its connection is not translated. Nothing is added: what
    /// the other version asks for beyond that, such as Reason Codes in an UNSUBACK for 5.0 or a
    /// Client Identifier for 3.1, is missing still when it is encoded. What version a list of Topic
    /// Filters was made for is not known: one that begins with `$share/` stays as it is, and is
    /// shared in 5.0 and not before.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NotInVersion`] if that would change what the packet asks for: an AUTH or a
    /// CONNECT with an Authentication Method, a received Topic Filter that begins with `$share/`
    /// and is shared in one of the two versions alone, a DISCONNECT with a reason, an empty Topic
    /// Name, a password alone in 3.1.1, a CONNACK that 3.x has no code for, a failure in a SUBACK
    /// of 3.1.
    ///
    /// ```
    /// use sansio_mqtt::{Packet, Property, Publish, Version};
    ///
    /// let packet = Packet::from(Publish {
    ///     topic: "a",
    ///     properties: (&[Property::ContentType("text/plain")]).into(),
    ///     ..Default::default()
    /// });
    /// assert!(packet.encoded_len(Version::V3_1_1).is_err());
    /// assert_eq!(packet.for_version(Version::V3_1_1)?.encoded_len(Version::V3_1_1), Ok(5));
    /// # Ok::<(), sansio_mqtt::EncodeError>(())
    /// ```
    pub fn for_version(&self, version: Version) -> Result<Self, EncodeError> {
        Ok(match *self {
            Self::Connect(packet) => Self::Connect(packet.for_version(version)?),
            Self::ConnAck(packet) => Self::ConnAck(packet.for_version(version)?),
            Self::Publish(packet) => Self::Publish(packet.for_version(version)?),
            Self::PubAck(packet) => Self::PubAck(packet.for_version(version)),
            Self::PubRec(packet) => Self::PubRec(packet.for_version(version)),
            Self::PubRel(packet) => Self::PubRel(packet.for_version(version)),
            Self::PubComp(packet) => Self::PubComp(packet.for_version(version)),
            Self::Subscribe(packet) => Self::Subscribe(packet.for_version(version)?),
            Self::SubAck(packet) => Self::SubAck(packet.for_version(version)?),
            Self::Unsubscribe(packet) => Self::Unsubscribe(packet.for_version(version)?),
            Self::UnsubAck(packet) => Self::UnsubAck(packet.for_version(version)),
            Self::Disconnect(packet) => Self::Disconnect(packet.for_version(version)?),
            Self::PingReq | Self::PingResp => *self,
            Self::Auth(_) if version.is_v5() => *self,
            Self::Auth(_) => {
                let feature = Feature::Packet(PacketType::Auth);
                return Err(EncodeError::NotInVersion(version, feature));
            }
        })
    }
}

impl<'a> Connect<'a> {
    /// Decodes a `frame` that opens a connection of a version not yet known, and so a CONNECT of
    /// any version.
    ///
    /// # Errors
    ///
    /// [`Cause::ConnectExpected`] for any other packet; [`Cause::UnsupportedProtocolLevel`] and
    /// [`Cause::UnsupportedMqisdpLevel`] for a version that this crate does not have; and what
    /// else may be wrong, with the version if the CONNECT got as far as telling it.
    pub fn decode_any_version(frame: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, body) = split(frame, None, Sender::Client)?;
        Self::decode_first(header, body)
    }

    /// Decodes the first packet of a connection behind its fixed header.
    pub(crate) fn decode_first(header: FixedHeader, body: &'a [u8]) -> Result<Self, DecodeError> {
        header.check_opening()?;
        Self::decode(header, &mut Reader::new(body), None).map_err(|fault| DecodeError {
            version: Self::decode_version(&mut Reader::new(body), None).ok(),
            ..located(header, fault)
        })
    }
}

/// Takes the fixed header off a frame that is one whole packet, on a connection of this version or
/// of one still to be told.
#[inline(always)]
fn split(
    frame: &[u8],
    version: Option<Version>,
    sender: Sender,
) -> Result<(FixedHeader, &[u8]), DecodeError> {
    let header =
        FixedHeader::decode(frame).map_err(|error| refusal(frame, version, sender, error))?;
    let Some(header) = header else {
        return Err(DecodeError {
            cause: Cause::IncompletePacket,
            packet_type: frame.first().and_then(|first| PacketType::new(first >> 4)),
            version: None,
            offset: frame.len(),
            frame_len: None,
        });
    };
    match frame.split_at_checked(header.frame_len()) {
        Some((packet, [])) => {
            let body =
                packet.split_at_checked(header.header_len()).map_or(&[][..], |(_, body)| body);
            Ok((header, body))
        }
        Some((packet, _)) => Err(header.error(Cause::TrailingBytes, packet.len())),
        None => Err(header.error(Cause::IncompletePacket, frame.len())),
    }
}

/// Says where in the frame a fault is.
#[cold]
fn located(header: FixedHeader, fault: Fault) -> DecodeError {
    header.error(fault.cause, header.frame_len().saturating_sub(fault.left))
}

macro_rules! from_each {
    ($($packet:ident),+) => {
        $(
            impl<'a> From<$packet<'a>> for Packet<'a> {
                #[inline]
                fn from(packet: $packet<'a>) -> Self {
                    Self::$packet(packet)
                }
            }
        )+
    };
}

from_each!(
    Connect,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    Disconnect,
    Auth
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qos::QoS;
    use crate::varint;
    use alloc::vec::Vec;

    #[test]
    fn a_frame_is_one_packet_and_no_more() {
        let decode = |frame| {
            let error = Packet::decode(frame, Version::V5, Sender::Client).unwrap_err();
            (error.cause, error.offset, error.frame_len)
        };
        assert_eq!(decode(&[]), (Cause::IncompletePacket, 0, None));
        assert_eq!(decode(&[0x30]), (Cause::IncompletePacket, 1, None));
        assert_eq!(decode(&[0x30, 9, 0]), (Cause::IncompletePacket, 3, Some(11)));
        assert_eq!(decode(&[0xc0, 0, 0]), (Cause::TrailingBytes, 2, Some(2)));
    }

    #[test]
    fn a_short_topic_does_not_underflow() {
        let error = Packet::decode(&[0x30, 2, 0, 9], Version::V3_1_1, Sender::Client).unwrap_err();
        assert_eq!((error.cause, error.offset), (Cause::FieldOverrunsPacket, 2));
    }

    #[test]
    fn a_buffer_one_byte_too_short_is_an_error_and_stays_as_it_was() {
        let publish = Publish {
            topic: "a/b",
            payload: b"x",
            qos: QoS::AtLeastOnce,
            packet_id: PacketId::new(1),
            ..Default::default()
        };
        let packet = Packet::from(publish);
        let len = packet.encoded_len(Version::V5).unwrap();
        let mut room = [0xaa; 32];
        for available in 0..len {
            let mut out = &mut room[..available];
            let error = EncodeError::BufferTooSmall { needed: len, available };
            assert_eq!(packet.encode(Version::V5, &mut out), Err(error));
        }
        assert_eq!(room, [0xaa; 32]);
        packet.encode(Version::V5, &mut &mut room[..len]).unwrap();
        assert_eq!(room[len..], [0xaa; 32][len..]);
    }

    #[test]
    fn encoding_appends_to_what_the_buffer_holds() {
        let mut out = b"before".to_vec();
        let connect = Connect {
            client_id: "c",
            will: Some(Will { topic: "w", ..Default::default() }),
            ..Default::default()
        };
        Packet::from(connect).encode(Version::V5, &mut out).unwrap();
        let mut alone = Vec::new();
        Packet::from(connect).encode(Version::V5, &mut alone).unwrap();
        assert_eq!(out, [&b"before"[..], &alone].concat());
    }

    #[test]
    fn a_failed_encode_writes_nothing() {
        let mut out = b"before".to_vec();
        let bad = Publish { topic: "a/#", ..Default::default() };
        assert!(Packet::from(bad).encode(Version::V5, &mut out).is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn the_longest_packet_is_the_longest_remaining_length() {
        let payload = alloc::vec![0; varint::MAX as usize];
        let fits = Publish { topic: "a", payload: &payload[3..], ..Default::default() };
        let len = Packet::from(fits).encoded_len(Version::V3_1_1);
        assert_eq!(len, Ok(varint::MAX as usize + 5));
        let long = Publish { payload: &payload[2..], ..fits };
        let len = Packet::from(long).encoded_len(Version::V3_1_1);
        assert_eq!(len, Err(EncodeError::PacketTooLong));
    }

    #[test]
    fn a_connect_of_another_version_is_told_apart() {
        let bytes = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c";
        let error = Packet::decode(bytes, Version::V5, Sender::Client).unwrap_err();
        let cause = Cause::VersionMismatch(Version::V3_1_1);
        assert_eq!((error.cause, error.offset), (cause, 8));
        let connect = Connect::decode_any_version(bytes).unwrap();
        assert_eq!(connect.version, Version::V3_1_1);
        let error = Connect::decode_any_version(&[0xc0, 0]).unwrap_err();
        assert_eq!(error.cause, Cause::ConnectExpected);
    }

    #[test]
    fn a_packet_is_small_enough_to_be_moved() {
        assert!(size_of::<Packet<'_>>() <= 248, "{}", size_of::<Packet<'_>>());
        assert!(size_of::<Publish<'_>>() <= 80, "{}", size_of::<Publish<'_>>());
    }
}
