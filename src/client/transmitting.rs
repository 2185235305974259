//! Bytes to the server.

use bytes::Buf;

use crate::client::acknowledging;
use crate::client::error::{CallError, DisconnectCause, Failure};
use crate::client::event::{Handle, Published};
use crate::client::machine::{Ack, Client};
use crate::client::operations;
use crate::client::publishing;
use crate::client::requests::Role;
use crate::error::EncodeError;
use crate::link::{ConnectionId, Link, Transmitted};
use crate::message::Message;
use crate::outgoing::Outgoing;
use crate::owned_packet::OwnedPacket;
use crate::packet::{Disconnect, Packet};
use crate::packet_type::{Places, Sender};
use crate::properties::{Properties, PropertyBlock};
use crate::qos::QoS;
use crate::session::publish::{Alias, WirePublish};
use crate::session::store::Sequence;
use crate::time::Instant;

/// What is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Control,
    Ack,
    Operation,
    AtMostOnce,
    Publish,
}

impl Client {
    /// Pulls bytes for the transport: appends packets to `outgoing` until that holds `limit` bytes
    /// or more, or nothing is left. Bytes of an earlier connection that it still holds are thrown
    /// away.
    ///
    /// Whoever pulls sends: what was pulled counts as sent. Ask for
    /// [outputs](Self::poll_output) again afterwards.
    pub fn transmit(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        limit: usize,
        outgoing: &mut Outgoing,
    ) -> Transmitted {
        self.advance(now);
        if self.find(connection).is_none() {
            return Transmitted::All;
        }
        outgoing.begin(connection.0);
        let held = outgoing.remaining();
        let limit = limit.max(1);
        while let Some((next, before)) = self.next_to_send() {
            if outgoing.remaining() >= limit {
                self.sent(outgoing.remaining() > held);
                return Transmitted::More;
            }
            match next {
                Next::Control => self.pull_control(outgoing),
                Next::Ack => self.pull_acks(limit, outgoing),
                Next::Operation => self.pull_operation(outgoing),
                Next::AtMostOnce => self.pull_at_most_once(before, limit, outgoing),
                Next::Publish => self.pull_publishes(before, limit, outgoing),
            }
            self.end_when_drained();
        }
        self.sent(outgoing.remaining() > held);
        if let Some(connection) = self.connection.as_mut() {
            connection.link.ran_dry();
            if connection.link.is_closing() {
                self.finish();
            }
        }
        Transmitted::All
    }

    fn pull_control(&mut self, out: &mut Outgoing) {
        if let Some(connection) = self.connection.as_mut() {
            connection.link.pull_control(out);
        }
    }

    #[inline]
    fn sent(&mut self, any: bool) {
        let now = self.now;
        if let Some(connection) = self.connection.as_mut()
            && any
        {
            connection.keep_alive.sent(now);
        }
    }

    /// What is sent next: what does not wait, then acknowledgements, then what the application
    /// wants, in the order of its calls. A message that may not be sent yet, for the window or
    /// for a record, holds back none at QoS 0, and no SUBSCRIBE; that holds back nothing while it
    /// waits for an identifier.
    ///
    /// With the number of the call before which more of the same kind comes next.
    ///
    /// v5 [MQTT-3.3.4-8] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
    #[inline]
    fn next_to_send(&mut self) -> Option<(Next, u64)> {
        let connection = self.connection.as_ref()?;
        if connection.link.has_control() {
            return Some((Next::Control, 0));
        }
        if !connection.is_up() {
            return None;
        }
        if let Some(ack) = self.acks.front()
            && self.log.is_committed(ack.after)
        {
            return Some((Next::Ack, 0));
        }
        let operation = match self.operations.front() {
            Some(operation) if self.outbound.free_ids() > 0 => operation.handle,
            _ => u64::MAX,
        };
        let at_most_once = self.at_most_once.front().map_or(u64::MAX, |item| item.handle);
        let publish = match self.outbound.next_ready() {
            Some((_, entry)) if self.log.is_committed(entry.after) => entry.order,
            _ => u64::MAX,
        };
        let next = operation.min(at_most_once).min(publish);
        if next == u64::MAX {
            None
        } else if next == operation {
            Some((Next::Operation, 0))
        } else if next == at_most_once {
            Some((Next::AtMostOnce, operation.min(publish)))
        } else {
            Some((Next::Publish, operation.min(at_most_once)))
        }
    }

    /// Whether there are bytes of which the caller has not been told.
    #[inline]
    pub(super) fn has_news(&mut self) -> bool {
        match &self.connection {
            Some(connection) if !connection.link.is_announced() => self.next_to_send().is_some(),
            _ => false,
        }
    }

    /// Acknowledgements, as long as nothing has to be safe first.
    #[inline]
    fn pull_acks(&mut self, limit: usize, out: &mut Outgoing) {
        let Some(connection) = self.connection.as_ref() else { return };
        while let Some(ack) = self.acks.front()
            && self.log.is_committed(ack.after)
            && out.remaining() < limit
        {
            if ack.reason_code.get() == 0 && ack.properties.is_empty() {
                let dup = if ack.dup { 0x08 } else { 0 };
                let first = (ack.packet_type as u8) << 4 | ack.packet_type.reserved_flags() | dup;
                let [high, low] = ack.packet_id.get().to_be_bytes();
                out.room(4).copy_from_slice(&[first, 2, high, low]);
            } else {
                write_ack(ack, &connection.link, out);
            }
            if ack.makes_room {
                self.inbound.make_room();
            }
            self.acks.pop_front();
        }
        if self.acks.is_empty() {
            self.resume_input();
        }
    }

    fn pull_operation(&mut self, out: &mut Outgoing) {
        let Some(connection) = self.connection.as_ref() else { return };
        let Some(operation) = self.operations.front() else { return };
        let size = operation.len();
        let possible = match operation.packet(self.options.version) {
            Some(packet) => operations::check(&packet, &connection.server),
            None => Ok(()),
        };
        let possible = possible.and_then(|()| match connection.link.accepts(size) {
            true => Ok(()),
            false => {
                let maximum = connection.link.maximum_packet_size;
                Err(CallError::PacketTooLarge { size, maximum })
            }
        });
        if let Err(error) = possible {
            if let Some(operation) = self.operations.reject() {
                self.operation_failed(operation, error.into());
            }
            // The identifier that was kept for it is not needed.
            return self.open_window();
        }
        // There is one: it would not be its turn.
        let number = self.operations.next_number();
        let Some(packet_id) = self.outbound.take_foreign_id(number) else { return };
        operation.write(packet_id, out.room(size));
        let deadline = connection.peer_time.of(self.now) + self.options.response_timeout;
        self.operations.sent(packet_id, deadline);
    }

    /// The oldest message, or as many as can be sent as they are.
    #[inline]
    fn pull_at_most_once(&mut self, before: u64, limit: usize, out: &mut Outgoing) {
        let (now, version) = (self.now, self.options.version);
        let Some(connection) = self.connection.as_mut() else { return };
        let (requests, events) = (&mut self.requests, &mut self.events);
        let accepts =
            |size, retain| publishing::check(QoS::AtMostOnce, retain, size, connection).is_ok();
        let sent = |handle| {
            if let Role::None = requests.on_published(handle, false) {
                events.push_sent(Handle(handle));
            }
        };
        if connection.link.outgoing_aliases.are_off()
            && self.at_most_once.pull_frames(before, limit, out, accepts, sent)
        {
            return;
        }
        let Some(item) = self.at_most_once.front() else { return };
        let expires = item.expires;
        let Some(parts) = self.at_most_once.front_parts() else {
            self.at_most_once.pop();
            return;
        };
        let publish = WirePublish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: parts.retain,
            topic: parts.topic,
            packet_id: None,
            properties: parts.properties,
            present: parts.present,
            expiry: expires.map(|expires| expires.seconds_from(now)),
            identifiers: &[],
            payload: parts.payload,
        };
        let result = if expires.is_some_and(|expires| expires < now) {
            Err(Failure::Expired)
        } else {
            let size = publish.encoded_len(version, Alias::None);
            publishing::check(QoS::AtMostOnce, parts.retain, size, connection)
                .map_err(Failure::from)
                .map(|()| write(&publish, parts.shared, &mut connection.link, out))
        };
        let Some(handle) = self.at_most_once.pop() else { return };
        self.published(Sequence::default(), handle, result.map(|()| Published::Sent));
    }

    /// Messages that are in the window, as long as they come `before` another call and nothing has
    /// to be safe first.
    #[inline]
    fn pull_publishes(&mut self, before: u64, limit: usize, out: &mut Outgoing) {
        let Some(connection) = self.connection.as_ref() else { return };
        if !connection.link.outgoing_aliases.are_off() {
            return self.pull_publish(out);
        }
        let mut any = false;
        while let Some((_, entry)) = self.outbound.next_ready()
            && let (Some(packet_id), true, None) = (entry.packet_id, entry.is_framed, entry.expires)
            && let Some(message) = &entry.message
            && entry.order < before
            && out.remaining() < limit
            && self.log.is_committed(entry.after)
            && let len = message.frame_len()
            && publishing::check(message.qos(), message.retain(), len, connection).is_ok()
        {
            // v5 [MQTT-3.3.1-1], v3.1.1 [MQTT-3.3.1-1]
            message.write_frame(packet_id, entry.sent, out.room(len));
            let (again, size) = (core::mem::replace(&mut entry.sent, true), entry.size);
            self.outbound.pulled(again, size);
            any = true;
        }
        if !any {
            self.pull_publish(out);
        }
    }

    /// A message that cannot be sent as it is kept, or cannot be sent at all.
    fn pull_publish(&mut self, out: &mut Outgoing) {
        let (now, version) = (self.now, self.options.version);
        let Some(connection) = self.connection.as_mut() else { return };
        let Some((key, entry)) = self.outbound.next_ready() else { return };
        let Some(message) = &entry.message else { return };
        let publish = WirePublish {
            // v5 [MQTT-3.3.1-1], v3.1.1 [MQTT-3.3.1-1]
            dup: entry.sent,
            qos: message.qos(),
            retain: message.retain(),
            topic: message.topic_bytes(),
            packet_id: entry.packet_id,
            properties: message.property_bytes(),
            present: message.present(),
            expiry: entry.expires.map(|expires| expires.seconds_from(now)),
            identifiers: &[],
            payload: message.payload(),
        };
        let size = publish.encoded_len(version, Alias::None);
        let result = match entry.is_expired(now) {
            true => Err(Failure::Expired),
            false => publishing::check(message.qos(), message.retain(), size, connection)
                .map_err(Failure::from),
        };
        if let Err(failure) = result {
            self.abandon(key, failure);
            return self.open_window();
        }
        let shared = Some(message).filter(|one| Outgoing::shares(one.payload().len()));
        write(&publish, shared, &mut connection.link, out);
        let (again, size) = (core::mem::replace(&mut entry.sent, true), entry.size);
        self.outbound.pulled(again, size);
    }

    /// Ends the connection gracefully: what was called for before is still sent, and its
    /// answers awaited, for the close timeout at most; then DISCONNECT is sent and the transport
    /// closed. Calls are refused until then. Messages that the application has not acknowledged
    /// are not waited for.
    ///
    /// A DISCONNECT with a Reason Code or properties is of 5.0. User Properties and Reason String
    /// are left out if they make it larger than the server accepts.
    ///
    /// # Errors
    ///
    /// [`CallError::NotConnected`]; [`CallError::Disconnecting`] if that was called before;
    /// [`CallError::Invalid`], [`CallError::ReasonCodeNotAllowed`], [`CallError::PacketTooLarge`]
    /// or [`CallError::SessionEndsWithConnection`] for a DISCONNECT that cannot be sent.
    pub fn disconnect(
        &mut self,
        now: Instant,
        disconnect: &Disconnect<'_>,
    ) -> Result<(), CallError> {
        let packet = self.disconnect_packet(now, disconnect)?;
        let deadline = self.now + self.options.close_timeout;
        if let Some(connection) = self.connection.as_mut() {
            connection.draining = Some((packet, deadline));
        }
        self.end_when_drained();
        Ok(())
    }

    /// Ends the connection at once, with a DISCONNECT. What waits to be sent goes on waiting, for
    /// the next connection.
    ///
    /// # Errors
    ///
    /// As [`disconnect`](Self::disconnect), which may have been called before.
    pub fn disconnect_now(
        &mut self,
        now: Instant,
        disconnect: &Disconnect<'_>,
    ) -> Result<(), CallError> {
        if let Some(connection) = self.connection.as_mut() {
            let draining = connection.draining.take();
            let packet = self.disconnect_packet(now, disconnect);
            if let Some(connection) = self.connection.as_mut() {
                connection.draining = draining;
            }
            self.end(packet?);
            return Ok(());
        }
        Err(CallError::NotConnected)
    }

    /// The DISCONNECT, as far as the server accepts it.
    fn disconnect_packet(
        &mut self,
        now: Instant,
        disconnect: &Disconnect<'_>,
    ) -> Result<OwnedPacket, CallError> {
        self.advance(now);
        let (version, expiry) = (self.options.version, self.options.session_expiry_interval);
        let connection = self.up().ok_or(CallError::NotConnected)?;
        if connection.draining.is_some() {
            return Err(CallError::Disconnecting);
        }
        let packet = Packet::Disconnect(*disconnect);
        packet.check(version)?;
        let kept = connection.link.fit(&disconnect.properties, |properties| {
            connection.link.disconnect_len(disconnect, properties)
        })?;
        let disconnect = Disconnect { properties: Properties::List(&kept), ..*disconnect };
        let size = Packet::Disconnect(disconnect).encoded_len(version)?;
        if !connection.link.accepts(size) {
            let maximum = connection.link.maximum_packet_size;
            return Err(CallError::PacketTooLarge { size, maximum });
        }
        if let Some(1..) = disconnect.properties.session_expiry_interval()
            && expiry == 0
        {
            return Err(CallError::SessionEndsWithConnection);
        }
        OwnedPacket::from_packet(&disconnect.into(), version, Sender::Client).map_err(|error| {
            match error {
                EncodeError::Invalid(crate::error::Cause::InvalidReasonCode(_)) => {
                    CallError::ReasonCodeNotAllowed(disconnect.reason_code)
                }
                error => error.into(),
            }
        })
    }

    /// Sends the DISCONNECT that waits, if nothing is left to be done before it.
    #[inline]
    pub(super) fn end_when_drained(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        let Some((_, deadline)) = &connection.draining else { return };
        let drained = self.handed_over.is_none()
            && self.acks.is_empty()
            && self.operations.is_empty()
            && self.at_most_once.len() == 0
            && self.outbound.len() == 0;
        if !drained && *deadline > self.now {
            return;
        }
        let Some((packet, _)) = connection.draining.take() else { return };
        self.end(packet);
    }

    /// Sends DISCONNECT, and nothing after it. v5 [MQTT-3.14.4-1] [MQTT-3.14.4-2]
    fn end(&mut self, packet: OwnedPacket) {
        let packet = packet.packet();
        if let Packet::Disconnect(disconnect) = &packet
            && let Some(interval) = disconnect.properties.session_expiry_interval()
        {
            self.session.expiry_interval = interval;
            self.record_session();
        }
        self.close_with(DisconnectCause::Requested, Some(&packet));
    }
}

/// Writes a PUBLISH with the alias that it can have; that counts then.
#[inline]
fn write(publish: &WirePublish<'_>, shared: Option<&Message>, link: &mut Link, out: &mut Outgoing) {
    let mut alias = link.outgoing_aliases.find(publish.topic);
    let mut lengths = publish.lengths(link.version, alias);
    // A packet that is too large with an alias goes without one.
    if alias != Alias::None && !link.accepts(lengths.packet) {
        alias = Alias::None;
        lengths = publish.lengths(link.version, alias);
    }
    publish.write(link.version, alias, lengths, shared.map(Message::payload_bytes), out);
    link.outgoing_aliases.used(publish.topic, alias);
}

/// Writes an acknowledgement with what it says, as far as the server accepts it.
///
/// v5 [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3]
#[cold]
fn write_ack(ack: &Ack, link: &Link, out: &mut Outgoing) {
    let properties = match PropertyBlock::new(&ack.properties, Places::both(ack.packet_type)) {
        Ok(block) => Properties::Block(block),
        Err(_) => Properties::NONE,
    };
    let Ack { packet_type, packet_id, dup, reason_code, .. } = *ack;
    let len = |properties: Properties<'_>| {
        acknowledging::ack(packet_type, packet_id, dup, reason_code, properties)
            .encoded_len(link.version)
    };
    let kept = link.fit(&properties, len).unwrap_or_default();
    let properties = Properties::List(&kept);
    let packet = acknowledging::ack(packet_type, packet_id, dup, reason_code, properties);
    if let Ok(len) = packet.encoded_len(link.version) {
        // Room of its length was made.
        let _ = packet.encode(link.version, &mut out.room(len));
    }
}
