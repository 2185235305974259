//! Flow control and packet sizes, both ways: MQTT 5.0 §3.1.2.11, §3.3.4, §4.9.

use sansio_mqtt::broker::Violation;
use sansio_mqtt::{
    Connect, Packet, Properties, Property, PubRec, Publish, QoS, ReasonCode, Subscribe,
    Subscription, Version,
};

use crate::words::{
    id, lasting, of, options_with, pub_ack, pub_comp, pub_rec, pub_rel, publish, v5, with,
};
use crate::world::{Peer, World, scenario, scenario_with};

/// A client with this Receive Maximum that acknowledges nothing by itself, and a publisher.
fn window(world: &mut World, maximum: u16) -> (Peer, Peer) {
    let publisher = world.join(&v5("publisher"));
    let peer = world.join(&with(v5("a"), &[Property::ReceiveMaximum(maximum)]));
    world.subscribe(peer, "t", QoS::ExactlyOnce);
    world.by_hand(peer);
    (publisher, peer)
}

// To the client

#[test]
fn no_more_is_unacknowledged_than_the_client_takes() {
    // v5 [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for maximum in [1, 2, 3] {
            scenario(|world| {
                let (publisher, peer) = window(world, maximum);
                for number in 1..=5 {
                    world.publish(publisher, "t", qos, &format!("{number}"));
                }
                assert_eq!(world.heard(peer).len(), usize::from(maximum));
                for number in 1..=5 {
                    if qos == QoS::AtLeastOnce {
                        world.send(peer, pub_ack(number));
                    } else {
                        // The window opens at PUBCOMP, not at PUBREC.
                        world.send(peer, pub_rec(number));
                        assert_eq!(world.sent(peer), [format!("PUBREL #{number}")]);
                        world.send(peer, pub_comp(number));
                    }
                    let next = number + maximum;
                    let expected: Vec<String> =
                        (next <= 5).then(|| format!("t {next} QoS {qos}")).into_iter().collect();
                    assert_eq!(world.heard(peer), expected);
                }
            });
        }
    }
}

#[test]
fn a_pubrec_with_an_error_opens_the_window() {
    // v5 [MQTT-4.9.0-2] [MQTT-4.3.3-4]
    scenario(|world| {
        let (publisher, peer) = window(world, 1);
        world.publish(publisher, "t", QoS::ExactlyOnce, "1");
        world.publish(publisher, "t", QoS::ExactlyOnce, "2");
        assert_eq!(world.heard(peer), ["t 1 QoS 2"]);
        world.send(peer, PubRec { reason_code: ReasonCode::QUOTA_EXCEEDED, ..pub_rec(1) });
        let packets = world.packets(peer);
        assert_eq!(packets.len(), 1, "no PUBREL: {packets:?}");
        assert!(matches!(packets[0].packet(), Packet::Publish(_)));
    });
}

#[test]
fn acknowledgements_that_belong_to_nothing_open_no_window() {
    // v5 [MQTT-4.9.0-1]
    scenario(|world| {
        let (publisher, peer) = window(world, 1);
        for number in 1..=3 {
            world.publish(publisher, "t", QoS::AtLeastOnce, &format!("{number}"));
        }
        assert_eq!(world.heard(peer), ["t 1 QoS 1"]);
        for _ in 0..3 {
            world.send(peer, pub_ack(500));
            world.send(peer, pub_comp(501));
        }
        world.silent(peer);
        world.send(peer, pub_ack(1));
        assert_eq!(world.heard(peer), ["t 2 QoS 1"]);
        world.send(peer, pub_ack(1));
        world.silent(peer);
    });
}

#[test]
fn a_full_window_holds_nothing_back_but_messages_of_qos_1_and_2() {
    // v5 [MQTT-3.3.4-10] [MQTT-4.9.0-3]
    scenario(|world| {
        let (publisher, peer) = window(world, 1);
        for payload in ["1", "2"] {
            world.publish(publisher, "t", QoS::AtLeastOnce, payload);
        }
        assert_eq!(world.heard(peer), ["t 1 QoS 1"]);
        world.send(peer, Packet::PingReq);
        assert_eq!(world.sent(peer), ["PINGRESP"]);
        world.subscribe(peer, "u", QoS::ExactlyOnce);
        world.unsubscribe(peer, &["u"]);
        world.send(peer, publish("v", QoS::AtLeastOnce, 100, "x"));
        world.send(peer, publish("v", QoS::ExactlyOnce, 101, "x"));
        world.send(peer, pub_rel(101));
        let sent = world.sent(peer);
        assert_eq!(sent.len(), 3, "{sent:?}");
        world.publish(publisher, "t", QoS::AtMostOnce, "0");
        assert_eq!(world.heard(peer), ["t 0"]);
    });
}

#[test]
fn without_a_receive_maximum_the_options_say_how_much_is_in_flight() {
    // v5 [MQTT-4.9.0-1]
    for version in Version::ALL {
        for (maximum, expected) in [(1, 1), (7, 7), (u16::MAX, 200)] {
            let options = options_with(|options| options.maximum_in_flight = maximum);
            scenario_with(&options, |world| {
                let publisher = world.join(&v5("publisher"));
                let peer = world.join(&of(version, "a"));
                world.subscribe(peer, "t", QoS::ExactlyOnce);
                world.by_hand(peer);
                for _ in 0..200 {
                    world.publish(publisher, "t", QoS::AtLeastOnce, "x");
                }
                assert_eq!(world.heard(peer).len(), expected);
            });
        }
    }
}

#[test]
fn a_receive_maximum_is_that_of_one_connection() {
    // v5 3.1.2.11.3 [MQTT-3.3.4-9]
    scenario(|world| {
        let list =
            |maximum| [Property::SessionExpiryInterval(100), Property::ReceiveMaximum(maximum)];
        let (one, three) = (list(1), list(3));
        let publisher = world.join(&v5("publisher"));
        let peer = world.join(&Connect { clean_start: false, ..with(v5("a"), &one) });
        world.subscribe(peer, "t", QoS::AtLeastOnce);
        world.by_hand(peer);
        for number in 1..=5 {
            world.publish(publisher, "t", QoS::AtLeastOnce, &format!("{number}"));
        }
        assert_eq!(world.heard(peer).len(), 1);
        world.lose(peer);
        let peer = world.join(&Connect { clean_start: false, ..with(v5("a"), &three) });
        assert_eq!(world.heard(peer), ["t 1 QoS 1 dup", "t 2 QoS 1", "t 3 QoS 1"]);
    });
}

// From the client

#[test]
fn who_sends_more_than_the_broker_takes_is_disconnected() {
    // v5 [U5-3.3.4-5] [MQTT-4.9.0-2]
    let options = options_with(|options| options.receive_maximum = 2);
    scenario_with(&options, |world| {
        let watcher = world.join(&v5("watcher"));
        world.subscribe(watcher, "t", QoS::AtMostOnce);
        let peer = world.join(&v5("a"));
        // What is acknowledged takes no room, and a repetition none of its own.
        for id in 10..20 {
            world.send(peer, publish("t", QoS::AtLeastOnce, id, "x"));
        }
        for id in [1, 2, 1, 2] {
            world.send(peer, publish("t", QoS::ExactlyOnce, id, "x"));
        }
        world.send(peer, publish("t", QoS::AtMostOnce, 0, "x"));
        assert!(!world.closed(peer));
        world.send(peer, pub_rel(1));
        world.send(peer, publish("t", QoS::ExactlyOnce, 3, "x"));
        assert!(!world.closed(peer));
        assert_eq!(world.heard(watcher).len(), 14);
        world.packets(peer);
        world.send(peer, publish("t", QoS::ExactlyOnce, 4, "one too many"));
        world.ended(peer, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
        assert_eq!(world.cause(peer), Violation::ReceiveMaximumExceeded.into());
        world.silent(watcher);
    });
}

#[test]
fn the_window_is_counted_from_what_a_session_brings_along() {
    // v5 [MQTT-4.9.0-1] [U5-3.3.4-5]: on a new connection it is whole again.
    let options = options_with(|options| options.receive_maximum = 2);
    scenario_with(&options, |world| {
        let peer = world.join(&lasting(Version::V5, "a"));
        for id in [1, 2] {
            world.send(peer, publish("t", QoS::ExactlyOnce, id, "x"));
        }
        world.lose(peer);
        let peer = world.join(&lasting(Version::V5, "a"));
        // The client sends again what it has, which is what it may.
        for id in [1, 2] {
            world.send(peer, Publish { dup: true, ..publish("t", QoS::ExactlyOnce, id, "x") });
        }
        assert_eq!(world.sent(peer), ["PUBREC #1", "PUBREC #2"]);
        for id in [1, 2] {
            world.send(peer, pub_rel(id));
        }
        assert_eq!(world.sent(peer), ["PUBCOMP #1", "PUBCOMP #2"]);
        world.silent(peer);
    });
}

#[test]
fn a_client_of_3_x_may_have_any_number_in_flight() {
    // v3.1.1 3.3.5: there is no Receive Maximum.
    let options = options_with(|options| options.receive_maximum = 2);
    for version in [Version::V3_1, Version::V3_1_1] {
        scenario_with(&options, |world| {
            let watcher = world.join(&v5("watcher"));
            world.subscribe(watcher, "t", QoS::AtMostOnce);
            let peer = world.join(&of(version, "a"));
            for id in 1..=20 {
                world.send(peer, publish("t", QoS::ExactlyOnce, id, "x"));
            }
            for id in 1..=20 {
                world.send(peer, pub_rel(id));
            }
            assert!(!world.closed(peer));
            let sent = world.sent(peer);
            for id in 1..=20 {
                assert!(sent.contains(&format!("PUBREC #{id}")), "{id} {sent:?}");
                assert!(sent.contains(&format!("PUBCOMP #{id}")), "{id} {sent:?}");
            }
            assert_eq!(world.heard(watcher).len(), 20);
        });
    }
}

#[test]
fn who_takes_no_acknowledgements_is_not_heard_for_ever() {
    // v5 [U5-3.3.4-5]: what waits for a client that does not read has an end.
    let options = options_with(|options| options.receive_maximum = 10);
    for version in Version::ALL {
        scenario_with(&options, |world| {
            let peer = world.join(&of(version, "a"));
            world.block(peer);
            for id in 1..=1_000 {
                world.send(peer, publish("t", QoS::AtLeastOnce, id, "x"));
            }
            let taken = world.broker.counters().publishes_received;
            assert!(taken <= 20, "{taken} were taken where 10 may be unacknowledged");
            if version.is_v5() {
                world.unblock(peer);
                let last = world.sent(peer).pop().unwrap();
                assert_eq!(last, "DISCONNECT 0x93 Receive Maximum exceeded");
                assert!(world.closed(peer));
            } else {
                assert!(world.at(peer).paused && !world.closed(peer));
                world.unblock(peer);
                assert_eq!(world.sent(peer).len(), 1_000, "it goes on when it reads again");
                assert!(!world.closed(peer));
            }
        });
    }
}

#[test]
fn who_takes_no_answers_is_not_heard_for_ever() {
    for version in Version::ALL {
        for kind in 0..3 {
            scenario(|world| {
                let peer = world.join(&of(version, "a"));
                world.block(peer);
                let filters = [Subscription::new("t", QoS::AtMostOnce)];
                let packet: Packet<'_> = match kind {
                    0 => Packet::PingReq,
                    1 => Subscribe::new(id(1), &filters).into(),
                    _ => sansio_mqtt::Unsubscribe::new(id(1), &["t"]).into(),
                };
                let mut bytes = Vec::new();
                for _ in 0..20_000 {
                    packet.encode(version, &mut bytes).unwrap();
                }
                world.send_bytes(peer, &bytes);
                assert!(
                    world.at(peer).paused || world.closed(peer),
                    "20,000 answers wait, and more could"
                );
                world.unblock(peer);
                if !world.closed(peer) {
                    assert_eq!(world.sent(peer).len(), 20_000);
                }
            });
        }
    }
}

#[test]
fn keep_alive_counts_while_a_client_reads_nothing() {
    // v5 [MQTT-3.1.2-22], v3.1.1 [MQTT-3.1.2-24]: it is the client that keeps itself from being
    // read, and if it is dead nothing else would tell.
    let options = options_with(|options| options.receive_maximum = 5);
    scenario_with(&options, |world| {
        let peer = world.join(&Connect { keep_alive: 10, ..of(Version::V3_1_1, "a") });
        for reads in [true, false] {
            world.block(peer);
            for id in 1..=50 {
                world.send(peer, publish("t", QoS::AtLeastOnce, id, "x"));
            }
            assert!(world.at(peer).paused);
            world.wait_millis(14_999);
            assert!(!world.closed(peer));
            if reads {
                world.unblock(peer);
                assert_eq!(world.sent(peer).len(), 50);
            }
        }
        world.wait_millis(1);
        assert_eq!(world.cause(peer), sansio_mqtt::broker::DisconnectCause::KeepAliveTimeout);
    });
}

// Sizes

#[test]
fn what_is_too_large_for_a_client_is_as_if_it_had_been_sent() {
    // v5 [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    let size = |payload: usize| 2 + 3 + 2 + 1 + payload;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let id = if qos == QoS::AtMostOnce { 0 } else { 2 };
        scenario(|world| {
            let publisher = world.join(&v5("publisher"));
            let list = [Property::MaximumPacketSize(64), Property::ReceiveMaximum(1)];
            let peer = world.join(&with(v5("a"), &list));
            world.subscribe(peer, "t", QoS::ExactlyOnce);
            let fitting = "x".repeat(64 - size(0) + 2 - id);
            let large = format!("{fitting}x");
            world.publish(publisher, "t", qos, &large);
            world.publish(publisher, "t", qos, &fitting);
            world.publish(publisher, "t", qos, &large);
            world.publish(publisher, "t", qos, "small");
            let packets = world.packets(peer);
            let payloads: Vec<usize> = packets
                .iter()
                .filter_map(|packet| match packet.packet() {
                    Packet::Publish(publish) => Some(publish.payload.len()),
                    _ => None,
                })
                .collect();
            assert_eq!(payloads, [fitting.len(), 5]);
            assert!(packets.iter().all(|packet| packet.frame().len() <= 64));
            assert!(packets.iter().any(|packet| packet.frame().len() == 64));
            assert!(!world.closed(peer));
            assert_eq!(world.broker.session("a").unwrap().queued_messages, 0);
            assert_eq!(world.broker.counters().too_large, 2);
        });
    }
}

#[test]
fn what_is_too_large_for_one_is_not_for_another() {
    // v5 [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let small = world.join(&with(v5("small"), &[Property::MaximumPacketSize(30)]));
        let large = world.join(&v5("large"));
        let old = world.join(&of(Version::V3_1_1, "old"));
        for peer in [small, large, old] {
            world.subscribe(peer, "t", QoS::AtLeastOnce);
        }
        let code = world.publish(publisher, "t", QoS::AtLeastOnce, &"x".repeat(100));
        assert_eq!(code, ReasonCode::SUCCESS);
        world.silent(small);
        assert_eq!(world.heard(large).len(), 1);
        assert_eq!(world.heard(old).len(), 1);
    });
}

#[test]
fn what_becomes_too_large_on_a_new_connection_is_not_sent_again() {
    // v5 [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        let peer = world.join(&lasting(Version::V5, "a"));
        world.subscribe(peer, "t", QoS::ExactlyOnce);
        world.by_hand(peer);
        world.publish(publisher, "t", QoS::AtLeastOnce, &"x".repeat(100));
        world.publish(publisher, "t", QoS::AtLeastOnce, "small");
        world.packets(peer);
        world.lose(peer);
        world.publish(publisher, "t", QoS::ExactlyOnce, &"x".repeat(100));
        let list = [Property::SessionExpiryInterval(100), Property::MaximumPacketSize(30)];
        let peer = world.join(&Connect { clean_start: false, ..with(v5("a"), &list) });
        assert_eq!(world.heard(peer), ["t small QoS 1 dup"]);
        assert_eq!(world.broker.session("a").unwrap().queued_messages, 1);
        assert!(!world.closed(peer));
    });
}

#[test]
fn a_retained_message_that_is_too_large_is_left_out() {
    // v5 [MQTT-3.1.2-24]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        world.retain(publisher, "t/1", QoS::AtLeastOnce, &"x".repeat(100));
        world.retain(publisher, "t/2", QoS::AtLeastOnce, "small");
        let peer = world.join(&with(v5("a"), &[Property::MaximumPacketSize(40)]));
        world.subscribe(peer, "t/#", QoS::AtLeastOnce);
        assert_eq!(world.heard(peer), ["t/2 small QoS 1 retain"]);
    });
}

#[test]
fn what_identifiers_and_aliases_add_counts_too() {
    // v5 [MQTT-3.1.2-24] [MQTT-3.1.2-26]
    scenario(|world| {
        let publisher = world.join(&v5("publisher"));
        // 2 bytes of header, 2 + 1 of topic, 1 of properties.
        let list = [Property::MaximumPacketSize(26), Property::TopicAliasMaximum(10)];
        let peer = world.join(&with(v5("a"), &list));
        world.subscribe(peer, "t", QoS::AtMostOnce);
        let exact = "x".repeat(20);
        world.publish(publisher, "t", QoS::AtMostOnce, &exact);
        assert_eq!(world.heard(peer), [format!("t {exact}")], "there is no room for an alias");
        world.subscribe_as(peer, "t", QoS::AtMostOnce, 1);
        world.publish(publisher, "t", QoS::AtMostOnce, &exact);
        world.silent(peer);
        world.publish(publisher, "t", QoS::AtMostOnce, &"x".repeat(18));
        assert_eq!(world.heard(peer).len(), 1);
    });
}

#[test]
fn large_messages_go_through_whole() {
    for version in Version::ALL {
        scenario(|world| {
            let publisher = world.join(&of(version, "publisher"));
            let peer = world.join(&of(version, "a"));
            world.subscribe(peer, "t", QoS::ExactlyOnce);
            let payload: String = (0..40_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
            let properties = Properties::NONE;
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let message = Publish {
                    topic: "t",
                    qos,
                    payload: payload.as_bytes(),
                    properties,
                    ..Publish::default()
                };
                world.publish_with(publisher, &message);
                let heard = world.heard(peer);
                assert!(heard[0].starts_with(&format!("t {payload}")));
            }
        });
    }
}
