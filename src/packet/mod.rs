//! The Control Packets, MQTT 5.0 §3: one type for all, and one for each.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod display;
mod header;
mod publish;
mod suback;
mod subscribe;
mod tail;
mod unsubscribe;

use bytes::BufMut;

pub use self::ack::{PubAck, PubComp, PubRec, PubRel};
pub use self::auth::Auth;
pub use self::connack::ConnAck;
pub use self::connect::{Connect, Will};
pub use self::disconnect::Disconnect;
pub use self::header::FixedHeader;
pub use self::publish::Publish;
pub use self::suback::{ReasonCodeBlock, ReasonCodes, ReasonCodesIter, SubAck, UnsubAck};
pub use self::subscribe::{
    RetainHandling, Subscribe, Subscription, SubscriptionBlock, Subscriptions, SubscriptionsIter,
};
pub use self::unsubscribe::{TopicFilterBlock, TopicFilters, TopicFiltersIter, Unsubscribe};

use self::tail::Tail;
use crate::error::{Cause, DecodeError, EncodeError, Fault, Feature};
use crate::packet_type::{PacketType, Sender};
use crate::varint;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        let (header, body) = split(frame)?;
        Self::decode_body(header, body, version, sender)
    }

    /// Decodes a packet behind its fixed header, which has told how long it is.
    #[inline(always)]
    pub(crate) fn decode_body(
        header: FixedHeader,
        body: &'a [u8],
        version: Version,
        sender: Sender,
    ) -> Result<Self, DecodeError> {
        let packet_type = header.check(version, sender)?;
        let mut reader = Reader::new(body);
        let decoded = if packet_type == PacketType::Publish {
            Publish::decode(header, &mut reader, version, sender).map(Self::Publish)
        } else {
            Self::decode_other(packet_type, header.dup(), &mut reader, version, sender)
        };
        decoded.map_err(|fault| located(header, fault))
    }

    #[inline(always)]
    fn decode_other(
        packet_type: PacketType,
        dup: bool,
        reader: &mut Reader<'a>,
        version: Version,
        sender: Sender,
    ) -> Result<Self, Fault> {
        Ok(match packet_type {
            PacketType::Connect => Self::Connect(Connect::decode(reader, Some(version))?),
            PacketType::ConnAck => Self::ConnAck(ConnAck::decode(reader, version)?),
            PacketType::PubAck => Self::PubAck(PubAck::decode(reader, version, sender, dup)?),
            PacketType::PubRec => Self::PubRec(PubRec::decode(reader, version, sender, dup)?),
            PacketType::PubRel => Self::PubRel(PubRel::decode(reader, version, sender, dup)?),
            PacketType::PubComp => Self::PubComp(PubComp::decode(reader, version, sender, dup)?),
            PacketType::Subscribe => Self::Subscribe(Subscribe::decode(reader, version, dup)?),
            PacketType::SubAck => Self::SubAck(SubAck::decode(reader, version)?),
            PacketType::Unsubscribe => {
                Self::Unsubscribe(Unsubscribe::decode(reader, version, dup)?)
            }
            PacketType::UnsubAck => Self::UnsubAck(UnsubAck::decode(reader, version)?),
            PacketType::PingReq => {
                reader.finish()?;
                Self::PingReq
            }
            PacketType::PingResp => {
                reader.finish()?;
                Self::PingResp
            }
            PacketType::Disconnect => {
                Self::Disconnect(Disconnect::decode(reader, version, sender)?)
            }
            PacketType::Auth => Self::Auth(Auth::decode(reader, sender)?),
            // A PUBLISH needs its header; `decode_body` sees to it.
            PacketType::Publish => return Err(reader.fault(Cause::ReservedPacketType(3))),
        })
    }

    /// Checks all that encoding for `version` checks, once for as many times as the packet is
    /// then encoded.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode), but for the room in the buffer.
    #[inline]
    pub fn check(&self, version: Version) -> Result<Checked<'_, 'a>, EncodeError> {
        let (body, remaining) = Body::check(self, version)?;
        match u32::try_from(remaining) {
            Ok(remaining) if remaining <= varint::MAX => Ok(Checked { body, version, remaining }),
            _ => Err(EncodeError::PacketTooLong),
        }
    }

    /// Appends the packet in the form of `version`.
    ///
    /// Everything is checked before the first byte is written: the rules that decoding checks,
    /// what the version can carry, and the room in the buffer.
    ///
    /// # Errors
    ///
    /// Says why the packet cannot be encoded; `out` is as it was.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut impl BufMut) -> Result<(), EncodeError> {
        self.check(version)?.encode(out)
    }

    /// How many bytes [`encode`](Self::encode) appends.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode), but for the room in the buffer.
    #[inline]
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        Ok(self.check(version)?.encoded_len())
    }

    /// Appends all of the packet but the payload of a PUBLISH, and hands that back: it goes on
    /// the wire behind `head`, without being copied. Other packets have no payload to hand back.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode); `head` is as it was.
    ///
    /// ```
    /// use sansio_mqtt::{Packet, Publish, Version};
    ///
    /// let packet = Packet::from(Publish { topic: "a", payload: b"large", ..Default::default() });
    /// let mut head = Vec::new();
    /// let payload = packet.encode_split(Version::V3_1_1, &mut head)?;
    /// assert_eq!((head.as_slice(), payload), (&b"\x30\x08\x00\x01a"[..], &b"large"[..]));
    /// # Ok::<(), sansio_mqtt::EncodeError>(())
    /// ```
    #[inline]
    pub fn encode_split(
        &self,
        version: Version,
        head: &mut impl BufMut,
    ) -> Result<&'a [u8], EncodeError> {
        self.check(version)?.encode_split(head)
    }

    /// The same packet without what `version` does not have: properties, Reason Codes of
    /// acknowledgements, Subscription Options but the QoS, and the DUP flag of 3.1. CONNACK and
    /// SUBACK get the nearest code that there is.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NotInVersion`] if that would change what the packet says: an AUTH, a
    /// DISCONNECT with a reason, an empty Topic Name, a password alone in 3.1.1, a failure in a
    /// SUBACK of 3.1.
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
            Self::ConnAck(packet) => Self::ConnAck(packet.for_version(version)),
            Self::Publish(packet) => Self::Publish(packet.for_version(version)?),
            Self::PubAck(packet) => Self::PubAck(packet.for_version(version)),
            Self::PubRec(packet) => Self::PubRec(packet.for_version(version)),
            Self::PubRel(packet) => Self::PubRel(packet.for_version(version)),
            Self::PubComp(packet) => Self::PubComp(packet.for_version(version)),
            Self::Subscribe(packet) => Self::Subscribe(packet.for_version(version)),
            Self::SubAck(packet) => Self::SubAck(packet.for_version(version)?),
            Self::Unsubscribe(packet) => Self::Unsubscribe(packet.for_version(version)),
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
    /// [`Cause::ConnectExpected`] for any other packet; [`Cause::UnsupportedProtocolLevel`]
    /// for a version that this crate does not have; and what else may be wrong.
    pub fn decode_any_version(frame: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, body) = split(frame)?;
        Self::decode_first(header, body)
    }

    /// Decodes the first packet of a connection behind its fixed header.
    pub(crate) fn decode_first(header: FixedHeader, body: &'a [u8]) -> Result<Self, DecodeError> {
        header.check_connect()?;
        let connect =
            Self::decode(&mut Reader::new(body), None).map_err(|fault| located(header, fault))?;
        if connect.version.is_v5() {
            header.check_minimal()?;
        }
        Ok(connect)
    }
}

/// Takes the fixed header off a frame that is one whole packet.
#[inline(always)]
fn split(frame: &[u8]) -> Result<(FixedHeader, &[u8]), DecodeError> {
    let Some(header) = FixedHeader::decode(frame)? else {
        return Err(DecodeError {
            cause: Cause::IncompletePacket,
            packet_type: frame.first().and_then(|first| PacketType::new(first >> 4)),
            offset: frame.len(),
            frame_len: None,
        });
    };
    match frame.split_at_checked(header.frame_len()) {
        Some((packet, [])) => {
            let body = packet.split_at_checked(header.len()).map_or(&[][..], |(_, body)| body);
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

/// A packet that was found fit for a version, by [`Packet::check`].
///
/// Encoding it is copying: what remains to be checked is the room in the buffer.
///
/// ```
/// use sansio_mqtt::{Packet, Publish, Version};
///
/// let packet = Packet::from(Publish { topic: "news", payload: b"!", ..Default::default() });
/// let checked = packet.check(Version::V5)?;
/// let mut outboxes = vec![Vec::with_capacity(checked.encoded_len()); 3];
/// for outbox in &mut outboxes {
///     checked.encode(outbox)?;
/// }
/// # Ok::<(), sansio_mqtt::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Checked<'p, 'a> {
    body: Body<'p, 'a>,
    version: Version,
    remaining: u32,
}

/// A packet and what its check found for writing it.
#[derive(Debug, Clone, Copy)]
enum Body<'p, 'a> {
    Connect(&'p Connect<'a>, connect::Lengths),
    ConnAck(&'p ConnAck<'a>, connack::Lengths),
    Publish(&'p Publish<'a>, publish::Lengths),
    PubAck(&'p PubAck<'a>, Tail),
    PubRec(&'p PubRec<'a>, Tail),
    PubRel(&'p PubRel<'a>, Tail),
    PubComp(&'p PubComp<'a>, Tail),
    Subscribe(&'p Subscribe<'a>, subscribe::Lengths),
    SubAck(&'p SubAck<'a>, subscribe::Lengths),
    Unsubscribe(&'p Unsubscribe<'a>, subscribe::Lengths),
    UnsubAck(&'p UnsubAck<'a>, subscribe::Lengths),
    PingReq,
    PingResp,
    Disconnect(&'p Disconnect<'a>, Tail),
    Auth(&'p Auth<'a>, Tail),
}

impl<'p, 'a> Body<'p, 'a> {
    /// Also says how long the packet is behind its fixed header.
    #[inline(always)]
    fn check(packet: &'p Packet<'a>, version: Version) -> Result<(Self, usize), EncodeError> {
        /// Bytes of a Packet Identifier.
        const ID: usize = 2;
        Ok(match packet {
            Packet::Publish(packet) => {
                let lengths = packet.check(version)?;
                (Self::Publish(packet, lengths), lengths.remaining)
            }
            Packet::PubAck(packet) => {
                let tail = packet.check(version)?;
                (Self::PubAck(packet, tail), tail.len().saturating_add(ID))
            }
            Packet::PubRec(packet) => {
                let tail = packet.check(version)?;
                (Self::PubRec(packet, tail), tail.len().saturating_add(ID))
            }
            Packet::PubRel(packet) => {
                let tail = packet.check(version)?;
                (Self::PubRel(packet, tail), tail.len().saturating_add(ID))
            }
            Packet::PubComp(packet) => {
                let tail = packet.check(version)?;
                (Self::PubComp(packet, tail), tail.len().saturating_add(ID))
            }
            Packet::Connect(packet) => {
                let lengths = packet.check(version)?;
                (Self::Connect(packet, lengths), lengths.remaining)
            }
            Packet::ConnAck(packet) => {
                let lengths = packet.check(version)?;
                (Self::ConnAck(packet, lengths), lengths.remaining)
            }
            Packet::Subscribe(packet) => {
                let lengths = packet.check(version)?;
                (Self::Subscribe(packet, lengths), lengths.remaining)
            }
            Packet::SubAck(packet) => {
                let lengths = packet.check(version)?;
                (Self::SubAck(packet, lengths), lengths.remaining)
            }
            Packet::Unsubscribe(packet) => {
                let lengths = packet.check(version)?;
                (Self::Unsubscribe(packet, lengths), lengths.remaining)
            }
            Packet::UnsubAck(packet) => {
                let lengths = packet.check(version)?;
                (Self::UnsubAck(packet, lengths), lengths.remaining)
            }
            Packet::PingReq => (Self::PingReq, 0),
            Packet::PingResp => (Self::PingResp, 0),
            Packet::Disconnect(packet) => {
                let tail = packet.check(version)?;
                (Self::Disconnect(packet, tail), tail.len())
            }
            Packet::Auth(packet) => {
                let tail = packet.check(version)?;
                (Self::Auth(packet, tail), tail.len())
            }
        })
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        /// The DUP flag of 3.1.
        const fn dup(dup: bool) -> u8 {
            if dup { header::DUP } else { 0 }
        }
        match self {
            Self::Publish(packet, _) => packet.first_byte(),
            Self::Connect(..) => 0x10,
            Self::ConnAck(..) => 0x20,
            Self::PubAck(..) => 0x40,
            Self::PubRec(..) => 0x50,
            Self::PubRel(packet, _) => 0x62 | dup(packet.dup),
            Self::PubComp(..) => 0x70,
            Self::Subscribe(packet, _) => 0x82 | dup(packet.dup),
            Self::SubAck(..) => 0x90,
            Self::Unsubscribe(packet, _) => 0xa2 | dup(packet.dup),
            Self::UnsubAck(..) => 0xb0,
            Self::PingReq => 0xc0,
            Self::PingResp => 0xd0,
            Self::Disconnect(..) => 0xe0,
            Self::Auth(..) => 0xf0,
        }
    }

    #[inline(always)]
    fn payload(&self) -> &'a [u8] {
        match self {
            Self::Publish(packet, _) => packet.payload,
            _ => &[],
        }
    }

    /// Appends all between the fixed header and the payload.
    #[inline(always)]
    fn write_head(&self, version: Version, out: &mut impl BufMut) {
        match self {
            Self::Publish(packet, lengths) => packet.write_head(version, lengths, out),
            Self::PubAck(packet, tail) => packet.write(tail, out),
            Self::PubRec(packet, tail) => packet.write(tail, out),
            Self::PubRel(packet, tail) => packet.write(tail, out),
            Self::PubComp(packet, tail) => packet.write(tail, out),
            Self::Connect(packet, lengths) => packet.write(lengths, out),
            Self::ConnAck(packet, lengths) => packet.write(version, lengths, out),
            Self::Subscribe(packet, lengths) => packet.write(version, lengths, out),
            Self::SubAck(packet, lengths) => packet.write(version, lengths, out),
            Self::Unsubscribe(packet, lengths) => packet.write(version, lengths, out),
            Self::UnsubAck(packet, lengths) => packet.write(version, lengths, out),
            Self::PingReq | Self::PingResp => {}
            Self::Disconnect(packet, tail) => packet.write(tail, out),
            Self::Auth(packet, tail) => packet.write(tail, out),
        }
    }
}

impl<'a> Checked<'_, 'a> {
    /// How many bytes [`encode`](Self::encode) appends.
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        // Lossless: targets have addresses of 32 bits at least.
        (self.remaining as usize)
            .saturating_add(varint::encoded_len(self.remaining))
            .saturating_add(1)
    }

    /// Appends the packet.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`]; `out` is as it was.
    #[inline]
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        check_room(self.encoded_len(), out)?;
        self.write_head(out);
        out.put_slice(self.body.payload());
        Ok(())
    }

    /// Appends all of the packet but the payload, which it hands back: as
    /// [`Packet::encode_split`].
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`]; `head` is as it was.
    #[inline]
    pub fn encode_split(&self, head: &mut impl BufMut) -> Result<&'a [u8], EncodeError> {
        let payload = self.body.payload();
        check_room(self.encoded_len().saturating_sub(payload.len()), head)?;
        self.write_head(head);
        Ok(payload)
    }

    #[inline(always)]
    fn write_head(&self, out: &mut impl BufMut) {
        out.put_u8(self.body.first_byte());
        varint::encode(self.remaining, out);
        self.body.write_head(self.version, out);
    }
}

#[inline(always)]
fn check_room(needed: usize, out: &impl BufMut) -> Result<(), EncodeError> {
    let available = out.remaining_mut();
    if needed > available {
        return Err(EncodeError::BufferTooSmall { needed, available });
    }
    Ok(())
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
    use crate::packet_id::PacketId;
    use crate::qos::QoS;
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
