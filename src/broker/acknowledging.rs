//! What clients acknowledge, and what is released. MQTT 5.0 §4.3.

use crate::broker::ack::Answer;
use crate::broker::error::Violation;
use crate::broker::machine::Broker;
use crate::packet::PubRec;
use crate::packet_id::PacketId;
use crate::packet_type::PacketType;
use crate::reason::ReasonCode;
use crate::session::entry::{Key, Stage};
use crate::session::outbound::Misfit;

impl Broker {
    #[inline]
    pub(super) fn on_pub_ack(&mut self, number: u32, packet_id: PacketId) -> Result<(), Violation> {
        self.on_last(number, PacketType::PubAck, packet_id, Stage::AwaitPubAck)
    }

    #[inline]
    pub(super) fn on_pub_comp(
        &mut self,
        number: u32,
        packet_id: PacketId,
    ) -> Result<(), Violation> {
        self.on_last(number, PacketType::PubComp, packet_id, Stage::AwaitPubComp)
    }

    /// The last acknowledgement of a message, whatever it says. v5 [MQTT-4.8.2-6]
    #[inline]
    fn on_last(
        &mut self,
        number: u32,
        packet_type: PacketType,
        packet_id: PacketId,
        stage: Stage,
    ) -> Result<(), Violation> {
        let Some((_, session)) = self.both_mut(number) else { return Ok(()) };
        match session.queue.on_ack(packet_id, stage) {
            Ok(key) => self.complete(number, key),
            Err(Misfit::Unknown) => self.count_unknown(),
            Err(Misfit::Wrong) => {
                return Err(Violation::WrongAcknowledgement { packet_type, packet_id });
            }
        }
        Ok(())
    }

    /// A message is done with: there is room for another.
    fn complete(&mut self, number: u32, key: Key) {
        let Some((connection, session)) = self.both_mut(number) else { return };
        let removed = session.queue.remove(key);
        // The place goes to a retained message in turns, or a busy queue would never let one in.
        let is_turn = !session.replays.is_empty() && session.queue.takes_turn();
        let session_number = connection.session;
        if let Some(delivery) = removed.and_then(|removed| removed.message) {
            self.messages.release(delivery.message);
        }
        if let Some(session) = session_number.filter(|_| is_turn) {
            self.take_one_replay(session);
        }
        self.announce_session(number);
    }

    /// Has the wrapper told of a connection whose session may have something to be sent.
    pub(super) fn announce_session(&mut self, number: u32) {
        let Some((_, session)) = self.both_mut(number) else { return };
        if session.has_message() || !session.replays.is_empty() {
            self.ready.announce(number);
        }
    }

    fn count_unknown(&mut self) {
        let unknown = &mut self.counters.unknown_acknowledgements;
        *unknown = unknown.saturating_add(1);
    }

    pub(super) fn on_pub_rec(
        &mut self,
        number: u32,
        pub_rec: &PubRec<'_>,
    ) -> Result<(), Violation> {
        let packet_id = pub_rec.packet_id;
        let is_error = pub_rec.reason_code.is_error();
        let Some((connection, session)) = self.both_mut(number) else { return Ok(()) };
        let version = connection.link.version;
        let found = session.queue.on_ack(packet_id, Stage::AwaitPubRec);
        let mut reason_code = ReasonCode::SUCCESS;
        match found {
            Ok(key) if is_error => {
                self.complete(number, key);
                return Ok(());
            }
            Ok(key) => {
                if let Some(delivery) = session.queue.received(key) {
                    self.messages.release(delivery.message);
                }
            }
            // It is repeated, as clients of 3.x do: so is the PUBREL.
            Err(Misfit::Wrong)
                if !is_error && session.queue.on_ack(packet_id, Stage::AwaitPubComp).is_ok() => {}
            Err(Misfit::Wrong) => {
                let packet_type = PacketType::PubRec;
                return Err(Violation::WrongAcknowledgement { packet_type, packet_id });
            }
            Err(Misfit::Unknown) => {
                self.count_unknown();
                if is_error {
                    return Ok(());
                }
                // v5 4.3.3
                if version.is_v5() {
                    reason_code = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
                }
            }
        }
        self.push_answer(
            number,
            Answer::Publish {
                packet_type: PacketType::PubRel,
                packet_id,
                reason_code,
                makes_room: false,
            },
        );
        Ok(())
    }

    pub(super) fn on_pub_rel(&mut self, number: u32, packet_id: PacketId) {
        let Some((connection, session)) = self.both_mut(number) else { return };
        let is_known = session.unreleased.release(packet_id);
        let reason_code = match is_known || !connection.link.version.is_v5() {
            true => ReasonCode::SUCCESS,
            // v5 [MQTT-4.3.3-11] 3.6.2.1
            false => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
        };
        let makes_room = connection.quota.end(packet_id);
        if !is_known {
            self.count_unknown();
        }
        let packet_type = PacketType::PubComp;
        let answer = Answer::Publish { packet_type, packet_id, reason_code, makes_room };
        self.push_answer(number, answer);
    }

    /// An answer goes out when what was recorded before is safe.
    pub(super) fn push_answer(&mut self, number: u32, answer: Answer) {
        let after = self.log.last();
        if let Some(connection) = self.connection_mut(number) {
            connection.acks.push(after, answer);
            self.ready.announce(number);
        }
    }
}
