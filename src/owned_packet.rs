//! Any packet that owns its bytes, for what outlives the buffer it arrived in.

use core::fmt;

use bytes::{Bytes, BytesMut};

use crate::decoder::Decoder;
use crate::error::{DecodeError, EncodeError};
use crate::message::Message;
use crate::packet::Packet;
use crate::packet_type::Sender;
use crate::version::Version;

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
    use crate::error::Cause;
    use crate::packet::{Connect, Subscribe, Subscription};
    use crate::packet_id::PacketId;
    use crate::qos::QoS;
    use alloc::format;

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
