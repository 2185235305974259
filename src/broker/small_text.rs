//! Text that is mostly short, without storage apart if it is.

use alloc::boxed::Box;

/// Up to `N` bytes in place, more of them in a box.
#[derive(Debug)]
pub(super) enum SmallText<const N: usize> {
    Inline(u8, [u8; N]),
    Apart(Box<[u8]>),
}

impl<const N: usize> SmallText<N> {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; N];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(text);
                Self::Inline(len, bytes)
            }
            _ => Self::Apart(text.into()),
        }
    }

    #[inline]
    pub(super) fn get(&self) -> &[u8] {
        match self {
            Self::Inline(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Apart(text) => text,
        }
    }
}

impl<const N: usize> Default for SmallText<N> {
    fn default() -> Self {
        Self::Inline(0, [0; N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_it_was() {
        for len in [0, 1, 21, 22, 23, 255, 300] {
            let text = alloc::vec![b'x'; len];
            let small = SmallText::<22>::new(&text);
            assert_eq!(small.get(), text);
            assert_eq!(matches!(small, SmallText::Inline(..)), len <= 22);
        }
        assert_eq!(size_of::<SmallText<22>>(), 24);
        assert_eq!(size_of::<SmallText<46>>(), 48);
    }
}
