//! What comes out of a client.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::client::error::{DisconnectCause, Failure};
use crate::link::ConnectionId;
use crate::message::Message;
use crate::owned_packet::OwnedPacket;
use crate::packet::Packet;
use crate::properties::Properties;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::session::store::Store;
use crate::time::Instant;

/// An operation: what a call returned, and what one event then completes.
///
/// Never used again, after [`restore`](crate::client::Client::restore) neither. In the order of
/// the calls. A process that ends takes its SUBSCRIBEs, requests and messages at QoS 0 with it, and
/// the events that were not asked for: the next one completes what its records hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub(crate) u64);

impl Handle {
    /// The number of the operation, for what an application stores.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A message at QoS 1 or 2 that was received: what acknowledges it, and what an application
/// knows it by that must not take it in twice.
///
/// A message that is offered again, in this process or the next, has the same one. Whoever stores
/// them [restores](crate::client::Client::restore) the client too: without records each process
/// begins with the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub(crate) u64);

impl DeliveryId {
    /// The number, for what an application stores.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The identifier that an application stored.
    pub const fn from_stored(number: u64) -> Self {
        Self(number)
    }
}

/// What the wrapper has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Output {
    /// Put or delete one durable key, and call [`committed`](crate::client::Client::committed)
    /// when that has happened.
    Store(Store),
    /// Something for the application.
    Event(Event),
    /// Bytes are ready: pull them with [`transmit`](crate::client::Client::transmit), and again
    /// whenever the transport takes more, until it says that there are no more.
    Transmit(ConnectionId),
    /// Not all was taken of what was received: call [`receive`](crate::client::Client::receive)
    /// again, with or without new bytes.
    Resume(ConnectionId),
    /// All bytes are pulled, or their time is over: shut the transport down, once what was pulled
    /// is written. The client need not be told of its end: [`Event::Disconnected`] follows, and
    /// another one may be opened.
    Close(ConnectionId),
    /// Nothing more now; call [`handle_timeout`](crate::client::Client::handle_timeout) at or
    /// after that moment, if there is one.
    Timeout(Option<Instant>),
}

/// Something for the application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server accepted the connection.
    Connected(Box<Connected>),
    /// The connection ended, or never came about.
    Disconnected(DisconnectCause),
    /// A message was received.
    Message(Delivery),
    /// A message that was published: at QoS 0 its bytes were pulled, at QoS 1 and 2 it was
    /// acknowledged, or it failed.
    Published {
        /// The call.
        handle: Handle,
        /// What came of it.
        result: Result<Published, Failure>,
    },
    /// A SUBSCRIBE was answered, or failed.
    Subscribed {
        /// The call.
        handle: Handle,
        /// A Reason Code for each subscription, in their order, of which some may be errors.
        result: Result<Answer, Failure>,
    },
    /// An UNSUBSCRIBE was answered, or failed.
    Unsubscribed {
        /// The call.
        handle: Handle,
        /// In 5.0 a Reason Code for each filter, in their order; none in 3.x.
        result: Result<Answer, Failure>,
    },
    /// A request was answered, or failed.
    Response {
        /// The call.
        handle: Handle,
        /// The message that answers it, which is acknowledged as any other.
        result: Result<Delivery, Failure>,
    },
    /// The server goes on with an authentication exchange: its AUTH. Answer with
    /// [`authenticate`](crate::client::Client::authenticate). v5 4.12
    Authenticate(Box<OwnedPacket>),
    /// The server ended a re-authentication with success: its AUTH. v5 4.12.1
    Authenticated(Box<OwnedPacket>),
    /// What the server lost with the session was subscribed to again, because the
    /// [options](crate::client::Options::resubscribe) say so.
    Resubscribed {
        /// The Topic Filters, in their order.
        topic_filters: Vec<String>,
        /// A Reason Code for each, of which some may be errors.
        result: Result<Answer, Failure>,
    },
}

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// What acknowledges it, at QoS 1 and 2.
    pub delivery_id: Option<DeliveryId>,
    /// DUP: the server sent it before, which the client may not have got. v5 3.3.1.1
    pub dup: bool,
    /// Whether it was offered before, under the same `delivery_id`, by a process that ended
    /// before it was acknowledged.
    pub redelivered: bool,
}

/// What the server accepted of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connected {
    /// Session Present: whether the server had a session for the client.
    pub session_present: bool,
    /// The CONNACK, with all that the server tells.
    pub packet: OwnedPacket,
    /// What the server supports.
    pub server: ServerOptions,
}

/// What a server supports and asks for: the properties of its CONNACK, or what holds without
/// them. v5 3.2.2.3
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Session Expiry Interval, in seconds: the client's unless the server has another.
    pub session_expiry_interval: u32,
    /// Receive Maximum: how many messages at QoS 1 and 2 the server takes without having
    /// acknowledged them; 65,535 if it does not say.
    pub receive_maximum: u16,
    /// Maximum QoS of what is published; QoS 2 if the server does not say.
    pub maximum_qos: QoS,
    /// Retain Available: whether messages can be retained.
    pub retain_available: bool,
    /// Maximum Packet Size, in bytes; what the protocol can express if the server does not say.
    pub maximum_packet_size: u32,
    /// Topic Alias Maximum: how many aliases the client may use; 0 if the server does not say.
    pub topic_alias_maximum: u16,
    /// Wildcard Subscription Available: whether filters may have `+` and `#`.
    pub wildcard_subscription_available: bool,
    /// Subscription Identifiers Available; of 5.0.
    pub subscription_identifiers_available: bool,
    /// Shared Subscription Available; of 5.0.
    pub shared_subscription_available: bool,
    /// Keep Alive, in seconds: the client's unless the server has another; 0 for none.
    pub keep_alive: u16,
}

/// How a published message ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// At QoS 0: its bytes were pulled.
    Sent,
    /// At QoS 1 and 2: the server has it.
    Acknowledged {
        /// Success, or that nobody subscribes to it: 0x10.
        reason_code: ReasonCode,
        /// The PUBACK or PUBREC if it has properties, or else the PUBCOMP if that has some.
        packet: Option<Box<OwnedPacket>>,
    },
}

/// The answer to a SUBSCRIBE or UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// One for each filter, in their order; none in the UNSUBACK of 3.x.
    pub reason_codes: Vec<ReasonCode>,
    /// The SUBACK or UNSUBACK, if it has properties.
    pub packet: Option<Box<OwnedPacket>>,
}

/// What a client counts, since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Acknowledgements for Packet Identifiers that are not in use, which are ignored.
    pub unknown_acknowledgements: u64,
    /// Messages at QoS 1 and 2 that the server sent again, which were not delivered again.
    pub duplicates: u64,
}

impl Connected {
    /// The properties of the CONNACK.
    pub fn properties(&self) -> Properties<'_> {
        match self.packet.packet() {
            Packet::ConnAck(connack) => connack.properties,
            _ => Properties::NONE,
        }
    }
}
