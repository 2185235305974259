//! The fixed header of every packet, MQTT 5.0 §2.1: type, flags, Remaining Length.

use crate::error::{Cause, DecodeError, Fault};
use crate::packet_type::{PacketType, Sender};
use crate::qos::QoS;
use crate::varint::{self, VarInt};
use crate::version::Version;

/// The first two to five bytes of a packet.
///
/// Tells how long the packet is and of what type before its body is there.
///
/// ```
/// use sansio_mqtt::{FixedHeader, PacketType};
///
/// let header = FixedHeader::decode(&[0x30, 0xc1, 0x02])?.unwrap();
/// assert_eq!(header.packet_type(), Some(PacketType::Publish));
/// assert_eq!(header.remaining_length(), 321);
/// assert_eq!(header.frame_len(), 324);
/// assert_eq!(FixedHeader::decode(&[0x30, 0xc1])?, None);
/// # Ok::<(), sansio_mqtt::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FixedHeader {
    first: u8,
    remaining_length: VarInt,
}

impl FixedHeader {
    /// Reads the fixed header at the front of `bytes`; `None` if they end within it.
    ///
    /// # Errors
    ///
    /// [`Cause::VariableByteIntegerTooLong`]; what else may be wrong depends on the version.
    #[inline(always)]
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        match varint::decode(rest) {
            Ok(Some(remaining_length)) => Ok(Some(Self { first, remaining_length })),
            Ok(None) => Ok(None),
            Err(cause) => Err(DecodeError {
                cause,
                packet_type: PacketType::new(first >> 4),
                version: None,
                offset: 1,
                frame_len: None,
            }),
        }
    }

    /// The type; `None` for the reserved type 0.
    #[inline]
    pub const fn packet_type(&self) -> Option<PacketType> {
        PacketType::new(self.first >> 4)
    }

    /// The low four bits of the first byte.
    #[inline]
    pub const fn flags(&self) -> u8 {
        self.first & FLAGS
    }

    /// Bytes of the packet behind the fixed header, at most 268,435,455.
    #[inline]
    pub const fn remaining_length(&self) -> u32 {
        self.remaining_length.value
    }

    /// Bytes of the fixed header itself, 2 to 5.
    #[inline]
    pub const fn header_len(&self) -> usize {
        self.remaining_length.len.saturating_add(1)
    }

    /// Bytes of the whole packet, at most 268,435,460.
    #[inline]
    pub const fn frame_len(&self) -> usize {
        // Lossless: targets have addresses of 32 bits at least.
        (self.remaining_length.value as usize).saturating_add(self.header_len())
    }

    /// A rule that the packet breaks with the byte at `offset`.
    #[cold]
    pub(crate) const fn error(&self, cause: Cause, offset: usize) -> DecodeError {
        let packet_type = known_type(self.first, cause);
        let frame_len = Some(self.frame_len());
        DecodeError { cause, packet_type, version: None, offset, frame_len }
    }

    /// Checks all of the header for a version, and gives the type.
    #[inline(always)]
    pub(crate) fn check(
        &self,
        version: Version,
        sender: Sender,
    ) -> Result<PacketType, DecodeError> {
        let packet_type =
            check_first_byte(self.first, version, sender).map_err(|cause| self.error(cause, 0))?;
        // A CONNECT says itself of which version it is, and is checked when it has.
        if version.is_v5()
            && !self.remaining_length.is_minimal()
            && packet_type != PacketType::Connect
        {
            return Err(self.error(Cause::VariableByteIntegerNotMinimal, 1));
        }
        Ok(packet_type)
    }

    /// Checks the header of a packet that opens a connection.
    pub(crate) fn check_opening(&self) -> Result<(), DecodeError> {
        check_opening_byte(self.first).map_err(|cause| self.error(cause, 0))
    }

    /// The shortest form of the Remaining Length, which 5.0 asks for. v5 [MQTT-1.5.5-1]
    #[inline(always)]
    pub(crate) fn check_minimal(&self) -> Result<(), Fault> {
        if self.remaining_length.is_minimal() {
            return Ok(());
        }
        // It is the second field, behind one byte.
        let left = self.frame_len().saturating_sub(1);
        Err(Fault { cause: Cause::VariableByteIntegerNotMinimal, left })
    }

    /// The DUP flag of PUBLISH, and in 3.1 of PUBREL, SUBSCRIBE and UNSUBSCRIBE.
    #[inline(always)]
    pub(crate) const fn dup(&self) -> bool {
        self.first & DUP != 0
    }

    /// The QoS of a PUBLISH whose flags were checked.
    #[inline(always)]
    pub(crate) const fn qos(&self) -> QoS {
        match (self.first & QOS) >> 1 {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        }
    }

    /// The RETAIN flag of a PUBLISH.
    #[inline(always)]
    pub(crate) const fn retain(&self) -> bool {
        self.first & RETAIN != 0
    }
}

/// Why the packet at the front of `bytes` is refused whose length is at fault: for its first byte,
/// if that is too. A packet of the wrong type is that before it is too long.
#[cold]
pub(crate) fn refusal(
    bytes: &[u8],
    version: Option<Version>,
    sender: Sender,
    of_length: DecodeError,
) -> DecodeError {
    let first = bytes.first().copied().unwrap_or_default();
    let checked = match version {
        Some(version) => check_first_byte(first, version, sender).map(drop),
        None => check_opening_byte(first),
    };
    let Err(cause) = checked else { return DecodeError { version, ..of_length } };
    DecodeError { cause, packet_type: known_type(first, cause), version, offset: 0, ..of_length }
}

/// Checks the type and the flags, and that `sender` sends such packets.
#[inline(always)]
fn check_first_byte(first: u8, version: Version, sender: Sender) -> Result<PacketType, Cause> {
    if first >> 4 == PacketType::Publish as u8 {
        check_publish_flags(first)?;
        return Ok(PacketType::Publish);
    }
    check_other(first, version, sender)
}

#[inline(always)]
fn check_publish_flags(first: u8) -> Result<(), Cause> {
    match first & (DUP | QOS) {
        flags if flags & QOS == QOS => Err(Cause::InvalidQoS),
        DUP => Err(Cause::DupAtQoS0),
        _ => Ok(()),
    }
}

/// What [`check_first_byte`] does for all packets but PUBLISH, which both ends send.
#[inline(always)]
fn check_other(first: u8, version: Version, sender: Sender) -> Result<PacketType, Cause> {
    let (number, flags) = (first >> 4, first & FLAGS);
    let Some(packet_type) = PacketType::new(number).filter(|found| found.is_in(version)) else {
        return Err(Cause::ReservedPacketType(number));
    };
    let mut expected = packet_type.reserved_flags();
    // 3.1 keeps DUP where it has a QoS 1 for these flags.
    if version == Version::V3_1 && expected != 0 {
        expected |= first & DUP;
    }
    if flags != expected {
        return Err(Cause::ReservedHeaderFlags(flags));
    }
    if !packet_type.is_sent_by(sender, version) {
        return Err(Cause::PacketFromWrongSender(sender));
    }
    Ok(packet_type)
}

/// Nothing but a CONNECT opens a connection. v5 [MQTT-3.1.0-1], v3.1.1 [MQTT-3.1.0-1]
fn check_opening_byte(first: u8) -> Result<(), Cause> {
    if first >> 4 != PacketType::Connect as u8 {
        return Err(Cause::ConnectExpected);
    }
    match first & FLAGS {
        0 => Ok(()),
        flags => Err(Cause::ReservedHeaderFlags(flags)),
    }
}

/// The type, unless its number is what is wrong: 15 is reserved in 3.x.
const fn known_type(first: u8, cause: Cause) -> Option<PacketType> {
    match cause {
        Cause::ReservedPacketType(_) => None,
        _ => PacketType::new(first >> 4),
    }
}

/// A Remaining Length is taken for a `usize` as it is.
const _: () = assert!(usize::BITS >= 32, "addresses of 32 bits at least are needed");

/// The bits of the first byte that are not the type.
const FLAGS: u8 = 0x0f;

/// Flags of PUBLISH, §3.3.1.
pub(crate) const DUP: u8 = 0b1000;
const QOS: u8 = 0b0110;
pub(crate) const RETAIN: u8 = 0b0001;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: u8, version: Version) -> Result<PacketType, Cause> {
        let header = FixedHeader::decode(&[first, 0]).unwrap().unwrap();
        let sender = match first >> 4 {
            2 | 9 | 11 | 13 => Sender::Server,
            _ => Sender::Client,
        };
        header.check(version, sender).map_err(|error| error.cause)
    }

    /// v5 [MQTT-2.1.3-1], v3.1.1 [MQTT-2.2.2-1] [MQTT-2.2.2-2]: all first bytes.
    #[test]
    fn each_type_has_its_flags_and_no_others() {
        for version in Version::ALL {
            for first in 0..=255u8 {
                let (number, flags) = (first >> 4, first & 0x0f);
                let expected = match number {
                    0 => false,
                    3 => flags & 0b0110 != 0b0110 && flags & 0b1110 != 0b1000,
                    6 | 8 | 10 => flags == 2 || version == Version::V3_1 && flags == 0b1010,
                    15 => version.is_v5() && flags == 0,
                    _ => flags == 0,
                };
                assert_eq!(check(first, version).is_ok(), expected, "{first:#x} in {version}");
            }
        }
    }

    #[test]
    fn the_cause_names_what_is_wrong() {
        let rows = [
            (0x00, Cause::ReservedPacketType(0)),
            (0xc1, Cause::ReservedHeaderFlags(1)),
            (0x72, Cause::ReservedHeaderFlags(2)),
            (0x36, Cause::InvalidQoS),
            (0x38, Cause::DupAtQoS0),
        ];
        for (first, cause) in rows {
            assert_eq!(check(first, Version::V5), Err(cause), "{first:#x}");
        }
        assert_eq!(check(0xf0, Version::V3_1_1), Err(Cause::ReservedPacketType(15)));
    }
}
