//! What a server may say, made of an input: mostly plausible, sometimes wrong.

use sansio_mqtt::{
    Auth, ConnAck, Disconnect, Packet, PacketId, Properties, Property, PubAck, PubComp, PubRec,
    PubRel, Publish, QoS, ReasonCode, SubAck, UnsubAck, Version,
};

use super::input::Input;
use super::ledger::Ledger;
use super::options::{METHOD, RESPONSE_TOPIC};
use super::peer::Peer;

/// A packet, or any bytes.
pub(crate) fn packet(
    input: &mut Input<'_>,
    peer: &Peer,
    ledger: &Ledger,
    number: &mut u32,
) -> Vec<u8> {
    let version = peer.version;
    let with_method = peer.connection.as_ref().is_some_and(|found| found.has_method());
    match input.below(16) {
        0..=1 => conn_ack(input, version, with_method),
        2..=4 => publish(input, version, ledger, number),
        5 => encode(
            version,
            PubAck { reason_code: code(input, 0x97), ..PubAck::new(sent(input, peer)) },
        ),
        6..=7 => encode(
            version,
            PubRec { reason_code: code(input, 0x97), ..PubRec::new(sent(input, peer)) },
        ),
        8 => {
            let index = input.below(8);
            let packet_id = peer.receipts.to_release(index).unwrap_or_else(|| any_id(input));
            encode(version, PubRel { reason_code: code(input, 0x92), ..PubRel::new(packet_id) })
        }
        9 => encode(
            version,
            PubComp { reason_code: code(input, 0x92), ..PubComp::new(sent(input, peer)) },
        ),
        10..=11 => answer(input, peer),
        12 => auth(input, version),
        13 => {
            let reason_code = input.pick(&[ReasonCode::new(0x8b), ReasonCode::new(0)]);
            encode(version, Disconnect { reason_code, ..Disconnect::default() })
        }
        14 => encode(version, Packet::PingResp),
        _ => {
            let len = input.below(64);
            input.take(len).to_vec()
        }
    }
}

/// The packet, or nothing if the version does not have it.
pub(crate) fn encode<'a>(version: Version, packet: impl Into<Packet<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = packet.into().encode(version, &mut bytes);
    bytes
}

fn conn_ack(input: &mut Input<'_>, version: Version, with_method: bool) -> Vec<u8> {
    let choices = [input.byte(), input.byte(), input.byte()];
    let session_present = choices[0] & 1 != 0 && version != Version::V3_1;
    if choices[0] & 0xf0 == 0xf0 {
        return encode(version, ConnAck::refuse(ReasonCode::new(0x88)));
    }
    let method = Some(Property::AuthenticationMethod(METHOD)).filter(|_| with_method);
    let mut properties: Vec<Property<'_>> = method.into_iter().collect();
    let all = [
        Property::ReceiveMaximum(1 + u16::from(choices[0] >> 1 & 3)),
        Property::MaximumQoS(if choices[2] & 1 != 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce }),
        Property::RetainAvailable(false),
        Property::MaximumPacketSize(5 + 5 * u32::from(choices[2] >> 1)),
        Property::TopicAliasMaximum(1 + u16::from(choices[0] >> 3 & 1)),
        Property::WildcardSubscriptionAvailable(false),
        Property::SharedSubscriptionAvailable(false),
        Property::SubscriptionIdentifierAvailable(false),
    ];
    let wanted = |(bit, property): (usize, _)| (choices[1] >> bit & 1 != 0).then_some(property);
    properties.extend(all.into_iter().enumerate().filter_map(wanted));
    let more = [
        (0, Property::SessionExpiryInterval(3)),
        (1, Property::ServerKeepAlive(2)),
        (2, Property::AssignedClientIdentifier("auto")),
    ];
    let wanted = |(bit, property): (u8, _)| (choices[2] >> bit & 5 == 5).then_some(property);
    properties.extend(more.into_iter().filter_map(wanted));
    let properties = if version.is_v5() { Properties::List(&properties) } else { Properties::NONE };
    encode(version, ConnAck { session_present, properties, ..ConnAck::default() })
}

fn publish(input: &mut Input<'_>, version: Version, ledger: &Ledger, number: &mut u32) -> Vec<u8> {
    let choice = input.byte();
    let mut qos = input.pick(&[QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::AtMostOnce]);
    let packet_id = Some(any_id(input)).filter(|_| qos != QoS::AtMostOnce);
    if let Some(packet_id) = packet_id
        && choice & 0x0f != 0x0f
    {
        // An identifier is not used for both, mostly.
        qos = if packet_id.get() < 4 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
    }
    // Sometimes the one before is sent again.
    *number += u32::from(choice & 3 != 3);
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(4 + usize::from(choice >> 2 & 3) * 20, 0);
    let handle = u128::from(ledger.handle(usize::from(choice >> 4))).to_be_bytes();
    let alias = Property::TopicAlias(1 + u16::from(choice >> 4 & 3));
    let (topic, properties) = match choice >> 6 {
        0 => ("t", vec![]),
        1 => (RESPONSE_TOPIC, vec![Property::CorrelationData(&handle)]),
        2 => ("t/alias", vec![alias]),
        _ => ("", vec![alias]),
    };
    let (topic, properties) = match version {
        Version::V5 => (topic, Properties::List(&properties)),
        _ => ("t", Properties::NONE),
    };
    let dup = choice & 3 == 3 && qos != QoS::AtMostOnce;
    let payload = &payload[..];
    encode(version, Publish { topic, payload, qos, packet_id, dup, properties, retain: false })
}

fn answer(input: &mut Input<'_>, peer: &Peer) -> Vec<u8> {
    let operations = peer.connection.as_ref().map(|connection| &connection.operations);
    let index = input.below(4);
    let found = operations.and_then(|all| all.iter().nth(index % all.len().max(1)));
    let wrong = input.rarely(16);
    let (packet_id, count) = found.map_or((any_id(input), 1), |(id, (_, count))| (*id, *count));
    let is_subscribe =
        found.is_none_or(|(_, (found, _))| *found == sansio_mqtt::PacketType::Subscribe);
    let codes = vec![ReasonCode::new(input.pick(&[0, 1, 0x80])); count + usize::from(wrong)];
    if is_subscribe != wrong {
        return encode(peer.version, SubAck::new(packet_id, &codes));
    }
    let codes: Vec<_> = codes.into_iter().map(|code| ReasonCode::new(code.get() & 0x80)).collect();
    let codes = if peer.version.is_v5() { &codes[..] } else { &[] };
    encode(peer.version, UnsubAck::new(packet_id, codes))
}

fn auth(input: &mut Input<'_>, version: Version) -> Vec<u8> {
    let choice = input.byte();
    let reason_code = ReasonCode::new(if choice & 1 != 0 { 0x18 } else { 0 });
    let method = if choice & 0xf0 == 0xf0 { "other" } else { METHOD };
    let properties = [Property::AuthenticationMethod(method)];
    encode(version, Auth { reason_code, properties: Properties::List(&properties) })
}

fn code(input: &mut Input<'_>, error: u8) -> ReasonCode {
    ReasonCode::new(if input.rarely(6) { error } else { 0 })
}

/// An identifier that the client uses, mostly.
fn sent(input: &mut Input<'_>, peer: &Peer) -> PacketId {
    let index = input.below(8);
    match peer.flights.keys().nth(index) {
        Some(packet_id) => *packet_id,
        None => any_id(input),
    }
}

fn any_id(input: &mut Input<'_>) -> PacketId {
    PacketId::new(1 + input.below(7) as u16).unwrap_or(PacketId::MIN)
}
