//! Answers that wait to be pulled, in their order.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::outgoing::Outgoing;
use crate::packet::{Packet, PubAck, PubComp, PubRec, PubRel};
use crate::packet_id::PacketId;
use crate::packet_type::PacketType;
use crate::reason::ReasonCode;
use crate::session::store::Sequence;
use crate::version::Version;

/// An answer to a client, which waits until what it depends on is safe.
#[derive(Debug)]
pub(super) struct Ack {
    pub(super) after: Sequence,
    pub(super) answer: Answer,
}

#[derive(Debug)]
pub(super) enum Answer {
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Publish {
        packet_type: PacketType,
        packet_id: PacketId,
        reason_code: ReasonCode,
        /// Whether the client may send one more message when it has this.
        makes_room: bool,
    },
    PingResp,
    /// SUBACK, UNSUBACK or AUTH, encoded.
    Frame(Box<[u8]>),
}

/// The answers of one connection.
#[derive(Debug, Default)]
pub(super) struct Acks {
    queue: VecDeque<Ack>,
    /// Bytes of those that are encoded.
    bytes: usize,
}

/// So many answers, and so many bytes of them, may wait before no more input is taken.
const ACKS: usize = 1024;
const BYTES: usize = 64 << 10;

impl Acks {
    pub(super) fn push(&mut self, after: Sequence, answer: Answer) {
        if let Answer::Frame(frame) = &answer {
            self.bytes = self.bytes.saturating_add(frame.len());
        }
        self.queue.push_back(Ack { after, answer });
    }

    #[inline]
    pub(super) fn front(&self) -> Option<&Ack> {
        self.queue.front()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the client has to take some before more input is taken.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= ACKS || self.bytes >= BYTES
    }

    /// Writes the oldest one; says whether it makes room for a message.
    pub(super) fn pull(&mut self, version: Version, out: &mut Outgoing) -> bool {
        let Some(Ack { answer, .. }) = self.queue.pop_front() else { return false };
        if self.queue.is_empty() && self.queue.capacity() > ACKS / 4 {
            self.queue = VecDeque::new();
        }
        match answer {
            Answer::Publish { packet_type, packet_id, reason_code, makes_room } => {
                if reason_code == ReasonCode::SUCCESS {
                    let first = (packet_type as u8) << 4 | packet_type.reserved_flags();
                    let [high, low] = packet_id.get().to_be_bytes();
                    out.room(4).copy_from_slice(&[first, 2, high, low]);
                } else {
                    write(packet_type, packet_id, reason_code, version, out);
                }
                return makes_room;
            }
            Answer::PingResp => out.room(2).copy_from_slice(&[0xd0, 0]),
            Answer::Frame(frame) => {
                self.bytes = self.bytes.saturating_sub(frame.len());
                out.room(frame.len()).copy_from_slice(&frame);
            }
        }
        false
    }
}

fn write(
    packet_type: PacketType,
    packet_id: PacketId,
    reason_code: ReasonCode,
    version: Version,
    out: &mut Outgoing,
) {
    let packet: Packet<'_> = match packet_type {
        PacketType::PubRec => PubRec { reason_code, ..PubRec::new(packet_id) }.into(),
        PacketType::PubRel => PubRel { reason_code, ..PubRel::new(packet_id) }.into(),
        PacketType::PubComp => PubComp { reason_code, ..PubComp::new(packet_id) }.into(),
        _ => PubAck { reason_code, ..PubAck::new(packet_id) }.into(),
    };
    if let Ok(len) = packet.encoded_len(version) {
        // Room of its length is made.
        let _ = packet.encode(version, &mut out.room(len));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf;

    #[test]
    fn answers_are_pulled_in_their_order_and_shortest_form() {
        let (mut acks, id) = (Acks::default(), PacketId::MIN);
        let ack = |packet_type, reason_code| Answer::Publish {
            packet_type,
            packet_id: id,
            reason_code,
            makes_room: packet_type == PacketType::PubAck,
        };
        let answers = [
            ack(PacketType::PubAck, ReasonCode::SUCCESS),
            ack(PacketType::PubRec, ReasonCode::NO_MATCHING_SUBSCRIBERS),
            ack(PacketType::PubRel, ReasonCode::SUCCESS),
            Answer::PingResp,
            Answer::Frame((*b"\x90\x03\x00\x01\x00").into()),
        ];
        answers.into_iter().for_each(|answer| acks.push(Sequence::default(), answer));
        let mut out = Outgoing::new();
        assert!(acks.pull(Version::V5, &mut out));
        while !acks.is_empty() {
            assert!(!acks.pull(Version::V5, &mut out));
        }
        let expected =
            b"\x40\x02\x00\x01\x50\x03\x00\x01\x10\x62\x02\x00\x01\xd0\x00\x90\x03\0\x01\0";
        assert_eq!(out.copy_to_bytes(out.remaining()), &expected[..]);
    }
}
