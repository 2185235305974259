//! A map of numbers that mostly has one entry.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::ops::Bound;

/// Numbers by numbers, in their order. One is kept in place.
#[derive(Debug, Default)]
pub(super) enum Members {
    #[default]
    None,
    One(u32, u32),
    #[expect(clippy::box_collection, reason = "keeps the others small")]
    Many(Box<BTreeMap<u32, u32>>),
}

impl Members {
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(..) => 1,
            Self::Many(map) => map.len(),
        }
    }

    pub(super) fn get(&self, key: u32) -> Option<u32> {
        match self {
            Self::One(found, value) if *found == key => Some(*value),
            Self::None | Self::One(..) => None,
            Self::Many(map) => map.get(&key).copied(),
        }
    }

    /// Gives a key this value, and returns the one it had.
    pub(super) fn insert(&mut self, key: u32, value: u32) -> Option<u32> {
        match self {
            Self::None => {
                *self = Self::One(key, value);
                None
            }
            Self::One(found, before) if *found == key => Some(core::mem::replace(before, value)),
            Self::One(found, before) => {
                *self = Self::Many(Box::new(BTreeMap::from([(*found, *before), (key, value)])));
                None
            }
            Self::Many(map) => map.insert(key, value),
        }
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<u32> {
        match self {
            Self::None => None,
            Self::One(found, value) => {
                let value = (*found == key).then_some(*value)?;
                *self = Self::None;
                Some(value)
            }
            Self::Many(map) => {
                let value = map.remove(&key);
                if map.len() == 1
                    && let Some((key, value)) = map.first_key_value()
                {
                    *self = Self::One(*key, *value);
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
            Self::Many(map) => map.iter().for_each(|(key, value)| each(*key, *value)),
        }
    }

    /// The first that `wanted` holds for, behind this key, and then around from the lowest.
    pub(super) fn find_after(
        &self,
        last: Option<u32>,
        mut wanted: impl FnMut(u32, u32) -> bool,
    ) -> Option<(u32, u32)> {
        match self {
            Self::None => None,
            Self::One(key, value) => wanted(*key, *value).then_some((*key, *value)),
            Self::Many(map) => {
                let after = last.map_or(Bound::Unbounded, Bound::Excluded);
                let behind = map.range((after, Bound::Unbounded));
                // Without a last one these are all.
                let before = last.map(|last| map.range(..=last)).into_iter().flatten();
                let mut around = behind.chain(before).map(|(key, value)| (*key, *value));
                around.find(|(key, value)| wanted(*key, *value))
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
