//! What waits for a client, and how much of it there may be.

use sansio_mqtt::broker::{DisconnectCause, Options, Overflow};
use sansio_mqtt::{Properties, Property, Publish, QoS, ReasonCode, Version};

use crate::words::{lasting, of, options_with, pub_ack, publish, v5, with};
use crate::world::{Peer, World, scenario, scenario_with};

/// A queue of three messages.
fn three(overflow: Overflow) -> Options {
    options_with(|options| {
        options.maximum_queued_messages = 3;
        options.overflow = overflow;
    })
}

/// A publisher, and a client that is away.
fn away(world: &mut World, version: Version) -> Peer {
    let publisher = world.join(&v5("publisher"));
    let peer = world.join(&lasting(version, "a"));
    world.subscribe(peer, "t", QoS::ExactlyOnce);
    world.leave(peer);
    publisher
}

/// Publishes messages with these payloads.
fn say(world: &mut World, publisher: Peer, qos: QoS, payloads: &[&str]) {
    for payload in payloads {
        world.publish(publisher, "t", qos, payload);
    }
}

#[test]
fn what_does_not_fit_is_dropped() {
    for version in Version::ALL {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            scenario_with(&three(Overflow::DropNewest), |world| {
                let publisher = away(world, version);
                say(world, publisher, qos, &["1", "2", "3", "4", "5"]);
                let info = world.broker.session("a").unwrap();
                assert_eq!((info.queued_messages, info.dropped), (3, 2));
                assert_eq!(world.broker.counters().dropped, 2);
                let peer = world.join(&lasting(version, "a"));
                let expected = ["1", "2", "3"].map(|payload| format!("t {payload} QoS {qos}"));
                assert_eq!(world.heard(peer), expected);
                // There is room again.
                say(world, publisher, qos, &["6"]);
                assert_eq!(world.heard(peer), [format!("t 6 QoS {qos}")]);
            });
        }
    }
}

#[test]
fn the_oldest_is_dropped_if_the_options_say_so() {
    for version in Version::ALL {
        scenario_with(&three(Overflow::DropOldest), |world| {
            let publisher = away(world, version);
            say(world, publisher, QoS::AtLeastOnce, &["1", "2", "3", "4", "5"]);
            let info = world.broker.session("a").unwrap();
            assert_eq!((info.queued_messages, info.dropped), (3, 2));
            let peer = world.join(&lasting(version, "a"));
            assert_eq!(world.heard(peer), ["t 3 QoS 1", "t 4 QoS 1", "t 5 QoS 1"]);
        });
    }
}

#[test]
fn what_was_sent_is_never_dropped() {
    // v5 [MQTT-4.3.2-3] [MQTT-4.1.0-1]
    for version in Version::ALL {
        for (overflow, expected) in
            [(Overflow::DropOldest, "t 4 QoS 1"), (Overflow::DropNewest, "t 3 QoS 1")]
        {
            let mut options = three(overflow);
            options.maximum_in_flight = 2;
            scenario_with(&options, |world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&lasting(version, "a"));
                world.subscribe(peer, "t", QoS::ExactlyOnce);
                world.by_hand(peer);
                say(world, publisher, QoS::AtLeastOnce, &["1", "2", "3", "4"]);
                assert_eq!(world.heard(peer), ["t 1 QoS 1", "t 2 QoS 1"]);
                world.lose(peer);
                world.by_itself();
                let peer = world.join(&lasting(version, "a"));
                let heard = world.heard(peer);
                assert_eq!(heard, ["t 1 QoS 1 dup", "t 2 QoS 1 dup", expected]);
            });
        }
        // When all have been sent, there is nothing to be dropped but the new one.
        scenario_with(&three(Overflow::DropOldest), |world| {
            let publisher = world.join(&v5("publisher"));
            let peer = world.join(&lasting(version, "a"));
            world.subscribe(peer, "t", QoS::ExactlyOnce);
            world.by_hand(peer);
            say(world, publisher, QoS::AtLeastOnce, &["1", "2", "3", "4"]);
            assert_eq!(world.heard(peer).len(), 3);
            world.send(peer, pub_ack(1));
            world.silent(peer);
            say(world, publisher, QoS::AtLeastOnce, &["5"]);
            assert_eq!(world.heard(peer), ["t 5 QoS 1"]);
        });
    }
}

#[test]
fn a_client_that_is_too_slow_is_disconnected_if_the_options_say_so() {
    // v5 3.14.2.1, v3.1.1 [MQTT-4.8.0-2]
    for version in Version::ALL {
        scenario_with(&three(Overflow::Disconnect), |world| {
            let publisher = world.join(&v5("publisher"));
            let other = world.join(&of(version, "other"));
            let peer = world.join(&lasting(version, "a"));
            for peer in [other, peer] {
                world.subscribe(peer, "t", QoS::ExactlyOnce);
            }
            world.by_hand(peer);
            say(world, publisher, QoS::AtLeastOnce, &["1", "2", "3"]);
            assert_eq!(world.heard(peer).len(), 3);
            say(world, publisher, QoS::AtLeastOnce, &["4"]);
            world.ended(peer, ReasonCode::QUOTA_EXCEEDED);
            assert_eq!(world.cause(peer), DisconnectCause::QueueFull);
            // All others go on.
            assert_eq!(world.heard(other).len(), 4);
            assert!(!world.closed(publisher));
            // The session is there, and what it held.
            assert_eq!(world.broker.session("a").unwrap().queued_messages, 3);
            say(world, publisher, QoS::AtLeastOnce, &["5"]);
            assert_eq!(world.broker.session("a").unwrap().queued_messages, 3);
            world.by_itself();
            let peer = world.join(&lasting(version, "a"));
            assert_eq!(world.heard(peer), ["t 1 QoS 1 dup", "t 2 QoS 1 dup", "t 3 QoS 1 dup"]);
        });
    }
}

#[test]
fn messages_of_qos_0_make_room_first() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Disconnect] {
        for version in Version::ALL {
            scenario_with(&three(overflow), |world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&lasting(version, "a"));
                world.subscribe(peer, "t", QoS::ExactlyOnce);
                world.block(peer);
                say(world, publisher, QoS::AtMostOnce, &["1", "2"]);
                say(world, publisher, QoS::AtLeastOnce, &["3", "4"]);
                say(world, publisher, QoS::AtMostOnce, &["5"]);
                say(world, publisher, QoS::ExactlyOnce, &["6"]);
                assert!(!world.closed(peer));
                let info = world.broker.session("a").unwrap();
                assert_eq!(info.queued_messages, 3);
                assert_eq!(world.broker.counters().dropped, 0);
                assert_eq!(world.broker.counters().dropped_at_most_once, 3);
                world.unblock(peer);
                assert_eq!(world.heard(peer), ["t 3 QoS 1", "t 4 QoS 1", "t 6 QoS 2"]);
            });
        }
    }
}

#[test]
fn a_reader_of_qos_0_that_is_slow_holds_no_more_than_it_may() {
    // v5 [MQTT-4.3.1-1]
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Disconnect] {
        for version in Version::ALL {
            scenario_with(&three(overflow), |world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&of(version, "a"));
                world.subscribe(peer, "t", QoS::AtMostOnce);
                world.block(peer);
                for number in 0..100 {
                    world.publish(publisher, "t", QoS::ExactlyOnce, &format!("{number:02}"));
                }
                assert!(!world.closed(peer), "nothing was promised at QoS 0");
                let info = world.broker.session("a").unwrap();
                assert_eq!((info.queued_messages, info.dropped), (3, 97));
                assert_eq!(world.broker.counters().dropped_at_most_once, 97);
                world.unblock(peer);
                let expected = match overflow {
                    Overflow::DropOldest => ["t 97", "t 98", "t 99"],
                    _ => ["t 00", "t 01", "t 02"],
                };
                assert_eq!(world.heard(peer), expected);
            });
        }
    }
}

#[test]
fn a_message_of_qos_0_takes_the_place_of_none_that_was_promised() {
    // v5 [MQTT-4.5.0-1], v3.1.1 [MQTT-4.5.0-1]
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Disconnect] {
        for version in Version::ALL {
            scenario_with(&three(overflow), |world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&of(version, "a"));
                world.subscribe(peer, "t", QoS::ExactlyOnce);
                world.block(peer);
                say(world, publisher, QoS::AtLeastOnce, &["1", "2", "3"]);
                say(world, publisher, QoS::AtMostOnce, &["4", "5"]);
                let counters = world.broker.counters();
                assert_eq!((counters.dropped, counters.dropped_at_most_once), (0, 2));
                assert!(!world.closed(peer));
                world.unblock(peer);
                assert_eq!(world.heard(peer), ["t 1 QoS 1", "t 2 QoS 1", "t 3 QoS 1"]);
            });
        }
    }
}

#[test]
fn messages_that_have_expired_make_room() {
    // v5 [MQTT-3.3.2-5]
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Disconnect] {
        scenario_with(&three(overflow), |world| {
            let publisher = away(world, Version::V5);
            let list = [Property::MessageExpiryInterval(2)];
            let expiring = Publish {
                properties: Properties::List(&list),
                ..publish("t", QoS::AtLeastOnce, 0, "short")
            };
            world.publish_with(publisher, &expiring);
            say(world, publisher, QoS::AtLeastOnce, &["1"]);
            world.publish_with(publisher, &expiring);
            world.wait_secs(3);
            say(world, publisher, QoS::AtLeastOnce, &["2", "3"]);
            let counters = world.broker.counters();
            assert_eq!((counters.expired, counters.dropped), (2, 0));
            let peer = world.join(&lasting(Version::V5, "a"));
            assert_eq!(world.heard(peer), ["t 1 QoS 1", "t 2 QoS 1", "t 3 QoS 1"]);
        });
    }
}

#[test]
fn a_full_queue_takes_what_comes_as_fast_as_what_it_holds_expires() {
    // v5 [MQTT-3.3.2-5]: one message each 5 ms, of which each lasts for a second.
    let options = options_with(|options| options.maximum_queued_messages = 200);
    for version in [Version::V3_1_1, Version::V5] {
        scenario_with(&options, |world| {
            let publisher = away(world, version);
            let list = [Property::MessageExpiryInterval(1)];
            for number in 0..600 {
                let payload = format!("{number}");
                let message = Publish {
                    properties: Properties::List(&list),
                    ..publish("t", QoS::AtLeastOnce, 0, &payload)
                };
                world.publish_with(publisher, &message);
                world.wait_millis(5);
            }
            let counters = world.broker.counters();
            // Two that came at the very moment when the oldest was to expire.
            assert_eq!((counters.expired, counters.dropped), (398, 2));
        });
    }
}

#[test]
fn bytes_are_limited_too() {
    for version in Version::ALL {
        let options = options_with(|options| options.maximum_queued_bytes = 2_000);
        scenario_with(&options, |world| {
            let publisher = away(world, version);
            let payload = "x".repeat(600);
            for _ in 0..10 {
                world.publish(publisher, "t", QoS::AtLeastOnce, &payload);
            }
            let info = world.broker.session("a").unwrap();
            assert!(info.queued_bytes <= 2_000, "{}", info.queued_bytes);
            assert!((2..=3).contains(&info.queued_messages), "{}", info.queued_messages);
            let held = info.queued_messages;
            // A small one still fits.
            world.publish(publisher, "t", QoS::AtLeastOnce, "x");
            let peer = world.join(&lasting(version, "a"));
            assert_eq!(world.heard(peer).len(), held + 1);
            assert_eq!(world.broker.session("a").unwrap().queued_bytes, 0);
        });
    }
}

#[test]
fn a_message_that_is_larger_than_a_queue_is_held_alone() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let options = options_with(|options| {
            options.maximum_queued_bytes = 1_000;
            options.overflow = overflow;
        });
        scenario_with(&options, |world| {
            let publisher = away(world, Version::V5);
            let large = "x".repeat(5_000);
            world.publish(publisher, "t", QoS::AtLeastOnce, &large);
            assert_eq!(world.broker.session("a").unwrap().queued_messages, 1);
            world.publish(publisher, "t", QoS::AtLeastOnce, "small");
            let peer = world.join(&lasting(Version::V5, "a"));
            let expected = match overflow {
                Overflow::DropOldest => "t small QoS 1".to_owned(),
                _ => format!("t {large} QoS 1"),
            };
            assert_eq!(world.heard(peer), [expected]);
        });
    }
}

#[test]
fn a_message_for_many_is_stored_once() {
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let names: Vec<String> = (0..20).map(|number| format!("c{number}")).collect();
        for name in &names {
            let peer = world.join(&lasting(Version::V5, name));
            world.subscribe(peer, "t", QoS::AtLeastOnce);
            world.leave(peer);
        }
        world.publish(publisher, "t", QoS::AtLeastOnce, &"x".repeat(1_000));
        let counters = world.broker.counters();
        assert_eq!(counters.stored_messages, 1);
        assert!((1_000..2_000).contains(&counters.stored_bytes), "{}", counters.stored_bytes);
        for name in &names {
            assert_eq!(world.broker.session(name).unwrap().queued_messages, 1);
            world.call(|broker, now| broker.end_session(now, name)).unwrap();
        }
        let counters = world.broker.counters();
        assert_eq!((counters.stored_messages, counters.stored_bytes), (0, 0));
    });
}

#[test]
fn a_small_message_does_not_hold_the_buffer_that_it_came_in() {
    scenario(|world| {
        let publisher = away(world, Version::V5);
        // Much comes in one piece.
        let mut bytes = Vec::new();
        for (qos, len) in [(QoS::AtMostOnce, 60_000), (QoS::AtLeastOnce, 10)] {
            let payload = "x".repeat(len);
            let message = publish("t", qos, 7, &payload);
            sansio_mqtt::Packet::from(message).encode(Version::V5, &mut bytes).unwrap();
        }
        world.send_bytes(publisher, &bytes);
        let counters = world.broker.counters();
        assert_eq!(counters.stored_messages, 1);
        assert!(counters.stored_bytes < 1_000, "{}", counters.stored_bytes);
    });
}

#[test]
fn one_slow_reader_is_in_nobodys_way() {
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let slow = world.join(&of(version, "slow"));
            let fast = world.join(&of(version, "fast"));
            for peer in [slow, fast] {
                world.subscribe(peer, "t", QoS::ExactlyOnce);
            }
            world.block(slow);
            for number in 0..50 {
                world.publish(publisher, "t", QoS::AtLeastOnce, &format!("{number}"));
                assert_eq!(world.heard(fast), [format!("t {number} QoS 1")]);
            }
            world.unblock(slow);
            assert_eq!(world.heard(slow).len(), 50);
        });
    }
}

// Work in one go

#[test]
fn much_at_once_is_taken_in_parts() {
    let options = options_with(|options| options.work_budget = 3);
    for version in Version::ALL {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            scenario_with(&options, |world| {
                let watcher = world.join(&of(version, "watcher"));
                world.subscribe(watcher, "t", QoS::ExactlyOnce);
                let peer = world.join(&of(version, "a"));
                let mut bytes = Vec::new();
                for number in 1..=50 {
                    let payload = format!("{number}");
                    let message = publish("t", qos, number, &payload);
                    sansio_mqtt::Packet::from(message).encode(version, &mut bytes).unwrap();
                }
                world.pauses = 0;
                world.send_bytes(peer, &bytes);
                let heard = world.heard(watcher);
                assert_eq!(heard.len(), 50);
                for (line, number) in heard.iter().zip(1..) {
                    assert!(line.starts_with(&format!("t {number}")), "{line}");
                }
                assert!(!world.at(peer).paused);
                if world.way.fragment == usize::MAX {
                    // Each message is a packet and a copy.
                    assert!(world.pauses >= 50 / 3, "{}", world.pauses);
                }
            });
        }
    }
}

#[test]
fn a_burst_is_no_loss_to_readers_that_keep_up() {
    let options = options_with(|options| {
        options.work_budget = 10;
        options.maximum_queued_messages = 10;
    });
    for version in Version::ALL {
        scenario_with(&options, |world| {
            let watcher = world.join(&of(version, "watcher"));
            world.subscribe(watcher, "t", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            let mut bytes = Vec::new();
            for number in 1..=300 {
                let message = publish("t", QoS::AtLeastOnce, number, "x");
                sansio_mqtt::Packet::from(message).encode(version, &mut bytes).unwrap();
            }
            world.send_bytes(peer, &bytes);
            assert_eq!(world.heard(watcher).len(), 300);
            assert_eq!(world.broker.counters().dropped_at_most_once, 0);
        });
    }
}

#[test]
fn a_message_for_more_than_the_budget_reaches_all() {
    let options = options_with(|options| options.work_budget = 2);
    scenario_with(&options, |world| {
        let publisher = world.join(&v5("publisher"));
        let names: Vec<String> = (0..30).map(|number| format!("c{number}")).collect();
        let peers: Vec<Peer> = names.iter().map(|name| world.join(&v5(name))).collect();
        for &peer in &peers {
            world.subscribe(peer, "t", QoS::AtLeastOnce);
        }
        world.publish(publisher, "t", QoS::AtLeastOnce, "x");
        for peer in peers {
            assert_eq!(world.heard(peer), ["t x QoS 1"]);
        }
    });
}

#[test]
fn a_paused_client_that_goes_is_gone() {
    let options = options_with(|options| options.receive_maximum = 2);
    scenario_with(&options, |world| {
        let peer = world.join(&lasting(Version::V3_1_1, "a"));
        world.block(peer);
        for id in 1..=10 {
            world.send(peer, publish("t", QoS::AtLeastOnce, id, "x"));
        }
        assert!(world.at(peer).paused);
        world.lose(peer);
        assert_eq!(world.broker.counters().connections, 0);
        let peer = world.join(&lasting(Version::V3_1_1, "a"));
        world.send(peer, publish("t", QoS::AtLeastOnce, 1, "x"));
        assert_eq!(world.sent(peer), ["PUBACK #1"]);
    });
}

#[test]
fn retained_messages_in_great_number_find_a_slow_reader_patient() {
    // They are not lost to a queue that is smaller, and not held in it either.
    let options = options_with(|options| options.maximum_queued_messages = 10);
    for version in Version::ALL {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            scenario_with(&options, |world| {
                let publisher = world.join(&v5("publisher"));
                for number in 0..100 {
                    world.retain(publisher, &format!("t/{number:02}"), qos, "x");
                }
                let peer = world.join(&of(version, "a"));
                world.block(peer);
                let packet_id = world.next_id(peer);
                let list = [sansio_mqtt::Subscription::new("t/#", QoS::AtLeastOnce)];
                world.send(peer, sansio_mqtt::Subscribe::new(packet_id, &list));
                assert!(world.broker.session("a").unwrap().queued_messages <= 10);
                world.unblock(peer);
                let sent = world.sent(peer);
                assert_eq!(sent.len(), 101, "SUBACK and all of them");
                assert!(sent[0].starts_with("SUBACK"));
            });
        }
    }
}

#[test]
fn a_window_of_one_gets_all_that_is_retained() {
    // v5 [MQTT-3.3.4-9]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        for number in 0..200 {
            world.retain(publisher, &format!("t/{number:03}"), QoS::AtLeastOnce, "x");
        }
        let peer = world.join(&with(v5("a"), &[Property::ReceiveMaximum(1)]));
        world.subscribe(peer, "#", QoS::AtLeastOnce);
        assert_eq!(world.heard(peer).len(), 200);
    });
}

#[test]
fn what_cannot_fit_whatever_is_dropped_drops_nothing() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let options = options_with(|options| {
            (options.maximum_queued_bytes, options.maximum_in_flight) = (1_000, 1);
            options.overflow = overflow;
        });
        for version in Version::ALL {
            scenario_with(&options, |world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&lasting(version, "a"));
                world.subscribe(peer, "t", QoS::AtLeastOnce);
                world.by_hand(peer);
                say(world, publisher, QoS::AtLeastOnce, &["1", "2", "3"]);
                assert_eq!(world.heard(peer), ["t 1 QoS 1"]);
                world.block(peer);
                say(world, publisher, QoS::AtMostOnce, &["4", "5"]);
                say(world, publisher, QoS::AtLeastOnce, &[&"x".repeat(2_000)]);
                assert_eq!(world.broker.counters().dropped_at_most_once, 0, "{overflow:?}");
                assert_eq!(world.broker.counters().dropped, 1, "{overflow:?}");
                assert_eq!(world.broker.session("a").unwrap().queued_messages, 5);
            });
        }
    }
}
