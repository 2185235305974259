//! What went wrong in other brokers, row by row; what other files show already is left out.

use std::collections::BTreeMap;

use sansio_mqtt::{
    Connect, Packet, Properties, Property, Publish, QoS, ReasonCode, Subscribe, Subscription,
    Version,
};

use crate::rights::Act;
use crate::words::{id, lasting, of, options_with, publish, v5, with};
use crate::world::{scenario, scenario_with};

#[test]
fn a_client_identifier_is_no_pattern() {
    for name in ["#", "+", "+/admin", "$share/g/x", "a/b", "admin\u{feff}"] {
        for version in [Version::V3_1_1, Version::V5] {
            scenario(|world| {
                let admin = world.join(&of(version, "admin"));
                world.rights.deny(Act::Deliver, "admin", "t");
                world.rights.deny(Act::Publish, name, "t");
                let peer = world.join(&Connect { user_name: Some(name), ..of(version, name) });
                world.subscribe(peer, "t", QoS::AtMostOnce);
                world.subscribe(admin, "t", QoS::AtMostOnce);
                world.rights.asked();
                world.publish(peer, "t", QoS::AtMostOnce, "x");
                assert_eq!(world.rights.asked(), [format!("Publish {name} as {name} t")]);
                world.publish(admin, "t", QoS::AtMostOnce, "y");
                assert_eq!(world.heard(peer), ["t y"]);
                world.silent(admin);
                assert_eq!(world.broker.counters().sessions, 2);
            });
        }
    }
}

#[test]
fn text_that_is_none_is_not_passed_on() {
    // v5 [MQTT-4.13.1-1], v3.1.1 [MQTT-4.8.0-1]
    let rows: [(Version, &[u8]); 5] = [
        (Version::V5, b"\x30\x05\x00\x02\xed\xa0\x00"),
        (Version::V5, b"\x30\x0a\x00\x01t\x06\x26\x00\x01\xff\x00\x00"),
        (Version::V5, b"\x30\x08\x00\x01t\x04\x03\x00\x01\xff"),
        (Version::V3_1_1, b"\x30\x04\x00\x02\xc0\x80"),
        (Version::V3_1_1, b"\x30\x05\x00\x03a\x00b"),
    ];
    for (version, bytes) in rows {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            world.send_bytes(peer, bytes);
            world.ended(peer, ReasonCode::MALFORMED_PACKET);
            world.silent(watcher);
        });
    }
}

#[test]
fn topics_of_any_letters_are_topics() {
    let options = options_with(|options| options.clients_may_publish_to_dollar_topics = true);
    for version in Version::ALL {
        scenario_with(&options, |world| {
            let peer = world.join(&of(version, "a"));
            let topics = [
                "é",
                "ß/x",
                "/",
                "//",
                "$",
                "$x",
                "$é",
                "$/",
                "\u{1f600}/\u{1f600}",
                " ",
                "$sharé/x",
            ];
            for topic in topics {
                world.subscribe(peer, topic, QoS::AtMostOnce);
                world.publish(peer, topic, QoS::AtMostOnce, "x");
                assert_eq!(world.heard(peer), [format!("{topic} x")]);
                world.unsubscribe(peer, &[topic]);
                world.publish(peer, topic, QoS::AtMostOnce, "x");
                world.silent(peer);
            }
        });
    }
}

#[test]
fn a_filter_of_very_many_levels_is_refused_or_works() {
    let many = "/".repeat(65_000);
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            if world.way.fragment < 10 {
                return;
            }
            let peer = world.join(&of(version, "a"));
            let codes = world.subscribe_to(peer, &[Subscription::new(&many, QoS::AtMostOnce)]);
            assert!(codes[0].is_error());
            assert!(!world.closed(peer));
        });
        let options = options_with(|options| {
            options.maximum_topic_levels = usize::MAX;
            options.maximum_topic_length = usize::MAX;
        });
        scenario_with(&options, |world| {
            if world.way.fragment < 10 {
                return;
            }
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, &many, QoS::AtMostOnce);
            world.subscribe(peer, &format!("+{many}"), QoS::AtMostOnce);
            world.publish(peer, &many, QoS::AtMostOnce, "x");
            assert_eq!(world.heard(peer).len(), 1);
            world.retain(peer, &many, QoS::AtMostOnce, "y");
            world.heard(peer);
            world.unsubscribe(peer, &[&many]);
        });
    }
}

#[test]
fn a_topic_of_no_length_is_no_topic() {
    // v5 [U5-3.3.4-3] [MQTT-4.13.1-1], v3.1.1 [MQTT-4.8.0-1]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&of(version, "a"));
            let bytes: &[u8] =
                if version.is_v5() { b"\x30\x04\x00\x00\x00x" } else { b"\x30\x03\x00\x00x" };
            world.send_bytes(peer, bytes);
            assert!(world.closed(peer));
            let codes: Vec<_> = world
                .packets(peer)
                .iter()
                .map(|packet| match packet.packet() {
                    Packet::Disconnect(disconnect) => disconnect.reason_code,
                    other => panic!("{other}"),
                })
                .collect();
            assert_eq!(codes.len(), usize::from(version.is_v5()));
            assert!(codes.iter().all(|code| {
                [ReasonCode::PROTOCOL_ERROR, ReasonCode::TOPIC_NAME_INVALID].contains(code)
            }));
        });
    }
}

#[test]
fn thousands_of_user_properties_are_no_trouble() {
    scenario(|world| {
        if world.way.fragment < 10 {
            return;
        }
        let list = [Property::UserProperty("k", "v"); 9_000];
        let peer = world.join(&with(v5("a"), &list));
        world.subscribe(peer, "t", QoS::AtLeastOnce);
        let properties = Properties::List(&list);
        world.publish_with(peer, &Publish { properties, ..publish("t", QoS::AtLeastOnce, 0, "x") });
        let packets = world.packets(peer);
        let Packet::Publish(found) = packets[0].packet() else { panic!() };
        assert_eq!(found.properties.user_properties().count(), 9_000);
    });
}

#[test]
fn one_identifier_again_and_again_takes_no_room() {
    // v5 [MQTT-4.3.3-10], v3.1.1 [MQTT-4.3.3-2]
    for version in Version::ALL {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "t", QoS::ExactlyOnce);
            let peer = world.join(&of(version, "a"));
            for _ in 0..1_000 {
                world.send(peer, publish("t", QoS::ExactlyOnce, 1, "x"));
            }
            assert_eq!(world.packets(peer).len(), 1_000);
            assert_eq!(world.heard(watcher), ["t x QoS 2"]);
            let counters = world.broker.counters();
            assert_eq!((counters.stored_messages, counters.stored_bytes), (0, 0));
            // Nor if the client does not read.
            world.block(peer);
            for _ in 0..20_000 {
                if world.at(peer).paused || world.closed(peer) {
                    break;
                }
                world.send(peer, publish("t", QoS::ExactlyOnce, 1, "x"));
            }
            assert!(world.at(peer).paused || world.closed(peer), "its answers have an end");
        });
    }
}

#[test]
fn a_filter_and_the_same_one_shared_are_two() {
    scenario(|world| {
        let peer = world.join(&v5("a"));
        for _ in 0..3 {
            world.subscribe(peer, "$share/g/t", QoS::AtMostOnce);
            world.subscribe(peer, "t", QoS::AtMostOnce);
            world.publish(peer, "t", QoS::AtMostOnce, "x");
            assert_eq!(world.heard(peer).len(), 2);
            assert_eq!(world.unsubscribe(peer, &["t", "t"]).len(), 2);
            world.publish(peer, "t", QoS::AtMostOnce, "x");
            assert_eq!(world.heard(peer).len(), 1);
            let codes = world.unsubscribe(peer, &["$share/g/t", "$share/h/t", "$share/g/t"]);
            let none = ReasonCode::NO_SUBSCRIPTION_EXISTED;
            assert_eq!(codes, [ReasonCode::SUCCESS, none, none]);
            world.publish(peer, "t", QoS::AtMostOnce, "x");
            world.silent(peer);
        }
        world.subscribe(peer, "t", QoS::AtMostOnce);
        world.subscribe(peer, "$share/g/t", QoS::AtMostOnce);
        world.unsubscribe(peer, &["$share/g/t"]);
        world.publish(peer, "t", QoS::AtMostOnce, "x");
        assert_eq!(world.heard(peer).len(), 1);
    });
}

#[test]
fn a_shared_subscription_that_is_none_is_refused() {
    for filter in ["$share/ab", "$share/ab/", "$share//t", "$share/a+/t", "$share/#/t", "$share/"] {
        for unsubscribes in [false, true] {
            scenario(|world| {
                let peer = world.join(&v5("a"));
                let len = u8::try_from(filter.len()).unwrap();
                let mut bytes = vec![0x82, 0, 0, 1, 0, 0, len];
                if unsubscribes {
                    bytes[0] = 0xa2;
                }
                bytes.extend_from_slice(filter.as_bytes());
                if !unsubscribes {
                    bytes.push(0);
                }
                bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
                world.send_bytes(peer, &bytes);
                world.ended(peer, ReasonCode::TOPIC_FILTER_INVALID);
            });
        }
    }
}

#[test]
fn who_was_taken_over_changes_no_subscriptions() {
    // v5 [MQTT-3.1.4-3], v3.1.1 [MQTT-3.1.4-2]
    for version in Version::ALL {
        for clean_start in [true, false] {
            scenario(|world| {
                let old = world.join(&lasting(version, "a"));
                world.subscribe(old, "kept", QoS::AtMostOnce);
                // It does not read, so that its connection is not closed at once.
                world.block(old);
                let new = world.join(&Connect { clean_start, ..lasting(version, "a") });
                let list = [Subscription::new("late", QoS::AtMostOnce)];
                if world.is_up(old) {
                    world.send(old, Subscribe::new(id(7), &list));
                    world.send(old, sansio_mqtt::Unsubscribe::new(id(8), &["kept"]));
                    world.send(old, publish("kept", QoS::AtMostOnce, 0, "from the grave"));
                }
                let publisher = world.join(&v5("publisher"));
                world.publish(publisher, "late", QoS::AtMostOnce, "x");
                world.publish(publisher, "kept", QoS::AtMostOnce, "x");
                let expected: &[&str] = if clean_start { &[] } else { &["kept x"] };
                assert_eq!(world.heard(new), expected);
            });
        }
    }
}

#[test]
fn a_property_length_of_five_bytes_is_none() {
    // v5 [MQTT-4.13.1-1] [MQTT-3.1.4-1]
    scenario(|world| {
        let peer = world.open(Version::V5);
        world.send_bytes(peer, b"\x10\x11\x00\x04MQTT\x05\x02\x00\x00\xff\xff\xff\xff\x01\x00\x00");
        world.refused(peer, ReasonCode::MALFORMED_PACKET);
        let peer = world.join(&v5("a"));
        world.send_bytes(peer, b"\x30\x09\x00\x01t\xff\xff\xff\xff\x01x");
        world.ended(peer, ReasonCode::MALFORMED_PACKET);
    });
}

#[test]
fn properties_that_a_subscriber_could_not_bear_do_not_reach_one() {
    // v5 [MQTT-4.13.1-1]
    let rows: [(&[u8], &str); 5] = [
        (b"\x30\x08\x00\x01t\x02\x0b\x05xy", "a Subscription Identifier of a client"),
        (b"\x30\x0a\x00\x01t\x06\x08\x00\x03a/+", "a Response Topic with a wildcard"),
        (b"\x30\x08\x00\x01t\x04\x01\x01\x01\x01", "two Payload Format Indicators"),
        (b"\x30\x06\x00\x01t\x02\x01\x02", "a Payload Format Indicator of 2"),
        (b"\x30\x07\x00\x01t\x03\x21\x00\x01", "a Receive Maximum"),
    ];
    for (bytes, why) in rows {
        scenario(|world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "#", QoS::AtMostOnce);
            let peer = world.join(&v5("a"));
            world.send_bytes(peer, bytes);
            assert!(world.closed(peer), "{why}");
            world.silent(watcher);
        });
    }
    // Nor by way of a Will.
    scenario(|world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "#", QoS::AtMostOnce);
        let peer = world.open(Version::V5);
        // A Topic Alias among the properties of the Will.
        world.send_bytes(
            peer,
            b"\x10\x17\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01a\x03\x23\x00\x01\x00\x01w\x00\x00",
        );
        assert!(world.closed(peer));
        world.silent(watcher);
        assert_eq!(world.broker.counters().sessions, 1);
    });
}

#[test]
fn identifier_zero_is_no_panic() {
    // v5 [MQTT-4.13.1-1], v3.1.1 [MQTT-4.8.0-1]
    for version in Version::ALL {
        for first in [0x40, 0x50, 0x62, 0x70] {
            scenario(|world| {
                let peer = world.join(&of(version, "a"));
                world.send_bytes(peer, &[first, 0x02, 0x00, 0x00]);
                world.ended(peer, ReasonCode::PROTOCOL_ERROR);
            });
        }
    }
}

#[test]
fn an_alias_is_told_before_it_is_used_whatever_waits() {
    // v5 [MQTT-3.1.2-26] [MQTT-3.3.4-9]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let list = [
            Property::TopicAliasMaximum(3),
            Property::ReceiveMaximum(1),
            Property::MaximumPacketSize(40),
            Property::SessionExpiryInterval(100),
        ];
        let connect = Connect { clean_start: false, ..with(v5("a"), &list) };
        let mut peer = world.join(&connect);
        world.subscribe(peer, "#", QoS::AtLeastOnce);
        let mut known = BTreeMap::new();
        for round in 0_u8..60 {
            if round % 20 == 19 {
                world.lose(peer);
                peer = world.join(&connect);
                known.clear();
            }
            if round % 7 == 3 {
                world.block(peer);
            }
            for number in 0_u8..4 {
                let topic = format!("topic/{}", (round + number) % 5);
                let qos = QoS::new((round + number) % 2).unwrap();
                // Some are too large with the topic, and some with the alias.
                let payload = format!("{topic} {}", "x".repeat(usize::from(round % 13)));
                world.publish(publisher, &topic, qos, &payload);
            }
            world.unblock(peer);
            for packet in world.packets(peer) {
                let Packet::Publish(found) = packet.packet() else { panic!("{packet}") };
                let alias = found.properties.topic_alias();
                if let Some(alias) = alias.filter(|_| !found.topic.is_empty()) {
                    known.insert(alias, found.topic.to_owned());
                }
                let topic = match alias {
                    Some(alias) if found.topic.is_empty() => &known[&alias],
                    _ => found.topic,
                };
                let payload = std::str::from_utf8(found.payload).unwrap();
                assert_eq!(payload.split(' ').next(), Some(topic));
            }
        }
    });
}

#[test]
fn the_keep_alive_of_an_earlier_connection_is_over_with_it() {
    // v5 [U5-3.1.2.10-1]
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&Connect { keep_alive: 10, ..lasting(version, "a") });
            world.lose(peer);
            let peer = world.join(&lasting(version, "a"));
            world.wait_secs(1_000);
            world.silent(peer);
            // Taken over without a break too.
            let next = world.join(&Connect { keep_alive: 10, ..lasting(version, "a") });
            world.ended(peer, ReasonCode::SESSION_TAKEN_OVER);
            world.wait_secs(5);
            let last = world.join(&lasting(version, "a"));
            world.ended(next, ReasonCode::SESSION_TAKEN_OVER);
            world.wait_secs(1_000);
            world.silent(last);
        });
    }
}
