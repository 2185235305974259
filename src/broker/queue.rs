//! What waits for one client: messages at QoS 0 until they are pulled, those at QoS 1 and 2 until
//! they are acknowledged.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::broker::delivery::{Delivery, Item};
use crate::broker::shared::GroupKey;
use crate::packet_id::PacketId;
use crate::qos::QoS;
use crate::session::entry::{Entry, Key, Removed, Stage};
use crate::session::outbound::{Misfit, Outbound};
use crate::time::Instant;

/// Room for so many messages is kept when there are none.
const KEEP: usize = 32;

/// The messages that one session holds for its client.
#[derive(Debug, Default)]
pub(super) struct Queue {
    at_most_once: VecDeque<Item>,
    /// Bytes of these.
    at_most_once_bytes: usize,
    /// Those at QoS 1 and 2, once there was one: most sessions have none for most of the time.
    acknowledged: Option<Box<Outbound<Delivery>>>,
    /// How many of these came by a group.
    of_groups: usize,
    /// How many may be in flight on this connection; 0 without one.
    window: u16,
    /// Of the last message, or what else has a place in their order.
    last_number: u64,
    /// Whether it was a retained message's turn the last time.
    is_turn: bool,
    /// Whether nothing was pulled since that was asked for.
    is_stuck: bool,
}

/// How many messages are held, and bytes of these.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) len: usize,
    pub(super) bytes: usize,
}

impl Queue {
    /// What stays when room is made for a message at this QoS: those at QoS 0 go first, and then,
    /// if the oldest do at all, those at QoS 1 and 2 that were never sent.
    pub(super) fn stays(&self, qos: QoS, drops_oldest: bool) -> Held {
        match &self.acknowledged {
            Some(held) if qos != QoS::AtMostOnce && drops_oldest => {
                Held { len: held.sent_len(), bytes: held.sent_bytes() }
            }
            Some(held) => Held { len: held.len(), bytes: held.bytes() },
            None => Held { len: 0, bytes: 0 },
        }
    }

    /// How many messages are held.
    #[inline]
    pub(super) fn len(&self) -> usize {
        let acknowledged = self.acknowledged.as_ref().map_or(0, |held| held.len());
        acknowledged.saturating_add(self.at_most_once.len())
    }

    /// Bytes of these.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        let acknowledged = self.acknowledged.as_ref().map_or(0, |held| held.bytes());
        acknowledged.saturating_add(self.at_most_once_bytes)
    }

    #[inline]
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number = self.last_number.saturating_add(1);
        self.last_number
    }

    /// Adds a message at QoS 0 of so many bytes.
    #[inline]
    pub(super) fn push_at_most_once(&mut self, delivery: Delivery, size: usize) {
        let number = self.next_number();
        self.at_most_once_bytes = self.at_most_once_bytes.saturating_add(size);
        self.at_most_once.push_back(Item { number, delivery });
    }

    /// The oldest message at QoS 0.
    #[inline]
    pub(super) fn front_at_most_once(&self) -> Option<&Item> {
        self.at_most_once.front()
    }

    /// Takes off the oldest message at QoS 0, whose size the caller then
    /// [says](Self::popped).
    #[inline]
    pub(super) fn pop_at_most_once(&mut self) -> Option<Delivery> {
        let item = self.at_most_once.pop_front()?;
        if self.at_most_once.is_empty() && self.at_most_once.capacity() > KEEP {
            self.at_most_once = VecDeque::new();
        }
        Some(item.delivery)
    }

    /// So many bytes were taken off.
    #[inline]
    pub(super) fn popped(&mut self, size: usize) {
        self.at_most_once_bytes = self.at_most_once_bytes.saturating_sub(size);
    }

    /// Adds a message at QoS 1 or 2 of so many bytes, and lets it into the window if there is room.
    pub(super) fn push(&mut self, delivery: Delivery, size: usize, expires: Option<Instant>) {
        let number = self.next_number();
        let window = self.window;
        if delivery.group.is_some() {
            self.of_groups = self.of_groups.saturating_add(1);
        }
        let held = self.acknowledged.get_or_insert_with(|| {
            let mut held = Box::new(Outbound::default());
            held.set_window(window);
            held
        });
        let entry = Entry::sized(number, delivery, size, expires);
        if held.is_open() {
            let key = held.insert(entry);
            held.enter_window(key);
        } else {
            held.push(entry);
            open_window(held);
        }
    }

    /// The messages at QoS 1 and 2, if there was one.
    #[inline]
    pub(super) fn acknowledged(&mut self) -> Option<&mut Outbound<Delivery>> {
        self.acknowledged.as_deref_mut()
    }

    /// Some were taken out from amid the others.
    pub(super) fn sweep(&mut self) {
        if let Some(held) = &mut self.acknowledged {
            held.sweep();
        }
    }

    /// Messages at QoS 1 and 2 that were never pulled, in their order.
    pub(super) fn unsent(&self) -> Vec<Key> {
        self.acknowledged.as_ref().map(|held| held.unsent()).unwrap_or_default()
    }

    /// The message at QoS 1 or 2 that is to be pulled next.
    #[inline]
    pub(super) fn next_ready(&mut self) -> Option<(Key, &mut Entry<Delivery>)> {
        self.acknowledged.as_mut()?.next_ready()
    }

    /// Whether anything was pulled since the last time.
    pub(super) fn was_pulled(&mut self) -> bool {
        !core::mem::replace(&mut self.is_stuck, true)
    }

    /// Something is pulled.
    #[inline]
    pub(super) fn pulled(&mut self) {
        self.is_stuck = false;
    }

    /// How many messages may be in flight.
    pub(super) fn window(&self) -> usize {
        self.window.into()
    }

    /// Every other time.
    pub(super) fn takes_turn(&mut self) -> bool {
        self.is_turn = !self.is_turn;
        self.is_turn
    }

    /// The message that an acknowledgement is of which comes at this stage.
    pub(super) fn on_ack(&mut self, packet_id: PacketId, stage: Stage) -> Result<Key, Misfit> {
        let held = self.acknowledged.as_mut().ok_or(Misfit::Unknown)?;
        held.on_ack(packet_id, stage)
    }

    /// A message was received, at QoS 2: it is not needed any more.
    pub(super) fn received(&mut self, key: Key) -> Option<Delivery> {
        let order = self.next_number();
        let delivery = self.acknowledged.as_mut()?.received(key, order);
        self.left(delivery.as_ref());
        delivery
    }

    /// A delivery is not there any more.
    fn left(&mut self, delivery: Option<&Delivery>) {
        if delivery.is_some_and(|delivery| delivery.group.is_some()) {
            self.of_groups = self.of_groups.saturating_sub(1);
        }
    }

    /// Whether any message at QoS 1 or 2 came by a group.
    pub(super) const fn has_of_groups(&self) -> bool {
        self.of_groups > 0
    }

    /// Whatever came by one of these groups, in their order, stays as if it had not.
    pub(super) fn leave_groups(&mut self, keys: &[GroupKey]) {
        for entry in self.acknowledged.iter_mut().flat_map(|held| held.entries_mut()) {
            if let Some(delivery) = &mut entry.message
                && delivery.group.take_if(|group| keys.binary_search(group).is_ok()).is_some()
            {
                self.of_groups = self.of_groups.saturating_sub(1);
            }
        }
    }

    /// Takes a message at QoS 1 or 2 out, which lets another one into the window.
    pub(super) fn remove(&mut self, key: Key) -> Option<Removed<Delivery>> {
        let held = self.acknowledged.as_mut()?;
        let removed = held.remove(key);
        open_window(held);
        self.left(removed.as_ref().and_then(|removed| removed.message.as_ref()));
        removed
    }

    /// A connection takes so many messages unacknowledged. Says which are waiting for PUBCOMP,
    /// whose PUBRELs are sent again; what else is in flight is sent again as well.
    pub(super) fn connected(&mut self, window: u16) -> impl Iterator<Item = PacketId> + use<> {
        self.window = window;
        let released = self.acknowledged.as_mut().map(|held| {
            held.set_window(window);
            let released = held.resume();
            open_window(held);
            released
        });
        released.into_iter().flatten()
    }

    /// The connection is gone, and with it what waits at QoS 0, which is returned.
    pub(super) fn disconnected(&mut self) -> VecDeque<Item> {
        self.window = 0;
        if self.acknowledged.as_ref().is_some_and(|held| held.len() == 0) {
            self.acknowledged = None;
        }
        if let Some(held) = &mut self.acknowledged {
            held.disconnected();
        }
        self.at_most_once_bytes = 0;
        core::mem::take(&mut self.at_most_once)
    }

    /// All messages at QoS 1 and 2, in their order.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry<Delivery>> {
        self.acknowledged.into_iter().flat_map(|held| held.into_entries())
    }
}

/// Lets messages into the window as long as there is room.
#[inline]
fn open_window(held: &mut Outbound<Delivery>) {
    while let Some((key, in_flight)) = held.next_for_window() {
        if held.enter_window(key).is_none() {
            return;
        }
        held.leave_queue(in_flight);
    }
}
