//! Packets from a stream of bytes.

use crate::error::{Cause, DecodeError};
use crate::packet::{Connect, FixedHeader, Packet, refusal};
use crate::packet_type::Sender;
use crate::version::Version;

/// The size of the largest packet that the protocol can express, in bytes.
pub const MAXIMUM_PACKET_SIZE: u32 = 268_435_460;

/// Finds and decodes the packets in one direction of a connection.
///
/// It holds no bytes: the caller keeps what arrives in a buffer of its own and takes off its
/// front what the decoder says it used. Nothing is allocated, whatever lengths a peer claims.
///
/// ```
/// use sansio_mqtt::{Decoder, Packet, Version};
///
/// let mut received: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c\xc0\x00\x30";
/// let mut decoder = Decoder::from_client();
/// let mut packets = Vec::new();
/// while let Some((packet, len)) = decoder.decode(received)? {
///     packets.push(packet);
///     received = &received[len..];
/// }
/// assert!(matches!(packets[..], [Packet::Connect(_), Packet::PingReq]));
/// assert_eq!(decoder.version(), Some(Version::V3_1_1));
/// assert_eq!(received, b"\x30"); // Of a packet whose other bytes are still to come.
/// # Ok::<(), sansio_mqtt::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoder {
    version: Option<Version>,
    sender: Sender,
    maximum_packet_size: u32,
}

impl Decoder {
    /// For a server: packets from a client, of the version that its CONNECT names.
    pub const fn from_client() -> Self {
        Self { version: None, sender: Sender::Client, maximum_packet_size: MAXIMUM_PACKET_SIZE }
    }

    /// For a client: packets from a server, of the version that the client's CONNECT named.
    pub const fn from_server(version: Version) -> Self {
        Self {
            version: Some(version),
            sender: Sender::Server,
            maximum_packet_size: MAXIMUM_PACKET_SIZE,
        }
    }

    /// The same decoder with a [maximum packet size](Self::set_maximum_packet_size).
    #[must_use]
    pub const fn with_maximum_packet_size(self, bytes: u32) -> Self {
        Self { maximum_packet_size: bytes, ..self }
    }

    /// The same decoder for packets of a known version, when it does not see the CONNECT.
    #[must_use]
    pub const fn with_version(self, version: Version) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Sets the size in bytes, fixed header included, above which a packet is refused: from its
    /// first bytes, before its body arrives. The default is what the protocol can express.
    ///
    /// The standard's name for what a peer was told of it is Maximum Packet Size,
    /// v5 3.1.2.11.4 and 3.2.2.3.6.
    pub const fn set_maximum_packet_size(&mut self, bytes: u32) {
        self.maximum_packet_size = bytes;
    }

    /// The version; `None` until a CONNECT has told it.
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// Whose packets these are.
    pub const fn sender(&self) -> Sender {
        self.sender
    }

    /// Decodes the packet at the front of `bytes`, and says how many bytes it takes; `None` if
    /// more bytes are needed.
    ///
    /// # Errors
    ///
    /// Says which rule is broken, and where. The stream cannot be trusted after that: a server
    /// or a client ends the connection, with [`DecodeError::reason_code`] where its version has
    /// a way to say it. A tool may go on behind the packet if [`DecodeError::frame_len`] is
    /// known. The decoder is as it was.
    #[inline]
    pub fn decode<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<Option<(Packet<'a>, usize)>, DecodeError> {
        let Some((header, body)) = self.split(bytes) else {
            return self.check_header(bytes).map(|()| None);
        };
        let len = header.frame_len();
        match self.version {
            Some(version) => {
                let wrap = |packet| Some((packet, len));
                Packet::decode_body(header, body, version, self.sender, wrap)
                    .map_err(|error| error.in_version(version))
            }
            None => self.decode_first(header, body).map(|packet| Some((packet, len))),
        }
    }

    /// Whether a packet of this size is not too large.
    #[inline(always)]
    pub(crate) const fn accepts(&self, size: usize) -> bool {
        size <= self.maximum_packet_size as usize
    }

    /// The header and the body of a whole packet that is not too large.
    #[inline(always)]
    fn split<'a>(&self, bytes: &'a [u8]) -> Option<(FixedHeader, &'a [u8])> {
        let header = FixedHeader::decode(bytes).ok().flatten()?;
        if !self.accepts(header.frame_len()) {
            return None;
        }
        Some((header, bytes.get(header.header_len()..header.frame_len())?))
    }

    #[cold]
    fn decode_first<'a>(
        &mut self,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Packet<'a>, DecodeError> {
        let connect = Connect::decode_first(header, body)?;
        self.version = Some(connect.version);
        Ok(Packet::Connect(connect))
    }

    /// Refuses a packet for what of its header is there, whether its body is or not.
    #[cold]
    fn check_header(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        let refused = |of_length| Err(refusal(bytes, self.version, self.sender, of_length));
        let header = match FixedHeader::decode(bytes) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(()),
            Err(error) => return refused(error),
        };
        let maximum = self.maximum_packet_size;
        if header.frame_len() > maximum as usize {
            let size = u32::try_from(header.frame_len()).unwrap_or(u32::MAX);
            return refused(header.error(Cause::PacketTooLarge { size, maximum }, 1));
        }
        match self.version {
            Some(version) => header
                .check(version, self.sender)
                .map(drop)
                .map_err(|error| error.in_version(version)),
            None => header.check_opening(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet_type::PacketType;
    use crate::reason::ReasonCode;

    #[test]
    fn a_claim_of_256_mib_is_refused_from_the_header_alone() {
        // v5 [U5-3.2.2.3.6-2]
        let mut decoder = Decoder::from_client().with_maximum_packet_size(65_536);
        let error = decoder.decode(&[0x10, 0xff, 0xff, 0xff, 0x7f]).unwrap_err();
        let cause = Cause::PacketTooLarge { size: MAXIMUM_PACKET_SIZE, maximum: 65_536 };
        assert_eq!(error.cause, cause);
        assert_eq!(error.reason_code(), ReasonCode::PACKET_TOO_LARGE);
        assert_eq!(error.frame_len, Some(MAXIMUM_PACKET_SIZE as usize));
    }

    #[test]
    fn the_maximum_counts_the_whole_packet() {
        let frame = [0x30, 4, 0, 1, b'a', 0];
        let mut decoder = Decoder::from_server(Version::V5).with_maximum_packet_size(6);
        assert!(decoder.decode(&frame).unwrap().is_some());
        decoder.set_maximum_packet_size(5);
        let cause = Cause::PacketTooLarge { size: 6, maximum: 5 };
        assert_eq!(decoder.decode(&frame).unwrap_err().cause, cause);
        assert_eq!(decoder.decode(&frame[..2]).unwrap_err().cause, cause);
    }

    #[test]
    fn the_first_byte_is_at_fault_before_the_length_is() {
        // A packet that may not come at all is no packet too large: 0x81 or 0x82, not 0x95.
        let of_server = Cause::PacketFromWrongSender(Sender::Client);
        let (v3, v5) = (Some(Version::V3_1_1), Some(Version::V5));
        let rows = [
            (None, 0x30, Cause::ConnectExpected, Some(PacketType::Publish)),
            (None, 0x00, Cause::ConnectExpected, None),
            (None, 0x11, Cause::ReservedHeaderFlags(1), Some(PacketType::Connect)),
            (v5, 0x00, Cause::ReservedPacketType(0), None),
            (v3, 0xf0, Cause::ReservedPacketType(15), None),
            (v5, 0x36, Cause::InvalidQoS, Some(PacketType::Publish)),
            (v3, 0x38, Cause::DupAtQoS0, Some(PacketType::Publish)),
            (v3, 0x80, Cause::ReservedHeaderFlags(0), Some(PacketType::Subscribe)),
            (v5, 0x20, of_server, Some(PacketType::ConnAck)),
        ];
        let lengths: [(&[u8], Option<usize>); 3] = [
            (&[0xff, 0xff, 0xff, 0x7f], Some(MAXIMUM_PACKET_SIZE as usize)),
            (&[0xff, 0xff, 0xff, 0xff], None),
            (&[0x81, 0x00, 0], Some(4)),
        ];
        for (version, first, cause, packet_type) in rows {
            for (length, frame_len) in lengths {
                let decoder = Decoder { version, ..Decoder::from_client() };
                let bytes = [&[first], length].concat();
                let error = DecodeError { cause, packet_type, version, offset: 0, frame_len };
                let mut small = decoder.with_maximum_packet_size(3);
                assert_eq!(small.decode(&bytes), Err(error), "{bytes:02x?}");
                assert_eq!({ decoder }.decode(&bytes), Err(error), "{bytes:02x?}");
                if frame_len.is_some_and(|len| len > bytes.len()) {
                    continue;
                }
                let alone = match version {
                    Some(version) => Packet::decode(&bytes, version, Sender::Client).map(drop),
                    None => Connect::decode_any_version(&bytes).map(drop),
                };
                assert_eq!(alone, Err(error), "{bytes:02x?}");
            }
        }
    }

    #[test]
    fn a_padded_connect_is_refused_alike_whether_its_version_is_known_or_not() {
        // v5 [MQTT-1.5.5-1]; 3.x has no such rule, and other faults have their turn.
        let not_minimal = Cause::VariableByteIntegerNotMinimal;
        let rows: [(Version, &[u8], Option<Cause>); 6] = [
            (Version::V5, b"\0\x04MQTT\x05\x02\0\0\0\0\x01c", Some(not_minimal)),
            (Version::V5, b"\0\x04MQTT\x05\x03\0\0\0\0\x01c", Some(not_minimal)),
            (Version::V5, b"\0\x04MQTX\x05", Some(Cause::InvalidProtocolName)),
            (Version::V5, b"\0\x04MQTT\x06", Some(Cause::UnsupportedProtocolLevel(6))),
            (Version::V3_1_1, b"\0\x04MQTT\x04\x02\0\0\0\x01c", None),
            (Version::V3_1_1, b"\0\x04MQTT\x04\x03", Some(Cause::ReservedConnectFlag)),
        ];
        for (version, body, expected) in rows {
            let frame = [&[0x10, u8::try_from(body.len()).unwrap() | 0x80, 0], body].concat();
            for decoder in [Decoder::from_client(), Decoder::from_client().with_version(version)] {
                for cut in 0..frame.len() {
                    assert_eq!({ decoder }.decode(&frame[..cut]), Ok(None));
                }
                let error = { decoder }.decode(&frame).err();
                assert_eq!(error.map(|error| error.cause), expected);
                if expected == Some(not_minimal) {
                    assert_eq!(error.map(|error| error.offset), Some(1));
                }
            }
        }
    }

    #[test]
    fn nothing_but_connect_opens_a_connection() {
        // v5 [MQTT-3.1.0-1], v3.1.1 [MQTT-3.1.0-1]
        let rows: [&[u8]; 3] = [&[0xc0, 0], &[0x30, 0xff, 0x01], &[0x00, 0x00]];
        for bytes in rows {
            let error = Decoder::from_client().decode(bytes).unwrap_err();
            assert_eq!(error.cause, Cause::ConnectExpected, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_bad_header_is_refused_before_the_body_arrives() {
        let mut decoder = Decoder::from_server(Version::V5);
        let error = decoder.decode(&[0x31 | 0b110, 50]).unwrap_err();
        assert_eq!((error.cause, error.offset), (Cause::InvalidQoS, 0));
        let error = decoder.decode(&[0x82, 50]).unwrap_err();
        assert_eq!(error.cause, Cause::PacketFromWrongSender(Sender::Server));
        assert_eq!(error.packet_type, Some(PacketType::Subscribe));
        let error = decoder.decode(&[0x30, 0x80, 0x00]).unwrap_err();
        assert_eq!((error.cause, error.offset), (Cause::VariableByteIntegerNotMinimal, 1));
    }

    #[test]
    fn an_unknown_level_tells_how_to_answer() {
        // v5 [MQTT-3.1.2-2], v3.1.1 [MQTT-3.1.2-2]
        use Cause::{UnsupportedMqisdpLevel, UnsupportedProtocolLevel};
        let rows: [(&[u8], Cause, Version); 10] = [
            (b"\0\x04MQTT\x06", UnsupportedProtocolLevel(6), Version::V5),
            (b"\0\x04MQTT\x83", UnsupportedProtocolLevel(0x83), Version::V3_1_1),
            (b"\0\x04MQTT\x84", UnsupportedProtocolLevel(0x84), Version::V3_1_1),
            (b"\0\x04MQTT\x85", UnsupportedProtocolLevel(0x85), Version::V5),
            (b"\0\x04MQTT\x03", UnsupportedProtocolLevel(3), Version::V3_1_1),
            (b"\0\x04MQTT\x00", UnsupportedProtocolLevel(0), Version::V3_1_1),
            (b"\0\x06MQIsdp\x02", UnsupportedMqisdpLevel(2), Version::V3_1_1),
            (b"\0\x06MQIsdp\x05", UnsupportedMqisdpLevel(5), Version::V3_1_1),
            (b"\0\x06MQIsdp\x06", UnsupportedMqisdpLevel(6), Version::V3_1_1),
            (b"\0\x06MQIsdp\x83", UnsupportedMqisdpLevel(0x83), Version::V3_1_1),
        ];
        for (body, cause, answer) in rows {
            let frame = [&[0x10, u8::try_from(body.len()).unwrap()], body].concat();
            let error = Decoder::from_client().decode(&frame).unwrap_err();
            assert_eq!((error.cause, error.offset), (cause, frame.len() - 1));
            assert_eq!(error.reason_code(), ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);
            assert_eq!(error.cause.refusal_version(), Some(answer), "{error}");
        }
    }

    #[test]
    fn a_connect_refused_behind_its_level_tells_its_version() {
        // v3.1.1 [MQTT-3.1.4-1] closes without a word, 5.0 may answer.
        let rows: [(&[u8], Option<Version>); 4] = [
            (b"\x10\x0e\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x01c", Some(Version::V5)),
            (b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x00\x00\x01c", Some(Version::V3_1_1)),
            (b"\x10\x08\x00\x04MQTT\x06\x02", None),
            (b"\xc0\x00", None),
        ];
        for (frame, version) in rows {
            let error = Decoder::from_client().decode(frame).unwrap_err();
            assert_eq!(error.version, version, "{error}");
            assert_eq!(Connect::decode_any_version(frame).unwrap_err(), error);
        }
        let error = Decoder::from_server(Version::V5).decode(&[0x36, 0]).unwrap_err();
        assert_eq!(error.version, Some(Version::V5));
    }

    #[test]
    fn the_first_connect_tells_the_version() {
        let frame = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c";
        let mut decoder = Decoder::from_client();
        for cut in 0..frame.len() {
            assert_eq!(decoder.decode(&frame[..cut]), Ok(None));
            assert_eq!(decoder.version(), None);
        }
        let (_, len) = decoder.decode(frame).unwrap().unwrap();
        assert_eq!((len, decoder.version()), (frame.len(), Some(Version::V5)));
        // v5 [MQTT-1.5.5-1]: the rule is 5.0's, and known to be broken once the level is read.
        let padded = [&[0x10, 0x8e, 0x00], &frame[2..]].concat();
        let error = Decoder::from_client().decode(&padded).unwrap_err();
        assert_eq!((error.cause, error.offset), (Cause::VariableByteIntegerNotMinimal, 1));
    }
}
