//! Bytes from clients.

use bytes::{Buf, BytesMut};

use crate::broker::ack::Answer;
use crate::broker::connection::{Connection, Pause, Phase};
use crate::broker::error::{DisconnectCause, Violation};
use crate::broker::machine::Broker;
use crate::link::{ConnectionId, Received};
use crate::packet::{Disconnect, Packet, PubRec, Publish, ack};
use crate::packet_id::PacketId;
use crate::packet_type::PacketType;
use crate::time::Instant;

impl Broker {
    /// Takes bytes from a client: all whole packets at the front of `bytes`, which are taken off;
    /// what is left is the beginning of one, or waits for [`Output::Resume`].
    ///
    /// Nothing shares the storage of `bytes`. Of a connection that has ended they are thrown away.
    ///
    /// [`Output::Resume`]: crate::broker::Output::Resume
    pub fn receive(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        bytes: &mut BytesMut,
    ) -> Received {
        self.advance(now);
        self.work = 0;
        let Some(number) = self.find(connection) else {
            bytes.clear();
            return Received::Drained;
        };
        // Bytes at the front that are done with.
        let mut done: usize = 0;
        let received = loop {
            let work = self.work;
            let (budget, maximum) = (self.options.work_budget, self.options.receive_maximum);
            let Some(Some(found)) = self.connections.get_mut(number) else {
                done = bytes.len();
                break Received::Drained;
            };
            if found.link.is_closing() {
                done = bytes.len();
                break Received::Drained;
            }
            let rest = bytes.get(done..).unwrap_or_default();
            if found.paused.is_some() {
                break Received::Paused;
            }
            if rest.is_empty() {
                break Received::Drained;
            }
            let pause = if found.acks.is_full() {
                Some(Pause::Client)
            } else {
                (work >= budget).then_some(Pause::Work)
            };
            if let Some(pause) = pause {
                self.pause(number, pause);
                break Received::Paused;
            }
            if let Some((packet_type, packet_id)) = ack::plain(rest)
                && matches!(found.phase, Phase::Up)
                && found.link.decoder.accepts(ack::PLAIN_LEN)
            {
                found.last_received = self.now;
                let result = self.on_plain_ack(number, packet_type, packet_id);
                self.took(number, result);
                done = done.saturating_add(ack::PLAIN_LEN);
                continue;
            }
            let (packet, len) = match found.link.decoder.decode(rest) {
                Ok(Some(decoded)) => decoded,
                Ok(None) => break Received::Drained,
                Err(error) => {
                    self.on_malformed(number, error);
                    self.settle();
                    continue;
                }
            };
            if must_wait(found, &packet, maximum) {
                self.pause(number, Pause::Client);
                break Received::Paused;
            }
            found.last_received = self.now;
            let frame = rest.get(..len).unwrap_or_default();
            let result = match &packet {
                packet if !found.phase.expects(packet) => Err(unexpected(packet)),
                Packet::Publish(publish) => self.on_publish(number, publish),
                packet => self.on_packet(number, packet, frame),
            };
            self.took(number, result);
            done = done.saturating_add(len);
        };
        let taken = u64::try_from(done).unwrap_or(u64::MAX);
        self.counters.bytes_received = self.counters.bytes_received.saturating_add(taken);
        bytes.advance(done);
        received
    }

    /// A packet was taken: does what follows from it.
    #[inline]
    fn took(&mut self, number: u32, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.violation(number, violation);
        }
        self.settle();
        self.work = self.work.saturating_add(1);
    }

    /// An acknowledgement without a Reason Code.
    #[inline]
    fn on_plain_ack(
        &mut self,
        number: u32,
        packet_type: PacketType,
        packet_id: PacketId,
    ) -> Result<(), Violation> {
        match packet_type {
            PacketType::PubRec => self.on_pub_rec(number, &PubRec::new(packet_id)),
            PacketType::PubComp => self.on_pub_comp(number, packet_id),
            PacketType::PubRel => {
                self.on_pub_rel(number, packet_id);
                Ok(())
            }
            _ => self.on_pub_ack(number, packet_id),
        }
    }

    /// A packet other than PUBLISH.
    #[inline(never)]
    fn on_packet(
        &mut self,
        number: u32,
        packet: &Packet<'_>,
        frame: &[u8],
    ) -> Result<(), Violation> {
        match packet {
            Packet::PubAck(pub_ack) => self.on_pub_ack(number, pub_ack.packet_id),
            Packet::PubRec(pub_rec) => self.on_pub_rec(number, pub_rec),
            Packet::PubRel(pub_rel) => {
                self.on_pub_rel(number, pub_rel.packet_id);
                Ok(())
            }
            Packet::PubComp(pub_comp) => self.on_pub_comp(number, pub_comp.packet_id),
            Packet::Connect(connect) => self.on_connect(number, connect, frame),
            Packet::Subscribe(subscribe) => self.on_subscribe(number, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(number, unsubscribe),
            Packet::PingReq => {
                // v5 [MQTT-3.12.4-1], v3.1.1 [MQTT-3.12.4-1]
                self.push_answer(number, Answer::PingResp);
                Ok(())
            }
            Packet::Auth(auth) => self.on_auth(number, auth, frame),
            Packet::Disconnect(disconnect) => self.on_disconnect(number, disconnect),
            // The decoder refuses what a client does not send.
            packet => Err(unexpected(packet)),
        }
    }

    /// The client ends the connection. v5 3.14.4, v3.1.1 3.14.4
    fn on_disconnect(&mut self, number: u32, disconnect: &Disconnect<'_>) -> Result<(), Violation> {
        if let Some(interval) = disconnect.properties.session_expiry_interval()
            && let Some((connection, session)) = self.both_mut(number)
        {
            if connection.requested_expiry == 0 && interval != 0 {
                // v5 3.14.2.2.2
                return Err(Violation::SessionEndsWithConnection);
            }
            session.expiry_interval = interval.min(session.expiry_maximum);
        }
        let cause = DisconnectCause::ByClient(disconnect.reason_code);
        self.close(number, cause, None);
        Ok(())
    }
}

impl Phase {
    /// Whether a packet may come now.
    #[inline]
    const fn expects(&self, packet: &Packet<'_>) -> bool {
        match self {
            Self::AwaitConnect => matches!(packet, Packet::Connect(_)),
            Self::AwaitAnswer(_) => false,
            Self::AwaitAuth(_) => matches!(packet, Packet::Auth(_) | Packet::Disconnect(_)),
            Self::Up => !matches!(packet, Packet::Connect(_)),
        }
    }
}

#[cold]
fn unexpected(packet: &Packet<'_>) -> Violation {
    Violation::UnexpectedPacket(packet.packet_type())
}

/// Whether one more message has to wait until its client has taken what it was answered. In 5.0
/// the client knows how many it may send. v5 [MQTT-3.3.4-9]
#[inline]
fn must_wait(connection: &Connection, packet: &Packet<'_>, receive_maximum: u16) -> bool {
    let Packet::Publish(Publish { packet_id: Some(_), .. }) = packet else { return false };
    !connection.link.version.is_v5() && connection.quota.used() >= usize::from(receive_maximum)
}
