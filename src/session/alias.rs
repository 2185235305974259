//! Topic Aliases of one connection, in both directions. MQTT 5.0 §3.3.2.3.4.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::session::publish::{ALIAS_LEN, Alias};

/// Aliases that the other end sets: a topic each.
#[derive(Debug, Default)]
pub(crate) struct IncomingAliases {
    topics: Vec<Option<Box<str>>>,
    maximum: u16,
}

/// An alias that the other end may not use like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AliasError {
    AboveMaximum,
    Unknown,
}

impl IncomingAliases {
    pub(crate) fn new(maximum: u16) -> Self {
        Self { topics: Vec::new(), maximum }
    }

    /// Whether there may be such an alias.
    pub(crate) const fn allows(&self, alias: u16) -> bool {
        alias != 0 && alias <= self.maximum
    }

    /// An alias stands for nothing any more.
    pub(crate) fn forget(&mut self, alias: u16) {
        let slot = usize::from(alias).checked_sub(1).and_then(|index| self.topics.get_mut(index));
        if let Some(slot) = slot {
            *slot = None;
        }
    }

    /// The topic of a PUBLISH with an alias, which is set if the PUBLISH names a topic.
    pub(crate) fn resolve(&mut self, alias: u16, topic: &str) -> Result<&str, AliasError> {
        if !self.allows(alias) {
            return Err(AliasError::AboveMaximum);
        }
        let index = usize::from(alias).saturating_sub(1);
        if topic.is_empty() {
            return self.topics.get(index).and_then(Option::as_deref).ok_or(AliasError::Unknown);
        }
        if self.topics.len() <= index {
            self.topics.resize(index.saturating_add(1), None);
        }
        let Some(slot) = self.topics.get_mut(index) else { return Err(AliasError::Unknown) };
        if slot.as_deref() != Some(topic) {
            *slot = Some(topic.into());
        }
        slot.as_deref().ok_or(AliasError::Unknown)
    }
}

/// Aliases that this end sets: the topics used last.
#[derive(Debug, Default)]
pub(crate) struct OutgoingAliases {
    maximum: u16,
    /// Once one was set.
    set: Option<Box<Topics>>,
}

/// Topics that have aliases.
#[derive(Debug, Default)]
struct Topics {
    by_topic: BTreeMap<Box<[u8]>, u16>,
    /// By alias, less one; linked from the topic used last to the one used first.
    entries: Vec<Entry>,
    newest: u16,
    oldest: u16,
}

/// A topic in the list: 0 stands for no neighbour.
#[derive(Debug, Default)]
struct Entry {
    topic: Box<[u8]>,
    newer: u16,
    older: u16,
}

impl OutgoingAliases {
    pub(crate) fn new(maximum: u16) -> Self {
        Self { maximum, set: None }
    }

    /// Whether no PUBLISH has one.
    #[inline]
    pub(crate) const fn are_off(&self) -> bool {
        self.maximum == 0
    }

    /// The alias that was used last, and its topic.
    pub(crate) fn newest(&self) -> Option<(&[u8], u16)> {
        let topics = self.set.as_ref()?;
        let entry = topics.entries.get(usize::from(topics.newest).checked_sub(1)?)?;
        Some((&entry.topic, topics.newest))
    }

    /// What a PUBLISH to `topic` would carry. Nothing changes until it is [used](Self::used).
    #[inline]
    pub(crate) fn find(&self, topic: &[u8]) -> Alias {
        if self.maximum == 0 || topic.len() <= ALIAS_LEN {
            return Alias::None;
        }
        match &self.set {
            None => Alias::Set(1),
            Some(topics) => topics.find(topic, self.maximum),
        }
    }

    /// A PUBLISH to `topic` with the alias that [`find`](Self::find) found was pulled.
    #[inline]
    pub(crate) fn used(&mut self, topic: &[u8], alias: Alias) {
        match (alias, &mut self.set) {
            (Alias::None, _) | (Alias::Use(_), None) => {}
            (Alias::Use(alias), Some(topics)) => topics.touch(alias),
            (Alias::Set(alias), topics) => {
                topics.get_or_insert_with(Box::default).set(topic, alias);
            }
        }
    }
}

impl Topics {
    fn find(&self, topic: &[u8], maximum: u16) -> Alias {
        if let Some(alias) = self.by_topic.get(topic) {
            return Alias::Use(*alias);
        }
        match u16::try_from(self.entries.len()) {
            Ok(used) if used < maximum => Alias::Set(used.saturating_add(1)),
            _ => Alias::Set(self.oldest),
        }
    }

    fn set(&mut self, topic: &[u8], alias: u16) {
        let index = usize::from(alias).saturating_sub(1);
        if index >= self.entries.len() {
            self.entries.push(Entry::default());
            self.link_newest(alias);
        } else {
            self.touch(alias);
        }
        let Some(entry) = self.entries.get_mut(index) else { return };
        let before = core::mem::replace(&mut entry.topic, topic.into());
        self.by_topic.remove(&before);
        self.by_topic.insert(topic.into(), alias);
    }

    fn touch(&mut self, alias: u16) {
        if alias == self.newest {
            return;
        }
        let Some((newer, older)) = self.entry(alias).map(|entry| (entry.newer, entry.older)) else {
            return;
        };
        match self.entry(newer) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entry(older) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        self.link_newest(alias);
    }

    fn link_newest(&mut self, alias: u16) {
        let before = core::mem::replace(&mut self.newest, alias);
        match self.entry(before) {
            Some(entry) => entry.newer = alias,
            None => self.oldest = alias,
        }
        if let Some(entry) = self.entry(alias) {
            (entry.newer, entry.older) = (0, before);
        }
    }

    fn entry(&mut self, alias: u16) -> Option<&mut Entry> {
        self.entries.get_mut(usize::from(alias).checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_that_was_not_used_for_longest_makes_room() {
        let mut aliases = OutgoingAliases::new(2);
        let mut publish = |topic: &str| {
            let topic = topic.repeat(9);
            let alias = aliases.find(topic.as_bytes());
            aliases.used(topic.as_bytes(), alias);
            alias
        };
        let rows = [
            ("a", Alias::Set(1)),
            ("b", Alias::Set(2)),
            ("a", Alias::Use(1)),
            ("c", Alias::Set(2)),
            ("a", Alias::Use(1)),
            ("c", Alias::Use(2)),
            ("b", Alias::Set(1)),
            ("c", Alias::Use(2)),
            ("a", Alias::Set(1)),
        ];
        for (topic, alias) in rows {
            assert_eq!(publish(topic), alias, "{topic}");
        }
    }

    #[test]
    fn what_is_found_and_not_sent_changes_nothing() {
        let mut aliases = OutgoingAliases::new(1);
        assert_eq!(aliases.find(b"topic a"), Alias::Set(1));
        assert_eq!(aliases.find(b"topic b"), Alias::Set(1));
        aliases.used(b"topic b", Alias::Set(1));
        assert_eq!(aliases.find(b"topic a"), Alias::Set(1));
        assert_eq!(aliases.find(b"topic b"), Alias::Use(1));
        assert_eq!(OutgoingAliases::new(0).find(b"topic a"), Alias::None);
        assert_eq!(aliases.find(b"abc"), Alias::None, "an alias takes as much");
    }

    #[test]
    fn many_topics_in_any_order_keep_the_list_whole() {
        let mut aliases = OutgoingAliases::new(5);
        let mut model: Vec<(u32, u16)> = Vec::new();
        let mut seed = 7u32;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = seed >> 16 & 7;
            let topic = u64::from(number).to_be_bytes();
            let expected = match model.iter().position(|(found, _)| *found == number) {
                Some(index) => {
                    let (_, alias) = model.remove(index);
                    model.push((number, alias));
                    Alias::Use(alias)
                }
                None => {
                    let len = u16::try_from(model.len()).unwrap();
                    let alias = if len < 5 { len + 1 } else { model.remove(0).1 };
                    model.push((number, alias));
                    Alias::Set(alias)
                }
            };
            assert_eq!(aliases.find(&topic), expected);
            aliases.used(&topic, expected);
        }
    }

    #[test]
    fn all_aliases_there_are_can_be_in_use() {
        let mut aliases = OutgoingAliases::new(u16::MAX);
        let mut publish = |number: u32| {
            let topic = u64::from(number).to_be_bytes();
            let alias = aliases.find(&topic);
            aliases.used(&topic, alias);
            alias
        };
        for number in 1..=65_535 {
            assert_eq!(publish(number), Alias::Set(u16::try_from(number).unwrap()));
        }
        assert_eq!((publish(70_000), publish(70_001)), (Alias::Set(1), Alias::Set(2)));
        assert_eq!((publish(65_535), publish(3)), (Alias::Use(65_535), Alias::Use(3)));
    }

    #[test]
    fn incoming_aliases_are_set_and_set_anew() {
        // v5 [MQTT-3.3.2-10] [U5-3.3.4-2] [U5-3.3.4-3] [U5-3.3.4-4]
        let mut aliases = IncomingAliases::new(3);
        assert_eq!(aliases.resolve(4, "a"), Err(AliasError::AboveMaximum));
        assert_eq!(aliases.resolve(0, "a"), Err(AliasError::AboveMaximum));
        assert_eq!(aliases.resolve(3, ""), Err(AliasError::Unknown));
        assert_eq!(aliases.resolve(3, "a"), Ok("a"));
        assert_eq!(aliases.resolve(1, ""), Err(AliasError::Unknown));
        assert_eq!(aliases.resolve(3, ""), Ok("a"));
        assert_eq!(aliases.resolve(3, "b"), Ok("b"));
        assert_eq!(aliases.resolve(3, ""), Ok("b"));
    }
}
