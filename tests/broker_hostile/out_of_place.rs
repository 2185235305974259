//! Packets that are well-formed, and out of place. MQTT 5.0 §3.1, §4.3, §4.12.

use sansio_mqtt::broker::{Acceptance, DisconnectCause, Event};
use sansio_mqtt::{
    Auth, Connect, Disconnect, Packet, Properties, Property, PubAck, PubComp, PubRec, PubRel, QoS,
    ReasonCode, Subscribe, Subscription, Unsubscribe, Version, Will,
};

use crate::world::{World, encode, id, in_all_versions, lasting, of, publish};

/// A client's packets of every type but CONNECT.
fn packets(version: Version) -> Vec<Vec<u8>> {
    let subscriptions = [Subscription::new("a", QoS::AtMostOnce)];
    let mut packets: Vec<Packet<'_>> = vec![
        publish("a", QoS::AtMostOnce, 0, "x").into(),
        publish("a", QoS::AtLeastOnce, 1, "x").into(),
        publish("a", QoS::ExactlyOnce, 1, "x").into(),
        PubAck::new(id(1)).into(),
        PubRec::new(id(1)).into(),
        PubRel::new(id(1)).into(),
        PubComp::new(id(1)).into(),
        Subscribe::new(id(1), &subscriptions).into(),
        Unsubscribe::new(id(1), &["a"]).into(),
        Packet::PingReq,
        Disconnect::default().into(),
    ];
    if version.is_v5() {
        packets.push(
            Auth {
                reason_code: ReasonCode::CONTINUE_AUTHENTICATION,
                properties: Properties::List(&[Property::AuthenticationMethod("m")]),
            }
            .into(),
        );
    }
    packets.into_iter().map(|packet| encode(version, packet)).collect()
}

#[test]
fn a_first_packet_that_is_not_connect_ends_the_connection_without_a_byte() {
    // v5 [MQTT-3.1.0-1], v3.1.1 [MQTT-3.1.0-1]
    in_all_versions(|world, version| {
        for mut bytes in packets(version) {
            let peer = world.open(version);
            bytes.extend(encode(version, of(version, "late")));
            world.send_bytes(peer, &bytes);
            assert_eq!(world.raw(peer), []);
            assert!(world.is_closed(peer));
            assert_eq!(world.violation(peer).reason_code(), ReasonCode::PROTOCOL_ERROR);
            assert_eq!(world.broker.session("late"), None);
        }
    });
}

#[test]
fn a_second_connect_ends_the_connection_and_the_session_stays() {
    // v5 [MQTT-3.1.0-2], v3.1.1 [MQTT-3.1.0-2]
    in_all_versions(|world, version| {
        for second in Version::ALL {
            let peer = world.join(&lasting(version, "c"));
            world.subscribe(peer, "a", QoS::AtLeastOnce);
            // It names another client, and changes nothing of it either.
            let other = world.up(version, "other");
            world.send_bytes(peer, &encode(second, of(second, "other")));
            world.blamed(peer, ReasonCode::PROTOCOL_ERROR);
            assert!(!world.is_closed(other));
            assert_eq!(world.broker.session("c").unwrap().subscriptions, 1);
            world.lose(other);
        }
        let again = world.connect(&lasting(version, "c"));
        let present = if version == Version::V3_1 { "" } else { ", session present" };
        assert!(world.sent(again)[0].starts_with(&format!("CONNACK 0x00 Success{present}")));
    });
}

#[test]
fn a_second_connect_that_waits_for_the_answer_to_the_first_is_no_less_wrong() {
    in_all_versions(|world, version| {
        world.accepts = false;
        let peer = world.connect(&of(version, "c"));
        world.send(peer, of(version, "c"));
        assert_eq!(world.raw(peer), []);
        let Some(Event::Connect { connection, .. }) = world.events.pop() else { panic!() };
        assert!(world.events.is_empty());
        world.broker.accept(world.now, connection, &Acceptance::default()).unwrap();
        world.poll();
        let conn_ack = world.raw(peer);
        assert_eq!(conn_ack[0], 0x20);
        assert!(world.is_closed(peer));
        assert_eq!(world.violation(peer).reason_code(), ReasonCode::PROTOCOL_ERROR);
        let last: &[u8] = if version.is_v5() { &[0xe0, 1, 0x82] } else { &[] };
        assert!(conn_ack.ends_with(last));
        assert_eq!(world.broker.counters().sessions, 0);
    });
}

#[test]
fn whoever_breaks_a_rule_has_its_will_published() {
    // v5 [MQTT-3.1.2-8], v3.1.1 [MQTT-3.1.2-8]
    in_all_versions(|world, version| {
        let reader = world.up(version, "reader");
        world.subscribe(reader, "will", QoS::AtMostOnce);
        let will = Some(Will { topic: "will", payload: b"x", ..Will::default() });
        for bytes in [&[0, 0][..], &[0xd0, 0], &[0x30, 0], &[0x36, 2, 0, 0]] {
            let peer = world.join(&Connect { will, ..of(version, "c") });
            world.send_bytes(peer, bytes);
            assert!(world.is_closed(peer));
            assert_eq!(world.sent(reader), ["PUBLISH \"will\" QoS 0 \"x\""]);
        }
    });
}

#[test]
fn what_follows_the_clients_own_disconnect_is_not_read_and_nothing_is_sent() {
    // v5 [MQTT-3.14.4-1] [MQTT-3.14.4-3], v3.1.1 [MQTT-3.14.4-3]
    in_all_versions(|world, version| {
        let reader = world.up(version, "reader");
        world.subscribe(reader, "#", QoS::AtMostOnce);
        let will = Some(Will { topic: "will", payload: b"x", ..Will::default() });
        let peer = world.join(&Connect { will, ..of(version, "c") });
        world.subscribe(peer, "#", QoS::AtMostOnce);
        let mut bytes = encode(version, Disconnect::default());
        bytes.extend([0, 0, 0xff]);
        bytes.extend(encode(version, publish("a", QoS::AtMostOnce, 0, "x")));
        world.send_bytes(peer, &bytes);
        assert_eq!(world.raw(peer), []);
        assert!(world.is_closed(peer));
        let cause = Some(DisconnectCause::ByClient(ReasonCode::SUCCESS));
        assert_eq!(world.cause(peer), cause);
        assert_eq!(world.sent(reader), [""; 0]);
    });
}

/// A client with a method, of which the CONNACK is still to come.
fn authenticating(world: &mut World) -> crate::world::Peer {
    world.accepts = false;
    let properties = Properties::List(&[Property::AuthenticationMethod("m")]);
    let peer = world.connect(&Connect { properties, ..of(Version::V5, "c") });
    let auth =
        Auth { reason_code: ReasonCode::CONTINUE_AUTHENTICATION, properties: Properties::NONE };
    world.broker.authenticate(world.now, world.id(peer), &auth).unwrap();
    world.poll();
    assert_eq!(world.raw(peer), b"\xf0\x06\x18\x04\x15\x00\x01m");
    peer
}

#[test]
fn anything_but_auth_before_connack_is_refused_with_connack() {
    // v5 [MQTT-3.1.2-30] [MQTT-3.14.0-1] [U5-4.13.1-1]
    let mut rows: Vec<(Vec<u8>, u8)> =
        packets(Version::V5).into_iter().map(|packet| (packet, 0x82)).collect();
    // DISCONNECT may be sent, and there the AUTH is expected.
    rows.truncate(rows.len() - 2);
    rows.push((encode(Version::V5, of(Version::V5, "c")), 0x82));
    rows.push((vec![0, 0], 0x81));
    rows.push((vec![0xd0, 0], 0x82));
    // AUTH without a method, with another one, and one that begins anew.
    rows.push((b"\xf0\x00".to_vec(), 0x82));
    rows.push((b"\xf0\x06\x18\x04\x15\x00\x01n".to_vec(), 0x82));
    rows.push((b"\xf0\x06\x19\x04\x15\x00\x01m".to_vec(), 0x82));
    for (bytes, code) in rows {
        println!("{bytes:?}");
        let mut world = World::default();
        let peer = authenticating(&mut world);
        world.send_bytes(peer, &bytes);
        assert_eq!(world.violation(peer).reason_code().get(), code);
        assert_eq!(world.raw(peer), [0x20, 3, 0, code, 0]);
        assert!(world.is_closed(peer));
        assert_eq!(world.broker.counters().connections, 0);
    }
}

#[test]
fn disconnect_before_connack_ends_the_exchange_without_a_byte() {
    let mut world = World::default();
    let peer = authenticating(&mut world);
    world.send(peer, Disconnect::default());
    assert_eq!(world.raw(peer), []);
    assert!(world.is_closed(peer));
}

#[test]
fn a_second_auth_while_the_application_thinks_ends_the_connection() {
    // v5 4.12.1
    let method = Properties::List(&[Property::AuthenticationMethod("m")]);
    let mut world = World::default();
    let peer = world.join(&Connect { properties: method, ..of(Version::V5, "c") });
    let auth = Auth { reason_code: ReasonCode::RE_AUTHENTICATE, properties: method };
    world.send(peer, auth);
    assert_eq!(world.events.len(), 1);
    // Other packets are served meanwhile.
    world.send(peer, Packet::PingReq);
    assert_eq!(world.sent(peer), ["PINGRESP"]);
    for _ in 0..3 {
        world.send(peer, auth);
    }
    world.blamed(peer, ReasonCode::PROTOCOL_ERROR);
    assert_eq!(world.events.len(), 1);
}

#[test]
fn an_acknowledgement_of_another_kind_ends_the_connection_and_the_message_comes_again() {
    // v5 [MQTT-4.3.2-1] [MQTT-4.3.3-1]
    type Answer = fn() -> Packet<'static>;
    let rows: [(QoS, bool, Answer); 5] = [
        (QoS::AtLeastOnce, false, || PubRec::new(id(1)).into()),
        (QoS::AtLeastOnce, false, || PubComp::new(id(1)).into()),
        (QoS::ExactlyOnce, false, || PubAck::new(id(1)).into()),
        (QoS::ExactlyOnce, false, || PubComp::new(id(1)).into()),
        (QoS::ExactlyOnce, true, || PubAck::new(id(1)).into()),
    ];
    for version in Version::ALL {
        for (qos, received, answer) in rows {
            let mut world = World::default();
            let innocent = world.up(version, "innocent");
            let peer = world.join(&lasting(version, "c"));
            world.subscribe(peer, "a", QoS::ExactlyOnce);
            world.send(innocent, publish("a", qos, 1, "x"));
            let _ = world.sent(innocent);
            assert_eq!(world.sent(peer), [format!("PUBLISH \"a\" QoS {qos} #1 \"x\"")]);
            if received {
                world.send(peer, PubRec::new(id(1)));
                assert_eq!(world.sent(peer), ["PUBREL #1"]);
            }
            println!("{version} QoS {qos} {}", answer());
            world.send(peer, answer());
            world.blamed(peer, ReasonCode::PROTOCOL_ERROR);
            let again = world.connect(&lasting(version, "c"));
            let expected = match received {
                true => "PUBREL #1".into(),
                false => format!("PUBLISH \"a\" QoS {qos} #1 dup \"x\""),
            };
            assert_eq!(world.sent(again)[1..], [expected]);
        }
    }
}

#[test]
fn what_can_be_recovered_from_is_no_violation() {
    // v5 [MQTT-4.3.3-7] [U5-3.6.2.1-1] 3.5.2.1, 3.7.2.1
    in_all_versions(|world, version| {
        let not_found = match version.is_v5() {
            true => " 0x92 Packet Identifier not found",
            false => "",
        };
        let peer = world.up(version, "c");
        world.send(peer, PubAck::new(id(11)));
        world.send(peer, PubComp::new(id(12)));
        assert_eq!(world.sent(peer), [""; 0]);
        assert_eq!(world.broker.counters().unknown_acknowledgements, 2);
        world.send(peer, PubRec::new(id(13)));
        assert_eq!(world.sent(peer), [format!("PUBREL #13{not_found}")]);
        world.send(peer, PubRel::new(id(14)));
        assert_eq!(world.sent(peer), [format!("PUBCOMP #14{not_found}")]);
        assert_eq!(world.broker.counters().unknown_acknowledgements, 4);
        if version.is_v5() {
            // An unknown one with an error needs no answer; neither does PUBCOMP 0x92.
            let reason_code = ReasonCode::QUOTA_EXCEEDED;
            world.send(peer, PubRec { reason_code, ..PubRec::new(id(15)) });
            let reason_code = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
            world.send(peer, PubComp { reason_code, ..PubComp::new(id(13)) });
            assert_eq!(world.sent(peer), [""; 0]);
            world.send(peer, PubRel { reason_code, ..PubRel::new(id(16)) });
            assert_eq!(world.sent(peer), [format!("PUBCOMP #16{not_found}")]);
        }
        world.serves(peer);
    });
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_yet_is_unknown() {
    in_all_versions(|world, version| {
        let innocent = world.up(version, "innocent");
        let peer = world.up(version, "c");
        world.subscribe(peer, "a", QoS::AtLeastOnce);
        world.block(peer);
        world.send(innocent, publish("a", QoS::AtLeastOnce, 1, "x"));
        world.send(peer, PubAck::new(id(1)));
        assert_eq!(world.broker.counters().unknown_acknowledgements, 1);
        world.unblock(peer);
        assert_eq!(world.sent(peer), ["PUBLISH \"a\" QoS 1 #1 \"x\""]);
        assert_eq!(world.broker.session("c").unwrap().queued_messages, 1);
    });
}
