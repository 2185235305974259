//! An arena: values found by a number of 32 bits.

use alloc::vec::Vec;
use core::mem;

/// How many values there can be: numbers leave one bit to their user, and one value.
pub(super) const LIMIT: usize = 0x7fff_fffe;

const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;

/// Values with numbers, which are given again when they are free.
///
/// Memory grows by chunks of 4,096 values, of which only the first is ever moved: with many
/// values little is reserved for more, and no insertion takes long. It is given back when the
/// last value goes.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T: Default> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there are as many as there can be.
    pub(super) const fn is_full(&self) -> bool {
        self.len >= LIMIT
    }

    /// Keeps a value; `None` if there are as many as there can be. The first one has the number 0.
    pub(super) fn insert(&mut self, value: T) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        if let Some(id) = self.free.pop() {
            *self.get_mut(id)? = value;
            self.len = self.len.saturating_add(1);
            return Some(id);
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        // None is free: what is in use fills all chunks but the last.
        let id = u32::try_from(self.len).ok()?;
        self.chunks.last_mut()?.push(value);
        self.len = self.len.saturating_add(1);
        Some(id)
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        let id = id as usize;
        self.chunks.get(id >> CHUNK_BITS)?.get(id & (CHUNK - 1))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let id = id as usize;
        self.chunks.get_mut(id >> CHUNK_BITS)?.get_mut(id & (CHUNK - 1))
    }

    /// Takes out a value that is there; its number is free again.
    pub(super) fn remove(&mut self, id: u32) -> T {
        let Some(value) = self.get_mut(id).map(mem::take) else { return T::default() };
        self.len = self.len.saturating_sub(1);
        if self.len == 0 {
            *self = Self::new();
        } else {
            self.free.push(id);
        }
        value
    }

    /// The number behind the last one that was given.
    pub(super) fn end(&self) -> u32 {
        let last = self.chunks.last().map_or(0, Vec::len);
        let before = self.chunks.len().saturating_sub(1).saturating_mul(CHUNK);
        u32::try_from(before.saturating_add(last)).unwrap_or(u32::MAX)
    }

    /// All values by their numbers, what is free as its default.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.chunks.iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_are_given_again() {
        let mut slab = Slab::new();
        let ids: Vec<u32> = (0..10_000u64).map(|value| slab.insert(value).unwrap()).collect();
        assert_eq!(ids, (0..10_000).collect::<Vec<_>>());
        assert_eq!((slab.remove(17), slab.remove(9_999), slab.len()), (17, 9_999, 9_998));
        assert_eq!(
            (slab.insert(1), slab.insert(2), slab.insert(3)),
            (Some(9_999), Some(17), Some(10_000))
        );
        assert_eq!(
            (slab.get(17), slab.get(4_096), slab.get(10_001)),
            (Some(&2), Some(&4_096), None)
        );
        for id in 0..=10_000 {
            slab.remove(id);
        }
        assert!(slab.is_empty());
        assert_eq!((slab.chunks.capacity(), slab.free.capacity()), (0, 0));
        assert_eq!(slab.insert(5), Some(0));
    }
}
