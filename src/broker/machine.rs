//! The state of a broker, and what all of its parts do with it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use hashbrown::HashTable;

use crate::broker::authorizer::{Authorizer, Client};
use crate::broker::connection::{Connection, Pause};
use crate::broker::delivery::Target;
use crate::broker::error::DisconnectCause;
use crate::broker::event::{Counters, Event};
use crate::broker::hash::{Names, Seed};
use crate::broker::messages::Messages;
use crate::broker::options::Options;
use crate::broker::ready::Ready;
use crate::broker::retained::Retained;
use crate::broker::session::Session;
use crate::broker::shared::{GroupKey, SharedSubscriptions};
use crate::broker::slab::Slab;
use crate::broker::subscriptions::Subscriptions;
use crate::broker::timers::{Timer, Timers};
use crate::broker::topics::Topics;
use crate::broker::tree::Scratch;
use crate::link::ConnectionId;
use crate::message::Message;
use crate::session::store::Log;
use crate::time::Instant;

/// An MQTT broker without I/O: all that is behind the listening socket.
///
/// See the [module](crate::broker) for how it is driven. Beside what its clients say it does what
/// the application asks for, and tells what there is:
///
/// ```
/// use sansio_mqtt::broker::{AllowAll, Broker, CallError, Options};
/// use sansio_mqtt::{Disconnect, Instant, ReasonCode};
///
/// let mut broker = Broker::new(Options::new(0x5eed), Box::new(AllowAll));
/// let now = Instant::from_micros(0);
/// if let Some(connection) = broker.session("meter-7").and_then(|session| session.connection) {
///     let reason_code = ReasonCode::ADMINISTRATIVE_ACTION;
///     broker.disconnect(now, connection, &Disconnect { reason_code, ..Default::default() })?;
/// }
/// assert_eq!(broker.counters().sessions, 0);
/// # Ok::<(), CallError>(())
/// ```
pub struct Broker {
    pub(super) options: Options,
    pub(super) now: Instant,
    pub(super) log: Log,
    pub(super) authorizer: Box<dyn Authorizer + Send>,
    pub(super) connections: Slab<Option<Connection>>,
    /// How many there were.
    pub(super) opened: u64,
    pub(super) sessions: Slab<Option<Session>>,
    /// The sessions, by the hashes of their Client Identifiers.
    pub(super) by_client: HashTable<u32>,
    pub(super) seed: Seed,
    /// What assigned Client Identifiers are made of.
    pub(super) names: Names,
    /// How many Client Identifiers were assigned.
    pub(super) assigned: u64,
    pub(super) subscriptions: Subscriptions,
    pub(super) shared: SharedSubscriptions,
    pub(super) retained: Retained,
    pub(super) messages: Messages,
    /// Those that were sent with aliases.
    pub(super) topics: Topics,
    pub(super) timers: Timers,
    pub(super) events: VecDeque<Event>,
    /// Connections with bytes.
    pub(super) ready: Ready,
    /// Connections for which there is more to be looked for, when others have had their turn.
    pub(super) later: VecDeque<ConnectionId>,
    /// Connections whose input goes on.
    pub(super) resumed: VecDeque<ConnectionId>,
    /// Connections to be shut down.
    pub(super) closed: VecDeque<ConnectionId>,
    /// Bytes of the Wills that are held.
    pub(super) will_bytes: usize,
    /// Wills that are due.
    pub(super) wills: VecDeque<(Message, Arc<Client>)>,
    /// Sessions for which there was more than may wait, to be disconnected.
    pub(super) overflowed: VecDeque<u32>,
    pub(super) scratch: Scratch,
    /// For routing, so that it need not be allocated again.
    pub(super) targets: Vec<Target>,
    pub(super) groups: Vec<GroupKey>,
    /// What was done since [`receive`](Self::receive) began.
    pub(super) work: usize,
    pub(super) counters: Counters,
    pub(super) is_shutting_down: bool,
}

/// Bits of a connection's identifier that are its number; the others tell it from earlier ones.
pub(super) const NUMBER_BITS: u32 = 24;

/// The number of a connection.
#[inline]
pub(super) fn number_of(id: ConnectionId) -> u32 {
    u32::try_from(id.0 & ((1 << NUMBER_BITS) - 1)).unwrap_or(u32::MAX)
}

impl Broker {
    /// Time goes forward only.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// The number of a connection that has not ended.
    #[inline]
    pub(super) fn find(&self, id: ConnectionId) -> Option<u32> {
        let number = number_of(id);
        self.connection(number).filter(|found| found.link.id == id).map(|_| number)
    }

    #[inline]
    pub(super) fn connection(&self, number: u32) -> Option<&Connection> {
        self.connections.get(number)?.as_ref()
    }

    #[inline]
    pub(super) fn connection_mut(&mut self, number: u32) -> Option<&mut Connection> {
        self.connections.get_mut(number)?.as_mut()
    }

    #[inline]
    pub(super) fn session_mut(&mut self, number: u32) -> Option<&mut Session> {
        self.sessions.get_mut(number)?.as_mut()
    }

    /// A connection that is up, with its session.
    #[inline]
    pub(super) fn both_mut(&mut self, number: u32) -> Option<(&mut Connection, &mut Session)> {
        let connection = self.connections.get_mut(number)?.as_mut()?;
        let session = self.sessions.get_mut(connection.session?)?.as_mut()?;
        Some((connection, session))
    }

    /// The session of a client.
    pub(super) fn find_session(&self, client_id: &str) -> Option<u32> {
        let is = |number: &u32| {
            let session = self.sessions.get(*number).and_then(Option::as_ref);
            session.is_some_and(|session| *session.client.client_id == *client_id)
        };
        self.by_client.find(self.seed.of(client_id.as_bytes()), is).copied()
    }

    /// Takes no more input of a connection for now.
    pub(super) fn pause(&mut self, number: u32, pause: Pause) {
        let Some(connection) = self.connection_mut(number) else { return };
        connection.paused = Some(pause);
        if pause == Pause::Work {
            let id = connection.link.id;
            self.resumed.push_back(id);
        }
    }

    /// The input of a connection goes on, if it was paused for this.
    pub(super) fn resume(&mut self, number: u32, pause: Pause) {
        if self.connection(number).is_some_and(|found| found.paused == Some(pause)) {
            self.pause(number, Pause::Work);
        }
    }

    /// Has a connection looked at when something of it is due.
    #[inline]
    pub(super) fn schedule(&mut self, number: u32) {
        if let Some(Some(connection)) = self.connections.get_mut(number) {
            let deadline = connection.deadline();
            self.timers.set(Timer::Connection(number), &mut connection.timer, deadline);
        }
    }

    pub(super) fn schedule_session(&mut self, number: u32) {
        if let Some(Some(session)) = self.sessions.get_mut(number) {
            let deadline = session.deadline();
            self.timers.set(Timer::Session(number), &mut session.timer, deadline);
        }
    }

    /// A Will is to be published, which is not held any more.
    pub(super) fn will_is_due(&mut self, message: Message, client: Arc<Client>) {
        self.will_bytes = self.will_bytes.saturating_sub(message.size());
        self.wills.push_back((message, client));
    }

    /// A Will is not held any more.
    pub(super) fn forget_will(&mut self, message: &Message) {
        self.will_bytes = self.will_bytes.saturating_sub(message.size());
    }

    /// Does what follows from what was done: Wills are published, and sessions with too much to be
    /// sent are disconnected, which may be the reason for more of both.
    #[inline]
    pub(super) fn settle(&mut self) {
        while !self.wills.is_empty() || !self.overflowed.is_empty() {
            self.settle_one();
        }
    }

    #[cold]
    fn settle_one(&mut self) {
        if let Some((message, client)) = self.wills.pop_front() {
            self.publish_will(&message, &client);
        } else if let Some(session) = self.overflowed.pop_front()
            && let Some(connection) = self.session_mut(session).and_then(|found| found.connection)
        {
            self.end(connection, DisconnectCause::QueueFull);
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("now", &self.now)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
