//! The levels of filters and topics, each kept once.

use hashbrown::HashTable;

use crate::broker::hash::Seed;
use crate::broker::slab::Slab;
use crate::broker::small_text::SmallText;

/// Texts of levels, each with a number for as long as somebody uses it.
#[derive(Debug)]
pub(super) struct Levels {
    levels: Slab<Level>,
    /// The numbers, by the hashes of the texts.
    index: HashTable<u32>,
}

#[derive(Debug, Default)]
struct Level {
    uses: u32,
    text: SmallText<22>,
}

impl Levels {
    pub(super) const fn new() -> Self {
        Self { levels: Slab::new(), index: HashTable::new() }
    }

    /// The text of a level that is in use.
    #[inline]
    pub(super) fn text(&self, id: u32) -> &[u8] {
        self.levels.get(id).map_or(&[], |level| level.text.get())
    }

    /// The number of a text with this hash, if it is in use.
    pub(super) fn find(&self, text: &[u8], hash: u64) -> Option<u32> {
        self.index.find(hash, |id| self.text(*id) == text).copied()
    }

    /// Uses a text with this hash once more; `None` if there is no number left.
    pub(super) fn acquire(&mut self, seed: &Seed, text: &[u8], hash: u64) -> Option<u32> {
        if let Some(id) = self.find(text, hash) {
            let level = self.levels.get_mut(id)?;
            level.uses = level.uses.saturating_add(1);
            return Some(id);
        }
        let id = self.levels.insert(Level { uses: 1, text: SmallText::new(text) })?;
        let Self { levels, index } = self;
        let hash_of = |id: &u32| seed.of(levels.get(*id).map_or(&[], |level| level.text.get()));
        index.insert_unique(hash, id, hash_of);
        Some(id)
    }

    /// Uses a text once less.
    pub(super) fn release(&mut self, seed: &Seed, id: u32) {
        let Some(level) = self.levels.get_mut(id) else { return };
        level.uses = level.uses.saturating_sub(1);
        if level.uses > 0 {
            return;
        }
        let text = self.levels.remove(id).text;
        if let Ok(entry) = self.index.find_entry(seed.of(text.get()), |found| *found == id) {
            entry.remove();
        }
        if self.index.is_empty() {
            self.index = HashTable::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn a_text_has_one_number_for_as_long_as_it_is_used() {
        let seed = Seed::new(7);
        let mut levels = Levels::new();
        let texts: [&str; 4] = ["", "plant", "Plant", &"long".repeat(20)];
        let mut acquire =
            |text: &str| levels.acquire(&seed, text.as_bytes(), seed.of(text.as_bytes())).unwrap();
        let ids = texts.map(&mut acquire);
        assert_eq!(texts.map(&mut acquire), ids);
        for (id, text) in ids.into_iter().zip(texts) {
            assert_eq!(levels.text(id), text.as_bytes());
            levels.release(&seed, id);
            assert_eq!(levels.find(text.as_bytes(), seed.of(text.as_bytes())), Some(id));
            levels.release(&seed, id);
            assert_eq!(levels.find(text.as_bytes(), seed.of(text.as_bytes())), None);
        }
        assert_eq!((levels.levels.len(), levels.index.capacity()), (0, 0));
    }

    #[test]
    fn many_texts_are_told_apart() {
        let seed = Seed::new(7);
        let mut levels = Levels::new();
        let text = |number: u32| alloc::format!("{number}");
        for number in 0..5_000 {
            let text: String = text(number);
            levels.acquire(&seed, text.as_bytes(), seed.of(text.as_bytes())).unwrap();
        }
        for number in 0..5_000 {
            let text = text(number);
            assert_eq!(levels.find(text.as_bytes(), seed.of(text.as_bytes())), Some(number));
        }
    }

    #[test]
    fn a_level_takes_32_bytes() {
        assert_eq!(size_of::<Level>(), 32);
    }
}
