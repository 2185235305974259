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
/// values little is reserved for more, and no insertion takes long. That of a chunk is given back
/// when its last value goes.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// The chunks that have room, the one that is filled next at the end.
    open: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    values: Vec<T>,
    /// Places among them that are free.
    free: Vec<u16>,
}

impl<T> Chunk<T> {
    const fn is_full(&self) -> bool {
        self.values.len() == CHUNK && self.free.is_empty()
    }

    const fn is_unused(&self) -> bool {
        self.values.len() == self.free.len()
    }
}

impl<T: Default> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), open: Vec::new(), len: 0 }
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
        let index = match self.open.last() {
            Some(index) => *index,
            None => {
                let index = u32::try_from(self.chunks.len()).ok()?;
                self.chunks.push(Chunk { values: Vec::new(), free: Vec::new() });
                self.open.push(index);
                index
            }
        };
        let chunk = self.chunks.get_mut(index as usize)?;
        let place = match chunk.free.pop() {
            Some(place) => {
                *chunk.values.get_mut(usize::from(place))? = value;
                u32::from(place)
            }
            None => {
                if chunk.values.is_empty() && index > 0 {
                    chunk.values.reserve_exact(CHUNK);
                }
                chunk.values.push(value);
                u32::try_from(chunk.values.len()).ok()?.saturating_sub(1)
            }
        };
        if chunk.is_full() {
            self.open.pop();
        }
        self.len = self.len.saturating_add(1);
        Some(index << CHUNK_BITS | place)
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        let id = id as usize;
        self.chunks.get(id >> CHUNK_BITS)?.values.get(id & (CHUNK - 1))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let id = id as usize;
        self.chunks.get_mut(id >> CHUNK_BITS)?.values.get_mut(id & (CHUNK - 1))
    }

    /// Takes out a value that is there; its number is free again.
    pub(super) fn remove(&mut self, id: u32) -> T {
        let (index, place) = (id >> CHUNK_BITS, id as usize & (CHUNK - 1));
        let Some(chunk) = self.chunks.get_mut(index as usize) else { return T::default() };
        let Some(value) = chunk.values.get_mut(place).map(mem::take) else { return T::default() };
        self.len = self.len.saturating_sub(1);
        if self.len == 0 {
            *self = Self::new();
            return value;
        }
        if chunk.is_full() {
            self.open.push(index);
        }
        chunk.free.extend(u16::try_from(place));
        if chunk.is_unused() {
            (chunk.values, chunk.free) = (Vec::new(), Vec::new());
        }
        value
    }

    /// The number behind the last one that may have been given.
    pub(super) fn end(&self) -> u32 {
        let last = self.chunks.last().map_or(0, |chunk| chunk.values.len());
        let before = self.chunks.len().saturating_sub(1).saturating_mul(CHUNK);
        u32::try_from(before.saturating_add(last)).unwrap_or(u32::MAX)
    }

    /// All values by their numbers, those that are free as defaults, or not at all.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let chunks = self.chunks.iter().zip((0..).step_by(CHUNK));
        chunks.flat_map(|(chunk, first)| (first..).zip(&chunk.values))
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
            (Some(17), Some(9_999), Some(10_000))
        );
        assert_eq!(
            (slab.get(17), slab.get(4_096), slab.get(10_001)),
            (Some(&1), Some(&4_096), None)
        );
        for id in 0..=10_000 {
            slab.remove(id);
        }
        assert!(slab.is_empty());
        assert_eq!((slab.chunks.capacity(), slab.open.capacity()), (0, 0));
        assert_eq!(slab.insert(5), Some(0));
    }

    #[test]
    fn it_is_a_map_whose_room_is_given_back() {
        let (mut slab, mut model) = (Slab::new(), alloc::collections::BTreeMap::new());
        let mut seed = 7_u32;
        // Up and down between many and few, some of which stay.
        for round in 0..12_u32 {
            for _ in 0..9_000 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if round % 2 == 0 || seed >> 16 & 15 == 0 {
                    let id = slab.insert(seed).unwrap();
                    assert_eq!(model.insert(id, seed), None, "{id} is in use");
                } else if let Some(id) = model.range(seed >> 18..).next().map(|(id, _)| *id) {
                    assert_eq!(Some(slab.remove(id)), model.remove(&id));
                }
            }
            assert_eq!(slab.len(), model.len());
            assert!(model.iter().all(|(id, value)| slab.get(*id) == Some(value)));
            let found = slab.iter().filter(|(id, _)| model.contains_key(id));
            assert!(found.eq(model.iter().map(|(id, value)| (*id, value))));
            assert!(model.last_key_value().is_none_or(|(id, _)| *id < slab.end()));
        }
        let first = *model.first_key_value().unwrap().0;
        for (id, value) in model.iter().skip(1) {
            assert_eq!(slab.remove(*id), *value);
        }
        let room: usize = slab.chunks.iter().map(|chunk| chunk.values.capacity()).sum();
        assert!(room <= CHUNK * 2, "{room}");
        assert_eq!(slab.get(first), model.get(&first));
    }
}
