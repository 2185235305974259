//! The state of a client, and what all of its parts do with it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::client::error::{DisconnectCause, Failure, Violation};
use crate::client::event::{Counters, DeliveryId, Event, Handle, Published, ServerOptions};
use crate::client::events::Events;
use crate::client::operations::{Operation, Operations, Purpose};
use crate::client::options::{Acknowledgement, Options};
use crate::client::records;
use crate::client::requests::{Requests, Role};
use crate::link::{ConnectionId, Link};
use crate::owned_packet::OwnedPacket;
use crate::packet::{Disconnect, Packet};
use crate::packet_id::PacketId;
use crate::packet_type::{PacketType, Sender};
use crate::properties::Properties;
use crate::property_id::PropertyId;
use crate::reason::ReasonCode;
use crate::session::at_most_once::AtMostOnce;
use crate::session::inbound::Inbound;
use crate::session::keep_alive::KeepAlive;
use crate::session::outbound::Outbound;
use crate::session::peer_time::PeerTime;
use crate::session::store::{Log, Sequence};
use crate::time::{Calendar, Instant};

/// An MQTT client without I/O: one session, over as many connections as it takes.
///
/// Bytes, time and calls go in; [`Output`](crate::client::Output)s come out. See the
/// [module](crate::client) for how to wrap one.
#[derive(Debug)]
pub struct Client {
    pub(super) options: Options,
    pub(super) now: Instant,
    pub(super) calendar: Calendar,
    pub(super) log: Log,
    pub(super) connections: u64,
    pub(super) connection: Option<Connection>,
    pub(super) session: Session,
    pub(super) at_most_once: AtMostOnce,
    pub(super) outbound: Outbound,
    pub(super) inbound: Inbound,
    pub(super) acks: VecDeque<Ack>,
    pub(super) operations: Operations,
    pub(super) requests: Requests,
    /// What the application is told.
    pub(super) events: Events,
    /// The message that is acknowledged when the next output is asked for.
    pub(super) handed_over: Option<DeliveryId>,
    /// The last number given to an operation or a message.
    pub(super) last_number: u64,
    pub(super) resume: Option<ConnectionId>,
    pub(super) closed: Option<ConnectionId>,
    pub(super) counters: Counters,
}

/// What belongs to a connection of a client.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) phase: Phase,
    pub(super) keep_alive: KeepAlive,
    pub(super) authentication: AuthenticationTurn,
    /// What the server had time for.
    pub(super) peer_time: PeerTime,
    /// For what the input is paused.
    pub(super) paused: Option<Pause>,
    /// How many bytes of the input were left the last time.
    pub(super) unread: usize,
    /// When an answer to re-authentication must have come, by the server's time.
    pub(super) authentication_deadline: Option<Instant>,
    pub(super) clean_start: bool,
    pub(super) server: ServerOptions,
    /// The DISCONNECT that ends the connection when all is done, and until when.
    pub(super) draining: Option<(OwnedPacket, Instant)>,
}

/// For what input is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// The application has to take the events there are.
    Events,
    /// Records have to be safe before the application can be told of what was received.
    Store,
    /// The application has to acknowledge something: in 3.x, where the server cannot be told how
    /// much may be unacknowledged.
    Application,
    /// The server has to take what it makes the client say.
    Server,
}

#[derive(Debug)]
pub(super) enum Phase {
    AwaitConnAck,
    Up,
    /// Why it ended.
    Closing(DisconnectCause),
}

/// Whose turn it is in an authentication exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthenticationTurn {
    /// There is none.
    Nobody,
    Server,
    Client,
}

/// What is known of the session.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Whether the client has one.
    pub(super) exists: bool,
    /// Whether the server has one that the client knows nothing of, and may not go on with.
    pub(super) is_unknown: bool,
    /// Whether a server has accepted a connection of this process.
    pub(super) had_connection: bool,
    /// Tells the exchanges of this session from those of earlier ones.
    pub(super) number: u32,
    /// How many seconds it outlives its connection.
    pub(super) expiry_interval: u32,
    /// When it ends if there is no connection before.
    pub(super) expires: Option<Instant>,
    /// What the server called a client without an identifier of its own.
    pub(super) assigned_client_id: Option<String>,
}

/// An acknowledgement on its way.
#[derive(Debug)]
pub(super) struct Ack {
    pub(super) packet_type: PacketType,
    pub(super) packet_id: PacketId,
    pub(super) dup: bool,
    pub(super) reason_code: ReasonCode,
    /// Properties, without their length.
    pub(super) properties: Bytes,
    /// What has to be safe before it is sent.
    pub(super) after: Sequence,
    /// Whether it makes room for another message from the server.
    pub(super) makes_room: bool,
}

impl Ack {
    pub(super) fn new(packet_type: PacketType, packet_id: PacketId, after: Sequence) -> Self {
        Self {
            packet_type,
            packet_id,
            dup: false,
            reason_code: ReasonCode::SUCCESS,
            properties: Bytes::new(),
            after,
            makes_room: false,
        }
    }
}

impl Connection {
    #[inline]
    pub(super) const fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up)
    }
}

impl Client {
    /// Moves time forward, never back.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// The connection, once the server has accepted it and until it is about to be closed.
    #[inline]
    pub(super) fn up(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut().filter(|connection| connection.is_up())
    }

    /// The connection with this identifier, if it is the one there is.
    #[inline]
    pub(super) fn find(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connection.as_mut().filter(|connection| connection.link.id == id)
    }

    /// A number for an operation or a message, larger than all before.
    #[inline]
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number = self.last_number.saturating_add(1);
        if self.last_number.trailing_zeros() >= records::EPOCH_BITS {
            self.record_session();
        }
        self.last_number
    }

    /// Tells the application, at once.
    #[inline]
    pub(super) fn emit(&mut self, event: Event) {
        self.events.push(Sequence::default(), event);
    }

    /// Tells the application, as soon as `after` is safe.
    #[inline]
    pub(super) fn emit_after(&mut self, after: Sequence, event: Event) {
        self.events.push(after, event);
    }

    /// Completes the publication of a message well, without a packet to be handed on.
    #[inline]
    pub(super) fn published_well(&mut self, after: Sequence, handle: u64, code: ReasonCode) {
        if let Role::None = self.requests.on_published(handle, false) {
            self.events.push_published(after, Handle(handle), code);
        }
    }

    /// Completes the publication of a message.
    pub(super) fn published(
        &mut self,
        after: Sequence,
        handle: u64,
        result: Result<Published, Failure>,
    ) {
        match (self.requests.on_published(handle, result.is_err()), result) {
            (Role::None, result) => {
                self.emit_after(after, Event::Published { handle: Handle(handle), result });
            }
            (Role::Failed, Err(failure)) => {
                let (handle, result) = (Handle(handle), Err(failure));
                self.emit_after(after, Event::Response { handle, result });
            }
            // A request is complete with its response.
            _ => {}
        }
    }

    /// Completes a SUBSCRIBE or UNSUBSCRIBE that came to nothing.
    pub(super) fn operation_failed(&mut self, operation: Operation, failure: Failure) {
        let handle = Handle(operation.handle);
        match operation.purpose {
            Purpose::Subscribe => self.emit(Event::Subscribed { handle, result: Err(failure) }),
            Purpose::Unsubscribe => self.emit(Event::Unsubscribed { handle, result: Err(failure) }),
            Purpose::Resubscribe => {
                let topic_filters = topic_filters(&operation, self.options.version);
                self.emit(Event::Resubscribed { topic_filters, result: Err(failure) });
            }
            Purpose::Response => self.responses_refused(&failure),
        }
    }

    /// The server broke a rule: the connection is closed, in 5.0 with the reason.
    #[cold]
    pub(super) fn violation(&mut self, violation: Violation) {
        let reason_code = violation.reason_code();
        self.close(DisconnectCause::Violation(violation), Some(reason_code));
    }

    /// Ends the connection; in 5.0, once the server has accepted it, with a DISCONNECT.
    pub(super) fn close(&mut self, cause: DisconnectCause, reason_code: Option<ReasonCode>) {
        let Some(connection) = &self.connection else { return };
        let says_why = self.options.version.is_v5() && connection.is_up();
        let disconnect = reason_code
            .filter(|_| says_why)
            .map(|code| Disconnect { reason_code: code, ..Disconnect::default() }.into());
        self.close_with(cause, disconnect.as_ref());
    }

    /// Ends the connection with a last packet.
    pub(super) fn close_with(&mut self, cause: DisconnectCause, last: Option<&Packet<'_>>) {
        let deadline = self.now + self.options.close_timeout;
        let Some(connection) = self.connection.as_mut() else { return };
        if connection.link.is_closing() {
            return;
        }
        let was_up = connection.is_up();
        connection.link.close(last, deadline);
        connection.phase = Phase::Closing(cause);
        connection.draining = None;
        connection.paused = None;
        connection.authentication = AuthenticationTurn::Nobody;
        self.disconnected(was_up);
        if self.connection.as_ref().is_some_and(|connection| !connection.link.has_control()) {
            self.finish();
        }
    }

    /// The connection is to be shut down: all bytes are pulled, or their time is over.
    pub(super) fn finish(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        self.closed = Some(connection.link.id);
        self.resume = None;
        if let Phase::Closing(cause) = connection.phase {
            self.emit(Event::Disconnected(cause));
        }
    }

    /// The session is without a connection.
    pub(super) fn disconnected(&mut self, was_up: bool) {
        self.resume = None;
        if !was_up {
            return;
        }
        self.acks.clear();
        self.outbound.disconnected();
        self.inbound.disconnected();
        let (ids, given_up) = self.operations.disconnected();
        for packet_id in ids {
            self.outbound.release_foreign_id(packet_id);
        }
        for operation in given_up {
            self.operation_failed(operation, Failure::ConnectionLost);
        }
        if !self.session.exists {
            return;
        }
        match self.session.expiry_interval {
            0 => self.end_session(),
            u32::MAX => {}
            seconds => {
                let interval = core::time::Duration::from_secs(seconds.into());
                self.session.expires = Some(self.now + interval);
                self.record_session();
            }
        }
    }

    /// Whether an acknowledgement has words that the client asked not to be sent.
    /// v5 3.1.2.11.7
    pub(super) fn is_unwanted(&self, properties: &Properties<'_>) -> bool {
        !self.options.request_problem_information
            && (properties.contains(PropertyId::ReasonString)
                || properties.contains(PropertyId::UserProperty))
    }

    /// Which of the two ways there are to acknowledge.
    pub(super) fn is_automatic(&self) -> bool {
        self.options.acknowledgement == Acknowledgement::Automatic
    }
}

/// The filters of a SUBSCRIBE.
pub(super) fn topic_filters(
    operation: &Operation,
    version: crate::version::Version,
) -> Vec<String> {
    match operation.packet(version) {
        Some(Packet::Subscribe(subscribe)) => {
            subscribe.subscriptions.iter().map(|one| one.topic_filter.into()).collect()
        }
        _ => Vec::new(),
    }
}

/// A received packet as one that owns its bytes.
pub(super) fn owned(frame: &[u8], version: crate::version::Version) -> Option<Box<OwnedPacket>> {
    let frame = Bytes::copy_from_slice(frame);
    OwnedPacket::from_frame(frame, version, Sender::Server).ok().map(Box::new)
}

/// A received packet as one that owns its bytes, if it has properties.
#[inline]
pub(super) fn owned_with(
    properties: &Properties<'_>,
    frame: &[u8],
    version: crate::version::Version,
) -> Option<Box<OwnedPacket>> {
    if properties.is_empty() { None } else { owned(frame, version) }
}
