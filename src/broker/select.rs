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
        let (path, rest) = split_rest(filter);
        let wanted = &mut scratch.wanted;
        wanted.clear();
        for level in path.into_iter().flat_map(levels) {
            wanted.push(match self.level(level) {
                _ if level == b"+" => Wanted::Any,
                Some((level, hash)) => Wanted::Level(level, hash),
                // No topic has it.
                None => return ControlFlow::Continue(()),
            });
        }
        let mut walk = Walk { tree: self, at: ROOT, depth: 0 };
        loop {
            let down = match wanted.get(walk.depth) {
                Some(Wanted::Any) => {
                    walk.tree.node(walk.at).map_or(NONE, |node| node.first_child())
                }
                Some(Wanted::Level(level, hash)) => {
                    self.child_with(walk.at, *level, *hash).unwrap_or(NONE)
                }
                None if rest => {
                    walk.below(&mut found)?;
                    NONE
                }
                None => {
                    walk.here(&mut found)?;
                    NONE
                }
            };
            let is_any = |depth: usize| matches!(wanted.get(depth), Some(Wanted::Any));
            if !walk.down(down, is_any(walk.depth)) && !walk.on(0, is_any) {
                return ControlFlow::Continue(());
            }
        }
    }
}

/// A place in a tree, and how many levels down it is.
struct Walk<'a> {
    tree: &'a Tree,
    at: u32,
    depth: usize,
}

impl Walk<'_> {
    /// Goes to a child, or to the first one behind it that a wildcard may match.
    fn down(&mut self, child: u32, is_any: bool) -> bool {
        let child = if is_any { self.visible(child, self.depth) } else { child };
        if child == NONE {
            return false;
        }
        self.at = child;
        self.depth = self.depth.saturating_add(1);
        true
    }

    /// Goes to the next sibling where `is_any` says that the level was any, else up, but no
    /// higher than `top`.
    fn on(&mut self, top: usize, is_any: impl Fn(usize) -> bool) -> bool {
        while self.depth > top
            && let Some(node) = self.tree.node(self.at)
        {
            let depth = self.depth.saturating_sub(1);
            if is_any(depth) {
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

    /// All that is here and below.
    fn below(&mut self, found: &mut impl FnMut(u32) -> ControlFlow<()>) -> ControlFlow<()> {
        let top = self.depth;
        loop {
            self.here(found)?;
            let first = self.tree.node(self.at).map_or(NONE, |node| node.first_child());
            if !self.down(first, true) && !self.on(top, |_| true) {
                return ControlFlow::Continue(());
            }
        }
    }

    fn here(&self, found: &mut impl FnMut(u32) -> ControlFlow<()>) -> ControlFlow<()> {
        match self.tree.node(self.at) {
            Some(node) if node.here != NONE => found(node.here),
            _ => ControlFlow::Continue(()),
        }
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
