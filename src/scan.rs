//! Looks at all bytes of a string at once: sixteen in one step, which compilers turn into the
//! vector instructions that their target has.

/// Whether `test` holds for one of `bytes` or more.
#[inline(always)]
fn any(bytes: &[u8], test: impl Fn(u8) -> bool + Copy) -> bool {
    if let Some(found) = any_in_blocks::<16>(bytes, test) {
        return found;
    }
    if let Some(found) = any_in_blocks::<8>(bytes, test) {
        return found;
    }
    if let Some(found) = any_in_blocks::<4>(bytes, test) {
        return found;
    }
    bytes.iter().any(|byte| test(*byte))
}

/// [`any`], in the first and the last block, which may overlap, and in what is between them;
/// `None` of less than one.
#[inline(always)]
fn any_in_blocks<const N: usize>(bytes: &[u8], test: impl Fn(u8) -> bool) -> Option<bool> {
    let (first, last) = (bytes.first_chunk::<N>()?, bytes.last_chunk::<N>()?);
    let mut found = false;
    for (first, last) in first.iter().zip(last) {
        found |= test(*first) | test(*last);
    }
    let is_long = bytes.len() > N.saturating_mul(2);
    Some(found || is_long && any_between::<N>(bytes, test))
}

/// [`any`], in the whole blocks of long text; apart, since most is short.
#[inline(never)]
fn any_between<const N: usize>(bytes: &[u8], test: impl Fn(u8) -> bool) -> bool {
    let (blocks, _) = bytes.as_chunks::<N>();
    blocks.iter().any(|block| block.iter().fold(false, |found, byte| found | test(*byte)))
}

/// Whether `test` holds for one pair of neighbours in `bytes` or more.
#[inline(always)]
fn any_pair(bytes: &[u8], test: impl Fn(u8, u8) -> bool + Copy) -> bool {
    let (Some((_, right)), Some((_, left))) = (bytes.split_first(), bytes.split_last()) else {
        return false;
    };
    if let Some(found) = any_pair_in_two_blocks::<16>(left, right, test) {
        return found;
    }
    if let Some(found) = any_pair_in_blocks::<16>(left, right, test) {
        return found;
    }
    if let Some(found) = any_pair_in_blocks::<8>(left, right, test) {
        return found;
    }
    left.iter().zip(right).any(|(left, right)| test(*left, *right))
}

/// [`any_pair`], in the first and the last block; `None` if these are not all.
#[inline(always)]
fn any_pair_in_two_blocks<const N: usize>(
    left: &[u8],
    right: &[u8],
    test: impl Fn(u8, u8) -> bool,
) -> Option<bool> {
    if left.len() > N.saturating_mul(2) {
        return None;
    }
    let first = left.first_chunk::<N>()?.iter().zip(right.first_chunk::<N>()?);
    let last = left.last_chunk::<N>()?.iter().zip(right.last_chunk::<N>()?);
    let mut found = false;
    // In one loop: compilers make worse vectors of two.
    for ((left, right), (last_left, last_right)) in first.zip(last) {
        found |= test(*left, *right) | test(*last_left, *last_right);
    }
    Some(found)
}

/// [`any_pair`], in blocks of which the last may overlap the one before it; `None` of less than
/// one.
#[inline(always)]
fn any_pair_in_blocks<const N: usize>(
    mut left: &[u8],
    mut right: &[u8],
    test: impl Fn(u8, u8) -> bool,
) -> Option<bool> {
    let (last_left, last_right) = (left.last_chunk::<N>()?, right.last_chunk::<N>()?);
    while !left.is_empty() {
        let mut found = false;
        let (l, r) = (
            left.first_chunk::<N>().unwrap_or(last_left),
            right.first_chunk::<N>().unwrap_or(last_right),
        );
        for (left, right) in l.iter().zip(r) {
            found |= test(*left, *right);
        }
        if found {
            return Some(true);
        }
        left = left.get(N..).unwrap_or_default();
        right = right.get(N..).unwrap_or_default();
    }
    Some(false)
}

/// `+` or `#`, which differ in the bit 0x08 alone.
#[inline(always)]
const fn is_wildcard(byte: u8) -> bool {
    byte | 0x08 == b'+'
}

/// Whether there is a U+0000 in the UTF-8 text `bytes`.
#[inline(always)]
pub(crate) fn has_null(bytes: &[u8]) -> bool {
    any(bytes, |byte| byte == 0)
}

/// Whether there is a `+` or a `#` in the UTF-8 text `bytes`.
#[inline(always)]
pub(crate) fn has_wildcard(bytes: &[u8]) -> bool {
    any(bytes, is_wildcard)
}

/// Whether there is a U+0000, a `+` or a `#` in the UTF-8 text `bytes`.
#[inline(always)]
pub(crate) fn has_null_or_wildcard(bytes: &[u8]) -> bool {
    any(bytes, |byte| (byte == 0) | is_wildcard(byte))
}

/// Whether all of `bytes` are ASCII and none is zero: text that needs no closer look.
#[inline(always)]
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    !any(bytes, |byte| (byte == 0) | (byte >= 0x80))
}

/// Whether a `+` or a `#` in `bytes` is not alone between separators, or a `#` is not the last.
#[inline(always)]
pub(crate) fn has_misplaced_wildcard(bytes: &[u8]) -> bool {
    any_pair(bytes, is_misplaced_wildcard)
}

/// Whether there is a U+0000 or a misplaced wildcard in `bytes`.
#[inline(always)]
pub(crate) fn has_null_or_misplaced_wildcard(bytes: &[u8]) -> bool {
    any_pair(bytes, |byte, next| (byte == 0) | is_misplaced_wildcard(byte, next))
        || bytes.last() == Some(&0)
}

/// All that can be wrong with a wildcard can be seen in a byte and the next one.
#[inline(always)]
fn is_misplaced_wildcard(byte: u8, next: u8) -> bool {
    (is_wildcard(next) & (byte != b'/')) | ((byte == b'+') & (next != b'/')) | (byte == b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four blocks and a half.
    const LONGEST: usize = 72;

    /// Every byte value at every place of every length, against the obvious loop.
    #[test]
    fn finds_each_byte_at_each_place() {
        for len in 0..LONGEST {
            let mut bytes = [b'a'; LONGEST];
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

    /// Every pair of the bytes that matter at every place of every length.
    #[test]
    fn finds_each_misplaced_wildcard() {
        for len in 2..LONGEST {
            for at in 0..len - 1 {
                for (left, right) in PAIRS {
                    let mut bytes = [b'/'; LONGEST];
                    bytes[at] = left;
                    bytes[at + 1] = right;
                    let bytes = &bytes[..len];
                    let wrong = bytes.windows(2).any(|pair| match pair {
                        [b'#', _] => true,
                        [b'+', next] => *next != b'/',
                        [byte, b'+' | b'#'] => *byte != b'/',
                        _ => false,
                    });
                    let shown = bytes.escape_ascii();
                    assert_eq!(has_misplaced_wildcard(bytes), wrong, "{shown}");
                    assert_eq!(has_null_or_misplaced_wildcard(bytes), wrong, "{shown}");
                }
            }
        }
        assert!(!has_misplaced_wildcard(b"#") && !has_misplaced_wildcard(b""));
        for len in 1..LONGEST {
            for at in 0..len {
                let mut bytes = [b'/'; LONGEST];
                bytes[at] = 0;
                assert!(has_null_or_misplaced_wildcard(&bytes[..len]), "{at} of {len}");
            }
        }
    }

    const PAIRS: [(u8, u8); 9] = [
        (b'#', b'/'),
        (b'/', b'#'),
        (b'+', b'/'),
        (b'/', b'+'),
        (b'+', b'+'),
        (b'a', b'+'),
        (b'+', b'a'),
        (b'a', b'#'),
        (b'a', b'b'),
    ];
}
