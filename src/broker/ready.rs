//! Which connections have bytes, in the order in which they came to have some.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::broker::authorizer::Client;
use crate::broker::messages::MessageKey;
use crate::link::ConnectionId;
use crate::version::Version;

/// What has to be known of a connection to tell that it has bytes, and to send it a message at
/// QoS 0 that comes alone: a line of memory each, so that one message for a thousand of them does
/// not walk through all that is kept of a thousand connections and sessions.
#[derive(Debug)]
struct Lane {
    id: ConnectionId,
    maximum_packet_size: u32,
    version: Version,
    /// Whether the wrapper was told of bytes, or is about to be, and has not pulled them all.
    is_announced: bool,
    /// Whether nothing was held since all was pulled but one message.
    is_plain: bool,
    /// Whether messages go out as they are, without aliases.
    is_bare: bool,
    /// The message that is all there is to be sent.
    direct: Option<MessageKey>,
    client: Option<Arc<Client>>,
}

/// A message that is all that a connection is to be sent.
#[derive(Debug)]
pub(super) struct Direct<'a> {
    pub(super) message: MessageKey,
    pub(super) version: Version,
    pub(super) maximum_packet_size: u32,
    pub(super) client: &'a Client,
}

/// All connections, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Ready {
    lanes: Vec<Lane>,
    queue: VecDeque<ConnectionId>,
}

impl Ready {
    /// A connection is there.
    pub(super) fn open(&mut self, number: u32, id: ConnectionId) {
        let lane = |id| Lane {
            id,
            maximum_packet_size: 0,
            version: Version::V5,
            is_announced: false,
            is_plain: false,
            is_bare: false,
            direct: None,
            client: None,
        };
        let index = number as usize;
        if self.lanes.len() == self.lanes.capacity() {
            // Not doubled, since it is seldom and there are many.
            self.lanes.reserve_exact((self.lanes.len() / 8).max(16));
        }
        while self.lanes.len() <= index {
            self.lanes.push(lane(ConnectionId(0)));
        }
        if let Some(slot) = self.lanes.get_mut(index) {
            *slot = lane(id);
        }
    }

    /// A connection has a client, which may be sent messages as they are, if it `is_bare` of
    /// aliases.
    pub(super) fn connect(
        &mut self,
        number: u32,
        client: Arc<Client>,
        version: Version,
        maximum_packet_size: u32,
        is_bare: bool,
    ) {
        if let Some(lane) = self.lanes.get_mut(number as usize) {
            lane.client = Some(client);
            (lane.version, lane.maximum_packet_size) = (version, maximum_packet_size);
            lane.is_bare = is_bare;
        }
    }

    /// A connection has no client any more; returns the message that was still to be sent.
    #[must_use]
    pub(super) fn disconnect(&mut self, number: u32) -> Option<MessageKey> {
        let lane = self.lanes.get_mut(number as usize)?;
        (lane.is_plain, lane.client) = (false, None);
        lane.direct.take()
    }

    /// A connection is gone.
    pub(super) fn close(&mut self, number: u32) {
        if let Some(lane) = self.lanes.get_mut(number as usize) {
            lane.id = ConnectionId(0);
        }
        let is_used = |lane: &Lane| lane.id != ConnectionId(0);
        if number as usize == self.lanes.len().saturating_sub(1) {
            let used =
                self.lanes.iter().rposition(is_used).map_or(0, |last| last.saturating_add(1));
            self.lanes.truncate(used);
            if used < self.lanes.capacity() / 4 {
                self.lanes.shrink_to(used.saturating_mul(2));
            }
        }
    }

    /// Has the wrapper told that a connection has bytes, if it was not.
    #[inline]
    pub(super) fn announce(&mut self, number: u32) {
        let Some(lane) = self.lanes.get_mut(number as usize) else { return };
        lane.is_plain = false;
        if !core::mem::replace(&mut lane.is_announced, true) {
            self.queue.push_back(lane.id);
        }
    }

    /// Has a message sent as it is, if nothing else is to be; whoever offers it has it used once
    /// more then.
    #[inline]
    pub(super) fn offer(&mut self, number: u32, message: MessageKey) -> bool {
        let Some(lane) = self.lanes.get_mut(number as usize) else { return false };
        if !lane.is_plain || lane.is_announced {
            return false;
        }
        lane.is_announced = true;
        lane.direct = Some(message);
        self.queue.push_back(lane.id);
        true
    }

    /// The connection that the wrapper is told of next.
    #[inline]
    pub(super) fn poll(&mut self, number_of: impl Fn(ConnectionId) -> u32) -> Option<ConnectionId> {
        while let Some(id) = self.queue.pop_front() {
            let lane = self.lanes.get(number_of(id) as usize);
            if lane.is_some_and(|lane| lane.id == id && lane.is_announced) {
                return Some(id);
            }
        }
        None
    }

    /// The message that is all that a connection is to be sent, if it goes out as it is.
    #[inline]
    pub(super) fn direct(&self, number: u32, id: ConnectionId) -> Option<Direct<'_>> {
        let lane = self
            .lanes
            .get(number as usize)
            .filter(|lane| lane.id == id && lane.is_plain && lane.is_bare)?;
        Some(Direct {
            message: lane.direct?,
            version: lane.version,
            maximum_packet_size: lane.maximum_packet_size,
            client: lane.client.as_deref()?,
        })
    }

    /// That message was sent.
    #[inline]
    pub(super) fn sent(&mut self, number: u32) {
        if let Some(lane) = self.lanes.get_mut(number as usize) {
            (lane.direct, lane.is_announced) = (None, false);
        }
    }

    /// Takes the message that is to be sent first.
    #[inline]
    pub(super) fn take_direct(&mut self, number: u32) -> Option<MessageKey> {
        self.lanes.get_mut(number as usize)?.direct.take()
    }

    /// The message that is to be sent first.
    #[inline]
    pub(super) fn waiting(&self, number: u32) -> Option<MessageKey> {
        self.lanes.get(number as usize)?.direct
    }

    /// All was pulled; `is_plain` if nothing is held either.
    #[inline]
    pub(super) fn ran_dry(&mut self, number: u32, is_plain: bool) {
        if let Some(lane) = self.lanes.get_mut(number as usize) {
            lane.is_announced = false;
            lane.is_plain = is_plain && lane.client.is_some();
        }
    }
}
