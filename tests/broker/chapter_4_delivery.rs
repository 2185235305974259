//! Delivery, order and what a resumed session sends again: MQTT 5.0 §4.3, §4.4, §4.6.

use sansio_mqtt::{Connect, Packet, Property, QoS, Version};

use crate::words::{lasting, options_with, pub_ack, pub_comp, pub_rec, pub_rel, publish, v5, with};
use crate::world::{Peer, Way, World, scenario, scenario_with};

/// A client that acknowledges nothing by itself, with a subscription to `t` at QoS 2.
fn by_hand(world: &mut World, version: Version) -> Peer {
    let peer = world.join(&lasting(version, "a"));
    world.subscribe(peer, "t", QoS::ExactlyOnce);
    world.by_hand(peer);
    peer
}

#[test]
fn what_was_not_acknowledged_is_sent_again_in_order_when_the_session_goes_on() {
    // v5 [MQTT-3.3.1-1] [MQTT-4.4.0-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-3.1.2-23]
    // [MQTT-2.2.1-5], v3.1.1 [MQTT-3.3.1-1] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-2.3.1-3]
    // [MQTT-2.3.1-4] [MQTT-4.3.2-1]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = by_hand(world, version);
            for (qos, payload) in [
                (QoS::AtLeastOnce, "1"),
                (QoS::ExactlyOnce, "2"),
                (QoS::AtLeastOnce, "3"),
                (QoS::ExactlyOnce, "4"),
                (QoS::AtMostOnce, "0"),
            ] {
                world.publish(publisher, "t", qos, payload);
            }
            assert_eq!(
                world.sent(peer),
                [
                    "PUBLISH \"t\" QoS 1 #1 \"1\"",
                    "PUBLISH \"t\" QoS 2 #2 \"2\"",
                    "PUBLISH \"t\" QoS 1 #3 \"3\"",
                    "PUBLISH \"t\" QoS 2 #4 \"4\"",
                    "PUBLISH \"t\" QoS 0 \"0\"",
                ]
            );
            // As long as the connection lives nothing is repeated.
            world.wait_secs(100_000);
            world.silent(peer);
            world.send(peer, pub_ack(1));
            world.silent(peer);
            for _ in 0..2 {
                world.lose(peer_of(world));
                world.join(&lasting(version, "a"));
                let peer = peer_of(world);
                assert_eq!(
                    world.sent(peer),
                    [
                        "PUBLISH \"t\" QoS 2 #2 dup \"2\"",
                        "PUBLISH \"t\" QoS 1 #3 dup \"3\"",
                        "PUBLISH \"t\" QoS 2 #4 dup \"4\"",
                    ]
                );
            }
            // Each goes on from there.
            let peer = peer_of(world);
            world.send(peer, pub_rec(2));
            assert_eq!(world.sent(peer), ["PUBREL #2"]);
            world.send(peer, pub_comp(2));
            world.send(peer, pub_ack(3));
            world.send(peer, pub_rec(4));
            assert_eq!(world.sent(peer), ["PUBREL #4"]);
            world.send(peer, pub_comp(4));
            assert_eq!(world.broker.session("a").unwrap().queued_messages, 0);
            world.lose(peer);
            world.join(&lasting(version, "a"));
            let peer = peer_of(world);
            world.silent(peer);
        });
    }
}

/// The connection that the client `a` has now.
fn peer_of(world: &World) -> Peer {
    world.peer(world.broker.session("a").unwrap().connection.unwrap())
}

#[test]
fn behind_pubrec_only_pubrel_is_sent_again() {
    // v5 [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1], v3.1.1 [MQTT-4.3.3-1] [MQTT-4.4.0-1]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = by_hand(world, version);
            world.publish(publisher, "t", QoS::ExactlyOnce, "x");
            world.packets(peer);
            world.send(peer, pub_rec(1));
            assert_eq!(world.sent(peer), ["PUBREL #1"]);
            let mut peer = peer;
            for _ in 0..3 {
                world.lose(peer);
                peer = world.join(&lasting(version, "a"));
                let sent = world.sent(peer);
                assert_eq!(sent.len(), 1, "{sent:?}");
                assert!(sent[0].starts_with("PUBREL #1"), "{sent:?}");
            }
            world.send(peer, pub_comp(1));
            world.lose(peer);
            let peer = world.join(&lasting(version, "a"));
            world.silent(peer);
        });
    }
}

#[test]
fn a_pubrel_that_was_never_written_is_sent_all_the_same() {
    // v5 [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6], v3.1.1 [MQTT-4.3.3-1]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = by_hand(world, version);
            world.publish(publisher, "t", QoS::ExactlyOnce, "x");
            world.packets(peer);
            world.block(peer);
            world.send(peer, pub_rec(1));
            world.lose(peer);
            let peer = world.join(&lasting(version, "a"));
            let sent = world.sent(peer);
            assert_eq!(sent.len(), 1, "{sent:?}");
            assert!(sent[0].starts_with("PUBREL #1"), "{sent:?}");
        });
    }
}

#[test]
fn what_was_never_sent_is_no_repetition() {
    // v5 [MQTT-3.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2], v3.1.1 [MQTT-4.3.2-1] [MQTT-4.3.3-1]
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let peer = by_hand(world, version);
            world.publish(publisher, "t", QoS::AtLeastOnce, "sent");
            world.block(peer);
            world.publish(publisher, "t", QoS::AtLeastOnce, "not sent");
            world.publish(publisher, "t", QoS::ExactlyOnce, "not sent");
            world.lose(peer);
            world.publish(publisher, "t", QoS::ExactlyOnce, "away");
            let peer = world.join(&lasting(version, "a"));
            assert_eq!(
                world.heard(peer),
                ["t sent QoS 1 dup", "t not sent QoS 1", "t not sent QoS 2", "t away QoS 2"]
            );
        });
    }
}

#[test]
fn repetitions_keep_to_the_window() {
    // v5 [U5-4.4-1] [MQTT-3.3.4-9] [MQTT-4.9.0-1]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peer = by_hand(world, Version::V5);
        for payload in ["1", "2", "3"] {
            world.publish(publisher, "t", QoS::AtLeastOnce, payload);
        }
        assert_eq!(world.heard(peer).len(), 3);
        world.lose(peer);
        let list = [Property::SessionExpiryInterval(100), Property::ReceiveMaximum(1)];
        let connect = Connect { clean_start: false, ..with(v5("a"), &list) };
        let peer = world.join(&connect);
        for id in 1..=3 {
            assert_eq!(world.sent(peer), [format!("PUBLISH \"t\" QoS 1 #{id} dup \"{id}\"")]);
            world.send(peer, pub_ack(id));
        }
        world.publish(publisher, "t", QoS::AtLeastOnce, "4");
        assert_eq!(world.heard(peer), ["t 4 QoS 1"]);
    });
}

#[test]
fn new_messages_come_behind_repetitions() {
    // v5 [MQTT-4.6.0-5], v3.1.1 [MQTT-4.6.0-6]
    let options = options_with(|options| options.maximum_in_flight = 2);
    for version in Version::ALL {
        scenario_with(&options, |world| {
            let publisher = world.join(&v5("publisher"));
            let peer = by_hand(world, version);
            for payload in ["1", "2", "3", "4"] {
                world.publish(publisher, "t", QoS::AtLeastOnce, payload);
            }
            assert_eq!(world.heard(peer), ["t 1 QoS 1", "t 2 QoS 1"]);
            world.lose(peer);
            world.publish(publisher, "t", QoS::AtLeastOnce, "5");
            world.by_itself();
            let peer = world.join(&lasting(version, "a"));
            let expected =
                ["t 1 QoS 1 dup", "t 2 QoS 1 dup", "t 3 QoS 1", "t 4 QoS 1", "t 5 QoS 1"];
            assert_eq!(world.heard(peer), expected);
        });
    }
}

#[test]
fn messages_of_a_publisher_arrive_in_its_order() {
    // v5 [MQTT-4.6.0-5] [MQTT-4.6.0-6], v3.1.1 [MQTT-4.6.0-5] [MQTT-4.6.0-6]
    for version in Version::ALL {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            scenario(|world| {
                let watcher = world.join(&of_many(version));
                world.subscribe(watcher, "t/#", QoS::ExactlyOnce);
                let names = ["one", "two", "three"];
                let publishers = names.map(|name| world.join(&v5(name)));
                for number in 0..60 {
                    let from = number * 7 % 3;
                    let payload = format!("{number}");
                    let topic = format!("t/{}", number % 2);
                    world.publish(publishers[from], &topic, qos, &payload);
                }
                let heard = world.heard(watcher);
                let numbers: Vec<u32> = heard
                    .iter()
                    .map(|line| line.split(' ').nth(1).unwrap().parse().unwrap())
                    .collect();
                let expected: Vec<u32> = (0..60).collect();
                assert_eq!(numbers, expected);
            });
        }
    }
}

fn of_many(version: Version) -> Connect<'static> {
    crate::words::of(version, "watcher")
}

#[test]
fn a_thousand_messages_arrive_in_order_through_a_window_of_a_few() {
    // v5 [MQTT-4.6.0-5] [MQTT-4.9.0-2], v3.1.1 [MQTT-4.6.0-6]
    let options = options_with(|options| {
        options.maximum_in_flight = 3;
        options.maximum_queued_messages = 2_000;
    });
    scenario_with(&options, |world| {
        let peer = world.join(&lasting(Version::V3_1_1, "a"));
        world.subscribe(peer, "t", QoS::ExactlyOnce);
        world.leave(peer);
        let publisher = world.join(&v5("publisher"));
        for number in 1..=1_000 {
            let qos = if number % 3 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
            world.publish(publisher, "t", qos, &format!("{number}"));
        }
        let peer = world.join(&lasting(Version::V3_1_1, "a"));
        let heard = world.heard(peer);
        assert_eq!(heard.len(), 1_000);
        for (line, number) in heard.iter().zip(1..) {
            assert!(line.starts_with(&format!("t {number} ")), "{line}");
        }
    });
}

#[test]
fn acknowledgements_are_in_the_order_of_the_messages() {
    // v5 4.6 [MQTT-4.3.2-4] [MQTT-4.3.3-8], v3.1.1 4.6
    for version in Version::ALL {
        scenario(|world| {
            let peer = world.join(&crate::words::of(version, "a"));
            world.block(peer);
            for id in [3, 1, 2] {
                world.send(peer, publish("t", QoS::AtLeastOnce, id, "x"));
                world.send(peer, publish("t", QoS::ExactlyOnce, id + 10, "x"));
            }
            for id in [3, 1, 2] {
                world.send(peer, pub_rel(id + 10));
            }
            world.unblock(peer);
            let sent = world.sent(peer);
            let expected = [
                "PUBACK #3",
                "PUBREC #13",
                "PUBACK #1",
                "PUBREC #11",
                "PUBACK #2",
                "PUBREC #12",
                "PUBCOMP #13",
                "PUBCOMP #11",
                "PUBCOMP #12",
            ];
            let found: Vec<&str> = sent
                .iter()
                .map(|line| line.split_once(" 0x").map_or(line.as_str(), |(ack, _)| ack))
                .collect();
            assert_eq!(found, expected);
        });
    }
}

#[test]
fn identifiers_are_used_again_after_the_last_acknowledgement() {
    // v3.1.1 [MQTT-2.3.1-3] [MQTT-2.3.1-4], v5 [MQTT-2.2.1-4]
    let options = options_with(|options| options.maximum_in_flight = 10);
    // Once around takes its time, so there is one way only.
    let world = &mut World::new(Way { fragment: usize::MAX, limit: usize::MAX }, options);
    let publisher = world.join(&v5("publisher"));
    let peer = by_hand(world, Version::V3_1_1);
    let mut last = 0;
    let mut held = Vec::new();
    for round in 0..70_000 {
        let message = publish("t", QoS::AtLeastOnce, 0, "x");
        world.call(|broker, now| broker.publish(now, &message)).unwrap();
        let packets = world.packets(peer);
        let [only] = &packets[..] else { panic!("{packets:?}") };
        let Packet::Publish(found) = only.packet() else { panic!("{only}") };
        let id = found.packet_id.unwrap().get();
        assert!(!held.contains(&id), "{id} is in use");
        // Some are kept for ever.
        if round < 5 {
            held.push(id);
            continue;
        }
        world.send(peer, pub_ack(id));
        last = id;
    }
    assert!(last > 0);
    assert_eq!(world.broker.session("a").unwrap().queued_messages, 5);
    world.silent(publisher);
}
