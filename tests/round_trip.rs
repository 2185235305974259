//! Whatever packet a sender may send encodes, and decodes to itself, in whatever pieces it
//! arrives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

#[path = "support/strategies.rs"]
mod strategies;

use bytes::{Buf, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sansio_mqtt::{
    Cause, Connect, Decoder, EncodeError, Feature, FixedHeader, OwnedPacket, Packet, PacketType,
    Properties, PropertyId, Publish, ReasonCode, Sender, Subscription, Version,
};

use strategies::{Spec, any_packet, connect, packet, scope};

/// No files beside the tests: a failure prints what it takes to see it again.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(1_500))]

    /// v5 [MQTT-3.1.3-1], v3.1.1 [MQTT-3.1.3-1] [MQTT-2.2.2-1]
    #[test]
    fn what_is_encoded_decodes_to_the_same_packet(spec in any_packet()) {
        spec.with(|packet| check_round_trip(&spec, packet))?;
    }

    #[test]
    fn what_is_left_for_a_version_can_be_sent_in_it(spec in any_packet()) {
        for version in Version::ALL {
            spec.with(|packet| check_for_version(&spec, packet, version))?;
        }
    }

    /// One byte is another: what is still a packet encodes to what was read.
    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(
        spec in any_packet(),
        at in any::<Index>(),
        byte in prop_oneof![any::<u8>(), 0..4u8],
    ) {
        let mut frame = encoded(&spec);
        let at = at.index(frame.len().min(64));
        frame[at] = byte;
        check_any_bytes(&frame, spec.version, spec.sender)?;
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_stream_gives_the_same_packets_however_it_is_cut(
        (specs, cuts) in stream().prop_flat_map(|specs| (Just(specs), vec(1..40usize, 1..20))),
    ) {
        check_stream(&specs, &cuts)?;
    }
}

/// Packets of one sender in one version, those of a client behind a CONNECT.
fn stream() -> impl Strategy<Value = Vec<Spec>> {
    scope().prop_flat_map(|(version, sender)| {
        let first = if sender == Sender::Client { 1 } else { 0 };
        let packets = vec(packet(version, sender), 1..8);
        (vec(connect(version), first), packets).prop_map(|(first, rest)| [first, rest].concat())
    })
}

fn encoded(spec: &Spec) -> Vec<u8> {
    let mut frame = Vec::new();
    spec.with(|packet| packet.encode(spec.version, &mut frame).unwrap());
    frame
}

fn check_round_trip(spec: &Spec, packet: Packet<'_>) -> Result<(), TestCaseError> {
    let Spec { version, sender, .. } = *spec;
    let mut frame = b"before".to_vec();
    prop_assert_eq!(packet.encode(version, &mut frame), Ok(()));
    let frame = &frame[6..];
    prop_assert_eq!(packet.encoded_len(version), Ok(frame.len()));

    let header = FixedHeader::decode(frame).unwrap().unwrap();
    prop_assert_eq!(header.frame_len(), frame.len());
    prop_assert_eq!(header.packet_type(), Some(packet.packet_type()));

    let decoded = Packet::decode(frame, version, sender);
    prop_assert_eq!(decoded, Ok(packet));
    let decoded = decoded.unwrap();
    prop_assert_eq!(format!("{decoded} {decoded:?}"), format!("{packet} {packet:?}"));
    let mut again = Vec::new();
    prop_assert_eq!(decoded.encode(version, &mut again), Ok(()));
    prop_assert_eq!(&again, frame);

    let mut head = Vec::new();
    let payload = decoded.encode_split(version, &mut head).unwrap();
    prop_assert_eq!([&head[..], payload].concat(), frame);

    let mut room = vec![0; frame.len()];
    let available = frame.len() - 1;
    let error = EncodeError::BufferTooSmall { needed: frame.len(), available };
    prop_assert_eq!(packet.encode(version, &mut &mut room[..available]), Err(error));
    prop_assert!(room.iter().all(|byte| *byte == 0));
    prop_assert_eq!(packet.encode(version, &mut &mut room[..]), Ok(()));
    prop_assert_eq!(&room, frame);

    let owned = OwnedPacket::from_packet(&packet, version, sender).unwrap();
    prop_assert_eq!(&owned.frame()[..], frame);
    if let Packet::Publish(publish) = packet {
        check_message(&owned, publish)?;
    }

    // From the other end it is the same, or nothing.
    if let Ok(decoded) = Packet::decode(frame, version, sender.peer()) {
        prop_assert_eq!(decoded, packet);
    }
    Ok(())
}

/// What goes on to others: all but what belongs to the connection.
fn check_message(owned: &OwnedPacket, publish: Publish<'_>) -> Result<(), TestCaseError> {
    let Some(message) = owned.message() else {
        prop_assert_eq!(publish.topic, "");
        return Ok(());
    };
    let ids = [PropertyId::TopicAlias, PropertyId::SubscriptionIdentifier];
    let on = publish.properties.iter().filter(|property| !ids.contains(&property.id()));
    let on: Vec<_> = on.collect();
    for message in [&message, &message.compact()] {
        prop_assert_eq!(message.topic(), publish.topic);
        prop_assert_eq!(message.payload(), publish.payload);
        prop_assert_eq!(message.properties(), Properties::List(&on));
        let identifiers = message.subscription_identifiers();
        prop_assert!(identifiers.eq(publish.properties.subscription_identifiers()));
        prop_assert_eq!((message.qos(), message.retain()), (publish.qos, publish.retain));
    }
    Ok(())
}

fn check_for_version(
    spec: &Spec,
    packet: Packet<'_>,
    version: Version,
) -> Result<(), TestCaseError> {
    let left = match packet.for_version(version) {
        Ok(left) => left,
        Err(EncodeError::NotInVersion(found, feature)) => {
            prop_assert_eq!(found, version);
            prop_assert!(version != spec.version);
            return check_refusal(packet, feature);
        }
        Err(error) => panic!("{packet} for {version}: {error}"),
    };
    if version == spec.version {
        prop_assert_eq!(left, packet);
    }
    prop_assert_eq!(left.for_version(version), Ok(left));
    check_substance(packet, left)?;
    let mut frame = Vec::new();
    match left.encode(version, &mut frame) {
        // The version does not tell who sends: in 3.x that is never the server.
        Ok(()) if !left.packet_type().is_sent_by(spec.sender, version) => {
            prop_assert_eq!(left.packet_type(), PacketType::Disconnect);
        }
        Ok(()) => {
            let decoded = Packet::decode(&frame, version, spec.sender);
            prop_assert_eq!(decoded, Ok(left));
        }
        // What a version adds is not made up, and what it forbids is not bent.
        Err(EncodeError::Invalid(cause)) => match (packet, cause) {
            (Packet::Connect(_), Cause::InvalidClientIdentifier) => {}
            (Packet::UnsubAck(_), Cause::NoReasonCode) => {}
            (_, cause) => panic!("{packet} for {version}: {cause}"),
        },
        Err(error) => panic!("{packet} for {version}: {error}"),
    }
    Ok(())
}

/// What cannot be left out because the packet would say something else.
fn check_refusal(packet: Packet<'_>, feature: Feature) -> Result<(), TestCaseError> {
    let expected = match packet {
        Packet::Auth(_) => feature == Feature::Packet(PacketType::Auth),
        Packet::Connect(packet) => match feature {
            Feature::AuthenticationMethod => packet.properties.authentication_method().is_some(),
            feature => feature == Feature::PasswordWithoutUserName,
        },
        Packet::ConnAck(packet) => {
            packet.reason_code.return_code().is_none()
                && feature == Feature::ReasonCode(packet.reason_code)
        }
        Packet::Subscribe(_) | Packet::Unsubscribe(_) => {
            matches!(feature, Feature::SharedSubscription | Feature::UnsharedFilter)
        }
        Packet::Publish(_) => feature == Feature::EmptyTopicName,
        Packet::SubAck(_) => matches!(feature, Feature::ReasonCode(code) if code.is_error()),
        Packet::Disconnect(packet) => feature == Feature::ReasonCode(packet.reason_code),
        _ => false,
    };
    prop_assert!(expected, "{} is refused for {}", packet, feature);
    Ok(())
}

/// What no version may change.
fn check_substance(packet: Packet<'_>, left: Packet<'_>) -> Result<(), TestCaseError> {
    prop_assert_eq!(left.packet_type(), packet.packet_type());
    match (packet, left) {
        (Packet::Connect(packet), Packet::Connect(left)) => {
            prop_assert_eq!(left.client_id, packet.client_id);
            prop_assert_eq!(left.clean_start, packet.clean_start);
            prop_assert_eq!(left.keep_alive, packet.keep_alive);
            prop_assert_eq!(left.user_name, packet.user_name);
            prop_assert_eq!(left.password, packet.password);
            let will = |connect: Connect<'_>| {
                connect
                    .will
                    .map(|will| (will.topic.len(), will.payload.len(), will.qos, will.retain))
            };
            prop_assert_eq!(will(left), will(packet));
        }
        (Packet::ConnAck(packet), Packet::ConnAck(left)) => {
            prop_assert_eq!(left.reason_code.is_error(), packet.reason_code.is_error());
        }
        (Packet::Publish(packet), Packet::Publish(left)) => {
            prop_assert_eq!((left.topic, left.payload), (packet.topic, packet.payload));
            prop_assert_eq!((left.qos, left.packet_id), (packet.qos, packet.packet_id));
            prop_assert_eq!((left.dup, left.retain), (packet.dup, packet.retain));
        }
        (Packet::Subscribe(packet), Packet::Subscribe(left)) => {
            prop_assert_eq!(left.packet_id, packet.packet_id);
            let asked = |found: Subscription<'_>| (found.topic_filter.len(), found.qos);
            let left = left.subscriptions.iter().map(asked);
            prop_assert!(left.eq(packet.subscriptions.iter().map(asked)));
        }
        (Packet::SubAck(packet), Packet::SubAck(left)) => {
            prop_assert_eq!(left.packet_id, packet.packet_id);
            let granted = |code: ReasonCode| code.get().min(0x80);
            let left = left.reason_codes.iter().map(granted);
            prop_assert!(left.eq(packet.reason_codes.iter().map(granted)));
        }
        (Packet::Unsubscribe(packet), Packet::Unsubscribe(left)) => {
            prop_assert_eq!(left.packet_id, packet.packet_id);
            prop_assert_eq!(left.topic_filters, packet.topic_filters);
        }
        _ => {}
    }
    Ok(())
}

fn check_any_bytes(frame: &[u8], version: Version, sender: Sender) -> Result<(), TestCaseError> {
    let mut decoder = match sender {
        Sender::Client => Decoder::from_client().with_version(version),
        Sender::Server => Decoder::from_server(version),
    };
    let in_stream = decoder.decode(frame);
    let packet = match Packet::decode(frame, version, sender) {
        Ok(packet) => packet,
        Err(error) => {
            prop_assert!(error.offset <= frame.len());
            // Another length may make it another packet with bytes behind it, or a part of one.
            let len = FixedHeader::decode(frame).ok().flatten().map(|header| header.frame_len());
            if len == Some(frame.len()) {
                prop_assert_eq!(in_stream, Err(error));
            }
            return Ok(());
        }
    };
    prop_assert_eq!(in_stream, Ok(Some((packet, frame.len()))));
    let mut again = Vec::new();
    prop_assert_eq!(packet.encode(version, &mut again), Ok(()));
    if again != frame {
        // A Remaining Length of 3.x with needless bytes; a CONNECT of 3.1 without the fields that
        // its flags tell of.
        prop_assert!(version != Version::V5);
        prop_assert!(version == Version::V3_1 || again.len() < frame.len());
        prop_assert_eq!(Packet::decode(&again, version, sender), Ok(packet));
    }
    Ok(())
}

fn check_stream(specs: &[Spec], cuts: &[usize]) -> Result<(), TestCaseError> {
    let Spec { version, sender, .. } = specs[0];
    let stream: Vec<u8> = specs.iter().flat_map(encoded).collect();
    let mut decoder = match sender {
        Sender::Client => Decoder::from_client(),
        Sender::Server => Decoder::from_server(version),
    };
    let mut owning = decoder;
    let (mut expected, mut owned_expected) = (specs.iter(), specs.iter());
    // Where what is not yet decoded begins, and where what has arrived ends.
    let (mut start, mut end) = (0, 0);
    let mut received = BytesMut::new();
    for cut in cuts.iter().cycle() {
        let before = end;
        end = stream.len().min(end + cut * cut);
        while let Some((packet, len)) = decoder.decode(&stream[start..end]).unwrap() {
            let spec = expected.next().unwrap();
            spec.with(|sent| same(packet, sent))?;
            start += len;
        }
        received.extend_from_slice(&stream[before..end]);
        while let Some(owned) = OwnedPacket::decode(&mut owning, &mut received).unwrap() {
            let spec = owned_expected.next().unwrap();
            spec.with(|sent| same(owned.packet(), sent))?;
        }
        if end == stream.len() {
            break;
        }
    }
    prop_assert_eq!(expected.count(), 0);
    prop_assert_eq!(owned_expected.count(), 0);
    prop_assert_eq!((start, received.has_remaining()), (stream.len(), false));
    prop_assert_eq!(decoder.version(), Some(version));
    Ok(())
}

fn same(decoded: Packet<'_>, sent: Packet<'_>) -> Result<(), TestCaseError> {
    prop_assert_eq!(decoded, sent);
    Ok(())
}
