//! PUBLISH on its way through the broker: MQTT 5.0 §3.3, §4.3.

use sansio_mqtt::{
    Packet, Properties, Property, PubAck, PubRec, Publish, QoS, ReasonCode, Subscription, Version,
};

use crate::words::{
    QOS, lasting, of, options_with, pub_ack, pub_comp, pub_rec, pub_rel, publish, v5,
};
use crate::world::{scenario, scenario_with};

#[test]
fn the_qos_decides_what_is_answered() {
    // v5 [MQTT-3.3.4-1] [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11],
    // v3.1.1 [MQTT-3.3.4-1] [MQTT-2.3.1-6]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::ExactlyOnce);
            let peer = world.join(&of(version, "a"));
            world.raw(peer);
            world.send(peer, publish("a", QoS::AtMostOnce, 0, "x"));
            assert_eq!(world.raw(peer), [0; 0]);
            world.send(peer, publish("a", QoS::AtLeastOnce, 0x1234, "x"));
            assert_eq!(world.raw(peer), [0x40, 0x02, 0x12, 0x34]);
            world.send(peer, publish("a", QoS::ExactlyOnce, 0x1234, "x"));
            assert_eq!(world.raw(peer), [0x50, 0x02, 0x12, 0x34]);
            world.send(peer, pub_rel(0x1234));
            assert_eq!(world.raw(peer), [0x70, 0x02, 0x12, 0x34]);
            assert_eq!(world.heard(watcher), ["a x", "a x QoS 1", "a x QoS 2"]);
        });
    }
}

#[test]
fn a_message_that_nobody_hears_is_acknowledged_with_a_word_about_it() {
    // v5 3.4.2.1, 3.5.2.1
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "other", QoS::ExactlyOnce);
            let expected = if version.is_v5() {
                ReasonCode::NO_MATCHING_SUBSCRIBERS
            } else {
                ReasonCode::SUCCESS
            };
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                assert_eq!(world.publish(peer, "a", qos, "x"), expected);
                assert_eq!(world.retain(peer, "a", qos, "x"), expected);
                assert_eq!(world.publish(peer, "other", qos, "x"), ReasonCode::SUCCESS);
            }
        });
    }
}

#[test]
fn a_publisher_that_hears_itself_with_no_local_only_is_told_that_nobody_did() {
    // v5 3.4.2.1 [MQTT-3.8.3-3]
    scenario(|world| {
        let peer = world.join(&v5("a"));
        let subscription =
            Subscription { no_local: true, ..Subscription::new("a", QoS::AtMostOnce) };
        world.subscribe_to(peer, &[subscription]);
        let code = world.publish(peer, "a", QoS::AtLeastOnce, "x");
        assert_eq!(code, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    });
}

#[test]
fn a_subscriber_without_a_connection_counts_as_one() {
    // v5 3.4.2.1 [MQTT-4.5.0-1]
    scenario(|world| {
        let away = world.join(&lasting(Version::V5, "away"));
        world.subscribe(away, "a", QoS::AtLeastOnce);
        world.leave(away);
        let peer = world.join(&v5("a"));
        assert_eq!(world.publish(peer, "a", QoS::AtLeastOnce, "x"), ReasonCode::SUCCESS);
    });
}

#[test]
fn a_message_is_delivered_at_the_lower_qos() {
    // v5 [MQTT-3.8.4-8], v3.1.1 [MQTT-3.8.4-6]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&of(version, "publisher"));
            let names = ["qos0", "qos1", "qos2"];
            for (granted, name) in QOS.into_iter().zip(names) {
                let peer = world.join(&of(version, name));
                world.subscribe(peer, "a", granted);
                for published in QOS {
                    world.publish(publisher, "a", published, "x");
                    let expected = match granted.min(published) {
                        QoS::AtMostOnce => "a x".to_owned(),
                        qos => format!("a x QoS {qos}"),
                    };
                    assert_eq!(world.heard(peer), [expected], "{published} {granted}");
                }
            }
        });
    }
}

#[test]
fn a_message_of_qos_0_has_neither_dup_nor_identifier_and_is_sent_once() {
    // v5 [MQTT-4.3.1-1], v3.1.1 [MQTT-4.3.1-1]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "a", QoS::AtMostOnce);
            world.raw(peer);
            world.publish(peer, "a", QoS::ExactlyOnce, "x");
            let found = world.raw(peer);
            let tail: &[u8] =
                if version.is_v5() { b"\x30\x05\x00\x01a\x00x" } else { b"\x30\x04\x00\x01ax" };
            assert!(found.windows(tail.len()).any(|part| part == tail), "{found:?}");
            assert_eq!(world.heard(peer), ["a x"]);
            world.lose(peer);
            let peer = world.join(&lasting(version, "a"));
            world.silent(peer);
        });
    }
}

#[test]
fn identifiers_of_what_is_unacknowledged_differ_and_are_not_zero() {
    // v5 [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2],
    // v3.1.1 [MQTT-2.3.1-4] [MQTT-4.3.2-1]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "#", QoS::ExactlyOnce);
            world.by_hand(peer);
            for round in 0..5 {
                let qos = if round % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
                world.publish(publisher, "a", qos, "x");
            }
            let mut ids = Vec::new();
            for packet in world.packets(peer) {
                let Packet::Publish(publish) = packet.packet() else { panic!("{packet}") };
                assert!(!publish.dup);
                ids.push(publish.packet_id.unwrap());
            }
            assert_eq!(ids.len(), 5);
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), 5);
        });
    }
}

#[test]
fn dup_is_the_matter_of_one_connection() {
    // v5 [MQTT-3.3.1-3], v3.1.1 [MQTT-3.3.1-3]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&of(version, "watcher"));
            world.subscribe(watcher, "#", QoS::ExactlyOnce);
            let peer = world.join(&of(version, "a"));
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                world.publish_with(peer, &Publish { dup: true, ..publish("a", qos, 0, "x") });
                assert_eq!(world.heard(watcher), [format!("a x QoS {qos}")]);
            }
        });
    }
}

#[test]
fn after_puback_the_identifier_is_that_of_another_message() {
    // v5 [MQTT-4.3.2-5], v3.1.1 [MQTT-4.3.2-2]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            world.send(peer, publish("a", QoS::AtLeastOnce, 5, "x"));
            world.send(peer, Publish { dup: true, ..publish("a", QoS::AtLeastOnce, 5, "x") });
            assert_eq!(world.sent(peer), ["PUBACK #5", "PUBACK #5"]);
            assert_eq!(world.heard(watcher), ["a x", "a x"]);
        });
    }
}

#[test]
fn a_repetition_before_pubrel_is_acknowledged_and_not_passed_on_again() {
    // v5 [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12], v3.1.1 [MQTT-4.3.3-2]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            for round in 1..=2 {
                world.send(peer, publish("a", QoS::ExactlyOnce, 6, "x"));
                for _ in 0..2 {
                    let again = publish("a", QoS::ExactlyOnce, 6, "x");
                    world.send(peer, Publish { dup: true, ..again });
                }
                assert_eq!(world.sent(peer), ["PUBREC #6"; 3]);
                assert_eq!(world.heard(watcher), ["a x"], "round {round}");
                assert_eq!(world.broker.counters().duplicates, 2 * round);
                world.send(peer, pub_rel(6));
                assert_eq!(world.sent(peer), ["PUBCOMP #6"]);
            }
        });
    }
}

#[test]
fn a_repetition_is_known_on_the_next_connection_too() {
    // v5 [MQTT-4.3.3-10] [MQTT-3.1.2-23] [MQTT-4.1.0-1], v3.1.1 [MQTT-4.3.3-2] [MQTT-4.1.0-1]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&lasting(version, "a"));
            world.send(peer, publish("a", QoS::ExactlyOnce, 6, "x"));
            world.lose(peer);
            assert_eq!(world.heard(watcher), ["a x"]);
            let peer = world.join(&lasting(version, "a"));
            world.send(peer, Publish { dup: true, ..publish("a", QoS::ExactlyOnce, 6, "x") });
            assert_eq!(world.sent(peer), ["PUBREC #6"]);
            world.lose(peer);
            let peer = world.join(&lasting(version, "a"));
            world.send(peer, pub_rel(6));
            assert_eq!(world.sent(peer), ["PUBCOMP #6"]);
            world.silent(watcher);
            world.send(peer, publish("a", QoS::ExactlyOnce, 6, "y"));
            assert_eq!(world.heard(watcher), ["a y"]);
        });
    }
}

#[test]
fn a_new_session_knows_no_repetitions() {
    // v5 [MQTT-3.1.2-4], v3.1.1 [MQTT-3.1.2-6]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&lasting(version, "a"));
            world.send(peer, publish("a", QoS::ExactlyOnce, 6, "x"));
            world.lose(peer);
            let peer = world.join(&of(version, "a"));
            world.send(peer, Publish { dup: true, ..publish("a", QoS::ExactlyOnce, 6, "x") });
            assert_eq!(world.heard(watcher), ["a x", "a x"]);
        });
    }
}

#[test]
fn an_unknown_pubrel_is_answered() {
    // v5 [U5-3.6.2.1-1] [MQTT-4.3.3-11], v3.1.1 [MQTT-4.3.3-2]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.send(peer, pub_rel(9));
            let expected = if version.is_v5() {
                "PUBCOMP #9 0x92 Packet Identifier not found"
            } else {
                "PUBCOMP #9"
            };
            assert_eq!(world.sent(peer), [expected]);
            world.silent(peer);
        });
    }
}

#[test]
fn a_pubrec_with_an_error_leaves_the_identifier_to_the_next_message() {
    // v5 [MQTT-4.3.3-9]
    scenario(|world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "#", QoS::AtMostOnce);
        let peer = world.join(&v5("a"));
        world.rights.deny(crate::rights::Act::Publish, "a", "secret");
        world.send(peer, publish("secret", QoS::ExactlyOnce, 6, "x"));
        assert_eq!(world.sent(peer), ["PUBREC #6 0x87 Not authorized"]);
        world.send(peer, publish("a", QoS::ExactlyOnce, 6, "y"));
        assert_eq!(world.sent(peer), ["PUBREC #6"]);
        assert_eq!(world.heard(watcher), ["a y"]);
    });
}

#[test]
fn a_subscriber_at_qos_2_is_led_through_the_whole_exchange() {
    // v5 [MQTT-4.3.3-4] [MQTT-2.2.1-5], v3.1.1 [MQTT-4.3.3-1] [MQTT-2.3.1-6]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "a", QoS::ExactlyOnce);
            world.by_hand(peer);
            world.publish(publisher, "a", QoS::ExactlyOnce, "x");
            assert_eq!(world.sent(peer), ["PUBLISH \"a\" QoS 2 #1 \"x\""]);
            world.send(peer, pub_rec(1));
            assert_eq!(world.sent(peer), ["PUBREL #1"]);
            world.send(peer, pub_comp(1));
            world.silent(peer);
            assert_eq!(world.broker.session("a").unwrap().queued_messages, 0);
        });
    }
}

#[test]
fn an_error_in_puback_or_pubrec_ends_the_message() {
    // v5 [MQTT-4.3.3-4] [MQTT-4.4.0-2]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peer = world.join(&lasting(Version::V5, "a"));
        world.subscribe(peer, "a", QoS::ExactlyOnce);
        world.by_hand(peer);
        world.publish(publisher, "a", QoS::AtLeastOnce, "x");
        world.publish(publisher, "a", QoS::ExactlyOnce, "y");
        assert_eq!(world.sent(peer).len(), 2);
        let reason_code = ReasonCode::QUOTA_EXCEEDED;
        world.send(peer, PubAck { reason_code, ..pub_ack(1) });
        world.send(peer, PubRec { reason_code, ..pub_rec(2) });
        world.silent(peer);
        assert_eq!(world.broker.session("a").unwrap().queued_messages, 0);
        world.lose(peer);
        let peer = world.join(&lasting(Version::V5, "a"));
        world.silent(peer);
    });
}

#[test]
fn acknowledgements_that_nobody_waits_for_are_ignored_or_answered() {
    // v5 4.3.2, 4.3.3, 3.6.2.1: recoverable
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.send(peer, pub_ack(7));
            world.send(peer, pub_comp(8));
            world.silent(peer);
            world.send(peer, pub_rec(9));
            let expected = if version.is_v5() {
                "PUBREL #9 0x92 Packet Identifier not found"
            } else {
                "PUBREL #9"
            };
            assert_eq!(world.sent(peer), [expected]);
            assert!(!world.closed(peer));
            assert!(world.broker.counters().unknown_acknowledgements >= 2);
        });
    }
}

#[test]
fn a_wrong_acknowledgement_ends_the_connection() {
    // v5 [U5-4.3.3-1] [MQTT-4.13.1-1], v3.1.1 [MQTT-4.8.0-1]
    for version in Version::ALL {
        let wrong: [(QoS, Packet<'_>); 5] = [
            (QoS::AtLeastOnce, pub_rec(1).into()),
            (QoS::AtLeastOnce, pub_comp(1).into()),
            (QoS::ExactlyOnce, pub_ack(1).into()),
            (QoS::ExactlyOnce, pub_comp(1).into()),
            (QoS::AtLeastOnce, pub_rec(1).into()),
        ];
        for (qos, packet) in wrong {
            scenario(|world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&lasting(version, "a"));
                world.subscribe(peer, "a", QoS::ExactlyOnce);
                world.by_hand(peer);
                world.publish(publisher, "a", qos, "x");
                world.packets(peer);
                world.send(peer, packet);
                world.ended(peer, ReasonCode::PROTOCOL_ERROR);
                // The session lives on, and the message in it.
                let peer = world.join(&lasting(version, "a"));
                assert_eq!(world.heard(peer), [format!("a x QoS {qos} dup")]);
            });
        }
    }
}

#[test]
fn all_that_a_publisher_says_is_passed_on_as_it_is() {
    // v5 [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
    // [MQTT-3.3.2-20] [U5-4.10-1] [U5-3.3.2.3.2-2]
    let list = [
        Property::PayloadFormatIndicator(true),
        Property::ContentType("text/x"),
        Property::ResponseTopic("r/1"),
        Property::CorrelationData(&[0x00, 0xff, 0x10]),
        Property::UserProperty("b", "1"),
        Property::UserProperty("a", "2"),
        Property::UserProperty("b", "1"),
        Property::UserProperty("", ""),
    ];
    for qos in QOS {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let names = ["first", "second"];
            let peers = names.map(|name| world.join(&v5(name)));
            for peer in peers {
                world.subscribe(peer, "a", QoS::ExactlyOnce);
            }
            let old = world.join(&of(Version::V3_1_1, "old"));
            world.subscribe(old, "a", QoS::ExactlyOnce);
            // Not UTF-8, whatever the indicator says.
            let payload = &[0xff, 0x00];
            let properties = Properties::List(&list);
            let publish = Publish { topic: "a", qos, payload, properties, ..Publish::default() };
            world.publish_with(publisher, &publish);
            for peer in peers {
                let packet = world.take(peer, |packet| matches!(packet, Packet::Publish(_)));
                let Packet::Publish(found) = packet.packet() else { panic!() };
                assert_eq!((found.topic, found.qos, found.payload), ("a", qos, &payload[..]));
                let user = |properties: &Properties<'_>| {
                    properties
                        .user_properties()
                        .map(|(k, v)| (k.to_owned(), v.to_owned()))
                        .collect::<Vec<_>>()
                };
                assert_eq!(user(&found.properties), user(&properties), "in order");
                for property in list {
                    assert!(found.properties.iter().any(|other| other == property), "{property}");
                }
                assert_eq!(found.properties.iter().count(), list.len(), "and nothing more");
            }
            let packet = world.take(old, |packet| matches!(packet, Packet::Publish(_)));
            let Packet::Publish(found) = packet.packet() else { panic!() };
            assert_eq!((found.topic, found.payload), ("a", &payload[..]));
        });
    }
}

#[test]
fn requests_and_responses_are_messages_like_others() {
    // v5 [U5-4.10-1] [MQTT-3.3.2-15] [MQTT-3.3.2-16]
    scenario(|world| {
        let requester = world.join(&v5("requester"));
        world.subscribe(requester, "responses/1", QoS::AtLeastOnce);
        let responder = world.join(&v5("responder"));
        world.subscribe(responder, "requests", QoS::AtLeastOnce);
        let list = [Property::ResponseTopic("responses/1"), Property::CorrelationData(b"\x07")];
        let request = Publish {
            properties: Properties::List(&list),
            ..publish("requests", QoS::AtLeastOnce, 0, "?")
        };
        world.publish_with(requester, &request);
        let packet = world.take(responder, |packet| matches!(packet, Packet::Publish(_)));
        let Packet::Publish(found) = packet.packet() else { panic!() };
        let data = [Property::CorrelationData(found.properties.correlation_data().unwrap())];
        let response = Publish {
            topic: found.properties.response_topic().unwrap(),
            properties: Properties::List(&data),
            ..publish("", QoS::AtLeastOnce, 0, "!")
        };
        world.publish_with(responder, &response);
        let packet = world.take(requester, |packet| matches!(packet, Packet::Publish(_)));
        let Packet::Publish(found) = packet.packet() else { panic!() };
        assert_eq!(found.topic, "responses/1");
        assert_eq!(found.properties.correlation_data(), Some(&b"\x07"[..]));
    });
}

#[test]
fn the_topic_of_a_delivery_is_that_of_the_message() {
    // v5 [MQTT-3.3.2-3], v3.1.1 [MQTT-3.3.2-3]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "a/+", QoS::AtMostOnce);
            for topic in ["a/b", "a/b/c", "a", "a/", "A/b", "b/a"] {
                world.publish(peer, topic, QoS::AtMostOnce, "x");
            }
            assert_eq!(world.heard(peer), ["a/b x", "a/ x"]);
        });
    }
}

#[test]
fn topics_are_compared_byte_by_byte() {
    // v5 [MQTT-4.7.3-4], v3.1.1 [MQTT-4.7.3-4]
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            for filter in [composed, "ACCOUNTS", "\u{feff}a", "with space"] {
                world.subscribe(peer, filter, QoS::AtMostOnce);
            }
            for topic in [decomposed, "Accounts", "a", "withspace", " with space"] {
                world.publish(peer, topic, QoS::AtMostOnce, "x");
            }
            world.silent(peer);
            for topic in [composed, "ACCOUNTS", "\u{feff}a", "with space"] {
                world.publish(peer, topic, QoS::AtMostOnce, "x");
                assert_eq!(world.heard(peer), [format!("{topic} x")]);
            }
        });
    }
}

#[test]
fn wildcards_in_front_do_not_match_topics_of_the_server() {
    // v5 [MQTT-4.7.2-1], v3.1.1 [MQTT-4.7.2-1]
    for version in Version::ALL {
        scenario(|world| {
            let wild = world.join(&of(version, "wild"));
            for filter in ["#", "+/x", "+/#", "+/+"] {
                world.subscribe(wild, filter, QoS::AtMostOnce);
            }
            let named = world.join(&of(version, "named"));
            world.subscribe(named, "$SYS/#", QoS::AtMostOnce);
            world
                .call(|broker, now| {
                    broker.publish(now, &publish("$SYS/x", QoS::AtMostOnce, 0, "1"))
                })
                .unwrap();
            world.silent(wild);
            assert_eq!(world.heard(named), ["$SYS/x 1"]);
            world.publish(wild, "a/x", QoS::AtMostOnce, "x");
            assert_eq!(world.heard(wild).len(), 1);
        });
    }
}

#[test]
fn clients_do_not_publish_to_the_topics_of_the_server() {
    // v5 [U5-4.7.2-1]
    for version in Version::ALL {
        scenario(|world| {
            let named = world.join(&of(version, "named"));
            world.subscribe(named, "$SYS/#", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            let code = world.publish(peer, "$SYS/x", QoS::AtLeastOnce, "x");
            world.silent(named);
            let expected =
                if version.is_v5() { ReasonCode::NOT_AUTHORIZED } else { ReasonCode::SUCCESS };
            assert_eq!(code, expected);
            world.silent(peer);
        });
    }
}

#[test]
fn a_topic_beyond_the_limits_is_refused() {
    let options = options_with(|options| {
        options.maximum_topic_levels = 3;
        options.maximum_topic_length = 10;
    });
    for version in Version::ALL {
        scenario_with(&options, |world| {
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "#", QoS::AtMostOnce);
            for topic in ["a/b/c", "0123456789", "//"] {
                assert_eq!(world.publish(peer, topic, QoS::AtLeastOnce, "x"), ReasonCode::SUCCESS);
                assert_eq!(world.heard(peer).len(), 1);
            }
            for topic in ["a/b/c/d", "0123456789a", "///"] {
                for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                    let code = world.publish(peer, topic, qos, "x");
                    let expected = if version.is_v5() {
                        ReasonCode::TOPIC_NAME_INVALID
                    } else {
                        ReasonCode::SUCCESS
                    };
                    assert_eq!(code, expected, "{topic}");
                }
                world.publish(peer, topic, QoS::AtMostOnce, "x");
                world.silent(peer);
            }
            assert_eq!(world.broker.counters().refused, 9);
        });
    }
}
