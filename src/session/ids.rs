//! Which Packet Identifiers are in use, and for what. MQTT 5.0 §2.2.1.

use alloc::collections::VecDeque;

use crate::packet_id::PacketId;

/// The Packet Identifiers that one end of a session has in use, each with a number that the
/// caller finds its exchange by.
///
/// Identifiers are given out in a circle, so that one which has just become free is the last to
/// be given again: a late second acknowledgement does not hit another message. Finding one costs
/// the same whatever is in flight; memory is that of the stretch of the circle in use.
#[derive(Debug, Default)]
pub(crate) struct PacketIds {
    /// From the oldest identifier in use on: 0 for one that is free, or its number plus one.
    slots: VecDeque<u32>,
    /// The identifier of the first slot, less one.
    first: u16,
    /// Where to look next when the whole circle is taken up by slots.
    cursor: usize,
    /// How many are in use.
    used: usize,
}

/// All identifiers there are: 1 to 65,535.
const CIRCLE: usize = 0xffff;

impl PacketIds {
    /// How many are not in use.
    #[inline]
    pub(crate) const fn free(&self) -> usize {
        CIRCLE.saturating_sub(self.used)
    }

    /// Takes an identifier for `number`; `None` if all are in use.
    pub(crate) fn take(&mut self, number: u32) -> Option<PacketId> {
        let slot = number.saturating_add(1);
        let index = self.slots.len();
        if index < CIRCLE {
            self.used = self.used.saturating_add(1);
            self.slots.push_back(slot);
            return self.id(index);
        }
        if self.free() == 0 {
            return None;
        }
        let free = |from: usize, to: usize| {
            let slots = self.slots.range(from..to);
            slots.zip(from..).find_map(|(slot, index)| (*slot == 0).then_some(index))
        };
        let cursor = self.cursor.min(index);
        let index = free(cursor, index).or_else(|| free(0, cursor))?;
        self.cursor = index.saturating_add(1);
        *self.slots.get_mut(index)? = slot;
        self.used = self.used.saturating_add(1);
        self.id(index)
    }

    /// Marks an identifier as used for `number`: one that was stored. `false` if it is in use.
    pub(crate) fn insert(&mut self, id: PacketId, number: u32) -> bool {
        if self.slots.is_empty() {
            self.first = id.get().wrapping_sub(1);
        }
        let mut index = self.index(id);
        // What is nearer going backwards becomes the new front.
        while index >= self.slots.len() && index > CIRCLE / 2 {
            self.slots.push_front(0);
            let before = usize::from(self.first).wrapping_add(CIRCLE).wrapping_sub(1);
            self.first = u16::try_from(before.wrapping_rem(CIRCLE)).unwrap_or_default();
            index = self.index(id);
        }
        while index >= self.slots.len() {
            self.slots.push_back(0);
        }
        match self.slots.get_mut(index) {
            Some(slot @ 0) => {
                *slot = number.saturating_add(1);
                self.used = self.used.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    /// What an identifier is in use for.
    #[inline]
    pub(crate) fn get(&self, id: PacketId) -> Option<u32> {
        self.slots.get(self.index(id))?.checked_sub(1)
    }

    /// Gives an identifier back.
    #[inline]
    pub(crate) fn release(&mut self, id: PacketId) {
        let index = self.index(id);
        let Some(slot) = self.slots.get_mut(index) else { return };
        if core::mem::take(slot) == 0 {
            return;
        }
        if self.free() == 0 {
            // The only one to be found.
            self.cursor = index;
        }
        self.used = self.used.saturating_sub(1);
        while let Some(0) = self.slots.front() {
            self.slots.pop_front();
            let next = usize::from(self.first).wrapping_add(1);
            self.first = if next == CIRCLE { 0 } else { self.first.wrapping_add(1) };
            self.cursor = self.cursor.saturating_sub(1);
        }
    }

    /// The identifier of a slot.
    #[inline]
    fn id(&self, index: usize) -> Option<PacketId> {
        let value = usize::from(self.first).wrapping_add(index);
        let value = if value >= CIRCLE { value.wrapping_sub(CIRCLE) } else { value };
        PacketId::new(u16::try_from(value).ok()?.wrapping_add(1))
    }

    /// The slot of an identifier, which may be beyond the last.
    #[inline]
    fn index(&self, id: PacketId) -> usize {
        let (value, first) = (usize::from(id.get()).wrapping_sub(1), usize::from(self.first));
        if value >= first {
            value.wrapping_sub(first)
        } else {
            value.wrapping_add(CIRCLE).wrapping_sub(first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn id(value: u16) -> PacketId {
        PacketId::new(value).unwrap()
    }

    #[test]
    fn identifiers_go_round_the_circle_and_skip_those_in_use() {
        // v5 [MQTT-2.2.1-3], v3.1.1 [MQTT-2.3.1-2]
        let mut ids = PacketIds::default();
        for value in 1..=3 {
            assert_eq!(ids.take(value), Some(id(value as u16)));
        }
        for value in 4..=65_535u16 {
            assert_eq!(ids.take(0), Some(id(value)));
            ids.release(id(value));
        }
        assert_eq!(ids.take(9), Some(id(4)));
        assert_eq!(
            (1..=4).map(|value| ids.get(id(value))).collect::<Vec<_>>(),
            [Some(1), Some(2), Some(3), Some(9)]
        );
        assert_eq!(ids.slots.iter().filter(|slot| **slot != 0).count(), 4);
    }

    #[test]
    fn an_identifier_is_not_given_again_at_once() {
        let mut ids = PacketIds::default();
        for round in 0..200_000u32 {
            let expected = u16::try_from(round % 65_535).unwrap() + 1;
            assert_eq!(ids.take(round), Some(id(expected)));
            assert_eq!(ids.get(id(expected)), Some(round));
            ids.release(id(expected));
        }
        assert_eq!(ids.slots.iter().filter(|slot| **slot != 0).count(), 0);
        assert!(ids.slots.is_empty());
    }

    #[test]
    fn all_can_be_in_use_and_no_more() {
        let mut ids = PacketIds::default();
        for number in 0..65_535 {
            assert!(ids.take(number).is_some());
        }
        assert_eq!(ids.take(0), None);
        ids.release(id(777));
        ids.release(id(777));
        assert_eq!(ids.free(), 1);
        assert_eq!(ids.take(0), Some(id(777)));
        assert_eq!((ids.take(0), ids.free()), (None, 0));
    }

    #[test]
    fn the_only_one_that_is_free_is_found_at_once() {
        let mut ids = PacketIds::default();
        (0..65_535).for_each(|number| assert!(ids.take(number).is_some()));
        for value in [65_535, 65_535, 40_000, 2, 1, 65_535, 1] {
            ids.release(id(value));
            let is_at_once = ids.slots.len() < CIRCLE || ids.slots[ids.cursor] == 0;
            assert!(is_at_once, "{value} is not looked for where it is");
            assert_eq!((ids.take(0), ids.free()), (Some(id(value)), 0));
        }
        // Of several the first to become free comes first.
        [777, 5, 778].into_iter().for_each(|value| ids.release(id(value)));
        assert_eq!([0; 3].map(|number| ids.take(number)), [777, 778, 5].map(id).map(Some));
    }

    #[test]
    fn stored_identifiers_come_back_in_any_order() {
        let mut ids = PacketIds::default();
        for (value, number) in [(40_000, 1), (5, 2), (65_535, 3), (1, 4), (39_999, 5)] {
            assert!(ids.insert(id(value), number), "{value}");
            assert!(!ids.insert(id(value), number), "{value}");
            assert_eq!(ids.get(id(value)), Some(number));
        }
        assert_eq!(ids.slots.iter().filter(|slot| **slot != 0).count(), 5);
        for (value, number) in [(40_000, 1), (5, 2), (65_535, 3), (1, 4), (39_999, 5)] {
            assert_eq!(ids.get(id(value)), Some(number));
            ids.release(id(value));
        }
        assert_eq!(ids.free(), CIRCLE);
        assert_eq!((ids.slots.iter().filter(|slot| **slot != 0).count(), ids.slots.len()), (0, 0));
    }
}
