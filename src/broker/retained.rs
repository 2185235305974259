//! The last message of each topic, for those who subscribe later. MQTT 5.0 §3.3.1.3

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use thiserror::Error;

use crate::broker::authorizer::Client;
use crate::broker::hash::Seed;
use crate::broker::select::Selected;
use crate::broker::slab::Slab;
use crate::broker::tree::{NONE, Scratch, Tree};
use crate::message::Message;
use crate::time::Instant;
use crate::topic;

/// The retained messages of all topics: at most one each, until it expires.
///
/// How many there are and how many bytes they hold is limited. A message that shares the buffer it
/// arrived in gets storage of its own, so that it counts with what it holds.
///
/// That a message with an empty payload removes the one before, v5 [MQTT-3.3.1-6], is for the
/// caller to see to, and so is who may read it now.
///
/// ```
/// use core::ops::ControlFlow;
/// use sansio_mqtt::broker::{Retained, RetainedLimits, Scratch};
/// use sansio_mqtt::{Instant, Message, TopicName};
///
/// let mut retained = Retained::new(0x5eed, RetainedLimits::default());
/// let now = Instant::from_micros(0);
/// let message = Message::new(TopicName::new("plant/7/temperature")?, "21.5");
/// retained.insert(now, message, None)?;
///
/// let mut found = Vec::new();
/// let _ = retained.matches(now, "plant/+/temperature", &mut Scratch::new(), |message, _| {
///     found.push(message.payload().to_vec());
///     ControlFlow::Continue(())
/// });
/// assert_eq!(found, [b"21.5"]);
/// assert!(retained.remove("plant/7/temperature").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Retained {
    tree: Tree,
    messages: Slab<Option<Kept>>,
    /// Of the message that was retained last.
    last_number: u64,
    limits: RetainedLimits,
    bytes: usize,
    /// Nothing expires before.
    earliest: Option<Instant>,
}

/// How many retained messages there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RetainedLimits {
    /// Messages; 100,000 unless set.
    pub maximum_count: usize,
    /// Bytes of all messages together, with their topics, these again and 64 for each level, their
    /// properties, and the names of their publishers; 64 MiB unless set.
    pub maximum_bytes: usize,
}

impl Default for RetainedLimits {
    fn default() -> Self {
        Self { maximum_count: 100_000, maximum_bytes: 64 << 20 }
    }
}

/// Why a message is not retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum RetainedError {
    /// There are as many as there may be.
    #[error("is one more than the {0} that are retained at most")]
    TooMany(usize),
    /// It would make them hold more bytes than they may.
    #[error("makes the retained messages hold more than {0} bytes")]
    TooManyBytes(usize),
}

/// A message that is retained.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) message: Message,
    pub(super) expires: Option<Instant>,
    /// Who published it.
    pub(super) publisher: Option<Arc<Client>>,
    /// Its place in the order of all that were retained.
    pub(super) number: u64,
    node: u32,
    /// Bytes that it holds.
    size: usize,
}

impl Kept {
    fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Bytes of a level of a topic, beside its text.
const LEVEL: usize = 64;

/// How far a filter's messages were read, from one [`Retained::next`] to the next.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The node that was looked at last.
    at: Option<u32>,
}

/// How far a filter's messages were read.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// To a message, and where a cursor has it behind itself.
    Found(Place, &'a Kept),
    /// To a place from which it goes on.
    Stopped(Place),
    /// To the end.
    End,
}

/// Where a cursor can be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(u32);

impl Retained {
    /// Without messages. For the seed, see [`Subscriptions::new`](super::Subscriptions::new).
    pub const fn new(seed: u64, limits: RetainedLimits) -> Self {
        let tree = Tree::new(Seed::new(seed));
        Self { tree, messages: Slab::new(), last_number: 0, limits, bytes: 0, earliest: None }
    }

    /// How many there are, those that have expired and were not looked at since among them.
    pub const fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// How many bytes they hold, as the [limit](RetainedLimits::maximum_bytes) counts them.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Retains a message in place of the one of its topic, which is returned, until it expires.
    /// v5 [MQTT-3.3.1-5], v3.1.1 [MQTT-3.3.1-5]
    ///
    /// If there is no room, what has expired makes some.
    ///
    /// # Errors
    ///
    /// Says which limit it would exceed; nothing is changed then but that what has expired is
    /// gone.
    pub fn insert(
        &mut self,
        now: Instant,
        message: Message,
        expires: Option<Instant>,
    ) -> Result<Option<Message>, RetainedError> {
        self.insert_from(now, message, expires, None)
    }

    /// As [`insert`](Self::insert), with who published the message.
    pub(super) fn insert_from(
        &mut self,
        now: Instant,
        message: Message,
        expires: Option<Instant>,
        publisher: Option<Arc<Client>>,
    ) -> Result<Option<Message>, RetainedError> {
        let size = size(&message, publisher.as_deref());
        let mut refused = self.check(message.topic(), size);
        if refused.is_err() && self.earliest.is_some_and(|earliest| earliest <= now) {
            self.remove_expired(now);
            refused = self.check(message.topic(), size);
        }
        refused?;
        let full = RetainedError::TooMany(self.messages.len());
        let node = self.tree.make(Some(message.topic())).ok_or(full)?;
        let id = self.tree.node(node).map_or(NONE, |node| node.here);
        let number = self.last_number.saturating_add(1);
        let message = message.into_own();
        let kept = Kept { message, expires, publisher, number, node, size };
        let before = match self.messages.get_mut(id) {
            Some(slot) => slot.replace(kept),
            None => {
                let Some(id) = self.messages.insert(Some(kept)) else {
                    self.tree.prune(node);
                    return Err(full);
                };
                if let Some(node) = self.tree.node_mut(node) {
                    node.here = id;
                }
                None
            }
        };
        self.last_number = number;
        let freed = before.as_ref().map_or(0, |kept| kept.size);
        self.bytes = self.bytes.saturating_sub(freed).saturating_add(size);
        self.earliest = [self.earliest, expires].into_iter().flatten().min();
        Ok(before.map(|kept| kept.message))
    }

    /// The number of the message that was retained last.
    pub(super) const fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Whether there is room for a message of so many bytes.
    fn check(&self, topic: &str, size: usize) -> Result<(), RetainedError> {
        let RetainedLimits { maximum_count, maximum_bytes } = self.limits;
        let before = self.kept(topic);
        let freed = before.map_or(0, |kept| kept.size);
        let bytes = self.bytes.saturating_sub(freed).saturating_add(size);
        if before.is_none() && self.messages.len() >= maximum_count {
            return Err(RetainedError::TooMany(maximum_count));
        }
        // A smaller one may come in place of a larger one, whatever the limit is now.
        if bytes > maximum_bytes && size > freed {
            return Err(RetainedError::TooManyBytes(maximum_bytes));
        }
        Ok(())
    }

    fn kept(&self, topic: &str) -> Option<&Kept> {
        self.kept_as(self.tree.node(self.tree.find(Some(topic))?)?.here)
    }

    /// The message of a topic, and when it expires; `None` if it has.
    pub fn get(&self, now: Instant, topic: &str) -> Option<(&Message, Option<Instant>)> {
        let kept = self.kept(topic).filter(|kept| !kept.has_expired(now))?;
        Some((&kept.message, kept.expires))
    }

    /// Removes the message of a topic. v5 [MQTT-3.3.1-6], v3.1.1 [MQTT-3.3.1-10]
    pub fn remove(&mut self, topic: &str) -> Option<Message> {
        let node = self.tree.find(Some(topic))?;
        self.remove_message(self.tree.node(node)?.here)
    }

    fn remove_message(&mut self, id: u32) -> Option<Message> {
        self.kept_as(id)?;
        let Kept { message, node: place, size, .. } = self.messages.remove(id)?;
        self.bytes = self.bytes.saturating_sub(size);
        if let Some(node) = self.tree.node_mut(place) {
            node.here = NONE;
        }
        self.tree.prune(place);
        if self.is_empty() {
            self.earliest = None;
        }
        Some(message)
    }

    /// The next message whose topic a filter matches, and that has not expired, behind a cursor,
    /// which is to be [moved](Self::advance). Takes so many steps at most, of which it counts those
    /// that are left. What is retained in between comes or not, and nothing comes twice.
    pub(super) fn next(
        &self,
        now: Instant,
        filter: &str,
        cursor: &Cursor,
        steps: &mut usize,
        scratch: &mut Scratch,
    ) -> Next<'_> {
        let mut behind = cursor.at;
        loop {
            match self.tree.select_next(filter, behind, steps, scratch) {
                Selected::Found(node, id) => {
                    if let Some(kept) = self.kept_as(id).filter(|kept| !kept.has_expired(now)) {
                        return Next::Found(Place(node), kept);
                    }
                    behind = Some(node);
                }
                Selected::Stopped(node) => return Next::Stopped(Place(node)),
                Selected::None => return Next::End,
            }
        }
    }

    /// Moves a cursor, so that what comes next is behind that place.
    pub(super) fn advance(&mut self, cursor: &mut Cursor, place: Place) {
        self.tree.pin(place.0);
        self.leave(cursor);
        cursor.at = Some(place.0);
    }

    /// A cursor is not needed any more, or begins again.
    pub(super) fn leave(&mut self, cursor: &mut Cursor) {
        if let Some(at) = cursor.at.take() {
            self.tree.unpin(at);
        }
    }

    /// Calls `found` for every message whose topic a filter matches, with when it expires, until
    /// it breaks. Those that have expired are removed in place of that.
    /// v5 [MQTT-3.3.1-9], v3.1.1 [MQTT-3.3.1-6]
    ///
    /// The filter is what follows the ShareName, if there is one. Messages whose topics have a
    /// level in common come together, in the order in which the levels first came. Takes time
    /// linear in the levels of the topics that the filter's beginning matches; nothing is
    /// allocated but what `scratch` grows by.
    pub fn matches(
        &mut self,
        now: Instant,
        filter: &str,
        scratch: &mut Scratch,
        mut found: impl FnMut(&Message, Option<Instant>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut expired = core::mem::take(&mut scratch.expired);
        let result = self.tree.select(filter, scratch, |id| match self.kept_as(id) {
            Some(kept) if kept.has_expired(now) => {
                expired.push(id);
                ControlFlow::Continue(())
            }
            Some(kept) => found(&kept.message, kept.expires),
            None => ControlFlow::Continue(()),
        });
        for id in expired.drain(..) {
            self.remove_message(id);
        }
        scratch.expired = expired;
        result
    }

    /// Removes what has expired, and says how many there were. Takes time linear in all messages;
    /// [`insert`](Self::insert) does it when there is no room.
    pub fn remove_expired(&mut self, now: Instant) -> usize {
        let mut expired = Vec::new();
        let mut earliest = None;
        for (id, kept) in self.all() {
            if kept.has_expired(now) {
                expired.push(id);
            } else {
                earliest = [earliest, kept.expires].into_iter().flatten().min();
            }
        }
        for id in &expired {
            self.remove_message(*id);
        }
        self.earliest = earliest;
        expired.len()
    }

    /// All messages and when they expire, in an order that is the same after the same calls.
    pub fn iter(&self) -> impl Iterator<Item = (&Message, Option<Instant>)> {
        self.all().map(|(_, kept)| (&kept.message, kept.expires))
    }

    fn all(&self) -> impl Iterator<Item = (u32, &Kept)> {
        self.messages.iter().filter_map(|(id, kept)| Some((id, kept.as_ref()?)))
    }

    fn kept_as(&self, id: u32) -> Option<&Kept> {
        self.messages.get(id)?.as_ref()
    }
}

/// Bytes that a retained message holds: its own, those of who published it, and the levels of its
/// topic.
fn size(message: &Message, publisher: Option<&Client>) -> usize {
    let topic = message.topic();
    let levels = topic::level_count(topic).saturating_mul(LEVEL).saturating_add(topic.len());
    let publisher = publisher.map_or(0, Client::size);
    message.size().saturating_add(levels).saturating_add(publisher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owned_packet::OwnedPacket;
    use crate::packet_type::Sender;
    use crate::qos::QoS;
    use crate::topic::TopicName;
    use crate::version::Version;
    use alloc::string::{String, ToString};
    use bytes::Bytes;

    const NOW: Instant = Instant::from_micros(1_000);
    const LATER: Instant = Instant::from_micros(2_000);

    fn message(topic: &str, payload: &str) -> Message {
        Message::new(TopicName::new(topic).unwrap(), Bytes::copy_from_slice(payload.as_bytes()))
    }

    fn limited(maximum_count: usize, maximum_bytes: usize) -> Retained {
        Retained::new(8, RetainedLimits { maximum_count, maximum_bytes })
    }

    fn retained(topics: &[&str]) -> Retained {
        let mut retained = limited(1_000, 100_000);
        for topic in topics {
            assert_eq!(retained.insert(NOW, message(topic, "p"), None), Ok(None));
        }
        retained
    }

    fn matched(retained: &mut Retained, now: Instant, filter: &str) -> Vec<String> {
        let mut found = Vec::new();
        let result = retained.matches(now, filter, &mut Scratch::new(), |message, _| {
            found.push(message.topic().to_string());
            ControlFlow::Continue(())
        });
        assert!(result.is_continue());
        found
    }

    #[test]
    fn the_last_message_of_a_topic_is_kept_as_it_was_published() {
        // v3.1.1 [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7], v5 [MQTT-3.3.1-5]
        let mut retained = limited(10, 1_000);
        let first = message("a/b", "first").with_qos(QoS::ExactlyOnce);
        let last = message("a/b", "2").with_qos(QoS::AtMostOnce);
        assert_eq!(retained.insert(NOW, first.clone(), None), Ok(None));
        assert_eq!(retained.bytes(), 11 + 2 * LEVEL);
        assert_eq!(retained.insert(NOW, last.clone(), Some(LATER)), Ok(Some(first)));
        assert_eq!((retained.len(), retained.bytes()), (1, 7 + 2 * LEVEL));
        assert_eq!(retained.get(NOW, "a/b"), Some((&last, Some(LATER))));
        assert_eq!(retained.get(NOW, "a"), None);
        assert_eq!(retained.remove("a/b"), Some(last));
        assert_eq!((retained.remove("a/b"), retained.len(), retained.bytes()), (None, 0, 0));
    }

    #[test]
    fn a_retained_message_does_not_keep_the_buffer_it_arrived_in() {
        let buffer = Bytes::from(b"\x31\x09\x00\x03a/b21.5".repeat(1_000));
        let frame = buffer.slice(..11);
        let packet = OwnedPacket::from_frame(frame, Version::V3_1_1, Sender::Client).unwrap();
        let message = packet.message().unwrap();
        drop(packet);
        let mut retained = limited(1, 10 + 2 * LEVEL);
        assert_eq!(retained.insert(NOW, message.clone(), None), Ok(None));
        let (kept, _) = retained.get(NOW, "a/b").unwrap();
        assert_eq!(*kept, message);
        drop(message);
        assert!(buffer.try_into_mut().is_ok());
    }

    #[test]
    fn filters_find_topics_in_the_order_they_came_in() {
        let topics = ["b/x", "a", "a/x", "$SYS/x", "a/y/z", "/x", "a/", "b", "a/y"];
        let mut retained = retained(&topics);
        let rows: [(&str, &[&str]); 13] = [
            // v5 [MQTT-4.7.2-1], v3.1.1 [MQTT-4.7.2-1]
            ("#", &["b", "b/x", "a", "a/x", "a/y", "a/y/z", "a/", "/x"]),
            ("+", &["b", "a"]),
            ("+/x", &["b/x", "a/x", "/x"]),
            ("+/#", &["b", "b/x", "a", "a/x", "a/y", "a/y/z", "a/", "/x"]),
            ("$SYS/#", &["$SYS/x"]),
            ("$SYS/+", &["$SYS/x"]),
            // v5 4.7.1.2: the parent.
            ("a/#", &["a", "a/x", "a/y", "a/y/z", "a/"]),
            ("a/+", &["a/x", "a/y", "a/"]),
            ("+/+/+", &["a/y/z"]),
            ("+/y/#", &["a/y", "a/y/z"]),
            ("a/y", &["a/y"]),
            ("/#", &["/x"]),
            ("A/#", &[]),
        ];
        for (filter, expected) in rows {
            assert_eq!(matched(&mut retained, NOW, filter), expected, "{filter}");
        }
    }

    #[test]
    fn matching_stops_when_it_is_told_to() {
        let mut retained = retained(&["a/1", "a/2", "b/1"]);
        for filter in ["#", "+/+", "+/#", "a/+"] {
            let mut found = 0;
            let result = retained.matches(NOW, filter, &mut Scratch::new(), |_, _| {
                found += 1;
                ControlFlow::Break(())
            });
            assert_eq!((result, found), (ControlFlow::Break(()), 1), "{filter}");
        }
    }

    #[test]
    fn what_has_expired_is_neither_found_nor_kept() {
        let mut retained = limited(10, 1_000);
        for (topic, expires) in [("a/1", Some(LATER)), ("a/2", None), ("a/3", Some(NOW))] {
            assert_eq!(retained.insert(Instant::default(), message(topic, "p"), expires), Ok(None));
        }
        assert_eq!(retained.get(NOW, "a/3"), None);
        assert_eq!(matched(&mut retained, NOW, "a/+"), ["a/1", "a/2"]);
        assert_eq!(retained.len(), 2);
        assert_eq!(matched(&mut retained, LATER, "#"), ["a/2"]);
        assert_eq!((retained.len(), retained.bytes()), (1, 7 + 2 * LEVEL));
        assert_eq!(
            retained.iter().map(|(message, _)| message.topic()).collect::<Vec<_>>(),
            ["a/2"]
        );
    }

    #[test]
    fn limits_refuse_what_is_new_and_leave_what_is_there() {
        const BYTES: usize = 14 + 2 * LEVEL;
        let mut retained = limited(2, BYTES);
        assert_eq!(retained.insert(NOW, message("a", "12345"), None), Ok(None));
        let refused = retained.insert(NOW, message("b", "123456"), None);
        assert_eq!(refused, Err(RetainedError::TooManyBytes(BYTES)));
        assert_eq!(retained.insert(NOW, message("b", "12345"), None), Ok(None));
        let refused = retained.insert(NOW, message("c", ""), None);
        assert_eq!(refused, Err(RetainedError::TooMany(2)));
        let refused = retained.insert(NOW, message("a", "123456"), None);
        assert_eq!(refused, Err(RetainedError::TooManyBytes(BYTES)));
        assert_eq!((retained.len(), retained.bytes()), (2, BYTES));
        assert!(retained.insert(NOW, message("a", "1234"), None).unwrap().is_some());
        assert_eq!(matched(&mut retained, NOW, "#"), ["a", "b"]);
    }

    #[test]
    fn what_has_expired_makes_room() {
        let mut retained = limited(2, 1_000);
        for (topic, expires) in [("a", Some(LATER)), ("b", None)] {
            assert_eq!(retained.insert(NOW, message(topic, "p"), expires), Ok(None));
        }
        let refused = retained.insert(NOW, message("c", "p"), None);
        assert_eq!(refused, Err(RetainedError::TooMany(2)));
        assert_eq!(retained.insert(LATER, message("c", "p"), None), Ok(None));
        assert_eq!(matched(&mut retained, LATER, "+"), ["b", "c"]);
        assert_eq!(retained.remove_expired(LATER), 0);
    }

    #[test]
    fn a_cursor_goes_on_where_it_was_whatever_happens_to_what_is_there() {
        let mut retained = retained(&["a/1", "a/2", "b", "a/3", "a/4/x"]);
        let (mut cursor, mut scratch) = (Cursor::default(), Scratch::new());
        let mut found = Vec::new();
        let mut calls = 0;
        loop {
            // One step at a time.
            let mut steps = 1;
            calls += 1;
            let place = match retained.next(NOW, "a/#", &cursor, &mut steps, &mut scratch) {
                Next::Found(place, kept) => {
                    found.push(kept.message.topic().to_string());
                    place
                }
                Next::Stopped(place) => place,
                Next::End => break,
            };
            retained.advance(&mut cursor, place);
            if found.last().is_some_and(|topic| topic == "a/2") {
                retained.remove("a/2");
                retained.remove("a/3");
            }
        }
        assert_eq!(found, ["a/1", "a/2", "a/4/x"]);
        assert!(calls > 3);
        retained.leave(&mut cursor);
        for topic in ["a/1", "b", "a/4/x"] {
            assert!(retained.remove(topic).is_some());
        }
        assert!(retained.is_empty() && retained.tree.find(Some("a")).is_none());
    }
}
