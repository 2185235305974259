//! Filters, each kept once, with who wants what they match.

use alloc::string::String;

use hashbrown::HashTable;

use crate::broker::hash::Seed;
use crate::broker::members::Members;
use crate::broker::slab::Slab;
use crate::broker::small_text::SmallText;
use crate::broker::tree::{NONE, Scratch, Tree, split_rest};

/// Stands for a Topic Filter in 32 bits: what a session keeps of its subscriptions.
///
/// It is good for as long as the filter has a subscriber; then it may come to stand for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterKey(u32);

impl FilterKey {
    /// In the highest bit: a filter with wildcards.
    const WILDCARD: u32 = 1 << 31;

    const fn wildcard(id: u32) -> Self {
        Self(id | Self::WILDCARD)
    }

    pub(super) const fn get(self) -> u32 {
        self.0
    }

    /// Where it is: among those without wildcards, or among those with.
    #[inline]
    const fn id(self) -> Result<u32, u32> {
        match self.0 & Self::WILDCARD {
            0 => Ok(self.0),
            _ => Err(self.0 & !Self::WILDCARD),
        }
    }
}

/// Filters with members. Those without wildcards are found by their hash, the others by a tree.
#[derive(Debug)]
pub(super) struct Filters {
    exact: Slab<Exact>,
    /// The filters without wildcards, by the hashes of their texts.
    index: HashTable<u32>,
    wildcards: Slab<Wildcard>,
    tree: Tree,
}

/// As large as a line of the cache of most processors.
#[derive(Debug, Default)]
struct Exact {
    members: Members,
    text: SmallText<46>,
}

#[derive(Debug, Default)]
struct Wildcard {
    members: Members,
    /// In the tree; in the highest bit, whether `#` follows.
    place: u32,
}

impl Wildcard {
    const REST: u32 = 1 << 31;

    const fn place(&self) -> (u32, bool) {
        (self.place & !Self::REST, self.place & Self::REST != 0)
    }
}

/// Whether a filter has a level that is a wildcard.
fn has_wildcard(filter: &str) -> bool {
    // One that is elsewhere is text: the grammar was checked before.
    filter.bytes().any(|byte| matches!(byte, b'+' | b'#'))
}

impl Filters {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            exact: Slab::new(),
            index: HashTable::new(),
            wildcards: Slab::new(),
            tree: Tree::new(Seed::new(seed)),
        }
    }

    pub(super) const fn seed(&self) -> &Seed {
        self.tree.seed()
    }

    pub(super) const fn len(&self) -> usize {
        self.exact.len().saturating_add(self.wildcards.len())
    }

    pub(super) fn find(&self, filter: &str) -> Option<FilterKey> {
        if has_wildcard(filter) {
            let (path, rest) = split_rest(filter);
            let node = self.tree.node(self.tree.find(path)?)?;
            let id = if rest { node.rest } else { node.here };
            return (id != NONE).then_some(FilterKey::wildcard(id));
        }
        self.find_exact(filter, self.seed().of(filter.as_bytes())).map(FilterKey)
    }

    #[inline]
    fn find_exact(&self, filter: &str, hash: u64) -> Option<u32> {
        let is = |id: &u32| {
            self.exact.get(*id).is_some_and(|exact| exact.text.get() == filter.as_bytes())
        };
        self.index.find(hash, is).copied()
    }

    /// The key of a filter, which is kept if it is not yet; the caller gives it a member. `None`,
    /// and nothing is changed, if there are as many as there can be.
    pub(super) fn make(&mut self, filter: &str) -> Option<FilterKey> {
        if has_wildcard(filter) {
            return self.make_wildcard(filter);
        }
        let hash = self.seed().of(filter.as_bytes());
        if let Some(id) = self.find_exact(filter, hash) {
            return Some(FilterKey(id));
        }
        let text = SmallText::new(filter.as_bytes());
        let id = self.exact.insert(Exact { members: Members::None, text })?;
        let Self { exact, index, tree, .. } = self;
        let hash_of = |id: &u32| exact.get(*id).map_or(0, |exact| tree.seed().of(exact.text.get()));
        index.insert_unique(hash, id, hash_of);
        Some(FilterKey(id))
    }

    fn make_wildcard(&mut self, filter: &str) -> Option<FilterKey> {
        let (path, rest) = split_rest(filter);
        let place = self.tree.make(path)?;
        let node = self.tree.node(place)?;
        let found = if rest { node.rest } else { node.here };
        if found != NONE {
            return Some(FilterKey::wildcard(found));
        }
        let flag = if rest { Wildcard::REST } else { 0 };
        let wildcard = Wildcard { members: Members::None, place: place | flag };
        let Some(id) = self.wildcards.insert(wildcard) else {
            self.tree.prune(place);
            return None;
        };
        let node = self.tree.node_mut(place)?;
        *(if rest { &mut node.rest } else { &mut node.here }) = id;
        Some(FilterKey::wildcard(id))
    }

    /// Who wants what a filter matches.
    #[inline]
    pub(super) fn members(&self, key: FilterKey) -> Option<&Members> {
        match key.id() {
            Ok(id) => self.exact.get(id).map(|exact| &exact.members),
            Err(id) => self.wildcards.get(id).map(|wildcard| &wildcard.members),
        }
    }

    pub(super) fn insert(&mut self, key: FilterKey, member: u32, value: u32) -> Option<u32> {
        self.members_mut(key)?.insert(member, value)
    }

    /// Removes a member, and with the last one the filter.
    pub(super) fn remove(&mut self, key: FilterKey, member: u32) -> Option<u32> {
        let members = self.members_mut(key)?;
        let value = members.remove(member)?;
        if members.len() == 0 {
            self.remove_filter(key);
        }
        Some(value)
    }

    fn members_mut(&mut self, key: FilterKey) -> Option<&mut Members> {
        match key.id() {
            Ok(id) => self.exact.get_mut(id).map(|exact| &mut exact.members),
            Err(id) => self.wildcards.get_mut(id).map(|wildcard| &mut wildcard.members),
        }
    }

    fn remove_filter(&mut self, key: FilterKey) {
        match key.id() {
            Ok(id) => {
                let text = self.exact.remove(id).text;
                let hash = self.seed().of(text.get());
                if let Ok(entry) = self.index.find_entry(hash, |found| *found == id) {
                    entry.remove();
                }
                if self.index.is_empty() {
                    self.index = HashTable::new();
                }
            }
            Err(id) => {
                let (place, rest) = self.wildcards.remove(id).place();
                if let Some(node) = self.tree.node_mut(place) {
                    *(if rest { &mut node.rest } else { &mut node.here }) = NONE;
                }
                self.tree.prune(place);
            }
        }
    }

    /// The text of a filter that has a member.
    pub(super) fn text(&self, key: FilterKey) -> Option<String> {
        if self.members(key)?.len() == 0 {
            return None;
        }
        match key.id() {
            // Always text: it came from a string.
            Ok(id) => String::from_utf8(self.exact.get(id)?.text.get().into()).ok(),
            Err(id) => {
                let (place, rest) = self.wildcards.get(id)?.place();
                Some(self.tree.filter(place, rest))
            }
        }
    }

    /// Calls `found` for every filter that a topic matches, with its members.
    #[inline]
    pub(super) fn matches<'a>(
        &'a self,
        topic: &str,
        scratch: &mut Scratch,
        mut found: impl FnMut(FilterKey, &'a Members),
    ) {
        if !self.exact.is_empty()
            && let Some(id) = self.find_exact(topic, self.seed().of(topic.as_bytes()))
            && let Some(exact) = self.exact.get(id)
        {
            found(FilterKey(id), &exact.members);
        }
        self.tree.matches(topic, scratch, |id| {
            if let Some(wildcard) = self.wildcards.get(id) {
                found(FilterKey::wildcard(id), &wildcard.members);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn an_exact_filter_takes_64_bytes_and_another_24() {
        assert_eq!(size_of::<Exact>(), 64);
        assert_eq!(size_of::<Wildcard>(), 24);
    }

    #[test]
    fn a_filter_has_one_key_until_its_last_member_goes() {
        let long = "a/".repeat(100);
        let texts = ["a/b", "a/+", "a/#", "#", "+", "/", &long];
        let mut filters = Filters::new(1);
        let keys: Vec<FilterKey> = texts.iter().map(|text| filters.make(text).unwrap()).collect();
        for (text, key) in texts.iter().zip(&keys) {
            assert_eq!(filters.make(text), Some(*key));
            for member in [1, 2] {
                assert_eq!(filters.insert(*key, member, member), None);
            }
            assert_eq!(filters.find(text), Some(*key));
            assert_eq!(filters.text(*key).as_deref(), Some(*text));
        }
        assert_eq!(filters.len(), texts.len());
        for (text, key) in texts.iter().zip(&keys) {
            assert_eq!((filters.remove(*key, 1), filters.remove(*key, 1)), (Some(1), None));
            assert_eq!(filters.find(text), Some(*key));
            assert_eq!(filters.remove(*key, 2), Some(2));
            assert_eq!((filters.find(text), filters.text(*key)), (None, None));
        }
        assert_eq!((filters.len(), filters.index.capacity()), (0, 0));
    }
}
