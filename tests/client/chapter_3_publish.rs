//! PUBLISH and its acknowledgements, in both directions: MQTT 5.0 §3.3 to §3.7, §2.2.1.

use std::collections::BTreeSet;

use sansio_mqtt::client::{Acknowledgement, CallError};
use sansio_mqtt::{
    OwnedPacket, Packet, Properties, Property, PropertyId, PubRec, PubRel, Publish, QoS,
    ReasonCode, Version,
};

use crate::calls::WHOLE;
use crate::world::{
    World, id, of, pub_ack, pub_comp, pub_rec, pub_rel, publish, scenario, sub_ack, v5,
};

#[test]
fn the_qos_decides_how_a_message_is_answered() {
    // v5 [MQTT-3.3.4-1] [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11],
    // v3.1.1 [MQTT-3.3.4-1] [MQTT-2.3.1-6]
    for version in Version::ALL {
        for (qos, value, answer) in [
            (QoS::AtMostOnce, 0, vec![]),
            (QoS::AtLeastOnce, 0x1234, vec!["PUBACK #4660"]),
            (QoS::ExactlyOnce, 0x8765, vec!["PUBREC #34661"]),
        ] {
            scenario(|world| {
                world.up(of(version), &[]);
                world.server(publish("a", qos, value, "x"));
                assert_eq!(world.sent(), answer);
                assert_eq!(world.told(), [format!("message a QoS {qos} \"x\"")]);
                if qos == QoS::ExactlyOnce {
                    world.server(pub_rel(value));
                    assert_eq!(world.sent(), ["PUBCOMP #34661"]);
                }
            });
        }
    }
}

#[test]
fn all_acknowledgements_of_a_message_have_its_identifier() {
    // v5 [MQTT-2.2.1-5], v3.1.1 [MQTT-2.3.1-6]
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            let handle = world.publish("a", QoS::ExactlyOnce, "x").get();
            let sent = world.sent_packets();
            let Packet::Publish(sent) = sent[0].packet() else { panic!("{sent:?}") };
            let value = sent.packet_id.unwrap().get();
            world.server(pub_rec(value));
            assert_eq!(world.sent(), [format!("PUBREL #{value}")]);
            world.server(pub_comp(value));
            world.silent();
            assert_eq!(world.told(), [format!("published {handle}: acknowledged 0x00 Success")]);
        });
    }
}

/// The identifiers of what was sent.
fn ids(packets: &[OwnedPacket]) -> Vec<u16> {
    let id = |packet: &OwnedPacket| match packet.packet() {
        Packet::Publish(publish) => publish.packet_id.map(|id| id.get()),
        Packet::Subscribe(subscribe) => Some(subscribe.packet_id.get()),
        Packet::Unsubscribe(unsubscribe) => Some(unsubscribe.packet_id.get()),
        other => panic!("{other}"),
    };
    packets.iter().filter_map(id).collect()
}

#[test]
fn everything_that_waits_for_an_answer_has_an_identifier_of_its_own() {
    // v5 [MQTT-2.2.1-3], v3.1.1 [MQTT-2.3.1-2]
    for version in Version::ALL {
        scenario(|world| {
            let mut options = of(version);
            options.maximum_in_flight = 40;
            world.up(options, &[]);
            for _ in 0..20 {
                world.publish("a", QoS::AtLeastOnce, "x");
                world.subscribe("b");
                world.publish("a", QoS::ExactlyOnce, "x");
                world.unsubscribe("b");
                world.publish("a", QoS::AtMostOnce, "x");
            }
            let all = ids(&world.sent_packets());
            assert_eq!(all.len(), 80);
            assert!(!all.contains(&0));
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 80);
        });
    }
}

#[test]
fn identifiers_in_use_are_passed_over_when_all_have_been_used() {
    // v5 [MQTT-2.2.1-3], v3.1.1 [MQTT-2.3.1-2] [MQTT-2.3.1-3]
    let mut world = World::new(WHOLE);
    world.up(of(Version::V3_1_1), &[]);
    world.publish("a", QoS::AtLeastOnce, "1");
    world.subscribe("b");
    world.publish("a", QoS::ExactlyOnce, "3");
    world.server(pub_rec(3));
    let busy: BTreeSet<u16> = [1, 2, 3].into();
    assert_eq!(ids(&world.sent_packets()[..3]), [1, 2, 3]);
    let mut used = BTreeSet::new();
    for _ in 0..66_000 {
        world.publish("a", QoS::AtLeastOnce, "x");
        let value = ids(&world.sent_packets())[0];
        assert!(value != 0 && !busy.contains(&value), "{value}");
        world.server(pub_ack(value));
        used.insert(value);
    }
    assert_eq!(used.len(), 65_532, "all others are used, and used again");
    // What is answered is free again.
    world.server(pub_ack(1)).server(pub_comp(3)).forget();
    assert_eq!(world.client().held(), 0);
}

#[test]
fn a_message_that_is_sent_again_has_dup_and_a_new_one_has_not() {
    // v5 [MQTT-3.3.1-1], v3.1.1 [MQTT-3.3.1-1]
    for version in Version::ALL {
        scenario(|world| {
            let mut options = of(version);
            options.clean_start = sansio_mqtt::client::CleanStart::Never;
            if version.is_v5() {
                options.session_expiry_interval = 100;
            }
            world.up(options, &[]);
            world.publish("a", QoS::AtLeastOnce, "x");
            assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 1 #1 \"x\""]);
            let present = version != Version::V3_1;
            for _ in 0..2 {
                world.again(present, &[]);
                assert_eq!(world.sent()[1..], ["PUBLISH \"a\" QoS 1 #1 dup \"x\""]);
            }
            world.publish("a", QoS::AtMostOnce, "y");
            world.publish("a", QoS::ExactlyOnce, "z");
            let expected = ["PUBLISH \"a\" QoS 0 \"y\"", "PUBLISH \"a\" QoS 2 #2 \"z\""];
            assert_eq!(world.sent(), expected);
        });
    }
}

#[test]
fn what_only_a_server_or_the_client_itself_sets_is_refused() {
    // v5 [MQTT-3.3.4-6]
    for property in [Property::SubscriptionIdentifier(1), Property::TopicAlias(1)] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            scenario(|world| {
                world.up(v5(), &[Property::TopicAliasMaximum(5)]);
                let properties = Properties::List(std::slice::from_ref(&property));
                let publish = Publish { topic: "a", qos, properties, ..Publish::default() };
                let error = world.refused(|client, now| client.publish(now, &publish));
                assert_eq!(error, CallError::PropertyNotForCaller(property.id()));
                world.poll().silent();
            });
        }
    }
}

#[test]
fn a_message_that_was_received_and_is_passed_on_leaves_its_subscription_identifiers_behind() {
    // v5 [MQTT-3.3.4-6]
    scenario(|world| {
        world.up(v5(), &[]);
        let list = [Property::SubscriptionIdentifier(7), Property::ContentType("t")];
        let properties = Properties::List(&list);
        world.server(Publish { properties, ..publish("a", QoS::AtMostOnce, 0, "x") });
        let message = world.deliveries().remove(0).message;
        let identifiers: Vec<u32> = message.subscription_identifiers().collect();
        assert_eq!(identifiers, [7]);
        world.call(|client, now| client.publish_message(now, message)).unwrap();
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 0 \"x\" {Content Type=\"t\"}"]);
    });
}

#[test]
fn a_subscription_identifier_that_was_not_asked_for_is_told() {
    // v5 [U5-3.3.4-1]
    scenario(|world| {
        world.up(v5(), &[]);
        let list = [Property::SubscriptionIdentifier(9), Property::SubscriptionIdentifier(300)];
        let properties = Properties::List(&list);
        world.server(Publish { properties, ..publish("a", QoS::AtLeastOnce, 1, "x") });
        let message = world.deliveries().remove(0).message;
        assert_eq!(message.subscription_identifiers().collect::<Vec<_>>(), [9, 300]);
        assert_eq!(message.payload(), b"x");
        assert_eq!(world.sent(), ["PUBACK #1"]);
    });
}

#[test]
fn a_payload_that_is_not_the_text_it_says_is_the_applications_affair() {
    // v5 [U5-3.3.2.3.2-2]
    scenario(|world| {
        let mut options = v5();
        options.acknowledgement = Acknowledgement::Manual;
        world.up(options, &[]);
        let list = [Property::PayloadFormatIndicator(true)];
        let properties = Properties::List(&list);
        let wrong = publish("a", QoS::AtLeastOnce, 1, "");
        world.server(Publish { properties, payload: &[0xff], ..wrong });
        let delivery = world.deliveries().remove(0).delivery_id.unwrap();
        let code = ReasonCode::PAYLOAD_FORMAT_INVALID;
        world
            .call(|client, now| client.acknowledge_with(now, delivery, code, Properties::NONE))
            .unwrap();
        assert_eq!(world.sent(), ["PUBACK #1 0x99 Payload format invalid"]);
    });
}

#[test]
fn no_more_messages_are_in_flight_than_the_server_takes() {
    // v5 [MQTT-3.3.4-7] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
    scenario(|world| {
        world.up(v5(), &[Property::ReceiveMaximum(2)]);
        for payload in ["1", "2", "3", "4", "5"] {
            world.publish("a", QoS::ExactlyOnce, payload);
        }
        assert_eq!(ids(&world.sent_packets()), [1, 2]);
        world.server(pub_rec(1));
        assert_eq!(world.sent(), ["PUBREL #1"], "PUBCOMP makes room, not PUBREC");
        world.server(pub_comp(1));
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 2 #3 \"3\""]);
        // An error makes room at once.
        world.server(PubRec { reason_code: ReasonCode::QUOTA_EXCEEDED, ..pub_rec(2) });
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 2 #4 \"4\""]);
    });
}

#[test]
fn without_a_receive_maximum_all_identifiers_may_be_in_flight() {
    // v5 [MQTT-4.9.0-1]
    let mut world = World::new(WHOLE);
    let mut options = v5();
    options.maximum_held = 70_000;
    world.up(options, &[]);
    for _ in 0..65_536 {
        world.publish("a", QoS::AtLeastOnce, "x");
    }
    assert_eq!(world.sent_packets().len(), 65_535);
    world.server(pub_ack(700));
    assert_eq!(ids(&world.sent_packets()), [700], "the only one that is free");
}

#[test]
fn a_full_window_holds_nothing_but_messages_back() {
    // v5 [MQTT-3.3.4-8] [MQTT-4.9.0-3]
    scenario(|world| {
        let mut options = v5();
        options.keep_alive = 10;
        world.up(options, &[Property::ReceiveMaximum(1)]);
        world.publish("a", QoS::ExactlyOnce, "1");
        world.publish("a", QoS::AtLeastOnce, "2");
        world.forget();
        world.publish("a", QoS::AtMostOnce, "3");
        world.subscribe("b");
        world.unsubscribe("c");
        world.server(publish("b", QoS::AtLeastOnce, 1, "x"));
        world.server(publish("b", QoS::ExactlyOnce, 2, "y")).server(pub_rel(2));
        world.server(pub_rec(1));
        let expected = [
            "PUBLISH \"a\" QoS 0 \"3\"",
            "SUBSCRIBE #2 [\"b\" QoS 1]",
            "UNSUBSCRIBE #3 [\"c\"]",
            "PUBACK #1",
            "PUBREC #2",
            "PUBCOMP #2",
            "PUBREL #1",
        ];
        assert_eq!(world.sent(), expected);
        world.server(sub_ack(2, &[ReasonCode::GRANTED_QOS_1]));
        world.wait_secs(10);
        assert_eq!(world.sent(), ["PINGREQ"]);
    });
}

#[test]
fn more_messages_than_the_receive_maximum_close_the_connection() {
    // v5 [U5-3.3.4-5]
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            let mut options = v5();
            options.receive_maximum = 2;
            options.acknowledgement = Acknowledgement::Manual;
            world.up(options, &[]);
            world.server(publish("a", qos, 1, "1")).server(publish("a", qos, 2, "2"));
            world.server(publish("a", QoS::AtMostOnce, 0, "not counted")).silent();
            // Repeated ones are not counted twice.
            if qos == QoS::ExactlyOnce {
                world.server(Publish { dup: true, ..publish("a", qos, 2, "2") });
            }
            assert!(!world.closed);
            world.forget().server(publish("a", qos, 3, "3"));
            world.blamed(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
        });
    }
}

#[test]
fn acknowledging_makes_room_for_more() {
    // v5 [U5-3.3.4-5]
    scenario(|world| {
        let mut options = v5();
        options.receive_maximum = 2;
        world.up(options, &[]);
        for value in 1..=10 {
            world.server(publish("a", QoS::AtLeastOnce, value, "x"));
        }
        for value in 11..=20 {
            world.server(publish("a", QoS::ExactlyOnce, value, "x"));
            world.server(pub_rel(value));
        }
        assert!(!world.closed);
        // PUBREC alone makes none, and one with an error does.
        world.server(publish("a", QoS::ExactlyOnce, 1, "x"));
        world.server(publish("a", QoS::ExactlyOnce, 2, "x")).forget();
        world.server(publish("a", QoS::ExactlyOnce, 3, "x"));
        world.blamed(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
    });
}

#[test]
fn words_that_make_an_acknowledgement_too_large_are_left_out() {
    // v5 [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3]
    let long = "why ".repeat(10);
    let list = [Property::ReasonString(&long), Property::UserProperty("name", &long)];
    // The reason and a pair take 2 + 2 + 1 + 1 and 43, and 49 more.
    for (maximum, kept) in [
        (98, &[PropertyId::ReasonString, PropertyId::UserProperty][..]),
        (97, &[PropertyId::ReasonString][..]),
        (49, &[PropertyId::ReasonString][..]),
        (48, &[][..]),
        (5, &[][..]),
    ] {
        for (qos, name) in [(QoS::AtLeastOnce, "PUBACK"), (QoS::ExactlyOnce, "PUBREC")] {
            scenario(|world| {
                let mut options = v5();
                options.acknowledgement = Acknowledgement::Manual;
                world.up(options, &[Property::MaximumPacketSize(maximum)]);
                world.server(publish("a", qos, 1, "x"));
                let delivery = world.deliveries().remove(0).delivery_id.unwrap();
                let (code, properties) = (ReasonCode::NOT_AUTHORIZED, Properties::List(&list));
                world
                    .call(|client, now| client.acknowledge_with(now, delivery, code, properties))
                    .unwrap();
                let sent = world.sent_packets();
                let (found, reason_code) = match sent[0].packet() {
                    Packet::PubAck(ack) => (ack.properties, ack.reason_code),
                    Packet::PubRec(ack) => (ack.properties, ack.reason_code),
                    other => panic!("{other}"),
                };
                let found: Vec<PropertyId> = found.iter().map(|property| property.id()).collect();
                assert_eq!(found, kept, "{name} where {maximum} bytes are accepted");
                assert_eq!(reason_code, code, "the code stays");
                let size = sent[0].packet().encoded_len(Version::V5).unwrap();
                assert!(size <= maximum as usize, "{size} bytes of {maximum}");
            });
        }
    }
}

#[test]
fn pubrel_and_pubcomp_are_as_short_as_can_be() {
    // v5 [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3]: without words there is
    // nothing to leave out.
    let list = [Property::ReasonString("why"), Property::UserProperty("name", "value")];
    let properties = Properties::List(&list);
    scenario(|world| {
        world.up(v5(), &[Property::MaximumPacketSize(14)]);
        world.publish("a", QoS::ExactlyOnce, "x");
        world.server(publish("b", QoS::ExactlyOnce, 9, "y")).forget();
        world.server(PubRec { properties, ..pub_rec(1) });
        world.server(PubRel { properties, ..pub_rel(9) });
        // Of what is not known with the code, and nothing else.
        world.server(PubRec { packet_id: id(77), ..pub_rec(1) });
        world.server(PubRel { packet_id: id(78), ..pub_rel(9) });
        let expected = [
            "PUBREL #1",
            "PUBCOMP #9",
            "PUBREL #77 0x92 Packet Identifier not found",
            "PUBCOMP #78 0x92 Packet Identifier not found",
        ];
        assert_eq!(world.sent(), expected);
    });
}

#[test]
fn a_message_that_expires_while_it_waits_is_not_sent() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        scenario(|world| {
            world.start(v5());
            let list = [Property::MessageExpiryInterval(10)];
            let properties = Properties::List(&list);
            let publish = Publish { topic: "a", qos, properties, ..Publish::default() };
            let first = world.publish_with(&publish).get();
            world.wait_secs(8);
            world.publish_with(&publish);
            world.wait_secs(3).connect(false, &[]);
            let sent = world.sent();
            assert_eq!(sent.len(), 2, "CONNECT and the second one: {sent:?}");
            // It has been here for three seconds.
            assert!(sent[1].ends_with("{Message Expiry Interval=7}"), "{sent:?}");
            let expected = format!("published {first}: expired before it was sent");
            assert!(world.told().contains(&expected));
        });
    }
}
