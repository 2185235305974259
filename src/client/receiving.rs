//! Bytes from the server.

use bytes::{Buf, BytesMut};

use crate::client::acknowledging::Arrived;
use crate::client::error::{DisconnectCause, Violation};
use crate::client::machine::{self, Client, Connection, Pause, Phase};
use crate::link::{ConnectionId, Received};
use crate::message::{Located, Message};
use crate::packet::ack;
use crate::packet::{Packet, PubAck, PubComp, PubRec, Publish};
use crate::packet_id::PacketId;
use crate::packet_type::PacketType;
use crate::properties::Properties;
use crate::session::alias::AliasError;
use crate::time::Instant;

/// How many acknowledgements may wait for the transport before no more input is taken.
const ACKS: usize = 4096;

/// What becomes of the bytes of a packet.
enum Taken {
    /// They are done with.
    All,
    /// They are those of a message.
    Message(Located, Arrived),
    /// They are those of a message whose topic, or part of it, is elsewhere.
    Copied(Message, Arrived),
}

impl Client {
    /// Takes bytes from the server: all whole packets at the front of `bytes`, which are taken
    /// off; what is left is the beginning of one, or waits for [`Output::Resume`].
    ///
    /// Received messages share the storage of `bytes` until the next call, by when the
    /// application has taken them, or they are copied.
    ///
    /// [`Output::Resume`]: crate::client::Output::Resume
    pub fn receive(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        bytes: &mut BytesMut,
    ) -> Received {
        self.advance(now);
        let now = self.now;
        self.events.compact();
        if let Some(found) = self.find(connection)
            && bytes.len() > found.unread
        {
            found.peer_time.received(now);
            found.keep_alive.received(now);
        }
        let received = self.receive_packets(connection, bytes);
        if let Some(found) = self.find(connection) {
            found.unread = bytes.len();
            if received == Received::Drained && !bytes.is_empty() {
                found.peer_time.partial(now);
            }
        }
        received
    }

    #[inline]
    fn receive_packets(&mut self, connection: ConnectionId, bytes: &mut BytesMut) -> Received {
        // Bytes at the front that are done with.
        let mut done = 0;
        let received = loop {
            let pause = self.pause();
            let Some(found) = self.find(connection).filter(|found| !found.link.is_closing()) else {
                done = bytes.len();
                break Received::Drained;
            };
            let rest = bytes.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break Received::Drained;
            }
            if let Some(pause) = pause {
                break self.pause_input(pause);
            }
            if let Some((packet_type, packet_id)) = ack::plain(rest)
                && found.is_up()
                && found.link.decoder.accepts(ack::PLAIN_LEN)
            {
                match self.on_plain_ack(packet_type, packet_id) {
                    Ok(()) => done = done.saturating_add(ack::PLAIN_LEN),
                    Err(violation) => self.violation(violation),
                }
                continue;
            }
            // A packet is large: it stays where it is.
            let decoded = found.link.decoder.decode(rest);
            let (packet, len) = match &decoded {
                Ok(Some((packet, len))) => (packet, *len),
                Ok(None) => break Received::Drained,
                Err(error) => {
                    let violation = (*error).into();
                    self.violation(violation);
                    continue;
                }
            };
            // What else the server says is heard: the application may be waiting for it.
            if self.is_new_message(packet) && self.is_full() {
                break self.pause_input(Pause::Application);
            }
            let frame = rest.get(..len).unwrap_or_default();
            match self.on_packet(packet, frame) {
                Ok(Taken::All) => done = done.saturating_add(len),
                Ok(Taken::Message(located, arrived)) => {
                    bytes.advance(core::mem::take(&mut done));
                    let message = located.message(bytes.split_to(len).freeze());
                    self.take(message, arrived);
                }
                Ok(Taken::Copied(message, arrived)) => {
                    done = done.saturating_add(len);
                    self.take(message, arrived);
                }
                Err(violation) => self.violation(violation),
            }
        };
        bytes.advance(done);
        received
    }

    #[inline]
    fn take(&mut self, message: Message, arrived: Arrived) {
        if let Err(violation) = self.on_message(message, arrived) {
            self.violation(violation);
        }
    }

    /// What has to happen before anything more is taken.
    #[inline]
    fn pause(&self) -> Option<Pause> {
        if self.events.is_full() {
            let is_ready = self.events.is_ready(&self.log);
            return Some(if is_ready { Pause::Events } else { Pause::Store });
        }
        // CONNACK tells what becomes of what waits before it.
        let is_up = self.connection.as_ref().is_some_and(Connection::is_up);
        (is_up && self.acks.len() >= ACKS).then_some(Pause::Server)
    }

    /// Whether the application has as many messages as it may have that it has not acknowledged.
    /// In 5.0 the server keeps to that, but there may be as many of an earlier session.
    #[inline]
    fn is_full(&self) -> bool {
        let maximum = usize::from(self.options.receive_maximum).max(1);
        let maximum =
            if self.options.version.is_v5() { maximum.saturating_mul(2) } else { maximum };
        self.inbound.undecided() >= maximum
    }

    /// Whether this is one more message that the application has to acknowledge.
    fn is_new_message(&self, packet: &Packet<'_>) -> bool {
        match packet {
            Packet::Publish(Publish { packet_id: Some(packet_id), qos, dup, .. }) => {
                self.inbound.is_new(*packet_id, *qos, *dup)
            }
            _ => false,
        }
    }

    #[cold]
    fn pause_input(&mut self, pause: Pause) -> Received {
        if let Some(connection) = self.connection.as_mut() {
            connection.paused = Some(pause);
            // For what the server does it can be blamed.
            if pause != Pause::Server {
                connection.peer_time.stop(self.now);
            }
        }
        Received::Paused
    }

    /// Goes on with the input, if it was paused and need not be any more.
    #[inline]
    pub(super) fn resume_input(&mut self) {
        if let Some(Connection { paused: Some(pause), .. }) = &self.connection {
            let goes_on = match pause {
                Pause::Application => !self.is_full(),
                _ => self.pause().is_none(),
            };
            if goes_on {
                self.go_on();
            }
        }
    }

    #[cold]
    fn go_on(&mut self) {
        let now = self.now;
        let Some(connection) = self.connection.as_mut() else { return };
        connection.paused = None;
        connection.peer_time.go_on(now);
        connection.keep_alive.received(now);
        self.resume = Some(connection.link.id);
    }

    #[inline]
    fn on_packet(&mut self, packet: &Packet<'_>, frame: &[u8]) -> Result<Taken, Violation> {
        if let Some(connection) = &self.connection
            && let Phase::AwaitConnAck = connection.phase
            && !matches!(packet, Packet::ConnAck(_) | Packet::Auth(_))
        {
            return Err(Violation::UnexpectedPacket(packet.packet_type()));
        }
        match packet {
            Packet::Publish(publish) => return self.on_publish(publish, frame),
            Packet::PubAck(pub_ack) => {
                self.check_words(packet, &pub_ack.properties)?;
                self.on_pub_ack(pub_ack, frame)?;
            }
            Packet::PubRec(pub_rec) => {
                self.check_words(packet, &pub_rec.properties)?;
                self.on_pub_rec(pub_rec, frame)?;
            }
            Packet::PubRel(pub_rel) => {
                self.check_words(packet, &pub_rel.properties)?;
                self.on_pub_rel(pub_rel.packet_id)?;
            }
            Packet::PubComp(pub_comp) => {
                self.check_words(packet, &pub_comp.properties)?;
                self.on_pub_comp(pub_comp, frame)?;
            }
            packet => self.on_rare_packet(packet, frame)?,
        }
        Ok(Taken::All)
    }

    /// Most of what a server says, short of decoding it.
    #[inline]
    fn on_plain_ack(
        &mut self,
        packet_type: PacketType,
        packet_id: PacketId,
    ) -> Result<(), Violation> {
        match packet_type {
            PacketType::PubRec => self.on_pub_rec(&PubRec::new(packet_id), &[]),
            PacketType::PubComp => self.on_pub_comp(&PubComp::new(packet_id), &[]),
            PacketType::PubRel => self.on_pub_rel(packet_id),
            _ => self.on_pub_ack(&PubAck::new(packet_id), &[]),
        }
    }

    #[inline(never)]
    fn on_rare_packet(&mut self, packet: &Packet<'_>, frame: &[u8]) -> Result<(), Violation> {
        match packet {
            Packet::ConnAck(conn_ack) => self.on_conn_ack(conn_ack, frame),
            Packet::SubAck(sub_ack) => {
                self.check_words(packet, &sub_ack.properties)?;
                self.on_sub_ack(sub_ack, frame)
            }
            Packet::UnsubAck(unsub_ack) => {
                self.check_words(packet, &unsub_ack.properties)?;
                self.on_unsub_ack(unsub_ack, frame)
            }
            Packet::PingResp => {
                if let Some(connection) = self.connection.as_mut() {
                    connection.keep_alive.on_ping_resp();
                }
                Ok(())
            }
            Packet::Auth(auth) => {
                self.check_words(packet, &auth.properties)?;
                self.on_auth(auth, frame)
            }
            Packet::Disconnect(disconnect) => {
                // The server sends nothing after it, and hears nothing: v5 [MQTT-3.14.4-3]
                if let Some(packet) = machine::owned(frame, self.options.version) {
                    let reason_code = disconnect.reason_code;
                    self.close(DisconnectCause::ByServer { reason_code, packet }, None);
                }
                Ok(())
            }
            // The decoder refuses what a server does not send, and the others are handled above.
            packet => Err(Violation::UnexpectedPacket(packet.packet_type())),
        }
    }

    /// v5 [U5-3.1.2.11.7-2]
    #[inline]
    fn check_words(
        &self,
        packet: &Packet<'_>,
        properties: &Properties<'_>,
    ) -> Result<(), Violation> {
        if !properties.is_empty() && self.is_unwanted(properties) {
            return Err(Violation::UnwantedProblemInformation(packet.packet_type()));
        }
        Ok(())
    }

    #[inline]
    fn on_publish(&mut self, publish: &Publish<'_>, frame: &[u8]) -> Result<Taken, Violation> {
        let arrived = Arrived { packet_id: publish.packet_id, dup: publish.dup };
        match Located::new(publish, frame) {
            Some(located) => Ok(Taken::Message(located, arrived)),
            None => self.copy(publish).map(|message| Taken::Copied(message, arrived)),
        }
    }

    /// A message whose topic an alias stands for, or with properties that do not belong to it.
    fn copy(&mut self, publish: &Publish<'_>) -> Result<Message, Violation> {
        let alias = publish.properties.topic_alias();
        let topic = match (alias, self.connection.as_mut()) {
            (Some(alias), Some(connection)) => {
                let resolved = connection.link.incoming_aliases.resolve(alias, publish.topic);
                resolved.map_err(|error| match error {
                    AliasError::AboveMaximum => Violation::TopicAliasAboveMaximum(alias),
                    AliasError::Unknown => Violation::UnknownTopicAlias(alias),
                })?
            }
            _ => publish.topic,
        };
        let publish = Publish { topic, ..*publish };
        Ok(Message::copy_of(&publish, publish.properties_len()))
    }
}
