//! Numbers for the topics of late, so that it costs nothing to see that two are the same.

use alloc::vec::Vec;
use core::num::NonZeroU64;

use crate::broker::hash::Seed;

/// Stands for a topic: no other one ever has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicNumber(NonZeroU64);

/// So many topics are remembered at most: each in the place that its hash says, where it stays
/// until another one comes.
const TOPICS: usize = 64;
const MASK: u64 = TOPICS as u64 - 1;
/// Longer ones are not.
const LONGEST: usize = 256;

/// The topics of late.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// Empty until there was one.
    places: Vec<Place>,
    last: u64,
}

#[derive(Debug, Clone, Default)]
struct Place {
    topic: Vec<u8>,
    number: Option<TopicNumber>,
}

impl Topics {
    /// The number of a topic; a topic that was forgotten gets a new one. `None` for one that is not
    /// remembered.
    pub(super) fn number(&mut self, topic: &[u8], seed: &Seed) -> Option<TopicNumber> {
        if topic.len() > LONGEST {
            return None;
        }
        if self.places.is_empty() {
            self.places.resize(TOPICS, Place::default());
        }
        let index = usize::try_from(seed.of(topic) & MASK).ok()?;
        let place = self.places.get_mut(index)?;
        if place.number.is_none() || place.topic != topic {
            self.last = self.last.checked_add(1)?;
            place.number = NonZeroU64::new(self.last).map(TopicNumber);
            place.topic.clear();
            place.topic.extend_from_slice(topic);
        }
        place.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::format;

    #[test]
    fn no_two_topics_ever_have_the_same_number() {
        let (mut topics, seed) = (Topics::default(), Seed::new(7));
        let mut owners = BTreeMap::new();
        let mut again: usize = 0;
        for step in 0..20_000_u32 {
            let topic = format!("plant/{}", step.wrapping_mul(7919) % 97);
            let TopicNumber(number) = topics.number(topic.as_bytes(), &seed).unwrap();
            let owner = owners.entry(number).or_insert_with(|| topic.clone());
            assert_eq!(*owner, topic);
            again +=
                usize::from(topics.number(topic.as_bytes(), &seed) == Some(TopicNumber(number)));
        }
        assert_eq!(again, 20_000, "a topic keeps its number until another takes its place");
        assert!(owners.len() > 97 && topics.places.len() == TOPICS);
    }

    #[test]
    fn long_topics_are_not_remembered() {
        let (mut topics, seed) = (Topics::default(), Seed::new(7));
        assert!(topics.number(&b"a".repeat(LONGEST), &seed).is_some());
        assert_eq!(topics.number(&b"a".repeat(LONGEST + 1), &seed), None);
    }
}
