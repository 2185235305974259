//! Encoding: each packet is checked as a whole, and only then written.

use bytes::BufMut;

use super::{
    Auth, ConnAck, Connect, Disconnect, Packet, PubAck, PubComp, PubRec, PubRel, Publish, SubAck,
    Subscribe, UnsubAck, Unsubscribe,
};
use crate::error::EncodeError;
use crate::packet_type::PacketType;
use crate::varint;
use crate::version::Version;

/// What comes behind the fixed header of a packet.
pub(crate) trait Body<'a> {
    /// What checking found out that writing needs.
    type Plan: Copy;

    /// Checks everything but the room in the buffer.
    fn check(&self, version: Version) -> Result<Self::Plan, EncodeError>;

    /// How many bytes it takes, the payload of a PUBLISH included.
    fn remaining_length(&self, plan: &Self::Plan) -> usize;

    /// The first byte of the fixed header: type and flags.
    fn first_byte(&self) -> u8;

    /// Appends it, but for the payload of a PUBLISH.
    fn write(&self, version: Version, plan: &Self::Plan, out: &mut impl BufMut);

    /// The payload of a PUBLISH.
    #[inline(always)]
    fn payload(&self) -> &'a [u8] {
        &[]
    }
}

/// PINGREQ and PINGRESP, of which there is nothing but the fixed header.
#[derive(Debug, Clone, Copy)]
struct Ping(PacketType);

impl<'a> Body<'a> for Ping {
    type Plan = ();

    #[inline(always)]
    fn check(&self, _: Version) -> Result<(), EncodeError> {
        Ok(())
    }

    #[inline(always)]
    fn remaining_length(&self, (): &()) -> usize {
        0
    }

    #[inline(always)]
    fn first_byte(&self) -> u8 {
        (self.0 as u8) << 4
    }

    #[inline(always)]
    fn write(&self, _: Version, (): &(), _: &mut impl BufMut) {}
}

/// A body that was checked, and what is to be written in front of it.
#[derive(Debug, Clone, Copy)]
struct Planned<B, P> {
    body: B,
    plan: P,
    remaining_length: u32,
}

impl<'a, B: Body<'a>> Planned<&B, B::Plan> {
    #[inline(always)]
    fn encoded_len(&self) -> usize {
        // Lossless: targets have addresses of 32 bits at least.
        (self.remaining_length as usize)
            .saturating_add(varint::encoded_len(self.remaining_length))
            .saturating_add(1)
    }

    #[inline(always)]
    fn encode(&self, version: Version, out: &mut impl BufMut) -> Result<(), EncodeError> {
        check_room(self.encoded_len(), out)?;
        self.write(version, out);
        let payload = self.body.payload();
        if !payload.is_empty() {
            out.put_slice(payload);
        }
        Ok(())
    }

    #[inline(always)]
    fn encode_split(
        &self,
        version: Version,
        head: &mut impl BufMut,
    ) -> Result<&'a [u8], EncodeError> {
        let payload = self.body.payload();
        check_room(self.encoded_len().saturating_sub(payload.len()), head)?;
        self.write(version, head);
        Ok(payload)
    }

    #[inline(always)]
    fn write(&self, version: Version, out: &mut impl BufMut) {
        let first_byte = self.body.first_byte();
        match u8::try_from(self.remaining_length) {
            Ok(remaining_length @ ..0x80) => out.put_slice(&[first_byte, remaining_length]),
            _ => {
                out.put_u8(first_byte);
                varint::encode(self.remaining_length, out);
            }
        }
        self.body.write(version, &self.plan, out);
    }
}

#[inline(always)]
fn plan<'p, 'a, B: Body<'a>>(
    body: &'p B,
    version: Version,
) -> Result<Planned<&'p B, B::Plan>, EncodeError> {
    let plan = body.check(version)?;
    match u32::try_from(body.remaining_length(&plan)) {
        Ok(remaining_length) if remaining_length <= varint::MAX => {
            Ok(Planned { body, plan, remaining_length })
        }
        _ => Err(EncodeError::PacketTooLong),
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
    version: Version,
    body: CheckedBody<'p, 'a>,
}

type PlannedBody<'p, 'a, B> = Planned<&'p B, <B as Body<'a>>::Plan>;

#[derive(Debug, Clone, Copy)]
enum CheckedBody<'p, 'a> {
    Connect(PlannedBody<'p, 'a, Connect<'a>>),
    ConnAck(PlannedBody<'p, 'a, ConnAck<'a>>),
    Publish(PlannedBody<'p, 'a, Publish<'a>>),
    PubAck(PlannedBody<'p, 'a, PubAck<'a>>),
    PubRec(PlannedBody<'p, 'a, PubRec<'a>>),
    PubRel(PlannedBody<'p, 'a, PubRel<'a>>),
    PubComp(PlannedBody<'p, 'a, PubComp<'a>>),
    Subscribe(PlannedBody<'p, 'a, Subscribe<'a>>),
    SubAck(PlannedBody<'p, 'a, SubAck<'a>>),
    Unsubscribe(PlannedBody<'p, 'a, Unsubscribe<'a>>),
    UnsubAck(PlannedBody<'p, 'a, UnsubAck<'a>>),
    PingReq(PlannedBody<'p, 'a, Ping>),
    PingResp(PlannedBody<'p, 'a, Ping>),
    Disconnect(PlannedBody<'p, 'a, Disconnect<'a>>),
    Auth(PlannedBody<'p, 'a, Auth<'a>>),
}

/// Does the same with the body of whichever packet there is.
macro_rules! for_body_of {
    ($packet:expr, |$body:ident| $do:expr) => {
        for_body_of!($packet, |$body, _variant| $do)
    };
    ($packet:expr, |$body:ident, $variant:ident| $do:expr) => {{
        macro_rules! with {
            ($from:expr, $to:ident) => {{
                let $body = $from;
                #[allow(unused)]
                let $variant = CheckedBody::$to;
                $do
            }};
        }
        match $packet {
            Packet::Publish(body) => with!(body, Publish),
            Packet::PubAck(body) => with!(body, PubAck),
            Packet::PubRec(body) => with!(body, PubRec),
            Packet::PubRel(body) => with!(body, PubRel),
            Packet::PubComp(body) => with!(body, PubComp),
            Packet::PingReq => with!(&Ping(PacketType::PingReq), PingReq),
            Packet::PingResp => with!(&Ping(PacketType::PingResp), PingResp),
            Packet::Connect(body) => with!(body, Connect),
            Packet::ConnAck(body) => with!(body, ConnAck),
            Packet::Subscribe(body) => with!(body, Subscribe),
            Packet::SubAck(body) => with!(body, SubAck),
            Packet::Unsubscribe(body) => with!(body, Unsubscribe),
            Packet::UnsubAck(body) => with!(body, UnsubAck),
            Packet::Disconnect(body) => with!(body, Disconnect),
            Packet::Auth(body) => with!(body, Auth),
        }
    }};
}

/// Does the same with whichever packet was checked.
macro_rules! for_planned {
    ($body:expr, |$planned:ident| $do:expr) => {
        match $body {
            CheckedBody::Publish($planned) => $do,
            CheckedBody::PubAck($planned) => $do,
            CheckedBody::PubRec($planned) => $do,
            CheckedBody::PubRel($planned) => $do,
            CheckedBody::PubComp($planned) => $do,
            CheckedBody::PingReq($planned) => $do,
            CheckedBody::PingResp($planned) => $do,
            CheckedBody::Connect($planned) => $do,
            CheckedBody::ConnAck($planned) => $do,
            CheckedBody::Subscribe($planned) => $do,
            CheckedBody::SubAck($planned) => $do,
            CheckedBody::Unsubscribe($planned) => $do,
            CheckedBody::UnsubAck($planned) => $do,
            CheckedBody::Disconnect($planned) => $do,
            CheckedBody::Auth($planned) => $do,
        }
    };
}

impl<'a> Packet<'a> {
    /// Checks all that encoding for `version` checks, once for as many times as the packet is
    /// then encoded.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode), but for the room in the buffer.
    #[inline]
    pub fn check(&self, version: Version) -> Result<Checked<'_, 'a>, EncodeError> {
        let body = for_body_of!(self, |body, variant| variant(plan(body, version)?));
        Ok(Checked { version, body })
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
        for_body_of!(self, |body| plan(body, version)?.encode(version, out))
    }

    /// How many bytes [`encode`](Self::encode) appends.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode), but for the room in the buffer.
    #[inline]
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        for_body_of!(self, |body| Ok(plan(body, version)?.encoded_len()))
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
        for_body_of!(self, |body| plan(body, version)?.encode_split(version, head))
    }
}

impl<'a> Checked<'_, 'a> {
    /// How many bytes [`encode`](Self::encode) appends.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        for_planned!(&self.body, |planned| planned.encoded_len())
    }

    /// Appends the packet.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`]; `out` is as it was.
    #[inline]
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        for_planned!(&self.body, |planned| planned.encode(self.version, out))
    }

    /// Appends all of the packet but the payload, which it hands back: as
    /// [`Packet::encode_split`].
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`]; `head` is as it was.
    #[inline]
    pub fn encode_split(&self, head: &mut impl BufMut) -> Result<&'a [u8], EncodeError> {
        for_planned!(&self.body, |planned| planned.encode_split(self.version, head))
    }
}
