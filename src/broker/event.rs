//! What comes out of a broker, and what it is answered.

use alloc::boxed::Box;

use crate::broker::authorizer::Client;
use crate::broker::error::DisconnectCause;
use crate::link::ConnectionId;
use crate::owned_packet::OwnedPacket;
use crate::packet::{Connect, Packet};
use crate::properties::Properties;
use crate::qos::QoS;
use crate::session::store::Store;
use crate::time::Instant;
use crate::version::Version;

/// What the wrapper has to do next. Of a connection whose
/// [transport is closed](crate::broker::Broker::transport_closed) it is told nothing but events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Output {
    /// Put or delete one durable key, and call [`committed`](crate::broker::Broker::committed)
    /// when that has happened. A broker in memory has none.
    Store(Store),
    /// Something for the application.
    Event(Event),
    /// Bytes are ready: pull them with [`transmit`](crate::broker::Broker::transmit), and again
    /// whenever the transport takes more, until it says that there are no more.
    Transmit(ConnectionId),
    /// Not all was taken of what was received: call [`receive`](crate::broker::Broker::receive)
    /// again, with or without new bytes.
    Resume(ConnectionId),
    /// All bytes are pulled, or their time is over: shut the transport down, once what was pulled
    /// is written. The broker knows the connection no more, and need not be told of its end.
    Close(ConnectionId),
    /// Nothing more now; call [`handle_timeout`](crate::broker::Broker::handle_timeout) at or
    /// after that moment, if there is one.
    Timeout(Option<Instant>),
}

/// Something for the application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A client wants to connect. Answer with [`accept`](crate::broker::Broker::accept) or
    /// [`refuse`](crate::broker::Broker::refuse), at once or later; with enhanced authentication
    /// [`authenticate`](crate::broker::Broker::authenticate) may come before. Nothing more is read
    /// from the client until then.
    Connect {
        /// Of the client.
        connection: ConnectionId,
        /// What it says.
        request: ConnectRequest,
    },
    /// A client that was accepted is connected, or about to be: its CONNACK waits to be pulled.
    Connected {
        /// Of the client.
        connection: ConnectionId,
        /// Its Client Identifier.
        client_id: Box<str>,
        /// Whether it goes on with a session that was there.
        session_present: bool,
    },
    /// A client goes on with an authentication exchange: its AUTH. Before it is connected, answer
    /// as above; in a re-authentication with
    /// [`authenticate`](crate::broker::Broker::authenticate) or
    /// [`disconnect`](crate::broker::Broker::disconnect). v5 4.12
    Authenticate {
        /// Of the client.
        connection: ConnectionId,
        /// The AUTH.
        packet: OwnedPacket,
    },
    /// A connection ended. One that has no session yet has no client either.
    Disconnected {
        /// What was the connection.
        connection: ConnectionId,
        /// Whose it was, if it had been accepted.
        client_id: Option<Box<str>>,
        /// Why.
        cause: DisconnectCause,
    },
    /// A session ended: with its connection, when its time was over, or for a new one.
    SessionEnded {
        /// Whose it was.
        client_id: Box<str>,
    },
}

/// A CONNECT that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest {
    pub(super) packet: OwnedPacket,
    pub(super) assigned: Option<Box<str>>,
}

impl ConnectRequest {
    /// The CONNECT. Each call decodes it anew from the bytes that are kept of it: whoever needs it
    /// more than once keeps what this returns.
    pub fn connect(&self) -> Connect<'_> {
        match self.packet.packet() {
            Packet::Connect(connect) => connect,
            // It is one: it was made of one.
            _ => Connect::default(),
        }
    }

    /// The Client Identifier that the session will have: the client's, or the one that the broker
    /// assigns to it.
    pub fn client_id(&self) -> &str {
        match (&self.assigned, self.packet.packet()) {
            (Some(assigned), _) => assigned,
            (None, Packet::Connect(connect)) => connect.client_id,
            _ => "",
        }
    }
}

/// With what a client is accepted, beside what the options say for all.
///
/// ```
/// use sansio_mqtt::broker::Acceptance;
///
/// let mut acceptance = Acceptance::default();
/// acceptance.identity = Some("alice");
/// acceptance.maximum_session_expiry_interval = 3_600;
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Acceptance<'a> {
    /// Whom the [`Authorizer`](crate::broker::Authorizer) is told that the client is, in place of
    /// its User Name. The default is `None`: the User Name.
    pub identity: Option<&'a str>,
    /// The longest Session Expiry Interval, in seconds, if it is lower than that of the options.
    /// The default is 0xFFFFFFFF: theirs. v5 3.2.2.3.2
    pub maximum_session_expiry_interval: u32,
    /// Maximum QoS of what the client publishes and gets, if it is lower than that of the options.
    /// The default is QoS 2: theirs. v5 3.2.2.3.4
    pub maximum_qos: QoS,
    /// More for the CONNACK of 5.0: Authentication Data, Reason String and User Properties. The
    /// last two are left out if the client does not want them or they do not fit. The default is
    /// none. v5 3.2.2.3
    pub properties: Properties<'a>,
}

impl Default for Acceptance<'_> {
    fn default() -> Self {
        Self {
            identity: None,
            maximum_session_expiry_interval: u32::MAX,
            maximum_qos: QoS::ExactlyOnce,
            properties: Properties::NONE,
        }
    }
}

/// A session, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo<'a> {
    /// Whose it is.
    pub client: &'a Client,
    /// The version of its last connection.
    pub version: Version,
    /// Its connection, if it has one.
    pub connection: Option<ConnectionId>,
    /// Session Expiry Interval, in seconds.
    pub session_expiry_interval: u32,
    /// When it ends, if it has no connection and does not last for ever.
    pub expires: Option<Instant>,
    /// How many subscriptions it has, shared ones among them.
    pub subscriptions: usize,
    /// Messages that its client has not acknowledged or, at QoS 0, not taken.
    pub queued_messages: usize,
    /// Bytes of these.
    pub queued_bytes: usize,
    /// Messages that were dropped for want of room.
    pub dropped: u64,
}

/// What a broker is told by [`publish`](crate::broker::Broker::publish) when it is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Routed {
    /// How many sessions the message is for, of which some may have had no room for it.
    pub sessions: usize,
    /// Whether it is retained, if it was to be, or has removed what was.
    pub retained: bool,
}

/// What a broker holds now, and what it has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counters {
    /// Connections now, those among them that are not accepted yet or about to close.
    pub connections: usize,
    /// Sessions now.
    pub sessions: usize,
    /// Sessions with a connection now.
    pub connected: usize,
    /// Subscriptions now, shared ones among them.
    pub subscriptions: usize,
    /// Retained messages now.
    pub retained_messages: usize,
    /// Bytes of these.
    pub retained_bytes: usize,
    /// Bytes of the Wills now.
    pub will_bytes: usize,
    /// Messages now that wait in queues, each counted once.
    pub stored_messages: usize,
    /// Bytes of these.
    pub stored_bytes: usize,
    /// Transports that were opened.
    pub transports: u64,
    /// Bytes taken.
    pub bytes_received: u64,
    /// Bytes handed out.
    pub bytes_sent: u64,
    /// PUBLISH packets taken, duplicates among them.
    pub publishes_received: u64,
    /// PUBLISH packets handed out, repetitions among them.
    pub publishes_sent: u64,
    /// Messages dropped for want of room: in a queue, at QoS 0.
    pub dropped_at_most_once: u64,
    /// Messages dropped for want of room: in a queue, at QoS 1 and 2.
    pub dropped: u64,
    /// Messages that were not retained for want of room.
    pub not_retained: u64,
    /// Messages that expired in a queue.
    pub expired: u64,
    /// Messages that were larger than their receiver accepts. v5 [MQTT-3.1.2-25]
    pub too_large: u64,
    /// Messages whose topics have more levels or bytes than the options allow, or that the
    /// authorizer refused.
    pub refused: u64,
    /// Copies that the authorizer held back.
    pub withheld: u64,
    /// Acknowledgements for Packet Identifiers that are not in use, which are ignored.
    pub unknown_acknowledgements: u64,
    /// Messages at QoS 2 that a client sent again, which were not passed on again.
    pub duplicates: u64,
}
