//! Variable Byte Integers, MQTT 5.0 §1.5.5: seven bits a byte, the lowest first, one to four
//! bytes; the top bit says that more follow.

use bytes::BufMut;

use crate::error::{Cause, EncodeError};

/// The greatest value, 268,435,455.
pub const MAX: u32 = 0x0fff_ffff;

/// A Variable Byte Integer that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VarInt {
    /// The value, at most [`MAX`].
    pub value: u32,
    /// How many bytes it took, 1 to 4.
    pub len: usize,
}

impl VarInt {
    /// Whether a shorter encoding of the value exists, which 5.0 forbids. v5 [MQTT-1.5.5-1]
    #[inline]
    pub const fn is_minimal(self) -> bool {
        self.len == encoded_len(self.value)
    }
}

/// Reads an integer off the front of `bytes`; `None` if they end within it.
///
/// Does not ask for the shortest form, which is no rule of 3.x: [`VarInt::is_minimal`].
///
/// # Errors
///
/// [`Cause::VariableByteIntegerTooLong`] if the fourth byte says that a fifth follows.
///
/// ```
/// use sansio_mqtt::varint;
///
/// let read = varint::decode(&[0xc1, 0x02, 0xff])?.unwrap();
/// assert_eq!((read.value, read.len), (321, 2));
/// assert_eq!(varint::decode(&[0xc1])?, None);
/// assert!(varint::decode(&[0x80, 0x80, 0x80, 0x80]).is_err());
/// # Ok::<(), sansio_mqtt::Cause>(())
/// ```
#[inline]
pub fn decode(bytes: &[u8]) -> Result<Option<VarInt>, Cause> {
    match *bytes {
        [a @ ..0x80, ..] => Ok(Some(VarInt { value: a as u32, len: 1 })),
        [a, b @ ..0x80, ..] => {
            let value = (a & 0x7f) as u32 | (b as u32) << 7;
            Ok(Some(VarInt { value, len: 2 }))
        }
        _ => decode_long(bytes),
    }
}

fn decode_long(bytes: &[u8]) -> Result<Option<VarInt>, Cause> {
    let mut value = 0;
    for (byte, (len, shift)) in bytes.iter().zip([(1, 0), (2, 7), (3, 14), (4, 21)]) {
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some(VarInt { value, len }));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Cause::VariableByteIntegerTooLong) }
}

/// How many bytes the shortest encoding of `value` takes, 1 to 4. Values above [`MAX`] have no
/// encoding.
#[inline]
pub const fn encoded_len(value: u32) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Appends the shortest encoding of `value`.
///
/// # Errors
///
/// [`Cause::VariableByteIntegerTooLong`] for a value above [`MAX`],
/// [`EncodeError::BufferTooSmall`]; `out` is as it was.
///
/// ```
/// use sansio_mqtt::varint;
///
/// let mut out = Vec::new();
/// varint::encode(321, &mut out)?;
/// assert_eq!(out, [0xc1, 0x02]);
/// assert!(varint::encode(varint::MAX + 1, &mut out).is_err());
/// # Ok::<(), sansio_mqtt::EncodeError>(())
/// ```
pub fn encode(value: u32, out: &mut impl BufMut) -> Result<(), EncodeError> {
    if value > MAX {
        return Err(Cause::VariableByteIntegerTooLong.into());
    }
    let (needed, available) = (encoded_len(value), out.remaining_mut());
    if needed > available {
        return Err(EncodeError::BufferTooSmall { needed, available });
    }
    put(value, out);
    Ok(())
}

/// Appends the shortest encoding of `value`, which the caller has found to be at most [`MAX`]
/// and to fit.
#[inline(always)]
pub(crate) fn put(value: u32, out: &mut impl BufMut) {
    let [low, .., _] = value.to_le_bytes();
    match value {
        0..0x80 => out.put_u8(low),
        0x80..0x4000 => {
            let second = (value >> 7).to_le_bytes();
            out.put_slice(&[low | 0x80, second[0]]);
        }
        _ => put_long(value, out),
    }
}

fn put_long(value: u32, out: &mut impl BufMut) {
    let mut rest = value;
    while rest >= 0x80 {
        let [low, ..] = rest.to_le_bytes();
        out.put_u8(low | 0x80);
        rest >>= 7;
    }
    let [low, ..] = rest.to_le_bytes();
    out.put_u8(low);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// v5 1.5.5, table 1-1: the least and greatest value of each length.
    const ROWS: [(u32, &[u8]); 9] = [
        (0, &[0x00]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (321, &[0xc1, 0x02]),
        (16_383, &[0xff, 0x7f]),
        (16_384, &[0x80, 0x80, 0x01]),
        (2_097_151, &[0xff, 0xff, 0x7f]),
        (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
        (268_435_455, &[0xff, 0xff, 0xff, 0x7f]),
    ];

    #[test]
    fn reads_and_writes_the_limits_of_each_length() {
        for (value, bytes) in ROWS {
            let read = decode(bytes).unwrap().unwrap();
            assert_eq!(read, VarInt { value, len: bytes.len() });
            assert!(read.is_minimal());
            assert_eq!(encoded_len(value), bytes.len());
            let mut written = Vec::new();
            encode(value, &mut written).unwrap();
            assert_eq!(written, bytes);
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), Ok(None));
            }
        }
    }

    /// v5 [MQTT-1.5.5-1]
    #[test]
    fn sees_needless_bytes() {
        let rows: [&[u8]; 4] =
            [&[0x80, 0x00], &[0xff, 0x00], &[0x80, 0x80, 0x00], &[0xff, 0xff, 0xff, 0x00]];
        for bytes in rows {
            assert!(!decode(bytes).unwrap().unwrap().is_minimal(), "{bytes:02x?}");
        }
    }

    #[test]
    fn writes_nothing_of_what_is_too_much() {
        for value in [MAX + 1, u32::MAX] {
            let mut written = b"before".to_vec();
            let error = EncodeError::Invalid(Cause::VariableByteIntegerTooLong);
            assert_eq!(encode(value, &mut written), Err(error));
            assert_eq!(written, b"before");
        }
        for (value, bytes) in ROWS {
            for available in 0..bytes.len() {
                let mut room = [0xaa; 4];
                let error = EncodeError::BufferTooSmall { needed: bytes.len(), available };
                assert_eq!(encode(value, &mut &mut room[..available]), Err(error));
                assert_eq!(room, [0xaa; 4]);
            }
        }
    }

    /// v5 [U5-1.5.5-1]: the fourth byte is enough to tell.
    #[test]
    fn a_fifth_byte_is_never_waited_for() {
        assert_eq!(decode(&[0xff; 4]), Err(Cause::VariableByteIntegerTooLong));
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0x01]), Err(Cause::VariableByteIntegerTooLong));
        assert_eq!(decode(&[0xff; 3]), Ok(None));
    }
}
