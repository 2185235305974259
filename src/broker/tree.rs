//! A tree of levels: filters or topics by their paths.
//!
//! Paths can have 65,536 levels, so nothing recurses.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashTable;

use crate::broker::hash::Seed;
use crate::broker::levels::Levels;
use crate::broker::slab::{LIMIT, Slab};

/// No node, no level, no value.
pub(super) const NONE: u32 = u32::MAX;
/// The first node, which stands for no level.
pub(super) const ROOT: u32 = 0;

/// What matching needs room for, kept from one time to the next so that it need not be found
/// again.
///
/// ```
/// use sansio_mqtt::broker::{Grant, Scratch, Subscriptions};
///
/// let mut scratch = Scratch::new();
/// let mut subscriptions = Subscriptions::new(0x5eed);
/// subscriptions.insert("plant/+/#", 7, Grant::default())?;
/// for topic in ["plant/7/temperature", "plant/8"] {
///     subscriptions.matches(topic, &mut scratch, |_, subscriber, _| assert_eq!(subscriber, 7));
/// }
/// # Ok::<(), sansio_mqtt::broker::InsertError>(())
/// ```
#[derive(Debug, Default)]
pub struct Scratch {
    /// The nodes that match a topic so far, and those that do with one more level.
    nodes: Vec<u32>,
    next: Vec<u32>,
    /// The levels of a filter.
    pub(super) wanted: Vec<Wanted>,
    /// What is to be removed after matching.
    pub(super) expired: Vec<u32>,
}

impl Scratch {
    /// Without room, which is made when it is needed.
    pub const fn new() -> Self {
        Self { nodes: Vec::new(), next: Vec::new(), wanted: Vec::new(), expired: Vec::new() }
    }
}

/// One level of a filter that stored topics are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    Any,
    /// A level in use, and the hash of its text.
    Level(u32, u64),
}

/// Paths of levels, each with two values: one for what ends there, and one for what goes on with
/// `#`.
#[derive(Debug)]
pub(super) struct Tree {
    seed: Seed,
    levels: Levels,
    /// None, or the root and others.
    nodes: Slab<Node>,
    /// The children with siblings, by the hashes of their levels within their parents.
    edges: HashTable<u32>,
    /// Nodes that stay, whatever their use, since somebody is at them; and how many are.
    pins: BTreeMap<u32, u32>,
}

/// A node has a use: a value, or a child that has one.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: u32,
    /// [`NONE`] for `+`.
    pub(super) level: u32,
    children: Children,
    /// The sibling behind it, but not that of the last.
    pub(super) next: u32,
    /// The sibling before it, or the last sibling of the first.
    previous: u32,
    /// The child for `+`, which is no sibling of the others.
    plus: u32,
    pub(super) here: u32,
    pub(super) rest: u32,
}

impl Default for Node {
    fn default() -> Self {
        let children = Children(NONE);
        Self {
            parent: NONE,
            level: NONE,
            children,
            next: NONE,
            previous: NONE,
            plus: NONE,
            here: NONE,
            rest: NONE,
        }
    }
}

/// The first child, and in the highest bit whether there are others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Children(u32);

impl Children {
    const MANY: u32 = 1 << 31;

    const fn one(first: u32) -> Self {
        Self(first)
    }

    const fn many(first: u32) -> Self {
        Self(first | Self::MANY)
    }

    #[inline]
    const fn first(self) -> u32 {
        if self.0 == NONE { NONE } else { self.0 & !Self::MANY }
    }

    #[inline]
    const fn is_many(self) -> bool {
        self.0 != NONE && self.0 & Self::MANY != 0
    }
}

impl Node {
    #[inline]
    pub(super) const fn first_child(&self) -> u32 {
        self.children.first()
    }

    const fn is_of_use(&self) -> bool {
        self.children.0 != NONE || self.plus != NONE || self.here != NONE || self.rest != NONE
    }
}

/// A level that is looked for, with what has become known of it.
struct Sought<'a> {
    text: &'a [u8],
    hash: Option<u64>,
    /// [`NONE`] if not known.
    level: u32,
}

impl<'a> Sought<'a> {
    const fn new(text: &'a [u8]) -> Self {
        Self { text, hash: None, level: NONE }
    }

    #[inline]
    fn hash(&mut self, seed: &Seed) -> u64 {
        *self.hash.get_or_insert_with(|| seed.of(self.text))
    }

    /// Whether it is this level: texts are compared until one is found, so that many nodes with
    /// one long level cost no more than one.
    #[inline]
    fn is(&mut self, levels: &Levels, level: u32) -> bool {
        if self.level != NONE {
            return self.level == level;
        }
        let found = levels.text(level) == self.text;
        if found {
            self.level = level;
        }
        found
    }
}

/// The path of a filter, and whether `#` follows it. `#` alone has no path.
pub(super) fn split_rest(filter: &str) -> (Option<&str>, bool) {
    match filter.strip_suffix('#') {
        Some("") => (None, true),
        Some(path) if path.ends_with('/') => (path.strip_suffix('/'), true),
        _ => (Some(filter), false),
    }
}

/// The levels of a path.
#[inline]
pub(super) fn levels(path: &str) -> impl Iterator<Item = &[u8]> {
    path.as_bytes().split(|byte| *byte == b'/')
}

impl Tree {
    pub(super) const fn new(seed: Seed) -> Self {
        Self {
            seed,
            levels: Levels::new(),
            nodes: Slab::new(),
            edges: HashTable::new(),
            pins: BTreeMap::new(),
        }
    }

    pub(super) const fn seed(&self) -> &Seed {
        &self.seed
    }

    #[inline]
    pub(super) fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(super) fn node_mut(&mut self, id: u32) -> Option<&mut Node> {
        self.nodes.get_mut(id)
    }

    /// The text of a node's level.
    pub(super) fn text(&self, node: &Node) -> &[u8] {
        self.levels.text(node.level)
    }

    /// The number of a level that is in use, and the hash of its text.
    pub(super) fn level(&self, text: &[u8]) -> Option<(u32, u64)> {
        let hash = self.seed.of(text);
        self.levels.find(text, hash).map(|level| (level, hash))
    }

    /// The node at a path, made if it is not there; the caller gives it a value, or
    /// [prunes](Self::prune) it. `None`, and nothing is changed, if there is no room for it.
    pub(super) fn make(&mut self, path: Option<&str>) -> Option<u32> {
        // No path has more levels than this.
        let nodes = path.map_or(0, str::len).saturating_add(2);
        if self.nodes.len().saturating_add(nodes) > LIMIT {
            return None;
        }
        if self.nodes.is_empty() {
            self.nodes.insert(Node::default())?;
        }
        let mut at = ROOT;
        for level in path.into_iter().flat_map(levels) {
            at = match self.child(at, &mut Sought::new(level)) {
                Some(child) => child,
                None => self.add_child(at, level)?,
            };
        }
        Some(at)
    }

    /// The node at a path, if it is there.
    pub(super) fn find(&self, path: Option<&str>) -> Option<u32> {
        let mut at = self.nodes.get(ROOT).map(|_| ROOT)?;
        for level in path.into_iter().flat_map(levels) {
            at = self.child(at, &mut Sought::new(level))?;
        }
        Some(at)
    }

    /// Removes a node if it is of no use, and then its parents that are of none.
    pub(super) fn prune(&mut self, mut id: u32) {
        while let Some(node) = self.nodes.get(id)
            && !node.is_of_use()
            && !self.pins.contains_key(&id)
        {
            let parent = node.parent;
            self.unlink(id);
            let node = self.nodes.remove(id);
            if node.level != NONE {
                self.levels.release(&self.seed, node.level);
            }
            id = parent;
        }
    }

    /// Keeps a node from being pruned.
    pub(super) fn pin(&mut self, id: u32) {
        let count = self.pins.entry(id).or_default();
        *count = count.saturating_add(1);
    }

    /// A node that was pinned need not stay any more.
    pub(super) fn unpin(&mut self, id: u32) {
        let Some(count) = self.pins.get_mut(&id) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.pins.remove(&id);
            self.prune(id);
        }
    }

    /// The path that leads to a node, with `#` behind it or without.
    pub(super) fn filter(&self, id: u32, with_rest: bool) -> String {
        let mut levels = Vec::new();
        if with_rest {
            levels.push(&b"#"[..]);
        }
        let mut at = self.nodes.get(id);
        while let Some(node) = at
            && node.parent != NONE
        {
            levels.push(if node.level == NONE { b"+" } else { self.text(node) });
            at = self.nodes.get(node.parent);
        }
        levels.reverse();
        // Always text: it came from a string.
        String::from_utf8(levels.join(&b'/')).unwrap_or_default()
    }

    /// Calls `found` with the value of every filter that a topic matches.
    ///
    /// Takes time linear in the nodes that are on a way from the root along the topic.
    pub(super) fn matches(&self, topic: &str, scratch: &mut Scratch, mut found: impl FnMut(u32)) {
        if self.nodes.is_empty() {
            return;
        }
        let Scratch { nodes, next, .. } = scratch;
        nodes.clear();
        nodes.push(ROOT);
        // v5 [MQTT-4.7.2-1], v3.1.1 [MQTT-4.7.2-1]
        let mut is_hidden = topic.starts_with('$');
        for level in levels(topic) {
            next.clear();
            let mut sought = Sought::new(level);
            for id in nodes.iter().copied() {
                let Some(node) = self.nodes.get(id) else { continue };
                if !is_hidden {
                    if node.rest != NONE {
                        found(node.rest);
                    }
                    if node.plus != NONE {
                        next.push(node.plus);
                    }
                }
                if let Some(child) = self.literal(id, node, &mut sought) {
                    next.push(child);
                }
            }
            is_hidden = false;
            core::mem::swap(nodes, next);
            if nodes.is_empty() {
                return;
            }
        }
        for node in nodes.iter().filter_map(|id| self.nodes.get(*id)) {
            // The parent level belongs to what `#` matches. v5 4.7.1.2
            for value in [node.rest, node.here].into_iter().filter(|value| *value != NONE) {
                found(value);
            }
        }
    }

    /// The child of a node that a filter goes on with.
    fn child(&self, id: u32, sought: &mut Sought<'_>) -> Option<u32> {
        let node = self.nodes.get(id)?;
        match sought.text {
            b"+" => Some(node.plus).filter(|plus| *plus != NONE),
            _ => self.literal(id, node, sought),
        }
    }

    /// The child of a node for the text of a level.
    #[inline]
    fn literal(&self, id: u32, node: &Node, sought: &mut Sought<'_>) -> Option<u32> {
        if node.children.is_many() {
            let hash = self.seed.within(id, sought.hash(&self.seed));
            return self.edge(id, hash, |level| sought.is(&self.levels, level));
        }
        // None has the number that stands for none.
        let child = node.children.first();
        let only = self.nodes.get(child)?;
        sought.is(&self.levels, only.level).then_some(child)
    }

    /// The child of a node with this level, by the hash of its text.
    pub(super) fn child_with(&self, id: u32, level: u32, hash: u64) -> Option<u32> {
        let node = self.nodes.get(id)?;
        if node.children.is_many() {
            return self.edge(id, self.seed.within(id, hash), |found| found == level);
        }
        let child = node.children.first();
        (self.nodes.get(child)?.level == level).then_some(child)
    }

    #[inline]
    fn edge(&self, parent: u32, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let is_child = |child: &u32| {
            let node = self.nodes.get(*child);
            node.is_some_and(|node| node.parent == parent && is(node.level))
        };
        self.edges.find(hash, is_child).copied()
    }

    fn add_child(&mut self, parent: u32, text: &[u8]) -> Option<u32> {
        if text == b"+" {
            let id = self.nodes.insert(Node { parent, ..Node::default() })?;
            self.nodes.get_mut(parent)?.plus = id;
            return Some(id);
        }
        let level = self.levels.acquire(&self.seed, text, self.seed.of(text))?;
        let id = self.nodes.insert(Node { parent, level, ..Node::default() })?;
        self.link(parent, id);
        Some(id)
    }

    /// Puts a node behind the other children of its parent.
    fn link(&mut self, parent: u32, id: u32) -> Option<()> {
        let children = self.nodes.get(parent)?.children;
        let first = children.first();
        if first == NONE {
            self.nodes.get_mut(id)?.previous = id;
            self.nodes.get_mut(parent)?.children = Children::one(id);
            return Some(());
        }
        let last = self.nodes.get(first)?.previous;
        self.nodes.get_mut(id)?.previous = last;
        self.nodes.get_mut(last)?.next = id;
        self.nodes.get_mut(first)?.previous = id;
        if !children.is_many() {
            self.nodes.get_mut(parent)?.children = Children::many(first);
            self.add_edge(first);
        }
        self.add_edge(id);
        Some(())
    }

    /// Takes a node away from its parent.
    fn unlink(&mut self, id: u32) -> Option<()> {
        let &Node { parent, level, next, previous, .. } = self.nodes.get(id)?;
        let owner = self.nodes.get_mut(parent)?;
        if level == NONE {
            owner.plus = NONE;
            return Some(());
        }
        if !owner.children.is_many() {
            owner.children = Children(NONE);
            return Some(());
        }
        let mut first = owner.children.first();
        self.remove_edge(id);
        if first == id {
            first = next;
        } else {
            self.nodes.get_mut(previous)?.next = next;
        }
        // Behind the last one comes the first, whose `previous` is the last.
        let behind = if next == NONE { first } else { next };
        self.nodes.get_mut(behind)?.previous = previous;
        let is_only = self.nodes.get(first)?.next == NONE;
        if is_only {
            self.remove_edge(first);
        }
        let children = if is_only { Children::one(first) } else { Children::many(first) };
        self.nodes.get_mut(parent)?.children = children;
        Some(())
    }

    fn add_edge(&mut self, id: u32) {
        let Self { seed, levels, nodes, edges, .. } = self;
        let hash = |id: &u32| edge_hash(seed, levels, nodes, *id);
        edges.insert_unique(hash(&id), id, hash);
    }

    fn remove_edge(&mut self, id: u32) {
        let hash = edge_hash(&self.seed, &self.levels, &self.nodes, id);
        if let Ok(entry) = self.edges.find_entry(hash, |found| *found == id) {
            entry.remove();
        }
        if self.edges.is_empty() {
            self.edges = HashTable::new();
        }
    }
}

fn edge_hash(seed: &Seed, levels: &Levels, nodes: &Slab<Node>, id: u32) -> u64 {
    let node = nodes.get(id);
    node.map_or(0, |node| seed.within(node.parent, seed.of(levels.text(node.level))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(filters: &[&str]) -> Tree {
        let mut tree = Tree::new(Seed::new(3));
        for (value, filter) in (0..).zip(filters) {
            let (path, rest) = split_rest(filter);
            let node = tree.make(path).unwrap();
            let node = tree.node_mut(node).unwrap();
            *(if rest { &mut node.rest } else { &mut node.here }) = value;
        }
        tree
    }

    fn remove(tree: &mut Tree, filter: &str) {
        let (path, rest) = split_rest(filter);
        let id = tree.find(path).unwrap();
        let node = tree.node_mut(id).unwrap();
        *(if rest { &mut node.rest } else { &mut node.here }) = NONE;
        tree.prune(id);
    }

    fn matched(tree: &Tree, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        tree.matches(topic, &mut Scratch::new(), |value| found.push(value));
        found.sort_unstable();
        found
    }

    #[test]
    fn a_node_takes_32_bytes() {
        assert_eq!(size_of::<Node>(), 32);
    }

    #[test]
    fn wildcards_match_what_they_should() {
        // v5 4.7.1.2, 4.7.1.3: the parent, and empty levels.
        let filters = ["#", "+", "a/#", "a/+", "+/b", "/+", "+/+", "a/b", "a//b", "a/+/b", "/#"];
        let tree = tree(&filters);
        let rows: [(&str, &[&str]); 7] = [
            ("a", &["#", "+", "a/#"]),
            ("a/b", &["#", "a/#", "a/+", "+/b", "+/+", "a/b"]),
            ("/b", &["#", "+/b", "/+", "+/+", "/#"]),
            ("/", &["#", "/+", "+/+", "/#"]),
            ("a//b", &["#", "a/#", "a//b", "a/+/b"]),
            ("A/B", &["#", "+/+"]),
            ("b/c/d", &["#"]),
        ];
        for (topic, expected) in rows {
            let matched: Vec<_> =
                matched(&tree, topic).into_iter().map(|value| filters[value as usize]).collect();
            assert_eq!(matched, expected, "{topic}");
        }
    }

    #[test]
    fn wildcards_at_the_beginning_do_not_match_what_begins_with_a_dollar_sign() {
        // v5 [MQTT-4.7.2-1], v3.1.1 [MQTT-4.7.2-1]
        let tree = tree(&["#", "+/x", "+/#", "$SYS/#", "$SYS/+", "$x", "a/+", "a/#", "+"]);
        assert_eq!(matched(&tree, "$SYS/x"), [3, 4]);
        assert_eq!(matched(&tree, "$SYS"), [3]);
        assert_eq!(matched(&tree, "$x"), [5]);
        assert_eq!(matched(&tree, "$"), []);
        assert_eq!(matched(&tree, "a/$x"), [0, 2, 6, 7]);
    }

    #[test]
    fn paths_are_read_back() {
        let filters = ["#", "+", "/", "//", "/#", "+/#", "a/+/b", "a/b/c", "größe/温度/#", "a"];
        let tree = tree(&filters);
        for filter in filters {
            let (path, rest) = split_rest(filter);
            assert_eq!(tree.filter(tree.find(path).unwrap(), rest), filter);
        }
        assert_eq!(tree.find(Some("a/c")), None);
        assert_eq!(tree.find(Some("+/b")), None);
    }

    #[test]
    fn what_is_of_no_use_goes() {
        let filters = ["a/b/c", "a/b/d", "a/b/e", "a/+/c", "a/#", "#", "+", "x/y/z", "a/b"];
        // In this order, backwards, and from the middle.
        for start in 0..filters.len() {
            let mut tree = tree(&filters);
            for step in 0..filters.len() {
                let index = (start + step * 4) % filters.len();
                remove(&mut tree, filters[index]);
                assert!(!matched(&tree, filters[index]).contains(&(index as u32)));
            }
            assert!(tree.nodes.is_empty());
            assert_eq!(tree.edges.capacity(), 0);
            assert_eq!(tree.level(b"a"), None);
        }
    }

    #[test]
    fn siblings_come_and_go_in_any_order() {
        let names = ["a", "b", "c", "d"];
        let order = |tree: &Tree| {
            let mut names = Vec::new();
            let mut at = tree.node(ROOT).map_or(NONE, Node::first_child);
            while let Some(node) = tree.node(at) {
                names.push(String::from_utf8(tree.text(node).into()).unwrap());
                at = node.next;
            }
            names
        };
        for gone in 0u32..16 {
            let mut tree = tree(&names);
            let is_gone = |index: usize| gone & (1 << index) != 0;
            let (mut left, mut went) = (Vec::new(), Vec::new());
            for (index, name) in names.into_iter().enumerate() {
                if is_gone(index) {
                    remove(&mut tree, name);
                    went.push(name);
                } else {
                    left.push(name);
                }
            }
            assert_eq!(order(&tree), left);
            for name in &went {
                let node = tree.make(Some(name)).unwrap();
                tree.node_mut(node).unwrap().here = 9;
            }
            assert_eq!(order(&tree), [left, went].concat());
            for name in names {
                assert_eq!(matched(&tree, name).len(), 1, "{name}");
            }
        }
    }

    #[test]
    fn a_path_of_65_535_levels_needs_no_stack() {
        let path = "/".repeat(65_534);
        let mut tree = tree(&[&path, &path.replace('/', "+/")]);
        assert_eq!(matched(&tree, &path), [0, 1]);
        remove(&mut tree, &path);
        drop(tree);
    }
}
