//! Which stored topics a filter matches: the other way around.

use core::ops::ControlFlow;

use crate::broker::tree::{NONE, ROOT, Scratch, Tree, Wanted, levels, split_rest};

impl Tree {
    /// Calls `found` with the value of every path that a filter matches, siblings in the order
    /// that they came in, until it breaks.
    ///
    /// Takes time linear in the nodes that match the filter's beginning, and no room for them.
    pub(super) fn select(
        &self,
        filter: &str,
        scratch: &mut Scratch,
        mut found: impl FnMut(u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some(mut walk) = self.walk(filter, None, scratch) else {
            return ControlFlow::Continue(());
        };
        loop {
            if let Some(value) = walk.value() {
                found(value)?;
            }
            if !walk.step() {
                return ControlFlow::Continue(());
            }
        }
    }

    /// The next path that a filter matches, behind the node where an earlier call has stopped.
    /// Takes so many steps at most, of which it counts those that are left.
    ///
    /// Who goes on from a node [pins](Self::pin) it.
    pub(super) fn select_next(
        &self,
        filter: &str,
        behind: Option<u32>,
        steps: &mut usize,
        scratch: &mut Scratch,
    ) -> Selected {
        let Some(mut walk) = self.walk(filter, behind, scratch) else { return Selected::None };
        let mut is_new = behind.is_none();
        loop {
            if is_new && let Some(value) = walk.value() {
                return Selected::Found(walk.at, value);
            }
            let Some(left) = steps.checked_sub(1) else { return Selected::Stopped(walk.at) };
            *steps = left;
            if !walk.step() {
                return Selected::None;
            }
            is_new = true;
        }
    }

    /// A walk from the beginning, or from a node.
    fn walk<'a>(
        &'a self,
        filter: &str,
        from: Option<u32>,
        scratch: &'a mut Scratch,
    ) -> Option<Walk<'a>> {
        let (path, rest) = split_rest(filter);
        let wanted = &mut scratch.wanted;
        wanted.clear();
        for level in path.into_iter().flat_map(levels) {
            wanted.push(match level {
                b"+" => Wanted::Any,
                level => {
                    // If nobody has it, no topic does.
                    let (level, hash) = self.level(level)?;
                    Wanted::Level(level, hash)
                }
            });
        }
        let at = from.unwrap_or(ROOT);
        self.node(at)?;
        Some(Walk { tree: self, wanted, rest, at, depth: self.depth(at) })
    }

    /// How many levels down a node is.
    fn depth(&self, mut id: u32) -> usize {
        let mut depth: usize = 0;
        while let Some(node) = self.node(id)
            && node.parent != NONE
        {
            id = node.parent;
            depth = depth.saturating_add(1);
        }
        depth
    }
}

/// How far a selection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selected {
    /// To a node, with its value.
    Found(u32, u32),
    /// To a node, which is not looked at again.
    Stopped(u32),
    /// To the end.
    None,
}

/// A place in a tree, and how many levels down it is.
struct Walk<'a> {
    tree: &'a Tree,
    wanted: &'a [Wanted],
    rest: bool,
    at: u32,
    depth: usize,
}

impl Walk<'_> {
    /// What the filter matches here.
    fn value(&self) -> Option<u32> {
        let is_whole = self.depth == self.wanted.len();
        let is_below = self.rest && self.depth > self.wanted.len();
        let node = self.tree.node(self.at).filter(|_| is_whole || is_below)?;
        (node.here != NONE).then_some(node.here)
    }

    /// Whether the filter takes any level at a depth.
    fn is_any(&self, depth: usize) -> bool {
        match self.wanted.get(depth) {
            Some(wanted) => matches!(wanted, Wanted::Any),
            None => self.rest,
        }
    }

    /// Goes to the next place that the filter's beginning matches; `false` if there is none.
    fn step(&mut self) -> bool {
        let node = self.tree.node(self.at);
        let child = match self.wanted.get(self.depth) {
            Some(Wanted::Level(level, hash)) => self.tree.child_with(self.at, *level, *hash),
            _ if self.is_any(self.depth) => {
                node.map(|node| self.visible(node.first_child(), self.depth))
            }
            _ => None,
        };
        match child.filter(|child| *child != NONE) {
            Some(child) => {
                self.at = child;
                self.depth = self.depth.saturating_add(1);
                true
            }
            None => self.on(),
        }
    }

    /// Goes to the next sibling where any level will do, else up and on from there.
    fn on(&mut self) -> bool {
        while let Some(depth) = self.depth.checked_sub(1)
            && let Some(node) = self.tree.node(self.at)
        {
            if self.is_any(depth) {
                let next = self.visible(node.next, depth);
                if next != NONE {
                    self.at = next;
                    return true;
                }
            }
            self.at = node.parent;
            self.depth = depth;
        }
        false
    }

    /// A sibling or one behind it, without what a wildcard does not match at the beginning.
    /// v5 [MQTT-4.7.2-1], v3.1.1 [MQTT-4.7.2-1]
    fn visible(&self, mut sibling: u32, depth: usize) -> u32 {
        while depth == 0
            && let Some(node) = self.tree.node(sibling)
            && self.tree.text(node).first() == Some(&b'$')
        {
            sibling = node.next;
        }
        sibling
    }
}
