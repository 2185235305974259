//! Encoding: a packet is checked as a whole, and only then written.

use bytes::BufMut;

use crate::error::EncodeError;
use crate::packet::body::{Body, Ping, Planned, plan};
use crate::packet::{
    Auth, ConnAck, Connect, Disconnect, Packet, PubAck, PubComp, PubRec, PubRel, Publish, SubAck,
    Subscribe, UnsubAck, Unsubscribe,
};
use crate::packet_type::PacketType;
use crate::version::Version;

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

/// Keeps what is done with rarer packets out of the way of PUBLISH and its acknowledgements.
#[inline(never)]
fn apart<T>(run: impl FnOnce() -> T) -> T {
    run()
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
            Packet::Connect(body) => apart(|| with!(body, Connect)),
            Packet::ConnAck(body) => apart(|| with!(body, ConnAck)),
            Packet::Subscribe(body) => apart(|| with!(body, Subscribe)),
            Packet::SubAck(body) => apart(|| with!(body, SubAck)),
            Packet::Unsubscribe(body) => apart(|| with!(body, Unsubscribe)),
            Packet::UnsubAck(body) => apart(|| with!(body, UnsubAck)),
            Packet::Disconnect(body) => apart(|| with!(body, Disconnect)),
            Packet::Auth(body) => apart(|| with!(body, Auth)),
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
            CheckedBody::Connect($planned) => apart(|| $do),
            CheckedBody::ConnAck($planned) => apart(|| $do),
            CheckedBody::Subscribe($planned) => apart(|| $do),
            CheckedBody::SubAck($planned) => apart(|| $do),
            CheckedBody::Unsubscribe($planned) => apart(|| $do),
            CheckedBody::UnsubAck($planned) => apart(|| $do),
            CheckedBody::Disconnect($planned) => apart(|| $do),
            CheckedBody::Auth($planned) => apart(|| $do),
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
        let body = for_body_of!(self, |body, variant| plan(body, version).map(variant))?;
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
        for_body_of!(self, |body| plan(body, version).and_then(|plan| plan.encode(version, out)))
    }

    /// How many bytes [`encode`](Self::encode) appends.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode), but for the room in the buffer.
    #[inline]
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        for_body_of!(self, |body| plan(body, version).map(|plan| plan.encoded_len()))
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
        for_body_of!(self, |body| plan(body, version)
            .and_then(|plan| plan.encode_split(version, head)))
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
