//! The broker machine: an MQTT broker without I/O.
//!
//! A [`Broker`] is all that is behind a listening socket: connections, sessions, subscriptions,
//! retained messages and Wills, for clients of 3.1, 3.1.1 and 5.0 side by side. A wrapper tells it
//! of transports that were opened and closed, carries bytes both ways, and does what
//! [`poll_output`](Broker::poll_output) says, whenever it has called something else. This is what
//! is the same in all wrappers, whatever their transports are; `examples/broker` is one on tokio.
//!
//! ```
//! use std::collections::HashMap;
//! use std::io::{self, Write};
//!
//! use bytes::{Buf, BytesMut};
//! use sansio_mqtt::broker::{
//!     Acceptance, Broker, ConnectionId, Event, Output, Received, Transmitted,
//! };
//! use sansio_mqtt::{Instant, Outgoing};
//!
//! /// A connection, from [`Broker::transport_opened`] on.
//! struct Peer<S> {
//!     socket: S, // Which never blocks.
//!     incoming: BytesMut,
//!     outgoing: Outgoing, // What the socket did not take.
//!     is_ready: bool,     // The broker has bytes.
//!     is_paused: bool,    // The broker takes none: the socket is not read.
//! }
//!
//! impl<S: Write> Peer<S> {
//!     /// When more was read into `incoming`, and when the broker asks for it.
//!     fn receive(&mut self, broker: &mut Broker, now: Instant, id: ConnectionId) {
//!         self.is_paused = broker.receive(now, id, &mut self.incoming) == Received::Paused;
//!     }
//!
//!     /// When the broker has bytes, and when the socket takes bytes again.
//!     fn write(&mut self, broker: &mut Broker, now: Instant, id: ConnectionId) -> io::Result<()> {
//!         loop {
//!             while self.outgoing.has_remaining() {
//!                 match self.socket.write(self.outgoing.chunk())? {
//!                     0 => return Err(io::ErrorKind::WriteZero.into()),
//!                     written => self.outgoing.advance(written),
//!                 }
//!             }
//!             if !self.is_ready {
//!                 return Ok(());
//!             }
//!             let left = broker.transmit(now, id, 64 * 1024, &mut self.outgoing);
//!             self.is_ready = left == Transmitted::More;
//!         }
//!     }
//! }
//!
//! /// After whatever was called: until when to wait for the next thing to happen. If that is
//! /// nothing else, call [`Broker::handle_timeout`] then.
//! fn settle<S: Write>(
//!     broker: &mut Broker,
//!     now: Instant,
//!     peers: &mut HashMap<ConnectionId, Peer<S>>,
//! ) -> Option<Instant> {
//!     loop {
//!         match broker.poll_output() {
//!             Output::Event(Event::Connect { connection, .. }) => {
//!                 // An error says that the connection has ended.
//!                 let _ = broker.accept(now, connection, &Acceptance::default());
//!             }
//!             Output::Event(event) => println!("{event:?}"),
//!             Output::Transmit(id) => {
//!                 let Some(peer) = peers.get_mut(&id) else { continue };
//!                 peer.is_ready = true;
//!                 if let Err(error) = peer.write(broker, now, id)
//!                     && error.kind() != io::ErrorKind::WouldBlock
//!                 {
//!                     peers.remove(&id);
//!                     broker.transport_closed(now, id);
//!                 }
//!             }
//!             Output::Resume(id) => {
//!                 let Some(peer) = peers.get_mut(&id) else { continue };
//!                 peer.receive(broker, now, id);
//!             }
//!             // Better: when its socket has taken what is left in `outgoing`.
//!             Output::Close(id) => drop(peers.remove(&id)),
//!             Output::Store(_) => {} // None of a broker in memory.
//!             Output::Timeout(deadline) => return deadline,
//!         }
//!     }
//! }
//! ```
//!
//! Its parts for routing can be used without it:
//!
//! | | |
//! |---|---|
//! | [`Subscriptions`] | the subscribers of a topic |
//! | [`SharedSubscriptions`] | the groups of a topic, and who of each has its turn |
//! | [`Retained`] | the messages that a new subscription finds |
//!
//! They hold what clients ask for, and nothing of the clients themselves: a subscriber is a
//! number of the caller's choice. Nothing in them recurses, no order depends on hashes, and
//! matching allocates nothing once its [`Scratch`] has grown.

mod ack;
mod acknowledging;
mod administration;
mod authenticating;
mod authorizer;
mod connack;
mod connection;
mod delivery;
mod ending;
mod error;
mod event;
mod filters;
mod grant;
mod handshake;
mod hash;
mod inbound;
mod levels;
mod machine;
mod members;
mod messages;
mod options;
mod publishing;
mod queue;
mod ready;
mod receiving;
mod replaying;
mod retained;
mod routing;
mod select;
mod session;
mod shared;
mod slab;
mod small_text;
mod subscribing;
mod subscriptions;
mod timers;
mod topics;
mod transmitting;
mod tree;

pub use self::authorizer::{AllowAll, Authorizer, Client, Decision, Forwarded};
pub use self::error::{CallError, DisconnectCause, Violation};
pub use self::event::{Acceptance, ConnectRequest, Counters, Event, Output, Routed, SessionInfo};
pub use self::filters::FilterKey;
pub use self::grant::{Grant, InsertError};
pub use self::machine::Broker;
pub use self::options::{Options, Overflow};
pub use self::retained::{Retained, RetainedError, RetainedLimits};
pub use self::shared::{GroupKey, SharedGroup, SharedSubscriptions};
pub use self::subscriptions::{Inserted, Subscriptions};
pub use self::tree::Scratch;
pub use crate::link::{ConnectionId, Received, Transmitted};
pub use crate::session::store::{Sequence, Store};

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use hashbrown::HashTable;

use self::connection::{Connection, Pause, Phase};
use self::hash::{Names, Seed};
use self::machine::NUMBER_BITS;
use self::messages::Messages;
use self::ready::Ready;
use self::slab::Slab;
use self::timers::{Timer, Timers};
use self::topics::Topics;
use crate::decoder::Decoder;
use crate::link::Link;
use crate::session::store::Log;
use crate::time::Instant;
use crate::version::Version;

impl Broker {
    /// A broker that keeps everything in memory only.
    pub fn new(options: Options, authorizer: Box<dyn Authorizer + Send>) -> Self {
        let options = options.without_zeros();
        let seed = options.seed;
        Self {
            now: Instant::default(),
            log: Log::default(),
            authorizer,
            connections: Slab::new(),
            opened: 0,
            sessions: Slab::new(),
            by_client: HashTable::new(),
            seed: Seed::new(seed),
            names: Names::new(seed),
            assigned: 0,
            subscriptions: Subscriptions::new(seed),
            shared: SharedSubscriptions::new(seed),
            retained: Retained::new(seed, options.retained),
            messages: Messages::new(),
            topics: Topics::default(),
            timers: Timers::default(),
            events: VecDeque::new(),
            ready: Ready::default(),
            later: VecDeque::new(),
            resumed: VecDeque::new(),
            closed: VecDeque::new(),
            will_bytes: 0,
            wills: VecDeque::new(),
            overflowed: VecDeque::new(),
            scratch: Scratch::new(),
            targets: Vec::new(),
            groups: Vec::new(),
            work: 0,
            counters: Counters::default(),
            is_shutting_down: false,
            options,
        }
    }

    /// A transport is there: a client can be heard over it, which has to connect within the
    /// [time](Options::connect_timeout) that there is.
    ///
    /// # Errors
    ///
    /// [`CallError::TooManyConnections`]; [`CallError::ShuttingDown`].
    pub fn transport_opened(&mut self, now: Instant) -> Result<ConnectionId, CallError> {
        if self.is_shutting_down {
            return Err(CallError::ShuttingDown);
        }
        let maximum = self.options.maximum_connections.min((1 << NUMBER_BITS) - 1);
        if self.connections.len() >= maximum {
            return Err(CallError::TooManyConnections);
        }
        self.advance(now);
        let number = self.connections.insert(None).ok_or(CallError::TooManyConnections)?;
        self.opened = self.opened.saturating_add(1);
        self.counters.transports = self.opened;
        let id = ConnectionId(self.opened << NUMBER_BITS | u64::from(number));
        let decoder =
            Decoder::from_client().with_maximum_packet_size(self.options.maximum_connect_size);
        let mut link = Link::new(id, Version::V5, decoder);
        link.deadline = Some(self.now + self.options.connect_timeout);
        if let Some(slot) = self.connections.get_mut(number) {
            *slot = Some(Connection::new(link, self.now));
        }
        self.ready.open(number, id);
        self.schedule(number);
        Ok(id)
    }

    /// The transport is gone. What is said of a connection that has ended has no effect.
    pub fn transport_closed(&mut self, now: Instant, connection: ConnectionId) {
        self.advance(now);
        self.lost(connection);
        self.settle();
    }

    /// Does what is due by now, or as much of it as the [budget](Options::work_budget) allows
    /// before outputs have to be taken: the rest is due at once.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.work = 0;
        for connection in core::mem::take(&mut self.later) {
            if let Some(number) = self.find(connection) {
                self.announce_session(number);
            }
        }
        while self.work < self.options.work_budget
            && let Some(timer) = self.timers.pop(self.now)
        {
            self.work = self.work.saturating_add(1);
            match timer {
                Timer::Connection(number) => self.on_connection_timer(number),
                Timer::Session(number) => self.on_session_timer(number),
            }
            self.settle();
        }
    }

    fn on_connection_timer(&mut self, number: u32) {
        let now = self.now;
        let Some(connection) = self.connection_mut(number) else { return };
        connection.timer = None;
        if connection.deadline().is_none_or(|deadline| deadline > now) {
            return self.schedule(number);
        }
        if connection.link.is_closing() {
            self.finish(number);
        } else if matches!(connection.phase, Phase::Up) {
            self.end(number, DisconnectCause::KeepAliveTimeout);
        } else {
            self.end(number, DisconnectCause::ConnectTimeout);
        }
    }

    /// A Will is due, or a session is over.
    fn on_session_timer(&mut self, number: u32) {
        if let Some(session) = self.session_mut(number) {
            session.timer = None;
            self.expire(number);
            self.schedule_session(number);
        }
    }

    /// Publishes the Will of a session, and ends it, if their time has come.
    fn expire(&mut self, number: u32) {
        let now = self.now;
        let Some(session) = self.session_mut(number) else { return };
        let client = session.client.clone();
        if session.expires.is_some_and(|expires| expires <= now) {
            return self.end_session_numbered(number);
        }
        if let Some(will) = session.will.take_if(|will| will.at <= now) {
            self.will_is_due(will.message, client);
        }
    }

    /// What the wrapper has to do next; ask until it is [`Output::Timeout`].
    pub fn poll_output(&mut self) -> Output {
        if !(self.log.is_empty() && self.events.is_empty() && self.closed.is_empty()) {
            return self.poll_first();
        }
        match self.ready.poll(machine::number_of) {
            Some(connection) => Output::Transmit(connection),
            None => self.poll_last(),
        }
    }

    /// What comes before bytes are told of.
    #[inline(never)]
    fn poll_first(&mut self) -> Output {
        if let Some(store) = self.log.poll() {
            Output::Store(store)
        } else if let Some(event) = self.events.pop_front() {
            Output::Event(event)
        } else if let Some(connection) = self.closed.pop_front() {
            Output::Close(connection)
        } else {
            self.poll_last()
        }
    }

    /// Gives back the room of lists that are empty, after a burst.
    fn give_back(&mut self) {
        const KEEP: usize = 1024;
        if self.events.capacity() > KEEP && self.events.is_empty() {
            self.events = VecDeque::new();
        }
        for list in [&mut self.resumed, &mut self.later, &mut self.closed] {
            if list.capacity() > KEEP && list.is_empty() {
                *list = VecDeque::new();
            }
        }
    }

    /// What comes when there are no bytes.
    #[inline(never)]
    fn poll_last(&mut self) -> Output {
        self.give_back();
        while let Some(connection) = self.resumed.pop_front() {
            let now = self.now;
            if let Some(number) = self.find(connection)
                && let Some(found) = self.connection_mut(number)
                && found.paused.take_if(|pause| *pause == Pause::Work).is_some()
            {
                found.last_received = now;
                self.schedule(number);
                return Output::Resume(connection);
            }
        }
        let at_once = (!self.later.is_empty()).then_some(self.now);
        Output::Timeout(at_once.or_else(|| self.timers.first()))
    }
}
