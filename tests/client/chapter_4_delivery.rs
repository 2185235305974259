//! Delivery at each QoS, in both directions: MQTT 5.0 §3.3.4, §3.4 to §3.7, §4.3.

use sansio_mqtt::client::{CallError, Counters};
use sansio_mqtt::{
    Properties, Property, PropertyId, PubAck, PubRec, Publish, QoS, ReasonCode, UnsubAck, Version,
};

use crate::sessions::{acknowledged, by_hand, ended, lasting};
use crate::world::{id, of, pub_ack, pub_comp, pub_rec, pub_rel, publish, scenario, sub_ack, v5};

const NOT_FOUND: &str = "0x92 Packet Identifier not found";
const QUOTA: ReasonCode = ReasonCode::QUOTA_EXCEEDED;

#[test]
fn a_message_at_qos_0_is_sent_once_and_forgotten() {
    // v5 [MQTT-4.3.1-1], v3.1.1 [MQTT-4.3.1-1]
    for version in Version::ALL {
        scenario(|world| {
            world.up(lasting(version), &[]);
            let handle = world.publish("a", QoS::AtMostOnce, "x");
            assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 0 \"x\""]);
            assert_eq!(world.told(), [ended(handle, "sent")]);
            assert_eq!(world.client().held(), 0);
            assert_eq!(world.resume().sent_after_connect(), [""; 0]);
        });
    }
}

#[test]
fn a_message_at_qos_1_is_complete_with_its_puback() {
    // v5 [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.2-3], v3.1.1 [MQTT-4.3.2-1]
    for version in Version::ALL {
        scenario(|world| {
            world.up(lasting(version), &[]);
            let first = world.publish("a", QoS::AtLeastOnce, "x");
            let second = world.publish("a", QoS::AtLeastOnce, "y");
            let sent = ["PUBLISH \"a\" QoS 1 #1 \"x\"", "PUBLISH \"a\" QoS 1 #2 \"y\""];
            assert_eq!(world.sent(), sent);
            assert_eq!(world.told(), [""; 0]);
            world.server(pub_ack(2));
            assert_eq!(world.told(), [acknowledged(second)]);
            world.resume();
            assert_eq!(world.sent_after_connect(), ["PUBLISH \"a\" QoS 1 #1 dup \"x\""]);
            world.forget().server(pub_ack(1));
            assert_eq!(world.told(), [acknowledged(first)]);
            assert_eq!(world.resume().sent_after_connect(), [""; 0]);
        });
    }
}

#[test]
fn a_message_at_qos_2_is_complete_with_its_pubcomp() {
    // v5 [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-4] [MQTT-2.2.1-5]
    // v3.1.1 [MQTT-4.3.3-1] [MQTT-2.3.1-6]
    for version in Version::ALL {
        scenario(|world| {
            world.up(lasting(version), &[]);
            let first = world.publish("a", QoS::ExactlyOnce, "x");
            let second = world.publish("a", QoS::ExactlyOnce, "y");
            let sent = ["PUBLISH \"a\" QoS 2 #1 \"x\"", "PUBLISH \"a\" QoS 2 #2 \"y\""];
            assert_eq!(world.sent(), sent);
            world.server(pub_rec(1)).server(pub_rec(2));
            assert_eq!(world.sent(), ["PUBREL #1", "PUBREL #2"]);
            assert_eq!(world.told(), [""; 0]);
            world.server(pub_comp(2));
            assert_eq!(world.told(), [acknowledged(second)]);
            world.server(pub_comp(1));
            assert_eq!(world.told(), [acknowledged(first)]);
            assert_eq!(world.client().held(), 0);
            assert_eq!(world.client().counters(), Counters::default());
        });
    }
}

#[test]
fn an_acknowledgement_with_an_error_ends_a_message() {
    // v5 [MQTT-4.3.3-4] [MQTT-4.4.0-2]
    scenario(|world| {
        world.up(lasting(Version::V5), &[]);
        let first = world.publish("a", QoS::ExactlyOnce, "x");
        let second = world.publish("a", QoS::AtLeastOnce, "y");
        world.forget();
        world.server(PubRec { reason_code: QUOTA, ..pub_rec(1) });
        world.server(PubAck { reason_code: QUOTA, ..pub_ack(2) });
        assert_eq!(world.sent(), [""; 0]);
        let refused = format!("refused with {QUOTA}");
        assert_eq!(world.told(), [ended(first, &refused), ended(second, &refused)]);
        assert_eq!(world.client().held(), 0);
        assert_eq!(world.resume().sent_after_connect(), [""; 0]);
        // The identifier is not in use any more.
        world.server(pub_rec(1));
        assert_eq!(world.sent(), [format!("PUBREL #1 {NOT_FOUND}")]);
    });
}

#[test]
fn a_message_without_subscribers_is_delivered_all_the_same() {
    // v5 [MQTT-4.3.3-4]
    let nobody = ReasonCode::NO_MATCHING_SUBSCRIBERS;
    scenario(|world| {
        world.up(v5(), &[]);
        let first = world.publish("a", QoS::ExactlyOnce, "x");
        let second = world.publish("a", QoS::AtLeastOnce, "y");
        world.forget();
        world.server(PubRec { reason_code: nobody, ..pub_rec(1) });
        assert_eq!(world.sent(), ["PUBREL #1"]);
        world.server(pub_comp(1));
        world.server(PubAck { reason_code: nobody, ..pub_ack(2) });
        let told = [first, second].map(|one| ended(one, &format!("acknowledged {nobody}")));
        assert_eq!(world.told(), told);
    });
}

#[test]
fn a_received_message_is_answered_by_its_qos() {
    // v5 [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-4.5.0-2]
    // v5 [MQTT-2.2.1-5], v3.1.1 [MQTT-3.3.4-1] [MQTT-4.5.0-2] [MQTT-2.3.1-6]
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            world.server(publish("a", QoS::AtMostOnce, 0, "x"));
            assert_eq!(world.sent(), [""; 0]);
            world.server(publish("a", QoS::AtLeastOnce, 0x1234, "y"));
            assert_eq!(world.sent(), ["PUBACK #4660"]);
            world.server(publish("a", QoS::ExactlyOnce, 0x4321, "z"));
            assert_eq!(world.sent(), ["PUBREC #17185"]);
            world.server(pub_rel(0x4321));
            assert_eq!(world.sent(), ["PUBCOMP #17185"]);
            let told = ["message a QoS 0 \"x\"", "message a QoS 1 \"y\"", "message a QoS 2 \"z\""];
            assert_eq!(world.told(), told);
        });
    }
}

#[test]
fn a_repeated_message_at_qos_2_is_answered_and_not_delivered_twice() {
    // v5 [MQTT-4.3.3-10], v3.1.1 [MQTT-4.3.3-2]
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            let message = publish("a", QoS::ExactlyOnce, 6, "x");
            world.server(message).server(Publish { dup: true, ..message });
            // Whether it says so or not.
            world.server(message);
            assert_eq!(world.sent(), ["PUBREC #6"; 3]);
            assert_eq!(world.told(), ["message a QoS 2 \"x\""]);
            assert_eq!(world.client().counters().duplicates, 2);
            world.server(pub_rel(6));
            assert_eq!(world.sent(), ["PUBCOMP #6"]);
        });
    }
}

#[test]
fn a_repeated_message_that_the_application_still_has_is_answered_when_it_is_done() {
    // v5 [MQTT-4.3.3-10], v3.1.1 [MQTT-4.3.3-2]
    for version in Version::ALL {
        scenario(|world| {
            world.up(by_hand(version), &[]);
            let message = publish("a", QoS::ExactlyOnce, 6, "x");
            world.server(message).server(Publish { dup: true, ..message });
            assert_eq!(world.sent(), [""; 0]);
            let deliveries = world.deliveries();
            assert_eq!(deliveries.len(), 1);
            world.acknowledge(deliveries[0].delivery_id.unwrap());
            let sent = world.sent();
            assert!(!sent.is_empty() && sent.iter().all(|line| line == "PUBREC #6"), "{sent:?}");
        });
    }
}

#[test]
fn an_identifier_means_a_new_message_after_the_last_acknowledgement() {
    // v5 [MQTT-4.3.2-5] [MQTT-4.3.3-12], v3.1.1 [MQTT-4.3.2-2] [MQTT-4.3.3-2]
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            let message = publish("a", QoS::AtLeastOnce, 5, "x");
            world.server(message).server(Publish { dup: true, ..message });
            assert_eq!(world.sent(), ["PUBACK #5"; 2]);
            assert_eq!(world.told(), ["message a QoS 1 \"x\"", "message a QoS 1 \"x\" dup"]);
            for _ in 0..2 {
                world.server(publish("a", QoS::ExactlyOnce, 5, "y")).server(pub_rel(5));
                assert_eq!(world.sent(), ["PUBREC #5", "PUBCOMP #5"]);
                assert_eq!(world.told(), ["message a QoS 2 \"y\""]);
            }
            assert_eq!(world.client().counters(), Counters::default());
        });
    }
}

#[test]
fn an_identifier_means_a_new_message_after_a_refusal() {
    // v5 [MQTT-4.3.3-9]
    scenario(|world| {
        world.up(by_hand(Version::V5), &[]);
        let now = world.now;
        for _ in 0..2 {
            world.server(publish("a", QoS::ExactlyOnce, 6, "x"));
            let delivery_id = world.deliveries()[0].delivery_id.unwrap();
            let client = world.client();
            client.acknowledge_with(now, delivery_id, QUOTA, Properties::NONE).unwrap();
            world.poll();
            assert_eq!(world.sent(), ["PUBREC #6 0x97 Quota exceeded"]);
        }
    });
}

#[test]
fn what_is_not_known_is_no_error() {
    // v5 [U5-3.6.2.1-1] [MQTT-4.3.3-11]
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            let not_found = match version.is_v5() {
                true => format!(" {NOT_FOUND}"),
                false => String::new(),
            };
            world.server(pub_rel(7));
            assert_eq!(world.sent(), [format!("PUBCOMP #7{not_found}")]);
            world.server(pub_rec(8));
            assert_eq!(world.sent(), [format!("PUBREL #8{not_found}")]);
            world.server(pub_ack(9)).server(pub_comp(10));
            assert_eq!(world.sent(), [""; 0]);
            assert_eq!(world.client().counters().unknown_acknowledgements, 3);
            assert!(!world.closed);
        });
    }
}

#[test]
fn a_repeated_pubrec_is_answered_again() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            world.publish("a", QoS::ExactlyOnce, "x");
            world.forget().server(pub_rec(1)).server(pub_rec(1));
            // 3.1 has a flag for what is sent again.
            let again = if version == Version::V3_1 { "PUBREL #1 dup" } else { "PUBREL #1" };
            assert_eq!(world.sent(), ["PUBREL #1", again]);
            assert!(!world.closed);
        });
    }
}

#[test]
fn the_wrong_acknowledgement_ends_the_connection() {
    // v5 [U5-4.3.3-1], v3.1.1 [MQTT-4.8.0-1]
    let rows: [(QoS, bool, sansio_mqtt::Packet<'_>); 7] = [
        (QoS::AtLeastOnce, false, pub_rec(1).into()),
        (QoS::AtLeastOnce, false, pub_comp(1).into()),
        (QoS::AtLeastOnce, false, sub_ack(1, &[ReasonCode::SUCCESS]).into()),
        (QoS::ExactlyOnce, false, pub_ack(1).into()),
        (QoS::ExactlyOnce, false, pub_comp(1).into()),
        (QoS::ExactlyOnce, true, pub_ack(1).into()),
        // Of nothing at all.
        (QoS::ExactlyOnce, false, sub_ack(2, &[ReasonCode::SUCCESS]).into()),
    ];
    for version in Version::ALL {
        for (qos, received, packet) in rows {
            scenario(|world| {
                world.up(of(version), &[]);
                world.publish("a", qos, "x");
                if received {
                    world.server(pub_rec(1));
                }
                world.forget().server(packet);
                assert!(world.closed, "{packet}");
                let code = ReasonCode::PROTOCOL_ERROR;
                let last = Vec::from_iter(version.is_v5().then(|| format!("DISCONNECT {code}")));
                assert_eq!(world.sent(), last, "{packet}");
            });
        }
    }
    scenario(|world| {
        world.up(v5(), &[]);
        world.server(UnsubAck::new(id(1), &[ReasonCode::SUCCESS]));
        assert_eq!(world.sent(), [format!("DISCONNECT {}", ReasonCode::PROTOCOL_ERROR)]);
    });
}

#[test]
fn a_malformed_packet_ends_the_connection_with_its_reason() {
    // v5 [U5-4.13.1-2], v3.1.1 [MQTT-4.8.0-1]
    let rows: [(&[u8], ReasonCode); 3] = [
        // A PUBLISH at QoS 3.
        (b"\x36\x05\0\x01a\0\x01", ReasonCode::MALFORMED_PACKET),
        // Without an end to its length.
        (b"\x30\xff\xff\xff\xff\x01", ReasonCode::MALFORMED_PACKET),
        // What only a client sends.
        (b"\xc0\0", ReasonCode::PROTOCOL_ERROR),
    ];
    for version in Version::ALL {
        for (bytes, code) in rows {
            scenario(|world| {
                world.up(of(version), &[]);
                world.server_bytes(bytes);
                assert!(world.closed);
                let last = Vec::from_iter(version.is_v5().then(|| format!("DISCONNECT {code}")));
                assert_eq!(world.sent(), last);
            });
        }
    }
}

#[test]
fn pubrel_and_pubcomp_are_two_bytes_long_whatever_the_server_says() {
    // v5 [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3]
    let properties = [Property::ReasonString("because"), Property::UserProperty("a", "b")];
    let properties = Properties::List(&properties);
    scenario(|world| {
        world.up(v5(), &[]);
        world.publish("a", QoS::ExactlyOnce, "x");
        world.forget();
        world.server(PubRec { properties, ..pub_rec(1) });
        world.server(publish("a", QoS::ExactlyOnce, 1, "y"));
        world.server(sansio_mqtt::PubRel { properties, ..pub_rel(1) });
        let sent = world.sent_packets();
        let sent: Vec<&[u8]> = sent.iter().map(|packet| &packet.frame()[..]).collect();
        assert_eq!(sent, [b"\x62\x02\0\x01", b"\x50\x02\0\x01", b"\x70\x02\0\x01"]);
    });
}

#[test]
fn an_acknowledgement_leaves_out_the_words_that_the_server_has_no_room_for() {
    // v5 [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3]
    let properties = [Property::ReasonString("because"), Property::UserProperty("a", "b")];
    let words = ["Reason String=\"because\"", "User Property=\"a\":\"b\""];
    // Identifier, reason code and length take 6 bytes, the properties 10 and 7.
    let rows = [(23, 2), (22, 1), (16, 1), (15, 0), (6, 0)];
    for (maximum, kept) in rows {
        for (qos, name) in [(QoS::AtLeastOnce, "PUBACK"), (QoS::ExactlyOnce, "PUBREC")] {
            for reconnects in [false, true] {
                scenario(|world| {
                    let maximum = [Property::MaximumPacketSize(maximum)];
                    world.up(by_hand(Version::V5), if reconnects { &[] } else { &maximum });
                    let message = publish("a", qos, 1, "x");
                    world.server(message);
                    let delivery_id = world.deliveries()[0].delivery_id.unwrap();
                    if reconnects {
                        world.lose();
                    }
                    let (now, properties) = (world.now, Properties::List(&properties));
                    let client = world.client();
                    client.acknowledge_with(now, delivery_id, QUOTA, properties).unwrap();
                    world.poll();
                    if reconnects {
                        world.resume_with(&maximum).server(Publish { dup: true, ..message });
                    }
                    let kept = match kept {
                        0 => String::new(),
                        kept => format!(" {{{}}}", words[..kept].join(", ")),
                    };
                    let expected = format!("{name} #1 0x97 Quota exceeded{kept}");
                    assert_eq!(world.sent_of("PUB").first(), Some(&expected));
                });
            }
        }
    }
}

#[test]
fn what_an_acknowledgement_cannot_say_is_refused_and_leaves_no_trace() {
    for version in Version::ALL {
        scenario(|world| {
            world.up(by_hand(version), &[]);
            world.server(publish("a", QoS::AtLeastOnce, 1, "x"));
            let delivery_id = world.deliveries()[0].delivery_id.unwrap();
            let now = world.now;
            let client = world.client();
            let code = ReasonCode::BAD_USER_NAME_OR_PASSWORD;
            let wrong = client.acknowledge_with(now, delivery_id, code, Properties::NONE);
            match version.is_v5() {
                true => assert_eq!(wrong, Err(CallError::ReasonCodeNotAllowed(code))),
                false => assert!(matches!(wrong, Err(CallError::Invalid(_)))),
            }
            let topic = [Property::ContentType("a")];
            let wrong =
                client.acknowledge_with(now, delivery_id, ReasonCode::SUCCESS, (&topic).into());
            assert!(matches!(wrong, Err(CallError::Invalid(_))));
            world.poll();
            assert_eq!(world.sent(), [""; 0]);
            world.acknowledge(delivery_id);
            assert_eq!(world.sent(), ["PUBACK #1"]);
            let again = world.client().acknowledge(now, delivery_id);
            assert_eq!(again, Err(CallError::UnknownDelivery));
        });
    }
}

#[test]
fn what_only_the_client_or_the_server_sets_is_refused_in_a_message() {
    // v5 [MQTT-3.3.4-6]
    let rows = [
        (Property::SubscriptionIdentifier(1), PropertyId::SubscriptionIdentifier),
        (Property::TopicAlias(1), PropertyId::TopicAlias),
    ];
    for (property, property_id) in rows {
        scenario(|world| {
            world.up(v5(), &[]);
            let (now, properties) = (world.now, [property]);
            let publish =
                Publish { topic: "a", properties: (&properties).into(), ..Publish::default() };
            let refused = world.client().publish(now, &publish);
            assert_eq!(refused, Err(CallError::PropertyNotForCaller(property_id)));
            world.poll();
            assert_eq!(world.sent(), [""; 0]);
        });
    }
}

#[test]
fn a_subscription_identifier_that_was_never_given_is_the_applications_affair() {
    // v5 [U5-3.3.4-1]
    scenario(|world| {
        world.up(v5(), &[]);
        let properties = [Property::SubscriptionIdentifier(7)];
        let message = publish("a", QoS::AtLeastOnce, 1, "x");
        world.server(Publish { properties: (&properties).into(), ..message });
        assert_eq!(world.sent(), ["PUBACK #1"]);
        let deliveries = world.deliveries();
        assert!(deliveries[0].message.subscription_identifiers().eq([7]));
    });
}

#[test]
fn a_topic_alias_that_stands_for_nothing_ends_the_connection() {
    // v5 [U5-3.3.4-2] [U5-3.3.4-3] [U5-3.3.4-4]
    let alias = |topic, alias| (topic, [Property::TopicAlias(alias)]);
    let rows: [(&[_], &[&str], Option<ReasonCode>); 3] = [
        (&[alias("a", 11)], &[], Some(ReasonCode::TOPIC_ALIAS_INVALID)),
        (&[alias("", 3)], &[], Some(ReasonCode::PROTOCOL_ERROR)),
        (&[alias("a", 1), alias("b", 1), alias("", 1)], &["a", "b", "b"], None),
    ];
    for (messages, topics, code) in rows {
        scenario(|world| {
            let mut options = v5();
            options.topic_alias_maximum = 10;
            world.up(options, &[]);
            for (topic, properties) in messages {
                let properties = properties.into();
                world.server(Publish { topic, properties, ..Publish::default() });
            }
            let deliveries = world.deliveries();
            let received: Vec<&str> = deliveries.iter().map(|one| one.message.topic()).collect();
            assert_eq!(received, topics);
            let last = Vec::from_iter(code.map(|code| format!("DISCONNECT {code}")));
            assert_eq!(world.sent(), last);
        });
    }
}
