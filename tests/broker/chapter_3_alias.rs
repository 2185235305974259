//! Topic aliases, both ways: MQTT 5.0 §3.3.2.3.4.

use std::collections::BTreeMap;

use sansio_mqtt::{Connect, Packet, Properties, Property, Publish, QoS, ReasonCode, Version};

use crate::rights::Act;
use crate::words::{QOS, lasting, options_with, publish, v5, with};
use crate::world::{scenario, scenario_with};

/// A message with an alias.
fn aliased<'a>(topic: &'a str, properties: &'a [Property<'a>]) -> Publish<'a> {
    Publish { properties: Properties::List(properties), ..publish(topic, QoS::AtMostOnce, 0, "x") }
}

#[test]
fn every_alias_up_to_the_maximum_can_be_used() {
    // v5 [MQTT-3.3.2-12] [U5-3.3.4-4]
    let options = options_with(|options| options.topic_alias_maximum = 10);
    scenario_with(&options, |world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "#", QoS::AtMostOnce);
        let peer = world.join(&v5("a"));
        let (first, last) = ([Property::TopicAlias(1)], [Property::TopicAlias(10)]);
        world.send(peer, aliased("a", &first));
        world.send(peer, aliased("b", &last));
        world.send(peer, aliased("", &first));
        world.send(peer, aliased("", &last));
        // It can be set to something else.
        world.send(peer, aliased("c", &first));
        world.send(peer, aliased("", &first));
        // The alias is between the client and the broker.
        assert_eq!(world.heard(watcher), ["a x", "b x", "a x", "b x", "c x", "c x"]);
        world.silent(peer);
    });
}

#[test]
fn an_alias_that_cannot_be_ends_the_connection() {
    // v5 [U5-3.3.4-2] [U5-3.3.4-3]
    let options = options_with(|options| options.topic_alias_maximum = 10);
    for (topic, alias, code) in [
        ("a", 0, ReasonCode::TOPIC_ALIAS_INVALID),
        ("a", 11, ReasonCode::TOPIC_ALIAS_INVALID),
        ("", 11, ReasonCode::TOPIC_ALIAS_INVALID),
        ("a", 65_535, ReasonCode::TOPIC_ALIAS_INVALID),
        ("", 3, ReasonCode::PROTOCOL_ERROR),
    ] {
        scenario_with(&options, |world| {
            let peer = world.join(&v5("a"));
            let mut bytes = b"\x30\x00\x00".to_vec();
            bytes.push(u8::try_from(topic.len()).unwrap());
            bytes.extend_from_slice(topic.as_bytes());
            bytes.extend_from_slice(&[3, 0x23]);
            bytes.extend_from_slice(&u16::to_be_bytes(alias));
            bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
            world.send_bytes(peer, &bytes);
            world.ended(peer, code);
        });
    }
    // Where there are none, none is good.
    let options = options_with(|options| options.topic_alias_maximum = 0);
    scenario_with(&options, |world| {
        let peer = world.join(&v5("a"));
        world.send(peer, aliased("a", &[Property::TopicAlias(1)]));
        world.ended(peer, ReasonCode::TOPIC_ALIAS_INVALID);
    });
}

#[test]
fn an_alias_ends_with_its_connection() {
    // v5 [MQTT-3.3.2-7]
    scenario(|world| {
        let alias = [Property::TopicAlias(1)];
        let peer = world.join(&lasting(Version::V5, "a"));
        world.send(peer, aliased("a", &alias));
        world.lose(peer);
        let peer = world.join(&lasting(Version::V5, "a"));
        world.send(peer, aliased("", &alias));
        world.ended(peer, ReasonCode::PROTOCOL_ERROR);
    });
}

#[test]
fn an_alias_set_by_a_message_that_is_refused_or_repeated_is_set() {
    // v5 3.3.2.3.4
    scenario(|world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "#", QoS::AtMostOnce);
        let peer = world.join(&v5("a"));
        world.rights.deny(Act::Publish, "a", "a");
        world.send(peer, aliased("a", &[Property::TopicAlias(1)]));
        world.silent(watcher);
        world.rights.allow(Act::Publish, "a", "a");
        world.send(peer, aliased("", &[Property::TopicAlias(1)]));
        assert_eq!(world.heard(watcher), ["a x"]);
        // Of a repetition too.
        world.send(peer, publish("b", QoS::ExactlyOnce, 1, "y"));
        let properties = [Property::TopicAlias(2)];
        let again = Publish {
            properties: Properties::List(&properties),
            dup: true,
            ..publish("b", QoS::ExactlyOnce, 1, "y")
        };
        world.send(peer, again);
        world.send(peer, aliased("", &[Property::TopicAlias(2)]));
        assert_eq!(world.heard(watcher), ["b y", "b x"]);
    });
}

#[test]
fn without_a_topic_alias_maximum_the_broker_sends_no_alias() {
    // v5 [MQTT-3.1.2-27]
    for list in [&[][..], &[Property::TopicAliasMaximum(0)]] {
        scenario(|world| {
            let peer = world.join(&with(v5("a"), list));
            world.subscribe(peer, "#", QoS::AtMostOnce);
            for _ in 0..4 {
                world.publish(peer, "a/long/topic", QoS::AtMostOnce, "x");
            }
            assert_eq!(world.heard(peer), ["a/long/topic x"; 4]);
        });
    }
}

#[test]
fn the_aliases_of_the_broker_are_no_higher_than_the_client_allows() {
    // v5 [MQTT-3.1.2-26] [MQTT-3.3.2-11]
    for (maximum, own) in [(1, 32), (2, 32), (32, 2), (65_535, 65_535)] {
        let options = options_with(|options| options.outgoing_topic_aliases = own);
        scenario_with(&options, |world| {
            let peer = world.join(&with(v5("a"), &[Property::TopicAliasMaximum(maximum)]));
            world.subscribe(peer, "#", QoS::ExactlyOnce);
            let mut known = BTreeMap::new();
            let mut saved = 0;
            for qos in QOS {
                for topic in ["topic/1", "topic/2", "topic/3", "topic/3", "topic/4", "topic/5"] {
                    world.publish(peer, topic, qos, "x");
                    let packet = world.take(peer, |packet| matches!(packet, Packet::Publish(_)));
                    let Packet::Publish(found) = packet.packet() else { panic!() };
                    let alias = found.properties.topic_alias();
                    if let Some(alias) = alias {
                        assert!(alias <= maximum.min(own), "{alias}");
                        if !found.topic.is_empty() {
                            known.insert(alias, found.topic.to_owned());
                        } else {
                            saved += 1;
                        }
                    }
                    let meant = match alias {
                        Some(alias) if found.topic.is_empty() => &known[&alias],
                        _ => found.topic,
                    };
                    assert_eq!(meant, topic);
                }
            }
            assert!(saved > 0, "aliases are used as soon as a client offers any");
        });
    }
}

#[test]
fn the_aliases_of_the_broker_end_with_the_connection() {
    // v5 [MQTT-3.3.2-7]
    scenario(|world| {
        let properties = [Property::TopicAliasMaximum(5), Property::SessionExpiryInterval(100)];
        let connect = Connect { clean_start: false, ..with(v5("a"), &properties) };
        let peer = world.join(&connect);
        world.subscribe(peer, "#", QoS::AtLeastOnce);
        let publisher = world.join(&v5("publisher"));
        world.publish(publisher, "topic", QoS::AtLeastOnce, "x");
        world.by_hand(peer);
        world.publish(publisher, "topic", QoS::AtLeastOnce, "y");
        world.packets(peer);
        world.lose(peer);
        let peer = world.join(&connect);
        let packet = world.take(peer, |packet| matches!(packet, Packet::Publish(_)));
        let Packet::Publish(found) = packet.packet() else { panic!() };
        assert_eq!((found.topic, found.dup, found.payload), ("topic", true, &b"y"[..]));
    });
}

#[test]
fn an_alias_of_a_topic_that_is_too_long_does_not_stand_for_the_one_before() {
    // v5 [MQTT-3.3.2-12]
    let options = options_with(|options| options.maximum_topic_length = 30);
    scenario_with(&options, |world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "#", QoS::AtMostOnce);
        let peer = world.join(&v5("a"));
        let (list, long) = ([Property::TopicAlias(1)], "x".repeat(31));
        world.send(peer, aliased("a", &list));
        world.send(peer, aliased(&long, &list));
        world.send(peer, aliased("", &list));
        assert_eq!(world.heard(watcher), ["a x"]);
        world.ended(peer, ReasonCode::PROTOCOL_ERROR);
    });
}
