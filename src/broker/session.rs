//! What a broker keeps of one client, connected or not. MQTT 5.0 §4.1.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::broker::authorizer::Client;
use crate::broker::filters::FilterKey;
use crate::broker::grant::Grant;
use crate::broker::inbound::Unreleased;
use crate::broker::options::Options;
use crate::broker::queue::{Held, Queue};
use crate::broker::retained::Cursor;
use crate::broker::shared::GroupKey;
use crate::message::Message;
use crate::time::Instant;
use crate::version::Version;

/// The Session State of one client.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Arc<Client>,
    /// Of the last connection.
    pub(super) version: Version,
    /// The number of the connection that it has.
    pub(super) connection: Option<u32>,
    /// Session Expiry Interval, in seconds.
    pub(super) expiry_interval: u32,
    /// The longest that it may have.
    pub(super) expiry_maximum: u32,
    /// When it ends, unless its client comes back.
    pub(super) expires: Option<Instant>,
    pub(super) timer: Option<Instant>,
    /// The Will of its last connection, until its delay is over.
    pub(super) will: Option<Box<DelayedWill>>,
    /// Filters that it subscribes to, sorted.
    pub(super) subscriptions: Vec<FilterKey>,
    /// Groups that it is a member of, sorted.
    pub(super) groups: Vec<GroupKey>,
    pub(super) queue: Queue,
    pub(super) unreleased: Unreleased,
    /// Retained messages that new subscriptions are still to get.
    pub(super) replays: BTreeMap<FilterKey, Replay>,
    pub(super) dropped: u64,
}

impl Held {
    /// Whether there is room for a message of so many bytes beside these; one that is larger than
    /// may be held is held alone.
    #[inline]
    pub(super) fn fits(self, size: usize, options: &Options) -> bool {
        let bytes = self.bytes.saturating_add(size);
        self.len == 0
            || self.len < options.maximum_queued_messages && bytes <= options.maximum_queued_bytes
    }
}

/// A Will that waits for its delay.
#[derive(Debug)]
pub(super) struct DelayedWill {
    pub(super) at: Instant,
    pub(super) message: Message,
}

/// The retained messages that a new subscription is still to get.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) filter: Box<str>,
    pub(super) grant: Grant,
    pub(super) cursor: Cursor,
    /// The last one that was retained before it.
    pub(super) last: u64,
}

impl Session {
    pub(super) fn new(client: Arc<Client>, version: Version) -> Self {
        Self {
            client,
            version,
            connection: None,
            expiry_interval: 0,
            expiry_maximum: u32::MAX,
            expires: None,
            timer: None,
            will: None,
            subscriptions: Vec::new(),
            groups: Vec::new(),
            queue: Queue::default(),
            unreleased: Unreleased::default(),
            replays: BTreeMap::new(),
            dropped: 0,
        }
    }

    /// Whether there is room for a message of so many bytes.
    #[inline]
    pub(super) fn has_room(&self, size: usize, options: &Options) -> bool {
        Held { len: self.queue.len(), bytes: self.queue.bytes() }.fits(size, options)
    }

    /// Whether outputs come first now, so that a client that reads fast loses nothing: half of the
    /// room is taken, and something was pulled since that was last so.
    #[inline]
    pub(super) fn ends_turn(&mut self, options: &Options) -> bool {
        self.connection.is_some()
            && (self.queue.len() > options.maximum_queued_messages / 2
                || self.queue.bytes() > options.maximum_queued_bytes / 2)
            && self.queue.was_pulled()
    }

    /// Whether there is a message that can be sent.
    #[inline]
    pub(super) fn has_message(&mut self) -> bool {
        self.queue.front_at_most_once().is_some() || self.queue.next_ready().is_some()
    }

    /// Whether it is the turn of retained messages: they take no more than half of the room that
    /// there is, so that others find some.
    #[inline]
    pub(super) fn has_replay(&self, options: &Options) -> bool {
        !self.replays.is_empty() && self.connection.is_some() && self.has_room_for_replay(options)
    }

    fn has_room_for_replay(&self, options: &Options) -> bool {
        // So many wait ahead of the window, so that few are in vain.
        const AHEAD: usize = 32;
        let (len, bytes) = (self.queue.len(), self.queue.bytes());
        let most = (options.maximum_queued_messages / 2).min(self.queue.window().max(AHEAD));
        len == 0 || len < most && bytes <= options.maximum_queued_bytes / 2
    }

    /// Subscriptions, shared ones among them.
    pub(super) fn subscription_count(&self) -> usize {
        self.subscriptions.len().saturating_add(self.groups.len())
    }

    /// When something becomes of it without its client.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let will = self.will.as_ref().map(|will| will.at);
        [will, self.expires].into_iter().flatten().min()
    }
}

/// Adds to a sorted list what is not in it.
pub(super) fn insert_sorted<T: Ord>(list: &mut Vec<T>, value: T) {
    if let Err(at) = list.binary_search(&value) {
        list.insert(at, value);
    }
}

/// Takes a value out of a sorted list.
pub(super) fn remove_sorted<T: Ord>(list: &mut Vec<T>, value: &T) {
    if let Ok(at) = list.binary_search(value) {
        list.remove(at);
    }
    if list.is_empty() {
        *list = Vec::new();
    }
}
