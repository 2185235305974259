//! An end that acknowledges whatever it is sent, and allocates nothing for it.

use bytes::BytesMut;
use sansio_mqtt::{Decoder, Packet, PubAck, PubComp, PubRec, PubRel, Publish, QoS, Version};

/// Answers what was sent; says how many messages there were.
pub(crate) fn answer(
    mut decoder: Decoder,
    version: Version,
    mut bytes: &[u8],
    answers: &mut BytesMut,
) -> usize {
    let mut messages = 0;
    while !bytes.is_empty() {
        // A payload that is shared is a chunk of its own.
        let Ok(Some((packet, len))) = decoder.decode(bytes) else { return messages };
        messages += usize::from(matches!(packet, Packet::Publish(_)));
        let answer: Option<Packet<'_>> = match packet {
            Packet::Publish(Publish { qos, packet_id: Some(id), .. }) => Some(match qos {
                QoS::ExactlyOnce => PubRec::new(id).into(),
                _ => PubAck::new(id).into(),
            }),
            Packet::PubRec(PubRec { packet_id, .. }) => Some(PubRel::new(packet_id).into()),
            Packet::PubRel(PubRel { packet_id, .. }) => Some(PubComp::new(packet_id).into()),
            _ => None,
        };
        if let Some(answer) = answer {
            answer.encode(version, answers).unwrap();
        }
        bytes = &bytes[len..];
    }
    messages
}
