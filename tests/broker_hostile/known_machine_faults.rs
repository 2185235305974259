//! What went wrong in other machines that speak to a client, row by row.

use sansio_mqtt::{
    Connect, Packet, Properties, Property, PubAck, PubComp, PubRec, QoS, ReasonCode, Subscribe,
    Subscription, Version,
};

use crate::world::{FOR_EVER, Peer, World, id, lasting, of, options_with, publish};

/// Connects with properties, for a session that lasts.
fn with(world: &mut World, properties: &[Property<'_>]) -> Peer {
    let properties = [FOR_EVER, properties].concat();
    let properties = Properties::List(&properties);
    let connect = Connect { clean_start: false, properties, ..of(Version::V5, "c") };
    world.join_again(&connect)
}

/// Publishes so many messages at this QoS.
fn publishes(world: &mut World, qos: QoS, count: u16) {
    let publisher = world.up(Version::V5, "publisher");
    for value in 1..=count {
        let payload = value.to_string();
        world.send(publisher, publish("a/long/topic", qos, value, &payload));
    }
    world.lose(publisher);
}

#[test]
fn a_topic_alias_maximum_of_zero_is_none() {
    // v5 [MQTT-3.1.2-26] [MQTT-3.1.2-27]
    let mut world = World::default();
    let peer = with(&mut world, &[Property::TopicAliasMaximum(0)]);
    world.subscribe(peer, "#", QoS::AtMostOnce);
    publishes(&mut world, QoS::AtMostOnce, 2);
    let expected = ["1", "2"].map(|one| format!("PUBLISH \"a/long/topic\" QoS 0 \"{one}\""));
    assert_eq!(world.sent(peer), expected);
}

#[test]
fn pubrec_with_no_matching_subscribers_is_for_the_server_to_say() {
    // v5 3.5.2.1: "sent only by the Server". It is no error: the exchange goes on.
    let mut world = World::default();
    let peer = with(&mut world, &[]);
    world.subscribe(peer, "#", QoS::ExactlyOnce);
    publishes(&mut world, QoS::ExactlyOnce, 1);
    let _ = world.raw(peer);
    world.send_bytes(peer, &[0x50, 3, 0, 1, 0x10]);
    world.blamed(peer, ReasonCode::PROTOCOL_ERROR);
    let peer = with(&mut world, &[]);
    assert_eq!(world.sent(peer), ["PUBLISH \"a/long/topic\" QoS 2 #1 dup \"1\""]);
}

#[test]
fn pubrec_with_an_error_ends_the_exchange() {
    // v5 4.3.3
    let mut world = World::default();
    let peer = with(&mut world, &[Property::ReceiveMaximum(1)]);
    world.subscribe(peer, "#", QoS::ExactlyOnce);
    publishes(&mut world, QoS::ExactlyOnce, 2);
    assert_eq!(world.packets(peer).len(), 1);
    let reason_code = ReasonCode::QUOTA_EXCEEDED;
    world.send(peer, PubRec { reason_code, ..PubRec::new(id(1)) });
    assert_eq!(world.sent(peer), ["PUBLISH \"a/long/topic\" QoS 2 #2 \"2\""]);
    // It is not sent again either.
    let peer = with(&mut world, &[]);
    assert_eq!(world.sent(peer), ["PUBLISH \"a/long/topic\" QoS 2 #2 dup \"2\""]);
}

#[test]
fn the_list_of_received_messages_ends_with_a_clean_start() {
    // v5 [MQTT-3.1.2-4], v3.1.1 [MQTT-3.1.2-6]
    for version in Version::ALL {
        let mut world = World::default();
        let reader = world.up(version, "reader");
        world.subscribe(reader, "a", QoS::AtMostOnce);
        let peer = world.join(&lasting(version, "c"));
        world.send(peer, publish("a", QoS::ExactlyOnce, 1, "old"));
        // It is known as long as the session goes on.
        let peer = world.join_again(&lasting(version, "c"));
        world.send(peer, publish("a", QoS::ExactlyOnce, 1, "old"));
        let peer = world.join(&Connect { clean_start: true, ..lasting(version, "c") });
        world.send(peer, publish("a", QoS::ExactlyOnce, 1, "new"));
        let expected = ["old", "new"].map(|one| format!("PUBLISH \"a\" QoS 0 \"{one}\""));
        assert_eq!(world.sent(reader), expected);
    }
}

#[test]
fn what_is_sent_again_stays_within_the_receive_maximum() {
    // v5 [MQTT-3.3.4-9] 4.4
    let mut world = World::default();
    let peer = with(&mut world, &[]);
    world.subscribe(peer, "#", QoS::AtLeastOnce);
    publishes(&mut world, QoS::AtLeastOnce, 5);
    assert_eq!(world.packets(peer).len(), 5);
    let peer = with(&mut world, &[Property::ReceiveMaximum(2)]);
    let resent = [1, 2].map(|one| format!("PUBLISH \"a/long/topic\" QoS 1 #{one} dup \"{one}\""));
    assert_eq!(world.sent(peer), resent);
    world.send(peer, PubAck::new(id(1)));
    assert_eq!(world.sent(peer), ["PUBLISH \"a/long/topic\" QoS 1 #3 dup \"3\""]);
    // One for what was sent on the connection before is good, and makes no room on this one.
    world.send(peer, PubAck::new(id(5)));
    assert_eq!(world.sent(peer), [""; 0]);
    assert_eq!(world.broker.session("c").unwrap().queued_messages, 3);
}

#[test]
fn an_alias_is_not_taken_for_sent_while_the_window_holds_its_message_back() {
    // v5 3.3.2.3.4
    let mut world = World::default();
    let properties = [Property::ReceiveMaximum(1), Property::TopicAliasMaximum(9)];
    let peer = with(&mut world, &properties);
    world.subscribe(peer, "#", QoS::AtLeastOnce);
    let publisher = world.up(Version::V5, "publisher");
    let _ = world.raw(peer);
    world.send(publisher, publish("topic/0", QoS::AtLeastOnce, 1, "1"));
    world.send(publisher, publish("topic/1", QoS::AtLeastOnce, 2, "2"));
    assert_eq!(world.sent(peer), ["PUBLISH \"topic/0\" QoS 1 #1 \"1\" {Topic Alias=1}"]);
    world.send(publisher, publish("topic/1", QoS::AtMostOnce, 0, "3"));
    assert_eq!(world.sent(peer), ["PUBLISH \"topic/1\" QoS 0 \"3\" {Topic Alias=2}"]);
    world.send(peer, PubAck::new(id(1)));
    assert_eq!(world.sent(peer), ["PUBLISH \"\" QoS 1 #2 \"2\" {Topic Alias=2}"]);
}

#[test]
fn a_packet_is_not_made_too_large_by_its_alias() {
    // v5 [MQTT-3.1.2-24]
    let mut world = World::default();
    // 2 + 2 + 7 + 1 and the payload; an alias takes 3 more.
    let properties = [Property::MaximumPacketSize(20), Property::TopicAliasMaximum(9)];
    let connect = Connect { properties: Properties::List(&properties), ..of(Version::V5, "c") };
    let peer = world.open(Version::V5);
    world.send(peer, connect);
    let _ = world.raw(peer);
    let one = [Subscription::new("#", QoS::AtMostOnce)];
    world.send(peer, Subscribe::new(id(1), &one));
    let _ = world.raw(peer);
    let publisher = world.up(Version::V5, "publisher");
    for payload in ["12345678", "123456789", "12345", "12345678"] {
        world.send(publisher, publish("topic/0", QoS::AtMostOnce, 0, payload));
    }
    let packets = world.packets(peer);
    assert!(packets.iter().all(|one| one.frame().len() <= 20));
    let sent: Vec<_> = packets.iter().map(ToString::to_string).collect();
    let expected = [
        "PUBLISH \"topic/0\" QoS 0 \"12345678\"",
        "PUBLISH \"topic/0\" QoS 0 \"12345\" {Topic Alias=1}",
        "PUBLISH \"\" QoS 0 \"12345678\" {Topic Alias=1}",
    ];
    assert_eq!(sent, expected);
    assert_eq!(world.broker.counters().too_large, 1);
}

#[test]
fn a_message_that_is_too_large_keeps_no_identifier_and_is_not_tried_again() {
    // v5 [MQTT-3.1.2-25]
    let mut world = World::default();
    let properties = [Property::MaximumPacketSize(60), Property::ReceiveMaximum(1)];
    let peer = with(&mut world, &properties);
    world.subscribe(peer, "a", QoS::AtLeastOnce);
    let publisher = world.up(Version::V5, "publisher");
    let large = "x".repeat(100);
    for _ in 0..300 {
        world.send(publisher, publish("a", QoS::AtLeastOnce, 1, &large));
    }
    world.send(publisher, publish("a", QoS::AtLeastOnce, 1, "small"));
    let sent = world.packets(peer);
    let Packet::Publish(publish) = sent[0].packet() else { panic!("{sent:?}") };
    assert_eq!((publish.payload, sent.len()), (&b"small"[..], 1));
    assert_eq!(world.broker.session("c").unwrap().queued_messages, 1);
    assert_eq!(world.broker.counters().too_large, 300);
}

#[test]
fn the_window_opens_with_pubcomp_and_not_with_pubrec() {
    // v5 [MQTT-4.9.0-1] [MQTT-4.9.0-2]
    let mut world = World::default();
    let peer = with(&mut world, &[Property::ReceiveMaximum(1)]);
    world.subscribe(peer, "#", QoS::ExactlyOnce);
    publishes(&mut world, QoS::ExactlyOnce, 2);
    assert_eq!(world.packets(peer).len(), 1);
    world.send(peer, PubRec::new(id(1)));
    assert_eq!(world.sent(peer), ["PUBREL #1"]);
    world.send(peer, PubComp::new(id(1)));
    assert_eq!(world.sent(peer), ["PUBLISH \"a/long/topic\" QoS 2 #2 \"2\""]);
}

#[test]
fn identifiers_do_not_collide_after_65535_messages() {
    // v5 [MQTT-2.2.1-3], v3.1.1 [MQTT-2.3.1-2]
    let mut world = World::default();
    let peer = with(&mut world, &[]);
    world.subscribe(peer, "a", QoS::AtLeastOnce);
    let publisher = world.up(Version::V5, "publisher");
    world.ignore(publisher);
    world.send(publisher, publish("a", QoS::AtLeastOnce, 1, "oldest"));
    let _ = world.raw(peer);
    for _ in 0..66_000 {
        world.send(publisher, publish("a", QoS::AtLeastOnce, 1, "x"));
        let raw = world.raw(peer);
        // 32 08, the topic, the identifier.
        let value = u16::from_be_bytes([raw[5], raw[6]]);
        assert_ne!(value, 1);
        world.send_bytes(peer, &[0x40, 2, raw[5], raw[6]]);
    }
    assert_eq!(world.broker.session("c").unwrap().queued_messages, 1);
    world.send(peer, PubAck::new(id(1)));
    assert_eq!(world.broker.session("c").unwrap().queued_messages, 0);
}

#[test]
fn the_keep_alive_of_an_earlier_connection_does_not_survive_one_without() {
    for version in Version::ALL {
        let mut world = World::default();
        let _ = world.join(&Connect { keep_alive: 10, ..lasting(version, "c") });
        let peer = world.join_again(&lasting(version, "c"));
        world.wait_secs(100_000);
        assert!(!world.is_closed(peer));
        assert_eq!(world.deadline, None);
    }
}

#[test]
fn acknowledgements_are_sent_in_the_order_of_receipt() {
    // v5 [MQTT-4.6.0-2] [MQTT-4.6.0-3], v3.1.1 [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    for version in Version::ALL {
        let mut world = World::default();
        let peer = world.up(version, "c");
        world.block(peer);
        for value in [5, 4, 9, 1] {
            world.send(peer, publish("a", QoS::AtLeastOnce, value, "x"));
            world.send(peer, publish("a", QoS::ExactlyOnce, value + 10, "x"));
        }
        world.unblock(peer);
        let code = if version.is_v5() { " 0x10 No matching subscribers" } else { "" };
        let expected: Vec<_> = [5, 4, 9, 1]
            .into_iter()
            .flat_map(|one| [format!("PUBACK #{one}{code}"), format!("PUBREC #{}{code}", one + 10)])
            .collect();
        assert_eq!(world.sent(peer), expected);
    }
}

#[test]
fn an_acknowledgement_after_a_resume_with_a_receive_maximum_is_no_panic() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut world = World::new(options_with(|options| options.maximum_in_flight = 1));
        let peer = with(&mut world, &[Property::ReceiveMaximum(1)]);
        world.subscribe(peer, "#", qos);
        publishes(&mut world, qos, 3);
        for value in 1..=3 {
            let peer = with(&mut world, &[Property::ReceiveMaximum(1)]);
            let sent = world.sent(peer);
            assert_eq!(sent.len(), 1, "{sent:?}");
            if qos == QoS::AtLeastOnce {
                world.send(peer, PubAck::new(id(value)));
            } else {
                world.send(peer, PubRec::new(id(value)));
                world.send(peer, PubComp::new(id(value)));
            }
        }
        assert_eq!(world.broker.session("c").unwrap().queued_messages, 0);
    }
}
