//! The client machine: an MQTT client without I/O.
//!
//! A [`Client`] is a session. It outlives its connections: a wrapper opens a transport, tells it
//! so, carries bytes between the two, does what [`poll_output`](Client::poll_output) says, and
//! opens another transport when one is gone, with empty buffers. See `examples/client`, which also
//! connects again, stores the session, and writes without ever waiting for the server.
//!
//! ```
//! use std::error::Error;
//! use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use bytes::{Buf, BytesMut};
//! use sansio_mqtt::client::{Client, Event, Options, Output, Transmitted};
//! use sansio_mqtt::{Instant, Outgoing, Properties, Publish, QoS, Subscription, Version};
//!
//! /// `now` is `Instant::from_epoch(start.elapsed())`.
//! fn run(mut transport: TcpStream, now: impl Fn() -> Instant) -> Result<(), Box<dyn Error>> {
//!     let mut client = Client::new(Options::new(Version::V5, "meter-7"))?;
//!     let subscriptions = [Subscription::new("meter/+", QoS::AtLeastOnce)];
//!     client.subscribe(now(), &subscriptions, Properties::NONE)?;
//!     let reading = Publish { topic: "meter/7", payload: b"21.5", ..Default::default() };
//!     client.publish(now(), &reading)?;
//!     let connection = client.transport_opened(now())?;
//!     let (mut incoming, mut outgoing) = (BytesMut::new(), Outgoing::new());
//!     let mut is_closed = false;
//!     loop {
//!         match client.poll_output() {
//!             Output::Transmit(connection) => loop {
//!                 let left = client.transmit(now(), connection, 16 * 1024, &mut outgoing);
//!                 while outgoing.has_remaining() {
//!                     match transport.write(outgoing.chunk())? {
//!                         0 => return Err("the transport takes no more".into()),
//!                         written => outgoing.advance(written),
//!                     }
//!                 }
//!                 if left == Transmitted::All {
//!                     break;
//!                 }
//!             },
//!             Output::Event(Event::Message(delivery)) => println!("{:?}", delivery.message),
//!             Output::Event(event) => println!("{event:?}"),
//!             Output::Store(_) => {} // Of a client that was restored from records only.
//!             Output::Resume(connection) => {
//!                 let _ = client.receive(now(), connection, &mut incoming);
//!             }
//!             Output::Close(_) => is_closed = true,
//!             // All events were taken. The transport is shut down as it is dropped; the
//!             // session goes on when another one is opened.
//!             Output::Timeout(_) if is_closed => return Ok(()),
//!             Output::Timeout(deadline) => {
//!                 // Wait for bytes, until the deadline at most.
//!                 let left = |at: Instant| at.duration_since(now()).max(Duration::from_millis(1));
//!                 transport.set_read_timeout(deadline.map(left))?;
//!                 let mut bytes = [0; 4096];
//!                 match transport.read(&mut bytes) {
//!                     Ok(len) if len > 0 => {
//!                         incoming.extend_from_slice(&bytes[..len]);
//!                         // When it is paused, `Output::Resume` comes before the next read.
//!                         let _ = client.receive(now(), connection, &mut incoming);
//!                     }
//!                     Err(error)
//!                         if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => {}
//!                     _ => {
//!                         client.transport_closed(now(), connection);
//!                         is_closed = true;
//!                     }
//!                 }
//!                 client.handle_timeout(now());
//!             }
//!         }
//!     }
//! }
//! ```

mod acknowledging;
mod error;
mod event;
mod events;
mod handshake;
mod machine;
mod operations;
mod options;
mod publishing;
mod receiving;
mod records;
mod requests;
mod restoring;
mod subscribing;
mod transmitting;

pub use self::error::{CallError, DisconnectCause, Failure, RestoreFailure, Violation};
pub use self::event::{
    Answer, Connected, Counters, Delivery, DeliveryId, Event, Handle, Output, Published,
    ServerOptions,
};
pub use self::machine::Client;
pub use self::options::{
    Acknowledgement, Authentication, CleanStart, LastWill, Options, Overflow, SessionLost,
    TopicAliases,
};
pub use crate::link::{ConnectionId, Received, Transmitted};
pub use crate::session::store::{RestoreError, Sequence, Store};

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use self::events::{Events, Waiting};
use self::machine::Session;
use self::operations::Operations;
use self::requests::Requests;
use self::restoring::Records;
use crate::error::EncodeError;
use crate::reason::ReasonCode;
use crate::session::at_most_once::AtMostOnce;
use crate::session::inbound::{Inbound, Verdict};
use crate::session::keep_alive::Due;
use crate::session::outbound::Outbound;
use crate::session::store::Log;
use crate::time::{Calendar, Instant, UnixTime};

impl Client {
    /// A client that keeps its session in memory only.
    ///
    /// # Errors
    ///
    /// Says why the options make no CONNECT.
    pub fn new(options: Options) -> Result<Self, EncodeError> {
        Self::with(options, Log::default(), Calendar::default(), Instant::from_micros(0))
    }

    fn with(
        options: Options,
        log: Log,
        calendar: Calendar,
        now: Instant,
    ) -> Result<Self, EncodeError> {
        options.check()?;
        Ok(Self {
            options,
            now,
            calendar,
            log,
            connections: 0,
            connection: None,
            session: Session::default(),
            at_most_once: AtMostOnce::default(),
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            acks: VecDeque::new(),
            operations: Operations::default(),
            requests: Requests::default(),
            events: Events::default(),
            handed_over: None,
            last_number: 0,
            resume: None,
            closed: None,
            counters: Counters::default(),
        })
    }

    /// A client that stores its session: with what an earlier one stored, in any order, or with
    /// nothing the first time.
    ///
    /// From then on it hands out [`Output::Store`] for all that a crash must not lose, and what
    /// depends on it waits until it is [`committed`](Self::committed). `unix_now` is the time of
    /// `now`, for what expires between processes.
    ///
    /// Commit what it hands out at once before you call anything that returns a
    /// [`Handle`]: that record keeps the next process from giving the same numbers. Use
    /// [`CleanStart::First`] or [`Options::adopt_session`] in 5.0: with [`CleanStart::Never`] a
    /// crash between the server's first CONNACK and its record leaves a session behind that the
    /// standard does not let the client take for its own.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use bytes::Bytes;
    /// use sansio_mqtt::client::{CleanStart, Client, Options, Output};
    /// use sansio_mqtt::{Instant, Publish, QoS, UnixTime, Version};
    ///
    /// /// Other outputs are for the run loop.
    /// fn save(client: &mut Client, database: &mut BTreeMap<Bytes, Bytes>) {
    ///     while let Output::Store(record) = client.poll_output() {
    ///         match record.value {
    ///             Some(value) => database.insert(record.key, value),
    ///             None => database.remove(&record.key),
    ///         };
    ///         client.committed(record.sequence); // Now it is safe.
    ///     }
    /// }
    ///
    /// let mut options = Options::new(Version::V5, "meter-7");
    /// options.clean_start = CleanStart::First;
    /// options.session_expiry_interval = u32::MAX;
    /// let (now, unix_now) = (Instant::from_micros(0), UnixTime::from_secs(1_700_000_000));
    /// let mut database = BTreeMap::new(); // Yours outlives the process.
    ///
    /// let mut client = Client::restore(options.clone(), now, unix_now, &database)?;
    /// save(&mut client, &mut database);
    /// let reading = Publish { topic: "meter/7", qos: QoS::AtLeastOnce, ..Default::default() };
    /// client.publish(now, &reading)?;
    /// save(&mut client, &mut database);
    /// drop(client); // The process ends, whichever way.
    ///
    /// let client = Client::restore(options, now, unix_now, &database)?;
    /// assert_eq!(client.held(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RestoreFailure`] names the key of a record that cannot be read, or says why the options
    /// make no CONNECT, or another client than the one whose records these are.
    pub fn restore<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        options: Options,
        now: Instant,
        unix_now: UnixTime,
        records: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, RestoreFailure> {
        let calendar = Calendar::new(now, unix_now);
        let mut client = Self::with(options, Log::durable(), calendar, now)?;
        let mut sorted = Records::default();
        for (key, value) in records {
            sorted.add(key.as_ref(), value.as_ref())?;
        }
        client.take_records(now, sorted)?;
        Ok(client)
    }

    /// The wrapper has stored everything up to this record.
    pub fn committed(&mut self, sequence: Sequence) {
        if self.log.commit(sequence) {
            self.resume_input();
            self.end_when_drained();
        }
    }

    /// The transport is gone. What is said of a connection that has ended has no effect.
    pub fn transport_closed(&mut self, now: Instant, connection: ConnectionId) {
        self.advance(now);
        if self.find(connection).is_some() {
            self.close_with(DisconnectCause::TransportClosed, None);
            self.finish();
        }
        // It is closed already: the wrapper need not be told.
        self.closed = self.closed.filter(|closed| *closed != connection);
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some(handle) = self.requests.pop_due(self.now) {
            let (handle, result) = (Handle(handle), Err(Failure::TimedOut));
            self.emit(Event::Response { handle, result });
        }
        self.expire_session();
        self.end_when_drained();
        let now = self.now;
        let Some(connection) = self.connection.as_mut() else { return };
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if is_due(connection.link.deadline) {
            if connection.link.is_closing() {
                self.finish();
            } else {
                self.close(DisconnectCause::ConnectTimeout, None);
            }
            return;
        }
        if !connection.is_up() {
            return;
        }
        let server_now = connection.peer_time.of(now);
        let is_late = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= server_now);
        if is_late(connection.authentication_deadline) || is_late(self.operations.deadline()) {
            let code = ReasonCode::UNSPECIFIED_ERROR;
            return self.close(DisconnectCause::ResponseTimeout, Some(code));
        }
        match connection.keep_alive.poll(now, &connection.peer_time) {
            Due::Nothing => {}
            Due::Ping => connection.link.ping(),
            Due::Dead => {
                let code = ReasonCode::UNSPECIFIED_ERROR;
                self.close(DisconnectCause::PingTimeout, Some(code));
            }
        }
    }

    /// What the wrapper has to do next; ask until it is [`Output::Timeout`].
    ///
    /// With [automatic acknowledgement](Acknowledgement::Automatic), asking again after a message
    /// says that the application has taken it.
    pub fn poll_output(&mut self) -> Output {
        if let Some(delivery_id) = self.handed_over.take() {
            let verdict = Verdict { reason_code: ReasonCode::SUCCESS, properties: Bytes::new() };
            self.decide(delivery_id, verdict);
        }
        self.end_when_drained();
        if self.log.is_durable()
            && let Some(store) = self.log.poll()
        {
            return Output::Store(store);
        }
        if let Some(connection) = self.closed.take() {
            return Output::Close(connection);
        }
        match self.events.pop(&self.log) {
            None => {}
            Some(Waiting::Sent(handle, _)) => {
                return Output::Event(Event::Published { handle, result: Ok(Published::Sent) });
            }
            Some(Waiting::Acknowledged(handle, reason_code)) => {
                let result = Ok(Published::Acknowledged { reason_code, packet: None });
                return Output::Event(Event::Published { handle, result });
            }
            Some(Waiting::Other) => {
                if let Some(event) = self.events.pop_other() {
                    self.hand_over(&event);
                    return Output::Event(event);
                }
            }
        }
        if self.has_news()
            && let Some(connection) = self.connection.as_mut()
            && connection.link.announce()
        {
            return Output::Transmit(connection.link.id);
        }
        self.resume_input();
        if let Some(connection) = self.resume.take() {
            return Output::Resume(connection);
        }
        Output::Timeout(self.timeout())
    }

    /// Gives an event to the application.
    #[inline]
    fn hand_over(&mut self, event: &Event) {
        if let Event::Message(delivery) | Event::Response { result: Ok(delivery), .. } = event
            && self.is_automatic()
        {
            self.handed_over = delivery.delivery_id;
        }
    }

    /// When something is due.
    fn timeout(&self) -> Option<Instant> {
        let requests = self.requests.deadline();
        let Some(connection) = &self.connection else {
            return [requests, self.session.expires].into_iter().flatten().min();
        };
        let up = connection.is_up();
        let peer = &connection.peer_time;
        let draining = connection.draining.as_ref().map(|(_, deadline)| *deadline);
        let deadlines = [
            requests,
            draining,
            connection.link.deadline,
            connection.authentication_deadline.and_then(|at| peer.comes(at)).filter(|_| up),
            self.operations.deadline().and_then(|at| peer.comes(at)).filter(|_| up),
            connection.keep_alive.deadline(peer).filter(|_| up),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// What the client was told.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What the server supports, while there is a connection that it has accepted.
    pub fn server(&self) -> Option<&ServerOptions> {
        self.connection.as_ref().filter(|found| found.is_up()).map(|found| &found.server)
    }

    /// How many messages are held that are not sent, or not fully acknowledged.
    pub fn held(&self) -> usize {
        self.outbound.len().saturating_add(self.at_most_once.len())
    }

    /// The messages that are [held](Self::held), in the order of the calls.
    ///
    /// A client that was restored holds what earlier processes published: of what one of them was
    /// told to publish and is not among these, all was completed, whether its event was asked for
    /// or not.
    pub fn handles(&self) -> Vec<Handle> {
        let mut handles: Vec<Handle> =
            self.outbound.handles().chain(self.at_most_once.handles()).map(Handle).collect();
        handles.sort_unstable();
        handles
    }

    /// What is counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
