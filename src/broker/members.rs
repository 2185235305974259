//! A map of numbers that mostly has one entry.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::mem;
use core::ops::Bound;

/// Numbers by numbers, in their order. One is kept in place, a few together in one box.
#[derive(Debug, Default)]
pub(super) enum Members {
    #[default]
    None,
    One(u32, u32),
    Few(Box<Few>),
    #[expect(clippy::box_collection, reason = "keeps the others small")]
    Many(Box<BTreeMap<u32, u32>>),
}

const FEW: usize = 7;

/// As large as a line of the cache of most processors.
#[derive(Debug, Default)]
pub(super) struct Few {
    len: usize,
    entries: [(u32, u32); FEW],
}

impl Few {
    #[inline]
    fn get(&self) -> &[(u32, u32)] {
        self.entries.get(..self.len).unwrap_or_default()
    }

    fn search(&self, key: u32) -> Result<usize, usize> {
        self.get().binary_search_by_key(&key, |(found, _)| *found)
    }

    /// The value of a key that is there, to be replaced.
    fn get_mut(&mut self, key: u32) -> Option<&mut u32> {
        let at = self.search(key).ok()?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Adds a key that is not there; `false` if there is no room.
    fn add(&mut self, key: u32, value: u32) -> bool {
        let Err(at) = self.search(key) else { return false };
        if self.len >= FEW {
            return false;
        }
        self.len = self.len.saturating_add(1);
        if let Some(behind) = self.entries.get_mut(at..self.len) {
            behind.rotate_right(1);
        }
        if let Some(entry) = self.entries.get_mut(at) {
            *entry = (key, value);
        }
        true
    }

    fn remove(&mut self, key: u32) -> Option<u32> {
        let at = self.search(key).ok()?;
        let (_, value) = *self.entries.get(at)?;
        if let Some(behind) = self.entries.get_mut(at..self.len) {
            behind.rotate_left(1);
        }
        self.len = self.len.saturating_sub(1);
        Some(value)
    }
}

impl Members {
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(..) => 1,
            Self::Few(few) => few.len,
            Self::Many(map) => map.len(),
        }
    }

    pub(super) fn get(&self, key: u32) -> Option<u32> {
        match self {
            Self::One(found, value) if *found == key => Some(*value),
            Self::None | Self::One(..) => None,
            Self::Few(few) => few.get().get(few.search(key).ok()?).map(|(_, value)| *value),
            Self::Many(map) => map.get(&key).copied(),
        }
    }

    /// Gives a key this value, and returns the one it had.
    pub(super) fn insert(&mut self, key: u32, value: u32) -> Option<u32> {
        match self {
            Self::None => *self = Self::One(key, value),
            Self::One(found, before) if *found == key => {
                return Some(mem::replace(before, value));
            }
            Self::One(found, before) => {
                let mut few = Box::new(Few::default());
                few.add(*found, *before);
                few.add(key, value);
                *self = Self::Few(few);
            }
            Self::Few(few) => {
                if let Some(before) = few.get_mut(key) {
                    return Some(mem::replace(before, value));
                }
                if !few.add(key, value) {
                    let all = few.get().iter().copied().chain([(key, value)]);
                    *self = Self::Many(Box::new(all.collect()));
                }
            }
            Self::Many(map) => return map.insert(key, value),
        }
        None
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<u32> {
        match self {
            Self::None => None,
            Self::One(found, value) => {
                let value = (*found == key).then_some(*value)?;
                *self = Self::None;
                Some(value)
            }
            Self::Few(few) => {
                let value = few.remove(key);
                if let [(key, value)] = *few.get() {
                    *self = Self::One(key, value);
                }
                value
            }
            Self::Many(map) => {
                let value = map.remove(&key);
                // Not as soon as they would fit, so that coming and going costs little.
                if map.len() <= FEW / 2 {
                    let mut few = Box::new(Few::default());
                    for (key, value) in map.iter() {
                        few.add(*key, *value);
                    }
                    *self = Self::Few(few);
                }
                value
            }
        }
    }

    /// Calls `each` for all, the lowest key first.
    #[inline]
    pub(super) fn for_each(&self, mut each: impl FnMut(u32, u32)) {
        match self {
            Self::None => {}
            Self::One(key, value) => each(*key, *value),
            Self::Few(few) => few.get().iter().for_each(|(key, value)| each(*key, *value)),
            Self::Many(map) => map.iter().for_each(|(key, value)| each(*key, *value)),
        }
    }

    /// The first that `wanted` holds for, behind this key, and then around from the lowest.
    pub(super) fn find_after(
        &self,
        last: Option<u32>,
        mut wanted: impl FnMut(u32, u32) -> bool,
    ) -> Option<(u32, u32)> {
        let wanted = |(key, value): &(u32, u32)| wanted(*key, *value);
        match self {
            Self::None => None,
            Self::One(key, value) => Some((*key, *value)).filter(wanted),
            Self::Few(few) => {
                let at = few.get().partition_point(|(key, _)| Some(*key) <= last);
                let (before, behind) = few.get().split_at_checked(at)?;
                behind.iter().chain(before).copied().find(wanted)
            }
            Self::Many(map) => {
                let after = last.map_or(Bound::Unbounded, Bound::Excluded);
                let behind = map.range((after, Bound::Unbounded));
                // Without a last one these are all.
                let before = last.map(|last| map.range(..=last)).into_iter().flatten();
                behind.chain(before).map(|(key, value)| (*key, *value)).find(wanted)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn it_is_an_ordered_map() {
        let mut members = Members::default();
        assert_eq!(members.remove(1), None);
        let inserts = [(5, 50), (5, 51), (2, 20), (9, 90), (2, 21)];
        let replaced = inserts.map(|(key, value)| members.insert(key, value));
        assert_eq!(replaced, [None, Some(50), None, None, Some(20)]);
        let all = |members: &Members| {
            let mut all = Vec::new();
            members.for_each(|key, value| all.push((key, value)));
            assert_eq!(all.len(), members.len());
            all
        };
        assert_eq!(all(&members), [(2, 21), (5, 51), (9, 90)]);
        assert_eq!((members.get(5), members.get(6)), (Some(51), None));
        assert_eq!((members.remove(5), members.remove(5)), (Some(51), None));
        assert_eq!(members.remove(2), Some(21));
        assert!(matches!(members, Members::One(9, 90)));
        assert_eq!((members.remove(2), members.get(2), members.get(9)), (None, None, Some(90)));
        assert_eq!(members.remove(9), Some(90));
        assert!(matches!(members, Members::None));
    }

    #[test]
    fn it_is_an_ordered_map_however_many_there_are() {
        let mut members = Members::default();
        let mut model = BTreeMap::new();
        // Up, down, and up and down again; multiples of 7 go around the keys.
        let counts = [1u32, 3, 8, 30, 5, 2, 9, 0, 7, 12, 4, 1, 0];
        for (step, count) in (0..).zip(counts) {
            let mut key = step;
            while model.len() != count as usize {
                key = (key + 7) % 31;
                if model.len() < count as usize {
                    assert_eq!(members.insert(key, step), model.insert(key, step));
                } else {
                    assert_eq!(members.remove(key), model.remove(&key));
                }
                let mut all = Vec::new();
                members.for_each(|key, value| all.push((key, value)));
                assert!(all.into_iter().eq(model.iter().map(|(key, value)| (*key, *value))));
                assert_eq!(
                    (members.len(), members.get(key)),
                    (model.len(), model.get(&key).copied())
                );
            }
        }
        assert!(matches!(members, Members::None));
    }

    #[test]
    fn many_are_searched_around_too() {
        let mut members = Members::default();
        (0..20).for_each(|key| assert_eq!(members.insert(2 * key, key), None));
        for (last, next) in [(None, 0), (Some(0), 2), (Some(3), 4), (Some(38), 0), (Some(50), 0)] {
            let found = members.find_after(last, |_, _| true);
            assert_eq!(found.map(|(key, _)| key), Some(next), "{last:?}");
        }
        assert_eq!(members.find_after(Some(7), |key, _| key == 6), Some((6, 3)));
        assert_eq!(members.find_after(Some(7), |key, _| key == 7), None);
    }

    #[test]
    fn it_is_searched_around_from_any_key() {
        let mut members = Members::default();
        assert_eq!(members.find_after(None, |_, _| true), None);
        for key in [2, 5, 9] {
            members.insert(key, 0);
        }
        let rows = [(None, 2), (Some(2), 5), (Some(3), 5), (Some(5), 9), (Some(9), 2)];
        for (last, next) in rows {
            assert_eq!(members.find_after(last, |_, _| true), Some((next, 0)), "{last:?}");
        }
        assert_eq!(members.find_after(Some(5), |key, _| key == 5), Some((5, 0)));
        let mut asked = Vec::new();
        members.find_after(Some(5), |key, _| {
            asked.push(key);
            false
        });
        assert_eq!(asked, [9, 2, 5]);
    }

    #[test]
    fn it_takes_16_bytes() {
        assert_eq!(size_of::<Members>(), 16);
    }
}
