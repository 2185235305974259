//! The data representations of MQTT 5.0 §1.5 but for the Variable Byte Integer: a reader over
//! the bytes of one packet, and writing to a `BufMut`.

use bytes::BufMut;

use crate::error::{Cause, EncodeError, Fault};
use crate::packet_id::PacketId;
use crate::scan;
use crate::topic;
use crate::varint;
use crate::version::Version;

/// What is left to read of a packet. After a read that failed it may stand anywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline(always)]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[inline(always)]
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline(always)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// A rule that the field at this place breaks.
    #[inline(always)]
    pub(crate) const fn fault(&self, cause: Cause) -> Fault {
        Fault { cause, left: self.rest.len() }
    }

    /// All that is left.
    #[inline(always)]
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// The next `len` bytes.
    #[inline(always)]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.fault(Cause::FieldOverrunsPacket)),
        }
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        match self.rest.split_first_chunk() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.fault(Cause::FieldOverrunsPacket)),
        }
    }

    #[inline(always)]
    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    #[inline(always)]
    pub(crate) fn two_byte_integer(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn four_byte_integer(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    /// A Variable Byte Integer in its shortest form, as 5.0 asks for. v5 [MQTT-1.5.5-1]
    #[inline(always)]
    pub(crate) fn variable_byte_integer(&mut self) -> Result<u32, Fault> {
        if let [byte @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u32::from(*byte));
        }
        let read = varint::decode(self.rest)
            .map_err(|cause| self.fault(cause))?
            .ok_or(self.fault(Cause::FieldOverrunsPacket))?;
        if !read.is_minimal() {
            return Err(self.fault(Cause::VariableByteIntegerNotMinimal));
        }
        self.take(read.len)?;
        Ok(read.value)
    }

    /// A Packet Identifier. v5 2.2.1, v3.1.1 [MQTT-2.3.1-1]
    #[inline(always)]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, Fault> {
        let before = *self;
        let value = self.two_byte_integer()?;
        PacketId::new(value).ok_or(before.fault(Cause::PacketIdentifierZero))
    }

    /// Binary Data: a length of two bytes and as many bytes.
    #[inline(always)]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Fault> {
        let Some(([high, low], rest)) = self.rest.split_first_chunk() else {
            return Err(self.fault(Cause::FieldOverrunsPacket));
        };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((taken, rest)) = rest.split_at_checked(len) else {
            return Err(self.fault(Cause::FieldOverrunsPacket));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// A UTF-8 Encoded String. v5 [MQTT-1.5.4-1] [MQTT-1.5.4-2], v3.1.1 [MQTT-1.5.3-1]
    /// [MQTT-1.5.3-2]
    #[inline]
    pub(crate) fn string(&mut self) -> Result<&'a str, Fault> {
        let before = *self;
        let text = self.utf8()?;
        if scan::has_null(text.as_bytes()) {
            return Err(before.fault(Cause::NullCharacter));
        }
        Ok(text)
    }

    /// A UTF-8 Encoded String that the caller looks for U+0000 in.
    #[inline(always)]
    pub(crate) fn utf8(&mut self) -> Result<&'a str, Fault> {
        let before = *self;
        core::str::from_utf8(self.binary()?).map_err(|_| before.fault(Cause::IllFormedUtf8))
    }

    /// Checks a UTF-8 Encoded String as [`string`](Self::string) does, and hands on its bytes.
    ///
    /// Strings without a byte above ASCII, nearly all of them, are looked at once and quickly.
    #[inline(always)]
    pub(crate) fn checked_string_bytes(&mut self) -> Result<&'a [u8], Fault> {
        let before = *self;
        let bytes = self.binary()?;
        if !scan::is_plain(bytes) {
            let mut again = before;
            again.string()?;
        }
        Ok(bytes)
    }

    /// Checks a UTF-8 Encoded String that is a Topic Filter, and hands on its bytes.
    #[inline(always)]
    pub(crate) fn checked_topic_filter(&mut self, version: Version) -> Result<&'a [u8], Fault> {
        let before = *self;
        let filter = self.checked_string_bytes()?;
        topic::check_filter_grammar(filter, version)
            .map_err(|error| before.fault(Cause::InvalidTopicFilter(error)))?;
        Ok(filter)
    }

    /// A UTF-8 Encoded String of a block that was checked when it was decoded.
    #[inline(always)]
    pub(crate) fn string_again(&mut self) -> Option<&'a str> {
        core::str::from_utf8(self.binary().ok()?).ok()
    }

    /// Checks that nothing is left.
    #[inline(always)]
    pub(crate) fn finish(&self) -> Result<(), Fault> {
        if self.is_empty() { Ok(()) } else { Err(self.fault(Cause::TrailingBytes)) }
    }
}

/// Bytes that Binary Data takes, its length included.
#[inline(always)]
pub(crate) fn checked_binary_len(bytes: &[u8]) -> Result<usize, EncodeError> {
    if bytes.len() > 0xffff {
        return Err(EncodeError::FieldTooLong);
    }
    Ok(bytes.len().saturating_add(2))
}

/// Bytes that a UTF-8 Encoded String takes, its length included.
///
/// v5 [MQTT-1.5.4-2], v3.1.1 [MQTT-1.5.3-2]
#[inline(always)]
pub(crate) fn checked_string_len(text: &str) -> Result<usize, EncodeError> {
    if scan::has_null(text.as_bytes()) {
        return Err(Cause::NullCharacter.into());
    }
    checked_binary_len(text.as_bytes())
}

/// Appends Binary Data or a UTF-8 Encoded String, which the caller has found to be of at most
/// 65,535 bytes and to fit.
#[inline(always)]
pub(crate) fn put_binary(bytes: &[u8], out: &mut impl BufMut) {
    let [.., high, low] = bytes.len().to_be_bytes();
    out.put_slice(&[high, low]);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn reads_what_the_standard_shows() {
        // v5 1.5.4, figure 1-1: "A" and U+2A6D4
        let bytes = [0x00, 0x05, 0x41, 0xf0, 0xaa, 0x9b, 0x94];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.string(), Ok("A\u{2a6d4}"));
        assert_eq!(reader.finish(), Ok(()));
        let mut written = Vec::new();
        put_binary("A\u{2a6d4}".as_bytes(), &mut written);
        assert_eq!(written, bytes);
    }

    #[test]
    fn a_read_beyond_the_end_says_where_the_field_began() {
        let fault = |left| Fault { cause: Cause::FieldOverrunsPacket, left };
        assert_eq!(Reader::new(&[0]).two_byte_integer(), Err(fault(1)));
        assert_eq!(Reader::new(&[0, 0, 0]).four_byte_integer(), Err(fault(3)));
        assert_eq!(Reader::new(&[0, 2, 1]).binary(), Err(fault(3)));
        assert_eq!(Reader::new(&[0, 2, 1]).string(), Err(fault(3)));
        assert_eq!(Reader::new(&[]).byte(), Err(fault(0)));
        assert_eq!(Reader::new(&[0x80]).variable_byte_integer(), Err(fault(1)));
    }

    #[test]
    fn strings_are_well_formed_and_without_null() {
        // v5 [MQTT-1.5.4-1] [MQTT-1.5.4-2], v3.1.1 [MQTT-1.5.3-1] [MQTT-1.5.3-2]
        use Cause::{IllFormedUtf8, NullCharacter};
        let rows: [(&[u8], Option<Cause>); 12] = [
            (b"plain", None),
            ("größe".as_bytes(), None),
            ("\u{feff}\u{1}\u{ffff}\u{10ffff}".as_bytes(), None),
            (&[0xed, 0xa0, 0x80], Some(IllFormedUtf8)),
            (&[0xed, 0xbf, 0xbf], Some(IllFormedUtf8)),
            (&[0xc0, 0x80], Some(IllFormedUtf8)),
            (&[0xe0, 0x80, 0x80], Some(IllFormedUtf8)),
            (&[0xf4, 0x90, 0x80, 0x80], Some(IllFormedUtf8)),
            (&[b'a', 0xc3], Some(IllFormedUtf8)),
            (&[0xff], Some(IllFormedUtf8)),
            (&[0], Some(NullCharacter)),
            (b"long enough for a word\0", Some(NullCharacter)),
        ];
        for (text, cause) in rows {
            let mut bytes = Vec::new();
            put_binary(text, &mut bytes);
            let expected = cause.map(|cause| Fault { cause, left: bytes.len() });
            assert_eq!(Reader::new(&bytes).string().err(), expected, "{text:02x?}");
            assert_eq!(Reader::new(&bytes).checked_string_bytes().err(), expected, "{text:02x?}");
        }
    }

    #[test]
    fn identifier_zero_is_refused() {
        let fault = Fault { cause: Cause::PacketIdentifierZero, left: 3 };
        assert_eq!(Reader::new(&[0, 0, 9]).packet_id(), Err(fault));
        assert_eq!(Reader::new(&[0x80, 1]).packet_id(), Ok(PacketId::new(0x8001).unwrap()));
    }
}
