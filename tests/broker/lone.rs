//! Messages at QoS 0 that come alone, for many at once.

use std::collections::BTreeMap;

use sansio_mqtt::broker::Counters;
use sansio_mqtt::{
    Connect, Disconnect, Packet, Properties, Property, Publish, QoS, ReasonCode, Version,
};

use crate::rights::Act;
use crate::words::{lasting, of, publish, v5, with};
use crate::world::{Peer, World, scenario};

/// Two clients of each version that subscribe to `t`, at QoS 0 or more.
fn readers(world: &mut World) -> Vec<Peer> {
    let names = ["r1", "r2", "r3", "r4", "r5", "r6"];
    let mut peers = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let peer = world.join(&of(Version::ALL[number % 3], name));
        world.subscribe(peer, "t/#", QoS::new(u8::try_from(number % 2).unwrap()).unwrap());
        peers.push(peer);
    }
    peers
}

#[test]
fn each_reader_gets_the_message_of_the_moment() {
    for blocked in [false, true] {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peers = readers(world);
            for round in 0..20 {
                let (topic, payload) = (format!("t/{}", round % 3), format!("{round}"));
                let list = [Property::UserProperty("k", &payload), Property::ContentType("x")];
                let properties = Properties::List(&list[..round % 3]);
                let message = Publish {
                    properties,
                    retain: round % 5 == 4,
                    ..publish(&topic, QoS::AtMostOnce, 0, &payload)
                };
                for &peer in peers.iter().filter(|_| blocked) {
                    world.block(peer);
                }
                world.publish_with(publisher, &message);
                for &peer in &peers {
                    if blocked {
                        world.silent(peer);
                        world.unblock(peer);
                    }
                    let packets = world.packets(peer);
                    let [only] = &packets[..] else { panic!("{packets:?}") };
                    let Packet::Publish(found) = only.packet() else { panic!("{only}") };
                    assert_eq!((found.topic, found.payload), (&*topic, payload.as_bytes()));
                    assert!(!found.retain && !found.dup && found.qos == QoS::AtMostOnce);
                    let is_v5 = world.version(peer).is_v5();
                    let expected = if is_v5 { properties } else { Properties::NONE };
                    assert_eq!(found.properties, expected);
                }
                let Counters { stored_messages, stored_bytes, .. } = world.broker.counters();
                assert_eq!((stored_messages, stored_bytes), (0, 0));
            }
        });
    }
}

#[test]
fn each_reader_with_aliases_gets_the_topic_of_the_moment() {
    // v5 [MQTT-3.3.2-12]: three topics have two aliases, and of those there are three each.
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peers: Vec<Peer> = ["a1", "a2", "a3", "a4"]
            .map(|name| world.join(&with(v5(name), &[Property::TopicAliasMaximum(2)])))
            .into();
        peers.iter().for_each(|&peer| world.subscribe(peer, "plant/#", QoS::AtMostOnce));
        let mut known = vec![BTreeMap::new(); peers.len()];
        let mut bare = 0;
        for (round, number) in [1, 1, 2, 2, 1, 1, 1, 3, 3, 2, 1, 3, 3, 3].into_iter().enumerate() {
            let (topic, payload) = (format!("plant/{number}"), "x".repeat(round));
            let list = [Property::UserProperty("k", &payload), Property::ContentType("x")];
            let properties = Properties::List(&list[..round % 3]);
            let message = Publish { properties, ..publish(&topic, QoS::AtMostOnce, 0, &payload) };
            world.publish_with(publisher, &message);
            for (&peer, known) in peers.iter().zip(&mut known) {
                let packets = world.packets(peer);
                let [only] = &packets[..] else { panic!("{packets:?}") };
                let Packet::Publish(found) = only.packet() else { panic!("{only}") };
                let alias = found.properties.topic_alias().unwrap();
                bare += usize::from(found.topic.is_empty());
                if !found.topic.is_empty() {
                    known.insert(alias, found.topic.to_owned());
                }
                assert_eq!(known[&alias], topic, "{round}");
                assert_eq!(found.payload, payload.as_bytes());
                let others =
                    found.properties.iter().filter(|one| *one != Property::TopicAlias(alias));
                assert!(others.eq(properties.iter()), "{only}");
            }
        }
        assert_eq!(bare, 8 * peers.len());
    });
}

#[test]
fn what_makes_a_copy_special_is_that_of_its_reader() {
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let plain = readers(world);
        let named = world.join(&v5("named"));
        world.subscribe_as(named, "t/#", QoS::AtMostOnce, 7);
        let aliased = world.join(&with(v5("aliased"), &[Property::TopicAliasMaximum(5)]));
        world.subscribe(aliased, "t/#", QoS::AtMostOnce);
        let small = world.join(&with(v5("small"), &[Property::MaximumPacketSize(25)]));
        world.subscribe(small, "t/#", QoS::AtMostOnce);
        let keeping = world.join(&v5("keeping"));
        let keeps = sansio_mqtt::Subscription {
            retain_as_published: true,
            ..sansio_mqtt::Subscription::new("t/#", QoS::AtMostOnce)
        };
        world.subscribe_to(keeping, &[keeps]);
        for round in 0..3 {
            world.retain(publisher, "t/longer/1", QoS::AtMostOnce, "a payload of 21 bytes");
            for &peer in &plain {
                assert_eq!(world.heard(peer), ["t/longer/1 a payload of 21 bytes"], "{round}");
            }
            let number = "{Subscription Identifier=7}";
            assert_eq!(world.heard(named), [format!("t/longer/1 a payload of 21 bytes {number}")]);
            assert_eq!(world.heard(keeping), ["t/longer/1 a payload of 21 bytes retain"]);
            let heard = world.heard(aliased);
            assert!(heard[0].contains("Topic Alias=1"), "{heard:?}");
            assert_eq!(heard[0].starts_with("t/longer/1 "), round == 0, "{heard:?}");
            world.silent(small);
        }
        assert_eq!(world.broker.counters().too_large, 3);
    });
}

#[test]
fn a_right_is_asked_for_when_a_lone_message_is_sent() {
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peers = readers(world);
        for &peer in &peers {
            world.block(peer);
        }
        world.publish(publisher, "t/1", QoS::AtMostOnce, "x");
        world.rights.deny(Act::Deliver, "r2", "t/1");
        world.rights.deny(Act::Deliver, "r3", "t/1");
        for (&peer, expected) in peers.iter().zip([1, 0, 0, 1, 1, 1]) {
            world.unblock(peer);
            assert_eq!(world.heard(peer).len(), expected);
        }
        assert_eq!(world.broker.counters().withheld, 2);
    });
}

#[test]
fn a_lone_message_expires_like_any() {
    // v5 [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peers = readers(world);
        for (wait, expected) in [(3, 1), (5, 0), (6, 0)] {
            for &peer in &peers {
                world.block(peer);
            }
            let list = [Property::MessageExpiryInterval(5)];
            let properties = Properties::List(&list);
            world.publish_with(
                publisher,
                &Publish { properties, ..publish("t/1", QoS::AtMostOnce, 0, "x") },
            );
            world.wait_secs(wait);
            for &peer in &peers {
                world.unblock(peer);
                let heard = world.heard(peer);
                assert_eq!(heard.len(), expected, "{wait}");
                if expected == 1 && world.version(peer).is_v5() {
                    assert_eq!(heard, ["t/1 x {Message Expiry Interval=2}"]);
                }
            }
        }
    });
}

#[test]
fn messages_behind_a_lone_one_stay_behind_it() {
    // v5 [MQTT-4.6.0-5], v3.1.1 [MQTT-4.6.0-6]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "t", QoS::ExactlyOnce);
            for _ in 0..3 {
                world.block(peer);
                for (qos, payload) in
                    [(0, "1"), (0, "2"), (1, "3"), (0, "4"), (2, "5"), (1, "6"), (0, "7")]
                {
                    world.publish(publisher, "t", QoS::new(qos).unwrap(), payload);
                }
                world.send(peer, Packet::PingReq);
                world.unblock(peer);
                let _ = world.take(peer, |packet| packet == Packet::PingResp);
                let heard = world.heard(peer);
                assert_eq!(heard.len(), 7);
                let at_most_once: Vec<_> =
                    heard.iter().filter(|line| !line.contains("QoS")).collect();
                assert_eq!(at_most_once, ["t 1", "t 2", "t 4", "t 7"]);
                let at_least_once: Vec<_> =
                    heard.iter().filter(|line| line.contains("QoS 1")).collect();
                assert_eq!(at_least_once, ["t 3 QoS 1", "t 6 QoS 1"]);
            }
        });
    }
}

#[test]
fn a_lone_message_is_gone_with_its_connection() {
    // v5 [MQTT-4.3.1-1], v3.1.1 [MQTT-4.3.1-1]
    for version in Version::ALL {
        for end in 0..5 {
            scenario(|world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&Connect { keep_alive: 10, ..lasting(version, "a") });
                world.subscribe(peer, "t", QoS::AtMostOnce);
                world.block(peer);
                world.publish(publisher, "t", QoS::AtMostOnce, "x");
                let connection = world.id(peer);
                match end {
                    0 => world.lose(peer),
                    1 => world.wait_secs(15),
                    2 => world.send(peer, Disconnect::default()),
                    3 => {
                        let reason_code = ReasonCode::ADMINISTRATIVE_ACTION;
                        let disconnect = Disconnect { reason_code, ..Disconnect::default() };
                        world
                            .call(|broker, now| broker.disconnect(now, connection, &disconnect))
                            .unwrap();
                    }
                    _ => {}
                }
                let next = world.join(&lasting(version, "a"));
                world.silent(next);
                world.publish(publisher, "t", QoS::AtMostOnce, "y");
                assert_eq!(world.heard(next), ["t y"]);
                let counters = world.broker.counters();
                assert_eq!((counters.stored_messages, counters.stored_bytes), (0, 0));
            });
        }
    }
}
