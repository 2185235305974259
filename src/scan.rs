//! Looks for bytes that strings of MQTT may not hold, eight at a time.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Has a bit set if a byte of `word` is zero, and none otherwise.
#[inline(always)]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

/// Has a bit set if a byte of `word` is `+` or `#`, which differ in the bit 0x08 alone.
#[inline(always)]
const fn wildcard_bytes(word: u64) -> u64 {
    zero_bytes((word | LOW.wrapping_mul(0x08)) ^ LOW.wrapping_mul(b'+' as u64))
}

/// The bits that `test` finds in the words of `bytes`, the last of which overlap.
#[inline(always)]
fn scan(bytes: &[u8], test: impl Fn(u64) -> u64) -> u64 {
    let Some(last) = bytes.last_chunk() else { return test(short(bytes)) };
    let mut found = test(u64::from_le_bytes(*last));
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk() {
        found |= test(u64::from_le_bytes(*word));
        rest = after;
    }
    found
}

/// All of fewer than eight bytes, some of them twice; of none, bytes that nothing looks for.
#[inline(always)]
fn short(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    match *bytes {
        [a] => LOW.wrapping_mul(u64::from(a)),
        [a, b] => u64::from_le_bytes([a, b, a, b, a, b, a, b]),
        [a, b, c] => u64::from_le_bytes([a, b, c, a, b, c, a, b]),
        _ => LOW,
    }
}

/// Whether there is a U+0000 in the UTF-8 text `bytes`.
#[inline(always)]
pub(crate) fn has_null(bytes: &[u8]) -> bool {
    scan(bytes, zero_bytes) != 0
}

/// Whether there is a `+` or a `#` in the UTF-8 text `bytes`.
#[inline(always)]
pub(crate) fn has_wildcard(bytes: &[u8]) -> bool {
    scan(bytes, wildcard_bytes) != 0
}

/// Whether there is a U+0000, a `+` or a `#` in the UTF-8 text `bytes`.
#[inline(always)]
pub(crate) fn has_null_or_wildcard(bytes: &[u8]) -> bool {
    scan(bytes, |word| zero_bytes(word) | wildcard_bytes(word)) != 0
}

/// Whether all of `bytes` are ASCII and none is zero: text that needs no closer look.
#[inline(always)]
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    scan(bytes, |word| zero_bytes(word) | word & HIGH) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte value at every place of every length up to 40, against the obvious loop.
    #[test]
    fn finds_each_byte_at_each_place() {
        for len in 0..40 {
            let mut bytes = [b'a'; 40];
            let bytes = &mut bytes[..len];
            assert!(is_plain(bytes));
            assert!(!has_null_or_wildcard(bytes));
            for at in 0..len {
                for value in 0..=255u8 {
                    bytes[at] = value;
                    let wildcard = value == b'+' || value == b'#';
                    assert_eq!(has_null(bytes), value == 0, "{value} at {at} of {len}");
                    assert_eq!(has_wildcard(bytes), wildcard, "{value} at {at} of {len}");
                    let either = value == 0 || wildcard;
                    assert_eq!(has_null_or_wildcard(bytes), either, "{value} at {at} of {len}");
                    let plain = value != 0 && value.is_ascii();
                    assert_eq!(is_plain(bytes), plain, "{value} at {at} of {len}");
                }
                bytes[at] = b'a';
            }
        }
    }
}
