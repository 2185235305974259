//! Which connections have bytes, in the order in which they came to have some.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::broker::authorizer::Client;
use crate::broker::messages::{Frame, MessageKey};
use crate::broker::topics::TopicNumber;
use crate::link::ConnectionId;

/// What has to be known of a connection to tell that it has bytes, and to send it a message at
/// QoS 0 that comes alone: a line of memory each, so that one message for a thousand of them does
/// not walk through all that is kept of a thousand connections and sessions.
#[derive(Debug)]
pub(super) struct Lane {
    id: ConnectionId,
    client: Option<Arc<Client>>,
    state: State,
    maximum_packet_size: u32,
    form: Form,
}

/// What waits for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing: all was pulled, and nothing is held either.
    Idle,
    /// Nothing can be sent; something may be held.
    Quiet,
    /// One message, which goes out as it is. The wrapper was told of it, or is about to be.
    Alone(MessageKey),
    /// Anything, behind such a message if there is one. The wrapper was told, or is about to be.
    Any(Option<MessageKey>),
}

/// How a message goes out as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It may have to get an alias.
    Unknown,
    /// With its topic.
    Plain(Frame),
    /// With the alias that was used last, if that stands for its topic.
    Aliased(u16, TopicNumber),
}

/// No connection: there are not so many.
const NONE: u32 = u32::MAX;

/// All connections, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Ready {
    lanes: Vec<Lane>,
    /// How many are in use.
    open: usize,
    /// The connections of sessions, by their numbers.
    of_sessions: Vec<u32>,
    /// How many sessions have one.
    connected: usize,
    queue: VecDeque<ConnectionId>,
}

impl Ready {
    /// A connection is there.
    pub(super) fn open(&mut self, number: u32, id: ConnectionId) {
        let lane = |id| Lane {
            id,
            client: None,
            state: State::Quiet,
            maximum_packet_size: 0,
            form: Form::Unknown,
        };
        let index = number as usize;
        reserve(&mut self.lanes, index);
        while self.lanes.len() <= index {
            self.lanes.push(lane(ConnectionId(0)));
        }
        if let Some(slot) = self.lanes.get_mut(index) {
            *slot = lane(id);
            self.open = self.open.saturating_add(1);
        }
    }

    /// A connection has a client, and a session.
    pub(super) fn connect(
        &mut self,
        number: u32,
        session: u32,
        client: Arc<Client>,
        maximum_packet_size: u32,
    ) {
        let index = session as usize;
        if index >= self.of_sessions.len() {
            reserve(&mut self.of_sessions, index);
            self.of_sessions.resize(index.saturating_add(1), NONE);
        }
        if let Some(of_session) = self.of_sessions.get_mut(index) {
            *of_session = number;
            self.connected = self.connected.saturating_add(1);
        }
        if let Some(lane) = self.lanes.get_mut(number as usize) {
            (lane.client, lane.maximum_packet_size) = (Some(client), maximum_packet_size);
        }
    }

    /// A connection has no client any more, and no session if it had one; returns the message that
    /// was still to be sent.
    #[must_use]
    pub(super) fn disconnect(&mut self, number: u32, session: Option<u32>) -> Option<MessageKey> {
        let index = session.map(|session| session as usize);
        if let Some(of_session) = index.and_then(|index| self.of_sessions.get_mut(index)) {
            *of_session = NONE;
            self.connected = self.connected.saturating_sub(1);
            if self.connected == 0 {
                self.of_sessions = Vec::new();
            }
        }
        let lane = self.lanes.get_mut(number as usize)?;
        lane.client = None;
        let message = lane.take();
        if lane.state == State::Idle {
            lane.state = State::Quiet;
        }
        message
    }

    /// A connection is gone.
    pub(super) fn close(&mut self, number: u32) {
        if let Some(lane) = self.lanes.get_mut(number as usize) {
            lane.id = ConnectionId(0);
            self.open = self.open.saturating_sub(1);
            if self.open == 0 {
                (self.lanes, self.queue) = (Vec::new(), VecDeque::new());
            }
        }
    }

    /// Has the wrapper told that a connection has bytes, if it was not.
    #[inline]
    pub(super) fn announce(&mut self, number: u32) {
        let Some(lane) = self.lanes.get_mut(number as usize) else { return };
        match lane.state {
            State::Idle | State::Quiet => {
                lane.state = State::Any(None);
                self.queue.push_back(lane.id);
            }
            State::Alone(message) => lane.state = State::Any(Some(message)),
            State::Any(_) => {}
        }
    }

    /// Has a message sent as it is to the client of a session, if nothing else is to be; whoever
    /// offers it has it used once more then.
    #[inline]
    pub(super) fn offer(&mut self, session: u32, message: MessageKey) -> bool {
        let number = self.of_sessions.get(session as usize).copied().unwrap_or(NONE);
        let Some(lane) = self.lanes.get_mut(number as usize) else { return false };
        if lane.state != State::Idle {
            return false;
        }
        lane.state = State::Alone(message);
        self.queue.push_back(lane.id);
        true
    }

    /// The connection that the wrapper is told of next.
    #[inline]
    pub(super) fn poll(&mut self, number_of: impl Fn(ConnectionId) -> u32) -> Option<ConnectionId> {
        while let Some(id) = self.queue.pop_front() {
            if let Some(lane) = self.lanes.get(number_of(id) as usize)
                && lane.id == id
                && matches!(lane.state, State::Alone(_) | State::Any(_))
            {
                return Some(id);
            }
        }
        None
    }

    /// A connection that is to be sent a message that comes alone and nothing else, and that message.
    #[inline]
    pub(super) fn alone(
        &mut self,
        id: ConnectionId,
        number: u32,
    ) -> Option<(&mut Lane, MessageKey)> {
        let lane = self.lanes.get_mut(number as usize)?;
        match lane.state {
            State::Alone(message) if lane.id == id => Some((lane, message)),
            _ => None,
        }
    }

    /// Takes the message that is to be sent first.
    #[inline]
    pub(super) fn take_direct(&mut self, number: u32) -> Option<MessageKey> {
        self.lanes.get_mut(number as usize)?.take()
    }

    /// The message that is to be sent first.
    #[inline]
    pub(super) fn waiting(&self, number: u32) -> Option<MessageKey> {
        match self.lanes.get(number as usize)?.state {
            State::Alone(message) => Some(message),
            State::Any(message) => message,
            State::Idle | State::Quiet => None,
        }
    }

    /// All was pulled.
    #[inline]
    pub(super) fn ran_dry(&mut self, number: u32) {
        if let Some(lane) = self.lanes.get_mut(number as usize) {
            lane.state = State::Quiet;
        }
    }

    /// All was pulled, and nothing is held: a message that comes alone goes out in this form.
    #[inline]
    pub(super) fn went_idle(&mut self, number: u32, form: Form) {
        if let Some(lane) = self.lanes.get_mut(number as usize) {
            lane.state = if lane.client.is_some() { State::Idle } else { State::Quiet };
            lane.form = form;
        }
    }
}

impl Lane {
    /// How a message that comes alone goes out.
    #[inline]
    pub(super) const fn form(&self) -> Form {
        self.form
    }

    #[inline]
    pub(super) fn client(&self) -> Option<&Client> {
        self.client.as_deref()
    }

    /// Whether its client accepts a packet of this size.
    #[inline]
    pub(super) const fn accepts(&self, size: usize) -> bool {
        size <= self.maximum_packet_size as usize
    }

    /// The message that comes alone was sent.
    #[inline]
    pub(super) fn sent(&mut self) {
        self.state = State::Idle;
    }

    #[inline]
    fn take(&mut self) -> Option<MessageKey> {
        let message = match self.state {
            State::Alone(message) => Some(message),
            State::Any(message) => message,
            State::Idle | State::Quiet => return None,
        };
        self.state = State::Any(None);
        message
    }
}

/// Makes room for a value with this number. It is not doubled, since that is seldom and there are
/// many; it is given back when there is none at all, as that of the connections and sessions is.
fn reserve<T>(list: &mut Vec<T>, index: usize) {
    if index >= list.capacity() {
        let more = index.saturating_add(1).saturating_sub(list.len());
        list.reserve_exact(more.max(list.len() / 8).max(16));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::messages::{Messages, Origin};
    use crate::packet::Publish;

    fn id(number: u32) -> ConnectionId {
        ConnectionId(1 << 24 | u64::from(number))
    }

    fn client() -> Arc<Client> {
        Arc::new(Client { client_id: "c".into(), identity: None })
    }

    fn number_of(id: ConnectionId) -> u32 {
        id.0 as u32 & 0xff_ffff
    }

    #[test]
    fn who_comes_and_goes_costs_nothing_of_those_that_were_there() {
        let mut ready = Ready::default();
        let client = client();
        for number in 0..10_000 {
            ready.open(number, id(number));
            ready.connect(number, number, client.clone(), u32::MAX);
        }
        for number in 1..10_000 {
            assert_eq!(ready.disconnect(number, Some(number)), None);
            ready.close(number);
        }
        assert_eq!((ready.lanes.len(), ready.of_sessions.len()), (10_000, 10_000));
        assert_eq!(ready.disconnect(0, Some(0)), None);
        ready.close(0);
        assert_eq!((ready.lanes.capacity(), ready.of_sessions.capacity()), (0, 0));
    }

    #[test]
    fn a_connection_is_told_of_once_until_all_is_pulled() {
        let mut messages = Messages::new();
        let message = messages.insert(&Publish::default(), Origin::default()).unwrap();
        let mut ready = Ready::default();
        ready.open(7, id(7));
        assert!(!ready.offer(3, message), "it has no client");
        ready.connect(7, 3, client(), u32::MAX);
        assert!(!ready.offer(3, message), "something may be held");
        ready.went_idle(7, Form::Unknown);
        assert!(ready.offer(3, message) && !ready.offer(3, message));
        assert_eq!(ready.alone(id(7), 7).map(|(_, alone)| alone), Some(message));
        ready.announce(7);
        assert!(ready.alone(id(7), 7).is_none(), "something is behind it");
        assert_eq!(ready.waiting(7), Some(message));
        assert_eq!([(); 2].map(|()| ready.poll(number_of)), [Some(id(7)), None]);
        assert_eq!([(); 2].map(|()| ready.take_direct(7)), [Some(message), None]);
        ready.announce(7);
        assert_eq!(ready.poll(number_of), None, "it was told of");
        ready.ran_dry(7);
        ready.announce(7);
        assert_eq!(ready.disconnect(7, Some(3)), None);
        ready.close(7);
        ready.open(7, ConnectionId(2 << 24 | 7));
        assert_eq!(ready.poll(number_of), None, "it is another one");
    }
}
